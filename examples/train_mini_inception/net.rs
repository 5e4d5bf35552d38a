//! The architecture: GoogLeNet's pattern (Szegedy et al. 2014) at about a third of its width for 96
//! x 96 pixels, with batch norm after each convolution while it is trained.

use crate::scenes;
use ndarray::{ArrayD, Axis, IxDyn};
use orthoscope::Result;
use orthoscope::network::{Graph, GraphBuilder, InputSpec, NodeId, Op, Weights};
use orthoscope::rng::stream;

/// Pixels along each side of the input.
pub const SIZE: usize = 96;

const EPSILON: f32 = 1e-5;

/// Channels of one inception module: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.
type Module = (&'static str, [usize; 6]);

const MODULES: [Module; 9] = [
    ("3a", [20, 24, 36, 6, 12, 12]),
    ("3b", [32, 32, 52, 10, 20, 16]),
    ("4a", [48, 32, 64, 8, 24, 24]),
    ("4b", [52, 36, 72, 8, 24, 24]),
    ("4c", [48, 40, 80, 8, 24, 24]),
    ("4d", [48, 44, 88, 10, 24, 24]),
    ("4e", [64, 48, 96, 12, 32, 32]),
    ("5a", [80, 48, 96, 12, 40, 40]),
    ("5b", [96, 56, 112, 16, 48, 48]),
];

/// What pixels must look like: RGB in 0..1, centred on mid-grey with a standard deviation near 1.
pub fn input() -> InputSpec {
    let spec = InputSpec::preset("unit", SIZE, SIZE).expect("`unit` is a preset");
    InputSpec { mean: vec![0.5; 3], std: vec![0.25; 3], ..spec }
}

/// The network while it is trained: convolutions without bias, batch norms with running moments.
pub fn training_graph(seed: u64) -> Result<Graph> {
    let mut net = Net { builder: GraphBuilder::new("mini-inception", input(), Weights::new())?, norm: true, seed };
    net.build()?;
    net.builder.finish()
}

/// The network as it is stored, with the weights given (`<layer>.weight`, `<layer>.bias`).
pub fn stored_graph(weights: Weights) -> Result<Graph> {
    let mut net = Net { builder: GraphBuilder::new("mini-inception", input(), weights)?, norm: false, seed: 0 };
    net.build()?;
    let mut twelve: Vec<String> = ["conv1/7x7_s2", "conv2/3x3_reduce", "conv2/3x3"].map(String::from).to_vec();
    for (name, _) in MODULES {
        let output = format!("inception_{name}/output");
        net.builder.alias(format!("mixed{name}"), output.clone());
        net.builder.alias(format!("inception{name}"), output.clone());
        twelve.push(output);
    }
    for (alias, name) in [
        ("conv2d0", "conv1/7x7_s2"),
        ("conv2d1", "conv2/3x3_reduce"),
        ("conv2d2", "conv2/3x3"),
        ("maxpool0", "pool1/3x3_s2"),
        ("localresponsenorm0", "pool1/norm1"),
        ("localresponsenorm1", "conv2/norm2"),
        ("logits", "loss3/classifier"),
    ] {
        net.builder.alias(alias, name);
    }
    net.builder.preset("inception9", twelve[3..].to_vec());
    net.builder.preset("default", twelve.clone());
    net.builder.preset("inception12", twelve);
    net.builder.finish()
}

struct Net {
    builder: GraphBuilder,
    norm: bool,
    seed: u64,
}

impl Net {
    fn build(&mut self) -> Result<()> {
        let x = self.conv("conv1/7x7_s2", 0, 24, 7, 2)?;
        let x = self.pool("pool1/3x3_s2", x, 2)?;
        let x = self.lrn("pool1/norm1", x)?;
        let x = self.conv("conv2/3x3_reduce", x, 24, 1, 1)?;
        let x = self.conv("conv2/3x3", x, 48, 3, 1)?;
        let x = self.lrn("conv2/norm2", x)?;
        let mut x = self.pool("pool2/3x3_s2", x, 2)?;
        for (name, channels) in MODULES {
            x = self.inception(name, x, channels)?;
            if matches!(name, "3b" | "4e") {
                x = self.pool(&format!("pool{}/3x3_s2", &name[..1]), x, 2)?;
            }
        }
        let x = self.builder.push("pool5", Op::GlobalAvgPool, &[x])?;
        let n_in = self.builder.shape(x).channels;
        let (weight, bias) = ("loss3/classifier.weight".to_owned(), "loss3/classifier.bias".to_owned());
        if self.norm {
            self.add(&weight, &[scenes::CLASSES.len(), n_in], (1.0 / n_in as f64).sqrt());
            self.add(&bias, &[scenes::CLASSES.len()], 0.0);
        }
        let x = self.builder.push("loss3/classifier", Op::Linear { weight, bias: Some(bias) }, &[x])?;
        if !self.norm {
            self.builder.push("prob", Op::Softmax, &[x])?;
        }
        Ok(())
    }

    fn inception(
        &mut self,
        name: &str,
        x: NodeId,
        [one, reduce3, three, reduce5, five, project]: [usize; 6],
    ) -> Result<NodeId> {
        let at = |part: &str| format!("inception_{name}/{part}");
        let a = self.conv(&at("1x1"), x, one, 1, 1)?;
        let b = self.conv(&at("3x3_reduce"), x, reduce3, 1, 1)?;
        let b = self.conv(&at("3x3"), b, three, 3, 1)?;
        let c = self.conv(&at("5x5_reduce"), x, reduce5, 1, 1)?;
        let c = self.conv(&at("5x5"), c, five, 5, 1)?;
        let d = self.pool(&at("pool"), x, 1)?;
        let d = self.conv(&at("pool_proj"), d, project, 1, 1)?;
        self.builder.push(at("output"), Op::Concat, &[a, b, c, d])
    }

    /// Convolution and ReLU; the ReLU has the layer's own name, as in Caffe's in-place layers.
    fn conv(&mut self, name: &str, x: NodeId, n_out: usize, kernel: usize, stride: usize) -> Result<NodeId> {
        let n_in = self.builder.shape(x).channels;
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        if self.norm {
            // He et al. (2015): variance 2 / fan-in keeps the scale through ReLU layers.
            self.add(&weight, &[n_out, n_in, kernel, kernel], (2.0 / (n_in * kernel * kernel) as f64).sqrt());
        }
        let op = Op::Conv2d {
            weight,
            bias: (!self.norm).then_some(bias),
            stride: [stride; 2],
            padding: [kernel / 2; 4],
            dilation: [1; 2],
            groups: 1,
        };
        let mut x = self.builder.push(format!("{name}.pre_relu"), op, &[x])?;
        if self.norm {
            x = self.batch_norm(name, x, n_out)?;
        }
        self.builder.push(name, Op::Relu, &[x])
    }

    fn batch_norm(&mut self, name: &str, x: NodeId, n: usize) -> Result<NodeId> {
        let part = |p: &str| format!("{name}.{p}");
        for (p, value) in [("scale", 1.0), ("shift", 0.0), ("mean", 0.0), ("var", 1.0)] {
            self.builder.add_weight(part(p), ArrayD::from_elem(IxDyn(&[n]), value));
        }
        let op = Op::BatchNorm {
            scale: Some(part("scale")),
            shift: Some(part("shift")),
            mean: part("mean"),
            var: part("var"),
            epsilon: EPSILON,
        };
        self.builder.push(part("bn"), op, &[x])
    }

    fn pool(&mut self, name: &str, x: NodeId, stride: usize) -> Result<NodeId> {
        let (padding, ceil) = if stride == 1 { ([1; 4], false) } else { ([0; 4], true) };
        self.builder.push(name, Op::MaxPool { kernel: [3; 2], stride: [stride; 2], padding, ceil }, &[x])
    }

    /// Alpha is 1 and not GoogLeNet's 1e-4: activations here are of order 1, there of order 100.
    fn lrn(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        self.builder.push(name, Op::Lrn { size: 5, alpha: 1.0, beta: 0.75, k: 1.0 }, &[x])
    }

    fn add(&mut self, name: &str, shape: &[usize], sd: f64) {
        let mut rng = stream(self.seed, &format!("init {name}"), 0);
        let mut values = ArrayD::from_shape_fn(IxDyn(shape), |_| (sd * rng.normal()) as f32);
        if name.starts_with("conv1/") {
            smooth(&mut values, sd);
        }
        self.builder.add_weight(name, values);
    }
}

/// Blurs the first layer's random kernels (binomial, twice) and restores their scale: what training
/// leaves untouched of a kernel is then no pixel noise.
fn smooth(kernels: &mut ArrayD<f32>, sd: f64) {
    for axis in [2, 3, 2, 3] {
        let n = kernels.shape()[axis];
        let old = kernels.clone();
        for i in 0..n {
            let (before, after) = (i.saturating_sub(1), (i + 1).min(n - 1));
            let at = |j| old.index_axis(Axis(axis), j);
            let blurred = (&at(before) + &at(after)) * 0.25 + &at(i) * 0.5;
            kernels.index_axis_mut(Axis(axis), i).assign(&blurred);
        }
    }
    let now = kernels.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / kernels.len() as f64;
    kernels.mapv_inplace(|v| (f64::from(v) * sd / now.sqrt()) as f32);
}
