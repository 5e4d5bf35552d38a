//! Dissimilarities between patterns.
//!
//! Patterns are 32-bit, all sums are 64-bit. Units are taken in blocks of fixed size whose partial
//! sums are added in order, so that the result is the same, bit for bit, for any number of threads.

use super::Rdm;
use crate::error::{Error, Result};
use crate::math::condensed;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Dissimilarity of two patterns x and y.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// 1 - Pearson's r, 0..2. Undefined when a pattern is constant.
    #[default]
    Correlation,
    /// 1 - x.y / (|x| |y|), 0..2. Undefined when a pattern is zero.
    Cosine,
    /// |x - y|, the square root of the summed squared differences (scipy's `euclidean`; not divided by the number of units).
    Euclidean,
    /// |x - y|^2 (scipy's `sqeuclidean`).
    SquaredEuclidean,
    /// Read from a file that does not say.
    Given,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Correlation => "correlation",
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
            Self::SquaredEuclidean => "squared euclidean",
            Self::Given => "given",
        })
    }
}

/// Units that one task takes at a time: with 100 conditions a block is 3 MB in 64 bits.
const BLOCK: usize = 4096;
/// Blocks whose partial sums are held at once.
const BLOCKS_HELD: usize = 16;
/// A variance below this fraction of the mean square is rounding error: the pattern is constant.
const CONSTANT: f64 = 1e-12;

/// The RDM of patterns.
///
/// # Shapes
/// `patterns`: n_conditions x n_units; `labels`: n_conditions.
///
/// # Errors
/// [`Error::Invalid`] when the lengths do not fit, there are fewer than 2 conditions or no units, a
/// pattern holds NaN or infinity, or the measure is [`Measure::Given`]. Undefined dissimilarities
/// are NaN, no error: see [`Rdm::warning`].
pub fn rdm(patterns: ArrayView2<'_, f32>, measure: Measure, labels: Vec<String>) -> Result<Rdm> {
    let (n_conditions, n_units) = patterns.dim();
    if n_units == 0 || labels.len() != n_conditions {
        let found = format!("{n_conditions} x {n_units} and {} labels", labels.len());
        return Err(Error::invalid("patterns", "n_conditions x n_units and one label a condition", found, ""));
    }
    let rows: Vec<_> = patterns.axis_iter(Axis(0)).collect();
    if let Some(at) = rows.par_iter().position_first(|row| row.iter().any(|v| !v.is_finite())) {
        let found = format!("NaN or infinity in the pattern of `{}`", labels[at]);
        return Err(Error::invalid(
            "patterns",
            "finite numbers",
            found,
            "check the recording, or the network's weights",
        ));
    }
    let values = match measure {
        Measure::Correlation => one_minus_r(patterns, &rows.par_iter().map(mean_and_constancy).collect::<Vec<_>>()),
        Measure::Cosine => one_minus_r(patterns, &rows.par_iter().map(zero_mean_and_absence).collect::<Vec<_>>()),
        Measure::SquaredEuclidean => squared_distances(patterns),
        Measure::Euclidean => squared_distances(patterns).into_iter().map(f64::sqrt).collect(),
        Measure::Given => return Err(given()),
    };
    Rdm::new(measure, values, labels)
}

fn given() -> Error {
    Error::invalid("measure", "correlation, cosine, euclidean or squared_euclidean", "given", "choose one of them")
}

/// What to take off a pattern before its products are summed, and whether it has nothing left then.
type Offset = (f64, bool);

fn mean_and_constancy(pattern: &ArrayView1<'_, f32>) -> Offset {
    let sum: f64 = pattern.iter().map(|&v| f64::from(v)).sum();
    (sum / pattern.len() as f64, pattern.iter().all(|&v| v == pattern[0]))
}

fn zero_mean_and_absence(pattern: &ArrayView1<'_, f32>) -> Offset {
    (0.0, pattern.iter().all(|&v| v == 0.0))
}

fn one_minus_r(patterns: ArrayView2<'_, f32>, offsets: &[Offset]) -> Vec<f64> {
    let gram = sum_of_blocks(patterns, |block| {
        let mut centred = block.mapv(f64::from);
        for (mut row, (offset, _)) in centred.axis_iter_mut(Axis(0)).zip(offsets) {
            row -= *offset;
        }
        centred.dot(&centred.t())
    });
    let undefined = |i: usize| offsets[i].1 || gram[[i, i]] <= 0.0;
    condensed::pairs(offsets.len())
        .map(|(i, j)| match undefined(i) || undefined(j) {
            true => f64::NAN,
            false => (1.0 - gram[[i, j]] / (gram[[i, i]].sqrt() * gram[[j, j]].sqrt())).clamp(0.0, 2.0),
        })
        .collect()
}

/// By differences, not from a Gram matrix: two patterns that are nearly equal keep all their
/// digits.
fn squared_distances(patterns: ArrayView2<'_, f32>) -> Vec<f64> {
    let n = patterns.nrows();
    let square = sum_of_blocks(patterns, |block| {
        let block = block.as_standard_layout();
        let flat = block.as_slice().expect("just laid out row by row");
        let rows: Vec<&[f32]> = flat.chunks_exact(block.ncols()).collect();
        let mut sums = Array2::zeros((n, n));
        for (i, j) in condensed::pairs(n) {
            sums[[i, j]] = squared_distance(rows[i], rows[j]);
        }
        sums
    });
    condensed::pairs(n).map(|(i, j)| square[[i, j]]).collect()
}

/// Eight running sums: the compiler may then use its vector registers, and the order of additions
/// is fixed.
fn squared_distance(x: &[f32], y: &[f32]) -> f64 {
    let mut lanes = [0.0; 8];
    let (xs, x_rest) = x.as_chunks::<8>();
    let (ys, y_rest) = y.as_chunks::<8>();
    let square = |a: f32, b: f32| (f64::from(a) - f64::from(b)) * (f64::from(a) - f64::from(b));
    for (a, b) in xs.iter().zip(ys) {
        for k in 0..8 {
            lanes[k] += square(a[k], b[k]);
        }
    }
    lanes.iter().sum::<f64>() + x_rest.iter().zip(y_rest).map(|(&a, &b)| square(a, b)).sum::<f64>()
}

/// Sums an n x n matrix over blocks of units: blocks in parallel, additions in the blocks' order.
fn sum_of_blocks(
    patterns: ArrayView2<'_, f32>,
    of_block: impl Fn(ArrayView2<'_, f32>) -> Array2<f64> + Sync,
) -> Array2<f64> {
    let (n, n_units) = patterns.dim();
    let starts: Vec<usize> = (0..n_units).step_by(BLOCK).collect();
    let mut total = Array2::zeros((n, n));
    for held in starts.chunks(BLOCKS_HELD) {
        let parts: Vec<Array2<f64>> = held
            .par_iter()
            .map(|&start| of_block(patterns.slice_axis(Axis(1), Slice::from(start..(start + BLOCK).min(n_units)))))
            .collect();
        parts.iter().for_each(|part| total += part);
    }
    total
}

/// The RDM from moments: what the fast engine keeps of the patterns instead of themselves.
///
/// With G = X X^T and s = X 1: correlation from G - s s^T / n_units, cosine from G, Euclidean from
/// G_ii + G_jj - 2 G_ij (not below 0). Less exact than [`rdm`] where the mean is large against the
/// variation.
///
/// # Shapes
/// `gram`: n_conditions x n_conditions; `sums`, `labels`: n_conditions.
///
/// # Errors
/// [`Error::Invalid`] when the lengths do not fit, a moment is not finite, or the measure is
/// [`Measure::Given`].
pub fn from_moments(
    gram: ArrayView2<'_, f64>,
    sums: &[f64],
    n_units: usize,
    measure: Measure,
    labels: Vec<String>,
) -> Result<Rdm> {
    let n = sums.len();
    if gram.dim() != (n, n) || labels.len() != n || n_units == 0 {
        let found = format!("{:?}, {n} sums of {n_units} units, {} labels", gram.dim(), labels.len());
        return Err(Error::invalid("moments", "n x n products, n sums and n labels", found, ""));
    }
    if gram.iter().chain(sums).any(|v| !v.is_finite()) {
        return Err(Error::invalid("moments", "finite numbers", "NaN or infinity", "check the network's weights"));
    }
    let squared = |i: usize, j: usize| (gram[[i, i]] + gram[[j, j]] - 2.0 * gram[[i, j]]).max(0.0);
    let covariance = |i: usize, j: usize| gram[[i, j]] - sums[i] * sums[j] / n_units as f64;
    let from_products = |product: &dyn Fn(usize, usize) -> f64, i: usize, j: usize| {
        let (own_i, own_j) = (product(i, i), product(j, j));
        let defined = own_i > CONSTANT * gram[[i, i]] && own_j > CONSTANT * gram[[j, j]];
        if defined { (1.0 - product(i, j) / (own_i * own_j).sqrt()).clamp(0.0, 2.0) } else { f64::NAN }
    };
    let value = |(i, j)| match measure {
        Measure::Correlation => from_products(&covariance, i, j),
        Measure::Cosine => from_products(&|i, j| gram[[i, j]], i, j),
        Measure::Euclidean => squared(i, j).sqrt(),
        Measure::SquaredEuclidean | Measure::Given => squared(i, j),
    };
    if measure == Measure::Given {
        return Err(given());
    }
    Rdm::new(measure, condensed::pairs(n).map(value).collect(), labels)
}
