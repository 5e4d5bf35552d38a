//! What a run's maps say in numbers: the `results` object.

use super::inputs::Data;
use super::plan::Plan;
use super::regions::RegionResult;
use super::run::Tested;
use crate::data::Mask;
use crate::error::Result;
use crate::mapping::Neighbourhoods;
use crate::mapping::stats::clusters::{Cluster, clusters};
use crate::mapping::stats::layers::{LayersPerVoxel, layers_per_voxel, selectivity, winner};
use crate::mapping::stats::neighbours::{Connectivity, Neighbours};
use crate::mapping::stats::overlap::{Overlap, mean_off_diagonal};
use crate::math::permutation::Tail;
use ndarray::Array2;
use serde_json::{Value, json};

/// The layers' maps, without R^2, and where they are significant.
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
}

impl Layers {
    /// Takes the layers' rows of a test.
    pub fn of(tested: &Tested, plan: &Plan) -> Result<Self> {
        let n = plan.comparator.layers().len();
        let (n_places, alpha) = (tested.maps.values.ncols(), plan.config.test.alpha);
        let values = Array2::from_shape_fn((n, n_places), |(l, v)| f64::from(tested.maps.values[[l, v]]));
        let significant = Array2::from_shape_fn((n, n_places), |(l, v)| {
            tested.corrected.as_ref().is_some_and(|p| p[[l, v]] <= alpha)
        });
        Ok(Self {
            winner: winner(values.view(), significant.view())?,
            selectivity: selectivity(values.view()),
            per_voxel: layers_per_voxel(significant.view()),
            overlap: Overlap::new(values.view(), significant.view())?,
            values,
            significant,
        })
    }
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
}

/// All of it.
pub struct Summary {
    pub layers: Vec<LayerSummary>,
    overlap: Value,
    rois: Value,
    extra: Value,
}

fn extremes(values: &[f64]) -> (f64, f64) {
    let defined: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    let max = defined.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (if defined.is_empty() { f64::NAN } else { max }, defined.iter().sum::<f64>() / defined.len() as f64)
}

impl Summary {
    /// Of volumes; `places` are the centres.
    pub fn of_volume(layers: &Layers, tested: &Tested, places: &Mask, plan: &Plan) -> Result<Self> {
        let neighbours = Neighbours::of_mask(places, Connectivity::default());
        let mm = |place: usize| places.grid().mm(places.voxels()[place] as usize);
        let has_test = tested.corrected.is_some();
        let summaries = plan.comparator.layers().iter().enumerate().map(|(l, name)| {
            let row = layers.values.row(l).to_vec();
            let (max, mean) = extremes(&row);
            // Significant places keep a positive number, all others lie below the threshold.
            let inside = layers.significant.row(l);
            let lowest = row.iter().zip(inside).filter(|(_, s)| **s).map(|(v, _)| *v).fold(0.0, f64::min);
            let above: Vec<f64> =
                row.iter().zip(inside).map(|(v, s)| if *s { v - lowest + 1.0 } else { f64::NAN }).collect();
            let (_, mut found) = clusters(&above, 0.0, Tail::Greater, &neighbours);
            found.retain(|c| c.size >= plan.config.maps.min_cluster);
            let restored = |mut c: Cluster| {
                c.peak += lowest - 1.0;
                c.mass += (lowest - 1.0) * c.size as f64;
                (c, mm(c.peak_voxel))
            };
            let peak = (0..row.len()).filter(|&v| !row[v].is_nan()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
            LayerSummary {
                name: name.clone(),
                max,
                mean,
                peak_mm: peak.map(mm),
                n_significant: has_test.then(|| inside.iter().filter(|s| **s).count()),
                clusters: if has_test { found.into_iter().map(restored).collect() } else { vec![] },
            }
        });
        let correlation = mean_off_diagonal(layers.overlap.map_correlation.view());
        let overlap = json!({
            "mean_dice": has_test.then(|| mean_off_diagonal(layers.overlap.dice.view())),
            "mean_jaccard": has_test.then(|| mean_off_diagonal(layers.overlap.jaccard.view())),
            "mean_map_correlation": correlation,
            "one_layer": has_test.then_some(layers.per_voxel.one_layer),
            "layers_per_voxel": has_test.then(|| layers.per_voxel.histogram.clone()),
        });
        Ok(Self { layers: summaries.collect(), overlap, rois: Value::Null, extra: Value::Null })
    }

    /// Of regions.
    pub fn of_regions(results: &[RegionResult], plan: &Plan, unit: &str) -> Self {
        let layers = plan.comparator.layers();
        let alpha = plan.config.test.alpha;
        let one = |(l, name): (usize, &String)| {
            let (max, mean) = extremes(&results.iter().map(|r| r.values[l]).collect::<Vec<_>>());
            let tested = results.iter().all(|r| !r.p.is_empty());
            LayerSummary {
                name: name.clone(),
                max,
                mean,
                peak_mm: None,
                n_significant: tested.then(|| results.iter().filter(|r| r.p[l] <= alpha).count()),
                clusters: vec![],
            }
        };
        let n = layers.len();
        let regions: Vec<Value> = results
            .iter()
            .map(|r| {
                let best =
                    (0..n).filter(|&l| !r.values[l].is_nan()).max_by(|&a, &b| r.values[a].total_cmp(&r.values[b]));
                json!({
                    "name": r.name, unit: r.n, "values": r.values, "errors": r.errors, "p": r.p, "ceiling": r.ceiling,
                    "best_layer": best.map(|l| &layers[l]),
                })
            })
            .collect();
        Self {
            layers: layers.iter().enumerate().map(one).collect(),
            overlap: Value::Null,
            rois: Value::from(regions),
            extra: json!({ "n_rois": results.len() }),
        }
    }

    /// The `results` object, but for time and memory.
    pub fn results(&self, plan: &Plan, volume: Option<(&Data, &Neighbourhoods<'_>, &Tested)>) -> Value {
        let layers: Vec<Value> = self
            .layers
            .iter()
            .enumerate()
            .map(|(l, layer)| {
                let collinearity = plan.comparator.collinearity();
                json!({
                    "name": layer.name, "max": layer.max, "mean": layer.mean, "n_significant": layer.n_significant,
                    "peak_mm": layer.peak_mm, "n_clusters": layer.n_significant.map(|_| layer.clusters.len()),
                    "vif": collinearity.vif[l], "residual_sd": collinearity.residual_sd[l], "kept_sd": collinearity.kept_sd[l],
                })
            })
            .collect();
        let mut out = json!({
            "n_centres": volume.map_or(0, |(_, spheres, _)| spheres.centres().len()),
            "n_layers": self.layers.len(),
            "n_conditions": plan.conditions.len(),
            "dissimilarity": plan.config.dissimilarity,
            "statistic": plan.config.statistic,
            "residual": plan.config.residual,
            "n_permutations": plan.n_permutations(),
            "correction": plan.config.test.correction,
            "alpha": plan.config.test.alpha,
            "condition_number": plan.comparator.collinearity().condition_number,
            "layers": layers,
            "overlap": self.overlap,
        });
        if let Some((data, spheres, tested)) = volume {
            out["sphere"] = json!(plan.config.sphere.to_string());
            out["n_voxels"] = json!(spheres.mask().n_voxels());
            out["n_voxels_dropped"] = json!(data.n_dropped);
            out["n_centres_skipped"] = json!(spheres.n_skipped());
            out["n_centres_undefined"] = json!(tested.maps.n_undefined);
            out["n_runs"] = json!(data.betas.n_runs());
            let counts = &tested.maps.n_voxels;
            out["voxels_per_centre"] = json!([counts.iter().min(), counts.iter().max()]);
            if let Some(own) = &tested.reliability {
                let mean = |x: &[f32]| extremes(&x.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
                out["reliability"] = json!({ "mean": mean(&own.split_half).1, "max": mean(&own.split_half).0 });
            }
        }
        if !self.rois.is_null() {
            out["rois"] = self.rois.clone();
            out["n_rois"] = self.extra["n_rois"].clone();
        }
        out
    }
}
