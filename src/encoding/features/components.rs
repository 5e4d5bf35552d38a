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

/// Sums over the training rows of what their units differ from the first one's by: of a unit that
/// does not vary they are zero, not what rounding leaves.
struct Sums {
    origin: Vec<f32>,
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
    let mut sums = Sums {
        origin: vec![],
        first: vec![0.0; n_units],
        squares: vec![0.0; n_units],
        products: Array2::zeros((n_units, k)),
    };
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
        let mut units =
            Array2::from_shape_vec((inside.len(), n_units), into_vec_f32(activations)).expect("images x units");
        let weights = dual.weights();
        let weights = weights.slice_axis(Axis(0), Slice::from(done..done + inside.len())).mapv(|v| v as f32);
        sums.add(&mut units, &weights);
        done += inside.len();
    }
    Ok(sums.finish(dual.rows().len() as f64, dual.zscore()))
}

/// Units that one task takes at a time.
const BLOCK: usize = 4096;

impl Sums {
    fn add(&mut self, units: &mut Array2<f32>, weights: &Array2<f32>) {
        if self.origin.is_empty() {
            self.origin = units.row(0).to_vec();
        }
        for mut row in units.rows_mut() {
            row.iter_mut().zip(&self.origin).for_each(|(v, origin)| *v -= origin);
            self.first.iter_mut().zip(&row).for_each(|(sum, &v)| *sum += f64::from(v));
            self.squares.iter_mut().zip(&row).for_each(|(sum, &v)| *sum += f64::from(v).powi(2));
        }
        let blocks = self.products.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter();
        blocks.zip(units.axis_chunks_iter(Axis(1), BLOCK)).for_each(|(mut out, units)| {
            ndarray::linalg::general_mat_mul(1.0, &units.t(), weights, 1.0, &mut out);
        });
    }

    fn finish(mut self, n: f64, zscore: bool) -> Components {
        let mean: Vec<f64> = self.origin.iter().zip(&self.first).map(|(&o, sum)| f64::from(o) + sum / n).collect();
        let squares = self.squares.iter().zip(&self.first).map(|(squares, sum)| (squares - sum * sum / n).max(0.0));
        let scale: Vec<f64> = match zscore {
            true => squares.zip(&mean).map(|(squares, &mean)| scale(squares, mean, n)).collect(),
            false => vec![1.0; mean.len()],
        };
        // Weights sum to zero over the training rows: what is taken off all of them changes nothing.
        for (mut row, scale) in self.products.rows_mut().into_iter().zip(&scale) {
            row /= *scale as f32;
        }
        Components { mean, scale, components: self.products }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// A unit that is the same for all images has scale 1, whatever rounding leaves of its square.
    #[test]
    fn units_that_do_not_vary_are_divided_by_one() {
        let (first, squares, products) = (vec![0.0; 2], vec![0.0; 2], Array2::zeros((2, 1)));
        let mut sums = Sums { origin: vec![], first, squares, products };
        sums.add(&mut array![[0.1f32, 1.0], [0.1, 2.0]], &array![[-1.0], [0.25]]);
        sums.add(&mut array![[0.1f32, 6.0]], &array![[0.75]]);
        let found = sums.finish(3.0, true);
        // By hand: mean 3, squares 4 + 1 + 9 over 2; (-1 + 0.5 + 4.5) / sqrt(7).
        assert!((found.mean[1] - 3.0).abs() < 1e-12 && (found.scale[1] - 7f64.sqrt()).abs() < 1e-12);
        assert!((f64::from(found.components[(1, 0)]) - 4.0 / 7f64.sqrt()).abs() < 1e-6);
        assert_eq!((found.scale[0], found.components[(0, 0)]), (1.0, 0.0));
    }
}
