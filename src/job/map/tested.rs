//! Values of places with their test, ceiling and intervals: of searchlights, regions and simulated
//! regions alike.

use super::parts;
use super::plan::Plan;
use super::watched::watched;
use crate::data::Betas;
use crate::error::{Error, Result};
use crate::job::Session;
use crate::job::run_dir::RunDir;
use crate::mapping::ceiling::{self, Reliability};
use crate::mapping::image_bootstrap::Intervals;
use crate::mapping::null::Null;
use crate::mapping::searchlight::{Maps, Places};
use crate::mapping::{Part, PlaceCorrection, fdr_needs};
use crate::stats::correction::Family;
use crate::warning::Warning;
use ndarray::Array2;

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

/// Searchlight or regions: values, test, ceiling.
pub fn tested<P: Places>(
    plan: &Plan,
    betas: &Betas,
    places: &P,
    session: &Session,
    run: &mut RunDir,
) -> Result<Tested> {
    let part = match &plan.shards {
        Some(shards) => shards.part.clone(),
        None => parts::whole(plan, places, &run.checkpoint(), session)?,
    };
    if plan.n_permutations() == 0 && plan.config.test.n_permutations > 0 {
        run.warn(Warning::Note { text: "Kendall's tau-a maps are not tested: use spearman for significance".into() });
    }
    let corrected =
        part.corrected(plan.config.test.correction, plan.config.test.family, plan.comparator.layers().len());
    if let Some(warning) = out_of_reach(plan, places.len()) {
        run.warn(warning);
    }
    let reliability = if plan.config.maps.ceiling { reliability(plan, betas, places, run)? } else { None };
    let intervals = intervals(plan, places, session)?;
    let Part { maps, null, .. } = part;
    Ok(Tested { maps, null, corrected, reliability, intervals })
}

/// More than this many places must be at the smallest p before a warning says so, and this share.
const FEW_PLACES: usize = 20;
const SMALL_SHARE: f64 = 0.001;

/// Says where the false discovery rate cannot find a small focus.
fn out_of_reach(plan: &Plan, n_places: usize) -> Option<Warning> {
    let (test, n) = (&plan.config.test, plan.n_permutations());
    if test.correction != PlaceCorrection::Fdr || n == 0 {
        return None;
    }
    let n_tests = n_places * if test.family == Family::All { plan.comparator.layers().len() } else { 1 };
    let needed = fdr_needs(n_tests, n, test.alpha);
    let text = format!(
        "with {n} relabellings no p is below 1/{}, and the false discovery rate calls nothing significant until {needed} of {n_tests} tests are there: take `fwe`, or {} relabellings to find {FEW_PLACES}",
        n + 1,
        (n_tests as f64 / (FEW_PLACES as f64 * test.alpha)).ceil()
    );
    (needed > FEW_PLACES && needed as f64 > SMALL_SHARE * n_tests as f64).then_some(Warning::Note { text })
}

/// Intervals over images, where they are asked for.
fn intervals<P: Places>(plan: &Plan, places: &P, session: &Session) -> Result<Option<Intervals>> {
    let Some(bootstrap) = &plan.bootstrap else { return Ok(None) };
    watched(session, "resample images", places.len(), |sink| {
        bootstrap.places(plan.question().patterns, places, plan.resampling(), sink).map(Some)
    })
}

/// `None`, with a warning, where the data cannot be halved.
fn reliability<P: Places>(plan: &Plan, betas: &Betas, places: &P, run: &mut RunDir) -> Result<Option<Reliability>> {
    match ceiling::reliability(betas, &plan.question(), places) {
        Ok(reliability) => Ok(Some(reliability)),
        Err(e @ Error::Invalid { .. }) => {
            run.warn(Warning::Note { text: format!("no noise ceiling: {e}") });
            Ok(None)
        }
        Err(e) => Err(e),
    }
}
