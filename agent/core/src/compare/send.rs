//! What is sent of a declared definition: what is compared, and no more. What compares as absent is left out, so that
//! ECS is never sent something that a plan does not show; what ECS requires of a block that is sent is filled in.

use crate::compare::{
    normalise::{Context, special, structure},
    rules::{Absent, Text, rule_of},
};
use lockstep_manifests::{
    canonical::Root,
    ecs::{Kind, Member, Structure},
    lists::{ListKind, list_kind},
};
use serde_json::{Map, Value};

/// The part of a definition that says something, in the API's shape and in the author's order.
pub fn sendable(root: Root, declared: &Value, context: &Context) -> Value {
    if !declared.is_object() {
        return declared.clone();
    }
    part(declared, root.shape(), context)
}

fn part(declared: &Value, shape: &'static Structure, context: &Context) -> Value {
    let mut result = Map::new();
    for member in shape.members {
        let sent = match declared.get(member.name) {
            Some(written) if !special::is_never_sent(shape, member.name, declared, written, context) => {
                value(written, shape, member, context)
            }
            _ => None,
        };
        if let Some(sent) = sent.or_else(|| filled(shape, member)) {
            result.insert(member.name.to_owned(), sent);
        }
    }
    Value::Object(result)
}

/// What is sent of a member; none where it says nothing.
fn value(written: &Value, owner: &'static Structure, member: &'static Member, context: &Context) -> Option<Value> {
    let rule = rule_of(owner.name, member.name);
    Some(match (&member.kind, written) {
        (_, Value::Null) => return None,
        (Kind::String | Kind::Enum(_), Value::String(text)) if text.is_empty() && rule.text != Text::Data => {
            return None;
        }
        (Kind::Integer | Kind::Long, number) if rule.absent == Absent::Unset && *number == 0 => return None,
        (Kind::Structure(shape), Value::Object(_)) => {
            let sent = part(written, shape, context);
            if says_nothing(&sent, shape, context) {
                return None;
            }
            sent
        }
        (Kind::List(element), Value::Array(items)) => {
            Value::Array(list(items, element, list_kind(owner.name, member.name), context))
        }
        (_, other) => other.clone(),
    })
}

/// Whether a block can be left out: nothing is written in it, or all of it is as absent and ECS would miss something.
fn says_nothing(sent: &Value, shape: &'static Structure, context: &Context) -> bool {
    let Some(map) = sent.as_object() else { return false };
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    let lacks = |member: &&Member| member.required && map.get(member.name).is_none_or(is_empty);
    map.values().all(is_empty)
        || (shape.members.iter().any(|member| lacks(&member))
            && structure(sent, shape, context).as_object().is_some_and(Map::is_empty))
}

/// What ECS asks for in a block that is sent, where absence has one meaning.
pub(crate) fn filled(shape: &Structure, member: &Member) -> Option<Value> {
    match (&member.kind, rule_of(shape.name, member.name).text) {
        (Kind::List(_), _) if member.required => Some(Value::Array(Vec::new())),
        // A variable without a value has the empty one.
        (Kind::String, Text::Data) => Some(Value::String(String::new())),
        _ => None,
    }
}

/// Elements that say nothing, or what another one says already, are compared as if they were not there.
fn list(items: &[Value], element: &'static Kind, kind: ListKind, context: &Context) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    let mut sent = Vec::new();
    for item in items {
        let (item, normal) = match element {
            Kind::Structure(shape) => (part(item, shape, context), structure(item, shape, context)),
            _ => (item.clone(), item.clone()),
        };
        let is_nothing = kind == ListKind::Set && normal.as_object().is_some_and(Map::is_empty);
        if kind != ListKind::Ordered && (is_nothing || seen.contains(&normal)) {
            continue;
        }
        seen.push(normal);
        sent.push(item);
    }
    sent
}
