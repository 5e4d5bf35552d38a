//! Short names for axis labels.

/// Components that say nothing when they come last: the output of a block is the block.
const NOISE: [&str; 6] = ["output", "out", "activation", "relu", "act", "concat"];

/// Shortens tap names for labels, keeping them unique: `inception_4a/output` and `mixed4a` become `4a`, `conv1/7x7_s2` becomes `conv1`.
///
/// A name is shortened only as far as no two results are equal; equal inputs get a running number.
///
/// ```
/// let taps = ["conv1/7x7_s2", "inception_4a/output", "inception_4b/output"].map(String::from);
/// assert_eq!(orthoscope::report::names::shorten(&taps), ["conv1", "4a", "4b"]);
/// ```
pub fn shorten(names: &[String]) -> Vec<String> {
    let mut level = vec![0; names.len()];
    loop {
        let short: Vec<String> = names.iter().zip(&level).map(|(name, &level)| shortened(name, level)).collect();
        let clash: Vec<usize> = (0..names.len())
            .filter(|&i| level[i] < FULL && (0..names.len()).any(|j| j != i && short[j] == short[i]))
            .collect();
        if clash.is_empty() {
            return numbered(short);
        }
        clash.into_iter().for_each(|i| level[i] += 1);
    }
}

/// The level at which a name is left as it is.
const FULL: usize = 3;

/// Level 0: the block alone; 1: block and branch; 2: without the noise at the end; 3: as it is.
fn shortened(name: &str, level: usize) -> String {
    if level >= FULL {
        return name.to_string();
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    while parts.len() > 1 && NOISE.contains(&parts[parts.len() - 1]) {
        parts.pop();
    }
    if level == 2 {
        return parts.join("/");
    }
    let block = without_family(parts[0]);
    match (level, parts.len()) {
        (_, 1) => block.to_string(),
        // GoogLeNet's conv2/norm2 and pool1/norm1: the last part alone names the tensor
        (0, _) if parts[1].starts_with("norm") => parts[1].to_string(),
        (0, _) => block.to_string(),
        _ => format!("{block}/{}", parts[1..].join("/")),
    }
}

/// `inception_4a` and `mixed4a` without the family's name; anything else as it is.
fn without_family(block: &str) -> &str {
    for family in ["inception_", "inception", "mixed_", "mixed", "mixed_block"] {
        if let Some(rest) = block.strip_prefix(family)
            && rest.starts_with(|c: char| c.is_ascii_digit())
        {
            return rest;
        }
    }
    block
}

fn numbered(names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    names
        .into_iter()
        .map(|name| {
            let mut unique = name.clone();
            let mut k = 2;
            while !seen.insert(unique.clone()) {
                unique = format!("{name} #{k}");
                k += 1;
            }
            unique
        })
        .collect()
}

/// Cuts the middle out of a text longer than `max` characters.
pub(crate) fn ellipsis(text: &str, max: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= max || max < 3 {
        return text.to_string();
    }
    let head = max / 2;
    let tail = max - head - 1;
    format!("{}…{}", chars[..head].iter().collect::<String>(), chars[chars.len() - tail..].iter().collect::<String>())
}

/// Labels for which `fits` holds: cut in the middle, and if that makes two of them equal, only after dropping what all names
/// begin and end with; failing that, their ends.
pub(crate) fn cut_labels(names: &[String], fits: impl Fn(&str) -> bool) -> Vec<String> {
    if names.iter().all(|n| fits(n)) {
        return names.to_vec();
    }
    let shrink = |name: &String, cut: &dyn Fn(&str, usize) -> String| {
        let n = name.chars().count();
        (3..=n).rev().map(|k| cut(name, k)).find(|t| fits(t)).unwrap_or_else(|| cut(name, 3))
    };
    let distinct = |labels: &[String]| labels.iter().collect::<std::collections::HashSet<_>>().len() == labels.len();
    let core = without_common(names);
    let candidates = [
        names.iter().map(|n| shrink(n, &ellipsis)).collect::<Vec<_>>(),
        core.iter().map(|n| shrink(n, &ellipsis)).collect(),
        core.iter().map(|n| shrink(n, &tail)).collect(),
    ];
    let found = candidates.iter().find(|labels| distinct(labels)).cloned();
    found.unwrap_or_else(|| (1..=names.len()).map(|i| format!("#{i}")).collect())
}

/// Names without the whole components (up to a `.`, `/` or `_`) that all of them begin or end with; as they are where nothing would be left.
pub fn without_common(names: &[String]) -> Vec<String> {
    let separator = |c: char| ['.', '/', '_'].contains(&c);
    let first = names.first().map_or("", String::as_str);
    let mut prefixes = first.char_indices().filter(|(_, c)| separator(*c)).map(|(i, c)| &first[..i + c.len_utf8()]);
    let prefix = prefixes.rfind(|p| names.iter().all(|n| n.starts_with(p))).unwrap_or("");
    let suffixes = first.char_indices().filter(|(_, c)| separator(*c)).map(|(i, _)| &first[i..]);
    let mut suffixes = suffixes.filter(|s| names.iter().all(|n| n.len() > prefix.len() + s.len() && n.ends_with(s)));
    let suffix = suffixes.next().unwrap_or("");
    let middle = |n: &String| n[prefix.len()..n.len() - suffix.len()].to_string();
    if names.iter().any(|n| n.len() <= prefix.len() + suffix.len()) {
        names.to_vec()
    } else {
        names.iter().map(middle).collect()
    }
}

fn tail(text: &str, max: usize) -> String {
    let n = text.chars().count();
    if n <= max { text.to_string() } else { std::iter::once('…').chain(text.chars().skip(n + 1 - max)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(names: &[&str]) -> Vec<String> {
        shorten(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn googlenet_names() {
        let got = short(&[
            "conv1/7x7_s2",
            "conv2/norm2",
            "inception_3a/output",
            "inception_4a/output",
            "mixed5b",
            "pool1/norm1",
        ]);
        assert_eq!(got, ["conv1", "norm2", "3a", "4a", "5b", "norm1"]);
    }

    #[test]
    fn clashes_keep_what_tells_them_apart() {
        assert_eq!(short(&["inception_4a/3x3", "inception_4a/5x5", "inception_4b/output"]), ["4a/3x3", "4a/5x5", "4b"]);
        assert_eq!(short(&["mixed4a", "inception_4a/output"]), ["mixed4a", "inception_4a"]);
        assert_eq!(short(&["layer1.0.relu", "layer1.1.relu"]), ["layer1.0.relu", "layer1.1.relu"]);
        assert_eq!(short(&["a", "a", "a #2"]).iter().collect::<std::collections::HashSet<_>>().len(), 3);
    }

    #[test]
    fn ellipsis_keeps_both_ends() {
        assert_eq!(ellipsis("abcdefghij", 5), "ab…ij");
        assert_eq!(ellipsis("äöü", 3), "äöü");
    }

    #[test]
    fn cut_labels_stay_distinct() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let cut = |list: &[&str]| cut_labels(&names(list), |t| t.chars().count() <= 8);
        assert_eq!(cut(&["conv1", "3a"]), ["conv1", "3a"]);
        assert_eq!(cut(&["conv1", "a_long_layer_name"]), ["conv1", "a_lo…ame"]);
        assert_eq!(cut(&["features.3.expand3x3", "features.12.expand3x3"]), ["3", "12"]);
        assert_eq!(cut(&["aaaaaaaaaaa.1.bbbbbbbbbbb2", "aaaaaaaaaaa.1.bbbbbbbbbbb3"]), ["aaaa…bb2", "aaaa…bb3"]);
        assert_eq!(cut(&["abcdefghijk1lmnopqrstuv", "abcdefghijk2lmnopqrstuv"]), ["#1", "#2"]);
        assert_eq!(cut(&["a_a_a_a_a_a", "a_a_a_a_a"]).len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn shortened_names_are_unique(names in proptest::collection::vec("(inception_|mixed)?[34][ab](/output|/3x3|/norm)?", 0..12)) {
            let got = shorten(&names);
            let distinct: std::collections::HashSet<_> = got.iter().collect();
            proptest::prop_assert_eq!(distinct.len(), names.len());
        }
    }
}
