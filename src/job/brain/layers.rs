//! Maps of several layers in numbers: who is where, how much they overlap, clusters.

use super::results::{GradientResults, OverlapResults};
use crate::data::Mask;
use crate::error::Result;
use crate::mapping::layers::{LayersPerVoxel, gradient, layers_per_voxel, selectivity, winner};
use crate::mapping::overlap::{Compactness, Overlap, compactness, mean_off_diagonal};
use crate::math::permutation::Tail;
use crate::stats::clusters::{Cluster, clusters};
use crate::stats::neighbours::{Connectivity, Neighbours};
use ndarray::Array2;

/// The layers' maps and where they are significant.
pub struct Layers {
    /// n_layers x n_places.
    pub values: Array2<f64>,
    /// n_layers x n_places; nowhere without a test.
    pub significant: Array2<bool>,
    /// From 1; 0 where no layer is significant.
    pub winner: Vec<u32>,
    pub selectivity: Vec<f64>,
    pub per_voxel: LayersPerVoxel,
    pub overlap: Overlap,
    /// Whether there was a test.
    pub tested: bool,
}

/// One layer in numbers.
pub struct LayerSummary {
    pub name: String,
    pub max: f64,
    pub mean: f64,
    pub peak_mm: Option<[f64; 3]>,
    pub n_significant: Option<usize>,
    /// Clusters of significant places, largest first, and the position of their peaks in mm.
    pub clusters: Vec<(Cluster, [f64; 3])>,
    /// How close together the significant places are, in mm.
    pub compactness: Option<Compactness>,
}

/// Largest and mean of what is defined.
pub fn extremes(values: &[f64]) -> (f64, f64) {
    let defined: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    let max = defined.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (if defined.is_empty() { f64::NAN } else { max }, defined.iter().sum::<f64>() / defined.len() as f64)
}

impl Layers {
    /// From values and corrected p, each n_layers x n_places.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] when the two differ in shape.
    pub fn new(values: Array2<f64>, corrected: Option<&Array2<f64>>, alpha: f64) -> Result<Self> {
        let significant = match corrected {
            Some(p) => p.mapv(|p| p <= alpha),
            None => Array2::from_elem(values.dim(), false),
        };
        Ok(Self {
            winner: winner(values.view(), significant.view())?,
            selectivity: selectivity(values.view()),
            per_voxel: layers_per_voxel(significant.view()),
            overlap: Overlap::new(values.view(), significant.view())?,
            values,
            significant,
            tested: corrected.is_some(),
        })
    }

    /// Every layer's extremes and its clusters of at least `min_cluster` significant places.
    pub fn summaries(&self, names: &[String], places: &Mask, min_cluster: usize) -> Vec<LayerSummary> {
        let neighbours = Neighbours::of_mask(places, Connectivity::default());
        let positions = positions(places);
        let mm = |place: usize| [0, 1, 2].map(|axis| positions[[place, axis]]);
        let one = |(l, name): (usize, &String)| {
            let row = self.values.row(l).to_vec();
            let (max, mean) = extremes(&row);
            let inside = self.significant.row(l).to_vec();
            let mut found = if self.tested { significant_clusters(&row, &inside, &neighbours) } else { vec![] };
            found.retain(|c| c.size >= min_cluster);
            let peak = (0..row.len()).filter(|&v| !row[v].is_nan()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
            let any = self.tested && inside.contains(&true);
            LayerSummary {
                name: name.clone(),
                max,
                mean,
                compactness: any.then(|| compactness(&inside, &neighbours, positions.view())),
                peak_mm: peak.map(mm),
                n_significant: self.tested.then(|| inside.iter().filter(|s| **s).count()),
                clusters: found.into_iter().map(|c| (c, mm(c.peak_voxel))).collect(),
            }
        };
        names.iter().enumerate().map(one).collect()
    }

    /// How the winning layer changes along each axis (mm): along y, from posterior to anterior in
    /// MNI space, a visual hierarchy rises.
    pub fn gradient_results(&self, places: &Mask) -> Option<GradientResults> {
        if !self.tested || self.values.nrows() < 2 || self.winner.iter().all(|w| *w == 0) {
            return None;
        }
        let positions = positions(places);
        let along = |axis: usize| gradient(&self.winner, &positions.column(axis).to_vec());
        Some(GradientResults { x: along(0), y: along(1), z: along(2) })
    }

    /// The `overlap` of the results.
    pub fn overlap_results(&self) -> OverlapResults {
        OverlapResults {
            mean_dice: self.tested.then(|| mean_off_diagonal(self.overlap.dice.view())),
            mean_jaccard: self.tested.then(|| mean_off_diagonal(self.overlap.jaccard.view())),
            mean_map_correlation: mean_off_diagonal(self.overlap.map_correlation.view()),
            one_layer: self.tested.then_some(self.per_voxel.one_layer),
            layers_per_voxel: self.tested.then(|| self.per_voxel.histogram.clone()),
        }
    }
}

/// n_places x 3, in mm.
fn positions(places: &Mask) -> Array2<f64> {
    let mm = |place: usize| places.grid().mm(places.voxels()[place] as usize);
    Array2::from_shape_fn((places.n_voxels(), 3), |(place, axis)| mm(place)[axis])
}

/// Connected significant places, whatever the sign of their values.
fn significant_clusters(values: &[f64], inside: &[bool], neighbours: &Neighbours) -> Vec<Cluster> {
    // Significant places keep a positive number, all others lie below the threshold.
    let lowest = values.iter().zip(inside).filter(|(_, s)| **s).map(|(v, _)| *v).fold(0.0, f64::min);
    let above: Vec<f64> =
        values.iter().zip(inside).map(|(v, s)| if *s { v - lowest + 1.0 } else { f64::NAN }).collect();
    let (_, found) = clusters(&above, 0.0, Tail::Greater, neighbours);
    let restored = |mut c: Cluster| {
        c.peak += lowest - 1.0;
        c.mass += (lowest - 1.0) * c.size as f64;
        c
    };
    found.into_iter().map(restored).collect()
}
