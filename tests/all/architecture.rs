//! Imports go down only: every `crate::` path in `src/` is read.

use std::path::{Path, PathBuf};

/// Floor of each top-level module.
const FLOORS: [(&str, u8); 19] = [
    ("error", 0),
    ("warning", 0),
    ("rng", 0),
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
    ("training", 4),
    ("job", 5),
    ("report", 5),
    ("cli", 6),
    ("lib", 7),
];

/// Uses of a name at the crate's root that are not modules.
const ROOT_NAMES: [&str; 3] = ["Error", "Result", "Warning"];

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

/// Names that follow `crate::` in a file, with grouped imports (`crate::{a, b::c}`) opened.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let group = match rest.strip_prefix('{') {
            Some(inner) => inner.split('}').next().unwrap_or(""),
            None => rest,
        };
        let items: Vec<&str> = if rest.starts_with('{') { group.split(',').collect() } else { vec![group] };
        for item in items {
            let name: String = item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() {
                names.push(name);
            }
        }
    }
    names
}

#[test]
fn imports_go_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30, "the sources were found");
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        if first == "main" {
            continue;
        }
        let own = floor(&first).unwrap_or_else(|| panic!("{first}: a module without a floor; add it to the table"));
        for name in imports(&std::fs::read_to_string(&file).unwrap()) {
            if ROOT_NAMES.contains(&name.as_str()) {
                continue;
            }
            match floor(&name) {
                Some(theirs) if theirs <= own => {}
                Some(_) => wrong.push(format!("{}: uses crate::{name}, a floor above", relative.display())),
                None => wrong.push(format!("{}: crate::{name} has no floor", relative.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imports_are_read_from_groups_and_paths() {
    let text = "use crate::error::Result;\n// crate::cli is only named\nuse crate::{io::npy, math};\nlet x = crate::rng::stream;";
    assert_eq!(imports(text), ["error", "io", "math", "rng"]);
}
