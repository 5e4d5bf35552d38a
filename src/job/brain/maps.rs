//! Maps as files: NIfTI with a JSON sidecar, in the layout of BIDS derivatives.

use super::layers::Layers;
use crate::data::{Mask, Volume};
use crate::error::{Error, Result};
use crate::io::filename::{Part, distinct};
use crate::io::nifti::{self, Datatype};
use crate::io::{json, npz, tsv};
use ndarray::Array1;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// File names of 255 bytes have room for it beside a label.
const MAX_PREFIX: usize = 100;

/// The key of a sidecar of `map` that says what its values are on average when the conditions are
/// relabelled: 0, the file with the mean at every place, or null where nothing was relabelled.
pub const CHANCE: &str = "MeanUnderRelabelling";

/// What layers are called in the names of their maps: letters and digits, as BIDS labels are, and
/// no two alike ([`distinct`]).
pub fn labels(layers: &[String]) -> Vec<String> {
    distinct(Part::Label, layers)
}

/// Refuses a `maps.prefix` that no file name can begin with.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_prefix(prefix: &str) -> Result<()> {
    if prefix.len() > MAX_PREFIX || prefix.contains(|c: char| matches!(c, '/' | '\\' | ' ') || c.is_control()) {
        let expected = format!("the beginning of a file name, at most {MAX_PREFIX} bytes");
        return Err(Error::invalid("maps.prefix", expected, format!("`{prefix}`"), "such as `sub-01_task-images`"));
    }
    Ok(())
}

/// Six decimals, or `n/a`.
pub fn number(v: f64) -> String {
    if v.is_finite() { format!("{v:.6}") } else { "n/a".into() }
}

/// 64 to 32 bits.
pub fn narrow(values: impl IntoIterator<Item = f64>) -> Vec<f32> {
    values.into_iter().map(|v| v as f32).collect()
}

/// What a map is on average when the conditions are relabelled.
#[derive(Debug, Clone, PartialEq)]
pub enum UnderRelabelling {
    Zero,
    /// At every place.
    Mean(Vec<f32>),
    /// Not 0, and nothing was relabelled.
    Unknown,
}

/// Writes maps of the same places into one folder.
pub struct MapWriter<'a> {
    pub folder: PathBuf,
    /// In front of every name, as in `sub-01_task-images`.
    pub prefix: &'a str,
    pub space: nifti::Space,
    pub places: &'a Mask,
    /// What every sidecar says besides its own description.
    pub sidecar: Map<String, Value>,
}

impl MapWriter<'_> {
    /// A path in the folder, `[prefix_]name`.
    pub fn path(&self, name: &str) -> PathBuf {
        let stem = if self.prefix.is_empty() { name.to_owned() } else { format!("{}_{name}", self.prefix) };
        self.folder.join(stem)
    }

    /// `[prefix_]desc-<label>_stat-<name>_statmap.nii.gz`, NaN outside the places; layers have one
    /// of [`labels`].
    pub fn statmap(&self, label: &str, stat: &str, values: &[f32], description: &str) -> Result<()> {
        self.statmap_as(label, stat, values, description, Datatype::F32)
    }

    /// [`statmap`](Self::statmap), with what chance gives in the sidecar; where that is not 0 its map is
    /// written, too.
    pub fn tested(
        &self,
        (label, stat): (&str, &str),
        values: &[f32],
        words: &str,
        chance: UnderRelabelling,
    ) -> Result<()> {
        let said = match chance {
            UnderRelabelling::Zero => Value::from(0),
            UnderRelabelling::Unknown => Value::Null,
            UnderRelabelling::Mean(mean) => {
                let own = format!("{}null", Part::Label.plain(stat));
                self.statmap(label, &own, &mean, &format!("mean under relabelling of: {words}"))?;
                let name = self.path(&format!("desc-{label}_stat-{own}_statmap.nii.gz"));
                name.file_name().unwrap_or_default().to_string_lossy().into()
            }
        };
        let mut own = self.sidecar.clone();
        own.insert(CHANCE.into(), said);
        let writer = Self { folder: self.folder.clone(), sidecar: own, ..*self };
        writer.statmap(label, stat, values, words)
    }

    /// The same with another type of numbers: 0 outside the places when it has no NaN.
    pub fn statmap_as(&self, label: &str, stat: &str, values: &[f32], description: &str, kind: Datatype) -> Result<()> {
        let outside = if kind == Datatype::F32 { f32::NAN } else { 0.0 };
        let volume = self.places.unmask(values, outside);
        let stat = Part::Label.plain(stat);
        self.named(&format!("desc-{label}_stat-{stat}_statmap"), &volume, description, kind)
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
