//! Naive f64 loops that define what the engine must compute, and a small deterministic random
//! source.

use orthoscope_kernels::spec::{Activation, Net, Node, Op, Order, PoolKind, Shape};

/// Linear congruential generator (Knuth's constants); enough for test data.
pub struct Lcg(u64);

impl Lcg {
    pub fn new(seed: u64) -> Self {
        let mut g = Lcg(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1));
        for _ in 0..4 {
            g.bits();
        }
        g
    }
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }
    /// In [-1, 1), a multiple of 2^-20 so that it is exact in f32.
    pub fn value(&mut self) -> f32 {
        ((self.bits() % (1 << 21)) as f32) / (1 << 20) as f32 - 1.0
    }
    pub fn below(&mut self, n: usize) -> usize {
        self.bits() as usize % n
    }
    pub fn pick(&mut self, list: &[usize]) -> usize {
        list[self.below(list.len())]
    }
    pub fn values(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.value() * scale).collect()
    }
}

fn activate(act: Activation, z: f64) -> f64 {
    match act {
        Activation::None => z,
        Activation::Relu => z.max(0.0),
        Activation::Leaky(s) => {
            if z > 0.0 {
                z
            } else {
                f64::from(s) * z
            }
        }
        Activation::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        Activation::Tanh => z.tanh(),
    }
}

/// All tensors of one image, each `c x h x w`.
pub fn forward(net: &Net, pixels: &[f64]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for node in &net.nodes {
        let inputs: Vec<(&[f64], Shape)> = node.inputs.iter().map(|&i| (&values[i][..], net.nodes[i].shape)).collect();
        let mut y = apply(net, node, &inputs, pixels);
        y.iter_mut().for_each(|v| *v = activate(node.act, *v));
        values.push(y);
    }
    values
}

fn apply(net: &Net, node: &Node, inputs: &[(&[f64], Shape)], pixels: &[f64]) -> Vec<f64> {
    let out = node.shape;
    let mut y = vec![0.0; out.len()];
    let at = |c: usize, i: usize, j: usize| (c * out.h + i) * out.w + j;
    let read = |k: usize, c: usize, i: isize, j: isize| {
        let (x, s) = inputs[k];
        let inside = i >= 0 && j >= 0 && (i as usize) < s.h && (j as usize) < s.w;
        inside.then(|| x[(c * s.h + i as usize) * s.w + j as usize])
    };
    let mut each = |f: &mut dyn FnMut(usize, usize, usize) -> f64| {
        for c in 0..out.c {
            for i in 0..out.h {
                for j in 0..out.w {
                    y[at(c, i, j)] = f(c, i, j);
                }
            }
        }
    };
    match &node.op {
        Op::Input(s) => {
            let size = s.h * s.w;
            each(&mut |c, i, j| {
                let p = &net.prepare[c];
                let sum: f64 =
                    p.gains.iter().enumerate().map(|(k, &g)| f64::from(g) * pixels[k * size + i * s.w + j]).sum();
                sum + f64::from(p.offset)
            });
        }
        Op::Conv(v) => {
            let (cin, cout) = (inputs[0].1.c / v.groups, v.out / v.groups);
            each(&mut |o, i, j| {
                let mut sum = v.bias.get(o).map_or(0.0, |&b| f64::from(b));
                for k in 0..cin {
                    for ky in 0..v.kernel.0 {
                        for kx in 0..v.kernel.1 {
                            let r = (i * v.stride.0 + ky * v.dilation.0) as isize - v.pad.top as isize;
                            let q = (j * v.stride.1 + kx * v.dilation.1) as isize - v.pad.left as isize;
                            let w = v.weight[((o * cin + k) * v.kernel.0 + ky) * v.kernel.1 + kx];
                            sum += f64::from(w) * read(0, o / cout * cin + k, r, q).unwrap_or(0.0);
                        }
                    }
                }
                sum
            });
        }
        Op::Linear { weight, bias, order, .. } => {
            let flat = flatten(inputs[0], *order);
            each(&mut |o, _, _| {
                let row = &weight[o * flat.len()..(o + 1) * flat.len()];
                let sum: f64 = row.iter().zip(&flat).map(|(&w, &x)| f64::from(w) * x).sum();
                sum + bias.get(o).map_or(0.0, |&b| f64::from(b))
            });
        }
        Op::Pool(p) => {
            let s = inputs[0].1;
            each(&mut |c, i, j| {
                let (r0, q0) =
                    ((i * p.stride.0) as isize - p.pad.top as isize, (j * p.stride.1) as isize - p.pad.left as isize);
                let (mut top, mut sum, mut valid, mut padded) = (f64::NEG_INFINITY, 0.0, 0, 0);
                for r in r0..r0 + p.kernel.0 as isize {
                    for q in q0..q0 + p.kernel.1 as isize {
                        if let Some(v) = read(0, c, r, q) {
                            top = top.max(v);
                            sum += v;
                            valid += 1;
                        }
                        if r < (s.h + p.pad.bottom) as isize && q < (s.w + p.pad.right) as isize {
                            padded += 1;
                        }
                    }
                }
                match p.kind {
                    PoolKind::Max => top,
                    PoolKind::AvgIncludePad => sum / f64::from(padded),
                    PoolKind::AvgExcludePad => sum / f64::from(valid),
                }
            });
        }
        Op::GlobalAvg => {
            let s = inputs[0].1;
            let size = s.h * s.w;
            each(&mut |c, _, _| inputs[0].0[c * size..(c + 1) * size].iter().sum::<f64>() / size as f64);
        }
        Op::Lrn(l) => each(&mut |c, i, j| {
            let half = l.n as isize / 2;
            let window = (c as isize - half).max(0)..=(c as isize + half).min(out.c as isize - 1);
            let sum: f64 = window.map(|d| read(0, d as usize, i as isize, j as isize).unwrap().powi(2)).sum();
            let s = f64::from(l.k) + f64::from(l.alpha) / l.n as f64 * sum;
            read(0, c, i as isize, j as isize).unwrap() * s.powf(-f64::from(l.beta))
        }),
        Op::Add => each(&mut |c, i, j| (0..inputs.len()).map(|k| read(k, c, i as isize, j as isize).unwrap()).sum()),
        Op::Concat => {
            let which: Vec<(usize, usize)> =
                inputs.iter().enumerate().flat_map(|(k, (_, s))| (0..s.c).map(move |c| (k, c))).collect();
            each(&mut |c, i, j| read(which[c].0, which[c].1, i as isize, j as isize).unwrap());
        }
        Op::Affine { scale, shift } => {
            each(&mut |c, i, j| f64::from(scale[c]) * read(0, c, i as isize, j as isize).unwrap() + f64::from(shift[c]))
        }
        Op::Identity => each(&mut |c, i, j| read(0, c, i as isize, j as isize).unwrap()),
        Op::Softmax => each(&mut |c, i, j| {
            let e = |d: usize| read(0, d, i as isize, j as isize).unwrap().exp();
            e(c) / (0..out.c).map(e).sum::<f64>()
        }),
        Op::Flatten(order) => {
            let flat = flatten(inputs[0], *order);
            each(&mut |c, _, _| flat[c]);
        }
        Op::Pad(p) => {
            each(&mut |c, i, j| read(0, c, i as isize - p.top as isize, j as isize - p.left as isize).unwrap_or(0.0))
        }
    }
    y
}

fn flatten((x, s): (&[f64], Shape), order: Order) -> Vec<f64> {
    match order {
        Order::Chw => x.to_vec(),
        Order::Hwc => {
            let pixels = (0..s.h * s.w).flat_map(|p| (0..s.c).map(move |c| (p, c)));
            pixels.map(|(p, c)| x[c * s.h * s.w + p]).collect()
        }
    }
}
