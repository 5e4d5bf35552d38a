//! Figures of encoding models: what is on them, that no label touches another or leaves the sheet, and
//! what they refuse.

use super::super::scene::Item;
use super::unit_tests::{check_chart, shows};
use super::*;
use crate::rng;

fn regions(n: usize) -> Vec<String> {
    ["V1", "V2", "V3", "V4", "LO", "MT", "FFA", "PPA", "a region with a rather long name"][..n]
        .iter()
        .map(|s| s.to_string())
        .collect()
}

fn fields(n: usize, spread: f64, size: f64) -> Vec<[f64; 3]> {
    let mut random = rng::stream(5, "fields", n as u64);
    (0..n).map(|_| [spread * random.normal(), spread * random.normal(), size * (0.4 * random.normal()).exp()]).collect()
}

#[test]
fn receptive_fields_in_panels_and_in_one() {
    let groups = |counts: &[usize]| -> Vec<RfGroup> {
        let one = |(i, (name, &n)): (usize, (String, &usize))| RfGroup {
            name,
            fields: fields(n, 3.0 + 0.3 * i as f64, 0.5 + 0.5 * i as f64),
        };
        regions(counts.len()).into_iter().zip(counts).enumerate().map(one).collect()
    };
    for (counts, image_deg, panels) in [
        (vec![40], Some((20.0, 20.0)), true),
        (vec![30, 12, 55], Some((20.0, 15.0)), false),
        (vec![4000, 900, 300, 60, 5, 0, 1, 33, 20], Some((20.0, 20.0)), true),
        (vec![25, 30], None, true),
    ] {
        let options = RfOptions { title: "Receptive fields".into(), image_deg, panels };
        let scene = receptive_fields::scene(&groups(&counts), &options).unwrap();
        check_chart(&scene, &format!("receptive_fields_{}", counts.len()));
    }
    let options = RfOptions { image_deg: Some((20.0, 20.0)), ..Default::default() };
    let scene = receptive_fields::scene(&groups(&[4000, 10]), &options).unwrap();
    assert!(shows(&scene, "V1 (286 of 4000)") && shows(&scene, "V2 (10)"));
    // A circle of 2 degrees is as wide as it is high.
    let one = RfGroup { name: "V1".into(), fields: vec![[1.0, -2.0, 2.0], [f64::NAN, 0.0, 1.0], [0.0, 0.0, 0.0]] };
    let scene = receptive_fields::scene(&[one], &options).unwrap();
    let circle = scene.items.iter().find_map(|item| match item {
        Item::Line { points, .. } if points.len() == 49 => Some(points.clone()),
        _ => None,
    });
    let points = circle.unwrap();
    let extent = |of: fn(&(f64, f64)) -> f64| {
        let all = points.iter().map(of);
        all.clone().fold(f64::MIN, f64::max) - all.fold(f64::MAX, f64::min)
    };
    assert!((extent(|p| p.0) - extent(|p| p.1)).abs() < 0.3, "{} x {}", extent(|p| p.0), extent(|p| p.1));
    assert!(receptive_fields::scene(&[], &options).is_err());
    let flat = RfOptions { image_deg: Some((20.0, 0.0)), ..Default::default() };
    assert!(receptive_fields::scene(&groups(&[3]), &flat).is_err());
}

#[test]
fn contributions_are_stacked() {
    let layers: Vec<String> =
        ["conv1/7x7_s2", "conv2/3x3", "inception_3a/output", "inception_3b/output", "inception_4a/output"]
            .into_iter()
            .chain(["inception_4b/output", "inception_4c/output", "inception_4d/output", "inception_4e/output"])
            .map(String::from)
            .collect();
    let share = |g: usize, l: usize| 1.0 / (1.0 + (l as f64 - g as f64).powi(2));
    let values = |n_groups: usize, n_layers: usize| -> Vec<Vec<f64>> {
        let one = |g: usize| {
            let own: Vec<f64> = (0..n_layers).map(|l| share(g, l)).collect();
            let sum: f64 = own.iter().sum();
            own.into_iter().map(|v| v / sum).collect()
        };
        (0..n_groups).map(one).collect()
    };
    for (n_groups, n_layers) in [(9, 9), (1, 3), (4, 1)] {
        let mut values = values(n_groups, n_layers);
        if n_groups == 4 {
            values[2][0] = f64::NAN;
        }
        let options = StackedOptions { title: "Layer contributions".into(), ..Default::default() };
        let scene = stacked::scene(&regions(n_groups), &layers[..n_layers], &values, &options).unwrap();
        check_chart(&scene, &format!("stacked_{n_groups}"));
        assert!(shows(&scene, "1.0") && shows(&scene, "n/a") == (n_groups == 4));
    }
    let mut below = values(3, 4);
    below[1] = vec![0.7, 0.5, -0.15, -0.05];
    let scene = stacked::scene(&regions(3), &layers[..4], &below, &StackedOptions::default()).unwrap();
    check_chart(&scene, "stacked_below");
    assert!(shows(&scene, "−0.2"));
    assert!(stacked::scene(&regions(2), &layers, &below, &StackedOptions::default()).is_err());
    assert!(stacked::scene(&regions(3), &layers, &below, &StackedOptions::default()).is_err());
}

/// Scores against ceilings.
fn scores(n: usize) -> Vec<(f64, f64)> {
    let mut random = rng::stream(6, "scores", n as u64);
    let one = |_| {
        let ceiling = (0.5 + 0.22 * random.normal()).clamp(0.02, 0.98);
        (ceiling, 0.75 * ceiling + 0.09 * random.normal())
    };
    (0..n).map(one).collect()
}

#[test]
fn very_many_points_are_counted() {
    let labels = |title: &str| DensityOptions {
        title: title.into(),
        x_label: "noise ceiling (r)".into(),
        y_label: "prediction accuracy (r)".into(),
        ..Default::default()
    };
    let mut many = scores(30_000);
    many[5] = (f64::NAN, 0.3);
    many[6] = (0.5, 40.0);
    let scene = density::scene(&many, &labels("Accuracy and ceiling, 30,000 voxels")).unwrap();
    check_chart(&scene, "density_many");
    let outside = scene.items.iter().any(|item| matches!(item, Item::Text(t) if t.text.contains(" outside)")));
    assert!(outside && shows(&scene, "targets"));
    let free = DensityOptions { diagonal: false, ..labels("") };
    check_chart(&density::scene(&scores(20), &free).unwrap(), "density_few");
    check_chart(&density::scene(&[(f64::NAN, 1.0)], &free).unwrap(), "density_none");
    assert!(density::scene(&[], &free).is_err());
}

#[test]
fn scores_in_a_histogram() {
    let values: Vec<f64> = scores(5000).into_iter().map(|s| s.1).chain([f64::NAN; 12]).collect();
    let options = HistogramOptions {
        title: "Prediction accuracy".into(),
        x_label: "r".into(),
        references: vec![("95 % of the null distribution".into(), 0.11), ("threshold".into(), 0.36)],
        ..Default::default()
    };
    let scene = histogram::scene(&values, &options).unwrap();
    check_chart(&scene, "histogram_many");
    assert!(shows(&scene, "r (12 without a value)") && shows(&scene, "threshold"));
    assert!(scene.items.iter().any(|item| matches!(item, Item::Text(t) if t.text.starts_with("median 0.3"))));
    for (name, values) in
        [("histogram_few", vec![0.1, 0.2, 0.9]), ("histogram_one", vec![3.0]), ("histogram_none", vec![f64::NAN])]
    {
        let scene = histogram::scene(&values, &HistogramOptions { x_label: "r".into(), ..Default::default() }).unwrap();
        check_chart(&scene, name);
    }
    assert!(histogram::scene(&[], &options).is_err());
    // By hand: a step of 0.05 from 0 to 1; every bar is as high as its number of values.
    let steps: Vec<f64> = (0..20).flat_map(|i| vec![0.05 * i as f64 + 0.01; i + 1]).collect();
    let scene = histogram::scene(&steps, &HistogramOptions { median: false, ..Default::default() }).unwrap();
    let bars = |item: &Item| matches!(item, Item::Rect { area, .. } if area.h > 1.0 && area.w > 3.0);
    assert_eq!(scene.items.iter().filter(|item| bars(item)).count(), 20);
}

#[test]
fn penalties_on_the_grid() {
    let grid: Vec<f64> = (0..20).map(|i| 10f64.powf(-1.0 + 0.5 * i as f64)).collect();
    let bell = |i: usize| (-((i as f64 - 13.0) / 4.0).powi(2)).exp();
    let mut counts: Vec<usize> = (0..20).map(|i| (900.0 * bell(i)) as usize).collect();
    counts[19] = 700;
    counts[0] = 40;
    let scores: Vec<f64> = (0..20).map(|i| 0.05 + 0.2 * bell(i)).collect();
    let options = AlphaOptions { title: "Penalties".into(), given: Some((grid[0], grid[14])), ..Default::default() };
    let scene = alphas::scene(&grid, &counts, Some(&scores), &options).unwrap();
    check_chart(&scene, "alphas_scores");
    assert!(scene.items.iter().any(|item| matches!(item, Item::Text(t) if t.text.starts_with("700 at the edge"))));
    let plain = AlphaOptions::default();
    check_chart(&alphas::scene(&grid, &counts, None, &plain).unwrap(), "alphas_counts");
    check_chart(&alphas::scene(&[3.0], &[12], Some(&[0.2]), &plain).unwrap(), "alphas_one");
    for (grid, counts) in
        [(vec![1.0, 2.0], vec![1]), (vec![2.0, 1.0], vec![1, 1]), (vec![0.0, 1.0], vec![1, 1]), (vec![], vec![])]
    {
        assert!(alphas::scene(&grid, &counts, None, &plain).is_err());
    }
    assert!(alphas::scene(&[1.0, 2.0], &[1, 1], Some(&[0.1]), &plain).is_err());
}
