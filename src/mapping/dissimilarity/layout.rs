//! Betas voxel by voxel, so that a place's patterns are whole rows.

use super::{Dissimilarity, Patterns};
use crate::data::Betas;
use crate::error::Result;
use crate::mapping::noise::{NoiseCovariance, Whitening};
use ndarray::{Array2, Axis};
use orthoscope_kernels::gram::padded;

/// Patterns voxel by voxel, conditions side by side: (fold, voxel) x n_columns.
pub(super) enum Side {
    /// For many conditions: 32 bits, padded to whole vectors.
    Fast(Vec<f32>),
    /// 64 bits, not padded.
    Exact(Vec<f64>),
}

impl Patterns {
    /// n_conditions x n_voxels of each fold to voxel-major. Where only differences of conditions
    /// count, each voxel's mean is taken off first: no difference changes, and products keep their
    /// digits.
    pub(super) fn laid_out(&self, folds: &[Array2<f64>], scales: &[Vec<f64>]) -> Side {
        let differences = !matches!(self.measurement.dissimilarity, Dissimilarity::Correlation | Dissimilarity::Cosine);
        // Sums of different numbers of samples have no common mean to take off.
        let centred = differences && self.n_products.is_none();
        let n = self.n_conditions;
        let columns = if self.exact { n } else { padded(n) };
        let (mut wide, mut narrow) = (Vec::new(), Vec::new());
        let mut row = vec![0.0f64; columns];
        for (fold, means) in folds.iter().enumerate() {
            // One scaling for all folds, or one a fold.
            let scales = scales.get(fold).or(scales.first());
            for (v, column) in means.axis_iter(Axis(1)).enumerate() {
                let mean = if centred { column.sum() / n as f64 } else { 0.0 };
                let scale = scales.map_or(1.0, |s| s[v]);
                row.iter_mut().zip(column).for_each(|(x, &value)| *x = (value - mean) * scale);
                if self.exact {
                    wide.extend_from_slice(&row);
                } else {
                    narrow.extend(row.iter().map(|&x| x as f32));
                }
            }
        }
        if self.exact { Side::Exact(wide) } else { Side::Fast(narrow) }
    }
}

/// Scales and residuals, of all samples or for each held-out run of the others.
pub(super) fn estimate(
    betas: &Betas,
    noise: NoiseCovariance,
    held_out: bool,
) -> Result<(Vec<Vec<f64>>, Vec<Whitening>)> {
    let runs = betas.runs();
    let found = if held_out {
        (0..betas.n_runs()).map(|run| Whitening::of(betas, noise, |s| runs[s] != run)).collect::<Result<Vec<_>>>()?
    } else {
        vec![Whitening::of(betas, noise, |_| true)?]
    };
    let (scales, whitening): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    Ok((scales.into_iter().flatten().collect(), whitening.into_iter().flatten().collect()))
}
