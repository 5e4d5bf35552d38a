//! How orthogonal a set of images is, measured by running the network on it.

use crate::error::Result;
use crate::io::json::or_nan;
use crate::network::moments::at_once;
use crate::network::{Executor, LayerMoments};
use crate::objective::{PatternSimilarity, first_order, second_order};
use crate::rng;
use crate::tensor::{SMALL, Var, array_f64, constant, tensor_f64};
use ndarray::{Array1, Array2, Array3, Array4, Axis, aview1};
use serde::{Deserialize, Serialize};

/// The three numbers that every stage of a run reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean of `|R[l,m]|` over pairs of layers.
    #[serde(deserialize_with = "or_nan")]
    pub mean_abs_r: f64,
    #[serde(deserialize_with = "or_nan")]
    pub max_abs_r: f64,
    /// Smallest standard deviation of a layer's condensed RSM.
    #[serde(deserialize_with = "or_nan")]
    pub rsm_sd_min: f64,
}

/// The fingerprints of a set of images.
#[derive(Debug, Clone)]
pub struct Fingerprints {
    /// One N x N similarity matrix per layer.
    pub rsms: Vec<Array2<f64>>,
    /// L x L.
    pub second_order: Array2<f64>,
    /// One per layer.
    pub sd: Array1<f64>,
}

impl Fingerprints {
    /// Runs the network on images in [0, 1], N x 3 x H x W. The executor's taps must all be
    /// moments.
    ///
    /// # Errors
    /// As [`Executor::infer`].
    pub fn measure(
        executor: &mut dyn Executor,
        images: &Array4<f32>,
        measure: PatternSimilarity,
        device: &crate::tensor::Device,
    ) -> Result<Self> {
        let moments = at_once(executor, images, device)?;
        let gram = |m: &LayerMoments| constant(tensor_f64(m.gram.view().insert_axis(Axis(0)), SMALL, device));
        let sum = |m: &LayerMoments| constant(tensor_f64(aview1(&m.sums).insert_axis(Axis(0)), SMALL, device));
        let grams: Vec<Var<3>> = moments.iter().map(gram).collect();
        let sums: Vec<Var<2>> = moments.iter().map(sum).collect();
        let n_units: Vec<usize> = moments.iter().map(|m| m.n_units).collect();
        let rsms = first_order(Var::cat(grams, 0), Var::cat(sums, 0), &n_units, measure);
        let (r, sd) = second_order(&rsms);
        let matrices = array_f64(&rsms.matrices.inner()).into_dimensionality::<ndarray::Ix3>().expect("L x N x N");
        Ok(Self {
            rsms: split(&matrices),
            second_order: array_f64(&r.inner()).into_dimensionality().expect("L x L"),
            sd: array_f64(&sd.inner()).into_dimensionality().expect("L"),
        })
    }

    /// The three numbers.
    pub fn score(&self) -> Score {
        let off = off_diagonal(&self.second_order);
        Score {
            mean_abs_r: off.iter().sum::<f64>() / off.len().max(1) as f64,
            max_abs_r: off.iter().copied().fold(0.0, f64::max),
            rsm_sd_min: self.sd.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }
}

fn split(matrices: &Array3<f64>) -> Vec<Array2<f64>> {
    matrices.axis_iter(Axis(0)).map(|m| m.to_owned()).collect()
}

/// `|R|` above the diagonal.
fn off_diagonal(r: &Array2<f64>) -> Vec<f64> {
    let n = r.nrows();
    (0..n).flat_map(|l| (l + 1..n).map(move |m| (l, m))).map(|(l, m)| r[[l, m]].abs()).collect()
}

/// Mean |R| over the layers of a network whose RSMs are random: what no set of images should be
/// worse than.
///
/// Simulated: RSMs of independent Gaussian patterns (100 units), for this number of images and
/// layers.
pub fn chance_mean_abs_r(n_images: usize, n_layers: usize) -> f64 {
    const DRAWS: u64 = 100;
    const UNITS: usize = 100;
    let mut sum = 0.0;
    for draw in 0..DRAWS {
        let mut stream = rng::stream(0, "chance", draw);
        let rows: Vec<Array1<f64>> = (0..n_layers)
            .map(|_| {
                let mut z = Array2::from_shape_simple_fn((n_images, UNITS), || stream.normal());
                for mut row in z.rows_mut() {
                    let mean = row.mean().unwrap_or(0.0);
                    row.mapv_inplace(|v| v - mean);
                    let norm = row.dot(&row).sqrt();
                    row.mapv_inplace(|v| v / norm);
                }
                unit_condensed(&z.dot(&z.t()))
            })
            .collect();
        let pairs = (0..n_layers).flat_map(|l| (l + 1..n_layers).map(move |m| (l, m)));
        let all: Vec<f64> = pairs.map(|(l, m)| rows[l].dot(&rows[m]).abs()).collect();
        sum += all.iter().sum::<f64>() / all.len().max(1) as f64;
    }
    sum / DRAWS as f64
}

/// The condensed upper triangle, centred and of length 1.
fn unit_condensed(rsm: &Array2<f64>) -> Array1<f64> {
    let n = rsm.nrows();
    let mut v: Array1<f64> = (0..n).flat_map(|i| (i + 1..n).map(move |j| rsm[[i, j]])).collect();
    let mean = v.mean().unwrap_or(0.0);
    v.mapv_inplace(|x| x - mean);
    let norm = v.dot(&v).sqrt().max(f64::MIN_POSITIVE);
    v / norm
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Independent simulation (NumPy): 0.072 for 16 images and 12 layers.
    #[test]
    fn chance_level_is_the_simulated_one() {
        let chance = chance_mean_abs_r(16, 12);
        assert!((chance - 0.072).abs() < 0.002, "{chance}");
    }
}
