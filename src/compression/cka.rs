//! Centred kernel alignment: how alike two layers represent the same images, whatever their units
//! are called and however many there are.

use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis};

/// Linear CKA of two layers from their Gram matrices,
///
/// ```text
/// CKA = <HKH, HLH> / sqrt(<HKH, HKH> <HLH, HLH>),   K = A A',  L = B B',  H = 1 - 1/N
/// ```
///
/// with `<X, Y> = sum_ij X_ij Y_ij`: 1 for activations that are equal up to a rotation, an offset
/// and one scale, and the same however large a layer is: only N x N numbers of it are needed, which
/// [`crate::network::moments`] sums up in batches. NaN where a layer's patterns never differ.
///
/// With fewer images than units it is biased towards 1; see [`debiased`].
///
/// # Shapes
/// `k`, `l`: n_images x n_images, of the same images in the same order; centred or not.
///
/// # Errors
/// [`Error::Invalid`] for matrices that are not square or of different sizes.
///
/// # Source
/// Kornblith, Norouzi, Lee and Hinton, "Similarity of neural network representations revisited",
/// ICML 2019, equations 3 and 4.
///
/// # Example
/// ```
/// use ndarray::array;
/// use orthoscope::compression::cka::linear;
///
/// let a = array![[1.0, 2.0], [0.5, -1.0], [3.0, 0.0], [-2.0, 1.0]];
/// let turned = array![[-2.0, 1.0], [1.0, 0.5], [0.0, 3.0], [-1.0, -2.0]] * 7.0 + 5.0;
/// let other = array![[1.0], [0.0], [0.0], [0.0]];
/// let gram = |x: &ndarray::Array2<f64>| x.dot(&x.t());
/// assert!((linear(gram(&a).view(), gram(&turned).view())? - 1.0).abs() < 1e-12);
/// assert!(linear(gram(&a).view(), gram(&other).view())? < 0.5);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn linear(k: ArrayView2<'_, f64>, l: ArrayView2<'_, f64>) -> Result<f64> {
    let (k, l) = (centred(checked(k, 1)?), centred(checked(l, 1)?));
    same(&k, &l)?;
    let product = |x: &Array2<f64>, y: &Array2<f64>| (x * y).sum();
    Ok(product(&k, &l) / (product(&k, &k) * product(&l, &l)).sqrt())
}

/// CKA with unbiased estimates of its three products: 0 on average for layers that have nothing to
/// do with each other, however many units they have. May be negative; NaN where a layer's patterns
/// hardly differ.
///
/// ```text
/// <K, L> = (tr K~L~ + 1'K~1 1'L~1 / ((N-1)(N-2)) - 2 1'K~L~1 / (N-2)) / (N (N-3))
/// ```
///
/// with the diagonals of `K~`, `L~` set to 0.
///
/// # Shapes
/// As [`linear`]; at least 4 images.
///
/// # Errors
/// As [`linear`], and for fewer images.
///
/// # Source
/// Song, Smola, Gretton, Bedo and Borgwardt, "Feature selection via dependence maximization", JMLR
/// 2012, equation 5; in CKA as in Nguyen, Raghu and Kornblith, ICLR 2021.
///
/// # Example
/// ```
/// use ndarray::Array2;
/// use orthoscope::compression::cka::{debiased, linear};
/// use orthoscope::rng::stream;
///
/// // Twenty images, 600 units of noise each: nothing in common.
/// let gram = |seed| {
///     let mut noise = stream(seed, "noise", 0);
///     let x = Array2::from_shape_simple_fn((20, 600), || noise.normal());
///     x.dot(&x.t())
/// };
/// assert!(linear(gram(1).view(), gram(2).view())? > 0.9);
/// assert!(debiased(gram(1).view(), gram(2).view())?.abs() < 0.3);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn debiased(k: ArrayView2<'_, f64>, l: ArrayView2<'_, f64>) -> Result<f64> {
    let (k, l) = (hollow(checked(k, 4)?), hollow(checked(l, 4)?));
    same(&k, &l)?;
    Ok(unbiased(&k, &l) / (unbiased(&k, &k) * unbiased(&l, &l)).sqrt())
}

fn checked(gram: ArrayView2<'_, f64>, least: usize) -> Result<ArrayView2<'_, f64>> {
    let (rows, columns) = gram.dim();
    if rows == columns && rows >= least {
        return Ok(gram);
    }
    let expected = format!("a Gram matrix of {least} images or more");
    Err(Error::invalid("CKA", expected, format!("{rows} x {columns}"), "give n_images x n_images"))
}

fn same(k: &Array2<f64>, l: &Array2<f64>) -> Result<()> {
    if k.dim() == l.dim() {
        return Ok(());
    }
    let found = format!("{} and {}", k.nrows(), l.nrows());
    Err(Error::invalid("CKA", "Gram matrices of the same images", found, "run both networks on one set"))
}

/// `HKH`.
fn centred(gram: ArrayView2<'_, f64>) -> Array2<f64> {
    let n = gram.nrows() as f64;
    let (rows, columns) = (gram.sum_axis(Axis(1)) / n, gram.sum_axis(Axis(0)) / n);
    let mean = rows.sum() / n;
    Array2::from_shape_fn(gram.dim(), |(i, j)| gram[[i, j]] - rows[i] - columns[j] + mean)
}

/// Without its diagonal. A common offset is taken off before: it cancels in the estimate, but not in
/// its digits.
fn hollow(gram: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut k = centred(gram);
    k.diag_mut().fill(0.0);
    k
}

fn unbiased(k: &Array2<f64>, l: &Array2<f64>) -> f64 {
    let n = k.nrows() as f64;
    let (rows_k, rows_l) = (k.sum_axis(Axis(1)), l.sum_axis(Axis(1)));
    let all = rows_k.sum() * rows_l.sum() / ((n - 1.0) * (n - 2.0));
    ((k * l).sum() + all - 2.0 / (n - 2.0) * rows_k.dot(&rows_l)) / (n * (n - 3.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    fn patterns(seed: u64, n: usize, d: usize) -> Array2<f64> {
        let mut draw = stream(seed, "patterns", 0);
        Array2::from_shape_simple_fn((n, d), || draw.normal())
    }

    fn gram(x: &Array2<f64>) -> Array2<f64> {
        x.dot(&x.t())
    }

    /// An offset and a scale of the activations change nothing, also where they are large.
    #[test]
    fn offsets_and_scales_do_not_count() {
        let (a, b) = (patterns(1, 20, 30), patterns(1, 20, 30) + 0.7 * patterns(2, 20, 30));
        for measure in [linear, debiased] {
            let plain = measure(gram(&a).view(), gram(&b).view()).unwrap();
            let moved = measure(gram(&(&a + 30.0)).view(), gram(&(&b * 1e-3 - 2.0)).view()).unwrap();
            assert!((plain - moved).abs() < 1e-9, "{plain} {moved}");
            assert!((measure(gram(&a).view(), gram(&a).view()).unwrap() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (a, b) = (gram(&patterns(1, 5, 3)), gram(&patterns(1, 4, 3)));
        assert!(linear(a.view(), b.view()).unwrap_err().to_string().contains("5 and 4"));
        assert!(linear(patterns(1, 5, 3).view(), b.view()).is_err());
        assert!(debiased(gram(&patterns(1, 3, 3)).view(), gram(&patterns(1, 3, 3)).view()).is_err());
        assert!(linear(Array2::from_elem((4, 4), 2.0).view(), b.view()).unwrap().is_nan());
    }
}
