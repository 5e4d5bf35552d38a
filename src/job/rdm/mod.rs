//! `rdm`: the layer RDMs (fingerprints) of any set of images, and how they compare with RDMs of
//! brains, behaviour or models.

#[cfg(feature = "cli")]
mod flags;
mod models;
mod page;
mod results;

pub use models::{Bootstrap, Inference, Models};
pub use results::Results;

use super::limits::{self, together, within};
use super::machine::Machine;
use super::model::{self, NetworkConfig};
use super::{Checked, Job, RunDir, Session};
use crate::data::StimulusSource;
use crate::error::{Error, Result};
use crate::image::Resized;
use crate::image::resize::Resize;
use crate::io::tsv;
use crate::math::stats;
use crate::network::moments::{fits, moments, n_steps, scratch_bytes};
use crate::network::{Executor, Graph, NodeId, SpatialPooling, TapRequest};
use crate::progress::Progress;
use crate::rdm::files::{check_layers, load_rdms_of, rdms_npz};
use crate::rdm::measure::from_moments;
use crate::rdm::report::{Options, Row, table};
use crate::rdm::{Comparison, Measure, Rdm, compare};
use crate::report::figures::{self, BarOptions, BarSeries, FingerprintOptions, SecondOrderOptions};
use crate::report::{Figures, Page};
use crate::tensor::Device;
use crate::warning::Warning;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes that the network may take for all images at once: more images go through it in batches.
/// Fixed, so that results do not depend on the machine.
const MEMORY: usize = 4 << 30;

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
    pub patterns: SpatialPooling,
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
            patterns: SpatialPooling::default(),
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
pub struct Plan {
    config: Config,
    graph: Graph,
    taps: Vec<NodeId>,
    tap_names: Vec<String>,
    device: Device,
    images: Resized,
    references: Vec<(String, Rdm)>,
    subjects: models::Subjects,
    sets: BTreeMap<String, String>,
    warnings: Vec<Warning>,
}

impl Plan {
    fn new(config: Config) -> Result<Self> {
        if config.measure == Measure::Given {
            return Err(Error::invalid("measure", "correlation, cosine, euclidean or squared_euclidean", "given", ""));
        }
        if config.images.as_os_str().is_empty() {
            let hint = "say which images to look at";
            return Err(Error::invalid("images", "a folder, zip or npy of images", "none", hint));
        }
        within("n_permutations", config.n_permutations, 0, limits::RELABELLINGS)?;
        if let Some(inference) = &config.inference {
            within("inference.n_bootstraps", inference.n_bootstraps, 0, limits::BOOTSTRAPS)?;
        }
        let device = config.machine.device()?;
        let found = config.network.load()?;
        let mut graph = found.graph;
        let mut taps = graph.resolve_taps(&config.taps)?;
        let tap_names: Vec<String> = taps.iter().map(|&t| graph.node(t).name.clone()).collect();
        check_layers("taps", &tap_names)?;
        let (images, hash, mut warnings) = model::open_images(&config.images, &graph, config.resize)?;
        warnings.splice(..0, found.warnings);
        if images.n_images() < 3 {
            let hint = "an RDM of two images has a single number";
            return Err(Error::invalid("images", "at least 3 images", images.n_images().to_string(), hint));
        }
        together("n_permutations", "relabellings x images", &[config.n_permutations, images.n_images()])?;
        let sets = BTreeMap::from([("model".to_owned(), found.blake3), ("images".to_owned(), hash)]);
        let mut references = Vec::new();
        for path in &config.compare {
            let read = load_rdms_of(path, images.names())?;
            references.extend(read.into_iter().map(|(name, rdm)| (path.as_path(), name, rdm)));
        }
        let references = models::told_apart(references)?;
        let subjects = models::load(&config.compare, config.inference.as_ref(), images.n_images())?;
        if config.patterns == SpatialPooling::Gap {
            (graph, taps) = graph.with_gap(&taps)?;
        }
        Ok(Self { config, graph, taps, tap_names, device, images, references, subjects, sets, warnings })
    }

    /// For all images at once where they fit into [`MEMORY`], else for batches.
    fn executor(&self) -> Result<Box<dyn Executor>> {
        let whole: Vec<TapRequest> = self.taps.iter().map(|&t| TapRequest::Moments(t)).collect();
        let executor = model::executor(&self.graph, &whole, &self.device)?;
        if fits(executor.as_ref(), self.images.n_images(), MEMORY) {
            return Ok(executor);
        }
        let parts: Vec<TapRequest> = self.taps.iter().map(|&t| TapRequest::Activations(t)).collect();
        model::executor(&self.graph, &parts, &self.device)
    }

    /// One RDM per tap, from the moments of all images; `scratch` holds what does not fit in memory
    /// meanwhile.
    fn fingerprints(
        &self,
        executor: &mut dyn Executor,
        scratch: &Path,
        done: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<(String, Rdm)>> {
        let mut layers = Vec::with_capacity(self.taps.len());
        moments(executor, &self.images, &self.device, scratch, done, &mut |layer, m| {
            let labels = self.images.names().to_vec();
            let rdm = from_moments(m.gram.view(), &m.sums, m.n_units, self.config.measure, labels)?;
            layers.push((self.tap_names[layer].clone(), rdm));
            Ok(())
        })?;
        Ok(layers)
    }

    fn describe(&self, executor: &dyn Executor) -> Value {
        let deepest = self.taps.iter().copied().max().unwrap_or(0);
        let n = self.images.n_images();
        let mut plan = json!({
            "dry_run": true,
            "model": self.graph.name,
            "executor": executor.describe(),
            "input": [n, 3, self.graph.input.height, self.graph.input.width],
            "taps": self.tap_names,
            "gflop": 2.0 * (self.graph.n_macs(deepest) * n as u64) as f64 / 1e9,
            "references": self.references.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "n_permutations": self.config.n_permutations,
        });
        if let Ok(bytes @ 1..) = scratch_bytes(executor, n) {
            plan["scratch_mb"] = json!((bytes as f64 / f64::from(1 << 20)).ceil());
        }
        plan
    }
}

/// The job.
pub struct LayerRdms;

impl Job for LayerRdms {
    const NAME: &'static str = "rdm";
    const ABOUT: &'static str = "Layer RDMs (fingerprints) of any set of images, compared with brain RDMs";
    const TITLE: &'static str = "Layer fingerprints";

    type Config = Config;
    type Plan = Plan;
    type Results = Results;
    #[cfg(feature = "cli")]
    type Flags = flags::Flags;

    fn explained() -> Config {
        Config { inference: Some(Inference::default()), ..Config::default() }
    }

    fn plan(config: Config) -> Result<Plan> {
        Plan::new(config)
    }

    fn checked(plan: &Plan) -> Checked<'_, Config> {
        Checked { config: &plan.config, sets: plan.sets.clone(), warnings: plan.warnings.clone() }
    }

    fn describe(plan: &Plan) -> Result<Value> {
        Ok(plan.describe(plan.executor()?.as_ref()))
    }

    fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
        execute(plan, session, run)
    }

    fn summary(results: &Results) -> String {
        page::summary(results)
    }

    fn page(results: &Results, page: &mut Page, figures: &mut Figures) {
        page::page(page, results, figures);
    }
}

fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
    let mut executor = plan.executor()?;
    run.computes_on(executor.describe())?;
    let n_steps = n_steps(executor.as_ref(), plan.images.n_images())? as u64;
    let progress = RefCell::new(Progress::new(&session.progress, "rdm", n_steps + 2, 0));
    let through = || format!("{} images through {} layers", plan.images.n_images(), plan.taps.len());
    let layers = plan.fingerprints(executor.as_mut(), &run.checkpoint(), &|n| {
        (0..n).for_each(|_| progress.borrow_mut().tick(through));
        !session.cancel.requested()
    })?;
    let mut progress = progress.into_inner();
    // Nothing of this job is worth a checkpoint: it is repeated in seconds.
    session.cancel.check()?;
    let options = Options {
        statistic: plan.config.statistic,
        n_permutations: plan.config.n_permutations,
        seed: plan.config.seed,
        ..Options::default()
    };
    let (rows, warnings) = table(&layers, &plan.references, &options)?;
    warnings.into_iter().for_each(|w| run.warn(w));
    progress.tick(|| format!("{} comparisons", rows.len()));
    session.cancel.check()?;
    rdms_npz(&layers)?.write(&run.file("arrays/rdms.npz"))?;
    let pairs: Vec<&Rdm> = layers.iter().map(|(_, rdm)| rdm).collect();
    let second_order = compare::second_order(&pairs, Comparison::Pearson)?;
    write_table(run, &rows)?;
    draw(plan, run, &layers, &second_order, &rows)?;
    progress.tick(|| "figures".into());
    progress.finish();
    let models = match &plan.config.inference {
        Some(inference) => {
            let options = inference.options(plan.config.statistic, plan.config.seed);
            models::compare(run, &layers, &plan.subjects, inference, &options)?
        }
        None => vec![],
    };
    Ok(Results { models, ..results(plan, &layers, &second_order, rows) })
}

fn results(plan: &Plan, layers: &[(String, Rdm)], second_order: &Array2<f64>, rows: Vec<Row>) -> Results {
    let n = second_order.nrows();
    let off: Vec<f64> = (0..n).flat_map(|l| (l + 1..n).map(move |m| (l, m))).map(|lm| second_order[lm].abs()).collect();
    Results {
        taps: plan.tap_names.clone(),
        n_images: plan.images.n_images(),
        images: plan.images.names().to_vec(),
        measure: plan.config.measure,
        rdm_sd: layers.iter().map(|(_, rdm)| stats::sd(rdm.values(), 0)).collect(),
        mean_abs_r: stats::mean(&off),
        max_abs_r: off.iter().copied().fold(0.0, f64::max),
        comparisons: rows,
        models: vec![],
    }
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
    for row in rows {
        let numbers = [row.spearman, row.pearson, row.kendall_tau_a, row.p_permutation].map(tsv::field);
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
        entries: figures::Entries::Dissimilarity,
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
