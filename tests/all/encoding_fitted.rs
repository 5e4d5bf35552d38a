//! Features that learn are fitted anew in every fold: against scikit-learn's pipelines
//! (`tests/golden/fitted.py`), and by poisoning what must not be seen.

use crate::support::near;
use ndarray::{Array2, ArrayView2, Axis, Ix2, Slice, concatenate};
use orthoscope::encoding::features::{Keep, Pca, PcaOptions, Table};
use orthoscope::encoding::*;
use orthoscope::io::npz::{self, Npz};
use orthoscope::{Result, rng};
use std::path::Path;
use std::sync::Mutex;

const TRAIN: usize = 60;

fn matrix(golden: &Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

fn single(a: &Array2<f64>) -> Array2<f32> {
    a.mapv(|v| v as f32)
}

/// Components that keep a share of the variance: their number differs from fold to fold.
struct Components(Array2<f32>);

impl Features for Components {
    fn n_samples(&self) -> usize {
        self.0.nrows()
    }

    fn fitted_on(&self, rows: &Rows, leakage: &mut Leakage) -> Result<Array2<f32>> {
        let table = Table::Features(self.0.clone());
        let options = PcaOptions { keep: Keep::Variance(0.9), ..PcaOptions::default() };
        Pca::fit(&table, rows, &options, "conv1", leakage)?.scores(&table)
    }

    fn learns(&self) -> bool {
        true
    }
}

fn scaled(x: &Array2<f32>) -> Standardized {
    Standardized { x: x.clone(), scaling: Scaling::ZScore { ddof: 0 }, what: "conv1".into() }
}

fn training(n: usize) -> (Rows, Vec<Fold>) {
    let rows = Rows::new((0..TRAIN).collect(), n).unwrap();
    let made = folds(&rows, &Labels::default(), Split::Block { n_folds: 5 }, 0).unwrap();
    (rows, made)
}

fn estimator(alphas: &[f64], form: Form, score: Score) -> RidgeCv {
    let alphas = Alphas::Absolute(alphas.to_vec());
    RidgeCv { options: RidgeOptions { alphas, form, score, max_extensions: 0, ..RidgeOptions::default() } }
}

#[test]
fn every_fold_is_a_pipeline_of_scikit_learn() {
    let golden = npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fitted.npz")).unwrap();
    let alphas: Vec<f64> = golden.get::<f64>("alphas").unwrap().iter().copied().collect();
    let work = Work::default();
    for size in ["narrow", "wide"] {
        let (x, y) = (single(&matrix(&golden, &format!("{size}_x"))), single(&matrix(&golden, &format!("{size}_y"))));
        let (rows, folds) = training(x.nrows());
        let learners: [(&str, &dyn Features); 2] = [("zscore", &scaled(&x)), ("pca", &Components(x.clone()))];
        for (name, features) in learners {
            for (score, called) in [(Score::NegativeMse, "negative_mse"), (Score::R2, "r2")] {
                for form in [Form::Auto, Form::Primal, Form::Kernel] {
                    let key = format!("{size}_{name}_{called}");
                    let mut leakage = Leakage::default();
                    let estimator = estimator(&alphas, form, score);
                    let prepared = estimator.prepare_on(features, &rows, &folds, &mut leakage).unwrap();
                    let scores = prepared.prepared().cv_scores(&alphas, y.view(), &work).unwrap();
                    let expected = matrix(&golden, &format!("{key}_scores"));
                    for (found, expected) in scores.columns().into_iter().zip(expected.columns()) {
                        near(found.to_vec(), &expected.to_vec(), 1e-5, &key);
                    }
                    // Scores of features that were fitted once are not these.
                    let leaky = golden.get::<f64>(&format!("{key}_leaky")).unwrap();
                    let apart = |(a, b): (&f64, &f64)| (a - b).abs() > 2e-3 * b.abs();
                    assert!(scores.column(0).iter().zip(&leaky).filter(|pair| apart(*pair)).count() > 4, "{key}");
                    let fit = prepared.fit(y.view(), &work).unwrap();
                    let chosen = golden.get::<f64>(&format!("{key}_alphas")).unwrap();
                    near(fit.selection.alphas.clone(), &chosen, 1e-12, &key);
                    let all = features.fitted_on(&rows, &mut Leakage::default()).unwrap();
                    let predicted = fit.predict(all.slice_axis(Axis(0), Slice::from(TRAIN..)));
                    let expected = matrix(&golden, &format!("{key}_predicted"));
                    near(predicted.iter().map(|&v| f64::from(v)), &expected, 1e-5, &key);
                }
            }
        }
    }
}

/// Features of some scale and responses to them.
fn simulated(seed: u64, n: usize, p: usize, t: usize) -> (Array2<f32>, Array2<f32>) {
    let mut stream = rng::stream(seed, "fitted", 0);
    let mut draw = |shape| Array2::from_shape_simple_fn(shape, || stream.normal());
    let (x, w, noise): (Array2<f64>, Array2<f64>, Array2<f64>) = (draw((n, p)), draw((p, t)), draw((n, t)));
    let y = x.dot(&w) / (p as f64).sqrt() + noise;
    (single(&(x * ndarray::Array1::linspace(0.5, 4.0, p) + 2.0)), single(&y))
}

fn bits(fit: &RidgeFit) -> Vec<u64> {
    let numbers = fit.weights.iter().map(|&v| f64::from(v)).chain(fit.intercept.iter().copied());
    numbers.chain(fit.selection.alphas.iter().chain(&fit.selection.cv_scores).copied()).map(f64::to_bits).collect()
}

#[test]
fn where_nothing_learns_it_is_the_plain_problem() {
    let (x, y) = simulated(1, 70, 20, 5);
    let (rows, folds) = training(70);
    let (mut plain, mut on) = (Leakage::default(), Leakage::default());
    let ridge = RidgeCv::default();
    let expected = ridge.prepare(x.view(), &rows, &folds, &mut plain).unwrap().fit(y.view(), &Work::default()).unwrap();
    let unscaled = Standardized { scaling: Scaling::None, ..scaled(&x) };
    let nothing: [&dyn Features; 2] = [&x.view(), &unscaled];
    for features in nothing {
        on = Leakage::default();
        let found = ridge.prepare_on(features, &rows, &folds, &mut on).unwrap();
        assert_eq!(bits(&found.fit(y.view(), &Work::default()).unwrap()), bits(&expected));
        assert_eq!(on, plain);
    }
    let banded = BandedRidgeCv { gammas: Gammas::Given(vec![vec![0.5, 0.5], vec![0.9, 0.1]]), ..Default::default() };
    let narrow = x.slice_axis(Axis(1), Slice::from(..3));
    let kernels = [x.view(), narrow].map(|x| kernel_ridge::linear_kernel(x, &rows).unwrap()).to_vec();
    let expected = banded.prepare(kernels, &rows, &folds, &mut plain).unwrap().fit(y.view(), &Work::default()).unwrap();
    let found = banded.prepare_on(&[&x.view(), &narrow], &rows, &folds, &mut on).unwrap();
    assert_eq!(found.fit(y.view(), &Work::default()).unwrap(), expected);
    assert_eq!(on, plain);
}

#[test]
fn poisoned_held_out_rows_change_nothing() {
    let (x, y) = simulated(2, 80, 30, 4);
    let held: Vec<usize> = (0..80).filter(|i| i % 5 == 2).collect();
    let rows = Rows::new((0..80).filter(|i| !held.contains(i)).collect(), 80).unwrap();
    let made = folds(&rows, &Labels::default(), Split::Interleaved { n_folds: 4 }, 0).unwrap();
    let fitted = |poison: f32, threads: usize| {
        let (mut x, mut y) = (x.clone(), y.clone());
        for &row in &held {
            x.row_mut(row).fill(poison);
            y.row_mut(row).fill(-poison);
        }
        let mut leakage = Leakage::default();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let fits = pool.install(|| {
            let learners: [&dyn Features; 2] = [&scaled(&x), &Components(x.clone())];
            let ridge = learners.map(|features| {
                let prepared = RidgeCv::default().prepare_on(features, &rows, &made, &mut leakage).unwrap();
                bits(&prepared.fit(y.view(), &Work::default()).unwrap())
            });
            let banded = BandedRidgeCv {
                gammas: Gammas::Given(vec![vec![0.5, 0.5], vec![1.0, 0.0]]),
                ..BandedRidgeCv::default()
            };
            let search = banded.prepare_on(&learners, &rows, &made, &mut leakage).unwrap();
            (ridge, search.fit(y.view(), &Work::default()).unwrap().dual)
        });
        leakage.check(&Rows::new(held.clone(), 80).unwrap()).unwrap();
        (fits, leakage.report())
    };
    let clean = fitted(0.0, 1);
    for poison in [1e30, f32::NAN, f32::INFINITY] {
        assert_eq!(fitted(poison, 2), clean, "{poison}");
    }
    // A line a fold, beside those of the refit.
    for (k, fold) in made.iter().enumerate() {
        for what in ["means and scales of conv1", "principal components of conv1"] {
            let what = format!("fold {k}: {what}");
            let line = clean.1.iter().find(|line| line.what == what).expect("a line a fold");
            assert_eq!((line.n_rows, &line.rows), (48, &fold.train.to_string()));
        }
    }
    assert!(clean.1.iter().any(|line| line.what == "means and scales of conv1" && line.n_rows == 64));
}

/// Notes which rows are asked for.
struct Spy<'a>(Standardized, &'a Mutex<Vec<Rows>>);

impl Features for Spy<'_> {
    fn n_samples(&self) -> usize {
        self.0.n_samples()
    }

    fn fitted_on(&self, rows: &Rows, leakage: &mut Leakage) -> Result<Array2<f32>> {
        self.1.lock().unwrap().push(rows.clone());
        self.0.fitted_on(rows, leakage)
    }

    fn learns(&self) -> bool {
        true
    }
}

/// The tested rows of a fold stand far away: their statistics are in no score but as predictions.
#[test]
fn what_a_fold_tests_is_in_none_of_its_statistics() {
    let (mut x, y) = simulated(3, TRAIN, 8, 3);
    let (rows, folds) = training(TRAIN);
    let folds = &folds[1..2];
    folds[0].test.indices().iter().for_each(|&row| x.row_mut(row).mapv_inplace(|v| 30.0 * v - 90.0));
    let asked = Mutex::new(vec![]);
    let alphas = [0.5, 50.0];
    for form in [Form::Primal, Form::Kernel] {
        let ridge = estimator(&alphas, form, Score::NegativeMse);
        let prepared = ridge.prepare_on(&Spy(scaled(&x), &asked), &rows, folds, &mut Leakage::default()).unwrap();
        let found = prepared.prepared().cv_scores(&alphas, y.view(), &Work::default()).unwrap();
        let of = |m: &Array2<f32>, rows: &Rows| m.select(Axis(0), rows.indices());
        let mut leakage = Leakage::default();
        let own = Standardizer::fit(x.view(), &folds[0].train, Scaling::ZScore { ddof: 0 }, "own", &mut leakage);
        let z = own.unwrap().apply(x.view());
        let only = Rows::all(folds[0].train.len()).unwrap();
        for (a, &alpha) in alphas.iter().enumerate() {
            let (train, targets) = (of(&z, &folds[0].train), of(&y, &folds[0].train));
            let fit = estimator(&[alpha], form, Score::NegativeMse)
                .fit([train.view(), targets.view()], &only, &[], &mut leakage, &Work::default())
                .unwrap();
            let apart = of(&y, &folds[0].test) - fit.predict(of(&z, &folds[0].test).view());
            let expected: Vec<f64> = apart.columns().into_iter().map(|e| -f64::from(e.dot(&e)) / 12.0).collect();
            near(found.row(a).to_vec(), &expected, 1e-5, "far away");
        }
    }
    let asked = asked.into_inner().unwrap();
    assert_eq!(asked, [&rows, &folds[0].train, &rows, &folds[0].train].map(Clone::clone));
}

/// Fits on everything, and says so, or not.
struct Cheat(Standardized, bool);

impl Features for Cheat {
    fn n_samples(&self) -> usize {
        self.0.n_samples()
    }

    fn fitted_on(&self, _: &Rows, leakage: &mut Leakage) -> Result<Array2<f32>> {
        let all = Rows::all(self.n_samples())?;
        if self.1 { self.0.fitted_on(&all, leakage) } else { self.0.fitted_on(&all, &mut Leakage::default()) }
    }

    fn learns(&self) -> bool {
        true
    }
}

#[test]
fn features_that_see_too_much_are_refused() {
    let (x, _) = simulated(4, 70, 8, 1);
    let (rows, folds) = training(70);
    let refused = |features: &dyn Features, rows: &Rows, said: &str| {
        let ridge = RidgeCv::default().prepare_on(features, rows, &folds, &mut Leakage::default()).err().unwrap();
        let banded = BandedRidgeCv::default();
        let banded = banded.prepare_on(&[features], rows, &folds, &mut Leakage::default()).err().unwrap();
        for error in [ridge, banded] {
            assert!(error.exit_code() == 2 && error.to_string().contains(said), "{error}");
        }
    };
    refused(&Cheat(scaled(&x), true), &rows, "conv1 fitted on sample 60");
    refused(&Cheat(scaled(&x), false), &rows, "note of what they learnt");
    refused(&scaled(&x), &Rows::new((0..60).collect(), 71).unwrap(), "71 samples");
    let few = Rows::new((0..40).collect(), 70).unwrap();
    refused(&scaled(&x), &few, "samples of the training side");
    let mut holed = x.clone();
    holed[(9, 3)] = f32::NAN;
    refused(&scaled(&holed), &rows, "NaN at sample 9, column 3");
}

/// Spaces at fixed weights are one space: its scores are those of ridge on all columns.
#[test]
fn banded_folds_are_those_of_ridge_on_all_columns() {
    let (x, y) = simulated(5, 70, 24, 4);
    let (rows, folds) = training(70);
    let alphas = [1.0, 10.0, 100.0];
    let part = |range: std::ops::Range<usize>| x.slice_axis(Axis(1), Slice::from(range)).to_owned();
    let (left, right) = (scaled(&part(0..9)), part(9..24));
    let banded = BandedRidgeCv {
        options: estimator(&alphas, Form::Auto, Score::R2).options,
        gammas: Gammas::Given(vec![vec![1.0, 1.0]]),
    };
    let spaces: [&dyn Features; 2] = [&left, &right.view()];
    let search = banded.prepare_on(&spaces, &rows, &folds, &mut Leakage::default()).unwrap();
    let found = search.fit(y.view(), &Work::default()).unwrap();
    /// Both side by side.
    struct Both<'a>(&'a Standardized, ArrayView2<'a, f32>);
    impl Features for Both<'_> {
        fn n_samples(&self) -> usize {
            self.0.n_samples()
        }
        fn fitted_on(&self, rows: &Rows, leakage: &mut Leakage) -> Result<Array2<f32>> {
            Ok(concatenate(Axis(1), &[self.0.fitted_on(rows, leakage)?.view(), self.1]).unwrap())
        }
        fn learns(&self) -> bool {
            true
        }
    }
    let ridge = estimator(&alphas, Form::Auto, Score::R2);
    let prepared = ridge.prepare_on(&Both(&left, right.view()), &rows, &folds, &mut Leakage::default()).unwrap();
    let expected = prepared.fit(y.view(), &Work::default()).unwrap();
    near(found.cv_scores.clone(), &expected.selection.cv_scores, 1e-5, "scores");
    assert_eq!(found.alphas, expected.selection.alphas);
}
