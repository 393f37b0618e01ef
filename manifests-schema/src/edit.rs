//! Writing a pin: one scalar of a pins file changes, or one line is added, and every other byte stays. What cannot be
//! proven exact by reading the file again is refused.

use crate::{
    node::is_whole,
    parse,
    pins::{self, Pin},
    source::SourceFile,
};
use granit_parser::{Event, Parser, ScalarStyle};
use std::{borrow::Cow, ops::Range};

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
            format!("{}{}{}", &text[..range.start], written(pin, style), &text[range.end..])
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

/// A pin as a scalar of this style; quoted where it would not read as itself otherwise (`@sha256:…`, `null`), or other
/// readers would refuse or round it: a number beyond 64 bits.
fn written(pin: &str, style: ScalarStyle) -> Cow<'_, str> {
    // What is plain in braces is so everywhere.
    let is_plain = || {
        let found = read(&format!("{{ x: {pin} }}\n"));
        matches!(found.as_deref(), Ok([only]) if only.container == "x" && only.text == pin)
    };
    let is_large = is_whole(pin) && pin.parse::<u64>().is_err();
    match style {
        ScalarStyle::SingleQuoted => format!("'{pin}'").into(),
        ScalarStyle::Plain if !is_large && is_plain() => pin.into(),
        _ => format!("\"{pin}\"").into(),
    }
}

/// Where a document without a map ends: before the line `...`, or with the text.
fn end_of_document(text: &str) -> usize {
    let mut at = text.len() - text.trim_start_matches('\u{feff}').len();
    for line in text[at..].split_inclusive('\n') {
        if line.strip_prefix("...").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            return at;
        }
        at += line.len();
    }
    text.len()
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
    let is_set = after.iter().any(|found| found.container == container && found.text == pin);
    // A container that is added stands before those that are merged in by `<<`.
    let others = |pins: &[Pin]| -> Vec<(String, String)> {
        let others = pins.iter().filter(|found| found.container != container);
        others.map(|found| (found.container.clone(), found.text.clone())).collect()
    };
    if is_set && others(before) == others(&after) { Ok(()) } else { Err(inexact()) }
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
            (None, _) => (end_of_document(text), 0),
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
        let value = written(pin, ScalarStyle::Plain);
        // A container's name has letters, digits, hyphens and underscores, so it may read as a number or a boolean;
        // as a key it is its own text all the same.
        Ok(format!("{head}{lead}{:indent$}{container}: {value}{end_of_line}{tail}", ""))
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
            ("# nothing yet\n...\n", "# nothing yet\nweb: NEW\n...\n"),
            ("other: |-\n  1\n# tail\n", "other: |-\n  1\nweb: NEW\n# tail\n"),
            ("<<: {other: 1}\n", "<<: {other: 1}\nweb: NEW\n"),
            ("---\nother: 1\n", "---\nother: 1\nweb: NEW\n"),
        ] {
            assert_eq!(set(before), Ok(after.replace("NEW", NEW)), "{before:?}");
        }
    }

    #[test]
    fn what_would_read_as_something_else_is_quoted() {
        let digest = format!("@sha256:{}", "a".repeat(64));
        for pin in [digest.as_str(), "null", "Null", "20260115103000123456"] {
            for (before, after) in [
                ("web: 1.4 # x\n", "web: \"NEW\" # x\n"),
                ("{web: 1.4}\n", "{web: \"NEW\"}\n"),
                ("other: 1\n", "other: 1\nweb: \"NEW\"\n"),
                ("web: '1.4'\n", "web: 'NEW'\n"),
            ] {
                assert_eq!(set_pin(before, "web", pin), Ok(after.replace("NEW", pin)), "{before:?}");
            }
        }
        for pin in ["1.10", "007", "1e3", "0x1F", "true", "no", "20260115103000", "localhost:5000/a/b:1"] {
            assert_eq!(set_pin("web: 1.4\n", "web", pin), Ok(format!("web: {pin}\n")));
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
            ("web: 1\nweb: 2\n", "the pins file cannot be read: 2:1: the key `web` is defined twice"),
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
