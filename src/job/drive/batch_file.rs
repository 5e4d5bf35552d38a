//! A batch between two steps, as one atomic file.

use crate::error::{Error, Result};
use crate::io::sealed;
use crate::io::weights::{self, Storage};
use crate::synthesis::{Batch, Row};
use ndarray::{Array1, Array2, ArrayD, Ix2, IxDyn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `None` stands for a number that JSON lacks.
type Number = Option<f64>;

#[derive(Serialize, Deserialize)]
struct Text {
    step: usize,
    active: Vec<usize>,
    seconds: f64,
    executor_seconds: f64,
    rows: Vec<RowText>,
}

#[derive(Serialize, Deserialize)]
struct RowText {
    values: Vec<Number>,
    responses: Vec<Number>,
    kept_value: Number,
    kept_response: Number,
    kept_step: usize,
    done: bool,
    converged: bool,
}

/// Where the batch number `batch` lies.
pub fn path(folder: &Path, batch: usize) -> PathBuf {
    folder.join(format!("batch-{batch:04}.checkpoint"))
}

fn finite(v: f64) -> Number {
    v.is_finite().then_some(v)
}

/// Writes a batch.
///
/// # Errors
/// [`Error::Io`]: the file before stays.
pub fn write(path: &Path, batch: &Batch) -> Result<()> {
    let row = |r: &Row| RowText {
        values: r.values.iter().copied().map(finite).collect(),
        responses: r.responses.iter().copied().map(finite).collect(),
        kept_value: finite(r.kept_value),
        kept_response: finite(r.kept_response),
        kept_step: r.kept_step,
        done: r.done,
        converged: r.converged,
    };
    let text = Text {
        step: batch.step,
        active: batch.active.clone(),
        seconds: batch.seconds,
        executor_seconds: batch.executor_seconds,
        rows: batch.rows.iter().map(row).collect(),
    };
    let mut arrays: BTreeMap<String, ArrayD<f32>> = BTreeMap::new();
    for (i, leaf) in batch.leaves.iter().enumerate().filter(|(_, l)| !l.is_empty()) {
        arrays.insert(format!("leaf.{i}"), leaf.clone().into_dyn());
    }
    for (i, leaf) in batch.kept().into_iter().enumerate() {
        arrays.insert(format!("kept.{i}"), leaf.into_dyn());
    }
    for (name, values) in batch.optimizer.iter().filter(|(_, v)| !v.is_empty()) {
        let shape = IxDyn(&[values.len()]);
        let array = ArrayD::from_shape_vec(shape, values.clone()).expect("one axis of all values");
        arrays.insert(format!("optimizer.{name}"), array);
    }
    let text = serde_json::to_string(&text).expect("a batch's text has only string keys");
    let notes = BTreeMap::from([("batch".to_owned(), text)]);
    sealed::write(path, &weights::encode(&arrays, &notes, Storage::F32)?)
}

/// The batch to go on from: what was written, or `start` when nothing was.
///
/// # Errors
/// [`Error::Corrupt`] where it does not fit `start`, or is damaged; [`Error::Io`].
pub fn resume(path: &Path, start: Batch) -> Result<Batch> {
    match read(path)? {
        Some(batch) if batch.continues(&start) => Ok(batch),
        Some(_) => {
            let hint = "start again with `force`";
            Err(Error::corrupt(path, "a checkpoint of this run", "images or an optimizer of other shapes", hint))
        }
        None => Ok(start),
    }
}

/// Reads a batch; `None` when there is none.
///
/// # Errors
/// [`Error::Corrupt`] or [`Error::Io`].
pub fn read(path: &Path) -> Result<Option<Batch>> {
    let Some(bytes) = sealed::read(path)? else { return Ok(None) };
    let (arrays, metadata) = weights::decode(&bytes, path)?;
    let corrupt = |found: &str| Error::corrupt(path, "a checkpoint of this program", found, "start again with `force`");
    let text = metadata.get("batch").ok_or_else(|| corrupt("no `batch` entry"))?;
    let text: Text = serde_json::from_str(text).map_err(|e| corrupt(&e.to_string()))?;
    let kept = numbered(&arrays, "kept");
    if kept.is_empty() || kept.iter().any(|k| k.nrows() != text.rows.len()) {
        return Err(corrupt("images without their values"));
    }
    let mut leaves = numbered(&arrays, "leaf");
    if text.active.is_empty() {
        leaves = kept.iter().map(|k| Array2::zeros((0, k.ncols()))).collect();
    }
    if leaves.len() != kept.len() || leaves.iter().any(|l| l.nrows() != text.active.len()) {
        return Err(corrupt("another number of images in the batch"));
    }
    let optimizer = arrays
        .iter()
        .filter_map(|(name, a)| Some((name.strip_prefix("optimizer.")?.to_owned(), a.iter().copied().collect())))
        .collect();
    let row = |(r, t): (usize, RowText)| {
        let of = |v: Vec<Number>| v.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect();
        let kept: Vec<Array1<f32>> = kept.iter().map(|k| k.row(r).to_owned()).collect();
        Row {
            values: of(t.values),
            responses: of(t.responses),
            kept,
            kept_value: t.kept_value.unwrap_or(f64::NEG_INFINITY),
            kept_response: t.kept_response.unwrap_or(f64::NAN),
            kept_step: t.kept_step,
            done: t.done,
            converged: t.converged,
        }
    };
    Ok(Some(Batch {
        step: text.step,
        active: text.active,
        leaves,
        optimizer,
        rows: text.rows.into_iter().enumerate().map(row).collect(),
        seconds: text.seconds,
        executor_seconds: text.executor_seconds,
    }))
}

/// `name.0`, `name.1`, ... as tables.
fn numbered(arrays: &BTreeMap<String, ArrayD<f32>>, name: &str) -> Vec<Array2<f32>> {
    let get = |i: usize| arrays.get(&format!("{name}.{i}")).and_then(|a| a.clone().into_dimensionality::<Ix2>().ok());
    (0..).map_while(get).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_was_written_is_read() {
        let row = |v: f64, done| Row {
            values: vec![v, 0.1 + v],
            responses: vec![-v, f64::NAN],
            kept: vec![array![v as f32, 2.0]],
            kept_value: v,
            kept_response: f64::NAN,
            kept_step: 1,
            done,
            converged: done,
        };
        let dir = tempfile::tempdir().unwrap();
        for active in [vec![1], vec![]] {
            let leaves = vec![Array2::from_elem((active.len(), 2), 0.25f32)];
            let optimizer = vec![("first.0".to_owned(), vec![1.0f32, 2.0])];
            let rows = vec![row(0.3, true), row(1.0 / 3.0, active.is_empty())];
            let batch = Batch { step: 2, active, leaves, optimizer, rows, seconds: 1.5, executor_seconds: 1.0 };
            let path = path(dir.path(), 3);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            write(&path, &batch).unwrap();
            // NaN is not equal to itself: compare in words.
            assert_eq!(format!("{:?}", read(&path).unwrap().unwrap()), format!("{batch:?}"));
        }
        assert!(read(&dir.path().join("none")).unwrap().is_none());
    }
}
