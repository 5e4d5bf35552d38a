//! Single units driven up and down: the published loop step by step, projections and SSIM, and both jobs as a user runs them.

use crate::program::{Program, tiny_model};
use crate::support::{data, json};
use ndarray::{Array2, Array3, Array4, Axis, Ix3};
use orthoscope::image::{Canvas, GradientRule, Init, Norm, Pixels, Relax, ssim};
use orthoscope::io::{npz, png};
use orthoscope::network::import::pytorch;
use orthoscope::network::{CpuEngine, Graph, InputSpec, TapRequest};
use orthoscope::objective::{Drive, UnitTap, drive};
use orthoscope::synthesis::{Batch, Leave, OptimizerKind, Synthesizer};
use orthoscope::tensor::Device;
use std::path::{Path, PathBuf};

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

/// Published models, one step at a time from the reference's own images: free runs part when a rectifier flips within rounding.
///
/// `ORTHOSCOPE_TRAJECTORIES` names a folder of what `tests/golden/synthesis_cowley.py --model FILE.pt --out NAME.json` wrote.
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

/// Photographs for the tiny network: smooth random images.
fn photographs(dir: &Path, n: usize, size: usize) -> PathBuf {
    let folder = dir.join(format!("photos{size}"));
    std::fs::create_dir_all(&folder).unwrap();
    for i in 0..n {
        let pixels = Array3::from_shape_fn((size, size, 3), |(y, x, c)| {
            let phase = (i * (c + 2)) as f64 + 0.31 * (i as f64 + 1.0) * x as f64 + 0.17 * (c as f64 + 1.0) * y as f64;
            (127.5 + 90.0 * phase.sin()) as u8
        });
        png::write(&folder.join(format!("photo{i:02}.png")), pixels.view()).unwrap();
    }
    folder
}

fn maximize(model: &Path, natural: &Path, out: &Path) -> Program {
    Program::new("maximize")
        .arg("--model", model)
        .arg("--unit", "conv4:0-2,conv3.pre_relu:1:4:5")
        .arg("--natural", natural)
        .arg("--steps", "60")
        .arg("--restarts", "2")
        .arg("--direction", "both")
        .arg("--out", out)
        .flag("--json")
}

#[test]
fn units_are_driven_beyond_natural_images_and_leave_with_their_record() {
    let dir = tempfile::tempdir().unwrap();
    let (model, natural, out) = (tiny_model(dir.path()), photographs(dir.path(), 8, 24), dir.path().join("out"));
    let results = maximize(&model, &natural, &out).run().expect_code(0).json();
    let units = results["units"].as_array().unwrap();
    assert_eq!(units.len(), 8);
    for unit in units {
        let number = |key: &str| unit[key].as_f64().unwrap();
        let up = unit["direction"] == "max";
        assert!(if up { number("final") > number("start") } else { number("final") <= number("start") }, "{unit}");
        if up {
            assert!(number("exported") > number("natural_max") && number("percentile") == 100.0, "{unit}");
        }
        let png = out.join(unit["image"].as_str().unwrap());
        let sidecar: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(png.with_extension("json")).unwrap()).unwrap();
        assert_eq!(sidecar["responses"]["exported"], unit["exported"]);
        for key in ["units", "objective", "constraints", "seed", "responses", "achieved"] {
            assert!(!sidecar[key].is_null(), "{key}");
        }
        assert_eq!(sidecar["units"][0]["model_blake3"].as_str().unwrap().len(), 64);
    }
    assert!(out.join("report.html").exists() && !out.join("checkpoint").exists());
    // The same bytes again, on one thread.
    let again = dir.path().join("again");
    maximize(&model, &natural, &again).arg("--threads", "1").run().expect_code(0);
    for unit in units {
        let file = unit["image"].as_str().unwrap();
        assert_eq!(std::fs::read(out.join(file)).unwrap(), std::fs::read(again.join(file)).unwrap(), "{file}");
    }
}

#[test]
fn a_unit_that_nothing_moves_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (model, out) = (tiny_model(dir.path()), dir.path().join("out"));
    // This unit is 0 on every noise image, and so is its gradient behind the rectification.
    let run = Program::new("maximize").arg("--model", &model).arg("--unit", "conv3:1:4:5").arg("--steps", "3");
    run.arg("--restarts", "2").arg("--out", &out).run().expect_code(0).expect_error(&["did not move", "--init-images"]);
}

#[test]
fn every_method_climbs() {
    let dir = tempfile::tempdir().unwrap();
    let (model, natural) = (tiny_model(dir.path()), photographs(dir.path(), 6, 24));
    for method in ["cowley", "adam", "phase-only", "blocks", "natural"] {
        let out = dir.path().join(method);
        let run = Program::new("maximize").arg("--model", &model).arg("--unit", "conv4:1").arg("--natural", &natural);
        let run =
            run.arg("--method", method).arg("--steps", "25").arg("--restarts", "2").arg("--out", &out).flag("--json");
        let run = run
            .arg("--n-images", "2")
            .arg("--diversity", "0.1")
            .arg("--mask", if method == "adam" { "rf" } else { "none" });
        let results = run.run().expect_code(0).json();
        let units = results["units"].as_array().unwrap();
        assert_eq!(units.len(), 2, "{method}");
        for unit in units.iter().filter(|_| method != "natural") {
            assert!(unit["final"].as_f64() > unit["start"].as_f64(), "{method}: {unit}");
        }
    }
}

#[test]
fn a_level_a_population_and_a_second_model_are_reached() {
    let dir = tempfile::tempdir().unwrap();
    let (model, natural) = (tiny_model(dir.path()), photographs(dir.path(), 12, 24));
    let base = |out: &str| {
        let run = Program::new("maximize").arg("--model", &model).arg("--natural", &natural).arg("--steps", "60");
        run.arg("--restarts", "2").arg("--learning-rate", "2").arg("--out", dir.path().join(out)).flag("--json")
    };
    let level = base("level").arg("--unit", "conv4:1").arg("--to-percentile", "80").run().expect_code(0).json();
    let percentile = level["units"][0]["percentile"].as_f64().unwrap();
    assert!((percentile - 80.0).abs() < 12.0, "{percentile}");
    let aims = dir.path().join("aims.toml");
    std::fs::write(&aims, "[[drive]]\nunit = \"conv4:1\"\n[[hold]]\nunit = \"conv4:2\"\nweight = 4.0\n").unwrap();
    let both = base("both").arg("--unit", "conv4:1,conv4:2").arg("--population", &aims).run().expect_code(0).json();
    let z = |i: usize| both["units"][0]["units"][i]["z"].as_f64().unwrap();
    assert!(z(0) > 1.0 && z(1).abs() < z(0).abs(), "{} {}", z(0), z(1));
    let rival = base("rival").arg("--unit", "conv4:1").arg("--against", format!("{}=conv4:2", model.display()));
    let rival = rival.run().expect_code(0).json();
    let z = |i: usize| rival["units"][0]["units"][i]["z"].as_f64().unwrap();
    assert!(z(0) > z(1) + 1.0, "{} {}", z(0), z(1));
}

#[test]
fn perturbations_stay_in_their_budget_and_move_the_response() {
    let dir = tempfile::tempdir().unwrap();
    let (model, images) = (tiny_model(dir.path()), photographs(dir.path(), 3, 24));
    for (norm, epsilon, kind) in [(Norm::L1Mean, "4,8", "l1-mean"), (Norm::L2, "200", "l2"), (Norm::Linf, "6", "linf")]
    {
        let out = dir.path().join(kind);
        let run = Program::new("adversarial")
            .arg("--model", &model)
            .arg("--unit", "conv4:0,conv4:3")
            .arg("--images", &images);
        let run =
            run.arg("--norm", kind).arg("--epsilon", epsilon).arg("--steps", "10").arg("--out", &out).flag("--json");
        let results = run.arg("--natural", &images).run().expect_code(0).json();
        let pairs = results["pairs"].as_array().unwrap();
        assert_eq!(pairs.len(), 3 * 2 * epsilon.split(',').count());
        for pair in pairs {
            let number = |key: &str| pair[key].as_f64().unwrap();
            assert!(number("exported_up") > number("base") && number("exported_down") < number("base"), "{pair}");
            assert!((number("random_up") - number("base")).abs() < number("exported_up") - number("base"), "{pair}");
            assert!(number("epsilon_achieved") <= number("epsilon") && number("ssim") < 1.0);
        }
        budgets_hold(&out, &images, norm, epsilon);
    }
}

/// Every written PNG against its base, byte by byte.
fn budgets_hold(out: &Path, images: &Path, norm: Norm, epsilon: &str) {
    let largest = epsilon.split(',').map(|e| e.parse::<f64>().unwrap()).fold(0.0, f64::max);
    let mut n = 0;
    for entry in std::fs::read_dir(out.join("images")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "png") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let base = png::read(&images.join(format!("{}.png", name.split('_').next().unwrap()))).unwrap();
            let differences = png::read(&path).unwrap();
            let size = norm.of(differences.iter().zip(&base).map(|(&a, &b)| f64::from(a) - f64::from(b)));
            assert!(size <= largest && size > 0.0, "{name}: {size}");
            n += 1;
        }
    }
    assert!(n >= 12);
}

#[test]
fn the_smallest_radius_and_a_classifier() {
    let dir = tempfile::tempdir().unwrap();
    let (model, images) = (tiny_model(dir.path()), photographs(dir.path(), 3, 24));
    let base = |out: &str| {
        let run = Program::new("adversarial").arg("--model", &model).arg("--images", &images).arg("--steps", "10");
        run.arg("--epsilon", "20").arg("--out", dir.path().join(out)).flag("--json")
    };
    let run = base("minimal").arg("--unit", "conv4:0").arg("--natural", &images).arg("--minimal", "0.5sd");
    for pair in run.run().expect_code(0).json()["pairs"].as_array().unwrap() {
        if pair["reached"] == true {
            let change = pair["up"].as_f64().unwrap() - pair["base"].as_f64().unwrap();
            assert!(
                change >= 0.5 * pair["natural_sd"].as_f64().unwrap() - 1e-6 && pair["epsilon"].as_f64().unwrap() < 20.0
            );
        }
    }
    let mini = photographs(dir.path(), 2, 96);
    let run = Program::new("adversarial").arg("--images", &mini).arg("--aim", "margin").arg("--epsilon", "2,8");
    let run = run.arg("--resize", "stretch").arg("--norm", "linf").arg("--steps", "6").arg("--n-random", "1");
    let results = run.arg("--out", dir.path().join("margin")).flag("--json").run().expect_code(0).json();
    assert_eq!(results["success"]["matrix"].as_array().unwrap().len(), 2);
    for pair in results["pairs"].as_array().unwrap() {
        assert!(pair["up"].as_f64() > pair["base"].as_f64() && pair["base"].as_f64().unwrap() <= 0.0, "{pair}");
        assert_eq!(pair["success"] == true, pair["exported_up"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (model, images, other) =
        (tiny_model(dir.path()), photographs(dir.path(), 3, 24), photographs(dir.path(), 2, 30));
    let out = dir.path().join("out");
    let maximize = || Program::new("maximize").arg("--model", &model).arg("--out", &out);
    maximize().arg("--unit", "conv4:99").run().expect_code(2).expect_error(&["0 to 9", "conv4:99"]);
    maximize().arg("--unit", "conv5:1").run().expect_code(2).expect_error(&["conv5", "did you mean"]);
    maximize().arg("--unit", "conv4:1").arg("--to-percentile", "90").run().expect_code(2).expect_error(&["--natural"]);
    let adversarial = || Program::new("adversarial").arg("--model", &model).arg("--unit", "conv4:1").arg("--out", &out);
    adversarial()
        .arg("--images", &images)
        .arg("--epsilon", "0")
        .run()
        .expect_code(2)
        .expect_error(&["--epsilon", "above 0"]);
    adversarial().arg("--images", &images).arg("--epsilon", "300").run().expect_code(2).expect_error(&["255"]);
    adversarial().arg("--images", &other).run().expect_code(2).expect_error(&["24 x 24", "30 x 30", "--resize"]);
    std::fs::copy(other.join("photo00.png"), images.join("zz.png")).unwrap();
    adversarial().arg("--images", &images).run().expect_code(2).expect_error(&["zz", "30 x 30"]);
    assert!(!out.exists(), "nothing was written");
}

#[test]
fn a_broken_model_in_a_folder_is_named_and_skipped_only_on_request() {
    let Some(file) = data("v4/data_compact_models/models_torch/compact_model_190923_neuron0.pt") else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("models");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(&file, folder.join("good.pt")).unwrap();
    std::fs::write(folder.join("broken.pt"), &std::fs::read(&file).unwrap()[..2000]).unwrap();
    let out = dir.path().join("out");
    let run = || {
        let run = Program::new("maximize").arg("--model", &folder).arg("--arch", "cowley-compact").arg("--steps", "2");
        run.arg("--restarts", "1").arg("--out", &out)
    };
    run().run().expect_code(2).expect_error(&["broken.pt"]);
    assert!(!out.exists());
    let results = run().flag("--skip-bad").flag("--json").run().expect_code(0).json();
    assert_eq!(results["n_units"], 1);
    let manifest = std::fs::read_to_string(out.join("manifest.json")).unwrap();
    assert!(manifest.contains("broken.pt") && manifest.contains("skipped_model"));
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let run = |out: &Path| {
        let run = Program::new("maximize").arg("--model", &model).arg("--unit", "conv4:0-3").arg("--steps", "1500");
        run.arg("--method", "adam").arg("--restarts", "4").arg("--checkpoint-every", "5").arg("--out", out)
    };
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    run(&whole).run().expect_code(0);
    let mut child = run(&cut).spawn();
    let checkpoint = cut.join("checkpoint");
    while !std::fs::read_dir(&checkpoint).is_ok_and(|mut files| files.next().is_some()) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be interrupted");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    run(&cut).flag("--resume").run().expect_code(0);
    for entry in std::fs::read_dir(whole.join("images")).unwrap() {
        let name = entry.unwrap().file_name();
        if name.to_string_lossy().ends_with(".png") {
            let read = |run: &Path| std::fs::read(run.join("images").join(&name)).unwrap();
            assert_eq!(read(&whole), read(&cut), "{name:?}");
        }
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
