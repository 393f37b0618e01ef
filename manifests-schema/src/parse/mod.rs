//! From text to a [`Node`] tree with exact places. YAML by serde_yaml (values) and granit-parser (places), JSON by
//! jsonc-parser in its strict mode.

mod json;
mod yaml;

use crate::{
    codes,
    diagnostic::Diagnostic,
    node::Node,
    source::{SourceFile, Span},
};
use std::sync::Arc;

/// Largest file that is read, in bytes.
pub const MAX_FILE: usize = 1024 * 1024;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// Most nodes in a document, aliases expanded.
pub const MAX_NODES: usize = 100_000;

/// Whether a path names a YAML or JSON file.
pub fn is_manifest(path: &str) -> bool {
    matches!(path.rsplit_once('.'), Some((_, "yaml" | "yml" | "json")))
}

/// A source file from bytes: UTF-8 and not too large.
///
/// # Errors
/// A diagnostic with the reason.
pub fn decode(path: &str, bytes: Vec<u8>) -> Result<Arc<SourceFile>, Box<Diagnostic>> {
    let refuse = |reason: String| {
        Box::new(Diagnostic::error(codes::UNREADABLE, &Span::of_file(&SourceFile::new(path, "")), reason))
    };
    if bytes.len() > MAX_FILE {
        return Err(refuse(format!("the file has {} bytes, more than the limit of {MAX_FILE}", bytes.len())));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(SourceFile::new(path, text)),
        Err(error) => Err(refuse(format!("the file is not UTF-8 text (byte {})", error.utf8_error().valid_up_to()))),
    }
}

/// Parses a YAML or JSON file, by its name. An empty YAML document is an empty map.
///
/// # Errors
/// Everything that is wrong with the text itself.
pub fn parse(file: &Arc<SourceFile>) -> Result<Node, Vec<Diagnostic>> {
    let node = if file.path.ends_with(".json") { json::parse(file) } else { yaml::parse(file) }?;
    Ok(if node.is_null() { Node::empty_map(&node.span) } else { node })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Value;

    fn yaml(text: &str) -> Result<Node, Vec<Diagnostic>> {
        parse(&SourceFile::new("a.yaml", text))
    }

    fn json(text: &str) -> Result<Node, Vec<Diagnostic>> {
        parse(&SourceFile::new("a.json", text))
    }

    fn place(result: Result<Node, Vec<Diagnostic>>) -> (String, usize, usize) {
        let problems = result.unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let (_, line, column) = problems[0].place().unwrap();
        (problems[0].code.id.to_owned(), line, column)
    }

    #[test]
    fn numbers_keep_their_text_and_places_are_exact_after_multibyte_text() {
        let node = yaml("é: [ 1.10, ü ]\nb: \"x\"\n").unwrap();
        let Value::List(items) = &node.get("é").unwrap().value else { panic!() };
        assert_eq!(items[0].value, Value::Number("1.10".into()));
        assert_eq!(items[1].span.line_column(), (1, 12));
        assert_eq!(node.get("b").unwrap().span.text(), "\"x\"");
    }

    #[test]
    fn aliases_and_merge_keys_work() {
        let node = yaml("base: &b { a: 1, c: 2 }\nx:\n  <<: *b\n  a: 3\ny: *b\n").unwrap();
        assert_eq!(node.to_json()["x"], serde_json::json!({"a": 3, "c": 2}));
        assert_eq!(node.to_json()["y"], serde_json::json!({"a": 1, "c": 2}));
    }

    #[test]
    fn what_is_wrong_with_a_text_is_pointed_at() {
        assert_eq!(place(yaml("a: 1\nb: 2\na: 3\n")), ("LS0003".into(), 3, 1));
        assert_eq!(place(yaml("a: 1\n---\nb: 2\n")), ("LS0004".into(), 2, 1));
        assert_eq!(place(yaml("a: 1\nb: [1, 2\n")).0, "LS0002");
        assert_eq!(place(yaml("a: !Ref x\n")), ("LS0002".into(), 1, 4));
        assert_eq!(place(json("{\"a\": 1, // no\n \"b\": 2}")).0, "LS0002");
        assert_eq!(place(json("{\"a\": 1, \"a\": 2}")), ("LS0003".into(), 1, 10));
        assert_eq!(place(json(&format!("{}{}", "[".repeat(100), "]".repeat(100)))).0, "LS0005");
        assert_eq!(place(yaml(&format!("{}{}", "[".repeat(100), "]".repeat(100)))).0, "LS0005");
    }

    #[test]
    fn json_may_be_indented_with_tabs() {
        let node = json("{\n\t\"a\": {\n\t\t\"b\": 1.10\n\t}\n}\n").unwrap();
        assert_eq!(node.get("a").unwrap().get("b").unwrap().value, Value::Number("1.10".into()));
    }
}
