//! Figures of a run.

use super::plan::Plan;
use super::regions::RegionResult;
use crate::data::{Mask, Volume};
use crate::error::Result;
use crate::job::brain::figures::Picture;
use crate::job::brain::layers::Layers;
use crate::job::inputs::betas::Data;
use crate::job::run_dir::RunDir;
use crate::report::figures::{self, BarOptions, BarSeries, MatrixOptions};
use ndarray::{Array2, Axis};

/// Maps over slices, glass brains, overlap.
pub fn volume(run: &RunDir, plan: &Plan, data: &Data, places: &Mask, layers: &Layers) -> Result<()> {
    let background = data.background.clone().unwrap_or_else(|| mean_image(data, places));
    let picture = Picture {
        folder: run.file("figures"),
        names: plan.comparator.layers(),
        layers,
        places,
        background: &background,
        inside: data.mask.as_ref().expect("images have a mask"),
    };
    picture.maps(layers.values.view(), &plan.config.statistic.to_string(), None)?;
    picture.overlap()?;
    if picture.names.len() > 1 {
        let similarities = plan.comparator.similarities();
        picture.matrix(similarities, "fingerprint_similarity", "Fingerprints of two layers", "similarity")?;
    }
    Ok(())
}

/// The mean of all samples' magnitude, where no other image is given.
fn mean_image(data: &Data, places: &Mask) -> Volume {
    let mask = data.mask.as_ref().unwrap_or(places);
    let mean = data.betas.patterns().mapv(f32::abs).mean_axis(Axis(0)).expect("there are samples");
    mask.unmask(&mean.to_vec(), 0.0)
}

/// Bars of regions against their ceilings.
pub fn regions(run: &RunDir, plan: &Plan, results: &[RegionResult]) -> Result<()> {
    let at = |name: &str| run.file("figures").join(name);
    let names = plan.comparator.layers();
    let statistic = plan.config.statistic.to_string();
    for (i, region) in results.iter().enumerate() {
        let values = region.values[..names.len()].to_vec();
        let ends = |(&v, &e): (&f64, &f64)| [v - e, v + e];
        let errors = (!region.errors.is_empty()).then(|| values.iter().zip(&region.errors).map(ends).collect());
        let series = [BarSeries { name: region.name.clone(), values, errors }];
        let references = region.ceiling.map_or_else(Vec::new, |c| {
            vec![("ceiling, lower".to_owned(), c.lower), ("ceiling, upper".to_owned(), c.upper)]
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
