//! Tables, labels, events, manifests, configurations.

use super::volumes::{grid, write_mask};
use super::{Input, Reader, any, written};
use ndarray::{Array1, Array2, Array3};
use orthoscope::Result;
use orthoscope::data::{Mask, Volume};
use orthoscope::encoding::features::spaces;
use orthoscope::io::nifti::{self, Datatype, Space};
use orthoscope::io::npz::NpzWriter;
use orthoscope::io::{labels, npy, number_table, tsv};
use orthoscope::job::configuration::{File, Given};
use orthoscope::job::inputs::{self, BetasConfig, BoldConfig, FingerprintConfig, Recorded, RegionConfig};
use orthoscope::job::{Manifest, Status, adversarial, group, map, maximize, orthogonalize, rdm};
use orthoscope::rdm::files;
use serde_json::json;
use std::path::Path;

pub const READERS: &[Reader] = &[
    Reader::of_files("tsv", "table.tsv", plain, |input| tsv::read(input.path).map(drop)),
    Reader::of_files("number-table", "numbers.csv", numbers, |input| number_table::read(input.path).map(drop)),
    Reader::of_files("labels", "labels.tsv", labels_tables, read_labels),
    Reader { beside: a_series, ..Reader::of_files("events", "events.tsv", events, read_bold) },
    Reader { beside: a_series, ..Reader::of_files("confounds", "confounds.tsv", confounds, read_bold) },
    Reader { beside: an_atlas, ..Reader::of_files("region-names", "names.tsv", names, read_regions) },
    Reader { beside: an_rdm, ..Reader::of_files("conditions", "conditions.txt", conditions, read_conditions) },
    Reader { beside: an_array, ..Reader::of_files("feature-rows", "rows.tsv", feature_rows, read_feature_rows) },
    Reader::of_files("feature-spaces", "spaces.npz", feature_spaces, read_feature_spaces),
    Reader::of_files("manifest", "run/manifest.json", manifests, read_manifest),
    Reader::of_files("configuration", "config.toml", configurations, read_configuration),
];

fn table(header: &[&str], rows: &[&[&str]]) -> Vec<u8> {
    let mut table = tsv::Table::new(header.iter().copied());
    rows.iter().for_each(|row| table.push(row.iter().copied()));
    written("table.tsv", |path| tsv::write(path, &table).expect("rows as wide as the header"))
}

fn plain() -> Vec<Vec<u8>> {
    let quoted = b"\xef\xbb\xbf\"name\"\t\"va\"\"lue\"\r\n\"a\tb\"\t\"two\nlines\"\r\ncaf\xc3\xa9\t NA \r\n".to_vec();
    vec![quoted, table(&["a", "b", "c"], &[&["1", "2.5", "x"], &["n/a", "-1e9", " y"]]), b"one\n1\n2\n".to_vec()]
}

fn feature_spaces() -> Vec<Vec<u8>> {
    let cube = Array3::from_shape_fn((3, 2, 2), |(i, j, k)| (4 * i + 2 * j + k) as f32);
    let arrays = NpzWriter::new().add("cube", &cube).add("line", &Array1::from(vec![0.5, 1.0, -2.0]));
    vec![arrays.bytes(Path::new("spaces.npz")).expect("other names")]
}

fn read_feature_spaces(input: &Input<'_>) -> Result<()> {
    spaces::read(input.path, None).map(drop)
}

fn feature_rows() -> Vec<Vec<u8>> {
    vec![
        table(&["stimulus"], &[&["b.png"], &["a.png"], &["c"]]),
        table(&["n", "file"], &[&["1", "x/a"], &["2", "b"], &["3", "c"]]),
    ]
}

fn an_array(folder: &Path) {
    npy::write(&folder.join("array.npy"), &Array2::<f32>::eye(3)).expect("a folder of its own");
}

fn read_feature_rows(input: &Input<'_>) -> Result<()> {
    let array = input.path.parent().unwrap_or(input.path).join("array.npy");
    let found = spaces::read(&array, Some(input.path))?;
    found[0].of(&["a".into(), "b".into()]).map(drop)
}

fn numbers() -> Vec<Vec<u8>> {
    vec![b"image,v1,\"v,2\"\nx.png,1.5,-2e3\n\"y\",n/a,4\n".to_vec(), b"a,b\r\n1,2\r\n".to_vec()]
}

fn labels_tables() -> Vec<Vec<u8>> {
    vec![
        table(&["condition", "run"], &[&["a", "1"], &["b", "1"], &["a", "2"], &["n/a", "2"]]),
        table(&["volume", "trial_type"], &[&["3", "a"], &["0", "b"]]),
        table(
            &["onset", "trial_type", "run"],
            &[&["4", "a", "1"], &["0", "b", "1"], &["9", "a", "1"], &["12", "c", "1"]],
        ),
    ]
}

fn read_labels(input: &Input<'_>) -> Result<()> {
    any([labels::read(input.path, &[4], None, None), labels::read(input.path, &[2, 2], None, None)]
        .map(|l| l.map(drop)))
}

const N_VOLUMES: usize = 40;

/// Forty volumes of noise, a mask, events and confounds that fit them.
fn a_series(folder: &Path) {
    let values: Vec<Vec<f32>> = (0..N_VOLUMES)
        .map(|t| (0..12).map(|v| 100.0 + ((t * 7919 + v * 104_729) % 1000) as f32 / 100.0).collect())
        .collect();
    let views: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    nifti::write_series(&folder.join("bold.nii"), &grid(), &views, Some(2.0), Space::Scanner).expect("one grid");
    write_mask(&folder.join("mask.nii"));
    std::fs::write(folder.join("events.tsv"), events().remove(0)).expect("a folder of its own");
    std::fs::write(folder.join("confounds.tsv"), confounds().remove(0)).expect("a folder of its own");
}

fn events() -> Vec<Vec<u8>> {
    vec![
        table(
            &["onset", "duration", "trial_type"],
            &[&["4", "2", "a"], &["16", "2", "b"], &["30.5", "2", "a"], &["44", "0", "b"], &["60", "0.5", "c"]],
        ),
        table(
            &["onset", "duration", "trial_type", "stim_file"],
            &[&["0.1", "1", "face", "x.png"], &["20", "1.5", "house", "y.png"], &["41", "1", "face", "n/a"]],
        ),
    ]
}

fn confounds() -> Vec<Vec<u8>> {
    let mut table = tsv::Table::new(["trans_x", "framewise_displacement"]);
    for t in 0..N_VOLUMES {
        let moved = if t == 0 { "n/a".into() } else { format!("{:.3}", ((t * 37) % 11) as f64 / 100.0) };
        table.push([format!("{:.4}", ((t * 53) % 17) as f64 / 1000.0), moved]);
    }
    vec![written("confounds.tsv", |path| tsv::write(path, &table).expect("two columns"))]
}

fn read_bold(input: &Input<'_>) -> Result<()> {
    let folder = input.path.parent().unwrap_or(input.path);
    let betas = BetasConfig { mask: Some(folder.join("mask.nii")), ..BetasConfig::default() };
    let bold = BoldConfig {
        files: vec![folder.join("bold.nii")],
        events: vec![folder.join("events.tsv")],
        confounds: vec![folder.join("confounds.tsv")],
        ..BoldConfig::default()
    };
    let regions = RegionConfig::default();
    inputs::betas::read(Recorded { betas: &betas, bold: &bold, regions: &regions, crossed: false }).map(drop)
}

fn an_atlas(folder: &Path) {
    let labels = Volume::new(grid(), (0..12).map(|v| (v % 4) as f32).collect()).expect("twelve voxels");
    nifti::write_volume_as(&folder.join("atlas.nii"), &labels, Space::Scanner, Datatype::U8).expect("small numbers");
}

fn names() -> Vec<Vec<u8>> {
    vec![table(&["index", "name"], &[&["1", "V1"], &["2", "V2"], &["3.0", "hV4"]])]
}

fn read_regions(input: &Input<'_>) -> Result<()> {
    let mask = Mask::from_fn(grid(), |v| v != 5)?;
    let names = Some(input.path.to_path_buf());
    inputs::regions::label_image(&input.path.with_file_name("atlas.nii"), &names, &mask, "regions.image").map(drop)
}

fn an_rdm(folder: &Path) {
    std::fs::write(folder.join("rdm.npy"), npy::encode(&ndarray::arr1(&[0.1f64, 0.2, 0.3])))
        .expect("a folder of its own");
}

fn conditions() -> Vec<Vec<u8>> {
    vec![b"face\nhouse\nchair\n".to_vec(), table(&["condition"], &[&["a"], &["b"], &["c"]])]
}

fn read_conditions(input: &Input<'_>) -> Result<()> {
    let own = FingerprintConfig {
        files: vec![input.path.with_file_name("rdm.npy")],
        conditions: Some(input.path.to_path_buf()),
        ..FingerprintConfig::default()
    };
    let mut read = inputs::fingerprints::read(&own)?;
    let names = ["house", "chair", "face"].map(String::from);
    any([Ok(()), inputs::fingerprints::match_conditions(&mut read, &names).map(drop)])
}

fn manifests() -> Vec<Vec<u8>> {
    let mut manifest = Manifest::new("rdm", 1, &"0".repeat(64));
    let of = |manifest: &Manifest| written("manifest.json", |path| manifest.write(path).expect("string keys"));
    let begun = of(&manifest);
    manifest.status = Status::Complete;
    manifest.results = json!({"images": ["a", {"name": "b"}], "layers": [{"name": "conv"}], "statistic": "spearman",
        "n_centres": 12, "overlap": null, "second_order": [[1.0, 0.5], [0.5, 1.0]]});
    vec![begun, of(&manifest)]
}

fn read_manifest(input: &Input<'_>) -> Result<()> {
    let folder = input.path.parent().unwrap_or(input.path);
    files::images_beside(&folder.join("arrays/rdms.npz"))?;
    Manifest::read(input.path)?;
    any([Ok(()), orthoscope::job::report(folder).map(drop)])
}

fn configurations() -> Vec<Vec<u8>> {
    let of = |config: &dyn Fn() -> Result<String, toml::ser::Error>| config().expect("tables of tables").into_bytes();
    vec![
        of(&|| toml::to_string(&orthogonalize::Config::default())),
        of(&|| toml::to_string(&maximize::Config::default())),
        of(&|| toml::to_string(&adversarial::Config::default())),
        of(&|| toml::to_string(&rdm::Config::default())),
        of(&|| toml::to_string(&map::Config::default())),
        of(&|| toml::to_string(&group::Config::default())),
    ]
}

fn read_configuration(input: &Input<'_>) -> Result<()> {
    let file = File::read(input.path)?;
    let command = file.command()?.to_owned();
    let given = Given { file: Some(file), ..Given::default() };
    match command.as_str() {
        "maximize" => given.resolve::<maximize::Config>(&command, |_| Ok(())).map(drop),
        "adversarial" => given.resolve::<adversarial::Config>(&command, |_| Ok(())).map(drop),
        "rdm" => given.resolve::<rdm::Config>(&command, |_| Ok(())).map(drop),
        "map" => given.resolve::<map::Config>(&command, |_| Ok(())).map(drop),
        "group" => given.resolve::<group::Config>(&command, |_| Ok(())).map(drop),
        _ => given.resolve::<orthogonalize::Config>(&command, |_| Ok(())).map(drop),
    }
}
