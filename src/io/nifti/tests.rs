use super::*;
use crate::data::{Affine, Grid, Mask, Volume};
use proptest::prelude::*;

fn sample(affine: Affine) -> Volume {
    let grid = Grid { shape: [3, 4, 2], affine };
    Volume::new(grid, (0..24).map(|v| v as f32 * 0.5 - 3.0).collect()).unwrap()
}

fn oblique() -> Affine {
    Affine::from_quaternion([0.1, -0.3, 0.2], [2.0, 2.5, 3.0], [-70.0, 10.5, 4.25], -1.0)
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["layer1.0.relu.nii", "layer1.0.relu.nii.gz"] {
        let path = dir.path().join(name);
        let volume = sample(oblique());
        write_volume(&path, &volume, Space::Mni).unwrap();
        let back = read_volume(&path).unwrap();
        assert_eq!(back.values(), volume.values());
        assert!(back.grid().same(volume.grid()), "{} is not {}", back.grid(), volume.grid());
        assert_eq!(read_header(&path).unwrap().space, Space::Mni);
    }
}

#[test]
fn the_quaternion_alone_gives_the_same_grid() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.nii");
    write_volume(&path, &sample(oblique()), Space::Scanner).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[254..256].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let found = read_header(&path).unwrap().grid;
    assert!(found.same(sample(oblique()).grid()), "{found}");
    // Neither of the two: sizes alone, the middle of the image at 0, x to the left.
    bytes[252..254].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let found = read_header(&path).unwrap().grid.affine;
    let expected = Affine([[-2.0, 0.0, 0.0, 2.0], [0.0, 2.5, 0.0, -3.75], [0.0, 0.0, 3.0, -1.5]]);
    assert!(found.same(&expected), "{found}");
}

#[test]
fn a_side_too_long_for_nifti_1_makes_nifti_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.nii.gz");
    let grid = Grid { shape: [40_000, 1, 1], affine: oblique() };
    let volume = Volume::new(grid, (0..40_000).map(|v| v as f32).collect()).unwrap();
    write_volume(&path, &volume, Space::Aligned).unwrap();
    let back = read_volume(&path).unwrap();
    assert_eq!(back.values(), volume.values());
    assert!(back.grid().same(&grid));
}

#[test]
fn series_keep_their_volumes_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bold.nii.gz");
    let volume = sample(oblique());
    let second: Vec<f32> = volume.values().iter().map(|v| v + 100.0).collect();
    write_series(&path, volume.grid(), &[volume.values(), &second], Some(2.4), Space::Aligned).unwrap();
    let header = read_header(&path).unwrap();
    assert_eq!(header.n_volumes, 2);
    assert!((header.tr_s.unwrap() - 2.4).abs() < 1e-6);
    let mask = Mask::from_fn(*volume.grid(), |v| v % 5 == 0).unwrap();
    let rows = read(&path).unwrap().masked(&mask).unwrap();
    assert_eq!(rows.dim(), (2, 5));
    assert_eq!(rows[[1, 1]], volume.values()[5] + 100.0);
    let error = read_volume(&path).unwrap_err().to_string();
    assert!(error.contains("expected one volume, found 2"), "{error}");
}

/// The bytes of a big-endian file with scaled 16-bit integers.
fn big_endian() -> Vec<u8> {
    let mut bytes = vec![0u8; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348i32.to_be_bytes());
    [3i16, 2, 2, 1, 1, 1, 1, 1].iter().enumerate().for_each(|(i, s)| put(40 + 2 * i, &s.to_be_bytes()));
    put(70, &4i16.to_be_bytes());
    put(72, &16i16.to_be_bytes());
    [1.0f32, 2.0, 2.0, 2.0].iter().enumerate().for_each(|(i, s)| put(76 + 4 * i, &s.to_be_bytes()));
    put(108, &352f32.to_be_bytes());
    put(112, &0.5f32.to_be_bytes());
    put(116, &10f32.to_be_bytes());
    put(254, &1i16.to_be_bytes());
    for (row, at) in [280, 296, 312].into_iter().enumerate() {
        put(at + 4 * row, &2f32.to_be_bytes());
    }
    put(344, b"n+1\0");
    [0i16, 2, -4, 32_000].iter().for_each(|v| bytes.extend_from_slice(&v.to_be_bytes()));
    bytes
}

#[test]
fn big_endian_scaled_integers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.nii");
    std::fs::write(&path, big_endian()).unwrap();
    let volume = read_volume(&path).unwrap();
    assert_eq!(volume.values(), [10.0, 11.0, 8.0, 16_010.0]);
    assert!(volume.grid().affine.same(&Affine::scaling([2.0; 3])));
}

#[test]
fn damaged_files_are_named_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.nii.gz");
    let grid = Grid { shape: [20, 10, 5], affine: oblique() };
    let values: Vec<f32> = (0..1000).map(|v| (v as f32 * 7.7).sin()).collect();
    write_volume(&path, &Volume::new(grid, values).unwrap(), Space::Aligned).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for keep in [whole.len() - 30, 60, 11, 1, 0] {
        std::fs::write(&path, &whole[..keep]).unwrap();
        let error = read_volume(&path).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
    std::fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    let error = read_volume(&path).unwrap_err().to_string();
    assert!(error.contains("the end of the file within volume 1 of 1"), "{error}");
    let mut complex = big_endian();
    complex[70..72].copy_from_slice(&32i16.to_be_bytes());
    std::fs::write(&path, &complex).unwrap();
    let error = read_volume(&path).unwrap_err();
    assert!(error.to_string().contains("datatype 32") && error.hint().unwrap().contains("complex"), "{error}");
    std::fs::write(&path, b"not an image, but long enough to be one".repeat(20)).unwrap();
    assert!(read_volume(&path).unwrap_err().to_string().contains("another kind of file"));
}

#[test]
fn integers_are_refused_where_they_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("label.nii.gz");
    let mut volume = sample(Affine::scaling([1.0; 3]));
    assert!(write_volume_as(&path, &volume, Space::Aligned, Datatype::U8).is_err(), "-3 is no u8");
    volume.values_mut().iter_mut().enumerate().for_each(|(i, v)| *v = i as f32 * 10.0);
    write_volume_as(&path, &volume, Space::Aligned, Datatype::U8).unwrap();
    assert_eq!(read_volume(&path).unwrap(), volume);
}

proptest! {
    #[test]
    fn any_rotation_survives(b in -1.0f64..1.0, c in -1.0f64..1.0, d in -1.0f64..1.0, a in 0.0f64..1.0, flip in any::<bool>()) {
        let norm = (a * a + b * b + c * c + d * d).sqrt().max(1e-3);
        let q = [b / norm, c / norm, d / norm];
        let affine = Affine::from_quaternion(q, [1.0, 2.0, 3.0], [5.0, 6.0, 7.0], if flip { -1.0 } else { 1.0 });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.nii");
        write_volume(&path, &sample(affine), Space::Aligned).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[254..256].fill(0);
        std::fs::write(&path, bytes).unwrap();
        let found = read_header(&path).unwrap().grid.affine;
        let worst = found.0.iter().flatten().zip(affine.0.iter().flatten()).fold(0.0f64, |m, (x, y)| m.max((x - y).abs()));
        prop_assert!(worst < 2e-3, "{} is not {}", found, affine);
    }
}
