//! Which of the held-out stimuli was shown, told from the predicted patterns.

use crate::error::{Error, Result};
use crate::math::stats;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// How often the right stimulus is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identification {
    /// Share of measured patterns whose own prediction correlates with them most (Kay et al.,
    /// Nature 452:352, 2008).
    pub of_measured: f64,
    /// Share of predicted patterns whose own measurement correlates with them most (Kamali et al.).
    pub of_predicted: f64,
    /// Mean over measured patterns of the share of wrong candidates that correlate less than the
    /// right one: 0.5 by chance, whatever the number of candidates.
    pub pairwise: f64,
    /// What [`Identification::of_measured`] is by chance.
    pub chance: f64,
    /// Stimuli that were candidates.
    pub n_stimuli: usize,
    /// Targets without NaN or infinity, which patterns are made of.
    pub n_targets: usize,
}

/// Targets without NaN or infinity on either side: those that patterns are made of.
///
/// # Shapes
/// Both: n_stimuli x n_targets.
pub fn usable_targets(predicted: ArrayView2<'_, f32>, measured: ArrayView2<'_, f32>) -> Vec<usize> {
    let finite = |t: &usize| predicted.column(*t).iter().chain(measured.column(*t)).all(|v| v.is_finite());
    (0..predicted.ncols().min(measured.ncols())).filter(finite).collect()
}

/// Correlations between predicted and measured patterns over targets: entry `(i, j)` of predicted
/// stimulus i and measured stimulus j. Targets with NaN or infinity are left out; a pattern that
/// does not vary correlates with nothing (0).
///
/// Patterns are taken as they are: scale targets before (z-score over training rows) if those with
/// large responses should not dominate.
///
/// # Shapes
/// Both: n_stimuli x n_targets; the result: n_stimuli x n_stimuli, and the number of targets used.
///
/// # Errors
/// [`Error::Invalid`] for other shapes, or fewer than two usable targets.
pub fn pattern_correlations(
    predicted: ArrayView2<'_, f32>,
    measured: ArrayView2<'_, f32>,
) -> Result<(Array2<f64>, usize)> {
    let usable = usable_targets(predicted, measured);
    if predicted.dim() != measured.dim() || usable.len() < 2 {
        let found = format!("{:?} and {:?}, {} usable targets", predicted.dim(), measured.dim(), usable.len());
        return Err(Error::invalid(
            "identification",
            "as many predictions as measurements, of 2 targets or more",
            found,
            "",
        ));
    }
    let patterns = |from: ArrayView2<'_, f32>| {
        let mut patterns = Array2::zeros((from.nrows(), usable.len()));
        for (mut to, row) in patterns.rows_mut().into_iter().zip(from.rows()) {
            let values: Vec<f64> = usable.iter().map(|&t| f64::from(row[t])).collect();
            if let Some(values) = stats::standardized(&values) {
                to.iter_mut().zip(values).for_each(|(to, v)| *to = v);
            }
        }
        patterns
    };
    Ok((patterns(predicted).dot(&patterns(measured).t()), usable.len()))
}

/// Identifies every stimulus among all, or among those of its own category.
///
/// A tie is a failure: another candidate that correlates as much counts as better. Stimuli that are
/// alone in their category are no question and are left out.
///
/// # Shapes
/// `predicted`, `measured`: n_stimuli x n_targets; `categories`: n_stimuli.
///
/// # Errors
/// As [`pattern_correlations`]; also for categories of another length, or no stimulus with a
/// candidate beside it.
pub fn identify(
    predicted: ArrayView2<'_, f32>,
    measured: ArrayView2<'_, f32>,
    categories: Option<&[usize]>,
) -> Result<Identification> {
    let (r, n_targets) = pattern_correlations(predicted, measured)?;
    let n = r.nrows();
    if let Some(given) = categories.filter(|given| given.len() != n) {
        let found = given.len().to_string();
        return Err(Error::invalid("identification", format!("categories of {n} stimuli"), found, ""));
    }
    let others = |i: usize| {
        let same = move |j: &usize| *j != i && categories.is_none_or(|c| c[*j] == c[i]);
        (0..n).filter(same).collect::<Vec<_>>()
    };
    let asked: Vec<(usize, Vec<usize>)> = (0..n).map(|i| (i, others(i))).filter(|(_, o)| !o.is_empty()).collect();
    if asked.is_empty() {
        let found = format!("{n}, each alone in its category");
        return Err(Error::invalid("identification", "2 stimuli of a category or more", found, ""));
    }
    let share = |of: &dyn Fn(usize, &[usize]) -> f64| {
        asked.iter().map(|(i, others)| of(*i, others)).sum::<f64>() / asked.len() as f64
    };
    let found = |right: bool| f64::from(u8::from(right));
    Ok(Identification {
        of_measured: share(&|i, others| found(others.iter().all(|&j| r[(j, i)] < r[(i, i)]))),
        of_predicted: share(&|i, others| found(others.iter().all(|&j| r[(i, j)] < r[(i, i)]))),
        pairwise: share(&|i, others| {
            let beaten = others.iter().filter(|&&j| r[(j, i)] < r[(i, i)]).count();
            beaten as f64 / others.len() as f64
        }),
        chance: share(&|_, others| 1.0 / (1 + others.len()) as f64),
        n_stimuli: asked.len(),
        n_targets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_right_stimulus_is_found() {
        let nan = f32::NAN;
        // The prediction of stimulus 2 is what was measured of 3. NumPy's corrcoef of the first three
        // columns: 0.98352 and 1 (prediction 2), 0.98154 and 0.99994 (prediction 3).
        let measured = array![[1.0, 0.0, 0.0, nan], [0.0, 1.0, 0.0, 1.0], [0.0, 0.1, 1.0, 1.0], [0.1, 0.0, 1.0, 1.0]];
        let predicted = array![[1.0, 0.1, 0.0, 1.0], [0.0, 1.0, 0.1, 1.0], [0.1, 0.0, 1.0, 1.0], [0.1, 0.0, 0.9, 1.0]];
        let all = identify(predicted.view(), measured.view(), None).unwrap();
        assert_eq!((all.n_targets, all.n_stimuli, all.chance), (3, 4, 0.25));
        assert_eq!((all.of_measured, all.of_predicted), (0.75, 0.75));
        assert!((all.pairwise - (3.0 + 2.0 / 3.0) / 4.0).abs() < 1e-12);
        let own = identify(predicted.view(), measured.view(), Some(&[0, 1, 0, 1])).unwrap();
        assert_eq!((own.of_measured, own.pairwise, own.chance), (1.0, 1.0, 0.5));
        assert!(identify(predicted.view(), measured.view(), Some(&[0, 1, 2, 3])).is_err());
        assert!(identify(predicted.view(), measured.view(), Some(&[0, 1])).is_err());
        assert!(identify(predicted.view(), measured.slice_axis(ndarray::Axis(0), (0..2).into()), None).is_err());
    }

    #[test]
    fn patterns_without_variation_find_nothing() {
        let flat = array![[1.0, 1.0], [2.0, 2.0]];
        let found = identify(flat.view(), array![[1.0, 2.0], [2.0, 1.0]].view(), None).unwrap();
        assert_eq!((found.of_measured, found.of_predicted, found.pairwise), (0.0, 0.0, 0.0));
    }
}
