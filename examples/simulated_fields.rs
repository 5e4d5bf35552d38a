//! Voxels of several regions, each voxel with one Gaussian receptive field on a layer of a network:
//!
//!     cargo run --release --example simulated_fields -- OUT IMAGES MODEL PREPROCESSING WIDTH SNR VOXELS REGION=TAP:LOW-HIGH ...
//!
//! Windows are drawn from the usual grid of 8 x 8 centres and 8 radii on an image `WIDTH` degrees
//! wide, those of a region with standard deviations from `LOW` to `HIGH` degrees. `OUT` gets
//! `responses.npy` (images x voxels), `regions.tsv` and `truth.tsv`.

use anyhow::{Context as _, Result, bail, ensure};
use ndarray::{Axis, concatenate};
use orthoscope::data::StimulusSource;
use orthoscope::encoding::features::{Context, Extraction, Limits, Reduction, RfGrid, Table};
use orthoscope::encoding::simulated_fields::simulate;
use orthoscope::image::{Resized, resize::Resize};
use orthoscope::io::{images, npy, tsv};
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{CpuEngine, Executor, Graph, TapRequest};
use orthoscope::rng;
use std::path::Path;

/// A region, its layer and its range of radii.
struct Region<'a> {
    name: &'a str,
    tap: &'a str,
    radii: (f64, f64),
}

fn region(text: &str) -> Result<Region<'_>> {
    let parts = || {
        let (name, rest) = text.split_once('=')?;
        let (tap, radii) = rest.rsplit_once(':')?;
        let (low, high) = radii.split_once('-')?;
        Some(Region { name, tap, radii: (low.parse().ok()?, high.parse().ok()?) })
    };
    parts().with_context(|| format!("`{text}` is not REGION=TAP:LOW-HIGH"))
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    ensure!(args.len() >= 8, "OUT IMAGES MODEL PREPROCESSING WIDTH SNR VOXELS REGION=TAP:LOW-HIGH ...");
    let out = Path::new(&args[0]);
    std::fs::create_dir_all(out)?;
    let options = LoadOptions { preprocess: Some(args[3].clone()), ..Default::default() };
    let graph = load_model(&args[2], &options)?.graph;
    let size = Some((graph.input.height, graph.input.width));
    let (set, _) = Resized::new(images::open(Path::new(&args[1]))?, size, Resize::Stretch, |_, _| Ok(()))?;
    let (grid, snr, n_voxels) = (RfGrid::new(args[4].parse()?), args[5].parse()?, args[6].parse::<usize>()?);
    let candidates = grid.candidates()?;
    let mut responses = Vec::new();
    let mut regions = tsv::Table::new(["name", "region"]);
    let mut truth = tsv::Table::new(["name", "x_deg", "y_deg", "sd_deg"]);
    for (seed, text) in args[7..].iter().enumerate() {
        let Region { name, tap, radii: (low, high) } = region(text)?;
        let within: Vec<usize> =
            (0..candidates.len()).filter(|&c| (low..=high).contains(&candidates[c].sd_deg)).collect();
        ensure!(!within.is_empty(), "no radius of the grid lies between {low} and {high} degrees");
        let mut draw = rng::stream(seed as u64, "windows", 0);
        let windows: Vec<usize> = (0..n_voxels).map(|_| within[draw.below(within.len())]).collect();
        let Table::Features(x) = pooled(&graph, tap, &grid, &set)? else { bail!("windows are features") };
        responses.push(simulate(x.view(), x.ncols() / candidates.len(), &windows, snr, seed as u64)?);
        for (v, &window) in windows.iter().enumerate() {
            let (label, window) = (format!("{name}-{v:03}"), candidates[window]);
            regions.push([label.clone(), name.to_owned()]);
            truth.push([label, window.x_deg.to_string(), window.y_deg.to_string(), window.sd_deg.to_string()]);
        }
        println!("{name}: {n_voxels} voxels on {tap}");
    }
    let views: Vec<_> = responses.iter().map(|y| y.view()).collect();
    npy::write(&out.join("responses.npy"), &concatenate(Axis(1), &views)?)?;
    tsv::write(&out.join("regions.tsv"), &regions)?;
    tsv::write(&out.join("truth.tsv"), &truth)?;
    Ok(())
}

/// Channels of a layer under every window.
fn pooled(graph: &Graph, tap: &str, grid: &RfGrid, set: &Resized) -> Result<Table> {
    let taps = [(graph.tap(tap)?, Reduction::RfPooled(grid.clone()))];
    let plan = Extraction::new(graph, &taps, set.n_images(), set.n_images(), Limits::default())?;
    let mut make = |taps: &[TapRequest]| Ok(Box::new(CpuEngine::new(graph, taps)?) as Box<dyn Executor>);
    let (folder, mut found) = (std::env::temp_dir(), None);
    plan.run(&mut make, set, &Context::new(&folder), &mut |_, table| {
        found = Some(table);
        Ok(())
    })?;
    found.context("one layer, one table")
}
