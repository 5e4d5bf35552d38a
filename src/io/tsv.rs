//! Tab-separated tables with a header line, as BIDS writes them (`n/a` for missing values).

use crate::error::{Error, Result};
use crate::io::atomic;
use std::path::Path;

/// A table of text: one header, rows of the same width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Column names.
    pub header: Vec<String>,
    /// Rows; each has as many fields as the header.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this header and no rows.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row; its width is checked when the table is written.
    pub fn push<S: Into<String>>(&mut self, row: impl IntoIterator<Item = S>) {
        self.rows.push(row.into_iter().map(Into::into).collect());
    }

    /// The fields of a column, or `None` when there is no such column.
    pub fn column(&self, name: &str) -> Option<Vec<&str>> {
        let at = self.header.iter().position(|h| h == name)?;
        Some(self.rows.iter().map(|row| row[at].as_str()).collect())
    }
}

/// Reads a table.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] with the line when a row is not as wide as the header.
pub fn read(path: &Path) -> Result<Table> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    let damaged = |e: csv::Error| {
        Error::corrupt(path, "a tab-separated table", e.to_string(), "every line must have as many tabs as the first")
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').quoting(false).from_reader(bytes.as_slice());
    // A byte-order mark is what spreadsheet programs put in front of the first column's name.
    let header =
        reader.headers().map_err(damaged)?.iter().map(|h| h.trim_start_matches('\u{feff}').to_string()).collect();
    let rows = reader
        .records()
        .map(|record| Ok(record.map_err(damaged)?.iter().map(String::from).collect()))
        .collect::<Result<_>>()?;
    Ok(Table { header, rows })
}

/// Writes a table.
///
/// # Errors
/// [`Error::Invalid`] when a row is not as wide as the header, or a field holds a tab or a line break (the format has no
/// way to write them); [`Error::Io`] when the file cannot be written.
pub fn write(path: &Path, table: &Table) -> Result<()> {
    let mut text = String::new();
    for row in std::iter::once(&table.header).chain(&table.rows) {
        if row.len() != table.header.len() {
            let found = format!("{} in the row `{}`", row.len(), row.join(" "));
            return Err(Error::invalid(
                path.display().to_string(),
                format!("{} fields", table.header.len()),
                found,
                "",
            ));
        }
        if let Some(field) = row.iter().find(|f| f.contains(['\t', '\n', '\r'])) {
            let hint = "rename it: a tab-separated table cannot hold it";
            return Err(Error::invalid(
                path.display().to_string(),
                "text without tabs and line breaks",
                format!("{field:?}"),
                hint,
            ));
        }
        text.push_str(&row.join("\t"));
        text.push('\n');
    }
    atomic::write(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uneven_rows_and_tabs_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tsv");
        std::fs::write(&path, "a\tb\n1\t2\n3\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line: 3"));
        let mut table = Table::new(["a", "b"]);
        table.push(["1"]);
        assert!(write(&path, &table).is_err());
        table.rows[0] = vec!["x\ty".into(), "2".into()];
        assert!(write(&path, &table).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn read_after_write_is_the_same(cells in prop::collection::vec("[^\t\n\r\u{feff}]{1,8}", 2..20)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.tsv");
            let mut table = Table::new(["first", "second column"]);
            cells.chunks_exact(2).for_each(|row| table.push(row.to_vec()));
            write(&path, &table).unwrap();
            prop_assert_eq!(read(&path).unwrap(), table);
        }
    }
}
