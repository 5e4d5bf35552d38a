//! Principal components of training rows, from features or from inner products.

use super::reduction::{Keep, PcaOptions};
use super::table::{GramTable, Table};
use crate::encoding::folds::{Leakage, Rows};
use crate::encoding::spectrum::kernel;
use crate::encoding::standardize::{Scaling, Standardizer};
use crate::error::{Error, Result};
use crate::math::linalg;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Slice};
use rayon::prelude::*;

/// Rows that one task projects at a time.
const BLOCK: usize = 128;

/// Variances below these shares of all are what rounding leaves: products of features are in 64
/// bits, inner products of whole layers are summed in 32 bits over 1,024 units at a time.
const ROUNDING: (f64, f64) = (1e-12, 1e-7);

/// Principal components, fitted on training rows.
///
/// With Z (n_train x p) the centred (or z-scored) training rows, `Z Z' = U diag(s^2) U'`, the
/// variance of component c is `s_c^2 / (n_train - 1)` and the scores of a row z are `z Z' U_c / s_c`
/// (`U_c s_c` for training rows). Where Z has fewer columns than rows its p x p products are
/// decomposed instead. Scores are scikit-learn's `PCA(svd_solver="full").transform`, to 1e-4 of the
/// largest; the sign of each component is such that its largest training score is positive.
///
/// Nothing but the training rows decides about the components: rows that are held out may hold
/// anything, NaN included, and change no bit of the others' scores.
///
/// ```
/// use ndarray::array;
/// use orthoscope::encoding::features::{Keep, Pca, PcaOptions, Table};
/// use orthoscope::encoding::{Leakage, Rows};
///
/// // On a line through the training rows; the last row is held out.
/// let table = Table::Features(array![[0.0, 0.0], [3.0, 4.0], [6.0, 8.0], [9.0, 12.0]]);
/// let rows = Rows::new(vec![0, 1, 2], 4)?;
/// let mut leakage = Leakage::default();
/// let pca = Pca::fit(&table, &rows, &PcaOptions::default(), "conv1", &mut leakage)?;
/// let scores = pca.scores(&table)?;
/// assert_eq!(pca.n_components(), 1);
/// assert!((scores[(3, 0)].abs() - 10.0).abs() < 1e-5);
/// assert_eq!(leakage.report()[1].rows, "0-2");
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    what: String,
    form: Form,
    variances: Vec<f64>,
    total_variance: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// p x k.
    Primal {
        standardizer: Standardizer,
        components: Array2<f32>,
    },
    Dual(Dual),
}

/// Components known by the training rows that they are combined from.
#[derive(Debug, Clone, PartialEq)]
pub struct Dual {
    rows: Rows,
    /// `U / s`, n_train x k.
    weights: Array2<f64>,
    /// Means of the training rows' inner products with each training row.
    means: Array1<f64>,
    zscore: bool,
}

impl Pca {
    /// Fits on the training rows of a table, called `what`, and notes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options that cannot be used, a table of another number of images, fewer
    /// than 2 training rows, NaN or infinity in one, units that do not vary, or units that were
    /// standardised on other rows.
    pub fn fit(table: &Table, rows: &Rows, options: &PcaOptions, what: &str, leakage: &mut Leakage) -> Result<Self> {
        options.check()?;
        rows.check(table.n_images(), what)?;
        if rows.len() < 2 {
            return Err(Error::invalid(what, "2 training rows or more for a PCA", rows.len().to_string(), ""));
        }
        let pca = match table {
            Table::Features(x) => Self::of_features(x.view(), rows, options, what, leakage)?,
            Table::Gram(table) => Self::of_gram(table, rows, options, what, leakage)?,
        };
        leakage.fitted(format!("principal components of {what}"), rows);
        Ok(pca)
    }

    fn of_features(
        x: ArrayView2<'_, f32>,
        rows: &Rows,
        options: &PcaOptions,
        what: &str,
        leakage: &mut Leakage,
    ) -> Result<Self> {
        let scaling = if options.zscore { Scaling::ZScore { ddof: 1 } } else { Scaling::Centre };
        let standardizer = Standardizer::fit(x, rows, scaling, what, leakage)?;
        let z = standardizer.apply(rows.take(x, what)?.view());
        let narrow = z.ncols() < z.nrows();
        let products = if narrow { kernel(z.t().as_standard_layout().view()) } else { kernel(z.view()) };
        let found = Spectrum::of(products.view(), options.keep, ROUNDING.0, what)?;
        let mut components = if narrow {
            found.vectors.mapv(|v| v as f32)
        } else {
            let mut scaled = found.vectors.mapv(|v| v as f32);
            let lengths = found.values.iter().map(|v| v.sqrt() as f32);
            scaled.columns_mut().into_iter().zip(lengths).for_each(|(mut u, s)| u /= s);
            z.t().dot(&scaled)
        };
        let scores = z.dot(&components);
        for (mut component, scores) in components.columns_mut().into_iter().zip(scores.columns()) {
            component *= sign(scores.mapv(f64::from).view()) as f32;
        }
        let form = Form::Primal { standardizer, components };
        Ok(found.finish(what, form, rows.len()))
    }

    fn of_gram(
        table: &GramTable,
        rows: &Rows,
        options: &PcaOptions,
        what: &str,
        leakage: &mut Leakage,
    ) -> Result<Self> {
        if options.zscore != table.standardized_on.is_some()
            || table.standardized_on.as_ref().is_some_and(|fitted| fitted != rows)
        {
            let say = |rows: Option<String>| {
                rows.map_or("units as they are".into(), |r| format!("units z-scored on rows {r}"))
            };
            let expected = say(options.zscore.then(|| rows.to_string()));
            let found = say(table.standardized_on.as_ref().map(ToString::to_string));
            return Err(Error::invalid(what, expected, found, "extract the features of this layer for these rows"));
        }
        let mut products = table.gram.select(Axis(0), rows.indices()).select(Axis(1), rows.indices());
        if let Some(i) = products.rows().into_iter().position(|row| row.iter().any(|v| !v.is_finite())) {
            let found = format!("NaN or infinity in sample {}", rows.indices()[i]);
            return Err(Error::invalid(what, "finite features", found, "check the images and the network"));
        }
        let means = products.mean_axis(Axis(0)).expect("two rows or more");
        let grand = means.mean().expect("two rows or more");
        for (mut row, own) in products.rows_mut().into_iter().zip(&means) {
            row.iter_mut().zip(&means).for_each(|(v, other)| *v -= own + other - grand);
        }
        let found = Spectrum::of(products.view(), options.keep, ROUNDING.1, what)?;
        let mut weights = found.vectors.clone();
        for (mut u, value) in weights.columns_mut().into_iter().zip(&found.values) {
            u *= sign(u.view()) / value.sqrt();
        }
        if options.zscore {
            leakage.fitted(format!("means and scales of {what}"), rows);
        } else {
            leakage.fitted(format!("means of {what}"), rows);
        }
        let form = Form::Dual(Dual { rows: rows.clone(), weights, means, zscore: options.zscore });
        Ok(found.finish(what, form, rows.len()))
    }

    /// Scores of all rows of the table that it was fitted on (or, where it was fitted on features, of
    /// any features of the same layer), n_images x n_components.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a table of another kind or size.
    pub fn scores(&self, table: &Table) -> Result<Array2<f32>> {
        match (&self.form, table) {
            (Form::Primal { standardizer, components }, Table::Features(x)) if x.ncols() == components.nrows() => {
                Ok(by_blocks(x.nrows(), components.ncols(), |rows| {
                    standardizer.apply(x.slice_axis(Axis(0), rows)).dot(components)
                }))
            }
            (Form::Dual(dual), Table::Gram(table)) if table.gram.nrows() == dual.rows.n_samples() => {
                let (rows, k) = (table.gram.nrows(), dual.weights.ncols());
                Ok(by_blocks(rows, k, |rows| dual.project(table.gram.slice_axis(Axis(0), rows))))
            }
            _ => {
                let found = match table {
                    Table::Features(x) => format!("{} features", x.ncols()),
                    Table::Gram(t) => format!("inner products of {} images", t.gram.nrows()),
                };
                Err(Error::invalid(&self.what, "the table that its components were fitted on", found, ""))
            }
        }
    }

    /// How many were kept.
    pub fn n_components(&self) -> usize {
        self.variances.len()
    }

    /// Variance of each component over the training rows, ddof 1 (`explained_variance_`).
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// Share of the variance of all units that the components keep.
    pub fn share(&self) -> f64 {
        self.variances.iter().sum::<f64>() / self.total_variance
    }

    /// How units are made components: mean and scale of each (in 64 bits), and the components
    /// (n_units x k). `None` where only inner products are known: see [`super::components`].
    pub fn units(&self) -> Option<(&[f64], &[f64], ArrayView2<'_, f32>)> {
        match &self.form {
            Form::Primal { standardizer, components } => {
                Some((standardizer.mean(), standardizer.scale(), components.view()))
            }
            Form::Dual(_) => None,
        }
    }

    /// What components are combined from, where only inner products are known.
    pub(super) fn dual(&self) -> Option<&Dual> {
        match &self.form {
            Form::Dual(dual) => Some(dual),
            Form::Primal { .. } => None,
        }
    }
}

impl Dual {
    /// The training rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// `U / s`, n_train x k.
    pub fn weights(&self) -> ArrayView2<'_, f64> {
        self.weights.view()
    }

    /// Whether units are divided by their standard deviations.
    pub fn zscore(&self) -> bool {
        self.zscore
    }

    /// Scores of some rows of inner products with all images.
    fn project(&self, products: ArrayView2<'_, f64>) -> Array2<f32> {
        // What is the same for all training rows is in no component: their weights sum to zero.
        let mut with_training = products.select(Axis(1), self.rows.indices());
        for mut row in with_training.rows_mut() {
            let mean = row.mean().expect("two rows or more");
            row.iter_mut().zip(&self.means).for_each(|(v, other)| *v -= other + mean);
        }
        let grand = self.means.mean().expect("two rows or more");
        with_training += grand;
        with_training.dot(&self.weights).mapv(|v| v as f32)
    }
}

/// Blocks of rows on all threads: the same blocks whatever their number.
fn by_blocks(n: usize, k: usize, block: impl Fn(Slice) -> Array2<f32> + Sync) -> Array2<f32> {
    let mut out = Array2::zeros((n, k));
    out.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().enumerate().for_each(|(i, mut to)| {
        let rows = Slice::from(i * BLOCK..i * BLOCK + to.nrows());
        to.assign(&block(rows));
    });
    out
}

/// That of the entry farthest from zero, the first of several.
fn sign(x: ArrayView1<'_, f64>) -> f64 {
    let mut farthest = 0.0f64;
    for &v in x {
        if v.abs() > farthest.abs() {
            farthest = v;
        }
    }
    if farthest < 0.0 { -1.0 } else { 1.0 }
}

/// The kept part of the eigenvalues and eigenvectors of centred products.
struct Spectrum {
    values: Vec<f64>,
    vectors: Array2<f64>,
    sum: f64,
}

impl Spectrum {
    fn of(products: ArrayView2<'_, f64>, keep: Keep, rounding: f64, what: &str) -> Result<Self> {
        let (values, vectors) = linalg::eigh(products)?;
        let descending: Vec<f64> = values.iter().rev().map(|v| v.max(0.0)).collect();
        let sum: f64 = descending.iter().sum();
        let rank = descending.iter().take_while(|&&v| v > rounding * sum).count();
        if rank == 0 {
            let hint = "show more than one image, or another layer";
            return Err(Error::invalid(what, "units that vary over the training rows", "none", hint));
        }
        let k = match keep {
            Keep::Components(k) => k.min(rank),
            Keep::Variance(share) => {
                let mut so_far = 0.0;
                let reached = descending.iter().position(|v| {
                    so_far += v;
                    so_far > share * sum
                });
                (reached.unwrap_or(rank) + 1).min(rank)
            }
        };
        let n = values.len();
        let order: Vec<usize> = (0..k).map(|i| n - 1 - i).collect();
        Ok(Self { values: descending[..k].to_vec(), vectors: vectors.select(Axis(1), &order), sum })
    }

    fn finish(self, what: &str, form: Form, n_train: usize) -> Pca {
        let freedom = (n_train - 1) as f64;
        let variances = self.values.iter().map(|v| v / freedom).collect();
        Pca { what: what.into(), form, variances, total_variance: self.sum / freedom }
    }
}

#[cfg(test)]
#[path = "pca_tests.rs"]
mod tests;
