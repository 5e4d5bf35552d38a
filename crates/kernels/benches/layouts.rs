//! Layouts of well-known networks with random weights, for timing.

use orthoscope_kernels::spec::{Activation, Conv, Id, Lrn, Net, Op, Order, Padding, Pool, PoolKind, Shape};

/// Weights from a linear congruential generator.
pub struct Builder {
    pub net: Net,
    state: u64,
}

impl Builder {
    pub fn new(size: usize) -> Self {
        Builder { net: Net::new(Shape { h: size, w: size, c: 3 }), state: 1 }
    }
    fn values(&mut self, n: usize, scale: f32) -> Vec<f32> {
        let mut next = || {
            self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((self.state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * scale
        };
        (0..n).map(|_| next()).collect()
    }
    pub fn push(&mut self, op: Op, inputs: &[Id]) -> Id {
        self.net.push(op, inputs, Activation::None).unwrap()
    }
    #[allow(clippy::too_many_arguments, reason = "a convolution has as many numbers")]
    pub fn conv(&mut self, x: Id, out: usize, k: usize, s: usize, pad: Padding, groups: usize, act: Activation) -> Id {
        let c = self.net.nodes[x].shape.c / groups;
        let weight = self.values(out * c * k * k, (6.0 / (c * k * k) as f32).sqrt());
        let bias = self.values(out, 0.1);
        let conv = Conv { weight, bias, out, kernel: (k, k), stride: (s, s), pad, dilation: (1, 1), groups };
        self.net.push(Op::Conv(conv), &[x], act).unwrap()
    }
    pub fn relu(&mut self, x: Id, out: usize, k: usize, s: usize) -> Id {
        self.conv(x, out, k, s, Padding::all(k / 2), 1, Activation::Relu)
    }
    pub fn max(&mut self, x: Id, k: usize, s: usize, p: usize, ceil: bool) -> Id {
        self.push(
            Op::Pool(Pool { kind: PoolKind::Max, kernel: (k, k), stride: (s, s), pad: Padding::all(p), ceil }),
            &[x],
        )
    }
    pub fn linear(&mut self, x: Id, out: usize, order: Order, act: Activation) -> Id {
        let n = self.net.nodes[x].shape.len();
        let weight = self.values(n * out, (6.0 / n as f32).sqrt());
        let bias = self.values(out, 0.1);
        self.net.push(Op::Linear { weight, bias, out, order }, &[x], act).unwrap()
    }
}

/// GoogLeNet with its local response normalisation, and its 12 taps: conv1, conv2 (both), the nine
/// inception blocks.
pub fn googlenet() -> (Net, Vec<Id>) {
    const BLOCKS: [[usize; 6]; 9] = [
        [64, 96, 128, 16, 32, 32],
        [128, 128, 192, 32, 96, 64],
        [192, 96, 208, 16, 48, 64],
        [160, 112, 224, 24, 64, 64],
        [128, 128, 256, 24, 64, 64],
        [112, 144, 288, 32, 64, 64],
        [256, 160, 320, 32, 128, 128],
        [256, 160, 320, 32, 128, 128],
        [384, 192, 384, 48, 128, 128],
    ];
    let lrn = Op::Lrn(Lrn { n: 5, alpha: 1e-4, beta: 0.75, k: 1.0 });
    let mut b = Builder::new(224);
    let conv1 = b.relu(0, 64, 7, 2);
    let pool = b.max(conv1, 3, 2, 0, true);
    let norm = b.push(lrn.clone(), &[pool]);
    let reduce = b.relu(norm, 64, 1, 1);
    let conv2 = b.relu(reduce, 192, 3, 1);
    let norm = b.push(lrn, &[conv2]);
    let mut x = b.max(norm, 3, 2, 0, true);
    let mut taps = vec![conv1, reduce, conv2];
    for (i, [one, r3, three, r5, five, proj]) in BLOCKS.into_iter().enumerate() {
        let a = b.relu(x, one, 1, 1);
        let r = b.relu(x, r3, 1, 1);
        let t = b.relu(r, three, 3, 1);
        let r = b.relu(x, r5, 1, 1);
        let f = b.relu(r, five, 5, 1);
        let p = b.max(x, 3, 1, 1, false);
        let p = b.relu(p, proj, 1, 1);
        x = b.push(Op::Concat, &[a, t, f, p]);
        taps.push(x);
        if i == 1 || i == 6 {
            x = b.max(x, 3, 2, 0, true);
        }
    }
    (b.net, taps)
}

/// SqueezeNet 1.1 and its eight fire modules.
pub fn squeezenet() -> (Net, Vec<Id>) {
    let mut b = Builder::new(224);
    let mut x = b.conv(0, 64, 3, 2, Padding::all(0), 1, Activation::Relu);
    let mut taps = vec![];
    for (i, (s, e)) in
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)].into_iter().enumerate()
    {
        if matches!(i, 0 | 2 | 4) {
            x = b.max(x, 3, 2, 0, true);
        }
        let q = b.relu(x, s, 1, 1);
        let one = b.relu(q, e, 1, 1);
        let three = b.relu(q, e, 3, 1);
        x = b.push(Op::Concat, &[one, three]);
        taps.push(x);
    }
    (b.net, taps)
}

/// VGG-16 with its linear layers; the five pools and the last layer are tapped.
pub fn vgg16() -> (Net, Vec<Id>) {
    let mut b = Builder::new(224);
    let (mut x, mut taps) = (0, vec![]);
    for (n, c) in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)] {
        for _ in 0..n {
            x = b.relu(x, c, 3, 1);
        }
        x = b.max(x, 2, 2, 0, false);
        taps.push(x);
    }
    x = b.linear(x, 4096, Order::Chw, Activation::Relu);
    x = b.linear(x, 4096, Order::Chw, Activation::Relu);
    taps.push(b.linear(x, 1000, Order::Chw, Activation::None));
    (b.net, taps)
}

/// ResNet-18 with batch norms folded; the four stages are tapped.
pub fn resnet18() -> (Net, Vec<Id>) {
    let mut b = Builder::new(224);
    let mut x = b.relu(0, 64, 7, 2);
    x = b.max(x, 3, 2, 1, false);
    let mut taps = vec![];
    for (c, stride) in [(64, 1), (128, 2), (256, 2), (512, 2)] {
        for s in [stride, 1] {
            let shortcut = if s == 2 { b.conv(x, c, 1, 2, Padding::all(0), 1, Activation::None) } else { x };
            let y = b.relu(x, c, 3, s);
            let y = b.conv(y, c, 3, 1, Padding::all(1), 1, Activation::None);
            x = b.net.push(Op::Add, &[y, shortcut], Activation::Relu).unwrap();
        }
        taps.push(x);
    }
    (b.net, taps)
}

/// A compact model of one V4 neuron (48-60-3-3-3 filters, 112 x 112 pixels); its output is tapped.
pub fn compact() -> (Net, Vec<Id>) {
    let mut b = Builder::new(112);
    let mut x = b.relu(0, 48, 5, 1);
    for (c, s) in [(60, 2), (3, 2), (3, 1), (3, 1)] {
        let before = b.net.nodes[x].shape.c;
        let pad = if s == 2 { Padding { top: 1, left: 1, bottom: 2, right: 2 } } else { Padding::all(2) };
        x = b.conv(x, before, 5, s, pad, before, Activation::None);
        x = b.relu(x, c, 1, 1);
    }
    let y = b.linear(x, 1, Order::Hwc, Activation::None);
    (b.net, vec![y])
}
