//! XML of the kind that neuroimaging files hold, as a tree whose text still lies in the file.
//!
//! Only what stands in the text is taken: no entity is defined or expanded but the five of XML
//! itself and characters by their numbers, no other file is opened, and depth and number of the
//! elements are bounded.

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};
use std::borrow::Cow;

/// Deepest nesting; GIFTI and CIFTI need 7.
const MOST_DEPTH: usize = 32;
/// Most elements and attributes; each takes more memory than its text.
const MOST_ITEMS: usize = 1_000_000;

/// An element, its attributes, and what is in it.
#[derive(Debug)]
pub(super) struct Element<'t> {
    pub name: String,
    attributes: Vec<(String, String)>,
    /// All text directly in it.
    pub text: Cow<'t, str>,
    pub children: Vec<Element<'t>>,
}

impl<'t> Element<'t> {
    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All children of a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Element<'t>> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Element<'t>> {
        self.all(name).next()
    }

    /// The trimmed text of the first child of a name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }

    fn push(&mut self, more: Cow<'t, str>) {
        if self.text.trim().is_empty() {
            self.text = more;
        } else {
            self.text.to_mut().push_str(&more);
        }
    }
}

/// The outermost element of a text.
///
/// # Errors
/// In words: no XML, or more of it than is read.
pub(super) fn parse(text: &str) -> Result<Element<'_>, String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let mut open: Vec<Element<'_>> = vec![];
    let mut root = None;
    let mut n_items = 0;
    loop {
        let at = reader.buffer_position();
        let event = reader.read_event().map_err(|e| format!("XML that is damaged at byte {at} ({e})"))?;
        match event {
            Event::Start(start) => open.push(element(&start, &mut n_items)?),
            Event::Empty(start) => {
                let element = element(&start, &mut n_items)?;
                close(element, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let element = open.pop().ok_or("an end without a beginning")?;
                close(element, &mut open, &mut root)?;
            }
            Event::Text(more) => add(&mut open, more.into_inner())?,
            Event::CData(more) => add(&mut open, more.into_inner())?,
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|e| e.to_string())?.map(String::from);
                let name = reference.into_inner();
                let known = character.or_else(|| resolve_predefined_entity(&name).map(String::from));
                // White space that was written as a reference is meant, so that it is no `push`.
                let known = known.ok_or_else(|| format!("the entity `&{name};`, which no such file needs"))?;
                open.last_mut().ok_or("text outside of all elements")?.text.to_mut().push_str(&known);
            }
            Event::DocType(declared) if declared.contains('[') => {
                return Err("a DOCTYPE that defines entities, which no such file needs".into());
            }
            Event::DocType(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
        if open.len() > MOST_DEPTH {
            return Err(format!("elements nested more than {MOST_DEPTH} deep"));
        }
    }
    match (open.last(), root) {
        (Some(element), _) => Err(format!("XML that ends within `{}`", element.name)),
        (None, root) => root.ok_or_else(|| "no XML element".to_owned()),
    }
}

fn element<'t>(start: &BytesStart<'_>, n_items: &mut usize) -> Result<Element<'t>, String> {
    let name = start.name().into_inner().to_owned();
    let mut attributes = vec![];
    *n_items += 1;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| format!("an attribute of `{name}` that is damaged ({e})"))?;
        let value = unescape(&attribute.value).map_err(|e| format!("an attribute of `{name}` ({e})"))?;
        attributes.push((attribute.key.into_inner().to_owned(), value.into_owned()));
        *n_items += 1;
    }
    if *n_items > MOST_ITEMS {
        return Err(format!("more than {MOST_ITEMS} elements and attributes"));
    }
    Ok(Element { name, attributes, text: Cow::Borrowed(""), children: vec![] })
}

fn close<'t>(element: Element<'t>, open: &mut [Element<'t>], root: &mut Option<Element<'t>>) -> Result<(), String> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_some() => return Err(format!("a second outermost element, `{}`", element.name)),
        None => *root = Some(element),
    }
    Ok(())
}

fn add<'t>(open: &mut [Element<'t>], text: Cow<'t, str>) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.push(text),
        // NULs are how CIFTI pads its header.
        None if text.trim_matches(|c: char| c.is_whitespace() || c == '\0' || c == '\u{feff}').is_empty() => {}
        None => return Err("text outside of all elements".into()),
    }
    Ok(())
}

/// Text as it may stand in an element or between quotes; characters that XML 1.0 has no room for
/// become `?`.
pub(super) fn escaped(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c < ' ' && !matches!(c, '\t' | '\n' | '\r') { '?' } else { c }).collect();
    quick_xml::escape::escape(plain.as_str()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_attributes_and_text() {
        let text = "\u{feff}<?xml version=\"1.0\"?><!DOCTYPE G SYSTEM \"x.dtd\"><!-- c -->\n<G a=\"1 &lt; 2\">\n <B/>\n\
                    <C>x &amp; <![CDATA[<y>]]>&#65;</C> <C>2</C></G>\n\0\0";
        let root = parse(text).unwrap();
        assert_eq!((root.name.as_str(), root.attribute("a")), ("G", Some("1 < 2")));
        assert_eq!(root.children.len(), 3);
        assert_eq!(root.text_of("C"), Some("x & <y>A"));
        assert_eq!(root.all("C").nth(1).unwrap().text, "2");
        assert!(matches!(parse("<G>plain</G>").unwrap().text, Cow::Borrowed("plain")), "no copy of the text");
        let odd = "a<b>&\"c\" d\u{1}";
        let written = format!("<G a=\"{0}\">{0}</G>", escaped(odd));
        let root = parse(&written).unwrap();
        assert_eq!((root.attribute("a"), &*root.text), (Some("a<b>&\"c\" d?"), "a<b>&\"c\" d?"));
    }

    #[test]
    fn bombs_and_damage_are_refused() {
        let bomb = "<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><l>&b;</l>";
        for (text, words) in [
            (bomb, "defines entities"),
            ("<l>&b;</l>", "the entity `&b;`"),
            ("<l a='&b;'/>", "attribute of `l`"),
            ("<!DOCTYPE l SYSTEM 'file:///etc/passwd'><l>&x;</l>", "the entity"),
            ("<a><b></a>", "damaged"),
            ("<a><b>", "ends within `b`"),
            ("<a/><b/>", "second outermost"),
            ("words", "outside"),
            ("", "no XML"),
            ("<a b='1' b='2'/>", "attribute of `a`"),
            ("<a", "damaged"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let deep = "<a>".repeat(100_000);
        assert!(parse(&deep).unwrap_err().contains("32 deep"));
        let many = format!("<a>{}</a>", "<b/>".repeat(MOST_ITEMS));
        assert!(parse(&many).unwrap_err().contains("more than"));
    }
}
