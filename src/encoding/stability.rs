//! Which images a target prefers, and how alike these are.

use crate::encoding::solver::multiply;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use std::cmp::Ordering;

/// Bytes of predictions that are in memory at a time.
const PREDICTIONS: usize = 1 << 28;

/// The k images with the largest prediction of every target, largest first; of equal ones the image
/// that comes first. NaN is below every number.
///
/// # Shapes
/// `predictions`: n_images x targets; the result: targets x k.
///
/// # Errors
/// [`Error::Invalid`] for no image to take, or fewer images than k.
///
/// # Example
/// ```
/// use ndarray::array;
/// use orthoscope::encoding::stability::top_images;
///
/// let predictions = array![[0.1, 5.0], [0.7, -2.0], [0.3, 5.0]];
/// assert_eq!(top_images(predictions.view(), 2)?, array![[1, 2], [0, 2]]);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn top_images(predictions: ArrayView2<'_, f32>, k: usize) -> Result<Array2<usize>> {
    let n = predictions.nrows();
    if k == 0 || k > n {
        let found = format!("{k} of {n}");
        return Err(Error::invalid("top images", "1 image or more, and no more than there are", found, ""));
    }
    let of = |column: ndarray::ArrayView1<'_, f32>| {
        let values = column.to_vec();
        let value = |i: usize| if values[i].is_nan() { f32::NEG_INFINITY } else { values[i] };
        let order = |&a: &usize, &b: &usize| -> Ordering { value(b).total_cmp(&value(a)).then(a.cmp(&b)) };
        let mut images: Vec<usize> = (0..n).collect();
        if k < n {
            images.select_nth_unstable_by(k - 1, order);
            images.truncate(k);
        }
        images.sort_unstable_by(order);
        images
    };
    let flat: Vec<usize> = predictions.axis_iter(Axis(1)).into_par_iter().flat_map_iter(of).collect();
    Ok(Array2::from_shape_vec((predictions.ncols(), k), flat).expect("k images of each target"))
}

/// How alike the features of each target's images are: the mean of Pearson's correlation over all
/// pairs of images,
///
/// ```text
/// r = sum over i != j of corr(f_i, f_j) / (k (k - 1)) = (|sum_i z_i|^2 - sum_i |z_i|^2) / (k (k - 1))
/// ```
///
/// with z the centred features of an image divided by their length. The correlation with features
/// that are all one value counts as 0.
///
/// # Shapes
/// `features`: n_images x n_features; `top`: targets x k, images of each target ([`top_images`]).
///
/// # Errors
/// [`Error::Invalid`] for fewer than 2 images of a target, images that do not exist, NaN or infinity
/// in the features of one.
pub fn agreement(features: ArrayView2<'_, f32>, top: ArrayView2<'_, usize>) -> Result<Vec<f64>> {
    let (n, k) = (features.nrows(), top.ncols());
    if k < 2 {
        let found = format!("{k} of each target");
        return Err(Error::invalid("agreement of images", "2 images or more", found, "10 are usual"));
    }
    if let Some(&image) = top.iter().find(|&&image| image >= n) {
        let found = format!("image {image} of {n}");
        let hint = "give features of the images that were ranked, in the same order";
        return Err(Error::invalid("agreement of images", "images that there are", found, hint));
    }
    let of = |images: ndarray::ArrayView1<'_, usize>| {
        let (mut sum, mut own) = (vec![0.0; features.ncols()], 0.0);
        for &image in images {
            let z = normalized(features.row(image)).ok_or_else(|| {
                Error::invalid("agreement of images", "numbers", format!("NaN or infinity in image {image}"), "")
            })?;
            own += z.iter().map(|v| v * v).sum::<f64>();
            sum.iter_mut().zip(z).for_each(|(sum, v)| *sum += v);
        }
        let all = sum.iter().map(|v| v * v).sum::<f64>();
        Ok((all - own) / (k * (k - 1)) as f64)
    };
    top.axis_iter(Axis(0)).into_par_iter().map(of).collect()
}

/// Centred and of length 1; zeros where all are one value; `None` for NaN or infinity.
fn normalized(features: ndarray::ArrayView1<'_, f32>) -> Option<Vec<f64>> {
    let mean = features.iter().map(|&v| f64::from(v)).sum::<f64>() / features.len().max(1) as f64;
    if !mean.is_finite() {
        return None;
    }
    let first = features.first();
    if features.iter().all(|v| Some(v) == first) {
        return Some(vec![0.0; features.len()]);
    }
    let mut z: Vec<f64> = features.iter().map(|&v| f64::from(v) - mean).collect();
    let length = z.iter().map(|v| v * v).sum::<f64>().sqrt();
    z.iter_mut().for_each(|v| *v /= length);
    Some(z)
}

/// Stability of interpretation: how alike the k images are that each target prefers,
/// [`agreement`] of the [`top_images`] by `features weights`. A model whose targets prefer images that
/// have little in common is hard to put into words.
///
/// # Shapes
/// `features`: n_images x n_features, as the model takes them (scaled as it was fitted); `weights`:
/// n_features x targets. Intercepts change no order.
///
/// # Errors
/// [`Error::Invalid`] for weights of other features, fewer than k images, k below 2, NaN or infinity.
///
/// # Source
/// Kamali et al., k = 10 of the ImageNet validation images. Their MATLAB code takes the mean of `triu` of
/// the correlation matrix as it is, with the zeros below the diagonal and the ones on it:
/// `1 / k + (k - 1) r / (2 k)` of the r here.
pub fn stability(features: ArrayView2<'_, f32>, weights: ArrayView2<'_, f32>, k: usize) -> Result<Vec<f64>> {
    if features.ncols() != weights.nrows() {
        let (expected, found) = (format!("weights of {} features", features.ncols()), weights.nrows().to_string());
        return Err(Error::invalid("stability", expected, found, "give the features that the model was fitted on"));
    }
    let step = (PREDICTIONS / (features.nrows().max(1) * size_of::<f32>())).max(1);
    let mut all = Vec::with_capacity(weights.ncols());
    for start in (0..weights.ncols()).step_by(step) {
        let range = Slice::from(start..weights.ncols().min(start + step));
        let predictions = multiply(features, weights.slice_axis(Axis(1), range));
        all.extend(agreement(features, top_images(predictions.view(), k)?.view())?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn images_are_ordered_and_ties_are_settled() {
        let predictions = array![[1.0, f32::NAN], [3.0, f32::NAN], [3.0, -7.0], [-1.0, f32::NEG_INFINITY]];
        assert_eq!(top_images(predictions.view(), 3).unwrap(), array![[1, 2, 0], [2, 0, 1]]);
        assert_eq!(top_images(predictions.view(), 4).unwrap().row(0).to_vec(), [1, 2, 0, 3]);
        for k in [0, 5] {
            assert_eq!(top_images(predictions.view(), k).unwrap_err().exit_code(), 2);
        }
        assert_eq!(top_images(Array2::zeros((3, 0)).view(), 2).unwrap().dim(), (0, 2));
    }

    /// By hand: corr of (1, 2, 3) with (2, 4, 6) is 1, with (3, 2, 1) is -1, with (5, 5, 5) nothing.
    #[test]
    fn agreement_is_the_mean_over_pairs() {
        let features = array![[1.0f32, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0], [5.0, 5.0, 5.0]];
        let top = array![[0, 1], [0, 2], [1, 3]];
        let found = agreement(features.view(), top.view()).unwrap();
        for (found, expected) in found.iter().zip([1.0, -1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        // Pairs of three: 1, -1, -1.
        let three = agreement(features.view(), array![[0, 1, 2]].view()).unwrap();
        assert!((three[0] + 1.0 / 3.0).abs() < 1e-12);
        assert!(agreement(features.view(), array![[0]].view()).is_err());
        assert!(agreement(features.view(), array![[0, 4]].view()).unwrap_err().to_string().contains("image 4 of 4"));
        let holed = array![[f32::NAN, 1.0], [1.0, 2.0]];
        assert!(agreement(holed.view(), array![[0, 1]].view()).is_err());
        assert!(stability(features.view(), Array2::zeros((2, 1)).view(), 2).is_err());
    }
}
