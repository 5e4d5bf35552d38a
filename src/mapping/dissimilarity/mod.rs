//! Dissimilarities of the conditions' patterns in a set of voxels.
//!
//! | file | what |
//! |---|---|
//! | `measurement` | what is measured between two patterns |
//! | `layout` | betas voxel by voxel |
//! | `crossnobis` | runs held against each other |
//! | `fast`, `exact` | RDMs in 32 and in 64 bits |

mod crossnobis;
mod exact;
mod fast;
mod layout;
mod measurement;

pub use measurement::{Dissimilarity, Folds, Measurement};

use super::noise::{NoiseCovariance, NoiseFrom, Whitening};
use crate::data::Betas;
use crate::error::{Error, Result};
use crate::math::stats;
use layout::Side;
use ndarray::Array2;
use orthoscope_kernels::gram::Kernels;

/// Betas laid out for one dissimilarity.
pub struct Patterns {
    measurement: Measurement,
    n_conditions: usize,
    n_voxels: usize,
    exact: bool,
    train: Side,
    /// The other side of the products, where it differs.
    test: Option<Side>,
    n_folds: usize,
    /// Number of products of samples behind each pair of conditions, where it differs.
    n_products: Option<Array2<f64>>,
    /// n_folds x n_conditions: which conditions a held-out run has, where it lacks some.
    present: Option<Array2<bool>>,
    /// None, one for all folds, or one a fold.
    whitening: Vec<Whitening>,
    kernels: Kernels,
}

/// Up to this many conditions RDMs are made in 64 bits: among so few entries one exchange of two
/// nearly equal ranks, as the rounding of 32 bits brings about, would be seen in the fifth digit of
/// Spearman's correlation.
const EXACT: usize = 64;

/// A voxel's mean over conditions counts as common to them all where it is more than so many of its
/// standard deviations over conditions: 1 - r is then so small that 32 bits, in which r is near 1,
/// leave less than six digits of it ...
const COMMON: f64 = 4.0;
/// ... if so large a share of the voxels is so: they may fill a place.
const SHARE: f64 = 0.01;

/// Whether what all conditions have in common outweighs what they differ by, where it is not taken
/// off: in correlations and cosines. A mean over voxels is no such pattern in a correlation.
fn common_pattern(means: &Array2<f64>, dissimilarity: Dissimilarity) -> bool {
    if !matches!(dissimilarity, Dissimilarity::Correlation | Dissimilarity::Cosine) {
        return false;
    }
    let n = means.nrows() as f64;
    let common: Vec<f64> = means.columns().into_iter().map(|column| column.sum() / n).collect();
    let level = if dissimilarity == Dissimilarity::Correlation { stats::median(&common) } else { 0.0 };
    let outweighs = |(column, m): (ndarray::ArrayView1<'_, f64>, &f64)| {
        let variance = column.iter().map(|x| (x - m).powi(2)).sum::<f64>() / n;
        (m - level).powi(2) > COMMON * COMMON * variance
    };
    let found = means.columns().into_iter().zip(&common).filter(|(column, m)| outweighs((*column, m))).count();
    found as f64 > SHARE * common.len() as f64
}

/// A condensed RDM.
#[derive(Debug, Clone, Copy)]
pub enum Condensed<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl Condensed<'_> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries in 64 bits.
    pub fn to_vec(&self) -> Vec<f64> {
        match self {
            Self::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Self::F64(values) => values.to_vec(),
        }
    }
}

/// Memory of one thread.
#[derive(Default)]
pub struct Scratch {
    fast: fast::Scratch,
    exact: exact::Scratch,
}

impl Scratch {
    /// Forgets the voxels that were last looked at: what follows does not depend on what came
    /// before.
    pub fn forget(&mut self) {
        self.fast.forget();
    }
}

impl Patterns {
    /// Lays out betas.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than 3 conditions, NaN or infinity, runs that do not allow
    /// cross-validation, or too few repeats to estimate the noise.
    pub fn new(betas: &Betas, measurement: Measurement) -> Result<Self> {
        let n = betas.n_conditions();
        if n < 3 {
            let hint = "an RDM of two conditions has a single number, which correlates with nothing";
            return Err(Error::invalid("betas", "at least 3 conditions", n.to_string(), hint));
        }
        if betas.patterns().iter().any(|v| !v.is_finite()) {
            return Err(Error::invalid("betas", "finite numbers", "NaN or infinity", "mask such voxels out"));
        }
        let kernels =
            Kernels::chosen().map_err(|e| Error::invalid("instruction set", "one of them", e.to_string(), ""))?;
        let crossed = measurement.dissimilarity == Dissimilarity::Crossnobis;
        let uses_noise = crossed || measurement.dissimilarity == Dissimilarity::Mahalanobis;
        let noise = if uses_noise { measurement.noise } else { NoiseCovariance::Identity };
        let noisy = noise != NoiseCovariance::Identity && measurement.noise_from == NoiseFrom::Training;
        let folds = if crossed { crossnobis::folds(betas, measurement.folds, noisy)? } else { Folds::Auto };
        let held_out = folds == Folds::Runs && measurement.noise_from == NoiseFrom::Training;
        let (scales, whitening) = layout::estimate(betas, noise, held_out)?;
        let mut patterns = Self {
            measurement,
            n_conditions: n,
            n_voxels: betas.n_voxels(),
            exact: n <= EXACT
                || !whitening.is_empty()
                || folds == Folds::Pairs
                || folds == Folds::Runs && betas.counts().iter().any(|&n| n == 0),
            train: Side::Exact(Vec::new()),
            test: None,
            n_folds: 1,
            n_products: None,
            present: None,
            whitening,
            kernels,
        };
        match folds {
            Folds::Auto => {
                let means = betas.condition_means(|_| true);
                patterns.exact |= common_pattern(&means, measurement.dissimilarity);
                patterns.train = patterns.laid_out(&[means], &scales);
            }
            Folds::Runs => patterns.hold_out_runs(betas, &scales),
            Folds::Pairs => patterns.pair_samples(betas, &scales),
        }
        Ok(patterns)
    }

    /// Number of conditions.
    pub fn n_conditions(&self) -> usize {
        self.n_conditions
    }

    /// Number of voxels.
    pub fn n_voxels(&self) -> usize {
        self.n_voxels
    }

    /// Dissimilarities of an RDM.
    pub fn n_pairs(&self) -> usize {
        self.n_conditions * (self.n_conditions - 1) / 2
    }

    /// What is measured.
    pub fn measurement(&self) -> Measurement {
        self.measurement
    }

    /// The instruction set's functions.
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// The RDM of a set of voxels, condensed; `None` when it is undefined (a constant pattern, or
    /// no voxels).
    ///
    /// `offset_free`: correlation and cosine without the 1 that is added to every entry, for
    /// comparisons that do not see it.
    ///
    /// # Shapes
    /// `voxels`: any number, below n_voxels; result: n_conditions (n_conditions - 1) / 2.
    pub fn rdm<'s>(&self, voxels: &[u32], offset_free: bool, scratch: &'s mut Scratch) -> Option<Condensed<'s>> {
        if voxels.is_empty() {
            return None;
        }
        let offset = if offset_free { 0.0 } else { 1.0 };
        match (&self.train, self.test.as_ref()) {
            (Side::Fast(train), None) => self.fast(voxels, train, None, offset, &mut scratch.fast),
            (Side::Fast(train), Some(Side::Fast(test))) => {
                self.fast(voxels, train, Some(test), offset, &mut scratch.fast)
            }
            (Side::Exact(train), None) => self.exact(voxels, train, None, offset.into(), &mut scratch.exact),
            (Side::Exact(train), Some(Side::Exact(test))) => {
                self.exact(voxels, train, Some(test), offset.into(), &mut scratch.exact)
            }
            _ => unreachable!("both sides are laid out alike"),
        }
    }
}
