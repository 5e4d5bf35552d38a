//! Paths in the text of a source file, from the crate's root: `super::` and `self::` resolved,
//! groups opened.

/// A module or an item by its names from the crate's root: `crate::io::npy` is `[io, npy]`.
pub type Path = Vec<String>;

/// The module that a file below `src/` holds.
pub fn module_of(relative: &std::path::Path) -> Path {
    let names = relative.with_extension("");
    let mut names: Path = names.iter().map(|n| n.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|n| n == "mod" || n == "lib") {
        names.pop();
    }
    names
}

/// Every path of a file that begins with `crate`, `super` or `self`, in order; `module` is the one
/// that it holds.
///
/// Comments and strings are left out, and a `super::` in a module within the file is that module's.
pub fn paths(text: &str, module: &[String]) -> Vec<Path> {
    let tokens = tokens(text);
    let at = |i: usize| tokens.get(i).map_or("", String::as_str);
    let (mut found, mut scope, mut depth, mut i) = (Vec::new(), Vec::<(usize, String)>::new(), 0usize, 0);
    while i < tokens.len() {
        match at(i) {
            "mod" if at(i + 2) == "{" => {
                scope.push((depth, at(i + 1).to_owned()));
                (depth, i) = (depth + 1, i + 3);
                continue;
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                scope.pop_if(|(outside, _)| *outside == depth);
            }
            "crate" | "super" | "self" if at(i + 1) == "::" && (i == 0 || at(i - 1) != "::") => {
                let mut written = Vec::new();
                i = open(&tokens, i, Vec::new(), &mut written);
                let here: Path = module.iter().cloned().chain(scope.iter().map(|(_, name)| name.clone())).collect();
                found.extend(written.iter().map(|path| resolve(path, &here)));
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// Files that a file takes in as modules of another name (`#[path = "x_tests.rs"] mod tests;`):
/// file and name.
pub fn renamed(text: &str) -> Vec<(String, String)> {
    let tokens = tokens(text);
    let of = |w: &[String]| {
        let names: Vec<&str> = w.iter().map(String::as_str).collect();
        match names[..] {
            ["path", "=", file, "]", "mod", name, ";"] => Some((file.trim_matches('"').to_owned(), name.to_owned())),
            _ => None,
        }
    };
    tokens.windows(7).filter_map(of).collect()
}

/// Reads one path from token `i` on, its groups opened; the token after it.
fn open(tokens: &[String], mut i: usize, mut path: Path, out: &mut Vec<Path>) -> usize {
    let at = |i: usize| tokens.get(i).map_or("", String::as_str);
    loop {
        match at(i) {
            "{" => {
                i += 1;
                while !["}", ""].contains(&at(i)) {
                    i = open(tokens, i, path.clone(), out);
                    while ![",", "}", ""].contains(&at(i)) {
                        i += 1;
                    }
                    i += usize::from(at(i) == ",");
                }
                return i + 1;
            }
            name if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => path.push(name.to_owned()),
            _ => {
                // A glob, or the generic arguments of a call.
                out.push(path);
                return i;
            }
        }
        if at(i + 1) != "::" {
            out.push(path);
            return i + 1;
        }
        i += 2;
    }
}

fn resolve(path: &[String], module: &[String]) -> Path {
    let mut absolute = if path[0] == "crate" { Vec::new() } else { module.to_vec() };
    for name in path {
        match name.as_str() {
            "crate" | "self" => {}
            "super" => {
                absolute.pop().expect("the crate's root has nothing above it");
            }
            _ => absolute.push(name.clone()),
        }
    }
    absolute
}

/// Names, `::`, strings (with their first quote) and single signs.
fn tokens(text: &str) -> Vec<String> {
    let c: Vec<char> = text.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let word = |from: usize| (from..c.len()).find(|&i| !(c[i].is_alphanumeric() || c[i] == '_')).unwrap_or(c.len());
    let (mut out, mut i) = (Vec::new(), 0);
    while i < c.len() {
        let next = match (c[i], at(i + 1)) {
            ('/', '/') => (i..c.len()).find(|&j| c[j] == '\n').unwrap_or(c.len()),
            ('r', '"' | '#') if hashes(&c, i + 1).is_some() => {
                let n = hashes(&c, i + 1).unwrap_or(0);
                let end = |&j: &usize| c[j] == '"' && (1..=n).all(|k| at(j + k) == '#');
                (i + n + 2..c.len()).find(end).map_or(c.len(), |j| j + n + 1)
            }
            ('"', _) => {
                let mut j = i + 1;
                while j < c.len() && c[j] != '"' {
                    j += if c[j] == '\\' { 2 } else { 1 };
                }
                out.push(c[i..j.min(c.len())].iter().collect());
                j + 1
            }
            // A character, not a lifetime.
            ('\'', '\\') => (i + 3..c.len()).find(|&j| c[j] == '\'').map_or(c.len(), |j| j + 1),
            ('\'', _) if at(i + 2) == '\'' => i + 3,
            (':', ':') => {
                out.push("::".into());
                i + 2
            }
            (a, _) if a.is_alphabetic() || a == '_' => {
                out.push(c[i..word(i)].iter().collect());
                word(i)
            }
            (a, _) => {
                out.extend((!a.is_whitespace()).then(|| a.to_string()));
                i + 1
            }
        };
        i = next;
    }
    out
}

/// How many `#` stand before the quote of a raw string; `None` where there is no such string.
fn hashes(c: &[char], from: usize) -> Option<usize> {
    let n = c[from..].iter().take_while(|c| **c == '#').count();
    (c.get(from + n) == Some(&'"')).then_some(n)
}

mod tests {
    use super::*;

    fn of(text: &str, module: &str) -> Vec<String> {
        let module: Path = module.split("::").map(String::from).collect();
        paths(text, &module).iter().map(|p| p.join("::")).collect()
    }

    #[test]
    fn groups_are_opened() {
        let text = "use crate::error::Result;\nuse crate::{io::{npy, nifti::{self, Header as H}}, math};\n\
                    use super::*;\nlet x = crate::rng::stream::<f64>(1);";
        let expected = ["error::Result", "io::npy", "io::nifti", "io::nifti::Header", "math", "job", "rng::stream"];
        assert_eq!(of(text, "job::map"), expected);
    }

    #[test]
    fn super_is_the_module_above_also_within_a_file() {
        let text = "use super::config::{Config, Shard};\nuse super::super::group::Config as Other;\n\
                    fn f() { super::plan::new(); }\n\
                    mod tests { use super::*; use super::super::parts; mod deep { use super::super::x; } fn g() {} }\n\
                    pub(super) fn h() { self::inner::go() }";
        let expected = [
            "job::map::config::Config",
            "job::map::config::Shard",
            "job::group::Config",
            "job::map::plan::new",
            "job::map::run",
            "job::map::parts",
            "job::map::run::x",
            "job::map::run::inner::go",
        ];
        assert_eq!(of(text, "job::map::run"), expected);
    }

    #[test]
    fn comments_strings_and_lifetimes_are_no_paths() {
        let text = "// crate::cli\n/// [`crate::cli`]\nlet s: &'static str = \"crate::cli // \\\" {\";\n\
                    let r = r#\"super::x \"{\"#; let q = '\"'; let b = '{';\n\
                    use super::io;";
        assert_eq!(of(text, "data"), ["io"]);
    }

    #[test]
    fn files_know_their_modules() {
        let of = |p: &str| module_of(std::path::Path::new(p)).join("::");
        assert_eq!([of("job/map/mod.rs"), of("job/rdm.rs"), of("lib.rs")], ["job::map", "job::rdm", ""]);
        let text = "#[cfg(test)]\n#[path = \"null_tests.rs\"]\nmod tests;";
        assert_eq!(renamed(text), [("null_tests.rs".to_owned(), "tests".to_owned())]);
    }
}
