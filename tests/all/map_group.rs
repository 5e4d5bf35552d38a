//! The job `group`: maps of several subjects.

use crate::docs::has_rows;
use crate::map::Brain;
use crate::support::data;
use crate::support::results_of;
use orthoscope::Error;
use orthoscope::data::{Affine, Grid, Volume};
use orthoscope::io::nifti::{Space, read_volume, write_series, write_volume};
use orthoscope::io::tsv;
use orthoscope::job::group::{Config, Group, GroupCorrection};
use orthoscope::mapping::Residual;
use orthoscope::math::permutation::Tail;
use orthoscope::rng;
use serde_json::Value;
use std::path::{Path, PathBuf};

const SUBJECTS: usize = 6;

fn run(config: Config, out: PathBuf) -> orthoscope::Result<serde_json::Value> {
    results_of::<Group>(config, &out)
}

/// Maps of six subjects, raw and residual, each in a run directory `sub-0N_*`.
fn mapped() -> (tempfile::TempDir, Vec<PathBuf>, Vec<PathBuf>, Grid) {
    let dir = tempfile::tempdir().unwrap();
    let (mut raw, mut residual) = (vec![], vec![]);
    let mut grid = None;
    for s in 0..SUBJECTS {
        let brain = Brain::subject(40 + s as u64);
        for (all, name, variant) in [(&mut raw, "raw", Residual::None), (&mut residual, "semi", Residual::SemiPartial)]
        {
            let mut config = brain.config();
            (config.residual, config.test.n_permutations, config.maps.ceiling) = (variant, 0, false);
            let out = dir.path().join(format!("sub-0{}_{name}", s + 1));
            results_of::<orthoscope::job::map::Map>(config, &out).unwrap();
            all.push(out);
        }
        grid = Some(brain.grid);
    }
    (dir, raw, residual, grid.unwrap())
}

fn map_of(out: &Path, name: &str) -> Volume {
    read_volume(&out.join("arrays").join(name)).unwrap()
}

#[test]
fn a_group_finds_what_its_subjects_share() {
    let (dir, raw, residual, grid) = mapped();
    let mut config = Config::default();
    config.maps.subjects = raw.clone();
    config.test.alpha = 0.05;
    let out = dir.path().join("group");
    let results = run(config.clone(), out.clone()).unwrap();
    has_rows("group", &results);
    let number = |at: &Value| at.as_f64().unwrap();
    assert_eq!((results["n_subjects"].as_u64(), results["n_permutations"].as_u64()), (Some(6), Some(64)));
    assert_eq!(
        (&results["exhaustive"], &results["fisher_z"], &results["statistic"]),
        (&true.into(), &true.into(), &"spearman".into())
    );
    let winner = map_of(&out, "desc-winner_dseg.nii.gz");
    assert!(winner.grid().same(&grid));
    let (mut right, mut wrong) = (0, 0);
    for (v, &found) in winner.values().iter().enumerate() {
        let [i, _, k] = grid.voxel(v);
        if k > 0 && (i <= 2 || i >= 7) {
            let expected = if i < 5 { 3.0 } else { 2.0 };
            *(if found == expected { &mut right } else { &mut wrong }) += 1;
        }
    }
    assert!(right > 20 * wrong.max(1), "{right} right, {wrong} wrong");
    // Layer 2 lies where x is large, layer 1 where it is small.
    assert!(
        number(&results["gradient"]["x"]["pearson"]) > 0.5 && number(&results["gradient"]["y"]["pearson"]).abs() < 0.3
    );
    assert!(number(&results["layers"][1]["compactness"]["largest_fraction"]) > 0.8);
    // The mean map is the mean of artanh of the subjects' maps.
    let name = "desc-layer1_stat-spearman_statmap.nii.gz";
    let each: Vec<Volume> = raw.iter().map(|dir| map_of(dir, name)).collect();
    let mean = map_of(&out, "desc-layer1_stat-mean_statmap.nii.gz");
    for v in (0..1000).filter(|v| mean.values()[*v].is_finite()) {
        let expected = each.iter().map(|m| f64::from(m.values()[v]).atanh()).sum::<f64>() / SUBJECTS as f64;
        assert!((f64::from(mean.values()[v]) - expected).abs() < 1e-6);
    }
    // The winner against the next: flips of six subjects, two-sided, have no p below 1 / 32.
    let (better, second) = (
        map_of(&out, "desc-winner_stat-pbetter_statmap.nii.gz"),
        map_of(&out, "desc-layers_stat-second_statmap.nii.gz"),
    );
    let mut n_better = 0;
    for (v, &found) in winner.values().iter().enumerate().filter(|(v, w)| **w > 0.0 && better.values()[*v].is_finite())
    {
        let p = better.values()[v];
        assert!((0.0312..=1.0).contains(&p) && second.values()[v] != found && second.values()[v] > 0.0, "voxel {v}");
        n_better += usize::from(p <= 0.05);
    }
    assert_eq!(results["n_better"].as_u64(), Some(n_better as u64));
    assert!(n_better > 100, "{n_better}");
    let low = map_of(&out, "desc-layer1_stat-cilow_statmap.nii.gz");
    let inside = |v: &usize| low.values()[*v].is_finite();
    assert!((0..1000).filter(inside).all(|v| low.values()[v] <= mean.values()[v]));
    // Rows of the table are peaks of t: their voxel's value is the map's.
    let t = map_of(&out, "desc-layer1_stat-t_statmap.nii.gz");
    let table = tsv::read(&out.join("arrays/clusters.tsv")).unwrap();
    let row = table.rows.iter().find(|r| r[0] == "layer1").expect("layer1 is somewhere");
    let mm: Vec<f64> = row[4..7].iter().map(|x| x.parse().unwrap()).collect();
    let voxel = (0..1000).find(|&v| (0..3).all(|i| (grid.mm(v)[i] - mm[i]).abs() < 0.05)).unwrap();
    assert!((f64::from(t.values()[voxel]) - row[3].parse::<f64>().unwrap()).abs() < 1e-4);
    for file in ["arrays/overlap.npz", "figures/slices.png", "figures/winner.png", "figures/dice.png", "report.html"] {
        assert!(out.join(file).exists(), "{file}");
    }

    // The same bytes with one thread.
    let again = dir.path().join("again");
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    one.install(|| run(config.clone(), again.clone())).unwrap();
    for name in ["desc-layer1_stat-ptfce_statmap.nii.gz", "desc-layer2_stat-pclustermass_statmap.nii.gz"] {
        let bytes = |dir: &Path| std::fs::read(dir.join("arrays").join(name)).unwrap();
        assert_eq!(bytes(&out), bytes(&again), "{name}");
    }

    // Against residual maps of the same subjects: two-sided, and zero where they are the same.
    config.maps.against = residual.clone();
    config.maps.layers = vec!["layer1".into()];
    let paired = run(config.clone(), dir.path().join("paired")).unwrap();
    has_rows("group", &paired);
    let overlap = &paired["overlap_difference"]["mean_map_correlation"];
    assert!(number(&overlap["low"]) <= number(&overlap["mean"]) && overlap["n_subjects"] == 6, "{overlap}");
    assert_eq!((&paired["paired"], &paired["tail"]), (&true.into(), &"two_sided".into()));
    assert!(number(&paired["layers"][0]["peak_t"]).abs() > 1.0);
    config.maps.against = raw.clone();
    let error = run(config.clone(), dir.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("varying"), "{error}");

    // Subjects that do not belong together.
    config.maps.against = residual.into_iter().rev().collect();
    let error = run(config.clone(), dir.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("sub-01 beside sub-06"), "{error}");
    config.maps.against = vec![];
    config.maps.layers = vec!["layer9".into()];
    let error = run(config, dir.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("one of the layers `layer0`, `layer1`, `layer2`, found `layer9`"), "{error}");
    assert!(!dir.path().join("none").exists());
}

#[test]
fn single_maps_one_file_and_what_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let grid = Grid { shape: [6, 5, 4], affine: Affine::scaling([2.0; 3]) };
    let mut draw = rng::stream(3, "group test", 0);
    let volumes: Vec<Vec<f32>> = (0..7)
        .map(|_| {
            (0..120)
                .map(|v| if v < 8 { f32::NAN } else { draw.normal() as f32 + f32::from(u8::from(v > 90)) * 3.0 })
                .collect()
        })
        .collect();
    let mut files = vec![];
    for (s, values) in volumes.iter().enumerate() {
        let mut own = values.clone();
        own[20] = if s < 2 { f32::NAN } else { own[20] };
        files.push(dir.path().join(format!("map{s}.nii")));
        write_volume(&files[s], &Volume::new(grid, own).unwrap(), Space::Mni).unwrap();
    }
    let views: Vec<&[f32]> = volumes.iter().map(Vec::as_slice).collect();
    write_series(&dir.path().join("all.nii"), &grid, &views, None, Space::Mni).unwrap();
    let mut config = Config::default();
    config.maps.subjects = files.clone();
    config.maps.name = Some("effect of interest".into());
    config.test.correction = GroupCorrection::MaxT;
    let go = |config: &Config, out: &str| run(config.clone(), dir.path().join(out));
    let first = go(&config, "files").unwrap();
    assert_eq!((first["n_voxels"].as_u64(), first["fisher_z"].as_bool()), (Some(111), Some(false)));
    assert!(first["layers"][0]["n_significant"].as_u64() >= Some(10), "{first}");
    assert!(dir.path().join("files/arrays/desc-effectofinterest_stat-pmaxt_statmap.nii.gz").exists());
    // One voxel that two subjects lack comes back when they may.
    config.maps.min_subjects = Some(5);
    assert_eq!(go(&config, "fewer").unwrap()["n_voxels"].as_u64(), Some(112));
    config.maps.min_subjects = None;
    // All subjects in one file: the same but for that voxel.
    config.maps.subjects = vec![dir.path().join("all.nii")];
    let second = go(&config, "one").unwrap();
    assert_eq!(second["n_subjects"].as_u64(), Some(7));
    assert_eq!(second["layers"][0]["peak_t"], first["layers"][0]["peak_t"]);

    let refused = |config: &Config, words: &str| {
        let error = go(config, "refused").unwrap_err();
        assert!(error.to_string().contains(words) && error.exit_code() == 2, "{error}");
        assert!(!dir.path().join("refused").exists());
    };
    config.maps.fisher_z = Some(true);
    refused(&config, "correlations from -1 to 1");
    config.maps.fisher_z = None;
    config.maps.subjects = files[..1].to_vec();
    refused(&config, "2 subjects or more, found 1");
    config.maps.subjects = vec![];
    refused(&config, "maps of the subjects, found none");
    config.maps.subjects = vec![files[0].clone(), dir.path().to_path_buf()];
    refused(&config, "not both, found 1 directories and 1 files");
    let moved = Grid { affine: Affine::scaling([3.0; 3]), ..grid };
    write_volume(&dir.path().join("moved.nii"), &Volume::filled(moved, 1.0), Space::Mni).unwrap();
    config.maps.subjects = vec![files[0].clone(), dir.path().join("moved.nii")];
    refused(&config, "expected the grid 6 x 5 x 4");
    config.maps.subjects = vec![dir.path().join("one")];
    refused(&config, "a complete run of `map` with maps");
    config.maps.subjects = files.clone();
    config.maps.against = files[..3].to_vec();
    refused(&config, "the same subjects in the same order as `maps.subjects`, found 7 and 3");
    config.maps.against = vec![];
    config.test.cluster_p = 0.7;
    refused(&config, "cluster-forming p between 0 and 0.5");
    config.test.cluster_p = 0.001;
    config.test.tail = Some(Tail::Less);
    config.maps.mask = Some(dir.path().join("moved.nii"));
    refused(&config, "maps.mask: expected the grid");
    assert!(matches!(
        go(
            &{
                let mut c = config.clone();
                c.maps.mask = Some("absent.nii".into());
                c
            },
            "refused"
        ),
        Err(Error::Io { .. })
    ));
}

/// Faces against scrambled faces in 12 subjects, all 4096 sign flips: the left fusiform peak of the
/// data's README is the peak of a cluster, t as scipy's; with as few subjects it takes clusters to
/// be significant.
#[test]
fn faces_of_twelve_subjects() {
    let Some(folder) = data("faces_words_maps") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.maps.subjects = (1..=12).map(|s| folder.join(format!("faces_subject{s:02}.nii.gz"))).collect();
    config.maps.name = Some("faces".into());
    config.test.n_permutations = 400;
    let out = dir.path().join("out");
    let results = run(config, out.clone()).unwrap();
    assert_eq!(results["n_voxels"].as_u64(), Some(56_543));
    assert!((results["layers"][0]["peak_t"].as_f64().unwrap() - 7.260_498_897).abs() < 1e-6);
    let table = tsv::read(&out.join("arrays/clusters.tsv")).unwrap();
    let row = table.rows.iter().find(|r| r[4..7] == ["-39.0", "-85.0", "-14.0"]).expect("the README's place");
    assert!((row[3].parse::<f64>().unwrap() - 7.100_499).abs() < 1e-5, "{row:?}");
    let p_mass: f64 = row[11].parse().unwrap();
    assert!(p_mass < 0.15, "{row:?}");
}
