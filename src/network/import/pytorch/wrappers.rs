//! Where in a checkpoint the tensors of a network lie, and what wrappers put before their names.

use super::pickle::{Id, Item, Pickle};
use std::collections::{BTreeMap, HashSet};

/// Parts of a name that a wrapper adds, wherever it was put: data-parallel, compiled, sharded,
/// checkpointed modules.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// What a training program calls the network inside its own object: tensors of different ones are
/// different networks.
const HOLDERS: [&str; 14] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "state",
    "model",
    "net",
    "network",
    "backbone",
    "ema",
    "ema_model",
    "model_ema",
    "state_dict_ema",
    "student",
    "teacher",
];

/// Tensors of one dictionary that one network may have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    /// Where in the file, in words.
    pub at: String,
    /// The dictionary, and what holds the tensors in it.
    dictionary: Id,
    holders: String,
    /// Name without wrappers, name as written, item.
    pub tensors: Vec<(String, String, Id)>,
}

/// Names, as written, of the other tensors of a group's dictionary.
pub(super) fn beside(group: &Group, all: &[Group]) -> Vec<String> {
    let others = all.iter().filter(|g| g.dictionary == group.dictionary && g.holders != group.holders);
    let mut others: Vec<&Group> = others.collect();
    others.sort_by(|a, b| a.holders.cmp(&b.holders));
    others.into_iter().flat_map(|g| &g.tensors).map(|t| t.1.clone()).collect()
}

/// Bytes of names and places for a byte of the pickle, which may use one name many times.
const REPEATED: usize = 16;

/// A name without what wrappers and holders add, and the holders.
fn unwrapped(name: &str) -> (String, String) {
    let parts: Vec<&str> = name.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
    let holders = parts.iter().take(parts.len().saturating_sub(1)).take_while(|part| HOLDERS.contains(part)).count();
    (parts[holders..].join("."), parts[..holders].join("."))
}

/// All groups of tensors of a file, outermost first.
///
/// # Errors
/// In words: names that are repeated, or dictionaries in dictionaries, beyond what any program saves.
pub(super) fn groups(pickle: &Pickle) -> Result<Vec<Group>, String> {
    let mut found = Vec::new();
    let mut room = REPEATED * pickle.len + (1 << 20);
    let mut seen = HashSet::from([pickle.root]);
    let mut open = std::collections::VecDeque::from([(pickle.root, String::new())]);
    while let Some((id, at)) = open.pop_front() {
        // Numbers and words hold nothing: they are not even named.
        let is_tensor = |id: Id| matches!(pickle.items[id], Item::Tensor { .. });
        let holds = |id: Id| matches!(pickle.items[id], Item::Dict(_) | Item::List(_) | Item::Tuple(_));
        let children: Vec<(Name, Id)> = match &pickle.items[id] {
            Item::Dict(pairs) => pairs.iter().map(|&(k, v)| (Name::Key(k), v)).collect(),
            Item::List(items) | Item::Tuple(items) => {
                items.iter().enumerate().map(|(i, &v)| (Name::Place(i), v)).collect()
            }
            _ => continue,
        };
        let children: Vec<_> = children.into_iter().filter(|&(_, v)| is_tensor(v) || holds(v)).collect();
        let needed: usize = children.iter().map(|(name, _)| 2 * name.len(pickle) + at.len()).sum();
        room = room.checked_sub(needed).ok_or("names that repeat over and over, or endless nesting")?;
        let children = children.into_iter().map(|(name, id)| (name.text(pickle), id));
        let (tensors, others): (Vec<_>, Vec<_>) = children.partition(|&(_, v)| is_tensor(v));
        if matches!(pickle.items[id], Item::Dict(_)) {
            found.extend(grouped(&at, id, &tensors));
        }
        for (name, child) in others {
            if seen.insert(child) {
                open.push_back((child, if at.is_empty() { name } else { format!("{at}.{name}") }));
            }
        }
    }
    Ok(found)
}

/// What a value is called: by its key in a dictionary, or by its place in a list.
#[derive(Clone, Copy)]
enum Name {
    Key(Id),
    Place(usize),
}

impl Name {
    /// Bytes of the text, or more.
    fn len(self, pickle: &Pickle) -> usize {
        match self {
            Self::Key(id) => match &pickle.items[id] {
                Item::Text(text) => text.len(),
                _ => 20,
            },
            Self::Place(_) => 8,
        }
    }

    fn text(self, pickle: &Pickle) -> String {
        match self {
            Self::Key(id) => match &pickle.items[id] {
                Item::Text(text) => text.clone(),
                Item::Int(n) => n.to_string(),
                _ => "?".into(),
            },
            Self::Place(i) => i.to_string(),
        }
    }
}

/// The tensors of a dictionary by what holds them.
fn grouped(at: &str, dictionary: Id, tensors: &[(String, Id)]) -> Vec<Group> {
    let mut groups: BTreeMap<String, Vec<(String, String, Id)>> = BTreeMap::new();
    for (written, id) in tensors {
        let (name, holders) = unwrapped(written);
        groups.entry(holders).or_default().push((name, written.clone(), *id));
    }
    let place = |holders: &String| match (at, holders.as_str()) {
        ("", "") => "the file's own dictionary".to_owned(),
        ("", h) => format!("tensors called `{h}.`..."),
        (at, "") => format!("`{at}`"),
        (at, h) => format!("tensors of `{at}` called `{h}.`..."),
    };
    let group = |(holders, tensors): (String, Vec<(String, String, Id)>)| Group {
        at: place(&holders),
        dictionary,
        holders,
        tensors,
    };
    groups.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_go_in_any_order_and_holders_tell_networks_apart() {
        let split = |name: &str| unwrapped(name);
        for name in
            ["conv1.weight", "module.conv1.weight", "_orig_mod.module.conv1.weight", "module.module.conv1.weight"]
        {
            assert_eq!(split(name), ("conv1.weight".into(), String::new()), "{name}");
        }
        assert_eq!(split("model.module._orig_mod.conv1.weight"), ("conv1.weight".into(), "model".into()));
        assert_eq!(split("_orig_mod.ema.module.conv1.weight"), ("conv1.weight".into(), "ema".into()));
        assert_eq!(split("features.module.0.weight").0, "features.0.weight", "a wrapped part of the network");
        assert_eq!(split("model"), ("model".into(), String::new()), "a tensor's own name stays");
    }
}
