//! Compression of real networks: removal against masks, costs against counts of PyTorch, single
//! channels.

use crate::compact;
use crate::support::{data, displayed, photograph, synthetic};
use ndarray::{Array2, Array4, ArrayD, Ix4};
use orthoscope::compression::connections::{self, Amount, Clustering, Reach, Sharing};
use orthoscope::compression::importance::{
    Ablation, Accuracy, ActivationVariance, Data, Importance, L1, LayerwiseVariance, Network, Random, Taylor,
};
use orthoscope::compression::{
    Cost, Course, Groups, Pruner, Ratio, Removed, Scope, Until, cka, masked, originals, reads, remove,
};
use orthoscope::io::npz;
use orthoscope::io::weights::Storage;
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{BurnExecutor, Change, CpuEngine, Executor, Graph, NodeId, Tail, TapRequest, TapValue};
use orthoscope::rng::stream;
use orthoscope::tensor::{Device, Precision, Tensor, Var, array, array_f64};
use std::path::Path;
use std::time::Instant;

fn load(spec: &str) -> Graph {
    load_model(spec, &LoadOptions::default()).unwrap().graph
}

fn real(file: &str) -> Option<Graph> {
    Some(load(data(file)?.to_str().unwrap()))
}

fn plain(value: TapValue) -> Tensor<4> {
    match value {
        TapValue::Activations(a) => a,
        TapValue::Moments(_) => panic!("asked for activations"),
    }
}

/// In 64 bits.
fn outputs(graph: &Graph, node: NodeId, images: &Tensor<4>) -> ArrayD<f64> {
    let taps = [TapRequest::Activations(node)];
    let mut run = BurnExecutor::new(graph, &taps, Precision::F64, &Device::default()).unwrap();
    array_f64(&plain(run.infer(images).unwrap().remove(0)))
}

/// Largest absolute difference, relative to the largest number expected.
fn error(found: &ArrayD<f64>, expected: &ArrayD<f64>) -> f64 {
    assert_eq!(found.shape(), expected.shape());
    let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / scale
}

/// A third of the channels of every group, drawn.
fn third(groups: &Groups, seed: u64) -> Removed {
    let mut rng = stream(seed, "third", 0);
    let of = |g: &orthoscope::compression::Group| {
        (g.name.clone(), rng.permutation(g.width()).into_iter().take(g.width() / 3).collect())
    };
    groups.all().iter().map(of).collect()
}

/// Channels of every layer removed at once: the same responses as with masks, and fewer of
/// everything.
fn removal_equals_masks(graph: &Graph, images: &Tensor<4>) -> (Graph, Ratio) {
    let groups = Groups::of(graph, &[]).unwrap();
    let removed = third(&groups, 1);
    let smaller = remove(graph, &groups, &removed, 1).unwrap();
    let zeroed = masked(graph, &groups, &removed).unwrap();
    let expected = outputs(&zeroed, zeroed.scores(), images);
    // Sums in another order, in 64 bits.
    let found = error(&outputs(&smaller, smaller.scores(), images), &expected);
    assert!(found < 1e-10, "{}: {found}", graph.name);
    // The engine, in 32 bits, through all layers.
    let mut engine = CpuEngine::new(&smaller, &[TapRequest::Activations(smaller.scores())]).unwrap();
    let fast = array_f64(&plain(engine.infer(images).unwrap().remove(0)));
    assert!(error(&fast, &expected) < 1e-4, "{}: {}", graph.name, error(&fast, &expected));
    let whole = outputs(graph, graph.scores(), images);
    assert!(error(&expected, &whole) > 1e-2, "{}: a third of the channels matters", graph.name);
    let [before, after] = [graph, &smaller].map(|g| Cost::of(g, Storage::F32).unwrap());
    let ratio = Ratio::of(&before, &after);
    println!(
        "{}: {removed_n} channels fewer, {ratio:?}",
        graph.name,
        removed_n = removed.values().map(|c| c.len()).sum::<usize>()
    );
    assert!(ratio.parameters > 1.5 && ratio.macs > 1.5 && ratio.bytes > 1.5 && ratio.filters > 1.2);
    (smaller, ratio)
}

fn patterns(n: usize, side: usize) -> Array4<f32> {
    Array4::from_shape_fn((n, 3, side, side), |(n, c, y, x)| {
        let (n, c, y, x) = (n as f64, c as f64 + 1.0, y as f64, x as f64);
        (0.5 + 0.3 * (x * (0.1 + 0.05 * n) + y * 0.07 * c).sin() + 0.2 * (y * 0.21 - x * 0.03 * n).cos()) as f32
    })
}

fn tensor(images: &Array4<f32>) -> Tensor<4> {
    orthoscope::tensor::tensor(images.view(), &Device::default())
}

#[test]
fn removal_equals_masks_in_mini_inception() {
    removal_equals_masks(&load("mini-inception"), &tensor(&patterns(2, 96)));
}

#[test]
fn removal_equals_masks_in_squeezenet() {
    let Some(graph) = real("squeezenet_v11/squeezenet_v11.caffemodel") else { return };
    removal_equals_masks(&graph, &displayed(&graph, &synthetic(227)));
}

#[test]
fn removal_equals_masks_in_googlenet() {
    let Some(graph) = real("googlenet_bvlc/googlenet_bvlc.onnx") else { return };
    let image = photograph(&data("googlenet_bvlc/reference").unwrap().join("chelsea.png"), 256, 224);
    removal_equals_masks(&graph, &image);
}

#[test]
fn removal_equals_masks_in_a_compact_model() {
    let Some(path) = data("v4/data_compact_models/models_torch/compact_model_190923_neuron0.pt") else { return };
    removal_equals_masks(&compact::load(&path), &compact::images("190923", &[0, 1]).unwrap());
}

/// How far zeros in front of a normalisation are from removal, which makes other channels
/// neighbours: not as far as the whole network, but not near.
#[test]
fn neighbours_in_googlenets_normalisations() {
    let Some(graph) = real("googlenet_bvlc/googlenet_bvlc.onnx") else { return };
    let image = photograph(&data("googlenet_bvlc/reference").unwrap().join("chelsea.png"), 256, 224);
    let groups = Groups::of(&graph, &[]).unwrap();
    for name in ["conv1/7x7_s2", "conv2/3x3"] {
        let group = groups.named(name).unwrap();
        let own = groups.group(group).name.clone();
        let removed: Removed = third(&groups, 2).into_iter().filter(|(n, _)| *n == own).collect();
        let found = reads(&graph, &groups, group, &[]);
        let [read] = &found[..] else { panic!("read by the normalisation alone: {found:?}") };
        let change = Change { node: read.node, readers: read.readers.clone(), tapped: false };
        let mut tail = Tail::new(&graph, &[change], &[graph.scores()], &Device::default()).unwrap();
        assert_eq!(tail.frontier(), [read.node]);
        let n = graph.node(read.node).shape.channels;
        let mask = Array4::from_shape_fn((1, n, 1, 1), |(_, c, ..)| f32::from(u8::from(!removed[&own].contains(&c))));
        let mut engine = CpuEngine::new(&graph, &[TapRequest::Activations(read.node)]).unwrap();
        let known = plain(engine.infer(&image).unwrap().remove(0));
        let zeros = array_f64(&tail.run(&[known], &|_, t| t * tensor(&mask)).unwrap()[0]);
        let smaller = remove(&graph, &groups, &removed, 1).unwrap();
        let gone = outputs(&smaller, smaller.scores(), &image);
        let whole = outputs(&graph, graph.scores(), &image);
        let (apart, effect) = (error(&zeros, &gone), error(&gone, &whole));
        println!("{name}: a third removed moves the scores by {effect:.3}; zeros instead differ by {apart:.4}");
        assert!(apart > 1e-4 && apart < effect);
    }
}

/// tests/golden/cka.py: from features, and by the definition of the estimate.
#[test]
fn alignment_is_numpys() {
    let golden = npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cka.npz")).unwrap();
    let gram = |name: &str| {
        let x = golden.get::<f64>(name).unwrap().into_dimensionality::<ndarray::Ix2>().unwrap();
        x.dot(&x.t())
    };
    let expected = |name: &str| *golden.get::<f64>(name).unwrap().first().unwrap();
    let (a, b) = (gram("a"), gram("b"));
    for (found, name) in [(cka::linear(a.view(), b.view()), "linear"), (cka::debiased(a.view(), b.view()), "debiased")]
    {
        let (found, expected) = (found.unwrap(), expected(name));
        assert!((found - expected).abs() < 1e-12, "{name}: {found}, NumPy {expected}");
    }
}

/// tests/golden/compression_cost.py.
#[test]
fn costs_are_pytorchs_counts() {
    for (file, parameters, macs) in [
        ("googlenet_bvlc/googlenet_bvlc.onnx", 6_998_552, 1_582_671_872),
        ("squeezenet_v11/squeezenet_v11.caffemodel", 1_235_496, 387_747_520),
    ] {
        let Some(graph) = real(file) else { return };
        let cost = Cost::of(&graph, Storage::F32).unwrap();
        assert_eq!((cost.parameters, cost.macs), (parameters, macs), "{file}");
        assert_eq!(cost.layers.iter().map(|l| l.parameters).sum::<usize>(), parameters);
        assert_eq!(cost.layers.iter().map(|l| l.macs).sum::<u64>(), macs);
        // Four bytes a number and a header of names.
        assert!((4 * parameters as u64..4 * parameters as u64 + 20_000).contains(&cost.bytes), "{}", cost.bytes);
    }
    let Some(path) = data("v4/data_compact_models/models_torch/compact_model_190923_neuron0.pt") else { return };
    let cost = Cost::of(&compact::load(&path), Storage::F32).unwrap();
    // The published count; filters 48, 60, 3, 3, 3.
    assert_eq!(cost.parameters, 12_466);
    let kernels: Vec<usize> = cost.layers.iter().map(|l| l.kernels).filter(|k| *k > 0).collect();
    assert_eq!(kernels, [48, 48, 60, 3, 3]);
}

/// Masks applied to kept activations are masks of the graph, run as a whole.
#[test]
fn ablation_in_googlenet_is_the_masked_network() {
    let Some(graph) = real("googlenet_bvlc/googlenet_bvlc.onnx") else { return };
    let groups = Groups::of(&graph, &[]).unwrap();
    let original = originals(&groups);
    let images = patterns(4, 224);
    let score = |taps: &[Array2<f32>]| Ok(f64::from(taps[0][[0, 281]] + taps[0][[1, 3]]));
    let ablation = Ablation::new(Data::new(&images), &[graph.scores()], &score);
    let network = Network { graph: &graph, groups: &groups, original: &original };
    for (name, channels) in [("inception_4a/5x5_reduce", [0, 7]), ("inception_5a/1x1", [3, 200])] {
        let group = groups.named(name).unwrap();
        let start = Instant::now();
        let found = ablation.ablate(network, group).unwrap();
        let all = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for channel in channels {
            let removed = Removed::from([(groups.group(group).name.clone(), [channel].into())]);
            let zeroed = masked(&graph, &groups, &removed).unwrap();
            let mut engine = CpuEngine::new(&zeroed, &[TapRequest::Activations(zeroed.scores())]).unwrap();
            let logits = array(&plain(engine.infer(&tensor(&images)).unwrap().remove(0)));
            let expected = f64::from(logits[[0, 281, 0, 0]] + logits[[1, 3, 0, 0]]);
            let drop = (found.without[channel].score - expected).abs();
            assert!(drop < 1e-3 * expected.abs().max(1.0), "{name}:{channel}: {drop}");
        }
        let n = found.without.len();
        let (each, whole) = (all / n as f64, start.elapsed().as_secs_f64() / channels.len() as f64);
        println!("{name}: {n} channels, {each:.3} s each; masked networks run whole {whole:.3} s each");
    }
}

/// The published rule on a published model: already pruned, it loses little more, and its responses
/// stay.
#[test]
fn layerwise_variance_on_a_compact_model() {
    let Some(path) = data("v4/data_compact_models/models_torch/compact_model_190923_neuron1.pt") else { return };
    let graph = compact::load(&path);
    let numbers: Vec<usize> = (0..60).collect();
    let images = array(&compact::images("190923", &numbers).unwrap()).into_dimensionality::<Ix4>().unwrap();
    let pruner = Pruner::new(&graph);
    let rule = LayerwiseVariance::new(Data::new(&images));
    let mut course = Course::default();
    pruner.layer_by_layer(&rule, &mut course, &mut |_| Ok(())).unwrap();
    assert_eq!(course.steps.len(), 5);
    let groups = Groups::of(&graph, &[]).unwrap();
    let smaller = remove(&graph, &groups, &course.removed(), 3).unwrap();
    let [before, after] = [&graph, &smaller].map(|g| compact::many_predictions(g, &tensor(&images)));
    let r = crate::support::pearson(&before, &after);
    let filters: Vec<usize> = groups.all().iter().map(|g| g.width()).collect();
    let left: Vec<usize> = groups.without(&course.removed()).unwrap().all().iter().map(|g| g.width()).collect();
    println!(
        "filters {filters:?}, left {left:?}, r with the whole model {r:.3}, steps {:?}",
        course.steps.iter().map(|s| s.score).collect::<Vec<_>>()
    );
    assert!(r > 0.6 && left.iter().all(|w| *w >= 3));
    for (step, name) in course.steps.iter().zip(groups.all().iter().rev().map(|g| &g.name)) {
        assert!(step.removed.keys().eq([name]) && step.score.unwrap() >= 0.9);
    }
}

/// Scenes as mini-inception was trained on, and their classes.
fn scenes(n: usize, seed: u64) -> (Array4<f32>, Vec<usize>) {
    let drawn: Vec<_> = (0..n as u64).map(|i| crate::mini_inception::scenes::sample(seed, i, 96)).collect();
    let values = drawn.iter().flat_map(|(_, image)| image.iter().copied()).collect();
    let images = Array4::from_shape_vec((n, 3, 96, 96), values).unwrap();
    (images, drawn.iter().map(|(class, _)| *class).collect())
}

/// Channels that importances call unimportant cost less accuracy than channels drawn at random, on other images; and
/// what the connections cost.
#[test]
fn importances_are_better_than_chance() {
    let graph = load("mini-inception");
    let ((images, labels), (others, truth)) = (scenes(72, 77_001), scenes(180, 77_002));
    let score = Accuracy { labels: truth };
    let accuracy = |g: &Graph| Ablation::new(Data::new(&others), &[g.scores()], &score).whole(g).unwrap().score;
    // Cross-entropy of each image.
    let loss = |taps: &[Var<4>], range: std::ops::Range<usize>| {
        let [n, c, ..] = taps[0].dims();
        let scores = taps[0].clone().reshape([n, c]);
        let shifted = scores.clone() - scores.clone().max_dim(1);
        let all = shifted.clone().exp().sum_dim(1).log().reshape([n]);
        let own =
            range.enumerate().map(|(i, image)| shifted.clone().slice([i..i + 1, labels[image]..labels[image] + 1]));
        Ok(all - Var::cat(own.collect(), 0).reshape([n]))
    };
    let pruner = Pruner { minimum: 2, ..Pruner::new(&graph) };
    let groups = Groups::of(&graph, &[]).unwrap();
    let n: usize = groups.all().iter().map(|g| g.width()).sum();
    let after = |importance: &mut dyn Importance, scope: Scope| {
        let order = pruner.rank(importance, scope).unwrap();
        assert_eq!(order.len(), n);
        let smaller = remove(&graph, &groups, &pruner.first(&order, n / 10).unwrap(), 2).unwrap();
        accuracy(&smaller)
    };
    let whole = accuracy(&graph);
    let chance = (0..3).map(|seed| after(&mut Random { seed }, Scope::Layer)).fold(0.0, f64::max);
    let data = || Data::new(&images);
    let variance = after(&mut ActivationVariance(data()), Scope::Layer);
    let taylor = after(&mut Taylor::new(data(), &[graph.scores()], &loss), Scope::Layer);
    let [l1, alike] = [Scope::Layer, Scope::Isomorphic].map(|scope| after(&mut L1, scope));
    println!(
        "accuracy {whole:.3}; a tenth of the channels fewer: taylor {taylor:.3}, variance {variance:.3}, l1 {l1:.3}, \
         l1 isomorphic {alike:.3}, best of three draws {chance:.3}"
    );
    assert!(whole > 0.8 && taylor > chance && variance > chance);
    for share in [0.0, 0.3, 0.5] {
        let sparse = connections::prune(&graph, Amount::Share(share), Reach::Layer).unwrap();
        let coded =
            connections::encode(&sparse, &Sharing { clustering: Clustering::Exact, ..Sharing::default() }).unwrap();
        let ratio = 4.0 * graph.n_parameters() as f64 / coded.bytes.len() as f64;
        let fixed: usize = coded.tensors.iter().map(|t| t.fixed_bytes).sum();
        let (bytes, now) = (coded.bytes.len(), accuracy(&coded.graph));
        println!(
            "{share} of the connections fewer: {ratio:.1} times smaller ({fixed} bytes, {bytes} coded), accuracy {now:.3}"
        );
        assert!(ratio > 3.0 && bytes < fixed && now > if share == 0.0 { whole - 0.03 } else { 0.0 });
    }
}

/// Greedy by CAR-like drops on the real engine, stopped and gone on from JSON.
#[test]
fn greedy_ablation_resumes() {
    let graph = load("mini-inception");
    let images = patterns(6, 96);
    let reference = outputs(&graph, graph.scores(), &tensor(&images));
    let whole: Vec<f64> = reference.into_iter().collect();
    let score = move |taps: &[Array2<f32>]| {
        Ok(crate::support::pearson(&whole, &taps[0].iter().map(|&v| f64::from(v)).collect::<Vec<_>>()))
    };
    let pruner = Pruner { layers: vec!["inception_3a/5x5_reduce".into()], ..Pruner::new(&graph) };
    let until = Until { keep: Some(3), max_drop: Some(0.3) };
    let run = |course: &mut Course, stop: usize| {
        let mut ablation = Ablation::new(Data::new(&images), &[graph.scores()], &score);
        pruner.iterative_ablate(&mut ablation, until, course, &mut |c| match c.steps.len() {
            n if n == stop => Err(orthoscope::Error::Interrupted { dir: "here".into() }),
            _ => Ok(()),
        })
    };
    let mut once = Course::default();
    run(&mut once, usize::MAX).unwrap();
    assert!(once.done && !once.steps.is_empty() && (once.whole.unwrap() - 1.0).abs() < 1e-6);
    let mut twice = Course::default();
    assert_eq!(run(&mut twice, 1).unwrap_err().exit_code(), 75);
    twice = serde_json::from_str(&serde_json::to_string(&twice).unwrap()).unwrap();
    run(&mut twice, usize::MAX).unwrap();
    assert_eq!(twice, once);
    println!("r after each step: {:?}", once.steps.iter().map(|s| s.score.unwrap()).collect::<Vec<_>>());
}
