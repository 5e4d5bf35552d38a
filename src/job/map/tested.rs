//! Values of places with their test, ceiling and intervals: of searchlights, regions and simulated regions alike.

use super::config::PlaceCorrection;
use super::parts::{self, Part};
use super::plan::Plan;
use crate::data::Betas;
use crate::error::{Error, Result};
use crate::job::Session;
use crate::job::run_dir::RunDir;
use crate::mapping::Patterns;
use crate::mapping::ceiling::{self, Reliability};
use crate::mapping::image_bootstrap::Intervals;
use crate::mapping::null::Null;
use crate::mapping::searchlight::{Maps, Places};
use crate::math::permutation::Tail;
use crate::progress::Progress;
use crate::stats::correction::benjamini_hochberg;
use crate::warning::Warning;
use ndarray::Array2;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

/// Maps with their test.
pub struct Tested {
    pub maps: Maps,
    /// Uncorrected p and the extremes of the relabelled maps.
    pub null: Option<Null>,
    /// Corrected p, n_values x n_places.
    pub corrected: Option<Array2<f64>>,
    pub reliability: Option<Reliability>,
    /// Of every value, over images; n_values x n_places each.
    pub intervals: Option<Intervals>,
}

/// Values and null distributions of the places in `range`.
pub fn measured<P: Places>(
    plan: &Plan,
    places: &P,
    range: Range<usize>,
    folder: &Path,
    session: &Session,
) -> Result<Vec<Part>> {
    let patterns = plan.patterns.as_ref().expect("there are betas");
    let n = plan.n_permutations();
    let total = range.len() * (1 + usize::from(n > 0));
    let progress = Mutex::new(Progress::new(&session.progress, "map", total as u64, 0));
    let done = |count: usize| {
        if let Ok(mut progress) = progress.lock() {
            (0..count).for_each(|_| progress.tick(|| "centres".into()));
        }
        !session.cancel.requested()
    };
    let found = parts::measure((patterns, &plan.comparator), places, range, (n, plan.config.seed), folder, &done);
    progress.into_inner().map(|p| p.finish()).ok();
    found
}

/// Searchlight or regions: values, test, ceiling.
pub fn tested<P: Places>(
    plan: &Plan,
    betas: &Betas,
    places: &P,
    session: &Session,
    run: &mut RunDir,
) -> Result<Tested> {
    let patterns = plan.patterns.as_ref().expect("there are betas");
    let (maps, null) = match &plan.joined {
        Some(joined) => joined.clone(),
        None => parts::join(measured(plan, places, 0..places.len(), &run.file("checkpoint"), session)?, places.len())?,
    };
    if plan.n_permutations() == 0 && plan.config.test.n_permutations > 0 {
        run.warn(Warning::Note { text: "Kendall's tau-a maps are not tested: use spearman for significance".into() });
    }
    let corrected = null.as_ref().map(|null| correct(&maps, null, plan.config.test.correction));
    let reliability = if plan.config.maps.ceiling { reliability(plan, patterns, betas, places, run)? } else { None };
    let intervals = intervals(plan, patterns, places, session)?;
    Ok(Tested { maps, null, corrected, reliability, intervals })
}

/// Intervals over images, where they are asked for.
fn intervals<P: Places>(plan: &Plan, patterns: &Patterns, places: &P, session: &Session) -> Result<Option<Intervals>> {
    let Some(bootstrap) = &plan.bootstrap else { return Ok(None) };
    let progress = Mutex::new(Progress::new(&session.progress, "resample images", places.len() as u64, 0));
    let done = |count: usize| {
        if let Ok(mut progress) = progress.lock() {
            (0..count).for_each(|_| progress.tick(|| "centres".into()));
        }
        !session.cancel.requested()
    };
    let found = bootstrap.places(patterns, places, plan.resampling(), &done);
    progress.into_inner().map(|p| p.finish()).ok();
    found.map(Some)
}

/// Corrects p for the number of places, within each value.
pub fn correct(maps: &Maps, null: &Null, correction: PlaceCorrection) -> Array2<f64> {
    match correction {
        PlaceCorrection::None => null.p.clone(),
        PlaceCorrection::Fwe => null.family_wise(maps, Tail::Greater),
        PlaceCorrection::Fdr => {
            let mut corrected = null.p.clone();
            for mut row in corrected.rows_mut() {
                let p = benjamini_hochberg(&row.to_vec());
                row.iter_mut().zip(p).for_each(|(r, p)| *r = p);
            }
            corrected
        }
    }
}

/// `None`, with a warning, where the data cannot be halved.
fn reliability<P: Places>(
    plan: &Plan,
    patterns: &Patterns,
    betas: &Betas,
    places: &P,
    run: &mut RunDir,
) -> Result<Option<Reliability>> {
    let found = ceiling::halves(betas)
        .and_then(|halves| ceiling::split_half(&halves, patterns.measurement(), plan.config.statistic, places));
    match found {
        Ok(reliability) => Ok(Some(reliability)),
        Err(e @ Error::Invalid { .. }) => {
            run.warn(Warning::Note { text: format!("no noise ceiling: {e}") });
            Ok(None)
        }
        Err(e) => Err(e),
    }
}
