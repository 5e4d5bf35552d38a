//! Noise of the voxels of a searchlight: its covariance from residuals, shrunk, and patterns
//! whitened by it.

use crate::data::Betas;
use crate::error::{Error, Result};
use ndarray::Array2;
use orthoscope_kernels::dense;
use serde::{Deserialize, Serialize};

/// Estimate of the noise covariance S of n_voxels from residuals e (n_samples x n_voxels) around
/// the conditions' means, with n_samples - n_conditions degrees of freedom (rsatoolbox's
/// `cov_from_unbalanced`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseCovariance {
    /// S = 1: no noise normalisation.
    Identity,
    /// Variances alone (univariate noise normalisation).
    Diagonal,
    /// Covariances shrunk towards the variances.
    ///
    /// # Source
    /// Schaefer and Strimmer, Stat. Appl. Genet. Mol. Biol. 4:32 (2005); rsatoolbox's
    /// `shrinkage_diag`.
    #[default]
    ShrinkageDiag,
    /// Covariances shrunk towards a multiple of the identity.
    ///
    /// # Source
    /// Ledoit and Wolf, J. Multivar. Anal. 88:365 (2004); rsatoolbox's `shrinkage_eye`.
    ShrinkageEye,
}

/// Which samples the noise of [`super::Dissimilarity::Crossnobis`] is estimated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseFrom {
    /// In each fold from the runs that are not held out. The held-out patterns are then independent
    /// of everything that they are multiplied with, and the distance has mean zero where two
    /// conditions do not differ.
    #[default]
    Training,
    /// From all samples at once, as rsatoolbox's `prec_from_unbalanced` with `calc_rdm`. The
    /// estimate follows the noise of the held-out patterns too, and distances come out too large by
    /// about a tenth of those without cross-validation in small designs.
    All,
}

/// What whitening needs: the residuals.
pub struct Whitening {
    noise: NoiseCovariance,
    /// n_voxels x n_samples: a voxel's residuals side by side.
    residuals: Array2<f64>,
    dof: f64,
}

/// Memory of one thread.
#[derive(Default)]
pub struct Scratch {
    residuals: Vec<f64>,
    squares: Vec<f64>,
    covariance: Vec<f64>,
    second: Vec<f64>,
}

impl Whitening {
    /// One scale a voxel for [`NoiseCovariance::Diagonal`], the residuals for the shrinkage
    /// estimates, neither for the identity; of the samples that `take` accepts.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no condition is repeated.
    pub fn of(
        betas: &Betas,
        noise: NoiseCovariance,
        take: impl Fn(usize) -> bool,
    ) -> Result<(Option<Vec<f64>>, Option<Self>)> {
        if noise == NoiseCovariance::Identity {
            return Ok((None, None));
        }
        let samples: Vec<usize> = (0..betas.conditions().len()).filter(|&s| take(s)).collect();
        let mut present = vec![false; betas.n_conditions()];
        samples.iter().for_each(|&s| present[betas.conditions()[s]] = true);
        let (n_samples, n) = (samples.len(), present.iter().filter(|p| **p).count());
        if n_samples <= n {
            let found = format!("{n_samples} samples of {n} conditions");
            let hint = "without repeats there is no noise to estimate: use `noise` identity, or `noise_from` all";
            return Err(Error::invalid("noise", "conditions with more than one sample", found, hint));
        }
        let means = betas.condition_means(&take);
        let patterns = betas.patterns();
        let residuals = Array2::from_shape_fn((betas.n_voxels(), n_samples), |(v, i)| {
            let s = samples[i];
            f64::from(patterns[[s, v]]) - means[[betas.conditions()[s], v]]
        });
        let dof = (n_samples - n) as f64;
        if noise == NoiseCovariance::Diagonal {
            let scale = |variance: f64| if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 };
            let scales = residuals.rows().into_iter().map(|row| scale(row.dot(&row) / dof)).collect();
            return Ok((Some(scales), None));
        }
        Ok((None, Some(Self { noise, residuals, dof })))
    }

    /// The shrunk covariance of some voxels, row-major.
    ///
    /// # Shapes
    /// `voxels`: p; result in `scratch`: p x p.
    fn covariance(&self, voxels: &[u32], scratch: &mut Scratch) {
        let (p, n) = (voxels.len(), self.residuals.ncols());
        // Sample by sample, so that a row of products is contiguous.
        scratch.residuals.resize(n * p, 0.0);
        scratch.squares.resize(n * p, 0.0);
        for (i, &v) in voxels.iter().enumerate() {
            for (s, &e) in self.residuals.row(v as usize).iter().enumerate() {
                scratch.residuals[s * p + i] = e;
                scratch.squares[s * p + i] = e * e;
            }
        }
        scratch.covariance.resize(p * p, 0.0);
        scratch.second.resize(p * p, 0.0);
        dense::cross_products(&scratch.residuals, p, &mut scratch.covariance);
        dense::cross_products(&scratch.squares, p, &mut scratch.second);
        match self.noise {
            NoiseCovariance::ShrinkageEye => self.shrink_to_identity(p, scratch),
            _ => self.shrink_to_diagonal(p, scratch),
        }
    }

    fn shrink_to_diagonal(&self, p: usize, scratch: &mut Scratch) {
        let n = self.residuals.ncols() as f64;
        let (sum, second) = (&mut scratch.covariance, &scratch.second);
        let variance: Vec<f64> = (0..p).map(|i| sum[i * p + i] / self.dof).collect();
        let (mut noise, mut signal) = (0.0, 0.0);
        for i in 0..p {
            for j in (0..p).filter(|&j| j != i) {
                let product = variance[i] * variance[j];
                if product <= 0.0 {
                    continue;
                }
                let mean = sum[i * p + j] / product.sqrt() / (n - 1.0);
                let mean_of_squares = second[i * p + j] / product / (n - 1.0);
                noise += n / (self.dof * self.dof) * (mean_of_squares - mean * mean);
                signal += mean * mean;
            }
        }
        let lambda = if signal > 0.0 { (noise / signal).clamp(0.0, 1.0) } else { 1.0 };
        for i in 0..p {
            for j in 0..p {
                sum[i * p + j] *= if i == j { 1.0 } else { 1.0 - lambda } / self.dof;
            }
        }
    }

    fn shrink_to_identity(&self, p: usize, scratch: &mut Scratch) {
        let n = self.residuals.ncols() as f64;
        let s = &mut scratch.covariance;
        s.iter_mut().for_each(|v| *v /= n);
        let b2 = s.iter().zip(&scratch.second).map(|(s, second)| second / n - s * s).sum::<f64>() / n;
        let m = (0..p).map(|i| s[i * p + i]).sum::<f64>() / p as f64;
        let target = |at: usize| if at.is_multiple_of(p + 1) { m } else { 0.0 };
        let d2: f64 = s.iter().enumerate().map(|(at, s)| (s - target(at)).powi(2)).sum();
        let share = if d2 > 0.0 { (b2 / d2).min(1.0) } else { 1.0 };
        for (at, s) in s.iter_mut().enumerate() {
            *s = (share * target(at) + (1.0 - share) * *s) * n / self.dof;
        }
    }

    /// Replaces x by L^-1 x, S = L L', in place; false when S is not positive definite (voxels
    /// without noise).
    ///
    /// # Shapes
    /// Each of `sides`: voxels.len() x n_columns.
    pub fn apply(&self, voxels: &[u32], sides: &mut [&mut [f64]], n_columns: usize, scratch: &mut Scratch) -> bool {
        self.covariance(voxels, scratch);
        let p = voxels.len();
        if !dense::cholesky(&mut scratch.covariance[..p * p], p) {
            return false;
        }
        sides.iter_mut().for_each(|x| dense::solve_lower(&scratch.covariance[..p * p], p, x, n_columns));
        true
    }
}
