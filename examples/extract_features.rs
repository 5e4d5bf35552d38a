//! Features of several layers for every image of a set, reduced by a PCA of the first half, beside a
//! forward pass that keeps nothing:
//!
//!     cargo run --release --example extract_features -- IMAGES MODEL PREPROCESSING TAP [TAP ...]
//!
//! `IMAGES` is a folder, a zip or an `.npy`; see the page on networks for the rest.

use anyhow::{Context as _, Result, ensure};
use orthoscope::encoding::features::{Context, Extraction, Limits, Pca, PcaOptions, Reduction};
use orthoscope::encoding::{Leakage, Rows};
use orthoscope::image::{Resized, resize::Resize};
use orthoscope::io::images;
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{CpuEngine, Executor, TapRequest, features};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    ensure!(args.len() >= 4, "IMAGES MODEL PREPROCESSING TAP [TAP ...]");
    let options = LoadOptions { preprocess: Some(args[2].clone()), ..Default::default() };
    let graph = load_model(&args[1], &options)?.graph;
    let size = Some((graph.input.height, graph.input.width));
    let source = images::open(Path::new(&args[0]))?;
    let (images, _) = Resized::new(source, size, Resize::Stretch, |_, _| Ok(()))?;
    let n = images.names().len();
    let train = Rows::new((0..n / 2).collect(), n)?;

    let nodes = graph.resolve_taps(&args[3..])?;
    let pca = PcaOptions::default();
    let taps: Vec<_> = nodes.iter().map(|&node| (node, Reduction::Pca(pca))).collect();
    let plan = Extraction::new(&graph, &taps, n, train.len(), Limits::default())?;
    let requests: Vec<_> = nodes.iter().map(|&node| TapRequest::Activations(node)).collect();
    let mut engine = CpuEngine::new(&graph, &requests)?;
    println!("{n} images, {} passes", plan.n_passes());
    println!("at most {} MB of memory", plan.bytes(engine.bytes_per_image()) >> 20);
    println!("{} MB of temporary files", plan.scratch_bytes() >> 20);
    plan.describe().iter().for_each(|line| println!("  {line}"));

    let start = Instant::now();
    features(&mut engine, &images, 16, &Default::default(), &mut |_, _| Ok(()))?;
    println!("a forward pass that keeps nothing: {:.1} s", start.elapsed().as_secs_f64());

    let folder = std::env::temp_dir();
    let (mut leakage, start) = (Leakage::default(), Instant::now());
    let mut learning = 0.0;
    let mut make = |taps: &[TapRequest]| Ok(Box::new(CpuEngine::new(&graph, taps)?) as Box<dyn Executor>);
    plan.run(&mut make, &images, &Context::new(&folder), &mut |i, table| {
        let (tap, start) = (&plan.taps()[i].tap, Instant::now());
        let fitted = Pca::fit(&table, &train, &pca, tap, &mut leakage)?;
        let scores = fitted.scores(&table)?;
        learning += start.elapsed().as_secs_f64();
        println!("{tap}: {} x {} scores, {:.2} % of the variance", n, scores.ncols(), 100.0 * fitted.share());
        Ok(())
    })?;
    println!("extracted in {:.1} s, of which {learning:.1} s for the components", start.elapsed().as_secs_f64());
    for line in leakage.report() {
        println!("  {} on rows {}", line.what, line.rows);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).context("no peak on this system")?;
    println!("peak memory {}", peak.trim_start_matches("VmHWM:").trim());
    Ok(())
}
