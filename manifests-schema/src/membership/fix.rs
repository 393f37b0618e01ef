//! Writing what a service's `environments:` lacks: lines are added, and every other byte stays. What cannot be proven
//! exact by reading the file again is refused.

use super::{Dispute, entry_of, value_of};
use crate::{node::Node, parse, source::SourceFile};
use granit_parser::{Event, Parser};
use serde_json::{Map, Value, json};
use std::ops::Range;

/// Why a file is not edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixError {
    /// The file itself has errors.
    #[error("the file cannot be read")]
    Unreadable,
    /// The place is written in a form that a line cannot be added to.
    #[error("`environments` is written in a form that no line can be added to; edit it by hand")]
    Form,
}

/// The text of a service.yaml with the lines of a dispute; a file that does not exist yet is an empty one.
///
/// # Errors
/// As the variants of [`FixError`] say; the file is then as it was.
pub fn fix(text: &str, dispute: &Dispute) -> Result<String, FixError> {
    let before = read(text)?;
    let outline = Outline::of(text).ok_or(FixError::Unreadable)?;
    let edited = match &outline.environments {
        None => outline.append(text, &format!("environments: {}", value_of(&dispute.lines)))?,
        Some(found) => found.add(text, &dispute.lines)?,
    };
    let mut expected = before.to_json();
    let added = match expected.get("environments") {
        Some(Value::Object(map)) => with(map.clone(), &dispute.lines),
        _ if dispute.lines.iter().all(|(_, is_in)| *is_in) => {
            Value::Array(dispute.lines.iter().map(|(name, _)| json!(name)).collect())
        }
        _ => with(Map::new(), &dispute.lines),
    };
    if let Value::Object(map) = &mut expected {
        map.insert("environments".to_owned(), added);
    }
    match read(&edited) {
        Ok(after) if after.to_json() == expected => Ok(edited),
        _ => Err(FixError::Form),
    }
}

fn with(mut map: Map<String, Value>, lines: &[(String, bool)]) -> Value {
    let value = |is_in: bool| if is_in { json!({}) } else { Value::Null };
    map.extend(lines.iter().map(|(name, is_in)| (name.clone(), value(*is_in))));
    Value::Object(map)
}

fn read(text: &str) -> Result<Node, FixError> {
    let node = parse::parse(&SourceFile::new("service.yaml", text)).map_err(|_| FixError::Unreadable)?;
    if node.as_map().is_some() { Ok(node) } else { Err(FixError::Unreadable) }
}

/// Something of a document, in the order in which it is written.
struct Item {
    depth: usize,
    what: What,
    range: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Map,
    List,
    End,
    Scalar(String),
    Alias,
}

impl Item {
    /// Where its text ends; none where it has none. A block ends where the next thing begins, which says nothing.
    fn end(&self, text: &str) -> Option<usize> {
        let is_written = match self.what {
            What::Scalar(_) | What::Alias => !self.range.is_empty(),
            What::End => text.get(self.range.clone()).is_some_and(|end| end.ends_with(['}', ']'])),
            What::Map | What::List => false,
        };
        is_written.then_some(self.range.end)
    }
}

/// The root map as it is written.
struct Outline {
    /// Where the root map begins; none where there is none.
    root: Option<usize>,
    /// One past the last byte of what it holds.
    end: usize,
    environments: Option<Environments>,
}

/// `environments` and its value.
struct Environments {
    key: Range<usize>,
    what: What,
    start: usize,
    /// One past the last byte of what the value holds.
    end: usize,
    /// Where the first entry is.
    first: Option<usize>,
}

impl Outline {
    fn of(text: &str) -> Option<Self> {
        let items = items(text)?;
        let end = |items: &[Item]| items.iter().filter_map(|item| item.end(text)).max();
        let is_root = |item: &&Item| item.depth == 0 && item.what != What::End;
        let root = items.iter().find(is_root).filter(|item| item.what == What::Map).map(|item| item.range.start);
        let mut environments = None;
        // The root's keys and values by turns, less the ends of values.
        let direct = |(_, item): &(usize, &Item)| item.depth == 1 && item.what != What::End;
        let turns: Vec<(usize, &Item)> = items.iter().enumerate().filter(direct).collect();
        for pair in turns.chunks_exact(2) {
            let ((_, key), (at, value)) = (pair[0], pair[1]);
            if key.what != What::Scalar("environments".to_owned()) {
                continue;
            }
            let length = match value.what {
                What::Map | What::List => {
                    items[at..].iter().position(|item| item.depth == 1 && item.what == What::End)?
                }
                _ => 0,
            };
            let inner = &items[at..=at + length];
            environments = Some(Environments {
                key: key.range.clone(),
                what: value.what.clone(),
                start: value.range.start,
                end: end(inner).unwrap_or(key.range.end),
                first: inner.iter().find(|item| item.depth == 2).map(|item| item.range.start),
            });
        }
        Some(Self { root, end: end(&items).unwrap_or_default(), environments })
    }

    /// The text with a line after everything that the root map holds.
    fn append(&self, text: &str, line: &str) -> Result<String, FixError> {
        let Some(root) = self.root else {
            let at = text.len();
            return Ok(insert(text, at, 0, &[line.to_owned()]));
        };
        if text[root..].starts_with('{') {
            return Err(FixError::Form);
        }
        Ok(insert(text, self.end, column(text, root).ok_or(FixError::Form)?, &[line.to_owned()]))
    }
}

impl Environments {
    /// The text with these lines in the map.
    fn add(&self, text: &str, lines: &[(String, bool)]) -> Result<String, FixError> {
        let entries: Vec<String> = lines.iter().map(entry_of).collect();
        let (before, after) = text.split_at(self.end);
        match (&self.what, self.first) {
            (What::Map, Some(_)) if text[self.start..].starts_with('{') => {
                // The last byte that is written is the brace itself.
                let inside = before.strip_suffix('}').ok_or(FixError::Form)?;
                let entries = entries.join(", ");
                let kept = inside.trim_end();
                let (kept, space) = (kept.strip_suffix(',').unwrap_or(kept), &inside[kept.len()..]);
                Ok(format!("{kept}, {entries}{space}}}{after}"))
            }
            (What::Map, None) => {
                let inside = before.strip_suffix('}').ok_or(FixError::Form)?;
                let inside = inside.trim_end();
                Ok(format!("{inside} {} }}{after}", entries.join(", ")))
            }
            (What::Map, Some(first)) => {
                Ok(insert(text, self.end, column(text, first).ok_or(FixError::Form)?, &entries))
            }
            (What::Scalar(written), _) if matches!(written.as_str(), "" | "~" | "null") => {
                let colon = self.key.end + text[self.key.end..].find(':').ok_or(FixError::Form)? + 1;
                let end = self.end.max(colon);
                Ok(format!("{} {}{}", &text[..colon], value_of(lines), &text[end..]))
            }
            _ => Err(FixError::Form),
        }
    }
}

fn items(text: &str) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    let mut depth = 0_usize;
    for next in Parser::new_from_str(text) {
        let (event, place) = next.ok()?;
        let range = place.byte_range()?;
        let what = match event {
            Event::MappingStart(..) => What::Map,
            Event::SequenceStart(..) => What::List,
            Event::MappingEnd | Event::SequenceEnd => What::End,
            Event::Scalar(value, ..) => What::Scalar(value.into_owned()),
            Event::Alias(_) => What::Alias,
            _ => continue,
        };
        if what == What::End {
            depth = depth.checked_sub(1)?;
        }
        items.push(Item { depth, what: what.clone(), range });
        if matches!(what, What::Map | What::List) {
            depth += 1;
        }
    }
    Some(items)
}

/// The bytes before a key on its line, where they are spaces alone.
fn column(text: &str, at: usize) -> Option<usize> {
    let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let lead = text[line..at].trim_start_matches('\u{feff}');
    lead.bytes().all(|byte| byte == b' ').then_some(lead.len())
}

/// The text with lines after the one that ends at a place.
fn insert(text: &str, after: usize, indent: usize, lines: &[String]) -> String {
    let end_of_line = if text.contains("\r\n") { "\r\n" } else { "\n" };
    // A block of text ends on the line after it.
    let is_at_line = after > 0 && text.as_bytes().get(after - 1) == Some(&b'\n');
    let rest = if is_at_line { 0 } else { text[after..].find('\n').map_or(text.len() - after, |at| at + 1) };
    let (head, tail) = text.split_at(after + rest);
    let is_open = !head.trim_start_matches('\u{feff}').is_empty() && !head.ends_with('\n');
    let lead = if is_open { end_of_line } else { "" };
    let lines: String = lines.iter().map(|line| format!("{:indent$}{line}{end_of_line}", "")).collect();
    format!("{head}{lead}{lines}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Diagnostic, codes};
    use std::collections::BTreeSet;

    fn dispute(lines: &[(&str, bool)]) -> Dispute {
        Dispute {
            before: BTreeSet::new(),
            after: BTreeSet::new(),
            lines: lines.iter().map(|(name, is_in)| ((*name).to_owned(), *is_in)).collect(),
            problem: Diagnostic::general(codes::MEMBERSHIP, ""),
        }
    }

    #[test]
    fn a_line_is_added_and_every_other_byte_stays() {
        let one = [("prod", true)];
        for (before, after) in [
            ("", "environments: [prod]\n"),
            ("# nothing yet", "# nothing yet\nenvironments: [prod]\n"),
            ("a: 1\n", "a: 1\nenvironments: [prod]\n"),
            ("a: 1", "a: 1\nenvironments: [prod]\n"),
            ("a: 1\r\nb: 2\r\n", "a: 1\r\nb: 2\r\nenvironments: [prod]\r\n"),
            ("  a: 1 # x\n\n# tail\n", "  a: 1 # x\n  environments: [prod]\n\n# tail\n"),
            (
                "a:\n  b:\n    - c: 1 # last\n\n# tail\n",
                "a:\n  b:\n    - c: 1 # last\nenvironments: [prod]\n\n# tail\n",
            ),
            (
                "a: |\n  text\n  more\nb: { c: [1] } # x\n",
                "a: |\n  text\n  more\nb: { c: [1] } # x\nenvironments: [prod]\n",
            ),
            ("a: |\n  text\n", "a: |\n  text\nenvironments: [prod]\n"),
            ("a:\n", "a:\nenvironments: [prod]\n"),
            ("---\na: 1\n...\n", "---\na: 1\nenvironments: [prod]\n...\n"),
            ("environments:\n", "environments: [prod]\n"),
            ("environments: # x\na: 1\n", "environments: [prod] # x\na: 1\n"),
            ("environments: ~ # x\n", "environments: [prod] # x\n"),
            ("environments: {}\n", "environments: { prod: {} }\n"),
            ("environments: { dev: {} } # x\n", "environments: { dev: {}, prod: {} } # x\n"),
            ("environments: {dev: {a: [1]}}\n", "environments: {dev: {a: [1]}, prod: {}}\n"),
            (
                "environments:\n    dev:\n        a: 1 # x\n    # y\nb: 2\n",
                "environments:\n    dev:\n        a: 1 # x\n    prod: {}\n    # y\nb: 2\n",
            ),
            ("environments:\n  dev: null\n  x:\n", "environments:\n  dev: null\n  x:\n  prod: {}\n"),
            ("a: 1\nenvironments:\n  dev:\n    c: d", "a: 1\nenvironments:\n  dev:\n    c: d\n  prod: {}\n"),
        ] {
            assert_eq!(fix(before, &dispute(&one)).as_deref(), Ok(after), "{before:?}");
        }
    }

    #[test]
    fn what_a_list_cannot_say_is_a_map() {
        let lines = [("prod", true), ("prod-us", false), ("no", true)];
        let after = "a: 1\nenvironments: { prod: {}, prod-us: null, \"no\": {} }\n";
        assert_eq!(fix("a: 1\n", &dispute(&lines)).as_deref(), Ok(after));
        let map = "environments:\n  dev: {}\n";
        let after = "environments:\n  dev: {}\n  prod: {}\n  prod-us: null\n  \"no\": {}\n";
        assert_eq!(fix(map, &dispute(&lines)).as_deref(), Ok(after));
    }

    #[test]
    fn what_cannot_be_proven_is_refused() {
        for (text, error) in [
            ("{ a: 1 }\n", FixError::Form),
            ("a: &x {}\nenvironments: *x\n", FixError::Form),
            ("environments: [dev]\n", FixError::Form),
            ("environments:\n  prod: { a: 1 }\n", FixError::Unreadable),
            ("a: [1\n", FixError::Unreadable),
            ("- a\n", FixError::Unreadable),
        ] {
            let found = fix(text, &dispute(&[("prod", true)]));
            assert!(found.is_err(), "{text:?}: {found:?} instead of {error:?}");
        }
    }
}
