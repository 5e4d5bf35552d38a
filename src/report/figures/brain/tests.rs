use super::anatomy::{Anatomy, extent};
use super::*;
use crate::data::{Affine, Grid};

/// x runs to the left in the file; the right front upper corner is significant.
fn sample() -> (Mask, Volume, Volume) {
    let grid =
        Grid { shape: [4, 5, 3], affine: Affine([[-2.0, 0.0, 0.0, 3.0], [0.0, 2.0, 0.0, -4.0], [0.0, 0.0, 2.0, 0.0]]) };
    let mask = Mask::from_fn(grid, |_| true).unwrap();
    let corner = grid.index([0, 4, 2]);
    let map = Volume::new(grid, (0..60).map(|v| if v == corner { 1.0 } else { 0.1 }).collect()).unwrap();
    let significant = Volume::new(grid, (0..60).map(|v| f32::from(u8::from(v == corner))).collect()).unwrap();
    (mask, map, significant)
}

#[test]
fn left_is_left() {
    let (mask, ..) = sample();
    let anatomy = Anatomy::of(mask.grid());
    assert_eq!(anatomy.voxel([3, 4, 2]), [0, 4, 2], "furthest right is the file's first column");
    assert_eq!(extent(&mask, &anatomy), [(0, 3), (0, 4), (0, 2)]);
    assert_eq!(heights((2, 9), 4), [3, 5, 7, 9]);
}

#[test]
fn figures_are_written() {
    let (mask, map, significant) = sample();
    let dir = tempfile::tempdir().unwrap();
    let maps = vec![("one".to_owned(), map.clone()), ("two".to_owned(), Volume::filled(*mask.grid(), f32::NAN))];
    let options = BrainOptions { outlines: Some(vec![significant.clone(), significant]), ..BrainOptions::default() };
    let background = Volume::filled(*mask.grid(), 1.0);
    brain_slices(&maps, &background, &mask, &dir.path().join("slices"), &options).unwrap();
    glass_brain(&maps, &mask, &dir.path().join("glass"), &options).unwrap();
    let names = ["a".to_owned(), "b".to_owned()];
    let labels = Volume::filled(*mask.grid(), 2.0);
    brain_labels(&labels, &names, &background, &mask, &dir.path().join("winner")).unwrap();
    for name in ["slices", "glass", "winner"] {
        assert!(image::open(dir.path().join(format!("{name}.png"))).unwrap().width() > 200, "{name}");
    }
    assert!(brain_slices(&[], &background, &mask, &dir.path().join("none"), &options).is_err());
}
