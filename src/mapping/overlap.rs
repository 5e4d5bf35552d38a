//! How much the maps of several layers overlap, and how compact they are.

use crate::error::{Error, Result};
use crate::io::json::or_nan;
use crate::math::permutation::Tail;
use crate::math::stats;
use crate::stats::clusters::{Cluster, clusters};
use crate::stats::neighbours::Neighbours;
use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// Overlap of all pairs of layers; matrices are n_layers x n_layers and symmetric.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlap {
    /// Dice, 2 |A and B| / (|A| + |B|); NaN when both sets are empty.
    pub dice: Array2<f64>,
    /// Jaccard, |A and B| / |A or B|; NaN when both sets are empty.
    pub jaccard: Array2<f64>,
    /// Pearson's r of the unthresholded maps over the voxels where both have a value.
    pub map_correlation: Array2<f64>,
}

impl Overlap {
    /// Of significant voxels and of unthresholded maps.
    ///
    /// # Shapes
    /// `values`, `significant`: n_layers x n_voxels.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the two differ in shape.
    pub fn new(values: ArrayView2<'_, f64>, significant: ArrayView2<'_, bool>) -> Result<Self> {
        if values.dim() != significant.dim() {
            let found = format!("{:?} and {:?}", values.dim(), significant.dim());
            return Err(Error::invalid("overlap", "n_layers x n_voxels values, and as many decisions", found, ""));
        }
        let n = values.nrows();
        let rows: Vec<Vec<f64>> = values.outer_iter().map(|row| row.to_vec()).collect();
        let mut overlap = Self {
            dice: Array2::from_elem((n, n), f64::NAN),
            jaccard: Array2::from_elem((n, n), f64::NAN),
            map_correlation: Array2::from_elem((n, n), f64::NAN),
        };
        for (i, j) in (0..n).flat_map(|i| (i..n).map(move |j| (i, j))) {
            let (dice, jaccard) = sets(significant.row(i).iter().zip(significant.row(j)));
            let (x, y) = stats::complete_pairs(&rows[i], &rows[j]);
            let correlation = stats::pearson(&x, &y);
            for at in [[i, j], [j, i]] {
                overlap.dice[at] = dice;
                overlap.jaccard[at] = jaccard;
                overlap.map_correlation[at] = correlation;
            }
        }
        Ok(overlap)
    }
}

fn sets<'a>(pairs: impl Iterator<Item = (&'a bool, &'a bool)>) -> (f64, f64) {
    let (mut both, mut first, mut second) = (0usize, 0usize, 0usize);
    for (&a, &b) in pairs {
        both += usize::from(a && b);
        first += usize::from(a);
        second += usize::from(b);
    }
    let (both, all) = (both as f64, (first + second) as f64);
    (2.0 * both / all, both / (all - both))
}

/// Mean over the pairs i < j that are defined; NaN when none is.
pub fn mean_off_diagonal(matrix: ArrayView2<'_, f64>) -> f64 {
    let above = matrix.indexed_iter().filter(|((i, j), v)| i < j && !v.is_nan());
    stats::mean(&above.map(|(_, v)| *v).collect::<Vec<_>>())
}

/// How compact a set of voxels is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Compactness {
    /// Voxels of the set.
    pub n_voxels: usize,
    /// Connected clusters that they form.
    pub n_clusters: usize,
    /// Voxels of the largest cluster, as a fraction of the set.
    #[serde(deserialize_with = "or_nan")]
    pub largest_fraction: f64,
    /// Mean distance of the voxels to their centroid, in the unit of the positions.
    #[serde(deserialize_with = "or_nan")]
    pub spread: f64,
}

/// Compactness of a set of voxels. Fractions and distances of an empty set are NaN.
///
/// # Shapes
/// `set`: n_voxels; `positions`: n_voxels x 3, in mm for example.
pub fn compactness(set: &[bool], neighbours: &Neighbours, positions: ArrayView2<'_, f64>) -> Compactness {
    let map: Vec<f64> = set.iter().map(|&inside| f64::from(u8::from(inside))).collect();
    let found: Vec<Cluster> = clusters(&map, 0.5, Tail::Greater, neighbours).1;
    let voxels: Vec<usize> = (0..set.len()).filter(|&v| set[v]).collect();
    let n = voxels.len() as f64;
    let centroid = voxels.iter().fold(Array1::<f64>::zeros(3), |sum, &v| sum + positions.row(v)) / n;
    let distance = |&v: &usize| (&positions.row(v) - &centroid).mapv(|d| d * d).sum().sqrt();
    Compactness {
        n_voxels: voxels.len(),
        n_clusters: found.len(),
        largest_fraction: found.first().map_or(f64::NAN, |c| c.size as f64 / n),
        spread: voxels.iter().map(distance).sum::<f64>() / n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn overlap_counts_shared_voxels() {
        let significant = array![[true, true, true, false], [false, true, true, true], [false; 4]];
        let values = array![[1.0, 2.0, 3.0, 0.0], [0.0, 2.0, 3.0, f64::NAN], [3.0, 2.0, 1.0, 4.0]];
        let overlap = Overlap::new(values.view(), significant.view()).unwrap();
        assert_eq!((overlap.dice[[0, 1]], overlap.jaccard[[1, 0]]), (4.0 / 6.0, 0.5));
        assert_eq!((overlap.dice[[0, 0]], overlap.dice[[0, 2]]), (1.0, 0.0));
        assert!(overlap.dice[[2, 2]].is_nan());
        let expected = stats::pearson(&[1.0, 2.0, 3.0], &[0.0, 2.0, 3.0]);
        assert!((overlap.map_correlation[[0, 1]] - expected).abs() < 1e-15);
        assert_eq!(mean_off_diagonal(overlap.dice.view()), (4.0 / 6.0) / 3.0);
        assert!(mean_off_diagonal(array![[1.0]].view()).is_nan());
        assert!(Overlap::new(values.view(), significant.t()).is_err());
    }

    #[test]
    fn a_ball_is_more_compact_than_its_scattered_voxels() {
        let near = Neighbours::from_pairs(10, &(1..10).map(|i| (i - 1, i)).collect::<Vec<_>>()).unwrap();
        let positions = Array2::from_shape_fn((10, 3), |(v, axis)| if axis == 0 { 3.0 * v as f64 } else { 0.0 });
        let of = |set: [usize; 4]| {
            compactness(&(0..10).map(|v| set.contains(&v)).collect::<Vec<_>>(), &near, positions.view())
        };
        let (ball, scattered) = (of([3, 4, 5, 6]), of([0, 1, 5, 9]));
        assert_eq!((ball.n_clusters, ball.largest_fraction, ball.spread), (1, 1.0, 3.0));
        assert_eq!((scattered.n_clusters, scattered.largest_fraction), (3, 0.5));
        assert!(scattered.spread > ball.spread);
        assert!(compactness(&[false; 10], &near, positions.view()).spread.is_nan());
    }
}
