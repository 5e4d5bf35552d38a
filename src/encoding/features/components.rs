//! Components on the units of a layer, where only inner products were kept.

use super::extraction::scale;
use super::pca::Pca;
use crate::data::StimulusSource;
use crate::data::image_source::batches;
use crate::encoding::solver::Work;
use crate::error::{Error, Result};
use crate::network::{Executor, TapValue};
use crate::tensor::{Device, into_vec_f32, tensor};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

/// How the units of a layer are made components: `((a - mean) / scale) components`.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    /// Of each unit over the training rows.
    pub mean: Vec<f64>,
    /// 1 where units are not z-scored.
    pub scale: Vec<f64>,
    /// n_units x k, orthonormal columns.
    pub components: Array2<f32>,
}

impl Components {
    /// Scores of any images, n_images x k.
    ///
    /// # Panics
    /// When `units` has other columns than there are units.
    pub fn scores(&self, units: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut z = units.to_owned();
        for mut row in z.rows_mut() {
            for ((v, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *v = ((f64::from(*v) - mean) / scale) as f32;
            }
        }
        z.dot(&self.components)
    }
}

/// Sums over the training rows.
struct Sums {
    first: Vec<f64>,
    squares: Vec<f64>,
    products: Array2<f32>,
}

/// The components of a layer on its units, for images that the PCA has not seen: one more forward
/// pass, over the training images alone. Memory is that of n_units x k numbers; `V = Z' U / s`.
///
/// The executor's only tap is the layer's activations. Components that features gave are returned as
/// they are, and nothing runs.
///
/// # Errors
/// [`Error::Invalid`] for an executor of other taps or another set of images;
/// [`Error::Interrupted`]; whatever reading the images or the executor says.
pub fn components(
    pca: &Pca,
    executor: &mut dyn Executor,
    images: &dyn StimulusSource,
    batch: usize,
    device: &Device,
    work: &Work,
) -> Result<Components> {
    if let Some((mean, scale, components)) = pca.units() {
        return Ok(Components { mean: mean.to_vec(), scale: scale.to_vec(), components: components.to_owned() });
    }
    let dual = pca.dual().expect("a PCA is of features or of inner products");
    dual.rows().check(images.n_images(), "components")?;
    let [tap] = executor.taps() else {
        let found = format!("{} taps", executor.taps().len());
        return Err(Error::invalid("components", "an executor with the layer as its only tap", found, ""));
    };
    let n_units = executor.graph().node(tap.node()).shape.len();
    let k = pca.n_components();
    let mut sums = Sums { first: vec![0.0; n_units], squares: vec![0.0; n_units], products: Array2::zeros((n_units, k)) };
    let mut done = 0;
    for range in batches(images.n_images(), batch) {
        work.cancel.check()?;
        let inside: Vec<usize> = range.clone().filter(|&i| dual.rows().contains(i)).collect();
        if inside.is_empty() {
            continue;
        }
        let places: Vec<usize> = inside.iter().map(|i| i - range.start).collect();
        let pixels = images.read(range)?.select(Axis(0), &places);
        let mut values = executor.infer(&tensor(pixels.view(), device))?;
        let Some(TapValue::Activations(activations)) = values.pop() else {
            return Err(Error::invalid("components", "the layer's activations", "its moments", ""));
        };
        let units = Array2::from_shape_vec((inside.len(), n_units), into_vec_f32(activations)).expect("images x units");
        let weights = dual.weights();
        let weights = weights.slice_axis(Axis(0), Slice::from(done..done + inside.len())).mapv(|v| v as f32);
        sums.add(&units, &weights);
        done += inside.len();
    }
    Ok(sums.finish(dual.rows().len() as f64, dual.zscore()))
}

/// Units that one task takes at a time.
const BLOCK: usize = 4096;

impl Sums {
    fn add(&mut self, units: &Array2<f32>, weights: &Array2<f32>) {
        for row in units.rows() {
            self.first.iter_mut().zip(&row).for_each(|(sum, &v)| *sum += f64::from(v));
            self.squares.iter_mut().zip(&row).for_each(|(sum, &v)| *sum += f64::from(v).powi(2));
        }
        let blocks = self.products.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter();
        blocks.zip(units.axis_chunks_iter(Axis(1), BLOCK)).for_each(|(mut out, units)| {
            ndarray::linalg::general_mat_mul(1.0, &units.t(), weights, 1.0, &mut out);
        });
    }

    fn finish(mut self, n: f64, zscore: bool) -> Components {
        let mean: Vec<f64> = self.first.iter().map(|sum| sum / n).collect();
        let scale: Vec<f64> = match zscore {
            true => self.squares.iter().zip(&mean).map(|(&sum, &m)| scale((sum - n * m * m).max(0.0), m, n)).collect(),
            false => vec![1.0; mean.len()],
        };
        // Weights sum to zero over the training rows, so that the mean needs not be taken off.
        for (mut row, scale) in self.products.rows_mut().into_iter().zip(&scale) {
            row /= *scale as f32;
        }
        Components { mean, scale, components: self.products }
    }
}
