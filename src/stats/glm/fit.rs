//! Least squares for all voxels of a run.

use super::design::Design;
use crate::error::{Error, Result};
use crate::math::linalg::{Triangle, qr, solve_triangular};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// AR(1) coefficients are rounded to this fraction, so that voxels can share a whitened design.
const BINS: f64 = 100.0;
/// Voxels that one task takes at a time.
const BLOCK: usize = 512;
/// A column of which less than this fraction of its length is new, given the columns before it, is
/// their combination.
const DEPENDENT: f64 = 1e-10;

/// The temporal structure of the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseModel {
    /// Independent: ordinary least squares.
    #[default]
    White,
    /// First-order autoregressive: each voxel's coefficient from its residuals, truncated to 1/100
    /// as nilearn does.
    Ar1,
}

/// Betas of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// n_conditions x n_voxels, in the units of the data.
    pub betas: Array2<f64>,
    /// t of each beta against zero, n_conditions x n_voxels.
    pub t: Array2<f64>,
    /// Variance of the (whitened) residuals, n_voxels: sum of squares / (n_volumes - n_regressors).
    pub residual_variance: Vec<f64>,
    /// Fraction of the variance left by confounds and drifts that the conditions explain, n_voxels.
    pub r2: Vec<f64>,
    /// AR(1) coefficients used, n_voxels; 0 for white noise.
    pub rho: Vec<f64>,
    /// n_volumes - n_regressors.
    pub dof: usize,
    /// Variance of each beta over that of white noise, (X' X)^-1_cc, n_conditions: what the design
    /// says of how sure it is.
    pub design_variance: Vec<f64>,
}

/// Fits a run: beta = (X' V^-1 X)^-1 X' V^-1 y, V = I or the AR(1) covariance; by QR decomposition
/// of the whitened design.
///
/// AR(1): r_k = sum_v e_v e_(v+k) / (n - k) of the least-squares residuals, rho = r_1 / r_0
/// truncated to 1/100; then X and y are replaced by x_v - rho x_(v-1) (the first row stays). A
/// voxel with a value that is not finite is NaN throughout; one without variation has betas near 0
/// and undefined t.
///
/// # Shapes
/// `series`: n_volumes x n_voxels.
///
/// # Errors
/// [`Error::Invalid`] when `series` has another number of volumes, there are not more volumes than
/// regressors, or a regressor is a combination of others (it is named).
///
/// # Source
/// nilearn 0.14's `run_glm` with `noise_model` `ols` or `ar1`, whose numbers these are.
pub fn fit(series: ArrayView2<'_, f32>, design: &Design, noise: NoiseModel) -> Result<Fit> {
    let (n_volumes, n_regressors) = design.matrix.dim();
    if series.nrows() != n_volumes || n_volumes <= n_regressors {
        let expected = format!("{n_volumes} volumes, more than regressors");
        let found = format!("{} volumes and {n_regressors} regressors", series.nrows());
        return Err(Error::invalid("GLM", expected, found, "check the TR and the number of confounds"));
    }
    let white = Factor::new(design, 0.0)?;
    let n_voxels = series.ncols();
    let mut found = Fit {
        betas: Array2::from_elem((design.conditions.len(), n_voxels), f64::NAN),
        t: Array2::from_elem((design.conditions.len(), n_voxels), f64::NAN),
        residual_variance: vec![f64::NAN; n_voxels],
        r2: vec![f64::NAN; n_voxels],
        rho: vec![0.0; n_voxels],
        dof: n_volumes - n_regressors,
        design_variance: white.scale.iter().map(|s| s * s).collect(),
    };
    let starts: Vec<usize> = (0..n_voxels).step_by(BLOCK).collect();
    let block = |start: usize| {
        let voxels: Vec<usize> = (start..(start + BLOCK).min(n_voxels)).collect();
        let y = series.slice_axis(Axis(1), Slice::from(start..start + voxels.len())).mapv(f64::from);
        (voxels, y)
    };
    match noise {
        NoiseModel::White => {
            let parts: Vec<_> = starts.par_iter().map(|&s| block(s)).map(|(v, y)| (v, white.solve(&y))).collect();
            parts.into_iter().for_each(|(voxels, solved)| found.put(&voxels, &solved, 0.0));
        }
        NoiseModel::Ar1 => {
            let rho: Vec<f64> = starts.par_iter().flat_map_iter(|&s| white.autocorrelations(&block(s).1)).collect();
            // Keyed by the rounded coefficient in hundredths.
            let mut groups: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
            for (v, rho) in rho.iter().enumerate() {
                groups.entry((rho * BINS).trunc() as i32).or_default().push(v);
            }
            let tasks: Vec<(i32, &[usize])> =
                groups.iter().flat_map(|(key, voxels)| voxels.chunks(BLOCK).map(move |part| (*key, part))).collect();
            let solve = |&(key, voxels): &(i32, &[usize])| {
                let factor = Factor::new(design, f64::from(key) / BINS)?;
                let y = Array2::from_shape_fn((n_volumes, voxels.len()), |(t, i)| f64::from(series[[t, voxels[i]]]));
                Ok(factor.solve(&whitened(&y, factor.rho)))
            };
            let solved: Vec<Result<Solved>> = tasks.par_iter().map(solve).collect();
            for ((key, voxels), solved) in tasks.iter().zip(solved) {
                found.put(voxels, &solved?, f64::from(*key) / BINS);
            }
        }
    }
    Ok(found)
}

impl Fit {
    fn put(&mut self, voxels: &[usize], solved: &Solved, rho: f64) {
        for (i, &v) in voxels.iter().enumerate() {
            self.betas.column_mut(v).assign(&solved.betas.column(i));
            self.t.column_mut(v).assign(&solved.t.column(i));
            self.residual_variance[v] = solved.residual_variance[i];
            self.r2[v] = solved.r2[i];
            self.rho[v] = rho;
        }
    }
}

/// Results of some voxels, in the columns.
struct Solved {
    betas: Array2<f64>,
    t: Array2<f64>,
    residual_variance: Vec<f64>,
    r2: Vec<f64>,
}

/// x_v - rho x_(v-1), the first row as it is.
fn whitened(x: &Array2<f64>, rho: f64) -> Array2<f64> {
    if rho == 0.0 {
        return x.clone();
    }
    let mut out = x.clone();
    let n = x.nrows();
    let before = x.slice_axis(Axis(0), Slice::from(..n - 1));
    out.slice_axis_mut(Axis(0), Slice::from(1..)).scaled_add(-rho, &before);
    out
}

/// X = Q R of a whitened design, its columns reordered: those of no interest first.
struct Factor {
    rho: f64,
    /// n_volumes x n_regressors, orthonormal columns.
    q: Array2<f64>,
    /// Upper triangular.
    r: Array2<f64>,
    /// Places of the conditions in the new order.
    conditions: Vec<usize>,
    /// sqrt((X' X)^-1_cc) of the conditions.
    scale: Vec<f64>,
    n_nuisance: usize,
}

impl Factor {
    fn new(design: &Design, rho: f64) -> Result<Self> {
        let p = design.matrix.ncols();
        let order: Vec<usize> = (design.n_task..p).chain(0..design.n_task).collect();
        let n_nuisance = p - design.n_task;
        let x = whitened(&design.matrix.select(Axis(1), &order), rho);
        let (q, r) = qr(x.view());
        let dependent = |&j: &usize| r[[j, j]].is_nan() || r[[j, j]] <= DEPENDENT * norm(x.column(j));
        if let Some(column) = (0..p).find(dependent) {
            let found = format!("`{}` is a combination of others, or zero", design.names[order[column]]);
            return Err(Error::invalid(
                "design matrix",
                "independent regressors",
                found,
                "leave it out, or join conditions that always come together",
            ));
        }
        let conditions: Vec<usize> = design.conditions.iter().map(|c| c + n_nuisance).collect();
        // Column c of R'^-1 is row c of R^-1, whose length is the root of (X' X)^-1_cc.
        let units = Array2::from_shape_fn((p, conditions.len()), |(i, c)| f64::from(u8::from(i == conditions[c])));
        let rows = solve_triangular(r.view(), Triangle::UpperTransposed, units.view());
        let scale = rows.columns().into_iter().map(norm).collect();
        Ok(Self { rho, q, r, conditions, scale, n_nuisance })
    }

    fn residuals(&self, y: &Array2<f64>, weights: &Array2<f64>) -> Array2<f64> {
        y - &self.q.dot(weights)
    }

    fn autocorrelations(&self, y: &Array2<f64>) -> Vec<f64> {
        let residuals = self.residuals(y, &self.q.t().dot(y));
        let n = residuals.nrows() as f64;
        let of_voxel = |e: ndarray::ArrayView1<'_, f64>| {
            let r0: f64 = e.iter().map(|v| v * v).sum::<f64>() / n;
            let r1: f64 = e.iter().zip(e.iter().skip(1)).map(|(a, b)| a * b).sum::<f64>() / (n - 1.0);
            // A voxel without variation has no coefficient; n/(n-1) may carry a smooth one past 1.
            if r0 > 0.0 { (r1 / r0).clamp(-0.99, 0.99) } else { 0.0 }
        };
        residuals.columns().into_iter().map(of_voxel).collect()
    }

    fn solve(&self, y: &Array2<f64>) -> Solved {
        let weights = self.q.t().dot(y);
        let residuals = self.residuals(y, &weights);
        let all = solve_triangular(self.r.view(), Triangle::Upper, weights.view());
        let betas = all.select(Axis(0), &self.conditions);
        let dof = (self.q.nrows() - self.q.ncols()) as f64;
        let sum_of_squares: Vec<f64> = residuals.columns().into_iter().map(|e| e.dot(&e)).collect();
        let task = weights.slice_axis(Axis(0), Slice::from(self.n_nuisance..));
        let explained = task.columns().into_iter().map(|w| w.dot(&w));
        let r2 = explained.zip(&sum_of_squares).map(|(e, rest)| e / (e + rest)).collect();
        let residual_variance: Vec<f64> = sum_of_squares.iter().map(|s| s / dof).collect();
        let t =
            Array2::from_shape_fn(betas.dim(), |(c, v)| betas[[c, v]] / (residual_variance[v].sqrt() * self.scale[c]));
        Solved { betas, t, residual_variance, r2 }
    }
}

fn norm(x: ndarray::ArrayView1<'_, f64>) -> f64 {
    x.dot(&x).sqrt()
}
