//! Images as programs write them: a background that is not 0, masks that are not binary, labels of
//! many digits, maps without values, regressors without energy. What is right is what the same
//! numbers give where they are written plainly.

use crate::map::{Brain, N, RUNS, map_file};
use orthoscope::data::{Affine, Grid, Mask, Volume};
use orthoscope::io::nifti::{Space, read, write_series, write_volume};
use orthoscope::job::group::{self, Zeros};
use orthoscope::job::map::Config;
use orthoscope::rng;
use serde_json::Value;
use std::path::{Path, PathBuf};

const MAP: &str = "desc-layer1_stat-spearman_statmap.nii.gz";

/// A NIfTI-1 header of little-endian numbers, sform only.
fn header(grid: &Grid, n_volumes: usize, datatype: i16, bits: i16, (slope, intercept): (f32, f32)) -> Vec<u8> {
    let mut bytes = vec![0u8; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348i32.to_le_bytes());
    let [i, j, k] = grid.shape.map(|s| s as i16);
    let sides = [4, i, j, k, n_volumes as i16, 1, 1, 1];
    sides.iter().enumerate().for_each(|(n, s)| put(40 + 2 * n, &s.to_le_bytes()));
    put(70, &datatype.to_le_bytes());
    put(72, &bits.to_le_bytes());
    put(108, &352f32.to_le_bytes());
    put(112, &slope.to_le_bytes());
    put(116, &intercept.to_le_bytes());
    put(254, &4i16.to_le_bytes());
    for (r, row) in grid.affine.0.iter().enumerate() {
        row.iter().enumerate().for_each(|(c, x)| put(280 + 16 * r + 4 * c, &(*x as f32).to_le_bytes()));
    }
    put(344, b"n+1\0");
    bytes
}

/// Writes volumes as 16-bit integers scaled to their range, as nibabel does; the answer is what a
/// reader gets back.
fn write_scaled(path: &Path, grid: &Grid, volumes: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let all = || volumes.iter().flatten().map(|&x| f64::from(x));
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let slope = ((high - low) / 65_535.0 * 1.000_001) as f32;
    let intercept = (low + 32_768.0 * f64::from(slope)) as f32;
    let stored = |x: f32| ((f64::from(x) - f64::from(intercept)) / f64::from(slope)).round() as i16;
    let mut bytes = header(grid, volumes.len(), 4, 16, (slope, intercept));
    volumes.iter().flatten().for_each(|&x| bytes.extend_from_slice(&stored(x).to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
    let back = |x: &f32| (f64::from(stored(*x)) * f64::from(slope) + f64::from(intercept)) as f32;
    volumes.iter().map(|v| v.iter().map(back).collect()).collect()
}

fn volumes(path: &Path) -> Vec<Vec<f32>> {
    let mut image = read(path).unwrap();
    (0..image.header().n_volumes).map(|_| image.next_volume().unwrap()).collect()
}

fn warnings(out: &Path) -> String {
    let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    manifest["warning_texts"].to_string()
}

fn same_map(brain: &Brain, a: &str, b: &str) {
    let (a, b) = (map_file(brain, a, MAP), map_file(brain, b, MAP));
    let equal = |(x, y): (&f32, &f32)| x == y || (x.is_nan() && y.is_nan());
    assert!(a.values().iter().zip(b.values()).all(equal), "the same map to the last bit");
    assert!(a.values().iter().any(|x| x.is_finite()));
}

fn short(brain: &Brain) -> Config {
    let mut config = brain.config();
    (config.test.n_permutations, config.maps.ceiling) = (0, false);
    config
}

#[test]
fn a_scaled_background_is_outside_the_brain() {
    let brain = Brain::new();
    let outside = |v: usize| brain.grid.voxel(v)[1] < 3;
    for run in 0..RUNS {
        // A scale of its own for every run: the stored 0 comes back as another number in each.
        brain.write_run(run, |_, v, x| if outside(v) { 0.0 } else { x * (1.0 + run as f32) });
    }
    let mut plain = short(&brain);
    plain.betas.mask = None;
    let mut scaled = plain.clone();
    let mut backgrounds = vec![];
    for (run, path) in plain.betas.files.iter_mut().enumerate() {
        let scaled_path = brain.at(&format!("sub-1_run-{run}_scaled.nii"));
        let mut back = write_scaled(&scaled_path, &brain.grid, &volumes(path));
        scaled.betas.files[run] = scaled_path;
        backgrounds.push(back[0][0]);
        back.iter_mut().for_each(|v| (0..1000).filter(|&v| outside(v)).for_each(|i| v[i] = 0.0));
        *path = brain.at(&format!("sub-1_run-{run}_plain.nii"));
        let views: Vec<&[f32]> = back.iter().map(Vec::as_slice).collect();
        write_series(path, &brain.grid, &views, None, Space::Mni).unwrap();
    }
    assert!(backgrounds.iter().any(|x| *x != 0.0) && backgrounds.iter().all(|x| x.abs() < 1e-3), "{backgrounds:?}");
    let found = brain.run(scaled.clone(), "scaled").unwrap();
    assert_eq!(found["n_centres"].as_u64(), Some(700));
    brain.run(plain, "plain").unwrap();
    same_map(&brain, "scaled", "plain");
    // A mask that reaches beyond: the voxels are left out too, and the user is told.
    scaled.betas.mask = Some(brain.at("mask.nii.gz"));
    assert_eq!(brain.run(scaled, "masked").unwrap()["n_centres"].as_u64(), Some(630));
    let said = warnings(&brain.at("masked"));
    assert!(
        said.contains("270 voxels of the mask hold the same number in every sample and were left out; 630"),
        "{said}"
    );
}

#[test]
fn volumes_that_differ_between_runs_and_volumes_without_a_pattern() {
    let brain = Brain::new();
    // The last run was scanned without the lowest slices.
    brain.write_run(RUNS - 1, |_, v, x| if brain.grid.voxel(v)[2] < 3 { 0.0 } else { x });
    let results = brain.run(short(&brain), "out").unwrap();
    assert_eq!(results["n_centres"].as_u64(), Some(700));
    let said = warnings(&brain.at("out"));
    assert!(said.contains("200 voxels hold the same number in every sample of some run"), "{said}");
    brain.write_run(2, |c, _, x| if c == 7 { 0.0 } else { x });
    brain.refused(
        short(&brain),
        &["sub-1_run-2_betas.nii.gz, volume 7", "a pattern of `image08`, found 0 in every voxel"],
    );
    brain.write_run(2, |c, _, x| if c == 7 { f32::NAN } else { x });
    brain.refused(short(&brain), &["sub-1_run-2_betas.nii.gz, volume 7", "found NaN in every voxel"]);
    (0..RUNS).for_each(|run| brain.write_run(run, |_, v, _| v as f32));
    brain.refused(
        short(&brain),
        &["vary over the samples of each run, found the same number in every sample of all 900"],
    );
}

#[test]
fn dust_outside_a_mask_is_outside() {
    let brain = Brain::new();
    let write = |name: &str, of: &dyn Fn(usize) -> f32| {
        let values = (0..1000).map(of).collect();
        write_volume(&brain.at(name), &Volume::new(brain.grid, values).unwrap(), Space::Mni).unwrap();
        brain.at(name)
    };
    let inside = |v: usize| brain.grid.voxel(v)[0] > 1;
    let mut config = short(&brain);
    config.betas.mask = Some(write("binary.nii.gz", &|v| f32::from(u8::from(inside(v)))));
    assert_eq!(brain.run(config.clone(), "binary").unwrap()["n_centres"].as_u64(), Some(800));
    assert!(!warnings(&brain.at("binary")).contains("a mask has"));
    config.betas.mask = Some(write("dust.nii.gz", &|v| if inside(v) { 1.0 } else { 1e-6 }));
    assert_eq!(brain.run(config.clone(), "dust").unwrap()["n_centres"].as_u64(), Some(800));
    same_map(&brain, "binary", "dust");
    let said = warnings(&brain.at("dust"));
    assert!(
        said.contains("dust.nii.gz: a mask has 0 and one other number") && said.contains("the 800 voxels"),
        "{said}"
    );
    // Masks of centres are masks.
    config.betas.mask = Some(brain.at("binary.nii.gz"));
    config.betas.centres = Some(write("few.nii.gz", &|v| if v % 10 == 5 { 0.97 } else { 0.02 }));
    assert_eq!(brain.run(config.clone(), "centres").unwrap()["n_centres"].as_u64(), Some(100));
    assert!(warnings(&brain.at("centres")).contains("few.nii.gz: a mask has"));
    config.betas.centres = Some(write("image.nii.gz", &|v| v as f32 * 1.37));
    brain.refused(config, &["image.nii.gz", "fractions from 0 to 1, found numbers from 1.37"]);
}

#[test]
fn labels_of_many_digits_are_different_regions() {
    let brain = Brain::new();
    let ids = [0i32, 312_782_546, 312_782_550, 312_782_554];
    let of = |v: usize| ids[brain.grid.voxel(v)[0].min(3)];
    let mut bytes = header(&brain.grid, 1, 8, 32, (1.0, 0.0));
    (0..1000).for_each(|v| bytes.extend_from_slice(&of(v).to_le_bytes()));
    std::fs::write(brain.at("atlas.nii"), bytes).unwrap();
    std::fs::write(brain.at("names.tsv"), "index\tname\n312782546\tfirst\n312782550.0\tsecond\n").unwrap();
    let mut config = short(&brain);
    config.regions.image = Some(brain.at("atlas.nii"));
    config.regions.names = Some(brain.at("names.tsv"));
    let results = brain.run(config.clone(), "atlas").unwrap();
    let names: Vec<&str> = results["rois"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "second", "region312782554"]);
    let said = warnings(&brain.at("atlas"));
    assert!(said.contains("names.tsv: 1 of the 3 regions of") && said.contains("the first: 312782554"), "{said}");
    std::fs::write(brain.at("names.tsv"), "index\tname\n1\ta\n1\tb\n").unwrap();
    brain.refused(config.clone(), &["names.tsv", "one name for each index, found `a` and `b` for 1"]);
    std::fs::write(brain.at("names.tsv"), "index\tname\n1\ta\n2.5\tb\n").unwrap();
    brain.refused(config.clone(), &["names.tsv", "`2.5` in row 2"]);
    let blurred = (0..1000).map(|v| if v == 500 { 1.5 } else { 2.0 }).collect();
    write_volume(&brain.at("blurred.nii.gz"), &Volume::new(brain.grid, blurred).unwrap(), Space::Mni).unwrap();
    config.regions.image = Some(brain.at("blurred.nii.gz"));
    config.regions.names = None;
    brain.refused(config, &["blurred.nii.gz", "whole numbers, found 1.5"]);
}

/// Six subjects, 10 x 8 x 6 voxels of which 6 x 8 x 6 are brain, with an effect in a block.
fn subjects(seed: u64) -> (Grid, Vec<Vec<f32>>) {
    let grid = Grid { shape: [10, 8, 6], affine: Affine::scaling([3.0; 3]) };
    let one = |s: u64| {
        let mut draw = rng::stream(seed, "volumes of subjects", s);
        let value = |v: usize| {
            let ([i, j, k], noise) = (grid.voxel(v), draw.normal() as f32);
            let effect = if (4..6).contains(&i) && (3..5).contains(&j) && (2..4).contains(&k) { 4.0 } else { 0.0 };
            if (2..8).contains(&i) { (1.0 + 0.1 * s as f32) * (noise + effect) } else { 0.0 }
        };
        (0..grid.n_voxels()).map(value).collect()
    };
    (grid, (0..6).map(one).collect())
}

struct Group {
    dir: tempfile::TempDir,
    grid: Grid,
}

impl Group {
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, values: &[f32]) -> PathBuf {
        write_volume(&self.at(name), &Volume::new(self.grid, values.to_vec()).unwrap(), Space::Mni).unwrap();
        self.at(name)
    }

    fn run(&self, config: &group::Config, out: &str) -> Result<Value, orthoscope::Error> {
        crate::support::results_of::<group::Group>(config.clone(), &self.at(out))
    }

    fn map(&self, out: &str, stat: &str) -> Vec<f32> {
        let file = self.at(out).join(format!("arrays/desc-effect_stat-{stat}_statmap.nii.gz"));
        volumes(&file).remove(0)
    }
}

fn config(subjects: Vec<PathBuf>) -> group::Config {
    let mut config = group::Config::default();
    config.maps.subjects = subjects;
    config
}

#[test]
fn backgrounds_of_subjects_are_no_data() {
    let (grid, maps) = subjects(60);
    let group = Group { dir: tempfile::tempdir().unwrap(), grid };
    let inside = |v: usize| (2..8).contains(&grid.voxel(v)[0]);
    let nan = |values: &[f32]| -> Vec<f32> {
        values.iter().enumerate().map(|(v, &x)| if inside(v) { x } else { f32::NAN }).collect()
    };
    let (mut scaled, mut plain, mut other) = (vec![], vec![], vec![]);
    for (s, values) in maps.iter().enumerate() {
        let path = group.at(&format!("scaled{s}.nii"));
        let back = write_scaled(&path, &grid, std::slice::from_ref(values)).remove(0);
        assert!(back[0] != 0.0, "the background of subject {s} is {}", back[0]);
        scaled.push(path);
        plain.push(group.write(&format!("plain{s}.nii"), &nan(&back)));
        // Another program writes another number around the brain.
        let around = -1.5 - s as f32;
        let filled: Vec<f32> = back.iter().enumerate().map(|(v, &x)| if inside(v) { x } else { around }).collect();
        other.push(group.write(&format!("other{s}.nii"), &filled));
    }
    for (out, files) in [("scaled", scaled), ("plain", plain), ("other", other)] {
        let results = group.run(&config(files), out).unwrap();
        assert_eq!(results["n_voxels"].as_u64(), Some(288), "{out}");
        assert!(results["layers"][0]["n_significant"].as_u64() >= Some(4), "{out}: {results}");
    }
    // 64-bit values of scaled integers against the 32-bit ones of the plain files: the last digits
    // of t differ.
    for (a, b) in [("scaled", "plain"), ("other", "plain")] {
        let close = |(x, y): (&f32, &f32)| (x - y).abs() <= 1e-4 * y.abs().max(1.0) || (x.is_nan() && y.is_nan());
        assert!(group.map(a, "t").iter().zip(&group.map(b, "t")).all(close), "{a}");
        assert_eq!(group.map(a, "ptfce").len(), 480);
    }
}

#[test]
fn a_subject_without_values_is_named() {
    let (grid, mut maps) = subjects(61);
    let group = Group { dir: tempfile::tempdir().unwrap(), grid };
    let files = |maps: &[Vec<f32>], name: &str| -> Vec<PathBuf> {
        maps.iter().enumerate().map(|(s, m)| group.write(&format!("{name}{s}.nii.gz"), m)).collect()
    };
    let whole = files(&maps, "whole");
    let five = group.run(&config(whole[1..].to_vec()), "five").unwrap();
    for (value, out) in [(0.0, "zeros"), (f32::NAN, "nan"), (2.5, "constant")] {
        let mut list = whole.clone();
        list[0] = group.write(&format!("{out}.nii.gz"), &[value; 480]);
        let results = group.run(&config(list.clone()), out).unwrap();
        assert_eq!((&results["n_subjects"], &results["n_voxels"]), (&five["n_subjects"], &five["n_voxels"]));
        assert_eq!(format!("{:?}", group.map(out, "t")), format!("{:?}", group.map("five", "t")), "{out}");
        let said = warnings(&group.at(out));
        assert!(said.contains(&format!("{out}.nii.gz` holds one value")) && said.contains("5 of 6 subjects"), "{said}");
        // Of a pair, both go.
        let mut pair = config(whole.clone());
        pair.maps.against = files(&subjects(62).1, "against");
        pair.maps.against[3] = list[0].clone();
        assert_eq!(group.run(&pair, &format!("pair{out}")).unwrap()["n_subjects"].as_u64(), Some(5));
    }
    let zeros = [0f32; 480];
    let series: Vec<&[f32]> = maps.iter().map(Vec::as_slice).chain([zeros.as_slice()]).collect();
    write_series(&group.at("all.nii"), &grid, &series, None, Space::Mni).unwrap();
    assert_eq!(group.run(&config(vec![group.at("all.nii")]), "series").unwrap()["n_subjects"].as_u64(), Some(6));
    assert!(warnings(&group.at("series")).contains("all.nii, volume 6` holds one value"));
    let empty = group.write("empty.nii", &[0.0; 480]);
    let error = group.run(&config(vec![whole[0].clone(), empty]), "none").unwrap_err();
    assert!(error.to_string().contains("empty.nii`") && error.exit_code() == 2, "{error}");

    // Half a brain of zeros in one subject: those voxels have five values, not six.
    maps[2].iter_mut().enumerate().filter(|(v, _)| grid.voxel(*v)[1] > 5).for_each(|(_, x)| *x = 0.0);
    let mut half = config(files(&maps, "half"));
    let results = group.run(&half, "half").unwrap();
    assert_eq!(results["n_voxels"].as_u64(), Some(288 * 6 / 8));
    let said = warnings(&group.at("half"));
    assert!(
        said.contains("72 voxels have a value in some subjects") && said.contains("half2.nii.gz` lacks most"),
        "{said}"
    );
    assert!(said.contains("half2.nii.gz` in 72 voxels: read as missing"), "{said}");
    half.maps.min_subjects = Some(5);
    assert_eq!(group.run(&half, "fewer").unwrap()["n_voxels"].as_u64(), Some(288));
    half.maps.min_subjects = None;
    half.maps.zeros = Some(Zeros::Data);
    assert_eq!(group.run(&half, "data").unwrap()["n_voxels"].as_u64(), Some(288));
}

#[test]
fn zeros_of_counts_are_counts() {
    let (grid, maps) = subjects(63);
    let group = Group { dir: tempfile::tempdir().unwrap(), grid };
    let mut counts: Vec<Vec<f32>> =
        maps.iter().map(|m| m.iter().map(|x| (x.abs() * 2.0).floor().min(9.0)).collect()).collect();
    counts[4].fill(0.0);
    let files: Vec<PathBuf> = counts.iter().enumerate().map(|(s, m)| group.write(&format!("c{s}.nii"), m)).collect();
    let results = group.run(&config(files), "counts").unwrap();
    let some = (0..480).filter(|&v| counts.iter().any(|m| m[v] != 0.0)).count() as u64;
    assert_eq!((results["n_subjects"].as_u64(), results["n_voxels"].as_u64()), (Some(6), Some(some)));
    assert!(warnings(&group.at("counts")).contains("c4.nii` holds one value only: counted"));
    // Measurements beside an empty map, where the user says that 0 is one.
    let files: Vec<PathBuf> = maps.iter().enumerate().map(|(s, m)| group.write(&format!("m{s}.nii"), m)).collect();
    group.write("m3.nii", &[0.0; 480]);
    let mut config = config(files);
    config.maps.zeros = Some(Zeros::Data);
    let results = group.run(&config, "weights").unwrap();
    assert_eq!((results["n_subjects"].as_u64(), results["n_voxels"].as_u64()), (Some(6), Some(288)));
    assert!(warnings(&group.at("weights")).contains("m3.nii` holds one value only: counted, since zeros are values"));
}

/// Series of noise with four conditions, the last of which is only shown just before the end of the
/// run.
struct Bold {
    brain: Brain,
    config: Config,
}

impl Bold {
    const VOLUMES: usize = 60;

    fn new() -> Self {
        let brain = Brain::new();
        let mut config = short(&brain);
        (config.betas.files, config.betas.labels, config.fingerprints.conditions) = (vec![], vec![], None);
        config.fingerprints.files = vec![brain.at("fp.npy")];
        config.bold.files = vec![brain.at("bold.nii.gz")];
        config.bold.events = vec![brain.at("events.tsv")];
        let bold = Self { brain, config };
        bold.series(|_, _, x| x);
        bold.fingerprint(4);
        bold
    }

    fn series(&self, change: impl Fn(usize, usize, f32) -> f32) {
        let of = |t: usize| {
            let mut draw = rng::stream(71, "volumes bold", t as u64);
            (0..1000).map(|v| change(t, v, 100.0 + draw.normal() as f32)).collect::<Vec<f32>>()
        };
        let volumes: Vec<Vec<f32>> = (0..Self::VOLUMES).map(of).collect();
        let views: Vec<&[f32]> = volumes.iter().map(Vec::as_slice).collect();
        write_series(&self.brain.at("bold.nii.gz"), &self.brain.grid, &views, Some(2.0), Space::Mni).unwrap();
    }

    fn fingerprint(&self, n: usize) {
        let rdm = ndarray::Array1::from_shape_fn(n * (n - 1) / 2, |i| (i + 1) as f64);
        orthoscope::io::npy::write(&self.brain.at("fp.npy"), &rdm).unwrap();
    }

    fn events(&self, last: &str) {
        let shown = ["4\t1\ta", "14\t1\tb", "24\t1\tc", "34\t1\ta", "44\t1\tb", "54\t1\tc", "64\t1\ta", "74\t1\tb"];
        let text = format!("onset\tduration\ttrial_type\n{}\n{last}\n", shown.join("\n"));
        std::fs::write(self.brain.at("events.tsv"), text).unwrap();
    }
}

#[test]
fn a_regressor_of_almost_no_energy_is_said_or_left_out() {
    let mut bold = Bold::new();
    bold.events("84\t1\td");
    assert_eq!(bold.brain.run(bold.config.clone(), "usual").unwrap()["n_conditions"].as_u64(), Some(4));
    assert!(!warnings(&bold.brain.at("usual")).contains("peaks at"));
    // Half a second before the last volume, at 118 s.
    bold.events("117.5\t0.5\td");
    bold.brain.run(bold.config.clone(), "late").unwrap();
    let said = warnings(&bold.brain.at("late"));
    assert!(said.contains("run 1: the regressor of `d` peaks at") && said.contains("--leave-out-weak"), "{said}");
    bold.config.bold.leave_out_weak = Some(true);
    bold.fingerprint(3);
    let results = bold.brain.run(bold.config.clone(), "left").unwrap();
    assert_eq!(results["n_conditions"].as_u64(), Some(3));
    assert!(warnings(&bold.brain.at("left")).contains("its estimate of this run was left out"));
    // It stays in the model; one of zeros cannot.
    let regressors = |results: &Value| results["glm"][0]["n_regressors"].as_u64().unwrap();
    let modelled = regressors(&results);
    bold.events("119.5\t0\td");
    let results = bold.brain.run(bold.config.clone(), "zeros").unwrap();
    assert_eq!((results["n_conditions"].as_u64(), regressors(&results)), (Some(3), modelled - 1));
    bold.config.bold.leave_out_weak = None;
    bold.brain
        .refused(bold.config.clone(), &["events.tsv", "a response of `d` within run 1, found a regressor of zeros"]);
}

#[test]
fn events_that_cannot_be_modelled_are_named_with_their_row() {
    let mut bold = Bold::new();
    for (last, words) in [
        ("84\tn/a\td", ["events.tsv", "row 9", "`duration`", "`n/a`"]),
        ("84\t1.5 s\td", ["events.tsv", "row 9", "`duration`", "`1.5 s`"]),
        ("n/a\t1\td", ["events.tsv", "row 9", "`onset`", "`n/a`"]),
        ("84\t-2\td", ["events.tsv", "row 9", "`duration`", "`-2`"]),
        ("120\t1\td", ["events.tsv", "row 9", "the end of the run at 120", "`120`"]),
    ] {
        bold.events(last);
        bold.brain.refused(bold.config.clone(), &words);
        let hint = bold.brain.run(bold.config.clone(), "refused").unwrap_err().hint().unwrap();
        assert_eq!(hint.contains("BIDS"), last == "84\tn/a\td", "{hint}");
    }
    // An event without a condition is not modelled, whatever else its row says.
    bold.events("n/a\tn/a\tn/a\n84\t1\td");
    assert_eq!(bold.brain.run(bold.config.clone(), "out").unwrap()["n_conditions"].as_u64(), Some(4));
    bold.config.bold.confounds = vec![bold.brain.at("confounds.tsv")];
    std::fs::write(bold.brain.at("confounds.tsv"), format!("x\n{}", "1\n2\n".repeat(29))).unwrap();
    bold.brain.refused(bold.config.clone(), &["confounds.tsv", "60 rows", "one for each volume of", "found 58"]);
    bold.config.bold.confounds.clear();
    // A scan that was stopped: the last volumes were never filled.
    bold.series(|t, _, x| if t >= 57 { 0.0 } else { x });
    bold.brain.refused(bold.config, &["bold.nii.gz", "0 in all of volume 57 (counted from 0; 3 such)"]);
}

#[test]
fn the_stream_of_every_input_is_read_to_its_end() {
    let brain = Brain::new();
    let damage = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let at = bytes.len() - 8;
        bytes[at] ^= 1;
        let damaged = brain.at("damaged.nii.gz");
        std::fs::write(&damaged, bytes).unwrap();
        damaged
    };
    let words = ["damaged.nii.gz", "cannot be unpacked"];
    let mut config = short(&brain);
    config.betas.files[2] = damage(&config.betas.files[2]);
    brain.refused(config, &words);
    let mut config = short(&brain);
    config.betas.mask = Some(damage(&brain.at("mask.nii.gz")));
    brain.refused(config, &words);
    let mut config = short(&brain);
    config.betas.centres = Some(damage(&brain.at("mask.nii.gz")));
    brain.refused(config, &words);
    let mut config = short(&brain);
    config.regions.image = Some(damage(&brain.at("mask.nii.gz")));
    brain.refused(config, &words);
    let mut config = short(&brain);
    config.betas.background = Some(damage(&brain.at("mask.nii.gz")));
    brain.refused(config, &words);
    let all = Mask::from_fn(brain.grid, |_| true).unwrap();
    let path = brain.at("sub-1_run-0_betas.nii.gz");
    assert_eq!(read(&path).unwrap().masked(&all).unwrap().nrows(), N);
}
