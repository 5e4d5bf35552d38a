//! Importances against PyTorch (tests/golden/compression.py).

use super::*;
use crate::compression::groups::originals;
use crate::compression::testing::{Net, every, images};
use crate::compression::{masked, remove};
use crate::io::npz;
use crate::network::{FlattenOrder, GraphBuilder, InputSpec, Op};
use crate::tensor::{Precision, Var};
use ndarray::{Array2, Array4, Ix2, Ix4};
use std::path::Path;

/// The small network of the script, with its images.
struct Golden {
    file: npz::Npz,
    graph: Graph,
    groups: Groups,
    original: Vec<Vec<usize>>,
    images: Array4<f32>,
    labels: Vec<usize>,
}

const NAMES: [&str; 4] = ["a", "p", "q", "r"];

impl Golden {
    fn read() -> Self {
        let file = npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/compression.npz")).unwrap();
        let weights = [
            "a.w",
            "a.b",
            "deep.w",
            "deep.b",
            "p.w",
            "p.b",
            "q.w",
            "q.b",
            "r.w",
            "r.b",
            "out.w",
            "out.b",
            "a.bn.scale",
            "a.bn.shift",
            "a.bn.mean",
            "a.bn.var",
            "p.bn.scale",
            "p.bn.shift",
            "p.bn.mean",
            "p.bn.var",
        ];
        let weights = weights.iter().map(|n| ((*n).to_owned(), file.get::<f32>(n).unwrap())).collect();
        let mut b = GraphBuilder::new("golden", InputSpec::preset("unit", 8, 8).unwrap(), weights).unwrap();
        let conv = |name: &str, stride: usize, pad: usize, groups: usize| Op::Conv2d {
            weight: format!("{name}.w"),
            bias: Some(format!("{name}.b")),
            stride: [stride; 2],
            padding: [pad; 4],
            dilation: [1, 1],
            groups,
        };
        let norm = |name: &str| Op::BatchNorm {
            scale: Some(format!("{name}.scale")),
            shift: Some(format!("{name}.shift")),
            mean: format!("{name}.mean"),
            var: format!("{name}.var"),
            epsilon: 1e-3,
        };
        let a = b.push("a", conv("a", 1, 2, 1), &[0]).unwrap();
        let a = b.push("a.bn", norm("a.bn"), &[a]).unwrap();
        let a = b.push("a.relu", Op::Relu, &[a]).unwrap();
        let a = b.push("deep", conv("deep", 2, 1, 5), &[a]).unwrap();
        let p = b.push("p", conv("p", 1, 0, 1), &[a]).unwrap();
        let p = b.push("p.bn", norm("p.bn"), &[p]).unwrap();
        let p = b.push("p.relu", Op::Relu, &[p]).unwrap();
        let q = b.push("q", conv("q", 1, 1, 1), &[p]).unwrap();
        let q = b.push("q.relu", Op::Relu, &[q]).unwrap();
        let r = b.push("r", conv("r", 1, 0, 1), &[p]).unwrap();
        let cat = b.push("cat", Op::Concat, &[q, r]).unwrap();
        let flat = b.push("flat", Op::Flatten { order: FlattenOrder::Chw }, &[cat]).unwrap();
        b.push("out", Op::Linear { weight: "out.w".into(), bias: Some("out.b".into()) }, &[flat]).unwrap();
        let graph = b.finish().unwrap();
        let groups = Groups::of(&graph, &[]).unwrap();
        assert_eq!(groups.all().iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), NAMES);
        let images = file.get::<f32>("images").unwrap().into_dimensionality::<Ix4>().unwrap();
        let labels = file.get::<i64>("labels").unwrap().iter().map(|&l| l as usize).collect();
        Self { original: originals(&groups), file, graph, groups, images, labels }
    }

    fn network(&self) -> Network<'_> {
        Network { graph: &self.graph, groups: &self.groups, original: &self.original }
    }

    fn data(&self) -> Data<'_> {
        // A batch that does not divide the 40 images.
        Data { batch: 7, ..Data::new(&self.images) }
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        self.file.get::<f64>(name).unwrap().into_iter().collect()
    }

    fn teacher(&self) -> Array2<f64> {
        self.file.get::<f64>("teacher").unwrap().into_dimensionality::<Ix2>().unwrap()
    }
}

#[track_caller]
fn near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * scale, "{what} at {i}: {f} against {e}");
    }
}

/// Sums of some hundred 32-bit products.
const SINGLE: f64 = 2e-5;

#[test]
fn taylor_is_autograds() {
    let golden = Golden::read();
    let labels = &golden.labels;
    // Cross-entropy: log sum exp - the label's.
    let loss = |taps: &[Var<4>], range: Range<usize>| {
        let [n, c, ..] = taps[0].dims();
        let scores = taps[0].clone().reshape([n, c]);
        let all = scores.clone().exp().sum_dim(1).log().reshape([n]);
        let own = range
            .clone()
            .enumerate()
            .map(|(i, image)| scores.clone().slice([i..i + 1, labels[image]..labels[image] + 1]));
        Ok(all - Var::cat(own.collect(), 0).reshape([n]))
    };
    for (precision, tolerance) in [(Precision::F64, 1e-12), (Precision::F32, 1e-5)] {
        let mut taylor = Taylor { precision, ..Taylor::new(golden.data(), &[golden.graph.output()], &loss) };
        let found = taylor.scores(golden.network(), &[0, 1, 2, 3]).unwrap();
        for (name, found) in NAMES.iter().zip(found) {
            near(&found, &golden.numbers(&format!("taylor.{name}")), tolerance, name);
        }
    }
    let wrong = |_: &[Var<4>], _: Range<usize>| Ok(Var::from_inner(Tensor::zeros([3], &Device::default())));
    let mut taylor = Taylor::new(golden.data(), &[golden.graph.output()], &wrong);
    assert_eq!(taylor.scores(golden.network(), &[0]).unwrap_err().exit_code(), 2);
}

#[test]
fn car_is_accuracy_masked_one_by_one() {
    let golden = Golden::read();
    let score = Accuracy { labels: golden.labels.clone() };
    let ablation = Ablation::new(golden.data(), &[golden.graph.output()], &score);
    let whole = golden.numbers("car.whole");
    assert_eq!(ablation.whole(&golden.graph).unwrap().score, whole[0]);
    // Taps of all channels at once, and of one at a time.
    for memory in [1 << 28, 1] {
        let ablation = Ablation { memory, ..Ablation::new(golden.data(), &[golden.graph.output()], &score) };
        for (g, name) in NAMES.iter().enumerate() {
            let found = ablation.ablate(golden.network(), g).unwrap();
            let expected = golden.numbers(&format!("car.{name}"));
            assert_eq!(found.whole.score, whole[0]);
            for (channel, expected) in expected.chunks(5).enumerate() {
                assert_eq!(found.without[channel].score, expected[0], "{name}:{channel}");
                assert_eq!(found.drops()[channel], whole[0] - expected[0]);
                let parts: Vec<f64> = found.without[channel].parts.iter().map(|p| p.unwrap()).collect();
                assert_eq!(parts, expected[1..], "{name}:{channel}");
                let drops: Vec<f64> = found.drops_of_parts(channel).into_iter().map(Option::unwrap).collect();
                assert_eq!(drops, whole[1..].iter().zip(&expected[1..]).map(|(w, e)| w - e).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn activations_vary_as_numpy_says() {
    let golden = Golden::read();
    let found = ActivationVariance(golden.data()).scores(golden.network(), &[0, 1, 2, 3]).unwrap();
    for (name, found) in NAMES.iter().zip(found) {
        near(&found, &golden.numbers(&format!("variance.{name}")), SINGLE, name);
    }
}

#[test]
fn contributions_to_the_next_layer_are_those_written_out() {
    let golden = Golden::read();
    let own = LayerwiseVariance { minimum: 1, ..LayerwiseVariance::new(golden.data()) };
    let taught =
        LayerwiseVariance { minimum: 1, teacher: Some(golden.teacher()), ..LayerwiseVariance::new(golden.data()) };
    for (g, name) in NAMES.iter().enumerate() {
        let importance = golden.numbers(&format!("layer.{name}"));
        for (rule, which) in [(&own, ".own"), (&taught, ".teacher")] {
            let found = rule.judge(golden.network(), g).unwrap();
            near(&found.importance, &importance, SINGLE, name);
            let which = if g < 2 { "" } else { which };
            let left = golden.numbers(&format!("left.{name}{which}"));
            near(&found.left, &left, 1e-4, &format!("{name}{which}"));
            // The rule, written out again on the golden curve.
            let holds = |k: &usize| if g < 2 { left[*k] >= 0.9 } else { left[*k] > 0.9 };
            let removable = (1..left.len()).take_while(holds).count();
            assert_eq!(found.removable, removable, "{name}{which}: {left:?}");
        }
    }
    let kept = LayerwiseVariance { minimum: 4, ..LayerwiseVariance::new(golden.data()) };
    assert_eq!(kept.judge(golden.network(), 0).unwrap().removable, 1, "four of five stay");
    let other = LayerwiseVariance { teacher: Some(Array2::zeros((3, 4))), ..LayerwiseVariance::new(golden.data()) };
    assert_eq!(other.judge(golden.network(), 2).unwrap_err().exit_code(), 2);
}

#[test]
fn weights_and_draws() {
    let golden = Golden::read();
    let found = L1.scores(golden.network(), &[1]).unwrap().remove(0);
    let mean =
        |c: usize| golden.graph.weight("p.w").index_axis(ndarray::Axis(0), c).mapv(|w| f64::from(w.abs())).mean();
    near(&found, &(0..6).map(|c| mean(c).unwrap()).collect::<Vec<_>>(), 1e-12, "l1");
    // Draws follow their channel when others go.
    let all = Random { seed: 3 }.scores(golden.network(), &[1]).unwrap().remove(0);
    let left: Vec<Vec<usize>> = vec![(0..5).collect(), vec![0, 2, 5], vec![0, 1, 2], vec![0, 1, 2, 3]];
    let smaller = remove(&golden.graph, &golden.groups, &[("p".into(), [1, 3, 4].into())].into(), 1).unwrap();
    let groups = Groups::of(&smaller, &[]).unwrap();
    let network = Network { graph: &smaller, groups: &groups, original: &left };
    assert_eq!(Random { seed: 3 }.scores(network, &[1]).unwrap()[0], [all[0], all[2], all[5]]);
    assert_ne!(Random { seed: 4 }.scores(golden.network(), &[1]).unwrap()[0], all);
}

/// Masked one by one by graph surgery, the whole network run again: the same scores, in networks of
/// every kind, also where a normalisation gets other neighbours.
#[test]
fn ablation_runs_the_masked_network() {
    let x = images(5);
    let weights: Vec<f32> = (0..5).map(|i| (i as f32 - 1.7) * 0.6).collect();
    let score = move |taps: &[Array2<f32>]| {
        let each =
            taps.iter().map(|t| t.rows().into_iter().zip(&weights).map(|(r, w)| f64::from(r.sum() * w)).sum::<f64>());
        Ok(each.sum::<f64>())
    };
    for graph in every() {
        let groups = Groups::of(&graph, &[]).unwrap();
        let original = originals(&groups);
        let network = Network { graph: &graph, groups: &groups, original: &original };
        let ablation = Ablation::new(Data { batch: 2, ..Data::new(&x) }, &[graph.scores()], &score);
        for (g, group) in groups.all().iter().enumerate() {
            let found = ablation.ablate(network, g).unwrap();
            for (channel, found) in found.without.iter().enumerate() {
                let zeroed = masked(&graph, &groups, &[(group.name.clone(), [channel].into())].into()).unwrap();
                let expected =
                    Ablation { taps: vec![zeroed.scores()], ..ablation_of(&ablation) }.whole(&zeroed).unwrap();
                let error = (found.score - expected.score).abs() / expected.score.abs().max(1.0);
                assert!(error < 1e-5, "{}, {}:{channel}: {error}", graph.name, group.name);
            }
        }
    }
}

fn ablation_of<'a>(ablation: &Ablation<'a>) -> Ablation<'a> {
    Ablation { data: ablation.data.clone(), taps: ablation.taps.clone(), ..*ablation }
}

/// Taps of the layer itself: the features of an encoding model whose channels go.
#[test]
fn a_tapped_layer_loses_its_channel_too() {
    let mut n = Net::new("tapped");
    let x = n.conv("a", 0, [4, 3, 2, 1], true);
    let x = n.norm("a.bn", x);
    let tap = n.op("a.out", Op::Sigmoid, &[x]);
    let x = n.conv("b", tap, [3, 3, 1, 1], true);
    let x = n.op("gap", Op::GlobalAvgPool, &[x]);
    n.linear("out", x, 2);
    let graph = n.finish();
    let groups = Groups::of(&graph, &[]).unwrap();
    let original = originals(&groups);
    let network = Network { graph: &graph, groups: &groups, original: &original };
    let x = images(3);
    // Zeros among a channel's 36 positions of the three images: all of them, when it is masked.
    let zeros = |taps: &[Array2<f32>]| Ok(taps[0].iter().filter(|v| **v == 0.0).count() as f64);
    let found = Ablation::new(Data::new(&x), &[tap], &zeros).ablate(network, 0).unwrap();
    assert_eq!(found.whole.score, 0.0);
    assert!(found.without.iter().all(|w| w.score == 3.0 * 36.0));
    let unread = Ablation::new(Data::new(&x), &[tap], &zeros).ablate(network, 1).unwrap();
    assert_eq!(unread.drops(), [0.0; 3], "what the taps do not depend on changes nothing");
}

#[test]
fn no_images_and_a_request_to_stop_end_it() {
    let golden = Golden::read();
    let none = Array4::zeros((0, 3, 8, 8));
    let error = ActivationVariance(Data::new(&none)).scores(golden.network(), &[0]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let data = golden.data();
    data.cancel.cancel();
    let error = ActivationVariance(data).scores(golden.network(), &[0]).unwrap_err();
    assert_eq!(error.exit_code(), 75);
}
