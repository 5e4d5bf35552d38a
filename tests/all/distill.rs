//! `distill`: students that learn a teacher's responses, are pruned and learn again.

use crate::docs::{has_keys, has_rows};
use crate::program::{Program, photographs, tiny_model};
use ndarray::{Array2, Array3, Array4};
use orthoscope::io::weights::Storage;
use orthoscope::io::{npy, npz, png, tsv};
use orthoscope::network::card::{self, About};
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{GraphBuilder, InputSpec, Op};
use orthoscope::rng;
use std::path::{Path, PathBuf};

const SIZE: usize = 24;

/// Patches of noise of one colour each, for students of 24 x 24 pixels.
fn patches(dir: &Path, n: usize, seed: u64) -> PathBuf {
    let folder = dir.join(format!("patches-{seed}"));
    std::fs::create_dir_all(&folder).unwrap();
    for i in 0..n {
        let mut draw = rng::stream(seed, "patches", i as u64);
        let (grey, tint) = (draw.uniform(), draw.uniform());
        let pixels = Array3::from_shape_fn((SIZE, SIZE, 3), |(y, x, c)| {
            let wave = (0.2 + grey) * (0.7 * (x as f64 * grey + y as f64 * tint)).sin();
            (127.5 + 70.0 * wave + 50.0 * (tint - 0.5) * (c as f64 - 1.0)).clamp(0.0, 255.0) as u8
        });
        png::write(&folder.join(format!("patch{i:03}.png")), pixels.view()).unwrap();
    }
    folder
}

/// A configuration of small students.
fn small(dir: &Path, more: &str) -> PathBuf {
    let path = dir.join("small.toml");
    let text = format!(
        "command = \"distill\"\nn_held = 20\n{more}\n[views]\nn = 2\n[student]\nwidths = [8, 6, 5]\nsize = [{SIZE}, {SIZE}]\n\
         [training]\nepochs = 6\nbatch = 16\nrate = 0.01\nsmooth_every = 200\n\
         [retraining]\nepochs = 3\nbatch = 16\nrate = 0.003\n[prune]\nn_images = 40\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn distill(dir: &Path, config: &Path, model: &Path, out: &str) -> Program {
    let run = Program::new("distill").arg("--config", config).arg("--teacher", model).flag("--json");
    run.arg("--images", patches(dir, 90, 1)).arg("--out", dir.join(out))
}

fn array(run: &Path, name: &str) -> Array2<f64> {
    npz::read(&run.join("arrays/held_out.npz")).unwrap().get::<f64>(name).unwrap().into_dimensionality().unwrap()
}

/// A model directory's responses to the held-out images, as the run lists them.
fn responses(run: &Path, model: &str) -> Vec<f32> {
    let graph = load_model(run.join(model).to_str().unwrap(), &LoadOptions::default()).unwrap().graph;
    let table = tsv::read(&run.join("arrays/images.tsv")).unwrap();
    let (names, roles) = (table.column("image").unwrap(), table.column("role").unwrap());
    let held: Vec<&str> =
        names.into_iter().zip(roles).filter(|(_, role)| *role == "held out").map(|(n, _)| n).collect();
    let folder = run.parent().unwrap().join("patches-1");
    let mut images = Array4::zeros((held.len(), 3, SIZE, SIZE));
    for (mut slot, name) in images.outer_iter_mut().zip(&held) {
        let pixels = png::read(&folder.join(format!("{name}.png"))).unwrap();
        slot.assign(&png::unit(pixels.view()));
    }
    let shown = orthoscope::tensor::tensor(images.view(), &orthoscope::tensor::Device::default());
    crate::support::activations(&graph, &[graph.output()], &shown).remove(0).iter().copied().collect()
}

#[test]
fn students_learn_are_pruned_and_written_in_the_teachers_units() {
    let dir = tempfile::tempdir().unwrap();
    let (model, config) = (tiny_model(dir.path()), small(dir.path(), ""));
    let run = || distill(dir.path(), &config, &model, "own").arg("--unit", "conv4:0,conv4:3");
    let results = run().run().expect_code(0).json();
    has_rows("distill", &results);
    let out = dir.path().join("own");
    let students = results["students"].as_array().unwrap();
    assert_eq!((students.len(), &results["n_images"], &results["shared"]), (2, &70.into(), &serde_json::Value::Null));
    for (unit, student) in students.iter().enumerate() {
        let (before, after) = (&student["unpruned"], &student["pruned"]);
        assert!(before["r"].as_f64().unwrap() > 0.5, "it learnt: {before}");
        assert!(after["parameters"].as_u64() <= before["parameters"].as_u64());
        for stage in ["unpruned", "pruned"] {
            let wanted = array(&out, stage);
            let found = responses(&out, student[stage]["model"].as_str().unwrap());
            let scale = wanted.column(unit).iter().fold(0.0f64, |m, v| m.max(v.abs()));
            for (f, e) in found.iter().zip(wanted.column(unit)) {
                assert!((f64::from(*f) - e).abs() < 1e-4 * scale, "{stage}: {f} and {e}");
            }
        }
    }
    let curves = tsv::read(&out.join("arrays/curves.tsv")).unwrap();
    assert_eq!(curves.column("r").unwrap().len(), 2 * (6 + 3));
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Students and teacher") && page.contains("unpruned"));
    let shared = distill(dir.path(), &config, &model, "shared").arg("--unit", "conv4:0,conv4:3").flag("--shared");
    let with_core = shared.run().expect_code(0).json();
    assert!(with_core["shared"]["r"].as_f64().unwrap() > 0.3);
    has_rows("distill", &with_core);
    let recorded = recorded(dir.path(), &config, &model);
    has_rows("distill", &recorded);
    has_keys("distill", &[results, with_core, recorded]);
}

/// Test images with recorded responses: what the teacher responds, with noise.
fn recorded(dir: &Path, config: &Path, model: &Path) -> serde_json::Value {
    let tested = patches(dir, 30, 2);
    let mut draw = rng::stream(4, "recorded", 0);
    let values = Array3::from_shape_simple_fn((2, 30, 3), || draw.normal() as f32);
    npy::write(&dir.join("recorded.npy"), &values).unwrap();
    std::fs::write(dir.join("names.txt"), "conv4:0\nconv4:3\n").unwrap();
    let text = std::fs::read_to_string(config).unwrap() + "[targets]\nnames = \"NAMES\"\n";
    let with = dir.join("recorded.toml");
    std::fs::write(&with, text.replace("NAMES", dir.join("names.txt").to_str().unwrap())).unwrap();
    let run = distill(dir, &with, model, "recorded").arg("--unit", "conv4:0,conv4:3").arg("--test-images", tested);
    let run =
        run.arg("--targets", dir.join("recorded.npy")).arg("--axes", "targets,rows,repeats").arg("--match", "order");
    let results = run.run().expect_code(0).json();
    let first = &results["students"][0];
    assert_eq!(results["n_test"], 30);
    assert!(first["teacher"]["r"].as_f64().unwrap().abs() < 0.6 && first["pruned"]["recorded"]["r"].is_number());
    results
}

#[test]
fn an_ensemble_teaches_its_mean_and_says_where_it_disagrees() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("members");
    std::fs::create_dir_all(&folder).unwrap();
    for (k, gain) in [1.0f32, 3.0, -1.0].into_iter().enumerate() {
        member(&folder.join(format!("m{k}")), gain);
    }
    let config = small(dir.path(), "");
    let run = distill(dir.path(), &config, &folder, "ensemble").flag("--ensemble").arg("--epochs", "1");
    let results = run.arg("--prune", "1").run().expect_code(0).json();
    assert_eq!((&results["n_members"], &results["n_units"]), (&3.into(), &1.into()));
    let table = tsv::read(&dir.path().join("ensemble/arrays/images.tsv")).unwrap();
    let told: Vec<f64> = table.column("disagreement").unwrap().iter().filter_map(|v| v.parse().ok()).collect();
    assert!(told.len() == 20 && told.iter().all(|v| *v > 0.0), "{told:?}");
}

/// A network of one output: `gain` times the mean of red over the image, less that of blue.
fn member(path: &Path, gain: f32) {
    let mut builder = GraphBuilder::new("m", InputSpec::preset("unit", 16, 16).unwrap(), Default::default()).unwrap();
    let weight = ndarray::ArrayD::from_shape_vec(vec![1, 3, 1, 1], vec![gain, 0.1, -1.0]).unwrap();
    builder.add_weight("w", weight);
    let op =
        Op::Conv2d { weight: "w".into(), bias: None, stride: [1; 2], padding: [0; 4], dilation: [1; 2], groups: 1 };
    let x = builder.push("conv", op, &[0]).unwrap();
    builder.push("out", Op::GlobalAvgPool, &[x]).unwrap();
    card::write(path, &builder.finish().unwrap(), &About::default(), Storage::F32, false).unwrap();
}

#[test]
fn what_cannot_teach_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (model, config) = (tiny_model(dir.path()), small(dir.path(), ""));
    let run = |config: &Path| Program::new("distill").arg("--config", config).arg("--out", dir.path().join("bad"));
    run(&config).run().expect_code(2).expect_error(&["--teacher"]);
    run(&config).arg("--teacher", &model).run().expect_code(2).expect_error(&["--images"]);
    let few = photographs(dir.path(), 12, SIZE);
    let with = |config: &Path| run(config).arg("--teacher", &model).arg("--unit", "conv2:0");
    with(&config).arg("--images", &few).run().expect_code(2).expect_error(&["at least 30 images", "12"]);
    let images = patches(dir.path(), 40, 3);
    with(&config).arg("--images", &images).flag("--ensemble").run().expect_code(2).expect_error(&["two models"]);
    with(&config).arg("--images", &images).arg("--widths", "0").run().expect_code(2).expect_error(&["1024 filters"]);
    let targets = with(&config).arg("--images", &images).arg("--targets", "none.npy").run();
    targets.expect_code(2).expect_error(&["--test-images"]);
    // One colour everywhere: the teacher always says the same.
    let flat = dir.path().join("flat.npy");
    let pixels = Array4::from_shape_fn((40, 4, 4, 3), |(i, ..)| i as u8);
    npy::write(&flat, &pixels).unwrap();
    let dead = dir.path().join("dead");
    dead_model(&dead);
    let run = run(&config).arg("--teacher", &dead).arg("--images", &flat);
    run.run().expect_code(2).expect_error(&["responses that vary"]);
}

/// A model whose only output is always 0.
fn dead_model(path: &Path) {
    let mut builder = GraphBuilder::new("dead", InputSpec::preset("unit", 8, 8).unwrap(), Default::default()).unwrap();
    builder.add_weight("w", ndarray::ArrayD::zeros(vec![1, 3, 1, 1]));
    let op =
        Op::Conv2d { weight: "w".into(), bias: None, stride: [1; 2], padding: [0; 4], dilation: [1; 2], groups: 1 };
    builder.push("out", op, &[0]).unwrap();
    card::write(path, &builder.finish().unwrap(), &About::default(), Storage::F32, false).unwrap();
}
