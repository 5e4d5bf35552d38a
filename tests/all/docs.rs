//! The pages in `docs/` against the code: keys and defaults, flags, links, and the keys that runs
//! write.

use crate::program::{Program, help, photographs, tiny_model};
use orthoscope::io::npy;
use orthoscope::job;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn page(job: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(format!("{job}.md"))).unwrap()
}

/// The rows of the table under a heading, cell by cell.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page.split(&format!("\n## {heading}\n")).nth(1).expect("the heading is there");
    let section = section.split("\n## ").next().unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect::<Vec<_>>();
    section.lines().filter(|l| l.starts_with("| `")).map(cells).collect()
}

/// What stands between the first two backticks.
fn quoted(cell: &str) -> String {
    cell.split('`').nth(1).unwrap_or_default().to_owned()
}

fn flatten(key: &str, value: &Value, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            flatten(&key, value, out);
        }),
        other => drop(out.insert(key.to_owned(), other.clone())),
    }
}

/// Keys and defaults of a job's page.
fn documented(job: &str) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for row in table(&page(job), "Configuration") {
        let (key, text) = (quoted(&row[0]), quoted(&row[2]));
        let value = match text.as_str() {
            "none" => Value::Null,
            text => {
                let parsed: Map<String, Value> = toml::from_str(&format!("value = {text}")).expect("a TOML value");
                parsed["value"].clone()
            }
        };
        flatten(&key, &value, &mut out);
    }
    out
}

/// Keys and defaults of a job's configuration.
fn defaults(job: &job::Entry) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    flatten("", &(job.defaults)(), &mut out);
    if cfg!(any(feature = "cuda", feature = "wgpu")) && out.contains_key("machine.device") {
        out.insert("machine.device".into(), "cpu".into());
    }
    out
}

/// Every job with a page of its own.
fn jobs() -> impl Iterator<Item = &'static job::Entry> {
    job::JOBS.iter().filter(|job| job.name == job.command)
}

#[test]
fn pages_list_every_key_with_its_default() {
    for job in jobs() {
        let (page, code) = (documented(job.name), defaults(job));
        for (key, value) in &code {
            assert_eq!(page.get(key), Some(value), "docs/{}.md, `{key}`: the page's default and the code's", job.name);
        }
        // A switch may be absent from configurations while it is off: its flag knows the key.
        let mut flags = BTreeMap::new();
        flatten("", &(job.flags.keys)(), &mut flags);
        let off = |key: &String| flags.contains_key(key) && page[key] == Value::Bool(false);
        let more: Vec<&String> = page.keys().filter(|key| !code.contains_key(*key) && !off(key)).collect();
        assert!(more.is_empty(), "docs/{}.md lists keys that there are not: {more:?}", job.name);
    }
}

/// Every `--flag` of a text, in order.
fn flags(text: &str) -> Vec<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>();
    text.split("--").skip(1).map(name).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase())).collect()
}

#[test]
fn pages_and_help_know_the_same_flags() {
    let common = flags(&page("runs"));
    for job in jobs().map(|job| job.name) {
        let page = page(job);
        // A flag's own line begins with it; descriptions are indented further.
        let own = |line: &&str| line.trim_start().starts_with('-') && line.find('-') < Some(8);
        let help: BTreeSet<String> =
            help(job).lines().filter(own).filter_map(|l| flags(l).into_iter().next()).collect();
        assert!(help.len() > 15, "{job}: {help:?}");
        let known: BTreeSet<String> = flags(&page).into_iter().chain(common.clone()).chain(["help".into()]).collect();
        let unknown: Vec<&String> = help.difference(&known).collect();
        assert!(unknown.is_empty(), "docs/{job}.md says nothing of {unknown:?}");
        let listed: BTreeSet<String> = table(&page, "Configuration").iter().flat_map(|row| flags(&row[1])).collect();
        let gone: Vec<&String> = listed.difference(&help).collect();
        assert!(gone.is_empty(), "docs/{job}.md lists flags that there are not: {gone:?}");
    }
}

/// Paths of all keys of a value, as the pages write them.
fn paths(at: &str, value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            out.insert(path.clone());
            paths(&path, value, out);
        }),
        Value::Array(all) => all.iter().for_each(|value| paths(&format!("{at}[]"), value, out)),
        _ => {}
    }
}

/// Whether a row of a page stands for a path, or for a key inside it; `<name>` stands for any key.
fn stands_for(row: &str, path: &str) -> bool {
    let (row, path): (Vec<&str>, Vec<&str>) = (row.split('.').collect(), path.split('.').collect());
    let same =
        |(last, (r, p)): (bool, (&&str, &&str))| r == p || *r == "<name>" || (last && r.strip_suffix("[]") == Some(*p));
    let at_end = |i: usize| i + 1 == path.len() && row.len() > path.len();
    row.len() >= path.len() && row.iter().zip(&path).enumerate().all(|(i, pair)| same((at_end(i), pair)))
}

/// Every key of a job's results has a row in its page. Tests of the jobs call this with what they
/// ran.
#[track_caller]
pub fn has_rows(job: &str, results: &Value) {
    let rows: Vec<String> = table(&page(job), "Results").iter().map(|row| quoted(&row[0])).collect();
    let mut found = BTreeSet::new();
    paths("", results, &mut found);
    assert!(found.len() > 2, "{results}");
    let missing: Vec<&String> = found.iter().filter(|path| !rows.iter().any(|row| stands_for(row, path))).collect();
    assert!(missing.is_empty(), "docs/{job}.md has no row for {missing:?}");
}

/// Every row of a job's page stands for a key of one of these results.
#[track_caller]
pub fn has_keys(job: &str, results: &[Value]) {
    let mut found = BTreeSet::new();
    results.iter().for_each(|value| paths("", value, &mut found));
    let rows = table(&page(job), "Results").into_iter().map(|row| quoted(&row[0]));
    let gone: Vec<String> =
        rows.filter(|row| !found.iter().any(|path| stands_for(row, path) && depth(row) == depth(path))).collect();
    assert!(gone.is_empty(), "docs/{job}.md lists what no run writes: {gone:?}");
}

fn depth(path: &str) -> usize {
    path.split('.').count()
}

#[test]
fn the_set_of_a_run_and_its_rdms_are_as_their_pages_say() {
    let dir = tempfile::tempdir().unwrap();
    let (model, photos) = (tiny_model(dir.path()), photographs(dir.path(), 4, 24));
    let (set, rdms) = (dir.path().join("set"), dir.path().join("rdms"));
    let run = Program::new("orthogonalize").arg("--model", &model).arg("--n-images", "4").arg("--steps", "3");
    let run = run.arg("--restarts", "2").arg("--baseline", &photos).arg("--out", &set).flag("--json");
    let results = run.run().expect_code(0).json();
    has_rows("orthogonalize", &results);
    has_keys("orthogonalize", &[results]);
    let run = Program::new("rdm").arg("--model", &model).arg("--images", set.join("images")).arg("--out", &rdms);
    let subjects = dir.path().join("subjects.npy");
    let values = |i: [usize; 2]| (1 + i[0] * 7 % 5 + i[1] * 5 % 7) as f64;
    npy::write(&subjects, &ndarray::Array2::from_shape_fn((4, 6), |(s, k)| values([s, k]))).unwrap();
    let run = run.arg("--compare", set.join("arrays/rdms.npz")).arg("--compare", subjects).arg("--bootstrap", "none");
    let results = run.arg("--n-permutations", "9").flag("--json").run().expect_code(0).json();
    has_rows("rdm", &results);
    has_keys("rdm", &[results]);
}

#[test]
fn rows_stand_for_keys() {
    assert!(stands_for("a[].<name>.b", "a[].x-1.b") && stands_for("a[].<name>.b", "a[].x-1"));
    assert!(stands_for("a[].b", "a") && !stands_for("a.b", "a.b.c") && !stands_for("a.b", "a.c"));
    let mut found = BTreeSet::new();
    paths("", &serde_json::json!({ "a": [{ "b": 1 }], "c": { "d": [[1]] } }), &mut found);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "a[].b", "c", "c.d"]);
}

/// Targets of the Markdown links of a text that are files.
fn links(text: &str) -> Vec<String> {
    let target = |rest: &str| rest.split([')', ' ', '#']).next().unwrap_or_default().to_owned();
    let all = text.split("](").skip(1).map(target);
    all.filter(|link| !link.is_empty() && !link.contains("://")).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md"), root().join("ARCHITECTURE.md")];
    for folder in ["docs", "experiments", "benches", "models"] {
        collect(&root().join(folder), &mut pages);
    }
    assert!(pages.len() > 15, "{pages:?}");
    let mut n = 0;
    for page in pages {
        for link in links(&std::fs::read_to_string(&page).unwrap()) {
            assert!(page.with_file_name(&link).exists(), "{}: `{link}` leads nowhere", page.display());
            n += 1;
        }
    }
    assert!(n > 40, "{n} links");
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|e| e == "md") {
            pages.push(path);
        }
    }
}
