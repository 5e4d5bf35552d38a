//! Kernel ridge regression with the penalty chosen by cross-validation.

use crate::encoding::folds::{Fold, Leakage, Rows};
use crate::encoding::options::RidgeOptions;
use crate::encoding::ridge::noted;
use crate::encoding::select::Selection;
use crate::encoding::solver::{Prepared, Work, multiply};
use crate::encoding::spectrum::{Source, kernel};
use crate::encoding::standardize::finite;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis};

/// Ridge regression on a given kernel (himalaya's `KernelRidgeCV(kernel="precomputed")`).
///
/// With an intercept the kernel is centred with the means of the rows that are fitted on
/// (scikit-learn's `KernelCenterer`), which is the same as centring the features behind it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KernelRidgeCv {
    /// What it is told; [`RidgeOptions::form`] has no meaning here.
    pub options: RidgeOptions,
}

/// Fitted dual weights of a range of targets.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelRidgeFit {
    /// Training rows x targets: predictions are `k dual + intercept`, k the kernel between the rows
    /// that are predicted and the training rows.
    pub dual: Array2<f32>,
    /// Targets; 0 where none is fitted.
    pub intercept: Vec<f64>,
    /// Penalties and how they were found.
    pub selection: Selection,
}

impl KernelRidgeFit {
    /// Predictions from the kernel between new rows and the training rows.
    ///
    /// # Panics
    /// When `k` has other columns than there are training rows.
    pub fn predict(&self, k: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut out = multiply(k, self.dual.view());
        for mut row in out.rows_mut() {
            row.iter_mut().zip(&self.intercept).for_each(|(v, b)| *v = (f64::from(*v) + b) as f32);
        }
        out
    }
}

/// A kernel ridge problem whose decompositions are made.
pub struct KernelRidgePrepared {
    prepared: Prepared,
}

/// Inner products of the training rows of some features, in 64 bits; no other row is read.
///
/// # Errors
/// [`Error::Invalid`] for another number of samples, NaN or infinity in a training row.
pub fn linear_kernel(x: ArrayView2<'_, f32>, rows: &Rows) -> Result<Array2<f64>> {
    rows.check(x.nrows(), "features")?;
    finite(x, rows, "features")?;
    Ok(kernel(rows.take(x, "features")?.view()))
}

impl KernelRidgeCv {
    /// Decomposes the kernel of the training rows and those of every fold.
    ///
    /// # Shapes
    /// `kernel`: training rows x training rows, in the order of `rows`.
    ///
    /// # Errors
    /// As [`crate::encoding::RidgeCv::prepare`]; also a kernel that is not symmetric or of another
    /// size.
    pub fn prepare(
        &self,
        kernel: Array2<f64>,
        rows: &Rows,
        folds: &[Fold],
        leakage: &mut Leakage,
    ) -> Result<KernelRidgePrepared> {
        check(&kernel, rows)?;
        let prepared = Prepared::new(Source::Kernel(kernel), rows, folds, &self.options)?;
        noted(&self.options, rows, leakage);
        Ok(KernelRidgePrepared { prepared })
    }
}

/// # Errors
/// [`Error::Invalid`] for a kernel that is none of the training rows.
pub(super) fn check(kernel: &Array2<f64>, rows: &Rows) -> Result<()> {
    let n = rows.len();
    if kernel.dim() != (n, n) {
        let (expected, found) = (format!("{n} x {n} numbers"), format!("{:?}", kernel.dim()));
        return Err(Error::invalid("kernel", expected, found, "one row and column for every training row"));
    }
    let scale = kernel.diag().iter().fold(0.0f64, |most, v| most.max(v.abs()));
    let uneven = kernel.indexed_iter().find(|&((i, j), v)| !((v - kernel[(j, i)]).abs() <= 1e-6 * scale));
    match uneven {
        None => Ok(()),
        Some(((i, j), v)) => {
            let found = format!("{v} and {} at {i}, {j}", kernel[(j, i)]);
            Err(Error::invalid(
                "kernel",
                "a symmetric matrix of numbers",
                found,
                "give inner products of the training rows",
            ))
        }
    }
}

impl KernelRidgePrepared {
    /// The problem in spectral coordinates: scores at any penalty, selection.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Targets that the budget allows at a time, a multiple of what a task takes.
    pub fn targets_at_a_time(&self) -> usize {
        self.prepared.targets_at_a_time(0)
    }

    /// Penalties and dual weights of a range of targets; see [`crate::encoding::ridge::RidgePrepared::fit`].
    ///
    /// # Errors
    /// As there.
    pub fn fit(&self, y: ArrayView2<'_, f32>, work: &Work) -> Result<KernelRidgeFit> {
        let selection = self.prepared.select_any(y, work)?;
        let dual = self.prepared.refit(y, &selection.alphas, work)?;
        let mut intercept = self.prepared.targets(y)?.means;
        if let (Source::Kernel(k), true) = (self.prepared.source(), self.prepared.options().fit_intercept) {
            let means = k.mean_axis(Axis(0)).expect("some rows");
            for (row, mean) in dual.rows().into_iter().zip(&means) {
                intercept.iter_mut().zip(row).for_each(|(b, &c)| *b -= mean * f64::from(c));
            }
        }
        Ok(KernelRidgeFit { dual, intercept, selection })
    }
}
