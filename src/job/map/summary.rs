//! What a run's maps say in numbers: the `results` object.

use super::inputs::Data;
use super::plan::Plan;
use super::regions::RegionResult;
use super::tested::Tested;
use crate::data::Mask;
use crate::job::brain::layers::{LayerSummary, Layers, extremes};
use crate::mapping::Neighbourhoods;
use serde_json::{Value, json};

/// All of it.
pub struct Summary {
    pub layers: Vec<LayerSummary>,
    overlap: Value,
    gradient: Value,
    rois: Value,
    extra: Value,
}

impl Summary {
    /// Of volumes; `places` are the centres.
    pub fn of_volume(layers: &Layers, places: &Mask, plan: &Plan) -> Self {
        let layers_of = layers.summaries(plan.comparator.layers(), places, plan.config.maps.min_cluster);
        Self {
            layers: layers_of,
            overlap: layers.overlap_results(),
            gradient: layers.gradient_results(places),
            rois: Value::Null,
            extra: Value::Null,
        }
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
                compactness: None,
            }
        };
        let n = layers.len();
        let regions: Vec<Value> = results
            .iter()
            .map(|r| {
                let best =
                    (0..n).filter(|&l| !r.values[l].is_nan()).max_by(|&a, &b| r.values[a].total_cmp(&r.values[b]));
                json!({
                    "name": r.name, unit: r.n, "values": r.values, "errors": r.errors, "p": r.p, "intervals": r.intervals, "ceiling": r.ceiling,
                    "best_layer": best.map(|l| &layers[l]),
                })
            })
            .collect();
        Self {
            layers: layers.iter().enumerate().map(one).collect(),
            overlap: Value::Null,
            gradient: Value::Null,
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
                    "peak_mm": layer.peak_mm, "n_clusters": layer.n_significant.map(|_| layer.clusters.len()), "compactness": layer.compactness,
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
            "gradient": self.gradient,
        });
        if let Some((data, spheres, tested)) = volume {
            out["sphere"] = json!(plan.config.sphere.to_string());
            out["n_voxels"] = json!(spheres.mask().n_voxels());
            out["n_voxels_dropped"] = json!(data.n_dropped);
            out["n_centres_skipped"] = json!(spheres.n_skipped());
            out["n_centres_undefined"] = json!(tested.maps.n_undefined);
            out["n_runs"] = json!(data.betas.n_runs());
            if !data.fitted.is_empty() {
                out["glm"] =
                    json!(data.fitted.iter().map(|own| json!({
                    "run": own.name, "tr_s": own.tr_s, "n_volumes": own.design.matrix.nrows(),
                    "n_regressors": own.design.matrix.ncols(), "dof": own.dof, "mean_r2": extremes(&own.r2).1,
                    "max_r2": extremes(&own.r2).0,
                })).collect::<Vec<_>>());
            }
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
