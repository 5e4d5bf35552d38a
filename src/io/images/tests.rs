use super::*;
use crate::io::npz;
use crate::io::{npy, png};
use half::f16;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageFormat};
use ndarray::{Array4, Axis, arr2};
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
    let files = ["faces/1.png", "houses/1.png"].map(PathBuf::from);
    assert_eq!(names(&files), ["faces/1.png", "houses/1.png"]);
}

/// A PNG's bytes with a chunk put in before its chunk `before`.
fn with_chunk(png: &[u8], before: &[u8], kind: &[u8], body: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(body);
    let chunk = [&(body.len() as u32).to_be_bytes(), kind, body, &crc.sum().to_be_bytes()].concat();
    let at = png.windows(4).position(|w| w == before).unwrap() - 4;
    [&png[..at], &chunk, &png[at..]].concat()
}

/// TIFF with one tag, Orientation (0x0112), a SHORT, least significant byte first.
fn exif(orientation: u8) -> Vec<u8> {
    [b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat()
}

fn grey(rows: &[u8], width: usize) -> Vec<u8> {
    let pixels: Vec<u8> = rows.iter().flat_map(|&v| [v; 3]).collect();
    png::encode(Array3::from_shape_vec((rows.len() / width, width, 3), pixels).unwrap().view()).unwrap()
}

/// Of the rows 10 20 30 and 40 50 60, by hand and by Pillow's ImageOps.exif_transpose.
const TURNED: [(u8, [usize; 2], [u8; 6]); 9] = [
    (0, [2, 3], [10, 20, 30, 40, 50, 60]),
    (1, [2, 3], [10, 20, 30, 40, 50, 60]),
    (2, [2, 3], [30, 20, 10, 60, 50, 40]),
    (3, [2, 3], [60, 50, 40, 30, 20, 10]),
    (4, [2, 3], [40, 50, 60, 10, 20, 30]),
    (5, [3, 2], [10, 40, 20, 50, 30, 60]),
    (6, [3, 2], [40, 10, 50, 20, 60, 30]),
    (7, [3, 2], [60, 30, 50, 20, 40, 10]),
    (8, [3, 2], [30, 60, 20, 50, 10, 40]),
];

#[test]
fn pixels_are_turned_as_the_file_says() {
    let plain = grey(&[10, 20, 30, 40, 50, 60], 3);
    for (orientation, shape, right) in TURNED {
        let tags = exif(orientation);
        let hex: String = [b"Exif\0\0", tags.as_slice()].concat().iter().map(|b| format!("{b:02x}")).collect();
        let xmp = format!("XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation=\"{orientation}\"/>");
        let text = format!("Raw profile type exif\0\nexif\n  {}\n{hex}\n", tags.len() + 6);
        for file in [
            with_chunk(&plain, b"IDAT", b"eXIf", &tags),
            with_chunk(&plain, b"IEND", b"eXIf", &tags),
            with_chunk(&plain, b"IDAT", b"iTXt", xmp.as_bytes()),
            with_chunk(&plain, b"IDAT", b"tEXt", text.as_bytes()),
        ] {
            let found = decode(&file, Path::new("a.png")).unwrap();
            assert_eq!(found.dim(), (shape[0], shape[1], 3));
            let first: Vec<u8> = found.index_axis(Axis(2), 0).iter().copied().collect();
            assert_eq!(first, right, "orientation {orientation}");
        }
    }
}

/// Left half black, right half white, 32 x 16 pixels.
fn jpeg() -> Vec<u8> {
    let pixels: Vec<u8> = (0..16 * 32).flat_map(|i| [if i % 32 < 16 { 0 } else { 255 }; 3]).collect();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95).encode(&pixels, 32, 16, ExtendedColorType::Rgb8).unwrap();
    bytes
}

#[test]
fn a_photograph_is_turned_too() {
    let plain = jpeg();
    let body = [b"Exif\0\0", exif(6).as_slice()].concat();
    let segment = [&[0xff, 0xe1], &(body.len() as u16 + 2).to_be_bytes()[..], &body].concat();
    let turned = [&plain[..2], &segment, &plain[2..]].concat();
    let (plain, turned) = (decode(&plain, Path::new("a.jpg")).unwrap(), decode(&turned, Path::new("a.jpg")).unwrap());
    assert_eq!((plain.dim(), turned.dim()), ((16, 32, 3), (32, 16, 3)));
    // A quarter turn clockwise: the left edge is now at the top.
    assert!(turned[[1, 8, 0]] < 5 && turned[[30, 8, 0]] > 250);
    let by_hand = Array3::from_shape_fn((32, 16, 3), |(i, j, k)| plain[[15 - j, i, k]]);
    assert_eq!(turned, by_hand);
}

#[test]
fn a_file_that_ends_early_is_refused_wherever_it_ends() {
    let refused = |bytes: &[u8], what: &str| match decode(bytes, Path::new("cut.jpg")) {
        Err(Error::Corrupt { path, .. }) => assert!(path.ends_with("cut.jpg")),
        other => panic!("{what}: {other:?}"),
    };
    let noise: Vec<u8> = (0..48 * 40 * 3).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut whole = Vec::new();
    JpegEncoder::new_with_quality(&mut whole, 90).encode(&noise, 48, 40, ExtendedColorType::Rgb8).unwrap();
    decode(&whole, Path::new("a.jpg")).unwrap();
    decode(&[whole.as_slice(), b"a preview, a trailer"].concat(), Path::new("a.jpg")).unwrap();
    for cut in (2..whole.len()).step_by(7).chain([whole.len() - 2, whole.len() - 1]) {
        refused(&whole[..cut], &format!("JPEG cut at {cut}"));
    }
    let whole = with_chunk(&grey(&[10, 20, 30, 40, 50, 60], 3), b"IDAT", b"tEXt", b"Comment\0hello");
    decode(&whole, Path::new("a.png")).unwrap();
    for cut in 0..whole.len() {
        refused(&whole[..cut], &format!("PNG cut at {cut}"));
    }
    for at in 8..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        refused(&flipped, &format!("PNG with a flipped bit at {at}"));
    }
}

#[test]
fn what_is_not_one_image_of_full_range_is_refused() {
    let words = |file: &[u8]| decode(file, Path::new("a.png")).unwrap_err().to_string();
    let plain = grey(&[10, 20], 2);
    let animated = with_chunk(&plain, b"IDAT", b"acTL", &[0, 0, 0, 3, 0, 0, 0, 0]);
    assert!(words(&animated).contains("animation of 3 frames"), "{}", words(&animated));
    let palette = with_chunk(&plain, b"IDAT", b"PLTE", &[1, 2, 3, 4]);
    assert!(words(&palette).contains("palette of 4 bytes"));
    assert!(words(&grey(&[0, 1], 2)).contains("1 of 255"), "a mask or an image of 0..1");
    let low: Vec<u8> = [7u16, 255].iter().flat_map(|v| v.to_ne_bytes()).collect();
    assert!(words(&encoded(&low, ExtendedColorType::L16)).contains("255 of 65535"));
    assert!(decode(&grey(&[0, 0], 2), Path::new("a.png")).is_ok(), "black is black");
    // 257 * 100 + 128 is nearer to 100 than to 101; 65535 is white.
    let full: Vec<u8> = [25_828u16, u16::MAX].iter().flat_map(|v| v.to_ne_bytes()).collect();
    let found = decode(&encoded(&full, ExtendedColorType::L16), Path::new("a.png")).unwrap();
    assert_eq!(found.as_slice().unwrap(), [100, 100, 100, 255, 255, 255]);
}

/// What an array of these numbers is read as: its first channel, or the message with its hint.
fn from_array<A: ndarray_npy::WritableElement + Clone>(
    values: [A; 2],
) -> std::result::Result<(Vec<u8>, usize), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let array = Array4::from_shape_fn((1, 1, 2, 3), |(_, _, x, _)| values[x].clone());
    npy::write(&path, &array).unwrap();
    match load(&path) {
        Ok(set) => Ok((set.pixels[0].index_axis(Axis(2), 0).iter().copied().collect(), set.warnings.len())),
        Err(e) => Err(format!("{e} / {}", e.hint().unwrap())),
    }
}

#[test]
fn the_range_of_an_array_is_recognised_or_refused() {
    assert_eq!(from_array([3u8, 200]), Ok((vec![3, 200], 0)));
    assert_eq!(from_array([0i64, 255]), Ok((vec![0, 255], 0)));
    assert_eq!(from_array([0u8, 0]), Ok((vec![0, 0], 0)));
    assert_eq!(from_array([false, true]), Ok((vec![0, 255], 0)));
    assert_eq!(from_array([2.0f32, 255.0]), Ok((vec![2, 255], 0)));
    // 255 * 0.2 = 51; 255 * 0.5 = 127.5, away from zero.
    assert_eq!(from_array([0.2f64, 0.5]), Ok((vec![51, 128], 1)));
    assert_eq!(from_array([0.0f32, 1.0]), Ok((vec![0, 255], 1)));
    for (found, words) in [
        (from_array([0u8, 1]), ["0 and 1 only", "save masks as bool"]),
        (from_array([0u16, 65_535]), ["the value 65535", "/ 257"]),
        (from_array([-1i32, 3]), ["the value -1", "normalisation"]),
        (from_array([-2.1f32, 2.6]), ["from -2.0999", "normalisation"]),
        (from_array([0.0f32, 300.0]), ["from 0 to 300", "0..255"]),
        (from_array([0.5f64, 200.0]), ["not whole: 0.5", "np.round"]),
        (from_array([0.5f64, f64::NAN]), ["NaN", "where this one comes from"]),
    ] {
        let text = found.unwrap_err();
        assert!(words.iter().all(|w| text.contains(w)), "{text}");
    }
}

/// Half precision: 51 / 255 = 0.2 is 0x3266 (0.19995), 1.0 is 0x3c00; 200.0 is 0x5a40.
#[test]
fn arrays_of_half_precision_are_images() {
    for (words, right) in [([0x3266u16, 0x3c00], [51, 255]), ([0x4000, 0x5a40], [2, 200])] {
        assert_eq!(f16::from_bits(words[1]).to_f32(), if right[1] == 255 { 1.0 } else { 200.0 });
        let header = "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 1, 2, 3), }";
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{header:<117}\n").bytes());
        words.iter().for_each(|w| (0..3).for_each(|_| bytes.extend(w.to_le_bytes())));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        std::fs::write(&path, bytes).unwrap();
        let set = load(&path).unwrap();
        assert_eq!(set.pixels[0].index_axis(Axis(2), 0), arr2(&[right]));
    }
}

#[test]
fn names_have_one_spelling_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (composed, decomposed) = ("\u{e9}t\u{e9}", "e\u{301}te\u{301}");
    png::write(&dir.path().join(format!("{decomposed}.png")), picture(1).view()).unwrap();
    png::write(&dir.path().join("f.png"), picture(2).view()).unwrap();
    assert_eq!(load(dir.path()).unwrap().names, ["f", composed], "in the order of the composed names");
    let table = dir.path().join("stimuli.tsv");
    std::fs::write(&table, format!("stim_file\n{composed}.png\nf.png\n")).unwrap();
    assert_eq!(load(&table).unwrap().pixels, [picture(1), picture(2)]);
    png::write(&dir.path().join(format!("{composed}.png")), picture(3).view()).unwrap();
    let text = load(&table).unwrap_err().to_string();
    assert!(text.contains("2 whose names look the same"), "{text}");
}

#[test]
fn a_table_names_images_as_it_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["faces", "houses"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        png::write(&dir.path().join(folder).join("1.png"), picture(folder.len()).view()).unwrap();
    }
    let table = dir.path().join("stimuli.tsv");
    std::fs::write(&table, "\"order\"\t\"filename\"\n2\t\"faces/1.png\"\n1\thouses/1.png \n").unwrap();
    let set = load(&table).unwrap();
    assert_eq!(set.names, ["faces/1.png", "houses/1.png"]);
    assert_eq!(set.pixels, [picture(5), picture(6)]);
    assert!(set.warnings[0].to_string().contains("column `order`"), "{:?}", set.warnings);
    std::fs::write(&table, "filename\nfaces/1.png\nNA\n").unwrap();
    assert!(load(&table).unwrap_err().to_string().contains("row 2, column `filename`"));
}

proptest! {
    #[test]
    fn natural_order_is_total_and_numeric(a in "[ab0-9]{0,6}", b in "[ab0-9]{0,6}", m in 0u32..2000, n in 0u32..2000) {
        prop_assert_eq!(natural_order(&a, &b), natural_order(&b, &a).reverse());
        prop_assert_eq!(natural_order(&a, &b).is_eq(), a == b);
        prop_assert_eq!(natural_order(&format!("x{m}y"), &format!("x{n}y")), m.cmp(&n));
    }
}

/// Every kind of JPEG is read whole (pixels as Pillow has them but for the rounding of another
/// decoder), and refused wherever it is cut, also when a program has put an end marker behind the
/// cut.
#[test]
fn jpegs_of_every_kind_are_read_whole_or_not_at_all() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jpeg");
    let golden = npz::read(&folder.join("pixels.npz")).unwrap();
    assert_eq!(golden.names().count(), 6);
    for name in golden.names() {
        let path = folder.join(format!("{name}.jpg"));
        let whole = std::fs::read(&path).unwrap();
        let (found, right) = (decode(&whole, &path).unwrap().into_dyn(), golden.get::<u8>(name).unwrap());
        assert_eq!(found.shape(), right.shape(), "{name}");
        let off: f64 = found.iter().zip(&right).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
        assert!(off / found.len() as f64 <= 1.0, "{name}: {}", off / found.len() as f64);
        for cut in 2..whole.len() {
            assert!(decode(&whole[..cut], &path).is_err(), "{name} cut at {cut}");
            // The last byte before the end marker may hold nothing but padding.
            let closed = [&whole[..cut], &[0xff, 0xd9]].concat();
            assert!(cut + 3 >= whole.len() || decode(&closed, &path).is_err(), "{name} cut at {cut} and closed");
        }
    }
}
