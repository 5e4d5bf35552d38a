use super::*;
use crate::io::base64;
use std::path::PathBuf;

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.func.gii");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn array(attributes: &str, data: &str) -> String {
    format!(
        "<GIFTI NumberOfDataArrays=\"1\"><DataArray Intent=\"NIFTI_INTENT_NONE\" {attributes}><Data>{data}</Data></DataArray></GIFTI>"
    )
}

fn attributes(kind: &str, order: &str, encoding: &str, endian: &str, sides: &[usize]) -> String {
    let sides: Vec<String> = sides.iter().enumerate().map(|(i, side)| format!("Dim{i}=\"{side}\"")).collect();
    format!(
        "DataType=\"NIFTI_TYPE_{kind}\" ArrayIndexingOrder=\"{order}MajorOrder\" Encoding=\"{encoding}\" Endian=\"{endian}Endian\" Dimensionality=\"{}\" {}",
        sides.len(),
        sides.join(" ")
    )
}

fn numbers(attributes: &str, data: &str) -> crate::error::Result<Numbers> {
    let (_dir, path) = written(&array(attributes, data));
    read(&path).map(|found| found.arrays[0].numbers.clone())
}

#[test]
fn both_byte_orders_and_both_orders_of_axes() {
    let values = [1.5f32, -2.0, f32::NAN.copysign(1.0), 4.0, 5.0, 6.25];
    let little: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let big: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
    for (bytes, endian) in [(little, "Little"), (big, "Big")] {
        let found = numbers(&attributes("FLOAT32", "Row", "Base64Binary", endian, &[6]), &base64::encode(&bytes));
        let Numbers::Floats(found) = found.unwrap() else { panic!("floats") };
        assert!(found[2].is_nan() && found[3..] == values[3..] && found[..2] == values[..2], "{endian}: {found:?}");
    }
    // Two rows of three, first axis fastest: 1 4 2 5 3 6.
    let column = attributes("INT32", "Column", "ASCII", "Little", &[2, 3]);
    assert_eq!(numbers(&column, "1 4 2\n5 3 6").unwrap(), Numbers::Whole(vec![1, 2, 3, 4, 5, 6]));
    let big = base64::encode(&[0x00, 0x01, 0x11, 0x70]);
    let found = numbers(&attributes("INT32", "Row", "Base64Binary", "Big", &[1]), &big);
    assert_eq!(found.unwrap(), Numbers::Whole(vec![70_000]));
    let found = numbers(&attributes("UINT8", "Row", "Base64Binary", "Little", &[2]), &base64::encode(&[0, 255]));
    assert_eq!(found.unwrap(), Numbers::Whole(vec![0, 255]));
}

#[test]
fn what_is_written_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.func.gii");
    let maps: [(&str, &[f32]); 2] = [("r <all>", &[0.5, f32::NAN, -1.0]), ("R2", &[1.0, 2.0, 3.0])];
    write(&path, "CORTEX_RIGHT", &maps, Intent::None).unwrap();
    let found = read(&path).unwrap();
    assert_eq!(found.structure().as_deref(), Some("CORTEX_RIGHT"));
    assert_eq!(found.arrays.iter().map(|a| a.meta("Name").unwrap()).collect::<Vec<_>>(), ["r <all>", "R2"]);
    let first = found.arrays[0].numbers.to_f32();
    assert!(first[1].is_nan() && (first[0], first[2]) == (0.5, -1.0));
    assert!(write(&path, "X", &[], Intent::TimeSeries).is_err());
    assert!(write(&path, "X", &[("a", &[1.0]), ("b", &[1.0, 2.0])], Intent::None).is_err());
}

#[test]
fn damaged_and_hostile_files_are_refused() {
    let good = attributes("FLOAT32", "Row", "Base64Binary", "Little", &[2]);
    let two = base64::encode(&[0; 8]);
    assert!(numbers(&good, &two).is_ok());
    let packed = |n: usize| {
        use std::io::Write;
        let mut packed = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::best());
        packed.write_all(&vec![0; n]).unwrap();
        base64::encode(&packed.finish().unwrap())
    };
    let gzip = |n: usize| attributes("FLOAT32", "Row", "GZipBase64Binary", "Little", &[n]);
    assert!(numbers(&gzip(2), &packed(8)).is_ok());
    let half = packed(4000);
    for (attributes, data, words) in [
        (good.clone(), two[..8].to_owned(), "6 bytes of data where its sides need 8"),
        (good.clone(), two[..9].to_owned(), "ends too early"),
        (good.clone(), "####".into(), "position 0"),
        (gzip(2), packed(1 << 20), "cannot be unpacked"),
        (gzip(1000), half[..half.len() / 8 * 4].to_owned(), "array 0"),
        (gzip(usize::MAX / 2), packed(8), "all that the file can hold"),
        (gzip(1 << 40), packed(8), "all that the file can hold"),
        (good.replace("FLOAT32", "COMPLEX64"), two.clone(), "numbers of type"),
        (good.replace("Base64Binary", "ExternalFileBinary"), two.clone(), "another file"),
        (good.replace("LittleEndian", "MiddleEndian"), two.clone(), "MiddleEndian"),
        (good.replace("Dim0", "Dim1"), two.clone(), "no `Dim0`"),
        (good.replace("\"2\"", "\"-2\""), two.clone(), "no length"),
        (good.replace("Dimensionality=\"1\"", "Dimensionality=\"9\""), two.clone(), "number of sides"),
        (attributes("FLOAT32", "Row", "ASCII", "Little", &[2]), "1 2 3".into(), "more numbers where it says 2"),
        (attributes("FLOAT32", "Row", "ASCII", "Little", &[2]), "1".into(), "1 numbers where it says 2"),
        (attributes("FLOAT32", "Row", "ASCII", "Little", &[2]), "1 x".into(), "`x` for a number"),
        (attributes("INT32", "Row", "ASCII", "Little", &[1]), "1.5".into(), "`1.5` for a number"),
        (attributes("FLOAT64", "Row", "ASCII", "Little", &[1]), "1e300".into(), "too large"),
    ] {
        let error = numbers(&attributes, &data).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    // Many arrays may not unpack to more than the file has room for, together.
    let big = 60 << 20;
    let one = array(&gzip(big / 4), &packed(big));
    let one = one.split_once('>').unwrap().1.strip_suffix("</GIFTI>").unwrap();
    let (_dir, path) = written(&format!("<GIFTI>{}</GIFTI>", one.repeat(5)));
    assert!(read(&path).unwrap_err().to_string().contains("all that the file can hold"));
    for (text, words) in [
        ("<GIFTI NumberOfDataArrays=\"2\"></GIFTI>", "0 arrays where it says 2"),
        ("<CARET/>", "XML of `CARET`"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><GIFTI/>", "defines entities"),
        ("\u{1f}no", "outside"),
    ] {
        let (_dir, path) = written(text);
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}
