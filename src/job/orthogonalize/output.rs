//! What a run leaves: images, arrays, figures, and the description of a plan.

use super::plan::Plan;
use super::score::Fingerprints;
use crate::error::Result;
use crate::image::colour::Light;
use crate::image::hygiene;
use crate::io::npz;
use crate::job::drive::record::write_image;
use crate::job::run_dir::RunDir;
use crate::rdm::files::{BASELINE, SECOND_ORDER};
use crate::report::figures::{self, FingerprintOptions, SecondOrderOptions, TraceOptions};
use crate::synthesis::State;
use ndarray::{Array1, Array2, Array4, Axis};
use serde_json::{Value, json};
use std::time::Instant;

/// Writes the images as PNG and reads them back: what is scored is what was written. N x 3 x H x W.
///
/// # Errors
/// [`crate::Error::Io`], or [`crate::Error::Corrupt`] when a file does not hold what was written.
pub fn images(run: &RunDir, images: &Array4<u8>) -> Result<Array4<u8>> {
    let mut written = images.clone();
    for (i, image) in images.axis_iter(Axis(0)).enumerate() {
        let path = run.file("images").join(format!("image-{:02}.png", i + 1));
        written.index_axis_mut(Axis(0), i).assign(&write_image(&path, image)?);
    }
    Ok(written)
}

/// The condensed upper triangle, row by row: the order of rsatoolbox and SciPy.
fn condensed(square: &Array2<f64>) -> Array1<f64> {
    let n = square.nrows();
    (0..n).flat_map(|i| (i + 1..n).map(move |j| square[[i, j]])).collect()
}

/// Writes `arrays/rdms.npz` (one condensed RDM, 1 - similarity, per tap; `second_order`; the
/// baseline's under `baseline.`) and `arrays/trace.npz`.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn arrays(
    plan: &Plan,
    run: &RunDir,
    exported: &Fingerprints,
    baseline: Option<&Fingerprints>,
    state: &State,
) -> Result<()> {
    let mut file = npz::NpzWriter::new();
    let sets = [("", Some(exported)), (BASELINE, baseline)];
    for (prefix, set) in sets.into_iter().filter_map(|(p, s)| s.map(|s| (p, s))) {
        for (tap, rsm) in plan.tap_names.iter().zip(&set.rsms) {
            let rdm = condensed(rsm).mapv(|r| 1.0 - r);
            file = file.add(&format!("{prefix}{}", npz::key(tap)), &rdm);
        }
        file = file.add(&format!("{prefix}{SECOND_ORDER}"), &set.second_order);
    }
    file.write(&run.file("arrays/rdms.npz"))?;
    let mut file = npz::NpzWriter::new();
    for (name, values) in state.trace.columns() {
        file = file.add(name, &Array1::from(values.to_vec()));
    }
    file.write(&run.file("arrays/trace.npz"))
}

/// Draws images, fingerprints, second-order matrices and trace.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn figures(
    plan: &Plan,
    run: &RunDir,
    images: &Array4<u8>,
    exported: &Fingerprints,
    baseline: Option<&Fingerprints>,
    state: &State,
) -> Result<()> {
    let at = |name: &str| run.file("figures").join(name);
    let labels: Vec<String> = (1..=images.dim().0).map(|i| i.to_string()).collect();
    let upright = images.view().permuted_axes([0, 2, 3, 1]);
    figures::image_grid(upright.as_standard_layout().view(), &labels, &at("images"))?;
    let label = format!("{} similarity", plan.config.objective.measure.name());
    let layers = |set: &Fingerprints| plan.tap_names.iter().cloned().zip(set.rsms.iter().cloned()).collect::<Vec<_>>();
    let options = |set: &Fingerprints| FingerprintOptions {
        bar_label: label.clone(),
        sd: set.sd.to_vec(),
        ..FingerprintOptions::default()
    };
    figures::fingerprints(&layers(exported), &at("fingerprints"), &options(exported))?;
    let mut matrices = vec![];
    if let Some(set) = baseline {
        figures::fingerprints(&layers(set), &at("baseline_fingerprints"), &options(set))?;
        matrices.push(("natural images".to_owned(), set.second_order.clone()));
    }
    matrices.push(("synthesised".to_owned(), exported.second_order.clone()));
    figures::second_order(&matrices, &plan.tap_names, &at("second_order"), &SecondOrderOptions::default())?;
    trace(plan, state, &at("trace"))
}

fn trace(plan: &Plan, state: &State, stem: &std::path::Path) -> Result<()> {
    let shown = [
        ("mean_abs_r", "mean |R|"),
        ("max_abs_r", "max |R|"),
        ("rsm_sd_min", "smallest RSM sd"),
        ("target_rms_error", "rms deviation"),
    ];
    let series: Vec<(String, Vec<(f64, f64)>)> = shown
        .iter()
        .map(|(name, label)| {
            let points = state.trace.column(name).iter().enumerate().map(|(i, &v)| (i as f64, v)).collect::<Vec<_>>();
            ((*label).to_owned(), points)
        })
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let options = TraceOptions {
        log_y: true,
        references: vec![(format!("chance, mean |R| {:.3}", plan.chance), plan.chance)],
        ..TraceOptions::default()
    };
    figures::trace(&series, stem, &options)
}

/// Achieved statistics of each image, inside the aperture when there is one.
pub fn image_statistics(plan: &Plan, images: &Array4<f32>) -> Vec<hygiene::ImageStatistics> {
    let (_, _, height, width) = images.dim();
    let weights = plan.constraint().map_or_else(|| Array2::ones((height, width)), |c| c.weights(height, width));
    hygiene::achieved(images, &weights, Light::Encoded)
}

/// What a run would do: shapes, arithmetic, memory, items, and the time of all steps from one that
/// was tried.
///
/// # Errors
/// As a step.
pub fn describe(plan: &Plan) -> Result<Value> {
    let mut synthesizer = plan.synthesizer(0, 0, None)?;
    let mut state = synthesizer.start();
    synthesizer.step(&mut state)?;
    let began = Instant::now();
    synthesizer.step(&mut state)?;
    let seconds = began.elapsed().as_secs_f64();
    let deepest = plan.taps.iter().copied().max().unwrap_or(0);
    let n = plan.config.n_images;
    let macs = plan.graph.n_macs(deepest) * n as u64;
    let needed = plan.graph.needed(&plan.taps);
    let units: usize =
        plan.graph.nodes().iter().zip(&needed).filter(|(_, n)| **n).map(|(node, _)| node.shape.len()).sum();
    let taps: Vec<Value> = plan
        .taps
        .iter()
        .zip(&plan.tap_names)
        .map(|(&id, name)| json!({ "tap": name, "shape": plan.graph.node(id).shape, "units": plan.graph.node(id).shape.len() }))
        .collect();
    let steps = plan.config.restarts * plan.steps_per_octave() * plan.octaves.len();
    Ok(json!({
        "dry_run": true,
        "model": plan.graph.name,
        "model_origin": plan.model_origin,
        "executor": synthesizer.executor.describe(),
        "input": [n, 3, plan.graph.input.height, plan.graph.input.width],
        "parametrisation": synthesizer.param.describe(),
        "objective": plan.goal().describe(),
        "taps": taps,
        "items": plan.config.restarts,
        "steps": steps,
        // forward and the gradient at the pixels: one product each per weight
        "gflop_per_step": 4.0 * macs as f64 / 1e9,
        "activation_mb": (units * n * 4) as f64 / (1 << 20) as f64,
        "seconds_per_step": seconds,
        "expected_seconds": seconds * steps as f64,
        "chance_mean_abs_r": plan.chance,
    }))
}
