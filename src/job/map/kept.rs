//! The maps of the relabellings that all subjects share, as files that `group` reads: they make a
//! group test that generalises over images.

use super::parts;
use super::plan::Plan;
use crate::data::Mask;
use crate::error::{Error, Result};
use crate::io::{json, npy_blocks};
use crate::job::brain::relabelled::{About, R2, files};
use crate::job::run_dir::RunDir;
use crate::mapping::null::shared_relabellings;

/// Writes the relabelled maps, n_values x n_kept x n_places, where some are to be kept; one part of
/// the places is in memory at a time.
pub fn write(run: &RunDir, plan: &Plan, places: &Mask) -> Result<()> {
    let n_kept = plan.config.test.keep_relabellings;
    if n_kept == 0 {
        return Ok(());
    }
    let [array, words] = files(&run.file("arrays"));
    let (n_values, n_places) = (plan.comparator.n_values(), places.n_voxels());
    npy_blocks::write(&array, &[n_values, n_kept, n_places], |blocks| {
        parts::each_kept(plan, n_places, &run.checkpoint(), |start, kept| {
            for (k, values) in kept.outer_iter().enumerate() {
                for (v, row) in values.outer_iter().enumerate() {
                    let offset = (v * n_kept + k) * n_places + start;
                    blocks.put(offset, row.iter().copied()).map_err(Error::io(&array, "write"))?;
                }
            }
            Ok(())
        })
    })?;
    let layers = plan.comparator.layers().iter().map(String::as_str);
    let about = About {
        description: "maps of relabelled conditions, values x relabellings x voxels: those of every subject".into(),
        comparison: plan.config.statistic.to_string(),
        values: layers.chain(plan.comparator.has_r2().then_some(R2)).map(String::from).collect(),
        relabellings: shared_relabellings(plan.conditions.len(), n_kept),
        voxels: places.voxels().to_vec(),
        conditions: plan.conditions.clone(),
    };
    json::write(&words, &about)
}
