//! From text to a [`Node`] tree with exact places. YAML by serde_yaml (values) and granit-parser (places), JSON by
//! jsonc-parser in its strict mode.

mod conflict;
mod json;
mod plain;
mod yaml;

use crate::{
    budget::Weight,
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
    weighed(file).map(|(node, _)| node)
}

/// The same, with what the document became.
///
/// # Errors
/// Everything that is wrong with the text itself.
pub fn weighed(file: &Arc<SourceFile>) -> Result<(Node, Weight), Vec<Diagnostic>> {
    conflict::refuse(file)?;
    let (node, weight) = if file.path.ends_with(".json") { json::parse(file) } else { yaml::parse(file) }?;
    Ok((if node.is_null() { Node::empty_map(&node.span) } else { node }, weight))
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

    // H4: what a document becomes is counted before it is built, and refused at the line that makes it too much.
    #[test]
    fn what_aliases_make_of_a_document_is_counted_before_it_is_built() {
        let list = |count: usize, item: &str| vec![item; count].join(", ");
        let refused = |text: &str| {
            let problems = yaml(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            let (_, line, column) = problems[0].place().unwrap();
            (problems[0].code.id, line, column, problems[0].message.clone())
        };
        let becomes = "with this alias the document becomes more than 100000 values".to_owned();
        let bomb = format!("a: &a [{}]\nb: [{}]\n", list(49_001, "1"), list(40_001, "*a"));
        assert_eq!(refused(&bomb), ("LS0005", 2, 9, becomes.clone()));
        let mut doubling = "a0: &a0 [x, x]\n".to_owned();
        for at in 1..40 {
            doubling += &format!("a{at}: &a{at} [*a{0}, *a{0}]\n", at - 1);
        }
        assert_eq!(refused(&doubling), ("LS0005", 15, 18, becomes));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), list(15_000, "*a"));
        let text = "with this alias the document becomes more than 4096 KiB of text".to_owned();
        assert_eq!(refused(&long), ("LS0005", 2, 33, text));
        let merged = format!("a: &a {{ {} }}\nb:\n{}", list(1, "k: [1, 2]"), "  - { <<: *a }\n".repeat(30_000));
        assert_eq!(refused(&merged).0, "LS0005");
    }

    // H4: also how deep it nests; a chain of aliases would end the program when it is taken apart.
    #[test]
    fn depth_counts_with_aliases_expanded() {
        let mut chain = "- &a0 [x]\n".to_owned();
        for at in 1..1_000 {
            chain += &format!("- &a{at} [*a{}]\n", at - 1);
        }
        assert_eq!(place(yaml(&chain)), ("LS0005".into(), 64, 9));
        assert_eq!(place(yaml("a: &a [1, *a]\n")), ("LS0002".into(), 1, 11));
    }

    #[test]
    fn values_of_a_json_file_are_counted_before_it_is_read() {
        let file = |values: usize| format!("[{}]", vec!["1"; values].join(","));
        assert!(json(&file(99_999)).is_ok());
        assert_eq!(place(json(&file(100_000))).0, "LS0005");
        assert_eq!(place(json(&file(200_000))), ("LS0005".into(), 1, 200_000 + 1));
        let empty = format!("[{}]", vec!["{ }"; 99_999].join(","));
        assert!(json(&empty).is_ok(), "an empty map is one value");
    }

    // E5: whole numbers beyond 64 bits.
    #[test]
    fn whole_numbers_of_any_length_keep_their_text() {
        let node =
            yaml("a: 123456789012345678901234567890\nb: -99999999999999999999\nc: 20241130201401123456\n").unwrap();
        for (name, text) in
            [("a", "123456789012345678901234567890"), ("b", "-99999999999999999999"), ("c", "20241130201401123456")]
        {
            assert_eq!(node.get(name).unwrap().value, Value::Number(text.into()));
            assert_eq!(node.get(name).unwrap().to_json(), serde_json::Value::String(text.into()));
        }
        let huge = "9".repeat(60);
        assert_eq!(json(&format!("{{\"a\": {huge}}}")).unwrap().get("a").unwrap().scalar_text(), Some(huge.clone()));
        assert_eq!(yaml(&format!("a: {huge}\n")).unwrap().get("a").unwrap().scalar_text(), Some(huge));
        assert_eq!(yaml("a: 18446744073709551615\n").unwrap().to_json()["a"], serde_json::json!(u64::MAX));
    }

    // E8: a file that Git could not merge.
    #[test]
    fn conflict_markers_are_called_that() {
        let text = "a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> feature\nc: 4\n";
        for parsed in [yaml(text), json(text), yaml(&text.replace('\n', "\r\n"))] {
            let problems = parsed.unwrap_err();
            let said: Vec<_> = problems.iter().map(|one| (one.message.as_str(), one.place().unwrap().1)).collect();
            assert_eq!(said, [("the file has a merge conflict that is not resolved (lines 2 to 6)", 2)]);
        }
        assert!(yaml("a: |\n  <<<<<<< HEAD\n  =======\n  >>>>>>> x\n").is_ok());
    }

    #[test]
    fn json_may_be_indented_with_tabs() {
        let node = json("{\n\t\"a\": {\n\t\t\"b\": 1.10\n\t}\n}\n").unwrap();
        assert_eq!(node.get("a").unwrap().get("b").unwrap().value, Value::Number("1.10".into()));
    }
}
