//! Losses of network outputs. Any other function of burn tensors will do as well.

use crate::error::{Error, Result};
use crate::tensor::{Tensor, Var, constant, tensor_from_vec, vec_f32};

/// Mean cross-entropy with smoothed labels: `-1/N sum_n sum_k q[n,k] log p[n,k]`, p the softmax of
/// the logits, `q[n,k] = smoothing / K + (1 - smoothing) [k is n's label]` (Szegedy et al. 2016).
///
/// # Shapes
/// `logits`: N x K x 1 x 1; `labels`: N.
///
/// # Errors
/// [`Error::Invalid`] for another shape, number of labels, or a label that is no class.
pub fn cross_entropy(logits: &Var<4>, labels: &[usize], smoothing: f64) -> Result<Var<1>> {
    let [n, n_classes, h, w] = logits.dims();
    if (h, w) != (1, 1) || labels.len() != n {
        let found = format!("{n} x {n_classes} x {h} x {w} and {} labels", labels.len());
        return Err(Error::invalid("cross-entropy", "logits N x K x 1 x 1 and N labels", found, ""));
    }
    let mut target = vec![(smoothing / n_classes as f64) as f32; n * n_classes];
    for (i, &label) in labels.iter().enumerate() {
        if label >= n_classes {
            let expected = format!("labels below {n_classes}, one an output");
            return Err(Error::invalid("cross-entropy", expected, label.to_string(), "labels count from 0"));
        }
        target[i * n_classes + label] += (1.0 - smoothing) as f32;
    }
    let target: Tensor<2> = tensor_from_vec(target, [n, n_classes], &logits.device());
    let log_p = burn_tensor::activation::log_softmax(logits.clone().reshape([n, n_classes]), 1);
    Ok((log_p * constant(target)).sum().neg() / n as f64)
}

/// How many images have their largest logit at their label.
///
/// # Shapes
/// `logits`: N x K x 1 x 1; `labels`: N.
pub fn n_right(logits: &Tensor<4>, labels: &[usize]) -> usize {
    let n_classes = logits.dims()[1];
    let values = vec_f32(logits);
    let best = |row: &[f32]| (0..n_classes).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    values.chunks(n_classes).zip(labels).filter(|(row, label)| best(row) == Some(**label)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Device, leaf, scalar};

    fn logits() -> Var<4> {
        leaf(tensor_from_vec(vec![1.0, 2.0, 0.5, -1.0, 0.0, 3.0], [2, 3, 1, 1], &Device::default()))
    }

    /// NumPy, in 64 bits: -(q * (z - log(sum(exp(z))))).sum(1).mean().
    #[test]
    fn cross_entropy_and_its_gradient_are_numpys() {
        for (smoothing, expected) in [(0.0, 2.265_126_343_932_687), (0.3, 2.140_126_343_932_686_7)] {
            let loss = cross_entropy(&logits(), &[1, 0], smoothing).unwrap();
            assert!((scalar(&loss.inner()) - expected).abs() < 1e-6, "smoothing {smoothing}");
        }
        let z = logits();
        let grads = cross_entropy(&z, &[1, 0], 0.3).unwrap().backward();
        let found = vec_f32(&z.grad(&grads).unwrap());
        // (softmax(z) - q) / 2
        let expected = [
            0.065_611_948_811,
            -0.085_734_140_394,
            0.020_122_191_583,
            -0.391_426_087_227,
            -0.026_693_688_711,
            0.418_119_775_938,
        ];
        assert!(found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn labels_that_are_no_class_are_refused() {
        assert!(cross_entropy(&logits(), &[1, 3], 0.0).is_err());
        assert!(cross_entropy(&logits(), &[1], 0.0).is_err());
        assert_eq!(n_right(&logits().inner(), &[1, 0]), 1);
    }
}
