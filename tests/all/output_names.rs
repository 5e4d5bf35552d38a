//! Names that differ only in what a file's name cannot hold: every output has a file of its own,
//! the tables say which, and what cannot be told apart is refused before any work. Names that act on
//! a terminal are shown.

use crate::map::{Brain, map_file};
use crate::program::{Ended, Program, photographs, tiny_model};
use ndarray::{Array, IxDyn};
use orthoscope::data::Volume;
use orthoscope::io::nifti::{Space, write_volume};
use orthoscope::io::weights::Storage;
use orthoscope::io::{npy, npz, tsv};
use orthoscope::job::group::Group;
use orthoscope::network::card::{self, About};
use orthoscope::network::{GraphBuilder, InputSpec, Op};
use orthoscope::rdm::files::{load_rdms, rdms_npz};
use orthoscope::rdm::{Measure, Rdm};
use orthoscope::rng;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A network of convolutions behind one another, called so; the first three have 2 channels, as all.
fn model(dir: &Path, layers: &[&str]) -> PathBuf {
    let mut builder =
        GraphBuilder::new("named", InputSpec::preset("unit", 12, 12).unwrap(), Default::default()).unwrap();
    let (mut last, mut channels) = (0, 3);
    for (i, layer) in layers.iter().enumerate() {
        let weight = format!("w{i}");
        let mut stream = rng::stream(3, "output names", i as u64);
        let values = Array::from_shape_simple_fn(IxDyn(&[2, channels, 3, 3]), || 0.4 * stream.normal() as f32);
        builder.add_weight(weight.clone(), values);
        let op = Op::Conv2d { weight, bias: None, stride: [1, 1], padding: [1; 4], dilation: [1, 1], groups: 1 };
        last = builder.push(*layer, op, &[last]).unwrap();
        channels = 2;
    }
    let path = dir.join("named");
    card::write(&path, &builder.finish().unwrap(), &About::default(), Storage::F32, true).unwrap();
    path
}

fn files(folder: &Path, ending: &str) -> BTreeSet<String> {
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    all.filter(|name| name.ends_with(ending)).collect()
}

fn column(path: &Path, name: &str) -> Vec<String> {
    tsv::read(path).unwrap().column(name).unwrap().into_iter().map(String::from).collect()
}

/// The same layers under other names, in `rdms.npz`.
fn rename(brain: &Brain, names: &[&str]) {
    let plain = load_rdms(&brain.at("rdms.npz"), None, None).unwrap();
    let named = |((_, rdm), name): ((String, Rdm), &&str)| {
        ((*name).to_owned(), Rdm::new(Measure::Given, rdm.values().to_vec(), brain.names.clone()).unwrap())
    };
    let layers: Vec<(String, Rdm)> = plain.into_iter().zip(names).map(named).collect();
    rdms_npz(&layers).unwrap().write(&brain.at("rdms.npz")).unwrap();
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Three layers, three maps a subject, whichever names they have, and the group's are those of the
/// same layers under names that nothing is left out of.
#[test]
fn layers_of_one_label_have_their_own_maps_and_group_finds_them() {
    let alike = ["features.1.10", "features.11.0", "Features.1.10"];
    let dir = tempfile::tempdir().unwrap();
    let mut subjects: [Vec<PathBuf>; 2] = Default::default();
    let mut labels = vec![];
    for seed in [40, 41] {
        let brain = Brain::subject(seed);
        let mut config = brain.config();
        config.test.n_permutations = 0;
        brain.run(config.clone(), "plain").unwrap();
        rename(&brain, &alike);
        let results = brain.run(config, "alike").unwrap();
        crate::docs::has_rows("map", &results);
        labels = (0..3).map(|l| results["layers"][l]["label"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert!(labels.iter().all(|label| label.to_lowercase().starts_with("features110x")), "{labels:?}");
        assert_eq!(files(&brain.at("alike/arrays"), "_stat-spearman_statmap.nii.gz").len(), 3);
        for (l, label) in labels.iter().enumerate() {
            let file = |name: &str| format!("desc-{name}_stat-spearman_statmap.nii.gz");
            let own = map_file(&brain, "alike", &file(label));
            let right = map_file(&brain, "plain", &file(&format!("layer{l}")));
            assert_eq!(bits(own.values()), bits(right.values()), "{label}");
        }
        for (all, out) in subjects.iter_mut().zip(["plain", "alike"]) {
            let to = dir.path().join(format!("sub-{seed}_{out}"));
            std::fs::create_dir_all(to.join("arrays")).unwrap();
            std::fs::copy(brain.at(out).join("manifest.json"), to.join("manifest.json")).unwrap();
            for file in files(&brain.at(out).join("arrays"), "") {
                std::fs::copy(brain.at(out).join("arrays").join(&file), to.join("arrays").join(&file)).unwrap();
            }
            all.push(to);
        }
    }
    let group = |subjects: &[PathBuf], layers: &[&str], out: &str| {
        let mut config = orthoscope::job::group::Config::default();
        config.maps.subjects = subjects.to_vec();
        config.maps.layers = layers.iter().map(|name| (*name).to_owned()).collect();
        crate::support::results_of::<Group>(config, &dir.path().join(out))
    };
    let mean = |out: &str, label: &str| {
        let path = dir.path().join(out).join("arrays").join(format!("desc-{label}_stat-mean_statmap.nii.gz"));
        bits(orthoscope::io::nifti::read_volume(&path).unwrap().values())
    };
    group(&subjects[0], &[], "plain").unwrap();
    let results = group(&subjects[1], &[], "alike").unwrap();
    crate::docs::has_rows("group", &results);
    for (l, label) in labels.iter().enumerate() {
        assert_eq!(results["layers"][l]["label"], label.as_str());
        assert_eq!(mean("alike", label), mean("plain", &format!("layer{l}")));
    }
    // One layer alone, by its whole name.
    for (layer, out) in [("features.11.0", "one"), (labels[1].as_str(), "label")] {
        let results = group(&subjects[1], &[layer], out).unwrap();
        assert_eq!(results["layers"][0]["name"], "features.11.0");
        assert_eq!(mean(out, "features110"), mean("plain", "layer1"));
    }
    let refused = |subjects: &[PathBuf], layers: &[&str], words: &[&str]| {
        let error = group(subjects, layers, "refused").unwrap_err();
        assert!(words.iter().all(|word| error.to_string().contains(word)) && error.exit_code() == 2, "{error}");
        assert!(!dir.path().join("refused").exists());
    };
    refused(&subjects[1], &["features110"], &["maps.layers", "found `features110`"]);
    refused(&subjects[1], &["features.11.0", "features.11.0"], &["each layer once"]);
    let twice = [subjects[1][0].clone(), subjects[1][1].clone(), subjects[1][0].join("../sub-40_alike")];
    refused(&twice, &[], &["maps.subjects: expected each subject once", "sub-40_alike` twice"]);
    // Runs that do not say what their layers' maps are called: told only where nothing is shared.
    for subject in subjects.iter().flatten() {
        let mut manifest: Value = crate::support::json(&subject.join("manifest.json"));
        for layer in manifest["results"]["layers"].as_array_mut().unwrap() {
            layer.as_object_mut().unwrap().remove("label");
        }
        std::fs::write(subject.join("manifest.json"), manifest.to_string()).unwrap();
    }
    group(&subjects[0], &[], "old").unwrap();
    assert_eq!(mean("old", "layer2"), mean("plain", "layer2"));
    refused(&subjects[1], &[], &["sub-40_alike", "a map of `features.1.10` alone", "`features.11.0`"]);
}

fn maximize(model: &Path, units: &str, out: &Path) -> Program {
    let run = Program::new("maximize").arg("--model", model).arg("--unit", units).arg("--steps", "2");
    run.arg("--restarts", "1").arg("--out", out).flag("--json")
}

#[test]
fn units_of_one_file_name_have_their_own_images_and_traces() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), &["a/b", "a-b", "A-b", "a.b"]);
    let out = dir.path().join("out");
    let results = maximize(&model, "a/b:0,a-b:0,A-b:0,a.b:0", &out).run().expect_code(0).json();
    let images: BTreeSet<&str> = (0..4).map(|u| results["units"][u]["image"].as_str().unwrap()).collect();
    let folded: BTreeSet<String> = files(&out.join("images"), ".png").iter().map(|f| f.to_lowercase()).collect();
    assert_eq!((images.len(), folded.len(), files(&out.join("images"), ".json").len()), (4, 4, 4), "{folded:?}");
    let table = out.join("arrays/images.tsv");
    assert_eq!(column(&table, "unit"), ["a/b:0", "a-b:0", "A-b:0", "a.b:0"]);
    for (unit, file) in column(&table, "unit").iter().zip(column(&table, "filename")) {
        let sidecar: Value = crate::support::json(&out.join(&file).with_extension("json"));
        assert_eq!(sidecar["units"][0]["unit"], unit.as_str(), "{file}");
    }
    assert_eq!(column(&table, "filename")[3], "images/a.b-0_max.png", "alone with its name");
    let traces = npz::read(&out.join("arrays/traces.npz")).unwrap();
    let keys: BTreeSet<String> = traces.names().map(String::from).collect();
    assert_eq!((keys.len(), keys), (4, column(&table, "trace").into_iter().collect()));
    // The file of a unit does not depend on which others are driven.
    let two = dir.path().join("two");
    maximize(&model, "a-b:0,a/b:0", &two).run().expect_code(0);
    assert!(files(&two.join("images"), ".png").is_subset(&files(&out.join("images"), ".png")));
}

#[test]
fn model_files_of_one_file_name_have_their_own_images() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("models");
    std::fs::create_dir(&folder).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keras_prep.keras");
    for name in ["n a.keras", "n-a.keras"] {
        std::fs::copy(&golden, folder.join(name)).unwrap();
    }
    let out = dir.path().join("out");
    let results = maximize(&folder, "all", &out).run().expect_code(0).json();
    let n = results["units"].as_array().unwrap().len();
    assert!(n > 1 && n.is_multiple_of(2));
    assert_eq!(files(&out.join("images"), ".png").len(), n);
    let table = out.join("arrays/images.tsv");
    let of = |start: &str| column(&table, "unit").iter().filter(|unit| unit.starts_with(start)).count();
    assert_eq!((of("n a"), of("n-a")), (n / 2, n / 2));
    // Two files whose units cannot be told apart.
    for name in ["n-a:0.keras", "n-a.keras"] {
        std::fs::copy(&golden, folder.join(name)).unwrap();
    }
    std::fs::copy(&golden, folder.join("n-a.h5.keras")).unwrap();
    std::fs::copy(golden.with_extension("h5"), folder.join("n-a.h5")).unwrap();
    let run = maximize(&folder, "all", &dir.path().join("no")).flag("--dry-run").run().expect_code(2);
    run.expect_error(&["one unit a name", "n-a.h5"]);
}

#[test]
fn perturbations_of_all_images_and_units_have_their_own_files() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path(), &["x", "b/x", "b-x"]);
    let (photos, images) = (photographs(dir.path(), 3, 12), dir.path().join("images"));
    std::fs::create_dir(&images).unwrap();
    for (photo, name) in files(&photos, ".png").iter().zip(["a.png", "a b.png", "a-b.png"]) {
        std::fs::copy(photos.join(photo), images.join(name)).unwrap();
    }
    // `a` with `b/x`, and `a_b` with `x`, are written alike.
    std::fs::copy(images.join("a.png"), images.join("a_b.png")).unwrap();
    let out = dir.path().join("out");
    let run = || Program::new("adversarial").arg("--model", &model).arg("--unit", "x:0,b/x:0,b-x:0");
    let run = |epsilon: &str, out: &Path| {
        run().arg("--images", &images).arg("--epsilon", epsilon).arg("--steps", "2").arg("--out", out)
    };
    let results = run("4", &out).flag("--json").run().expect_code(0).json();
    crate::docs::has_rows("adversarial", &results);
    let written = files(&out.join("images"), ".png");
    assert_eq!((written.len(), files(&out.join("images"), ".json").len()), (4 * 3 * 2, 4 * 3 * 2), "{written:?}");
    for key in ["file_up", "file_down"] {
        for (pair, file) in results["pairs"].as_array().unwrap().iter().zip(column(&out.join("arrays/pairs.tsv"), key))
        {
            assert_eq!(pair[key], file.as_str());
            let sidecar: Value = crate::support::json(&out.join(&file).with_extension("json"));
            assert_eq!(sidecar["base_image"], pair["image"]);
            assert!(sidecar["objective"].as_str().unwrap().ends_with(pair["unit"].as_str().unwrap()), "{file}");
        }
    }
    run("4,8,4", &dir.path().join("no"))
        .flag("--dry-run")
        .run()
        .expect_code(2)
        .expect_error(&["different radii", "4 twice"]);
}

#[test]
fn layers_that_one_archive_cannot_hold_are_refused_in_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let photos = photographs(dir.path(), 3, 12);
    for (layers, found) in [
        (["a/b", "a.b", "c"], "`a/b` and `a.b`"),
        (["a", "c", "second_order"], "`second_order`"),
        (["a", "c", "baseline/x"], "`baseline/x`"),
        (["a.npy", "a", "c"], "`a.npy`"),
    ] {
        let model = model(dir.path(), &layers);
        let out = dir.path().join("out");
        for job in ["orthogonalize", "rdm"] {
            let run = Program::new(job).arg("--model", &model).arg("--taps", layers.join(",")).arg("--out", &out);
            let run = if job == "rdm" { run.arg("--images", &photos) } else { run.arg("--n-images", "4") };
            let ended = run.flag("--dry-run").run().expect_code(2);
            ended.expect_error(&["--taps: expected layers that rdms.npz can name", found]);
        }
        assert!(!out.exists());
    }
}

#[test]
fn references_of_one_name_are_told_apart_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (model, photos) = (tiny_model(dir.path()), photographs(dir.path(), 4, 24));
    let rdm = |k: usize| ndarray::Array1::from_shape_fn(6, |p| (1 + (p * (k + 2)) % 5) as f64);
    for (k, file) in ["one.npz", "two.npz"].iter().enumerate() {
        npz::NpzWriter::new().add("V1", &rdm(k)).write(&dir.path().join(file)).unwrap();
    }
    let run = |compare: [&str; 2], out: &str| {
        let run = Program::new("rdm").arg("--model", &model).arg("--images", &photos).arg("--n-permutations", "9");
        let run = compare.iter().fold(run, |run, file| run.arg("--compare", dir.path().join(file)));
        run.arg("--out", dir.path().join(out)).flag("--json").run()
    };
    let results = run(["one.npz", "two.npz"], "out").expect_code(0).json();
    let names: BTreeSet<&str> =
        results["comparisons"].as_array().unwrap().iter().map(|row| row["reference"].as_str().unwrap()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["one.V1", "two.V1"]);
    std::fs::create_dir(dir.path().join("other")).unwrap();
    npy::write(&dir.path().join("V1.npy"), &rdm(0)).unwrap();
    npy::write(&dir.path().join("other/V1.npy"), &rdm(1)).unwrap();
    run(["V1.npy", "other/V1.npy"], "no").expect_code(2).expect_error(&["--compare: expected one RDM a name", "twice"]);
    assert!(!dir.path().join("no").exists());
}

#[test]
fn regions_and_prefixes_that_no_table_or_file_can_hold_are_refused() {
    let brain = Brain::new();
    let halves: Vec<f32> = (0..1000).map(|v| if brain.grid.voxel(v)[0] < 5 { 1.0 } else { 2.0 }).collect();
    write_volume(&brain.at("rois.nii.gz"), &Volume::new(brain.grid, halves).unwrap(), Space::Mni).unwrap();
    std::fs::write(brain.at("names.tsv"), "index\tname\n1\tV1\n2\tV1\n3\tV2\n").unwrap();
    let mut config = brain.config();
    (config.regions.image, config.regions.names) = (Some(brain.at("rois.nii.gz")), Some(brain.at("names.tsv")));
    brain.refused(config, &["names.tsv: expected one region a name, found `V1` twice"]);
    let mut config = brain.config();
    config.betas = Default::default();
    let rdm = load_rdms(&brain.at("rdms.npz"), None, None).unwrap().remove(0).1;
    for folder in ["a", "b"] {
        std::fs::create_dir(brain.at(folder)).unwrap();
        let file = brain.at(folder).join("V1.npy");
        npy::write(&file, &ndarray::arr1(rdm.values())).unwrap();
        config.regions.rdms.push(file);
    }
    brain.refused(config, &["regions.rdms: expected one file a region, found `V1` twice"]);
    for prefix in ["p".repeat(101), "a/b".into(), "sub-1\u{1b}".into(), "sub 1".into()] {
        let mut config = brain.config();
        config.maps.prefix = prefix;
        brain.refused(config, &["maps.prefix: expected the beginning of a file name"]);
    }
}

#[test]
fn models_beside_the_driven_one_have_a_name_each() {
    let dir = tempfile::tempdir().unwrap();
    let (own, photos) = (model(dir.path(), &["a", "b"]), photographs(dir.path(), 2, 12));
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let [own, other] = [own, model(&other, &["a", "b"])].map(|path| path.to_str().unwrap().to_owned());
    let run = |checks: [&str; 2]| {
        let run = Program::new("adversarial").arg("--model", &own).arg("--unit", "a:0").arg("--images", &photos);
        let run = checks.iter().fold(run.arg("--epsilon", "4"), |run, check| run.arg("--check", check));
        run.arg("--out", dir.path().join("out")).flag("--dry-run").run()
    };
    assert_eq!(run([&own, &other]).expect_code(0).json()["checks"], serde_json::json!([own, other]));
    assert_eq!(run([&other, "mini-inception=0"]).code(), 2, "another input size");
    run([&other, &other]).expect_code(2).expect_error(&["--check: expected each model once"]);
}

/// Turns text around, moves the cursor and changes colours. (Names of several lines are refused.)
const HOSTILE: &str = "c\u{1b}[2J\u{7}\u{202e}1\u{9b}31m\u{200b}error: forged";

fn acts(text: &str) -> bool {
    text.chars().any(|c| c != '\n' && (c.is_control() || "\u{202e}\u{200b}".contains(c)))
}

#[track_caller]
fn shows_only_text(ended: &Ended) {
    let text = ended.stderr();
    assert!(!acts(&text), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{text}");
}

#[test]
fn what_acts_on_a_terminal_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = model(dir.path(), &["plain", HOSTILE, "=1+1", "-2", "@a\tb"]);
    let photos = photographs(dir.path(), 4, 12);
    let out = dir.path().join("out");
    let run = |taps: &str| Program::new("rdm").arg("--model", &hostile).arg("--images", &photos).arg("--taps", taps);
    // Standard output: the values are the same.
    let reference = dir.path().join("a\u{1b}[31mb.npy");
    npy::write(&reference, &ndarray::arr1(&[1.0, 3.0, 2.0, 5.0, 4.0, 6.0])).unwrap();
    let done =
        run("all-conv").arg("--compare", &reference).arg("--n-permutations", "9").arg("--out", &out).flag("--json");
    let done = done.run().expect_code(0);
    shows_only_text(&done);
    done.expect_error(&[r"c\u{1b}[2J\u{7}\u{202e}1\u{9b}31m\u{200b}error: forged", r"a\u{1b}[31mb"]);
    assert_eq!(done.json()["taps"][1], HOSTILE);
    // Pages and figures.
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!page.contains("<script") && page.contains(r"c\u{1b}[2J"));
    for file in files(&out.join("figures"), ".svg")
        .into_iter()
        .map(|f| out.join("figures").join(f))
        .chain([out.join("report.html")])
    {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!acts(&text.replace('\t', "")), "{}", file.display());
    }
    // Tables: one row a layer, whose names are whole but for the blanks at their ends.
    let rows = column(&out.join("arrays/comparisons.tsv"), "layer");
    assert_eq!(rows, ["plain", HOSTILE.trim(), "=1+1", "-2", "@a\tb"]);
    let text = std::fs::read_to_string(out.join("arrays/comparisons.tsv")).unwrap();
    assert!(text.contains("\n=1+1\t") && text.contains("\n\"@a\tb\"\t"), "{text}");
    // Errors, in words of the library and of the command line's parser.
    shows_only_text(&run("\u{1b}[1m\u{202e}none").arg("--out", dir.path().join("no")).run().expect_code(2));
    shows_only_text(&run("plain").flag("--\u{1b}[1m\u{202e}").run().expect_code(2));
    let inspected = std::process::Command::new(env!("CARGO_BIN_EXE_orthoscope"))
        .args(["models", "inspect"])
        .arg(&hostile)
        .output()
        .unwrap();
    let table = String::from_utf8(inspected.stdout).unwrap();
    assert!(!acts(&table) && table.contains(r"\u{200b}error: forged"), "{table:?}");
    let inspected = std::process::Command::new(env!("CARGO_BIN_EXE_orthoscope"))
        .args(["models", "inspect", "--json"])
        .arg(&hostile)
        .output()
        .unwrap();
    let text = String::from_utf8(inspected.stdout).unwrap();
    assert!(!acts(&text), "{text:?}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["nodes"][2]["name"], HOSTILE);
}
