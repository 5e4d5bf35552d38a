use super::*;
use crate::io::{npy, png};
use image::ExtendedColorType;
use ndarray::Array4;
use proptest::prelude::*;
use std::io::Write;

fn picture(seed: usize) -> Array3<u8> {
    Array3::from_shape_fn((4, 5, 3), |(i, j, k)| (seed * 31 + i * 15 + j * 3 + k) as u8)
}

fn encoded(raw: &[u8], color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::write_buffer_with_format(&mut std::io::Cursor::new(&mut bytes), raw, 2, 1, color, ImageFormat::Png).unwrap();
    bytes
}

#[test]
fn a_folder_is_read_in_natural_order() {
    let dir = tempfile::tempdir().unwrap();
    for i in [10usize, 2, 1] {
        png::write(&dir.path().join(format!("image{i}.png")), picture(i).view()).unwrap();
    }
    std::fs::write(dir.path().join("notes.txt"), "not an image").unwrap();
    std::fs::write(dir.path().join("._image1.png"), "left by another system").unwrap();
    let set = load(dir.path()).unwrap();
    assert_eq!(set.names, ["image1", "image2", "image10"]);
    assert_eq!(set.pixels, [picture(1), picture(2), picture(10)]);
}

#[test]
fn a_damaged_image_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let good = png::encode(picture(1).view()).unwrap();
    std::fs::write(dir.path().join("a.png"), &good).unwrap();
    for bad in [&good[..good.len() / 2], b"", b"hello", b"\x89PNG\r\n\x1a\n"] {
        std::fs::write(dir.path().join("b.png"), bad).unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with("b.png")), "{error}");
    }
    std::fs::remove_file(dir.path().join("b.png")).unwrap();
    std::fs::write(dir.path().join("c.gif"), "GIF89a").unwrap();
    assert!(load(dir.path()).unwrap_err().to_string().contains("c.gif"));
}

#[test]
fn no_images_and_no_folder_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(load(dir.path()), Err(Error::Invalid { .. })));
    assert!(matches!(load(&dir.path().join("absent")), Err(Error::Io { .. })));
}

#[test]
fn a_zip_and_an_array_give_the_same_pixels() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for name in ["set/image10.png", "__MACOSX/set/._image2.png", "set/image2.png"] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(&png::encode(picture(name.len()).view()).unwrap()).unwrap();
    }
    archive.finish().unwrap();
    let set = load(&path).unwrap();
    assert_eq!(set.names, ["image2", "image10"]);
    assert_eq!(set.pixels, [picture(14), picture(15)]);

    let mut array = Array4::zeros((2, 4, 5, 3));
    array.index_axis_mut(Axis(0), 0).assign(&picture(14));
    array.index_axis_mut(Axis(0), 1).assign(&picture(15));
    let path = dir.path().join("set.npy");
    npy::write(&path, &array).unwrap();
    let from_array = load(&path).unwrap();
    assert_eq!(from_array.names, ["image0001", "image0002"]);
    assert_eq!(from_array.pixels, set.pixels);
    npy::write(&path, &array.permuted_axes([0, 3, 1, 2])).unwrap();
    assert!(matches!(load(&path), Err(Error::Corrupt { .. })), "channels first is refused");
}

#[test]
fn a_table_keeps_the_order_of_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("images")).unwrap();
    for i in [1, 2] {
        png::write(&dir.path().join(format!("images/{i}.png")), picture(i).view()).unwrap();
    }
    let path = dir.path().join("stimuli.tsv");
    std::fs::write(&path, "index\tstim_file\n1\timages/2.png\n2\timages/1.png\n").unwrap();
    assert_eq!(load(&path).unwrap().names, ["2", "1"]);
    assert_eq!(load(dir.path()).unwrap().pixels, [picture(2), picture(1)]);
    std::fs::write(&path, "index\tpicture\n1\timages/2.png\n").unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("picture"));
    std::fs::write(&path, "filename\nimages/3.png\n").unwrap();
    assert!(matches!(load(&path).unwrap_err(), Error::Io { path, .. } if path.ends_with("3.png")));
}

#[test]
fn grey_becomes_rgb_and_only_opaque_alpha_passes() {
    let file = Path::new("a.png");
    let grey = decode(&encoded(&[7, 9], ExtendedColorType::L8), file).unwrap();
    assert_eq!(grey.as_slice().unwrap(), [7, 7, 7, 9, 9, 9]);
    let opaque = decode(&encoded(&[1, 2, 3, 255, 4, 5, 6, 255], ExtendedColorType::Rgba8), file).unwrap();
    assert_eq!(opaque.as_slice().unwrap(), [1, 2, 3, 4, 5, 6]);
    let error = decode(&encoded(&[1, 2, 3, 255, 4, 5, 6, 254], ExtendedColorType::Rgba8), file).unwrap_err();
    assert!(error.to_string().contains("transparent"), "{error}");
}

#[test]
fn equal_stems_keep_their_endings() {
    let files = ["a.png", "a.jpg"].map(PathBuf::from);
    assert_eq!(names(&files), ["a.png", "a.jpg"]);
}

proptest! {
    #[test]
    fn natural_order_is_total_and_numeric(a in "[ab0-9]{0,6}", b in "[ab0-9]{0,6}", m in 0u32..2000, n in 0u32..2000) {
        prop_assert_eq!(natural_order(&a, &b), natural_order(&b, &a).reverse());
        prop_assert_eq!(natural_order(&a, &b).is_eq(), a == b);
        prop_assert_eq!(natural_order(&format!("x{m}y"), &format!("x{n}y")), m.cmp(&n));
    }
}
