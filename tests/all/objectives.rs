//! Every objective against central differences in 64 bits, and RSMs against plain loops.

use ndarray::{Array1, Array2, Array3, Array4, ArrayD, Axis};
use orthoscope::objective::{
    Drive, Goal, Metrics, PatternSimilarity, Penalty, RsmTaps, Scene, Similar, TapVar, UnitTap, drive, first_order,
    flat_fingerprints, margin, second_order, second_order_penalty, similarity, target_rsm_error,
};
use orthoscope::rng;
use orthoscope::tensor::{Device, Precision, array_f64, constant, leaf, scalar, tensor_f64};

const N: usize = 5;
const UNITS: [usize; 3] = [7, 12, 9];

/// Post-ReLU-like patterns of three layers, N x D each.
fn patterns(seed: u64) -> Vec<Array2<f64>> {
    let mut stream = rng::stream(seed, "test patterns", 0);
    UNITS.iter().map(|&d| Array2::from_shape_simple_fn((N, d), || (stream.normal() + 0.4).max(0.05))).collect()
}

/// Gram matrices and sums of patterns, as the executor gives them.
fn moments(z: &Array2<f64>) -> (Array2<f64>, Array1<f64>) {
    (z.dot(&z.t()), z.sum_axis(Axis(1)))
}

fn images() -> Array4<f64> {
    Array4::from_elem((N, 3, 2, 2), 0.5)
}

/// The goal's value, and its gradient at every pattern through gram and sums.
fn evaluate(goal: &Goal, z: &[Array2<f64>]) -> (f64, Vec<Array2<f64>>) {
    let device = Device::default();
    let vars: Vec<_> = z
        .iter()
        .map(|z| {
            let (gram, sums) = moments(z);
            let gram = leaf(tensor_f64::<2, _>(gram.view(), Precision::F64, &device));
            let sums = leaf(tensor_f64::<1, _>(sums.view(), Precision::F64, &device));
            (gram, sums, z.ncols())
        })
        .collect();
    let taps: Vec<TapVar> =
        vars.iter().map(|(g, s, n)| TapVar::Moments { gram: g.clone(), sums: s.clone(), n_units: *n }).collect();
    let shown = constant(tensor_f64::<4, _>(images().view(), Precision::F64, &device));
    let value =
        goal.value(&Scene { images: &shown, taps: &taps, items: &[0, 1, 2, 3, 4] }, &mut Metrics::new()).unwrap();
    let number = scalar(&value.clone().inner());
    let grads = value.backward();
    let to2 = |a: ArrayD<f64>| a.into_dimensionality::<ndarray::Ix2>().unwrap();
    let back = vars
        .iter()
        .zip(z)
        .map(|((gram, sums, _), z)| {
            let dg = gram.grad(&grads).map_or(Array2::zeros((N, N)), |g| to2(array_f64(&g)));
            let ds = sums.grad(&grads).map_or(Array1::zeros(N), |g| array_f64(&g).into_dimensionality().unwrap());
            // d/d a_i = sum_j (dG_ij + dG_ji) a_j + ds_i
            (&dg + &dg.t()).dot(z) + ds.insert_axis(Axis(1))
        })
        .collect();
    (number, back)
}

fn assert_gradient(name: &str, goal: &Goal, seed: u64) {
    let mut z = patterns(seed);
    let (_, gradient) = evaluate(goal, &z);
    let h = 1e-5;
    let mut largest = 0.0f64;
    for layer in 0..z.len() {
        for at in [(0, 0), (1, 3), (4, 5), (2, 6)] {
            let before = z[layer][at];
            z[layer][at] = before + h;
            let up = evaluate(goal, &z).0;
            z[layer][at] = before - h;
            let down = evaluate(goal, &z).0;
            z[layer][at] = before;
            let difference = (up - down) / (2.0 * h);
            let found = gradient[layer][at];
            largest = largest.max(found.abs());
            let close = (difference - found).abs() <= 1e-7 + 1e-5 * difference.abs();
            assert!(close, "{name}: layer {layer} at {at:?}: differences {difference:e}, gradient {found:e}");
        }
    }
    assert!(largest > 1e-4, "{name}: a gradient of zero proves nothing");
}

fn taps(measure: PatternSimilarity) -> RsmTaps {
    RsmTaps::new(0..3, measure)
}

#[test]
fn every_measure_and_penalty_has_the_gradient_of_its_value() {
    for measure in [PatternSimilarity::Pearson, PatternSimilarity::Cosine, PatternSimilarity::EuclideanKernel] {
        for penalty in [Penalty::MeanSquare, Penalty::MeanAbs, Penalty::LogSumExp, Penalty::LogDet] {
            let goal = -second_order_penalty(taps(measure), penalty, None);
            assert_gradient(&format!("{measure:?} {penalty:?}"), &goal, 11);
        }
    }
}

#[test]
fn targets_hinges_and_sums_have_the_gradient_of_their_value() {
    let mut target = Array2::from_elem((3, 3), 0.3);
    target.diag_mut().fill(1.0);
    assert_gradient(
        "target R",
        &-second_order_penalty(taps(PatternSimilarity::Pearson), Penalty::MeanSquare, Some(target)),
        12,
    );
    assert_gradient("hinge", &-flat_fingerprints(taps(PatternSimilarity::Pearson), 0.9), 13);
    let mut rsms = Array3::from_elem((3, N, N), 0.25);
    rsms[[1, 0, 2]] = f64::NAN;
    assert_gradient("target RSMs", &-target_rsm_error(taps(PatternSimilarity::Pearson), rsms), 14);
    let both = -second_order_penalty(taps(PatternSimilarity::Pearson), Penalty::MeanSquare, None)
        - 2.0 * flat_fingerprints(taps(PatternSimilarity::Pearson), 0.9);
    assert_gradient("sum", &both, 15);
}

/// Pearson of two equally long slices, by its definition.
fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let dot: f64 = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum();
    let norm = |v: &[f64], m: f64| v.iter().map(|x| (x - m).powi(2)).sum::<f64>().sqrt();
    dot / (norm(a, ma) * norm(b, mb))
}

#[test]
fn rsms_and_second_order_follow_their_definitions() {
    let z = patterns(21);
    let device = Device::default();
    let stack = |arrays: Vec<ArrayD<f64>>| {
        let views: Vec<_> = arrays.iter().map(|a| a.view()).collect();
        ndarray::stack(Axis(0), &views).unwrap()
    };
    let grams = stack(z.iter().map(|z| moments(z).0.into_dyn()).collect());
    let sums = stack(z.iter().map(|z| moments(z).1.into_dyn()).collect());
    let grams = constant(tensor_f64::<3, _>(grams.view(), Precision::F64, &device));
    let sums = constant(tensor_f64::<2, _>(sums.view(), Precision::F64, &device));
    let rsms = first_order(grams, sums, &UNITS, PatternSimilarity::Pearson);
    let (r, sd) = second_order(&rsms);
    let matrices = array_f64(&rsms.matrices.inner());
    let mut condensed = Vec::new();
    for (l, z) in z.iter().enumerate() {
        let mut upper = Vec::new();
        for i in 0..N {
            for j in i + 1..N {
                let expected = pearson(z.row(i).as_slice().unwrap(), z.row(j).as_slice().unwrap());
                assert!((matrices[[l, i, j]] - expected).abs() < 1e-11, "layer {l}, pair {i} {j}");
                upper.push(expected);
            }
        }
        condensed.push(upper);
    }
    let (r, sd) = (array_f64(&r.inner()), array_f64(&sd.inner()));
    for l in 0..3 {
        for m in 0..3 {
            assert!((r[[l, m]] - pearson(&condensed[l], &condensed[m])).abs() < 1e-10, "layers {l} {m}");
        }
        let mean = condensed[l].iter().sum::<f64>() / 10.0;
        let expected = (condensed[l].iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 10.0).sqrt();
        assert!((sd[[l]] - expected).abs() < 1e-11);
    }
}

#[test]
fn a_dead_layer_stays_finite() {
    let mut z = patterns(31);
    z[1].row_mut(2).fill(0.0);
    let goal = -second_order_penalty(taps(PatternSimilarity::Pearson), Penalty::MeanSquare, None);
    let (value, gradient) = evaluate(&goal, &z);
    assert!(value.is_finite() && gradient.iter().flatten().all(|g| g.is_finite()));
}

#[test]
fn the_order_of_the_images_does_not_matter() {
    let z = patterns(41);
    let goal = -second_order_penalty(taps(PatternSimilarity::Pearson), Penalty::LogDet, None);
    let order = [3, 0, 4, 1, 2];
    let permuted: Vec<_> = z.iter().map(|z| z.select(Axis(0), &order)).collect();
    assert!((evaluate(&goal, &z).0 - evaluate(&goal, &permuted).0).abs() < 1e-12);
}

/// Value per image and gradient at activations (n x c x h x w) and images, 64 bits.
fn at_activations(
    goal: &Goal,
    a: &Array4<f64>,
    shown: &Array4<f64>,
    items: &[usize],
) -> (f64, Array4<f64>, Array4<f64>) {
    let device = Device::default();
    let var = |x: &Array4<f64>| leaf(tensor_f64::<4, _>(x.view(), Precision::F64, &device));
    let (taps, shown) = (vec![TapVar::Activations(var(a))], var(shown));
    let value = goal.value(&Scene { images: &shown, taps: &taps, items }, &mut Metrics::new()).unwrap();
    let number = array_f64(&value.clone().inner()).sum();
    let grads = value.sum().backward();
    let TapVar::Activations(tap) = &taps[0] else { unreachable!() };
    let of = |v: &orthoscope::tensor::Var<4>| match v.grad(&grads) {
        Some(g) => array_f64(&g).into_dimensionality().unwrap(),
        None => Array4::zeros(v.dims()),
    };
    (number, of(tap), of(&shown))
}

fn assert_image_gradient(name: &str, goal: &Goal, shape: (usize, usize, usize, usize)) {
    let mut stream = rng::stream(5, "test activations", 0);
    let mut a = Array4::from_shape_simple_fn(shape, || stream.normal());
    let mut shown = Array4::from_shape_simple_fn((shape.0, 3, 4, 3), || stream.uniform());
    // Image 1 has left the batch.
    let items: Vec<usize> = (0..=shape.0).filter(|i| *i != 1).collect();
    let (_, at_tap, at_pixels) = at_activations(goal, &a, &shown, &items);
    let (h, mut largest) = (1e-6, 0.0f64);
    for flat in 0..a.len().max(shown.len()) {
        for which in [true, false] {
            let (array, gradient) = if which { (&mut a, &at_tap) } else { (&mut shown, &at_pixels) };
            if flat >= array.len() || flat % 5 > 1 {
                continue;
            }
            let before = array.as_slice().unwrap()[flat];
            let found = gradient.as_slice().unwrap()[flat];
            let mut moved = |by: f64| {
                let array = if which { &mut a } else { &mut shown };
                array.as_slice_mut().unwrap()[flat] = before + by;
                at_activations(goal, &a, &shown, &items).0
            };
            let difference = (moved(h) - moved(-h)) / (2.0 * h);
            moved(0.0);
            largest = largest.max(found.abs());
            let close = (difference - found).abs() <= 1e-6 + 1e-5 * difference.abs();
            assert!(close, "{name}: {flat} of {which}: differences {difference:e}, gradient {found:e}");
        }
    }
    assert!(largest > 1e-3, "{name}: some gradient flows");
}

#[test]
fn objectives_of_single_images_have_their_gradients() {
    let table = |f: fn(usize, usize) -> f64| Array2::from_shape_fn((4, 2), |(i, u)| f(i, u));
    let units = vec![UnitTap { tap: 0, channel: 1, at: Some([2, 0]) }, UnitTap { tap: 0, channel: 3, at: None }];
    // d/da (l r - q (r - t)^2) = (l - 2 q (r - t)) dr/da
    let both = Drive {
        units,
        linear: table(|i, u| i as f64 - 1.5 * u as f64),
        hold: table(|i, u| 0.3 * (i * u) as f64),
        target: table(|i, _| 0.1 * i as f64),
        words: "test".into(),
    };
    assert_image_gradient("drive", &drive(both), (3, 4, 3, 2));
    assert_image_gradient("margin", &margin(0, vec![2, 0, 1, 3]), (3, 5, 1, 1));
    let sets = vec![0, 0, 1, 0];
    assert_image_gradient("similarity of activations", &similarity(Similar::Tap(0), sets.clone()), (3, 4, 3, 2));
    assert_image_gradient("similarity of pixels", &(-2.0 * similarity(Similar::Images, sets)), (3, 1, 1, 1));
}
