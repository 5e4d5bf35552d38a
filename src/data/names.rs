//! Names of images and conditions: their order, their one spelling, and how lists of them are
//! matched.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Order in which runs of digits count as numbers: `image2` < `image10`. Total: equal only for
/// equal text.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    while let (Some(p), Some(q)) = (x.first(), y.first()) {
        let step = if p.is_ascii_digit() && q.is_ascii_digit() {
            let (m, n) = (take_digits(&mut x), take_digits(&mut y));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (x, y) = (&x[1..], &y[1..]);
            p.cmp(q)
        };
        if step.is_ne() {
            return step;
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// Takes the leading digits off and returns them without leading zeros.
fn take_digits<'t>(text: &mut &'t [u8]) -> &'t [u8] {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    &digits[digits.iter().position(|&c| c != b'0').unwrap_or(digits.len())..]
}

/// The composed spelling of a name (Unicode's NFC). The same name comes in two spellings: macOS
/// writes `é` as `e` and a combining accent, keyboards write one character.
pub fn nfc(name: &str) -> Cow<'_, str> {
    if name.is_ascii() || is_nfc(name) { Cow::Borrowed(name) } else { Cow::Owned(name.nfc().collect()) }
}

/// Whether two names are the same in whatever spelling.
pub fn same(a: &str, b: &str) -> bool {
    a == b || nfc(a) == nfc(b)
}

/// The first name that is there a second time.
pub fn twice<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

/// Endings that say that a name is an image's; other dots belong to the name (`face.1`).
const IMAGE_ENDINGS: [&str; 8] = [".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp"];

/// A name in parts: `faces/im1.PNG` is the folders `faces`, the stem `im1` and the ending `.PNG`.
struct Parts<'n> {
    folders: Vec<&'n str>,
    stem: &'n str,
    ending: &'n str,
}

impl<'n> Parts<'n> {
    fn of(name: &'n str) -> Self {
        let mut folders: Vec<&str> = name.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")).collect();
        let last = folders.pop().unwrap_or(name);
        let lower = last.to_ascii_lowercase();
        let long = |end: &&str| lower.ends_with(end) && lower.len() > end.len();
        let cut = IMAGE_ENDINGS.iter().find(|end| long(end)).map_or(last.len(), |end| last.len() - end.len());
        Self { folders, stem: &last[..cut], ending: &last[cut..] }
    }

    /// Whether nothing that both say differs: folders from the innermost on, and endings.
    fn agrees(&self, other: &Self) -> bool {
        let folders = self.folders.iter().rev().zip(other.folders.iter().rev()).all(|(a, b)| a == b);
        let one_silent = self.ending.is_empty() || other.ending.is_empty();
        folders && (one_silent || self.ending.eq_ignore_ascii_case(other.ending))
    }
}

/// Where each wanted name is, found by [`find_all`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Index of each wanted name's candidate.
    pub places: Vec<usize>,
    /// A wanted name and its candidate that agree in the stem, but not in the folder or the ending,
    /// if there are any.
    pub by_stem: Option<(String, String)>,
}

/// Finds every wanted name among candidates, each candidate for one name at most.
///
/// Identity is the whole name. In this order: the same name (in any Unicode spelling); the one
/// candidate that agrees in everything that both say (`im1` and `faces/im1.png`); the one candidate
/// of the same stem (`a/im1.jpg` and `b/im1.png`). Where there are two at a step, nothing is
/// guessed.
///
/// # Errors
/// [`Error::Invalid`], with `at`, `wanted_as` and `there_as` in the words of the caller: names
/// without a candidate, with several (all are named), or several names for one.
pub fn find_all(wanted: &[String], there: &[String], at: &str, (wanted_as, there_as): (&str, &str)) -> Result<Found> {
    let whole: Vec<Cow<'_, str>> = there.iter().map(|name| nfc(name)).collect();
    let parts: Vec<Parts<'_>> = whole.iter().map(|name| Parts::of(name)).collect();
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut by_stem: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, name) in whole.iter().enumerate() {
        by_name.entry(name).or_default().push(i);
        by_stem.entry(parts[i].stem).or_default().push(i);
    }
    let mut found = Found { places: Vec::with_capacity(wanted.len()), by_stem: None };
    let mut absent = Vec::new();
    for name in wanted {
        let spelt = nfc(name);
        let own = Parts::of(&spelt);
        let same_stem: &[usize] = by_stem.get(own.stem).map_or(&[], Vec::as_slice);
        let agreeing: Vec<usize> = same_stem.iter().copied().filter(|&i| own.agrees(&parts[i])).collect();
        let steps = [by_name.get(spelt.as_ref()).map_or(&[][..], Vec::as_slice), &agreeing, same_stem];
        match steps.iter().position(|step| !step.is_empty()) {
            None => absent.push(name.as_str()),
            Some(step) => match steps[step] {
                [one] => {
                    found.places.push(*one);
                    if step == 2 && found.by_stem.is_none() {
                        found.by_stem = Some((name.clone(), there[*one].clone()));
                    }
                }
                several => {
                    let candidates = several.iter().map(|&i| there[i].as_str()).collect::<Vec<_>>().join("`, `");
                    let expected = format!("one of the {there_as} for `{name}` of the {wanted_as}");
                    let hint = "write the whole name, with its folder and ending, in both";
                    return Err(Error::invalid(at, expected, format!("`{candidates}`"), hint));
                }
            },
        }
    }
    if !absent.is_empty() {
        return Err(without(&absent, wanted, there, at, (wanted_as, there_as)));
    }
    one_each(&found, wanted, there, at, (wanted_as, there_as))?;
    Ok(found)
}

fn without(absent: &[&str], wanted: &[String], there: &[String], at: &str, words: (&str, &str)) -> Error {
    let few = |names: &[&str]| {
        let more = if names.len() > 4 { ", ..." } else { "" };
        format!("`{}`{more}", names.iter().take(4).copied().collect::<Vec<_>>().join("`, `"))
    };
    let names: Vec<&str> = there.iter().map(String::as_str).collect();
    Error::invalid(
        at,
        format!("all {} of the {} among the {}", wanted.len(), words.0, words.1),
        format!("{} without {} of them: {}", few(&names), absent.len(), few(absent)),
        "they are of another set of images, or have other names there",
    )
}

fn one_each(found: &Found, wanted: &[String], there: &[String], at: &str, words: (&str, &str)) -> Result<()> {
    let mut taken: HashMap<usize, &str> = HashMap::new();
    for (name, &place) in wanted.iter().zip(&found.places) {
        if let Some(first) = taken.insert(place, name) {
            let expected = format!("one of the {} for each of the {}", words.1, words.0);
            let found = format!("`{}` for `{first}` and `{name}`", there[place]);
            return Err(Error::invalid(
                at,
                expected,
                found,
                "write the whole name, with its folder and ending, in both",
            ));
        }
    }
    Ok(())
}

/// Whether `text` is what `pattern` says; `*` stands for any text, `?` for one character.
///
/// ```
/// assert!(orthoscope::data::names::matches("V4-*", "V4-017"));
/// ```
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text.chars();
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let pattern = &pattern[1..];
            text.char_indices().map(|(i, _)| i).chain([text.len()]).any(|i| matches(pattern, &text[i..]))
        }
        Some(wanted) => {
            let found = rest.next();
            found.is_some_and(|c| wanted == '?' || wanted == c) && matches(&pattern[wanted.len_utf8()..], rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(wanted: &[&str], there: &[&str]) -> Result<Found> {
        let list = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        find_all(&list(wanted), &list(there), "here", ("conditions", "images"))
    }

    #[test]
    fn whole_names_come_first() {
        let there = ["faces/1.png", "houses/1.png", "im1.jpg", "im1.png", "im1"];
        let found = find(&["houses/1.png", "im1", "im1.png", "faces/1.png"], &there).unwrap();
        assert_eq!((found.places, found.by_stem), (vec![1, 4, 3, 0], None));
    }

    #[test]
    fn what_both_say_must_agree_and_be_unique() {
        let found = find(&["1", "b/2.PNG", "./c/3"], &["x/b/2.png", "c/3.jpg", "a/1.png"]).unwrap();
        assert_eq!((found.places, found.by_stem), (vec![2, 0, 1], None));
        let found = find(&["stimuli/im1.jpg"], &["images/im1.png", "images/im2.png"]).unwrap();
        assert_eq!(found.by_stem, Some(("stimuli/im1.jpg".into(), "images/im1.png".into())));
        // Two folders hold a `1`, a third is asked for; two formats hold an `im1`.
        for (wanted, there) in [("places/1.png", ["faces/1.png", "houses/1.png"]), ("im1", ["im1.jpg", "im1.png"])] {
            let text = find(&[wanted], &there).unwrap_err().to_string();
            assert!(text.contains(there[0]) && text.contains(there[1]) && text.contains(wanted), "{text}");
        }
        assert_eq!(find(&["face.1"], &["face.1", "face.2"]).unwrap().places, [0], "a dot is no ending");
    }

    #[test]
    fn one_image_is_not_two_conditions() {
        let text = find(&["faces/1.png", "houses/1.png"], &["1", "2"]).unwrap_err().to_string();
        assert!(text.contains("faces/1.png") && text.contains("houses/1.png") && text.contains("`1`"), "{text}");
        let text = find(&["1", "9"], &["1", "2"]).unwrap_err().to_string();
        assert!(text.contains("without 1 of them: `9`"), "{text}");
    }

    #[test]
    fn both_spellings_of_an_accent_are_one_name() {
        // U+00E9, and `e` with U+0301.
        let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
        assert_eq!(nfc(decomposed), composed);
        assert!(same(composed, decomposed) && !same("cafe", composed));
        assert_eq!(find(&[decomposed], &["the", composed]).unwrap().places, [1]);
        assert!(find(&[decomposed], &[decomposed, composed]).is_err(), "two images of one name");
    }

    #[test]
    fn stars_stand_for_anything() {
        assert!(matches("*190923*", "compact_model_190923_neuron3") && matches("a*c", "abbc") && matches("*", ""));
        assert!(!matches("a*c", "abcd") && !matches("ab", "abc") && matches("a?c*", "abc") && !matches("a?", "a"));
    }
}
