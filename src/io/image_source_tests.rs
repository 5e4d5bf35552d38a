use super::*;
use crate::io::images::{load, open};
use crate::io::{npy, png};
use ndarray::{Array4, ShapeBuilder};
use std::io::Write;

/// Pictures of different sizes, numbered so that the order by name is not the natural one.
fn picture(i: usize) -> Array3<u8> {
    Array3::from_shape_fn((3 + i % 3, 5, 3), |(y, x, c)| (i * 31 + y * 15 + x * 3 + c) as u8)
}

fn names() -> Vec<String> {
    (1..=12).map(|i| format!("frame{i}")).collect()
}

/// Any range is what the whole set holds there, in natural order.
fn check(path: &Path) {
    let source = open(path).unwrap();
    assert_eq!(source.names(), names());
    let all: Vec<_> = (1..=12).map(picture).collect();
    for range in [0..12, 0..1, 3..8, 11..12, 12..12] {
        assert_eq!(source.read(range.clone()).unwrap(), all[range]);
    }
    assert!(matches!(source.read(5..13), Err(Error::Invalid { .. })));
    let set = load(path).unwrap();
    assert_eq!((set.names, set.pixels), (names(), all));
}

#[test]
fn frames_in_a_folder_and_in_a_zip_are_read_by_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("movie");
    std::fs::create_dir(&folder).unwrap();
    let zipped = dir.path().join("movie.zip");
    let mut archive = zip::ZipWriter::new(File::create(&zipped).unwrap());
    archive.add_directory("movie/", zip::write::SimpleFileOptions::default()).unwrap();
    for i in (1..=12).rev() {
        let bytes = png::encode(picture(i).view()).unwrap();
        std::fs::write(folder.join(format!("frame{i}.png")), &bytes).unwrap();
        archive.start_file(format!("movie/frame{i}.png"), zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
    check(&folder);
    check(&zipped);
    let rows = names().iter().map(|n| format!("{n}.png\n")).collect::<String>();
    std::fs::write(folder.join("stimuli.tsv"), format!("filename\n{rows}")).unwrap();
    check(&folder.join("stimuli.tsv"));
}

#[test]
fn an_array_is_read_by_ranges_whatever_its_type_and_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("frames.npy");
    let frames = Array4::from_shape_fn((5, 2, 3, 3), |(i, y, x, c)| (i * 40 + y * 9 + x * 3 + c) as u8);
    let mut columns = Array4::zeros((5, 2, 3, 3).f());
    columns.assign(&frames);
    for (in_place, bytes) in
        [(true, npy::encode(&frames)), (false, npy::encode(&columns)), (false, npy::encode(&frames.mapv(i64::from)))]
    {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(npy::plain(&path, "u1").unwrap().is_some(), in_place);
        let source = open(&path).unwrap();
        assert_eq!(source.names(), ["image0001", "image0002", "image0003", "image0004", "image0005"]);
        for (i, image) in source.read(1..4).unwrap().iter().enumerate() {
            assert_eq!(*image, frames.index_axis(ndarray::Axis(0), i + 1));
        }
        assert!(source.read(4..6).is_err());
    }
}

#[test]
fn an_array_of_another_size_than_its_header_says_is_refused_when_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("frames.npy");
    let whole = npy::encode(&Array4::<u8>::zeros((5, 2, 3, 3)));
    for bytes in [&whole[..whole.len() - 1], &[whole.clone(), vec![0]].concat()[..], &whole[..90], b""] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(open(&path).map(|_| ()), Err(Error::Corrupt { .. })));
    }
    for shape in [(0, 2, 3, 3), (5, 2, 3, 4)] {
        std::fs::write(&path, npy::encode(&Array4::<u8>::zeros(shape))).unwrap();
        assert!(matches!(open(&path).map(|_| ()), Err(Error::Corrupt { .. })));
    }
}

#[test]
fn the_first_damaged_image_of_a_batch_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..40 {
        std::fs::write(dir.path().join(format!("{i}.png")), png::encode(picture(i).view()).unwrap()).unwrap();
    }
    for i in [30, 9, 22] {
        std::fs::write(dir.path().join(format!("{i}.png")), "no picture").unwrap();
    }
    let source = open(dir.path()).unwrap();
    assert_eq!(source.read(0..9).unwrap().len(), 9);
    for _ in 0..5 {
        let error = source.read(0..40).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with("9.png")), "{error}");
    }
}

#[test]
fn a_flipped_bit_in_a_zip_is_found_when_its_image_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.zip");
    let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let bytes = png::encode(picture(1).view()).unwrap();
    for name in ["a.png", "b.png"] {
        archive.start_file(name, stored).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
    let mut file = std::fs::read(&path).unwrap();
    let second = file.windows(5).position(|w| w == b"b.png").unwrap();
    file[second + 5 + bytes.len() / 2] ^= 4;
    std::fs::write(&path, &file).unwrap();
    let source = open(&path).unwrap();
    assert!(source.read(0..1).is_ok());
    let error = source.read(0..2).unwrap_err().to_string();
    assert!(error.contains("set.zip") && error.contains("b.png"), "{error}");
}
