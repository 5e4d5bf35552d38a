//! Factorised readouts: against PyTorch (`tests/golden/readout.py`), finite differences, known models, and
//! what must hold whatever the data.

use super::loss::{Batch, Leaves, total};
use super::start::rank_one;
use super::*;
use crate::cancel::Cancel;
use crate::encoding::folds::{Labels, Split, folds};
use crate::encoding::scores::pearson;
use crate::io::npz;
use crate::math::linalg;
use crate::rng;
use crate::tensor::{Device, Precision, array_f64, leaf, scalar, tensor_f64};
use ndarray::{Axis, Ix2, Slice};
use std::path::Path;

const SIZE: (usize, usize) = (4, 3);

fn penalised(loss: ReadoutLoss) -> ReadoutOptions {
    ReadoutOptions {
        loss,
        l2_map: 1.0 / 32.0,
        l2_channels: 3.0 / 64.0,
        smoothness: 1.0 / 16.0,
        hoyer: 1.0 / 128.0,
        rate: 0.02,
        epochs: 8,
        refit: false,
        ..Default::default()
    }
}

fn golden() -> npz::Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/readout.npz")).unwrap()
}

fn matrix(golden: &npz::Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

fn vector(golden: &npz::Npz, name: &str) -> Vec<f64> {
    golden.get::<f64>(name).unwrap().iter().copied().collect()
}

/// Loss and gradient in 64 bits, by values: map, channels and intercept one after the other.
fn at(values: &[f64], x: &Array2<f64>, y: &Array2<f64>, options: &ReadoutOptions) -> (f64, Vec<f64>) {
    let (device, n_targets, places) = (Device::default(), y.ncols(), SIZE.0 * SIZE.1);
    let c = x.ncols() / places;
    let make = |from: usize, rows: usize| {
        let part = values[from * n_targets..(from + rows) * n_targets].to_vec();
        let part = Array2::from_shape_vec((rows, n_targets), part).unwrap();
        leaf(tensor_f64(part.view(), Precision::F64, &device))
    };
    let leaves = Leaves { map: make(0, places), channels: make(places, c), intercept: make(places + c, 1) };
    let by_channel = x.to_shape((x.nrows(), c, places)).unwrap();
    let mean = by_channel.mean_axis(Axis(2)).unwrap().mean_axis(Axis(0)).unwrap();
    let sd = |c: usize| by_channel.index_axis(Axis(1), c).mapv(|v| (v - mean[c]).powi(2)).mean().unwrap().sqrt();
    let wide = |a: Array2<f64>| tensor_f64(a.view(), Precision::F64, &device);
    let batch = Batch {
        activations: wide(x.to_shape((x.nrows() * c, places)).unwrap().to_owned()),
        responses: wide(y.clone()),
        mean: wide(mean.to_shape((1, c)).unwrap().to_owned()).reshape([1, c, 1]),
        inverse_scale: wide(Array2::from_shape_fn((c, 1), |(c, _)| 1.0 / sd(c))),
    };
    let loss = total(&leaves, &batch, SIZE, options);
    let grads = loss.backward();
    let all = [&leaves.map, &leaves.channels, &leaves.intercept];
    let gradient = all.iter().flat_map(|v| array_f64(&v.grad(&grads).unwrap())).collect();
    (scalar(&loss.inner()), gradient)
}

fn zscored(y: &Array2<f64>) -> Array2<f64> {
    (y - &y.mean_axis(Axis(0)).unwrap()) / &y.std_axis(Axis(0), 0.0)
}

const LOSSES: [(&str, ReadoutLoss); 2] = [("mse", ReadoutLoss::Mse), ("poisson", ReadoutLoss::Poisson)];

#[test]
fn loss_and_gradient_are_pytorchs_and_those_of_finite_differences() {
    let golden = golden();
    let x = matrix(&golden, "x");
    for (name, loss) in LOSSES {
        let options = penalised(loss);
        let y = matrix(&golden, "y");
        let y = if loss == ReadoutLoss::Mse { zscored(&y) } else { y };
        let values = vector(&golden, &format!("{name}_values0"));
        let (value, gradient) = at(&values, &x, &y, &options);
        let expected = vector(&golden, &format!("{name}_loss0"))[0];
        assert!((value - expected).abs() < 1e-9 * expected, "{name}: {value} and {expected}");
        for (i, (&found, expected)) in gradient.iter().zip(vector(&golden, &format!("{name}_gradient"))).enumerate() {
            assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{name} {i}: {found} and {expected}");
            let moved = |by: f64| {
                let mut values = values.clone();
                values[i] += by;
                at(&values, &x, &y, &options).0
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((found - difference).abs() < 1e-7 * (1.0 + difference.abs()), "{name} {i}: {found}, {difference}");
        }
    }
}

/// Five full-batch steps of Adam; the loss by the way.
#[test]
fn steps_are_those_of_pytorchs_adam() {
    let golden = golden();
    let read = |name: &str| matrix(&golden, name).mapv(|v| v as f32);
    let (x, y) = (read("x"), read("y"));
    let n = x.nrows();
    // Two more rows to say when to stop: they do not move the numbers.
    let more = |a: &Array2<f32>| ndarray::concatenate![Axis(0), *a, a.slice_axis(Axis(0), Slice::from(..2))];
    let (x, y) = (more(&x), more(&y));
    let rows = Rows::all(n + 2).unwrap();
    let side = |range: std::ops::Range<usize>| Rows::new(range.collect(), n + 2).unwrap();
    let inner = Fold { train: side(0..n), test: side(n..n + 2), n_purged: 0, n_repeats: 0 };
    for (name, loss) in LOSSES {
        let options = penalised(loss);
        let shape = Shape::new(5, SIZE.0, SIZE.1);
        let training = ReadoutTraining::new(&options, [x.view(), y.view()], shape, &rows, &inner).unwrap();
        let values: Vec<Array2<f32>> = ["map", "channels", "intercept"].map(read).to_vec();
        let mut course = training.blank();
        (course.best_values, course.values) = (values.clone(), values);
        for step in 1..=5 {
            course = training.next(course, &Work::default()).unwrap();
            let expected = vector(&golden, &format!("{name}_values{step}"));
            let found = course.values.iter().flatten().map(|&v| f64::from(v));
            let off = found.zip(&expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(off < 2e-5, "{name}, step {step}: {off}");
        }
    }
}

#[test]
fn the_first_vectors_are_those_of_an_svd() {
    let mut random = rng::stream(3, "test", 0);
    for (c, p) in [(7, 12), (12, 7), (1, 5), (5, 1)] {
        let w = Array2::from_shape_fn((c, p), |_| random.normal());
        let svd = linalg::svd(w.view()).unwrap();
        let (f, m) = rank_one(w.view());
        let product = |a: &ndarray::Array1<f64>, b: &ndarray::Array1<f64>| {
            Array2::from_shape_fn((a.len(), b.len()), |(i, j)| a[i] * b[j])
        };
        let expected = product(&svd.u.column(0).to_owned(), &svd.vt.row(0).to_owned()) * svd.s[0];
        assert!((product(&f, &m) - expected).iter().all(|v| v.abs() < 1e-5));
        assert!((f.dot(&f) - m.dot(&m)).abs() < 1e-9 && m.sum() >= 0.0);
    }
    let (f, m) = rank_one(Array2::zeros((2, 3)).view());
    assert!(f.iter().chain(&m).all(|&v| v == 0.0));
}

/// Activations whose neighbours are alike, and targets of known maps and channels.
struct Simulated {
    x: Array2<f32>,
    y: Array2<f32>,
    maps: Array2<f32>,
    channels: Array2<f32>,
}

const SHAPE: Shape = Shape { channels: 6, height: 7, width: 5 };

fn simulated(n: usize, noise: f64) -> Simulated {
    let mut random = rng::stream(8, "test", 1);
    let places = SHAPE.height * SHAPE.width;
    let raw = Array2::from_shape_fn((n, SHAPE.len()), |_| random.normal());
    let x = Array2::from_shape_fn((n, SHAPE.len()), |(i, u)| {
        let next = if (u + 1) % SHAPE.width == 0 { u } else { u + 1 };
        // Channels of different means and sizes.
        let size = 1.0 + (u / places) as f64;
        ((raw[(i, u)] + 0.8 * raw[(i, next)] + 0.5).max(0.0) * size) as f32
    });
    let maps = Array2::from_shape_fn((places, 3), |(p, t)| {
        let (y, x) = ((p / SHAPE.width) as f64, (p % SHAPE.width) as f64);
        (-((y - 1.5 - 2.0 * t as f64).powi(2) + (x - 1.0 - t as f64).powi(2)) / 2.0).exp() as f32
    });
    let channels = Array2::from_shape_fn((SHAPE.channels, 3), |(c, t)| ((c * 5 + t * 3) % 7) as f32 / 3.0 - 1.0);
    let scales = Scales::of_channels(x.view(), &Rows::all(n).unwrap(), SHAPE);
    let mut y = data::sums(x.view(), SHAPE, &scales, maps.view(), channels.view());
    let sd = y.std_axis(Axis(0), 0.0);
    for mut row in y.rows_mut() {
        row.iter_mut().zip(&sd).for_each(|(v, sd)| *v = *v / sd + noise * random.normal());
    }
    Simulated { x, y: y.mapv(|v| (3.0 * v + 10.0) as f32), maps, channels }
}

fn inner(rows: &Rows) -> Fold {
    folds(rows, &Labels::default(), Split::Random { n_folds: 4, seed: 2 }, 0).unwrap().remove(0)
}

fn fitted(data: &Simulated, options: ReadoutOptions, n_train: usize) -> FactorizedFit {
    let rows = Rows::new((0..n_train).collect(), data.x.nrows()).unwrap();
    let readout = FactorizedReadout { options };
    let (mut leakage, work) = (Leakage::default(), Work::default());
    let xy = [data.x.view(), data.y.view()];
    let fit = readout.fit(xy, SHAPE, &rows, &inner(&rows), &mut leakage, &work).unwrap();
    leakage.check(&Rows::new((n_train..data.x.nrows()).collect(), data.x.nrows()).unwrap()).unwrap();
    fit
}

fn cosine(a: ndarray::ArrayView1<'_, f32>, b: ndarray::ArrayView1<'_, f32>) -> f32 {
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

fn few() -> ReadoutOptions {
    ReadoutOptions { epochs: 6, patience: 2, batch: 32, rate: 5e-3, ..Default::default() }
}

/// Maps and channels, from fewer rows than a layer has units, and better predictions than the start's.
#[test]
fn a_known_model_is_found() {
    let data = simulated(600, 0.5);
    let options = ReadoutOptions { rate: 5e-3, ..Default::default() };
    let fit = fitted(&data, options.clone(), 180);
    let start = fitted(&data, ReadoutOptions { epochs: 1, rate: 1e-12, refit: false, ..options.clone() }, 180);
    let test = Slice::from(180..);
    let r = |fit: &FactorizedFit| {
        let predicted = fit.predict(data.x.slice_axis(Axis(0), test));
        pearson(data.y.slice_axis(Axis(0), test), predicted.view()).unwrap().values
    };
    let (found, before) = (r(&fit), r(&start));
    for t in 0..3 {
        let (map, channels) = (fit.maps.column(t), fit.channels.column(t));
        assert!(cosine(map, data.maps.column(t)) > 0.95, "map {t}");
        assert!(cosine(channels, data.channels.column(t)) > 0.97, "channels {t}");
        assert!((map.dot(&map) - 1.0).abs() < 1e-5);
        // The noise lets r be 1 / sqrt(1.25) = 0.894 at most.
        assert!(found[t] > 0.86 && found[t] > before[t], "{t}: {} after {}", found[t], before[t]);
    }
    let covariance = ReadoutOptions { start: ReadoutStart::Covariance, ..options };
    assert!(r(&fitted(&data, covariance, 180)).iter().all(|&r| r > 0.86));
}

#[test]
fn counts_are_fitted_with_a_poisson_loss() {
    let mut data = simulated(500, 0.0);
    let mut random = rng::stream(4, "test", 2);
    let rates = data.y.mapv(|v| output(Output::Rate, 1.0 + 1.5 * f64::from((v - 10.0) / 3.0)));
    // Knuth's: the number of uniform numbers whose product stays above exp(-rate).
    data.y = rates.mapv(|rate| {
        let (mut product, mut n) = (random.uniform(), 0.0);
        while product > (-rate).exp() {
            product *= random.uniform();
            n += 1.0;
        }
        n
    });
    let options =
        ReadoutOptions { loss: ReadoutLoss::Poisson, rate: 5e-3, nonnegative_map: true, ..Default::default() };
    let fit = fitted(&data, options, 250);
    assert!(fit.maps.iter().all(|&v| v >= 0.0) && fit.output == Output::Rate);
    let predicted = fit.predict(data.x.slice_axis(Axis(0), Slice::from(250..)));
    assert!(predicted.iter().all(|&v| v > 0.0));
    for t in 0..3 {
        assert!(cosine(fit.maps.column(t), data.maps.column(t)) > 0.9, "map {t}");
        let rates = rates.column(t).slice_axis(Axis(0), Slice::from(250..)).mapv(|v| v as f32);
        let r = pearson(rates.view().insert_axis(Axis(1)), predicted.slice_axis(Axis(1), Slice::from(t..t + 1)))
            .unwrap()
            .values[0];
        assert!(r > 0.75, "{t}: {r}");
    }
}

/// Hoyer's square leaves fewer channels, whatever their length.
#[test]
fn sparse_channels_are_fewer() {
    let data = simulated(300, 0.5);
    let share = |hoyer: f64| {
        let fit = fitted(&data, ReadoutOptions { hoyer, rate: 1e-2, ..Default::default() }, 200);
        let f = fit.channels.column(0).mapv(f32::abs);
        f.sum().powi(2) / f.dot(&f)
    };
    let (dense, sparse) = (share(0.0), share(0.2));
    assert!(sparse < 0.8 * dense, "{sparse} of {dense} channels");
}

#[test]
fn targets_without_anything_to_fit_are_left_alone() {
    let mut data = simulated(60, 0.5);
    let alone = fitted(&data, few(), 50);
    let (first, mut constant, mut broken) =
        (data.y.column(0).to_owned(), data.y.column(1).to_owned(), data.y.column(2).to_owned());
    constant.fill(4.0);
    broken[11] = f32::NAN;
    data.y = ndarray::stack![Axis(1), constant, broken, first];
    let fit = fitted(&data, few(), 50);
    assert_eq!(fit.states, [TargetState::Constant, TargetState::NotFinite, TargetState::Varies]);
    let predicted = fit.predict(data.x.view());
    assert!(predicted.column(0).iter().all(|&v| v == 4.0) && predicted.column(1).iter().all(|&v| v == 0.0));
    // No target depends on which others are there, but for rounding.
    let other = alone.predict(data.x.view());
    assert!(predicted.column(2).iter().zip(other.column(0)).all(|(a, b)| (a - b).abs() < 1e-3));
    assert_eq!(fit.epochs[2], alone.epochs[0]);
}

#[test]
fn held_out_rows_change_nothing() {
    let data = simulated(60, 0.5);
    let clean = fitted(&data, few(), 40);
    let mut poisoned = Simulated { x: data.x.clone(), y: data.y.clone(), ..data };
    poisoned.x.slice_axis_mut(Axis(0), Slice::from(40..)).fill(f32::NAN);
    poisoned.y.slice_axis_mut(Axis(0), Slice::from(40..)).fill(1e30);
    assert!(fitted(&poisoned, few(), 40) == clean);
    poisoned.x.slice_axis_mut(Axis(0), Slice::from(39..)).fill(0.0);
    assert!(fitted(&poisoned, few(), 40) != clean);
    // What is stopped by the inner rows alone learns nothing of them but when.
    let no_refit = ReadoutOptions { refit: false, ..few() };
    let rows = Rows::new((0..40).collect(), 60).unwrap();
    let (fold, mut leakage) = (inner(&rows), Leakage::default());
    let readout = FactorizedReadout { options: no_refit };
    readout.training([poisoned.x.view(), poisoned.y.view()], SHAPE, &rows, &fold, &mut leakage).unwrap();
    let of = |what: &str| leakage.report().into_iter().find(|line| line.what.starts_with(what)).unwrap().n_rows;
    assert_eq!([of("maps"), of("means"), of("epochs")], [fold.train.len(), fold.train.len(), 40]);
}

#[test]
fn predictions_are_the_sum_that_is_written() {
    let data = simulated(70, 0.5);
    let fit = fitted(&data, few(), 50);
    let predicted = fit.predict(data.x.view());
    let (mean, scale) = fit.scaling_of_units();
    let places = SHAPE.height * SHAPE.width;
    for ((n, t), &found) in predicted.indexed_iter() {
        let term = |u: usize| {
            let weight = f64::from(fit.channels[(u / places, t)]) * f64::from(fit.maps[(u % places, t)]);
            weight * (f64::from(data.x[(n, u)]) - mean[u]) / scale[u]
        };
        let expected = fit.intercept[t] + (0..SHAPE.len()).map(term).sum::<f64>();
        assert!((f64::from(found) - expected).abs() < 1e-4, "{found} and {expected}");
    }
    let ReadoutWeights::Factorized { maps, .. } = fit.weights() else { panic!() };
    assert_eq!(maps, fit.maps);
}

#[test]
fn a_training_goes_on_from_its_file_on_any_number_of_threads() {
    let data = simulated(60, 0.5);
    let whole = fitted(&data, few(), 50);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert!(one.install(|| fitted(&data, few(), 50)) == whole);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("readout");
    let rows = Rows::new((0..50).collect(), 60).unwrap();
    let make = |options: &ReadoutOptions| {
        let readout = FactorizedReadout { options: options.clone() };
        readout.training([data.x.view(), data.y.view()], SHAPE, &rows, &inner(&rows), &mut Leakage::default()).unwrap()
    };
    let (mut more, mut n) = (true, 0);
    while more {
        let mut training = make(&few());
        assert_eq!(training.resume(&path).unwrap(), n > 0);
        assert!(training.finish().is_err() || n > 2);
        let work = Work::default();
        work.cancel.cancel();
        if n < 2 {
            assert!(matches!(training.epoch(&work), Err(Error::Interrupted { .. })));
        }
        more = training.epoch(&Work { cancel: Cancel::default(), ..Default::default() }).unwrap();
        training.save(&path).unwrap();
        n += 1;
    }
    let mut training = make(&few());
    training.resume(&path).unwrap();
    assert!(training.finish().unwrap() == whole && n > 6, "{n} steps");
    let error = make(&ReadoutOptions { seed: 1, ..few() }).resume(&path).unwrap_err().to_string();
    assert!(error.contains("settings"), "{error}");
    std::fs::write(&path, b"other").unwrap();
    assert!(matches!(make(&few()).resume(&path), Err(Error::Corrupt { .. })));
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let data = simulated(40, 0.5);
    let rows = Rows::new((0..30).collect(), 40).unwrap();
    let said = |options: ReadoutOptions, x: &Array2<f32>, shape: Shape, fold: &Fold| {
        let readout = FactorizedReadout { options };
        let made = readout.training([x.view(), data.y.view()], shape, &rows, fold, &mut Leakage::default());
        made.map(|_| ()).unwrap_err().to_string()
    };
    let (fine, x) = (ReadoutOptions::default(), &data.x);
    for options in [
        ReadoutOptions { l2_map: -1.0, ..fine.clone() },
        ReadoutOptions { hoyer: f64::NAN, ..fine.clone() },
        ReadoutOptions { rate: 0.0, ..fine.clone() },
        ReadoutOptions { start: ReadoutStart::Ridge { alpha: 0.0 }, ..fine.clone() },
        ReadoutOptions { batch: 0, ..fine.clone() },
    ] {
        assert!(said(options, x, SHAPE, &inner(&rows)).contains("factorized readout"));
    }
    assert!(said(fine.clone(), x, Shape::new(6, 7, 6), &inner(&rows)).contains("expected the 252 units"));
    let outside = inner(&Rows::all(40).unwrap());
    assert!(said(fine.clone(), x, SHAPE, &outside).contains("an inner fold of the training side"));
    let mut broken = x.clone();
    broken[(3, 7)] = f32::INFINITY;
    assert!(said(fine.clone(), &broken, SHAPE, &inner(&rows)).contains("column 7"));
    let scored = Simulated {
        y: data.y.mapv(|v| v - 10.0),
        x: x.clone(),
        maps: data.maps.clone(),
        channels: data.channels.clone(),
    };
    let readout = FactorizedReadout { options: ReadoutOptions { loss: ReadoutLoss::Poisson, ..fine } };
    let xy = [scored.x.view(), scored.y.view()];
    let error = readout.training(xy, SHAPE, &rows, &inner(&rows), &mut Leakage::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("responses of 0 or more") && error.hint().is_some(), "{error}");
}
