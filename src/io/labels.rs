//! What was shown in each volume of a series of response estimates: tables with one row a volume,
//! and BIDS events.

use crate::error::{Error, Result};
use crate::io::tsv::{self, Table, is_missing};
use crate::warning::Warning;
use std::collections::HashSet;
use std::path::Path;

/// Columns that may hold the condition, in order of preference; BIDS events say `trial_type`.
pub const CONDITION_COLUMNS: [&str; 7] =
    ["condition", "trial_type", "stim_file", "stimulus", "label", "BlockType", "category"];
/// Columns that may hold the run.
pub const RUN_COLUMNS: [&str; 4] = ["run", "run_id", "session_run", "chunk"];
/// Columns that may hold the number of the volume, from 0.
pub const VOLUME_COLUMNS: [&str; 2] = ["volume", "volume_index"];
/// Columns that say when a row happened, in order of preference.
pub const TIME_COLUMNS: [&str; 4] = ["onset", "trial_index", "trial_number", "trial"];

/// Condition and run of each volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// The volume that each row is about, from 0.
    pub volumes: Vec<usize>,
    /// The condition of each row.
    pub conditions: Vec<String>,
    /// The run of each row, where the table says it.
    pub runs: Option<Vec<String>>,
    /// What the user should know of how the table was read.
    pub warnings: Vec<Warning>,
}

/// Reads the labels of the volumes of one or more files, `n_volumes` of each. Rows whose condition
/// is missing ([`is_missing`]) are left out.
///
/// A table with a column of volumes says which volume each row is about; volumes that no row names
/// are left out. A table without one has one row a volume. Volumes are in the order of time, so
/// rows that one of the [`TIME_COLUMNS`] says to be out of order within a file or run are sorted by
/// it, with a warning.
///
/// # Errors
/// [`Error::Io`], [`Error::Corrupt`] as [`tsv::read`]; [`Error::Invalid`] when a column is missing,
/// the number of rows is not that of the volumes, a volume does not exist or comes twice, or rows
/// are out of order and more than one order is possible.
pub fn read(
    path: &Path,
    n_volumes: &[usize],
    condition_column: Option<&str>,
    run_column: Option<&str>,
) -> Result<Labels> {
    let table = tsv::read(path)?;
    let at = path.display().to_string();
    let n_all: usize = n_volumes.iter().sum();
    let column = |name: &str| table.column(name).map(|c| c.into_iter().map(String::from).collect::<Vec<_>>());
    let missing =
        |name: &str, flag: &str| table.without(path, &format!("a column `{name}`"), &format!("name it with {flag}"));
    let find = |asked: Option<&str>, usual: &[&str], flag: &str| match asked {
        Some(name) => column(name).map(Some).ok_or_else(|| missing(name, flag)),
        None => Ok(usual.iter().find_map(|name| column(name))),
    };
    let conditions = find(condition_column, &CONDITION_COLUMNS, "condition_column")?
        .ok_or_else(|| missing(&CONDITION_COLUMNS.join("`, `"), "condition_column"))?;
    let runs = find(run_column, &RUN_COLUMNS, "run_column")?;
    let mut warnings = Vec::new();
    let volumes: Vec<usize> = match VOLUME_COLUMNS.iter().find_map(|name| Some((*name, column(name)?))) {
        Some((name, volumes)) => {
            volumes.iter().enumerate().map(|(r, v)| volume(path, name, (r, v), n_all)).collect::<Result<_>>()?
        }
        None if conditions.len() == n_all => {
            in_time(path, &table, n_volumes, (&conditions, runs.as_deref()), &mut warnings)?
        }
        None => {
            let hint = "one row a volume, in order; or a column `volume` that says which (from 0)";
            let found = conditions.len().to_string();
            return Err(Error::invalid(at, format!("{n_all} rows, one for each volume"), found, hint));
        }
    };
    let mut seen = vec![false; n_all];
    if let Some(&twice) = volumes.iter().find(|&&v| std::mem::replace(&mut seen[v], true)) {
        return Err(Error::invalid(at, "one row a volume", format!("volume {twice} twice"), ""));
    }
    warnings.extend(unusual_missing(path, &conditions));
    let kept: Vec<usize> = (0..conditions.len()).filter(|&r| !is_missing(&conditions[r])).collect();
    Ok(Labels {
        volumes: kept.iter().map(|&r| volumes[r]).collect(),
        conditions: kept.iter().map(|&r| conditions[r].clone()).collect(),
        runs: runs.map(|runs| kept.iter().map(|&r| runs[r].clone()).collect()),
        warnings,
    })
}

fn volume(path: &Path, column: &str, (row, text): (usize, &str), n_volumes: usize) -> Result<usize> {
    text.parse::<usize>().ok().filter(|&v| v < n_volumes).ok_or_else(|| {
        let expected = format!("volumes 0 to {}", n_volumes.saturating_sub(1));
        tsv::bad_field(path, column, row, &expected, text, "volumes are counted from 0")
    })
}

/// A condition that is really called `NA` would vanish: it is said which spellings were taken to be
/// missing.
fn unusual_missing(path: &Path, conditions: &[String]) -> Option<Warning> {
    let unusual = |c: &&String| is_missing(c) && !matches!(c.as_str(), "" | "n/a");
    let first = conditions.iter().find(unusual)?;
    let n = conditions.iter().filter(unusual).count();
    let text = format!("{}: {n} rows whose condition is `{first}` were left out as missing", path.display());
    Some(Warning::Note { text })
}

/// The volume of every row of a table with one row a volume: its place in the file, or in time
/// where a column says that the two differ.
fn in_time(
    path: &Path,
    table: &Table,
    n_volumes: &[usize],
    (conditions, runs): (&[String], Option<&[String]>),
    warnings: &mut Vec<Warning>,
) -> Result<Vec<usize>> {
    let mut volumes: Vec<usize> = (0..conditions.len()).collect();
    let Some((name, fields)) = TIME_COLUMNS.iter().find_map(|name| Some((*name, table.column(name)?))) else {
        return Ok(volumes);
    };
    // A column of text under one of these names says nothing of time.
    let times: Vec<f64> = fields.iter().map(|f| f.trim().parse().unwrap_or(f64::NAN)).collect();
    let mut moved = false;
    for block in blocks(n_volumes, runs) {
        let own = &times[block.clone()];
        let known: Vec<f64> = own.iter().copied().filter(|t| t.is_finite()).collect();
        if known.windows(2).all(|pair| pair[0] <= pair[1]) {
            continue;
        }
        let mut order: Vec<usize> = (0..own.len()).collect();
        order.sort_by(|&a, &b| own[a].total_cmp(&own[b]));
        let tied = order.windows(2).any(|pair| own[pair[0]] == own[pair[1]]);
        let why = if known.len() < own.len() {
            Some("some rows have none")
        } else if tied {
            Some("some rows have the same")
        } else if restarts(own, &conditions[block.clone()]) {
            Some("it begins again as if a new run began")
        } else {
            None
        };
        if let Some(why) = why {
            let found = format!("rows in another order, and {why}");
            let hint = "sort the rows as the volumes are; or say in a column `volume` (from 0) which volume each is \
                        about, in a column `run` which run";
            let at = format!("{}, column `{name}`", path.display());
            return Err(Error::invalid(at, "rows in the order of time", found, hint));
        }
        order.iter().enumerate().for_each(|(rank, &row)| volumes[block.start + row] = block.start + rank);
        moved = true;
    }
    if moved {
        let text = format!(
            "{}: the rows are not in the order of `{name}` and were sorted by it: volume k is the k-th in time",
            path.display()
        );
        warnings.push(Warning::Note { text });
    }
    Ok(volumes)
}

/// Rows that belong together in time: of one file, and within it of one run where the table says
/// it.
fn blocks(n_volumes: &[usize], runs: Option<&[String]>) -> Vec<std::ops::Range<usize>> {
    let mut blocks = Vec::new();
    let mut start = 0;
    for n in n_volumes {
        let end = start + n;
        for row in start + 1..=end {
            if row == end || runs.is_some_and(|runs| runs[row] != runs[row - 1]) {
                blocks.push(start..row);
                start = row;
            }
        }
    }
    blocks
}

/// Whether times fall back between stretches that show the same conditions, two or more: runs
/// behind one another.
fn restarts(times: &[f64], conditions: &[String]) -> bool {
    let mut stretches: Vec<HashSet<&str>> = vec![HashSet::new()];
    for (row, name) in conditions.iter().enumerate() {
        if row > 0 && times[row] < times[row - 1] {
            stretches.push(HashSet::new());
        }
        stretches.last_mut().expect("begins with one").insert(name);
    }
    stretches[0].len() > 1 && stretches.iter().all(|s| *s == stretches[0])
}

/// `ses-01_run-2` of `sub-3_ses-01_task-x_run-2_desc-betas.nii.gz`, the part of a BIDS name that
/// tells runs apart.
pub fn run_of_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let parts: Vec<&str> = name.split('_').filter(|p| p.starts_with("ses-") || p.starts_with("run-")).collect();
    (!parts.is_empty()).then(|| parts.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str, n: &[usize]) -> Result<Labels> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.tsv");
        std::fs::write(&path, text).unwrap();
        read(&path, n, None, None)
    }

    #[test]
    fn events_and_tables_are_read() {
        let events = "onset\tduration\ttrial_type\n0\t1\tcat\n2\t1\tn/a\n4\t1\tdog\n";
        let found = labels(events, &[3]).unwrap();
        assert_eq!((found.volumes, found.conditions, found.runs), (vec![0, 2], vec!["cat".into(), "dog".into()], None));
        assert!(found.warnings.is_empty());
        let table = "volume\tcondition\trun\n5\ta\t1\n2\tb\t2\n";
        let found = labels(table, &[6]).unwrap();
        assert_eq!((found.volumes, found.runs.unwrap()), (vec![5, 2], vec!["1".to_owned(), "2".into()]));
    }

    #[test]
    fn wrong_tables_are_refused() {
        for (text, n, expected) in [
            ("trial_type\ncat\n", 2, "2 rows, one for each volume, found 1"),
            ("onset\n1\n", 1, "a column `condition`"),
            ("volume\tcondition\n7\ta\n", 2, "row 1, column `volume`: expected volumes 0 to 1, found `7`"),
            ("volume\tcondition\n1\ta\n1\tb\n", 2, "volume 1 twice"),
        ] {
            let error = labels(text, &[n]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn every_spelling_of_missing_leaves_the_row_out() {
        for missing in ["n/a", "NA", "NaN", "nan", " ", "\"NA\"", ""] {
            let found = labels(&format!("x\ttrial_type\n1\tcat\n2\t{missing}\n3\tdog\n"), &[3]).unwrap();
            assert_eq!((found.volumes, found.conditions), (vec![0, 2], vec!["cat".to_owned(), "dog".into()]));
            let unusual = ["NA", "NaN", "nan"].iter().any(|word| missing.contains(word));
            assert_eq!(found.warnings.len(), usize::from(unusual), "{missing:?}");
        }
    }

    /// Ranks by hand: 24, 20, 28, 22 are the third, first, fourth and second in time.
    #[test]
    fn rows_out_of_order_are_sorted_by_time() {
        let rows = "24\tc\n20\ta\n28\td\n22\tb\n";
        for name in ["onset", "trial"] {
            let found = labels(&format!("{name}\tcondition\n{rows}"), &[4]).unwrap();
            assert_eq!((found.volumes, found.warnings.len()), (vec![2, 0, 3, 1], 1));
        }
        // A column of volumes decides; times that begin again in the next file or run are in order.
        let table = "volume\tonset\tcondition\n0\t9\ta\n1\t5\tb\n";
        assert_eq!(labels(table, &[2]).unwrap().volumes, [0, 1]);
        let table = "onset\tcondition\n0\ta\n5\tb\n0\ta\n5\tb\n";
        let found = labels(table, &[2, 2]).unwrap();
        assert_eq!((found.volumes, found.warnings), (vec![0, 1, 2, 3], vec![]));
        let table = "onset\tcondition\trun\n0\ta\t1\n5\tb\t1\n3\ta\t2\n2\tb\t2\n";
        assert_eq!(labels(table, &[4]).unwrap().volumes, [0, 1, 3, 2]);
    }

    #[test]
    fn an_order_that_is_not_sure_is_refused() {
        for (times, word) in [
            (["0", "5", "0", "5"], "the same"),
            (["0", "5", "1", "6"], "a new run"),
            (["0", "5", "n/a", "2"], "have none"),
        ] {
            let rows: String = times.iter().zip(["a", "b", "a", "b"]).map(|(t, c)| format!("{t}\t{c}\n")).collect();
            let error = labels(&format!("onset\tcondition\n{rows}"), &[4]).unwrap_err();
            assert!(error.to_string().contains("column `onset`") && error.to_string().contains(word), "{error}");
        }
        let equal = "onset\tcondition\n0\ta\n0\tb\n";
        assert_eq!(labels(equal, &[2]).unwrap().volumes, [0, 1], "equal times are no other order");
    }

    #[test]
    fn runs_are_in_names() {
        let run = |name: &str| run_of_name(Path::new(name));
        assert_eq!(run("d/sub-1_ses-02_task-x_run-3_betas.nii.gz").unwrap(), "ses-02_run-3");
        assert_eq!(run("betas.nii.gz"), None);
    }
}
