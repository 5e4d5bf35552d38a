//! Figures of maps: slices, glass brains, winning layers, overlap.

use super::layers::Layers;
use crate::data::{Mask, Volume};
use crate::error::Result;
use crate::report::figures::{self, BarOptions, BarSeries, BrainOptions, MatrixOptions};
use ndarray::{Array2, ArrayView2};
use std::path::PathBuf;

/// Layers of one figure: more go to a second.
const LAYERS_OF_FIGURE: usize = 8;

/// Maps of layers over one brain.
pub struct Picture<'a> {
    pub folder: PathBuf,
    pub names: &'a [String],
    pub layers: &'a Layers,
    /// The voxels that the maps are of.
    pub places: &'a Mask,
    pub background: &'a Volume,
    /// What is brain.
    pub inside: &'a Mask,
}

impl Picture<'_> {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `slices` and `glass`: `shown` (n_layers x n_places) in colour up to `limit` (the largest
    /// magnitude where it is absent); after a test, significant places have an edge, and the glass
    /// brain shows only those where there are any.
    pub fn maps(&self, shown: ArrayView2<'_, f64>, bar_label: &str, limit: Option<f64>) -> Result<()> {
        let volume = |values: Vec<f32>, outside| self.places.unmask(&values, outside);
        let maps: Vec<(String, Volume)> = self
            .names
            .iter()
            .zip(shown.rows())
            .map(|(name, row)| (name.clone(), volume(row.iter().map(|&v| v as f32).collect(), f32::NAN)))
            .collect();
        let edges = |row: ndarray::ArrayView1<'_, bool>| row.iter().map(|&s| f32::from(u8::from(s))).collect();
        let significant: Vec<Volume> =
            self.layers.significant.rows().into_iter().map(|row| volume(edges(row), 0.0)).collect();
        for (part, maps) in maps.chunks(LAYERS_OF_FIGURE).enumerate() {
            let suffix = if self.names.len() > LAYERS_OF_FIGURE { format!("_{}", part + 1) } else { String::new() };
            let start = part * LAYERS_OF_FIGURE;
            let options = BrainOptions {
                bar_label: bar_label.to_owned(),
                limit: Some(limit.unwrap_or_else(|| largest(shown))),
                outlines: self.layers.tested.then(|| significant[start..start + maps.len()].to_vec()),
                ..BrainOptions::default()
            };
            figures::brain_slices(maps, self.background, self.inside, &self.at(&format!("slices{suffix}")), &options)?;
            let any = self.layers.significant.iter().any(|s| *s);
            let options = BrainOptions { outlines: options.outlines.filter(|_| any), ..options };
            figures::glass_brain(maps, self.inside, &self.at(&format!("glass{suffix}")), &options)?;
        }
        Ok(())
    }

    /// Overlap of the layers, how many a place has, and which wins; nothing for a single layer.
    pub fn overlap(&self) -> Result<()> {
        let layers = self.layers;
        if self.names.len() < 2 {
            return Ok(());
        }
        self.matrix(
            &layers.overlap.map_correlation,
            "map_correlation",
            "Maps of two layers",
            "correlation over voxels",
        )?;
        if !layers.significant.iter().any(|s| *s) {
            return Ok(());
        }
        self.matrix(&layers.overlap.dice, "dice", "Overlap of significant voxels", "Dice")?;
        self.histogram()?;
        let values: Vec<f32> = layers.winner.iter().map(|&w| if w == 0 { f32::NAN } else { w as f32 }).collect();
        let volume = self.places.unmask(&values, f32::NAN);
        figures::brain_labels(&volume, self.names, self.background, self.inside, &self.at("winner"))
    }

    /// A matrix of layers by layers, from -1 to 1.
    pub fn matrix(&self, values: &Array2<f64>, name: &str, title: &str, label: &str) -> Result<()> {
        let options = MatrixOptions {
            title: title.into(),
            bar_label: label.into(),
            limit: Some(1.0),
            ..MatrixOptions::default()
        };
        figures::matrix(values.view(), self.names, self.names, &self.at(name), &options)
    }

    fn histogram(&self) -> Result<()> {
        let counts = &self.layers.per_voxel.histogram;
        let groups: Vec<String> = (0..counts.len()).map(|n| n.to_string()).collect();
        let total: usize = counts.iter().sum();
        let values = counts.iter().map(|&n| 100.0 * n as f64 / total as f64).collect();
        let series = [BarSeries { name: "voxels".into(), values, errors: None }];
        let options = BarOptions {
            title: "Significant layers of a voxel".into(),
            y_label: "% of the places".into(),
            short_names: false,
            ..BarOptions::default()
        };
        figures::bars(&groups, &series, &self.at("layers_per_voxel"), &options)
    }
}

/// Ends of the colour scale: the largest value of any layer.
fn largest(values: ArrayView2<'_, f64>) -> f64 {
    values.iter().filter(|v| v.is_finite()).fold(1e-6, |m: f64, v| m.max(v.abs()))
}
