//! The CPU engine against the burn executor: the same activations, moments and pixel gradients.

use crate::support::data;
use ndarray::{ArrayD, IxDyn};
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{
    BurnExecutor, ChannelOrder, CpuEngine, Executor, FlattenOrder, Graph, GraphBuilder, InputSpec, NodeId, Op, TapGrad,
    TapRequest, TapValue, Weights,
};
use orthoscope::rng;
use orthoscope::tensor::{Device, Precision, SMALL, Tensor, array, array_f64, tensor, tensor_f64};

fn random(seed: u64, purpose: &str, shape: &[usize], low: f32, high: f32) -> ArrayD<f32> {
    let mut stream = rng::stream(seed, purpose, 0);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || stream.uniform_in(low.into(), high.into()) as f32)
}

struct Bound {
    activations: f32,
    gradient: f64,
}

/// Runs both executors on the same images and gradients, and compares everything that they return.
fn compare(graph: &Graph, taps: &[TapRequest], n: usize, bound: &Bound) {
    let device = Device::default();
    let images = tensor(random(1, "images", &[n, 3, graph.input.height, graph.input.width], 0.0, 1.0).view(), &device);
    let mut burn = BurnExecutor::new(graph, taps, Precision::F32, &device).unwrap();
    let mut engine = CpuEngine::new(graph, taps).unwrap();
    let expected = burn.forward(&images).unwrap();
    for found in [engine.infer(&images).unwrap(), engine.forward(&images).unwrap()] {
        for (k, pair) in found.iter().zip(&expected).enumerate() {
            match pair {
                (TapValue::Activations(a), TapValue::Activations(b)) => {
                    let error = relative(&array(a), &array(b));
                    assert!(error < bound.activations, "{}: tap {k} differs by {error}", graph.name);
                }
                (TapValue::Moments(a), TapValue::Moments(b)) => {
                    assert_eq!(a.n_units, b.n_units);
                    let error =
                        relative(&array_f64(&a.gram).mapv(|v| v as f32), &array_f64(&b.gram).mapv(|v| v as f32));
                    assert!(error < 10.0 * bound.activations, "{}: gram {k} differs by {error}", graph.name);
                }
                _ => panic!("a tap of another kind"),
            }
        }
    }
    let grads: Vec<TapGrad> = expected.iter().enumerate().map(|(k, v)| pushed(k as u64, v, &device)).collect();
    let (found, expected) = (engine.backward(&grads).unwrap(), burn.backward(&grads).unwrap());
    let (found, expected) = (array_f64(&found), array_f64(&expected));
    let norm = expected.iter().map(|v| v * v).sum::<f64>().sqrt();
    let error = (&found - &expected).iter().map(|v| v * v).sum::<f64>().sqrt() / norm.max(1e-30);
    assert!(error < bound.gradient, "{}: the gradient at the pixels differs by {error}", graph.name);
}

fn pushed(k: u64, value: &TapValue, device: &Device) -> TapGrad {
    match value {
        TapValue::Activations(a) => {
            TapGrad::Activations(tensor(random(k, "activation gradient", &a.dims(), -1.0, 1.0).view(), device))
        }
        TapValue::Moments(m) => {
            let n = m.gram.dims()[0];
            let scale = 1e-2 / m.n_units as f32;
            let small = |purpose: &str, shape: &[usize]| random(k, purpose, shape, -scale, scale).mapv(f64::from);
            let gram: Tensor<2> = tensor_f64(small("gram gradient", &[n, n]).view(), SMALL, device);
            let sums: Tensor<1> = tensor_f64(small("sum gradient", &[n]).view(), SMALL, device);
            TapGrad::Moments { gram, sums }
        }
    }
}

fn relative(found: &ArrayD<f32>, expected: &ArrayD<f32>) -> f32 {
    let scale = expected.iter().fold(1e-30f32, |m, v| m.max(v.abs()));
    (found - expected).iter().fold(0.0f32, |m, d| m.max(d.abs())) / scale
}

/// Adds convolutions with random weights.
struct Net {
    builder: GraphBuilder,
    count: usize,
}

impl Net {
    fn new(name: &str, order: ChannelOrder, size: usize) -> Self {
        let n = if order == ChannelOrder::Grey { 1 } else { 3 };
        let input = InputSpec {
            height: size,
            width: size,
            order,
            range: 255.0,
            mean: (0..n).map(|c| 100.0 + c as f32).collect(),
            std: vec![60.0; n],
        };
        Self { builder: GraphBuilder::new(name, input, Weights::new()).unwrap(), count: 0 }
    }

    fn weight(&mut self, shape: &[usize]) -> String {
        self.count += 1;
        let name = format!("w{}", self.count);
        let fan_in: usize = shape[1..].iter().product();
        let scale = if shape.len() == 1 { 0.2 } else { (6.0 / fan_in as f32).sqrt() };
        self.builder.add_weight(&name, random(self.count as u64, "weights", shape, -scale, scale));
        name
    }

    fn push(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        self.count += 1;
        self.builder.push(format!("n{}", self.count), op, inputs).unwrap()
    }

    fn conv(&mut self, x: NodeId, out: usize, k: usize, stride: usize, groups: usize) -> NodeId {
        let channels = self.builder.shape(x).channels;
        let (weight, bias) = (self.weight(&[out, channels / groups, k, k]), self.weight(&[out]));
        let op =
            Op::Conv2d { weight, bias: Some(bias), stride: [stride; 2], padding: [k / 2; 4], dilation: [1, 1], groups };
        self.push(op, &[x])
    }

    fn norm(&mut self, x: NodeId) -> NodeId {
        let c = self.builder.shape(x).channels;
        let (scale, shift, mean, var) = (self.weight(&[c]), self.weight(&[c]), self.weight(&[c]), self.weight(&[c]));
        let positive = random(self.count as u64, "variance", &[c], 0.5, 1.5);
        self.builder.add_weight(&var, positive);
        self.push(Op::BatchNorm { scale: Some(scale), shift: Some(shift), mean, var, epsilon: 1e-3 }, &[x])
    }
}

/// Batch norm, residual sum, branches, pools, normalisation, flattening in both orders.
fn mixed(order: ChannelOrder, flatten: FlattenOrder) -> (Graph, Vec<NodeId>) {
    let mut net = Net::new("mixed", order, 20);
    let a = net.conv(0, 12, 5, 2, 1);
    let a = net.norm(a);
    let stem = net.push(Op::Relu, &[a]);
    let pool = net.push(Op::MaxPool { kernel: [3, 3], stride: [2, 2], padding: [0; 4], ceil: true }, &[stem]);
    let lrn = net.push(Op::Lrn { size: 5, alpha: 1e-2, beta: 0.75, k: 1.0 }, &[pool]);
    let one = net.conv(lrn, 8, 1, 1, 1);
    let one = net.push(Op::Relu, &[one]);
    let three = net.conv(lrn, 12, 3, 1, 2);
    let tapped_before = three;
    let three = net.push(Op::LeakyRelu { slope: 0.1 }, &[three]);
    let five = net.conv(lrn, 12, 5, 1, 12);
    let five = net.norm(five);
    let sum = net.push(Op::Add, &[three, five]);
    let sum = net.push(Op::Relu, &[sum]);
    let block = net.push(Op::Concat, &[one, sum]);
    let norm = net.norm(block);
    let average = net.push(
        Op::AvgPool { kernel: [3, 3], stride: [2, 2], padding: [1; 4], ceil: true, count_include_pad: false },
        &[norm],
    );
    let flat = net.push(Op::Flatten { order: flatten }, &[average]);
    let n = net.builder.shape(flat).channels;
    let weight = net.weight(&[7, n]);
    let logits = net.push(Op::Linear { weight, bias: None }, &[flat]);
    let soft = net.push(Op::Softmax, &[logits]);
    (net.builder.finish().unwrap(), vec![stem, tapped_before, three, block, average, logits, soft])
}

#[test]
fn mixed_networks_agree() {
    let bound = Bound { activations: 1e-5, gradient: 1e-4 };
    for order in [ChannelOrder::Rgb, ChannelOrder::Bgr, ChannelOrder::Grey] {
        for flatten in [FlattenOrder::Chw, FlattenOrder::Hwc] {
            let (graph, taps) = mixed(order, flatten);
            let plain: Vec<TapRequest> = taps.iter().map(|&t| TapRequest::Activations(t)).collect();
            let moments: Vec<TapRequest> = taps.iter().map(|&t| TapRequest::Moments(t)).collect();
            compare(&graph, &plain, 3, &bound);
            compare(&graph, &moments, 4, &bound);
            compare(&graph, &[plain[3], moments[0], plain[0]], 2, &bound);
            compare(&graph, &plain[6..], 1, &bound);
        }
    }
}

#[test]
fn misuse_is_an_error() {
    let (graph, taps) = mixed(ChannelOrder::Rgb, FlattenOrder::Chw);
    assert!(CpuEngine::new(&graph, &[]).is_err());
    let mut engine = CpuEngine::new(&graph, &[TapRequest::Activations(taps[0])]).unwrap();
    assert!(engine.backward(&[TapGrad::None]).is_err(), "no forward pass");
    let device = Device::default();
    assert!(engine.forward(&Tensor::zeros([1, 3, 5, 5], &device)).is_err());
    engine.forward(&Tensor::zeros([2, 3, 20, 20], &device)).unwrap();
    assert!(engine.backward(&[]).is_err());
    assert!(engine.backward(&[TapGrad::Activations(Tensor::zeros([2, 1, 1, 1], &device))]).is_err());
    let zero = engine.backward(&[TapGrad::None]).unwrap();
    assert!(array(&zero).iter().all(|&v| v == 0.0));
}

/// Real networks, where decisions of ReLU and max pools that flip in 32 bits set the bound of the gradient.
#[test]
fn real_networks_agree() {
    let bound = Bound { activations: 1e-5, gradient: 3e-3 };
    for path in ["googlenet_bvlc/googlenet_bvlc.onnx"] {
        let Some(path) = data(path) else { continue };
        let options = LoadOptions { preprocess: Some("caffe".into()), ..LoadOptions::default() };
        let graph = load_model(path.to_str().unwrap(), &options).unwrap().graph;
        let names = ["inception_3a/output", "inception_4d/output", "inception_5b/output"];
        let taps: Vec<NodeId> = names.iter().map(|n| graph.tap(n).unwrap()).collect();
        compare(&graph, &taps.iter().map(|&t| TapRequest::Moments(t)).collect::<Vec<_>>(), 3, &bound);
        compare(&graph, &[TapRequest::Activations(taps[2])], 1, &bound);
    }
}
