//! What the rows of targets are: stimuli, trials, or samples in time.

use super::arrays::in_order;
use super::config::{Repeats, Rows, TargetsConfig};
use super::join::Joined;
use super::{Block, Recording};
use crate::data::names::twice;
use crate::data::{Betas, Responses, TimeSeries};
use crate::error::{Error, Result};
use crate::io::labels::{self, RUN_COLUMNS, TIME_COLUMNS, VOLUME_COLUMNS, run_of_name};
use crate::io::tsv;
use crate::warning::Warning;
use ndarray::{Array2, Axis, Ix2};
use std::path::Path;

/// Columns that may hold the name of a stimulus or of a target, in order of preference.
const NAME_COLUMNS: [&str; 9] =
    ["stimulus", "stim_file", "stimulus_id", "image", "filename", "file", "condition", "name", "id"];

/// Names of the stimuli of the rows: one a line, or the column of a table.
pub(super) fn ids(path: &Path, column: Option<&str>) -> Result<Vec<String>> {
    list(path, column, "targets.ids_column", "a stimulus")
}

/// Names that a text holds, one a line, or a table in `column` or one of the usual columns of names; `key` is
/// the configuration's for the column, `what` they are of.
///
/// # Errors
/// As [`tsv::read`]; [`Error::Invalid`] without such a column, and for a row without a name.
pub fn list(path: &Path, column: Option<&str>, key: &str, what: &str) -> Result<Vec<String>> {
    let table = tsv::read(path)?;
    let at = path.display().to_string();
    if let Some(order) = table.out_of_order(&["index", "row", "column", "voxel"]) {
        let hint = "row k of the table is about number k of the file: sort the rows by it";
        return Err(Error::invalid(at, format!("rows in the order of `{order}`"), "another order", hint));
    }
    let names: Vec<String> = match (column, table.header.len()) {
        (Some(name), _) => match table.column(name) {
            Some(column) => column.into_iter().map(String::from).collect(),
            None => return Err(table.without(path, &format!("a column `{name}`"), &format!("see `{key}`"))),
        },
        (None, n) => match NAME_COLUMNS.iter().find_map(|name| table.column(name)) {
            Some(column) => column.into_iter().map(String::from).collect(),
            // Text without a header: its first line is a name too.
            None if n == 1 => std::iter::once(&table.header).chain(&table.rows).map(|row| row[0].clone()).collect(),
            None => {
                let expected = format!("a column `{}`", NAME_COLUMNS.join("`, `"));
                return Err(table.without(path, &expected, &format!("name the column with `{key}`")));
            }
        },
    };
    if let Some(row) = names.iter().position(|name| tsv::is_missing(name)) {
        return Err(Error::invalid(
            at,
            format!("the name of {what} in every row"),
            format!("none in row {}", row + 1),
            "",
        ));
    }
    Ok(names)
}

/// Responses or time series of joined files.
pub(super) fn recording(
    config: &TargetsConfig,
    joined: Joined,
    ids: Option<Vec<String>>,
    warnings: &mut Vec<Warning>,
) -> Result<Recording> {
    let names = target_names(config, &joined.block)?;
    match config.rows {
        Rows::Stimuli => stimuli(config, joined.block, ids, names),
        Rows::Trials => trials(config, joined, names, warnings),
        Rows::Time => series(config, joined, names, warnings).map(Recording::Series),
    }
}

fn target_names(config: &TargetsConfig, block: &Block) -> Result<Vec<String>> {
    let n = block.values.dim().1;
    let Some(path) = &config.names else {
        return Ok(block.names.clone().unwrap_or_else(|| block.place.names(n)));
    };
    let names = list(path, None, "targets.names", "a target")?;
    let at = path.display().to_string();
    if names.len() != n {
        return Err(Error::invalid(at, format!("{n} names, one for each target"), names.len().to_string(), ""));
    }
    match twice(names.iter().map(String::as_str)) {
        Some(name) => Err(Error::invalid(at, "one target a name", format!("`{name}` twice"), "")),
        None => Ok(in_order(names, block.columns.as_deref())),
    }
}

fn averaged(responses: Responses, config: &TargetsConfig) -> Result<Responses> {
    if config.repeats == Repeats::Average { responses.averaged() } else { Ok(responses) }
}

fn stimuli(config: &TargetsConfig, block: Block, ids: Option<Vec<String>>, names: Vec<String>) -> Result<Recording> {
    let n_rows = block.values.dim().0;
    if let (Some(ids), Some(own)) = (&ids, &block.ids)
        && let Some(row) = (0..n_rows.min(ids.len())).find(|&r| ids[r] != own[r])
    {
        let expected = format!("`{}` in row {}, as the file of responses has it", own[row], row + 1);
        let hint = "the two are in different orders, or name stimuli differently: leave `targets.ids` out, or name the rows in one way";
        return Err(Error::invalid("targets.ids", expected, format!("`{}`", ids[row]), hint));
    }
    let ids = ids.or(block.ids);
    let named = ids.is_some();
    let ids = ids.unwrap_or_else(|| (0..n_rows).map(|r| r.to_string()).collect());
    if ids.len() != n_rows {
        let expected = format!("{n_rows} names, one for each row of the responses");
        return Err(Error::invalid("targets.ids", expected, ids.len().to_string(), ""));
    }
    if let Some(id) = twice(ids.iter().map(String::as_str)) {
        let hint = "several rows of one stimulus are trials: rows = \"trials\" and a table `targets.trials`";
        return Err(Error::invalid("targets.ids", "one row a stimulus", format!("`{id}` twice"), hint));
    }
    let values = block.values.permuted_axes([1, 0, 2]);
    let responses = Responses::new(values, names, ids)?.placed(block.place)?;
    Ok(Recording::Responses { responses: averaged(responses, config)?, named })
}

/// n_rows x n_targets, for what has no repeats of its own.
fn flat(block: &mut Block, rows: &str) -> Result<Array2<f32>> {
    let (n_rows, n_targets, n_repeats) = block.values.dim();
    let values = std::mem::take(&mut block.values);
    if n_repeats == 1 {
        return Ok(values.index_axis_move(Axis(2), 0).into_dimensionality::<Ix2>().expect("two axes"));
    }
    let found = format!("{n_rows} x {n_targets} x {n_repeats}");
    Err(Error::invalid("targets.axes", format!("no axis of repeats with rows = \"{rows}\""), found, ""))
}

fn trials(
    config: &TargetsConfig,
    joined: Joined,
    names: Vec<String>,
    warnings: &mut Vec<Warning>,
) -> Result<Recording> {
    let Joined { mut block, n_rows, .. } = joined;
    let path = config.trials.as_ref().expect("checked: trials have a table");
    let values = flat(&mut block, "trials")?;
    let labels = labels::read(path, &n_rows, config.condition_column.as_deref(), config.run_column.as_deref())?;
    warnings.extend(labels.warnings);
    let mut order: Vec<usize> = (0..labels.volumes.len()).collect();
    order.sort_by_key(|&row| labels.volumes[row]);
    let volumes: Vec<usize> = order.iter().map(|&row| labels.volumes[row]).collect();
    let conditions: Vec<String> = order.iter().map(|&row| labels.conditions[row].clone()).collect();
    if conditions.is_empty() {
        return Err(Error::invalid(path.display().to_string(), "trials of a stimulus", "none", ""));
    }
    let used = values.select(Axis(0), &volumes);
    let betas = Betas::new(used, &conditions, &vec!["1".to_owned(); conditions.len()])?;
    let responses = Responses::of_betas(&betas, names)?.placed(block.place)?;
    Ok(Recording::Responses { responses: averaged(responses, config)?, named: true })
}

fn series(
    config: &TargetsConfig,
    joined: Joined,
    names: Vec<String>,
    warnings: &mut Vec<Warning>,
) -> Result<TimeSeries> {
    let Joined { mut block, n_rows, files } = joined;
    let tr_s = config.tr_s.or(block.tr_s).ok_or_else(|| {
        let hint = "the files do not say it: give the seconds between samples";
        Error::invalid("targets.tr_s", "the repetition time", "none", hint)
    })?;
    if let Some(said) = block.tr_s.filter(|said| (said - tr_s).abs() > 1e-4 * tr_s) {
        let text = format!("targets.tr_s is {tr_s} s, the headers say {said} s: the former is used");
        warnings.push(Warning::Note { text });
    }
    let values = flat(&mut block, "time")?;
    let runs = match &config.trials {
        Some(path) => runs_of_table(config, path, values.nrows())?,
        None => {
            let said: Vec<Option<String>> = files.iter().map(|&f| run_of_name(&config.files[f])).collect();
            let distinct = said.iter().collect::<std::collections::HashSet<_>>().len() == said.len();
            let name = |i: usize| said[i].clone().filter(|_| distinct).unwrap_or_else(|| (i + 1).to_string());
            n_rows.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(name(i), n)).collect()
        }
    };
    TimeSeries::new(values, names, &runs, tr_s, block.place)
}

/// The run of each sample, in their order.
fn runs_of_table(config: &TargetsConfig, path: &Path, n_rows: usize) -> Result<Vec<String>> {
    let table = tsv::read(path)?;
    let at = path.display().to_string();
    let column = match &config.run_column {
        Some(name) => table.column(name),
        None => RUN_COLUMNS.iter().find_map(|name| table.column(name)),
    };
    let expected = config.run_column.clone().unwrap_or_else(|| RUN_COLUMNS.join("`, `"));
    let column = column
        .ok_or_else(|| table.without(path, &format!("a column `{expected}`"), "name it with `targets.run_column`"))?;
    if column.len() != n_rows {
        let expected = format!("{n_rows} rows, one for each sample");
        return Err(Error::invalid(at, expected, column.len().to_string(), "a row a sample, in the order of time"));
    }
    if let Some(order) = table.out_of_order(&VOLUME_COLUMNS) {
        let hint = "row k is about sample k: sort the rows by it";
        return Err(Error::invalid(at, format!("rows in the order of `{order}`"), "another order", hint));
    }
    if let Some(row) = column.iter().position(|run| tsv::is_missing(run)) {
        return Err(Error::invalid(at, "the run of every sample", format!("none in row {}", row + 1), ""));
    }
    in_time(&table, &column, &at)?;
    Ok(column.into_iter().map(String::from).collect())
}

/// Refuses times that fall within a run.
fn in_time(table: &tsv::Table, runs: &[&str], at: &str) -> Result<()> {
    let Some((name, fields)) = TIME_COLUMNS.iter().find_map(|name| Some((*name, table.column(name)?))) else {
        return Ok(());
    };
    let times: Vec<f64> = fields.iter().map(|field| field.parse().unwrap_or(f64::NAN)).collect();
    let falls = |row: &usize| runs[*row] == runs[*row - 1] && times[*row] < times[*row - 1];
    match (1..times.len()).find(falls) {
        None => Ok(()),
        Some(row) => {
            let found = format!("{} after {} in row {}", times[row], times[row - 1], row + 1);
            let hint = "row k is about sample k: sort the rows by it";
            Err(Error::invalid(format!("{at}, column `{name}`"), "times that rise within a run", found, hint))
        }
    }
}
