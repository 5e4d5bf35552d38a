//! Fitted encoding models as networks that end in their targets, on the models of
//! `encoding_model.rs`.

use crate::encoding_model::{
    Made, N, TRAIN, by_hand, draws, engine, fitted_file, make, near, pictures, pictures_of, readout, tiny, whole,
};
use ndarray::{Array1, Array2, Array4, Axis, Slice};
use orthoscope::encoding::features::*;
use orthoscope::encoding::model::{self, EncodingModel, ModelNetwork, PredictOptions, Readout, ReadoutWeights};
use orthoscope::encoding::solver::Work;
use orthoscope::encoding::{Labels, Leakage, RidgeCv, Rows, Scaling, Split, folds};
use orthoscope::image::resize::Resize;
use orthoscope::job::drive::Population;
use orthoscope::job::model::NetworkConfig;
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{BurnExecutor, CpuEngine, Executor, Graph, TapGrad, TapRequest, TapValue};
use orthoscope::rng;
use orthoscope::tensor::{Device, Precision, array, array_f64, tensor};
use std::path::Path;

/// Banded ridge on two layers of the network inside the program, one of them by principal
/// components of its units: the pipeline, the file and the network of it agree.
#[test]
fn a_fit_on_the_network_inside_the_program_is_the_same_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let graph = load_model("mini-inception", &LoadOptions::default()).unwrap().graph;
    let images = pictures_of(N, 96);
    let pca = Reduction::Pca(PcaOptions { keep: Keep::Variance(0.95), ..PcaOptions::default() });
    let made = [
        make(&graph, &images, "mixed3a", Reduction::SpatialMean, Scaling::ZScore { ddof: 0 }),
        make(&graph, &images, "mixed4a", pca, Scaling::Centre),
    ];
    let rows = Rows::new((0..TRAIN).collect(), N).unwrap();
    let scaled = |m: &Made| {
        let (mean, scale) = (m.space.mean.clone(), m.space.scale.clone());
        let z = |((_, j), &v): ((usize, usize), &f32)| ((f64::from(v) - mean[j]) / scale[j]) as f32;
        Array2::from_shape_vec(m.features.dim(), m.features.indexed_iter().map(z).collect()).unwrap()
    };
    let x = ndarray::concatenate![Axis(1), scaled(&made[0]), scaled(&made[1])];
    let y = x.dot(&draws("signal", (x.ncols(), 5), 0.1)) + draws("noise", (N, 5), 0.1);
    let folds = folds(&rows, &Labels::default(), Split::Block { n_folds: 5 }, 0).unwrap();
    let mut leakage = Leakage::default();
    let fit = RidgeCv::default().fit([x.view(), y.view()], &rows, &folds, &mut leakage, &Work::default()).unwrap();
    let taps = ["mixed3a", "mixed4a"].map(|tap| graph.tap(tap).unwrap());
    let network =
        ModelNetwork { graph: graph.up_to(&taps).unwrap(), source_blake3: String::new(), resize: Resize::Stretch };
    let readouts = vec![Readout {
        spaces: vec![0, 1],
        targets: (0..5).collect(),
        weights: ReadoutWeights::Dense(fit.weights.clone()),
        intercept: fit.intercept.clone(),
        alphas: vec![1.0; 5],
    }];
    let model = EncodingModel {
        network: Some(network),
        spaces: made.into_iter().map(|m| m.space).collect(),
        readouts,
        targets: (0..5).map(|t| format!("v{t}")).collect(),
        delays: vec![],
        stimuli: vec![],
    };
    let path = dir.path().join("model.safetensors");
    model.write(&path).unwrap();
    let back = model::read(&path).unwrap();
    let own = &back.network.as_ref().unwrap().graph;
    let found = back.predict_images(&images, &mut engine(own), &PredictOptions::default()).unwrap();
    near(&found, &fit.predict(x.view()).mapv(f64::from), 1e-5);
    let before = model
        .predict_images(&images, &mut engine(&model.network.as_ref().unwrap().graph), &PredictOptions::default())
        .unwrap();
    assert_eq!(found, before, "nothing changed in the file");
    let fitted = back.to_graph().unwrap();
    let (node, _) = fitted.units[0].unwrap();
    near(&values(&fitted.graph, &[node], &images)[0], &found.mapv(f64::from), 1e-5);
}

fn values(graph: &Graph, nodes: &[usize], images: &Array4<f32>) -> Vec<Array2<f32>> {
    let taps: Vec<TapRequest> = nodes.iter().map(|&n| TapRequest::Activations(n)).collect();
    let found = CpuEngine::new(graph, &taps).unwrap().infer(&tensor(images.view(), &Device::default())).unwrap();
    let plain = |value: &TapValue| match value {
        TapValue::Activations(a) => array(a).into_shape_with_order((images.dim().0, a.dims()[1])).unwrap(),
        TapValue::Moments(_) => panic!("asked for activations"),
    };
    found.iter().map(plain).collect()
}

#[test]
fn targets_are_units_of_a_network() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, images) = (tiny(dir.path()), pictures(N));
    let (model, features) = whole(&graph, &images);
    let expected = by_hand(&model, &features);
    let fitted = model.to_graph().unwrap();
    assert!(fitted.units[2].is_none());
    let nodes: Vec<usize> = fitted.units.iter().flatten().map(|&(node, _)| node).collect();
    let found = values(&fitted.graph, &nodes, &images);
    let mut own = found.iter();
    for (t, unit) in fitted.units.iter().enumerate() {
        let Some((_, channel)) = unit else { continue };
        let column = own.next().unwrap().column(*channel).to_owned().insert_axis(Axis(1));
        near(&column, &expected.column(t).to_owned().insert_axis(Axis(1)), 2e-5);
    }
    // Channel means cost no layer's units.
    let (node, _) = fitted.units[9].unwrap();
    let before = fitted.graph.node(node).inputs[0];
    assert_eq!(fitted.graph.node(before).shape.len(), 10);
    // Gradients at the pixels against differences, in 64 bits.
    let picked = images.slice_axis(Axis(0), Slice::from(3..5)).to_owned();
    for t in [0, 4, 5, 7] {
        let (node, channel) = fitted.units[t].unwrap();
        gradient(&fitted.graph, node, channel, &picked, t);
    }
}

/// The derivative along a random direction is what the response changes by.
fn gradient(graph: &Graph, node: usize, channel: usize, images: &Array4<f32>, target: usize) {
    let taps = [TapRequest::Activations(node)];
    let device = Device::default();
    let mut executor = BurnExecutor::new(graph, &taps, Precision::F64, &device).unwrap();
    let mut response = |x: &Array4<f32>| -> f64 {
        let found = executor.forward(&tensor(x.view(), &device)).unwrap();
        let TapValue::Activations(a) = &found[0] else { panic!("asked for activations") };
        array_f64(a).index_axis(Axis(1), channel).sum()
    };
    let mut stream = rng::stream(9, "directions", target as u64);
    let direction = Array4::from_shape_simple_fn(images.raw_dim(), || stream.normal() as f32);
    let step = 2f32.powi(-16);
    let (up, down) = (images + &(&direction * step), images - &(&direction * step));
    let change = response(&up) - response(&down);
    response(images);
    let n_out = graph.node(node).shape.channels;
    let ones = Array4::from_shape_fn((images.dim().0, n_out, 1, 1), |(_, c, _, _)| f32::from(u8::from(c == channel)));
    let found = executor.backward(&[TapGrad::Activations(tensor(ones.view(), &device))]).unwrap();
    let found: f64 = array_f64(&found).iter().zip(up.iter().zip(&down)).map(|(g, (u, d))| g * f64::from(u - d)).sum();
    assert!((found - change).abs() < 1e-3 * change.abs() && change.abs() > 1e-8, "target {target}: {found}, {change}");
}

/// With delays an image that stays gives, when all delays have passed, the response of the network.
#[test]
fn delays_are_summed_for_an_image_that_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, images) = (tiny(dir.path()), pictures(N));
    let Made { space, .. } = make(&graph, &images, "conv2", Reduction::SpatialMean, Scaling::ZScore { ddof: 1 });
    let weights = draws("delayed", (3 * 8, 2), 0.5);
    let model = EncodingModel {
        network: Some(ModelNetwork {
            graph: graph.up_to(&[graph.tap("conv2").unwrap()]).unwrap(),
            source_blake3: String::new(),
            resize: Resize::Stretch,
        }),
        spaces: vec![space],
        readouts: vec![readout(&[0], &[0, 1], ReadoutWeights::Dense(weights))],
        targets: vec!["a".into(), "b".into()],
        delays: vec![1, 2, 3],
        stimuli: vec![],
    };
    let stay = images.select(Axis(0), &[4, 4, 4, 4, 4, 7, 7, 7, 7]);
    let own = &model.network.as_ref().unwrap().graph;
    let runs = [0, 0, 0, 0, 0, 1, 1, 1, 1];
    let options = PredictOptions { batch: 2, runs: Some(&runs), ..PredictOptions::default() };
    let found = model.predict_images(&stay, &mut engine(own), &options).unwrap();
    assert_eq!(found.row(0).to_vec(), [0.1f32, (0.1 + 1.0 / 3.0) as f32], "nothing was shown before");
    let fitted = model.to_graph().unwrap();
    let (node, _) = fitted.units[0].unwrap();
    let network = &values(&fitted.graph, &[node], &images.select(Axis(0), &[4, 7]))[0];
    for (row, image) in [(3, 0), (4, 0), (8, 1)] {
        let off = &found.row(row) - &network.row(image);
        assert!(off.iter().all(|v| v.abs() < 2e-5), "{off}");
    }
    assert!(model.predict_images(&stay, &mut engine(own), &PredictOptions { runs: Some(&[0]), ..options }).is_err());
}

#[test]
fn units_are_chosen_by_the_names_of_targets() {
    let dir = tempfile::tempdir().unwrap();
    let path = fitted_file(dir.path());
    let load = |model: &Path, names: &[&str]| {
        let network = NetworkConfig { model: model.display().to_string(), ..NetworkConfig::default() };
        Population::load(&network, &names.iter().map(|n| n.to_string()).collect::<Vec<_>>(), false)
    };
    let names = |found: &Population| found.units.iter().map(|u| u.name.clone()).collect::<Vec<_>>();
    let (found, warnings) = load(&dir.path().join("fit"), &["IT-*", "0-1"]).unwrap();
    assert_eq!(names(&found), ["IT-7", "IT-8", "IT-9", "V1-0", "V1-1"]);
    assert_eq!((found.members[0].name.as_str(), found.members[0].blake3.len(), warnings.len()), ("fit", 64, 0));
    let (all, warnings) = load(&path, &["all"]).unwrap();
    assert_eq!(all.units.len(), 9);
    assert!(warnings[0].to_string().contains("1 targets that could not be fitted"), "{}", warnings[0]);
    // Their responses are the model's predictions.
    let images = pictures(N);
    let responses = all.responses(&images, &Device::default(), || ()).unwrap();
    let model = model::read(&path).unwrap();
    let own = &model.network.as_ref().unwrap().graph;
    let expected = model.predict_images(&images, &mut engine(own), &PredictOptions::default()).unwrap();
    let fitted: Vec<usize> = (0..10).filter(|t| *t != 2).collect();
    near(&responses.mapv(|v| v as f32), &expected.select(Axis(1), &fitted).mapv(f64::from), 2e-5);
    for (wrong, said) in [("dead", "could be fitted"), ("V2-*", "one of the 10 targets"), ("10", "0 to 9")] {
        let error = load(&path, &[wrong]).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    // As a plain network it has the model's layers.
    let network = NetworkConfig { model: path.display().to_string(), ..NetworkConfig::default() };
    assert!(network.load().unwrap().graph.tap("conv4").is_ok());
    let other = NetworkConfig { preprocess: Some("unit".into()), ..network };
    assert!(other.load().unwrap_err().to_string().contains("network.preprocess"));
}

#[test]
fn graphs_are_cut_off_above_a_tap() {
    let graph = load_model("mini-inception", &LoadOptions::default()).unwrap().graph;
    let tap = graph.tap("mixed3a").unwrap();
    let cut = graph.up_to(&[tap]).unwrap();
    let name = &graph.node(tap).name;
    assert!(cut.nodes().len() < graph.nodes().len() && cut.find(name) == Some(cut.output()));
    assert_eq!(cut.tap("mixed3a").unwrap(), cut.output(), "aliases are kept");
    assert!(cut.n_parameters() < graph.n_parameters());
    assert!(cut.weights().keys().all(|w| cut.nodes().iter().any(|n| n.op.weights().contains(&w.as_str()))));
    assert!(cut.presets.values().flatten().all(|tap| cut.tap(tap).is_ok()) && !cut.presets.is_empty());
    let images = Array4::from_shape_fn((2, 3, 96, 96), |(n, c, y, x)| ((n + 1) * (c + x + y) % 9) as f32 / 8.0);
    let tensor = tensor(images.view(), &Device::default());
    let of = |graph: &Graph, node| crate::support::activations(graph, &[node], &tensor).remove(0);
    assert_eq!(of(&cut, cut.output()), of(&graph, tap));
    let pixels = graph.up_to(&[0]).unwrap();
    assert_eq!((pixels.nodes().len(), pixels.tap("data").unwrap(), pixels.n_parameters()), (2, 0, 0));
    assert_eq!(Array1::from_iter(of(&pixels, 1)).len(), images.len());
}
