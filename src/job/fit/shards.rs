//! Targets in slices, so that several machines can share a fit.

use super::config::Config;
use super::fitting::{Bench, Model};
use super::part::Part;
use super::plan::Plan;
use super::rounds::Round;
use super::spaces::Space;
use super::tables::Tables;
use crate::encoding::folds::{Leakage, Rows};
use crate::error::{Error, Result};
use crate::io::{npz, source};
use crate::job::RunDir;
use crate::job::manifest::{hash, hashes};
use crate::job::shard::{self, Shard};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

/// What shards of one job have in common: its configuration without what tells them apart.
pub fn job_hash(config: &Config) -> String {
    let whole = Config { shard: None, shards: vec![], cache: None, ..config.clone() };
    hash(toml::to_string(&whole).unwrap_or_default().as_bytes())
}

fn name(m: usize, r: usize, start: usize) -> String {
    format!("arrays/fit-{m:03}-{r:03}-{start:08}.npz")
}

/// Fits the targets of a shard, whose parts are the outputs of the run; their number.
///
/// # Errors
/// As fitting; [`Error::Io`].
pub fn slice(plan: &Plan, bench: &Bench<'_>, tables: &Tables<'_>, run: &RunDir) -> Result<usize> {
    let how = plan.how();
    for (m, model) in plan.models.iter().enumerate() {
        for (r, round) in plan.rounds.iter().enumerate() {
            let spaces = tables.spaces(model, round, &how)?;
            let y = plan.samples.of_round(&round.train);
            let part = bench.on(y.view(), &plan.part((m, model), (r, round))).fit(
                (m, model),
                (r, round),
                &spaces,
                &mut Leakage::default(),
            )?;
            part.archive().write(&run.file(name(m, r, part.start)))?;
        }
    }
    Ok(bench.targets.len())
}

/// Fits a model in a round, or reads what shards fitted.
///
/// # Errors
/// As fitting; [`Error::Corrupt`].
pub fn fit(
    plan: &Plan,
    bench: &Bench<'_>,
    (m, model): (usize, &Model),
    (r, round): (usize, &Round),
    spaces: &[Space<'_>],
    leakage: &mut Leakage,
) -> Result<Part> {
    if plan.shards.is_empty() {
        return bench.fit((m, model), (r, round), spaces, leakage);
    }
    bench.learn(round, spaces, leakage)?;
    let n_tested = round.test.as_ref().map_or(0, Rows::len);
    let mut parts = Vec::new();
    for shard in &plan.shards {
        let path = shard.dir.join(name(m, r, shard.start));
        let part = Part::of_archive(&npz::read(&path)?, &path)?;
        if (part.start, part.predictions.nrows()) != (shard.start, n_tested) {
            let found = format!("{} rows from target {}", part.predictions.nrows(), part.start);
            let expected = format!("{n_tested} tested rows from target {}", shard.start);
            return Err(Error::corrupt(&path, expected, found, "fit the shard again"));
        }
        parts.push(part);
    }
    Ok(Part::joined(&parts))
}

/// A complete shard.
pub struct Fitted {
    dir: PathBuf,
    start: usize,
}

/// The shards of a configuration, by their first target; every file of theirs is read and must have
/// the hash of its manifest.
///
/// # Errors
/// [`Error::Invalid`] for a directory that is no complete shard of this job, or saw other inputs, and
/// when targets are missing or twice there.
pub fn complete(config: &Config, n_targets: usize, sets: &BTreeMap<String, String>) -> Result<Vec<Fitted>> {
    // What was read before: the shards read the same, and nothing else.
    let mut inputs = hashes(&source::so_far())?;
    inputs.extend(sets.clone());
    let mut found: Vec<(usize, usize, Fitted)> = Vec::new();
    for dir in &config.shards {
        let manifest = shard::manifest(dir, (config, &job_hash(config)), &inputs)?;
        for name in manifest["outputs"].as_object().into_iter().flat_map(|all| all.keys()) {
            if name.starts_with("arrays/fit-") {
                shard::output(dir, name, &manifest)?;
            }
        }
        let own: Shard = serde_json::from_value(manifest["results"]["shard"].clone())
            .map_err(|e| Error::invalid(dir.display().to_string(), "a shard", e.to_string(), "compute it again"))?;
        let Range { start, end } = own.slice(n_targets);
        found.push((start, end, Fitted { dir: dir.clone(), start }));
    }
    found.sort_by_key(|(start, end, _)| (*start, *end));
    let mut next = 0;
    for (start, end, shard) in &found {
        if *start != next {
            let hint = "give the directories of all shards, each once";
            let found = format!("targets from {start}, of {}", shard.dir.display());
            return Err(Error::invalid("shards", format!("targets from {next} on"), found, hint));
        }
        next = *end;
    }
    if next != n_targets {
        let hint = "give the directories of all shards, each once";
        return Err(Error::invalid("shards", format!("all {n_targets} targets"), next.to_string(), hint));
    }
    Ok(found.into_iter().map(|(_, _, shard)| shard).collect())
}
