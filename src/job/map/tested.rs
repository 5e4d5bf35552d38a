//! Values of places with their test, ceiling and intervals: of searchlights, regions and simulated
//! regions alike.

use super::parts;
use super::plan::Plan;
use super::watched::watched;
use crate::data::Betas;
use crate::error::{Error, Result};
use crate::job::Session;
use crate::job::run_dir::RunDir;
use crate::mapping::Part;
use crate::mapping::ceiling::{self, Reliability};
use crate::mapping::image_bootstrap::Intervals;
use crate::mapping::null::Null;
use crate::mapping::searchlight::{Maps, Places};
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
    let part = match &plan.joined {
        Some(joined) => joined.clone(),
        None => parts::whole(plan, places, &run.checkpoint(), session)?,
    };
    if plan.n_permutations() == 0 && plan.config.test.n_permutations > 0 {
        run.warn(Warning::Note { text: "Kendall's tau-a maps are not tested: use spearman for significance".into() });
    }
    let corrected = part.corrected(plan.config.test.correction);
    let reliability = if plan.config.maps.ceiling { reliability(plan, betas, places, run)? } else { None };
    let intervals = intervals(plan, places, session)?;
    let Part { maps, null, .. } = part;
    Ok(Tested { maps, null, corrected, reliability, intervals })
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
