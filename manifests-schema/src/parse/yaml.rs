//! YAML. serde_yaml decides what the values are; granit-parser says where they stand. The two trees are walked side
//! by side, merge keys are applied on the way. What aliases make of the document is counted on the outline, before the
//! values are built.

use super::{MAX_DEPTH, plain::Plain};
use crate::{
    budget::{DOCUMENT, Weight},
    codes,
    diagnostic::Diagnostic,
    node::{Entry, Map, Node, Value},
    source::{SourceFile, Span},
};
use granit_parser::{Event, Parser, Span as Place};
use std::{collections::HashMap, ops::Range, rc::Rc, sync::Arc};

pub(super) fn parse(file: &Arc<SourceFile>) -> Result<(Node, Weight), Vec<Diagnostic>> {
    let outline = Outliner { file, anchors: HashMap::new(), problems: Vec::new(), weight: Weight::default() }.run()?;
    let Some(outline) = outline else {
        return Ok((Node::new(Value::Null, &Span::of_file(file)), Weight::default()));
    };
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    let value: Plain = serde_yaml::from_str(text).map_err(|error| {
        let start = error.location().map_or(0, |location| location.index() + file.text.len() - text.len());
        let message = error.to_string();
        if message.starts_with("repetition limit") {
            let message = "the document repeats itself by aliases too often".to_owned();
            return vec![Diagnostic::error(codes::TOO_COMPLEX, &Span::of_file(file), message)];
        }
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        vec![Diagnostic::error(codes::SYNTAX, &Span::new(file, start..start), message)]
    })?;
    let mut join = Join { file, problems: Vec::new() };
    let node = join.node(value, &outline);
    if join.problems.is_empty() { Ok((node, outline.weight)) } else { Err(join.problems) }
}

/// Where the parts of a document stand.
struct Outline {
    range: Range<usize>,
    part: Part,
    /// What it becomes, aliases expanded.
    weight: Weight,
    /// How deep it nests, aliases expanded.
    depth: usize,
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
    /// Of all that was seen so far.
    weight: Weight,
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
                    let weight = Weight::text(&text);
                    self.count(weight, &range)?;
                    let part = Part::Scalar(text.into_owned());
                    Some((anchor, Rc::new(Outline { range, part, weight, depth: 0 })))
                }
                Event::Alias(id) => {
                    let Some(target) = self.anchors.get(&id).cloned() else {
                        return Err(self.give_up(
                            codes::SYNTAX,
                            range,
                            "an alias inside of what it stands for".to_owned(),
                        ));
                    };
                    self.count(target.weight, &range)?;
                    if stack.len() + target.depth > MAX_DEPTH {
                        let message = format!("with this alias values nest more than {MAX_DEPTH} levels deep");
                        return Err(self.give_up(codes::TOO_COMPLEX, range, message));
                    }
                    Some((0, target))
                }
                Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => {
                    let is_map = matches!(event, Event::MappingStart(..));
                    stack.push(Open { start: range.start, anchor, is_map, items: Vec::new() });
                    self.count(Weight::new(1, 0), &range)?;
                    if stack.len() > MAX_DEPTH {
                        let message = format!("values nest more than {MAX_DEPTH} levels deep");
                        return Err(self.give_up(codes::TOO_COMPLEX, range, message));
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

    /// Counts what comes next, before it is built.
    fn count(&mut self, weight: Weight, range: &Range<usize>) -> Result<(), Vec<Diagnostic>> {
        self.weight = self.weight.and(weight);
        if self.weight.fits(DOCUMENT) {
            return Ok(());
        }
        let is_alias = self.file.text[range.start.min(self.file.text.len())..].starts_with('*');
        let message = match (self.weight.excess(DOCUMENT), is_alias) {
            (excess, true) => format!("with this alias the document becomes {excess}"),
            (excess, false) => format!("the document has {excess}"),
        };
        Err(self.give_up(codes::TOO_COMPLEX, range.clone(), message))
    }

    fn give_up(&mut self, code: codes::Code, range: Range<usize>, message: String) -> Vec<Diagnostic> {
        let span = Span::new(self.file, range);
        self.problems.push(Diagnostic::error(code, &span, message));
        std::mem::take(&mut self.problems)
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
        let weight = open.items.iter().fold(Weight::new(1, 0), |sum, item| sum.and(item.weight));
        let depth = 1 + open.items.iter().map(|item| item.depth).max().unwrap_or(0);
        if !open.is_map {
            return Outline { range, part: Part::List(open.items), weight, depth };
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
                            Diagnostic::error(
                                codes::DUPLICATE_KEY,
                                &span,
                                format!("the key `{text}` is defined twice"),
                            )
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
        Outline { range, part: Part::Map(pairs), weight, depth }
    }
}

/// Walks the values of serde_yaml and the outline together.
struct Join<'a> {
    file: &'a Arc<SourceFile>,
    problems: Vec<Diagnostic>,
}

impl Join<'_> {
    fn node(&mut self, value: Plain, outline: &Outline) -> Node {
        let span = Span::new(self.file, outline.range.clone());
        let value = match (value, &outline.part) {
            (Plain::Null, _) => Value::Null,
            (Plain::Bool(value), _) => Value::Bool(value),
            (Plain::Number, Part::Scalar(text)) => Value::Number(text.clone()),
            (Plain::String(text), _) => Value::String(text),
            (Plain::List(values), Part::List(items)) => {
                Value::List(values.into_iter().zip(items).map(|(value, item)| self.node(value, item)).collect())
            }
            (Plain::Map(values), Part::Map(pairs)) => Value::Map(self.map(values, pairs)),
            (other, _) => {
                let message = format!("the value is read in two ways ({}); write it more plainly", other.kind());
                self.problems.push(Diagnostic::error(codes::SYNTAX, &span, message));
                Value::Null
            }
        };
        Node { value, span }
    }

    fn map(&mut self, values: Vec<Plain>, pairs: &[(Rc<Outline>, Rc<Outline>)]) -> Map {
        let mut map = Map::with_capacity(pairs.len());
        let mut merges = Vec::new();
        for (value, (key, place)) in values.into_iter().zip(pairs) {
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
