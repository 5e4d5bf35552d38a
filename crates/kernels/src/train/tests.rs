//! Chains against the same mathematics, pixel by pixel in 64 bits: outputs, and gradients by
//! central differences.

use super::*;
use crate::isa;

/// A small deterministic generator of numbers in [-1, 1).
struct Draws(u32);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0 >> 8) / f64::from(1 << 23) - 1.0
    }

    fn some(&mut self, n: usize, scale: f64, mean: f64) -> Vec<f64> {
        (0..n).map(|_| mean + scale * self.next()).collect()
    }
}

/// All weights of a chain in 64 bits: for each layer kernel, point, gain, shift; then the readout's
/// four.
type All = Vec<Vec<f64>>;

struct Case {
    layers: Vec<Layer>,
    readout: Readout,
    images: Vec<f64>,
    weights: All,
}

fn layer(kind: Kind, channels: [usize; 2], from: [usize; 2], window: Window) -> Layer {
    let [t, l, b, r] = window.padding;
    let out = |n: usize, pad: usize| (n + pad - window.kernel) / window.stride + 1;
    Layer { kind, channels, size: [from, [out(from[0], t + b), out(from[1], l + r)]], window, epsilon: 1e-3 }
}

fn window(kernel: usize, stride: usize, padding: [usize; 4]) -> Window {
    Window { kernel, stride, padding }
}

/// Six images: a group of four and one of two.
const N: usize = 6;

fn case(readout: Readout, odd: bool) -> Case {
    let mut draws = Draws(3);
    let (first, second) = if odd {
        (window(3, 2, [1; 4]), window(4, 3, [2, 1, 0, 3]))
    } else {
        (window(5, 1, [2; 4]), window(5, 2, [1, 1, 2, 2]))
    };
    let a = layer(Kind::Dense, [3, 5], [12, 10], first);
    let b = layer(Kind::Separable, [5, 18], a.size[1], second);
    let c = layer(Kind::Separable, [18, 4], b.size[1], window(3, 1, [1; 4]));
    let layers = vec![a, b, c];
    let mut weights = All::new();
    for l in &layers {
        let k = l.window.kernel * l.window.kernel;
        let kernel = if l.kind == Kind::Dense { l.channels[0] * l.channels[1] * k } else { l.channels[0] * k };
        let point = if l.kind == Kind::Dense { 0 } else { l.channels[0] * l.channels[1] };
        weights.push(draws.some(kernel, 0.4, 0.0));
        weights.push(draws.some(point, 0.5, 0.0));
        weights.push(draws.some(l.channels[1], 0.3, 1.0));
        weights.push(draws.some(l.channels[1], 0.3, 0.2));
    }
    let (pixels, n) = (c.size[1][0] * c.size[1][1], readout.n_outputs());
    match readout {
        Readout::Linear { .. } => {
            weights.push(draws.some(n * pixels * 4, 0.3, 0.0));
            weights.push(draws.some(n, 0.3, 0.0));
            weights.extend([vec![], vec![]]);
        }
        Readout::Factorised { .. } => {
            weights.push(draws.some(n * 4, 0.5, 0.0));
            weights.push(draws.some(n, 0.3, 0.0));
            weights.push(draws.some(n * pixels, 0.3, 0.0));
            weights.push(draws.some(n, 0.3, 0.0));
        }
    }
    // Far from zero, as pixels are.
    let images = draws.some(N * 3 * 12 * 10, 1.0, 0.7);
    let rounded = |v: &Vec<f64>| v.iter().map(|&v| f64::from(v as f32)).collect();
    Case { layers, readout, images: rounded(&images), weights: weights.iter().map(rounded).collect() }
}

/// N x C x H x W through a depthwise or dense convolution.
fn convolve(x: &[f64], l: &Layer, w: &[f64]) -> Vec<f64> {
    let ([h, width], [oh, ow]) = (l.size[0], l.size[1]);
    let Window { kernel: k, stride: s, padding: [t, left, ..] } = l.window;
    let (n_in, dense) = (l.channels[0], l.kind == Kind::Dense);
    let n_out = if dense { l.channels[1] } else { n_in };
    let mut out = vec![0.0; N * n_out * oh * ow];
    for (i, v) in out.iter_mut().enumerate() {
        let (image, o, y, x0) = (i / (n_out * oh * ow), i / (oh * ow) % n_out, i / ow % oh, i % ow);
        for c in if dense { 0..n_in } else { o..o + 1 } {
            for (ky, kx) in (0..k).flat_map(|ky| (0..k).map(move |kx| (ky, kx))) {
                let (iy, ix) = ((y * s + ky).wrapping_sub(t), (x0 * s + kx).wrapping_sub(left));
                if iy < h && ix < width {
                    let weight = if dense { w[((o * n_in + c) * k + ky) * k + kx] } else { w[(c * k + ky) * k + kx] };
                    *v += weight * x[((image * n_in + c) * h + iy) * width + ix];
                }
            }
        }
    }
    out
}

fn outputs(case: &Case, weights: &All) -> Vec<f64> {
    let mut x = case.images.clone();
    for (i, l) in case.layers.iter().enumerate() {
        let [kernel, point, gain, shift] = [0, 1, 2, 3].map(|k| &weights[4 * i + k]);
        let (p, n_in, n_out) = (l.size[1][0] * l.size[1][1], l.channels[0], l.channels[1]);
        let mut z = convolve(&x, l, kernel);
        if l.kind == Kind::Separable {
            let mixed = |i: usize| {
                let (image, o, at) = (i / (n_out * p), i / p % n_out, i % p);
                (0..n_in).map(|c| point[o * n_in + c] * z[(image * n_in + c) * p + at]).sum()
            };
            z = (0..N * n_out * p).map(mixed).collect();
        }
        let channel =
            |c: usize| -> Vec<usize> { (0..N).flat_map(|n| (0..p).map(move |at| (n * n_out + c) * p + at)).collect() };
        for c in 0..n_out {
            let all = channel(c);
            let m = all.len() as f64;
            let mean = all.iter().map(|&i| z[i]).sum::<f64>() / m;
            let var = all.iter().map(|&i| (z[i] - mean).powi(2)).sum::<f64>() / m;
            for i in all {
                z[i] = (gain[c] * (z[i] - mean) / (var + f64::from(l.epsilon)).sqrt() + shift[c]).max(0.0);
            }
        }
        x = z;
    }
    let [weight, bias, pool, pool_bias] = [0, 1, 2, 3].map(|k| &weights[4 * case.layers.len() + k]);
    let (c, n) = (4, case.readout.n_outputs());
    let p = x.len() / N / c;
    let one = |i: usize| {
        let (image, j) = (i / n, i % n);
        let a = |p0: usize, c0: usize| x[(image * c + c0) * p + p0];
        let all = || (0..p).flat_map(|p0| (0..c).map(move |c0| (p0, c0)));
        match case.readout {
            Readout::Linear { channels_first, .. } => {
                let at = |p0: usize, c0: usize| if channels_first { c0 * p + p0 } else { p0 * c + c0 };
                bias[j] + all().map(|(p0, c0)| weight[j * p * c + at(p0, c0)] * a(p0, c0)).sum::<f64>()
            }
            Readout::Factorised { .. } => {
                let mixed = |p0: usize| bias[j] + (0..c).map(|c0| weight[j * c + c0] * a(p0, c0)).sum::<f64>();
                pool_bias[j] + (0..p).map(|p0| pool[j * p + p0] * mixed(p0)).sum::<f64>()
            }
        }
    };
    (0..N * n).map(one).collect()
}

/// A scalar in which every output has a weight of its own.
fn probe(n: usize) -> Vec<f64> {
    let mut draws = Draws(8);
    draws.some(n, 1.0, 0.0)
}

fn run(case: &Case, set: &str, n_threads: usize) -> (Vec<f32>, All) {
    let narrow: Vec<Vec<f32>> = case.weights.iter().map(|w| w.iter().map(|&v| v as f32).collect()).collect();
    let images: Vec<f32> = case.images.iter().map(|&v| v as f32).collect();
    let of = |i: usize| LayerWeights {
        kernel: &narrow[4 * i],
        point: &narrow[4 * i + 1],
        gain: &narrow[4 * i + 2],
        shift: &narrow[4 * i + 3],
    };
    let end = 4 * case.layers.len();
    let weights = Weights {
        layers: (0..case.layers.len()).map(of).collect(),
        readout: ReadoutWeights {
            weight: &narrow[end],
            bias: &narrow[end + 1],
            pool: &narrow[end + 2],
            pool_bias: &narrow[end + 3],
        },
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    pool.install(|| {
        let mut chain = Chain::new(case.layers.clone(), case.readout, Kernels::named(set).unwrap());
        // Memory of another batch does not matter.
        chain.forward(&images[..4 * 360], &weights);
        let outputs = chain.forward(&images, &weights);
        let gradient: Vec<f32> = probe(outputs.len()).iter().map(|&v| v as f32).collect();
        let Gradients { layers, readout } = chain.backward(&gradient);
        let layers = layers.into_iter().flat_map(|g| [g.kernel, g.point, g.gain, g.shift]);
        let all = layers.chain([readout.weight, readout.bias, readout.pool, readout.pool_bias]);
        (outputs, all.map(|g| g.into_iter().map(f64::from).collect()).collect())
    })
}

fn readouts() -> [Readout; 3] {
    [
        Readout::Linear { n_outputs: 1, channels_first: false },
        Readout::Linear { n_outputs: 3, channels_first: true },
        Readout::Factorised { n_outputs: 19 },
    ]
}

#[test]
fn outputs_and_gradients_are_those_of_64_bits_on_every_set() {
    for (readout, odd) in readouts().into_iter().flat_map(|r| [(r, false), (r, true)]) {
        let case = case(readout, odd);
        let expected = outputs(&case, &case.weights);
        let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let slopes = slopes(&case);
        for set in isa::available() {
            let (found, gradients) = run(&case, set.name, 1);
            for (f, e) in found.iter().zip(&expected) {
                assert!((f64::from(*f) - e).abs() < 1e-5 * scale, "{}, {readout:?}: {f} and {e}", set.name);
            }
            for (at, own, slope) in &slopes {
                let found = gradients[*at][*own];
                let most = gradients[*at].iter().fold(0.0f64, |m, v| m.max(v.abs()));
                assert!(
                    (found - slope).abs() < 2e-4 * most.max(1e-3),
                    "{}, {readout:?}, array {at}, {own}: {found} and {slope}",
                    set.name
                );
            }
        }
    }
}

/// Central differences at some entries of every array: (array, entry, slope).
fn slopes(case: &Case) -> Vec<(usize, usize, f64)> {
    let (step, mut out) = (1e-6, vec![]);
    let weights = probe(N * case.readout.n_outputs());
    let value = |all: &All| outputs(case, all).iter().zip(&weights).map(|(y, w)| y * w).sum::<f64>();
    for at in 0..case.weights.len() {
        let n = case.weights[at].len();
        for own in (0..n).step_by(n.div_ceil(6).max(1)) {
            let moved = |by: f64| {
                let mut all = case.weights.clone();
                all[at][own] += by;
                value(&all)
            };
            out.push((at, own, (moved(step) - moved(-step)) / (2.0 * step)));
        }
    }
    out
}

#[test]
fn threads_change_no_bit() {
    for readout in readouts() {
        let case = case(readout, false);
        let set = isa::chosen().unwrap().name;
        assert_eq!(run(&case, set, 1), run(&case, set, 3));
    }
}

#[test]
fn moments_are_those_of_the_convolution() {
    let case = case(readouts()[0], false);
    let narrow: Vec<Vec<f32>> = case.weights.iter().map(|w| w.iter().map(|&v| v as f32).collect()).collect();
    let weights = Weights {
        layers: vec![LayerWeights { kernel: &narrow[0], point: &[], gain: &narrow[2], shift: &narrow[3] }],
        readout: ReadoutWeights { weight: &vec![0.0; 5 * 120], bias: &[0.0], pool: &[], pool_bias: &[] },
    };
    let mut chain = Chain::new(case.layers[..1].to_vec(), case.readout, Kernels::chosen().unwrap());
    let images: Vec<f32> = case.images.iter().map(|&v| v as f32).collect();
    chain.forward(&images, &weights);
    let [mean, var] = chain.moments(0);
    let z = convolve(&case.images, &case.layers[0], &case.weights[0]);
    for c in 0..5 {
        let all: Vec<f64> = (0..N).flat_map(|n| z[(n * 5 + c) * 120..][..120].to_vec()).collect();
        let m = all.len() as f64;
        let expected = all.iter().sum::<f64>() / m;
        let spread = all.iter().map(|v| (v - expected).powi(2)).sum::<f64>() / (m - 1.0);
        assert!((f64::from(mean[c]) - expected).abs() < 1e-6 && (f64::from(var[c]) / spread - 1.0).abs() < 1e-5);
    }
}
