//! The typed check: from a merged, substituted tree in canonical form to JSON in exactly the API's shape, in the
//! model's member order. Scalars are coerced where the meaning is plain; everything else is an error at its place.

use crate::{
    canonical::{key_members, without_number},
    codes,
    diagnostic::{Diagnostic, has_errors},
    ecs::{Kind, Structure},
    lists::{Key, ListKind, list_kind},
    node::{Node, Value, is_whole, number},
    substitute::has_substitution,
};
use serde_json::{Map, Value as Json};

/// Members that the API requires as soon as their block is present, with the value that ECS gives them otherwise.
const FILLED: &[(&str, &str, bool)] = &[
    ("DeploymentCircuitBreaker", "enable", false),
    ("DeploymentCircuitBreaker", "rollback", false),
    ("DeploymentAlarms", "enable", false),
    ("DeploymentAlarms", "rollback", false),
];

/// How values that could not be substituted offline are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// There are none: text that looks like a substitution is text.
    None,
    /// Text that holds a substitution passes every check.
    Tolerated,
}

/// Checks a canonical tree against a shape of the model and returns it in the API's form.
pub fn check(
    node: &Node,
    shape: &'static Structure,
    unresolved: Unresolved,
    problems: &mut Vec<Diagnostic>,
) -> Map<String, Json> {
    let mut check = Check { unresolved, problems };
    match check.structure(node, shape, &[]) {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

struct Check<'a> {
    unresolved: Unresolved,
    problems: &'a mut Vec<Diagnostic>,
}

impl Check<'_> {
    fn structure(&mut self, node: &Node, shape: &'static Structure, keys: &[(&'static str, String)]) -> Json {
        if let Some(open) = self.tolerated(node) {
            return open;
        }
        let Some(map) = node.as_map() else {
            return self.wrong(node, &format!("`{}`", shape.name), "a map");
        };
        if let Some(unknown) = map.keys().find(|name| shape.member(name).is_none()) {
            // Layers are checked when they are read; only a patch can bring an unknown member here.
            let message = format!("`{}` has no member `{unknown}`", shape.name);
            self.problems.push(
                Diagnostic::error(codes::UNKNOWN_KEY, &map[unknown].key, message)
                    .suggest(unknown, shape.members.iter().map(|member| member.name)),
            );
        }
        let mut result = Map::new();
        for member in shape.members {
            let key = keys.iter().find(|(name, _)| *name == member.name);
            if let (Some((_, text)), Some(entry)) = (key, map.get(member.name))
                && entry.node.scalar_text().is_some_and(|written| written != *text)
            {
                // Layers keep the key out of the element; only a patch can bring it here.
                let message = format!("`{}` is not what the element's key `{text}` says", member.name);
                self.problems.push(Diagnostic::error(codes::KEY_CONFLICT, &entry.node.span, message));
            }
            let value = match (key, map.get(member.name)) {
                (Some((_, text)), _) => self.key_value(text, &member.kind),
                (None, Some(entry)) if !entry.node.is_null() => {
                    self.value(&entry.node, &member.kind, shape, member.name)
                }
                _ => FILLED
                    .iter()
                    .find(|(owner, name, _)| *owner == shape.name && *name == member.name)
                    .map(|(_, _, value)| Json::Bool(*value)),
            };
            // An empty text is as absent, and is not sent.
            let is_empty = member.required && value.as_ref().and_then(Json::as_str) == Some("");
            match value {
                Some(value) if !is_empty => {
                    result.insert(member.name.to_owned(), value);
                }
                Some(_) => {
                    let place = map.get(member.name).map_or(&node.span, |entry| &entry.node.span);
                    let message = format!("`{}` needs `{}`, which is empty", shape.name, member.name);
                    self.problems.push(Diagnostic::error(codes::MISSING, place, message));
                }
                // One that has no value because its parameter cannot be read was told of.
                None if map.get(member.name).is_some_and(|entry| entry.node.is_null()) && has_errors(self.problems) => {
                }
                None if member.required && !self.missing_is_fine(shape, map) => {
                    let message = format!("`{}` needs `{}`", shape.name, member.name);
                    self.problems.push(Diagnostic::error(codes::MISSING, &node.span, message));
                }
                None => {}
            }
        }
        Json::Object(result)
    }

    /// `alarms` without names is what other tools write for "no alarms".
    fn missing_is_fine(&self, shape: &Structure, map: &crate::node::Map) -> bool {
        shape.name == "DeploymentAlarms"
            && map.values().all(|entry| matches!(entry.node.value, Value::Bool(false) | Value::Null))
    }

    fn key_value(&mut self, text: &str, kind: &Kind) -> Option<Json> {
        Some(match kind {
            Kind::Integer | Kind::Long => number(text).unwrap_or_else(|| Json::String(text.to_owned())),
            _ => Json::String(text.to_owned()),
        })
    }

    fn tolerated(&self, node: &Node) -> Option<Json> {
        let text = node.as_str().filter(|text| has_substitution(text))?;
        (self.unresolved == Unresolved::Tolerated).then(|| Json::String(text.to_owned()))
    }

    fn value(
        &mut self,
        node: &Node,
        kind: &'static Kind,
        owner: &'static Structure,
        name: &'static str,
    ) -> Option<Json> {
        if let Some(open) = self.tolerated(node) {
            return Some(open);
        }
        Some(match kind {
            Kind::Structure(shape) => self.structure(node, shape, &[]),
            Kind::List(element) => return Some(self.list(node, element, owner, name)),
            Kind::Map(element) => match node.as_map() {
                Some(map) => {
                    let mut result = Map::new();
                    for (key, entry) in map {
                        if let Some(value) = self.value(&entry.node, element, owner, name) {
                            result.insert(key.clone(), value);
                        }
                    }
                    Json::Object(result)
                }
                None => self.wrong(node, &format!("`{name}`"), "a map"),
            },
            Kind::Document => node.to_json(),
            _ => return self.scalar(node, kind, name),
        })
    }

    fn list(&mut self, node: &Node, element: &'static Kind, owner: &'static Structure, name: &'static str) -> Json {
        match (&node.value, list_kind(owner.name, name), element) {
            (Value::Map(map), ListKind::Keyed(key), Kind::Structure(shape)) => {
                Json::Array(map.iter().map(|(text, entry)| self.element(text, &entry.node, key, shape)).collect())
            }
            (Value::List(items), _, _) => {
                Json::Array(items.iter().filter_map(|item| self.value(item, element, owner, name)).collect())
            }
            _ => {
                let problem = self.wrong(node, &format!("`{name}`"), "a list");
                if let (Some(problem), true) = (self.problems.last_mut(), node.scalar_text().is_some()) {
                    problem.hint = Some(format!("write `{name}: [{}]`", node.span.text()));
                }
                problem
            }
        }
    }

    fn element(&mut self, text: &str, node: &Node, key: Key, shape: &'static Structure) -> Json {
        let mut value = self.structure(node, shape, &key_members(without_number(text, node, key), key));
        if let Json::Object(map) = &mut value
            && shape.name == "PortMapping"
            && node.get("protocol").is_none()
            && map.get("protocol").and_then(Json::as_str) == Some("tcp")
        {
            // The default is not part of what people wrote.
            map.shift_remove("protocol");
        }
        value
    }

    fn scalar(&mut self, node: &Node, kind: &'static Kind, name: &'static str) -> Option<Json> {
        let Some(text) = node.scalar_text() else {
            return Some(self.wrong(node, &format!("`{name}`"), expected(kind)));
        };
        let quoted = matches!(node.value, Value::String(_));
        Some(match kind {
            Kind::String => Json::String(text),
            Kind::Enum(_) if text.is_empty() => return None,
            Kind::Enum(values) => {
                if !values.contains(&text.as_str()) {
                    let list = values.join(", ");
                    let message = format!("`{text}` is not a value of `{name}`");
                    let problem = Diagnostic::error(codes::NOT_ALLOWED, &node.span, message);
                    let problem = problem.suggest(&text, values.iter().copied());
                    let problem =
                        if problem.hint.is_none() { problem.hint(format!("the values are {list}")) } else { problem };
                    self.problems.push(problem);
                }
                Json::String(text)
            }
            Kind::Integer => match text.trim().parse::<i32>() {
                Ok(value) => value.into(),
                Err(_) => return Some(self.not_whole(node, &text, name, i64::from(i32::MIN), i64::from(i32::MAX))),
            },
            Kind::Long => match text.trim().parse::<i64>() {
                Ok(value) => value.into(),
                Err(_) => return Some(self.not_whole(node, &text, name, i64::MIN, i64::MAX)),
            },
            Kind::Double => match text.trim().parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
                Some(value) => Json::Number(value),
                None => return Some(self.wrong(node, &format!("`{name}`"), "a number")),
            },
            Kind::Boolean => match (&node.value, text.as_str()) {
                (Value::Bool(value), _) => Json::Bool(*value),
                (_, "true" | "false") if quoted => {
                    let message = format!("`{name}` is a boolean written as text");
                    self.problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message).as_warning());
                    Json::Bool(text == "true")
                }
                _ => return Some(self.wrong(node, &format!("`{name}`"), "true or false")),
            },
            _ => return Some(self.wrong(node, &format!("`{name}`"), expected(kind))),
        })
    }

    /// A text that is no whole number of this range.
    fn not_whole(&mut self, node: &Node, text: &str, name: &str, least: i64, most: i64) -> Json {
        if !is_whole(text.trim()) {
            return self.wrong(node, &format!("`{name}`"), "a whole number");
        }
        let message = match text.trim().starts_with('-') {
            true => format!("`{name}` is `{text}`, less than the smallest that ECS takes ({least})"),
            false => format!("`{name}` is `{text}`, more than the largest that ECS takes ({most})"),
        };
        self.problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message));
        Json::Null
    }

    fn wrong(&mut self, node: &Node, what: &str, expected: &str) -> Json {
        let found = node.scalar_text().map_or_else(|| node.kind().to_owned(), |text| format!("`{text}`"));
        let message = format!("{what} must be {expected}, not {found}");
        self.problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message));
        Json::Null
    }
}

fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Structure(_) | Kind::Map(_) => "a map",
        Kind::List(_) => "a list",
        Kind::Integer | Kind::Long => "a whole number",
        Kind::Double => "a number",
        Kind::Boolean => "true or false",
        Kind::String | Kind::Enum(_) | Kind::Document => "a string",
    }
}
