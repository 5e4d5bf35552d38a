//! Files of `predict`.

use super::RunDir;
use super::plan::Plan;
use super::scores::Table;
use crate::error::Result;
use crate::io::{npy, tsv};
use ndarray::Array2;

/// Predictions, and what their rows and columns are.
pub fn arrays(plan: &Plan, run: &RunDir, predictions: &Array2<f32>) -> Result<()> {
    npy::write(&run.file("arrays/predictions.npy"), predictions)?;
    let mut stimuli = tsv::Table::new(["stimulus", "fitted_on"]);
    for (i, name) in plan.stimuli.iter().enumerate() {
        let known = plan.trained.as_ref().map_or("n/a", |all| if all[i] { "yes" } else { "no" });
        stimuli.push([name.as_str(), known]);
    }
    tsv::write(&run.file("arrays/stimuli.tsv"), &stimuli)?;
    let mut fitted = vec![false; plan.model.targets.len()];
    plan.model.readouts.iter().flat_map(|readout| &readout.targets).for_each(|&t| fitted[t] = true);
    let mut targets = tsv::Table::new(["name", "number", "fitted"]);
    for ((name, number), fitted) in plan.model.targets.iter().zip(&plan.chosen).zip(fitted) {
        targets.push([name.clone(), number.to_string(), if fitted { "yes" } else { "no" }.to_owned()]);
    }
    tsv::write(&run.file("arrays/targets.tsv"), &targets)
}

/// One row a scored target.
pub fn scores(plan: &Plan, run: &RunDir, table: &Table) -> Result<()> {
    let mut out = tsv::Table::new(["target", "r", "r2", "r2_er", "feve"]);
    for (i, &target) in table.targets.iter().enumerate() {
        let corrected = |values: &Option<Vec<f64>>| tsv::field(values.as_ref().map_or(f64::NAN, |v| v[i]));
        let name = plan.model.targets[target].clone();
        let (r, r2) = (tsv::field(table.r[i]), tsv::field(table.r2[i]));
        out.push([name, r, r2, corrected(&table.r2_er), corrected(&table.feve)]);
    }
    tsv::write(&run.file("arrays/scores.tsv"), &out)
}
