//! `map --simulate`: how long to scan before a map of layers can be believed.
//!
//! A brain of regions that carry one layer each is simulated from the fingerprints of every set of
//! images, and goes through the same dissimilarities, comparisons and relabellings as recorded
//! regions do.

use super::config::{Config, SimulationConfig};
use super::plan;
use super::results::{RecoveryRow, Simulated, SimulatedSet};
use crate::cancel::Cancel;
use crate::data::Betas;
use crate::error::{Error, Result};
use crate::io::tsv;
use crate::job::RunDir;
use crate::job::Session;
use crate::job::brain::maps::number;
use crate::job::inputs::{FingerprintConfig, fingerprints};
use crate::job::limits::together;
use crate::mapping::searchlight::{Places, Regions};
use crate::mapping::simulate::{Judgement, Recovery, SimulationOptions, brain};
use crate::mapping::{Comparator, Measurement, Patterns, Question, Relabellings, Residual, Statistic, measure};
use crate::progress::Progress;
use crate::rdm::Rdm;
use crate::report::figures::{self, CurveOptions, CurveSeries, MatrixOptions};
use crate::warning::Warning;
use ndarray::Array2;
use serde_json::{Value, json};

/// Images whose layers' fingerprints are known.
struct Set {
    name: String,
    layers: Vec<(String, Rdm)>,
}

/// One set of images, one way to judge: a row of the table for every number of presentations.
struct Line {
    set: String,
    residual: Residual,
    n_images: usize,
    found: Vec<Recovery>,
}

impl Line {
    fn name(&self) -> String {
        match self.residual {
            Residual::None => self.set.clone(),
            other => format!("{}, {}", self.set, other.to_string().replace('_', "-")),
        }
    }
}

/// A checked simulation.
pub struct Plan {
    pub config: Config,
    simulation: SimulationConfig,
    sets: Vec<Set>,
}

impl Plan {
    /// Reads the fingerprints, and tries whether patterns can have them.
    ///
    /// # Errors
    /// Fingerprints that no patterns have, or that do not fit each other.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let simulation = config.simulation.clone().unwrap_or_default();
        refuse(&config)?;
        let sets = sets(&config)?;
        let own = &simulation.brain;
        for set in &sets {
            let sizes = [set.layers.len(), set.layers[0].1.n_conditions(), own.n_regions, own.n_voxels, own.n_runs];
            together("simulation.brain", "layers x images x regions x voxels x runs", &sizes)?;
        }
        for set in &sets {
            // Whether patterns can have these fingerprints is found out now, with a brain of a few
            // voxels.
            let small = SimulationOptions { n_voxels: 2, n_regions: 1, n_runs: 1, ..simulation.brain };
            let rdms: Vec<Rdm> = set.layers.iter().map(|(_, rdm)| rdm.clone()).collect();
            brain(&rdms, &[1, 1], &[1], 1, &small)?;
            Comparator::new(&set.layers, config.statistic, config.residual)?;
        }
        Ok(Self { config, simulation, sets })
    }

    /// What `--dry-run` prints.
    pub fn describe(&self) -> Value {
        describe(&self.config, &self.simulation, &self.sets)
    }
}

/// Runs the simulation: the `results` object, but for time and memory.
///
/// # Errors
/// Whatever computing and writing say.
pub fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Simulated> {
    let Plan { config, simulation, sets, .. } = plan;
    let lines = simulate(config, simulation, sets, session, run)?;
    table(run, simulation, &lines)?;
    draw(run, simulation, &lines, sets)?;
    Ok(results(config, simulation, &lines, sets))
}

fn refuse(config: &Config) -> Result<()> {
    let bad =
        |at: &str, found: String, hint: &str| Err(Error::invalid(at, "something that can be simulated", found, hint));
    if config.residual == Residual::ActivationLevel {
        return bad("residual", "activation_level".into(), "simulate with another variant");
    }
    if config.statistic == Statistic::KendallTauA && config.test.n_permutations > 0 {
        return bad("statistic", "kendall_tau_a".into(), "its maps are not tested: use spearman");
    }
    Ok(())
}

/// One set a file of fingerprints, named after its run directory or its file.
fn sets(config: &Config) -> Result<Vec<Set>> {
    let mut sets: Vec<Set> = Vec::new();
    for path in &config.fingerprints.files {
        let only = FingerprintConfig { files: vec![path.clone()], ..config.fingerprints.clone() };
        let read = fingerprints::read(&only)?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.ancestors().nth(2).and_then(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned());
        // `NAME/arrays/rdms.npz` is called NAME.
        let mut name = if stem == "rdms" { folder.filter(|f| !f.is_empty()).unwrap_or(stem) } else { stem };
        while sets.iter().any(|s| s.name == name) {
            name.push('+');
        }
        if read.layers.len() < 2 {
            let found = format!("{} in {}", read.layers.len(), path.display());
            return Err(Error::invalid("fingerprints.files", "2 layers or more to tell apart", found, ""));
        }
        sets.push(Set { name, layers: read.layers });
    }
    Ok(sets)
}

/// Raw fingerprints, and residual ones where they are asked for.
fn judges(config: &Config) -> Vec<Residual> {
    let mut judges = vec![Residual::None];
    judges.extend((config.residual != Residual::None).then_some(config.residual));
    judges
}

fn simulate(
    config: &Config,
    simulation: &SimulationConfig,
    sets: &[Set],
    session: &Session,
    run: &mut RunDir,
) -> Result<Vec<Line>> {
    let judges = judges(config);
    let total = sets.len() * simulation.repeats.len() * judges.len();
    let mut progress = Progress::new(&session.progress, "simulate", total as u64, 0);
    let mut lines = Vec::new();
    for set in sets {
        let comparators = judges.iter().map(|&residual| Comparator::new(&set.layers, config.statistic, residual));
        let comparators: Vec<Comparator> = comparators.collect::<Result<_>>()?;
        for (comparator, &residual) in comparators.iter().zip(&judges) {
            let warnings = comparator.collinearity().warnings(comparator.layers(), residual);
            for text in warnings.iter().map(ToString::to_string) {
                run.warn(Warning::Note { text: format!("{}: {text}", set.name) });
            }
        }
        let mut found: Vec<Vec<Recovery>> = vec![Vec::new(); judges.len()];
        for &n_repeats in &simulation.repeats {
            let (patterns, regions, truth) = measured(config, simulation, set, n_repeats)?;
            for (comparator, found) in comparators.iter().zip(&mut found) {
                let verdicts = judged(config, comparator, &patterns, &regions, &truth, &session.cancel)?;
                found.push(Recovery::of(n_repeats, set.layers.len(), &verdicts));
                progress.tick(|| format!("{}, {n_repeats} presentations", set.name));
            }
        }
        let n_images = set.layers[0].1.n_conditions();
        lines.extend(judges.iter().zip(found).map(|(&residual, found)| Line {
            set: set.name.clone(),
            residual,
            n_images,
            found,
        }));
    }
    progress.finish();
    Ok(lines)
}

/// Patterns of a simulated brain, its regions, and their layers (from 0).
fn measured(
    config: &Config,
    simulation: &SimulationConfig,
    set: &Set,
    n_repeats: usize,
) -> Result<(Patterns, Regions, Vec<usize>)> {
    let own = &simulation.brain;
    let n_layers = set.layers.len();
    let n_regions = n_layers * own.n_regions;
    let truth: Vec<usize> = (0..n_regions).map(|r| r / own.n_regions).collect();
    let region: Vec<u32> = (0..n_regions * own.n_voxels).map(|v| (v / own.n_voxels) as u32 + 1).collect();
    let rdms: Vec<Rdm> = set.layers.iter().map(|(_, rdm)| rdm.clone()).collect();
    let layer_of_region: Vec<u32> = truth.iter().map(|&l| l as u32 + 1).collect();
    let options = SimulationOptions { seed: config.seed, ..*own };
    let made = brain(&rdms, &region, &layer_of_region, n_repeats, &options)?;
    let n = rdms[0].n_conditions();
    // Natural order of these names is their order.
    let conditions: Vec<String> = (0..made.betas.nrows()).map(|row| format!("{:06}", row % n)).collect();
    let runs: Vec<String> = (0..made.betas.nrows()).map(|row| format!("{}", row / n + 1)).collect();
    let betas = Betas::new(made.betas, &conditions, &runs)?;
    let measurement = Measurement {
        dissimilarity: config.dissimilarity,
        noise: config.noise,
        noise_from: config.noise_from,
        folds: config.folds,
    };
    let voxels = |r: usize| (r * own.n_voxels..(r + 1) * own.n_voxels).map(|v| v as u32).collect();
    let regions = Regions { regions: (0..n_regions).map(|r| (format!("region{r}"), voxels(r))).collect() };
    Ok((Patterns::new(&betas, measurement)?, regions, truth))
}

/// What the pipeline of recorded regions says of every region and layer.
fn judged(
    config: &Config,
    comparator: &Comparator,
    patterns: &Patterns,
    regions: &Regions,
    truth: &[usize],
    cancel: &Cancel,
) -> Result<Vec<(usize, Vec<Judgement>)>> {
    let test = &config.test;
    let relabellings =
        Relabellings { n_permutations: test.n_permutations, seed: config.seed, tail: plan::Plan::TAIL, n_kept: 0 };
    let question = Question { patterns, comparator };
    let part = measure(&question, regions, 0..regions.len(), &relabellings, &|_| !cancel.requested())?;
    let corrected = part.corrected(test.correction, test.family, comparator.layers().len());
    let verdict = |l: usize, r: usize| Judgement {
        value: f64::from(part.maps.values[[l, r]]),
        significant: corrected.as_ref().is_some_and(|p| p[[l, r]] <= test.alpha),
    };
    let n_layers = comparator.layers().len();
    Ok(truth.iter().enumerate().map(|(r, &layer)| (layer, (0..n_layers).map(|l| verdict(l, r)).collect())).collect())
}

fn minutes(simulation: &SimulationConfig, line: &Line, n_repeats: usize) -> Option<f64> {
    simulation.seconds_per_presentation.map(|s| s * (n_repeats * line.n_images) as f64 / 60.0)
}

fn describe(config: &Config, simulation: &SimulationConfig, sets: &[Set]) -> Value {
    let own = &simulation.brain;
    let largest = sets.iter().map(|s| s.layers.len() * s.layers[0].1.n_conditions()).max().unwrap_or(0);
    let bytes = largest * own.n_regions * own.n_voxels * own.n_runs * 4 * 3;
    json!({
        "dry_run": true,
        "sets": sets.iter().map(|s| json!({
            "name": s.name, "n_images": s.layers[0].1.n_conditions(), "n_layers": s.layers.len(),
            "n_regions": s.layers.len() * own.n_regions,
        })).collect::<Vec<_>>(),
        "judges": judges(config),
        "repeats": simulation.repeats,
        "brain": own,
        "n_permutations": config.test.n_permutations,
        "memory_mb": (bytes as f64 / 1e6).round(),
    })
}

fn table(run: &RunDir, simulation: &SimulationConfig, lines: &[Line]) -> Result<()> {
    let header = ["images", "fingerprints", "n_repeats", "n_regions", "accuracy", "accuracy_low", "accuracy_high"];
    let header = header.into_iter().chain(["hits", "false_layers", "exact", "exact_low", "exact_high", "minutes"]);
    let mut table = tsv::Table::new(header);
    for line in lines {
        for found in &line.found {
            let mut row = vec![line.set.clone(), line.residual.to_string()];
            row.extend([found.n_repeats.to_string(), found.n_regions.to_string()]);
            row.extend([found.accuracy, found.interval.0, found.interval.1, found.hits].map(number));
            row.extend([found.false_layers, found.exact, found.exact_interval.0, found.exact_interval.1].map(number));
            row.push(minutes(simulation, line, found.n_repeats).map_or("n/a".into(), |m| format!("{m:.1}")));
            table.push(row);
        }
    }
    tsv::write(&run.file("arrays").join("recovery.tsv"), &table)
}

/// Curves over presentations (or minutes).
fn draw(run: &RunDir, simulation: &SimulationConfig, lines: &[Line], sets: &[Set]) -> Result<()> {
    type Value = fn(&Recovery) -> (f64, Option<(f64, f64)>);
    let figures: [(&str, &str, &str, Value); 3] = [
        ("exact", "The region's own layer is significant, and no other", "share of regions", |r| {
            (r.exact, Some(r.exact_interval))
        }),
        ("accuracy", "The region's own layer has the largest value", "share of regions", |r| {
            (r.accuracy, Some(r.interval))
        }),
        ("false_layers", "Other layers that are significant in a region", "layers", |r| (r.false_layers, None)),
    ];
    let chance = 1.0 / sets.iter().map(|s| s.layers.len()).max().unwrap_or(1) as f64;
    for (name, title, y_label, value) in figures {
        let series: Vec<CurveSeries> = lines
            .iter()
            .map(|line| CurveSeries {
                name: line.name(),
                points: line
                    .found
                    .iter()
                    .map(|r| (minutes(simulation, line, r.n_repeats).unwrap_or(r.n_repeats as f64), value(r).0))
                    .collect(),
                band: line.found.iter().map(|r| value(r).1).collect(),
            })
            .collect();
        let references = match name {
            "exact" => vec![("target".to_owned(), simulation.target)],
            "accuracy" => vec![("chance".to_owned(), chance)],
            _ => vec![],
        };
        let options = CurveOptions {
            title: title.into(),
            x_label: if simulation.seconds_per_presentation.is_some() {
                "minutes of presentations".into()
            } else {
                "presentations of each image".into()
            },
            y_label: y_label.into(),
            log_x: true,
            references,
            ..CurveOptions::default()
        };
        figures::curves(&series, &run.file("figures").join(name), &options)?;
    }
    confusions(run, lines, sets)
}

/// Who is taken for whom at the last number of presentations.
fn confusions(run: &RunDir, lines: &[Line], sets: &[Set]) -> Result<()> {
    for (i, line) in lines.iter().enumerate() {
        let Some(last) = line.found.last() else { continue };
        let set = &sets[i / (lines.len() / sets.len())];
        let names: Vec<String> = set.layers.iter().map(|(name, _)| name.clone()).collect();
        let share = |(a, b): (usize, usize)| {
            last.confusion[a][b] as f64 / last.confusion[a].iter().sum::<usize>().max(1) as f64
        };
        let matrix = Array2::from_shape_fn((names.len(), names.len()), share);
        let options = MatrixOptions {
            title: format!("{}: {} presentations", line.name(), last.n_repeats),
            bar_label: "share of the layer's regions".into(),
            limit: Some(1.0),
            row_title: "layer of the region".into(),
            column_title: "layer that came back".into(),
        };
        let stem = run.file("figures").join(format!("confusion_{}", i + 1));
        figures::matrix(matrix.view(), &names, &names, &stem, &options)?;
    }
    Ok(())
}

fn results(config: &Config, simulation: &SimulationConfig, lines: &[Line], sets: &[Set]) -> Simulated {
    let row = |line: &Line| {
        let first =
            |of: fn(&Recovery) -> f64| line.found.iter().find(|r| of(r) >= simulation.target).map(|r| r.n_repeats);
        let (exact, accuracy) = (first(|r| r.exact), first(|r| r.accuracy));
        let recovery = line.found.iter().map(|r| RecoveryRow {
            n_repeats: r.n_repeats,
            accuracy: r.accuracy,
            interval: r.interval,
            hits: r.hits,
            false_layers: r.false_layers,
            exact: r.exact,
            exact_interval: r.exact_interval,
            minutes: minutes(simulation, line, r.n_repeats),
        });
        SimulatedSet {
            images: line.set.clone(),
            fingerprints: line.residual,
            n_images: line.n_images,
            n_repeats_for_exact: exact,
            n_repeats_for_accuracy: accuracy,
            minutes_for_exact: exact.and_then(|n| minutes(simulation, line, n)),
            recovery: recovery.collect(),
        }
    };
    Simulated {
        simulated: true,
        n_layers: sets.iter().map(|s| s.layers.len()).max(),
        dissimilarity: config.dissimilarity,
        statistic: config.statistic,
        residual: config.residual,
        n_permutations: config.test.n_permutations,
        correction: config.test.correction,
        family: config.test.family,
        alpha: config.test.alpha,
        target: simulation.target,
        brain: SimulationOptions { seed: config.seed, ..simulation.brain },
        sets: lines.iter().map(row).collect(),
    }
}
