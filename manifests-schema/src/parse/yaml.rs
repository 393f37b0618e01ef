//! YAML. serde_yaml decides what the values are; granit-parser says where they stand. The two trees are walked side
//! by side, merge keys are applied on the way.

use super::{MAX_DEPTH, MAX_NODES};
use crate::{
    codes,
    diagnostic::Diagnostic,
    node::{Entry, Map, Node, Value},
    source::{SourceFile, Span},
};
use granit_parser::{Event, Parser, Span as Place};
use std::{collections::HashMap, ops::Range, rc::Rc, sync::Arc};

pub(super) fn parse(file: &Arc<SourceFile>) -> Result<Node, Vec<Diagnostic>> {
    let outline = Outliner { file, anchors: HashMap::new(), problems: Vec::new(), nodes: 0 }.run()?;
    let Some(outline) = outline else {
        return Ok(Node::new(Value::Null, &Span::of_file(file)));
    };
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    let value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| {
        let start = error.location().map_or(0, |location| location.index() + file.text.len() - text.len());
        let message = error.to_string();
        if message.starts_with("repetition limit") {
            let message = format!("the document's aliases expand to more than {MAX_NODES} values");
            return vec![Diagnostic::error(codes::TOO_COMPLEX, &Span::of_file(file), message)];
        }
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        vec![Diagnostic::error(codes::SYNTAX, &Span::new(file, start..start), message)]
    })?;
    let mut join = Join { file, problems: Vec::new(), nodes: 0 };
    let node = join.node(value, &outline);
    if join.problems.is_empty() { Ok(node) } else { Err(join.problems) }
}

/// Where the parts of a document stand.
struct Outline {
    range: Range<usize>,
    part: Part,
}

enum Part {
    Scalar(String),
    List(Vec<Rc<Outline>>),
    Map(Vec<(Rc<Outline>, Rc<Outline>)>),
}

struct Outliner<'a> {
    file: &'a Arc<SourceFile>,
    anchors: HashMap<usize, Rc<Outline>>,
    problems: Vec<Diagnostic>,
    nodes: usize,
}

/// A collection that is not closed yet.
struct Open {
    start: usize,
    anchor: usize,
    is_map: bool,
    items: Vec<Rc<Outline>>,
}

impl Outliner<'_> {
    fn run(mut self) -> Result<Option<Rc<Outline>>, Vec<Diagnostic>> {
        let file = self.file;
        let mut stack: Vec<Open> = Vec::new();
        let mut root: Option<Rc<Outline>> = None;
        let mut documents = 0;
        for next in Parser::new_from_str(&file.text) {
            let (event, place) = match next {
                Ok(pair) => pair,
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or(0);
                    let message = format!("not valid YAML: {}", error.info());
                    self.problems.push(Diagnostic::error(codes::SYNTAX, &Span::new(file, at..at + 1), message));
                    return Err(self.problems);
                }
            };
            let range = place.byte_range().unwrap_or(0..0);
            self.refuse_tag(&event, &place);
            let done = match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        let message = "a second YAML document begins here; a manifest is one document".to_owned();
                        let span = Span::new(file, range);
                        self.problems.push(
                            Diagnostic::error(codes::SECOND_DOCUMENT, &span, message)
                                .hint("put it into a file of its own"),
                        );
                        return Err(self.problems);
                    }
                    None
                }
                Event::Scalar(text, _, anchor, _) => {
                    Some((anchor, Rc::new(Outline { range, part: Part::Scalar(text.into_owned()) })))
                }
                Event::Alias(id) => self.anchors.get(&id).cloned().map(|target| (0, target)),
                Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => {
                    let is_map = matches!(event, Event::MappingStart(..));
                    stack.push(Open { start: range.start, anchor, is_map, items: Vec::new() });
                    if stack.len() > MAX_DEPTH {
                        let message = format!("values nest more than {MAX_DEPTH} levels deep");
                        let span = Span::new(file, range);
                        self.problems.push(Diagnostic::error(codes::TOO_COMPLEX, &span, message));
                        return Err(self.problems);
                    }
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => stack.pop().map(|open| {
                    let end = open.items.last().map_or(range.end, |last| {
                        if file.text.as_bytes().get(range.start).is_some_and(|byte| matches!(byte, b'}' | b']')) {
                            range.end
                        } else {
                            last.range.end.max(open.start)
                        }
                    });
                    (open.anchor, Rc::new(self.close(open, end)))
                }),
                _ => None,
            };
            if let Some((anchor, outline)) = done {
                self.nodes += 1;
                if self.nodes > MAX_NODES {
                    let message = format!("the document has more than {MAX_NODES} values");
                    self.problems.push(Diagnostic::error(codes::TOO_COMPLEX, &Span::of_file(file), message));
                    return Err(self.problems);
                }
                if anchor != 0 {
                    self.anchors.insert(anchor, outline.clone());
                }
                match stack.last_mut() {
                    Some(open) => open.items.push(outline),
                    None => root = Some(outline),
                }
            }
        }
        if self.problems.is_empty() { Ok(root) } else { Err(self.problems) }
    }

    fn refuse_tag(&mut self, event: &Event<'_>, place: &Place) {
        if let Some(tag) = event.tag().filter(|tag| !tag.is_yaml_core_schema()) {
            let range = place.byte_range().unwrap_or(0..0);
            let start = place.tag_start().and_then(|mark| mark.byte_offset()).unwrap_or(range.start);
            let message = format!("the tag `{}` is not supported", tag.original());
            let span = Span::new(self.file, start..range.end.max(start));
            self.problems.push(Diagnostic::error(codes::SYNTAX, &span, message));
        }
    }

    fn close(&mut self, open: Open, end: usize) -> Outline {
        let range = open.start..end;
        if !open.is_map {
            return Outline { range, part: Part::List(open.items) };
        }
        let mut items = open.items.into_iter();
        let mut pairs: Vec<(Rc<Outline>, Rc<Outline>)> = Vec::new();
        let mut seen: HashMap<String, Range<usize>> = HashMap::new();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let span = Span::new(self.file, key.range.clone());
            match &key.part {
                Part::Scalar(text) => {
                    if let Some(first) = seen.insert(text.clone(), key.range.clone()) {
                        self.problems.push(
                            Diagnostic::error(codes::DUPLICATE_KEY, &span, format!("the key `{text}` stands twice"))
                                .related("first defined here", &Span::new(self.file, first)),
                        );
                    }
                }
                Part::List(_) | Part::Map(_) => {
                    self.problems.push(Diagnostic::error(codes::SYNTAX, &span, "a key must be a plain text"));
                }
            }
            pairs.push((key, value));
        }
        Outline { range, part: Part::Map(pairs) }
    }
}

/// Walks the values of serde_yaml and the outline together.
struct Join<'a> {
    file: &'a Arc<SourceFile>,
    problems: Vec<Diagnostic>,
    nodes: usize,
}

impl Join<'_> {
    fn node(&mut self, value: serde_yaml::Value, outline: &Outline) -> Node {
        let span = Span::new(self.file, outline.range.clone());
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            if self.nodes == MAX_NODES + 1 {
                let message = format!("the document's aliases expand to more than {MAX_NODES} values");
                self.problems.push(Diagnostic::error(codes::TOO_COMPLEX, &span, message));
            }
            return Node::new(Value::Null, &span);
        }
        let value = match (value, &outline.part) {
            (serde_yaml::Value::Tagged(tagged), _) => return self.node(tagged.value, outline),
            (serde_yaml::Value::Null, _) => Value::Null,
            (serde_yaml::Value::Bool(value), _) => Value::Bool(value),
            (serde_yaml::Value::Number(_), Part::Scalar(text)) => Value::Number(text.clone()),
            (serde_yaml::Value::String(text), _) => Value::String(text),
            (serde_yaml::Value::Sequence(values), Part::List(items)) => {
                Value::List(values.into_iter().zip(items).map(|(value, item)| self.node(value, item)).collect())
            }
            (serde_yaml::Value::Mapping(values), Part::Map(pairs)) => Value::Map(self.map(values, pairs)),
            (other, _) => {
                let message = format!("the value is read in two ways ({}); write it more plainly", kind(&other));
                self.problems.push(Diagnostic::error(codes::SYNTAX, &span, message));
                Value::Null
            }
        };
        Node { value, span }
    }

    fn map(&mut self, values: serde_yaml::Mapping, pairs: &[(Rc<Outline>, Rc<Outline>)]) -> Map {
        let mut map = Map::with_capacity(pairs.len());
        let mut merges = Vec::new();
        for ((_, value), (key, place)) in values.into_iter().zip(pairs) {
            let Part::Scalar(name) = &key.part else {
                continue;
            };
            let node = self.node(value, place);
            if name == "<<" {
                merges.push(node);
            } else {
                map.insert(name.clone(), Entry { key: Span::new(self.file, key.range.clone()), node });
            }
        }
        for merge in merges {
            let sources = match merge.value {
                Value::List(items) => items,
                _ => vec![merge],
            };
            for source in sources {
                let span = source.span.clone();
                let Value::Map(entries) = source.value else {
                    self.problems.push(Diagnostic::error(codes::SYNTAX, &span, "`<<` takes a map or a list of maps"));
                    continue;
                };
                for (name, entry) in entries {
                    map.entry(name).or_insert(entry);
                }
            }
        }
        map
    }
}

fn kind(value: &serde_yaml::Value) -> &'static str {
    match value {
        serde_yaml::Value::Null => "null",
        serde_yaml::Value::Bool(_) => "a boolean",
        serde_yaml::Value::Number(_) => "a number",
        serde_yaml::Value::String(_) => "a string",
        serde_yaml::Value::Sequence(_) => "a list",
        serde_yaml::Value::Mapping(_) => "a map",
        serde_yaml::Value::Tagged(_) => "a tagged value",
    }
}
