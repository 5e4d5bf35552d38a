//! What drives single units, against independent implementations: the published loop step by step,
//! projections, SSIM.

use crate::support::{data, json};
use ndarray::{Array2, Array3, Array4, Axis, Ix3};
use orthoscope::image::{Canvas, GradientRule, Init, Norm, Pixels, Relax, ssim};
use orthoscope::io::{npz, png};
use orthoscope::network::import::pytorch;
use orthoscope::network::{CpuEngine, Graph, InputSpec, TapRequest};
use orthoscope::objective::{Drive, UnitTap, drive};
use orthoscope::synthesis::{Batch, Leave, OptimizerKind, Synthesizer};
use orthoscope::tensor::Device;
use std::path::Path;

fn golden(name: &str) -> npz::Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

fn array3(file: &npz::Npz, name: &str) -> Array3<f32> {
    file.get::<f32>(name).unwrap().into_dimensionality::<Ix3>().unwrap()
}

/// The made-up compact network of the golden file.
fn compact(file: &npz::Npz) -> Graph {
    let weights = file.all::<f32>().unwrap().into_iter().filter(|(name, _)| name.starts_with("layers.")).collect();
    let mut graph = pytorch::build("cowley-compact", weights, Path::new("golden.pt")).unwrap();
    graph.input = InputSpec::preset("v4", graph.input.height, graph.input.width).unwrap();
    graph
}

/// The published loop on one image, up (+1) or down (-1).
fn published(graph: &Graph, start: &Array3<f32>, sign: f64, blur_every: usize) -> (Synthesizer, Batch) {
    let (_, height, width) = start.dim();
    let canvas = Canvas { n_images: 1, height, width, grey: false };
    let shown = start.mapv(|v| v / 255.0).insert_axis(Axis(0));
    let param = Pixels::new(canvas, GradientRule::Smooth { sigma: 1.0 }, &Init::Images(shown.view())).unwrap();
    let one = |v: f64| Array2::from_elem((1, 1), v);
    let units = vec![UnitTap { tap: 0, channel: 0, at: None }];
    let synthesizer = Synthesizer {
        param: Box::new(param.with_relax(Relax { every: blur_every, sigma: 1.0 })),
        constraint: None,
        mask: None,
        views: None,
        executor: Box::new(CpuEngine::new(graph, &[TapRequest::Activations(graph.output())]).unwrap()),
        goal: drive(Drive { units, linear: one(sign), hold: one(0.0), target: one(0.0), words: "response".into() }),
        optimizer: OptimizerKind::Gradient,
        learning_rate: 10.0 / 255.0,
        steps: 20,
        anneal: 0.0,
        tolerance: 0.0,
        item: 0,
        device: Device::default(),
    };
    let batch = synthesizer.start_batch();
    (synthesizer, batch)
}

fn close(found: &[f64], wanted: &[f64], tolerance: f64, what: &str) {
    let scale = wanted.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!((f - w).abs() <= tolerance * scale, "{what} {i}: {f} for {w}");
    }
}

/// SciPy and PyTorch autograd in 64 bits: 20 steps, responses within 1e-4 of the largest.
#[test]
fn the_published_loop_is_followed_step_by_step() {
    let file = golden("synthesis_cowley.npz");
    let (graph, start) = (compact(&file), array3(&file, "start"));
    for (run, sign, blur_every) in [("max", 1.0, 50), ("min", -1.0, 50), ("max_blur8", 1.0, 8)] {
        let (mut synthesizer, mut batch) = published(&graph, &start, sign, blur_every);
        while !batch.is_done() {
            synthesizer.step_batch(&mut batch, &Leave::default()).unwrap();
        }
        let numbers = |name: &str| file.get::<f64>(&format!("{run}:{name}")).unwrap().into_iter().collect::<Vec<f64>>();
        let row = &batch.rows[0];
        close(&row.responses[..1], &numbers("entry")[..1], 1e-5, run);
        close(&row.responses[1..], &numbers("response"), 1e-4, run);
        assert_eq!(
            row.kept_step as i64 - 1,
            file.get::<i64>(&format!("{run}:best_step")).unwrap().first().copied().unwrap()
        );
        let best = array3(&file, &format!("{run}:best"));
        let off = row.kept[0].iter().zip(&best).map(|(f, w)| (255.0 * f - w).abs()).fold(0.0f32, f32::max);
        assert!(off < 0.5, "{run}: the kept image is off by {off} levels");
    }
}

/// Published models, one step at a time from the reference's own images: free runs part when a
/// rectifier flips within rounding.
///
/// `ORTHOSCOPE_TRAJECTORIES` names a folder of what `tests/golden/synthesis_cowley.py --model
/// FILE.pt --out NAME.json` wrote.
#[test]
fn published_models_follow_step_by_step() {
    let (Some(folder), Some(models)) =
        (std::env::var_os("ORTHOSCOPE_TRAJECTORIES"), data("v4/data_compact_models/models_torch"))
    else {
        return println!("skipped: ORTHOSCOPE_TRAJECTORIES names no folder");
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let about = json(&path);
        let mut graph =
            pytorch::read(&models.join(about["model"].as_str().unwrap()), Some("cowley-compact")).unwrap().graph;
        graph.input = InputSpec::preset("v4", 112, 112).unwrap();
        let from = npz::read(&path.with_extension("npz")).unwrap().get::<f32>("from").unwrap();
        let wanted = |key: &str| -> Vec<f64> {
            about["runs"]["f64_forced"][key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let (mut entries, mut responses) = (vec![], vec![]);
        for image in from.outer_iter() {
            let image = image.to_owned().into_dimensionality::<Ix3>().unwrap();
            let means = ndarray::arr1(&[116.222f32, 109.270, 100.381]).into_shape_with_order((3, 1, 1)).unwrap();
            let sign = if about["direction"] == "max" { 1.0 } else { -1.0 };
            let (mut one, mut batch) = published(&graph, &(image + means), sign, 50);
            one.steps = 1;
            while !batch.is_done() {
                one.step_batch(&mut batch, &Leave::default()).unwrap();
            }
            entries.push(batch.rows[0].responses[0]);
            responses.push(batch.rows[0].responses[1]);
        }
        close(&entries, &wanted("entry"), 1e-4, &path.display().to_string());
        close(&responses, &wanted("response"), 1e-4, &path.display().to_string());
        println!("{}: {} steps", path.display(), entries.len());
    }
}

#[test]
fn projections_are_the_nearest_points() {
    let file = golden("adversarial.npz");
    let cases: Vec<String> = file.names().filter_map(|n| n.strip_suffix(":x0").map(str::to_owned)).collect();
    assert!(cases.len() >= 5);
    for case in cases {
        let get = |name: &str| file.get::<f64>(&format!("{case}:{name}")).unwrap();
        let values = |name: &str| get(name).into_iter().map(|v| (v / 255.0) as f32).collect::<Vec<f32>>();
        let scalar = |name: &str| get(name).first().copied().unwrap();
        for (norm, name, radius) in
            [(Norm::L1Mean, "l1_mean", "eps"), (Norm::L2, "l2", "radius"), (Norm::Linf, "linf", "eps")]
        {
            let mut image = values("x");
            norm.project(&mut image, &values("x0"), scalar(radius));
            let off = image.iter().zip(values(name)).map(|(f, w)| (f - w).abs()).fold(0.0f32, f32::max);
            assert!(255.0 * off < 2e-3, "{case}, {name}: off by {} levels", 255.0 * off);
        }
    }
}

#[test]
fn structural_similarity_is_scikit_images() {
    let file = golden("adversarial.npz");
    for pair in ["noise", "flat", "shift"] {
        let image = |name: &str| {
            let bytes = file.get::<u8>(&format!("ssim_{pair}:{name}")).unwrap().into_dimensionality::<Ix3>().unwrap();
            png::unit(bytes.view())
        };
        let wanted = file.get::<f64>(&format!("ssim_{pair}:value")).unwrap().first().copied().unwrap();
        let found = ssim(image("a").view(), image("b").view());
        assert!((found - wanted).abs() < 1e-6, "{pair}: {found} for {wanted}");
    }
}

/// A view of its own for each image does not depend on which other images are still in the batch.
#[test]
fn images_that_leave_do_not_change_the_others() {
    let file = golden("synthesis_cowley.npz");
    let graph = compact(&file);
    let starts = Array4::from_shape_fn((3, 3, 32, 32), |(n, c, y, x)| 0.5 + 0.01 * ((n + 1) * (c + y * x) % 17) as f32);
    let run = |levels: Vec<f64>| {
        let (mut one, _) = published(&graph, &array3(&file, "start"), 1.0, 50);
        let canvas = Canvas { n_images: 3, height: 32, width: 32, grey: false };
        one.param =
            Box::new(Pixels::new(canvas, GradientRule::Smooth { sigma: 1.0 }, &Init::Images(starts.view())).unwrap());
        let table = |v: f64| Array2::from_elem((3, 1), v);
        let units = vec![UnitTap { tap: 0, channel: 0, at: None }];
        one.goal =
            drive(Drive { units, linear: table(1.0), hold: table(0.0), target: table(0.0), words: String::new() });
        one.optimizer = OptimizerKind::Adam;
        let mut batch = one.start_batch();
        while !batch.is_done() {
            one.step_batch(&mut batch, &Leave { at_value: levels.clone() }).unwrap();
        }
        batch
    };
    let free = run(vec![]);
    let level = free.rows[1].values[6];
    let left = run(vec![f64::INFINITY, level, f64::INFINITY]);
    assert!(left.rows[1].converged && left.rows[1].values.len() <= 7);
    assert_eq!(left.rows[0].values, free.rows[0].values);
    assert_eq!(left.rows[2].kept, free.rows[2].kept);
}
