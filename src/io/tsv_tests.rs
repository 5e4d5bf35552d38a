use super::*;
use proptest::prelude::*;

fn table(bytes: &[u8]) -> Result<Table> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tsv");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

/// The message, and its hint.
fn refused(bytes: &[u8]) -> String {
    let error = table(bytes).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    format!("{error} / {}", error.hint().unwrap())
}

#[test]
fn uneven_rows_are_errors() {
    let text = refused(b"a\tb\n1\t2\n3\n");
    assert!(text.contains("2 fields in line 3") && text.contains("found 1"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let mut table = Table::new(["a", "b"]);
    table.push(["1"]);
    assert!(write(&dir.path().join("a.tsv"), &table).is_err());
}

#[test]
fn dialects_give_the_same_table() {
    let plain = table(b"onset\tduration\ttrial_type\n1.0\t2\tface\n3.5\t2\tn/a\n").unwrap();
    assert_eq!(plain.rows, [["1.0", "2", "face"], ["3.5", "2", "n/a"]]);
    for other in [
        // R's write.table, a spreadsheet, padded columns, an old Macintosh, blank lines, no line
        // break at the end.
        &b"\"onset\"\t\"duration\"\t\"trial_type\"\n1.0\t2\t\"face\"\n3.5\t2\t\"n/a\"\n"[..],
        b"\xef\xbb\xbfonset\tduration\ttrial_type\r\n1.0\t2\tface\r\n3.5\t2\tn/a\r\n",
        b"onset \tduration\t trial_type\n 1.0\t2  \tface \n3.5\t2\t n/a\n",
        b"onset\tduration\ttrial_type\r1.0\t2\tface\r3.5\t2\tn/a\r",
        b"\nonset\tduration\ttrial_type\n\n1.0\t2\tface\n\n3.5\t2\tn/a",
    ] {
        assert_eq!(table(other).unwrap(), plain, "{}", String::from_utf8_lossy(other));
    }
}

#[test]
fn quotes_hold_tabs_breaks_and_quotes() {
    let found = table(b"a\tb\n\"left\thand\"\t\"say \"\"hi\"\"\nagain\"\n5\" disk\t\"\"\n").unwrap();
    assert_eq!(found.rows, [["left\thand", "say \"hi\"\nagain"], ["5\" disk", ""]]);
    let text = refused(b"a\tb\n\"left\tx\n1\t2\n");
    assert!(text.contains("line 2, found one that is not closed"), "{text}");
    let text = refused(b"a\n\"x\ny\"\n\"b\" c\n");
    assert!(text.contains("line 4") && text.contains("`c`"), "{text}");
}

#[test]
fn other_encodings_are_named() {
    let utf16: Vec<u8> = "a\tb\n1\t2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xff, 0xfe], utf16.as_slice()].concat();
    for bytes in [&marked, &utf16.repeat(3)] {
        let text = refused(bytes);
        assert!(text.contains("UTF-16") && text.contains("save it as UTF-8"), "{text}");
    }
    let text = refused(b"a\n1\nfa\xe7ade\n");
    assert!(text.contains("Latin-1") && text.contains("line 3") && text.contains("save it as UTF-8"), "{text}");
}

#[test]
fn what_could_shift_or_hide_a_value_is_refused() {
    let text = refused(b"condition\na\n\nb\n");
    assert!(text.contains("nothing in line 3") && text.contains("n/a"), "{text}");
    assert_eq!(table(b"condition\na\nb\n\n\n").unwrap().rows.len(), 2, "empty lines at the end are nothing");
    assert!(refused(b"x\ty\tx \n1\t2\t3\n").contains("`x` twice"));
    assert!(refused(b"\n").contains("empty file"));
}

#[test]
fn no_table_takes_more_than_its_share() {
    assert!(refused(b"a\tb\n1\t\0\n").contains("a NUL byte in line 2"));
    assert!(refused(&b"\t".repeat(1_000_000)).contains("at most 10000 columns, found more in line 1"));
    let wide: Vec<String> = (0..10_000).map(|i| format!("c{i}")).collect();
    let wide = table(format!("{}\n{}", wide.join("\t"), "\t".repeat(9_999)).as_bytes()).unwrap();
    assert_eq!((wide.header.len(), wide.column("c9999").unwrap()), (10_000, vec![""]));
    assert!(refused(&b"a\n".repeat(10_000_001)).contains("at most 10000000 fields"));
    let line = "x".repeat(50_000_000);
    assert_eq!(table(line.as_bytes()).unwrap().header, [line.as_str()]);
    assert!(refused(format!("\"{line}").as_bytes()).contains("not closed"));
    // A sparse file of a gigabyte.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tsv");
    std::fs::File::create(&path).unwrap().set_len(1_000_000_000).unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("at most 256 MB, found 1000 MB"));
}

#[test]
fn missing_values_have_many_spellings() {
    for text in ["n/a", "NA", "NaN", "nan", "", " ", "N/A", "<NA>"] {
        assert!(is_missing(text), "{text:?}");
    }
    assert!(!["Na", "none", "0", "nana", "-"].into_iter().any(is_missing));
    let path = Path::new("e.tsv");
    assert!(number(path, "onset", 0, "NA").unwrap().is_nan());
    assert_eq!(number(path, "onset", 0, " 1e1 ").unwrap(), 10.0);
    let error = number(path, "onset", 2, "1,5").unwrap_err();
    assert_eq!(error.to_string(), "e.tsv, row 3, column `onset`: expected a number, found `1,5`");
    assert_eq!(error.hint().unwrap(), "write a decimal point");
}

#[test]
fn columns_have_one_spelling_and_a_table_without_tabs_is_noticed() {
    let found = table("cafe\u{301}\tb\nE\u{301}\t1\n".as_bytes()).unwrap();
    assert_eq!(found.column("caf\u{e9}").unwrap(), ["\u{c9}"]);
    assert_eq!(found.column("cafe\u{301}").unwrap(), ["\u{c9}"]);
    let hint = |text: &str| {
        let error = table(text.as_bytes()).unwrap().without(Path::new("a.tsv"), "a column `onset`", "usual");
        error.hint().unwrap()
    };
    assert!(hint("onset,duration\n1,2\n").contains("commas") && hint("onset  duration\n1  2\n").contains("blanks"));
    assert_eq!(hint("start\tduration\n1\t2\n"), "usual");
}

/// Names stay what they are, also where a spreadsheet would compute them, and one field each.
#[test]
fn names_are_written_as_they_are() {
    let names = ["=1+1", "+a", "-2", "@a", "\t=1", "a\tb", "a\nb\tc", "\r", "\"q\"", "a\"b"];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tsv");
    let mut out = Table::new(["name", "value"]);
    names.iter().for_each(|name| out.push([(*name).to_owned(), field(-0.5)]));
    write(&path, &out).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let fields = "=1+1|+a|-2|@a|\"\t=1\"|\"a\tb\"|\"a\nb\tc\"|\"\r\"|\"\"\"q\"\"\"|a\"b";
    let expected: String = fields.split('|').map(|name| format!("{name}\t-0.5\n")).collect();
    assert_eq!(text, format!("name\tvalue\n{expected}"));
    let back = read(&path).unwrap();
    assert_eq!(back.column("name").unwrap(), names.map(str::trim));
    assert!(back.column("value").unwrap().iter().all(|value| *value == "-0.5"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn read_after_write_is_the_same(cells in prop::collection::vec("[^\r\u{feff}\0]{1,8}", 2..20)) {
        // What a reader does not keep: blanks around, and the other spelling.
        let cells: Vec<String> = cells.iter().map(|c| nfc(c.trim()).into_owned()).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tsv");
        let mut table = Table::new(["first", "second column"]);
        cells.chunks_exact(2).for_each(|row| table.push(row.to_vec()));
        write(&path, &table).unwrap();
        prop_assert_eq!(read(&path).unwrap(), table);
    }
}
