//! Model directories: `card.toml` describes the network, `weights.safetensors` holds its numbers.
//!
//! | key of the card | what it is |
//! |---|---|
//! | `schema` | 1 |
//! | `name`, `description`, `source`, `licence` | text |
//! | `[weights]` | `file`, a name in the same folder, and `blake3`, its hash |
//! | `[input]` | an [`InputSpec`]: size, channel order, range, mean, std |
//! | `[[node]]` | `name`, `inputs` (names; the images are `data`) and `op` (an [`Op`]), in execution order |
//! | `[aliases]`, `[presets]` | other names of taps; named lists of taps |
//! | `[golden]` | activations that `models check` compares with (optional) |
//! | `[training]`, `[accuracy]` | anything (optional) |

use super::graph::{Graph, GraphBuilder, Weights};
use super::input::InputSpec;
use super::op::Op;
use super::probe::Golden;
use crate::data::shown;
use crate::error::{Error, Result};
use crate::io::source;
use crate::io::weights::{self, Storage};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// The card's file name in a model directory.
pub const CARD: &str = "card.toml";
/// The weights' usual file name.
pub const WEIGHTS: &str = "weights.safetensors";
/// The model directory in a run directory of a job that makes a network.
pub const OF_RUN: &str = "model";
const SCHEMA: u32 = 1;

/// A model card; see the module's table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    pub schema: u32,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub licence: String,
    pub weights: WeightsFile,
    pub input: InputSpec,
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    #[serde(default)]
    pub presets: BTreeMap<String, Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<toml::Table>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<toml::Table>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<Golden>,
    #[serde(rename = "node", default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<CardNode>,
}

/// Where the weights are, and which they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightsFile {
    pub file: String,
    /// Hash of the file, hexadecimal.
    pub blake3: String,
}

/// One operation; inputs by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardNode {
    pub name: String,
    pub inputs: Vec<String>,
    pub op: Op,
}

/// What a person says about a network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct About {
    pub description: String,
    pub source: String,
    pub licence: String,
    pub training: Option<toml::Table>,
    pub accuracy: Option<toml::Table>,
    pub golden: Option<Golden>,
}

impl Card {
    /// Describes a graph; the weights' hash is filled in by [`write()`].
    pub fn of(graph: &Graph, about: &About) -> Self {
        let node = |n: &super::graph::Node| CardNode {
            name: n.name.clone(),
            inputs: n.inputs.iter().map(|&i| graph.node(i).name.clone()).collect(),
            op: n.op.clone(),
        };
        Self {
            schema: SCHEMA,
            name: graph.name.clone(),
            description: about.description.clone(),
            source: about.source.clone(),
            licence: about.licence.clone(),
            weights: WeightsFile { file: WEIGHTS.into(), blake3: String::new() },
            input: graph.input.clone(),
            aliases: graph.aliases.clone(),
            presets: graph.presets.clone(),
            training: about.training.clone(),
            accuracy: about.accuracy.clone(),
            golden: about.golden.clone(),
            nodes: graph.nodes()[1..].iter().map(node).collect(),
        }
    }

    /// What a person said about the network.
    pub fn about(&self) -> About {
        About {
            description: self.description.clone(),
            source: self.source.clone(),
            licence: self.licence.clone(),
            training: self.training.clone(),
            accuracy: self.accuracy.clone(),
            golden: self.golden.clone(),
        }
    }

    /// Reads a card; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the line that does not fit.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let card: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let place = line.map_or_else(String::new, |n| format!(" in line {n}"));
            Error::corrupt(path, "a model card", format!("{}{place}", shown::line(e.message())), "correct the card")
        })?;
        if card.schema != SCHEMA {
            let found = format!("schema {}", card.schema);
            return Err(Error::corrupt(path, format!("schema {SCHEMA}"), found, "use the version that wrote the card"));
        }
        Ok(card)
    }

    /// The card as TOML: the tables first, then one short block per node.
    pub fn to_toml(&self) -> String {
        let head = Self { nodes: vec![], ..self.clone() };
        let mut text = toml::to_string(&head).expect("a card holds nothing that TOML lacks");
        for node in &self.nodes {
            let field = |key: &str, value: String| format!("{key} = {value}\n");
            text += "\n[[node]]\n";
            text += &field("name", inline(&node.name));
            text += &field("inputs", inline(&node.inputs));
            text += &field("op", inline(&node.op));
        }
        text
    }

    /// The graph that the card describes, with these weights; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for an unknown input; [`Error::Invalid`] when shapes do not fit.
    pub fn graph(&self, weights: Weights, path: &Path) -> Result<Graph> {
        let mut builder = GraphBuilder::new(&self.name, self.input.clone(), weights)?;
        let mut ids = HashMap::from([("data", 0)]);
        for node in &self.nodes {
            let find = |name: &String| {
                ids.get(name.as_str()).copied().ok_or_else(|| {
                    let expected = format!("inputs of `{}` that come before it", node.name);
                    Error::corrupt(
                        path,
                        expected,
                        format!("`{name}`"),
                        "order the nodes as they run, or correct the name",
                    )
                })
            };
            let inputs = node.inputs.iter().map(find).collect::<Result<Vec<_>>>()?;
            ids.insert(&node.name, builder.push(&node.name, node.op.clone(), &inputs)?);
        }
        self.aliases.iter().for_each(|(alias, name)| builder.alias(alias, name));
        self.presets.iter().for_each(|(preset, taps)| builder.preset(preset, taps.clone()));
        builder.finish()
    }
}

/// A value on one line.
fn inline(value: &impl Serialize) -> String {
    let mut text = String::new();
    value.serialize(toml::ser::ValueSerializer::new(&mut text)).expect("names and operations are TOML values");
    text
}

/// Reads a model directory.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for a bad card, damaged weights, or weights that are not the
/// card's: both hashes are named; [`Error::Invalid`] for weights that no node reads.
pub fn read(dir: &Path) -> Result<(Graph, Card)> {
    let path = dir.join(CARD);
    let card = Card::parse(&source::text(&path)?, &path)?;
    let plain = Path::new(&card.weights.file).components().all(|c| matches!(c, std::path::Component::Normal(_)));
    if !plain || card.weights.file.is_empty() {
        let found = format!("`{}`", card.weights.file);
        return Err(Error::corrupt(&path, "weights in the card's own folder", found, "correct [weights] file"));
    }
    let file = dir.join(&card.weights.file);
    let bytes = source::read(&file)?;
    let graph = assemble(&card, &bytes, &path, &file)?;
    Ok((graph, card))
}

/// A graph from a card and the bytes of its weights; the paths are for messages.
///
/// # Errors
/// As [`read`].
pub fn assemble(card: &Card, bytes: &[u8], path: &Path, file: &Path) -> Result<Graph> {
    // Damage first: a truncated file should be called that, not another file.
    let (weights, _) = weights::decode(bytes, file)?;
    let hash = blake3::hash(bytes).to_hex().to_string();
    if hash != card.weights.blake3 {
        return Err(Error::corrupt(
            file,
            format!("the weights with blake3 {} that {} names", card.weights.blake3, path.display()),
            format!("blake3 {hash}"),
            "the weights belong to another card or were changed: import the network again",
        ));
    }
    let graph = card.graph(weights, path)?;
    let used: BTreeSet<&str> = graph.nodes().iter().flat_map(|n| n.op.weights()).collect();
    let left: Vec<&str> = graph.weights().keys().map(String::as_str).filter(|name| !used.contains(name)).collect();
    if left.is_empty() {
        return Ok(graph);
    }
    let more = if left.len() > 3 { format!(" and {} more", left.len() - 3) } else { String::new() };
    Err(Error::invalid(
        file.display().to_string(),
        format!("the weights that the nodes of {} read, and no others", path.display()),
        format!("`{}`{more} beside them", left[..left.len().min(3)].join("`, `")),
        "add the nodes that read them to the card, or store the file without them",
    ))
}

/// Writes a model directory; it appears under its name complete or not at all.
///
/// # Errors
/// [`Error::RunDir`] when `dir` exists and `force` is off; [`Error::Io`].
pub fn write(dir: &Path, graph: &Graph, about: &About, storage: Storage, force: bool) -> Result<Card> {
    if dir.exists() && !force {
        return Err(Error::RunDir {
            path: dir.to_path_buf(),
            expected: "a new model directory".into(),
            found: "one that exists".into(),
            hint: "choose another `name`, or overwrite it with `force`".into(),
        });
    }
    let bytes = encoded(graph, storage)?;
    let mut card = Card::of(graph, about);
    card.weights.blake3 = blake3::hash(&bytes).to_hex().to_string();
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
    let temporary =
        tempfile::Builder::new().prefix(".orthoscope-").tempdir_in(parent).map_err(Error::io(dir, "write"))?;
    crate::io::atomic::write(&temporary.path().join(WEIGHTS), &bytes)?;
    crate::io::atomic::write(&temporary.path().join(CARD), card.to_toml().as_bytes())?;
    replace(temporary, dir)?;
    Ok(card)
}

/// The bytes of a model directory's weights: those that the nodes read.
///
/// # Errors
/// [`Error::Invalid`] for a number that the storage cannot hold.
pub fn encoded(graph: &Graph, storage: Storage) -> Result<Vec<u8>> {
    let used: BTreeSet<&str> = graph.nodes().iter().flat_map(|n| n.op.weights()).collect();
    let arrays: Weights = graph
        .weights()
        .iter()
        .filter(|(n, _)| used.contains(n.as_str()))
        .map(|(n, a)| (n.clone(), a.clone()))
        .collect();
    weights::encode(&arrays, &BTreeMap::from([("model".into(), graph.name.clone())]), storage)
}

/// Puts a finished folder in the place of `dir`.
fn replace(temporary: tempfile::TempDir, dir: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(temporary.path(), std::fs::Permissions::from_mode(0o755)).ok();
    }
    if dir.is_dir() {
        // A folder cannot be renamed over another: the files move one by one, weights first, each
        // atomically.
        for name in [WEIGHTS, CARD] {
            std::fs::rename(temporary.path().join(name), dir.join(name)).map_err(Error::io(dir, "write"))?;
        }
        return Ok(());
    }
    let made = temporary.keep();
    std::fs::rename(&made, dir).map_err(|e| {
        std::fs::remove_dir_all(&made).ok();
        Error::io(dir, "write")(e)
    })
}
