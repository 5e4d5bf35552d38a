//! Short names for axis labels.

/// Components that say nothing when they come last: the output of a block is the block.
const NOISE: [&str; 6] = ["output", "out", "activation", "relu", "act", "concat"];

/// Shortens tap names for labels, keeping them unique: `inception_4a/output` and `mixed4a` become
/// `4a`, `conv1/7x7_s2` becomes `conv1`.
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

/// Labels for which `fits` holds: without what all names begin with when that is enough, else cut
/// in the middle, and if that makes two of them equal, only after dropping what all names begin and
/// end with; failing that, their ends, then their beginnings. Equal names get equal labels.
pub(crate) fn cut_labels(names: &[String], fits: impl Fn(&str) -> bool) -> Vec<String> {
    if names.iter().all(|n| fits(n)) {
        return names.to_vec();
    }
    let unique = distinct(names);
    let (prefix, suffix) = common_ends(&unique);
    let short: Vec<String> = unique.iter().map(|n| n[prefix..].to_string()).collect();
    let core: Vec<String> = short.iter().map(|n| n[..n.len() - suffix].to_string()).collect();
    let shrink = |names: &[String], cut: &dyn Fn(&str, usize) -> String| -> Vec<String> {
        let one = |name: &String| {
            let n = name.chars().count();
            (3..=n).rev().map(|k| cut(name, k)).find(|t| fits(t)).unwrap_or_else(|| cut(name, 3))
        };
        names.iter().map(one).collect()
    };
    let mut candidates =
        vec![shrink(&unique, &ellipsis), shrink(&core, &ellipsis), shrink(&core, &tail), shrink(&core, &head)];
    if unique.len() > 1 && short.iter().all(|n| fits(n)) {
        candidates.insert(0, short);
    }
    let cut = candidates.into_iter().find(|labels| distinct(labels).len() == labels.len());
    let cut = cut.unwrap_or_else(|| (1..=unique.len()).map(|i| format!("#{i}")).collect());
    let label: std::collections::HashMap<&String, &String> = unique.iter().zip(&cut).collect();
    names.iter().map(|n| label[n].clone()).collect()
}

/// Each name once, in the order in which they come.
pub(super) fn distinct<'n>(names: impl IntoIterator<Item = &'n String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    names.into_iter().filter(|n| seen.insert(n.as_str())).cloned().collect()
}

/// How many bytes of whole components (up to a `.`, `/` or `_`) all names begin and end with; none
/// where nothing would be left.
fn common_ends(names: &[String]) -> (usize, usize) {
    let first = names.first().map_or("", String::as_str);
    let ends = || first.match_indices(['.', '/', '_']).map(|(i, _)| i);
    let prefix = ends().map(|i| i + 1).rfind(|end| names.iter().all(|n| n.starts_with(&first[..*end]))).unwrap_or(0);
    let mut suffixes = ends().map(|i| &first[i..]);
    let suffix =
        suffixes.find(|s| names.iter().all(|n| n.len() > prefix + s.len() && n.ends_with(s))).map_or(0, str::len);
    if names.iter().any(|n| n.len() <= prefix + suffix) { (0, 0) } else { (prefix, suffix) }
}

/// Names without the whole components (up to a `.`, `/` or `_`) that all of them begin or end with;
/// as they are where nothing would be left.
pub fn without_common(names: &[String]) -> Vec<String> {
    let (prefix, suffix) = common_ends(names);
    names.iter().map(|n| n[prefix..n.len() - suffix].to_string()).collect()
}

fn head(text: &str, max: usize) -> String {
    if text.chars().count() <= max { text.to_string() } else { text.chars().take(max - 1).chain(['…']).collect() }
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
        assert_eq!(
            cut(&["stage1.pool_a.b", "stage2.pool_c.b", "stage3.pool_a.b"]),
            ["stage1.…", "stage2.…", "stage3.…"]
        );
        assert_eq!(cut(&["abcdefghijk1lmnopqrstuv", "abcdefghijk2lmnopqrstuv"]), ["#1", "#2"]);
        assert_eq!(cut(&["a_a_a_a_a_a", "a_a_a_a_a"]).len(), 2);
        assert_eq!(cut(&["model_1_unit0", "model_1_unit12", "model_1_unit0"]), ["unit0", "unit12", "unit0"]);
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
