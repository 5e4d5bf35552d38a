//! What a run's maps say in numbers: the `results` object.

use super::output::run_labels;
use super::plan::Plan;
use super::regions::RegionResult;
use super::results::{Glm, Layer, Mapped, Region, Reliability, Volume};
use super::tested::Tested;
use crate::data::Mask;
use crate::job::brain::layers::{LayerSummary, Layers, extremes};
use crate::job::brain::maps::labels;
use crate::job::brain::results::{GradientResults, OverlapResults};
use crate::job::inputs::betas::Data;
use crate::mapping::Neighbourhoods;

/// All of it.
pub struct Summary {
    pub layers: Vec<LayerSummary>,
    overlap: Option<OverlapResults>,
    gradient: Option<GradientResults>,
    rois: Option<Vec<Region>>,
}

impl Summary {
    /// Of volumes; `places` are the centres.
    pub fn of_volume(layers: &Layers, places: &Mask, plan: &Plan) -> Self {
        let layers_of = layers.summaries(plan.comparator.layers(), places, plan.config.maps.min_cluster);
        Self {
            layers: layers_of,
            overlap: Some(layers.overlap_results()),
            gradient: layers.gradient_results(places),
            rois: None,
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
        Self {
            layers: layers.iter().enumerate().map(one).collect(),
            overlap: None,
            gradient: None,
            rois: Some(results.iter().map(|r| region(r, layers, unit)).collect()),
        }
    }

    /// The `results` object, but for time and memory.
    pub fn results(self, plan: &Plan, volume: Option<(&Data, &Neighbourhoods<'_>, &Tested)>) -> Mapped {
        let collinearity = plan.comparator.collinearity();
        let labels = volume.is_some().then(|| labels(plan.comparator.layers()));
        let layer = |(l, layer): (usize, LayerSummary)| Layer {
            name: layer.name,
            label: labels.as_ref().map(|labels| labels[l].clone()),
            max: layer.max,
            mean: layer.mean,
            n_significant: layer.n_significant,
            peak_mm: layer.peak_mm,
            n_clusters: layer.n_significant.map(|_| layer.clusters.len()),
            compactness: layer.compactness,
            vif: collinearity.vif[l],
            residual_sd: collinearity.residual_sd[l],
            kept_sd: collinearity.kept_sd[l],
        };
        Mapped {
            n_centres: volume.map_or(0, |(_, spheres, _)| spheres.centres().len()),
            n_layers: self.layers.len(),
            n_conditions: plan.conditions.len(),
            dissimilarity: plan.config.dissimilarity,
            statistic: plan.config.statistic,
            residual: plan.config.residual,
            n_permutations: plan.n_permutations(),
            correction: plan.config.test.correction,
            family: plan.config.test.family,
            alpha: plan.config.test.alpha,
            condition_number: collinearity.condition_number,
            layers: self.layers.into_iter().enumerate().map(layer).collect(),
            overlap: self.overlap,
            gradient: self.gradient,
            volume: volume.map(|(data, spheres, tested)| of_volume(plan, data, spheres, tested)),
            n_rois: self.rois.as_ref().map(Vec::len),
            rois: self.rois,
        }
    }
}

fn region(found: &RegionResult, layers: &[String], unit: &str) -> Region {
    let defined = (0..layers.len()).filter(|&l| !found.values[l].is_nan());
    let best = defined.max_by(|&a, &b| found.values[a].total_cmp(&found.values[b]));
    let finite = |v: f64| v.is_finite().then_some(v);
    Region {
        name: found.name.clone(),
        voxels: (unit == "voxels").then_some(found.n),
        subjects: (unit == "subjects").then_some(found.n),
        values: found.values.clone(),
        errors: found.errors.clone(),
        p: found.p.clone(),
        intervals: found.intervals.iter().map(|&(low, high)| (finite(low), finite(high))).collect(),
        split_half: found.split_half.and_then(finite),
        ceiling: found.ceiling,
        best_layer: best.map(|l| layers[l].clone()),
        margin: found.margin.clone(),
    }
}

fn of_volume(plan: &Plan, data: &Data, spheres: &Neighbourhoods<'_>, tested: &Tested) -> Volume {
    let glm = data.fitted.iter().zip(run_labels(&data.fitted)).map(|(own, label)| {
        let (max_r2, mean_r2) = extremes(&own.r2);
        Glm {
            run: own.name.clone(),
            label,
            tr_s: own.tr_s,
            n_volumes: own.design.matrix.nrows(),
            n_regressors: own.design.matrix.ncols(),
            dof: own.dof,
            mean_r2,
            max_r2,
        }
    });
    let counts = &tested.maps.n_voxels;
    let reliability = tested.reliability.as_ref().map(|own| {
        let (max, mean) = extremes(&own.split_half.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
        Reliability { mean, max }
    });
    Volume {
        sphere: plan.config.sphere.to_string(),
        n_voxels: spheres.mask().n_voxels(),
        n_voxels_dropped: data.n_dropped,
        n_centres_skipped: spheres.n_skipped(),
        n_centres_undefined: tested.maps.n_undefined,
        n_runs: data.betas.n_runs(),
        glm: glm.collect(),
        voxels_per_centre: [counts.iter().min().copied(), counts.iter().max().copied()],
        reliability,
    }
}
