//! Writing a pin: one scalar of a pins file changes, or one line is added, and every other byte stays. What cannot be
//! proven exact by reading the file again is refused.

use crate::{
    parse,
    pins::{self, Pin},
    source::SourceFile,
};
use granit_parser::{Event, Parser, ScalarStyle};
use std::ops::Range;

/// Why a pins file is not edited. Each says what a person can do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file itself has errors.
    #[error("the pins file cannot be read: {0}")]
    Unreadable(String),
    /// What should be written is not a pin.
    #[error("`{0}` is not a pin")]
    NotAPin(String),
    /// The value is written in a form that one scalar cannot replace.
    #[error("the pin of `{container}` is {form}; write it as a plain text on its line")]
    Form {
        /// The container.
        container: String,
        /// The form.
        form: &'static str,
    },
    /// The file reads differently from what was meant after the edit.
    #[error("the edit of `{0}` would change something else in the file; edit it by hand")]
    NotExact(String),
}

/// The text of a pins file with a container's pin set. The same text, where the pin stands there already.
///
/// # Errors
/// As the variants of [`EditError`] say; the file is then as it was.
pub fn set_pin(text: &str, container: &str, pin: &str) -> Result<String, EditError> {
    if !pins::is_pin(pin) {
        return Err(EditError::NotAPin(pin.to_owned()));
    }
    let before = read(text)?;
    if before.iter().any(|known| known.container == container && known.text == pin) {
        return Ok(text.to_owned());
    }
    let outline = Outline::of(text).ok_or_else(|| EditError::NotExact(container.to_owned()))?;
    let edited = match outline.value_of(container)? {
        Some((range, style)) => {
            let written = match style {
                ScalarStyle::SingleQuoted => format!("'{pin}'"),
                ScalarStyle::DoubleQuoted => format!("\"{pin}\""),
                _ => pin.to_owned(),
            };
            format!("{}{written}{}", &text[..range.start], &text[range.end..])
        }
        // A merge key brings it from elsewhere in the file.
        None if before.iter().any(|known| known.container == container) => {
            return Err(EditError::Form { container: container.to_owned(), form: "merged in by `<<`" });
        }
        None => outline.append(text, container, pin)?,
    };
    prove(&before, &edited, container, pin)?;
    Ok(edited)
}

/// The pins of a text, which must be free of errors.
fn read(text: &str) -> Result<Vec<Pin>, EditError> {
    let unreadable = |problems: &[crate::Diagnostic]| {
        let first = problems.first().map(|problem| {
            let place = problem.place().map_or(String::new(), |(_, line, column)| format!("{line}:{column}: "));
            format!("{place}{}", problem.message)
        });
        EditError::Unreadable(first.unwrap_or_default())
    };
    let file = SourceFile::new("pins.yaml", text);
    let node = parse::parse(&file).map_err(|problems| unreadable(&problems))?;
    let mut problems = Vec::new();
    let pins = pins::read(&node, &mut problems);
    if problems.is_empty() { Ok(pins) } else { Err(unreadable(&problems)) }
}

/// Reads the edited text: every other pin is the same, in the same order, and the target is the new one.
fn prove(before: &[Pin], edited: &str, container: &str, pin: &str) -> Result<(), EditError> {
    let inexact = || EditError::NotExact(container.to_owned());
    let after = read(edited).map_err(|_| inexact())?;
    let mut expected: Vec<(&str, &str)> = before
        .iter()
        .map(|known| (known.container.as_str(), if known.container == container { pin } else { known.text.as_str() }))
        .collect();
    if !before.iter().any(|known| known.container == container) {
        expected.push((container, pin));
    }
    let found: Vec<(&str, &str)> = after.iter().map(|known| (known.container.as_str(), known.text.as_str())).collect();
    if found == expected { Ok(()) } else { Err(inexact()) }
}

/// The root map as it is written.
#[derive(Default)]
struct Outline {
    entries: Vec<Entry>,
    /// Column of the root map's keys in bytes; none where there is no root map.
    root: Option<Root>,
    documents: usize,
}

struct Root {
    indent: usize,
    is_flow: bool,
}

struct Entry {
    key: String,
    value: Written,
    end: usize,
}

enum Written {
    Scalar(Range<usize>, ScalarStyle),
    Alias,
    Collection,
}

impl Outline {
    fn of(text: &str) -> Option<Self> {
        let mut outline = Self::default();
        let mut depth = 0_usize;
        let mut key: Option<String> = None;
        for next in Parser::new_from_str(text) {
            let (event, place) = next.ok()?;
            let range = place.byte_range()?;
            match event {
                Event::DocumentStart(..) => outline.documents += 1,
                Event::MappingStart(..) | Event::SequenceStart(..) => {
                    if depth == 0 {
                        let line = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
                        let lead = text[line..range.start].trim_start_matches('\u{feff}');
                        outline.root =
                            Some(Root { indent: lead.len(), is_flow: text[range.start..].starts_with(['{', '[']) });
                    }
                    depth += 1;
                }
                Event::MappingEnd | Event::SequenceEnd => {
                    depth = depth.checked_sub(1)?;
                    if depth == 1 {
                        outline.close(&mut key, Written::Collection, range.end);
                    }
                }
                Event::Scalar(value, style, ..) if depth == 1 => match key {
                    None => key = Some(value.into_owned()),
                    Some(_) => outline.close(&mut key, Written::Scalar(range.clone(), style), range.end),
                },
                Event::Alias(_) if depth == 1 => outline.close(&mut key, Written::Alias, range.end),
                _ => {}
            }
        }
        (outline.documents <= 1).then_some(outline)
    }

    fn close(&mut self, key: &mut Option<String>, value: Written, end: usize) {
        if let Some(key) = key.take() {
            self.entries.push(Entry { key, value, end });
        }
    }

    /// Where the container's scalar stands; none where the container has no entry.
    fn value_of(&self, container: &str) -> Result<Option<(Range<usize>, ScalarStyle)>, EditError> {
        let refuse = |form| EditError::Form { container: container.to_owned(), form };
        let Some(entry) = self.entries.iter().find(|entry| entry.key == container) else { return Ok(None) };
        match &entry.value {
            Written::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded) => Err(refuse("a block of text")),
            Written::Scalar(range, _) if range.is_empty() => Err(refuse("empty")),
            Written::Scalar(range, style) => Ok(Some((range.clone(), *style))),
            Written::Alias => Err(refuse("an alias")),
            Written::Collection => Err(refuse("not a text")),
        }
    }

    /// The text with a line for another container after the last one.
    fn append(&self, text: &str, container: &str, pin: &str) -> Result<String, EditError> {
        let end_of_line = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let (at, indent) = match (&self.root, self.entries.last()) {
            (None, _) => (text.len(), 0),
            (Some(root), Some(last)) if !root.is_flow => {
                let rest = &text[last.end..];
                // A block's range may already end on the next line.
                let ends_line = last.end > 0 && text.as_bytes().get(last.end - 1) == Some(&b'\n');
                let line = if ends_line { 0 } else { rest.find('\n').map_or(rest.len(), |at| at + 1) };
                (last.end + line, root.indent)
            }
            (Some(_), _) => {
                return Err(EditError::Form {
                    container: container.to_owned(),
                    form: "to be added to a map in braces",
                });
            }
        };
        let (head, tail) = text.split_at(at);
        let is_open = !head.trim_start_matches('\u{feff}').is_empty() && !head.ends_with('\n');
        let lead = if is_open { end_of_line } else { "" };
        // A container's name has letters, digits, hyphens and underscores, so it may read as a number or a boolean;
        // as a key it is its own text all the same.
        Ok(format!("{head}{lead}{:indent$}{container}: {pin}{end_of_line}{tail}", ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "1.4.3@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn set(text: &str) -> Result<String, EditError> {
        set_pin(text, "web", NEW)
    }

    #[test]
    fn only_the_scalar_changes() {
        for text in [
            "web: OLD\n",
            "web: OLD",
            "web: 'OLD'\n",
            "web: \"OLD\"   # the one\n",
            "\u{feff}web: OLD\r\nother: 1.10\r\n",
            "# head\n---\n# before\nother: 2\n  # odd\nweb:    OLD # {\"policy\": 1}\n\n\n# tail",
            "{ web: OLD, other: 1 }\n",
            "{\"web\": \"OLD\", \"other\": \"1\"}\n",
            "web: &anchor OLD\nother: 1\n",
            "web: !!str OLD\n",
            "web:\n  # between\n  OLD\nother: 1\n",
            "? web\n: OLD\n",
            "   web: OLD\n   other: 3\n",
            "\"web\": OLD\n",
            "other: \"é\"  # ünï\nweb: OLD # ö\n".replace("é", "x").as_str(),
            "%YAML 1.2\n---\nweb: OLD\n...\n",
            "<<: {other: 1}\nweb: OLD\n",
        ] {
            for old in ["1.4.2", "1.10"] {
                let before = text.replace("OLD", old);
                assert_eq!(set(&before), Ok(text.replace("OLD", NEW)), "{before:?}");
            }
        }
    }

    #[test]
    fn a_container_without_a_pin_gets_a_line() {
        for (before, after) in [
            ("", "web: NEW\n"),
            ("# nothing yet\n", "# nothing yet\nweb: NEW\n"),
            ("# nothing yet", "# nothing yet\nweb: NEW\n"),
            ("\u{feff}", "\u{feff}web: NEW\n"),
            ("other: 1\n", "other: 1\nweb: NEW\n"),
            ("other: 1", "other: 1\nweb: NEW\n"),
            ("other: 1\r\n", "other: 1\r\nweb: NEW\r\n"),
            ("  other: 1 # x\n\n# tail\n", "  other: 1 # x\n  web: NEW\n\n# tail\n"),
            ("other: '1'\n...\n", "other: '1'\nweb: NEW\n...\n"),
            ("---\nother: 1\n", "---\nother: 1\nweb: NEW\n"),
        ] {
            assert_eq!(set(before), Ok(after.replace("NEW", NEW)), "{before:?}");
        }
    }

    #[test]
    fn what_stands_there_already_changes_nothing() {
        let text = format!("web:   '{NEW}'  # same\r\n");
        assert_eq!(set(&text), Ok(text.clone()));
    }

    #[test]
    fn what_cannot_be_proven_is_refused() {
        for (text, reason) in [
            ("web: >-\n  1.4.2\n", "the pin of `web` is a block of text; write it as a plain text on its line"),
            ("web: >\n  1.4.2\n", "the pins file cannot be read: 2:3: `1.4.2\n` is not a pin"),
            ("web: |-\n  1.4.2\n", "the pin of `web` is a block of text; write it as a plain text on its line"),
            ("other: &a 1\nweb: *a\n", "the pin of `web` is an alias; write it as a plain text on its line"),
            ("web: &a 1\nother: *a\n", "the edit of `web` would change something else in the file; edit it by hand"),
            ("base: &b\n", "the pins file cannot be read: 1:9: the pin of `base` must be a text, not null"),
            ("<<: {web: 1}\n", "the pin of `web` is merged in by `<<`; write it as a plain text on its line"),
            (
                "{ other: 1 }\n",
                "the pin of `web` is to be added to a map in braces; write it as a plain text on its line",
            ),
            ("{}\n", "the pin of `web` is to be added to a map in braces; write it as a plain text on its line"),
            ("web: 1\nweb: 2\n", "the pins file cannot be read: 2:1: the key `web` stands twice"),
            (
                "web: 1\n---\nweb: 2\n",
                "the pins file cannot be read: 2:1: a second YAML document begins here; a manifest is one document",
            ),
            ("web: [1]\n", "the pins file cannot be read: 1:6: the pin of `web` must be a text, not a list"),
            ("- web\n", "the pins file cannot be read: 1:1: a pins file is a map from container to pin"),
        ] {
            assert_eq!(set(text).map_err(|error| error.to_string()), Err(reason.to_owned()), "{text:?}");
        }
        assert_eq!(set_pin("", "web", "a b"), Err(EditError::NotAPin("a b".into())));
        assert!(set_pin("", "web: 1\nevil", "1.2").is_err());
    }
}
