//! Sparse random projections: distances between images kept, whatever the layer's size.

use crate::error::{Error, Result};
use crate::rng;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Images that are projected together: one line of the cache for each unit.
const LANES: usize = 16;

/// A projection `y = R a` on k random vectors: entries of R are `+-sqrt(1 / (density k))`, each with
/// probability `density / 2`, and 0 otherwise, so that `E |y|^2 = |a|^2`.
///
/// A layer that has no more units than that keeps them as they are.
///
/// # Source
/// Li, Hastie and Church, KDD 2006; scikit-learn's `SparseRandomProjection`, whose size and density
/// these are. Its draws are others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Projection {
    /// Relative error of squared distances that the number of vectors is chosen for.
    pub eps: f64,
    /// How many vectors, whatever `eps` asks for.
    pub n_components: Option<usize>,
    /// Share of entries that are not zero; `1 / sqrt(n_units)` when left out.
    pub density: Option<f64>,
    /// Of the random numbers; each tap has its own.
    pub seed: u64,
}

impl Default for Projection {
    /// eps 0.1, as DeepNSD.
    fn default() -> Self {
        Self { eps: 0.1, n_components: None, density: None, seed: 0 }
    }
}

/// The Johnson-Lindenstrauss number of dimensions for n images: `4 ln n / (eps^2 / 2 - eps^3 / 3)`,
/// rounded down; at least 1.
///
/// # Source
/// Dasgupta and Gupta, Random Struct. Algor. 22:60, 2003; scikit-learn's
/// `johnson_lindenstrauss_min_dim`.
///
/// ```
/// assert_eq!(orthoscope::encoding::features::johnson_lindenstrauss(1000, 0.1), 5920);
/// ```
pub fn johnson_lindenstrauss(n_images: usize, eps: f64) -> usize {
    let denominator = eps.powi(2) / 2.0 - eps.powi(3) / 3.0;
    ((4.0 * (n_images as f64).ln() / denominator) as usize).max(1)
}

impl Projection {
    /// # Errors
    /// [`Error::Invalid`] for an `eps` or a density that is not within 0..1, or no vectors.
    pub fn check(&self) -> Result<()> {
        let density = self.density.is_none_or(|d| d > 0.0 && d <= 1.0);
        if self.eps > 0.0 && self.eps < 1.0 && density && self.n_components != Some(0) {
            return Ok(());
        }
        let found = format!("eps {}, density {:?}, {:?} components", self.eps, self.density, self.n_components);
        let expected = "eps between 0 and 1, a density above 0 and at most 1, 1 component or more";
        Err(Error::invalid("sparse random projection", expected, found, "eps = 0.1 alone is usual"))
    }

    /// Features of a layer of `n_units`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn size(&self, n_units: usize, n_images: usize) -> Result<usize> {
        self.check()?;
        let wanted = self.n_components.unwrap_or_else(|| johnson_lindenstrauss(n_images, self.eps));
        Ok(wanted.min(n_units))
    }

    /// In words.
    pub fn describe(&self) -> String {
        match self.n_components {
            Some(k) => format!("sparse random projection to {k}"),
            None => format!("sparse random projection, eps {}", self.eps),
        }
    }

    fn density_of(&self, n_units: usize) -> f64 {
        self.density.unwrap_or(1.0 / (n_units as f64).sqrt())
    }

    /// Bytes of the matrix for a layer: what is not zero, 4 bytes an entry.
    pub(in crate::encoding) fn bytes(&self, n_units: usize, k: usize) -> u64 {
        if k == n_units { 0 } else { (4.0 * n_units as f64 * self.density_of(n_units) * k as f64) as u64 }
    }

    /// The matrix for the tap of that name: the gaps between entries of vector c are drawn from
    /// `rng::stream(seed_of(seed, name), "sparse random projection", c)`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a layer of 2^31 units or more.
    pub fn matrix(&self, name: &str, n_units: usize, k: usize) -> Result<SparseProjection> {
        if n_units >= 1 << 31 {
            return Err(Error::invalid(name, "fewer than 2^31 units", n_units.to_string(), ""));
        }
        let density = self.density_of(n_units);
        let seed = rng::seed_of(self.seed, name);
        let vectors: Vec<Vec<u32>> = (0..k).into_par_iter().map(|c| entries(seed, c, n_units, density)).collect();
        Ok(SparseProjection { vectors, scale: (1.0 / (density * k as f64)).sqrt() as f32, n_units })
    }
}

/// Where a vector is not zero, and its sign there: `2 unit + (1 where negative)`.
fn entries(seed: u64, component: usize, n_units: usize, density: f64) -> Vec<u32> {
    let mut random = rng::stream(seed, "sparse random projection", component as u64);
    let mut entries = Vec::with_capacity((1.2 * density * n_units as f64) as usize + 8);
    let mut at = 0.0;
    loop {
        // Zeros before the next entry: a geometric number.
        at += if density < 1.0 { ((1.0 - random.uniform()).ln() / (-density).ln_1p()).floor() } else { 0.0 };
        if at >= n_units as f64 {
            return entries;
        }
        entries.push((at as u32) << 1 | (random.bits() >> 63) as u32);
        at += 1.0;
    }
}

/// R, its zeros left out.
pub struct SparseProjection {
    vectors: Vec<Vec<u32>>,
    scale: f32,
    n_units: usize,
}

impl SparseProjection {
    /// `R a` for every row a.
    ///
    /// # Shapes
    /// `units`: n_images x n_units; `out`: n_images x k.
    ///
    /// # Panics
    /// When the shapes are others.
    pub fn apply(&self, units: ArrayView2<'_, f32>, mut out: ArrayViewMut2<'_, f32>) {
        assert_eq!((units.ncols(), out.ncols()), (self.n_units, self.vectors.len()), "units and vectors as made");
        let mut lanes = vec![[0f32; LANES]; self.n_units];
        for start in (0..units.nrows()).step_by(LANES) {
            let rows = Slice::from(start..(start + LANES).min(units.nrows()));
            let part = units.slice_axis(Axis(0), rows);
            for (lane, row) in part.axis_iter(Axis(0)).enumerate() {
                lanes.iter_mut().zip(row).for_each(|(unit, &v)| unit[lane] = v);
            }
            let sums: Vec<[f32; LANES]> = self.vectors.par_iter().map(|vector| self.along(vector, &lanes)).collect();
            for (lane, mut row) in out.slice_axis_mut(Axis(0), rows).axis_iter_mut(Axis(0)).enumerate() {
                row.iter_mut().zip(&sums).for_each(|(to, sum)| *to = sum[lane]);
            }
        }
    }

    fn along(&self, vector: &[u32], lanes: &[[f32; LANES]]) -> [f32; LANES] {
        let mut sum = [0f32; LANES];
        for &entry in vector {
            let sign = if entry & 1 == 1 { -1.0 } else { 1.0 };
            let unit = &lanes[(entry >> 1) as usize];
            sum.iter_mut().zip(unit).for_each(|(sum, v)| *sum += sign * v);
        }
        sum.map(|v| v * self.scale)
    }

    /// `R' v` for every column v: weights of the vectors as weights of the units.
    ///
    /// # Shapes
    /// `weights`: k x columns; the result: n_units x columns.
    ///
    /// # Panics
    /// When there are not k rows.
    pub fn transposed(&self, weights: ArrayView2<'_, f64>) -> Array2<f64> {
        assert_eq!(weights.nrows(), self.vectors.len(), "weights of every vector");
        let mut out = Array2::zeros((self.n_units, weights.ncols()));
        for (vector, weights) in self.vectors.iter().zip(weights.rows()) {
            for &entry in vector {
                let sign = if entry & 1 == 1 { -1.0 } else { 1.0 };
                out.row_mut((entry >> 1) as usize).scaled_add(sign * f64::from(self.scale), &weights);
            }
        }
        out
    }

    /// Entries that are not zero.
    pub fn n_entries(&self) -> usize {
        self.vectors.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(projection: &SparseProjection) -> Array2<f32> {
        let mut out = Array2::zeros((projection.n_units, projection.vectors.len()));
        projection.apply(Array2::eye(projection.n_units).view(), out.view_mut());
        out.reversed_axes()
    }

    #[test]
    fn entries_are_as_dense_and_as_large_as_they_should_be() {
        let (n_units, k) = (900, 400);
        let made = Projection::default().matrix("conv1", n_units, k).unwrap();
        let matrix = dense(&made);
        let value = (30.0f32 / 400.0).sqrt();
        let nonzero: Vec<f32> = matrix.iter().copied().filter(|&v| v != 0.0).collect();
        assert_eq!(nonzero.len(), made.n_entries());
        assert!(nonzero.iter().all(|v| (v.abs() - value).abs() < 1e-6));
        // 360,000 draws at 1/30: 12,000, standard deviation 108; as many of either sign.
        assert!((nonzero.len() as f64 - 12_000.0).abs() < 500.0, "{}", nonzero.len());
        let positive = nonzero.iter().filter(|v| **v > 0.0).count() as f64 / nonzero.len() as f64;
        assert!((positive - 0.5).abs() < 0.02, "{positive}");
        // Every unit and every vector has its share: 13.3 of 400, 30 of 900.
        let by_unit: Vec<usize> = matrix.axis_iter(Axis(1)).map(|u| u.iter().filter(|v| **v != 0.0).count()).collect();
        assert!(by_unit.iter().all(|&n| n < 40) && (by_unit[0] + by_unit[899]) > 5);
        assert_ne!(dense(&Projection::default().matrix("conv2", n_units, k).unwrap()), matrix, "another tap");
        let full = Projection { density: Some(1.0), ..Default::default() }.matrix("a", 7, 5).unwrap();
        assert_eq!(full.n_entries(), 35);
    }

    #[test]
    fn distances_stay_and_do_not_depend_on_the_batch() {
        let mut random = rng::stream(3, "images", 0);
        let images = Array2::from_shape_fn((20, 40_000), |_| random.normal() as f32);
        let k = johnson_lindenstrauss(20, 0.3);
        let made = Projection::default().matrix("fc6", 40_000, k).unwrap();
        let mut out = Array2::zeros((20, k));
        made.apply(images.view(), out.view_mut());
        for (i, j) in (0..20).flat_map(|i| (0..i).map(move |j| (i, j))) {
            let square = |m: &Array2<f32>| (&m.row(i) - &m.row(j)).mapv(|v| f64::from(v).powi(2)).sum();
            let ratio = square(&out) / square(&images);
            assert!((ratio - 1.0).abs() < 0.3, "{i} {j}: {ratio}");
        }
        let mut alone = Array2::zeros((1, k));
        made.apply(images.slice_axis(Axis(0), Slice::from(18..19)), alone.view_mut());
        assert_eq!(alone.row(0), out.row(18));
    }

    #[test]
    fn weights_go_back_to_the_units() {
        let made = Projection::default().matrix("conv1", 60, 7).unwrap();
        let weights = Array2::from_shape_fn((7, 2), |(i, j)| (i as f64 - 3.0) * (1.0 + j as f64));
        let expected = dense(&made).mapv(f64::from).t().dot(&weights);
        let found = made.transposed(weights.view());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12) && expected.iter().any(|v| *v != 0.0));
    }

    #[test]
    fn what_cannot_be_projected_is_refused() {
        let bad = |p: Projection| assert!(p.size(100, 10).is_err(), "{p:?}");
        bad(Projection { eps: 0.0, ..Default::default() });
        bad(Projection { eps: 1.0, ..Default::default() });
        bad(Projection { density: Some(0.0), ..Default::default() });
        bad(Projection { n_components: Some(0), ..Default::default() });
    }
}
