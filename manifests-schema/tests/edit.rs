//! The edit of one pin, over generated pins files: one scalar changes or one line is added, every other byte stays, and
//! what cannot be edited so is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_manifests::{
    edit::{EditError, set_pin},
    parse, pins,
    source::SourceFile,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::ops::Range;

const CONTAINERS: [&str; 12] = ["web", "api", "log-router", "a_1", "1", "007", "1e3", "true", "null", "no", "x", "Web"];
const COMMENTS: [&str; 7] =
    ["#", "# plain", "# ünï – çödé 🚀", "# {\"policy\": \"web: 1.2\"}", "# web: 1.0", "# 'open", "# \"tab\t\\"];
const TAGS: [&str; 20] = [
    "1.4.2",
    "1.10",
    "1.4",
    "10",
    "007",
    "1e3",
    "0x1F",
    "1_000",
    "v2",
    "latest",
    "true",
    "Null",
    "null",
    "no",
    "_x",
    "2026-01-15",
    "1.4.2-rc.1",
    "main-0af1234-1700000000",
    "a.-_b",
    "12345678901234567890123",
];

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Block(&'static str),
    /// The alias of the entry that was written first.
    Alias,
}

#[derive(Clone, Debug)]
struct Entry {
    container: &'static str,
    pin: String,
    style: Style,
    /// Lines above it: blank, or a comment.
    above: Vec<&'static str>,
    /// What stands on both sides of the key; `?` for the long form.
    key: &'static str,
    /// Between the colon and the value; `\n` goes to the next line.
    gap: &'static str,
    /// Tag and anchor.
    properties: &'static str,
    /// Behind the value.
    behind: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Block { indent: usize },
    Flow { is_broken: bool },
}

#[derive(Clone, Debug)]
struct Recipe {
    has_bom: bool,
    head: &'static str,
    form: Form,
    merge: Option<&'static str>,
    entries: Vec<Entry>,
    tail: &'static str,
    end_of_line: &'static str,
    ends_open: bool,
}

/// A file, and where each of its values stands.
#[derive(Clone, Debug)]
struct Built {
    text: String,
    values: Vec<Range<usize>>,
}

/// Whether a plain scalar can be this text and no other value.
fn is_plain(pin: &str) -> bool {
    let is_large = pin.bytes().all(|byte| byte.is_ascii_digit()) && pin.parse::<u64>().is_err();
    !pin.starts_with('@') && !["null", "Null", "NULL"].contains(&pin) && !is_large
}

impl Recipe {
    fn build(&self) -> Built {
        let end_of_line = self.end_of_line;
        let mut built = Built { text: String::new(), values: Vec::new() };
        if self.has_bom {
            built.text.push('\u{feff}');
        }
        built.text.push_str(&self.head.replace('\n', end_of_line));
        match self.form {
            Form::Block { indent } => {
                let pad = " ".repeat(indent);
                if let Some(merge) = self.merge {
                    built.text.push_str(&format!("{pad}<<: {merge}{end_of_line}"));
                }
                for (index, entry) in self.entries.iter().enumerate() {
                    for line in &entry.above {
                        built.text.push_str(&format!("{line}{end_of_line}"));
                    }
                    built.text.push_str(&pad);
                    built.key(entry, &format!("{end_of_line}{pad}"));
                    self.value(&mut built, index, &pad);
                    if let Some(comment) = entry.behind
                        && !matches!(entry.style, Style::Block(_))
                    {
                        built.text.push_str(&format!("  {comment}"));
                    }
                    if !built.text.ends_with('\n') {
                        built.text.push_str(end_of_line);
                    }
                }
            }
            Form::Flow { is_broken } => {
                let lead = if is_broken { format!("{end_of_line}  ") } else { " ".to_owned() };
                built.text.push('{');
                for (index, entry) in self.entries.iter().enumerate() {
                    if is_broken && let Some(comment) = entry.behind {
                        built.text.push_str(&format!(" {comment}"));
                    }
                    built.text.push_str(&lead);
                    built.key(entry, &lead);
                    self.value(&mut built, index, "  ");
                    if index + 1 < self.entries.len() {
                        built.text.push(',');
                    }
                }
                built.text.push_str(if is_broken { end_of_line } else { " " });
                built.text.push('}');
                built.text.push_str(end_of_line);
            }
        }
        built.text.push_str(&self.tail.replace('\n', end_of_line));
        if self.ends_open {
            built.text.truncate(built.text.trim_end_matches(['\r', '\n']).len());
        }
        built
    }

    fn value(&self, built: &mut Built, index: usize, pad: &str) {
        let entry = &self.entries[index];
        let line = format!("{}{pad}  ", self.end_of_line);
        built.text.push_str(&entry.gap.replace('\n', &line));
        if entry.style == Style::Alias && index > 0 && self.entries[0].properties.contains('&') {
            built.text.push_str("*first");
            built.values.push(0..0);
            return;
        }
        built.text.push_str(entry.properties);
        let start = built.text.len();
        match entry.style {
            Style::Plain if is_plain(&entry.pin) => built.text.push_str(&entry.pin),
            Style::Single => built.text.push_str(&format!("'{}'", entry.pin)),
            Style::Block(mark) if matches!(self.form, Form::Block { .. }) => {
                built.text.push_str(&format!("{mark}{line}{}{}", entry.pin, self.end_of_line))
            }
            _ => built.text.push_str(&format!("\"{}\"", entry.pin)),
        }
        built.values.push(start..built.text.len());
    }
}

impl Built {
    fn key(&mut self, entry: &Entry, line: &str) {
        match entry.key {
            "?" => self.text.push_str(&format!("? {}{line}:", entry.container)),
            quote => self.text.push_str(&format!("{quote}{}{quote}:", entry.container)),
        }
    }
}

fn digest() -> impl Strategy<Value = String> {
    "[0-9a-f]{64}".prop_map(|hex| format!("sha256:{hex}"))
}

fn pin() -> impl Strategy<Value = String> {
    let tag = || prop_oneof![select(&TAGS[..]).prop_map(str::to_owned), "[A-Za-z0-9_][A-Za-z0-9._-]{0,12}"];
    prop_oneof![
        4 => tag(),
        4 => (tag(), digest()).prop_map(|(tag, digest)| format!("{tag}@{digest}")),
        2 => digest().prop_map(|digest| format!("@{digest}")),
        1 => (tag(), digest()).prop_map(|(tag, digest)| format!("registry.example:5000/a/b:{tag}@{digest}")),
        1 => tag().prop_map(|tag| format!("a.example/b:{tag}")),
    ]
}

fn above() -> impl Strategy<Value = Vec<&'static str>> {
    vec(prop_oneof![Just(""), Just("   "), select(&COMMENTS[..]), Just("      # further in")], 0..3)
}

/// Entries as people write them where `is_ordinary`, else in any way.
fn entry(container: &'static str, is_ordinary: bool) -> BoxedStrategy<Entry> {
    let styles = if is_ordinary {
        vec![Style::Plain, Style::Single, Style::Double]
    } else {
        vec![
            Style::Plain,
            Style::Single,
            Style::Double,
            Style::Block("|-"),
            Style::Block(">-"),
            Style::Block("|"),
            Style::Alias,
        ]
    };
    let keys = if is_ordinary { vec!["", "'", "\""] } else { vec!["", "'", "\"", "?"] };
    let gaps = if is_ordinary {
        vec![" ", "    "]
    } else {
        vec![" ", "    ", "\n", "\n# between\n", "  # behind the key\n", "\n\n"]
    };
    let properties =
        if is_ordinary { vec![""] } else { vec!["", "", "", "!!str ", "&first ", "&first !!str ", "!!str &other "] };
    (pin(), select(styles), above(), select(keys), select(gaps), select(properties), option::of(select(&COMMENTS[..])))
        .prop_map(move |(pin, style, above, key, gap, properties, behind)| Entry {
            container,
            pin,
            style,
            above,
            key,
            gap,
            properties,
            behind,
        })
        .boxed()
}

fn recipe(is_ordinary: bool) -> impl Strategy<Value = Recipe> {
    let heads = if is_ordinary {
        vec!["", "", "---\n", "# head\n\n", "# ünï\n---\n", "--- # begin\n"]
    } else {
        vec!["", "---\n", "%YAML 1.2\n---\n", "# head\n%YAML 1.2\n--- # begin\n", "\n\n"]
    };
    let forms = if is_ordinary {
        vec![Form::Block { indent: 0 }, Form::Block { indent: 2 }]
    } else {
        vec![
            Form::Block { indent: 0 },
            Form::Block { indent: 1 },
            Form::Block { indent: 5 },
            Form::Flow { is_broken: false },
            Form::Flow { is_broken: true },
        ]
    };
    let merges =
        if is_ordinary { vec![None] } else { vec![None, None, Some("{merged: '1'}"), Some("[{merged: 1}, {m: 2}]")] };
    let tails = if is_ordinary {
        vec!["", "", "\n", "# tail\n", "\n\n# tail – ü\n\n", "...\n"]
    } else {
        vec!["", "...\n", "# tail\n...\n# after\n", "\n...\n\n", "  # odd\n"]
    };
    let entries = proptest::sample::subsequence(CONTAINERS.to_vec(), 0..6)
        .prop_shuffle()
        .prop_flat_map(move |names| names.into_iter().map(|name| entry(name, is_ordinary)).collect::<Vec<_>>());
    (any::<bool>(), select(heads), select(forms), select(merges), entries, select(tails), any::<bool>(), any::<bool>())
        .prop_map(|(has_bom, head, form, merge, entries, tail, is_dos, ends_open)| Recipe {
            has_bom,
            head,
            form,
            merge,
            entries,
            tail,
            end_of_line: if is_dos { "\r\n" } else { "\n" },
            ends_open,
        })
}

/// The pins of a text; none where it is refused.
fn read(text: &str) -> Option<Vec<(String, String)>> {
    let node = parse::parse(&SourceFile::new("pins.yaml", text)).ok()?;
    let mut problems = Vec::new();
    let pins = pins::read(&node, &mut problems);
    problems.is_empty().then(|| pins.into_iter().map(|pin| (pin.container, pin.text)).collect())
}

/// What holds of every edit of every text. The edited text, where there is one.
fn edit(text: &str, container: &str, pin: &str) -> Result<String, EditError> {
    let edited = set_pin(text, container, pin)?;
    let before = read(text).expect("only what can be read is edited");
    let after = read(&edited).expect("what was edited can be read");
    let mut expected = before.clone();
    match expected.iter_mut().find(|(known, _)| known == container) {
        Some((_, text)) => pin.clone_into(text),
        None => {
            // Those that are merged in by `<<` come last.
            let at = after.iter().position(|(known, _)| known == container).unwrap_or_default();
            expected.insert(at, (container.to_owned(), pin.to_owned()));
        }
    }
    assert_eq!(after, expected, "{text:?} became {edited:?}");
    assert_eq!(set_pin(&edited, container, pin).as_ref(), Ok(&edited), "the same again changes nothing");
    if before.iter().any(|(known, _)| known == container) {
        let changed = changed_lines(text, &edited);
        let expected = usize::from(before != after);
        assert_eq!(changed, expected, "lines that differ: {text:?} became {edited:?}");
    } else {
        let added = added(text, &edited).expect("one piece is added, and nothing else changes");
        let is_ending = is_open(text) && edited.ends_with('\n');
        assert_eq!(added.matches('\n').count(), 1 + usize::from(is_ending), "{text:?} became {edited:?}");
    }
    Ok(edited)
}

/// Whether a text has a last line that is not ended.
fn is_open(text: &str) -> bool {
    !text.trim_start_matches('\u{feff}').is_empty() && !text.ends_with('\n')
}

fn changed_lines(before: &str, after: &str) -> usize {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    assert_eq!(before.len(), after.len(), "the number of lines");
    before.iter().zip(&after).filter(|(a, b)| a != b).count()
}

/// What stands in a text that is otherwise another one.
fn added<'a>(before: &str, after: &'a str) -> Option<&'a str> {
    let common = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let length = after.len().checked_sub(before.len())?;
    (after.get(common + length..)? == before.get(common..)?).then(|| &after[common..common + length])
}

/// The text with another scalar at a value's place, in each way that a scalar may be written.
fn spliced(built: &Built, index: usize, pin: &str) -> [String; 3] {
    let range = built.values[index].clone();
    let (head, tail) = (&built.text[..range.start], &built.text[range.end..]);
    [format!("{head}{pin}{tail}"), format!("{head}'{pin}'{tail}"), format!("{head}\"{pin}\"{tail}")]
}

/// A text with pieces taken out, put in and said twice.
fn mutated() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "\n", "\r", "\t", " ", ":", "#", "'", "\"", "&a", "*a", "{", "}", "[", "]", ",", "?", "-", "|", ">", "!",
        "!!int ", "%", "@", "<<: ", "---\n", "...\n", "\u{feff}", "\u{85}", "\u{2028}", "\0", "é", "🚀", "web",
        "web: ", "1.2", "~", "\\", "\r\n",
    ]);
    let change = (any::<prop::sample::Index>(), 0..12_usize, piece, 0..4_u8);
    (recipe(false), vec(change, 1..5)).prop_map(|(recipe, changes)| {
        let mut letters: Vec<char> = recipe.build().text.chars().collect();
        for (at, length, piece, kind) in changes {
            let at = at.index(letters.len() + 1);
            let end = (at + length).min(letters.len());
            match kind {
                0 => drop(letters.drain(at..end)),
                1 => drop(letters.splice(at..at, piece.chars())),
                2 => drop(letters.splice(at..end, piece.chars())),
                _ => {
                    let again = letters[at..end].to_vec();
                    letters.splice(at..at, again);
                }
            }
        }
        letters.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1024), ..ProptestConfig::default() })]

    #[test]
    fn ordinary_files_are_never_refused(recipe in recipe(true), new in pin(), at in any::<prop::sample::Index>()) {
        let built = recipe.build();
        let container = CONTAINERS[at.index(CONTAINERS.len())];
        let edited = edit(&built.text, container, &new).unwrap_or_else(|error| panic!("{:?}: {error}", built.text));
        match recipe.entries.iter().position(|entry| entry.container == container) {
            Some(index) => {
                let entry = &recipe.entries[index];
                let [plain, single, double] = spliced(&built, index, &new);
                let expected = match entry.style {
                    _ if entry.pin == new => built.text.clone(),
                    Style::Single => single,
                    Style::Plain if is_plain(&new) && is_plain(&entry.pin) => plain,
                    _ => double,
                };
                prop_assert_eq!(edited, expected);
            }
            None => {
                let value = if is_plain(&new) { new } else { format!("\"{new}\"") };
                let indent = match recipe.form {
                    Form::Block { indent } if !recipe.entries.is_empty() => indent,
                    _ => 0,
                };
                let end_of_line = if built.text.contains("\r\n") { "\r\n" } else { "\n" };
                let lead = if is_open(&built.text) && added(&built.text, &edited).unwrap().starts_with(end_of_line) {
                    end_of_line
                } else {
                    ""
                };
                let line = format!("{lead}{:indent$}{container}: {value}{end_of_line}", "");
                // The piece may be told from what stands beside it in more than one way.
                let is_there = edited.match_indices(&line)
                    .any(|(at, _)| format!("{}{}", &edited[..at], &edited[at + line.len()..]) == built.text);
                prop_assert!(is_there, "{:?} in {:?}", line, edited);
            }
        }
    }

    #[test]
    fn of_any_file_only_the_scalar_changes(recipe in recipe(false), new in pin(), at in any::<prop::sample::Index>()) {
        let built = recipe.build();
        let container = CONTAINERS[at.index(CONTAINERS.len())];
        if let Ok(edited) = edit(&built.text, container, &new)
            && let Some(index) = recipe.entries.iter().position(|entry| entry.container == container)
        {
            let is_same = edited == built.text && recipe.entries[index].pin == new;
            prop_assert!(is_same || spliced(&built, index, &new).contains(&edited), "{:?} {:?}", built.text, edited);
        }
    }

    #[test]
    fn each_bump_of_many_is_one_line(
        recipe in recipe(true),
        bumps in vec((any::<prop::sample::Index>(), pin()), 1..8),
    ) {
        if recipe.entries.is_empty() {
            return Ok(());
        }
        let mut text = recipe.build().text;
        let lines = text.split('\n').count();
        let (mut changed, mut differing) = (0, 0);
        for (at, new) in bumps {
            let container = recipe.entries[at.index(recipe.entries.len())].container;
            let edited = edit(&text, container, &new).unwrap();
            differing += usize::from(read(&text) != read(&edited));
            changed += changed_lines(&text, &edited);
            text = edited;
        }
        prop_assert_eq!(changed, differing);
        prop_assert_eq!(text.split('\n').count(), lines);
    }

    #[test]
    fn a_refusal_is_the_same_each_time(text in mutated(), container in select(&CONTAINERS[..]), new in ".{0,12}") {
        let before = text.clone();
        prop_assert_eq!(set_pin(&text, container, &new), set_pin(&text, container, &new));
        prop_assert_eq!(text, before);
    }

    #[test]
    fn files_with_anything_in_them_are_edited_exactly_or_refused(
        text in mutated(),
        container in prop_oneof![3 => select(&CONTAINERS[..]).prop_map(str::to_owned), 1 => ".{0,8}"],
        new in prop_oneof![3 => pin(), 1 => "[^ ]{0,4}/[^ ]{0,8}"],
    ) {
        let _ = edit(&text, &container, &new);
    }

    #[test]
    fn any_text_is_edited_exactly_or_refused(text in "(?s).{0,60}", container in "web|.{0,4}", new in pin()) {
        let _ = edit(&text, &container, &new);
    }
}
