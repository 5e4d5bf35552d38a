use super::*;
use crate::io::npz::{self, Npz};
use crate::rng;
use ndarray::{Ix2, Ix3};
use std::path::Path;

const METHODS: [(&str, Comparison); 4] = [
    ("cosine", Comparison::Cosine),
    ("corr", Comparison::Pearson),
    ("spearman", Comparison::Spearman),
    ("tau-a", Comparison::KendallTauA),
];

fn golden() -> Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stats_inference.npz")).unwrap()
}

fn matrix(golden: &Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

fn vector(golden: &Npz, name: &str) -> Vec<f64> {
    golden.get::<f64>(name).unwrap().iter().copied().collect()
}

fn near(found: impl IntoIterator<Item = f64>, expected: &[f64], what: &str) {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < 1e-10, "{what} at {i}: {a} against {b}");
    }
}

fn resamples(golden: &Npz, key: &str) -> Vec<Resample> {
    let rows = |name: &str| {
        let drawn = golden.get::<i64>(&format!("{key}_{name}_idx")).unwrap().into_dimensionality::<Ix2>().unwrap();
        drawn.outer_iter().map(|row| row.iter().map(|&i| i as usize).collect()).collect::<Vec<Vec<usize>>>()
    };
    rows("rdm").into_iter().zip(rows("pattern")).map(|(rdms, patterns)| Resample { rdms, patterns }).collect()
}

fn near_tests(golden: &Npz, key: &str, found: &ModelTests, with_ceiling: bool) {
    let expected = |name: &str| vector(golden, &format!("{key}_{name}"));
    let what = |name: &str| format!("{key}: {name}");
    near(found.mean.clone(), &expected("mean"), &what("mean"));
    near(found.variance.clone(), &expected("variance"), &what("variance"));
    let condensed = [(0, 1), (0, 2), (1, 2)];
    near(condensed.map(|at| found.difference_variance[at]), &expected("difference"), &what("difference"));
    near(found.p_zero.clone(), &expected("p_zero"), &what("p against 0"));
    near(condensed.map(|at| found.p_pairwise[at]), &[1, 2, 5].map(|i| expected("p_pairwise")[i]), &what("pairwise p"));
    let (low, high): (Vec<f64>, Vec<f64>) = found.interval(0.95).into_iter().unzip();
    near(low.into_iter().chain(high), &expected("interval"), &what("interval"));
    if golden.names().any(|name| name == format!("{key}_bound_variance")) {
        let (lower, upper) = found.bound_variance;
        near([lower, upper], &expected("bound_variance"), &what("variance of the ceiling"));
    }
    if with_ceiling {
        near(found.noise_ceiling_variance.clone(), &expected("ceiling_variance"), &what("variance to the ceiling"));
        near(found.p_noise.clone(), &expected("p_noise"), &what("p against the ceiling"));
    }
}

/// Made by tests/golden/stats_inference.py with rsatoolbox 0.3.2 in 64 bits, in the resamples that
/// it drew; values of order 1.
#[test]
fn evaluations_equal_rsatoolbox_in_the_same_resamples() {
    let golden = golden();
    let (models, rdms) = (matrix(&golden, "models"), matrix(&golden, "rdms"));
    for (method, how) in METHODS {
        let comparison = ModelComparison::new(models.view(), rdms.view(), how).unwrap();
        for (kind, resampling) in [
            ("dual", Resampling::Dual),
            ("both", Resampling::Both),
            ("patterns", Resampling::Patterns),
            ("rdms", Resampling::Rdms),
        ] {
            let key = format!("{method}_{kind}");
            let found = comparison.evaluate(resampling, &resamples(&golden, &key)).unwrap();
            near(found.models.iter().copied(), &vector(&golden, &format!("{key}_models")), &key);
            let ceiling = golden.get::<f64>(&format!("{key}_ceiling")).unwrap();
            let n = found.models.dim().0;
            // rsatoolbox: bound x sample (x 1 x kind); here sample x bound x kind.
            let ceiling = ceiling.into_shape_with_order((2, n, found.models.dim().2)).unwrap();
            let expected = ceiling.into_dimensionality::<Ix3>().unwrap().permuted_axes([1, 0, 2]);
            let expected: Vec<f64> = expected.iter().copied().collect();
            near(found.noise_ceiling.iter().copied(), &expected, &format!("{key}: ceiling"));
            near_tests(&golden, &key, &found.tests().unwrap(), resampling != Resampling::Rdms);
        }
        let key = format!("{method}_fixed");
        let fixed = comparison.fixed();
        near(fixed.similarities.iter().copied(), &vector(&golden, &format!("{key}_models")), &key);
        near([fixed.noise_ceiling.0, fixed.noise_ceiling.1], &vector(&golden, &format!("{key}_ceiling")), &key);
        near_tests(&golden, &key, &fixed.tests().unwrap(), true);
    }
}

fn random(n: usize, n_pairs: usize, seed: u64) -> Array2<f64> {
    let mut rng = rng::stream(seed, "inference test", 0);
    Array2::from_shape_simple_fn((n, n_pairs), || rng.normal())
}

/// Squared distances of 12 random points in 3 dimensions: the entries of one image depend on each
/// other, as in a real RDM.
fn random_distances(seed: u64) -> Vec<f64> {
    let points = random(12, 3, seed);
    let squared = |(i, j)| (&points.row(i) - &points.row(j)).mapv(|d| d * d).sum();
    condensed::pairs(12).map(squared).collect()
}

/// 200 data sets whose subjects agree on a structure that has nothing to do with the model. Whoever
/// resamples subjects only asks whether the model fits these very images by accident, and it often
/// does (or does the opposite); with images resampled too, p against 0 is at most 0.05 in about 10
/// cases (standard deviation 3.1).
#[test]
fn unrelated_models_are_seldom_significant() {
    let mut n_wrong = [0; 2];
    for item in 0..200 {
        let model = Array2::from_shape_vec((1, 66), random_distances(3 * item)).unwrap();
        let truth = random_distances(3 * item + 1);
        let noise = random(8, 66, 3 * item + 2);
        let rdms = Array2::from_shape_fn((8, 66), |(s, p)| truth[p] + 2.0 * noise[[s, p]]);
        let comparison = ModelComparison::new(model.view(), rdms.view(), Comparison::Pearson).unwrap();
        for (n, resampling) in n_wrong.iter_mut().zip([Resampling::Dual, Resampling::Rdms]) {
            let tests = comparison.bootstrap(resampling, 100, item).unwrap().tests().unwrap();
            *n += usize::from(tests.p_zero[0] <= 0.05);
        }
    }
    assert!((1..=20).contains(&n_wrong[0]) && n_wrong[1] > 40, "{n_wrong:?}");
}

#[test]
fn the_true_model_wins_and_reaches_the_ceiling() {
    let truth = random(1, 105, 1);
    let rdms = Array2::from_shape_fn((10, 105), |(s, p)| truth[[0, p]] + 0.8 * random(10, 105, 2)[[s, p]]);
    let wrong = random(1, 105, 3);
    let models = ndarray::concatenate![Axis(0), truth, wrong];
    for (_, how) in METHODS {
        let comparison = ModelComparison::new(models.view(), rdms.view(), how).unwrap();
        let tests = comparison.bootstrap(Resampling::Dual, 200, 1).unwrap().tests().unwrap();
        assert!(tests.p_zero[0] < 1e-4 && tests.p_zero[1] > 0.05, "{how}: {tests:?}");
        assert!(tests.p_pairwise[[0, 1]] < 1e-3 && tests.p_pairwise[[0, 0]] == 1.0);
        let (lower, upper) = tests.noise_ceiling;
        assert!(lower < upper && tests.mean[0] > lower && tests.mean[0] < upper + 0.05, "{how}: {tests:?}");
        assert!(tests.interval(0.95)[0].0 < tests.mean[0] && tests.interval(0.95)[0].0 > 0.0);
    }
}

#[test]
fn pairs_that_are_missing_somewhere_are_left_out_everywhere() {
    let (mut models, mut rdms) = (random(2, 45, 4), random(3, 45, 5));
    let without = |m: &Array2<f64>| m.select(Axis(1), &(0..45).filter(|p| ![3, 17].contains(p)).collect::<Vec<_>>());
    let (kept_models, kept_rdms) = (without(&models), without(&rdms));
    models[[1, 3]] = f64::NAN;
    rdms[[0, 17]] = f64::NAN;
    for (_, how) in METHODS {
        let found = ModelComparison::new(models.view(), rdms.view(), how).unwrap().fixed().similarities;
        for (m, s) in ndarray::indices((2, 3)) {
            let (x, y) = (kept_models.row(m).to_vec(), kept_rdms.row(s).to_vec());
            let expected = match how {
                Comparison::Pearson => crate::math::stats::pearson(&x, &y),
                Comparison::Spearman => crate::math::stats::spearman(&x, &y),
                Comparison::KendallTauA => crate::math::stats::kendall_tau_a(&x, &y),
                Comparison::Cosine => crate::math::stats::cosine(&x, &y),
            };
            assert!((found[[m, s]] - expected).abs() < 1e-12, "{how}");
        }
    }
}

#[test]
fn resamples_of_two_images_are_undefined_and_one_subject_is_its_own_ceiling() {
    let comparison =
        ModelComparison::new(random(2, 6, 6).view(), random(1, 6, 7).view(), Comparison::Spearman).unwrap();
    let resample = |patterns: [usize; 4]| Resample { rdms: vec![0], patterns: patterns.to_vec() };
    let found = comparison.evaluate(Resampling::Dual, &[resample([0, 1, 1, 0]), resample([0, 1, 2, 2])]).unwrap();
    assert!(found.models.index_axis(Axis(0), 0).iter().all(|v| v.is_nan()));
    assert!(found.models.index_axis(Axis(0), 1).iter().all(|v| !v.is_nan()));
    assert_eq!((found.noise_ceiling[[1, 0, 0]], found.noise_ceiling[[1, 1, 0]]), (1.0, 1.0));
    assert!(found.tests().unwrap_err().to_string().contains("1 of 2 resamples usable"));
    assert!(comparison.fixed().tests().unwrap_err().to_string().contains("2 RDMs"));
    let wrong = [Resample { rdms: vec![1], patterns: vec![0, 1, 2, 3] }];
    assert!(comparison.evaluate(Resampling::Dual, &wrong).is_err());
}

#[test]
fn the_thread_count_does_not_change_a_bit() {
    let comparison =
        ModelComparison::new(random(2, 45, 8).view(), random(4, 45, 9).view(), Comparison::KendallTauA).unwrap();
    let with = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| comparison.bootstrap(Resampling::Dual, 40, 3).unwrap())
    };
    assert_eq!(with(1), with(3));
    assert_ne!(with(1), comparison.bootstrap(Resampling::Dual, 40, 4).unwrap());
}

#[test]
fn bad_input_is_refused() {
    let error = |models: Array2<f64>, rdms: Array2<f64>| {
        ModelComparison::new(models.view(), rdms.view(), Comparison::Cosine).unwrap_err().to_string()
    };
    assert!(error(random(1, 6, 1), random(1, 10, 1)).contains("same 3 or more images"));
    assert!(error(random(1, 1, 1), random(1, 1, 1)).contains("same 3 or more images"));
    assert!(error(random(0, 6, 1), random(1, 6, 1)).contains("same 3 or more images"));
    assert!(error(random(1, 6, 1) / 0.0, random(1, 6, 1)).contains("infinity"));
    assert!(error(random(1, 6, 1) * f64::NAN, random(1, 6, 1)).contains("0 of 6 pairs"));
}
