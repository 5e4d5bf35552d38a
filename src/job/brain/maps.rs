//! Maps as files: NIfTI with a JSON sidecar, in the layout of BIDS derivatives.

use super::layers::Layers;
use crate::data::{Mask, Volume};
use crate::error::Result;
use crate::io::nifti::{self, Datatype};
use crate::io::{json, npz, tsv};
use ndarray::Array1;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Letters and digits only, as BIDS labels are.
pub fn label(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The label of one of `names`, different from those of the others: where letters and digits alone
/// leave two equal (`features.1.10` and `features.11.0`), everything else is an `x`, and where that
/// still does, its place is added.
pub fn label_among(name: &str, names: &[String]) -> String {
    let spelt = |name: &str| name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { 'x' }).collect::<String>();
    let alone = |of: &dyn Fn(&str) -> String| names.iter().all(|other| other == name || of(other) != of(name));
    if alone(&label) {
        return label(name);
    }
    if alone(&spelt) {
        return spelt(name);
    }
    let place = names.iter().position(|other| other == name).unwrap_or_default();
    format!("{}x{}", spelt(name), place + 1)
}

/// Six decimals, or `n/a`.
pub fn number(v: f64) -> String {
    if v.is_finite() { format!("{v:.6}") } else { "n/a".into() }
}

/// 64 to 32 bits.
pub fn narrow(values: impl IntoIterator<Item = f64>) -> Vec<f32> {
    values.into_iter().map(|v| v as f32).collect()
}

/// Writes maps of the same places into one folder.
pub struct MapWriter<'a> {
    pub folder: PathBuf,
    /// In front of every name, as in `sub-01_task-images`.
    pub prefix: &'a str,
    pub space: nifti::Space,
    pub places: &'a Mask,
    /// The layers that have maps, which their files' names must tell apart.
    pub layers: &'a [String],
    /// What every sidecar says besides its own description.
    pub sidecar: Map<String, Value>,
}

impl MapWriter<'_> {
    /// A path in the folder, `[prefix_]name`.
    pub fn path(&self, name: &str) -> PathBuf {
        let stem = if self.prefix.is_empty() { name.to_owned() } else { format!("{}_{name}", self.prefix) };
        self.folder.join(stem)
    }

    /// `[prefix_]desc-<layer>_stat-<name>_statmap.nii.gz`, NaN outside the places.
    pub fn statmap(&self, layer: &str, stat: &str, values: &[f32], description: &str) -> Result<()> {
        self.statmap_as(layer, stat, values, description, Datatype::F32)
    }

    /// The same with another type of numbers: 0 outside the places when it has no NaN.
    pub fn statmap_as(&self, layer: &str, stat: &str, values: &[f32], description: &str, kind: Datatype) -> Result<()> {
        let outside = if kind == Datatype::F32 { f32::NAN } else { 0.0 };
        let volume = self.places.unmask(values, outside);
        let layer = label_among(layer, self.layers);
        self.named(&format!("desc-{layer}_stat-{}_statmap", label(stat)), &volume, description, kind)
    }

    fn named(&self, name: &str, volume: &Volume, description: &str, kind: Datatype) -> Result<()> {
        nifti::write_volume_as(&self.path(&format!("{name}.nii.gz")), volume, self.space, kind)?;
        let mut sidecar = Map::from_iter([("Description".to_owned(), Value::from(description))]);
        sidecar.extend(self.sidecar.clone());
        json::write(&self.path(&format!("{name}.json")), &sidecar)
    }

    /// Selectivity, and after a test the winning layers with their table and the number of layers
    /// of every place.
    pub fn assignment(&self, layers: &Layers, names: &[String]) -> Result<()> {
        let selectivity = narrow(layers.selectivity.iter().copied());
        self.statmap("layers", "selectivity", &selectivity, "(best - second) / (|best| + |second|) over layers")?;
        if !layers.tested {
            return Ok(());
        }
        let winner: Vec<f32> = layers.winner.iter().map(|&w| w as f32).collect();
        let volume = self.places.unmask(&winner, 0.0);
        let description = "the layer with the largest value among the significant ones";
        self.named("desc-winner_dseg", &volume, description, Datatype::I32)?;
        let mut table = tsv::Table::new(["index", "name"]);
        names.iter().enumerate().for_each(|(l, name)| table.push([(l + 1).to_string(), name.clone()]));
        tsv::write(&self.path("desc-winner_dseg.tsv"), &table)?;
        let count: Vec<f32> = layers.per_voxel.map.iter().map(|&n| n as f32).collect();
        self.statmap_as("layers", "count", &count, "number of significant layers", Datatype::I32)
    }

    /// `dataset_description.json` of a derivative.
    pub fn description(&self, name: &str) -> Result<()> {
        let description = json!({
            "Name": name, "BIDSVersion": "1.10.0", "DatasetType": "derivative",
            "GeneratedBy": [{ "Name": "orthoscope", "Version": env!("CARGO_PKG_VERSION") }],
        });
        json::write(&self.folder.join("dataset_description.json"), &description)
    }

    /// Volume of a voxel in mm^3.
    pub fn voxel_mm3(&self) -> f64 {
        self.places.grid().affine.determinant().abs()
    }
}

/// Overlap matrices and the histogram of layers per voxel, as the beginning of `overlap.npz`.
pub fn overlap(layers: &Layers) -> npz::NpzWriter {
    let histogram: Array1<f64> = layers.per_voxel.histogram.iter().map(|&n| n as f64).collect();
    npz::NpzWriter::new()
        .add("dice", &layers.overlap.dice)
        .add("jaccard", &layers.overlap.jaccard)
        .add("map_correlation", &layers.overlap.map_correlation)
        .add("layers_per_voxel", &histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_layers_never_share_a_label() {
        let labels = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
            names.iter().map(|n| label_among(n, &names)).collect::<Vec<_>>()
        };
        assert_eq!(labels(&["features.1.10", "conv_2"]), ["features110", "conv2"]);
        assert_eq!(labels(&["features.1.10", "features.11.0", "c.2"]), ["featuresx1x10", "featuresx11x0", "c2"]);
        assert_eq!(labels(&["a.b", "a-b", "ab"]), ["axbx1", "axbx2", "ab"]);
        assert_eq!(labels(&["\u{e9}1", "1"]), ["x1", "1"], "letters of other scripts are no letters of labels");
    }
}
