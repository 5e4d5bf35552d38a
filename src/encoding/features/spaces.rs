//! Feature spaces that others made: arrays in `.npy` and `.npz` files.

use crate::data::names::{find_all, twice};
use crate::error::{Error, Result};
use crate::io::{npy, npz, source, tsv};
use crate::warning::Warning;
use ndarray::{Array2, ArrayD, Axis};
use std::path::Path;

/// Columns of a table of rows that may hold the stimuli's names.
pub const NAME_COLUMNS: [&str; 6] = ["stimulus", "name", "image", "filename", "stim_file", "file"];

/// A named matrix of features.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSpace {
    /// Its file's, or its array's in an `.npz`.
    pub name: String,
    /// n_stimuli x n_features.
    pub values: Array2<f32>,
    /// The stimulus of each row, where it is known.
    pub rows: Option<Vec<String>>,
}

/// Reads the spaces of a file: one of an `.npy`, all of an `.npz` in their order. Arrays of more than two
/// axes are flattened behind the first, which is the stimuli's; of one axis are one feature.
///
/// `rows` is a table with a line for each row, in order, and the stimuli's names in one of
/// [`NAME_COLUMNS`].
///
/// # Errors
/// [`Error::Io`] and [`Error::Corrupt`] as [`npy::read`] and [`npz::read`]; [`Error::Invalid`] for no
/// array, an array without stimuli or features, spaces of different lengths, NaN or infinity, and a table
/// of another length, without names, or with a name twice.
///
/// ```
/// use ndarray::array;
/// use orthoscope::encoding::features::spaces;
/// use orthoscope::io::npz::NpzWriter;
///
/// let dir = tempfile::tempdir().unwrap();
/// let file = dir.path().join("spaces.npz");
/// let (semantic, motion) = (array![[1.0f32, 0.0], [0.0, 1.0]], array![[0.5f32], [0.25]]);
/// NpzWriter::new().add("semantic", &semantic).add("motion", &motion).write(&file)?;
/// let found = spaces::read(&file, None)?;
/// assert_eq!((found[0].name.as_str(), found[1].values.dim()), ("semantic", (2, 1)));
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn read(path: &Path, rows: Option<&Path>) -> Result<Vec<FeatureSpace>> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let arrays: Vec<(String, ArrayD<f32>)> = match ending.as_str() {
        "npz" => npz::read(path)?.all()?,
        _ => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            vec![(name, npy::decode(&source::read(path)?, path)?)]
        }
    };
    if arrays.is_empty() {
        return Err(Error::invalid(path.display().to_string(), "arrays of features", "none", ""));
    }
    let rows = rows.map(names).transpose()?;
    let spaces =
        arrays.into_iter().map(|(name, array)| space(path, name, array, rows.as_ref())).collect::<Result<Vec<_>>>()?;
    let n = spaces[0].values.nrows();
    if let Some(other) = spaces.iter().find(|space| space.values.nrows() != n) {
        let expected = format!("{n} rows in every array, as in `{}`", spaces[0].name);
        let found = format!("{} in `{}`", other.values.nrows(), other.name);
        return Err(Error::invalid(path.display().to_string(), expected, found, "every row is a stimulus"));
    }
    Ok(spaces)
}

fn space(path: &Path, name: String, array: ArrayD<f32>, rows: Option<&Vec<String>>) -> Result<FeatureSpace> {
    let at = format!("{}, `{name}`", path.display());
    let shape = array.shape().to_vec();
    let n = shape.first().copied().unwrap_or(0);
    if array.is_empty() || n == 0 {
        return Err(Error::invalid(at, "n_stimuli x n_features", format!("the shape {shape:?}"), ""));
    }
    let n_features: usize = shape[1..].iter().product();
    let values = array.into_shape_with_order((n, n_features)).expect("as many numbers");
    if let Some(row) = values.axis_iter(Axis(0)).position(|row| row.iter().any(|v| !v.is_finite())) {
        let hint = "leave out the feature, or the stimulus from features and responses";
        return Err(Error::invalid(at, "finite features", format!("NaN or infinity in row {row}"), hint));
    }
    if let Some(rows) = rows.filter(|rows| rows.len() != n) {
        let hint = "the table needs one line for every row of the array";
        return Err(Error::invalid(at, format!("{} rows, as the table has", rows.len()), n.to_string(), hint));
    }
    Ok(FeatureSpace { name, values, rows: rows.cloned() })
}

/// The names in a table of rows.
fn names(path: &Path) -> Result<Vec<String>> {
    let table = tsv::read(path)?;
    let found = NAME_COLUMNS.iter().find_map(|name| table.column(name));
    let Some(column) = found else {
        let expected = format!("one of the columns {}", NAME_COLUMNS.join(", "));
        return Err(Error::corrupt(
            path,
            expected,
            table.header.join(", "),
            "name the column with the stimuli `stimulus`",
        ));
    };
    if let Some(row) = column.iter().position(|name| tsv::is_missing(name)) {
        return Err(tsv::bad_field(path, "stimulus", row, "a stimulus", column[row], "every row is a stimulus"));
    }
    if let Some(name) = twice(column.iter().copied()) {
        let hint = "leave out all rows of a stimulus but one, or average them";
        return Err(Error::invalid(path.display().to_string(), "a row a stimulus", format!("`{name}` twice"), hint));
    }
    Ok(column.into_iter().map(str::to_owned).collect())
}

impl FeatureSpace {
    /// The rows of some stimuli, in their order: found by name where the rows have names; else there
    /// must be as many, and a warning says that only their number was compared.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a stimulus without a row, names that fit several, and another number of
    /// rows without names.
    pub fn of(&self, stimuli: &[String]) -> Result<(Array2<f32>, Vec<Warning>)> {
        let at = format!("features `{}`", self.name);
        if let Some(rows) = &self.rows {
            let found = find_all(stimuli, rows, &at, ("stimuli", "rows"))?;
            let note = found.by_stem.map(|(wanted, there)| {
                let text =
                    format!("{at}: `{wanted}` was taken to be `{there}`, which lies in another folder or format");
                Warning::Note { text }
            });
            return Ok((self.values.select(Axis(0), &found.places), note.into_iter().collect()));
        }
        if self.values.nrows() != stimuli.len() {
            let hint = "give a table with the stimulus of every row, or the rows of these stimuli alone";
            let found = self.values.nrows().to_string();
            return Err(Error::invalid(at, format!("{} rows, one for each stimulus", stimuli.len()), found, hint));
        }
        let text = format!("{at}: its rows have no names and were taken in the order of the stimuli");
        Ok((self.values.clone(), vec![Warning::Note { text }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::npz::NpzWriter;
    use ndarray::{Array1, Array3, array};

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn rows_are_found_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let (file, table) = (dir.path().join("gist.npy"), dir.path().join("gist.tsv"));
        npy::write(&file, &array![[1.0f64, 2.0], [3.0, 4.0], [5.0, 6.0]]).unwrap();
        std::fs::write(&table, "stimulus\nb.png\na.png\nc.png\n").unwrap();
        let space = read(&file, Some(&table)).unwrap().remove(0);
        let (rows, warnings) = space.of(&list(&["a", "b"])).unwrap();
        assert_eq!((rows, space.name.as_str()), (array![[3.0f32, 4.0], [1.0, 2.0]], "gist"));
        assert!(warnings.is_empty());
        assert!(space.of(&list(&["a", "d"])).unwrap_err().to_string().contains("`d`"));
        let plain = read(&file, None).unwrap().remove(0);
        assert!(plain.of(&list(&["a", "b"])).unwrap_err().to_string().contains("expected 2 rows"));
        let (rows, warnings) = plain.of(&list(&["x", "y", "z"])).unwrap();
        assert!(rows[(0, 0)] == 1.0 && warnings[0].to_string().contains("order of the stimuli"));
        std::fs::write(&table, "stimulus\nb.png\na.png\n").unwrap();
        assert!(
            read(&file, Some(&table)).unwrap_err().to_string().contains("expected 2 rows, as the table has, found 3")
        );
        std::fs::write(&table, "thing\nb.png\na.png\nc.png\n").unwrap();
        assert!(read(&file, Some(&table)).is_err());
    }

    #[test]
    fn arrays_are_flattened_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.npz");
        let write = |writer: NpzWriter| writer.write(&file).unwrap();
        let cube = Array3::from_shape_fn((4, 2, 3), |(i, j, k)| (i * 6 + j * 3 + k) as f32);
        write(NpzWriter::new().add("cube", &cube).add("line", &Array1::from(vec![1.0f32, 2.0, 3.0, 4.0])));
        let found = read(&file, None).unwrap();
        assert_eq!(found.iter().map(|s| s.values.dim()).collect::<Vec<_>>(), [(4, 6), (4, 1)]);
        assert_eq!(found[0].values[(2, 5)], 17.0);
        write(NpzWriter::new().add("cube", &cube).add("line", &Array1::from(vec![1.0f32, 2.0])));
        assert!(read(&file, None).unwrap_err().to_string().contains("found 2 in `line`"));
        write(NpzWriter::new().add("a", &array![[1.0f32], [f32::NAN]]));
        assert!(read(&file, None).unwrap_err().to_string().contains("NaN or infinity in row 1"));
        write(NpzWriter::new());
        assert!(read(&file, None).is_err());
        write(NpzWriter::new().add("a", &Array2::<f32>::zeros((3, 0))));
        assert!(read(&file, None).is_err());
    }
}
