//! RFC 6902 patches on the merged definition, with keyed lists in keyed form. The operations are json-patch's; this
//! module carries the places across.

use crate::{
    budget::{Meter, Weight},
    codes,
    diagnostic::Diagnostic,
    node::{Entry, Map, Node, Value, number},
    parse::MAX_DEPTH,
    source::Span,
};
use serde_json::Value as Json;

/// So many operations that fail are told what they may have meant.
const HINTS: usize = 20;
/// Most operations in one list.
pub const MAX_OPERATIONS: usize = 500;

/// Applies one list of operations to `{taskDefinition, service}`: all of them, or none. Every operation that is wrong
/// is reported, except those that only fail because an earlier one at their place did. What an operation copies or moves
/// is counted before it is built; where that is too much, nothing more is done.
pub fn apply(target: &mut Node, patch: &Node, meter: &mut Meter, problems: &mut Vec<Diagnostic>) {
    let Value::List(written) = &patch.value else {
        problems.push(Diagnostic::error(codes::PATCH, &patch.span, "`patches` is a list of RFC 6902 operations"));
        return;
    };
    if written.len() > MAX_OPERATIONS {
        let message = format!("{} operations are more than the limit of {MAX_OPERATIONS}", written.len());
        problems.push(Diagnostic::error(codes::TOO_COMPLEX, &patch.span, message));
        return;
    }
    let mut document = target.to_json();
    let mut failed: Vec<&str> = Vec::new();
    let mut is_wrong = false;
    for operation in written {
        let path = operation.get("path").and_then(Node::as_str).unwrap_or_default();
        let parsed: Result<json_patch::PatchOperation, _> = serde_json::from_value(operation.to_json());
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                is_wrong = true;
                let message = format!("not an RFC 6902 operation: {error}");
                let hint = "an operation is a map of op, path and, for add, replace and test, value";
                problems.push(Diagnostic::error(codes::PATCH, &operation.span, message).hint(hint));
                continue;
            }
        };
        if let Err(message) = count(&document, &parsed, meter) {
            let place = operation.get("path").unwrap_or(operation);
            problems.push(Diagnostic::error(codes::TOO_COMPLEX, &place.span, message));
            return;
        }
        if let Err(error) = json_patch::patch(&mut document, std::slice::from_ref(&parsed)) {
            is_wrong = true;
            let follows = |earlier: &&str| {
                path.strip_prefix(earlier).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if !failed.iter().any(follows) {
                let place = operation.get("path").unwrap_or(operation);
                let message = format!("the operation cannot be applied: {}", error.kind);
                let mut problem = Diagnostic::error(codes::PATCH, &place.span, message);
                if failed.len() < HINTS
                    && let Some(near) = nearest_pointer(&document, path)
                {
                    problem = problem.hint(format!("did you mean `{near}`?"));
                }
                problems.push(problem);
            }
            failed.push(path);
        }
    }
    if !is_wrong {
        *target = graft(target, &document, &patch.span);
    }
}

/// Counts what an operation adds to the document, before it does.
fn count(document: &Json, operation: &json_patch::PatchOperation, meter: &mut Meter) -> Result<(), String> {
    use json_patch::PatchOperation as Operation;
    let too_much = |excess| format!("with this operation the service becomes {excess}");
    let (value, path) = match operation {
        Operation::Add(add) => (Some(&add.value), &add.path),
        Operation::Replace(replace) => (Some(&replace.value), &replace.path),
        // What is moved counts as well: only so is the work bounded, too.
        Operation::Copy(copy) => (document.pointer(copy.from.as_str()), &copy.path),
        Operation::Move(moved) => (document.pointer(moved.from.as_str()), &moved.path),
        Operation::Remove(_) | Operation::Test(_) => return meter.charge(Weight::new(1, 0)).map_err(too_much),
    };
    meter.charge(Weight::new(1, 0)).map_err(too_much)?;
    let Some(value) = value else { return Ok(()) };
    if !matches!(operation, Operation::Add(_) | Operation::Replace(_)) {
        meter.charge(Weight::of_json(value)).map_err(too_much)?;
    }
    if path.as_str().split('/').count() + depth(value) > MAX_DEPTH {
        return Err(format!("with this operation values nest more than {MAX_DEPTH} levels deep"));
    }
    Ok(())
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The tree for `document`, with the nodes of `old` where the values are equal and the patch's place elsewhere.
fn graft(old: &Node, document: &Json, patch: &Span) -> Node {
    match (&old.value, document) {
        (Value::Map(map), Json::Object(object)) => {
            let mut result = Map::with_capacity(object.len());
            for (name, value) in object {
                let entry = match map.get(name) {
                    Some(entry) => Entry { key: entry.key.clone(), node: graft(&entry.node, value, patch) },
                    None => Entry { key: patch.clone(), node: Node::from_json(value, patch) },
                };
                result.insert(name.clone(), entry);
            }
            Node { value: Value::Map(result), span: old.span.clone() }
        }
        (Value::List(items), Json::Array(values)) if items.len() == values.len() => Node {
            value: Value::List(items.iter().zip(values).map(|(item, value)| graft(item, value, patch)).collect()),
            span: old.span.clone(),
        },
        (Value::Number(text), value) if number(text).as_ref() == Some(value) => old.clone(),
        _ if old.to_json() == *document => old.clone(),
        _ => Node::from_json(document, patch),
    }
}

/// A pointer that exists and is near to one that does not: the first wrong step is replaced.
fn nearest_pointer(document: &Json, written: &str) -> Option<String> {
    let mut at = document;
    let mut good = String::new();
    for step in written.strip_prefix('/')?.split('/') {
        let name = step.replace("~1", "/").replace("~0", "~");
        let object = at.as_object()?;
        match object.get(&name) {
            Some(next) => {
                good.push('/');
                good.push_str(step);
                at = next;
            }
            None => {
                let near = crate::diagnostic::nearest(&name, object.keys().map(String::as_str))?;
                return Some(format!("{good}/{}", near.replace('~', "~0").replace('/', "~1")));
            }
        }
    }
    None
}
