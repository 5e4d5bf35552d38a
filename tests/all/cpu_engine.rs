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
use orthoscope_kernels::isa;

/// Uniform numbers.
pub fn random(seed: u64, purpose: &str, shape: &[usize], low: f32, high: f32) -> ArrayD<f32> {
    let mut stream = rng::stream(seed, purpose, 0);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || stream.uniform_in(low.into(), high.into()) as f32)
}

/// How close the engine has to come: activations relative to their maximum, the gradient in
/// relative L2.
pub struct Bound {
    pub activations: f32,
    pub gradient: f64,
}

/// Runs burn, and the engine on every instruction set of this machine, on the same images and
/// gradients, and compares everything that they return.
pub fn compare(graph: &Graph, taps: &[TapRequest], n: usize, bound: &Bound) {
    let device = Device::default();
    let images = tensor(random(1, "images", &[n, 3, graph.input.height, graph.input.width], 0.0, 1.0).view(), &device);
    let mut burn = BurnExecutor::new(graph, taps, Precision::F32, &device).unwrap();
    let expected = burn.forward(&images).unwrap();
    let grads: Vec<TapGrad> = expected.iter().enumerate().map(|(k, v)| pushed(k as u64, v, &device)).collect();
    let gradient = array_f64(&burn.backward(&grads).unwrap());
    let norm = gradient.iter().map(|v| v * v).sum::<f64>().sqrt();
    for simd in isa::available() {
        let at = format!("{} on {}", graph.name, simd.name);
        let mut engine = CpuEngine::with_simd(graph, taps, simd.name).unwrap();
        for found in [engine.infer(&images).unwrap(), engine.forward(&images).unwrap()] {
            found
                .iter()
                .zip(&expected)
                .enumerate()
                .for_each(|(k, (f, e))| same(&format!("{at}: tap {k}"), f, e, bound));
        }
        let found = array_f64(&engine.backward(&grads).unwrap());
        let error = (&found - &gradient).iter().map(|v| v * v).sum::<f64>().sqrt() / norm.max(1e-30);
        assert!(error < bound.gradient, "{at}: the gradient at the pixels differs by {error}");
    }
}

fn same(at: &str, found: &TapValue, expected: &TapValue, bound: &Bound) {
    match (found, expected) {
        (TapValue::Activations(a), TapValue::Activations(b)) => {
            let error = relative(&array(a), &array(b));
            assert!(error < bound.activations, "{at} differs by {error}");
        }
        (TapValue::Moments(a), TapValue::Moments(b)) => {
            assert_eq!(a.n_units, b.n_units);
            let error = relative(&array_f64(&a.gram).mapv(|v| v as f32), &array_f64(&b.gram).mapv(|v| v as f32));
            assert!(error < 10.0 * bound.activations, "{at}: gram differs by {error}");
        }
        _ => panic!("a tap of another kind"),
    }
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

/// Estimates plan without packing; an engine on one thread gives the same bytes.
#[test]
fn estimates_and_single_threads() {
    let (graph, taps) = mixed(ChannelOrder::Rgb, FlattenOrder::Chw);
    let taps: Vec<TapRequest> = taps.iter().map(|&t| TapRequest::Activations(t)).collect();
    let cost = CpuEngine::new(&graph, &taps).unwrap().cost().unwrap();
    assert!(cost.macs_per_image > 0 && cost.bytes_per_image > 0 && cost.weight_bytes > 0);
    let images = tensor(random(1, "images", &[3, 3, 20, 20], 0.0, 1.0).view(), &Device::default());
    let run = |mut engine: CpuEngine| {
        let values = engine.forward(&images).unwrap();
        let grads: Vec<TapGrad> =
            values.iter().enumerate().map(|(k, v)| pushed(k as u64, v, &Device::default())).collect();
        array(&engine.backward(&grads).unwrap())
    };
    let one = run(CpuEngine::on_one_thread(&graph, &taps).unwrap());
    assert_eq!(one, run(CpuEngine::new(&graph, &taps).unwrap()));
}

/// Deep taps as moments and the deepest as activations.
fn compare_real(graph: &Graph, names: &[&str]) {
    let bound = Bound { activations: 1e-5, gradient: 3e-3 };
    let taps: Vec<NodeId> = names.iter().map(|n| graph.tap(n).unwrap()).collect();
    compare(graph, &taps.iter().map(|&t| TapRequest::Moments(t)).collect::<Vec<_>>(), 3, &bound);
    compare(graph, &taps.iter().map(|&t| TapRequest::Activations(t)).collect::<Vec<_>>(), 1, &bound);
}

/// Real networks, where decisions of ReLU and max pools that flip in 32 bits set the bound of the
/// gradient.
#[test]
fn googlenet_agrees() {
    let Some(path) = data("googlenet_bvlc/googlenet_bvlc.onnx") else { return };
    let options = LoadOptions { preprocess: Some("caffe".into()), ..LoadOptions::default() };
    let graph = load_model(path.to_str().unwrap(), &options).unwrap().graph;
    compare_real(&graph, &["inception_3a/output", "inception_4d/output", "inception_5b/output"]);
}

#[test]
fn squeezenet_agrees() {
    let Some(path) = data("squeezenet_v11/squeezenet_v11.onnx") else { return };
    let graph = load_model(path.to_str().unwrap(), &LoadOptions::default()).unwrap().graph;
    compare_real(&graph, &["fire2/concat", "fire5/concat", "fire9/concat", "pool10"]);
}

#[test]
fn mini_inception_agrees() {
    let graph = load_model("mini-inception", &LoadOptions::default()).unwrap().graph;
    let names = graph.presets["inception12"].clone();
    compare_real(&graph, &[names[2].as_str(), names[11].as_str()]);
}

#[test]
fn a_compact_model_agrees() {
    let Some(folder) = data("v4/data_compact_models") else { return };
    let first = |folder: &std::path::Path| {
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let file = first(&folder).into_iter().flat_map(|p| if p.is_dir() { first(&p) } else { vec![p] });
    let path = file.into_iter().find(|p| p.extension().is_some_and(|e| e == "pt")).expect("a compact model");
    let options = LoadOptions { arch: Some("cowley-compact".into()), ..LoadOptions::default() };
    let graph = load_model(path.to_str().unwrap(), &options).unwrap().graph;
    let bound = Bound { activations: 1e-5, gradient: 3e-3 };
    compare(&graph, &[TapRequest::Activations(graph.nodes().len() - 1)], 5, &bound);
}
