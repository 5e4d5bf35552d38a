//! Tab-separated tables with a header line, in the dialects that are in use: BIDS (`n/a`, quotes
//! around fields that hold a tab), R's `write.table` (quotes around all text), spreadsheets (a
//! byte-order mark, `\r\n`), padded columns.

use crate::data::names::{nfc, same};
use crate::error::{Error, Result};
use crate::io::{atomic, source};
use std::collections::HashSet;
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
        let at = self.header.iter().position(|h| same(h, name))?;
        Some(self.rows.iter().map(|row| row[at].as_str()).collect())
    }

    /// The first of some columns that says another order of the rows than they are in: numbers, all
    /// different, that do not rise.
    pub fn out_of_order<'n>(&self, columns: &[&'n str]) -> Option<&'n str> {
        columns.iter().copied().find(|name| {
            let numbers: Option<Vec<f64>> =
                self.column(name).and_then(|fields| fields.iter().map(|f| f.parse().ok()).collect());
            let Some(numbers) = numbers else { return false };
            let mut sorted = numbers.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted != numbers && sorted.windows(2).all(|pair| pair[0] < pair[1])
        })
    }

    /// The error of a column that is not there; `hint` says how to name it.
    pub fn without(&self, path: &Path, expected: &str, hint: &str) -> Error {
        let found = format!("`{}`", self.header.iter().take(12).cloned().collect::<Vec<_>>().join("`, `"));
        let hint = match self.header.as_slice() {
            [only] if only.contains([',', ';']) => {
                "the fields lie between commas: save the table with tabs between them"
            }
            [only] if only.split_whitespace().count() > 1 => {
                "the fields lie between blanks: save the table with tabs between them"
            }
            _ => hint,
        };
        Error::invalid(path.display().to_string(), expected, found, hint)
    }
}

/// Spellings of "no value": BIDS says `n/a`; R writes `NA`, Python and MATLAB `NaN`, pandas also
/// `<NA>`, spreadsheets `#N/A`, MATLAB's text `<missing>`.
const MISSING: [&str; 10] = ["", "n/a", "N/A", "NA", "NaN", "nan", "NAN", "<NA>", "#N/A", "<missing>"];

/// Whether a field says that there is no value.
pub fn is_missing(field: &str) -> bool {
    MISSING.contains(&field.trim())
}

/// A number as a field that reads back as the same number; `n/a` for what is not finite.
pub fn field(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "n/a".into() }
}

/// The number in a field of the column `column`, `row` from 0; missing values are NaN.
///
/// # Errors
/// [`Error::Invalid`] with file, row, column and text when it is no number.
pub fn number(path: &Path, column: &str, row: usize, field: &str) -> Result<f64> {
    if is_missing(field) {
        return Ok(f64::NAN);
    }
    field.trim().parse().map_err(|_| {
        let comma = field.contains(',') && field.replace(',', ".").trim().parse::<f64>().is_ok();
        let hint = if comma { "write a decimal point" } else { "write a number, or n/a where there is none" };
        bad_field(path, column, row, "a number", field, hint)
    })
}

/// The error of one field: `file, row 3, column `onset`: expected .., found `..``; rows count from
/// 1 below the header.
pub fn bad_field(path: &Path, column: &str, row: usize, expected: &str, field: &str, hint: &str) -> Error {
    let at = format!("{}, row {}, column `{column}`", path.display(), row + 1);
    Error::invalid(at, expected, format!("`{field}`"), hint)
}

/// Bytes of the largest table that is read.
const MOST_BYTES: u64 = 256_000_000;
/// Columns and fields of the largest table that is read: each takes more memory than its text.
const MOST_COLUMNS: usize = 10_000;
const MOST_FIELDS: usize = 10_000_000;

/// Reads a table: UTF-8 with or without a byte-order mark. Blanks around fields are no part of
/// them, nor are quotes (`"`, doubled inside) around them, which may hold tabs and line breaks.
/// Text is brought to one Unicode spelling ([`nfc`]).
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Corrupt`] for another encoding than UTF-8,
/// a NUL byte, more than 256 MB, 10,000 columns or 10 million fields, and with the line for a row
/// that is not as wide as the header, a quote that is not closed, an empty line in a table of one
/// column (a missing value, or none at all?), or two columns of one name.
pub fn read(path: &Path) -> Result<Table> {
    let bytes = source::small(path, MOST_BYTES, "a table")?;
    let text = utf8(&bytes, path)?;
    let mut lines = Records { text, line: 1, path, separator: '\t', most_columns: MOST_COLUMNS };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut blank = None;
    let mut n_fields = 0;
    while let Some((line, row)) = lines.next()? {
        if row.len() == 1 && row[0].is_empty() {
            blank = blank.or((!rows.is_empty()).then_some(line));
            continue;
        }
        let width = rows.first().map_or(row.len(), Vec::len);
        if row.len() != width {
            let expected = format!("{width} fields in line {line}, as in the first line");
            let hint = "every line must have as many tabs as the first";
            return Err(Error::corrupt(path, expected, row.len().to_string(), hint));
        }
        if let (Some(line), 1) = (blank, width) {
            let hint = "write n/a for a missing value, or take the line out";
            return Err(Error::corrupt(path, "a value in every line", format!("nothing in line {line}"), hint));
        }
        n_fields += width;
        if n_fields > MOST_FIELDS {
            let expected = format!("a table of at most {MOST_FIELDS} fields");
            return Err(Error::corrupt(path, expected, format!("more, up to line {line}"), MEANT));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        let hint = "the first line names the columns, with tabs between them";
        return Err(Error::corrupt(path, "a tab-separated table", "an empty file", hint));
    }
    let header = rows.remove(0);
    let mut seen = HashSet::new();
    if let Some(name) = header.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
        let hint = "rename one of them";
        return Err(Error::corrupt(path, "one column a name", format!("`{name}` twice"), hint));
    }
    Ok(Table { header, rows })
}

const MEANT: &str = "is this the table that was meant?";

/// The text of a file; a byte-order mark is what spreadsheet programs put in front of it.
pub(super) fn utf8<'t>(bytes: &'t [u8], path: &Path) -> Result<&'t str> {
    let hint = "save it as UTF-8 (spreadsheets: \"Text\" or \"CSV UTF-8\", with tabs; editors: \"Save with encoding\")";
    let other = |found: String| Err(Error::corrupt(path, "a table in UTF-8", found, hint));
    let zeros = bytes.iter().take(64).filter(|b| **b == 0).count();
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || zeros > 8 {
        return other("UTF-16 text (\"Unicode\" in some programs)".into());
    }
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
        return other(format!("a NUL byte in line {line}: no text, or a damaged file"));
    }
    match std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) {
        Ok(text) => Ok(text),
        Err(e) => {
            let before = &bytes[..e.valid_up_to().min(bytes.len())];
            let line = 1 + before.iter().filter(|b| **b == b'\n').count();
            other(format!("a byte of another encoding, Latin-1 or Windows-1252 for example, in line {line}"))
        }
    }
}

/// The rest of a table's text.
pub(super) struct Records<'t> {
    pub(super) text: &'t str,
    pub(super) line: usize,
    pub(super) path: &'t Path,
    /// What stands between fields.
    pub(super) separator: char,
    pub(super) most_columns: usize,
}

impl Records<'_> {
    /// The fields of the next row and the line it begins in.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Vec<String>)>> {
        if self.text.is_empty() {
            return Ok(None);
        }
        let line = self.line;
        let mut row = Vec::new();
        loop {
            if row.len() == self.most_columns {
                let expected = format!("a table of at most {} columns", self.most_columns);
                return Err(Error::corrupt(self.path, expected, format!("more in line {line}"), MEANT));
            }
            row.push(self.field()?);
            let mut rest = self.text.chars();
            match rest.next() {
                Some(c) if c == self.separator => self.text = rest.as_str(),
                other => {
                    self.text = rest.as_str();
                    if other == Some('\r') {
                        self.text = self.text.strip_prefix('\n').unwrap_or(self.text);
                    }
                    self.line += 1;
                    return Ok(Some((line, row)));
                }
            }
        }
    }

    /// Takes a field off, up to the separator or line break behind it.
    fn field(&mut self) -> Result<String> {
        let separator = self.separator;
        let blanks = |c: char| c.is_whitespace() && c != separator && !matches!(c, '\n' | '\r');
        let start = self.text.trim_start_matches(blanks);
        let end = |text: &str| text.find([separator, '\n', '\r']).unwrap_or(text.len());
        let Some(mut quoted) = start.strip_prefix('"') else {
            let (field, rest) = self.text.split_at(end(self.text));
            self.text = rest;
            return Ok(nfc(field.trim()).into_owned());
        };
        let bad = |found: &str, line: usize| {
            let hint = "a field that begins with a quote ends with one; quotes inside it are doubled";
            Error::corrupt(self.path, format!("quotes around a whole field in line {line}"), found, hint)
        };
        let mut field = String::new();
        loop {
            let close = quoted.find('"').ok_or_else(|| bad("one that is not closed", self.line))?;
            field.push_str(&quoted[..close]);
            quoted = &quoted[close + 1..];
            match quoted.strip_prefix('"') {
                Some(more) => {
                    field.push('"');
                    quoted = more;
                }
                None => break,
            }
        }
        let (behind, rest) = quoted.split_at(end(quoted));
        if !behind.trim().is_empty() {
            return Err(bad(&format!("`{}` behind the second one", behind.trim()), self.line));
        }
        self.line += field.matches('\n').count();
        self.text = rest;
        Ok(nfc(field.trim()).into_owned())
    }
}

/// Writes a table. A field that holds a tab, a line break or blanks around it, or begins with a
/// quote, is put in quotes.
///
/// # Errors
/// [`Error::Invalid`] when a row is not as wide as the header; [`Error::Io`] when the file cannot
/// be written.
pub fn write(path: &Path, table: &Table) -> Result<()> {
    let mut text = String::new();
    for row in std::iter::once(&table.header).chain(&table.rows) {
        if row.len() != table.header.len() {
            let expected = format!("{} fields", table.header.len());
            let found = format!("{} in the row `{}`", row.len(), row.join(" "));
            return Err(Error::invalid(path.display().to_string(), expected, found, ""));
        }
        let written = |field: &String| {
            let plain = !field.contains(['\t', '\n', '\r']) && !field.starts_with('"') && field.trim() == field;
            if plain { field.clone() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
        };
        text.push_str(&row.iter().map(written).collect::<Vec<_>>().join("\t"));
        text.push('\n');
    }
    atomic::write(path, text.as_bytes())
}

#[cfg(test)]
#[path = "tsv_tests.rs"]
mod tests;
