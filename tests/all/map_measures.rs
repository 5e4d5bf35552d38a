//! What `map` measures: every dissimilarity, comparison and residual method, in 32 bits as in 64,
//! and what is never significant.

use crate::map::{Brain, N, RUNS, map_file, names};
use ndarray::{Array2, Axis};
use orthoscope::data::{Affine, Betas, Grid, Mask};
use orthoscope::job;
use orthoscope::mapping::dissimilarity::Folds;
use orthoscope::mapping::noise::{NoiseCovariance, NoiseFrom};
use orthoscope::mapping::sphere::RadiusUnit;
use orthoscope::mapping::*;
use orthoscope::math::stats;
use orthoscope::rdm::files::rdms_npz;
use orthoscope::rdm::measure::rdm;
use orthoscope::rdm::{Measure, Rdm};
use orthoscope::rng;

#[test]
fn every_measure_and_residual_runs() {
    let brain = Brain::new();
    let mut n = 0;
    for (dissimilarity, statistic, residual) in [
        (Dissimilarity::Crossnobis, Statistic::CosineCov, Residual::None),
        (Dissimilarity::Mahalanobis, Statistic::Pearson, Residual::Partial),
        (Dissimilarity::Euclidean, Statistic::Ols, Residual::None),
        (Dissimilarity::Cosine, Statistic::Nnls, Residual::UniqueVariance),
        (Dissimilarity::Correlation, Statistic::KendallTauA, Residual::None),
        (Dissimilarity::Correlation, Statistic::CorrCov, Residual::Symmetric),
    ] {
        n += 1;
        let mut config = brain.config();
        (config.dissimilarity, config.statistic, config.residual) = (dissimilarity, statistic, residual);
        config.sphere.radius = 1.0;
        config.sphere.min_voxels = 5;
        config.test.n_permutations = 19;
        config.test.alpha = 0.2;
        let results = brain.run(config, &format!("out{n}")).unwrap();
        let at = |l: usize| results["layers"][l]["mean"].as_f64().unwrap();
        assert!(at(1) > at(0) && at(2) > at(0), "{dissimilarity} {statistic} {residual}: {}", results["layers"]);
    }
}

/// A model that sets one of 12 images apart has 12 labellings: no p is below 1/12, corrected or
/// not, however well it fits. 32-bit sums of the same numbers in another order must count as equal.
#[test]
fn a_model_of_few_labellings_is_never_significant() {
    let brain = Brain::new();
    let apart: Vec<f64> = (0..N).flat_map(|i| (i + 1..N).map(move |_| f64::from(u8::from(i == 0)))).collect();
    let model = Rdm::new(Measure::Given, apart, brain.names.clone()).unwrap();
    rdms_npz(&[("apart".to_owned(), model)]).unwrap().write(&brain.at("apart.npz")).unwrap();
    // Image 1 is far from all others everywhere.
    (0..RUNS)
        .for_each(|run| brain.write_run(run, |c, v, x| if c == 0 { (v % 7) as f32 - x } else { x + (v % 5) as f32 }));
    for (n, correction) in [job::map::PlaceCorrection::None, job::map::PlaceCorrection::Fwe].into_iter().enumerate() {
        let mut config = brain.config();
        config.fingerprints.files = vec![brain.at("apart.npz")];
        (config.test.n_permutations, config.test.correction) = (999, correction);
        let out = format!("out{n}");
        brain.run(config, &out).unwrap();
        let p = map_file(&brain, &out, "desc-apart_stat-pcorrected_statmap.nii.gz");
        let least = p.values().iter().copied().filter(|p| p.is_finite()).fold(1.0, f32::min);
        // 1/12 with the standard error of 999 relabellings: 0.009.
        assert!((0.055..0.13).contains(&least), "{correction:?}: {least}");
    }
}

#[test]
fn many_conditions_in_32_bits_are_what_they_are_in_64() {
    let grid = Grid { shape: [9; 3], affine: Affine::scaling([2.0; 3]) };
    let mask = Mask::from_fn(grid, |v| v % 11 != 3).unwrap();
    let n = 70;
    let mut draw = rng::stream(21, "map test many", 0);
    // Far from zero, and higher from place to place.
    let patterns =
        Array2::from_shape_fn((n, mask.n_voxels()), |(_, v)| 300.0 + 0.02 * v as f32 + 5.0 * draw.normal() as f32);
    let betas = Betas::new(patterns.clone(), &names(n), &vec!["1".to_owned(); n]).unwrap();
    let values: Vec<f64> = (0..n * (n - 1) / 2).map(|_| draw.uniform()).collect();
    let model = Rdm::new(Measure::Given, values, names(n)).unwrap();
    let sphere = Sphere { radius: 3.0, unit: RadiusUnit::Voxels, ..Sphere::default() };
    let spheres = Neighbourhoods::new(&mask, None, sphere).unwrap();
    for (dissimilarity, measure, scaled) in [
        (Dissimilarity::Correlation, Measure::Correlation, false),
        (Dissimilarity::Cosine, Measure::Cosine, false),
        (Dissimilarity::Euclidean, Measure::SquaredEuclidean, true),
    ] {
        let laid_out = Patterns::new(&betas, Measurement { dissimilarity, ..Measurement::default() }).unwrap();
        for statistic in [Statistic::Spearman, Statistic::Pearson] {
            let layers = [("model".to_owned(), model.clone())];
            let comparator = Comparator::new(&layers, statistic, Residual::None).unwrap();
            let maps = searchlight(&laid_out, &comparator, &spheres, &|_| true).unwrap();
            let mut voxels = Vec::new();
            for (place, &centre) in spheres.centres().iter().enumerate().step_by(37) {
                spheres.voxels(centre, &mut voxels);
                let which: Vec<usize> = voxels.iter().map(|&v| v as usize).collect();
                let exact = rdm(patterns.select(Axis(1), &which).view(), measure, names(n)).unwrap();
                let divided: Vec<f64> =
                    exact.values().iter().map(|v| if scaled { v / which.len() as f64 } else { *v }).collect();
                let expected = match statistic {
                    Statistic::Spearman => stats::spearman(&divided, model.values()),
                    _ => stats::pearson(&divided, model.values()),
                };
                let found = f64::from(maps.values[[0, place]]);
                // Cosines of patterns that are nearly parallel differ in the last digits of 32 bits
                // only.
                let enough = if dissimilarity == Dissimilarity::Cosine { 5e-3 } else { 1e-5 };
                assert!((found - expected).abs() < enough, "{dissimilarity} {statistic}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn crossnobis_has_mean_zero_where_nothing_differs() {
    let (n, n_runs, n_voxels) = (6, 5, 40);
    let conditions: Vec<String> = (0..n_runs * n).map(|s| format!("c{}", s % n)).collect();
    let runs: Vec<String> = (0..n_runs * n).map(|s| format!("r{}", s / n)).collect();
    for (folds, noises) in [
        (
            Folds::Runs,
            vec![
                NoiseCovariance::Identity,
                NoiseCovariance::Diagonal,
                NoiseCovariance::ShrinkageDiag,
                NoiseCovariance::ShrinkageEye,
            ],
        ),
        (Folds::Pairs, vec![NoiseCovariance::Identity]),
        // A condition that two runs lack: as before, each run against the others.
        (Folds::Auto, vec![NoiseCovariance::Identity, NoiseCovariance::Diagonal, NoiseCovariance::ShrinkageDiag]),
    ] {
        let lacks = |s: usize| folds == Folds::Auto && s.is_multiple_of(n) && [1, 3].contains(&(s / n));
        let kept: Vec<usize> = (0..n_runs * n).filter(|&s| !lacks(s)).collect();
        let of = |names: &[String]| kept.iter().map(|&s| names[s].clone()).collect::<Vec<_>>();
        let (conditions, runs) = (of(&conditions), of(&runs));
        for noise in noises {
            let mut values: Vec<f64> = Vec::new();
            for brain in 0..400 {
                let mut draw = rng::stream(31, "map test null", brain);
                let patterns = Array2::from_shape_simple_fn((kept.len(), n_voxels), || draw.normal() as f32);
                let betas = Betas::new(patterns, &conditions, &runs).unwrap();
                let measurement =
                    Measurement { dissimilarity: Dissimilarity::Crossnobis, noise, folds, ..Measurement::default() };
                let laid_out = Patterns::new(&betas, measurement).unwrap();
                let voxels: Vec<u32> = (0..n_voxels as u32).collect();
                let rdm = laid_out.rdm(&voxels, false, &mut Default::default()).unwrap().to_vec();
                values.push(stats::mean(&rdm));
            }
            let (mean, error) = (stats::mean(&values), stats::sd(&values, 1) / 20.0);
            assert!(mean.abs() < 3.5 * error, "{folds:?} {noise:?}: {mean} with a standard error of {error}");
        }
    }
}

/// A condition that a run lacks: by hand, every pair of conditions in the runs that have both.
#[test]
fn crossnobis_of_incomplete_runs_is_that_of_the_runs_that_have_both() {
    let (n, n_runs, n_voxels) = (4, 4, 7);
    let mut draw = rng::stream(5, "incomplete", 0);
    let kept: Vec<(usize, usize)> =
        (0..n_runs).flat_map(|r| (0..n).map(move |c| (r, c))).filter(|&at| at != (1, 2) && at != (3, 0)).collect();
    let patterns = Array2::from_shape_simple_fn((kept.len(), n_voxels), || draw.normal() as f32);
    let names = |of: &dyn Fn(&(usize, usize)) -> usize| kept.iter().map(|at| of(at).to_string()).collect::<Vec<_>>();
    let betas = Betas::new(patterns.clone(), &names(&|at| at.1), &names(&|at| at.0)).unwrap();
    let measurement =
        |folds, noise, noise_from| Measurement { dissimilarity: Dissimilarity::Crossnobis, noise, noise_from, folds };
    let auto = measurement(Folds::Auto, NoiseCovariance::Identity, NoiseFrom::Training);
    let voxels: Vec<u32> = (0..n_voxels as u32).collect();
    let rdm = Patterns::new(&betas, auto).unwrap().rdm(&voxels, false, &mut Default::default()).unwrap().to_vec();
    let row = |r: usize, c: usize| kept.iter().position(|&at| at == (r, c)).map(|s| patterns.row(s).mapv(f64::from));
    let mut pair = 0;
    for i in 0..n {
        for j in i + 1..n {
            let (mut sum, mut count) = (0.0, 0.0);
            for r in 0..n_runs {
                let (Some(a), Some(b)) = (row(r, i), row(r, j)) else { continue };
                let others = |c: usize| {
                    let all: Vec<_> = (0..n_runs).filter(|&s| s != r).filter_map(|s| row(s, c)).collect();
                    let n = all.len() as f64;
                    all.into_iter().reduce(|x, y| x + y).unwrap() / n
                };
                sum += (a - b).dot(&(others(i) - others(j))) / n_voxels as f64;
                count += 1.0;
            }
            assert!((rdm[pair] - sum / count).abs() < 1e-6, "{i} {j}: {} is not {}", rdm[pair], sum / count);
            pair += 1;
        }
    }
    // Noise without the held-out runs has no meaning among all pairs of samples.
    let noisy = measurement(Folds::Pairs, NoiseCovariance::Diagonal, NoiseFrom::Training);
    let error = Patterns::new(&betas, noisy).err().unwrap();
    assert!(error.hint().unwrap().contains("`noise_from` all"), "{error}");
}

/// What all of many conditions have in common may be 1,000 times what they differ by: 1 - r and 1 -
/// cos keep six digits, against sums of differences in 64 bits.
#[test]
fn a_common_pattern_leaves_the_distances_their_digits() {
    let (n, n_voxels) = (80, 120);
    let mut draw = rng::stream(6, "common pattern", 0);
    let shared: Vec<f64> = (0..n_voxels).map(|_| draw.normal()).collect();
    let own = Array2::from_shape_simple_fn((n, n_voxels), || draw.normal());
    for common in [0.0, 3.0, 100.0, 1000.0] {
        let samples = Array2::from_shape_fn((n, n_voxels), |(i, v)| (common * shared[v] + own[[i, v]]) as f32);
        let betas = Betas::new(samples.clone(), &names(n), &vec!["1".to_owned(); n]).unwrap();
        for dissimilarity in [Dissimilarity::Correlation, Dissimilarity::Cosine] {
            let patterns = Patterns::new(&betas, Measurement { dissimilarity, ..Measurement::default() }).unwrap();
            let places = searchlight::Regions { regions: vec![("all".into(), (0..n_voxels as u32).collect())] };
            let found = searchlight::rdms(&patterns, &places);
            let unit = |i: usize| {
                let row: Vec<f64> = samples.row(i).iter().map(|&x| f64::from(x)).collect();
                let mean = if dissimilarity == Dissimilarity::Correlation { stats::mean(&row) } else { 0.0 };
                let centred: Vec<f64> = row.iter().map(|x| x - mean).collect();
                let norm = stats::dot(&centred, &centred).sqrt();
                centred.into_iter().map(|x| x / norm).collect::<Vec<f64>>()
            };
            let units: Vec<Vec<f64>> = (0..n).map(unit).collect();
            let mut k = 0;
            let mut worst = 0.0f64;
            for i in 0..n {
                for j in i + 1..n {
                    // |x - y|^2 / 2 of unit vectors is 1 - x.y, without cancellation.
                    let expected = units[i].iter().zip(&units[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 2.0;
                    worst = worst.max((found[[0, k]] - expected).abs() / expected);
                    k += 1;
                }
            }
            println!("{dissimilarity}, {common} times: {worst:.1e}");
            assert!(worst < 1e-6 * (1.0 + common.min(3.0).powi(2)), "{dissimilarity}, {common} times: {worst:.1e}");
        }
    }
}
