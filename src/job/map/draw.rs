//! Figures of a run.

use super::inputs::Data;
use super::plan::Plan;
use super::regions::RegionResult;
use super::run::Tested;
use super::summary::{Layers, Summary};
use crate::data::{Mask, Volume};
use crate::error::Result;
use crate::job::run_dir::RunDir;
use crate::report::figures::{self, BarOptions, BarSeries, BrainOptions, MatrixOptions};
use ndarray::{Array2, Axis};

/// Layers of one figure: more go to a second.
const LAYERS_OF_FIGURE: usize = 8;

/// Maps over slices, glass brains, overlap.
pub fn volume(
    run: &RunDir,
    plan: &Plan,
    data: &Data,
    places: &Mask,
    tested: &Tested,
    layers: &Layers,
    _: &Summary,
) -> Result<()> {
    let at = |name: &str| run.file("figures").join(name);
    let names = plan.comparator.layers();
    let statistic = plan.config.statistic.to_string();
    let background = data.background.clone().unwrap_or_else(|| mean_image(data, places));
    let inside = data.mask.as_ref().expect("images have a mask");
    let maps: Vec<(String, Volume)> = names
        .iter()
        .enumerate()
        .map(|(l, name)| (name.clone(), places.unmask(&tested.maps.values.row(l).to_vec(), f32::NAN)))
        .collect();
    let significant: Vec<Volume> = (0..names.len())
        .map(|l| {
            let row = layers.significant.row(l);
            let values: Vec<f32> = row.iter().map(|&s| f32::from(u8::from(s))).collect();
            places.unmask(&values, 0.0)
        })
        .collect();
    let outlined = tested.corrected.is_some().then_some(significant.as_slice());
    for (part, maps) in maps.chunks(LAYERS_OF_FIGURE).enumerate() {
        let suffix = if names.len() > LAYERS_OF_FIGURE { format!("_{}", part + 1) } else { String::new() };
        let start = part * LAYERS_OF_FIGURE;
        let options = BrainOptions {
            bar_label: statistic.clone(),
            limit: Some(limit(&tested.maps.values, names.len())),
            outlines: outlined.map(|o| o[start..start + maps.len()].to_vec()),
            ..BrainOptions::default()
        };
        figures::brain_slices(maps, &background, inside, &at(&format!("slices{suffix}")), &options)?;
        figures::glass_brain(maps, inside, &at(&format!("glass{suffix}")), &options)?;
    }
    if names.len() > 1 {
        let matrix = |values: &Array2<f64>, name: &str, title: &str, label: &str| {
            let options = MatrixOptions {
                title: title.into(),
                bar_label: label.into(),
                limit: Some(1.0),
                ..MatrixOptions::default()
            };
            figures::matrix(values.view(), names, names, &at(name), &options)
        };
        matrix(&layers.overlap.map_correlation, "map_correlation", "Maps of two layers", "correlation over voxels")?;
        matrix(plan.comparator.similarities(), "fingerprint_similarity", "Fingerprints of two layers", "similarity")?;
        if tested.corrected.is_some() && layers.significant.iter().any(|s| *s) {
            matrix(&layers.overlap.dice, "dice", "Overlap of significant voxels", "Dice")?;
            histogram(layers, &at("layers_per_voxel"))?;
            winner(names, layers, places, &background, inside, run)?;
        }
    }
    Ok(())
}

/// Ends of the colour scale: the largest value of any layer.
fn limit(values: &ndarray::Array2<f32>, n_layers: usize) -> f64 {
    let layers = values.axis_iter(Axis(0)).take(n_layers);
    let largest = layers.flat_map(|row| row.to_vec()).filter(|v| v.is_finite()).fold(0.0f32, |m, v| m.max(v.abs()));
    f64::from(largest).max(1e-6)
}

/// The mean of all samples' magnitude, where no other image is given.
fn mean_image(data: &Data, places: &Mask) -> Volume {
    let mask = data.mask.as_ref().unwrap_or(places);
    let mean = data.betas.patterns().mapv(f32::abs).mean_axis(Axis(0)).expect("there are samples");
    mask.unmask(&mean.to_vec(), 0.0)
}

fn histogram(layers: &Layers, stem: &std::path::Path) -> Result<()> {
    let counts = &layers.per_voxel.histogram;
    let groups: Vec<String> = (0..counts.len()).map(|n| n.to_string()).collect();
    let total: usize = counts.iter().sum();
    let values = counts.iter().map(|&n| 100.0 * n as f64 / total as f64).collect();
    let series = [BarSeries { name: "voxels".into(), values, errors: None }];
    let options = BarOptions {
        title: "Significant layers of a voxel".into(),
        y_label: "% of the centres".into(),
        short_names: false,
        ..BarOptions::default()
    };
    figures::bars(&groups, &series, stem, &options)
}

fn winner(
    names: &[String],
    layers: &Layers,
    places: &Mask,
    background: &Volume,
    inside: &Mask,
    run: &RunDir,
) -> Result<()> {
    let values: Vec<f32> = layers.winner.iter().map(|&w| if w == 0 { f32::NAN } else { w as f32 }).collect();
    let volume = places.unmask(&values, f32::NAN);
    figures::brain_labels(&volume, names, background, inside, &run.file("figures").join("winner"))
}

/// Bars of regions against their ceilings.
pub fn regions(run: &RunDir, plan: &Plan, results: &[RegionResult]) -> Result<()> {
    let at = |name: &str| run.file("figures").join(name);
    let names = plan.comparator.layers();
    let statistic = plan.config.statistic.to_string();
    for (i, region) in results.iter().enumerate() {
        let errors = (!region.errors.is_empty()).then(|| region.errors[..names.len()].to_vec());
        let values = region.values[..names.len()].to_vec();
        let series = [BarSeries { name: region.name.clone(), values, errors }];
        let references = region.ceiling.map_or_else(Vec::new, |c| {
            let own = region.errors.is_empty();
            let lower = if own { "split-half" } else { "ceiling, lower" };
            let upper = if own { "noise ceiling" } else { "ceiling, upper" };
            vec![(lower.to_owned(), c.lower), (upper.to_owned(), c.upper)]
        });
        let references = references.into_iter().filter(|(_, v)| v.is_finite()).collect();
        let title = format!("{} ({} of layers)", region.name, plan.config.residual_words());
        let options = BarOptions { title, y_label: statistic.clone(), references, short_names: true };
        figures::bars(names, &series, &at(&format!("region_{:02}", i + 1)), &options)?;
    }
    let regions: Vec<String> = results.iter().map(|r| r.name.clone()).collect();
    let values = Array2::from_shape_fn((results.len(), names.len()), |(r, l)| results[r].values[l]);
    let options =
        MatrixOptions { title: "Regions and layers".into(), bar_label: statistic, ..MatrixOptions::default() };
    figures::matrix(values.view(), &regions, names, &at("regions"), &options)?;
    if names.len() > 1 {
        let options = MatrixOptions {
            title: "Fingerprints of two layers".into(),
            bar_label: "similarity".into(),
            limit: Some(1.0),
            ..MatrixOptions::default()
        };
        figures::matrix(plan.comparator.similarities().view(), names, names, &at("fingerprint_similarity"), &options)?;
    }
    Ok(())
}
