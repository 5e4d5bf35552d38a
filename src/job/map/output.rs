//! Files of a run: NIfTI maps with their JSON in the layout of BIDS derivatives, `overlap.npz`,
//! tables.

use super::config::Config;
use super::plan::Plan;
use super::regions::RegionResult;
use super::summary::Summary;
use super::tested::Tested;
use crate::data::Mask;
use crate::error::Result;
use crate::io::filename::{Part, distinct_of};
use crate::io::nifti::Datatype;
use crate::io::{json, nifti, tsv};
use crate::job::brain::layers::Layers;
use crate::job::brain::maps::{self, MapWriter, UnderRelabelling, narrow, number};
use crate::job::inputs::betas::Data;
use crate::job::inputs::series::FittedRun;
use crate::job::inputs::{Estimate, SignalScale};
use crate::job::run_dir::RunDir;
use crate::mapping::Residual;
use crate::mapping::image_bootstrap::Margins;
use ndarray::arr1;
use serde_json::{Value, json};

/// What the sidecars of all maps say.
fn sidecar(plan: &Plan) -> Value {
    let config = &plan.config;
    json!({
        "Dissimilarity": config.dissimilarity,
        "Comparison": config.statistic,
        "Residual": config.residual,
        "NullHypothesis": null_hypothesis(plan),
        "Searchlight": config.sphere.to_string(),
        "NumberOfConditions": plan.conditions.len(),
        "NumberOfPermutations": plan.n_permutations(),
        "Correction": config.test.correction,
        "Family": config.test.family,
        "Sources": if config.betas.files.is_empty() { &config.bold.files } else { &config.betas.files },
        "SkullStripped": true,
    })
}

/// What a p of a layer is against, in words.
fn null_hypothesis(plan: &Plan) -> String {
    if !plan.comparator.tests_beside_others() {
        return "the images' order matters to nothing in the RDM: neither to this layer nor to what resembles it (whole RDMs relabelled)".into();
    }
    let others = match plan.config.residual {
        Residual::Ordered => "the earlier layers",
        Residual::Adjacent => "the layers before and after",
        _ => "the other layers",
    };
    format!(
        "{others} explain the RDM, but for what the images' order does not matter to (residuals relabelled, Freedman and Lane 1983)"
    )
}

/// What runs are called in the names of their files: `run2`, also of a run that is only called `2`.
pub fn run_labels(runs: &[FittedRun]) -> Vec<String> {
    let plain = |name: &str| {
        let label = Part::Label.plain(name);
        if label.contains("run") { label } else { format!("run{label}") }
    };
    let names: Vec<(String, &str)> = runs.iter().map(|run| (plain(&run.name), run.name.as_str())).collect();
    distinct_of(Part::Label, &names)
}

/// The unit of coefficients, in words.
fn unit(config: &Config) -> &'static str {
    match (config.bold.estimate, config.bold.scale) {
        (Estimate::T, _) => "",
        (_, SignalScale::Percent) => ", percent of each voxel's mean over the run",
        (_, SignalScale::Run) => ", percent of the run's mean over voxels and volumes",
        (_, SignalScale::None) => ", in the units of the series",
    }
}

/// Writes what was fitted to time series, run by run: estimates as a 4-D image with the table that
/// `map --labels` reads, the design, and the goodness of fit.
pub fn fitted(run: &RunDir, plan: &Plan, data: &Data) -> Result<()> {
    let Some(mask) = data.mask.as_ref().filter(|_| !data.fitted.is_empty()) else { return Ok(()) };
    let config = &plan.config;
    let mut sidecar = json!({ "GLM": config.bold, "Sources": config.bold.files });
    let estimate = if config.bold.estimate == Estimate::T { "t" } else { "beta" };
    let prefix = if config.maps.prefix.is_empty() { String::new() } else { format!("{}_", config.maps.prefix) };
    for (r, (own, label)) in data.fitted.iter().zip(run_labels(&data.fitted)).enumerate() {
        let at = |end: &str| run.file("arrays").join(format!("{prefix}desc-{label}_{end}"));
        let rows: Vec<usize> = (0..data.betas.runs().len()).filter(|&s| data.betas.runs()[s] == r).collect();
        let volume = |s: &usize| mask.unmask(&data.betas.patterns().row(*s).to_vec(), f32::NAN).values().to_vec();
        let volumes: Vec<Vec<f32>> = rows.iter().map(volume).collect();
        let views: Vec<&[f32]> = volumes.iter().map(Vec::as_slice).collect();
        nifti::write_series(&at(&format!("stat-{estimate}_statmap.nii.gz")), mask.grid(), &views, None, data.space)?;
        sidecar["Description"] = json!(format!("{estimate} of each condition of run {}{}", own.name, unit(config)));
        sidecar["RepetitionTime"] = json!(own.tr_s);
        sidecar["DegreesOfFreedom"] = json!(own.dof);
        json::write(&at(&format!("stat-{estimate}_statmap.json")), &sidecar)?;
        let mut labels = tsv::Table::new(["volume", "condition", "run"]);
        for (volume, &s) in rows.iter().enumerate() {
            let condition = &data.betas.condition_names()[data.betas.conditions()[s]];
            labels.push([volume.to_string(), condition.clone(), own.name.clone()]);
        }
        tsv::write(&at("labels.tsv"), &labels)?;
        let mut design = tsv::Table::new(own.design.names.iter().map(String::as_str));
        own.design.matrix.rows().into_iter().for_each(|row| design.push(row.iter().map(|v| format!("{v:.9}"))));
        tsv::write(&at("design.tsv"), &design)?;
        let r2 = mask.unmask(&narrow(own.r2.iter().copied()), f32::NAN);
        nifti::write_volume(&at("stat-r2_statmap.nii.gz"), &r2, data.space)?;
    }
    Ok(())
}

/// Writes the maps of a searchlight.
pub fn volume(
    run: &RunDir,
    plan: &Plan,
    data: &Data,
    places: &Mask,
    tested: &Tested,
    layers: &Layers,
    summary: &Summary,
) -> Result<()> {
    let names = plan.comparator.layers();
    let write = MapWriter {
        folder: run.file("arrays"),
        prefix: &plan.config.maps.prefix,
        space: data.space,
        places,
        sidecar: sidecar(plan).as_object().cloned().unwrap_or_default(),
    };
    let statistic = plan.config.statistic.to_string();
    for (l, (name, label)) in names.iter().zip(&maps::labels(names)).enumerate() {
        let values = tested.maps.values.row(l).to_vec();
        let words = format!("{statistic} of {name} with the RDM around each voxel");
        write.tested((label, &statistic), &values, &words, chance(plan, tested, l))?;
        if let Some(ends) = &tested.intervals {
            let words = format!("of the {} interval over images", plan.config.test.level);
            write.statmap(label, "cilow", &ends.low.row(l).to_vec(), &format!("low end {words}"))?;
            write.statmap(label, "cihigh", &ends.high.row(l).to_vec(), &format!("high end {words}"))?;
        }
        if let (Some(null), Some(corrected)) = (&tested.null, &tested.corrected) {
            let p = narrow(null.p.row(l).iter().copied());
            write.statmap(label, "p", &p, "p by relabelling, one-sided, uncorrected; see NullHypothesis")?;
            let q = narrow(corrected.row(l).iter().copied());
            write.statmap(label, "pcorrected", &q, "p corrected for the number of places")?;
        }
    }
    if let Some(ends) = &tested.intervals {
        margin(&write, &ends.margin, plan.config.test.level)?;
    }
    if plan.comparator.has_r2() {
        let values = tested.maps.values.row(names.len()).to_vec();
        let words = "variance of the RDM that all layers explain together";
        write.tested(("all", "r2"), &values, words, chance(plan, tested, names.len()))?;
    }
    let counts: Vec<f32> = tested.maps.n_voxels.iter().map(|&n| n as f32).collect();
    write.statmap_as("searchlight", "nvoxels", &counts, "voxels around each centre", Datatype::I32)?;
    if let Some(own) = &tested.reliability {
        let halves = "comparison of the RDMs of two halves of the runs";
        write.statmap("searchlight", "splithalf", &own.split_half, halves)?;
        if let Some([low, high]) = &own.ceiling {
            let words = "end of what a perfect fingerprint would reach, from the split-half comparison";
            write.statmap("searchlight", "ceilinglow", low, &format!("lower {words}"))?;
            write.statmap("searchlight", "ceilinghigh", high, &format!("upper {words}"))?;
        }
    }
    write.assignment(layers, names)?;
    if layers.tested {
        cluster_table(run, &write, summary)?;
    }
    maps::overlap(layers)
        .add("fingerprint_similarity", plan.comparator.similarities())
        .add("vif", &arr1(&plan.comparator.collinearity().vif))
        .write(&run.file("arrays/overlap.npz"))?;
    write.description("orthoscope map")
}

/// How much better the best layer is than the next.
fn margin(write: &MapWriter<'_>, margin: &Margins, level: f64) -> Result<()> {
    let words = format!("of the {level} interval over images of: best layer less the next");
    let which = |layers: &[u32]| layers.iter().map(|&l| l as f32).collect::<Vec<_>>();
    write.statmap_as("layers", "best", &which(&margin.best), "the layer with the largest value", Datatype::I32)?;
    write.statmap_as("layers", "second", &which(&margin.second), "the layer with the next value", Datatype::I32)?;
    write.statmap("layers", "margin", &margin.value, "the largest value less the next")?;
    write.statmap("layers", "marginlow", &margin.low, &format!("low end {words}"))?;
    write.statmap("layers", "marginhigh", &margin.high, &format!("high end {words}"))
}

/// What chance gives of one of the comparator's values.
fn chance(plan: &Plan, tested: &Tested, value: usize) -> UnderRelabelling {
    match &tested.null {
        _ if plan.comparator.is_centred(value) => UnderRelabelling::Zero,
        Some(null) => UnderRelabelling::Mean(null.mean.row(value).to_vec()),
        None => UnderRelabelling::Unknown,
    }
}

fn cluster_table(run: &RunDir, write: &MapWriter<'_>, summary: &Summary) -> Result<()> {
    let mut table = tsv::Table::new(["layer", "cluster", "n_voxels", "size_mm3", "peak", "x_mm", "y_mm", "z_mm"]);
    for layer in &summary.layers {
        for (i, (cluster, mm)) in layer.clusters.iter().enumerate() {
            let mut row = vec![layer.name.clone(), (i + 1).to_string(), cluster.size.to_string()];
            row.push(format!("{:.1}", cluster.size as f64 * write.voxel_mm3()));
            row.push(number(cluster.peak));
            row.extend(mm.map(|v| format!("{v:.1}")));
            table.push(row);
        }
    }
    tsv::write(&run.file("arrays/clusters.tsv"), &table)
}

/// Writes the table of regions.
pub fn regions(run: &RunDir, plan: &Plan, results: &[RegionResult], unit: &str) -> Result<()> {
    let statistic = plan.config.statistic.to_string();
    let header = [
        "region",
        "layer",
        statistic.as_str(),
        "sem",
        "p",
        "ci_low",
        "ci_high",
        "split_half",
        "ceiling_lower",
        "ceiling_upper",
    ];
    let mut table = tsv::Table::new(header.into_iter().map(String::from).chain([format!("n_{unit}")]));
    for region in results {
        for (l, layer) in plan.comparator.layers().iter().enumerate() {
            let at = |values: &[f64]| values.get(l).map_or("n/a".into(), |&v| number(v));
            let bound = |v: Option<f64>| v.map_or("n/a".into(), number);
            table.push([
                region.name.clone(),
                layer.clone(),
                at(&region.values),
                at(&region.errors),
                at(&region.p),
                bound(region.intervals.get(l).map(|i| i.0)),
                bound(region.intervals.get(l).map(|i| i.1)),
                bound(region.split_half),
                bound(region.ceiling.map(|c| c.lower)),
                bound(region.ceiling.map(|c| c.upper)),
                region.n.to_string(),
            ]);
        }
    }
    tsv::write(&run.file("arrays/regions.tsv"), &table)?;
    let collinearity: Value = json!({
        "layers": plan.comparator.layers(),
        "collinearity": plan.comparator.collinearity(),
    });
    json::write(&run.file("arrays/collinearity.json"), &collinearity)
}
