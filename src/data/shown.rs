//! Names from files as text for people: what would move a terminal's cursor, colour it, or turn or
//! hide the letters beside it is shown as its code.

use std::borrow::Cow;

/// Whether a character acts on the text around it rather than being seen: control characters (C0,
/// DEL, C1), what turns the direction of writing, and what has no width.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escaped(text: &str, stays: impl Fn(char) -> bool, code: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let hidden = |c: char| acts(c) && !stays(c);
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    text.chars().for_each(|c| if hidden(c) { code(c, &mut out) } else { out.push(c) });
    Cow::Owned(out)
}

/// As Rust spells it in its source: `\n`, `\u{1b}`.
fn rust(c: char, out: &mut String) {
    if matches!(c, '\n' | '\r' | '\t') { out.extend(c.escape_default()) } else { out.extend(c.escape_unicode()) }
}

/// One line of text.
///
/// ```
/// assert_eq!(orthoscope::data::shown::line("conv\u{1b}[2J1\n"), r"conv\u{1b}[2J1\n");
/// ```
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false, rust)
}

/// Text of several lines, whose line breaks and tabs are its own.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'), rust)
}

/// What the TOML parser reports over several lines, in one: the place, the line, the message.
pub fn toml(report: &str) -> String {
    let (mut place, mut source, mut message) = ("", "", Vec::new());
    for text in report.lines() {
        match text.split_once('|') {
            Some((number, line)) if number.trim().bytes().all(|b| b.is_ascii_digit()) => {
                source = if number.trim().is_empty() { source } else { line.trim() };
            }
            _ if text.starts_with("TOML parse error at ") => place = text,
            _ => message.push(text.trim()),
        }
    }
    let message = message.join(" ");
    if place.is_empty() { message } else { format!("{place} (`{source}`): {}", message.trim()) }
}

/// JSON text: the same values, spelt with JSON's own escapes.
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| c == '\n',
        |c, out| {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_and_the_rest_stays() {
        let plain = "conv_2/\u{e9}\u{4e2d} \\u{1b} \u{1f600}";
        assert!(matches!(line(plain), Cow::Borrowed(text) if text == plain));
        let hostile = "a\u{1b}]0;x\u{7}b\r\u{9b}31m\u{202e}c\u{2066}\u{200b}\u{feff}\u{7f}\td\ne";
        let shown = r"a\u{1b}]0;x\u{7}b\r\u{9b}31m\u{202e}c\u{2066}\u{200b}\u{feff}\u{7f}\td\ne";
        assert_eq!(line(hostile), shown);
        assert_eq!(lines("a\tb\nc\rd\u{8}"), "a\tb\nc\\rd\\u{8}");
    }

    #[test]
    fn the_toml_parser_speaks_in_one_line() {
        let report = "TOML parse error at line 2, column 1\n  |\n2 | steeps = 4\n  | ^^^^^^\nunknown field `steeps`\n";
        assert_eq!(toml(report), "TOML parse error at line 2, column 1 (`steeps = 4`): unknown field `steeps`");
        assert_eq!(toml("missing field `a`\nin `b`\n"), "missing field `a` in `b`");
        let real = ::toml::from_str::<::toml::Table>("a = 1\nb = = 2\n").unwrap_err().to_string();
        assert!(toml(&real).starts_with("TOML parse error at line 2, column 5 (`b = = 2`): "), "{}", toml(&real));
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "a\u{9b}\u{202e}": ["\u{7f}\u{1b}\n", "\u{e0041}\u{e9}"] });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&text);
        assert!(!shown.chars().any(|c| acts(c) && c != '\n'), "{shown}");
        assert!(shown.contains(r"\u009b\u202e") && shown.contains(r"\udb40\udc41"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
