//! The job: batches on all threads, images written within their budget and measured again,
//! controls, results.

use super::batch::{Perturbed, Shared, answer, margin_of, run_batch};
use super::config::{Aim, Config};
use super::control;
use super::measured::{Measured, Random};
use super::output;
use super::page;
use super::plan::Plan;
use super::results::Results;
use crate::error::{Error, Result};
use crate::image::ball::LEVELS;
use crate::image::{dequantize, ssim};
use crate::io::png;
use crate::job::RunDir;
use crate::job::Session;
use crate::job::drive::Natural;
use crate::job::drive::pool::on_all_threads;
use crate::job::machine::peak_rss_mb;
use crate::job::{Checked, Job};
use crate::math::stats;
use crate::progress::Progress;
use crate::report::{Figures, Page};
use crate::warning::Warning;
use ndarray::{Array2, Array3, Array4, Axis, stack};
use serde_json::Value;
use std::sync::Mutex;
use std::time::Instant;

/// The job.
pub struct Adversarial;

impl Job for Adversarial {
    const NAME: &'static str = "adversarial";
    const ABOUT: &'static str = "Bounded perturbations of given images that drive a response up and down";
    const TITLE: &'static str = "Bounded perturbations";

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
    let began = Instant::now();
    run.computes_on(plan.population.executor(&[0], &plan.device)?.0.describe())?;
    let bases = plan.bases.images().to_owned();
    let base = plan.population.responses_shown(&bases, &plan.device, &session.progress, "base responses")?;
    let natural = match &plan.natural {
        Some(stimuli) => {
            let responses = plan.population.responses_shown(
                &stimuli.images().to_owned(),
                &plan.device,
                &session.progress,
                "natural responses",
            )?;
            Some(Natural { stimuli: stimuli.clone(), responses })
        }
        None => None,
    };
    let total = plan.batches.len() * (plan.config.n_steps() + 1);
    let progress = Mutex::new(Progress::new(&session.progress, "adversarial", total as u64, 0));
    let shared =
        Shared { plan, natural: natural.as_ref(), base: &base, run, cancel: &session.cancel, progress: &progress };
    let made: Vec<Perturbed> =
        on_all_threads(plan.batches.len(), |batch| run_batch(&shared, batch))?.into_iter().flatten().collect();
    progress.into_inner().expect("all workers have ended").finish();
    let seconds_synthesis = began.elapsed().as_secs_f64();
    let measured = measure(plan, session, run, made, &base)?;
    unperturbed(&measured).into_iter().for_each(|warning| run.warn(warning));
    let pairs = output::pairs(plan, &measured, &base, natural.as_ref());
    output::sidecars(plan, run, &measured, &base)?;
    output::table(plan, run, &pairs)?;
    super::figures::draw(plan, run, &measured, &base, natural.as_ref())?;
    Ok(Results {
        method: plan.config.method,
        norm: plan.config.norm,
        epsilon: plan.config.epsilon.clone(),
        n_units: plan.n_driven(),
        n_images: plan.bases.n_images(),
        summary: output::summary(plan, &measured, &base, natural.as_ref()),
        success: output::success(plan, &measured),
        pairs,
        seconds_total: began.elapsed().as_secs_f64(),
        seconds_synthesis,
        peak_rss_mb: peak_rss_mb(),
    })
}

/// Says where 8 bits left nothing of a perturbation.
fn unperturbed(measured: &[Measured]) -> Option<Warning> {
    let same: Vec<&Measured> = measured.iter().filter(|m| m.made.achieved == 0.0 && m.made.epsilon > 0.0).collect();
    let first = same.first()?;
    let text = format!(
        "{} of {} written images are their base images, such as `{}`: what they should differ by ({} levels) is less than 8 bits can hold, or the search found nothing",
        same.len(),
        measured.len(),
        first.made.file.display(),
        first.made.epsilon
    );
    Some(Warning::Note { text })
}

/// Reads every written image back and shows it to its unit, to the next unit, and to the check
/// models.
fn measure(
    plan: &Plan,
    session: &Session,
    run: &RunDir,
    made: Vec<Perturbed>,
    base: &Array2<f64>,
) -> Result<Vec<Measured>> {
    let n_units = plan.n_driven();
    let progress = Mutex::new(Progress::new(&session.progress, "measuring", n_units as u64, 0));
    let of = |unit: usize| made.iter().filter(|m| m.unit == unit).cloned().collect::<Vec<_>>();
    let units = on_all_threads(n_units, |unit| {
        if session.cancel.requested() {
            return Err(Error::Interrupted { dir: run.path().to_path_buf() });
        }
        let own = of(unit);
        let next = if n_units > 1 { of((unit + 1) % n_units) } else { vec![] };
        let found = measure_unit(plan, run, unit, own, &next, base);
        progress.lock().expect("no worker panics while it reports").tick(String::new);
        found
    })?;
    progress.into_inner().expect("all workers have ended").finish();
    Ok(units.into_iter().flatten().collect())
}

/// Images that are in memory at once while they are measured.
const CHUNK: usize = 64;

fn measure_unit(
    plan: &Plan,
    run: &RunDir,
    unit: usize,
    own: Vec<Perturbed>,
    next: &[Perturbed],
    base: &Array2<f64>,
) -> Result<Vec<Measured>> {
    let margin = plan.config.aim == Aim::Margin;
    let columns: Vec<usize> = if margin { (0..plan.population.units.len()).collect() } else { vec![unit] };
    let mut out = Vec::with_capacity(own.len());
    for (start, chunk) in own.chunks(CHUNK).enumerate().map(|(i, c)| (i * CHUNK, c)) {
        let images = read_back(run, chunk)?;
        let table = plan.population.unit_responses(&columns, &images, &plan.device)?;
        let cross = match next.get(start..start + chunk.len()) {
            Some(others) => Some(plan.population.unit_responses(&columns, &read_back(run, others)?, &plan.device)?),
            None => None,
        };
        let checks: Vec<Array2<f64>> = plan
            .checks
            .iter()
            .map(|check| check.population.unit_responses(&check_columns(check, unit, margin), &images, &plan.device))
            .collect::<Result<_>>()?;
        for (i, made) in chunk.iter().enumerate() {
            let label = margin.then(|| answer(base, made.item.base));
            let read = |t: &Array2<f64>, row: usize| label.map_or(t[(row, 0)], |l| margin_of(t, row, l));
            let before = plan.bases.image(made.item.base);
            out.push(Measured {
                exported: read(&table, i),
                answer: margin.then(|| answer(&table, i)),
                cross: cross.as_ref().map(|t| read(t, i)),
                random: random(plan, &columns, made, label)?,
                ssim: ssim(before, images.index_axis(Axis(0), i)),
                checks: check_pairs(plan, &checks, made, unit, i)?,
                made: made.clone(),
            });
        }
    }
    Ok(out)
}

fn check_columns(check: &crate::job::drive::Check, unit: usize, margin: bool) -> Vec<usize> {
    if margin { (0..check.population.units.len()).collect() } else { vec![check.units[unit]] }
}

/// Response (or margin from its own answer) of each check model to the base and to the perturbed
/// image.
fn check_pairs(
    plan: &Plan,
    tables: &[Array2<f64>],
    made: &Perturbed,
    unit: usize,
    row: usize,
) -> Result<Vec<(f64, f64)>> {
    let margin = plan.config.aim == Aim::Margin;
    let base = plan.bases.image(made.item.base).to_owned().insert_axis(Axis(0));
    let pair = |(check, table): (&crate::job::drive::Check, &Array2<f64>)| {
        let before = check.population.unit_responses(&check_columns(check, unit, margin), &base, &plan.device)?;
        Ok(if margin {
            let label = answer(&before, 0);
            (margin_of(&before, 0, label), margin_of(table, row, label))
        } else {
            (before[(0, 0)], table[(row, 0)])
        })
    };
    plan.checks.iter().zip(tables).map(pair).collect()
}

fn random(plan: &Plan, columns: &[usize], made: &Perturbed, label: Option<usize>) -> Result<Option<Random>> {
    if plan.config.n_random == 0 || made.epsilon <= 0.0 {
        return Ok(None);
    }
    let images = control::random(plan, made.item.base, made.epsilon);
    let table = plan.population.unit_responses(columns, &images, &plan.device)?;
    let values: Vec<f64> =
        (0..table.nrows()).map(|row| label.map_or(table[(row, 0)], |l| margin_of(&table, row, l))).collect();
    let base = plan.bases.image(made.item.base);
    let sizes: Vec<f64> = images
        .outer_iter()
        .map(|image| plan.config.norm.of(image.iter().zip(base).map(|(&x, &b)| LEVELS * f64::from(x - b))))
        .collect();
    Ok(Some(Random { mean: stats::mean(&values), sd: stats::sd(&values, 0), achieved: stats::mean(&sizes) }))
}

/// The written images, in [0, 1].
fn read_back(run: &RunDir, made: &[Perturbed]) -> Result<Array4<f32>> {
    let read = |m: &Perturbed| Ok(png::read(&run.file(&m.file))?.permuted_axes([2, 0, 1]));
    let images: Vec<Array3<u8>> = made.iter().map(read).collect::<Result<_>>()?;
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    let all = stack(Axis(0), &views).map_err(|e| Error::invalid("images", "one size", e.to_string(), ""))?;
    Ok(dequantize(&all))
}
