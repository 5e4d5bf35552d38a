//! Encoding models against himalaya, scikit-learn and NumPy (`tests/golden/encoding.py`), and what
//! must hold whatever the data.

use crate::support::near;
use ndarray::{Array2, Array3, ArrayView2, Axis, Ix2, Ix3, Slice, concatenate};
use orthoscope::encoding::kernel_ridge::linear_kernel;
use orthoscope::encoding::reliability::{self, Repeats};
use orthoscope::encoding::temporal::DoubleGamma;
use orthoscope::encoding::*;
use orthoscope::io::npz::{self, Npz};
use orthoscope::math::linalg::Cholesky;
use orthoscope::rng;
use proptest::prelude::*;
use std::path::Path;

const TRAIN: usize = 60;

fn golden() -> Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoding.npz")).unwrap()
}

fn matrix(golden: &Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

fn cube(golden: &Npz, name: &str) -> Array3<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix3>().unwrap()
}

fn vector(golden: &Npz, name: &str) -> Vec<f64> {
    golden.get::<f64>(name).unwrap().iter().copied().collect()
}

fn single(a: &Array2<f64>) -> Array2<f32> {
    a.mapv(|v| v as f32)
}

fn wide(a: ArrayView2<'_, f32>) -> Vec<f64> {
    a.iter().map(|&v| f64::from(v)).collect()
}

fn training(n: usize) -> (Rows, Vec<Fold>) {
    let rows = Rows::new((0..TRAIN).collect(), n).unwrap();
    let made = folds(&rows, &Labels::default(), Split::Block { n_folds: 5 }, 0).unwrap();
    (rows, made)
}

fn options(alphas: &[f64], fit_intercept: bool, score: Score) -> RidgeOptions {
    RidgeOptions {
        alphas: Alphas::Absolute(alphas.to_vec()),
        fit_intercept,
        score,
        max_extensions: 0,
        ..RidgeOptions::default()
    }
}

fn fit(options: RidgeOptions, x: &Array2<f32>, y: &Array2<f32>) -> RidgeFit {
    let (rows, folds) = training(x.nrows());
    let work = Work::default();
    RidgeCv { options }.fit([x.view(), y.view()], &rows, &folds, &mut Leakage::default(), &work).unwrap()
}

fn test_rows(a: &Array2<f32>) -> ArrayView2<'_, f32> {
    a.slice_axis(Axis(0), Slice::from(TRAIN..))
}

#[test]
fn ridge_equals_himalaya() {
    let golden = golden();
    let alphas = vector(&golden, "alphas");
    for name in ["narrow", "wide"] {
        let (x, y) = (single(&matrix(&golden, &format!("{name}_x"))), single(&matrix(&golden, &format!("{name}_y"))));
        for intercept in [true, false] {
            for (score, called) in
                [(Score::NegativeMse, "negative_mse"), (Score::R2, "r2"), (Score::Pearson, "pearson")]
            {
                let key = format!("{name}_{called}_{}", if intercept { "intercept" } else { "plain" });
                for form in [Form::Auto, Form::Primal, Form::Kernel] {
                    let found = fit(RidgeOptions { form, ..options(&alphas, intercept, score) }, &x, &y);
                    near(
                        found.selection.alphas.iter().copied(),
                        &vector(&golden, &format!("{key}_alphas")),
                        1e-12,
                        &key,
                    );
                    near(wide(found.weights.view()), &matrix(&golden, &format!("{key}_weights")), 1e-4, &key);
                    near(
                        found.selection.cv_scores.iter().copied(),
                        &vector(&golden, &format!("{key}_cv_scores")),
                        1e-4,
                        &key,
                    );
                    let predicted = found.predict(test_rows(&x));
                    near(wide(predicted.view()), &matrix(&golden, &format!("{key}_predicted")), 1e-4, &key);
                    let r = scores::pearson(test_rows(&y), predicted.view()).unwrap();
                    near(r.values, &vector(&golden, &format!("{key}_test_r")), 1e-4, &key);
                    let r2 = scores::r2(test_rows(&y), predicted.view()).unwrap();
                    near(r2.values, &vector(&golden, &format!("{key}_test_r2")), 1e-4, &key);
                    if intercept {
                        near(found.intercept, &vector(&golden, &format!("{key}_intercept")), 1e-4, &key);
                    }
                }
            }
        }
        let shared = RidgeOptions { per_target: false, ..options(&alphas, true, Score::NegativeMse) };
        let found = fit(shared, &x, &y);
        near(
            found.selection.alphas,
            &vec![vector(&golden, &format!("{name}_shared_alpha"))[0]; 9],
            1e-12,
            "one penalty",
        );
        near(wide(found.weights.view()), &matrix(&golden, &format!("{name}_shared_weights")), 1e-4, "one penalty");
    }
}

#[test]
fn dual_weights_equal_himalaya_in_either_form() {
    let golden = golden();
    let alphas = vector(&golden, "alphas");
    for name in ["narrow", "wide"] {
        let (x, y) = (single(&matrix(&golden, &format!("{name}_x"))), single(&matrix(&golden, &format!("{name}_y"))));
        let (rows, folds) = training(x.nrows());
        let key = format!("{name}_negative_mse_intercept");
        let expected = matrix(&golden, &format!("{key}_dual"));
        let (mut leakage, work) = (Leakage::default(), Work::default());
        for form in [Form::Primal, Form::Kernel] {
            let options = RidgeOptions { form, ..options(&alphas, true, Score::NegativeMse) };
            let prepared = RidgeCv { options }.prepare(x.view(), &rows, &folds, &mut leakage).unwrap();
            let chosen = prepared.prepared().select(y.view(), &work).unwrap().alphas;
            let dual = prepared.dual_weights(y.view(), &chosen, &work).unwrap();
            // At an alpha of 1e4 (X'X some hundreds) residuals are 1e4 times what they are divided to.
            near(wide(dual.view()), &expected, 1e-4, &key);
        }
        let kernel = linear_kernel(x.view(), &rows).unwrap();
        let estimator = KernelRidgeCv { options: options(&alphas, true, Score::NegativeMse) };
        let found = estimator.prepare(kernel, &rows, &folds, &mut leakage).unwrap().fit(y.view(), &work).unwrap();
        near(wide(found.dual.view()), &expected, 1e-5, "kernel ridge");
        near(
            found.intercept.iter().copied(),
            &vector(&golden, &format!("{key}_kernel_intercept")),
            1e-4,
            "kernel ridge",
        );
        let cross = test_rows(&x).dot(&x.slice_axis(Axis(0), Slice::from(..TRAIN)).t());
        near(
            wide(found.predict(cross.view()).view()),
            &matrix(&golden, &format!("{key}_predicted")),
            1e-4,
            "kernel ridge",
        );
    }
}

#[test]
fn weights_at_given_penalties_equal_scikit_learn() {
    let golden = golden();
    let alphas = vector(&golden, "sklearn_alphas");
    for name in ["narrow", "wide"] {
        let (x, y) = (single(&matrix(&golden, &format!("{name}_x"))), single(&matrix(&golden, &format!("{name}_y"))));
        let (rows, _) = training(x.nrows());
        let estimator = RidgeCv { options: options(&[1.0], true, Score::R2) };
        let prepared = estimator.prepare(x.view(), &rows, &[], &mut Leakage::default()).unwrap();
        let found = prepared.weights(y.view(), &alphas, &Work::default()).unwrap();
        near(wide(found.view()), &matrix(&golden, &format!("{name}_sklearn_weights")), 1e-5, name);
    }
}

/// A matrix of each feature space.
type Spaces = Vec<Array2<f32>>;

/// The fit, weights, features and responses.
fn banded(golden: &Npz, name: &str) -> (BandedFit, Spaces, Spaces, Array2<f32>) {
    let xs: Vec<Array2<f32>> = (0..3).map(|s| single(&matrix(golden, &format!("banded_x{s}")))).collect();
    let y = single(&matrix(golden, "banded_y"));
    let (rows, folds) = training(y.nrows());
    let gammas = matrix(golden, "banded_gammas");
    let estimator = BandedRidgeCv {
        options: RidgeOptions {
            per_target: name != "shared",
            ..options(&vector(golden, "banded_alphas"), name == "intercept", Score::NegativeMse)
        },
        gammas: Gammas::Given(gammas.rows().into_iter().map(|row| row.to_vec()).collect()),
    };
    let kernels = xs.iter().map(|x| linear_kernel(x.view(), &rows).unwrap()).collect();
    let search = estimator.prepare(kernels, &rows, &folds, &mut Leakage::default()).unwrap();
    let (work, mut state) = (Work::default(), SearchState::new(y.ncols()));
    while search.step(&mut state, y.view(), &work).unwrap() {}
    let found = search.finish(&state, y.view(), &work).unwrap();
    assert_eq!(found, search.fit(y.view(), &work).unwrap());
    let train: Vec<_> = xs.iter().map(|x| x.slice_axis(Axis(0), Slice::from(..TRAIN))).collect();
    let weights = search.weights(&state, &train, y.view(), &work).unwrap();
    (found, weights, xs, y)
}

/// mean y - mean x w over the training rows, where one is fitted.
fn intercepts(found: &BandedFit, xs: &[Array2<f32>], weights: &[Array2<f32>], y: &Array2<f32>) -> Vec<f64> {
    if found.intercept.iter().all(|&b| b == 0.0) {
        return vec![0.0; y.ncols()];
    }
    let mean =
        |a: &Array2<f32>| a.slice_axis(Axis(0), Slice::from(..TRAIN)).mapv(f64::from).mean_axis(Axis(0)).unwrap();
    let moved = xs.iter().zip(weights).fold(mean(y), |b, (x, w)| b - mean(x).dot(&w.mapv(f64::from)));
    moved.to_vec()
}

fn cross(xs: &[Array2<f32>]) -> Vec<Array2<f32>> {
    xs.iter().map(|x| test_rows(x).dot(&x.slice_axis(Axis(0), Slice::from(..TRAIN)).t())).collect()
}

#[test]
fn banded_ridge_equals_himalaya_on_its_own_draws() {
    let golden = golden();
    for name in ["plain", "intercept", "shared"] {
        let (found, weights, xs, y) = banded(&golden, name);
        let deltas = matrix(&golden, &format!("banded_{name}_deltas"));
        let ours = Array2::from_shape_fn(deltas.dim(), |(s, t)| (found.gammas[(s, t)] / found.alphas[t]).ln());
        near(ours.iter().copied(), &deltas, 1e-9, name);
        // himalaya's dual weights are multiplied by alpha.
        let dual = found.dual.mapv(f64::from) * ndarray::aview1(&found.alphas);
        near(dual.iter().copied(), &matrix(&golden, &format!("banded_{name}_dual")), 1e-4, name);
        if name != "shared" {
            near(found.cv_scores.iter().copied(), &vector(&golden, &format!("banded_{name}_cv_scores")), 1e-4, name);
        }
        let kernels = cross(&xs);
        let views: Vec<_> = kernels.iter().map(|k| k.view()).collect();
        // Target 3 has a kernel of rank 7 and a penalty of 1e-3: its dual weights are a thousand times
        // its predictions.
        near(wide(found.predict(&views).view()), &matrix(&golden, &format!("banded_{name}_predicted")), 1e-3, name);
        let by_weights =
            xs.iter().zip(&weights).fold(Array2::<f32>::zeros((15, 8)), |sum, (x, w)| sum + test_rows(x).dot(w));
        let by_weights = by_weights.mapv(f64::from) + ndarray::aview1(&intercepts(&found, &xs, &weights, &y));
        near(by_weights.iter().copied(), &matrix(&golden, &format!("banded_{name}_predicted")), 1e-4, "weights");
        if name == "intercept" {
            near(found.intercept.iter().copied(), &vector(&golden, "banded_intercept_intercept"), 1e-4, name);
            continue;
        }
        let expected = cube(&golden, &format!("banded_{name}_parts"));
        near(found.predict_parts(&views).iter().map(|&v| f64::from(v)), &expected, 1e-3, name);
        let parts: Vec<Array2<f32>> = xs.iter().zip(&weights).map(|(x, w)| test_rows(x).dot(w)).collect();
        let parts = ndarray::stack(Axis(0), &parts.iter().map(|p| p.view()).collect::<Vec<_>>()).unwrap();
        near(parts.iter().map(|&v| f64::from(v)), &expected, 1e-4, name);
        let test = test_rows(&y);
        let centred = &test - &test.mean_axis(Axis(0)).unwrap();
        let split = scores::r2_split(centred.view(), parts.view(), false).unwrap();
        near(split.iter().copied(), &matrix(&golden, &format!("banded_{name}_r2_split")), 1e-4, name);
        let split = scores::correlation_split(test, parts.view()).unwrap();
        near(split.iter().copied(), &matrix(&golden, &format!("banded_{name}_correlation_split")), 1e-4, name);
    }
}

#[test]
fn a_search_goes_on_where_it_was() {
    let golden = golden();
    let (whole, _, xs, y) = banded(&golden, "plain");
    let (rows, folds) = training(y.nrows());
    let gammas = matrix(&golden, "banded_gammas").rows().into_iter().map(|row| row.to_vec()).collect();
    let estimator = BandedRidgeCv {
        options: options(&vector(&golden, "banded_alphas"), false, Score::NegativeMse),
        gammas: Gammas::Given(gammas),
    };
    let kernels = || xs.iter().map(|x| linear_kernel(x.view(), &rows).unwrap()).collect();
    let work = Work::default();
    let mut state = SearchState::new(y.ncols());
    let first = estimator.prepare(kernels(), &rows, &folds, &mut Leakage::default()).unwrap();
    assert!(first.step(&mut state, y.view(), &work).unwrap() && state.n_done > 0);
    let kept = serde_json::to_string(&state.best_alphas).unwrap();
    assert_eq!(serde_json::from_str::<Vec<f64>>(&kept).unwrap(), state.best_alphas);
    let cancelled = Work::default();
    cancelled.cancel.cancel();
    let before = state.clone();
    assert_eq!(first.step(&mut state, y.view(), &cancelled).unwrap_err().exit_code(), 75);
    assert_eq!(state, before);
    let second = estimator.prepare(kernels(), &rows, &folds, &mut Leakage::default()).unwrap();
    while second.step(&mut state, y.view(), &work).unwrap() {}
    assert_eq!(second.finish(&state, y.view(), &work).unwrap(), whole);
    assert_eq!(state.trace.len(), 24);
    assert!(second.step(&mut SearchState::new(3), y.view(), &work).is_err());
}

#[test]
fn scores_of_repeats_equal_numpy() {
    let golden = golden();
    let (repeats, model) = (cube(&golden, "repeats"), matrix(&golden, "repeats_model"));
    let all: Vec<Repeats> = repeats.outer_iter().map(|r| Repeats::of(r.mapv(|v| v as f32).view())).collect();
    let of = |score: &dyn Fn(&[f64], &Repeats) -> f64| -> Vec<f64> {
        all.iter().zip(model.rows()).map(|(repeats, model)| score(&model.to_vec(), repeats)).collect()
    };
    near(of(&reliability::r2_er), &vector(&golden, "r2_er"), 1e-9, "r2_er");
    near(of(&reliability::feve), &vector(&golden, "feve"), 1e-9, "feve");
    near(of(&|_, r| r.fev()), &vector(&golden, "fev"), 1e-9, "fev");
    near(of(&|_, r| r.snr()), &vector(&golden, "snr"), 1e-9, "snr");
    let movie = cube(&golden, "movie").mapv(|v| v as f32);
    for (zscore, name) in [(true, "explainable_zscored"), (false, "explainable_plain")] {
        let found = reliability::explainable_variance(movie.view(), zscore).unwrap();
        near(found, &vector(&golden, name), 1e-9, name);
    }
}

#[test]
fn response_functions_equal_spm() {
    let golden = golden();
    for (name, gamma) in [
        ("spm", DoubleGamma::default()),
        ("kamali", DoubleGamma::kamali()),
        ("late", DoubleGamma::new([6.0, 16.0, 1.2, 0.9, 4.0, 2.0, 30.0])),
    ] {
        for (rate, dt_s) in [("movie", 1.0 / 15.0), ("slow", 2.0)] {
            let name = format!("hrf_{name}_{rate}");
            near(gamma.kernel(dt_s).unwrap(), &vector(&golden, &name), 1e-9, &name);
        }
    }
}

/// Features, and responses to them with noise from little to much.
fn simulated(seed: u64, n: usize, p: usize, t: usize) -> (Array2<f32>, Array2<f32>) {
    let mut stream = rng::stream(seed, "encoding", 0);
    let mut draw = |shape| Array2::from_shape_simple_fn(shape, || stream.normal());
    let (x, w, noise): (Array2<f64>, Array2<f64>, Array2<f64>) = (draw((n, p)), draw((p, t)), draw((n, t)));
    let gains = Array2::from_shape_fn((1, t), |(_, i)| 0.1 + i as f64);
    let y = x.dot(&w) / (p as f64).sqrt() + noise * gains + 3.0;
    (single(&(x + 1.0)), single(&y))
}

/// Bytes of everything that a fit gives.
fn bits(fit: &RidgeFit) -> Vec<u64> {
    let numbers = fit.weights.iter().map(|&v| f64::from(v)).chain(fit.intercept.iter().copied());
    let chosen = fit.selection.alphas.iter().chain(&fit.selection.cv_scores).copied();
    numbers.chain(chosen).map(f64::to_bits).collect()
}

#[test]
fn poisoned_held_out_rows_change_nothing() {
    let (x, y) = simulated(1, 80, 30, 4);
    let held: Vec<usize> = (0..80).filter(|i| i % 5 == 2).collect();
    let rows = Rows::new((0..80).filter(|i| !held.contains(i)).collect(), 80).unwrap();
    let made = folds(&rows, &Labels::default(), Split::Random { n_folds: 4, seed: 3 }, 0).unwrap();
    for form in [Form::Primal, Form::Kernel] {
        let fitted = |poison: f32| {
            let (mut x, mut y) = (x.clone(), y.clone());
            for &row in &held {
                x.row_mut(row).fill(poison);
                y.row_mut(row).fill(-poison);
            }
            let mut leakage = Leakage::default();
            let scaled =
                Standardizer::fit(x.view(), &rows, Scaling::ZScore { ddof: 0 }, "features", &mut leakage).unwrap();
            let scaled = scaled.apply(x.view());
            let estimator = RidgeCv { options: RidgeOptions { form, ..RidgeOptions::default() } };
            let fit = estimator.fit([scaled.view(), y.view()], &rows, &made, &mut leakage, &Work::default()).unwrap();
            let kernel = linear_kernel(x.view(), &rows).unwrap();
            let banded = BandedRidgeCv {
                gammas: Gammas::Given(vec![vec![0.5, 0.5], vec![1.0, 0.0]]),
                ..BandedRidgeCv::default()
            };
            let search =
                banded.prepare(vec![kernel, linear_kernel(scaled.view(), &rows).unwrap()], &rows, &made, &mut leakage);
            let banded = search.unwrap().fit(y.view(), &Work::default()).unwrap();
            // The record knows: nothing was fitted on a held-out row.
            leakage.check(&Rows::new(held.clone(), 80).unwrap()).unwrap();
            assert!(leakage.check(&Rows::new(vec![1], 80).unwrap()).is_err());
            (bits(&fit), banded.dual, leakage.report())
        };
        let clean = fitted(0.0);
        for poison in [1e30, f32::NAN, f32::INFINITY] {
            assert_eq!(fitted(poison), clean, "{poison}");
        }
        assert!(clean.2.iter().any(|line| line.what.contains("scales") && line.n_rows == 64));
    }
}

#[test]
fn the_tested_rows_of_a_fold_choose_penalties_and_nothing_else() {
    // A target whose tested rows are poisoned in one fold only: its weights are those of the rest.
    let (x, y) = simulated(2, 60, 10, 3);
    let rows = Rows::new((0..60).collect(), 60).unwrap();
    let one = |range: std::ops::Range<usize>| {
        let test = Rows::new(range.clone().collect(), 60).unwrap();
        let train = Rows::new((0..40).filter(|i| !range.contains(i)).collect(), 60).unwrap();
        vec![Fold { train, test, n_purged: 0, n_repeats: 0 }]
    };
    let scores = |x: &Array2<f32>, y: &Array2<f32>| {
        let estimator = RidgeCv { options: options(&[1.0, 10.0], true, Score::NegativeMse) };
        let prepared = estimator.prepare(x.view(), &rows, &one(40..50), &mut Leakage::default()).unwrap();
        prepared.prepared().cv_scores(&[1.0, 10.0], y.view(), &Work::default()).unwrap()
    };
    // Rows 50 to 59 are on no side of that fold.
    let (mut other_x, mut other_y) = (x.clone(), y.clone());
    other_x.slice_axis_mut(Axis(0), Slice::from(50..)).fill(1e3);
    other_y.slice_axis_mut(Axis(0), Slice::from(50..)).fill(-1e6);
    assert_eq!(scores(&x, &y), scores(&other_x, &other_y));
}

#[test]
fn bytes_do_not_depend_on_threads_ranges_or_memory() {
    let (x, y) = simulated(3, 60, 90, 331);
    let (rows, folds) = training(60);
    let fitted = |threads: usize, memory_mb: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let estimator = RidgeCv { options: RidgeOptions { memory_mb, ..RidgeOptions::default() } };
        pool.install(|| {
            estimator.fit([x.view(), y.view()], &rows, &folds, &mut Leakage::default(), &Work::default()).unwrap()
        })
    };
    let whole = fitted(1, 4096);
    assert_eq!(bits(&whole), bits(&fitted(3, 4096)));
    let estimator = RidgeCv::default();
    let prepared = estimator.prepare(x.view(), &rows, &folds, &mut Leakage::default()).unwrap();
    let ranges = [0..7, 7..200, 200..331];
    let parts: Vec<RidgeFit> =
        ranges.map(|range| prepared.fit(y.slice_axis(Axis(1), Slice::from(range)), &Work::default()).unwrap()).into();
    let weights = concatenate(Axis(1), &[parts[0].weights.view(), parts[1].weights.view(), parts[2].weights.view()]);
    assert_eq!(weights.unwrap(), whole.weights);
    let mut report = AlphaReport::default();
    parts.iter().for_each(|part| report += part.selection.report);
    assert_eq!(report, whole.selection.report);
    // A budget of nothing takes penalties one at a time: other sums, the same answer.
    let small = fitted(2, 0);
    near(small.selection.cv_scores, &whole.selection.cv_scores, 1e-5, "no memory");
}

#[test]
fn grids_are_extended_where_their_edge_is_best() {
    let (x, y) = simulated(4, 60, 20, 6);
    let report = |low: f64, high: f64, max_extensions: usize| {
        let options =
            RidgeOptions { alphas: Alphas::Relative { low, high, n: 4 }, max_extensions, ..RidgeOptions::default() };
        fit(options, &x, &y).selection
    };
    let wide_grid = report(1e-4, 1e4, 0);
    assert!(wide_grid.report.at_lower_edge + wide_grid.report.at_upper_edge < 6);
    // Everything is above this grid.
    let stuck = report(1e-9, 1e-8, 0);
    assert_eq!(stuck.report, AlphaReport { at_lower_edge: 0, at_upper_edge: 6, extended: 0 });
    let extended = report(1e-9, 1e-8, 9);
    assert_eq!(extended.report.extended, 6);
    assert!(extended.cv_scores.iter().zip(&stuck.cv_scores).all(|(a, b)| a > b));
    // And below this one, for what has little noise.
    let lower = report(1e3, 1e6, 9);
    assert!(lower.report.extended > 0 && lower.report.at_lower_edge == 0);
}

#[test]
fn targets_without_anything_to_fit_are_counted_and_zero() {
    let (x, mut y) = simulated(5, 75, 20, 5);
    y.column_mut(1).fill(4.2);
    y[(3, 2)] = f32::NAN;
    y[(70, 3)] = f32::NAN;
    let found = fit(RidgeOptions::default(), &x, &y);
    use TargetState::*;
    assert_eq!(found.selection.states, [Varies, Constant, NotFinite, Varies, Varies], "row 70 is held out");
    for t in [1, 2] {
        assert!(found.selection.alphas[t].is_nan() && found.selection.cv_scores[t] == 0.0);
        assert!(found.weights.column(t).iter().all(|&w| w == 0.0));
    }
    assert!((found.intercept[1] - 4.2).abs() < 1e-6 && found.intercept[2] == 0.0);
    let r = scores::pearson(test_rows(&y), found.predict(test_rows(&x)).view()).unwrap();
    assert_eq!((r.n_constant, r.n_not_finite, r.values[1], r.values[3]), (1, 1, 0.0, 0.0));
    let (clean, _) = (fit(RidgeOptions::default(), &x, &y.select(Axis(1), &[0, 4])), ());
    assert_eq!(clean.weights.column(1), found.weights.column(4), "others are as without them");
}

#[test]
fn bad_input_is_told() {
    let (x, y) = simulated(6, 75, 8, 2);
    let (rows, folds) = training(75);
    let (mut leakage, work) = (Leakage::default(), Work::default());
    let mut refused = |options: RidgeOptions, x: &Array2<f32>, y: &Array2<f32>, folds: &[Fold], said: &str| {
        let error = RidgeCv { options }.fit([x.view(), y.view()], &rows, folds, &mut leakage, &work).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(said), "{error}");
    };
    let default = RidgeOptions::default;
    let mut holed = x.clone();
    holed[(9, 3)] = f32::NAN;
    refused(default(), &holed, &y, &folds, "NaN at sample 9, column 3");
    refused(default(), &x.select(Axis(0), &[0, 1]), &y, &folds, "expected 75 samples, found 2");
    refused(default(), &x, &y.select(Axis(0), &[0, 1]), &folds, "expected 75 samples, found 2");
    refused(default(), &x, &y, &[], "to choose among penalties");
    refused(RidgeOptions { alphas: Alphas::Absolute(vec![1.0, 0.0]), ..default() }, &x, &y, &folds, "found 0");
    refused(default(), &Array2::ones((75, 8)), &y, &folds, "some that vary over the training rows");
    let outside = Rows::new((0..70).collect(), 75).unwrap();
    let outside = orthoscope::encoding::folds(&outside, &Labels::default(), Split::Block { n_folds: 2 }, 0).unwrap();
    refused(default(), &x, &y, &outside, "samples of the training side");
    let kernel = linear_kernel(x.view(), &rows).unwrap();
    let mut uneven = kernel.clone();
    uneven[(0, 1)] += 1.0;
    for (kernel, said) in [(uneven, "symmetric"), (Array2::zeros((3, 3)), "60 x 60")] {
        let error = KernelRidgeCv::default().prepare(kernel, &rows, &folds, &mut Leakage::default()).err().unwrap();
        assert!(error.to_string().contains(said), "{error}");
    }
    for gammas in [vec![], vec![vec![0.5]], vec![vec![-1.0, 2.0]], vec![vec![0.0, 0.0]], vec![vec![f64::NAN, 1.0]]] {
        let banded = BandedRidgeCv { gammas: Gammas::Given(gammas), ..BandedRidgeCv::default() };
        let kernels = vec![kernel.clone(), kernel.clone()];
        assert!(banded.prepare(kernels, &rows, &folds, &mut Leakage::default()).is_err());
    }
    work.cancel.cancel();
    let stopped = RidgeCv::default().fit([x.view(), y.view()], &rows, &folds, &mut leakage, &work);
    assert_eq!(stopped.unwrap_err().exit_code(), 75);
}

#[test]
fn draws_are_dirichlet() {
    for concentration in [0.1, 1.0, 5.0] {
        let gammas = Gammas::Random { n_iter: 4001, concentration: vec![concentration], seed: 2 };
        let drawn = gammas.candidates(4).unwrap();
        assert_eq!(drawn.row(0).to_vec(), [0.25; 4]);
        assert!(drawn.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-12));
        // Mean 1/k, variance (1/k)(1 - 1/k) / (k c + 1).
        let expected = 0.25 * 0.75 / (4.0 * concentration + 1.0);
        for column in drawn.slice_axis(Axis(0), Slice::from(1..)).columns() {
            assert!((column.mean().unwrap() - 0.25).abs() < 0.02);
            assert!((column.var(1.0) / expected - 1.0).abs() < 0.1, "{concentration}: {} {expected}", column.var(1.0));
        }
    }
}

/// The weights of the normal equations in 64 bits.
fn normal_equations(x: &Array2<f32>, y: &Array2<f32>, alpha: f64) -> Array2<f64> {
    let centred = |a: &Array2<f32>| {
        let a = a.mapv(f64::from);
        &a - &a.mean_axis(Axis(0)).unwrap()
    };
    let (x, y) = (centred(x), centred(y));
    let normal = x.t().dot(&x) + Array2::<f64>::eye(x.ncols()) * alpha;
    Cholesky::new(normal.view()).unwrap().solve(x.t().dot(&y).view())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Primal = kernel = normal equations, whatever the shape.
    #[test]
    fn both_forms_are_the_normal_equations(
        seed in 0u64..1000, p in 1usize..90, t in 1usize..20, log_alpha in -2.0f64..3.0, n in 20usize..70,
    ) {
        let (x, y) = simulated(seed, n, p, t);
        let alpha = 10f64.powf(log_alpha);
        let expected = normal_equations(&x, &y, alpha);
        let rows = Rows::all(n).unwrap();
        for form in [Form::Primal, Form::Kernel] {
            let estimator = RidgeCv { options: RidgeOptions { form, ..options(&[alpha], true, Score::R2) } };
            let found = estimator.fit([x.view(), y.view()], &rows, &[], &mut Leakage::default(), &Work::default()).unwrap();
            let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            for (a, b) in found.weights.iter().zip(&expected) {
                prop_assert!((f64::from(*a) - b).abs() < 1e-4 * scale, "{form:?} {a} {b}");
            }
        }
    }

    /// A penalty of any size in any fold: the scores are those of predictions made one by one.
    #[test]
    fn scores_of_folds_are_those_of_their_predictions(seed in 0u64..1000, p in 2usize..80, log_alpha in -2.0f64..4.0) {
        let (x, y) = simulated(seed, 40, p, 3);
        let rows = Rows::all(40).unwrap();
        let made = folds(&rows, &Labels::default(), Split::Random { n_folds: 3, seed }, 1).unwrap();
        let alphas: Vec<f64> = (0..7).map(|i| 10f64.powf(log_alpha + 0.5 * f64::from(i))).collect();
        for score in [Score::NegativeMse, Score::R2, Score::Pearson] {
            let estimator = RidgeCv { options: options(&alphas, true, score) };
            let prepared = estimator.prepare(x.view(), &rows, &made, &mut Leakage::default()).unwrap();
            let found = prepared.prepared().cv_scores(&alphas, y.view(), &Work::default()).unwrap();
            for (a, &alpha) in alphas.iter().enumerate() {
                let mut expected = [0.0; 3];
                for fold in &made {
                    let take = |m: &Array2<f32>, rows: &Rows| m.select(Axis(0), rows.indices());
                    let (own, targets) = (take(&x, &fold.train), take(&y, &fold.train));
                    let weights = normal_equations(&own, &targets, alpha);
                    let means = |m: &Array2<f32>| m.mapv(f64::from).mean_axis(Axis(0)).unwrap();
                    let mut predicted = (take(&x, &fold.test).mapv(f64::from) - means(&own)).dot(&weights);
                    if score != Score::Pearson {
                        // It would be rounded to 32 bits of the mean, and is not asked for.
                        predicted += &means(&targets);
                    }
                    let (tested, predicted) = (take(&y, &fold.test), single(&predicted));
                    let n = tested.nrows() as f64;
                    let values = match score {
                        Score::NegativeMse => (0..3).map(|t| {
                            -tested.column(t).iter().zip(predicted.column(t)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / n
                        }).collect(),
                        Score::R2 => scores::r2(tested.view(), predicted.view()).unwrap().values,
                        Score::Pearson => scores::pearson(tested.view(), predicted.view()).unwrap().values,
                    };
                    expected.iter_mut().zip(values).for_each(|(sum, v)| *sum += v / made.len() as f64);
                }
                for t in 0..3 {
                    let difference = (found[(a, t)] - expected[t]).abs();
                    prop_assert!(difference < 1e-4 * (1.0 + expected[t].abs()), "{score:?} {} {}", found[(a, t)], expected[t]);
                }
            }
        }
    }
}
