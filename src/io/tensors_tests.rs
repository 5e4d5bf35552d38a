use super::*;
use safetensors::SafeTensors;

fn entry(name: &str, width: Width, shape: &[usize]) -> Entry {
    Entry { name: name.into(), width, shape: shape.to_vec() }
}

fn example(path: &Path) -> Result<()> {
    let entries = [
        entry("b", Width::F32, &[3, 2]),
        entry("z", Width::F64, &[2]),
        entry("a", Width::F32, &[0, 5]),
        entry("odd", Width::F32, &[1]),
    ];
    let metadata = BTreeMap::from([("note".to_owned(), "text \"quoted\"".to_owned())]);
    write(path, &entries, &metadata, &mut |entry, sink| {
        let filled = match entry.name.as_str() {
            "b" => sink.f32s(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            "z" => sink.f64s(&[f64::NAN, 1e-300]),
            "odd" => sink.f32s(&[7.0]),
            _ => Ok(()),
        };
        filled.map_err(Error::io(path, "write"))
    })
}

#[test]
fn what_was_written_is_read_whole_and_in_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    example(&path).unwrap();
    let file = TensorFile::open(&path).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b", "odd", "z"]);
    assert_eq!((file.shape("b").unwrap(), file.metadata()["note"].as_str()), (&[3, 2][..], "text \"quoted\""));
    let wide = file.f64s("z").unwrap();
    assert!(wide[0].is_nan() && wide[1] == 1e-300);
    assert_eq!(file.rows("b", &[2, 0, 1]).unwrap(), [4.0, 5.0, 0.0, 1.0, 2.0, 3.0]);
    assert_eq!((file.f32s("b").unwrap().len(), file.f32s("a").unwrap().len()), (6, 0));
    assert!(file.f32s("z").is_err() && file.f64s("none").is_err());
    // The format's own reader agrees.
    let bytes = std::fs::read(&path).unwrap();
    let own = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(own.tensor("b").unwrap().data()[4..8], 1f32.to_le_bytes());
    assert_eq!(own.tensor("z").unwrap().data()[8..], 1e-300f64.to_le_bytes());
}

#[test]
fn numbers_that_do_not_fit_a_shape_leave_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    let one = [entry("b", Width::F32, &[2])];
    let short = |n: usize| {
        let fill = &mut |_: &Entry, sink: &mut Sink<'_>| sink.f32s(&vec![1.0; n]).map_err(Error::io("a", "write"));
        write(&path, &one, &BTreeMap::new(), fill)
    };
    for n in [1, 3] {
        assert!(short(n).unwrap_err().to_string().contains("`b`: expected 8 bytes"));
    }
    let twice = [one[0].clone(), one[0].clone()];
    assert!(write(&path, &twice, &BTreeMap::new(), &mut |_, _| Ok(())).unwrap_err().to_string().contains("twice"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn damaged_headers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    example(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(matches!(TensorFile::open(&path), Err(Error::Corrupt { .. })), "cut at {cut}");
    }
    let with = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        std::fs::write(&path, bytes).unwrap();
        TensorFile::open(&path)
    };
    let tensor = |dtype: &str, shape: &str, from: usize, to: usize| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    assert!(with(&format!(r#"{{"a":{}}}"#, tensor("F32", "[2]", 0, 8)), 8).is_ok());
    for (header, data) in [
        (format!(r#"{{"a":{}}}"#, tensor("F32", "[2]", 0, 8)), 9),
        (format!(r#"{{"a":{}}}"#, tensor("I64", "[1]", 0, 8)), 8),
        (format!(r#"{{"a":{}}}"#, tensor("F32", "[3]", 0, 8)), 8),
        (format!(r#"{{"a":{}}}"#, tensor("F32", "[4294967296,4294967296]", 0, 8)), 8),
        (format!(r#"{{"a":{}}}"#, tensor("F32", "[2]", 4, 12)), 12),
        (format!(r#"{{"a":{0},"b":{0}}}"#, tensor("F32", "[2]", 0, 8)), 8),
        (r#"{"a":1}"#.into(), 0),
        ("[]".into(), 0),
    ] {
        assert!(matches!(with(&header, data), Err(Error::Corrupt { .. })), "{header}");
    }
    let odd = {
        let mut bytes = whole.clone();
        let n = bytes.len();
        bytes[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        TensorFile::open(&path).unwrap().f32s("odd").unwrap_err().to_string()
    };
    assert!(odd.contains("NaN in `odd`"), "{odd}");
}
