//! Tables of numbers: `.tsv` (tabs) and `.csv` (commas), with a header; one column a target, one
//! row a stimulus or sample, and where the first column is text, the rows' names.

use crate::data::names::twice;
use crate::error::{Error, Result};
use crate::io::source;
use crate::io::tsv::{self, Records, is_missing};
use ndarray::Array2;
use std::path::Path;

/// Bytes of the largest table that is read.
const MOST_BYTES: u64 = 2_000_000_000;
/// Most columns: targets of a whole brain.
const MOST_COLUMNS: usize = 1_000_000;

/// What a first column is called that names the rows, even if its names are numbers. Nothing is
/// what pandas and R call it.
const ROW_COLUMNS: [&str; 12] = [
    "",
    "stimulus",
    "stim_file",
    "stimulus_id",
    "image",
    "filename",
    "file",
    "condition",
    "name",
    "id",
    "index",
    "sample",
];

/// A table of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberTable {
    /// Names of the columns of numbers.
    pub columns: Vec<String>,
    /// Names of the rows, if the first column holds them.
    pub rows: Option<Vec<String>>,
    /// n_rows x n_columns; NaN where a value is missing ([`is_missing`]).
    pub values: Array2<f32>,
}

/// Reads a table; the ending says what stands between its fields. Quotes, blanks, line ends and
/// encoding are as for [`tsv::read`].
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] as [`tsv::read`], for a table without a row or column of
/// numbers, without a header, with semicolons between its fields, or with names that are there
/// twice; [`Error::Invalid`] with row and column for a field that is no number, or is too large for
/// 32 bits.
pub fn read(path: &Path) -> Result<NumberTable> {
    let csv = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    let separator = if csv { ',' } else { '\t' };
    let bytes = source::small(path, MOST_BYTES, "a table")?;
    let text = tsv::utf8(&bytes, path)?;
    let mut lines = Records { text, line: 1, path, separator, most_columns: MOST_COLUMNS };
    let mut header = loop {
        match lines.next()? {
            None => return Err(bad(path, "an empty file", "the first line names the columns")),
            Some((_, row)) if row.len() == 1 && row[0].is_empty() => {}
            Some((_, row)) => break row,
        }
    };
    separated(path, &header, csv)?;
    let mut table =
        Rows { path, width: header.len(), named: ROW_COLUMNS.contains(&&*header[0]), names: vec![], values: vec![] };
    let mut n_rows = 0;
    while let Some((line, row)) = lines.next()? {
        if row.len() == 1 && row[0].is_empty() && table.width > 1 {
            continue;
        }
        table.push(line, n_rows, &header, row)?;
        n_rows += 1;
    }
    let Rows { named, names, values, .. } = table;
    if named {
        header.remove(0);
    }
    if n_rows == 0 || header.is_empty() {
        return Err(bad(path, "no numbers", "one column a target, one row a stimulus or sample, under a header"));
    }
    named_columns(path, &header)?;
    if let Some(name) = twice(names.iter().map(String::as_str)).filter(|_| named) {
        return Err(bad(path, &format!("the row `{name}` twice"), "rows of repeats? name them in a table of trials"));
    }
    let values = Array2::from_shape_vec((n_rows, header.len()), values).expect("every row is as wide as the header");
    Ok(NumberTable { columns: header, rows: named.then_some(names), values })
}

fn bad(path: &Path, found: &str, hint: &str) -> Error {
    Error::corrupt(path, "a table of numbers under a header", found, hint)
}

/// Refuses a header of one field that holds another separator.
fn separated(path: &Path, header: &[String], csv: bool) -> Result<()> {
    let [only] = header else { return Ok(()) };
    let (found, hint) = if only.contains(';') {
        (
            "semicolons between the fields",
            "write commas between fields and decimal points (spreadsheets of some countries write semicolons and decimal commas)",
        )
    } else if csv && only.contains('\t') {
        ("tabs between the fields of a .csv", "call it .tsv")
    } else if !csv && only.contains(',') {
        ("commas between the fields", "call it .csv")
    } else {
        return Ok(());
    };
    Err(bad(path, found, hint))
}

/// Refuses columns without a name or of one name, and a header of numbers that do not count.
fn named_columns(path: &Path, header: &[String]) -> Result<()> {
    if header.iter().any(String::is_empty) {
        return Err(bad(path, "a column of numbers without a name", "the first line names every column"));
    }
    if let Some(name) = twice(header.iter().map(String::as_str)) {
        return Err(bad(path, &format!("the column `{name}` twice"), "rename one of them"));
    }
    let numbers: Option<Vec<f64>> = header.iter().map(|name| name.parse().ok()).collect();
    let counts = |list: &Vec<f64>| list.iter().enumerate().all(|(i, &v)| v == list[0].trunc() + i as f64);
    match numbers.filter(|list| !counts(list)) {
        None => Ok(()),
        Some(_) => {
            let hint = "is the first line a row of data? put a line with the targets' names before it";
            Err(bad(path, &format!("`{}`, ... as names of the columns", header[0]), hint))
        }
    }
}

/// The rows so far.
struct Rows<'a> {
    path: &'a Path,
    /// Fields of a line.
    width: usize,
    /// Whether the first field of a line is its name.
    named: bool,
    names: Vec<String>,
    values: Vec<f32>,
}

impl Rows<'_> {
    fn push(&mut self, line: usize, row: usize, header: &[String], mut fields: Vec<String>) -> Result<()> {
        if fields.len() != self.width {
            let expected = format!("{} fields in line {line}, as in the first line", self.width);
            let hint = "numbers with a decimal comma are two fields each: write decimal points; a name with a comma needs quotes";
            return Err(Error::corrupt(self.path, expected, fields.len().to_string(), hint));
        }
        if row == 0 && !is_missing(&fields[0]) && fields[0].parse::<f64>().is_err() && !decimal_comma(&fields[0]) {
            self.named = true;
        }
        if self.named {
            let name = fields.remove(0);
            if is_missing(&name) {
                return Err(tsv::bad_field(
                    self.path,
                    &header[0],
                    row,
                    "a name",
                    &name,
                    "the first column names the rows",
                ));
            }
            self.names.push(name);
        }
        for (column, field) in fields.iter().enumerate() {
            let name = &header[column + usize::from(self.named)];
            let value = tsv::number(self.path, name, row, field)?;
            let narrow = value as f32;
            if narrow.is_infinite() && value.is_finite() {
                let hint = "save the numbers in larger units";
                return Err(tsv::bad_field(self.path, name, row, "a number that 32 bits hold", field, hint));
            }
            self.values.push(narrow);
        }
        Ok(())
    }
}

fn decimal_comma(field: &str) -> bool {
    field.contains(',') && field.replace(',', ".").parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn table(name: &str, text: &str) -> Result<NumberTable> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn tabs_commas_quotes_and_names() {
        let expected = array![[1.5f32, -2.0], [3.0, 4e3]];
        let found = table("a.tsv", "stimulus\tv1\tv2\nim1\t1.5\t-2\nim2\t3\t4e3\n").unwrap();
        assert_eq!((found.columns, found.values), (vec!["v1".to_owned(), "v2".into()], expected.clone()));
        assert_eq!(found.rows.unwrap(), ["im1", "im2"]);
        let found = table("a.csv", "\u{feff}\"x, y\",\"v\"\"2\"\r\n1.5,-2\r\n\"3\", 4e3\r\n").unwrap();
        assert_eq!((found.columns, found.rows, found.values), (vec!["x, y".to_owned(), "v\"2".into()], None, expected));
        // pandas: an index without a name, columns that are numbers.
        let found = table("a.csv", ",0,1\n0,1.5,\n1,n/a,NaN\n").unwrap();
        assert_eq!(
            (found.columns, found.rows.unwrap()),
            (vec!["0".to_owned(), "1".into()], vec!["0".to_owned(), "1".into()])
        );
        assert!(found.values[[0, 1]].is_nan() && found.values[[1, 0]].is_nan());
        let found = table("a.csv", "picture,v\n\"b, c\",1\nd,2\n").unwrap();
        assert_eq!(found.rows.unwrap(), ["b, c", "d"], "text in the first row says that it is a name");
    }

    #[test]
    fn what_is_no_table_of_numbers_is_refused() {
        for (name, text, words, hint) in [
            ("a.csv", "a;b\n1,5;2\n", "semicolons", "decimal"),
            ("a.csv", "a,b\n\"1,5\",2\n", "row 1, column `a`", "decimal point"),
            ("a.csv", "a,b\n1,5,2\n", "2 fields in line 2", "decimal comma"),
            ("a.csv", "a\tb\n1\t2\n", "tabs between", ".tsv"),
            ("a.tsv", "a,b\n1,2\n", "commas between", ".csv"),
            ("a.csv", "1.5,2.5\n3,4\n", "names of the columns", "first line"),
            ("a.csv", "a,b\n1,x\n", "row 1, column `b`", "number"),
            ("a.csv", "a,b\n1,2\nx,2\n", "row 2, column `a`", "number"),
            ("a.csv", "a,a\n1,2\n", "`a` twice", "rename"),
            ("a.csv", "id,a\nx,2\nx,3\n", "row `x` twice", "trials"),
            ("a.csv", "id,a\nx,2\n,3\n", "a name", "names the rows"),
            ("a.csv", "a,b\n1,1e300\n", "32 bits", "units"),
            ("a.csv", "a,b\n", "no numbers", "one column"),
            ("a.csv", "id\nx\n", "no numbers", "one column"),
            ("a.csv", "\n\n", "an empty file", "first line"),
            ("a.csv", "a,\n1,2\n", "without a name", "first line"),
            ("a.csv", "a,b\n\"1,2\n", "not closed", "quote"),
        ] {
            let error = table(name, text).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(words), "{text:?}: {error}");
            assert!(error.hint().unwrap().contains(hint), "{text:?}: {:?}", error.hint());
        }
    }
}
