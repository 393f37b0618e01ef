//! JSON, strictly: comments and trailing commas are refused with a clear sentence, duplicate keys as well.

use super::MAX_DEPTH;
use crate::{
    budget::{DOCUMENT, Weight},
    codes,
    diagnostic::Diagnostic,
    node::{Entry, Map, Node, Value},
    source::{SourceFile, Span},
};
use jsonc_parser::{CollectOptions, ParseOptions, ast, common::Ranged, parse_to_ast};
use std::sync::Arc;

pub(super) fn parse(file: &Arc<SourceFile>) -> Result<(Node, Weight), Vec<Diagnostic>> {
    let text = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    let offset = file.text.len() - text.len();
    check_size(file, text)?;
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict).map_err(|error| {
        let range = error.range();
        let span = Span::new(file, range.start + offset..range.end + offset);
        let found = lower_first(&error.kind().to_string());
        let diagnostic = Diagnostic::error(codes::SYNTAX, &span, found);
        vec![if text[range.start.min(text.len())..].starts_with("//")
            || text[range.start.min(text.len())..].starts_with("/*")
        {
            diagnostic.hint("JSON has no comments; rename the file to .yaml (JSON is valid YAML) and use `#`")
        } else {
            diagnostic
        }]
    })?;
    let Some(value) = parsed.value else {
        return Ok((Node::new(Value::Null, &Span::of_file(file)), Weight::default()));
    };
    let mut reader = Reader { file, offset, problems: Vec::new(), weight: Weight::default() };
    let node = reader.node(&value);
    if reader.problems.is_empty() { Ok((node, reader.weight)) } else { Err(reader.problems) }
}

struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    offset: usize,
    problems: Vec<Diagnostic>,
    weight: Weight,
}

impl Reader<'_> {
    fn span(&self, of: &impl Ranged) -> Span {
        Span::new(self.file, of.start() + self.offset..of.end() + self.offset)
    }

    fn node(&mut self, value: &ast::Value<'_>) -> Node {
        let span = self.span(value);
        let text = match value {
            ast::Value::StringLit(literal) => &*literal.value,
            ast::Value::NumberLit(literal) => literal.value,
            _ => "",
        };
        self.weight = self.weight.and(Weight::text(text));
        let value = match value {
            ast::Value::StringLit(_) => Value::String(text.to_owned()),
            ast::Value::NumberLit(_) => Value::Number(text.to_owned()),
            ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::Array(array) => Value::List(array.elements.iter().map(|item| self.node(item)).collect()),
            ast::Value::Object(object) => {
                let mut map = Map::with_capacity(object.properties.len());
                for property in &object.properties {
                    let name = match &property.name {
                        ast::ObjectPropName::String(literal) => literal.value.clone().into_owned(),
                        ast::ObjectPropName::Word(word) => word.value.to_owned(),
                    };
                    self.weight.bytes += name.len() as u64;
                    let key = self.span(&property.name);
                    let node = self.node(&property.value);
                    if let Some(first) = map.get(&name) {
                        let first: &Entry = first;
                        self.problems.push(
                            Diagnostic::error(codes::DUPLICATE_KEY, &key, format!("the key `{name}` is defined twice"))
                                .related("first defined here", &first.key),
                        );
                    } else {
                        map.insert(name, Entry { key, node });
                    }
                }
                Value::Map(map)
            }
        };
        Node { value, span }
    }
}

/// The parser recurses, and builds all that it finds: depth and number of the values are bounded before it runs.
fn check_size(file: &Arc<SourceFile>, text: &str) -> Result<(), Vec<Diagnostic>> {
    let refuse = |at: usize, message: String| {
        let at = at + file.text.len() - text.len();
        Err(vec![Diagnostic::error(codes::TOO_COMPLEX, &Span::new(file, at..at + 1), message)])
    };
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    // Each value but the first follows a comma, or is the first of its list or map.
    let (mut values, mut just_opened) = (1u64, false);
    for (at, byte) in text.bytes().enumerate() {
        let opened = std::mem::replace(&mut just_opened, false);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                values += 1;
                just_opened = true;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                values -= u64::from(opened);
            }
            b',' => values += 1,
            b' ' | b'\t' | b'\n' | b'\r' => just_opened = opened,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return refuse(at, format!("values nest more than {MAX_DEPTH} levels deep"));
        }
        if values > DOCUMENT.nodes + 1 {
            return refuse(at, format!("the document has more than {} values", DOCUMENT.nodes));
        }
    }
    if values > DOCUMENT.nodes {
        return refuse(0, format!("the document has more than {} values", DOCUMENT.nodes));
    }
    Ok(())
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
