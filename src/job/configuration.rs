//! Configurations: defaults < file < flags, merged key by key as TOML tables.

use crate::data::shown;
use crate::error::{Error, Result};
use crate::io::source;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

/// A configuration file: its text and what it is called in errors.
#[derive(Debug, Clone)]
pub struct File {
    text: String,
    at: String,
    table: Table,
}

impl File {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// As [`source::text`]; [`Error::Invalid`] with TOML's own line and column.
    pub fn read(path: &Path) -> Result<Self> {
        let text = source::text(path)?;
        let at = path.display().to_string();
        let table = toml::from_str(&text).map_err(|e| wrong(&at, &e))?;
        Ok(Self { text, at, table })
    }

    /// The job that it is of.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file that names none.
    pub fn command(&self) -> Result<&str> {
        let hint = "write `command = \"orthogonalize\"` into it";
        let found = self.table.get("command").map_or_else(|| "none".into(), ToString::to_string);
        let named = self.table.get("command").and_then(Value::as_str);
        named.ok_or_else(|| Error::invalid(&self.at, "a `command`", found, hint))
    }

    /// What it is called in errors.
    pub fn at(&self) -> &str {
        &self.at
    }
}

/// What a user gave: a file, and what overrides it.
#[derive(Debug, Clone, Default)]
pub struct Given {
    pub file: Option<File>,
    /// A partial configuration, nested as the file is.
    pub over: Table,
}

impl Given {
    /// The configuration: what is given over what `C` has by default.
    ///
    /// `settle` may write out what file or flags, each by itself, say in short.
    ///
    /// # Errors
    /// [`Error::Invalid`] for keys that `C` does not have, values that it does not take, or the
    /// configuration of another job than `command`.
    pub fn resolve<C: DeserializeOwned>(self, command: &str, settle: impl Fn(&mut Table) -> Result<()>) -> Result<C> {
        let at = self.file.as_ref().map_or("configuration", |file| &file.at).to_owned();
        let mut table = self.file.as_ref().map(|file| file.table.clone()).unwrap_or_default();
        let mut over = self.over;
        settle(&mut table)?;
        settle(&mut over)?;
        merge(&mut table, over);
        if let Some(other) = table.get("command").filter(|c| c.as_str() != Some(command)) {
            let hint = "`orthoscope run FILE` runs any job from its file";
            return Err(Error::invalid(at, format!("command = \"{command}\""), format!("command = {other}"), hint));
        }
        table.try_into().map_err(|e| {
            // The file by itself knows its lines.
            let alone = self.file.as_ref().and_then(|file| toml::from_str::<C>(&file.text).err());
            wrong(&at, &alone.unwrap_or(e))
        })
    }
}

fn wrong(at: &str, error: &toml::de::Error) -> Error {
    let hint = "DIR/config.toml of any run is a complete example";
    Error::invalid(at, "a configuration of this program", shown::toml(&error.to_string()), hint)
}

/// Reads a TOML file of a given layout.
///
/// # Errors
/// As [`source::text`]; [`Error::Invalid`] with TOML's own line and column.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = source::text(path)?;
    toml::from_str(&text).map_err(|e| wrong(&path.display().to_string(), &e))
}

/// Lays a partial configuration over another.
pub fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// A partial configuration as a table: what is absent stays absent, and sections that say nothing
/// with it.
///
/// # Errors
/// [`Error::Invalid`] for values that TOML cannot hold, such as names that are not UTF-8.
pub fn partial(values: &impl Serialize) -> Result<Table> {
    let mut table = Table::try_from(values).map_err(|e| {
        let hint = "a configuration is UTF-8 text: rename files and folders whose names are not, or link to them";
        Error::invalid("configuration", "values that it can hold", e.to_string(), hint)
    })?;
    prune(&mut table);
    Ok(table)
}

fn prune(table: &mut Table) {
    table.retain(|_, value| match value {
        Value::Table(inner) => {
            prune(inner);
            !inner.is_empty()
        }
        _ => true,
    });
}

/// The table at a key, made where it is absent; `None` where something else is there.
pub fn section<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Table> {
    table.entry(key).or_insert_with(|| Value::Table(Table::new())).as_table_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        command: String,
        steps: usize,
        image: Image,
    }

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Image {
        grey: bool,
        sd: f64,
    }

    impl Default for Config {
        fn default() -> Self {
            Self { command: "test".into(), steps: 7, image: Image::default() }
        }
    }

    fn file(text: &str) -> Option<File> {
        Some(File { text: text.into(), at: "own.toml".into(), table: toml::from_str(text).unwrap() })
    }

    fn resolve(text: &str, over: &str) -> Result<Config> {
        Given { file: file(text), over: toml::from_str(over).unwrap() }.resolve("test", |_| Ok(()))
    }

    #[test]
    fn flags_lie_over_the_file_and_the_file_over_the_defaults() {
        let found = resolve("steps = 3\n[image]\nsd = 0.5\n", "[image]\ngrey = true\n").unwrap();
        assert_eq!(found, Config { steps: 3, image: Image { grey: true, sd: 0.5 }, ..Config::default() });
        assert_eq!(resolve("", "[image]\n").unwrap(), Config::default());
        assert_eq!(resolve("[image]\nsd = 2\n", "").unwrap().image.sd, 2.0, "whole numbers are numbers");
    }

    /// A section with one key must not lose the defaults of its others.
    #[test]
    fn an_empty_section_is_its_defaults() {
        for entry in &crate::job::JOBS {
            let defaults = (entry.defaults)();
            for (key, value) in defaults.as_object().unwrap().iter().filter(|(_, v)| v.is_object()) {
                let mut over = Table::new();
                over.insert(key.clone(), Value::Table(Table::new()));
                let found = (entry.resolved)(Given { file: None, over }).unwrap();
                assert_eq!(found[key], *value, "{}: [{key}]", entry.name);
            }
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_is_shown_with_its_line() {
        let unknown = resolve("steps = 3\nsteeps = 4\n", "").unwrap_err().to_string();
        assert!(unknown.contains("own.toml") && unknown.contains("line 2") && unknown.contains("steeps"), "{unknown}");
        let other = resolve("command = \"map\"\n", "").unwrap_err().to_string();
        assert!(other.contains("command = \"test\"") && other.contains("map"), "{other}");
    }
}
