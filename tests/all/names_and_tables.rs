//! The same brain described in other words gives the same result, or an error that says what cannot
//! be told: names of conditions and images, and tables in the dialects of other programs.

use super::map::{Brain, N, RUNS, map_file};
use orthoscope::job::map::Config;
use serde_json::Value;

const MAP: &str = "desc-layer1_stat-spearman_statmap.nii.gz";

fn config(brain: &Brain) -> Config {
    let mut config = brain.config();
    config.test.n_permutations = 0;
    config
}

fn write(brain: &Brain, name: &str, text: &str) {
    std::fs::write(brain.at(name), text).unwrap();
}

/// What shows the conditions of every run: `label(run, condition)`.
fn write_labels(brain: &Brain, label: impl Fn(usize, usize) -> String) {
    for run in 0..RUNS {
        let rows: String = (0..N).map(|c| format!("{}\n", label(run, c))).collect();
        write(brain, &format!("run-{run}_events.tsv"), &format!("stim_file\n{rows}"));
    }
}

fn warnings(brain: &Brain, out: &str) -> Vec<String> {
    let manifest: Value = super::support::json(&brain.at(out).join("manifest.json"));
    manifest["warning_texts"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()).collect()
}

fn map(brain: &Brain, config: Config, out: &str) -> Vec<f32> {
    brain.run(config, out).unwrap();
    map_file(brain, out, MAP).values().to_vec()
}

/// Equal but for sums in another order of the conditions.
fn assert_same(found: &[f32], right: &[f32]) {
    let far = found.iter().zip(right).filter(|(a, b)| a.is_nan() != b.is_nan() || (*a - *b).abs() > 1e-5).count();
    assert_eq!((found.len(), far), (right.len(), 0));
}

#[test]
fn names_are_matched_whole_and_in_one_spelling() {
    let brain = Brain::new();
    let right = map(&brain, config(&brain), "right");
    // Faces and houses with the same file names; the accent is composed on one side and decomposed
    // on the other.
    let name = |folder: &str, c: usize| {
        format!("{}/{}.png", if c.is_multiple_of(2) { folder } else { "houses" }, brain.names[c / 2])
    };
    let listed: String = (0..N).map(|c| format!("{}\n", name("visage_\u{e9}", c))).collect();
    write(&brain, "conditions.txt", &format!("filename\n{listed}"));
    write_labels(&brain, |_, c| name("visage_e\u{301}", c));
    assert_same(&map(&brain, config(&brain), "whole"), &right);
    // By stem where that is unique, which is said.
    write(&brain, "conditions.txt", &format!("filename\n{}", brain.names.join(".png\n") + ".png\n"));
    write_labels(&brain, |_, c| format!("stimuli/{}.jpg", brain.names[c]));
    assert_same(&map(&brain, config(&brain), "stem"), &right);
    let said = warnings(&brain, "stem");
    assert!(said.iter().any(|w| w.contains("`stimuli/image01.jpg` and `image01.png`")), "{said:?}");
    // And refused where it is not: all candidates are named.
    write(&brain, "conditions.txt", &format!("filename\n{listed}"));
    write_labels(&brain, |_, c| brain.names[c / 2].clone());
    brain.refused(config(&brain), &["visage_\u{e9}/image01.png`, `houses/image01.png", "`image01`"]);
    // Two conditions cannot be one image.
    write(&brain, "conditions.txt", &format!("filename\n{}\n", brain.names.join("\n")));
    write_labels(&brain, |_, c| name("visage_e\u{301}", c));
    brain.refused(config(&brain), &["`image01` for", "houses/image01.png"]);
}

#[test]
fn label_tables_of_other_programs_say_the_same() {
    let brain = Brain::new();
    let right = map(&brain, config(&brain), "right");
    // Rows grouped by condition as some programs sort them, quoted and padded; onsets say the order
    // of the volumes.
    let order: Vec<usize> = (0..N).map(|k| k * 5 % N).collect();
    for run in 0..RUNS {
        let rows: String = order.iter().map(|&c| format!("{}.5\t\"1\"\t \"{}\" \r\n", 4 * c, brain.names[c])).collect();
        let text = format!("\u{feff}\"onset\" \tduration\t\"trial_type\"\r\n{rows}");
        write(&brain, &format!("run-{run}_events.tsv"), &text);
    }
    assert_same(&map(&brain, config(&brain), "sorted"), &right);
    let said = warnings(&brain, "sorted");
    assert_eq!(
        said.iter().filter(|w| w.contains("order of `onset`") && w.contains("sorted")).count(),
        RUNS,
        "{said:?}"
    );
    // Rows without an image.
    write_labels(&brain, |_, c| if c == 3 { "NaN".into() } else { brain.names[c].clone() });
    let results = brain.run(config(&brain), "missing").unwrap();
    assert_eq!(results["n_conditions"].as_u64(), Some(11));
    assert!(warnings(&brain, "missing").iter().any(|w| w.contains("`NaN` were left out as missing")));
    // Another encoding.
    let utf16: Vec<u8> = "\u{feff}stim_file\nimage01\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(brain.at("run-2_events.tsv"), utf16).unwrap();
    brain.refused(config(&brain), &["run-2_events.tsv", "UTF-16"]);
}
