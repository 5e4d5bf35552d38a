//! Features that learn (scales, components), fitted anew on what each inner fold fits on.
//!
//! A penalty that is chosen with features fitted on all training rows is chosen with features that
//! have seen the rows which judge it. What learns is therefore given as [`Features`], which the
//! estimators fit themselves: [`crate::encoding::RidgeCv::prepare_on`],
//! [`crate::encoding::BandedRidgeCv::prepare_on`].

use crate::encoding::folds::{Fold, Leakage, Rows};
use crate::encoding::kernel_ridge::linear_kernel;
use crate::encoding::solver::inside;
use crate::encoding::standardize::{Scaling, Standardizer, finite};
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Features of all samples, whatever rows they are fitted on.
///
/// ```
/// use ndarray::array;
/// use orthoscope::encoding::{Features, Leakage, Rows, Scaling, Standardized};
///
/// let x = array![[1.0, 0.0], [3.0, 2.0], [8.0, 1.0]];
/// let features = Standardized { x, scaling: Scaling::Centre, what: "conv1".into() };
/// let mut leakage = Leakage::default();
/// let fitted = features.fitted_on(&Rows::new(vec![0, 1], 3)?, &mut leakage)?;
/// assert_eq!(fitted, array![[-1.0, -1.0], [1.0, 1.0], [6.0, 0.0]]);
/// assert_eq!(leakage.report()[0].what, "means of conv1");
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub trait Features: Sync {
    /// Rows of the features, whatever they are fitted on.
    fn n_samples(&self) -> usize;

    /// Features of ALL samples, everything that learns fitted on `rows` alone and noted in
    /// `leakage`. No other row may change a number of those of `rows`, nor how the others are made.
    ///
    /// # Shapes
    /// The result: n_samples x n_features; n_features may depend on `rows`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for rows of another number of samples, or that nothing can be fitted on.
    fn fitted_on(&self, rows: &Rows, leakage: &mut Leakage) -> Result<Array2<f32>>;

    /// Whether anything learns: false means that `fitted_on` gives the same numbers for any rows.
    fn learns(&self) -> bool;
}

/// A ready matrix, which learns nothing.
impl Features for ArrayView2<'_, f32> {
    fn n_samples(&self) -> usize {
        self.nrows()
    }

    fn fitted_on(&self, rows: &Rows, _: &mut Leakage) -> Result<Array2<f32>> {
        rows.check(self.nrows(), "features")?;
        Ok(self.to_owned())
    }

    fn learns(&self) -> bool {
        false
    }
}

/// A matrix whose columns are centred or scaled with the statistics of what is fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardized {
    /// n_samples x n_features.
    pub x: Array2<f32>,
    /// What is done to the columns.
    pub scaling: Scaling,
    /// What the features are called in errors and in a [`Leakage`].
    pub what: String,
}

impl Features for Standardized {
    fn n_samples(&self) -> usize {
        self.x.nrows()
    }

    fn fitted_on(&self, rows: &Rows, leakage: &mut Leakage) -> Result<Array2<f32>> {
        Ok(Standardizer::fit(self.x.view(), rows, self.scaling, &self.what, leakage)?.apply(self.x.view()))
    }

    fn learns(&self) -> bool {
        self.scaling != Scaling::None
    }
}

/// [`Features::fitted_on`], and a check of what came: all samples, fitted on no other row.
pub(super) fn fitted_on(features: &dyn Features, rows: &Rows, leakage: &mut Leakage) -> Result<Array2<f32>> {
    let mut own = Leakage::default();
    let x = features.fitted_on(rows, &mut own)?;
    rows.check(x.nrows(), "features")?;
    if features.learns() && own.is_empty() {
        let hint = "note what was fitted on which rows in the Leakage that is given";
        return Err(Error::invalid("features", "a note of what they learnt", "none", hint));
    }
    own.within(rows)?;
    leakage.append(own);
    Ok(x)
}

/// The rows of a fold, of features that were fitted on its training side.
pub(super) struct FoldFeatures {
    /// Rows of either side x features.
    pub x: Array2<f32>,
    /// Where those of the training side stand among the rows.
    pub train: Vec<usize>,
    /// Where the tested ones do.
    pub test: Vec<usize>,
    /// What was fitted.
    pub leakage: Leakage,
}

impl FoldFeatures {
    pub fn new(features: &dyn Features, fold: &Fold) -> Result<Self> {
        let mut leakage = Leakage::default();
        let x = fitted_on(features, &fold.train, &mut leakage)?;
        let both = both(fold)?;
        finite(x.view(), &both, "features")?;
        let (train, test) = (inside(&fold.train, &both)?, inside(&fold.test, &both)?);
        Ok(Self { x: both.take(x.view(), "features")?, train, test, leakage })
    }
}

/// The rows of either side.
fn both(fold: &Fold) -> Result<Rows> {
    Rows::new([fold.train.indices(), fold.test.indices()].concat(), fold.train.n_samples())
}

/// Kernels between the rows of a fold, one of each feature space.
pub(super) struct FoldKernels {
    /// Rows of either side x rows of either side.
    pub kernels: Vec<Array2<f64>>,
    /// Where those of the training side stand among the rows.
    pub train: Vec<usize>,
    /// Where the tested ones do.
    pub test: Vec<usize>,
}

impl FoldKernels {
    /// `whole`: kernels of all training rows, which those of spaces that learn nothing are taken from.
    pub fn new(spaces: &[&dyn Features], whole: &[Array2<f64>], rows: &Rows, fold: &Fold) -> Result<(Self, Leakage)> {
        let both = both(fold)?;
        let places = inside(&both, rows)?;
        let mut leakage = Leakage::default();
        let mut kernels = Vec::with_capacity(spaces.len());
        for (space, whole) in spaces.iter().zip(whole) {
            kernels.push(if space.learns() {
                linear_kernel(fitted_on(*space, &fold.train, &mut leakage)?.view(), &both)?
            } else {
                whole.select(Axis(0), &places).select(Axis(1), &places)
            });
        }
        let (train, test) = (inside(&fold.train, &both)?, inside(&fold.test, &both)?);
        Ok((Self { kernels, train, test }, leakage))
    }
}

/// Does something for every fold, as many at a time as half of the budget holds when each takes so
/// many bytes; notes what was fitted under the fold's number.
pub(super) fn by_folds<T: Send>(
    folds: &[Fold],
    bytes: usize,
    memory_mb: usize,
    leakage: &mut Leakage,
    one: impl Fn(&Fold) -> Result<(T, Leakage)> + Sync,
) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(folds.len());
    for folds in folds.chunks(((memory_mb << 19) / bytes.max(1)).max(1)) {
        for (made, own) in folds.par_iter().map(&one).collect::<Result<Vec<_>>>()? {
            leakage.take_over(&format!("fold {}", all.len()), own);
            all.push(made);
        }
    }
    Ok(all)
}
