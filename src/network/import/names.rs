//! Names that a file does not have: what to show of those that it has.

use crate::network::taps::distance;

/// The `n` names nearest to `wanted`, nearest first; equally near ones in their order.
pub(crate) fn nearest(wanted: &str, there: &[impl AsRef<str>], n: usize) -> Vec<String> {
    let mut near: Vec<(usize, &str)> =
        there.iter().map(|name| (distance(wanted, name.as_ref()), name.as_ref())).collect();
    near.sort_by_key(|(d, _)| *d);
    near.into_iter().take(n).map(|(_, name)| name.to_owned()).collect()
}

/// The nearest names in words, or what there is instead of names.
pub(crate) fn in_words(wanted: &str, there: &[impl AsRef<str>], none: &str) -> String {
    if there.is_empty() {
        return none.to_owned();
    }
    let shown = nearest(wanted, there, 4);
    let more =
        if there.len() > shown.len() { format!(" and {} more", there.len() - shown.len()) } else { String::new() };
    format!("`{}`{more}", shown.join("`, `"))
}
