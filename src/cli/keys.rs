//! Which flag stands for which key of the configuration: default values in help, and flags in
//! errors.

use crate::error::Error;
use crate::job::Entry;
use clap::Command;
use serde_json::Value;

/// A flag and its key.
pub struct Key {
    /// Clap's name of the flag.
    id: String,
    /// `--min-sd`
    flag: String,
    /// `objective.min_sd`
    path: String,
}

/// All of a job, in the order of its flags.
pub fn keys(entry: &Entry) -> Vec<Key> {
    let mut paths = Vec::new();
    leaves("", &(entry.flags.keys)(), &mut paths);
    let command = (entry.flags.augment)(Command::new(entry.name));
    command
        .get_arguments()
        .zip(paths)
        .map(|(arg, path)| Key {
            id: arg.get_id().to_string(),
            flag: arg.get_long().map_or_else(|| path.clone(), |long| format!("--{long}")),
            path,
        })
        .collect()
}

fn leaves(at: &str, value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                leaves(&path, value, out);
            }
        }
        _ => out.push(at.to_owned()),
    }
}

/// Says in the help of every flag what its key is by default, where the help does not say it in
/// words.
pub fn with_defaults(command: Command, entry: &Entry) -> Command {
    let defaults = (entry.defaults)();
    keys(entry).into_iter().fold(command, |command, key| {
        let pointer = format!("/{}", key.path.replace('.', "/"));
        let Some(text) = defaults.pointer(&pointer).and_then(literal) else { return command };
        command.mut_arg(key.id, |arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            if help.contains("[default") { arg } else { arg.help(format!("{help} [default: {text}]")) }
        })
    })
}

/// A default as it would be typed; nothing for what is off, absent or empty.
fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Number(n) => Some(n.as_f64().filter(|_| n.is_f64()).map_or_else(|| n.to_string(), |v| v.to_string())),
        Value::String(s) if !s.is_empty() => Some(s.clone()),
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(literal).collect::<Option<Vec<_>>>().map(|all| all.join(","))
        }
        _ => None,
    }
}

/// Flags that every run has, by what the library calls them.
const OF_EVERY_RUN: [&str; 4] = ["out", "resume", "force", "threads"];

/// An error of a job whose keys are named by the flags that set them. The layers below a job know
/// only the last part of a key.
pub fn in_flags(entry: &Entry, error: Error) -> Error {
    let keys = keys(entry);
    let last = |key: &Key| key.path.rsplit('.').next().unwrap_or_default().to_owned();
    translated(error, |name| {
        let exact = keys.iter().find(|key| key.path == name);
        let mut ending = keys.iter().filter(|key| last(key) == name);
        let found = exact.or_else(|| ending.next().filter(|_| ending.next().is_none()));
        found.map(|key| key.flag.clone()).or_else(|| of_every_run(name))
    })
}

/// An error of something else than a job from its flags: keys stay, `others` and the flags of every
/// run are named.
pub fn in_common_flags(error: Error, others: &[&str]) -> Error {
    let own = |name: &str| others.contains(&name).then(|| format!("--{}", name.replace('_', "-")));
    translated(error, |name| own(name).or_else(|| of_every_run(name)))
}

fn of_every_run(name: &str) -> Option<String> {
    OF_EVERY_RUN.contains(&name).then(|| format!("--{name}"))
}

fn translated(error: Error, flag: impl Fn(&str) -> Option<String>) -> Error {
    let words = |text: &str| quoted(text, &flag);
    match error {
        Error::Invalid { at, expected, found, hint } => Error::Invalid {
            at: listed(&at, ", ", &flag),
            expected: words(&expected),
            found: listed(&found, " and ", &flag),
            hint: words(&hint),
        },
        Error::Corrupt { path, expected, found, hint } => Error::Corrupt { path, expected, found, hint: words(&hint) },
        Error::RunDir { path, expected, found, hint } => Error::RunDir { path, expected, found, hint: words(&hint) },
        Error::UnsupportedOp { file, node, op, hint } => Error::UnsupportedOp { file, node, op, hint: words(&hint) },
        other => other,
    }
}

/// Those of a list that are keys become flags.
fn listed(text: &str, separator: &str, flag: impl Fn(&str) -> Option<String>) -> String {
    text.split(separator).map(|one| flag(one).unwrap_or_else(|| one.into())).collect::<Vec<_>>().join(separator)
}

/// Keys between backticks become flags.
fn quoted(text: &str, flag: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    for (i, part) in text.split('`').enumerate() {
        match (i % 2 == 1).then(|| flag(part)).flatten() {
            Some(flag) => out.push_str(&flag),
            None if i % 2 == 1 => out.push_str(&format!("`{part}`")),
            None => out.push_str(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JOBS;

    #[test]
    fn every_flag_is_a_key_of_its_configuration() {
        for entry in &JOBS {
            let mut paths = Vec::new();
            leaves("", &(entry.flags.keys)(), &mut paths);
            let flags = (entry.flags.augment)(Command::new(entry.name));
            assert_eq!(flags.get_arguments().count(), paths.len(), "{}", entry.name);
            for key in keys(entry) {
                let last = key.path.rsplit('.').next().unwrap_or_default();
                assert!(key.id == last || key.id == key.path, "{}: {} is not {}", entry.name, key.id, key.path);
            }
        }
    }

    #[test]
    fn help_and_errors_speak_of_flags() {
        let entry = &JOBS[0];
        let help = with_defaults((entry.flags.augment)(Command::new("x")), entry).render_help().to_string();
        assert!(help.contains("Images in the set [default: 16]"), "{help}");
        assert!(!help.contains("true"), "switches take no values");
        let error = Error::invalid("objective.min_sd, steps", "`restarts`", "`taps`", "see `nothing` and `image.grey`");
        let Error::Invalid { at, expected, found, hint } = in_flags(entry, error) else { panic!() };
        assert_eq!(
            [at, expected, found, hint],
            ["--min-sd, --steps", "--restarts", "`taps`", "see `nothing` and --grey"]
        );
    }
}
