//! The section `[targets]`: every format, and how rows find their stimuli.

use ndarray::{Array2, Array3, Axis, array};
use orthoscope::data::{Place, Places, Responses, TimeSeries, Usable};
use orthoscope::io::{npy, npz};
use orthoscope::job::inputs::TargetsConfig;
use orthoscope::job::inputs::targets::{Aligned, Matching, Recording, Targets, align, maps, read};
use std::path::{Path, PathBuf};

/// A file that nibabel or h5py wrote (tests/golden/surfaces.py).
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/surfaces").join(name)
}

pub(crate) fn config(text: &str) -> TargetsConfig {
    toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub(crate) fn of_files<P: AsRef<Path>>(files: &[P], more: &str) -> orthoscope::Result<Targets> {
    read(&TargetsConfig { files: paths(files), ..config(more) })
}

fn paths<P: AsRef<Path>>(files: &[P]) -> Vec<PathBuf> {
    files.iter().map(|file| file.as_ref().to_path_buf()).collect()
}

pub(crate) fn responses(targets: &Targets) -> &Responses {
    match &targets.recorded {
        Recording::Responses { responses, .. } => responses,
        Recording::Series(_) => panic!("a time series"),
    }
}

pub(crate) fn series(targets: &Targets) -> &TimeSeries {
    match &targets.recorded {
        Recording::Series(series) => series,
        Recording::Responses { .. } => panic!("responses"),
    }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
}

fn error(found: orthoscope::Result<Targets>, words: &str) -> String {
    let Err(error) = found else { panic!("read, where `{words}` was expected") };
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(error.to_string().contains(words), "`{words}`: {error}");
    error.hint().unwrap_or_default()
}

/// What surfaces.py writes: row t, target v.
fn golden_value(t: usize, v: usize) -> f32 {
    (10 * t + v) as f32 + 0.25
}

fn is_golden(series: &TimeSeries, n_targets: usize) {
    let expected = Array2::from_shape_fn((3, n_targets), |(t, v)| golden_value(t, v));
    assert_eq!(series.values(), expected);
}

#[test]
fn hemispheres_stand_beside_each_other_and_runs_below() {
    let [left, right] = ["L", "R"].map(|side| golden(&format!("bold_hemi-{side}.func.gii")));
    let found = of_files(&[left.clone(), right.clone()], "rows = 'time'\ntr_s = 1.5").unwrap();
    let one = series(&found);
    is_golden(one, 10);
    assert_eq!((one.tr_s(), one.run_names(), one.run_lengths()), (1.5, &names(&["1"])[..], vec![3]));
    assert_eq!((one.targets()[5].as_str(), one.targets()[9].as_str()), ("CORTEX_LEFT-5", "CORTEX_RIGHT-3"));
    let files = [left.clone(), right.clone(), right.clone(), left.clone()];
    let found = of_files(&files, "rows = 'time'\ntr_s = 1.5").unwrap();
    let two = series(&found);
    assert_eq!((two.n_samples(), two.n_targets(), two.run_lengths()), (6, 10, vec![3, 3]));
    assert_eq!(two.values().row(4), one.values().row(1));
    error(of_files(&[left.clone(), right.clone(), left.clone()], "rows = 'time'\ntr_s = 1.5"), "of every hemisphere");
    error(of_files(&[left, right], "rows = 'time'"), "targets.tr_s: expected the repetition time");
}

#[test]
fn every_encoding_of_gifti_is_the_same() {
    for name in ["plain", "ascii", "whole"] {
        let found = of_files(&[golden(&format!("{name}_hemi-L.func.gii"))], "rows = 'time'\ntr_s = 1.0").unwrap();
        is_golden(series(&found), 6);
    }
    let found = of_files(&[golden("plain_hemi-L.func.gii")], "").unwrap();
    assert_eq!(responses(&found).stimuli(), ["map 0", "map 1", "map 2"]);
}

#[test]
fn regions_of_surfaces() {
    let files = ["L", "R"].map(|side| golden(&format!("bold_hemi-{side}.func.gii")));
    let rois = ["L", "R"].map(|side| golden(&format!("areas_hemi-{side}.label.gii")));
    let config = TargetsConfig { files: files.to_vec(), rois: rois.to_vec(), ..config("rows = 'time'\ntr_s = 1.0") };
    let found = read(&config).unwrap();
    let expected = [("V1".to_owned(), vec![1, 2, 5, 6]), ("V4 <dorsal>".into(), vec![3, 8])];
    assert_eq!(found.regions, expected);
    let left = TargetsConfig { files: files[..1].to_vec(), ..config };
    error(read(&left), "expected labels of a surface that has targets, found those of `CORTEX_RIGHT`");
}

#[test]
fn grayordinates_of_cifti() {
    let found = of_files(&[golden("bold.dtseries.nii")], "rows = 'time'").unwrap();
    let one = series(&found);
    is_golden(one, 7);
    assert!((one.tr_s() - 0.72).abs() < 1e-12);
    let Place::Brain(brain) = one.place() else { panic!("grayordinates") };
    assert_eq!(brain.parts()[0].places, Places::Vertices { n_vertices: 6, vertices: vec![0, 2, 3] });
    assert_eq!(brain.parts()[2].places, Places::Voxels(vec![[0, 0, 1], [1, 2, 3], [2, 3, 4]]));
    assert_eq!(brain.grid().unwrap().mm(brain.grid().unwrap().index([1, 2, 3])), [88.0, -122.0, -66.0]);
    assert_eq!(one.targets()[4..6], ["THALAMUS_LEFT-0-0-1", "THALAMUS_LEFT-1-2-3"]);
    let rois = TargetsConfig {
        files: vec![golden("betas.dscalar.nii")],
        rois: vec![golden("areas.dlabel.nii")],
        ..config("")
    };
    let found = read(&rois).unwrap();
    assert_eq!(found.regions, [("V1".to_owned(), vec![0, 2, 3]), ("LGN".into(), vec![4, 6])]);
    assert_eq!(responses(&found).stimuli(), ["face 1", "house <2>", "chair"]);
    assert_eq!(responses(&found).values()[[6, 2, 0]], golden_value(2, 6));
    let hint = error(of_files(&[golden("betas.pscalar.nii")], ""), "numbers of parcels");
    assert!(hint.contains("dscalar"), "{hint}");
    error(of_files(&[golden("areas.dlabel.nii")], ""), "found labels");
    error(of_files(&[golden("bold.dtseries.nii"), golden("bold_hemi-L.func.gii")], "rows = 'time'"), "7 grayordinates");
}

#[test]
fn matlab_arrays_have_their_axes_named() {
    let mat = golden("responses.mat");
    let found = of_files(&[&mat], "key = 'rt'\naxes = ['targets', 'rows']").unwrap();
    let rt = responses(&found);
    assert_eq!((rt.n_targets(), rt.n_stimuli(), rt.values()[[5, 2, 0]]), (6, 3, golden_value(2, 5)));
    assert_eq!((rt.count(Usable::NotFinite), rt.usable()[4]), (1, Usable::NotFinite));
    assert!(found.warnings[0].to_string().contains("of 6 targets, 1 lack a number"), "{:?}", found.warnings);
    let found = of_files(&[&mat], "key = 'rva'\naxes = ['targets', 'repeats', 'rows']").unwrap();
    let rva = responses(&found);
    assert_eq!((rva.n_repeats(), rva.values()[[0, 1, 1]]), (2, golden_value(1, 0) + 2.0));
    assert!(rva.values()[[0, 2, 1]].is_nan(), "a repeat that was not made");
    assert_eq!(rva.mean()[[0, 2]], f64::from(golden_value(2, 0)));
    let averaged = of_files(&[&mat], "key = 'rva'\naxes = ['targets', 'repeats', 'rows']\nrepeats = 'average'");
    assert_eq!(responses(&averaged.unwrap()).values()[[0, 1, 0]], golden_value(1, 0) + 1.0);
    let rois = "key = 'rt'\naxes = ['targets', 'rows']\nrois_group = 'roi'";
    let found = read(&TargetsConfig { files: vec![mat.clone()], rois: vec![mat.clone()], ..config(rois) }).unwrap();
    assert_eq!(found.regions, [("v1lh".to_owned(), vec![0, 1]), ("v1rh".into(), vec![5])]);
    assert!(found.warnings.iter().any(|w| w.to_string().contains("1 regions of `roi` are empty")));
    error(of_files(&[&mat], ""), "`names`, `roi/none`, `roi/v1lh`, `roi/v1rh`, `rt`, `rva`, `text`");
    error(of_files(&[&mat], "key = 'names'"), "a MATLAB `cell`");
    error(of_files(&[&mat], "key = 'text'"), "a MATLAB `char`");
    let hint = error(of_files(&[&mat], "key = 'rt'"), "[6, 3], in MATLAB its `size` in reverse");
    assert!(hint.contains("targets.axes"), "{hint}");
    error(of_files(&[mat], "key = 'rva'\naxes = ['targets', 'rows']"), "an array of 2 axes");
}

/// A folder with files of made-up responses.
pub(crate) struct Study {
    dir: tempfile::TempDir,
}

impl Study {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.at(name), text).unwrap();
        self.at(name)
    }

    /// 4 rows x 3 targets: 10 row + target.
    fn array(&self) -> PathBuf {
        npy::write(&self.at("r.npy"), &Array2::from_shape_fn((4, 3), |(r, t)| (10 * r + t) as f32)).unwrap();
        self.at("r.npy")
    }

    pub(crate) fn read<P: AsRef<Path>>(
        &self,
        files: &[P],
        more: &str,
        change: impl FnOnce(&mut TargetsConfig),
    ) -> orthoscope::Result<Targets> {
        let mut config = TargetsConfig { files: paths(files), ..config(more) };
        change(&mut config);
        read(&config)
    }
}

fn aligned(targets: &Targets, stimuli: &[&str], how: Matching) -> orthoscope::Result<Aligned> {
    align(targets, &names(stimuli), how)
}

#[test]
fn rows_find_their_stimuli_by_name_and_never_by_position() {
    let study = Study::new();
    let array = study.array();
    let ids = study.text("ids.txt", "im1\nim2\nim3\nim4\n");
    let found = study.read(&[&array], "", |c| c.ids = Some(ids.clone())).unwrap();
    let stimuli = ["im3.png", "im1.png", "im5.png", "im4.png", "im2.png"];
    let matched = aligned(&found, &stimuli, Matching::Ids).unwrap();
    assert_eq!(matched.stimuli, [0, 1, 3, 4]);
    assert_eq!(matched.responses.stimuli(), ["im3", "im1", "im4", "im2"]);
    assert_eq!(matched.responses.mean().row(2), array![22.0, 2.0, 32.0, 12.0]);
    assert!(matched.warnings[0].to_string().contains("1 of the 5 stimuli have no responses"));
    let absent = aligned(&found, &["im1", "im2", "im3", "im5"], Matching::Ids).unwrap_err();
    assert!(absent.to_string().contains("`im4`"), "{absent}");
    // Names that say another order than the user.
    let order = aligned(&found, &["im2", "im1", "im3", "im4"], Matching::Order).unwrap_err();
    assert!(order.to_string().contains("targets.match: expected `im2` in row 1"), "{order}");
    assert!(aligned(&found, &["im1", "im2", "im3", "im4"], Matching::Order).is_ok());
    // Without names, only because the user says so, and only where the numbers agree.
    let nameless = study.read(&[&array], "axes = ['rows', 'targets']", |_| ()).unwrap();
    let four = ["a", "b", "c", "d"];
    let refused = aligned(&nameless, &four, Matching::Ids).unwrap_err();
    assert!(refused.hint().unwrap().contains("match = \"order\""), "{refused}");
    assert_eq!(aligned(&nameless, &four, Matching::Order).unwrap().stimuli, [0, 1, 2, 3]);
    assert!(aligned(&nameless, &four[..3], Matching::Order).unwrap_err().to_string().contains("3 rows"));
    // Numbers are no names: a stimulus that is called `0` is not the first row.
    assert!(aligned(&nameless, &["0", "1", "2", "3"], Matching::Ids).is_err());
    error(study.read(&[&array], "", |_| ()), "the names of the axes, found [4, 3]");
    let five = study.text("five.txt", "a\nb\nc\nd\ne\n");
    error(study.read(&[&array], "", |c| c.ids = Some(five.clone())), "one axis of 5 rows");
    error(study.read(&[&array], "axes = ['rows', 'targets']", |c| c.ids = Some(five)), "4 names, one for each row");
    let twice = study.text("twice.txt", "a\nb\na\nd\n");
    error(study.read(&[&array], "", |c| c.ids = Some(twice)), "`a` twice");
    let table = study.text("t.tsv", "index\tcategory\n1\ta\n0\tb\n2\tc\n3\td\n");
    let more = "ids_column = 'category'\naxes = ['rows', 'targets']";
    error(study.read(&[array], more, |c| c.ids = Some(table)), "rows in the order of `index`");
}

#[test]
fn tables_bring_names_of_rows_and_targets() {
    let study = Study::new();
    let csv = study.text("r.csv", "image,V1 a,\"V4, b\"\nx.png,1,2\ny.png,3,n/a\n");
    let found = study.read(&[&csv], "", |_| ()).unwrap();
    assert_eq!(responses(&found).targets(), ["V1 a", "V4, b"]);
    assert_eq!(responses(&found).usable(), [Usable::Yes, Usable::NotFinite]);
    let matched = aligned(&found, &["y", "x"], Matching::Ids).unwrap();
    assert_eq!(matched.responses.mean().row(0), array![3.0, 1.0]);
    let other = study.text("s.csv", "image,\"V4, b\",V1 a\nz.png,1,2\n");
    error(study.read(&[csv.clone(), other], "", |_| ()), "`V1 a` as target 0");
    let ids = study.text("ids.txt", "y.png\nx.png\n");
    error(study.read(&[csv], "", |c| c.ids = Some(ids)), "targets.ids: expected `x.png` in row 1");
    let rows = study.text("t.tsv", "a\tb\n1\t2\n3\t4\n");
    let regions = study.text("regions.tsv", "region\nV1\nn/a\n");
    let found = study.read(&[&rows], "match = 'order'", |c| c.rois = vec![regions]).unwrap();
    assert_eq!(found.regions, [("V1".to_owned(), vec![0])]);
    let short = study.text("short.tsv", "region\nV1\n");
    error(study.read(&[rows], "match = 'order'", |c| c.rois = vec![short]), "2 rows, one for each target");
}

#[test]
fn trials_become_repeats() {
    let study = Study::new();
    let array = study.array();
    let trials = study.text("trials.tsv", "stimulus\trun\nb\t1\na\t1\nb\t2\nn/a\t2\n");
    let more = "rows = 'trials'\naxes = ['rows', 'targets']";
    let found = study.read(&[&array], more, |c| c.trials = Some(trials.clone())).unwrap();
    let kept = responses(&found);
    assert_eq!((kept.stimuli(), kept.n_repeats()), (&names(&["a", "b"])[..], 2));
    assert_eq!([kept.values()[[1, 1, 0]], kept.values()[[1, 1, 1]]], [1.0, 21.0]);
    assert!(kept.values()[[1, 0, 1]].is_nan());
    let more = format!("{more}\nrepeats = 'average'");
    let found = study.read(&[&array], &more, |c| c.trials = Some(trials.clone())).unwrap();
    assert_eq!(responses(&found).values().index_axis(Axis(2), 0), array![[10.0, 10.0], [11.0, 11.0], [12.0, 12.0]]);
    let short = study.text("short.tsv", "stimulus\na\nb\n");
    error(study.read(&[&array], &more, |c| c.trials = Some(short)), "4 rows, one for each volume");
    error(study.read(&[&array], "rows = 'trials'", |_| ()), "targets.trials");
    error(study.read(&[array], "", |c| c.trials = Some(trials)), "no table of trials");
}

#[test]
fn series_have_runs_and_one_repetition_time() {
    let study = Study::new();
    let array = study.array();
    let samples = study.text("samples.tsv", "volume\trun\n0\ta\n1\ta\n2\tb\n3\tb\n");
    let more = "rows = 'time'\naxes = ['rows', 'targets']\ntr_s = 2.0";
    let found = study.read(&[&array], more, |c| c.trials = Some(samples)).unwrap();
    assert_eq!((series(&found).runs(), series(&found).run_lengths()), (&[0, 0, 1, 1][..], vec![2, 2]));
    let refuse = |text: &str, words: &str| {
        let table = study.text("bad.tsv", text);
        error(study.read(&[&array], more, |c| c.trials = Some(table)), words)
    };
    refuse("volume\trun\n1\ta\n0\ta\n2\tb\n3\tb\n", "rows in the order of `volume`");
    refuse("run\na\na\nb\n", "4 rows, one for each sample");
    refuse("run\na\nb\na\nb\n", "`a` again after another one");
    refuse("run\na\nn/a\nb\nb\n", "the run of every sample");
    refuse("onset\trun\n0\ta\n4\ta\n2\ta\n6\ta\n", "times that rise within a run");
    refuse("condition\nx\nx\nx\nx\n", "a column `run");
    error(study.read(&[&array], "rows = 'time'\naxes = ['rows', 'targets']\ntr_s = 0.0", |_| ()), "targets.tr_s");
    error(study.read(&[array], "tr_s = 2.0", |_| ()), "only with rows = \"time\"");
}

#[test]
fn repeats_that_were_not_made_are_nan_and_stimuli_without_any_are_named() {
    let study = Study::new();
    let mut values = Array3::from_shape_fn((2, 3, 2), |(t, s, r)| (t + 10 * s + 100 * r) as f32);
    values[[0, 1, 1]] = f32::NAN;
    let write = |values: &Array3<f32>| npy::write(&study.at("r.npy"), values).unwrap();
    write(&values);
    let more = "axes = ['targets', 'rows', 'repeats']";
    let found = study.read(&[study.at("r.npy")], more, |_| ()).unwrap();
    assert_eq!(responses(&found).mean(), array![[50.0, 10.0, 70.0], [51.0, 61.0, 71.0]]);
    values.index_axis_mut(Axis(1), 2).fill(f32::NAN);
    write(&values);
    let ids = study.text("ids.txt", "x\ny\nz\n");
    error(study.read(&[study.at("r.npy")], more, |c| c.ids = Some(ids.clone())), "none to 1 of the 3: `z`");
    values.fill(f32::NAN);
    write(&values);
    error(study.read(&[study.at("r.npy")], more, |c| c.ids = Some(ids)), "none to 3 of the 3");
    error(study.read(&[study.at("r.npy")], "axes = ['rows', 'rows']", |_| ()), "targets.axes");
    npz::NpzWriter::new()
        .add("a", &array![[1.0f32, 2.0]])
        .add("b", &array![[1.0f32]])
        .write(&study.at("r.npz"))
        .unwrap();
    error(study.read(&[study.at("r.npz")], "axes = ['rows', 'targets']", |_| ()), "`a`, `b`");
    let found = study.read(&[study.at("r.npz")], "axes = ['rows', 'targets']\nkey = 'a'", |_| ()).unwrap();
    assert_eq!(responses(&found).n_targets(), 2);
    error(study.read(&[study.text("r.xyz", "")], "", |_| ()), "as the ending");
    assert!(toml::from_str::<TargetsConfig>("file = 'a.npy'").is_err(), "no such key");
}

#[test]
fn volumes_and_arrays_of_a_mask() {
    use orthoscope::data::{Affine, Grid, Mask, Volume};
    use orthoscope::io::nifti::{self, Space};
    let study = Study::new();
    let grid = Grid { shape: [2, 2, 2], affine: Affine::scaling([2.0; 3]) };
    let inside = [1usize, 2, 4];
    let mask = Mask::from_fn(grid, |v| inside.contains(&v)).unwrap();
    nifti::write_volume(&study.at("mask.nii"), &mask.unmask(&[1.0; 3], 0.0), Space::Mni).unwrap();
    let volumes: Vec<Vec<f32>> = (0..4).map(|t| (0..8).map(|v| (10 * t + v) as f32).collect()).collect();
    let views: Vec<&[f32]> = volumes.iter().map(Vec::as_slice).collect();
    nifti::write_series(&study.at("run-2_bold.nii.gz"), &grid, &views, Some(1.5), Space::Mni).unwrap();
    let with_mask = |c: &mut TargetsConfig| c.mask = Some(study.at("mask.nii"));
    let bold = [study.at("run-2_bold.nii.gz")];
    let found = study.read(&bold, "rows = 'time'", with_mask).unwrap();
    assert_eq!((series(&found).tr_s(), series(&found).run_names()), (1.5, &names(&["run-2"])[..]));
    assert_eq!(series(&found).values().row(3), array![31.0, 32.0, 34.0]);
    assert_eq!(series(&found).targets(), ["1-0-0", "0-1-0", "0-0-1"]);
    assert_eq!(found.space, Space::Mni);
    let labels = Volume::new(grid, vec![0.0, 3.0, 5.0, 5.0, 3.0, 0.0, 0.0, 0.0]).unwrap();
    nifti::write_volume(&study.at("atlas.nii"), &labels, Space::Mni).unwrap();
    let atlas = |c: &mut TargetsConfig| {
        with_mask(c);
        c.rois = vec![study.at("atlas.nii")];
    };
    let regions = study.read(&bold, "rows = 'time'", atlas).unwrap().regions;
    assert_eq!(regions, [("region3".to_owned(), vec![0, 2]), ("region5".into(), vec![1])]);
    // NumPy takes data[mask] with the last index fastest: (0,0,1), (0,1,0), (1,0,0).
    npy::write(&study.at("r.npy"), &array![[4.0f32, 2.0, 1.0]]).unwrap();
    for (order, expected) in [("numpy", [1.0, 2.0, 4.0]), ("matlab", [4.0, 2.0, 1.0])] {
        let more = format!("axes = ['rows', 'targets']\nmask_order = '{order}'");
        let found = study.read(&[study.at("r.npy")], &more, with_mask).unwrap();
        assert_eq!(responses(&found).values().iter().copied().collect::<Vec<_>>(), expected, "{order}");
        assert!(matches!(responses(&found).place(), Place::Volume(m) if *m == mask));
    }
    // What is said of columns follows them.
    std::fs::write(study.at("columns.tsv"), "region\nouter\nn/a\ninner\n").unwrap();
    std::fs::write(study.at("names.txt"), "c001\nc010\nc100\n").unwrap();
    let of_columns = |c: &mut TargetsConfig| {
        with_mask(c);
        c.rois = vec![study.at("columns.tsv")];
        c.names = Some(study.at("names.txt"));
    };
    let more = "axes = ['rows', 'targets']\nmask_order = 'numpy'";
    let found = study.read(&[study.at("r.npy")], more, of_columns).unwrap();
    assert_eq!(responses(&found).targets(), ["c100", "c010", "c001"]);
    assert_eq!(found.regions, [("outer".to_owned(), vec![2]), ("inner".into(), vec![0])]);
    error(study.read(&[study.at("r.npy")], "axes = ['rows', 'targets']", with_mask), "targets.mask_order");
    error(study.read(&bold, "rows = 'time'\nmask_order = 'numpy'", with_mask), "targets.mask_order");
    let array = study.array();
    npy::write(&study.at("wide.npy"), &Array2::<f32>::zeros((2, 5))).unwrap();
    error(study.read(&[study.at("wide.npy")], "axes = ['rows', 'targets']", with_mask), "a mask of 5 voxels");
    error(study.read(&[array, bold[0].clone()], "axes = ['rows', 'targets']", |_| ()), "columns without a place");
}

#[test]
fn maps_are_written_back_as_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let found = of_files(&[golden("betas.dscalar.nii")], "").unwrap();
    let scores = Array2::from_shape_fn((2, 7), |(m, t)| (m * 10 + t) as f32);
    let write = |place: &Place, scores: &Array2<f32>| {
        maps::write(place, found.space, (dir.path(), "sub-1"), &["r", "r2"], scores.view()).unwrap()
    };
    let paths = write(found.recorded.place(), &scores);
    let back = of_files(&paths, "").unwrap();
    assert_eq!(back.recorded.place(), found.recorded.place());
    assert_eq!(responses(&back).values()[[6, 1, 0]], 16.0);
    let files = ["L", "R"].map(|side| golden(&format!("bold_hemi-{side}.func.gii")));
    let found = of_files(&files, "rows = 'time'\ntr_s = 1.0").unwrap();
    let scores = Array2::from_shape_fn((2, 10), |(m, t)| (m * 10 + t) as f32);
    let paths = write(found.recorded.place(), &scores);
    let back = of_files(&paths, "").unwrap();
    assert_eq!(back.recorded.place(), found.recorded.place());
    assert_eq!(responses(&back).stimuli(), ["r", "r2"]);
    assert_eq!(responses(&back).values()[[9, 1, 0]], 19.0);
}

/// The table of docs/targets.md lists every key with its default.
#[test]
fn the_page_lists_every_key_with_its_default() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/targets.md")).unwrap();
    let section = page.split("\n## Keys\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        (cells[1].to_owned(), if cells[2] == "none" { "null".into() } else { cells[2].to_owned() })
    };
    let mut listed: Vec<(String, String)> = section.lines().filter(|line| line.starts_with("| `")).map(row).collect();
    let defaults = serde_json::to_value(TargetsConfig::default()).unwrap();
    let mut known: Vec<(String, String)> =
        defaults.as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    listed.sort();
    known.sort();
    assert_eq!(listed, known);
}

/// nibabel opens what we write (where a Python with it is found: `$PYTHON`, else `python3`).
#[test]
fn nibabel_reads_the_maps() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let run = |arguments: &[&std::ffi::OsStr]| std::process::Command::new(&python).args(arguments).output();
    if !run(&["-c".as_ref(), "import nibabel".as_ref()]).is_ok_and(|probe| probe.status.success()) {
        println!("skipped: {python} has no nibabel; set PYTHON to one that has");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let read_golden = |names: &[&str], more: &str| {
        of_files(&names.iter().map(|name| golden(name)).collect::<Vec<_>>(), more).unwrap()
    };
    let brain = read_golden(&["betas.dscalar.nii"], "");
    let both = read_golden(&["bold_hemi-L.func.gii", "bold_hemi-R.func.gii"], "rows = 'time'\ntr_s = 1.0");
    for found in [&brain, &both] {
        let n = found.recorded.n_targets();
        let scores = Array2::from_shape_fn((2, n), |(m, t)| if t == 1 { f32::NAN } else { (m * 10 + t) as f32 });
        maps::write(found.recorded.place(), found.space, (dir.path(), "scores"), &["r", "R2 <all>"], scores.view())
            .unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cross_reader_targets.py");
    let said = run(&[script.as_os_str(), dir.path().as_os_str(), golden("betas.dscalar.nii").as_os_str()]).unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && text.contains("3 files"), "{text}{}", String::from_utf8_lossy(&said.stderr));
}
