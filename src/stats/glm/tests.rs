use super::*;
use crate::io::npz::{self, Npz};
use crate::rng;
use ndarray::{Array2, Axis, Ix2, Slice};
use std::path::Path;

fn golden() -> Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stats_glm.npz")).unwrap()
}

fn matrix(golden: &Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

/// The made-up run of the golden script: (conditions, confounds and their names).
fn run(golden: &Npz) -> (Vec<Condition>, Array2<f64>, Vec<String>) {
    let vector = |name: &str| golden.get::<f64>(name).unwrap().iter().copied().collect::<Vec<_>>();
    let (onset, duration, amplitude) = (vector("onset"), vector("duration"), vector("modulation"));
    let event = |i: usize| Event { onset_s: onset[i], duration_s: duration[i], amplitude: amplitude[i] };
    let condition = |c: usize| Condition { name: format!("image{c}"), events: (c..24).step_by(4).map(event).collect() };
    ((0..4).map(condition).collect(), matrix(golden, "confounds"), vec!["x".into(), "y".into()])
}

const MODELS: [(&str, Hrf); 3] =
    [("spm", Hrf::Spm), ("derivative", Hrf::SpmDerivative), ("dispersion", Hrf::SpmDerivativeDispersion)];

fn design(golden: &Npz, hrf: Hrf) -> Design {
    let (conditions, confounds, names) = run(golden);
    let options = DesignOptions { hrf, high_pass_hz: 0.02, slice_time_ref: 0.5, ..Default::default() };
    Design::new(&conditions, 80, 1.7, Some((confounds.view(), &names)), &options).unwrap()
}

fn largest(found: &Array2<f64>, expected: &Array2<f64>) -> f64 {
    assert_eq!(found.dim(), expected.dim());
    let scale = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

/// Made by tests/golden/stats_glm.py with nilearn 0.14.1. The gamma densities agree to 1e-13; the
/// dispersion derivative divides their difference by 0.01 and the sums over 1600 samples follow
/// another order.
#[test]
fn design_matrices_equal_nilearn() {
    let golden = golden();
    for (name, hrf) in MODELS {
        let found = design(&golden, hrf);
        let names: Vec<u8> = golden.get::<u8>(&format!("{name}_names")).unwrap().iter().copied().collect();
        assert_eq!(found.names.join("\n").as_bytes(), names);
        let expected = matrix(&golden, &format!("{name}_design"));
        for (column, regressor) in found.names.iter().enumerate() {
            let part = |m: &Array2<f64>| m.slice_axis(Axis(1), Slice::from(column..=column)).to_owned();
            let difference = largest(&part(&found.matrix), &part(&expected));
            assert!(difference < 1e-10, "{name}, {regressor}: {difference:e}");
        }
    }
}

/// As above; betas of about 3 on a baseline of 1000, so 1e-9 of the largest is 1e-12 of the data.
#[test]
fn betas_and_t_equal_nilearn() {
    let golden = golden();
    let series = golden.get::<f32>("series").unwrap().into_dimensionality::<Ix2>().unwrap();
    for (name, hrf) in MODELS {
        for (kind, noise) in [("ols", NoiseModel::White), ("ar1", NoiseModel::Ar1)] {
            let found = fit(series.view(), &design(&golden, hrf), noise).unwrap();
            let expected = |key: &str| matrix(&golden, &format!("{name}_{kind}_{key}"));
            assert!(largest(&found.betas, &expected("betas")) < 1e-9, "{name} {kind}");
            assert!(largest(&found.t, &expected("t")) < 1e-9, "{name} {kind}");
            let rho: Vec<f64> = golden.get::<f64>(&format!("{name}_{kind}_rho")).unwrap().iter().copied().collect();
            assert!(found.rho.iter().zip(&rho).all(|(a, b)| (a - b).abs() < 1e-12), "{:?} {rho:?}", found.rho);
        }
    }
}

fn simple_design(n_volumes: usize) -> Design {
    let event = |onset_s| Event { onset_s, duration_s: 2.0, amplitude: 1.0 };
    let condition = |name: &str, start: f64| Condition {
        name: name.into(),
        events: (0..6).map(|i| event(start + 30.0 * f64::from(i))).collect(),
    };
    let conditions = [condition("a", 3.0), condition("b", 17.0)];
    Design::new(&conditions, n_volumes, 2.0, None, &DesignOptions::default()).unwrap()
}

/// 2000 voxels of AR(1) noise (0.4) without effect; the standard error of a variance of 2000 values
/// is 3 %. White t varies 1.8 times as much as it should; the coefficient that residuals of 7
/// regressors over 100 volumes show is biased towards 0 (0.29), so that AR(1) t, like nilearn's,
/// still varies 1.3 times as much.
#[test]
fn autocorrelated_noise_needs_the_ar_model() {
    let design = simple_design(100);
    let mut series = Array2::<f32>::zeros((100, 2000));
    for v in 0..2000 {
        let mut rng = rng::stream(2, "glm noise", v as u64);
        let mut last = rng.normal() / (1.0f64 - 0.16).sqrt();
        for t in 0..100 {
            series[[t, v]] = (500.0 + last) as f32;
            last = 0.4 * last + rng.normal();
        }
    }
    let moments = |noise| {
        let found = fit(series.view(), &design, noise).unwrap();
        let t: Vec<f64> = found.t.row(0).to_vec();
        (crate::math::stats::mean(&t), crate::math::stats::variance(&t, 1), crate::math::stats::mean(&found.rho))
    };
    let (white, ar) = (moments(NoiseModel::White), moments(NoiseModel::Ar1));
    assert!(white.0.abs() < 0.12 && ar.0.abs() < 0.09, "mean zero under the null: {white:?} {ar:?}");
    assert!((1.6..2.0).contains(&white.1) && (1.0..1.45).contains(&ar.1), "{white:?} {ar:?}");
    assert!((0.25..0.4).contains(&ar.2), "{ar:?}");
}

#[test]
fn known_betas_come_back() {
    let design = simple_design(100);
    let truth = [3.0, -2.0];
    let series = Array2::from_shape_fn((100, 3), |(t, v)| {
        let signal: f64 = (0..2).map(|c| truth[c] * design.matrix[[t, design.conditions[c]]]).sum();
        (100.0 * (v as f64 + 1.0) + signal + 0.5 * (t as f64 / 15.0).cos()) as f32
    });
    let found = fit(series.view(), &design, NoiseModel::White).unwrap();
    for v in 0..3 {
        assert!((found.betas[[0, v]] - 3.0).abs() < 0.1 && (found.betas[[1, v]] + 2.0).abs() < 0.1);
        assert!(found.r2[v] > 0.9);
    }
}

#[test]
fn unusable_voxels_are_nan_and_spoil_nothing() {
    let design = simple_design(100);
    let mut rng = rng::stream(2, "glm voxels", 0);
    let mut series = Array2::from_shape_simple_fn((100, 4), || 100.0 + rng.normal() as f32);
    let clean = fit(series.view(), &design, NoiseModel::Ar1).unwrap();
    series[[5, 1]] = f32::NAN;
    series.column_mut(2).fill(7.0);
    let found = fit(series.view(), &design, NoiseModel::Ar1).unwrap();
    assert!(found.betas.column(1).iter().all(|b| b.is_nan()) && found.t[[0, 1]].is_nan());
    assert!(found.betas.column(2).iter().all(|b| b.abs() < 1e-9));
    for v in [0, 3] {
        assert_eq!(found.betas.column(v), clean.betas.column(v));
    }
}

#[test]
fn bad_designs_are_refused_with_names() {
    let event = |onset_s, duration_s| Event { onset_s, duration_s, amplitude: 1.0 };
    let make = |conditions: &[(&str, Event)], n_volumes, t_r_s| {
        let conditions: Vec<_> =
            conditions.iter().map(|(n, e)| Condition { name: n.to_string(), events: vec![*e] }).collect();
        Design::new(&conditions, n_volumes, t_r_s, None, &DesignOptions::default())
    };
    let message = |conditions: &[(&str, Event)], n, t_r| make(conditions, n, t_r).unwrap_err().to_string();
    let good = event(3.0, 1.0);
    assert!(message(&[("a", good), ("a", good)], 50, 2.0).contains("`a` twice"));
    assert!(message(&[("a", event(120.0, 0.0))], 50, 2.0).contains("end of the run at 100 s"));
    assert!(message(&[("a", event(-30.0, 0.0))], 50, 2.0).contains("-24 s"));
    assert!(message(&[("a", event(3.0, -1.0))], 50, 2.0).contains("durations from 0"));
    assert!(message(&[], 50, 2.0).contains("trial_type") || message(&[], 50, 2.0).contains("a condition or more"));
    assert!(message(&[("a", good)], 50, 0.0).contains("positive TR"));
    let same = make(&[("a", good), ("b", good)], 50, 2.0).unwrap();
    let error = fit(Array2::zeros((50, 2)).view(), &same, NoiseModel::White).unwrap_err().to_string();
    assert!(error.contains("`b` is a combination"), "{error}");
    let short = make(&[("a", good)], 50, 2.0).unwrap();
    assert!(
        fit(Array2::zeros((49, 2)).view(), &short, NoiseModel::White).unwrap_err().to_string().contains("50 volumes")
    );
    let confounds = Array2::from_elem((50, 1), f64::NAN);
    let condition = Condition { name: "a".into(), events: vec![good] };
    let names = ["x".to_string()];
    let confounded = Some((confounds.view(), &names[..]));
    assert!(Design::new(&[condition], 50, 2.0, confounded, &DesignOptions::default()).is_err());
}
