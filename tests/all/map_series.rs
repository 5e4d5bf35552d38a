//! The job `map` from time series.

use crate::docs::has_rows;
use crate::map::{Brain, N, RUNS, map_file};
use crate::support::data;
use orthoscope::data::mask::Mask;
use orthoscope::io::nifti::{Space, read, read_volume, write_series};
use orthoscope::io::tsv;
use orthoscope::job::map::{Config, Estimate, SignalScale};
use orthoscope::rdm::files::rdms_npz;
use orthoscope::rdm::{Measure, Rdm};
use orthoscope::rng;
use orthoscope::stats::glm::{Condition, Design, DesignOptions, Event, Hrf, NoiseModel};
use std::path::PathBuf;

const TR: f64 = 2.0;
const VOLUMES: usize = 130;

/// Two impulses of every image, in an order of its own in every run.
fn events(run: usize) -> Vec<(f64, usize)> {
    let mut draw = rng::stream(51, "series test", run as u64);
    let mut order: Vec<usize> = (0..2 * N).map(|i| i % N).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, draw.below(i + 1));
    }
    order.into_iter().enumerate().map(|(i, c)| (8.0 + 10.0 * i as f64, c)).collect()
}

/// Time series with the responses of the brain's betas, slow drifts and noise.
fn write_series_of(brain: &Brain, run: usize, noise_sd: f64) {
    let condition = |c: usize| Condition {
        name: brain.names[c].clone(),
        events: events(run)
            .iter()
            .filter(|(_, own)| *own == c)
            .map(|(onset, _)| Event { onset_s: *onset, duration_s: 1.0, amplitude: 1.0 })
            .collect(),
    };
    let conditions: Vec<Condition> = (0..N).map(condition).collect();
    let design = Design::new(&conditions, VOLUMES, TR, None, &DesignOptions::default()).unwrap();
    let all = Mask::from_fn(brain.grid, |_| true).unwrap();
    let betas = read(&brain.at(&format!("sub-1_run-{run}_betas.nii.gz"))).unwrap().masked(&all).unwrap();
    let volumes: Vec<Vec<f32>> = (0..VOLUMES)
        .map(|t| {
            let mut draw = rng::stream(52, "series noise", (run * VOLUMES + t) as u64);
            let drift = (t as f64 / VOLUMES as f64 - 0.5) * 6.0;
            let one = |v: usize| {
                let signal: f64 = (0..N).map(|c| f64::from(betas[[c, v]]) * design.matrix[[t, c]]).sum();
                (100.0 + drift + signal + noise_sd * draw.normal()) as f32
            };
            (0..1000).map(one).collect()
        })
        .collect();
    let views: Vec<&[f32]> = volumes.iter().map(Vec::as_slice).collect();
    let path = brain.at(&format!("sub-1_run-{run}_bold.nii.gz"));
    write_series(&path, &brain.grid, &views, Some(TR), Space::Mni).unwrap();
    let rows: Vec<String> = events(run).iter().map(|(onset, c)| format!("{onset}\t1\t{}", brain.names[*c])).collect();
    let text = format!("onset\tduration\ttrial_type\n{}\n250\t2\tbutton\n", rows.join("\n"));
    std::fs::write(brain.at(&format!("run-{run}_bold_events.tsv")), text).unwrap();
}

fn config(brain: &Brain) -> Config {
    let mut config = brain.config();
    let files =
        |end: &str| -> Vec<PathBuf> { (0..RUNS).map(|r| brain.at(&end.replace('#', &r.to_string()))).collect() };
    (config.betas.files, config.betas.labels) = (vec![], vec![]);
    config.bold.files = files("sub-1_run-#_bold.nii.gz");
    config.bold.events = files("run-#_bold_events.tsv");
    config.bold.nuisance = vec!["button".into()];
    config
}

#[test]
fn time_series_become_betas_and_maps() {
    let brain = Brain::new();
    (0..RUNS).for_each(|run| write_series_of(&brain, run, 0.05));
    let results = brain.run(config(&brain), "series").unwrap();
    has_rows("map", &results);
    assert_eq!((results["n_conditions"].as_u64(), results["n_runs"].as_u64()), (Some(12), Some(4)));
    let fitted = &results["glm"][0];
    assert_eq!((fitted["tr_s"].as_f64(), fitted["n_volumes"].as_u64()), (Some(TR), Some(130)));
    assert!(fitted["mean_r2"].as_f64().unwrap() > 0.9, "{fitted}");
    // What was fitted is close to what was put in: the map is that of the betas.
    let direct = brain.run(brain.config(), "betas").unwrap();
    let name = "desc-layer1_stat-spearman_statmap.nii.gz";
    let (series, betas) = (map_file(&brain, "series", name), map_file(&brain, "betas", name));
    let far = series.values().iter().zip(betas.values()).filter(|(a, b)| (*a - *b).abs() > 0.2).count();
    assert!(far < 9, "{far} of 900 places differ by more than 0.2");
    assert_eq!(direct["n_centres"], results["n_centres"]);

    // The written estimates are betas that `map` reads: the same maps to the last bit.
    let mut again = brain.config();
    let run_name =
        |end: &str| (0..RUNS).map(|r| brain.at(&format!("series/arrays/desc-run{r}_{end}"))).collect::<Vec<_>>();
    (again.betas.files, again.betas.labels) = (run_name("stat-beta_statmap.nii.gz"), run_name("labels.tsv"));
    brain.run(again, "again").unwrap();
    let bytes = |out: &str| std::fs::read(brain.at(out).join("arrays").join(name)).unwrap();
    assert_eq!(bytes("series"), bytes("again"));
    let design = tsv::read(&brain.at("series/arrays/desc-run0_design.tsv")).unwrap();
    assert_eq!((design.rows.len(), design.header.last().map(String::as_str)), (VOLUMES, Some("constant")));
    assert!(design.header.contains(&"button".to_owned()));

    // t instead of betas, autoregressive noise, a derivative, confounds.
    let mut other = config(&brain);
    (other.bold.estimate, other.bold.noise, other.bold.design.hrf) = (Estimate::T, NoiseModel::Ar1, Hrf::SpmDerivative);
    other.bold.confound_columns = vec!["trans_*".into()];
    for run in 0..RUNS {
        let mut draw = rng::stream(53, "confounds", run as u64);
        let rows: Vec<String> = (0..VOLUMES)
            .map(|t| {
                let derivative = if t == 0 { "n/a".into() } else { draw.normal().to_string() };
                format!("{}\t{derivative}\t7", draw.normal())
            })
            .collect();
        let path = brain.at(&format!("run-{run}_confounds.tsv"));
        std::fs::write(&path, format!("trans_x\ttrans_x_derivative1\tconstant\n{}\n", rows.join("\n"))).unwrap();
        other.bold.confounds.push(path);
    }
    let found = brain.run(other, "other").unwrap();
    let n_regressors = |r: &serde_json::Value| r["glm"][0]["n_regressors"].as_u64().unwrap();
    // A derivative for each of 13 conditions and two confounds.
    assert_eq!(n_regressors(&found), n_regressors(&results) + 13 + 2);
    assert!(found["layers"][1]["max"].as_f64() > Some(0.5));
}

/// Percent of each voxel's mean, of the run's mean, and the units of the data: 100 b / mean, which is what
/// nilearn's `signal_scaling` 0, None and False give.
#[test]
fn estimates_are_percent_of_the_baseline() {
    let brain = Brain::new();
    (0..RUNS).for_each(|run| write_series_of(&brain, run, 0.05));
    let with = |scale: SignalScale, out: &str| {
        let mut config = config(&brain);
        (config.bold.scale, config.test.n_permutations, config.maps.ceiling) = (scale, 0, false);
        brain.run(config, out).unwrap();
        read(&brain.at(out).join("arrays/desc-run0_stat-beta_statmap.nii.gz")).unwrap().next_values().unwrap()
    };
    let (percent, run) = (with(SignalScale::Percent, "percent"), with(SignalScale::Run, "run"));
    let none = with(SignalScale::None, "none");
    let mut series = read(&brain.at("sub-1_run-0_bold.nii.gz")).unwrap();
    let n = series.header().n_volumes;
    let mut means = vec![0.0; none.len()];
    for _ in 0..n {
        let volume = series.next_values().unwrap();
        means.iter_mut().zip(volume).for_each(|(m, v)| *m += v / n as f64);
    }
    let inside: Vec<usize> = (0..none.len()).filter(|&v| none[v].is_finite()).collect();
    let grand = inside.iter().map(|&v| means[v]).sum::<f64>() / inside.len() as f64;
    assert!(inside.len() > 500);
    for v in inside {
        let near = |found: f64, mean: f64| (found - 100.0 * none[v] / mean).abs() < 1e-5 * found.abs().max(1e-3);
        assert!(near(percent[v], means[v]) && near(run[v], grand), "{v}: {} {} {}", percent[v], run[v], none[v]);
    }
}

#[test]
fn runs_of_one_label_have_their_own_files() {
    let brain = Brain::new();
    (0..RUNS).for_each(|run| write_series_of(&brain, run, 0.05));
    let mut config = config(&brain);
    config.test.n_permutations = 0;
    for (run, name) in ["run-1.1", "run-11", "ses-x_run-11", "run-2"].into_iter().enumerate() {
        let path = brain.at(&format!("sub-1_{name}_bold.nii.gz"));
        std::fs::copy(&config.bold.files[run], &path).unwrap();
        config.bold.files[run] = path;
    }
    let results = brain.run(config, "out").unwrap();
    has_rows("map", &results);
    let names = ["run-1.1", "run-11", "ses-x_run-11", "run-2"];
    let mut labels = std::collections::BTreeSet::new();
    for (own, name) in results["glm"].as_array().unwrap().iter().zip(names) {
        assert_eq!(own["run"], name);
        let label = own["label"].as_str().unwrap();
        labels.insert(label.to_owned());
        let table = tsv::read(&brain.at(&format!("out/arrays/desc-{label}_labels.tsv"))).unwrap();
        assert!(table.column("run").unwrap().iter().all(|run| *run == name) && table.rows.len() == N, "{label}");
    }
    assert!(labels.contains("run2") && labels.contains("sesxrun11") && labels.len() == RUNS, "{labels:?}");
    for end in ["stat-beta_statmap.nii.gz", "stat-beta_statmap.json", "design.tsv", "stat-r2_statmap.nii.gz"] {
        let written = std::fs::read_dir(brain.at("out/arrays")).unwrap();
        let names = written.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.ends_with(end)).count(), RUNS, "{end}");
    }
}

#[test]
fn series_that_cannot_be_meant_are_refused() {
    let brain = Brain::new();
    (0..RUNS).for_each(|run| write_series_of(&brain, run, 0.05));
    let with = |change: &dyn Fn(&mut Config), words: &[&str]| {
        let mut config = config(&brain);
        change(&mut config);
        brain.refused(config, words);
    };
    with(&|c| c.bold.events.truncate(2), &["a table of events for every run, found 4 series, 2 events"]);
    with(&|c| c.betas.files = c.bold.files.clone(), &["one of them, found betas.files and bold.files"]);
    with(&|c| c.bold.tr_s = Some(1.0), &["run-0_bold_events.tsv, row ", "column `onset`", "end of the run at 130"]);
    with(&|c| c.bold.nuisance.clear(), &["fingerprints.files", "without 1 of them: `button`"]);
    with(
        &|c| c.betas.condition_column = Some("image".into()),
        &["a column `image`", "`onset`, `duration`, `trial_type`"],
    );
    let path = brain.at("confounds.tsv");
    let rows: Vec<String> = (0..VOLUMES).map(|t| if t == 50 { "n/a".into() } else { t.to_string() }).collect();
    std::fs::write(&path, format!("motion\n{}\n", rows.join("\n"))).unwrap();
    let confounds = |c: &mut Config| c.bold.confounds = vec![path.clone(); RUNS];
    with(&confounds, &["confounds.tsv, row 51, column `motion`", "found `n/a`"]);
    with(
        &|c| {
            confounds(c);
            c.bold.confound_columns = vec!["rot_*".into()];
        },
        &["a column `rot_*`, found `motion`"],
    );
    std::fs::write(&path, format!("motion\n{}\n", rows[..9].join("\n"))).unwrap();
    with(&confounds, &["confounds.tsv", "130 rows", "one for each volume of", "sub-1_run-0_bold.nii.gz", "found 9"]);
    // A TR that is too long is not refused, but the user is told.
    let mut late = config(&brain);
    late.bold.tr_s = Some(4.2);
    late.test.n_permutations = 0;
    brain.run(late, "late").unwrap();
    let manifest = std::fs::read_to_string(brain.at("late/manifest.json")).unwrap();
    assert!(manifest.contains("is the TR right?"), "{manifest}");
}

/// README of the data: TR 2.4 s although the header says 1; the ten conditions explain 20.7 % on
/// average and 76 % at best.
#[test]
fn the_localizer_is_mapped_from_its_time_series() {
    let Some(folder) = data("localizer_4regions") else { return };
    let dir = tempfile::tempdir().unwrap();
    let events = folder.join("events_10conditions.tsv");
    let mut names: Vec<String> =
        tsv::read(&events).unwrap().column("trial_type").unwrap().into_iter().map(String::from).collect();
    names.sort();
    names.dedup();
    // Heard against not heard.
    let heard: Vec<bool> = names.iter().map(|n| n.contains("audio")).collect();
    let pairs = (0..10).flat_map(|i| (i + 1..10).map(move |j| (i, j)));
    let values = pairs.map(|(i, j)| f64::from(u8::from(heard[i] != heard[j]))).collect();
    let rdm = Rdm::new(Measure::Given, values, names.clone()).unwrap();
    rdms_npz(&[("heard".to_owned(), rdm)]).unwrap().write(&dir.path().join("rdms.npz")).unwrap();
    std::fs::write(dir.path().join("conditions.txt"), format!("condition\n{}\n", names.join("\n"))).unwrap();
    let mut config = Config::default();
    config.bold.files = vec![folder.join("bold.nii.gz")];
    config.bold.events = vec![events];
    config.bold.tr_s = Some(2.4);
    config.betas.mask = Some(folder.join("regions.nii.gz"));
    config.regions.image = Some(folder.join("regions.nii.gz"));
    config.fingerprints.files = vec![dir.path().join("rdms.npz")];
    config.fingerprints.conditions = Some(dir.path().join("conditions.txt"));
    let results = crate::support::results_of::<orthoscope::job::map::Map>(config, &dir.path().join("out")).unwrap();
    assert_eq!(results["rois"].as_array().map(Vec::len), Some(6));
    let r2 = read_volume(&dir.path().join("out/arrays/desc-run1_stat-r2_statmap.nii.gz")).unwrap();
    let inside: Vec<f64> = r2.values().iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).collect();
    assert_eq!(inside.len(), 6443);
    let best = inside.iter().copied().fold(0.0, f64::max);
    let mean = inside.iter().sum::<f64>() / 6443.0;
    assert!((mean - 0.207).abs() < 5e-4 && (best - 0.76).abs() < 5e-3, "{mean} {best}");
    let betas = read(&dir.path().join("out/arrays/desc-run1_stat-beta_statmap.nii.gz")).unwrap();
    assert_eq!(betas.header().n_volumes, 10);
}
