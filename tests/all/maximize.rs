//! The job `maximize` as a user runs it.

use crate::docs::has_rows;
use crate::program::{Program, photographs, tiny_model};
use crate::support::data;
use std::path::Path;

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
    has_rows("maximize", &results);
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
        has_rows("maximize", &results);
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
    [level, both, rival].iter().for_each(|results| has_rows("maximize", results));
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (model, out) = (tiny_model(dir.path()), dir.path().join("out"));
    let maximize = || Program::new("maximize").arg("--model", &model).arg("--out", &out);
    maximize().arg("--unit", "conv4:99").run().expect_code(2).expect_error(&["0 to 9", "conv4:99"]);
    maximize().arg("--unit", "conv5:1").run().expect_code(2).expect_error(&["conv5", "did you mean"]);
    maximize().arg("--unit", "conv4:1").arg("--to-percentile", "90").run().expect_code(2).expect_error(&["--natural"]);
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
