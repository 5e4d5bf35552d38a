//! Ridge regression in the coordinates where its penalty is a number a direction.
//!
//! With X the centred training rows, the predictions of rows X' at penalty alpha are
//!
//! ```text
//! primal  X'X = V L V'   ->  (X' V) diag(1 / (L + alpha)) (V' X') Y
//! kernel  XX' = V L V'   ->  (K' V) diag(1 / (L + alpha))  V'     Y
//! ```
//!
//! so that both forms are `left diag(1 / (values + alpha)) right Y`. Products and decompositions are
//! in 64 bits: 32-bit eigenvalues of a kernel can be negative, and make small penalties unusable.

use crate::error::Result;
use crate::math::linalg;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

/// Rows of a block of products that one task makes.
const BLOCK: usize = 128;

/// Columns that are widened to 64 bits at a time.
const WIDENED: usize = 512;

/// What the rows of a training side are known by.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Inner products of the rows, not centred, n x n: the kernel form.
    Kernel(Array2<f64>),
    /// Features, not centred, n x p: the primal form.
    Features(Array2<f32>),
}

/// `left diag(1 / (values + alpha)) right`.
#[derive(Debug, Clone)]
pub(super) struct Spectrum {
    /// k, not negative.
    pub values: Vec<f64>,
    /// Rows that are predicted (or weights) x k.
    pub left: Array2<f64>,
    /// k x training rows.
    pub right: Array2<f64>,
}

/// X X' in 64 bits, n x n.
pub(super) fn kernel(x: ArrayView2<'_, f32>) -> Array2<f64> {
    let n = x.nrows();
    let mut k = Array2::<f64>::zeros((n, n));
    for chunk in x.axis_chunks_iter(Axis(1), WIDENED) {
        let wide = chunk.mapv(f64::from);
        k.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().enumerate().for_each(|(i, mut rows)| {
            let end = i * BLOCK + rows.nrows();
            let part = |from: usize| wide.slice_axis(Axis(0), Slice::from(from..end));
            let (own, others) = (part(i * BLOCK), part(0));
            let mut lower = rows.slice_axis_mut(Axis(1), Slice::from(..end));
            ndarray::linalg::general_mat_mul(1.0, &own, &others.t(), 1.0, &mut lower);
        });
    }
    // Blocks on the diagonal are whole; the triangle above them is what lies below.
    for i in 0..n {
        for j in i + 1..n {
            k[(i, j)] = k[(j, i)];
        }
    }
    k
}

impl Source {
    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Kernel(k) => k.nrows(),
            Self::Features(x) => x.nrows(),
        }
    }

    /// Sum of the eigenvalues of the (centred) kernel of all rows over the number of those that can
    /// differ from 0, which is at most n (n - 1 when centred) and, for features, their number.
    pub fn mean_eigenvalue(&self, centre: bool) -> f64 {
        let n = self.len();
        let rank = n.saturating_sub(usize::from(centre)).max(1);
        match self {
            Self::Kernel(k) => {
                let off = if centre { k.sum() / n as f64 } else { 0.0 };
                (k.diag().sum() - off) / rank as f64
            }
            Self::Features(x) => {
                let wide = x.mapv(f64::from);
                let means = if centre { wide.mean_axis(Axis(0)).expect("some rows") } else { Array1::zeros(x.ncols()) };
                (wide - &means).mapv(|v| v * v).sum() / rank.min(x.ncols()) as f64
            }
        }
    }

    /// Fitted on the rows `train`, to predict the rows `test`.
    ///
    /// # Errors
    /// What is not finite.
    pub fn fold(&self, train: &[usize], test: &[usize], centre: bool) -> Result<Spectrum> {
        match self {
            Self::Kernel(k) => {
                let mut own = k.select(Axis(0), train).select(Axis(1), train);
                let mut cross = k.select(Axis(0), test).select(Axis(1), train);
                if centre {
                    centre_kernel(&mut own, &mut cross);
                }
                let (values, vectors) = linalg::eigh(own.view())?;
                let left = cross.dot(&vectors);
                Ok(Spectrum::ranked(values, left, transposed(&vectors, centre)))
            }
            Self::Features(x) => {
                let (fitted, means) = centred(x, train, centre);
                let cross = x.select(Axis(0), test).mapv(f64::from) - &means;
                let (values, vectors) = linalg::eigh(fitted.t().dot(&fitted).view())?;
                let left = cross.dot(&vectors);
                let right = vectors.t().dot(&fitted.t());
                Ok(Spectrum::ranked(values, left, right))
            }
        }
    }

    /// Fitted on all rows, for dual weights (kernel form) or weights (primal form).
    ///
    /// # Errors
    /// What is not finite.
    pub fn all(&self, centre: bool) -> Result<Spectrum> {
        match self {
            Self::Kernel(k) => {
                let mut own = k.clone();
                if centre {
                    centre_kernel(&mut own, &mut Array2::zeros((0, k.nrows())));
                }
                let (values, vectors) = linalg::eigh(own.view())?;
                let right = transposed(&vectors, centre);
                Ok(Spectrum { values: not_negative(values), left: vectors, right })
            }
            Self::Features(x) => {
                let rows: Vec<usize> = (0..x.nrows()).collect();
                let (fitted, _) = centred(x, &rows, centre);
                let (values, vectors) = linalg::eigh(fitted.t().dot(&fitted).view())?;
                let right = vectors.t().dot(&fitted.t());
                Ok(Spectrum { values: not_negative(values), left: vectors, right })
            }
        }
    }
}

impl Spectrum {
    /// Directions beyond the numerical rank predict nothing: what is left of them is rounding, which
    /// small penalties would blow up.
    fn ranked(values: Array1<f64>, mut left: Array2<f64>, right: Array2<f64>) -> Self {
        let largest = values.iter().fold(0.0f64, |most, v| most.max(*v));
        let smallest = values.len() as f64 * f64::EPSILON * largest;
        for (mut column, _) in left.columns_mut().into_iter().zip(&values).filter(|(_, v)| **v <= smallest) {
            column.fill(0.0);
        }
        Self { values: not_negative(values), left, right }
    }

    /// From dual weights (kernel form) to the weights of features: `left` becomes X' V, X the
    /// training rows.
    pub fn of_features(&self, x: ArrayView2<'_, f32>, centre: bool) -> Self {
        let mut left = Array2::zeros((x.ncols(), self.values.len()));
        left.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().zip(x.axis_chunks_iter(Axis(1), BLOCK)).for_each(
            |(mut out, columns)| {
                let mut wide = columns.mapv(f64::from);
                if centre {
                    wide -= &wide.mean_axis(Axis(0)).expect("some rows");
                }
                ndarray::linalg::general_mat_mul(1.0, &wide.t(), &self.left, 0.0, &mut out);
            },
        );
        Self::ranked(Array1::from(self.values.clone()), left, self.right.clone())
    }
}

/// V', without what the directions share with the constant one where targets are centred: their
/// mean is rounding, and the constant direction's eigenvalue is 0.
fn transposed(vectors: &Array2<f64>, centre: bool) -> Array2<f64> {
    let mut right = vectors.t().as_standard_layout().into_owned();
    for mut row in right.rows_mut().into_iter().filter(|_| centre) {
        let mean = row.mean().expect("some rows");
        row -= mean;
    }
    right
}

fn not_negative(values: Array1<f64>) -> Vec<f64> {
    values.into_iter().map(|v| v.max(0.0)).collect()
}

fn centred(x: &Array2<f32>, rows: &[usize], centre: bool) -> (Array2<f64>, Array1<f64>) {
    let fitted = x.select(Axis(0), rows).mapv(f64::from);
    let means = if centre { fitted.mean_axis(Axis(0)).expect("some rows") } else { Array1::zeros(x.ncols()) };
    (fitted - &means, means)
}

/// Inner products of rows minus the mean of the training rows (scikit-learn's `KernelCenterer`).
pub(super) fn centre_kernel(own: &mut Array2<f64>, cross: &mut Array2<f64>) {
    let columns = own.mean_axis(Axis(0)).expect("some rows");
    let all = columns.mean().expect("some rows");
    for k in [cross, own] {
        for mut row in k.rows_mut() {
            let shift = all - row.mean().expect("some rows");
            row -= &columns;
            row += shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    fn random(n: usize, p: usize) -> Array2<f32> {
        let mut stream = rng::stream(4, "features", 0);
        Array2::from_shape_simple_fn((n, p), || (stream.normal() + 5.0) as f32)
    }

    #[test]
    fn a_kernel_is_all_inner_products() {
        let x = random(150, 530);
        let wide = x.mapv(f64::from);
        let difference = kernel(x.view()) - wide.dot(&wide.t());
        assert!(difference.iter().all(|d| d.abs() < 1e-9));
    }

    /// Both forms predict what the normal equations of the centred rows do.
    #[test]
    fn both_forms_are_the_normal_equations() {
        let x = random(30, 8);
        let (train, test): (Vec<usize>, Vec<usize>) = ((0..22).collect(), (22..30).collect());
        let mut stream = rng::stream(5, "targets", 0);
        let y = Array2::from_shape_simple_fn((22, 3), || stream.normal());
        for centre in [true, false] {
            let (fitted, means) = centred(&x, &train, centre);
            let cross = x.select(Axis(0), &test).mapv(f64::from) - &means;
            let alpha = 0.7;
            let normal = fitted.t().dot(&fitted) + Array2::<f64>::eye(8) * alpha;
            let weights = linalg::Cholesky::new(normal.view()).unwrap().solve(fitted.t().dot(&y).view());
            let expected = cross.dot(&weights);
            for source in [Source::Features(x.clone()), Source::Kernel(kernel(x.view()))] {
                let fold = source.fold(&train, &test, centre).unwrap();
                let scaled = &fold.left * &Array1::from_iter(fold.values.iter().map(|v| 1.0 / (v + alpha)));
                let found = scaled.dot(&fold.right.dot(&y));
                assert!((&found - &expected).iter().all(|d| d.abs() < 1e-9), "{centre}");
            }
            let means: Vec<f64> = [Source::Features(x.clone()), Source::Kernel(kernel(x.view()))]
                .iter()
                .map(|s| s.mean_eigenvalue(centre))
                .collect();
            let rank = if centre { 29.0 } else { 30.0 };
            assert!((means[0] * 8.0 - means[1] * rank).abs() < 1e-6 * means[0], "one trace");
        }
    }
}
