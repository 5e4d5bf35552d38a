use super::compare::{compare, permutation_test, relabellings, second_order};
use super::files::{load_rdms, load_rdms_of, rdms_npz, read_rdms_npz};
use super::*;
use crate::io::{npy, npz};
use crate::math::permutation::Tail;
use crate::rng;
use ndarray::{Array2, Array3, Axis, arr1, arr2};
use proptest::prelude::*;
use std::path::Path;

const MEASURES: [Measure; 4] = [Measure::Correlation, Measure::Cosine, Measure::Euclidean, Measure::SquaredEuclidean];
const COMPARISONS: [Comparison; 4] =
    [Comparison::Pearson, Comparison::Spearman, Comparison::KendallTauA, Comparison::Cosine];

fn patterns(n_conditions: usize, n_units: usize, seed: u64) -> Array2<f32> {
    let mut rng = rng::stream(seed, "test patterns", 0);
    Array2::from_shape_simple_fn((n_conditions, n_units), || rng.normal() as f32)
}

fn rdm(patterns: &Array2<f32>, measure: Measure) -> Rdm {
    measure::rdm(patterns.view(), measure, Rdm::default_labels(patterns.nrows())).unwrap()
}

fn random(n_conditions: usize, seed: u64) -> Rdm {
    rdm(&patterns(n_conditions, 9, seed), Measure::Correlation)
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

/// Made by tests/golden/rdm.py with numpy 2.4.6 and scipy 1.17.1 in 64 bits from the same 32-bit
/// patterns; 1e-12 leaves room for another order of additions over 20000 units.
#[test]
fn measures_and_comparisons_equal_scipy() {
    let golden = npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rdm.npz")).unwrap();
    let vector = |name: &str| golden.get::<f64>(name).unwrap().iter().copied().collect::<Vec<_>>();
    let n_units = 20_000;
    let grid =
        Array2::from_shape_fn((7, n_units), |(i, j)| (((i * 7919 + j * 104_729) % 1009) as f32) / 64.0 + i as f32);
    for measure in MEASURES {
        let (expected, found) = (vector(&format!("{measure}")), rdm(&grid, measure));
        let relative = largest_difference(found.values(), &expected) / expected.iter().fold(0.0, |m, v| v.abs().max(m));
        assert!(relative < 1e-12, "{measure}: {relative:e}");
    }
    let (x, y) = (vector("x"), vector("y"));
    let labels = Rdm::default_labels(condensed::n_conditions(x.len()).unwrap());
    let (x, y) = (Rdm::new(Measure::Given, x, labels.clone()).unwrap(), Rdm::new(Measure::Given, y, labels).unwrap());
    for how in COMPARISONS {
        let found = compare(&x, &y, how).unwrap();
        let expected = vector(&format!("x-y {how}"))[0];
        assert!((found - expected).abs() < 1e-12, "{how}: {found} against {expected}");
    }
    let matrix = second_order(&[&x, &y], Comparison::Pearson).unwrap();
    assert!(largest_difference(matrix.as_slice().unwrap(), &vector("corrcoef")) < 1e-12);
}

#[test]
fn square_and_condensed_are_each_other() {
    let rdm = random(6, 1);
    let square = rdm.square();
    assert_eq!(square, square.t());
    assert!(square.diag().iter().all(|&v| v == 0.0));
    assert_eq!(Rdm::from_square(rdm.measure(), square.view(), rdm.labels().to_vec()).unwrap(), rdm);
    let part = rdm.subset(&[4, 0, 2]).unwrap();
    assert_eq!(part.square()[[0, 1]], square[[4, 0]]);
    assert_eq!(part.labels()[0], "condition005");
    assert!(rdm.subset(&[0, 6]).is_err() && rdm.subset(&[1, 1]).is_err() && rdm.subset(&[1]).is_err());
    assert!(Rdm::new(Measure::Given, vec![1.0; 4], Rdm::default_labels(3)).is_err());
}

#[test]
fn moments_give_the_same_rdms() {
    let patterns = patterns(5, 300, 2).mapv(|v| v + 3.0);
    let wide = patterns.mapv(f64::from);
    let (gram, sums) = (wide.dot(&wide.t()), wide.sum_axis(Axis(1)).to_vec());
    for measure in MEASURES {
        let found = measure::from_moments(gram.view(), &sums, 300, measure, Rdm::default_labels(5)).unwrap();
        assert!(largest_difference(found.values(), rdm(&patterns, measure).values()) < 1e-9, "{measure}");
    }
    let flat = arr2(&[[4.0, 2.0], [2.0, 3.0]]);
    let found =
        measure::from_moments(flat.view(), &[4.0, 2.0], 4, Measure::Correlation, Rdm::default_labels(2)).unwrap();
    assert!(found.values()[0].is_nan(), "the first pattern is 1, 1, 1, 1");
}

#[test]
fn constant_patterns_are_undefined_and_left_out() {
    let mut patterns = patterns(6, 40, 3);
    patterns.row_mut(2).fill(0.1);
    let holed = rdm(&patterns, Measure::Correlation);
    assert_eq!(holed.n_undefined(), 5);
    assert!(holed.warning("conv1").unwrap().to_string().contains("conv1: 5 dissimilarities"));
    assert_eq!(rdm(&patterns, Measure::Cosine).n_undefined(), 0);
    let other = random(6, 4);
    let rest = [0, 1, 3, 4, 5];
    for how in COMPARISONS {
        let without = compare(&holed.subset(&rest).unwrap(), &other.subset(&rest).unwrap(), how).unwrap();
        assert!((compare(&holed, &other, how).unwrap() - without).abs() < 1e-12, "{how}");
    }
    let test = permutation_test(&holed, &other, Comparison::Spearman, Tail::Greater, &relabellings(6, 20, 1)).unwrap();
    assert!(test.p > 0.0 && test.p <= 1.0);
    patterns[[1, 1]] = f32::NAN;
    let error = measure::rdm(patterns.view(), Measure::Correlation, Rdm::default_labels(6)).unwrap_err();
    assert!(error.to_string().contains("condition002"), "{error}");
}

#[test]
fn the_thread_count_does_not_change_a_bit() {
    let patterns = patterns(9, 50_000, 5);
    let with = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| MEASURES.map(|measure| rdm(&patterns, measure)))
    };
    let one = with(1);
    for n in [2, 3, 5] {
        assert_eq!(with(n), one);
    }
}

#[test]
fn a_permutation_test_finds_what_is_there_and_not_what_is_not() {
    let signal = patterns(12, 30, 6);
    let noisy = &signal + &patterns(12, 30, 7).mapv(|v| 0.7 * v);
    let (a, b, c) = (rdm(&signal, Measure::Correlation), rdm(&noisy, Measure::Correlation), random(12, 8));
    let orders = relabellings(12, 400, 1);
    for how in COMPARISONS {
        let there = permutation_test(&a, &b, how, Tail::Greater, &orders).unwrap();
        let not = permutation_test(&a, &c, how, Tail::TwoSided, &orders).unwrap();
        assert!(there.p < 0.01 && not.p > 0.05, "{how}: {there:?} {not:?}");
        assert_eq!(there.statistic, compare(&a, &b, how).unwrap());
    }
    let identity = vec![(0..12).collect::<Vec<_>>(); 9];
    assert_eq!(permutation_test(&a, &b, Comparison::Spearman, Tail::Greater, &identity).unwrap().p, 1.0);
    assert_eq!(relabellings(12, 5, 1), orders[..5], "permutation k does not depend on how many are drawn");
}

#[test]
fn a_table_has_a_row_a_pair_and_repeats() {
    let named = |names: &[&str], seed| {
        names.iter().enumerate().map(|(i, n)| (n.to_string(), random(8, seed + i as u64))).collect::<Vec<_>>()
    };
    let (layers, references) = (named(&["a", "b"], 10), named(&["IT", "V1"], 20));
    let options = report::Options { n_permutations: 50, ..Default::default() };
    let (rows, warnings) = report::table(&layers, &references, &options).unwrap();
    assert!(warnings.is_empty());
    let order: Vec<_> = rows.iter().map(|r| (r.reference.as_str(), r.layer.as_str())).collect();
    assert_eq!(order, [("IT", "a"), ("IT", "b"), ("V1", "a"), ("V1", "b")]);
    assert_eq!(rows[1].kendall_tau_a, compare(&layers[1].1, &references[0].1, Comparison::KendallTauA).unwrap());
    let alone = report::table(&layers[1..], &references[1..], &options).unwrap().0;
    assert_eq!(alone[0], rows[3], "the other rows have no influence");
    assert!(report::table(&layers, &[("small".into(), random(5, 1))], &options).is_err());
}

#[test]
fn files_of_every_shape_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("brain.npy");
    let (a, b) = (random(5, 1), random(5, 2));
    let stack = ndarray::stack(Axis(0), &[a.square().view(), b.square().view()]).unwrap();
    let names = |rdms: &[(String, Rdm)]| rdms.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    npy::write(&path, &a.square()).unwrap();
    assert_eq!(names(&load_rdms(&path, Some(5), None).unwrap()), ["brain"]);
    npy::write(&path, &arr1(a.values()).mapv(|v| v as f32)).unwrap();
    assert!(largest_difference(load_rdms(&path, None, None).unwrap()[0].1.values(), a.values()) < 1e-6);
    npy::write(&path, &stack.to_shape((1, 2, 5, 5)).unwrap()).unwrap();
    let read = load_rdms(&path, None, Some(a.labels())).unwrap();
    assert_eq!(names(&read), ["brain[0,0]", "brain[0,1]"]);
    assert_eq!(read[1].1.values(), b.values());
    let vectors = ndarray::stack(Axis(0), &[arr1(a.values()).view(), arr1(b.values()).view()]).unwrap();
    npy::write(&path, &vectors).unwrap();
    assert_eq!(load_rdms(&path, None, None).unwrap()[1].1.values(), b.values());

    let path = dir.path().join("rdms.npz");
    let layers = [("conv1/relu".to_string(), a.clone()), ("fc".to_string(), b)];
    // A set's file also holds the RDMs of the images that it is compared with.
    let others = rdms_npz(&layers).unwrap().add("baseline.fc", &arr1(a.values()));
    others.add("baseline.second_order", &Array2::<f64>::eye(2)).write(&path).unwrap();
    assert_eq!(names(&load_rdms(&path, Some(5), None).unwrap()), ["conv1.relu", "fc"]);
    let back = read_rdms_npz(&path).unwrap();
    assert_eq!(back.layers[0], ("conv1.relu".to_string(), a.values().to_vec()));
    assert_eq!(back.second_order[[0, 0]], 1.0);
}

#[test]
fn files_that_are_no_rdms_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("brain.npy");
    let refusal = |array: &Array2<f64>, expected| {
        npy::write(&path, array).unwrap();
        let error = load_rdms(&path, expected, None).unwrap_err();
        format!("{error} | {}", error.hint().unwrap())
    };
    let good = random(5, 1).square();
    let text = refusal(&good, Some(92));
    assert!(text.contains("92 images") && text.contains("5 conditions"), "{text}");
    assert!(refusal(&good.mapv(|v| 1.0 - v), None).contains("similarities"));
    let mut bad = good.clone();
    bad[[1, 3]] += 0.1;
    assert!(refusal(&bad, None).contains("(1, 3)"));
    bad[[1, 3]] = f64::NAN;
    assert!(refusal(&bad, None).contains("NaN"));
    let mut bad = good.clone();
    bad[[2, 2]] = 0.3;
    assert!(refusal(&bad, None).contains("(2, 2)"));
    assert!(refusal(&Array2::zeros((4, 5)), None).contains("[4, 5]"));
    assert!(refusal(&Array2::zeros((2, 2)), None).contains("at least 3"));
    npy::write(&path, &Array3::<f64>::zeros((2, 3, 4))).unwrap();
    assert!(matches!(load_rdms(&path, None, None), Err(Error::Corrupt { .. })));
}

/// A product of Householder reflections: orthogonal to rounding error.
fn orthogonal(n: usize, seed: u64) -> Array2<f64> {
    let mut rng = rng::stream(seed, "test orthogonal", 0);
    (0..3).fold(Array2::eye(n), |q, _| {
        let v = Array2::from_shape_simple_fn((n, 1), || rng.normal());
        let norm = v.iter().map(|x| x * x).sum::<f64>();
        let reflection = Array2::eye(n) - 2.0 / norm * v.dot(&v.t());
        reflection.dot(&q)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rdms_are_symmetric_with_zero_diagonal(n in 2usize..8, d in 2usize..50, seed in any::<u64>()) {
        for measure in MEASURES {
            let square = rdm(&patterns(n, d, seed), measure).square();
            prop_assert_eq!(&square, &square.t());
            prop_assert!(square.diag().iter().all(|&v| v == 0.0) && square.iter().all(|&v| v >= 0.0));
        }
    }

    /// 32-bit patterns carry the rotated values to 6e-8 of their size; hence 1e-5.
    #[test]
    fn euclidean_rdms_survive_rotation(n in 2usize..7, d in 2usize..20, seed in any::<u64>()) {
        let before = patterns(n, d, seed);
        let after = before.mapv(f64::from).dot(&orthogonal(d, seed)).mapv(|v| v as f32);
        let difference = largest_difference(rdm(&before, Measure::Euclidean).values(), rdm(&after, Measure::Euclidean).values());
        prop_assert!(difference < 1e-5, "{difference}");
    }

    /// Powers of two scale without rounding; the shift rounds in 32 bits, hence 1e-5.
    #[test]
    fn correlation_rdms_survive_shift_and_scale(n in 2usize..7, d in 5usize..40, seed in any::<u64>(), exponent in -4i32..5, shift in -2f32..2.0) {
        let before = patterns(n, d, seed);
        let mut after = before.clone();
        for (i, mut row) in after.axis_iter_mut(Axis(0)).enumerate() {
            row.mapv_inplace(|v| 2f32.powi(exponent) * (v + shift * i as f32));
        }
        let difference = largest_difference(rdm(&before, Measure::Correlation).values(), rdm(&after, Measure::Correlation).values());
        prop_assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn relabelling_both_rdms_changes_no_comparison(n in 4usize..9, seed in any::<u64>()) {
        let (a, b) = (random(n, seed), random(n, seed ^ 1));
        let order = rng::stream(seed, "test order", 0).permutation(n);
        for how in COMPARISONS {
            let moved = compare(&a.subset(&order).unwrap(), &b.subset(&order).unwrap(), how).unwrap();
            prop_assert!((moved - compare(&a, &b, how).unwrap()).abs() < 1e-12);
        }
    }
}

/// d(a, b) = 1, d(a, c) = 2, d(b, c) = 3, in the order that each set of images asks for.
#[test]
fn the_rdms_of_a_run_are_brought_to_the_images_by_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("arrays")).unwrap();
    let path = dir.path().join("arrays/rdms.npz");
    npz::NpzWriter::new().add("layer", &arr1(&[1.0, 2.0, 3.0])).write(&path).unwrap();
    let of = |images: [&str; 3]| load_rdms_of(&path, &images.map(String::from)).map(|rdms| rdms[0].1.values().to_vec());
    assert_eq!(of(["c", "a", "b"]).unwrap(), [1.0, 2.0, 3.0], "without names they are taken as they are");
    std::fs::write(dir.path().join("manifest.json"), r#"{"results": {"images": ["a", "b", "c"]}}"#).unwrap();
    assert_eq!(of(["c", "a", "b"]).unwrap(), [2.0, 3.0, 1.0]);
    assert!(of(["a", "b", "d"]).unwrap_err().to_string().contains("without 1 of them: `d`"));
}
