//! Predictions against recorded responses.

use super::plan::Recorded;
use super::results::{Best, Scored, Spread};
use crate::encoding::identification::{Identification, identify};
use crate::encoding::reliability::{Repeats, feve, r2_er};
use crate::encoding::scores::{FEWEST, pearson, r2};
use crate::error::Result;
use crate::math::stats;
use ndarray::{Array2, Axis};

/// Scores of every target that both the model and the responses have.
pub struct Table {
    /// Numbers of the (chosen) model's targets.
    pub targets: Vec<usize>,
    /// Means over repeats, scored stimuli x targets.
    pub measured: Array2<f32>,
    /// Predictions of the same.
    pub predicted: Array2<f32>,
    pub r: Vec<f64>,
    pub r2: Vec<f64>,
    /// NaN where it is not defined; none without repeats.
    pub r2_er: Option<Vec<f64>>,
    pub feve: Option<Vec<f64>>,
    /// Columns by r, the best first.
    pub order: Vec<usize>,
    pub summary: Scored,
}

/// Scores predictions (n_stimuli x targets of the model).
///
/// # Errors
/// None for what the plan has checked.
pub fn score(predictions: &Array2<f32>, recorded: &Recorded, names: &[String], n_best: usize) -> Result<Table> {
    let Recorded { aligned, pairs } = recorded;
    let (targets, columns): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
    let predicted = predictions.select(Axis(0), &aligned.stimuli).select(Axis(1), &targets);
    let means = aligned.responses.mean().select(Axis(0), &columns);
    let measured = means.t().mapv(|v| v as f32);
    let r = pearson(measured.view(), predicted.view())?.of_enough(measured.nrows(), FEWEST);
    let r2 = r2(measured.view(), predicted.view())?;
    let n_repeats = aligned.responses.n_repeats();
    let corrected = |score: fn(&[f64], &Repeats) -> f64| {
        let of = |(place, &column): (usize, &usize)| {
            let repeats = Repeats::of(aligned.responses.values().index_axis(Axis(0), column));
            let model: Vec<f64> = predicted.column(place).iter().map(|&v| f64::from(v)).collect();
            score(&model, &repeats)
        };
        (n_repeats > 1).then(|| columns.iter().enumerate().map(of).collect::<Vec<f64>>())
    };
    let (er, ve) = (corrected(r2_er), corrected(feve));
    let mut order: Vec<usize> = (0..targets.len()).collect();
    order.sort_by(|&a, &b| r.values[b].total_cmp(&r.values[a]).then(a.cmp(&b)));
    let best = order.iter().filter(|&&i| r.values[i].is_finite()).take(n_best);
    let best = best.map(|&i| Best { target: names[targets[i]].clone(), r: r.values[i] }).collect();
    let summary = Scored {
        n_stimuli: measured.nrows(),
        n_targets: targets.len(),
        n_repeats,
        n_constant: r.n_constant,
        n_not_finite: r.n_not_finite,
        r: Spread::of(&r.values),
        r2: Spread::of(&r2.values),
        r2_er: er.as_deref().map(Spread::of),
        feve: ve.as_deref().map(Spread::of),
        best,
    };
    Ok(Table { targets, measured, predicted, r: r.values, r2: r2.values, r2_er: er, feve: ve, order, summary })
}

/// Identifies the scored stimuli from their patterns over targets, each target measured from the
/// mean of its responses in their standard deviations; none with fewer than two stimuli or usable
/// targets.
pub fn identified(table: &Table) -> Option<Identification> {
    let (mut predicted, mut measured) = (table.predicted.clone(), table.measured.clone());
    for (mut p, mut m) in predicted.columns_mut().into_iter().zip(measured.columns_mut()) {
        let values: Vec<f64> = m.iter().map(|&v| f64::from(v)).collect();
        let (mean, sd) = (stats::mean(&values), stats::sd(&values, 0));
        // A target that does not vary tells no stimuli apart: it is left out as not finite.
        let z = |v: f32| if sd > 0.0 { ((f64::from(v) - mean) / sd) as f32 } else { f32::NAN };
        p.mapv_inplace(z);
        m.mapv_inplace(z);
    }
    identify(predicted.view(), measured.view(), None).ok()
}
