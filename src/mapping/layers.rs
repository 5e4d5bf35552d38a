//! Which layer is where.
//!
//! Layers are in the network's order, numbered from 1 in a map of layers; 0 is no layer.

use crate::error::{Error, Result};
use crate::io::json::or_nan;
use crate::math::stats;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

fn checked(values: (usize, usize), significant: (usize, usize)) -> Result<()> {
    if values == significant && values.0 > 0 {
        return Ok(());
    }
    let expected = "n_layers x n_voxels values, and as many decisions";
    Err(Error::invalid("layer maps", expected, format!("{values:?} and {significant:?}"), ""))
}

/// The layer with the largest value among those that are significant, from 1; 0 where none is. Of
/// equals the earlier layer wins.
///
/// # Shapes
/// `values`, `significant`: n_layers x n_voxels.
///
/// # Errors
/// [`Error::Invalid`] when the two differ in shape or there is no layer.
pub fn winner(values: ArrayView2<'_, f64>, significant: ArrayView2<'_, bool>) -> Result<Vec<u32>> {
    checked(values.dim(), significant.dim())?;
    let best = |v: usize| {
        let mut best = (0, f64::NEG_INFINITY);
        for layer in 0..values.nrows() {
            if significant[[layer, v]] && values[[layer, v]] > best.1 {
                best = (layer as u32 + 1, values[[layer, v]]);
            }
        }
        best.0
    };
    Ok((0..values.ncols()).map(best).collect())
}

/// Selectivity of every voxel, (best - second) / (|best| + |second|) over layers: 0 when two layers
/// tie, 1 when the second is 0, above 1 never. NaN where fewer than two layers have a value, or
/// both are 0.
///
/// # Shapes
/// `values`: n_layers x n_voxels (z, or the statistic itself).
pub fn selectivity(values: ArrayView2<'_, f64>) -> Vec<f64> {
    let of_voxel = |column: ndarray::ArrayView1<'_, f64>| {
        let mut sorted: Vec<f64> = column.iter().copied().filter(|v| !v.is_nan()).collect();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        match sorted[..] {
            [best, second, ..] => (best - second) / (best.abs() + second.abs()),
            _ => f64::NAN,
        }
    };
    values.columns().into_iter().map(of_voxel).collect()
}

/// Entropy of softmax(values) over layers, divided by ln(n_layers): 1 when all layers are alike,
/// near 0 when one stands out. NaN where a layer has no value, or there is only one.
///
/// # Shapes
/// `values`: n_layers x n_voxels.
pub fn entropy(values: ArrayView2<'_, f64>) -> Vec<f64> {
    let of_voxel = |column: ndarray::ArrayView1<'_, f64>| {
        let largest = column.fold(f64::NEG_INFINITY, |m, v| m.max(*v));
        let weights: Vec<f64> = column.iter().map(|v| (v - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let entropy: f64 = weights.iter().map(|w| w / total).filter(|p| *p != 0.0).map(|p| -p * p.ln()).sum();
        entropy / (column.len() as f64).ln()
    };
    values.columns().into_iter().map(of_voxel).collect()
}

/// How many layers the voxels carry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayersPerVoxel {
    /// Significant layers of every voxel.
    pub map: Vec<u32>,
    /// Voxels with 0, 1, ..., n_layers significant layers.
    pub histogram: Vec<usize>,
    /// Of the voxels with a layer, the fraction with one only; NaN when there are none.
    pub one_layer: f64,
}

/// Counts the significant layers of every voxel.
///
/// # Shapes
/// `significant`: n_layers x n_voxels.
pub fn layers_per_voxel(significant: ArrayView2<'_, bool>) -> LayersPerVoxel {
    let map: Vec<u32> =
        significant.columns().into_iter().map(|column| column.iter().filter(|s| **s).count() as u32).collect();
    let mut histogram = vec![0; significant.nrows() + 1];
    map.iter().for_each(|&n| histogram[n as usize] += 1);
    let n_any: usize = histogram.iter().skip(1).sum();
    let one_layer = histogram.get(1).copied().unwrap_or(0) as f64 / n_any as f64;
    LayersPerVoxel { map, histogram, one_layer }
}

/// How the winning layer changes along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gradient {
    /// Pearson's r of the layer's index and the position.
    #[serde(deserialize_with = "or_nan")]
    pub pearson: f64,
    /// Spearman's r of the same.
    #[serde(deserialize_with = "or_nan")]
    pub spearman: f64,
    /// Layers a unit of position, by least squares.
    #[serde(deserialize_with = "or_nan")]
    pub slope: f64,
    /// Voxels with a layer.
    pub n_voxels: usize,
}

/// Correlates the index of the winning layer with a coordinate, over the voxels that have one.
/// Along the posterior-anterior axis (y in MNI space) a visual hierarchy gives a positive gradient.
///
/// # Shapes
/// `winner`: n_voxels, from [`winner`]; `position`: n_voxels, in mm for example. Undefined
/// correlations are NaN.
pub fn gradient(winner: &[u32], position: &[f64]) -> Gradient {
    assert_eq!(winner.len(), position.len(), "a position for every voxel");
    let voxels = winner.iter().zip(position).filter(|(layer, _)| **layer > 0);
    let (layers, positions): (Vec<f64>, Vec<f64>) = voxels.map(|(&layer, &at)| (f64::from(layer), at)).unzip();
    let pearson = stats::pearson(&layers, &positions);
    Gradient {
        pearson,
        spearman: stats::spearman(&layers, &positions),
        slope: pearson * stats::sd(&layers, 1) / stats::sd(&positions, 1),
        n_voxels: layers.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_best_significant_layer_wins() {
        let values = array![[3.0, 1.0, 2.0, f64::NAN], [2.0, 4.0, 2.0, 1.0], [9.0, 0.0, 1.0, 3.0]];
        let significant = array![[true, false, true, true], [true, false, true, false], [false, false, true, true]];
        assert_eq!(winner(values.view(), significant.view()).unwrap(), [1, 0, 1, 3]);
        assert!(winner(values.view(), significant.t()).is_err());
        let per_voxel = layers_per_voxel(significant.view());
        assert_eq!(per_voxel.map, [2, 0, 3, 2]);
        assert_eq!((per_voxel.histogram, per_voxel.one_layer), (vec![1, 0, 2, 1], 0.0));
        assert!(layers_per_voxel(array![[false], [false]].view()).one_layer.is_nan());
        assert_eq!(layers_per_voxel(array![[true, true, false], [false, true, false]].view()).one_layer, 0.5);
    }

    #[test]
    fn selectivity_and_entropy_tell_one_layer_from_many() {
        let values = array![[3.0, 2.0, 5.0, f64::NAN], [1.0, 2.0, 0.0, 1.0], [-1.0, 0.0, 0.0, f64::NAN]];
        let found = selectivity(values.view());
        assert_eq!(found[..3], [0.5, 0.0, 1.0]);
        assert!(found[3].is_nan());
        let alike = entropy(array![[2.0, 800.0], [2.0, 0.0], [2.0, 0.0]].view());
        assert!((alike[0] - 1.0).abs() < 1e-15 && alike[1] == 0.0, "{alike:?}");
        // softmax(0, ln 3) = 1/4, 3/4.
        let two = entropy(array![[0.0], [3f64.ln()]].view())[0];
        let expected = (0.25 * 4f64.ln() + 0.75 * (4.0f64 / 3.0).ln()) / 2f64.ln();
        assert!((two - expected).abs() < 1e-15);
        assert!(entropy(values.view())[3].is_nan());
    }

    #[test]
    fn a_hierarchy_along_an_axis_is_a_gradient() {
        let found = gradient(&[1, 2, 0, 3, 4], &[-90.0, -80.0, 500.0, -70.0, -60.0]);
        assert!((found.pearson - 1.0).abs() < 1e-12 && (found.spearman - 1.0).abs() < 1e-12);
        assert!((found.slope - 0.1).abs() < 1e-12 && found.n_voxels == 4);
        assert!(gradient(&[2, 2], &[1.0, 2.0]).pearson.is_nan() && gradient(&[], &[]).pearson.is_nan());
    }
}
