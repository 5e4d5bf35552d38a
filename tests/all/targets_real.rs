//! The section `[targets]` on recordings of real studies, against the numbers of their READMEs.

use crate::compact;
use crate::support::data;
use crate::targets::{Study, config, of_files, responses, series};
use ndarray::{Array1, Array2, ArrayView1, Axis, Ix2};
use orthoscope::data::Usable;
use orthoscope::io::{npy, tsv};
use orthoscope::job::inputs::TargetsConfig;
use orthoscope::job::inputs::targets::{Matching, Rows, Targets, align, read};
use orthoscope::math::linalg::Cholesky;
use std::path::Path;

fn pearson(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    let (a, b) = (&a - a.mean().unwrap(), &b - b.mean().unwrap());
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

/// Predictions of ridge regression for the rows i with i mod n_folds = f from all others, columns
/// of x and, if `centred`, y centred on the training rows.
fn ridge(x: &Array2<f64>, y: &Array2<f64>, lambda: f64, n_folds: usize, centred: bool) -> Array2<f64> {
    let mut predicted = Array2::zeros(y.dim());
    for fold in 0..n_folds {
        let (test, train): (Vec<usize>, Vec<usize>) = (0..x.nrows()).partition(|i| i % n_folds == fold);
        let mean = x.select(Axis(0), &train).mean_axis(Axis(0)).unwrap();
        let (a, b) = (x.select(Axis(0), &train) - &mean, y.select(Axis(0), &train));
        let level = if centred { b.mean_axis(Axis(0)).unwrap() } else { Array1::zeros(y.ncols()) };
        let gram = a.dot(&a.t()) + Array2::<f64>::eye(train.len()) * lambda;
        let weights = a.t().dot(&Cholesky::new(gram.view()).unwrap().solve((b - &level).view()));
        let found = (x.select(Axis(0), &test) - &mean).dot(&weights) + &level;
        test.iter().zip(found.rows()).for_each(|(&i, row)| predicted.row_mut(i).assign(&row));
    }
    predicted
}

fn correlations(targets: &Targets, x: &Array2<f64>, lambda: f64, n_folds: usize, centred: bool) -> Vec<f64> {
    let y = responses(targets).mean().reversed_axes();
    let predicted = ridge(x, &y, lambda, n_folds, centred);
    (0..y.ncols()).map(|t| pearson(predicted.column(t), y.column(t))).collect()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn column(path: &Path, name: &str) -> Vec<String> {
    let table = tsv::read(path).unwrap();
    table.column(name).unwrap().into_iter().map(String::from).collect()
}

/// README: mean r 0.18, best 1 % of the voxels above 0.76.
#[test]
fn digits_are_predicted_as_their_readme_says() {
    let Some(folder) = data("digit69") else { return };
    let found = of_files(&[folder.join("fmri.npy")], "axes = ['rows', 'targets']\nmatch = 'order'").unwrap();
    assert_eq!((responses(&found).n_targets(), responses(&found).n_stimuli()), (3092, 90));
    let images = npy::read::<f64>(&folder.join("images.npy")).unwrap() / 255.0;
    let images = images.to_shape((90, 784)).unwrap().to_owned().into_dimensionality::<Ix2>().unwrap();
    let mut r = correlations(&found, &images, 50.0, 10, false);
    assert!((mean(r.iter().copied()) - 0.18).abs() < 0.005, "{}", mean(r.iter().copied()));
    r.sort_by(f64::total_cmp);
    assert!((r[r.len() - r.len() / 100] - 0.76).abs() < 0.005, "{}", r[r.len() - r.len() / 100]);
}

/// README: LOC 0.65, PPA 0.63, OFA 0.56, OPA 0.51, EVC 0.48, PFS 0.15.
#[test]
fn regions_of_81_objects_are_predicted_as_their_readme_says() {
    let Some(folder) = data("objects81_rois") else { return };
    let config = TargetsConfig {
        files: vec![folder.join("betas.npy")],
        ids: Some(folder.join("categories.tsv")),
        ids_column: Some("category".into()),
        rois: vec![folder.join("voxels.tsv")],
        ..TargetsConfig::default()
    };
    let found = read(&config).unwrap();
    let categories = column(&folder.join("categories.tsv"), "category");
    let mut stimuli = categories.clone();
    stimuli.reverse();
    let matched = align(&found, &stimuli, Matching::Ids).unwrap();
    let mut x = npy::read::<f64>(&folder.join("alexnet_pcs.npy")).unwrap().into_dimensionality::<Ix2>().unwrap();
    x.columns_mut().into_iter().for_each(|mut column| {
        let (mean, sd) = (column.mean().unwrap(), column.std(0.0));
        column.mapv_inplace(|v| (v - mean) / sd);
    });
    // Rows were matched by name: the last category comes first.
    assert_eq!(matched.responses.values()[[0, 80, 0]], responses(&found).values()[[0, 0, 0]]);
    let r = correlations(&found, &x, 30.0, 9, true);
    let expected = [
        ("EVC", 0.48, 100),
        ("OPA", 0.51, 100),
        ("PPA", 0.63, 100),
        ("LOC", 0.65, 96),
        ("PFS", 0.15, 100),
        ("OFA", 0.56, 100),
    ];
    assert_eq!(found.regions.len(), 6);
    for (name, expected, n_voxels) in expected {
        let (_, voxels) = found.regions.iter().find(|(region, _)| region == name).unwrap();
        let found = mean(voxels.iter().map(|&v| r[v as usize]));
        assert_eq!(voxels.len(), n_voxels, "{name}");
        assert!((found - expected).abs() < 0.0051, "{name}: {found}");
    }
}

/// README: a correlation classifier (block means minus the run's mean, leave one run out, nearest
/// template) names the category in 55 % of the 80 blocks.
#[test]
fn blocks_of_faces_and_houses_are_named_as_their_readme_says() {
    let Some(folder) = data("haxby2001_s1") else { return };
    let labels = folder.join("vt_labels.tsv");
    let config = TargetsConfig {
        files: vec![folder.join("vt_bold.nii.gz")],
        mask: Some(folder.join("vt_mask.nii.gz")),
        trials: Some(labels.clone()),
        ..config("rows = 'time'\ntr_s = 2.5")
    };
    let found = read(&config).unwrap();
    let bold = series(&found);
    assert_eq!((bold.n_samples(), bold.n_targets(), bold.run_names().len()), (720, 577, 10));
    let (blocks, categories) = (column(&labels, "block"), column(&labels, "category"));
    let mut samples: Vec<(usize, String, Vec<usize>)> = vec![];
    let mut last = None;
    for s in 0..720 {
        if last != Some((bold.runs()[s], &blocks[s])) {
            samples.push((bold.runs()[s], categories[s].clone(), vec![]));
            last = Some((bold.runs()[s], &blocks[s]));
        }
        samples.last_mut().unwrap().2.push(s);
    }
    assert_eq!(samples.len(), 80);
    let values = bold.values().mapv(f64::from);
    let means: Vec<_> =
        samples.iter().map(|(_, _, rows)| values.select(Axis(0), rows).mean_axis(Axis(0)).unwrap()).collect();
    let mean_of = |which: &dyn Fn(usize) -> bool| {
        let rows: Vec<usize> = (0..80).filter(|&b| which(b)).collect();
        rows.iter().fold(Array1::<f64>::zeros(577), |sum, &b| sum + &means[b]) / rows.len() as f64
    };
    let centred: Vec<_> = (0..80).map(|b| &means[b] - &mean_of(&|o| samples[o].0 == samples[b].0)).collect();
    let template = |run: usize, category: &str| {
        let rows: Vec<usize> = (0..80).filter(|&b| samples[b].0 != run && samples[b].1 == category).collect();
        rows.iter().fold(Array1::<f64>::zeros(577), |sum, &b| sum + &centred[b]) / rows.len() as f64
    };
    let mut all: Vec<&str> = samples.iter().map(|(_, category, _)| category.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    let named = |b: usize| {
        let similar = |category: &str| pearson(template(samples[b].0, category).view(), centred[b].view());
        let best = all.iter().max_by(|x, y| similar(x).total_cmp(&similar(y))).unwrap();
        *best == samples[b].1
    };
    let share = (0..80).filter(|&b| named(b)).count() as f64 / 80.0;
    assert!((share - 0.55).abs() < 0.0063, "{share}");
    // The same volumes as trials: 8 stimuli of 90 repeats.
    let trials = TargetsConfig { rows: Rows::Trials, tr_s: None, condition_column: Some("category".into()), ..config };
    let found = read(&trials).unwrap();
    assert_eq!((responses(&found).n_stimuli(), responses(&found).n_repeats()), (8, 90));
}

/// README: 201016 and 210325 have raw repeats, NaN where one was not run; the averages are their
/// means.
#[test]
fn repeats_of_v4_average_to_the_file_of_averages() {
    let Some(folder) = data("v4/data_V4_responses") else { return };
    for (id, n_neurons, n_images) in [("201016", 82, 600), ("210325", 50, 640)] {
        let raw = folder.join(format!("responses_raw/responses_{id}.npy"));
        let found = of_files(&[raw], "axes = ['targets', 'rows', 'repeats']").unwrap();
        let raw = responses(&found);
        assert_eq!((raw.n_targets(), raw.n_stimuli(), raw.n_repeats()), (n_neurons, n_images, 10));
        let averages = folder.join(format!("responses_repeat_averaged/responses_{id}.npy"));
        let found = of_files(&[averages], "axes = ['targets', 'rows']").unwrap();
        let difference = (raw.mean() - responses(&found).mean()).mapv(f64::abs);
        assert!(difference.iter().all(|d| *d < 1e-6), "{id}: 32 bits of spike counts");
        assert_eq!(raw.count(Usable::Yes), n_neurons);
    }
}

/// reference/fit.tsv: r of the compact model of neuron 0 of 190923 over images 1, 7, 13, ...
#[test]
fn a_neuron_of_v4_correlates_with_its_model_as_the_reference_says() {
    let Some(folder) = data("v4") else { return };
    let study = Study::new();
    let numbers: Vec<usize> = (0..200).map(|i| 6 * i).collect();
    let ids: String = (1..=1200).map(|n| format!("image{n:04}\n")).collect();
    let ids = study.text("ids.txt", &ids);
    let responses = folder.join("data_V4_responses/responses_repeat_averaged/responses_190923.npy");
    let found = study.read(&[responses], "", |c| c.ids = Some(ids)).unwrap();
    // In whatever order the images come.
    let stimuli: Vec<String> = (1..=1200).rev().map(|n| format!("images_190923/image{n:04}.jpg")).collect();
    let matched = align(&found, &stimuli, Matching::Ids).unwrap();
    let recorded: Array1<f64> =
        numbers.iter().map(|&n| f64::from(matched.responses.values()[[0, 1199 - n, 0]])).collect();
    let model = folder.join("data_compact_models/models_torch/compact_model_190923_neuron0.pt");
    let predicted = compact::many_predictions(&compact::load(&model), &compact::images("190923", &numbers).unwrap());
    let r = pearson(Array1::from(predicted).view(), recorded.view());
    // Four decimals are given; another JPEG decoder moves r by less than this.
    assert!((r - 0.7733).abs() < 2e-3, "{r}");
}
