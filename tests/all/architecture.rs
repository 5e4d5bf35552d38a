//! Imports go down only, jobs do not know each other, and neither do the sciences beside each
//! other: every path in `src/` that begins with `crate::`, `super::` or `self::` is read.

mod paths;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Floor of each top-level module.
const FLOORS: [(&str, u8); 24] = [
    ("error", 0),
    ("warning", 0),
    ("rng", 0),
    ("size", 0),
    ("cancel", 0),
    ("progress", 0),
    ("data", 1),
    ("math", 1),
    ("tensor", 1),
    ("io", 2),
    ("stats", 2),
    ("network", 3),
    ("image", 3),
    ("rdm", 3),
    ("synthesis", 4),
    ("objective", 4),
    ("mapping", 4),
    ("encoding", 4),
    ("training", 4),
    ("compression", 4),
    ("job", 5),
    ("report", 5),
    ("cli", 6),
    ("lib", 7),
];

/// Uses of a name at the crate's root that are not modules.
const ROOT_NAMES: [&str; 3] = ["Error", "Result", "Warning"];

/// What stands beside each other: none imports another.
const BESIDE: [&str; 3] = ["mapping", "encoding", "compression"];

/// A source file: its module and the paths in it, both from the crate's root.
struct Source {
    file: PathBuf,
    module: paths::Path,
    imports: Vec<paths::Path>,
    /// Whether it declares the configuration of a job.
    configures: bool,
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// All files of the library.
fn read() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30, "the sources were found");
    files.retain(|f| *f != root.join("main.rs"));
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|f| (f.strip_prefix(&root).unwrap().to_path_buf(), std::fs::read_to_string(&f).unwrap()))
        .collect();
    let mut renamed = BTreeMap::new();
    for (file, text) in &texts {
        for (other, name) in paths::renamed(text) {
            let module = paths::module_of(file).into_iter().chain([name]).collect::<Vec<_>>();
            renamed.insert(file.with_file_name(other), module);
        }
    }
    texts
        .into_iter()
        .map(|(file, text)| {
            let module = renamed.get(&file).cloned().unwrap_or_else(|| paths::module_of(&file));
            let configures = text.contains("\npub struct Config {");
            Source { imports: paths::paths(&text, &module), file, module, configures }
        })
        .collect()
}

/// The paths of each file that `wrong` finds something wrong with.
fn refuse(wrong: impl Fn(&Source, &paths::Path) -> Option<String>) {
    let mut found = Vec::new();
    for source in read() {
        for path in &source.imports {
            if let Some(why) = wrong(&source, path) {
                found.push(format!("{}: {} {why}", source.file.display(), path.join("::")));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn imports_go_down_only() {
    refuse(|source, path| {
        let own = source.module.first().map_or("lib", String::as_str);
        let own = floor(own).unwrap_or_else(|| panic!("{own}: a module without a floor; add it to the table"));
        let name = path.first().filter(|name| !ROOT_NAMES.contains(&name.as_str()))?;
        match floor(name) {
            Some(theirs) if theirs <= own => None,
            Some(_) => Some("is a floor above".into()),
            None => Some("has no floor".into()),
        }
    });
}

#[test]
fn what_stands_side_by_side_is_apart() {
    let beside = |path: &paths::Path| BESIDE.iter().find(|name| path.first().is_some_and(|p| p == **name));
    refuse(|source, path| match (beside(&source.module), beside(path)) {
        (Some(own), Some(theirs)) if own != theirs => Some(format!("is beside {own}")),
        _ => None,
    });
}

/// A job is a module below `job` that declares a `Config`.
#[test]
fn jobs_do_not_import_each_other() {
    let below = |path: &paths::Path| path.get(1).filter(|_| path[0] == "job").cloned();
    let jobs: Vec<String> = read().iter().filter(|s| s.configures).filter_map(|s| below(&s.module)).collect();
    for known in ["adversarial", "group", "map", "maximize", "orthogonalize", "rdm"] {
        assert!(jobs.iter().any(|job| job == known), "{known} is not among {jobs:?}");
    }
    let shared = |source: &Source| source.module.len() > 2 || source.file.ends_with("mod.rs");
    refuse(|source, path| {
        let (own, theirs) = (below(&source.module)?, below(path)?);
        let another = theirs != own && jobs.contains(&theirs);
        (another && (jobs.contains(&own) || shared(source))).then(|| format!("is another job than {own}"))
    });
}

/// Files that a user names are opened in one place, so that a run knows what it read. The others
/// read what the program itself wrote into a run directory, or what the system says.
#[test]
fn files_are_opened_in_one_place() {
    let own = ["io/source.rs", "io/atomic.rs", "job/manifest.rs", "job/run_dir/mod.rs", "job/run_dir/lock.rs"];
    let others = ["job/machine.rs", "report/html.rs", "report/run.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in files {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        // `TensorFile::open` and its like read through `io::source`.
        let plain = |(at, _): (usize, &str)| !code[..at].ends_with(|c: char| c.is_alphanumeric());
        let opens = ["fs::read(", "fs::read_to_string("].iter().any(|call| code.contains(call))
            || code.match_indices("File::open(").any(plain);
        let tests = name.ends_with("tests.rs");
        assert!(!opens || tests || own.iter().chain(&others).any(|known| *known == name), "{name} opens files itself");
    }
}
