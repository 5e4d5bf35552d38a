//! What was shown in each volume of a series of response estimates: tables with one row a volume, and BIDS events.

use crate::error::{Error, Result};
use crate::io::tsv;
use std::path::Path;

/// Columns that may hold the condition, in order of preference; BIDS events say `trial_type`.
pub const CONDITION_COLUMNS: [&str; 7] =
    ["condition", "trial_type", "stim_file", "stimulus", "label", "BlockType", "category"];
/// Columns that may hold the run.
pub const RUN_COLUMNS: [&str; 4] = ["run", "run_id", "session_run", "chunk"];
/// Columns that may hold the number of the volume, from 0.
pub const VOLUME_COLUMNS: [&str; 2] = ["volume", "volume_index"];

/// Condition and run of each volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The volume that each row is about, from 0.
    pub volumes: Vec<usize>,
    /// The condition of each row.
    pub conditions: Vec<String>,
    /// The run of each row, where the table says it.
    pub runs: Option<Vec<String>>,
}

/// Reads the labels of `n_volumes` volumes. Rows whose condition is `n/a` are left out.
///
/// A table without a column of volumes has one row a volume, in their order; with one, volumes that no row names are left
/// out.
///
/// # Errors
/// [`Error::Io`], [`Error::Corrupt`] as [`tsv::read`]; [`Error::Invalid`] when a column is missing, the number of rows is not
/// that of the volumes, or a volume does not exist or comes twice.
pub fn read(path: &Path, n_volumes: usize, condition_column: Option<&str>, run_column: Option<&str>) -> Result<Labels> {
    let table = tsv::read(path)?;
    let at = path.display().to_string();
    let column = |name: &str| table.column(name).map(|c| c.into_iter().map(String::from).collect::<Vec<_>>());
    let find = |asked: Option<&str>, usual: &[&str], what: &str| match asked {
        Some(name) => column(name).map(Some).ok_or_else(|| missing(&at, name, what, &table.header)),
        None => Ok(usual.iter().find_map(|name| column(name))),
    };
    let conditions = find(condition_column, &CONDITION_COLUMNS, "--condition-column")?
        .ok_or_else(|| missing(&at, &CONDITION_COLUMNS.join("`, `"), "--condition-column", &table.header))?;
    let runs = find(run_column, &RUN_COLUMNS, "--run-column")?;
    let volumes: Vec<usize> = match VOLUME_COLUMNS.iter().find_map(|name| column(name)) {
        Some(volumes) => volumes.iter().map(|v| number(&at, v, n_volumes)).collect::<Result<_>>()?,
        None if conditions.len() == n_volumes => (0..n_volumes).collect(),
        None => {
            let hint = "one row a volume, in order; or a column `volume` that says which (from 0)";
            let found = conditions.len().to_string();
            return Err(Error::invalid(at, format!("{n_volumes} rows, one for each volume"), found, hint));
        }
    };
    let mut seen = vec![false; n_volumes];
    if let Some(&twice) = volumes.iter().find(|&&v| std::mem::replace(&mut seen[v], true)) {
        return Err(Error::invalid(at, "one row a volume", format!("volume {twice} twice"), ""));
    }
    let kept: Vec<usize> = (0..conditions.len()).filter(|&r| !matches!(conditions[r].as_str(), "n/a" | "")).collect();
    Ok(Labels {
        volumes: kept.iter().map(|&r| volumes[r]).collect(),
        conditions: kept.iter().map(|&r| conditions[r].clone()).collect(),
        runs: runs.map(|runs| kept.iter().map(|&r| runs[r].clone()).collect()),
    })
}

fn missing(at: &str, name: &str, flag: &str, header: &[String]) -> Error {
    let found = format!("`{}`", header.join("`, `"));
    Error::invalid(at, format!("a column `{name}`"), found, format!("name it with {flag}"))
}

fn number(at: &str, text: &str, n_volumes: usize) -> Result<usize> {
    text.parse::<usize>().ok().filter(|&v| v < n_volumes).ok_or_else(|| {
        let expected = format!("volumes 0 to {}", n_volumes - 1);
        Error::invalid(at, expected, format!("`{text}`"), "volumes are counted from 0")
    })
}

/// `ses-01_run-2` of `sub-3_ses-01_task-x_run-2_desc-betas.nii.gz`, the part of a BIDS name that tells runs apart.
pub fn run_of_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let parts: Vec<&str> = name.split('_').filter(|p| p.starts_with("ses-") || p.starts_with("run-")).collect();
    (!parts.is_empty()).then(|| parts.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str, n: usize) -> Result<Labels> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.tsv");
        std::fs::write(&path, text).unwrap();
        read(&path, n, None, None)
    }

    #[test]
    fn events_and_tables_are_read() {
        let events = "onset\tduration\ttrial_type\n0\t1\tcat\n2\t1\tn/a\n4\t1\tdog\n";
        let found = labels(events, 3).unwrap();
        assert_eq!((found.volumes, found.conditions, found.runs), (vec![0, 2], vec!["cat".into(), "dog".into()], None));
        let table = "volume\tcondition\trun\n5\ta\t1\n2\tb\t2\n";
        let found = labels(table, 6).unwrap();
        assert_eq!((found.volumes, found.runs.unwrap()), (vec![5, 2], vec!["1".to_owned(), "2".into()]));
    }

    #[test]
    fn wrong_tables_are_refused() {
        for (text, n, expected) in [
            ("trial_type\ncat\n", 2, "2 rows, one for each volume, found 1"),
            ("onset\n1\n", 1, "a column `condition`"),
            ("volume\tcondition\n7\ta\n", 2, "volumes 0 to 1, found `7`"),
            ("volume\tcondition\n1\ta\n1\tb\n", 2, "volume 1 twice"),
        ] {
            let error = labels(text, n).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn runs_are_in_names() {
        let run = |name: &str| run_of_name(Path::new(name));
        assert_eq!(run("d/sub-1_ses-02_task-x_run-3_betas.nii.gz").unwrap(), "ses-02_run-3");
        assert_eq!(run("betas.nii.gz"), None);
    }
}
