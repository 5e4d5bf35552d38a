//! First-level and group statistics on real recordings.

use crate::support::data;
use ndarray::{Array2, Axis, Ix2};
use orthoscope::data::mask::Mask;
use orthoscope::io::{nifti, npz, tsv};
use orthoscope::math::permutation::Tail;
use orthoscope::math::stats::mean;
use orthoscope::stats::clusters::peaks;
use orthoscope::stats::glm::{Condition, Design, DesignOptions, Event, NoiseModel, fit};
use orthoscope::stats::group::{GroupOptions, one_sample};
use orthoscope::stats::neighbours::{Connectivity, Neighbours};
use orthoscope::stats::tfce::Tfce;
use std::path::Path;

fn conditions(events: &Path) -> Vec<Condition> {
    let table = tsv::read(events).unwrap();
    let numbers = |name: &str| table.column(name).unwrap().iter().map(|v| v.parse().unwrap()).collect::<Vec<f64>>();
    let (names, onsets, durations) = (table.column("trial_type").unwrap(), numbers("onset"), numbers("duration"));
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let events = |name: &str| {
        let own = (0..names.len()).filter(|&i| names[i] == name);
        own.map(|i| Event { onset_s: onsets[i], duration_s: durations[i], amplitude: 1.0 }).collect()
    };
    sorted.iter().map(|name| Condition { name: name.to_string(), events: events(name) }).collect()
}

/// Made by tests/golden/stats_glm.py with nilearn 0.14.1 from the same file (every 100th voxel,
/// numpy's order). 1e-8 of the largest beta is far inside the 1e-4 that two programs may differ by.
#[test]
fn betas_of_the_localizer_equal_nilearn() {
    let Some(folder) = data("localizer_4regions") else { return };
    let golden = npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stats_localizer.npz")).unwrap();
    let vector = |name: &str| golden.get::<f64>(name).unwrap().iter().copied().collect::<Vec<_>>();
    let mask = nifti::read_mask(&folder.join("regions.nii.gz")).unwrap().0;
    let series = nifti::read(&folder.join("bold.nii.gz")).unwrap().masked(&mask).unwrap();
    assert_eq!(series.dim(), (128, 6443));
    let mut order: Vec<usize> = (0..mask.n_voxels()).collect();
    order.sort_by_key(|&v| mask.grid().voxel(mask.voxels()[v] as usize));
    let kept: Vec<usize> = order.into_iter().step_by(100).collect();

    // The header says 1 s; the README, 2.4 s.
    let conditions = conditions(&folder.join("events_10conditions.tsv"));
    let design = Design::new(&conditions, 128, 2.4, None, &DesignOptions::default()).unwrap();
    assert_eq!((design.conditions.len(), design.names.len()), (10, 17));
    for (kind, noise) in [("ols", NoiseModel::White), ("ar1", NoiseModel::Ar1)] {
        let found = fit(series.view(), &design, noise).unwrap();
        for (key, map) in [("betas", &found.betas), ("t", &found.t)] {
            let expected = golden.get::<f64>(&format!("{kind}_{key}")).unwrap().into_dimensionality::<Ix2>().unwrap();
            let scale = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let found = map.select(Axis(1), &kept);
            let difference = (&found - &expected).iter().fold(0.0, |m: f64, v| m.max(v.abs())) / scale;
            assert!(difference < 1e-8, "{kind} {key}: {difference:e}");
        }
        if noise == NoiseModel::White {
            let expected = vector("class_beta2");
            let scale = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let largest =
                kept.iter().zip(&expected).fold(0.0, |m: f64, (&v, e)| m.max((found.betas[[2, v]] - e).abs())) / scale;
            assert!(largest < 1e-6, "FirstLevelModel, whose maps are 32-bit: {largest:e}");
            // README: the conditions explain 20.7 % of the drift-free variance on average, 76 % at
            // best.
            let (explained, best) = (mean(&found.r2), found.r2.iter().copied().fold(0.0, f64::max));
            assert!((explained - vector("mean_r2")[0]).abs() < 1e-9 && (explained - 0.207).abs() < 5e-4, "{explained}");
            assert!((best - vector("mean_r2")[1]).abs() < 1e-9 && (best - 0.76).abs() < 5e-3, "{best}");
        }
    }
}

#[test]
fn explained_variance_falls_with_the_wrong_timing() {
    let Some(folder) = data("localizer_4regions") else { return };
    let mask = nifti::read_mask(&folder.join("regions.nii.gz")).unwrap().0;
    let series = nifti::read(&folder.join("bold.nii.gz")).unwrap().masked(&mask).unwrap();
    let mut conditions = conditions(&folder.join("events_10conditions.tsv"));
    let explained = |conditions: &[Condition], t_r_s: f64| {
        let design = Design::new(conditions, 128, t_r_s, None, &DesignOptions::default()).unwrap();
        mean(&fit(series.view(), &design, NoiseModel::White).unwrap().r2)
    };
    let right = explained(&conditions, 2.4);
    assert!(right > 0.2 && explained(&conditions, 3.0) < 0.14);
    conditions.iter_mut().flat_map(|c| &mut c.events).for_each(|e| e.onset_s = (e.onset_s - 5.0).max(0.0));
    assert!(explained(&conditions, 2.4) < 0.14);
}

/// Faces against scrambled faces in 12 subjects: t by scipy 1.17.1 (ttest_1samp). The place of the
/// README, where all subjects of the source have their largest t (9.1), is the largest of the left
/// hemisphere in these 12; the right fusiform is a bit higher.
#[test]
fn the_group_sees_faces_where_they_are() {
    let Some(folder) = data("faces_words_maps") else { return };
    let read = |s: usize| nifti::read_volume(&folder.join(format!("faces_subject{s:02}.nii.gz"))).unwrap();
    let volumes: Vec<_> = (1..=12).map(read).collect();
    let grid = *volumes[0].grid();
    let mask = Mask::from_fn(grid, |v| volumes.iter().all(|volume| volume.values()[v].is_finite())).unwrap();
    assert_eq!(mask.n_voxels(), 56_543);
    let value = |(s, v): (usize, usize)| f64::from(volumes[s].values()[mask.voxels()[v] as usize]);
    let maps = Array2::from_shape_fn((12, mask.n_voxels()), value);
    let neighbours = Neighbours::of_mask(&mask, Connectivity::Faces);
    let options = GroupOptions {
        n_permutations: 100,
        cluster_p: Some(0.001),
        tfce: Some(Tfce::default()),
        tail: Tail::Greater,
        ..Default::default()
    };
    let found = one_sample(maps.view(), Some(&neighbours), &options, |_| Ok(())).unwrap();
    let mm = |v: usize| grid.mm(mask.voxels()[v] as usize);
    let largest = |keep: &dyn Fn(usize) -> bool| {
        let kept = (0..mask.n_voxels()).filter(|&v| keep(v));
        kept.max_by(|&a, &b| found.t[a].total_cmp(&found.t[b])).unwrap()
    };
    for (voxel, t, place) in [
        (largest(&|_| true), 7.260_498_897_378_683, [39.0, -55.0, -14.0]),
        (largest(&|v| mm(v)[0] < 0.0), 7.100_498_892_590_668, [-39.0, -85.0, -14.0]),
    ] {
        assert!((found.t[voxel] - t).abs() < 1e-6, "{} at {:?}", found.t[voxel], mm(voxel));
        assert_eq!(mm(voxel), place);
    }
    let readme = largest(&|v| mm(v)[0] < 0.0);
    let (tfce, clusters) = (found.tfce.unwrap(), found.clusters.unwrap());
    let label = clusters.labels[readme];
    // Twelve subjects are few: no flip reaches its t, but corrected for 56543 voxels p is about 0.1
    // by all four statistics.
    let mass = clusters.p_mass[label as usize - 1];
    assert_eq!((found.p[readme], found.exhaustive), (1.0 / 101.0, false));
    assert!(label > 0 && found.p_fwe[readme] < 0.2 && mass < 0.2 && tfce.p_fwe[readme] < 0.3);
    let distance = |a: usize, b: usize| (0..3).map(|i| (mm(a)[i] - mm(b)[i]).powi(2)).sum::<f64>().sqrt();
    assert!(peaks(&found.t, &clusters.labels, label, &neighbours, 8.0, distance).contains(&readme));
}
