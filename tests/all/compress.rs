//! `compress`: what it says of a network and of what it made, recomputed; and what it made, in every
//! other job.

use crate::compact;
use crate::docs::{has_keys, has_rows};
use crate::encoding_model::{fitted_file, pictures};
use crate::program::{Program, photographs, tiny_classifier, tiny_model};
use crate::support::{data, pearson};
use ndarray::{Array2, Array4, Axis, stack};
use orthoscope::compression::{Cost, Groups, Removed, connections, masked, remove};
use orthoscope::io::weights::Storage;
use orthoscope::io::{npy, npz, png, tsv};
use orthoscope::network::probe::probe;
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{CpuEngine, Executor, Graph, TapRequest, TapValue};
use orthoscope::rng::stream;
use orthoscope::tensor::{Device, array, tensor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn load(path: &Path) -> Graph {
    load_model(path.to_str().unwrap(), &LoadOptions::default()).unwrap().graph
}

fn compress(out: &Path) -> Program {
    Program::new("compress").arg("--out", out).flag("--json")
}

/// Pictures of a folder by their names, as the network is given them.
fn shown(folder: &Path, names: &[String]) -> Array4<f32> {
    let one = |name: &String| {
        let pixels = png::read(&folder.join(format!("{name}.png"))).unwrap();
        pixels.mapv(|v| f32::from(v) / 255.0).permuted_axes([2, 0, 1]).as_standard_layout().into_owned()
    };
    let all: Vec<_> = names.iter().map(one).collect();
    stack(Axis(0), &all.iter().map(|a| a.view()).collect::<Vec<_>>()).unwrap()
}

/// Scores of a network, n_images x n_outputs.
fn outputs(graph: &Graph, images: &Array4<f32>) -> Array2<f32> {
    let mut run = CpuEngine::new(graph, &[TapRequest::Activations(graph.scores())]).unwrap();
    let TapValue::Activations(found) = run.infer(&tensor(images.view(), &Device::default())).unwrap().remove(0) else {
        panic!("activations were asked for")
    };
    let values = array(&found);
    let shape = (images.dim().0, values.len() / images.dim().0);
    Array2::from_shape_vec(shape, values.iter().copied().collect()).unwrap()
}

fn accuracy(graph: &Graph, images: &Array4<f32>, labels: &[usize]) -> f64 {
    let best = |row: ndarray::ArrayView1<'_, f32>| (0..row.len()).reduce(|a, b| if row[b] > row[a] { b } else { a });
    let right =
        outputs(graph, images).rows().into_iter().zip(labels).filter(|(row, l)| best(*row) == Some(**l)).count();
    right as f64 / labels.len() as f64
}

/// Photographs in a folder for each class: the class that a network of its own weights sees in most
/// of them, so that it is better than chance.
fn classes(dir: &Path, graph: &Graph, n: usize) -> PathBuf {
    let photos = photographs(dir, n, 24);
    let names: Vec<String> = (0..n).map(|i| format!("photo{i:02}")).collect();
    let seen = outputs(graph, &shown(&photos, &names));
    let root = dir.join("classes");
    let mut draw = stream(3, "labels", 0);
    for (i, name) in names.iter().enumerate() {
        let order = {
            let mut order: Vec<usize> = (0..4).collect();
            order.sort_by(|&a, &b| seen[[i, b]].total_cmp(&seen[[i, a]]));
            order
        };
        let class = if draw.uniform() < 0.8 { order[0] } else { order[1] };
        let folder = root.join(format!("class{class}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(photos.join(format!("{name}.png")), folder.join(format!("{name}.png"))).unwrap();
    }
    for class in 0..4 {
        // A class that the network never sees gets a picture all the same.
        let folder = root.join(format!("class{class}"));
        if !folder.exists() {
            std::fs::create_dir_all(&folder).unwrap();
            let pixels = ndarray::Array3::from_elem((24, 24, 3), 60 * class as u8);
            png::write(&folder.join("plain.png"), pixels.view()).unwrap();
        }
    }
    root
}

/// Names and labels of one side, from the table of the run.
fn side(run: &Path, wanted: &str) -> (Vec<String>, Vec<usize>) {
    let table = tsv::read(&run.join("arrays/images.tsv")).unwrap();
    let column = |name: &str| table.column(name).unwrap();
    let rows = column("image").into_iter().zip(column("side")).zip(column("class"));
    let own = rows.filter(|((_, side), _)| *side == wanted);
    own.map(|((name, _), class)| (name.to_owned(), class.trim_start_matches("class").parse().unwrap_or(0))).unzip()
}

/// Channels that went, from the results.
fn removed(results: &Value) -> Removed {
    let mut all: Removed = BTreeMap::new();
    for name in results["steps"].as_array().unwrap().iter().flat_map(|step| step["removed"].as_array().unwrap()) {
        let (layer, channel) = name.as_str().unwrap().rsplit_once(':').unwrap();
        all.entry(layer.into()).or_default().insert(channel.parse().unwrap());
    }
    all
}

#[test]
fn what_is_said_of_a_network_is_what_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_classifier(dir.path());
    let graph = load(&model);
    let images = classes(dir.path(), &graph, 60);
    let run = dir.path().join("run");
    let program = compress(&run).arg("--model", &model).arg("--images", &images).arg("--by", "car");
    let program = program.arg("--keep", "0.5").arg("--minimum", "2").arg("--fine-tune", "3").arg("--rate", "0.003");
    let results = program.arg("--connections", "0.25").arg("--codebook", "6").run().expect_code(0).json();
    has_rows("compress", &results);
    has_keys("compress", std::slice::from_ref(&results));

    // Every picture is on one side, and both have all classes that have two or more.
    let (judged, tested) = (side(&run, "judged"), side(&run, "tested"));
    assert!(judged.0.iter().all(|name| !tested.0.contains(name)));
    assert_eq!(results["n_images"], judged.0.len());
    assert_eq!(results["n_test_images"], tested.0.len());

    // Scores and costs of the network that was written.
    let made = load(&run);
    let (a, b) = (shown(&images, &judged.0), shown(&images, &tested.0));
    let near =
        |found: &Value, expected: f64| assert!((found.as_f64().unwrap() - expected).abs() < 1e-9, "{found} {expected}");
    near(&results["before"]["score"], accuracy(&graph, &b, &tested.1));
    near(&results["before"]["judged_score"], accuracy(&graph, &a, &judged.1));
    near(&results["after"]["score"], accuracy(&made, &b, &tested.1));
    assert!(results["before"]["score"].as_f64().unwrap() > 0.5);
    let cost = Cost::of(&made, Storage::F32).unwrap();
    assert_eq!(results["after"]["params"], cost.parameters);
    assert_eq!(results["after"]["macs"], cost.macs);
    let deep = std::fs::read(run.join("arrays/weights.deep")).unwrap();
    assert_eq!(results["after"]["bytes"], deep.len());
    assert_eq!(&connections::decode(&deep, "weights.deep".as_ref()).unwrap(), made.weights());
    let stages: Vec<&str> =
        results["stages"].as_array().unwrap().iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["original", "channels pruned", "fine-tuned", "connections pruned", "weights shared"]);

    // What was pruned, before anything else, is the masked network; seven of fourteen channels went, one by one.
    let gone = removed(&results);
    assert_eq!(results["steps"].as_array().unwrap().len(), 7);
    let groups = Groups::of(&graph, &[]).unwrap();
    let (smaller, zeroed) = (remove(&graph, &groups, &gone, 2).unwrap(), masked(&graph, &groups, &gone).unwrap());
    let (found, expected) = (outputs(&smaller, &b), outputs(&zeroed, &b));
    let scale = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!((&found - &expected).iter().all(|d| d.abs() < 1e-6 * scale));
    near(&results["stages"][1]["score"], accuracy(&smaller, &b, &tested.1));
    near(results["steps"].as_array().unwrap().last().map(|s| &s["score"]).unwrap(), accuracy(&smaller, &a, &judged.1));
    let losses = results["losses"].as_array().unwrap();
    assert!(losses.len() == 3 && losses[2].as_f64() < losses[0].as_f64());

    // The first channel to go cost least; CAR of each class is what that class lost.
    let drops = npz::read(&run.join("arrays/class_drops.npz")).unwrap();
    let first: Vec<(String, Vec<f64>)> = ["first", "second"]
        .map(|name| {
            let table = tsv::read(&run.join("arrays/channels.tsv")).unwrap();
            let layers = table.column("layer").unwrap();
            let values = table.column("importance").unwrap();
            let own = layers.iter().zip(&values).filter(|(layer, _)| layer.starts_with(name));
            (
                layers.iter().find(|l| l.starts_with(name)).unwrap().to_string(),
                own.map(|(_, v)| v.parse().unwrap()).collect(),
            )
        })
        .to_vec();
    for (layer, scores) in &first {
        let whole = accuracy(&graph, &a, &judged.1);
        for channel in [0, 3] {
            let without = Removed::from([(layer.clone(), [channel].into())]);
            let expected = whole - accuracy(&masked(&graph, &groups, &without).unwrap(), &a, &judged.1);
            assert!((scores[channel] - expected).abs() < 1e-9, "{layer}:{channel}");
        }
        let by_class: Array2<f64> = drops.get(&npz::key(layer)).unwrap().into_dimensionality().unwrap();
        assert_eq!(by_class.dim(), (scores.len(), 4));
        let sizes: Vec<f64> = (0..4).map(|k| judged.1.iter().filter(|l| **l == k).count() as f64).collect();
        for (c, score) in scores.iter().enumerate() {
            let weighted: f64 = (0..4).filter(|&k| sizes[k] > 0.0).map(|k| by_class[[c, k]] * sizes[k]).sum();
            assert!((weighted / judged.1.len() as f64 - score).abs() < 1e-9);
        }
    }
    for figure in ["curve", "kernels", "similarity", "filters", "channels", "classes"] {
        assert!(run.join(format!("figures/{figure}.png")).exists(), "{figure}");
    }
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("The compression curve") && !page.contains("is not there"));
    // The card knows where it comes from.
    let card = std::fs::read_to_string(run.join("model/card.toml")).unwrap();
    let hash = load_model(model.to_str().unwrap(), &LoadOptions::default()).unwrap().blake3;
    assert!(card.contains(&hash) && card.contains("removed, by drop of classification accuracy"), "{card}");
}

/// A network without labels is compared with itself.
#[test]
fn without_labels_the_network_is_its_own_measure() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_classifier(dir.path());
    let (graph, photos) = (load(&model), photographs(dir.path(), 20, 24));
    for (by, more) in [
        ("l1", vec!["--keep", "10", "--scope", "global"]),
        ("variance", vec!["--max-drop", "0.2", "--minimum", "1"]),
        ("taylor", vec!["--keep", "0.7", "--at-once", "2", "--scope", "isomorphic"]),
        ("random", vec!["--keep", "0.5"]),
        ("layerwise-variance", vec![]),
    ] {
        let run = dir.path().join(by);
        let program = compress(&run).arg("--model", &model).arg("--images", &photos).arg("--by", by);
        let results = more.iter().fold(program, |p, flag| p.flag(flag)).run().expect_code(0).json();
        let tested = shown(&photos, &side(&run, "tested").0);
        let [own, made] = [outputs(&graph, &tested), outputs(&load(&run), &tested)];
        let r: Vec<f64> = (0..4)
            .map(|k| {
                let column = |x: &Array2<f32>| x.column(k).iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
                pearson(&column(&own), &column(&made))
            })
            .collect();
        let expected = r.iter().sum::<f64>() / 4.0;
        let found = results["after"]["score"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-6, "{by}: {found} {expected}");
        assert!((results["before"]["score"].as_f64().unwrap() - 1.0).abs() < 1e-9);
        let drop = 1.0 - results["after"]["judged_score"].as_f64().unwrap();
        assert!(by != "variance" || drop <= 0.2, "{drop}");
        println!("{by}: {} channels fewer, r {found:.3}", removed(&results).values().map(|c| c.len()).sum::<usize>());
    }
}

/// A fitted model is pruned by what its predictions lose, on the images that it was fitted on; those
/// that its fit kept are for the scores alone.
#[test]
fn a_fitted_model_is_pruned_by_its_predictions() {
    let dir = tempfile::tempdir().unwrap();
    let file = fitted_file(dir.path());
    let n = 26;
    let bytes = pictures(n).permuted_axes([0, 2, 3, 1]).mapv(|v| (v * 255.0).round() as u8);
    let images = dir.path().join("images.npy");
    npy::write(&images, &bytes.as_standard_layout().into_owned()).unwrap();
    let model = orthoscope::encoding::model::read(&file).unwrap();
    let own = model.network.as_ref().unwrap().graph.clone();
    let mut make = |taps: &[TapRequest]| Ok(Box::new(CpuEngine::new(&own, taps)?) as Box<dyn Executor>);
    let predicted = model.predict_images(&pictures(n), &mut make, &Default::default()).unwrap();
    let mut noise = stream(1, "noise", 0);
    let usable: Vec<usize> =
        (0..model.targets.len()).filter(|&t| predicted.column(t).iter().all(|v| v.is_finite())).collect();
    let responses = predicted.select(Axis(1), &usable);
    let sd = responses.std_axis(Axis(0), 0.0);
    let responses = Array2::from_shape_fn(responses.dim(), |(i, t)| responses[[i, t]] + sd[t] * noise.normal() as f32);
    npy::write(&dir.path().join("responses.npy"), &responses).unwrap();
    let names: Vec<&str> = usable.iter().map(|&t| model.targets[t].as_str()).collect();
    std::fs::write(dir.path().join("names.txt"), names.join("\n")).unwrap();
    let run = dir.path().join("run");
    let program = compress(&run).arg("--model", dir.path().join("fit")).arg("--images", &images);
    let program = program.arg("--targets", dir.path().join("responses.npy")).arg("--axes", "rows,targets");
    let program = program.arg("--match", "order").arg("--target-names", dir.path().join("names.txt"));
    let program = program.arg("--by", "rar").arg("--keep", "0.8").arg("--at-once", "3").arg("--minimum", "2");
    let results = program.run().expect_code(0).json();
    has_rows("compress", &results);
    // Scores before: of the model's own predictions on the side of the test.
    let rows: Vec<usize> = side(&run, "tested")
        .0
        .iter()
        .map(|name| name.trim_start_matches("image").parse::<usize>().unwrap() - 1)
        .collect();
    let r = |t: usize| {
        let column = |x: &Array2<f32>, t: usize| rows.iter().map(|&i| f64::from(x[[i, t]])).collect::<Vec<_>>();
        pearson(&column(&predicted, usable[t]), &column(&responses, t))
    };
    let expected = (0..usable.len()).map(r).sum::<f64>() / usable.len() as f64;
    let found = results["before"]["score"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    assert!(results["after"]["params"].as_u64() < results["before"]["params"].as_u64());
    assert_eq!(load(&run).node(load(&run).output()).shape.channels, usable.len());
}

/// Images that the fit kept for its test are never what channels are judged on.
#[test]
fn what_a_fit_kept_for_its_test_is_not_judged_on() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny_model(dir.path());
    let photos = photographs(dir.path(), 24, 24);
    let mut draw = stream(2, "responses", 0);
    let values = Array2::from_shape_simple_fn((24, 3), || draw.normal() as f32);
    let (responses, ids) = (dir.path().join("responses.npy"), dir.path().join("ids.txt"));
    npy::write(&responses, &values).unwrap();
    std::fs::write(&ids, (0..24).map(|i| format!("photo{i:02}\n")).collect::<String>()).unwrap();
    let fit = dir.path().join("fit");
    let stimuli = |program: Program| {
        program.arg("--images", &photos).arg("--targets", &responses).arg("--axes", "rows,targets").arg("--ids", &ids)
    };
    let program = Program::new("fit").arg("--out", &fit).arg("--model", &model).arg("--taps", "conv2");
    stimuli(program)
        .arg("--reduction", "spatial_mean")
        .arg("--test", "last")
        .arg("--test-share", "0.25")
        .run()
        .expect_code(0);
    let run = dir.path().join("run");
    let program = stimuli(compress(&run).arg("--model", &fit)).arg("--by", "rar").arg("--keep", "0.7");
    program.run().expect_code(0);
    let held: Vec<String> = (18..24).map(|i| format!("photo{i:02}")).collect();
    assert_eq!(side(&run, "tested").0, held);
    // Asked for, they are refused.
    let others = dir.path().join("others");
    std::fs::create_dir(&others).unwrap();
    std::fs::copy(photos.join("photo00.png"), others.join("photo00.png")).unwrap();
    let judged = dir.path().join("judged");
    std::fs::create_dir(&judged).unwrap();
    (5..20).for_each(|i| {
        drop(std::fs::copy(photos.join(format!("photo{i:02}.png")), judged.join(format!("photo{i:02}.png"))))
    });
    let program = compress(&dir.path().join("no")).arg("--model", &fit).arg("--images", &judged).arg("--by", "l1");
    let program = program.arg("--test-images", &others).arg("--keep", "0.5");
    program.run().expect_code(2).expect_error(&["photo18", "kept for its test"]);
}

/// What was made is a network like any other.
#[test]
fn every_job_takes_what_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let photos = photographs(dir.path(), 12, 24);
    let run = dir.path().join("run");
    let program = compress(&run).arg("--model", tiny_model(dir.path())).arg("--images", &photos);
    program.arg("--by", "l1").arg("--keep", "0.5").run().expect_code(0);
    let made = load_model(run.to_str().unwrap(), &LoadOptions::default()).unwrap();
    let report = probe(&made.graph, made.about.golden.as_ref(), &Device::default()).unwrap();
    assert!(made.about.golden.is_some() && report.passed, "{}", report.text());
    let job = |name: &str| Program::new(name).arg("--model", &run).arg("--out", dir.path().join(name));
    job("maximize").arg("--unit", "conv4:0").arg("--steps", "5").run().expect_code(0);
    job("orthogonalize")
        .arg("--n-images", "4")
        .arg("--steps", "3")
        .arg("--taps", "conv2,conv4")
        .flag("--plain")
        .run()
        .expect_code(0);
    job("rdm").arg("--images", &photos).arg("--taps", "conv2,conv4").run().expect_code(0);
    job("adversarial").arg("--images", &photos).arg("--unit", "conv4:1").arg("--steps", "3").run().expect_code(0);
    let mut draw = stream(2, "responses", 0);
    let responses = dir.path().join("responses.npy");
    npy::write(&responses, &Array2::from_shape_simple_fn((12, 3), || draw.normal() as f32)).unwrap();
    let fit = job("fit").arg("--images", &photos).arg("--targets", responses).arg("--match", "order");
    fit.arg("--axes", "rows,targets").arg("--taps", "conv2").arg("--reduction", "spatial_mean").run().expect_code(0);
    job("compress")
        .arg("--images", &photos)
        .arg("--by", "random")
        .arg("--keep", "0.8")
        .arg("--minimum", "1")
        .run()
        .expect_code(0);
}

/// The rule that made the published compact models leaves them nearly as they are: they are pruned
/// already.
#[test]
fn published_compact_models_are_pruned_already() {
    let Some(zip) = data("v4/data_V4_responses/images/images_190923.zip") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = data("v4/data_compact_models/models_torch/compact_model_190923_neuron0.pt").unwrap();
    let run = dir.path().join("run");
    let program = compress(&run).arg("--model", &path).arg("--arch", "cowley-compact").arg("--images", zip);
    let results = program.arg("--by", "layerwise-variance").run().expect_code(0).json();
    let filters = |k: usize| -> Vec<u64> {
        let layers = results["layers"].as_array().unwrap().iter().filter(|l| l["layer"] != "response");
        layers.map(|l| l["filters"][k].as_u64().unwrap()).collect()
    };
    println!("{:?} -> {:?}, r {}", filters(0), filters(1), results["after"]["score"]);
    assert!(results["after"]["score"].as_f64().unwrap() > 0.6);
    // The network is the one that the library makes of the published file.
    assert_eq!(results["before"]["params"], Cost::of(&compact::load(&path), Storage::F32).unwrap().parameters);
}
