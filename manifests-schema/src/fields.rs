//! Reading our own maps member by member: what is not taken is unknown, and says so.

use crate::{
    codes,
    diagnostic::Diagnostic,
    node::{Entry, Map, Node, Value},
    source::Span,
    substitute::has_substitution,
};

/// Keys of the format that this version does not implement.
const NOT_YET: [&str; 5] = ["jobs", "follows", "checks", "freezes", "previews"];

/// The members of a map that are still to be read.
pub struct Fields<'a> {
    what: &'static str,
    span: Span,
    map: Map,
    known: Vec<&'static str>,
    /// Where problems go.
    pub problems: &'a mut Vec<Diagnostic>,
}

impl<'a> Fields<'a> {
    /// Begins to read a map. `what` names it in messages.
    pub fn new(node: Node, what: &'static str, problems: &'a mut Vec<Diagnostic>) -> Self {
        let span = node.span.clone();
        let map = match node.value {
            Value::Map(map) => map,
            Value::Null => Map::new(),
            _ => {
                let message = format!("{what} must be a map, not {}", node.kind());
                problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, message));
                Map::new()
            }
        };
        Self { what, span, map, known: Vec::new(), problems }
    }

    /// The place of the whole map.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Takes a member, as it is. A null is as absent.
    pub fn take(&mut self, name: &'static str) -> Option<Entry> {
        self.known.push(name);
        self.map.shift_remove(name).filter(|entry| !entry.node.is_null())
    }

    /// Takes a member that null is a value of.
    pub fn take_written(&mut self, name: &'static str) -> Option<Entry> {
        self.known.push(name);
        self.map.shift_remove(name)
    }

    /// Whether a member is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|entry| !entry.node.is_null())
    }

    /// Whether a member is a map.
    pub fn is_map(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|entry| matches!(entry.node.value, Value::Map(_)))
    }

    /// Takes a text (numbers and booleans keep their source text).
    pub fn text(&mut self, name: &'static str) -> Option<(String, Span)> {
        let entry = self.take(name)?;
        match entry.node.scalar_text() {
            Some(text) if has_substitution(&text) => {
                self.refuse_substitution(name, &entry.node.span);
                None
            }
            Some(text) => Some((text, entry.node.span)),
            None => {
                self.wrong(name, &entry.node, "a text");
                None
            }
        }
    }

    /// Takes a boolean.
    pub fn boolean(&mut self, name: &'static str) -> Option<(bool, Span)> {
        let entry = self.take(name)?;
        match entry.node.value {
            Value::Bool(value) => Some((value, entry.node.span)),
            _ => {
                self.wrong(name, &entry.node, "true or false");
                None
            }
        }
    }

    /// Takes a list of texts; a single text is a list of one.
    pub fn texts(&mut self, name: &'static str) -> Vec<(String, Span)> {
        let Some(entry) = self.take(name) else {
            return Vec::new();
        };
        let items = match entry.node.value {
            Value::List(items) => items,
            _ => vec![entry.node],
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.scalar_text() {
                Some(text) if has_substitution(&text) => self.refuse_substitution(name, &item.span),
                Some(text) => texts.push((text, item.span)),
                None => self.wrong(name, &item, "a text"),
            }
        }
        texts
    }

    /// Members of the format that this version does not implement.
    pub fn not_yet(&mut self) {
        for name in NOT_YET {
            if let Some(entry) = self.map.shift_remove(name) {
                let message = format!("`{name}` is not implemented yet");
                self.problems.push(Diagnostic::error(codes::NOT_YET, &entry.key, message).hint("remove it for now"));
            }
        }
        self.known.extend(NOT_YET);
    }

    /// Everything that was not taken is unknown.
    pub fn finish(self) {
        for (name, entry) in &self.map {
            let message = format!("{} has no key `{name}`", self.what);
            self.problems.push(
                Diagnostic::error(codes::UNKNOWN_KEY, &entry.key, message).suggest(name, self.known.iter().copied()),
            );
        }
    }

    /// Our own settings decide what a substitution means, so they cannot hold one.
    fn refuse_substitution(&mut self, name: &str, span: &Span) {
        let message = format!("`{name}` cannot be substituted; substitutions stand in taskDefinition and service only");
        self.problems.push(Diagnostic::error(codes::SUBSTITUTION, span, message));
    }

    fn wrong(&mut self, name: &str, node: &Node, expected: &str) {
        let message = format!("`{name}` must be {expected}, not {}", node.kind());
        self.problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message));
    }
}
