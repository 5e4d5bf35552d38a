//! Windows and penalties chosen together: against a loop over candidates with scikit-learn
//! (`tests/golden/receptive_fields.py`), and what must hold whatever the data.

use crate::support::near;
use ndarray::{Array2, Axis, Ix2, Slice, concatenate, s};
use orthoscope::encoding::*;
use orthoscope::io::npz::{self, Npz};
use orthoscope::rng;
use std::path::Path;

const TRAIN: usize = 72;
const CHANNELS: usize = 5;

fn golden() -> Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/receptive_fields.npz")).unwrap()
}

fn matrix(golden: &Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

fn vector(golden: &Npz, name: &str) -> Vec<f64> {
    golden.get::<f64>(name).unwrap().iter().copied().collect()
}

fn single(a: &Array2<f64>) -> Array2<f32> {
    a.mapv(|v| v as f32)
}

fn training(n: usize, split: Split) -> (Rows, Vec<Fold>) {
    let rows = Rows::new((0..TRAIN).collect(), n).unwrap();
    let made = folds(&rows, &Labels::default(), split, 0).unwrap();
    (rows, made)
}

fn estimator(alphas: Vec<f64>, score: Score, form: Form) -> GaussianRf {
    let options = RidgeOptions { alphas: Alphas::Absolute(alphas), score, form, ..RidgeOptions::default() };
    GaussianRf { options, ..GaussianRf::default() }
}

#[test]
fn windows_are_those_of_a_loop_over_candidates() {
    let golden = golden();
    let (x, y) = (single(&matrix(&golden, "x")), single(&matrix(&golden, "y")));
    let (rows, folds) = training(x.nrows(), Split::Block { n_folds: 4 });
    for (score, name) in [(Score::NegativeMse, "negative_mse"), (Score::R2, "r2")] {
        for form in [Form::Auto, Form::Kernel] {
            let rf = estimator(vector(&golden, "alphas"), score, form);
            let search = rf.prepare(x.view(), CHANNELS, &rows, &folds, &mut Leakage::default()).unwrap();
            let found = search.fit(y.view(), &Work::default()).unwrap();
            let of = |what: &str| vector(&golden, &format!("{name}_{what}"));
            assert_eq!(found.windows.iter().map(|&w| w as f64).collect::<Vec<_>>(), of("windows"), "{name}");
            near(found.alphas.clone(), &of("alphas"), 1e-12, name);
            for (found, expected) in found.cv_scores.iter().zip(of("scores")) {
                assert!((found - expected).abs() < 1e-5 * expected.abs(), "{name}: {found} {expected}");
            }
            near(found.weights.iter().map(|&v| f64::from(v)), &of("weights"), 1e-5, name);
            near(found.intercept.clone(), &of("intercept"), 1e-5, name);
            let predicted = found.predict(x.slice_axis(Axis(0), Slice::from(TRAIN..)));
            near(predicted.iter().map(|&v| f64::from(v)), &of("predicted"), 1e-5, name);
            assert_eq!(found.scale[4 * CHANNELS + 2], 1.0, "a channel that does not vary");
            assert_eq!((found.mean.len(), found.scale.len()), (x.ncols(), x.ncols()));
            // fwRF z-scores with the statistics of the samples that it holds out: other scores.
            let leaky = of("leaky_scores");
            let apart = |(a, b): &(&f64, &f64)| (*a - *b).abs() > 1e-3 * b.abs();
            assert!(found.cv_scores.iter().zip(&leaky).filter(apart).count() > 7, "{name}");
            let edges = |alpha: f64| found.alphas.iter().filter(|&&a| a == alpha).count();
            assert_eq!((found.report.at_lower_edge, found.report.at_upper_edge), (edges(1.0), edges(1e4)));
        }
    }
}

/// Channels under windows along a line, and targets that look through one of them.
fn simulated(seed: u64, n: usize, candidates: usize, t: usize) -> (Array2<f32>, Array2<f32>, Vec<usize>) {
    let mut stream = rng::stream(seed, "windows", 0);
    let mut x = Array2::<f32>::from_shape_simple_fn((n, candidates * CHANNELS), || stream.normal() as f32);
    for g in 1..candidates {
        let (before, mut own) =
            x.multi_slice_mut((s![.., (g - 1) * CHANNELS..g * CHANNELS], s![.., g * CHANNELS..(g + 1) * CHANNELS]));
        own.zip_mut_with(&before, |v, b| *v = 0.8 * *v + 0.6 * b);
    }
    let windows: Vec<usize> = (0..t).map(|t| (7 * t) % candidates).collect();
    let mut y = Array2::from_shape_simple_fn((n, t), || 0.3 * stream.normal() as f32);
    for (mut y, &g) in y.columns_mut().into_iter().zip(&windows) {
        for c in 0..CHANNELS {
            y.scaled_add(stream.normal() as f32, &x.column(g * CHANNELS + c));
        }
    }
    (x, y, windows)
}

#[test]
fn bytes_do_not_depend_on_threads_ranges_or_interruptions() {
    let (x, y, windows) = simulated(1, 90, 19, 161);
    let (rows, folds) = training(90, Split::Interleaved { n_folds: 4 });
    let rf = GaussianRf::default();
    let search = || rf.prepare(x.view(), CHANNELS, &rows, &folds, &mut Leakage::default()).unwrap();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| search().fit(y.view(), &Work::default()).unwrap())
    };
    let whole = on(1);
    assert_eq!(whole.windows, windows, "little noise");
    assert_eq!(on(3), whole);
    // In ranges of targets, the first of them interrupted and gone on with by another process.
    let parts = [0..5, 5..149, 149..161].map(|range| {
        let y = y.slice_axis(Axis(1), Slice::from(range));
        let (mut state, work) = (SearchState::new(y.ncols()), Work::default());
        assert!(search().step(&mut state, y, &work).unwrap());
        let kept = state.clone();
        work.cancel.cancel();
        assert_eq!(search().step(&mut state, y, &work).unwrap_err().exit_code(), 75);
        assert_eq!(state, kept);
        let second = search();
        assert!(second.finish(&state, y, &Work::default()).unwrap_err().to_string().contains("19 candidates"));
        while second.step(&mut state, y, &Work::default()).unwrap() {}
        assert_eq!((state.n_done, state.trace.len()), (19, 19));
        second.finish(&state, y, &Work::default()).unwrap()
    });
    let weights = concatenate(Axis(1), &parts.each_ref().map(|part| part.weights.view())).unwrap();
    assert_eq!(weights, whole.weights);
    let joined = |of: fn(&RfFit) -> &Vec<f64>| parts.iter().flat_map(|part| of(part).clone()).collect::<Vec<_>>();
    assert_eq!(joined(|fit| &fit.cv_scores), whole.cv_scores);
    assert_eq!(joined(|fit| &fit.alphas), whole.alphas);
    assert_eq!(joined(|fit| &fit.intercept), whole.intercept);
    let predicted =
        concatenate(Axis(1), &parts.each_ref().map(|part| part.predict(x.view())).each_ref().map(|p| p.view()));
    assert_eq!(predicted.unwrap(), whole.predict(x.view()));
}

#[test]
fn poisoned_held_out_rows_change_nothing() {
    let (x, y, _) = simulated(2, 90, 9, 12);
    let (rows, folds) = training(90, Split::Random { n_folds: 3, seed: 1 });
    let fitted = |poison: f32| {
        let (mut x, mut y) = (x.clone(), y.clone());
        x.slice_axis_mut(Axis(0), Slice::from(TRAIN..)).fill(poison);
        y.slice_axis_mut(Axis(0), Slice::from(TRAIN..)).fill(-poison);
        let mut leakage = Leakage::default();
        let search = GaussianRf::default().prepare(x.view(), CHANNELS, &rows, &folds, &mut leakage).unwrap();
        leakage.check(&Rows::new((TRAIN..90).collect(), 90).unwrap()).unwrap();
        (search.fit(y.view(), &Work::default()).unwrap().weights, leakage.report())
    };
    let clean = fitted(0.0);
    for poison in [1e30, f32::NAN] {
        assert_eq!(fitted(poison), clean, "{poison}");
    }
    let said = |what: &str| clean.1.iter().find(|line| line.what == what).unwrap_or_else(|| panic!("{what}"));
    assert_eq!(said("fold 2: means and scales of channels under windows").rows, folds[2].train.to_string());
    assert_eq!(said("means and scales of channels under windows").n_rows, TRAIN);
    assert_eq!(said("windows, by inner folds").n_rows, TRAIN);
}

/// The tested rows of a fold are in none of its scales: each candidate's scores are those of a
/// ridge whose features are fitted in the fold.
#[test]
fn scores_are_those_of_each_candidate_alone() {
    let (mut x, y, _) = simulated(3, TRAIN, 4, 6);
    x.row_mut(70).mapv_inplace(|v| 40.0 * v - 100.0);
    let (rows, folds) = training(TRAIN, Split::Interleaved { n_folds: 4 });
    let rf = GaussianRf::default();
    let mut best = vec![f64::NEG_INFINITY; 6];
    for g in 0..4 {
        let own = x.slice_axis(Axis(1), Slice::from(g * CHANNELS..(g + 1) * CHANNELS)).to_owned();
        let own = Standardized { x: own, scaling: Scaling::ZScore { ddof: 0 }, what: "own".into() };
        let ridge = RidgeCv { options: RidgeOptions { max_extensions: 0, ..RidgeOptions::default() } };
        let prepared = ridge.prepare_on(&own, &rows, &folds, &mut Leakage::default()).unwrap();
        let scores = prepared.fit(y.view(), &Work::default()).unwrap().selection.cv_scores;
        best.iter_mut().zip(scores).for_each(|(best, score)| *best = best.max(score));
    }
    let search = rf.prepare(x.view(), CHANNELS, &rows, &folds, &mut Leakage::default()).unwrap();
    assert_eq!(search.fit(y.view(), &Work::default()).unwrap().cv_scores, best);
}

#[test]
fn what_cannot_be_fitted_is_told_or_counted() {
    let (mut x, mut y, _) = simulated(4, 90, 6, 5);
    let (rows, folds) = training(90, Split::Block { n_folds: 3 });
    let refused = |rf: &GaussianRf, x: &Array2<f32>, channels: usize, folds: &[Fold], said: &str| {
        let error = rf.prepare(x.view(), channels, &rows, folds, &mut Leakage::default()).err().unwrap();
        assert!(error.exit_code() == 2 && error.to_string().contains(said), "{error}");
    };
    let rf = GaussianRf::default();
    let shared = GaussianRf { options: RidgeOptions { per_target: false, ..RidgeOptions::default() }, ..rf.clone() };
    refused(&rf, &x, 7, &folds, "30 columns of 7");
    refused(&rf, &x, 0, &folds, "30 columns of 0");
    refused(&rf, &x, CHANNELS, &[], "choose among windows");
    refused(&shared, &x, CHANNELS, &folds, "a penalty for each target");
    refused(&rf, &Array2::ones((90, 10)), CHANNELS, &folds, "vary");
    refused(&rf, &Array2::ones((9, 10)), CHANNELS, &folds, "90 samples");
    let mut holed = x.clone();
    holed[(3, 8)] = f32::INFINITY;
    refused(&rf, &holed, CHANNELS, &folds, "sample 3, column 8");
    // Nothing varies under one window; a target that is one value, one that is no number.
    x.slice_axis_mut(Axis(1), Slice::from(2 * CHANNELS..3 * CHANNELS)).fill(0.25);
    y.column_mut(1).fill(4.0);
    y[(3, 2)] = f32::NAN;
    let search = rf.prepare(x.view(), CHANNELS, &rows, &folds, &mut Leakage::default()).unwrap();
    let mut state = SearchState::new(5);
    while search.step(&mut state, y.view(), &Work::default()).unwrap() {}
    assert_eq!(state.trace[2], f64::NEG_INFINITY);
    let found = search.finish(&state, y.view(), &Work::default()).unwrap();
    assert_eq!(found.states[..3], [TargetState::Varies, TargetState::Constant, TargetState::NotFinite]);
    assert!(found.alphas[1].is_nan() && found.windows[1] == 0 && found.weights.column(2).iter().all(|&w| w == 0.0));
    assert!((found.intercept[1] - 4.0).abs() < 1e-6 && found.intercept[2] == 0.0);
    assert!(found.windows.iter().all(|&window| window != 2));
    assert!(found.predict(x.view()).column(1).iter().all(|&v| v == 4.0));
    let wrong = search.step(&mut SearchState::new(3), y.view(), &Work::default()).unwrap_err();
    assert!(wrong.to_string().contains("3 targets"), "{wrong}");
}
