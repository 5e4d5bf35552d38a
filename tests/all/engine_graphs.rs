//! Random small graphs: the CPU engine against burn, in 64 bits to ten digits, and in 32 bits on
//! every instruction set.
//!
//! Kinks (ReLU, max pools) are in the 64-bit comparison, where no decision flips; gradients in 32
//! bits are compared on graphs without kinks, where each path has to come as close as its
//! arithmetic allows.

use crate::cpu_engine::{Bound, compare, random};
use ndarray::ArrayD;
use orthoscope::network::plan::Plan;
use orthoscope::network::{
    BurnExecutor, ChannelOrder, Executor, FlattenOrder, Graph, GraphBuilder, InputSpec, NodeId, Op, TapGrad,
    TapRequest, TapValue, Weights,
};
use orthoscope::tensor::{Device, Precision, array_f64, tensor, tensor_f64};
use orthoscope_kernels::{Engine, Tap, TapGradient, isa};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A layer before it is known what it can be attached to.
#[derive(Debug, Clone)]
struct Layer {
    kind: usize,
    /// How far back its inputs lie.
    from: [usize; 3],
    out: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
    dilation: [usize; 2],
    groups: usize,
    flag: bool,
}

fn layer() -> impl Strategy<Value = Layer> {
    let side = || prop::sample::select(vec![1usize, 2, 3, 3, 3, 5]);
    let kernel = prop_oneof![4 => side().prop_map(|k| [k, k]), 1 => [side(), side()]];
    let stride = prop::sample::select(vec![[1, 1], [1, 1], [1, 1], [2, 2], [1, 2], [3, 2]]);
    let dilation = prop::sample::select(vec![[1, 1], [1, 1], [1, 1], [2, 2], [1, 2]]);
    let numbers = (0usize..14, prop::array::uniform3(0usize..4), 1usize..28);
    let rest =
        (prop::array::uniform4(0usize..4), dilation, prop::sample::select(vec![1usize, 1, 1, 2, 3]), any::<bool>());
    (numbers, kernel, stride, rest).prop_map(
        |((kind, from, out), kernel, stride, (padding, dilation, groups, flag))| Layer {
            kind,
            from,
            out,
            kernel,
            stride,
            padding,
            dilation,
            groups,
            flag,
        },
    )
}

/// Size of the image, layers, taps as distances from the end.
fn sketch() -> impl Strategy<Value = ((usize, usize), Vec<Layer>, Vec<usize>)> {
    ((9usize..20, 9usize..20), vec(layer(), 3..10), vec(0usize..6, 1..4))
}

struct Sketcher {
    builder: GraphBuilder,
    last: NodeId,
    smooth: bool,
}

impl Sketcher {
    fn weight(&mut self, shape: &[usize], low: f32, high: f32) -> String {
        let name = format!("w{}", self.builder.weights().len());
        let values = random(self.builder.weights().len() as u64, "weights", shape, low, high);
        self.builder.add_weight(&name, values);
        name
    }

    /// Attaches a layer, if it fits anywhere.
    fn attach(&mut self, layer: &Layer) {
        let Layer { kernel, stride, dilation, groups, flag, .. } = *layer;
        let inputs: Vec<NodeId> = layer.from.iter().map(|f| self.last.saturating_sub(*f)).collect();
        let x = inputs[0];
        let c = self.builder.shape(x).channels;
        let padding = std::array::from_fn(|i| layer.padding[i] % kernel[i % 2]);
        let mut conv = |out: usize, groups: usize| {
            let fan_in = (c / groups * kernel[0] * kernel[1]) as f32;
            let scale = (3.0 / fan_in).sqrt();
            let weight = self.weight(&[out, c / groups, kernel[0], kernel[1]], -scale, scale);
            let bias = flag.then(|| self.weight(&[out], -0.3, 0.3));
            Op::Conv2d { weight, bias, stride, padding, dilation, groups }
        };
        let (op, inputs) = match layer.kind {
            0..=2 if c.is_multiple_of(groups) => (conv(layer.out.next_multiple_of(groups), groups), vec![x]),
            0..=2 => (conv(layer.out, 1), vec![x]),
            3 => (conv(c, c), vec![x]),
            4 if !self.smooth => (Op::MaxPool { kernel, stride, padding, ceil: flag }, vec![x]),
            4 | 5 => (Op::AvgPool { kernel, stride, padding, ceil: flag, count_include_pad: groups == 1 }, vec![x]),
            6 => (Op::Add, inputs),
            7 => (Op::Concat, inputs),
            8 => (Op::Lrn { size: 2 * groups - 1, alpha: 0.5, beta: 0.75, k: 1.0 }, vec![x]),
            9 => {
                let [scale, shift, mean] = std::array::from_fn(|_| self.weight(&[c], -1.0, 1.0));
                let var = self.weight(&[c], 0.5, 1.5);
                (Op::BatchNorm { scale: Some(scale), shift: Some(shift), mean, var, epsilon: 1e-3 }, vec![x])
            }
            10 if flag => (Op::Pad { padding: layer.padding }, vec![x]),
            10 => (Op::Softmax, vec![x]),
            11 | 12 if !self.smooth => (Op::Relu, vec![x]),
            13 if !self.smooth => (Op::LeakyRelu { slope: 0.125 }, vec![x]),
            13 => (Op::Sigmoid, vec![x]),
            _ => (Op::Tanh, vec![x]),
        };
        let name = format!("n{}", self.last + 1);
        // A layer that does not fit is refused; the graph goes on without it.
        if let Ok(id) = self.builder.push(name, op, &inputs) {
            self.last = id;
        }
    }
}

/// The graph of a sketch, and its taps.
fn graph((size, layers, taps): &((usize, usize), Vec<Layer>, Vec<usize>), smooth: bool) -> (Graph, Vec<NodeId>) {
    let input = InputSpec {
        height: size.0,
        width: size.1,
        order: ChannelOrder::Bgr,
        range: 2.0,
        mean: vec![1.0; 3],
        std: vec![1.0; 3],
    };
    let builder = GraphBuilder::new("random", input, Weights::new()).unwrap();
    let mut sketch = Sketcher { builder, last: 0, smooth };
    layers.iter().for_each(|l| sketch.attach(l));
    let flat = sketch.builder.push("flat", Op::Flatten { order: FlattenOrder::Chw }, &[sketch.last]).unwrap();
    let n = sketch.builder.shape(flat).channels;
    let scale = (3.0 / n as f32).sqrt();
    let weight = sketch.weight(&[3, n], -scale, scale);
    let end = sketch.builder.push("end", Op::Linear { weight, bias: None }, &[flat]).unwrap();
    let ids = taps.iter().map(|t| if *t == 0 { end } else { sketch.last.saturating_sub(t - 1) }).collect();
    (sketch.builder.finish().unwrap(), ids)
}

fn requests(ids: &[NodeId]) -> Vec<TapRequest> {
    let request = |(k, &id): (usize, &NodeId)| match k % 2 {
        0 => TapRequest::Activations(id),
        _ => TapRequest::Moments(id),
    };
    ids.iter().enumerate().map(request).collect()
}

/// The same graphs in every run: a failure is there again.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn relative_l2(found: &[f64], expected: &[f64]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    difference / norm(&mut expected.iter().copied()).max(1e-30)
}

fn flat(a: ArrayD<f64>) -> Vec<f64> {
    a.into_iter().collect()
}

#[test]
fn portable_engine_agrees_with_burn_to_ten_digits() {
    runner(64)
        .run(&sketch(), |sketch| {
            let (graph, ids) = graph(&sketch, false);
            let (n, device, taps) = (2, Device::default(), requests(&ids));
            let shape = [n, 3, graph.input.height, graph.input.width];
            let pixels = random(1, "images", &shape, 0.0, 1.0);
            let mut burn = BurnExecutor::new(&graph, &taps, Precision::F64, &device).unwrap();
            let expected = burn.forward(&tensor(pixels.view(), &device)).unwrap();
            let plan = Plan::new(&graph, &taps).unwrap();
            let engine = Engine::new(&plan.net, &plan.taps, true, isa::portable::<f64>()).unwrap();
            let mut session = engine.session(n);
            session.forward(&engine, &pixels.iter().map(|&p| f64::from(p)).collect::<Vec<_>>()).unwrap();
            let (mut pushed, mut given) = (vec![], vec![]);
            for (k, value) in expected.iter().enumerate() {
                let value = match value {
                    TapValue::Activations(a) => a,
                    TapValue::Moments(m) => {
                        let found = session.moments(&engine, k);
                        prop_assert!(relative_l2(&found.gram, &flat(array_f64(&m.gram))) < 1e-10);
                        prop_assert!(found.n_units == m.n_units);
                        let gram = random(k as u64, "gram", &[n, n], -1.0, 1.0).mapv(f64::from);
                        let sums = random(k as u64, "sums", &[n], -1.0, 1.0).mapv(f64::from);
                        pushed.push(TapGrad::Moments {
                            gram: tensor_f64(gram.view(), Precision::F64, &device),
                            sums: tensor_f64(sums.view(), Precision::F64, &device),
                        });
                        given.push((flat(gram), flat(sums)));
                        continue;
                    }
                };
                let mut found = vec![0.0; value.dims().iter().product()];
                session.tap(&engine, k, &mut found).unwrap();
                let error = relative_l2(&found, &flat(array_f64(value)));
                prop_assert!(error < 1e-10, "tap {k} differs by {error}");
                let gradient = random(k as u64, "gradient", &value.dims(), -1.0, 1.0);
                pushed.push(TapGrad::Activations(tensor(gradient.view(), &device)));
                given.push((flat(gradient.mapv(f64::from)), vec![]));
            }
            let typed = plan.taps.iter().zip(&given).map(|(tap, (a, b))| match tap {
                Tap::Plain(_) => TapGradient::Plain(&a[..]),
                Tap::Moments(_) => TapGradient::Moments(&a[..], &b[..]),
            });
            let mut found = vec![0.0; shape.iter().product()];
            session.backward(&engine, &typed.collect::<Vec<_>>(), &mut found).unwrap();
            let error = relative_l2(&found, &flat(array_f64(&burn.backward(&pushed).unwrap())));
            prop_assert!(error < 1e-10, "the gradient at the pixels differs by {error}");
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_instruction_set_agrees_with_burn() {
    let bound = Bound { activations: 1e-5, gradient: 1e-4 };
    runner(48)
        .run(&sketch(), |sketch| {
            let (graph, ids) = graph(&sketch, true);
            compare(&graph, &requests(&ids), 3, &bound);
            Ok(())
        })
        .unwrap();
}
