//! What chance gives: written by `map`, taken off by `group`.

use crate::map::Brain;
use crate::support::results_of;
use orthoscope::data::{Affine, Grid, Volume};
use orthoscope::io::json;
use orthoscope::io::nifti::{Space, read_volume, write_volume};
use orthoscope::job::group::{Chance, Config, Group};
use orthoscope::job::map::Map;
use orthoscope::mapping::{Residual, Statistic};
use orthoscope::rng;
use serde_json::Value;
use std::path::{Path, PathBuf};

const SUBJECTS: usize = 5;

/// Runs of `map` of some subjects.
fn mapped(dir: &Path, name: &str, how: (Statistic, Residual), n_permutations: usize) -> Vec<PathBuf> {
    let one = |s: usize| {
        let brain = Brain::subject(40 + s as u64);
        let out = dir.join(format!("sub-0{}_{name}", s + 1));
        let mut own = brain.config();
        (own.statistic, own.residual) = how;
        own.test.n_permutations = n_permutations;
        own.maps.ceiling = false;
        results_of::<Map>(own, &out).unwrap();
        out
    };
    (0..SUBJECTS).map(one).collect()
}

fn volume(dir: &Path, name: &str) -> Volume {
    read_volume(&dir.join("arrays").join(format!("{name}_statmap.nii.gz"))).unwrap()
}

fn group(subjects: &[PathBuf], out: &Path, change: impl FnOnce(&mut Config)) -> orthoscope::Result<Value> {
    let mut config = Config::default();
    config.maps.subjects = subjects.to_vec();
    change(&mut config);
    results_of::<Group>(config, out)
}

#[test]
fn a_group_of_shares_of_variance_tests_their_excess_over_chance() {
    let dir = tempfile::tempdir().unwrap();
    let runs = mapped(dir.path(), "unique", (Statistic::Spearman, Residual::UniqueVariance), 99);
    let said: Value = json::read(&runs[0].join("arrays/desc-layer1_stat-spearman_statmap.json")).unwrap();
    assert_eq!(said["MeanUnderRelabelling"], "desc-layer1_stat-spearmannull_statmap.nii.gz");
    let out = dir.path().join("group");
    let found = group(&runs, &out, |_| ()).unwrap();
    assert_eq!(found["fisher_z"], false);
    assert_eq!(found["statistic"], "spearman (unique_variance)");
    assert_eq!(found["taken_off"], "each map's mean under relabelling");
    let each =
        |stat: &str| -> Vec<Volume> { runs.iter().map(|run| volume(run, &format!("desc-layer1_{stat}"))).collect() };
    let (values, chance) = (each("stat-spearman"), each("stat-spearmannull"));
    let mean = volume(&out, "desc-layer1_stat-mean");
    let mut n = 0;
    for v in (0..mean.values().len()).filter(|&v| mean.values()[v].is_finite()) {
        let excess = |s: usize| f64::from(values[s].values()[v]) - f64::from(chance[s].values()[v]);
        let expected = (0..SUBJECTS).map(excess).sum::<f64>() / SUBJECTS as f64;
        assert!((f64::from(mean.values()[v]) - expected).abs() < 1e-6);
        assert!(chance.iter().all(|c| c.values()[v] > 0.0));
        n += 1;
    }
    assert!(n > 100, "{n}");
    let refused = |change: &dyn Fn(&mut Config), words: &str| {
        let error = group(&runs, &dir.path().join("no"), change).unwrap_err();
        assert!(error.to_string().contains(words) && error.exit_code() == 2, "{error}");
    };
    refused(&|c| c.maps.fisher_z = Some(true), "maps of correlations, found spearman (unique_variance)");
    refused(&|c| c.maps.null = Some(Chance::Value(f64::NAN)), "a finite number or an image");
}

#[test]
fn maps_of_which_chance_is_not_known_are_refused_or_said() {
    let dir = tempfile::tempdir().unwrap();
    let runs = mapped(dir.path(), "cosine", (Statistic::Cosine, Residual::None), 0);
    let said: Value = json::read(&runs[0].join("arrays/desc-layer1_stat-cosine_statmap.json")).unwrap();
    assert_eq!(said["MeanUnderRelabelling"], Value::Null);
    let error = group(&runs, &dir.path().join("no"), |_| ()).unwrap_err();
    assert!(error.to_string().contains("what chance gives"), "{error}");
    assert!(error.hint().unwrap().contains("test.n_permutations"));
    let given = group(&runs, &dir.path().join("said"), |c| c.maps.null = Some(Chance::Value(0.5))).unwrap();
    assert_eq!(given["taken_off"], "0.5");
    let mean = volume(&dir.path().join("said"), "desc-layer1_stat-mean");
    let plain: Vec<Volume> = runs.iter().map(|run| volume(run, "desc-layer1_stat-cosine")).collect();
    let v = (0..mean.values().len()).find(|&v| mean.values()[v].is_finite()).unwrap();
    let expected = plain.iter().map(|p| f64::from(p.values()[v])).sum::<f64>() / SUBJECTS as f64 - 0.5;
    assert!((f64::from(mean.values()[v]) - expected).abs() < 1e-6);
}

#[test]
fn correlations_have_zero_by_chance() {
    let dir = tempfile::tempdir().unwrap();
    let runs = mapped(dir.path(), "semi", (Statistic::Spearman, Residual::SemiPartial), 0);
    let said: Value = json::read(&runs[0].join("arrays/desc-layer1_stat-spearman_statmap.json")).unwrap();
    assert_eq!(said["MeanUnderRelabelling"], 0);
    let found = group(&runs, &dir.path().join("group"), |_| ()).unwrap();
    assert_eq!((&found["fisher_z"], &found["taken_off"]), (&true.into(), &"0".into()));
    let error = group(&runs, &dir.path().join("no"), |c| c.maps.stat = Some("ceiling".into())).unwrap_err();
    assert!(error.to_string().contains("one file") || error.to_string().contains("what chance gives"), "{error}");
}

#[test]
fn maps_of_one_sign_and_copies_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let grid = Grid { shape: [6, 5, 4], affine: Affine::scaling([2.0; 3]) };
    let mut draw = rng::stream(3, "accuracies", 0);
    let mut files = Vec::new();
    for s in 0..6 {
        let values = (0..120).map(|_| 0.5 + 0.05 * draw.normal() as f32).collect();
        files.push(dir.path().join(format!("accuracy{s}.nii")));
        write_volume(&files[s], &Volume::new(grid, values).unwrap(), Space::Mni).unwrap();
    }
    let warnings = |out: &Path| {
        let manifest: Value = json::read(&out.join("manifest.json")).unwrap();
        manifest["warnings"].to_string()
    };
    let (plain, said) = (dir.path().join("plain"), dir.path().join("said"));
    group(&files, &plain, |_| ()).unwrap();
    assert!(warnings(&plain).contains("are above 0"), "{}", warnings(&plain));
    let found = group(&files, &said, |c| c.maps.null = Some(Chance::Value(0.5))).unwrap();
    assert!(!warnings(&said).contains("above 0"), "{}", warnings(&said));
    assert!(found["layers"][0]["mean"].as_f64().unwrap().abs() < 0.01);
    // The same by an image.
    let image = dir.path().join("half.nii");
    write_volume(&image, &Volume::filled(grid, 0.5), Space::Mni).unwrap();
    let again = group(&files, &dir.path().join("image"), |c| c.maps.null = Some(Chance::Map(image))).unwrap();
    assert_eq!(again["layers"][0]["peak_t"], found["layers"][0]["peak_t"]);
    // A copy under another name is the same subject once more.
    std::fs::copy(&files[2], dir.path().join("other.nii")).unwrap();
    files[4] = dir.path().join("other.nii");
    let error = group(&files, &dir.path().join("no"), |_| ()).unwrap_err().to_string();
    assert!(error.contains("other.nii` with the values of") && error.contains("accuracy2.nii"), "{error}");
}
