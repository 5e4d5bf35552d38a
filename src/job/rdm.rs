//! `rdm`: the layer RDMs (fingerprints) of any set of images, and how they compare with RDMs of brains, behaviour or models.

mod models;

pub use models::{Bootstrap, Inference};

use super::common::{Common, Machine};
use super::interrupt;
use super::manifest::hash_file;
use super::model::{self, NetworkConfig};
use super::orthogonalize::Patterns;
use super::progress::Progress;
use super::run_dir::{self, RunDir};
use crate::data::Stimuli;
use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::io::tsv;
use crate::math::stats;
use crate::network::{Executor, Graph, NodeId, TapRequest, TapValue};
use crate::rdm::files::{load_rdms, rdms_npz};
use crate::rdm::measure::from_moments;
use crate::rdm::report::{Options, Row, table};
use crate::rdm::{Comparison, Measure, Rdm, compare};
use crate::report::figures::{self, BarOptions, BarSeries, FingerprintOptions, SecondOrderOptions};
use crate::tensor::{Device, array_f64, tensor};
use crate::warning::Warning;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Configuration of `orthoscope rdm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `rdm`.
    pub command: String,
    pub network: NetworkConfig,
    pub taps: Vec<String>,
    /// Folder, zip, npy, `stimuli.tsv` or one file.
    pub images: PathBuf,
    pub resize: Resize,
    pub measure: Measure,
    pub patterns: Patterns,
    /// RDMs to compare with: npy or npz, square or condensed, one or many.
    pub compare: Vec<PathBuf>,
    /// What the permutation p is of.
    pub statistic: Comparison,
    pub n_permutations: usize,
    pub seed: u64,
    /// The layers as models of several subjects' RDMs.
    pub inference: Option<Inference>,
    pub machine: Machine,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "rdm".into(),
            network: NetworkConfig::default(),
            taps: vec!["default".into()],
            images: PathBuf::new(),
            resize: Resize::default(),
            measure: Measure::default(),
            patterns: Patterns::default(),
            compare: vec![],
            statistic: Comparison::default(),
            n_permutations: 1000,
            seed: 1,
            inference: None,
            machine: Machine::default(),
        }
    }
}

/// Everything resolved and read.
struct Plan {
    config: Config,
    graph: Graph,
    taps: Vec<NodeId>,
    tap_names: Vec<String>,
    device: Device,
    stimuli: Stimuli,
    references: Vec<(String, Rdm)>,
    subjects: models::Subjects,
    inputs: BTreeMap<String, String>,
    warnings: Vec<Warning>,
}

impl Plan {
    fn new(config: Config) -> Result<Self> {
        if config.measure == Measure::Given {
            return Err(Error::invalid(
                "--measure",
                "correlation, cosine, euclidean or squared_euclidean",
                "given",
                "",
            ));
        }
        let device = config.machine.device()?;
        let found = config.network.load()?;
        let mut graph = found.graph;
        let mut taps = graph.resolve_taps(&config.taps)?;
        let tap_names: Vec<String> = taps.iter().map(|&t| graph.node(t).name.clone()).collect();
        let (stimuli, hash, warnings) = model::load_images(&config.images, &graph, config.resize)?;
        if stimuli.n_images() < 3 {
            let hint = "an RDM of two images has a single number";
            return Err(Error::invalid("--images", "at least 3 images", stimuli.n_images().to_string(), hint));
        }
        let mut inputs = BTreeMap::from([("model".to_owned(), found.blake3), ("images".to_owned(), hash)]);
        let mut references = Vec::new();
        for path in &config.compare {
            references.extend(load_rdms(path, Some(stimuli.n_images()), Some(stimuli.names()))?);
            inputs.insert(format!("compare {}", path.display()), hash_file(path)?);
        }
        let subjects = models::load(&config.compare, config.inference.as_ref(), stimuli.n_images())?;
        if config.patterns == Patterns::Gap {
            (graph, taps) = graph.with_gap(&taps)?;
        }
        Ok(Self { config, graph, taps, tap_names, device, stimuli, references, subjects, inputs, warnings })
    }

    fn executor(&self) -> Result<Box<dyn Executor>> {
        let requests: Vec<TapRequest> = self.taps.iter().map(|&t| TapRequest::Moments(t)).collect();
        model::executor(&self.graph, &requests, &self.device)
    }

    /// One RDM per tap, from the moments of all images.
    fn fingerprints(&self, executor: &mut dyn Executor) -> Result<Vec<(String, Rdm)>> {
        let values = executor.infer(&tensor(self.stimuli.images(), &self.device))?;
        let mut layers = Vec::with_capacity(values.len());
        for (name, value) in self.tap_names.iter().zip(values) {
            if let TapValue::Moments(m) = value {
                let gram =
                    array_f64(&m.gram).into_dimensionality::<ndarray::Ix2>().expect("a Gram matrix has two axes");
                let sums: Vec<f64> = array_f64(&m.sums).into_iter().collect();
                let labels = self.stimuli.names().to_vec();
                layers.push((name.clone(), from_moments(gram.view(), &sums, m.n_units, self.config.measure, labels)?));
            }
        }
        Ok(layers)
    }

    fn describe(&self, executor: &dyn Executor) -> Value {
        let deepest = self.taps.iter().copied().max().unwrap_or(0);
        let n = self.stimuli.n_images();
        json!({
            "dry_run": true,
            "model": self.graph.name,
            "executor": executor.describe(),
            "input": [n, 3, self.graph.input.height, self.graph.input.width],
            "taps": self.tap_names,
            "gflop": 2.0 * (self.graph.n_macs(deepest) * n as u64) as f64 / 1e9,
            "references": self.references.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "n_permutations": self.config.n_permutations,
        })
    }
}

/// Runs `orthoscope rdm`; returns the `results` object, or the plan for a dry run.
///
/// # Errors
/// Bad input before anything is written; whatever writing says.
pub fn run(config: Config, common: &Common) -> Result<Value> {
    interrupt::install();
    let plan = Plan::new(config)?;
    let mut executor = plan.executor()?;
    if common.dry_run {
        return Ok(plan.describe(executor.as_ref()));
    }
    run_dir::run(common, ("rdm", &plan.config, plan.config.seed), &plan.inputs, |run| {
        run.manifest.device = executor.describe();
        plan.warnings.iter().for_each(|w| run.warn(w.clone()));
        execute(&plan, common, run, executor.as_mut())
    })
}

fn execute(plan: &Plan, common: &Common, run: &mut RunDir, executor: &mut dyn Executor) -> Result<Value> {
    let mut progress = Progress::new(common.progress, "rdm", 3, 0);
    let layers = plan.fingerprints(executor)?;
    progress.tick(|| format!("{} images through {} layers", plan.stimuli.n_images(), layers.len()));
    // Nothing of this job is worth a checkpoint: it is repeated in seconds.
    interrupt::check()?;
    let options = Options {
        statistic: plan.config.statistic,
        n_permutations: plan.config.n_permutations,
        seed: plan.config.seed,
        ..Options::default()
    };
    let (rows, warnings) = table(&layers, &plan.references, &options)?;
    warnings.into_iter().for_each(|w| run.warn(w));
    progress.tick(|| format!("{} comparisons", rows.len()));
    interrupt::check()?;
    rdms_npz(&layers)?.write(&run.file("arrays/rdms.npz"))?;
    let pairs: Vec<&Rdm> = layers.iter().map(|(_, rdm)| rdm).collect();
    let second_order = compare::second_order(&pairs, Comparison::Pearson)?;
    write_table(run, &rows)?;
    draw(plan, run, &layers, &second_order, &rows)?;
    progress.tick(|| "figures".into());
    progress.finish();
    let mut results = results(plan, &layers, &second_order, &rows);
    if let Some(inference) = &plan.config.inference {
        let options = inference.options(plan.config.statistic, plan.config.seed);
        results["models"] = json!(models::compare(run, &layers, &plan.subjects, inference, &options)?);
    }
    run.complete(results.clone())?;
    crate::report::write(run.path())?;
    Ok(results)
}

fn results(plan: &Plan, layers: &[(String, Rdm)], second_order: &Array2<f64>, rows: &[Row]) -> Value {
    let n = second_order.nrows();
    let off: Vec<f64> = (0..n).flat_map(|l| (l + 1..n).map(move |m| (l, m))).map(|lm| second_order[lm].abs()).collect();
    json!({
        "taps": plan.tap_names,
        "n_images": plan.stimuli.n_images(),
        "images": plan.stimuli.names(),
        "measure": plan.config.measure,
        "rdm_sd": layers.iter().map(|(_, rdm)| stats::sd(rdm.values(), 0)).collect::<Vec<_>>(),
        "mean_abs_r": stats::mean(&off),
        "max_abs_r": off.iter().copied().fold(0.0, f64::max),
        "comparisons": rows,
    })
}

fn write_table(run: &RunDir, rows: &[Row]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut out = tsv::Table::new([
        "layer",
        "reference",
        "spearman",
        "pearson",
        "kendall_tau_a",
        "p_permutation",
        "n_permutations",
    ]);
    let number = |v: f64| if v.is_finite() { format!("{v}") } else { "n/a".into() };
    for row in rows {
        let numbers = [row.spearman, row.pearson, row.kendall_tau_a, row.p_permutation].map(number);
        let mut cells = vec![row.layer.clone(), row.reference.clone()];
        cells.extend(numbers);
        cells.push(row.n_permutations.to_string());
        out.push(cells);
    }
    tsv::write(&run.file("arrays/comparisons.tsv"), &out)
}

fn draw(plan: &Plan, run: &RunDir, layers: &[(String, Rdm)], second_order: &Array2<f64>, rows: &[Row]) -> Result<()> {
    let at = |name: &str| run.file("figures").join(name);
    let squares: Vec<(String, Array2<f64>)> = layers.iter().map(|(name, rdm)| (name.clone(), rdm.square())).collect();
    let options = FingerprintOptions {
        bar_label: format!("{} distance", plan.config.measure),
        measure: figures::Measure::Dissimilarity,
        sd: layers.iter().map(|(_, rdm)| stats::sd(rdm.values(), 0)).collect(),
        ..FingerprintOptions::default()
    };
    figures::fingerprints(&squares, &at("fingerprints"), &options)?;
    let matrices = [("layer RDMs".to_owned(), second_order.clone())];
    figures::second_order(&matrices, &plan.tap_names, &at("second_order"), &SecondOrderOptions::default())?;
    if rows.is_empty() || plan.references.len() > MOST_BARS {
        return Ok(());
    }
    let series: Vec<BarSeries> = plan
        .references
        .iter()
        .map(|(name, _)| BarSeries {
            name: name.clone(),
            values: rows.iter().filter(|r| r.reference == *name).map(|r| r.spearman).collect(),
            errors: None,
        })
        .collect();
    let options = BarOptions { y_label: "Spearman's rho".into(), ..BarOptions::default() };
    figures::bars(&plan.tap_names, &series, &at("comparison"), &options)
}

/// More references than this are a table, not a bar chart.
const MOST_BARS: usize = 8;
