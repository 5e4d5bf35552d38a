use super::*;
use crate::math::condensed;

fn normal(n_conditions: usize, n_units: usize, item: u64) -> Array2<f64> {
    let mut rng = rng::stream(8, "simulation test", item);
    Array2::from_shape_simple_fn((n_conditions, n_units), || rng.normal())
}

fn fingerprint(patterns: &Array2<f64>) -> Rdm {
    let patterns = patterns.mapv(|v| v as f32);
    measure::rdm(patterns.view(), Measure::Correlation, Rdm::default_labels(patterns.nrows())).unwrap()
}

/// Four layers whose patterns share `shared` of their variance: 0 gives nearly orthogonal
/// fingerprints.
fn layers(shared: f64) -> Vec<Rdm> {
    let common = normal(16, 12, 0);
    let layer = |l| shared.sqrt() * &common + (1.0 - shared).sqrt() * normal(16, 12, l);
    (1..=4).map(|l| fingerprint(&layer(l))).collect()
}

/// Pearson with every fingerprint; significant beyond the 95 % point of a correlation of 120
/// independent values.
fn raw(fingerprints: &[Rdm]) -> impl Fn(&[f64]) -> Vec<Judgement> + Sync {
    move |rdm: &[f64]| {
        let verdict = |f: &Rdm| stats::pearson(rdm, f.values());
        let value = |value| Judgement { value, significant: value > 0.15 };
        fingerprints.iter().map(verdict).map(value).collect()
    }
}

/// What is left of each fingerprint after the others are regressed out, by Gram and Schmidt.
fn residuals(fingerprints: &[Rdm]) -> Vec<Rdm> {
    let one = |l: usize| {
        let mut basis: Vec<Vec<f64>> = Vec::new();
        let order = (0..fingerprints.len()).filter(|m| *m != l).chain([l]);
        for m in order {
            let mut x = stats::standardized(fingerprints[m].values()).unwrap();
            for b in &basis {
                let product = stats::dot(&x, b);
                x.iter_mut().zip(b).for_each(|(x, b)| *x -= product * b);
            }
            basis.push(stats::standardized(&x).unwrap());
        }
        Rdm::new(Measure::Given, basis.pop().unwrap(), fingerprints[l].labels().to_vec()).unwrap()
    };
    (0..fingerprints.len()).map(one).collect()
}

#[test]
fn noiseless_patterns_have_the_layers_geometry() {
    for (l, layer) in layers(0.3).iter().enumerate() {
        let patterns = PatternSource::new(layer).unwrap().draw(40, &mut rng::stream(1, "draw", l as u64));
        let rows: Vec<Vec<f64>> = patterns.outer_iter().map(|row| row.to_vec()).collect();
        for ((i, j), d) in condensed::pairs(16).zip(layer.values()) {
            // 16 patterns of 12 units: S has rank 11, and its root is exact to rounding.
            assert!((1.0 - stats::pearson(&rows[i], &rows[j]) - d).abs() < 1e-6, "{i} {j}");
        }
        let variance = stats::variance(&rows[3], 0);
        assert!((variance - 1.0).abs() < 1e-9, "{variance}");
    }
}

#[test]
fn noise_averages_out_with_presentations() {
    let options = SimulationOptions { n_runs: 4, snr: 0.1, ..Default::default() };
    let patterns = Array2::zeros((10, 500));
    for n_repeats in [4, 40] {
        let runs = betas(&patterns, n_repeats, &options, &mut rng::stream(1, "noise", 0));
        let values: Vec<f64> = runs.iter().flatten().map(|v| f64::from(*v)).collect();
        let expected = 4.0 / (0.1 * n_repeats as f64);
        // 20000 values: a standard error of 1 %.
        assert!((stats::variance(&values, 0) / expected - 1.0).abs() < 0.04);
        assert!(stats::mean(&values).abs() < 4.0 * (expected / 20_000.0).sqrt());
    }
}

#[test]
fn layers_come_back_with_enough_presentations_and_not_from_noise() {
    let fingerprints = layers(0.0);
    let options = SimulationOptions { n_regions: 40, n_voxels: 60, seed: 3, ..Default::default() };
    let judge = raw(&fingerprints);
    let found = recovery(&fingerprints, &[1, 8, 200], &options, &judge).unwrap();
    assert!(found.windows(2).all(|w| w[0].accuracy <= w[1].accuracy), "{found:?}");
    assert!(found[2].accuracy > 0.95 && found[2].hits > 0.95 && found[2].false_layers < 0.5);
    assert!(found[2].interval.0 < found[2].accuracy && found[2].interval.1 <= 1.0 + 1e-12);
    assert_eq!(found[0].confusion.iter().flatten().sum::<usize>(), 160);
    let nothing = SimulationOptions { snr: 1e-9, ..options };
    let chance = recovery(&fingerprints, &[1], &nothing, &judge).unwrap().remove(0);
    // 160 regions at chance 1/4: standard deviation 3.4 %.
    assert!((chance.accuracy - 0.25).abs() < 0.11, "{}", chance.accuracy);
}

/// Few presentations of images whose layers are orthogonal tell more than as many of images whose
/// layers are alike. With the latter, residual fingerprints mostly choose the layer that raw ones
/// choose too; what they gain is that the other layers' maps no longer light up. 600 regions: a
/// standard error of 2 %.
#[test]
fn orthogonal_fingerprints_need_less_and_residuals_overlap_less() {
    let (orthogonal, natural) = (layers(0.0), layers(0.7));
    let residual = residuals(&natural);
    let options = SimulationOptions { n_regions: 150, n_voxels: 60, seed: 5, ..Default::default() };
    let run = |truth: &[Rdm], judge: &[Rdm]| recovery(truth, &[2], &options, &raw(judge)).unwrap().remove(0);
    let (synthesised, cleaned, raw) =
        (run(&orthogonal, &orthogonal), run(&natural, &residual), run(&natural, &natural));
    assert!(synthesised.accuracy > cleaned.accuracy + 0.05 && synthesised.accuracy > raw.accuracy + 0.05);
    assert!((cleaned.accuracy - raw.accuracy).abs() < 0.05, "{} {}", cleaned.accuracy, raw.accuracy);
    assert!(synthesised.exact > cleaned.exact && cleaned.exact > raw.exact + 0.1);
    assert!(raw.false_layers > 4.0 * cleaned.false_layers && raw.false_layers > 4.0 * synthesised.false_layers);
}

#[test]
fn the_seed_decides_and_the_thread_count_does_not() {
    let fingerprints = layers(0.2);
    let options = SimulationOptions { n_regions: 5, n_voxels: 30, ..Default::default() };
    let with = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let options = SimulationOptions { seed, ..options };
        pool.install(|| recovery(&fingerprints, &[3, 30], &options, &raw(&fingerprints)).unwrap())
    };
    assert_eq!(with(1, 2), with(3, 2));
    assert_ne!(with(1, 2), with(1, 3));
}

#[test]
fn a_brain_of_slabs_carries_its_layers() {
    let fingerprints = layers(0.0);
    let position: Vec<f64> = (0..240).map(|v| f64::from(v / 10)).collect();
    let region = slabs(&position, 4);
    assert_eq!([1, 2, 3, 4].map(|r| region.iter().filter(|x| **x == r).count()), [60; 4]);
    assert!(region.windows(2).all(|w| w[0] <= w[1]));
    let region: Vec<u32> = region.iter().map(|&r| if r == 3 { 0 } else { r }).collect();
    let options = SimulationOptions { n_runs: 2, snr: 1.0, ..Default::default() };
    let found = brain(&fingerprints, &region, &[2, 1, 1, 4], 400, &options).unwrap();
    assert_eq!((found.betas.dim(), found.layers[0], found.layers[239]), ((32, 240), 2, 4));
    assert_eq!(found.layers[150], 0);
    let rows = found.betas.slice_axis(Axis(0), (0..16).into()).slice_axis(Axis(1), (0..60).into()).to_owned();
    let rdm = measure::rdm(rows.view(), Measure::Correlation, Rdm::default_labels(16)).unwrap();
    assert!(stats::pearson(rdm.values(), fingerprints[1].values()) > 0.95);
    assert!(stats::pearson(rdm.values(), fingerprints[0].values()) < 0.5);
    assert_eq!(assignment_accuracy(&[1, 2, 0, 3], &[1, 1, 0, 3]), 2.0 / 3.0);
    assert!(assignment_accuracy(&[1], &[0]).is_nan());
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let fingerprints = layers(0.0);
    let message = |f: &[Rdm], repeats: &[usize], options: SimulationOptions| {
        recovery(f, repeats, &options, &raw(&fingerprints)).unwrap_err().to_string()
    };
    let ok = SimulationOptions::default();
    assert!(message(&[], &[1], ok).contains("same images"));
    assert!(message(&fingerprints, &[0], ok).contains("a presentation"));
    assert!(message(&fingerprints, &[1], SimulationOptions { snr: 0.0, ..ok }).contains("SNR"));
    let labels = Rdm::default_labels(3);
    let rdm = |measure, values| Rdm::new(measure, values, labels.clone()).unwrap();
    assert!(message(&[rdm(Measure::Euclidean, vec![1.0; 3])], &[1], ok).contains("euclidean"));
    assert!(message(&[rdm(Measure::Given, vec![3.0, 1.0, 1.0])], &[1], ok).contains("from 0 to 2"));
    // i is like j and j is like k, but i is the opposite of k.
    assert!(message(&[rdm(Measure::Given, vec![0.0, 2.0, 0.0])], &[1], ok).contains("patterns can have"));
    assert!(brain(&fingerprints, &[5], &[1], 1, &ok).is_err() && brain(&fingerprints, &[1], &[9], 1, &ok).is_err());
}
