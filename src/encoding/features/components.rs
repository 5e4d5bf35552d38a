//! Components on the units of a layer, where only inner products were kept.

use super::extraction::{numbers, scale};
use super::pca::{Dual, Pca};
use crate::data::StimulusSource;
use crate::data::image_source::batches;
use crate::encoding::folds::Rows;
use crate::encoding::solver::Work;
use crate::error::{Error, Result};
use crate::network::Executor;
use crate::progress::Progress;
use crate::tensor::{Device, tensor};
use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2, Slice};
use rayon::prelude::*;
use std::ops::Range;

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
    /// Those that a PCA of features has; none of one that knows inner products alone.
    pub fn of_features(pca: &Pca) -> Option<Self> {
        let (mean, scale, components) = pca.units()?;
        Some(Self { mean: mean.to_vec(), scale: scale.to_vec(), components: components.to_owned() })
    }

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

/// A PCA's components, or combinations of them.
pub struct Combined<'a> {
    pub pca: &'a Pca,
    /// n_components x m; the components themselves where it is absent.
    pub onto: Option<Array2<f64>>,
}

impl<'a> From<&'a Pca> for Combined<'a> {
    fn from(pca: &'a Pca) -> Self {
        Self { pca, onto: None }
    }
}

/// The components of layers on their units, `V = Z' U / s`, or combinations of them, `V onto`, for images
/// that the PCAs have not seen: one more forward pass for all of them, over the training images alone.
/// Memory is that of n_units x k (or m) numbers of every layer; where there are fewer targets than
/// components, their weights are so few on the units themselves.
///
/// The executor's taps are the layers' activations, in the order of `wanted`. Where features gave all the
/// components they are returned as they are, and nothing runs.
///
/// # Errors
/// [`Error::Invalid`] for an executor of other taps, another set of images, or PCAs of different
/// rows; [`Error::Interrupted`]; whatever reading the images or the executor says.
pub fn components(
    wanted: &[Combined<'_>],
    executor: &mut dyn Executor,
    images: &dyn StimulusSource,
    batch: usize,
    device: &Device,
    work: &Work,
) -> Result<Vec<Components>> {
    let pcas: Vec<&Pca> = wanted.iter().map(|w| w.pca).collect();
    let nodes: Vec<_> = executor.taps().iter().map(|tap| tap.node()).collect();
    if nodes.len() != pcas.len() {
        let (expected, found) = (format!("an executor of {} layers", pcas.len()), format!("{} taps", nodes.len()));
        return Err(Error::invalid("components", expected, found, ""));
    }
    let shapes = nodes.iter().map(|&node| executor.graph().node(node).shape);
    let mut layers: Vec<Layer<'_>> = wanted.iter().zip(shapes).map(|(w, shape)| Layer::new(w, shape.len())).collect();
    if let Some(rows) = rows_of(&pcas)? {
        rows.check(images.n_images(), "components")?;
        let mut progress = Progress::new(&work.progress, "components of layers", rows.len() as u64, 0);
        let mut done = 0;
        for range in batches(images.n_images(), batch) {
            work.cancel.check()?;
            let places: Vec<usize> = range.clone().filter(|&i| rows.contains(i)).map(|i| i - range.start).collect();
            if places.is_empty() {
                continue;
            }
            let pixels = images.read(range)?.select(Axis(0), &places);
            let values = numbers(executor.infer(&tensor(pixels.view(), device))?);
            let rows = done..done + places.len();
            layers.iter_mut().zip(values).try_for_each(|(layer, values)| layer.add(values, rows.clone()))?;
            done = rows.end;
            rows.for_each(|_| progress.tick(String::new));
        }
        progress.finish();
    }
    Ok(layers.into_iter().map(Layer::finish).collect())
}

/// A layer's PCA, and what its components are summed from where it knows inner products alone.
struct Layer<'a> {
    wanted: &'a Combined<'a>,
    sums: Option<Dualized<'a>>,
}

/// Of components that are known by the training rows that they are combined from.
struct Dualized<'a> {
    dual: &'a Dual,
    /// `U / s`, or `U onto / s`: n_train x m.
    weights: CowArray<'a, f64, Ix2>,
    sums: Sums,
}

impl<'a> Layer<'a> {
    fn new(wanted: &'a Combined<'a>, n_units: usize) -> Self {
        let sums = |dual: &'a Dual| {
            let weights = match &wanted.onto {
                Some(onto) => CowArray::from(dual.weights().dot(onto)),
                None => CowArray::from(dual.weights()),
            };
            Dualized { dual, sums: Sums::new(n_units, weights.ncols()), weights }
        };
        Self { wanted, sums: wanted.pca.dual().map(sums) }
    }

    /// Adds the activations of some of the training rows.
    fn add(&mut self, values: Vec<f32>, rows: Range<usize>) -> Result<()> {
        let Some(Dualized { weights, sums, .. }) = &mut self.sums else { return Ok(()) };
        let mut units = Array2::from_shape_vec((rows.len(), sums.first.len()), values)
            .map_err(|e| Error::invalid("components", "activations of every layer", e.to_string(), ""))?;
        sums.add(&mut units, &weights.slice_axis(Axis(0), Slice::from(rows)).mapv(|v| v as f32));
        Ok(())
    }

    fn finish(self) -> Components {
        match self.sums {
            Some(Dualized { dual, sums, .. }) => sums.finish(dual.rows().len() as f64, dual.zscore()),
            None => {
                let own = Components::of_features(self.wanted.pca).expect("a PCA is of features or of inner products");
                match &self.wanted.onto {
                    Some(onto) => Components { components: own.components.dot(&onto.mapv(|v| v as f32)), ..own },
                    None => own,
                }
            }
        }
    }
}

/// The training rows of those that are known by inner products.
fn rows_of<'a>(pcas: &[&'a Pca]) -> Result<Option<&'a Rows>> {
    let mut all = pcas.iter().filter_map(|pca| pca.dual()).map(Dual::rows);
    let first = all.next();
    match all.find(|&rows| Some(rows) != first) {
        None => Ok(first),
        Some(other) => Err(Error::invalid("components", "PCAs of the same rows", format!("one of {other}"), "")),
    }
}

/// Units that one task takes at a time.
const BLOCK: usize = 4096;

impl Sums {
    fn new(n_units: usize, n_components: usize) -> Self {
        Self {
            origin: vec![],
            first: vec![0.0; n_units],
            squares: vec![0.0; n_units],
            products: Array2::zeros((n_units, n_components)),
        }
    }

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
        let mut sums = Sums::new(2, 1);
        sums.add(&mut array![[0.1f32, 1.0], [0.1, 2.0]], &array![[-1.0], [0.25]]);
        sums.add(&mut array![[0.1f32, 6.0]], &array![[0.75]]);
        let found = sums.finish(3.0, true);
        // By hand: mean 3, squares 4 + 1 + 9 over 2; (-1 + 0.5 + 4.5) / sqrt(7).
        assert!((found.mean[1] - 3.0).abs() < 1e-12 && (found.scale[1] - 7f64.sqrt()).abs() < 1e-12);
        assert!((f64::from(found.components[(1, 0)]) - 4.0 / 7f64.sqrt()).abs() < 1e-6);
        assert_eq!((found.scale[0], found.components[(0, 0)]), (1.0, 0.0));
    }
}
