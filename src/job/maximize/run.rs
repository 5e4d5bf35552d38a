//! The job: natural responses, batches on all threads, the best images written and measured again,
//! results.

use super::batch::{Finished, Shared, run_batch};
use super::config::{Config, Method};
use super::output::{self, Kept, Measured};
use super::page;
use super::plan::Plan;
use super::results::Results;
use crate::error::Result;
use crate::image::Amplitude;
use crate::job::RunDir;
use crate::job::Session;
use crate::job::drive::pool::on_all_threads;
use crate::job::drive::{Natural, Population};
use crate::job::machine::peak_rss_mb;
use crate::job::{Checked, Job};
use crate::progress::Progress;
use crate::report::{Figures, Page};
use serde_json::Value;
use std::sync::Mutex;
use std::time::Instant;

/// The job.
pub struct Maximize;

impl Job for Maximize {
    const NAME: &'static str = "maximize";
    const ABOUT: &'static str = "Images that drive units or neuron models up, down or to a level";
    const TITLE: &'static str = "Images that drive units";

    type Config = Config;
    type Plan = Plan;
    type Results = Results;
    #[cfg(feature = "cli")]
    type Flags = super::flags::Flags;

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
    run.computes_on(plan.population.executor(&plan.batches[0].units, &plan.device)?.0.describe())?;
    let began = Instant::now();
    let natural = natural(plan, &plan.population, session, "natural responses")?;
    let finished =
        if plan.config.method == Method::Natural { vec![] } else { synthesise(plan, session, run, natural.as_ref())? };
    let synthesis_seconds = finished.iter().map(|f| f.batch.seconds).sum::<f64>();
    let kept = match &natural {
        Some(natural) if plan.config.method == Method::Natural => output::natural_images(plan, natural),
        _ => output::best(plan, &finished),
    };
    let measured = measure(plan, session, run, kept, natural.as_ref())?;
    output::arrays(plan, run, &finished, &measured, natural.as_ref())?;
    super::figures::draw(plan, run, &finished, &measured, natural.as_ref())?;
    output::warn(plan, run, &finished, &measured, natural.as_ref());
    let rows = output::units(plan, &finished, &measured, natural.as_ref());
    output::sidecars(plan, run, &finished, &rows, &measured)?;
    let n_optimised = finished.iter().map(|f| f.batch.rows.len()).sum::<usize>();
    // Batches run side by side: their own seconds overlap.
    let share = rayon::current_num_threads().min(plan.batches.len()).max(1) as f64;
    let executor_seconds = finished.iter().map(|f| f.batch.executor_seconds).sum::<f64>();
    Ok(Results {
        method: plan.config.method,
        n_units: plan.population.units.len(),
        n_images_optimised: n_optimised,
        steps: plan.config.steps,
        summary: output::summary(plan, &measured, natural.as_ref()),
        units: rows,
        seconds_total: began.elapsed().as_secs_f64(),
        seconds_synthesis: synthesis_seconds / share,
        images_per_second: n_optimised as f64 / (synthesis_seconds / share).max(f64::MIN_POSITIVE),
        executor_share: executor_seconds / synthesis_seconds.max(f64::MIN_POSITIVE),
        peak_rss_mb: peak_rss_mb(),
    })
}

/// Responses of all units of a population to the natural images.
fn natural(plan: &Plan, population: &Population, session: &Session, label: &str) -> Result<Option<Natural>> {
    let Some((stimuli, _)) = &plan.natural else { return Ok(None) };
    let responses = population.responses_shown(&stimuli.images().to_owned(), &plan.device, &session.progress, label)?;
    Ok(Some(Natural { stimuli: stimuli.clone(), responses }))
}

fn synthesise(plan: &Plan, session: &Session, run: &RunDir, natural: Option<&Natural>) -> Result<Vec<Finished>> {
    let amplitude = match natural {
        Some(natural) if plan.config.method == Method::PhaseOnly => {
            Some(Amplitude::of(&natural.images(), plan.config.image.grey)?)
        }
        _ => None,
    };
    let total = plan.batches.len() * (plan.config.steps + 1);
    let progress = Mutex::new(Progress::new(&session.progress, "maximize", total as u64, 0));
    let shared =
        Shared { plan, natural, amplitude: amplitude.as_ref(), run, cancel: &session.cancel, progress: &progress };
    let finished = on_all_threads(plan.batches.len(), |batch| run_batch(&shared, batch))?;
    progress.into_inner().expect("all workers have ended").finish();
    Ok(finished)
}

/// Writes the kept images, and runs what was written through all models.
fn measure(
    plan: &Plan,
    session: &Session,
    run: &RunDir,
    kept: Vec<Kept>,
    natural_here: Option<&Natural>,
) -> Result<Measured> {
    let kept = output::write_images(run, kept)?;
    let shown = output::shown(plan, &kept);
    let own = plan.population.responses_shown(&shown, &plan.device, &session.progress, "exported responses")?;
    let mut checks = Vec::new();
    for check in &plan.checks {
        let label = format!("check {}", check.name);
        let table = check.population.responses_shown(&shown, &plan.device, &session.progress, &label)?;
        let reference = match natural_here {
            Some(_) => natural(plan, &check.population, session, &format!("{label}, natural"))?,
            None => None,
        };
        checks.push((check.name.clone(), table, reference));
    }
    Ok(Measured { kept, own, checks })
}
