//! Small networks of every kind of connection, with drawn weights, for the tests of this module.

use crate::network::{
    BurnExecutor, Executor, FlattenOrder, Graph, GraphBuilder, InputSpec, NodeId, Op, TapRequest, TapValue,
};
use crate::rng::{Stream, stream};
use crate::tensor::{Device, Precision, array_f64, tensor_f64};
use ndarray::{Array4, ArrayD, IxDyn};

/// A graph that is being built.
pub struct Net {
    pub b: GraphBuilder,
    rng: Stream,
}

impl Net {
    /// RGB of 12 x 12 pixels.
    pub fn new(name: &str) -> Self {
        let input = InputSpec::preset("unit", 12, 12).unwrap();
        Self { b: GraphBuilder::new(name, input, Default::default()).unwrap(), rng: stream(5, name, 0) }
    }

    fn draw(&mut self, name: &str, shape: &[usize], low: f64, high: f64) -> String {
        let rng = &mut self.rng;
        let array = ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.uniform_in(low, high) as f32);
        self.b.add_weight(name, array);
        name.into()
    }

    pub fn op(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> NodeId {
        self.b.push(name, op, inputs).unwrap()
    }

    /// A convolution with `[out, kernel, stride, groups]`, padded by half the kernel.
    pub fn conv(&mut self, name: &str, x: NodeId, [out, k, stride, groups]: [usize; 4], bias: bool) -> NodeId {
        let c = self.b.shape(x).channels;
        let weight = self.draw(&format!("{name}.w"), &[out, c / groups, k, k], -0.5, 0.5);
        let bias = bias.then(|| self.draw(&format!("{name}.b"), &[out], -0.5, 0.5));
        let op = Op::Conv2d { weight, bias, stride: [stride; 2], padding: [k / 2; 4], dilation: [1, 1], groups };
        self.op(name, op, &[x])
    }

    pub fn norm(&mut self, name: &str, x: NodeId) -> NodeId {
        let c = self.b.shape(x).channels;
        let scale = Some(self.draw(&format!("{name}.scale"), &[c], 0.5, 1.5));
        let shift = Some(self.draw(&format!("{name}.shift"), &[c], -0.5, 1.0));
        let mean = self.draw(&format!("{name}.mean"), &[c], -0.5, 0.5);
        let var = self.draw(&format!("{name}.var"), &[c], 0.5, 1.5);
        self.op(name, Op::BatchNorm { scale, shift, mean, var, epsilon: 1e-3 }, &[x])
    }

    pub fn relu(&mut self, name: &str, x: NodeId) -> NodeId {
        self.op(name, Op::Relu, &[x])
    }

    pub fn pool(&mut self, name: &str, x: NodeId, stride: usize) -> NodeId {
        let op = Op::MaxPool { kernel: [3, 3], stride: [stride; 2], padding: [1; 4], ceil: false };
        self.op(name, op, &[x])
    }

    pub fn linear(&mut self, name: &str, x: NodeId, out: usize) -> NodeId {
        let features = self.b.shape(x).channels;
        let weight = self.draw(&format!("{name}.w"), &[out, features], -0.5, 0.5);
        let bias = Some(self.draw(&format!("{name}.b"), &[out], -0.5, 0.5));
        self.op(name, Op::Linear { weight, bias }, &[x])
    }

    pub fn finish(self) -> Graph {
        self.b.finish().unwrap()
    }
}

/// Batch norm, LRN, an inception block with its concatenation, a softmax at the end.
pub fn inception() -> Graph {
    let mut n = Net::new("inception");
    let x = n.conv("stem", 0, [8, 3, 2, 1], false);
    let x = n.norm("stem.bn", x);
    let x = n.relu("stem.out", x);
    let x = n.op("lrn", Op::Lrn { size: 5, alpha: 2.0, beta: 0.75, k: 1.0 }, &[x]);
    let x = n.pool("pool1", x, 1);
    let one = n.conv("one", x, [5, 1, 1, 1], true);
    let one = n.relu("one.out", one);
    let reduce = n.conv("reduce", x, [4, 1, 1, 1], true);
    let reduce = n.relu("reduce.out", reduce);
    let three = n.conv("three", reduce, [6, 3, 1, 1], true);
    let three = n.relu("three.out", three);
    let pooled = n.pool("pool2", x, 1);
    let proj = n.conv("proj", pooled, [3, 1, 1, 1], true);
    let cat = n.op("cat", Op::Concat, &[one, three, proj]);
    let y = n.conv("mix", cat, [7, 3, 1, 1], true);
    let y = n.norm("mix.bn", y);
    let y = n.op("mix.out", Op::Sigmoid, &[y]);
    let y = n.op("gap", Op::GlobalAvgPool, &[y]);
    let y = n.linear("scores", y, 5);
    n.op("probabilities", Op::Softmax, &[y]);
    n.finish()
}

/// Depthwise convolutions (two outputs an input, with bias), and a flattening with channels
/// fastest.
pub fn separable() -> Graph {
    let mut n = Net::new("separable");
    let x = n.conv("first", 0, [6, 5, 1, 1], true);
    let x = n.norm("first.bn", x);
    let x = n.relu("first.out", x);
    let x = n.conv("deep", x, [12, 3, 2, 6], true);
    let x = n.norm("deep.bn", x);
    let x = n.op("deep.out", Op::Tanh, &[x]);
    let x = n.conv("point", x, [5, 1, 1, 1], true);
    let x = n.relu("point.out", x);
    let x = n.conv("deep2", x, [5, 3, 2, 5], false);
    let x = n.conv("point2", x, [4, 1, 1, 1], true);
    let x = n.norm("point2.bn", x);
    let x = n.relu("point2.out", x);
    let x = n.op("flat", Op::Flatten { order: FlattenOrder::Hwc }, &[x]);
    n.linear("response", x, 1);
    n.finish()
}

/// Convolutions in two groups, a flattening with channels slowest, batch norm of features.
pub fn grouped() -> Graph {
    let mut n = Net::new("grouped");
    let x = n.conv("first", 0, [8, 3, 2, 1], true);
    let x = n.relu("first.out", x);
    let x = n.conv("second", x, [6, 3, 1, 2], true);
    let x = n.norm("second.bn", x);
    let x = n.relu("second.out", x);
    let x = n.conv("third", x, [4, 3, 2, 1], true);
    let x = n.op("third.out", Op::LeakyRelu { slope: 0.1 }, &[x]);
    let x = n.op("flat", Op::Flatten { order: FlattenOrder::Chw }, &[x]);
    let x = n.norm("flat.bn", x);
    let x = n.relu("flat.out", x);
    let x = n.linear("hidden", x, 9);
    let x = n.relu("hidden.out", x);
    n.linear("out", x, 3);
    n.finish()
}

/// Residual blocks with batch norm and ReLU in front of the convolutions, and a dense concatenation
/// of the stream.
pub fn residual() -> Graph {
    let mut n = Net::new("residual");
    let mut x = n.conv("stem", 0, [6, 3, 2, 1], false);
    for block in ["a", "b"] {
        let y = n.norm(&format!("{block}.bn1"), x);
        let y = n.relu(&format!("{block}.relu1"), y);
        let y = n.conv(&format!("{block}.conv1"), y, [5, 3, 1, 1], false);
        let y = n.norm(&format!("{block}.bn2"), y);
        let y = n.relu(&format!("{block}.relu2"), y);
        let y = n.conv(&format!("{block}.conv2"), y, [6, 3, 1, 1], true);
        x = n.op(&format!("{block}.sum"), Op::Add, &[x, y]);
    }
    let grown = n.conv("grown", x, [4, 1, 1, 1], true);
    let cat = n.op("cat", Op::Concat, &[x, grown, x]);
    let y = n.norm("cat.bn", cat);
    let y = n.relu("cat.out", y);
    let y = n.op("gap", Op::GlobalAvgPool, &[y]);
    n.linear("scores", y, 4);
    n.finish()
}

/// All of them.
pub fn every() -> Vec<Graph> {
    vec![inception(), separable(), grouped(), residual()]
}

/// Images in 0..1.
pub fn images(n: usize) -> Array4<f32> {
    let mut rng = stream(6, "images", n as u64);
    Array4::from_shape_simple_fn((n, 3, 12, 12), || rng.uniform() as f32)
}

/// Outputs of a node in 64 bits.
pub fn outputs(graph: &Graph, node: NodeId, images: &Array4<f32>) -> ArrayD<f64> {
    let device = Device::default();
    let taps = [TapRequest::Activations(node)];
    let mut run = BurnExecutor::new(graph, &taps, Precision::F64, &device).unwrap();
    let pixels = tensor_f64::<4, _>(images.mapv(f64::from).view(), Precision::F64, &device);
    match run.infer(&pixels).unwrap().remove(0) {
        TapValue::Activations(a) => array_f64(&a),
        TapValue::Moments(_) => unreachable!("activations were asked for"),
    }
}

/// Largest absolute difference, relative to the largest number expected.
pub fn error(found: &ArrayD<f64>, expected: &ArrayD<f64>) -> f64 {
    assert_eq!(found.shape(), expected.shape());
    let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / scale
}
