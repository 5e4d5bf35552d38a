//! A self-contained HTML page: pictures inside, no scripts, nothing loaded from elsewhere, all text
//! escaped, and what acts on the text around it shown as its code.

use crate::data::shown::{line, lines};
use crate::error::{Error, Result};
use crate::io::atomic;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::Path;

const STYLE: &str = include_str!("style.css");

/// A page under construction; blocks appear in the order in which they were added.
///
/// ```
/// use orthoscope::report::html::Page;
/// let mut page = Page::new("Orthogonalized <images>", "16 images, 12 layers");
/// page.section("Scores").table(&["set", "mean |R|"], &[vec!["exported".into(), "0.041".into()]]);
/// assert!(page.render().contains("Orthogonalized &lt;images&gt;"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Page {
    title: String,
    subtitle: String,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone)]
enum Block {
    Section(String),
    Text(String),
    Note(String),
    Banner(String),
    Facts(Vec<(String, String)>),
    Warnings(Vec<String>),
    Table { headers: Vec<String>, rows: Vec<Vec<String>> },
    Figure { png: String, alt: String, caption: String },
    Code { summary: String, text: String },
}

impl Page {
    /// An empty page.
    pub fn new(title: impl Into<String>, subtitle: impl Into<String>) -> Self {
        Self { title: title.into(), subtitle: subtitle.into(), blocks: Vec::new() }
    }

    fn add(&mut self, block: Block) -> &mut Self {
        self.blocks.push(block);
        self
    }

    /// A heading.
    pub fn section(&mut self, title: impl Into<String>) -> &mut Self {
        self.add(Block::Section(title.into()))
    }

    /// A paragraph.
    pub fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.add(Block::Text(text.into()))
    }

    /// A small remark, such as that a figure is missing.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Self {
        self.add(Block::Note(text.into()))
    }

    /// A line that must not be overlooked, such as that the run was interrupted.
    pub fn banner(&mut self, text: impl Into<String>) -> &mut Self {
        self.add(Block::Banner(text.into()))
    }

    /// Names and values in two columns; nothing when there are none.
    pub fn facts(&mut self, rows: Vec<(String, String)>) -> &mut Self {
        if rows.is_empty() { self } else { self.add(Block::Facts(rows)) }
    }

    /// A box of warnings; nothing when there are none.
    pub fn warnings(&mut self, warnings: Vec<String>) -> &mut Self {
        if warnings.is_empty() { self } else { self.add(Block::Warnings(warnings)) }
    }

    /// A table; cells that hold numbers are aligned to the right. Nothing without rows.
    pub fn table(&mut self, headers: &[&str], rows: &[Vec<String>]) -> &mut Self {
        if rows.is_empty() {
            return self;
        }
        self.add(Block::Table { headers: headers.iter().map(ToString::to_string).collect(), rows: rows.to_vec() })
    }

    /// Embeds a PNG file with its text for readers who cannot see it.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Corrupt`] when it is not a PNG file;
    /// the page stays as it was.
    pub fn figure(&mut self, png: &Path, alt: impl Into<String>, caption: impl Into<String>) -> Result<&mut Self> {
        let bytes = std::fs::read(png).map_err(Error::io(png, "read"))?;
        if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Err(Error::corrupt(
                png,
                "a PNG file",
                format!("{} bytes of something else", bytes.len()),
                "remove it",
            ));
        }
        Ok(self.add(Block::Figure { png: base64(&bytes), alt: alt.into(), caption: caption.into() }))
    }

    /// Text as it is, such as a configuration, folded away under a summary line.
    pub fn code(&mut self, summary: impl Into<String>, text: impl Into<String>) -> &mut Self {
        self.add(Block::Code { summary: summary.into(), text: text.into() })
    }

    /// The page as HTML.
    pub fn render(&self) -> String {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (line(&self.title)) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { (line(&self.title)) }
                        @if !self.subtitle.is_empty() { p.subtitle { (line(&self.subtitle)) } }
                    }
                    main { @for block in &self.blocks { (markup(block)) } }
                }
            }
        }
        .into_string()
    }

    /// Writes the page.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write(path, self.render().as_bytes())
    }
}

fn markup(block: &Block) -> Markup {
    html! {
        @match block {
            Block::Section(title) => { h2 { (line(title)) } }
            Block::Text(text) => { p { (line(text)) } }
            Block::Note(text) => { p.note { (line(text)) } }
            Block::Banner(text) => { p.banner { (line(text)) } }
            Block::Facts(rows) => {
                table.facts { @for (name, value) in rows { tr { th scope="row" { (line(name)) } td { (line(value)) } } } }
            }
            Block::Warnings(warnings) => {
                section.warnings aria-label="warnings" {
                    strong { @if warnings.len() == 1 { "Warning" } @else { (warnings.len()) " warnings" } }
                    ul { @for warning in warnings { li { (line(warning)) } } }
                }
            }
            Block::Table { headers, rows } => { (table(headers, rows)) }
            Block::Figure { png, alt, caption } => {
                figure {
                    img src=(format!("data:image/png;base64,{png}")) alt=(line(alt));
                    figcaption { (line(caption)) }
                }
            }
            Block::Code { summary, text } => {
                details { summary { (line(summary)) } pre { (lines(text)) } }
            }
        }
    }
}

fn table(headers: &[String], rows: &[Vec<String>]) -> Markup {
    let class = |text: &str| if numeric(text) { "number" } else { "" };
    html! {
        div.scroll {
            table {
                thead { tr {
                    @for (j, header) in headers.iter().enumerate() {
                        th scope="col" class=(rows.first().and_then(|r| r.get(j)).map_or("", |t| class(t))) { (line(header)) }
                    }
                } }
                tbody { @for row in rows { tr { @for cell in row { td class=(class(cell)) { (line(cell)) } } } } }
            }
        }
    }
}

fn numeric(text: &str) -> bool {
    text == "n/a" || text == "–" || text.replace('−', "-").parse::<f64>().is_ok()
}

/// Standard base64 with padding (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for k in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * k)) as usize & 63];
            out.push(if k <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn base64_vectors() {
        for (input, output) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(input.as_bytes()), output);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfb]), "//77");
    }

    #[test]
    fn everything_is_escaped_and_nothing_is_loaded() {
        let evil = "<script>alert('x')</script> & \"y\"";
        let mut page = Page::new(evil, evil);
        page.section(evil).text(evil).note(evil).banner(evil).facts(vec![(evil.into(), evil.into())]);
        page.warnings(vec![evil.into()]).table(&[evil], &[vec![evil.into()]]).code(evil, evil);
        let text = page.render();
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("&lt;script&gt;"));
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("url("));
    }

    #[test]
    fn what_acts_on_text_is_shown() {
        let evil = "a\u{1b}[31m\u{202e}b\u{9b}c\u{200b}";
        let mut page = Page::new(evil, evil);
        page.section(evil).text(evil).note(evil).banner(evil).facts(vec![(evil.into(), evil.into())]);
        page.warnings(vec![evil.into()]).table(&[evil], &[vec![evil.into()]]).code(evil, format!("{evil}\n\t{evil}"));
        let text = page.render();
        let acts = |c: char| "\u{1b}\u{202e}\u{9b}\u{200b}".contains(c);
        assert!(!text.contains(acts), "{text:?}");
        let shown = r"a\u{1b}[31m\u{202e}b\u{9b}c\u{200b}";
        assert_eq!(text.matches(shown).count(), 15);
        assert!(text.contains(&format!("{shown}\n\t{shown}")), "a configuration keeps its lines");
    }

    #[test]
    fn a_figure_must_be_a_png() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.png");
        std::fs::write(&path, b"GIF89a").unwrap();
        let mut page = Page::new("t", "");
        assert_eq!(page.figure(&path, "a", "c").unwrap_err().exit_code(), 2);
        assert!(page.figure(&dir.path().join("none.png"), "a", "c").is_err());
        assert!(!page.render().contains("<img"));
    }
}
