//! Every operation and many shapes against naive f64 loops and finite differences.

mod support;

use orthoscope_kernels::engine::{Engine, TapGradient};
use orthoscope_kernels::isa::{self, Isa};
use orthoscope_kernels::real::Real;
use orthoscope_kernels::spec::{Activation, Conv, Lrn, Net, Op, Order, Padding, Pool, PoolKind, Prepare, Shape};
use orthoscope_kernels::{Tap, spec};
use support::{Lcg, forward};

const RELU: Activation = Activation::Relu;
const NONE: Activation = Activation::None;

struct Run {
    taps: Vec<Vec<f64>>,
    moments: Vec<(Vec<f64>, Vec<f64>)>,
    gradient: Vec<f64>,
}

/// Fixed gradients at the taps: plain ones from `seed`, moment ones small.
fn pushed(net: &Net, taps: &[Tap], n: usize, seed: u64) -> Vec<(Vec<f64>, Vec<f64>)> {
    let mut g = Lcg::new(seed);
    let mut values = |len: usize| (0..len).map(|_| f64::from(g.value())).collect::<Vec<f64>>();
    let each = |t: &Tap| match t {
        Tap::Plain(id) => (values(n * net.nodes[*id].shape.len()), vec![]),
        Tap::Moments(_) => (values(n * n), values(n)),
    };
    taps.iter().map(each).collect()
}

fn run<T: Real>(net: &Net, taps: &[Tap], isa: Isa<T>, pixels: &[f64], n: usize, seed: u64) -> Run {
    let engine = Engine::new(net, taps, true, isa).unwrap();
    let mut session = engine.session(n);
    let pixels: Vec<T> = pixels.iter().map(|&v| T::from_f64(v)).collect();
    let mut out = vec![T::ZERO; pixels.len()];
    let (mut plain, mut moments) = (vec![], vec![]);
    // Twice: the second run must not depend on what the first left in memory.
    for _ in 0..2 {
        (plain, moments) = (vec![], vec![]);
        session.forward(&engine, &pixels).unwrap();
        for (k, tap) in taps.iter().enumerate() {
            match tap {
                Tap::Plain(id) => {
                    let mut value = vec![T::ZERO; n * net.nodes[*id].shape.len()];
                    session.tap(&engine, k, &mut value).unwrap();
                    plain.push(value.iter().map(|v| v.to_f64()).collect());
                    moments.push((vec![], vec![]));
                }
                Tap::Moments(_) => {
                    let m = session.moments(&engine, k);
                    plain.push(vec![]);
                    moments.push((m.gram, m.sums));
                }
            }
        }
        let given = pushed(net, taps, n, seed);
        let typed: Vec<Vec<T>> = given.iter().map(|g| g.0.iter().map(|&v| T::from_f64(v)).collect()).collect();
        let grads: Vec<TapGradient<'_, T>> = taps
            .iter()
            .enumerate()
            .map(|(k, t)| match t {
                Tap::Plain(_) => TapGradient::Plain(&typed[k]),
                Tap::Moments(_) => TapGradient::Moments(&given[k].0, &given[k].1),
            })
            .collect();
        session.backward(&engine, &grads, &mut out).unwrap();
    }
    Run { taps: plain, moments, gradient: out.iter().map(|v| v.to_f64()).collect() }
}

/// The scalar whose gradient `run` computes: sum over taps of <pushed, value>.
fn scalar(net: &Net, taps: &[Tap], pixels: &[f64], n: usize, seed: u64) -> f64 {
    let per = pixels.len() / n;
    let values: Vec<Vec<Vec<f64>>> = pixels.chunks(per).map(|p| forward(net, p)).collect();
    let given = pushed(net, taps, n, seed);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut total = 0.0;
    for (tap, (g, s)) in taps.iter().zip(&given) {
        let id = tap.id();
        let len = net.nodes[id].shape.len();
        for i in 0..n {
            match tap {
                Tap::Plain(_) => total += dot(&g[i * len..(i + 1) * len], &values[i][id]),
                Tap::Moments(_) => {
                    total += s[i] * values[i][id].iter().sum::<f64>();
                    total += (0..n).map(|j| g[i * n + j] * dot(&values[i][id], &values[j][id])).sum::<f64>();
                }
            }
        }
    }
    total
}

fn relative_l2(a: &[f64], b: &[f64]) -> f64 {
    let d: f64 = a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum();
    let s: f64 = b.iter().map(|y| y * y).sum();
    if s == 0.0 { d.sqrt() } else { (d / s).sqrt() }
}

fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let top = expected.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * top, "{what}, element {i}: expected {e}, found {f} (scale {top})");
    }
}

/// Checks a network on every instruction set: f64 against loops and finite differences, f32 against
/// f64.
fn check(name: &str, net: &Net, taps: &[Tap], n: usize) {
    let mut g = Lcg::new(name.bytes().map(u64::from).sum());
    let planes = net.prepare[0].gains.len();
    let shape = net.nodes[0].shape;
    let pixels: Vec<f64> = (0..n * planes * shape.h * shape.w).map(|_| f64::from(g.value())).collect();
    let exact = run::<f64>(net, taps, isa::portable(), &pixels, n, 7);
    let per = pixels.len() / n;
    let values: Vec<Vec<Vec<f64>>> = pixels.chunks(per).map(|p| forward(net, p)).collect();
    for (k, tap) in taps.iter().enumerate() {
        let id = tap.id();
        let all: Vec<f64> = values.iter().flat_map(|v| v[id].iter().copied()).collect();
        match tap {
            Tap::Plain(_) => close(&format!("{name}: f64 tap {id}"), &exact.taps[k], &all, 1e-12),
            Tap::Moments(_) => {
                let rows: Vec<&[f64]> = all.chunks(all.len() / n).collect();
                let gram: Vec<f64> =
                    (0..n * n).map(|p| rows[p / n].iter().zip(rows[p % n]).map(|(a, b)| a * b).sum()).collect();
                close(&format!("{name}: f64 gram {id}"), &exact.moments[k].0, &gram, 1e-12);
                let sums: Vec<f64> = rows.iter().map(|r| r.iter().sum()).collect();
                close(&format!("{name}: f64 sums {id}"), &exact.moments[k].1, &sums, 1e-12);
            }
        }
    }
    for trial in 0..3 {
        let direction: Vec<f64> = (0..pixels.len()).map(|_| f64::from(g.value())).collect();
        let step = 1e-6;
        let moved = |s: f64| pixels.iter().zip(&direction).map(|(p, d)| p + s * d).collect::<Vec<_>>();
        let slope = (scalar(net, taps, &moved(step), n, 7) - scalar(net, taps, &moved(-step), n, 7)) / (2.0 * step);
        let found: f64 = exact.gradient.iter().zip(&direction).map(|(a, b)| a * b).sum();
        let norm = exact.gradient.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!(
            (slope - found).abs() <= 2e-5 * (norm + 1.0),
            "{name}: direction {trial}: expected {slope}, found {found}"
        );
    }
    for set in isa::available() {
        let fast = run::<f32>(net, taps, set, &pixels, n, 7);
        for k in 0..taps.len() {
            close(&format!("{name}: {} tap {k}", set.name), &fast.taps[k], &exact.taps[k], 1e-5);
            close(&format!("{name}: {} gram {k}", set.name), &fast.moments[k].0, &exact.moments[k].0, 1e-5);
            let scale = exact.moments[k].0.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let sums: Vec<f64> = exact.moments[k].1.iter().zip(&fast.moments[k].1).map(|(a, b)| a - b).collect();
            assert!(sums.iter().all(|d| d.abs() <= 1e-5 * (1.0 + scale)), "{name}: {} sums {k}", set.name);
        }
        let error = relative_l2(&fast.gradient, &exact.gradient);
        assert!(error < 3e-3, "{name}: {} gradient differs by {error}", set.name);
    }
}

#[allow(clippy::too_many_arguments, reason = "a convolution has as many numbers")]
fn conv(
    g: &mut Lcg,
    cin: usize,
    out: usize,
    k: (usize, usize),
    s: (usize, usize),
    pad: Padding,
    d: (usize, usize),
    groups: usize,
) -> Op {
    let n = out * cin / groups * k.0 * k.1;
    let scale = 1.5 / ((cin / groups * k.0 * k.1) as f32).sqrt();
    Op::Conv(Conv {
        weight: g.values(n, scale),
        bias: g.values(out, 0.3),
        out,
        kernel: k,
        stride: s,
        pad,
        dilation: d,
        groups,
    })
}

fn pad(top: usize, left: usize, bottom: usize, right: usize) -> Padding {
    Padding { top, left, bottom, right }
}

fn start(h: usize, w: usize, c: usize) -> Net {
    Net::new(Shape { h, w, c })
}

/// A network of two convolutions around `op`, so that `op` is neither first nor last.
fn sandwich(op: impl FnOnce(&mut Lcg) -> Op, act: Activation, channels: usize, h: usize, w: usize) -> (Net, Vec<Tap>) {
    let mut g = Lcg::new(channels as u64 * 31 + h as u64);
    let mut net = start(h, w, 3);
    let a = net.push(conv(&mut g, 3, channels, (3, 3), (1, 1), Padding::all(1), (1, 1), 1), &[0], RELU).unwrap();
    let b = net.push(op(&mut g), &[a], act).unwrap();
    let c = net.nodes[b].shape.c;
    let d = net.push(conv(&mut g, c, 5, (1, 1), (1, 1), Padding::all(0), (1, 1), 1), &[b], Activation::Tanh).unwrap();
    (net, vec![Tap::Plain(b), Tap::Plain(d), Tap::Moments(b)])
}

#[test]
fn convolutions() {
    type Case = (usize, usize, (usize, usize), (usize, usize), Padding, (usize, usize), usize, usize, usize);
    let p = Padding::all;
    let cases: [Case; 20] = [
        (8, 16, (1, 1), (1, 1), p(0), (1, 1), 1, 7, 9),
        (13, 37, (3, 3), (1, 1), p(1), (1, 1), 1, 9, 7),
        (16, 33, (5, 5), (1, 1), p(2), (1, 1), 1, 8, 11),
        (6, 10, (3, 3), (2, 2), p(1), (1, 1), 1, 9, 12),
        (6, 10, (3, 5), (2, 1), pad(0, 1, 2, 3), (1, 1), 1, 9, 8),
        (5, 9, (3, 3), (1, 1), p(2), (2, 2), 1, 9, 8),
        (5, 9, (3, 2), (2, 3), pad(1, 0, 0, 2), (2, 1), 1, 11, 10),
        (8, 12, (3, 3), (1, 1), p(1), (1, 1), 2, 7, 6),
        (8, 24, (3, 3), (2, 2), p(1), (1, 1), 4, 8, 7),
        (6, 12, (3, 3), (1, 1), p(1), (1, 1), 6, 8, 7),
        (7, 8, (1, 1), (2, 2), p(0), (1, 1), 1, 9, 8),
        (7, 8, (2, 2), (3, 3), p(0), (1, 1), 1, 10, 11),
        (4, 70, (1, 1), (1, 1), p(0), (1, 1), 1, 3, 40),
        (9, 6, (6, 7), (1, 1), p(0), (1, 1), 1, 6, 7),
        (3, 11, (7, 7), (2, 2), p(3), (1, 1), 1, 15, 14),
        (2, 3, (3, 3), (3, 3), pad(1, 2, 1, 2), (3, 2), 1, 13, 14),
        (40, 70, (3, 3), (1, 1), p(1), (1, 1), 1, 14, 31),
        (16, 48, (3, 3), (1, 1), pad(0, 2, 1, 0), (1, 1), 1, 30, 29),
        (33, 17, (5, 5), (1, 1), p(2), (1, 1), 1, 15, 12),
        (24, 20, (5, 5), (1, 1), pad(4, 0, 3, 1), (1, 1), 1, 11, 14),
    ];
    for (i, (cin, out, k, s, pad, d, groups, h, w)) in cases.into_iter().enumerate() {
        let (net, taps) = sandwich(|g| conv(g, cin, out, k, s, pad, d, groups), RELU, cin, h, w);
        check(&format!("conv {i}"), &net, &taps, 3);
    }
}

#[test]
fn first_layers() {
    for (i, (k, s, p, d)) in
        [(7, 2, 3, 1), (5, 1, 2, 1), (3, 1, 1, 2), (11, 4, 2, 1), (3, 3, 0, 1), (1, 2, 0, 1)].into_iter().enumerate()
    {
        for planes in [1, 3, 4] {
            let mut g = Lcg::new(i as u64);
            let mut net = start(23, 19, planes);
            let a = net.push(conv(&mut g, planes, 12, (k, k), (s, s), Padding::all(p), (d, d), 1), &[0], RELU).unwrap();
            check(&format!("stem {i} with {planes}"), &net, &[Tap::Plain(a), Tap::Plain(0)], 2);
        }
    }
}

type Sizes = (usize, usize, usize, usize);
type First = (Padding, usize, Activation);
type Second = ((usize, usize), (usize, usize), Padding, (usize, usize));

/// An image into five rows of taps, and on into a depthwise convolution: what runs row by row when
/// nothing else reads the tensor between. Kernel, stride, padding, dilation of the second; its own
/// padding and activation for the first.
fn rolled((h, w, planes, out): Sizes, (first, width, act): First, (k, s, p, d): Second) -> Net {
    let mut g = Lcg::new((h * w + out) as u64);
    let mut net = start(h, w, planes);
    let a = net.push(conv(&mut g, planes, out, (5, width), (1, 1), first, (1, 1), 1), &[0], act).unwrap();
    let b = net.push(conv(&mut g, out, out, k, s, p, d, out), &[a], NONE).unwrap();
    net.push(conv(&mut g, out, 7, (1, 1), (1, 1), Padding::all(0), (1, 1), 1), &[b], RELU).unwrap();
    net
}

#[test]
fn rows_roll_into_depthwise_convolutions() {
    let p = Padding::all;
    let leaky = Activation::Leaky(0.2);
    let cases: [(Sizes, First, Second); 11] = [
        ((14, 15, 3, 48), (p(2), 5, RELU), ((5, 5), (2, 2), pad(1, 1, 2, 2), (1, 1))),
        ((13, 18, 3, 20), (p(2), 5, RELU), ((3, 3), (1, 1), p(1), (1, 1))),
        ((17, 11, 1, 9), (p(0), 3, leaky), ((5, 3), (3, 2), pad(0, 2, 1, 0), (1, 1))),
        ((11, 16, 2, 16), (pad(4, 0, 1, 3), 7, NONE), ((3, 3), (2, 1), pad(3, 1, 4, 0), (2, 1))),
        ((21, 9, 3, 8), (pad(1, 4, 3, 4), 4, RELU), ((2, 2), (5, 3), p(0), (1, 1))),
        ((9, 8, 4, 12), (p(2), 3, leaky), ((5, 5), (1, 1), p(4), (1, 1))),
        ((8, 24, 3, 33), (p(2), 5, Activation::Tanh), ((3, 3), (2, 2), p(1), (1, 1))),
        ((16, 12, 3, 17), (p(2), 1, RELU), ((4, 4), (4, 4), p(0), (1, 1))),
        ((8, 8, 3, 24), (p(0), 5, RELU), ((4, 4), (1, 1), p(0), (1, 1))),
        ((30, 330, 3, 40), (p(2), 5, RELU), ((5, 5), (2, 2), pad(1, 1, 2, 2), (1, 1))),
        ((61, 90, 3, 48), (p(2), 5, RELU), ((5, 5), (2, 2), pad(1, 1, 2, 2), (1, 1))),
    ];
    for (i, (size, first, second)) in cases.into_iter().enumerate() {
        let net = rolled(size, first, second);
        for set in isa::available() {
            assert_eq!(last(&net, set, &[]), last(&net, set, &[Tap::Plain(1)]), "rolled {i}: {}", set.name);
        }
        // Large ones have too many kinks for finite differences.
        if i < 9 {
            check(&format!("rolled {i}"), &net, &[Tap::Plain(3)], 3);
            check(&format!("not rolled {i}"), &net, &[Tap::Plain(3), Tap::Plain(1)], 3);
            check(&format!("image tapped {i}"), &net, &[Tap::Plain(2), Tap::Plain(0)], 2);
        }
    }
}

/// Value and gradient of the last tensor of [`rolled`]; a further tap, whose gradient is zero, on
/// the first keeps it from rolling.
fn last(net: &Net, set: Isa<f32>, further: &[Tap]) -> (Vec<f32>, Vec<f32>) {
    let taps: Vec<Tap> = [Tap::Plain(3)].iter().chain(further).copied().collect();
    let engine = Engine::new(net, &taps, true, set).unwrap();
    let mut session = engine.session(2);
    let pixels = Lcg::new(4).values(2 * net.nodes[0].shape.len(), 1.0);
    let (mut value, mut gradient) = (vec![0.0; 2 * net.nodes[3].shape.len()], vec![0.0; pixels.len()]);
    let pushed = Lcg::new(5).values(value.len(), 1.0);
    let grads: Vec<_> =
        [TapGradient::Plain(&pushed)].into_iter().chain(further.iter().map(|_| TapGradient::None)).collect();
    for _ in 0..2 {
        session.forward(&engine, &pixels).unwrap();
        session.backward(&engine, &grads, &mut gradient).unwrap();
    }
    session.tap(&engine, 0, &mut value).unwrap();
    (value, gradient)
}

#[test]
fn rolled_rows_are_the_same_bytes_for_any_number_of_threads() {
    let p = Padding::all;
    let net = rolled((61, 90, 3, 48), (p(2), 5, RELU), ((5, 5), (2, 2), pad(1, 1, 2, 2), (1, 1)));
    let taps = [Tap::Plain(3)];
    let pixels: Vec<f64> = Lcg::new(2).values(3 * 61 * 90, 1.0).into_iter().map(f64::from).collect();
    for set in isa::available() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run::<f32>(&net, &taps, set, &pixels, 1, 3))
        };
        let one = with(1);
        for threads in [2, 3, 7] {
            let many = with(threads);
            assert_eq!(one.taps, many.taps, "{}, {threads} threads", set.name);
            assert_eq!(one.gradient, many.gradient, "{}, {threads} threads", set.name);
        }
    }
}

/// What a step keeps of a rolled tensor is a bit per element.
#[test]
fn rolled_rows_need_no_memory_of_an_image() {
    let p = Padding::all;
    let net = rolled((61, 90, 3, 48), (p(2), 5, RELU), ((5, 5), (2, 2), pad(1, 1, 2, 2), (1, 1)));
    let cost = |taps: &[Tap]| Engine::estimate(&net, taps, true, isa::portable::<f32>()).unwrap().bytes_per_image;
    let tensor = 4 * 61 * 90 * 48;
    assert!(cost(&[Tap::Plain(3)]) + tensor - tensor / 32 <= cost(&[Tap::Plain(3), Tap::Plain(1)]));
}

#[test]
fn depthwise() {
    for (i, (c, k, s, p, d)) in [
        (16, 5, 1, pad(2, 2, 2, 2), 1),
        (13, 5, 2, pad(1, 1, 2, 2), 1),
        (8, 3, 1, pad(1, 1, 1, 1), 1),
        (20, 3, 2, pad(0, 1, 1, 0), 1),
        (3, 3, 1, pad(2, 2, 2, 2), 2),
        (9, 4, 3, pad(1, 1, 1, 1), 1),
        (8, 2, 3, pad(0, 0, 0, 0), 1),
        (5, 3, 2, pad(3, 3, 3, 3), 3),
    ]
    .into_iter()
    .enumerate()
    {
        let (net, taps) = sandwich(|g| conv(g, c, c, (k, k), (s, s), p, (d, d), c), RELU, c, 13, 22);
        check(&format!("depthwise {i}"), &net, &taps, 2);
    }
}

#[test]
fn pools() {
    for kind in [PoolKind::Max, PoolKind::AvgIncludePad, PoolKind::AvgExcludePad] {
        for (i, (k, s, p, ceil)) in [
            ((3, 3), (2, 2), pad(0, 0, 0, 0), true),
            ((3, 3), (1, 1), pad(1, 1, 1, 1), false),
            ((2, 2), (2, 2), pad(0, 0, 0, 0), false),
            ((3, 2), (2, 3), pad(1, 0, 2, 1), true),
            ((5, 5), (3, 3), pad(2, 2, 2, 2), true),
            ((2, 2), (3, 3), pad(0, 0, 0, 0), true),
        ]
        .into_iter()
        .enumerate()
        {
            let pool = Pool { kind, kernel: k, stride: s, pad: p, ceil };
            let (net, taps) = sandwich(|_| Op::Pool(pool), NONE, 11, 10, 13);
            check(&format!("{kind:?} {i}"), &net, &taps, 2);
        }
    }
}

#[test]
fn one_pixel_operations() {
    let lrn = |n, beta| Op::Lrn(Lrn { n, alpha: 2.0, beta, k: 1.5 });
    let (net, taps) = sandwich(|_| lrn(5, 0.75), NONE, 19, 6, 5);
    check("lrn", &net, &taps, 2);
    let (net, taps) = sandwich(|_| lrn(3, 0.6), Activation::Sigmoid, 4, 6, 5);
    check("lrn 0.6", &net, &taps, 2);
    for (i, act) in [NONE, RELU, Activation::Leaky(0.1), Activation::Sigmoid, Activation::Tanh].into_iter().enumerate()
    {
        let (net, taps) = sandwich(|_| Op::Identity, act, 9, 4, 5);
        check(&format!("activation {i}"), &net, &taps, 2);
        let (net, taps) = sandwich(|g| conv(g, 9, 21, (3, 3), (1, 1), Padding::all(1), (1, 1), 1), act, 9, 4, 5);
        check(&format!("conv activation {i}"), &net, &taps, 2);
        let (net, taps) = sandwich(|g| conv(g, 9, 9, (3, 3), (1, 1), Padding::all(1), (1, 1), 9), act, 9, 12, 5);
        check(&format!("depthwise activation {i}"), &net, &taps, 2);
    }
    let (net, taps) = sandwich(|g| Op::Affine { scale: g.values(9, 1.0), shift: g.values(9, 1.0) }, RELU, 9, 4, 5);
    check("affine", &net, &taps, 2);
    let (net, taps) = sandwich(|_| Op::Softmax, NONE, 9, 4, 5);
    check("softmax", &net, &taps, 2);
    let (net, taps) = sandwich(|_| Op::GlobalAvg, NONE, 9, 4, 5);
    check("global average", &net, &taps, 2);
    let (net, taps) = sandwich(|_| Op::Pad(pad(1, 2, 3, 0)), NONE, 9, 4, 5);
    check("pad", &net, &taps, 2);
    for order in [Order::Chw, Order::Hwc] {
        let (net, taps) = sandwich(|_| Op::Flatten(order), RELU, 9, 4, 5);
        check("flatten", &net, &taps, 2);
        let (net, taps) = sandwich(
            |g| Op::Linear { weight: g.values(17 * 9 * 20, 0.1), bias: g.values(17, 1.0), out: 17, order },
            RELU,
            9,
            4,
            5,
        );
        check("linear", &net, &taps, 7);
    }
}

/// An inception block with odd widths, a residual sum, dense reuse of parts, and taps everywhere.
#[test]
fn branches() {
    let p = Padding::all;
    for (i, act) in [RELU, Activation::Sigmoid].into_iter().enumerate() {
        let mut g = Lcg::new(99);
        let mut net = start(12, 10, 3);
        let mut layer = |net: &mut Net, x: usize, out: usize, k: usize, s: usize| {
            let c = net.nodes[x].shape.c;
            net.push(conv(&mut g, c, out, (k, k), (s, s), p(k / 2), (1, 1), 1), &[x], act).unwrap()
        };
        let stem = layer(&mut net, 0, 24, 3, 1);
        let one = layer(&mut net, stem, 8, 1, 1);
        let three_reduce = layer(&mut net, stem, 19, 1, 1);
        let three = layer(&mut net, three_reduce, 13, 3, 1);
        let five_reduce = layer(&mut net, stem, 6, 1, 1);
        let five = layer(&mut net, five_reduce, 7, 5, 1);
        let max = Pool { kind: PoolKind::Max, kernel: (3, 3), stride: (1, 1), pad: p(1), ceil: false };
        let pool = net.push(Op::Pool(max), &[stem], NONE).unwrap();
        let projected = layer(&mut net, pool, 5, 1, 1);
        let block = net.push(Op::Concat, &[one, three, five, projected], NONE).unwrap();
        let left = layer(&mut net, block, 12, 3, 2);
        let right = layer(&mut net, block, 12, 1, 2);
        let sum = net.push(Op::Add, &[left, right, right], act).unwrap();
        let again = layer(&mut net, sum, 12, 3, 1);
        let twice = net.push(Op::Concat, &[sum, again, sum], NONE).unwrap();
        let nested = net.push(Op::Concat, &[twice, left], NONE).unwrap();
        let last = layer(&mut net, nested, 9, 3, 1);
        let all = [stem, one, three, block, sum, twice, nested, last];
        check(&format!("branches {i}"), &net, &[Tap::Plain(last)], 3);
        check(&format!("block {i}"), &net, &[Tap::Moments(block)], 3);
        check(&format!("branches {i}, all tapped"), &net, &all.map(Tap::Plain), 2);
        check(&format!("branches {i}, all moments"), &net, &all.map(Tap::Moments), 5);
        check(
            &format!("branches {i}, mixed"),
            &net,
            &[Tap::Moments(block), Tap::Plain(block), Tap::Moments(last), Tap::Plain(three)],
            7,
        );
    }
}

#[test]
fn preparation_mixes_planes() {
    let mut g = Lcg::new(5);
    let mut net = start(9, 8, 3);
    net.prepare = [2usize, 1, 0]
        .iter()
        .map(|&k| Prepare {
            gains: (0..3).map(|p| if p == k { 255.0 } else { 0.0 }).collect(),
            offset: -120.0 + k as f32,
        })
        .collect();
    let a = net.push(conv(&mut g, 3, 9, (3, 3), (2, 2), Padding::all(1), (1, 1), 1), &[0], RELU).unwrap();
    check("bgr", &net, &[Tap::Plain(a), Tap::Moments(0)], 2);
    let mut grey = start(9, 8, 1);
    grey.prepare = vec![Prepare { gains: vec![0.25, 0.5, 0.25], offset: 0.5 }];
    let a = grey.push(conv(&mut g, 1, 9, (3, 3), (1, 1), Padding::all(1), (1, 1), 1), &[0], RELU).unwrap();
    check("grey", &grey, &[Tap::Plain(a)], 2);
}

#[test]
fn random_networks() {
    for seed in 0..40 {
        let mut g = Lcg::new(seed + 1000);
        let (h, w) = (8 + g.below(9), 8 + g.below(9));
        let mut net = start(h, w, 3);
        for _ in 0..6 + g.below(6) {
            let x = if g.below(3) == 0 { g.below(net.nodes.len()) } else { net.nodes.len() - 1 };
            let shape = net.nodes[x].shape;
            let act = [NONE, RELU, RELU, RELU, Activation::Leaky(0.2), Activation::Tanh][g.below(6)];
            let (k, s) = (g.pick(&[1, 1, 3, 3, 5]), g.pick(&[1, 1, 1, 2]));
            let margin = pad(g.below(k), g.below(k), g.below(k), g.below(k));
            let same: Vec<usize> = (0..net.nodes.len()).filter(|&i| net.nodes[i].shape == shape).collect();
            let alike: Vec<usize> = (1..net.nodes.len())
                .filter(|&i| (net.nodes[i].shape.h, net.nodes[i].shape.w) == (shape.h, shape.w))
                .collect();
            let (op, inputs, act) = match g.below(9) {
                0..=2 => {
                    let out = 1 + g.below(24);
                    (conv(&mut g, shape.c, out, (k, k), (s, s), margin, (1, 1), 1), vec![x], act)
                }
                3 => (conv(&mut g, shape.c, shape.c, (k, k), (s, s), margin, (1, 1), shape.c), vec![x], act),
                4 => {
                    let kind = [PoolKind::Max, PoolKind::AvgIncludePad, PoolKind::AvgExcludePad][g.below(3)];
                    (
                        Op::Pool(Pool { kind, kernel: (k, k), stride: (s, s), pad: margin, ceil: g.below(2) == 0 }),
                        vec![x],
                        act,
                    )
                }
                5 => (Op::Add, (0..2 + g.below(2)).map(|_| same[g.below(same.len())]).collect(), act),
                6 if !alike.is_empty() => {
                    (Op::Concat, (0..2 + g.below(3)).map(|_| alike[g.below(alike.len())]).collect(), NONE)
                }
                7 => (Op::Lrn(Lrn { n: g.pick(&[1, 3, 5]), alpha: 0.5, beta: 0.75, k: 1.0 }), vec![x], NONE),
                _ => (Op::Identity, vec![x], act),
            };
            // A window that does not fit is refused; the next node is tried instead.
            let _ = net.push(op, &inputs, act);
        }
        let mut taps = vec![Tap::Plain(net.nodes.len() - 1)];
        for _ in 0..g.below(3) {
            let id = g.below(net.nodes.len());
            taps.push(if g.below(2) == 0 { Tap::Plain(id) } else { Tap::Moments(id) });
        }
        check(&format!("random {seed}"), &net, &taps, 1 + g.below(4));
    }
}

#[test]
fn same_bytes_for_any_number_of_threads() {
    let (net, taps) = sandwich(|g| conv(g, 20, 30, (3, 3), (1, 1), Padding::all(1), (1, 1), 1), RELU, 20, 17, 19);
    let mut g = Lcg::new(1);
    let pixels: Vec<f64> = (0..5 * 3 * 17 * 19).map(|_| f64::from(g.value())).collect();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run::<f32>(&net, &taps, isa::available()[0], &pixels, 5, 3))
    };
    let one = with(1);
    for threads in [2, 3, 8] {
        let many = with(threads);
        assert_eq!(one.taps, many.taps, "{threads} threads");
        assert_eq!(one.moments, many.moments, "{threads} threads");
        assert_eq!(one.gradient, many.gradient, "{threads} threads");
    }
}

#[test]
fn one_thread_does_the_same_as_the_pool() {
    let (net, taps) = sandwich(|g| conv(g, 20, 30, (3, 3), (1, 1), Padding::all(1), (1, 1), 1), RELU, 20, 17, 19);
    let engine = Engine::new(&net, &taps, true, isa::available()[0]).unwrap();
    let pixels = Lcg::new(1).values(5 * 3 * 17 * 19, 1.0);
    let run = |mut session: orthoscope_kernels::Session<f32>| {
        session.forward(&engine, &pixels).unwrap();
        let mut tap = vec![0.0; 5 * net.nodes[taps[0].id()].shape.len()];
        session.tap(&engine, 0, &mut tap).unwrap();
        let mut gradient = vec![0.0; pixels.len()];
        let grads = [TapGradient::Plain(&tap), TapGradient::None, TapGradient::None];
        session.backward(&engine, &grads, &mut gradient).unwrap();
        (session.moments(&engine, 2), tap, gradient)
    };
    assert_eq!(run(engine.session(5)), run(engine.session_on_one_thread(5)));
}

#[test]
fn estimates_are_the_cost() {
    let (net, taps) = sandwich(|g| conv(g, 20, 30, (5, 5), (1, 1), Padding::all(2), (1, 1), 1), RELU, 20, 17, 19);
    for gradient in [false, true] {
        let estimate = Engine::estimate(&net, &taps, gradient, isa::portable::<f32>()).unwrap();
        assert_eq!(estimate, Engine::new(&net, &taps, gradient, isa::portable::<f32>()).unwrap().cost());
        assert!(estimate.weight_bytes > 4 * 36 * 20 * 30, "transformed weights count");
    }
}

#[test]
fn wrong_descriptions_are_refused() {
    let mut net = start(4, 4, 3);
    let bad = Op::Conv(Conv {
        weight: vec![0.0; 5],
        bias: vec![],
        out: 2,
        kernel: (1, 1),
        stride: (1, 1),
        pad: Padding::all(0),
        dilation: (1, 1),
        groups: 1,
    });
    let message = net.push(bad, &[0], NONE).unwrap_err().to_string();
    assert_eq!(message, "node 1: convolution weight length: expected 6, found 5");
    assert!(net.push(Op::Identity, &[4], NONE).is_err());
    assert!(Engine::new(&net, &[], true, isa::portable::<f32>()).is_err());
    assert!(Engine::new(&net, &[Tap::Plain(9)], true, isa::portable::<f32>()).is_err());
    assert!(isa::named("mmx").is_err());
    let _ = spec::windows(3, 0, 0, 3, 1, false);
}
