//! Names as parts of file names: readable, and no two of a run alike.
//!
//! Names of layers, units, runs and images come from files and hold anything; names of files do
//! not. A name that is alone with what is left of it keeps exactly that. Where several would be one
//! file, also on disks that fold case, each gets the first digits of the BLAKE3 of its whole name:
//! the same ones whichever names are beside it.

use std::collections::HashMap;

/// What a name becomes a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The value of an entity of a BIDS name: ASCII letters and digits, the rest is left out.
    Label,
    /// The name of a file: ASCII letters, digits, `-`, `.` and `_`; anything else becomes a `-`.
    Stem,
    /// The name of an array in an `.npz`: all but `/`, which would be a folder there and becomes a
    /// `.`, as does NUL, where Python's reader ends the name.
    Key,
}

/// Hexadecimal digits behind a name, by how often it had to be told apart from another part.
const DIGITS: [usize; 4] = [0, 6, 12, 64];

impl Part {
    /// The name with what cannot stand there left out or replaced. Other names may come to the
    /// same, and it may be empty or long: see [`distinct`].
    pub fn plain(self, name: &str) -> String {
        match self {
            Self::Label => name.chars().filter(char::is_ascii_alphanumeric).collect(),
            Self::Stem => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                let text: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
                if is_device(&text) { format!("_{text}") } else { text }
            }
            Self::Key => name.replace(['/', '\0'], "."),
        }
    }

    /// Bytes of the longest part: names of files have at most 255, and hold more than the part.
    fn longest(self) -> usize {
        match self {
            Self::Label => 100,
            Self::Stem => 200,
            Self::Key => 1000,
        }
    }

    /// Parts that are equal so are one file somewhere: macOS and Windows fold case, Windows leaves
    /// dots at the end out, NumPy takes the key `a.npy` for `a`.
    fn folded(self, part: &str) -> String {
        match self {
            Self::Key => part.strip_suffix(".npy").unwrap_or(part).to_owned(),
            _ => part.trim_end_matches('.').to_ascii_lowercase(),
        }
    }

    fn spelt(self, plain: &str, whole: &str, level: usize) -> String {
        if level == 0 {
            return plain.to_owned();
        }
        let hash = &blake3::hash(whole.as_bytes()).to_hex()[..DIGITS[level]];
        let between = if self == Self::Label { "x" } else { "_" };
        let room = self.longest() - between.len() - hash.len();
        let cut = (0..=room.min(plain.len())).rfind(|&end| plain.is_char_boundary(end)).unwrap_or(0);
        format!("{}{between}{hash}", &plain[..cut])
    }
}

/// Whether Windows takes a file of this name for a device, whatever its ending.
fn is_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    match base.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" => true,
        port => {
            let number = port.strip_prefix("COM").or_else(|| port.strip_prefix("LPT"));
            number.is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
        }
    }
}

/// Whether a name is a file's whole name as it is, on any system: no device, not hidden, not cut.
pub fn is_whole(part: Part, name: &str) -> bool {
    let open = !name.is_empty() && !name.starts_with('.') && !name.ends_with('.');
    open && part.plain(name) == name && name.len() <= part.longest()
}

/// One part for each name, in their order; different names have parts that no disk takes for one
/// another, and equal names the same part.
///
/// ```
/// use orthoscope::io::filename::{Part, distinct};
/// let parts = distinct(Part::Label, &["conv_2", "features.1.10", "features.11.0"]);
/// assert_eq!(parts, ["conv2", "features110xf2db88", "features110x448ddb"]);
/// ```
pub fn distinct<S: AsRef<str>>(part: Part, names: &[S]) -> Vec<String> {
    let names: Vec<(String, &str)> = names.iter().map(|name| (part.plain(name.as_ref()), name.as_ref())).collect();
    distinct_of(part, &names)
}

/// As [`distinct`], of parts that the caller has spelt, each with the whole name that it stands
/// for.
///
/// A part that is its whole name keeps to itself whatever is beside it.
pub fn distinct_of<S: AsRef<str>>(part: Part, names: &[(String, S)]) -> Vec<String> {
    let whole = |i: usize| names[i].1.as_ref();
    let fits = |plain: &str| !plain.is_empty() && plain.len() <= part.longest();
    let mut levels: Vec<usize> = names.iter().map(|(plain, _)| usize::from(!fits(plain))).collect();
    loop {
        let parts: Vec<String> = (0..names.len()).map(|i| part.spelt(&names[i].0, whole(i), levels[i])).collect();
        let mut alike: HashMap<String, Vec<usize>> = HashMap::new();
        parts.iter().enumerate().for_each(|(i, made)| alike.entry(part.folded(made)).or_default().push(i));
        let mut raised = false;
        for group in alike.into_values() {
            let one_name = |some: &[usize]| some.iter().all(|&i| whole(i) == whole(some[0]));
            if one_name(&group) {
                continue;
            }
            let itself = |i: &usize| levels[*i] == 0 && names[*i].0 == whole(*i);
            let (keeping, mut others): (Vec<usize>, Vec<usize>) = group.into_iter().partition(itself);
            if !one_name(&keeping) {
                others.extend(keeping);
            }
            for i in others.into_iter().filter(|&i| levels[i] + 1 < DIGITS.len()).collect::<Vec<_>>() {
                levels[i] += 1;
                raised = true;
            }
        }
        if !raised {
            return parts;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn names_that_are_alone_keep_what_is_left_of_them() {
        assert_eq!(distinct(Part::Label, &["features.1.10", "conv_2", "\u{e9}1"]), ["features110", "conv2", "1"]);
        assert_eq!(distinct(Part::Stem, &["a/b:0", "m 1.5", "x_y"]), ["a-b-0", "m-1.5", "x_y"]);
        assert_eq!(distinct(Part::Key, &["a/b:0", "m 1.5"]), ["a.b:0", "m 1.5"]);
        assert_eq!(distinct(Part::Label, &["a.b", "a.b"]), ["ab", "ab"], "one name, twice");
    }

    /// The digits were computed with the Python package `blake3`.
    #[test]
    fn names_that_differ_only_in_what_is_left_out_are_told_apart() {
        let found = distinct(Part::Label, &["features.1.10", "features.11.0"]);
        assert_eq!(found, ["features110xf2db88", "features110x448ddb"]);
        let digits = |name: &str| blake3::hash(name.as_bytes()).to_hex()[..6].to_owned();
        // What is its own name keeps it, and the digits do not depend on the company.
        let found = distinct(Part::Label, &["ab", "a-b", "a.b"]);
        assert_eq!(found, ["ab".to_owned(), format!("abx{}", digits("a-b")), format!("abx{}", digits("a.b"))]);
        assert_eq!(distinct(Part::Label, &["a.b", "a_b"])[0], found[2]);
        // Case, letters of other scripts, dots at the end.
        let found = distinct(Part::Stem, &["Conv", "conv", "\u{e9}", "\u{e8}", "a", "a."]);
        assert_eq!(found[0], format!("Conv_{}", digits("Conv")));
        assert_eq!(found[2], format!("-_{}", digits("\u{e9}")));
        assert_eq!(found.iter().map(|f| Part::Stem.folded(f)).collect::<HashSet<_>>().len(), 6);
        // A name that looks like another one with its digits.
        let forged = format!("abx{}", digits("a-b"));
        let found = distinct(Part::Label, &["a-b", "a.b", forged.as_str()]);
        assert_eq!(found[2], forged);
        assert!(found[0].len() == 2 + 1 + 12 && found[1].len() == 2 + 1 + 6, "{found:?}");
        assert_eq!(distinct(Part::Key, &["a/b", "c"]), ["a.b", "c"]);
        assert_eq!(distinct(Part::Key, &["a/b", "a.b"]), [format!("a.b_{}", digits("a/b")), "a.b".to_owned()]);
        assert_ne!(distinct(Part::Key, &["a", "a.npy"]), ["a", "a.npy"], "NumPy takes one for the other");
    }

    #[test]
    fn what_no_disk_takes_is_spelt_otherwise() {
        let long = "l".repeat(300);
        for part in [Part::Label, Part::Stem] {
            let found = distinct(part, &[long.as_str(), &format!("{long}1"), "", "\u{e9}\u{e9}"]);
            assert!(found.iter().all(|f| !f.is_empty() && f.len() <= part.longest()), "{found:?}");
            assert_eq!(found.iter().collect::<HashSet<_>>().len(), 4);
        }
        assert_eq!(
            distinct(Part::Stem, &["CON", "con.1", "lpt9", "console", "com"]),
            ["_CON", "_con.1", "_lpt9", "console", "com"]
        );
        assert!(is_whole(Part::Stem, "alexnet-1.0") && !is_whole(Part::Stem, &long));
        assert!(["CON", "a/b", "", ".a", "a.", ".."].iter().all(|name| !is_whole(Part::Stem, name)));
        let keys = distinct(Part::Key, &["\u{e9}".repeat(4000)]);
        assert!(keys[0].len() <= 1000 && keys[0].starts_with('\u{e9}'));
    }

    proptest! {
        /// Different names never share a file, in whatever order they come, also when some of them
        /// are what others were made into.
        #[test]
        fn parts_are_injective_and_do_not_depend_on_the_order(
            names in prop::collection::hash_set("[abAB1./_: \u{e9}\u{0}-]{0,5}|con|NUL|.{0,12}", 0..24),
            kind in 0usize..3,
        ) {
            let part = [Part::Label, Part::Stem, Part::Key][kind];
            let first: Vec<String> = names.into_iter().collect();
            let made = distinct(part, &first);
            let all: Vec<String> = first.iter().cloned().chain(made).collect::<HashSet<_>>().into_iter().collect();
            let found = distinct(part, &all);
            let folded: HashSet<String> = found.iter().map(|f| part.folded(f)).collect();
            prop_assert_eq!(folded.len(), all.len());
            let allowed = |c: char| match part {
                Part::Label => c.is_ascii_alphanumeric(),
                Part::Stem => c.is_ascii_alphanumeric() || "-_.".contains(c),
                Part::Key => !"/\0".contains(c),
            };
            prop_assert!(found.iter().all(|f| f.chars().all(allowed) && f.len() <= part.longest() && !f.is_empty()));
            let backwards: Vec<&String> = all.iter().rev().collect();
            let mut again = distinct(part, &backwards);
            again.reverse();
            prop_assert_eq!(again, found);
        }
    }
}
