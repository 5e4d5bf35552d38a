//! The job: items, the best of them, its images, arrays, results and figures.

use super::checkpoint::{self, Checkpoint};
use super::config::Config;
use super::item::{Finished, run_item};
use super::output;
use super::page;
use super::plan::Plan;
use super::results::{Restart, Results};
use super::score::{Fingerprints, Score};
use crate::error::Result;
use crate::image::{PROBES, dequantize, quantize};
use crate::job::RunDir;
use crate::job::Session;
use crate::job::configuration::section;
use crate::job::machine::peak_rss_mb;
use crate::job::model;
use crate::job::{Checked, Job, Named};
use crate::network::Executor;
use crate::progress::Progress;
use crate::report::{Figures, Page};
use crate::synthesis::{Verdict, verdict};
use crate::warning::Warning;
use ndarray::{Array4, Axis};
use serde_json::Value;

/// An item's outcome, measured on its 8-bit images.
pub(super) struct Outcome {
    pub item: usize,
    pub checkpoint: Checkpoint,
    pub start: Fingerprints,
    pub last: Fingerprints,
    pub exported: Fingerprints,
    /// N x 3 x H x W.
    pub images: Array4<u8>,
}

/// The job.
pub struct Orthogonalize;

impl Job for Orthogonalize {
    const NAME: &'static str = "orthogonalize";
    const ABOUT: &'static str = "N images whose layer RDMs are mutually uncorrelated (or follow target RDMs)";
    const TITLE: &'static str = "Images with uncorrelated layer fingerprints";

    type Config = Config;
    type Plan = Plan;
    type Results = Results;
    #[cfg(feature = "cli")]
    type Flags = super::flags::Flags;

    /// Without random views nothing blurs what the network sees: the band limit goes with them
    /// unless it is given.
    fn settle(given: &mut toml::Table) -> Result<()> {
        let plain = given.get("robust").and_then(|r| r.get("enabled")).and_then(toml::Value::as_bool) == Some(false);
        if plain && let Some(image) = section(given, "image") {
            image.entry("band_limit").or_insert_with(|| 0.0.into());
        }
        Ok(())
    }

    fn plan(config: Config) -> Result<Plan> {
        Plan::new(config)
    }

    fn checked(plan: &Plan) -> Checked<'_, Config> {
        Checked { config: &plan.config, sets: plan.sets.clone(), warnings: plan.warnings.clone() }
    }

    fn describe(plan: &Plan) -> Result<Value> {
        output::describe(plan)
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
    let mut scorer = model::executor(&plan.graph, &plan.requests(), &plan.device)?;
    run.computes_on(scorer.describe())?;
    let total = plan.config.restarts * plan.steps_per_octave() * plan.octaves.len();
    let mut done = 0;
    for item in 0..plan.config.restarts {
        done += checkpoint::read(&checkpoint::path(&run.checkpoint(), item))?.map_or(0, |c| c.state.step);
    }
    let mut progress = Progress::new(&session.progress, "orthogonalize", total as u64, done as u64);
    let mut best: Option<Outcome> = None;
    let mut items = Vec::new();
    for item in 0..plan.config.restarts {
        let finished = run_item(plan, &run.checkpoint(), item, &session.cancel, &mut progress)?;
        let outcome = measure(plan, scorer.as_mut(), item, finished)?;
        let (exported, steps) = (outcome.exported.score(), outcome.checkpoint.state.step);
        items.push(Restart { item, exported, steps });
        let score = |o: &Outcome| o.exported.score().mean_abs_r;
        if best.as_ref().is_none_or(|b| score(&outcome) < score(b)) {
            best = Some(outcome);
        }
    }
    progress.finish();
    let best = best.expect("the configuration was checked to have at least one restart");
    let restarts = if plan.config.restarts > 1 { items } else { vec![] };
    Ok(Results { restarts, ..finish(plan, run, scorer.as_mut(), best)? })
}

fn fingerprints(plan: &Plan, scorer: &mut dyn Executor, images: &Array4<f32>) -> Result<Fingerprints> {
    Fingerprints::measure(scorer, images, plan.config.objective.measure, &plan.device)
}

fn measure(plan: &Plan, scorer: &mut dyn Executor, item: usize, finished: Finished) -> Result<Outcome> {
    let images = quantize(&finished.images);
    Ok(Outcome {
        item,
        start: fingerprints(plan, scorer, &finished.start)?,
        last: fingerprints(plan, scorer, &finished.images)?,
        exported: fingerprints(plan, scorer, &dequantize(&images))?,
        images,
        checkpoint: finished.checkpoint,
    })
}

/// Writes the best item and measures again what was written.
fn finish(plan: &Plan, run: &mut RunDir, scorer: &mut dyn Executor, best: Outcome) -> Result<Results> {
    let written = output::images(run, &best.images)?;
    let shown = dequantize(&written);
    let exported = fingerprints(plan, scorer, &shown)?;
    let mut probes = Named::default();
    let mut robust: Option<Score> = None;
    for probe in PROBES {
        let score = fingerprints(plan, scorer, &probe.transform.apply_array(&shown))?.score();
        if score.mean_abs_r > plan.chance
            && plan.config.objective.target.is_none()
            && plan.config.objective.target_rsms.is_none()
        {
            run.warn(Warning::NotRobust {
                probe: probe.transform.describe(),
                score: score.mean_abs_r,
                chance: plan.chance,
            });
        }
        if robust.is_none_or(|worst| score.mean_abs_r > worst.mean_abs_r) {
            robust = Some(score);
        }
        probes.put(probe.name, score);
    }
    let baseline = match &plan.baseline {
        Some(stimuli) => Some(fingerprints(plan, scorer, &stimuli.images().to_owned())?),
        None => None,
    };
    let state = &best.checkpoint.state;
    let verdict = verdict(state.trace.column("objective"), CONVERGED);
    warn(plan, run, &best, &exported, &shown, verdict);
    output::arrays(plan, run, &exported, baseline.as_ref(), state)?;
    output::figures(plan, run, &written, &exported, baseline.as_ref(), state)?;
    let steps = state.step;
    Ok(Results {
        taps: plan.tap_names.clone(),
        n_images: plan.config.n_images,
        steps,
        converged: verdict.converged,
        seconds_per_step: best.checkpoint.seconds / steps.max(1) as f64,
        executor_share: best.checkpoint.executor_seconds / best.checkpoint.seconds.max(f64::MIN_POSITIVE),
        peak_rss_mb: peak_rss_mb(),
        start: best.start.score(),
        last: best.last.score(),
        exported: exported.score(),
        robust,
        probes,
        baseline: baseline.as_ref().map(Fingerprints::score),
        chance_mean_abs_r: plan.chance,
        rsm_sd: exported.sd.to_vec(),
        best_item: best.item,
        objective: plan.goal().describe(),
        image_statistics: output::image_statistics(plan, &shown),
        restarts: vec![],
    })
}

/// A gain below this share of the range over the last tenth of the steps counts as converged.
const CONVERGED: f64 = 0.02;
/// A larger loss by rounding to 8 bits is worth a warning.
const EXPORT_GAP: f64 = 0.02;
/// A larger share of pixels at the edge of the range is worth a warning.
const CLIPPED: f64 = 0.02;

fn warn(plan: &Plan, run: &mut RunDir, best: &Outcome, exported: &Fingerprints, shown: &Array4<f32>, verdict: Verdict) {
    if !verdict.converged {
        let (item, steps) = (format!("item {}", best.item), best.checkpoint.state.step);
        run.warn(Warning::NotConverged { item, steps, last_gain: verdict.gain });
    }
    let wanted = plan.config.objective.min_sd;
    for (tap, &sd) in plan.tap_names.iter().zip(&exported.sd) {
        if sd < 0.6 * wanted {
            run.warn(Warning::FlatFingerprint { tap: tap.clone(), sd, wanted });
        }
    }
    let (before, after): (Score, Score) = (best.last.score(), exported.score());
    if after.mean_abs_r > before.mean_abs_r + EXPORT_GAP {
        run.warn(Warning::ExportGap { before: before.mean_abs_r, after: after.mean_abs_r });
    }
    let clipped = |image: ndarray::ArrayView3<'_, f32>| {
        image.iter().filter(|&&v| v <= 0.0 || v >= 1.0).count() as f64 / image.len() as f64
    };
    let fraction = shown.axis_iter(Axis(0)).map(clipped).fold(0.0, f64::max);
    if fraction > CLIPPED {
        run.warn(Warning::ClippedPixels { fraction });
    }
}
