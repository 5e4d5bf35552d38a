//! The job `map` on brains that the tests make: what it finds, what it writes, and what it refuses.

use crate::docs::has_rows;
use ndarray::{Array2, Axis};
use orthoscope::data::{Affine, Grid, Volume};
use orthoscope::io::nifti::{Space, read_volume, write_series, write_volume};
use orthoscope::job;
use orthoscope::job::map::{Config, Map};
use orthoscope::mapping::sphere::RadiusUnit;
use orthoscope::mapping::*;
use orthoscope::rdm::files::rdms_npz;
use orthoscope::rdm::measure::rdm;
use orthoscope::rdm::{Measure, Rdm};
use orthoscope::rng;
use orthoscope::stats::correction::Family;
use std::path::{Path, PathBuf};

pub const N: usize = 12;
pub const RUNS: usize = 4;

/// A cube of 10 voxels: layer 1 in its left half, layer 2 in its right half.
pub struct Brain {
    dir: tempfile::TempDir,
    pub grid: Grid,
    pub names: Vec<String>,
    seed: u64,
}

pub fn names(n: usize) -> Vec<String> {
    (1..=n).map(|i| format!("image{i:02}")).collect()
}

/// Units of a layer: n x 40, the mean of each image's 0.
fn units(layer: u64) -> Array2<f32> {
    let mut draw = rng::stream(11, "map test layers", layer);
    let units = Array2::from_shape_simple_fn((N, 40), || draw.normal() as f32);
    &units - &units.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1))
}

impl Brain {
    pub fn new() -> Self {
        Self::subject(12)
    }

    /// A brain with noise of its own.
    pub fn subject(seed: u64) -> Self {
        let affine = Affine([[-3.0, 0.0, 0.0, 40.0], [0.0, 3.0, 0.0, -50.0], [0.0, 0.0, 3.0, -20.0]]);
        let grid = Grid { shape: [10; 3], affine };
        let brain = Self { dir: tempfile::tempdir().unwrap(), grid, names: names(N), seed };
        let mask: Vec<f32> = (0..1000).map(|v| f32::from(u8::from(brain.grid.voxel(v)[2] > 0))).collect();
        write_volume(&brain.at("mask.nii.gz"), &Volume::new(brain.grid, mask).unwrap(), Space::Mni).unwrap();
        for run in 0..RUNS {
            brain.write_run(run, |_, _, value| value);
            brain.write_labels(run, &brain.names);
        }
        let layers: Vec<(String, Rdm)> = (0..3)
            .map(|l| (format!("layer{l}"), rdm(units(l).view(), Measure::Correlation, brain.names.clone()).unwrap()))
            .collect();
        rdms_npz(&layers).unwrap().write(&brain.at("rdms.npz")).unwrap();
        std::fs::write(brain.at("conditions.txt"), format!("condition\n{}\n", brain.names.join("\n"))).unwrap();
        brain
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Every voxel mixes the units of its half's layer, with noise; `change` may alter (condition,
    /// voxel, value).
    pub fn write_run(&self, run: usize, change: impl Fn(usize, usize, f32) -> f32) {
        let mut draw = rng::stream(13, "map test mixing", 0);
        let mixing = Array2::from_shape_simple_fn((40, 1000), || draw.normal() as f32 / 40f32.sqrt());
        let layers = [units(1).dot(&mixing), units(2).dot(&mixing)];
        let volumes: Vec<Vec<f32>> = (0..N)
            .map(|c| {
                let mut noise = rng::stream(self.seed, "map test noise", (run * N + c) as u64);
                (0..1000)
                    .map(|v| {
                        let half = usize::from(self.grid.voxel(v)[0] < 5);
                        change(c, v, layers[half][[c, v]] + 0.5 * noise.normal() as f32 + 5.0)
                    })
                    .collect()
            })
            .collect();
        let views: Vec<&[f32]> = volumes.iter().map(Vec::as_slice).collect();
        let path = self.at(&format!("sub-1_run-{run}_betas.nii.gz"));
        write_series(&path, &self.grid, &views, None, Space::Mni).unwrap();
    }

    fn write_labels(&self, run: usize, conditions: &[String]) {
        let rows: Vec<String> = conditions.iter().map(|c| format!("0\t1\t{c}")).collect();
        let text = format!("onset\tduration\ttrial_type\n{}\n", rows.join("\n"));
        std::fs::write(self.at(&format!("run-{run}_events.tsv")), text).unwrap();
    }

    pub fn config(&self) -> Config {
        let mut config = Config::default();
        config.betas.files = (0..RUNS).map(|r| self.at(&format!("sub-1_run-{r}_betas.nii.gz"))).collect();
        config.betas.labels = (0..RUNS).map(|r| self.at(&format!("run-{r}_events.tsv"))).collect();
        config.betas.mask = Some(self.at("mask.nii.gz"));
        config.fingerprints.files = vec![self.at("rdms.npz")];
        config.fingerprints.conditions = Some(self.at("conditions.txt"));
        config.sphere.radius = 2.0;
        config.sphere.unit = RadiusUnit::Voxels;
        config.test.n_permutations = 199;
        config
    }

    pub fn run(&self, config: Config, out: &str) -> Result<serde_json::Value, orthoscope::Error> {
        crate::support::results_of::<Map>(config, &self.at(out))
    }

    pub fn refused(&self, config: Config, words: &[&str]) {
        let error = self.run(config, "refused").unwrap_err();
        let text = error.to_string();
        assert!(words.iter().all(|w| text.contains(w)), "{text}");
        assert_eq!(error.exit_code(), 2, "{text}");
        assert!(!self.at("refused").exists(), "nothing was written");
    }
}

pub fn map_file(brain: &Brain, out: &str, name: &str) -> Volume {
    read_volume(&brain.at(out).join("arrays").join(name)).unwrap()
}

#[test]
fn each_half_of_a_brain_gets_its_layer() {
    let brain = Brain::new();
    let mut config = brain.config();
    (config.test.correction, config.test.family) = (PlaceCorrection::Fdr, Family::Layer);
    let results = brain.run(config.clone(), "out").unwrap();
    has_rows("map", &results);
    assert_eq!((results["n_centres"].as_u64(), results["n_layers"].as_u64()), (Some(900), Some(3)));
    let winner = map_file(&brain, "out", "desc-winner_dseg.nii.gz");
    let (mut right, mut wrong) = (0, 0);
    for v in 0..1000 {
        let [i, _, k] = brain.grid.voxel(v);
        if k > 0 && (i <= 2 || i >= 7) {
            let expected = if i < 5 { 3.0 } else { 2.0 };
            *(if winner.values()[v] == expected { &mut right } else { &mut wrong }) += 1;
        }
    }
    assert!(right > 20 * wrong.max(1), "{right} right, {wrong} wrong");
    let other = map_file(&brain, "out", "desc-layer0_stat-spearman_statmap.nii.gz");
    let own = map_file(&brain, "out", "desc-layer2_stat-spearman_statmap.nii.gz");
    let mean = |map: &Volume| map.values().iter().filter(|v| v.is_finite()).sum::<f32>() / 900.0;
    assert!(mean(&own) > 0.2 && mean(&other).abs() < 0.2, "{} {}", mean(&own), mean(&other));
    assert!(own.grid().same(&brain.grid), "the input's geometry");
    assert!(own.values()[0].is_nan(), "outside the mask");
    let counts = map_file(&brain, "out", "desc-searchlight_stat-nvoxels_statmap.nii.gz");
    assert_eq!(counts.at([5, 5, 5]), 33.0);
    for file in ["arrays/overlap.npz", "arrays/clusters.tsv", "figures/slices.png", "figures/glass.png", "report.html"]
    {
        assert!(brain.at("out").join(file).exists(), "{file}");
    }
    let clusters = orthoscope::io::tsv::read(&brain.at("out/arrays/clusters.tsv")).unwrap();
    let row = clusters.rows.iter().find(|row| row[0] == "layer1").expect("layer1 is somewhere");
    let x: f64 = row[5].parse().unwrap();
    assert!(x < 40.0 - 3.0 * 4.5, "layer 1 is where i is large, x is small: {x}");
    // The same bytes again, whatever the number of threads.
    let again = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    again.install(|| brain.run(config, "again")).unwrap();
    for name in ["desc-layer1_stat-spearman_statmap.nii.gz", "desc-layer1_stat-pcorrected_statmap.nii.gz"] {
        let bytes = |out: &str| std::fs::read(brain.at(out).join("arrays").join(name)).unwrap();
        assert_eq!(bytes("out"), bytes("again"), "{name}");
    }
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let brain = Brain::new();
    // A mask on another grid.
    let moved = Grid { affine: Affine::scaling([3.0; 3]), ..brain.grid };
    write_volume(&brain.at("moved.nii.gz"), &Volume::filled(moved, 1.0), Space::Mni).unwrap();
    let mut config = brain.config();
    config.betas.mask = Some(brain.at("moved.nii.gz"));
    brain
        .refused(config, &["betas.mask: expected the grid 10 x 10 x 10", "-3 0 0 40", "found 10 x 10 x 10", "3 0 0 0"]);
    // A label missing in one run.
    brain.write_labels(2, &brain.names[..N - 1]);
    brain.refused(brain.config(), &["run-2_events.tsv", "12 rows, one for each volume, found 11"]);
    // A condition with one volume only where cross-validation needs two.
    let mut config = brain.config();
    config.dissimilarity = Dissimilarity::Crossnobis;
    for run in 0..RUNS {
        let mut labels = brain.names.clone();
        if run > 0 {
            labels[N - 1] = labels[0].clone();
        }
        brain.write_labels(run, &labels);
    }
    brain.refused(config, &["every condition in at least 2 runs", "`image12` in 1 of 4 runs"]);
    // Fewer than three conditions.
    let two: Vec<String> = (0..N).map(|c| brain.names[c % 2].clone()).collect();
    (0..RUNS).for_each(|run| brain.write_labels(run, &two));
    brain.refused(brain.config(), &["at least 3 conditions, found 2"]);
    // Fingerprints of another image set.
    (0..RUNS).for_each(|run| brain.write_labels(run, &brain.names));
    let other: Vec<String> = (0..N).map(|c| format!("photo{c}")).collect();
    std::fs::write(brain.at("conditions.txt"), format!("condition\n{}\n", other.join("\n"))).unwrap();
    brain.refused(
        brain.config(),
        &["fingerprints.files", "all 12 of the betas' conditions", "`photo0`", "without 12 of them: `image01`"],
    );
    std::fs::write(brain.at("conditions.txt"), format!("condition\n{}\n", brain.names.join("\n"))).unwrap();
    // A truncated file.
    let path = brain.at("sub-1_run-1_betas.nii.gz");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    brain.refused(brain.config(), &["sub-1_run-1_betas.nii.gz", "the end of the file within volume"]);
    std::fs::write(&path, &whole).unwrap();
    // Too few relabellings to be significant.
    let mut config = brain.config();
    config.test.n_permutations = 9;
    brain.refused(config, &["test.n_permutations", "p of at least 0.1"]);
    // Spheres that never have enough voxels.
    let mut config = brain.config();
    config.sphere.min_voxels = 40;
    brain.refused(config, &["a centre with at least 40 voxels", "found 33 at most"]);
    // A residual method that goes with no inner product.
    let mut config = brain.config();
    (config.statistic, config.residual) = (Statistic::KendallTauA, Residual::SemiPartial);
    brain.refused(config, &["residual", "semi_partial with kendall_tau_a"]);
}

#[test]
fn holes_and_constant_patterns_are_counted() {
    let brain = Brain::new();
    let corner = |v: usize| brain.grid.voxel(v).iter().all(|&c| c > 5);
    // A corner of NaN in one run, and image 3 the same in every voxel of another corner.
    brain.write_run(1, |_, v, value| if corner(v) { f32::NAN } else { value });
    let flat = |c: usize, v: usize, value: f32| {
        if c == 2 && brain.grid.voxel(v).iter().all(|&c| c < 6) { 4.0 } else { value }
    };
    [0, 2, 3].into_iter().for_each(|run| brain.write_run(run, flat));
    brain.write_run(1, |c, v, value| if corner(v) { f32::NAN } else { flat(c, v, value) });
    let mut config = brain.config();
    config.test.n_permutations = 0;
    let results = brain.run(config, "out").unwrap();
    assert_eq!(results["n_voxels_dropped"].as_u64(), Some(64));
    assert_eq!(results["n_voxels"].as_u64(), Some(900 - 64));
    assert!(results["n_centres_undefined"].as_u64().unwrap() > 0, "{results}");
    let map = map_file(&brain, "out", "desc-layer1_stat-spearman_statmap.nii.gz");
    assert!(map.at([8, 8, 8]).is_nan() && map.at([2, 2, 3]).is_nan() && map.at([8, 2, 8]).is_finite());
    let manifest = std::fs::read_to_string(brain.at("out/manifest.json")).unwrap();
    assert!(manifest.contains("64 voxels of the mask hold NaN") && manifest.contains("have no RDM"), "{manifest}");
    // Nothing but holes.
    (0..RUNS).for_each(|run| brain.write_run(run, |_, _, _| f32::NAN));
    brain.refused(brain.config(), &["voxels with numbers, found NaN or infinity in all 900"]);
}

#[test]
fn regions_of_patterns_and_of_rdms() {
    let brain = Brain::new();
    // A label image.
    let labels: Vec<f32> = (0..1000).map(|v| if brain.grid.voxel(v)[0] < 5 { 7.0 } else { 9.0 }).collect();
    write_volume(&brain.at("rois.nii.gz"), &Volume::new(brain.grid, labels).unwrap(), Space::Mni).unwrap();
    let mut config = brain.config();
    config.regions.image = Some(brain.at("rois.nii.gz"));
    let results = brain.run(config, "rois").unwrap();
    let best: Vec<&str> = (0..2).map(|r| results["rois"][r]["best_layer"].as_str().unwrap()).collect();
    assert_eq!(best, ["layer2", "layer1"]);
    assert!(results["rois"][0]["ceiling"]["upper"].as_f64().unwrap() > 0.8);
    // RDMs of subjects.
    let own = rdm(units(1).view(), Measure::Correlation, brain.names.clone()).unwrap().square();
    let mut noise = rng::stream(3, "map test subjects", 0);
    let mut subjects = ndarray::Array3::<f64>::zeros((5, N, N));
    for mut subject in subjects.outer_iter_mut() {
        for i in 0..N {
            for j in i + 1..N {
                let value = own[[i, j]] + 0.2 * noise.normal();
                subject[[i, j]] = value;
                subject[[j, i]] = value;
            }
        }
    }
    orthoscope::io::npy::write(&brain.at("it.npy"), &subjects).unwrap();
    let mut config = brain.config();
    config.betas = Default::default();
    config.regions.rdms = vec![brain.at("it.npy")];
    let results = brain.run(config, "rdms").unwrap();
    let roi = &results["rois"][0];
    assert_eq!((roi["name"].as_str(), roi["subjects"].as_u64()), (Some("it"), Some(5)));
    assert_eq!(roi["best_layer"].as_str(), Some("layer1"));
    assert!(roi["p"][1].as_f64().unwrap() <= 0.01 && roi["p"][0].as_f64().unwrap() > 0.01, "{roi}");
    assert!(roi["ceiling"]["lower"].as_f64().unwrap() < roi["ceiling"]["upper"].as_f64().unwrap());
    assert!(Path::new(&brain.at("rdms/figures/region_01.png")).exists());
}

/// Intervals over images hold the value nearly everywhere, of searchlights and of a region; noise
/// has 0 in them.
#[test]
fn images_are_resampled() {
    let brain = Brain::new();
    let mut config = brain.config();
    (config.test.n_image_bootstraps, config.test.n_permutations, config.sphere.radius) = (100, 0, 1.0);
    config.sphere.min_voxels = 5;
    brain.run(config.clone(), "out").unwrap();
    let map = |stat: &str| map_file(&brain, "out", &format!("desc-layer1_stat-{stat}_statmap.nii.gz"));
    let (value, low, high) = (map("spearman"), map("cilow"), map("cihigh"));
    let inside = |v: &usize| value.values()[*v].is_finite();
    let held = |v: &usize| low.values()[*v] <= value.values()[*v] && value.values()[*v] <= high.values()[*v];
    let (all, held) = ((0..1000).filter(inside).count(), (0..1000).filter(inside).filter(held).count());
    assert!(all > 400 && held as f64 > 0.85 * all as f64, "{held} of {all}");
    let labels: Vec<f32> = (0..1000).map(|v| if brain.grid.voxel(v)[0] < 5 { 1.0 } else { 2.0 }).collect();
    write_volume(&brain.at("rois.nii.gz"), &Volume::new(brain.grid, labels).unwrap(), Space::Mni).unwrap();
    config.regions.image = Some(brain.at("rois.nii.gz"));
    let results = brain.run(config.clone(), "regions").unwrap();
    has_rows("map", &results);
    let ends = |region: usize, layer: usize| {
        let pair = &results["rois"][region]["intervals"][layer];
        (pair[0].as_f64().unwrap(), pair[1].as_f64().unwrap())
    };
    assert!(ends(0, 2).0 > 0.0 && ends(1, 1).0 > 0.0, "{}", results["rois"]);
    assert!(ends(0, 0).0 < 0.0 && ends(0, 0).1 > 0.0, "{}", results["rois"]);
    config.statistic = Statistic::CorrCov;
    brain.refused(config, &["corr_cov"]);
}

/// Three shards put together are the whole run, to the last bit.
#[test]
fn shards_give_the_same_bytes() {
    let brain = Brain::new();
    let whole = brain.run(brain.config(), "whole").unwrap();
    let mut dirs = Vec::new();
    for index in 1..=3 {
        let mut config = brain.config();
        config.shard = Some(job::map::Shard { index, of: 3 });
        let results = brain.run(config, &format!("shard{index}")).unwrap();
        has_rows("map", &results);
        assert!((200..400).contains(&results["n_centres"].as_u64().unwrap()), "{results}");
        dirs.push(brain.at(&format!("shard{index}")));
    }
    let mut config = brain.config();
    config.shards = dirs.clone();
    let together = brain.run(config.clone(), "together").unwrap();
    assert_eq!((&together["layers"], &together["overlap"]), (&whole["layers"], &whole["overlap"]));
    for name in ["desc-layer1_stat-spearman_statmap.nii.gz", "desc-layer1_stat-pcorrected_statmap.nii.gz"] {
        let bytes = |out: &str| std::fs::read(brain.at(out).join("arrays").join(name)).unwrap();
        assert_eq!(bytes("whole"), bytes("together"), "{name}");
    }
    config.shards.pop();
    brain.refused(config.clone(), &["shards", "all 900 places"]);
    config.shards = vec![dirs[0].clone(), dirs[2].clone(), dirs[1].clone()];
    config.test.n_permutations = 99;
    brain.refused(config.clone(), &["shard1", "a complete shard of this job"]);
    config.shards = vec![brain.at("whole")];
    brain.refused(config, &["whole", "a complete shard of this job, found a run of `map`"]);
}
