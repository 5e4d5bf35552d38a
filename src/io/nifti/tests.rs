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

/// A NIfTI-1 file of `sides` with these bytes after its header; little-endian.
fn file(sides: &[i16], datatype: Datatype, (slope, intercept): (f32, f32), numbers: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0u8; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348i32.to_le_bytes());
    put(40, &(sides.len() as i16).to_le_bytes());
    sides.iter().enumerate().for_each(|(i, s)| put(42 + 2 * i, &s.to_le_bytes()));
    put(70, &datatype.code().to_le_bytes());
    put(72, &(8 * datatype.size() as i16).to_le_bytes());
    (0..4).for_each(|i| put(76 + 4 * i, &1f32.to_le_bytes()));
    put(108, &352f32.to_le_bytes());
    put(112, &slope.to_le_bytes());
    put(116, &intercept.to_le_bytes());
    put(344, b"n+1\0");
    bytes.extend_from_slice(numbers);
    bytes
}

/// Four 16-bit integers.
fn shorts(scaling: (f32, f32)) -> Vec<u8> {
    let numbers: Vec<u8> = [0i16, 2, -4, 1000].iter().flat_map(|v| v.to_le_bytes()).collect();
    file(&[2, 2, 1], Datatype::I16, scaling, &numbers)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, bytes).unwrap();
    packed.finish().unwrap()
}

/// As [`shorts`], big-endian.
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

/// nibabel 5.4's `get_slope_inter`: (None, None) for a slope of 0, NaN or infinity; for a slope
/// without an intercept, which it refuses, niftilib's (an intercept that is not finite is 0).
#[test]
fn half_valid_scalings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scaled.nii");
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for (scaling, expected, step, said) in [
        ((0.5, 10.0), [10.0, 11.0, 8.0, 510.0], 0.5, false),
        ((-0.5, 0.0), [0.0, -1.0, 2.0, -500.0], 0.5, false),
        ((0.0, 7.0), [0.0, 2.0, -4.0, 1000.0], 0.0, false),
        ((nan, 7.0), [0.0, 2.0, -4.0, 1000.0], 0.0, false),
        ((inf, nan), [0.0, 2.0, -4.0, 1000.0], 0.0, false),
        ((nan, nan), [0.0, 2.0, -4.0, 1000.0], 0.0, false),
        ((1.0, 0.0), [0.0, 2.0, -4.0, 1000.0], 0.0, false),
        ((0.5, nan), [0.0, 1.0, -2.0, 500.0], 0.5, true),
        ((0.5, inf), [0.0, 1.0, -2.0, 500.0], 0.5, true),
    ] {
        std::fs::write(&path, shorts(scaling)).unwrap();
        assert_eq!(read_volume(&path).unwrap().values(), expected, "{scaling:?}");
        let header = read_header(&path).unwrap();
        let text = header.warning(&path).map(|w| w.to_string());
        assert_eq!((header.step(), text.is_some()), (step, said), "{scaling:?}");
        assert!(text.is_none_or(|t| t.contains("scaled.nii") && t.contains("scl_slope 0.5")));
    }
}

#[test]
fn gzip_streams_are_verified_to_their_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.nii.gz");
    let whole = shorts((1.0, 0.0));
    let packed = gzip(&whole);
    let mut accepted = vec![packed.clone()];
    // Padding, and members: bgzip writes many, and an empty one at the end.
    accepted.push([packed.clone(), vec![0; 700]].concat());
    accepted.push([gzip(&whole[..100]), gzip(&whole[100..355]), gzip(&whole[355..]), gzip(b"")].concat());
    for bytes in accepted {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read_volume(&path).unwrap().values(), [0.0, 2.0, -4.0, 1000.0]);
    }
    let n = packed.len();
    let flipped = |at: usize| {
        let mut bytes = packed.clone();
        bytes[at] ^= 1;
        bytes
    };
    let last_member = [gzip(&whole[..100]), gzip(&whole[100..])[..20].to_vec()].concat();
    for (bytes, words) in [
        (flipped(n - 8), "cannot be unpacked"),
        (flipped(n - 1), "cannot be unpacked"),
        (packed[..n - 8].to_vec(), "the end of the file within"),
        (packed[..n - 1].to_vec(), "the end of the file within"),
        ([packed.clone(), b"<html>".to_vec()].concat(), "other bytes follow the gzip stream"),
        ([packed.clone(), vec![0; 9], vec![7]].concat(), "other bytes follow the gzip stream"),
        (last_member, "the end of the file within"),
        (gzip(&[whole.clone(), vec![0; 8]].concat()), "8 more bytes (1.0000 volumes)"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = read_volume(&path).unwrap_err();
        assert!(error.to_string().contains(words) && error.to_string().contains("a.nii.gz"), "{error} without {words}");
        assert_eq!(error.exit_code(), 2);
    }
}

#[test]
fn files_end_with_their_last_volume() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.nii");
    let numbers: Vec<u8> = (0..8u8).collect();
    // Eight numbers are two volumes of 2 x 2 x 1; the header says one, three, or that it is no
    // series.
    for (sides, words) in [
        (vec![2, 2, 1, 3], "the end of the file within volume 3 of 3"),
        (vec![2, 2, 1, 1], "after 1 volumes of 4 bytes, as its header says, found 4 more bytes (1.0000 volumes)"),
        (vec![2, 2], "4 more bytes"),
        (vec![2, 3], "2 more bytes (0.3333 volumes)"),
    ] {
        std::fs::write(&path, file(&sides, Datatype::U8, (1.0, 0.0), &numbers)).unwrap();
        let all = |mut image: Nifti| (0..image.header().n_volumes).map(|_| image.next_volume()).collect();
        let volumes: Result<Vec<_>, _> = read(&path).and_then(all);
        let error = volumes.unwrap_err();
        assert!(error.to_string().contains(words), "{error} without {words}");
        assert!(error.to_string().contains("a.nii") && error.exit_code() == 2);
    }
    std::fs::write(&path, file(&[2, 2, 1, 2], Datatype::U8, (1.0, 0.0), &numbers)).unwrap();
    let mut image = read(&path).unwrap();
    assert_eq!((image.next_volume().unwrap()[3], image.next_values().unwrap()[3]), (3.0, 7.0));
}

/// A NIfTI-2 file of `sides` of one byte a voxel, with nothing behind its header.
fn promises(sides: &[i64]) -> Vec<u8> {
    let mut bytes = vec![0u8; 544];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &540i32.to_le_bytes());
    put(4, b"n+2\0\r\n\x1a\n");
    put(12, &Datatype::U8.code().to_le_bytes());
    put(16, &(sides.len() as i64).to_le_bytes());
    sides.iter().enumerate().for_each(|(i, s)| put(24 + 8 * i, &s.to_le_bytes()));
    (0..4).for_each(|i| put(104 + 8 * i, &1f64.to_le_bytes()));
    put(168, &544i64.to_le_bytes());
    bytes
}

#[test]
fn headers_cannot_ask_for_memory_without_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.nii");
    let most = i64::from(i32::MAX);
    let refused = |bytes: &[u8], words: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(words) && error.exit_code() == 2, "{error} without {words}");
    };
    for sides in [vec![most; 3], vec![8, 8, 4, 65_536, 65_536, 65_536, 65_536], vec![most; 7]] {
        refused(&promises(&sides), "numbers that can be counted");
    }
    refused(&promises(&[2000, 2000, 2000]), "within volume 1 of 1: 8000000000 bytes");
    // 512 bytes of zeros are 100 kB at most when they are unpacked.
    refused(&gzip(&promises(&[2000, 2000, 2000])), "within volume 1 of 1");
    refused(&gzip(&promises(&[100, 100, 100])), "within volume 1 of 1");
    let mut far = promises(&[1, 1, 1]);
    far[168..176].copy_from_slice(&900_000_000i64.to_le_bytes());
    refused(&far, "before the numbers");
    refused(&gzip(&far), "before the numbers");
    for offset in [f32::NAN, f32::INFINITY, -1.0, 1e30] {
        let mut bytes = shorts((1.0, 0.0));
        bytes[108..112].copy_from_slice(&offset.to_le_bytes());
        refused(&bytes, "the numbers after the header");
    }
    // Behind the last volume a stream may go on, but not for ever.
    let long = [promises(&[1, 1, 1]), vec![0; 300 << 20]].concat();
    std::fs::write(&path, gzip(&long)).unwrap();
    let error = read_volume(&path).unwrap_err().to_string();
    assert!(error.contains("unpacks to more bytes than it may"), "{error}");
}

/// Ids of the Allen atlas, which 32-bit floats change to 312782560 -> 312782560 + or - 16.
#[test]
fn labels_are_exact_in_every_type() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("atlas.nii");
    let ids = [0i64, 312_782_546, 312_782_550, 182_305_696];
    let bytes = |encode: &dyn Fn(i64) -> Vec<u8>| ids.iter().flat_map(|&id| encode(id)).collect::<Vec<u8>>();
    for (datatype, numbers) in [
        (Datatype::I32, bytes(&|id| (id as i32).to_le_bytes().to_vec())),
        (Datatype::U32, bytes(&|id| (id as u32).to_le_bytes().to_vec())),
        (Datatype::I64, bytes(&|id| id.to_le_bytes().to_vec())),
        (Datatype::U64, bytes(&|id| (id as u64).to_le_bytes().to_vec())),
        (Datatype::F64, bytes(&|id| (id as f64).to_le_bytes().to_vec())),
    ] {
        std::fs::write(&path, file(&[2, 2, 1], datatype, (1.0, 0.0), &numbers)).unwrap();
        let (grid, labels, warnings) = read_labels(&path).unwrap();
        assert_eq!((grid.shape, labels.as_slice(), warnings.len()), ([2, 2, 1], ids.as_slice(), 0), "{datatype:?}");
    }
    let wide: Vec<u8> = [0, i64::MAX, (1 << 53) + 1, -5].iter().flat_map(|v: &i64| v.to_le_bytes()).collect();
    std::fs::write(&path, file(&[2, 2, 1], Datatype::I64, (0.0, 0.0), &wide)).unwrap();
    assert_eq!(read_labels(&path).unwrap().1, [0, i64::MAX, (1 << 53) + 1, -5]);

    let floats = |values: [f32; 4]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(&path, file(&[2, 2, 1], Datatype::F32, (1.0, 0.0), &floats([f32::NAN, 2.0, -1.0, 3.0]))).unwrap();
    assert_eq!(read_labels(&path).unwrap().1, [0, 2, -1, 3]);
    std::fs::write(&path, file(&[2, 2, 1], Datatype::F32, (1.0, 0.0), &floats([0.0, 312_782_546.0, 1.0, 0.0])))
        .unwrap();
    let said = read_labels(&path).unwrap().2[0].to_string();
    assert!(said.contains("up to 312782560") && said.contains("16777216"), "{said}");
    // Labels 0 to 3 as nibabel scales them to 16 bits: rounded to within half of 3 / 65535.
    let step = 3.0f32 / 65_535.0;
    let scaled: Vec<u8> = [-32_768i16, -10_923, 10_922, 32_767].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&path, file(&[2, 2, 1], Datatype::I16, (step, 32_768.0 * step), &scaled)).unwrap();
    assert_eq!(read_labels(&path).unwrap().1, [0, 1, 2, 3]);

    let far: Vec<u8> = u64::MAX.to_le_bytes().repeat(4);
    for (bytes, words) in [
        (file(&[2, 2, 1], Datatype::F32, (1.0, 0.0), &floats([0.0, 1.0, 1.5, 2.0])), "whole numbers, found 1.5"),
        (file(&[2, 2, 1], Datatype::F32, (1.0, 0.0), &floats([0.0, 1.0, f32::INFINITY, 2.0])), "found inf"),
        (file(&[2, 2, 1], Datatype::I16, (4772.5, 0.0), &scaled), "scaled in steps of 4772.5"),
        (file(&[2, 2, 1], Datatype::U64, (1.0, 0.0), &far), "found 18446744073709551615"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = read_labels(&path).unwrap_err();
        assert!(error.to_string().contains(words) && error.exit_code() == 2, "{error} without {words}");
    }
}

#[test]
fn values_that_32_bits_cannot_hold_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wide.nii");
    let write = |values: [f64; 4]| {
        let numbers: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(&path, file(&[2, 2, 1], Datatype::F64, (1.0, 0.0), &numbers)).unwrap();
    };
    write([1.0 + 1e-12, 1e-60, -2.5, f64::NAN]);
    let values = read_volume(&path).unwrap();
    assert_eq!(values.values()[..3], [1.0, 0.0, -2.5]);
    assert_eq!(read(&path).unwrap().next_values().unwrap()[0], 1.0 + 1e-12, "64 bits where they are asked for");
    for (values, words) in [([1e-42, 0.0, -1e-41, 0.0], "1e-41"), ([1.0, 2.0, 1e39, 0.0], "1e39")] {
        write(values);
        let error = read_volume(&path).unwrap_err();
        assert!(error.to_string().contains(words) && error.exit_code() == 2, "{error}");
    }
}

#[test]
fn masks_of_scaled_integers_are_binary() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mask.nii");
    // 0 and 1 as nibabel scales a mask of floats: the background comes back as 7e-6 when the header
    // is in 32 bits.
    let numbers: Vec<u8> = [-32_768i16, 32_767, -32_768, 32_767].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&path, file(&[2, 2, 1], Datatype::I16, (1.0 / 65_535.0, 0.500_015), &numbers)).unwrap();
    let (mask, warnings) = read_mask(&path).unwrap();
    assert_eq!((mask.voxels(), warnings.len()), ([1, 3].as_slice(), 0));
    let dust: Vec<u8> = [1e-6f32, 1.0, 1e-6, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&path, file(&[2, 2, 1], Datatype::F32, (1.0, 0.0), &dust)).unwrap();
    let (mask, warnings) = read_mask(&path).unwrap();
    assert_eq!((mask.voxels(), warnings.len()), ([1, 3].as_slice(), 1));
}
