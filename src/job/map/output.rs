//! Files of a run: NIfTI maps with their JSON in the layout of BIDS derivatives, `overlap.npz`, tables.

use super::inputs::Data;
use super::plan::Plan;
use super::regions::RegionResult;
use super::run::Tested;
use super::summary::{Layers, Summary};
use crate::data::{Mask, Volume};
use crate::error::Result;
use crate::io::nifti::{self, Datatype};
use crate::io::{json, npz, tsv};
use crate::job::run_dir::RunDir;
use ndarray::{Array1, arr1};
use serde_json::{Value, json};

/// Letters and digits only, as BIDS labels are.
fn label(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Writes one map and its sidecar.
struct Writer<'a> {
    run: &'a RunDir,
    plan: &'a Plan,
    data: &'a Data,
    places: &'a Mask,
}

impl Writer<'_> {
    /// `[prefix_]desc-<layer>_stat-<name>_statmap.nii.gz`.
    fn statmap(&self, layer: &str, stat: &str, values: &[f32], description: &str, datatype: Datatype) -> Result<()> {
        let outside = if datatype == Datatype::F32 { f32::NAN } else { 0.0 };
        let volume = self.places.unmask(values, outside);
        self.named(&format!("desc-{}_stat-{}_statmap", label(layer), label(stat)), &volume, description, datatype)
    }

    fn named(&self, name: &str, volume: &Volume, description: &str, datatype: Datatype) -> Result<()> {
        let prefix = &self.plan.config.maps.prefix;
        let stem = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}_{name}") };
        let path = self.run.file("arrays").join(format!("{stem}.nii.gz"));
        nifti::write_volume_as(&path, volume, self.data.space, datatype)?;
        let config = &self.plan.config;
        let sidecar = json!({
            "Description": description,
            "Dissimilarity": config.dissimilarity,
            "Comparison": config.statistic,
            "Residual": config.residual,
            "Searchlight": config.sphere.to_string(),
            "NumberOfConditions": self.plan.conditions.len(),
            "NumberOfPermutations": self.plan.n_permutations(),
            "Correction": config.test.correction,
            "Sources": config.betas.files,
            "SkullStripped": true,
        });
        json::write(&self.run.file("arrays").join(format!("{stem}.json")), &sidecar)
    }
}

fn narrow(values: impl IntoIterator<Item = f64>) -> Vec<f32> {
    values.into_iter().map(|v| v as f32).collect()
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
    let write = Writer { run, plan, data, places };
    let statistic = plan.config.statistic.to_string();
    let names = plan.comparator.layers();
    let f32_map = Datatype::F32;
    for (l, name) in names.iter().enumerate() {
        let values = tested.maps.values.row(l).to_vec();
        write.statmap(
            name,
            &statistic,
            &values,
            &format!("{statistic} of {name} with the RDM around each voxel"),
            f32_map,
        )?;
        if let (Some(null), Some(corrected)) = (&tested.null, &tested.corrected) {
            let p = narrow(null.p.row(l).iter().copied());
            write.statmap(name, "p", &p, "p by relabelling the conditions, one-sided, uncorrected", f32_map)?;
            let q = narrow(corrected.row(l).iter().copied());
            write.statmap(name, "pcorrected", &q, "p corrected for the number of places", f32_map)?;
        }
    }
    if plan.comparator.has_r2() {
        let values = tested.maps.values.row(names.len()).to_vec();
        write.statmap("all", "r2", &values, "variance of the RDM that all layers explain together", f32_map)?;
    }
    let counts: Vec<f32> = tested.maps.n_voxels.iter().map(|&n| n as f32).collect();
    write.statmap("searchlight", "nvoxels", &counts, "voxels around each centre", Datatype::I32)?;
    if let Some(own) = &tested.reliability {
        write.statmap(
            "searchlight",
            "splithalf",
            &own.split_half,
            "comparison of the RDMs of two halves of the runs",
            f32_map,
        )?;
        write.statmap(
            "searchlight",
            "ceiling",
            &own.ceiling,
            "sqrt(2 r / (1 + r)) of the split-half comparison r",
            f32_map,
        )?;
    }
    write.statmap(
        "layers",
        "selectivity",
        &narrow(layers.selectivity.iter().copied()),
        "(best - second) / (|best| + |second|) over layers",
        f32_map,
    )?;
    if tested.corrected.is_some() {
        let winner: Vec<f32> = layers.winner.iter().map(|&w| w as f32).collect();
        let volume = places.unmask(&winner, 0.0);
        write.named(
            "desc-winner_dseg",
            &volume,
            "the layer with the largest value among the significant ones",
            Datatype::I32,
        )?;
        let count: Vec<f32> = layers.per_voxel.map.iter().map(|&n| n as f32).collect();
        write.statmap("layers", "count", &count, "number of significant layers", Datatype::I32)?;
        winner_table(run, plan)?;
        cluster_table(run, plan, summary)?;
    }
    overlap(run, plan, layers)?;
    let description = json!({
        "Name": "orthoscope map", "BIDSVersion": "1.10.0", "DatasetType": "derivative",
        "GeneratedBy": [{ "Name": "orthoscope", "Version": env!("CARGO_PKG_VERSION") }],
    });
    json::write(&run.file("arrays/dataset_description.json"), &description)
}

fn winner_table(run: &RunDir, plan: &Plan) -> Result<()> {
    let mut table = tsv::Table::new(["index", "name"]);
    for (l, name) in plan.comparator.layers().iter().enumerate() {
        table.push([(l + 1).to_string(), name.clone()]);
    }
    let prefix = &plan.config.maps.prefix;
    let stem = if prefix.is_empty() { "desc-winner_dseg".to_owned() } else { format!("{prefix}_desc-winner_dseg") };
    tsv::write(&run.file("arrays").join(format!("{stem}.tsv")), &table)
}

fn number(v: f64) -> String {
    if v.is_finite() { format!("{v:.6}") } else { "n/a".into() }
}

fn cluster_table(run: &RunDir, plan: &Plan, summary: &Summary) -> Result<()> {
    let mut table = tsv::Table::new(["layer", "cluster", "n_voxels", "size_mm3", "peak", "x_mm", "y_mm", "z_mm"]);
    let voxel_mm3 = match &plan.brain {
        super::plan::Brain::Searchlight(data) => {
            data.mask.as_ref().map_or(1.0, |m| m.grid().affine.determinant().abs())
        }
        _ => 1.0,
    };
    for layer in &summary.layers {
        for (i, (cluster, mm)) in layer.clusters.iter().enumerate() {
            let mut row = vec![layer.name.clone(), (i + 1).to_string(), cluster.size.to_string()];
            row.push(format!("{:.1}", cluster.size as f64 * voxel_mm3));
            row.push(number(cluster.peak));
            row.extend(mm.map(|v| format!("{v:.1}")));
            table.push(row);
        }
    }
    tsv::write(&run.file("arrays/clusters.tsv"), &table)
}

fn overlap(run: &RunDir, plan: &Plan, layers: &Layers) -> Result<()> {
    let histogram: Array1<f64> = layers.per_voxel.histogram.iter().map(|&n| n as f64).collect();
    npz::NpzWriter::new()
        .add("dice", &layers.overlap.dice)
        .add("jaccard", &layers.overlap.jaccard)
        .add("map_correlation", &layers.overlap.map_correlation)
        .add("layers_per_voxel", &histogram)
        .add("fingerprint_similarity", plan.comparator.similarities())
        .add("vif", &arr1(&plan.comparator.collinearity().vif))
        .write(&run.file("arrays/overlap.npz"))
}

/// Writes the table of regions.
pub fn regions(run: &RunDir, plan: &Plan, results: &[RegionResult], unit: &str) -> Result<()> {
    let statistic = plan.config.statistic.to_string();
    let header = ["region", "layer", statistic.as_str(), "sem", "p", "ceiling_lower", "ceiling_upper"];
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
