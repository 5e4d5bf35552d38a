//! Fitted encoding models: as files, and as predictions. As networks: `fitted_units.rs`.

use crate::program::tiny_model;
use ndarray::{Array2, Array4, Axis, Slice};
use orthoscope::encoding::features::*;
use orthoscope::encoding::model::{
    self, EncodingModel, ModelFile, ModelNetwork, ModelSpace, Output, PredictOptions, Readout, ReadoutWeights,
    SpaceFrom, TrainingStimulus,
};
use orthoscope::encoding::solver::Work;
use orthoscope::encoding::temporal::Sampling;
use orthoscope::encoding::{Labels, Leakage, RidgeCv, Rows, Scaling, Split, Standardizer, folds};
use orthoscope::image::resize::Resize;
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{CpuEngine, Executor, Graph, TapRequest};
use orthoscope::tensor::Device;
use orthoscope::{Cancel, Error, Result, rng};
use std::path::{Path, PathBuf};

pub const TRAIN: usize = 20;
pub const N: usize = 26;

/// The tiny network of the tests of the program.
pub fn tiny(dir: &Path) -> Graph {
    load_model(&tiny_model(dir).display().to_string(), &LoadOptions::default()).unwrap().graph
}

/// Smooth pictures of 24 x 24 pixels in 8 bits, n x 3 x height x width, 0..1.
pub fn pictures(n: usize) -> Array4<f32> {
    pictures_of(n, 24)
}

pub fn pictures_of(n: usize, side: usize) -> Array4<f32> {
    Array4::from_shape_fn((n, 3, side, side), |(i, c, y, x)| {
        let phase = (i * (c + 2)) as f64 + 0.31 * (i as f64 + 1.0) * x as f64 + 0.17 * (c as f64 + 1.0) * y as f64;
        (127.5 + 90.0 * phase.sin()).round() as f32 / 255.0
    })
}

pub fn engine(graph: &Graph) -> impl FnMut(&[TapRequest]) -> Result<Box<dyn Executor>> + '_ {
    |taps| Ok(Box::new(CpuEngine::new(graph, taps)?) as Box<dyn Executor>)
}

pub fn draws(name: &str, shape: (usize, usize), size: f64) -> Array2<f32> {
    let mut stream = rng::stream(5, name, 0);
    Array2::from_shape_simple_fn(shape, || (size * stream.normal()) as f32)
}

/// A space and its features of all images before centring and scaling, made as a fit makes them.
pub struct Made {
    pub space: ModelSpace,
    pub features: Array2<f32>,
}

pub fn make(graph: &Graph, images: &Array4<f32>, tap: &str, reduction: Reduction, scaling: Scaling) -> Made {
    let node = graph.tap(tap).unwrap();
    let plan = Extraction::new(graph, &[(node, reduction.clone())], N, TRAIN, Limits::default()).unwrap();
    let rows = Rows::new((0..TRAIN).collect(), N).unwrap();
    let folder = std::env::temp_dir();
    let context = Context { train: Some(&rows), ..Context::new(&folder) };
    let mut table = None;
    let keep = &mut |_: usize, made: Table| {
        table = Some(made);
        Ok(())
    };
    plan.run(&mut engine(graph), images, &context, keep).unwrap();
    let (table, mut leakage) = (table.unwrap(), Leakage::default());
    let (features, found) = match reduction.pca() {
        None => (table.features().unwrap(), None),
        Some(options) => {
            let pca = Pca::fit(&table, &rows, options, tap, &mut leakage).unwrap();
            let mut executor = engine(graph)(&[TapRequest::Activations(node)]).unwrap();
            let device = Device::default();
            let found = components(&[(&pca).into()], executor.as_mut(), images, 8, &device, &Work::default()).unwrap();
            (pca.scores(&table).unwrap(), found.into_iter().next())
        }
    };
    let standardizer = Standardizer::fit(features.view(), &rows, scaling, tap, &mut leakage).unwrap();
    let space = ModelSpace {
        name: format!("{tap}, {}", reduction.describe()),
        from: SpaceFrom::Tap { tap: tap.into(), reduction },
        components: found,
        mean: standardizer.mean().to_vec(),
        scale: standardizer.scale().to_vec(),
    };
    Made { space, features }
}

fn windows() -> RfGrid {
    let window = |x_deg, y_deg, sd_deg| GaussianWindow { x_deg, y_deg, sd_deg };
    let windows = vec![window(0.0, 0.0, 2.0), window(-2.0, 1.5, 1.0), window(3.0, -3.0, 0.7)];
    RfGrid { windows, ..RfGrid::new(10.0) }
}

pub fn readout(spaces: &[usize], targets: &[usize], weights: ReadoutWeights) -> Readout {
    let intercept = targets.iter().map(|&t| 0.1 + t as f64 / 3.0).collect();
    let alphas = targets.iter().map(|&t| if t == 0 { f64::NAN } else { 10f64.powi(t as i32) / 3.0 }).collect();
    Readout { spaces: spaces.to_vec(), targets: targets.to_vec(), weights, intercept, alphas }
}

/// A model with every kind of space and readout on the tiny network, and what each space's features
/// are.
pub fn whole(graph: &Graph, images: &Array4<f32>) -> (EncodingModel, Vec<Array2<f32>>) {
    let projection = Projection { n_components: Some(40), ..Projection::default() };
    let pca = |k, zscore, project| Reduction::Pca(PcaOptions { keep: Keep::Components(k), zscore, project });
    let zscore = Scaling::ZScore { ddof: 0 };
    let made = [
        make(graph, images, "conv1", Reduction::SpatialMean, zscore),
        make(graph, images, "conv2", pca(5, true, None), zscore),
        make(graph, images, "conv3", Reduction::SparseRandomProjection(projection), Scaling::Centre),
        make(graph, images, "conv2", Reduction::RfPooled(windows()), zscore),
        make(graph, images, "conv4", Reduction::Flat, Scaling::Centre),
        make(graph, images, "conv3", pca(4, false, Some(projection)), Scaling::None),
        make(graph, images, "conv4.pre_relu", Reduction::SpatialMean, Scaling::Centre),
    ];
    let width = |s: usize| made[s].space.mean.len();
    let (n_units, n_places) = (width(4), graph.node(graph.tap("conv4").unwrap()).shape.height.pow(2));
    let dense = |name: &str, spaces: &[usize], n| {
        ReadoutWeights::Dense(draws(name, (spaces.iter().map(|&s| width(s)).sum(), n), 0.3))
    };
    let rate = ReadoutWeights::Factorized {
        maps: draws("maps", (n_places, 2), 0.1),
        channels: draws("channels", (n_units / n_places, 2), 0.5),
        output: Output::Rate,
    };
    let pooled = ReadoutWeights::Windows { windows: vec![2, 0], weights: draws("windows", (8, 2), 0.5) };
    let readouts = vec![
        readout(&[0, 1], &[0, 3], dense("banded", &[0, 1], 2)),
        readout(&[2], &[1], dense("projected", &[2], 1)),
        readout(&[3], &[4, 6], pooled),
        readout(&[4], &[5, 8], rate),
        readout(&[5, 2], &[7], dense("both", &[5, 2], 1)),
        readout(&[6], &[9], dense("before", &[6], 1)),
    ];
    let taps: Vec<usize> = ["conv4", "conv4.pre_relu"].iter().map(|tap| graph.tap(tap).unwrap()).collect();
    let stimulus = |i: usize| TrainingStimulus { name: format!("image{i}"), hash: format!("{i:032x}") };
    let network =
        ModelNetwork { graph: graph.up_to(&taps).unwrap(), source_blake3: "abc".into(), resize: Resize::Crop };
    let targets = ["V1-0", "V1-1", "dead", "V1-3", "V4-4", "V4-5", "V4-6", "IT-7", "IT-8", "IT-9"];
    let features = made.iter().map(|m| m.features.clone()).collect();
    let model = EncodingModel {
        network: Some(network),
        spaces: made.into_iter().map(|m| m.space).collect(),
        readouts,
        targets: targets.map(str::to_owned).to_vec(),
        delays: vec![],
        stimuli: (0..TRAIN).map(stimulus).collect(),
    };
    (model, features)
}

/// Predictions term by term in 64 bits.
pub fn by_hand(model: &EncodingModel, features: &[Array2<f32>]) -> Array2<f64> {
    let mut out = Array2::from_elem((features[0].nrows(), model.targets.len()), f64::NAN);
    for readout in &model.readouts {
        for i in 0..out.nrows() {
            let mut x = Vec::new();
            for &s in &readout.spaces {
                let (space, row) = (&model.spaces[s], features[s].row(i));
                x.extend(row.iter().enumerate().map(|(j, &v)| (f64::from(v) - space.mean[j]) / space.scale[j]));
            }
            for (t, &target) in readout.targets.iter().enumerate() {
                let weight = |j: usize| match &readout.weights {
                    ReadoutWeights::Dense(w) => f64::from(w[(j, t)]),
                    ReadoutWeights::Windows { windows, weights } => {
                        let c = weights.nrows();
                        if j / c == windows[t] { f64::from(weights[(j % c, t)]) } else { 0.0 }
                    }
                    ReadoutWeights::Factorized { maps, channels, .. } => {
                        let n = maps.nrows();
                        f64::from(maps[(j % n, t)]) * f64::from(channels[(j / n, t)])
                    }
                };
                let sum = readout.intercept[t] + x.iter().enumerate().map(|(j, x)| x * weight(j)).sum::<f64>();
                let rate = matches!(readout.weights, ReadoutWeights::Factorized { output: Output::Rate, .. });
                out[(i, target)] = match rate {
                    true if sum > 0.0 => sum + 1.0,
                    true => sum.exp(),
                    false => sum,
                };
            }
        }
    }
    out
}

/// Largest difference of a column in its own standard deviations.
#[track_caller]
pub fn near(found: &Array2<f32>, expected: &Array2<f64>, tolerance: f64) {
    assert_eq!(found.dim(), expected.dim());
    for (t, (a, b)) in found.columns().into_iter().zip(expected.columns()).enumerate() {
        let sd = b.std(0.0);
        assert!(b.iter().any(|v| v.is_nan()) || sd > 1e-6, "target {t} varies");
        for (a, b) in a.iter().zip(b) {
            let same = a.is_nan() && b.is_nan();
            assert!(same || (f64::from(*a) - b).abs() <= tolerance * sd, "target {t}: {a} and {b}, sd {sd}");
        }
    }
}

/// Every number of both is the same, bit for bit.
#[track_caller]
fn equal(found: &EncodingModel, expected: &EncodingModel) {
    let network = |model: &EncodingModel| {
        let ModelNetwork { graph, source_blake3, resize } = model.network.clone().unwrap();
        let names = (graph.name.clone(), graph.aliases.clone(), graph.presets.clone(), source_blake3, resize);
        (graph.nodes().to_vec(), graph.weights().clone(), graph.input, names)
    };
    assert!(network(found) == network(expected));
    assert_eq!(found.spaces, expected.spaces);
    let alphas = |model: &EncodingModel| {
        let of = |readout: &Readout| readout.alphas.iter().map(|a| a.to_bits()).collect::<Vec<_>>();
        model.readouts.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(alphas(found), alphas(expected));
    // NaN is not equal to itself.
    let rest = |model: &EncodingModel| {
        let readout = |readout: &Readout| Readout { alphas: vec![], ..readout.clone() };
        model.readouts.iter().map(readout).collect::<Vec<_>>()
    };
    assert_eq!(rest(found), rest(expected));
    let names = |model: &EncodingModel| (model.targets.clone(), model.delays.clone(), model.stimuli.clone());
    assert_eq!(names(found), names(expected));
}

#[test]
fn a_file_holds_the_whole_model() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, images) = (tiny(dir.path()), pictures(N));
    let (model, _) = whole(&graph, &images);
    let at = |name: &str| dir.path().join(name);
    model.write(&at("a.safetensors")).unwrap();
    let back = model::read(&at("a.safetensors")).unwrap();
    equal(&back, &model);
    back.write(&at("b.safetensors")).unwrap();
    let bytes = |name: &str| std::fs::read(at(name)).unwrap();
    assert_eq!(bytes("b.safetensors"), bytes("a.safetensors"));
    // The same from weights that come range by range.
    let mut head = model.clone();
    for readout in &mut head.readouts {
        if let ReadoutWeights::Dense(w) | ReadoutWeights::Windows { weights: w, .. } = &mut readout.weights {
            *w = Array2::zeros((w.nrows(), 0));
        }
    }
    let of = |r: usize| match &model.readouts[r].weights {
        ReadoutWeights::Dense(w) | ReadoutWeights::Windows { weights: w, .. } => w.clone(),
        ReadoutWeights::Factorized { .. } => panic!("these are in the head"),
    };
    let part = |r: usize, range: std::ops::Range<usize>| of(r).slice_axis(Axis(1), Slice::from(range)).to_owned();
    model::write_streamed(&at("c.safetensors"), &head, &mut |r, range| Ok(part(r, range))).unwrap();
    assert_eq!(bytes("c.safetensors"), bytes("a.safetensors"));
    for wrong in [f32::NAN, f32::INFINITY] {
        let bad = &mut |r, range| Ok(part(r, range).mapv(|_| wrong));
        assert!(model::write_streamed(&at("d.safetensors"), &head, bad).unwrap_err().to_string().contains("finite"));
    }
    let short = &mut |r, range| Ok(part(r, range).slice_axis(Axis(0), Slice::from(1..)).to_owned());
    assert!(model::write_streamed(&at("d.safetensors"), &head, short).is_err() && !at("d.safetensors").exists());
}

/// Readouts of 3 million weights each come in several ranges: the same bytes, and in order.
#[test]
fn long_readouts_come_in_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let (n_features, n_targets) = (3000, 4000);
    let from = SpaceFrom::Given { n_features };
    let (mean, scale) = (vec![0.0; n_features], vec![1.0; n_features]);
    let space = ModelSpace { name: "given".into(), from, components: None, mean, scale };
    let head = |weights| EncodingModel {
        network: None,
        spaces: vec![space.clone()],
        readouts: vec![Readout {
            spaces: vec![0],
            targets: (0..n_targets).collect(),
            weights: ReadoutWeights::Dense(weights),
            intercept: vec![0.0; n_targets],
            alphas: vec![1.0; n_targets],
        }],
        targets: (0..n_targets).map(|t| format!("v{t}")).collect(),
        delays: vec![],
        stimuli: vec![],
    };
    let weights = Array2::from_shape_fn((n_features, n_targets), |(f, t)| (f * 7 % 13 + t) as f32);
    let at = |name: &str| dir.path().join(name);
    head(weights.clone()).write(&at("whole.safetensors")).unwrap();
    let mut ranges = Vec::new();
    model::write_streamed(&at("parts.safetensors"), &head(Array2::zeros((n_features, 0))), &mut |_, range| {
        ranges.push(range.clone());
        Ok(weights.slice_axis(Axis(1), Slice::from(range)).to_owned())
    })
    .unwrap();
    assert!(ranges.len() > 2 && ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
    let bytes = |name: &str| std::fs::read(at(name)).unwrap();
    assert!(bytes("whole.safetensors") == bytes("parts.safetensors"));
    let file = ModelFile::open(&at("parts.safetensors")).unwrap();
    let some = file.some(&[3999, 5]).unwrap();
    let ReadoutWeights::Dense(w) = &some.readouts[0].weights else { panic!("dense weights") };
    assert_eq!(
        (w.column(0).to_vec(), w.column(1).to_vec()),
        (weights.column(3999).to_vec(), weights.column(5).to_vec())
    );
    assert_eq!(some.targets, ["v3999", "v5"]);
}

#[test]
fn predictions_are_those_of_the_features() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, images) = (tiny(dir.path()), pictures(N));
    let (model, features) = whole(&graph, &images);
    let expected = by_hand(&model, &features);
    assert!(expected.column(2).iter().all(|v| v.is_nan()), "no readout has it");
    let own = &model.network.as_ref().unwrap().graph;
    let predict = |batch| {
        let options = PredictOptions { batch, ..PredictOptions::default() };
        model.predict_images(&images, &mut engine(own), &options).unwrap()
    };
    let found = predict(7);
    near(&found, &expected, 2e-5);
    near(&predict(26), &found.mapv(f64::from), 1e-6);
    // A file of some targets gives the same, without the layers that they do not need.
    let path = dir.path().join("model.safetensors");
    model.write(&path).unwrap();
    let some = ModelFile::open(&path).unwrap().some(&[6, 0]).unwrap();
    let less = &some.network.as_ref().unwrap().graph;
    assert!(less.find("conv3").is_none() && some.spaces.len() == 3, "conv3 and conv4 are left out");
    let part = some.predict_images(&images, &mut engine(less), &PredictOptions::default()).unwrap();
    near(&part, &found.select(Axis(1), &[6, 0]).mapv(f64::from), 1e-6);
    for wrong in [vec![0, 0], vec![99]] {
        assert!(ModelFile::open(&path).unwrap().some(&wrong).is_err());
    }
    let cancel = Cancel::default();
    cancel.cancel();
    let options = PredictOptions { work: Work { cancel, ..Work::default() }, ..PredictOptions::default() };
    let stopped = model.predict_images(&images, &mut engine(own), &options);
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
}

/// A ridge regression by hand and the file of it read back.
#[test]
fn a_ridge_fit_predicts_the_same_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, images) = (tiny(dir.path()), pictures(N));
    let Made { space, features } = make(&graph, &images, "conv3", Reduction::SpatialMean, Scaling::Centre);
    let rows = Rows::new((0..TRAIN).collect(), N).unwrap();
    let y = features.dot(&draws("signal", (8, 3), 1.0)) + draws("noise", (N, 3), 0.05);
    let mut leakage = Leakage::default();
    let scaler = Standardizer::fit(features.view(), &rows, Scaling::Centre, "x", &mut leakage).unwrap();
    let x = scaler.apply(features.view());
    let folds = folds(&rows, &Labels::default(), Split::Block { n_folds: 4 }, 0).unwrap();
    let fit = RidgeCv::default().fit([x.view(), y.view()], &rows, &folds, &mut leakage, &Work::default()).unwrap();
    let model = EncodingModel {
        network: Some(ModelNetwork {
            graph: graph.up_to(&[graph.tap("conv3").unwrap()]).unwrap(),
            source_blake3: String::new(),
            resize: Resize::Stretch,
        }),
        spaces: vec![space],
        readouts: vec![Readout {
            spaces: vec![0],
            targets: vec![0, 1, 2],
            weights: ReadoutWeights::Dense(fit.weights.clone()),
            intercept: fit.intercept.clone(),
            alphas: vec![1.0; 3],
        }],
        targets: ["a", "b", "c"].map(str::to_owned).to_vec(),
        delays: vec![],
        stimuli: vec![],
    };
    let path = dir.path().join("model.safetensors");
    model.write(&path).unwrap();
    let back = model::read(&path).unwrap();
    let own = &back.network.as_ref().unwrap().graph;
    let found = back.predict_images(&images, &mut engine(own), &PredictOptions::default()).unwrap();
    near(&found, &fit.predict(x.view()).mapv(f64::from), 1e-6);
    let given = back.predict_features(&[features.view()], None).unwrap();
    near(&given, &fit.predict(x.view()).mapv(f64::from), 1e-6);
}

/// Volumes of a movie are read out from the mean of their frames.
#[test]
fn volumes_are_means_of_frames() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, images) = (tiny(dir.path()), pictures(N));
    let (model, features) = whole(&graph, &images);
    let own = &model.network.as_ref().unwrap().graph;
    let sampling = Sampling { frame_rate_hz: 2.0, t_r_s: 1.0, skip_s: 0.0 };
    let map = FrameMap::average(N, sampling, N / 2).unwrap();
    let options = PredictOptions { batch: 5, map: Some(&map), ..PredictOptions::default() };
    let found = model.predict_images(&images, &mut engine(own), &options).unwrap();
    let mean =
        |f: &Array2<f32>| Array2::from_shape_fn((N / 2, f.ncols()), |(i, j)| (f[(2 * i, j)] + f[(2 * i + 1, j)]) / 2.0);
    let means: Vec<Array2<f32>> = features.iter().map(mean).collect();
    near(&found, &by_hand(&model, &means), 2e-5);
    let beyond = FrameMap::average(99, sampling, 2).unwrap();
    let options = PredictOptions { map: Some(&beyond), ..PredictOptions::default() };
    assert!(model.predict_images(&images, &mut engine(own), &options).is_err());
}

/// A fitted file for other tests: ten targets on the tiny network.
pub fn fitted_file(dir: &Path) -> PathBuf {
    let (graph, images) = (tiny(dir), pictures(N));
    let (model, _) = whole(&graph, &images);
    let path = dir.join("fit/arrays/model.safetensors");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    model.write(&path).unwrap();
    path
}

#[test]
fn models_whose_parts_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (graph, images) = (tiny(dir.path()), pictures(N));
    let (model, _) = whole(&graph, &images);
    model.check().unwrap();
    let refused = |what: &str, change: &dyn Fn(&mut EncodingModel)| {
        let mut wrong = model.clone();
        change(&mut wrong);
        let error = wrong.check().map(|()| String::new()).unwrap_or_else(|e| e.to_string());
        assert!(!error.is_empty(), "{what} was taken");
        assert!(wrong.write(&dir.path().join("wrong.safetensors")).is_err());
        error
    };
    refused("a target twice", &|m| m.readouts[1].targets = vec![0]);
    refused("a target beyond all", &|m| m.readouts[1].targets = vec![10]);
    refused("targets out of order", &|m| m.readouts[0].targets = vec![3, 0]);
    refused("no tap", &|m| m.spaces[0].from = SpaceFrom::Tap { tap: "none".into(), reduction: Reduction::Flat });
    refused("no network", &|m| m.network = None);
    refused("another reduction", &|m| {
        m.spaces[0].from = SpaceFrom::Tap { tap: "conv1".into(), reduction: Reduction::Flat }
    });
    refused("no components", &|m| m.spaces[1].components = None);
    refused("a scale of 0", &|m| m.spaces[0].scale[1] = 0.0);
    refused("a mean that is none", &|m| m.spaces[0].mean[1] = f64::NAN);
    refused("an intercept that is none", &|m| m.readouts[0].intercept[0] = f64::INFINITY);
    refused("fewer penalties", &|m| m.readouts[0].alphas.truncate(1));
    refused("a name twice", &|m| m.targets[1] = m.targets[0].clone());
    refused("a space that there is not", &|m| m.readouts[0].spaces[1] = 7);
    refused("a space twice", &|m| m.readouts[0].spaces[1] = 0);
    refused("delays of windows", &|m| m.delays = vec![1]);
    let seen = refused("a projection of unknown size", &|m| {
        let reduction = Reduction::SparseRandomProjection(Projection::default());
        m.spaces[2].from = SpaceFrom::Tap { tap: "conv3".into(), reduction };
    });
    assert!(seen.contains("number of a projection's vectors"), "{seen}");
    // Alphas may be anything: they are told, not used.
    assert!(model.readouts[0].alphas[0].is_nan());
    let ready = EncodingModel {
        network: None,
        spaces: vec![ModelSpace { from: SpaceFrom::Given { n_features: 6 }, ..model.spaces[0].clone() }],
        readouts: vec![readout(&[0], &[0], ReadoutWeights::Dense(draws("given", (6, 1), 1.0)))],
        ..model.clone()
    };
    ready.check().unwrap();
    assert!(ready.to_graph().unwrap_err().to_string().contains("ready features"));
    assert!(ready.predict_features(&[Array2::zeros((2, 5)).view()], None).is_err());
    let one = ready.predict_features(&[Array2::zeros((2, 6)).view()], None).unwrap();
    assert_eq!((one.dim(), one.column(1).iter().all(|v| v.is_nan())), ((2, 10), true));
}
