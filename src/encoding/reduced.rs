//! Kernel ridge for kernels that are used once, as the candidates of a search are: reduced to block
//! tridiagonal form (K = Q B Q') instead of eigenvectors, in 64 bits, since
//!
//! ```text
//! K' (K + alpha)^-1 Y = (K' Q) (B + alpha)^-1 Q' Y
//! ```
//!
//! asks for no more, and the form takes a fifth of the time.

use crate::encoding::spectrum::{Source, Spectrum, centre_kernel};
use crate::encoding::stage::{FoldStage, TOLERANCE};
use crate::error::Result;
use crate::math::linalg::{self, Banded};
use ndarray::{Array2, ArrayView2, Axis};
use orthoscope_kernels::panels::Kernels;
use std::collections::BTreeMap;

const DEFINITE: &str = "definite at smaller penalties";

/// A fold's problem in coordinates where a penalty is cheap.
pub(super) enum Folded {
    Spectrum(Spectrum),
    Reduced(Reduced),
}

impl From<Spectrum> for Folded {
    fn from(spectrum: Spectrum) -> Self {
        Self::Spectrum(spectrum)
    }
}

impl Folded {
    /// Coordinates.
    pub fn len(&self) -> usize {
        match self {
            Self::Spectrum(spectrum) => spectrum.values.len(),
            Self::Reduced(reduced) => reduced.right.nrows(),
        }
    }

    /// Predictions at some penalties.
    ///
    /// # Errors
    /// What is not finite.
    pub fn stage(&self, alphas: &[f64], kernels: &Kernels) -> Result<FoldStage> {
        match self {
            Self::Spectrum(spectrum) => FoldStage::new(spectrum, alphas, kernels),
            Self::Reduced(reduced) => reduced.stage(alphas),
        }
    }
}

/// A fold's kernel in block tridiagonal form.
pub(super) struct Reduced {
    banded: Banded<f64>,
    /// Q' K', training rows x predicted rows.
    left: Array2<f64>,
    /// Q', without what its rows share with the constant one where targets are centred.
    right: Array2<f32>,
}

/// Whether rounding in 64 bits does not show in 32-bit predictions at a penalty: directions of
/// eigenvalues near 0 are solved with, too, and their rounding grows as 1 / alpha.
fn harmless(own: &Array2<f64>, alpha: f64) -> bool {
    f64::EPSILON * own.diag().sum() <= TOLERANCE * alpha
}

fn is_definite(banded: &Banded<f64>, n: usize, alpha: f64) -> bool {
    banded.solve(alpha, Array2::zeros((n, 0)).view()).is_some()
}

impl Source {
    /// [`Source::fold`] for penalties not below `smallest`; reduced where that is as good.
    ///
    /// # Errors
    /// What is not finite.
    pub fn reduced(&self, train: &[usize], test: &[usize], centre: bool, smallest: f64) -> Result<Folded> {
        if let Self::Kernel(k) = self {
            let mut own = k.select(Axis(0), train).select(Axis(1), train);
            let mut cross = k.select(Axis(0), test).select(Axis(1), train);
            if centre {
                centre_kernel(&mut own, &mut cross);
            }
            let banded = Banded::new(own.view())?;
            if harmless(&own, smallest) && is_definite(&banded, own.nrows(), smallest) {
                return Ok(Folded::Reduced(Reduced::new(banded, &cross, centre)));
            }
        }
        Ok(Folded::Spectrum(self.fold(train, test, centre)?))
    }
}

impl Reduced {
    fn new(banded: Banded<f64>, cross: &Array2<f64>, centre: bool) -> Self {
        let left = banded.rotate(cross.t());
        let mut right = banded.q_f32().reversed_axes().as_standard_layout().into_owned();
        for mut row in right.rows_mut().into_iter().filter(|_| centre) {
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
            row -= mean as f32;
        }
        Self { banded, left, right }
    }

    /// Predictions at some penalties: of the matrices (B + alpha)^-1 Q' K', combinations of fewer.
    ///
    /// # Errors
    /// What is not finite.
    fn stage(&self, alphas: &[f64]) -> Result<FoldStage> {
        let (n_train, n_test) = self.left.dim();
        let mut matrices = Array2::zeros((alphas.len(), n_train * n_test));
        let mut lengths = Vec::with_capacity(alphas.len());
        for (&alpha, mut row) in alphas.iter().zip(matrices.rows_mut()) {
            let solved = self.banded.solve(alpha, self.left.view()).expect(DEFINITE);
            row.assign(&solved.into_shape_with_order(n_train * n_test).expect("row by row"));
            let length = row.dot(&row).sqrt().max(f64::MIN_POSITIVE);
            row /= length;
            lengths.push(length);
        }
        // Singular values of the matrices are the roots: rounding of the gram is 1e-8 of them.
        let (values, vectors) = linalg::eigh(matrices.dot(&matrices.t()).view())?;
        let largest = values.iter().fold(f64::MIN_POSITIVE, |most, v| v.max(most));
        let kept: Vec<usize> = (0..alphas.len()).filter(|&j| values[j] > TOLERANCE * TOLERANCE * largest).collect();
        let kept = vectors.select(Axis(1), &kept);
        let basis = kept.t().dot(&matrices);
        let lefts = basis.rows().into_iter().map(|row| {
            let left = row.into_shape_with_order((n_train, n_test)).expect("row by row");
            left.t().mapv(|v| v as f32)
        });
        let coefficients = Array2::from_shape_fn(kept.dim(), |(a, j)| kept[(a, j)] * lengths[a]);
        Ok(FoldStage::factored(lefts, &coefficients, &self.right))
    }
}

/// Dual weights in 64 bits: (K + alpha)^-1 y, each target at its own penalty.
pub(super) struct Duals {
    banded: Banded<f64>,
    centre: bool,
}

impl Duals {
    /// Of the training rows' kernel, for penalties not below `smallest`; none where eigenvectors are
    /// better.
    ///
    /// # Errors
    /// What is not finite.
    pub fn new(mut own: Array2<f64>, smallest: f64, centre: bool) -> Result<Option<Self>> {
        if centre {
            let n = own.ncols();
            centre_kernel(&mut own, &mut Array2::zeros((0, n)));
        }
        if !harmless(&own, smallest) {
            return Ok(None);
        }
        let banded = Banded::new(own.view())?;
        Ok(is_definite(&banded, own.nrows(), smallest).then_some(Self { banded, centre }))
    }

    /// # Shapes
    /// `y`: training rows x targets, centred where there is an intercept; `alphas`: targets, none
    /// below the smallest.
    pub fn solve(&self, y: ArrayView2<'_, f64>, alphas: &[f64]) -> Array2<f64> {
        let turned = self.banded.rotate(y);
        let mut solved = Array2::zeros(y.dim());
        let mut of_alpha: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        alphas.iter().enumerate().for_each(|(t, alpha)| of_alpha.entry(alpha.to_bits()).or_default().push(t));
        for (bits, targets) in of_alpha {
            let own = turned.select(Axis(1), &targets);
            let found = self.banded.solve(f64::from_bits(bits), own.view()).expect(DEFINITE);
            for (column, &t) in found.columns().into_iter().zip(&targets) {
                solved.column_mut(t).assign(&column);
            }
        }
        let mut dual = self.banded.rotate_back(solved.view());
        for mut column in dual.columns_mut().into_iter().filter(|_| self.centre) {
            let mean = column.mean().expect("some rows");
            column -= mean;
        }
        dual
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::spectrum::kernel;
    use crate::rng;
    use ndarray::Array1;
    use orthoscope_kernels::panels::{self, Sums, padded};

    fn random(shape: (usize, usize), item: u64) -> Array2<f32> {
        let mut stream = rng::stream(6, "numbers", item);
        Array2::from_shape_simple_fn(shape, || stream.normal() as f32 + 0.5)
    }

    /// Sums over the test rows at every penalty.
    fn sums(folded: &Folded, alphas: &[f64], train: &Array2<f32>, test: &Array2<f32>) -> Vec<f64> {
        let kernels = Kernels::chosen().unwrap();
        let pack = |y: &Array2<f32>| {
            let rows: Vec<usize> = (0..y.nrows()).collect();
            let mut out = vec![0.0; padded(y.ncols()) * y.nrows()];
            panels::pack_targets(&mut out, y.as_slice().unwrap(), y.ncols(), &rows, 0, &vec![0.0; y.ncols()]);
            out
        };
        let mut sums = vec![0.0; alphas.len() * Sums::Error.count() * padded(train.ncols())];
        folded.stage(alphas, &kernels).unwrap().score(&mut sums, &pack(train), &pack(test), Sums::Error, &kernels);
        sums
    }

    /// Kernels of full rank and of rank 9, centred and not, at penalties of six decades.
    #[test]
    fn both_forms_predict_the_same() {
        let (train, test): (Vec<usize>, Vec<usize>) = ((0..70).collect(), (70..90).collect());
        for (n_features, centre) in [(200, true), (200, false), (9, true), (9, false)] {
            let source = Source::Kernel(kernel(random((90, n_features), 0).view()));
            let mean = source.mean_eigenvalue(centre);
            let alphas: Vec<f64> = (0..7).map(|i| mean * 10f64.powi(i - 4)).collect();
            let mut y = random((70, 5), 1);
            y -= &y.mean_axis(Axis(0)).unwrap();
            let expected = Folded::from(source.fold(&train, &test, centre).unwrap());
            let found = source.reduced(&train, &test, centre, alphas[0]).unwrap();
            assert!(matches!(found, Folded::Reduced(_)));
            let out = random((20, 5), 2);
            let pairs = [sums(&found, &alphas, &y, &out), sums(&expected, &alphas, &y, &out)];
            for (a, b) in pairs[0].iter().zip(&pairs[1]) {
                assert!((a - b).abs() <= 3e-5 * b.abs(), "{n_features} {centre}: {a} {b}");
            }
        }
    }

    #[test]
    fn penalties_near_rounding_go_to_eigenvectors() {
        let source = Source::Kernel(kernel(random((30, 5), 0).view()));
        let rows: Vec<usize> = (0..30).collect();
        let smallest = 1e-12 * source.mean_eigenvalue(true);
        assert!(matches!(source.reduced(&rows, &rows, true, smallest).unwrap(), Folded::Spectrum(_)));
    }

    #[test]
    fn dual_weights_solve_their_systems() {
        let own = kernel(random((80, 120), 0).view());
        let y = random((80, 4), 1).mapv(f64::from);
        let alphas = [0.5, 20.0, 0.5, 300.0];
        let dual = Duals::new(own.clone(), 0.5, false).unwrap().unwrap().solve(y.view(), &alphas);
        let again = own.dot(&dual) + &dual * &Array1::from(alphas.to_vec());
        assert!((again - y).iter().all(|d| d.abs() < 1e-9));
    }
}
