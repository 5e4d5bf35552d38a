//! Groups that generalise over images: relabelled maps that `map` keeps, and `group` tests with.

use crate::docs::has_rows;
use crate::map::Brain;
use crate::support::results_of;
use ndarray::{Array3, Ix3};
use orthoscope::io::nifti::read_volume;
use orthoscope::io::{json, npy};
use orthoscope::job::group::{Chance, Config, Generalise, Group};
use orthoscope::job::map::{self, Map};
use orthoscope::mapping::null::shared_relabellings;
use serde_json::Value;
use std::path::{Path, PathBuf};

const SUBJECTS: usize = 4;
const KEPT: usize = 39;

fn mapped(brain: &Brain, out: &Path, change: impl FnOnce(&mut map::Config)) {
    let mut config = brain.config();
    config.maps.ceiling = false;
    config.test.n_permutations = 45;
    config.test.keep_relabellings = KEPT;
    change(&mut config);
    results_of::<Map>(config, out).unwrap();
}

/// Runs of some subjects, with seeds of their own.
fn subjects(dir: &Path) -> Vec<PathBuf> {
    let one = |s: usize| {
        let out = dir.join(format!("sub-0{}", s + 1));
        mapped(&Brain::subject(60 + s as u64), &out, |config| config.seed = s as u64);
        out
    };
    (0..SUBJECTS).map(one).collect()
}

fn group(subjects: &[PathBuf], out: &Path, change: impl FnOnce(&mut Config)) -> orthoscope::Result<Value> {
    let mut config = Config::default();
    config.maps.subjects = subjects.to_vec();
    config.test.generalise = Generalise::Both;
    change(&mut config);
    results_of::<Group>(config, out)
}

fn kept(run: &Path) -> (Array3<f32>, Value) {
    let array = npy::read::<f32>(&run.join("arrays/relabelled.npy")).unwrap();
    (array.into_dimensionality::<Ix3>().unwrap(), json::read(&run.join("arrays/relabelled.json")).unwrap())
}

#[test]
fn a_group_relabels_all_subjects_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let runs = subjects(dir.path());
    let all: Vec<(Array3<f32>, Value)> = runs.iter().map(|run| kept(run)).collect();
    let about = &all[0].1;
    assert_eq!(about["Relabellings"], serde_json::to_value(shared_relabellings(12, KEPT)).unwrap());
    assert!(all.iter().all(|(_, other)| other == about), "seeds differ, relabellings do not");
    let voxels: Vec<usize> = serde_json::from_value(about["Voxels"].clone()).unwrap();
    assert_eq!(all[0].0.dim(), (3, KEPT, voxels.len()));

    let images = dir.path().join("images");
    let found = group(&runs, &images, |c| c.test.generalise = Generalise::Images).unwrap();
    has_rows("group", &found);
    assert_eq!((&found["generalise"], &found["n_permutations"]), (&"images".into(), &KEPT.into()));
    assert!(found["claim"].as_str().unwrap().contains("Other images"));
    let at = |out: &Path, stat: &str| {
        read_volume(&out.join(format!("arrays/desc-layer1_stat-{stat}_statmap.nii.gz"))).unwrap().values().to_vec()
    };
    // p of the mean of artanh, counted from the files.
    let (p, mean) = (at(&images, "p"), at(&images, "mean"));
    let (mut tested, mut significant) = (0, 0);
    for (column, &v) in voxels.iter().enumerate().filter(|(_, v)| p[**v].is_finite()) {
        let of = |k: usize| all.iter().map(|(maps, _)| f64::from(maps[[1, k, column]]).atanh()).sum::<f64>();
        let own = f64::from(mean[v]) * SUBJECTS as f64;
        let reached = (0..KEPT).filter(|&k| of(k) >= own).count();
        assert!((f64::from(p[v]) - (1 + reached) as f64 / (1 + KEPT) as f64).abs() < 1e-6, "voxel {v}");
        tested += 1;
        significant += usize::from(reached < 2);
    }
    assert!(tested > 500 && significant > 100, "{significant} of {tested}");

    // Both: the null distribution is as wide or wider, and the layer is found.
    let out = dir.path().join("both");
    let found = group(&runs, &out, |_| ()).unwrap();
    let (z, narrow) = (at(&out, "z"), at(&images, "z"));
    assert!(voxels.iter().all(|&v| !p[v].is_finite() || z[v].abs() <= narrow[v].abs() + 1e-5));
    assert!(found["layers"][1]["n_significant"].as_u64().unwrap() > 50, "{}", found["layers"][1]);
    assert!(found["layers"][0]["n_significant"].as_u64().unwrap() < 30, "{}", found["layers"][0]);
    let sidecar: Value = json::read(&out.join("arrays/desc-layer1_stat-p_statmap.json")).unwrap();
    assert_eq!((&sidecar["GeneralisesTo"], &sidecar["Claim"]), (&"both".into(), &found["claim"]));
}

#[test]
fn relabelled_maps_of_shards_are_those_of_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let brain = Brain::subject(70);
    let at = |name: &str| dir.path().join(name);
    mapped(&brain, &at("whole"), |_| ());
    let shards = [1, 2].map(|index| {
        let out = at(&format!("shard{index}"));
        mapped(&brain, &out, |config| config.shard = Some(map::Shard { index, of: 2 }));
        out
    });
    mapped(&brain, &at("joined"), |config| config.shards = shards.to_vec());
    for name in ["relabelled.npy", "relabelled.json"] {
        let bytes = |run: &str| std::fs::read(at(run).join("arrays").join(name)).unwrap();
        assert_eq!(bytes("whole"), bytes("joined"), "{name}");
    }
}

#[test]
fn what_cannot_generalise_over_images_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let runs = subjects(dir.path());
    let refused = |runs: &[PathBuf], change: &dyn Fn(&mut Config), words: &str| {
        let error = group(runs, &dir.path().join("no"), change).unwrap_err();
        assert!(error.to_string().contains(words) && error.exit_code() == 2, "{error}");
    };
    refused(&runs, &|c| c.maps.against = c.maps.subjects.clone(), "nothing to compare them with");
    let other = |c: &mut Config| (c.maps.stat, c.maps.null) = (Some("p".into()), Some(Chance::Value(0.0)));
    refused(&runs, &other, "the comparison of `map`");
    refused(&runs, &|c| c.test.alpha = 0.02, "p of at least 0.025 with 12 conditions and 39 relabellings");
    // Another set of images, or none kept.
    let words = runs[2].join("arrays/relabelled.json");
    let text = std::fs::read_to_string(&words).unwrap();
    std::fs::write(&words, text.replace("image01", "other01")).unwrap();
    refused(&runs, &|_| (), "the conditions and relabellings of");
    std::fs::write(&words, text.replacen("layer0", "layer9", 1)).unwrap();
    let error = group(&runs, &dir.path().join("no"), |_| ()).unwrap_err().to_string();
    assert!(error.contains("the layer `layer0`"), "{error}");
    std::fs::remove_file(&words).unwrap();
    refused(&runs, &|_| (), "a run that kept none");
    let brain = Brain::subject(61);
    let mut config = brain.config();
    config.test.keep_relabellings = 300;
    brain.refused(config, &["test.keep_relabellings", "300 to be kept of 199"]);
}
