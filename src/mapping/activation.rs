//! Variant (e) of the residual method: what a layer's activations hold beyond the layer before.
//!
//! Layer l's units Y (n_images x n_units) are predicted from layer l-1's by kernel ridge
//! regression, each image from the others: with the kernel K of layer l-1, H = K (K + lambda I)^-1,
//! and leave-one-out residuals E = diag(1 / (1 - h_ii)) (I - H) Y. The RDM of E needs Y only
//! through its products Y Y' and sums Y 1, so that layers of any width fit.

use crate::error::{Error, Result};
use crate::math::linalg::eigh;
use crate::rdm::measure::from_moments;
use crate::rdm::{Measure, Rdm};
use ndarray::{Array1, Array2};

/// Products and sums of a layer's activations.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Y Y', n_images x n_images.
    pub gram: Array2<f64>,
    /// Y 1, n_images.
    pub sums: Array1<f64>,
    /// Units of the layer.
    pub n_units: usize,
}

/// Ridge penalties that are tried, as shares of the mean eigenvalue of the kernel.
pub const PENALTIES: [f64; 9] = [1e-4, 1e-3, 1e-2, 1e-1, 0.3, 1.0, 3.0, 10.0, 100.0];

/// RDMs of what each layer holds beyond the one before; the first layer's RDM is as it is.
///
/// The penalty of each layer is the one of [`PENALTIES`] with the smallest leave-one-out error.
///
/// # Errors
/// [`Error::Invalid`] when the layers differ in the number of images, or as [`from_moments`].
pub fn residual_rdms(layers: &[(String, Moments)], measure: Measure, labels: &[String]) -> Result<Vec<(String, Rdm)>> {
    let mut rdms = Vec::with_capacity(layers.len());
    for (l, (name, own)) in layers.iter().enumerate() {
        if own.gram.dim() != (labels.len(), labels.len()) || own.sums.len() != labels.len() {
            let found = format!("{:?} in `{name}`", own.gram.dim());
            return Err(Error::invalid("activations", format!("layers of {} images", labels.len()), found, ""));
        }
        let residual = match l.checked_sub(1) {
            Some(before) => beyond(&layers[before].1, own)?,
            None => own.clone(),
        };
        let sums = residual.sums.to_vec();
        let rdm = from_moments(residual.gram.view(), &sums, residual.n_units, measure, labels.to_vec())?;
        rdms.push((name.clone(), rdm));
    }
    Ok(rdms)
}

/// Moments of the leave-one-out residuals of `own` predicted from `before`.
///
/// # Errors
/// [`Error::Invalid`] when `before` holds values that are not finite.
pub fn beyond(before: &Moments, own: &Moments) -> Result<Moments> {
    let n = own.sums.len();
    // Centred kernel: an intercept a unit.
    let centre = Array2::<f64>::eye(n) - 1.0 / n as f64;
    let (values, vectors) = eigh(centre.dot(&before.gram).dot(&centre).view())?;
    let mean = values.sum() / n as f64;
    let residual_maker = |penalty: f64| {
        let shrink: Vec<f64> = values.iter().map(|v| v.max(0.0) / (v.max(0.0) + penalty * mean)).collect();
        let hat = Array2::from_shape_fn((n, n), |(i, j)| {
            1.0 / n as f64 + (0..n).map(|k| vectors[[i, k]] * shrink[k] * vectors[[j, k]]).sum::<f64>()
        });
        Array2::from_shape_fn((n, n), |(i, j)| (f64::from(u8::from(i == j)) - hat[[i, j]]) / (1.0 - hat[[i, i]]))
    };
    let error = |maker: &Array2<f64>| maker.dot(&own.gram).dot(&maker.t()).diag().sum();
    let makers = PENALTIES.map(residual_maker);
    let best = makers.iter().min_by(|a, b| error(a).total_cmp(&error(b))).expect("some penalties");
    Ok(Moments { gram: best.dot(&own.gram).dot(&best.t()), sums: best.dot(&own.sums), n_units: own.n_units })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    fn moments(y: &Array2<f64>) -> Moments {
        Moments { gram: y.dot(&y.t()), sums: y.sum_axis(ndarray::Axis(1)), n_units: y.ncols() }
    }

    #[test]
    fn what_the_layer_before_predicts_is_gone() {
        let mut rng = rng::stream(1, "activation test", 0);
        let x = Array2::from_shape_fn((30, 8), |_| rng.normal());
        let weights = Array2::from_shape_fn((8, 50), |_| rng.normal());
        let linear = moments(&x.dot(&weights));
        let left = beyond(&moments(&x), &linear).unwrap();
        assert!(left.gram.diag().sum() < 1e-3 * linear.gram.diag().sum());
        let other = moments(&Array2::from_shape_fn((30, 50), |_| rng.normal()));
        let left = beyond(&moments(&x), &other).unwrap();
        assert!(left.gram.diag().sum() > 0.8 * other.gram.diag().sum(), "an unrelated layer keeps itself");
    }

    #[test]
    fn residuals_are_those_of_leaving_each_image_out() {
        let mut rng = rng::stream(2, "activation test", 0);
        let x = Array2::from_shape_fn((12, 4), |_| rng.normal());
        let y = Array2::from_shape_fn((12, 3), |(i, _)| x[[i, 0]] + 0.1 * rng.normal());
        let left = beyond(&moments(&x), &moments(&y)).unwrap();
        // Ridge with an intercept on the eleven others, for the best penalty of the list.
        let centre = Array2::<f64>::eye(12) - 1.0 / 12.0;
        let mean = centre.dot(&x.dot(&x.t())).dot(&centre).diag().sum() / 12.0;
        let direct = |penalty: f64| {
            let mut residuals = Array2::<f64>::zeros((12, 3));
            for out in 0..12 {
                let kept: Vec<usize> = (0..12).filter(|&i| i != out).collect();
                let (xs, ys) = (x.select(ndarray::Axis(0), &kept), y.select(ndarray::Axis(0), &kept));
                let design =
                    Array2::from_shape_fn(
                        (11, 5),
                        |(i, c)| if c == 4 { 1.0 } else { xs[[i, c]] - x.column(c).mean().unwrap() },
                    );
                let mut normal = design.t().dot(&design);
                (0..4).for_each(|c| normal[[c, c]] += penalty * mean);
                let factor = crate::math::linalg::Cholesky::new(normal.view()).unwrap();
                let weights = factor.solve(design.t().dot(&ys).view());
                for t in 0..3 {
                    let row: Vec<f64> =
                        (0..5).map(|c| if c == 4 { 1.0 } else { x[[out, c]] - x.column(c).mean().unwrap() }).collect();
                    residuals[[out, t]] = y[[out, t]] - (0..5).map(|c| row[c] * weights[[c, t]]).sum::<f64>();
                }
            }
            residuals.dot(&residuals.t())
        };
        let best = PENALTIES.map(direct).into_iter().min_by(|a, b| a.diag().sum().total_cmp(&b.diag().sum())).unwrap();
        assert!((&best - &left.gram).iter().all(|d| d.abs() < 1e-9));
    }
}
