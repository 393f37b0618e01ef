//! Ignored paths: neither compared nor sent. Where a definition or a block is sent whole, what is live stands at them.

use lockstep_manifests::{
    canonical::Root,
    ecs::{Kind, Structure},
    lists::{Key, KeyForm, ListKind, list_kind},
    path::{Path, Step},
};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A whole definition with what is live at the ignored paths. Where nothing is live, it stays as declared.
pub fn with_live<'a>(root: Root, declared: &'a Value, live: Option<&Value>, ignore: &[Path]) -> Cow<'a, Value> {
    let path = Path::root(root.name());
    if live.is_none() || !ignore.iter().any(|ignored| path.covers(ignored)) {
        return Cow::Borrowed(declared);
    }
    let mut value = declared.clone();
    structure(&mut value, live, root.shape(), &path, ignore);
    Cow::Owned(value)
}

/// Puts what is live at the ignored paths of a value at `path`.
pub fn keep_live(value: &mut Value, live: Option<&Value>, kind: &Kind, list: ListKind, path: &Path, ignore: &[Path]) {
    if !ignore.iter().any(|ignored| path.covers(ignored)) {
        return;
    }
    match (kind, list) {
        (Kind::Structure(shape), _) => structure(value, live, shape, path, ignore),
        (Kind::Map(element), _) => map(value, live, element, path, ignore),
        (Kind::List(element), ListKind::Keyed(key)) => elements(value, live, element, key, path, ignore),
        _ => {}
    }
}

fn structure(value: &mut Value, live: Option<&Value>, shape: &Structure, path: &Path, ignore: &[Path]) {
    let Some(declared) = value.as_object() else { return };
    let mut result = Map::new();
    for member in shape.members {
        let path = path.member(member.name);
        let existing = live.and_then(|live| live.get(member.name));
        if is_ignored(&path, ignore) {
            if let Some(existing) = existing {
                result.insert(member.name.to_owned(), existing.clone());
            } else if live.is_none()
                && let Some(written) = declared.get(member.name)
            {
                // Nothing is live yet: what is created takes what Git says.
                result.insert(member.name.to_owned(), written.clone());
            }
            continue;
        }
        let mut inner = match declared.get(member.name) {
            Some(written) => written.clone(),
            None if reaches(existing, &path, ignore) => empty(&member.kind),
            None => continue,
        };
        keep_live(&mut inner, existing, &member.kind, list_kind(shape.name, member.name), &path, ignore);
        result.insert(member.name.to_owned(), inner);
    }
    *value = Value::Object(result);
}

fn map(value: &mut Value, live: Option<&Value>, element: &Kind, path: &Path, ignore: &[Path]) {
    let Some(map) = value.as_object_mut() else { return };
    for (key, existing) in live.and_then(Value::as_object).into_iter().flatten() {
        if is_ignored(&path.element(key), ignore) {
            map.insert(key.clone(), existing.clone());
        }
    }
    map.retain(|key, _| live.is_none_or(|live| live.get(key).is_some()) || !is_ignored(&path.element(key), ignore));
    for (key, inner) in map {
        let existing = live.and_then(|live| live.get(key));
        keep_live(inner, existing, element, ListKind::Ordered, &path.element(key), ignore);
    }
}

fn elements(value: &mut Value, live: Option<&Value>, element: &Kind, key: Key, path: &Path, ignore: &[Path]) {
    let Some(items) = value.as_array_mut() else { return };
    let existing: Vec<(String, &Value)> =
        live.and_then(Value::as_array).into_iter().flatten().map(|item| (key.text_of(item), item)).collect();
    let find = |text: &str| existing.iter().find(|(other, _)| other == text).map(|(_, item)| *item);
    items.retain(|item| {
        let text = key.text_of(item);
        live.is_none() || find(&text).is_some() || !is_ignored(&path.element(&text), ignore)
    });
    for item in items.iter_mut() {
        let text = key.text_of(item);
        let path = path.element(&text);
        match find(&text) {
            Some(existing) if is_ignored(&path, ignore) => *item = existing.clone(),
            existing => {
                let kept = if key.form == KeyForm::Composite { Map::new() } else { key_of(item, key) };
                keep_live(item, existing, element, ListKind::Ordered, &path, ignore);
                if let Some(map) = item.as_object_mut() {
                    map.extend(kept);
                }
            }
        }
    }
    for (text, item) in &existing {
        let is_there = items.iter().any(|other| key.text_of(other) == *text);
        if !is_there && is_ignored(&path.element(text), ignore) {
            items.push((*item).clone());
        }
    }
}

/// The members of an element that are its key: they are never ignored apart from the element.
fn key_of(item: &Value, key: Key) -> Map<String, Value> {
    let members = key.members.iter().chain(&["containerPortRange"]);
    members.filter_map(|name| Some(((*name).to_owned(), item.get(name)?.clone()))).collect()
}

fn is_ignored(path: &Path, ignore: &[Path]) -> bool {
    ignore.iter().any(|ignored| ignored.covers(path))
}

/// Whether something that is live is ignored at or below this path, so that its surroundings must be sent with it.
fn reaches(live: Option<&Value>, path: &Path, ignore: &[Path]) -> bool {
    let Some(live) = live else { return false };
    ignore.iter().filter(|ignored| path.covers(ignored)).any(|ignored| {
        let mut at = Some(live);
        for step in &ignored.0[path.0.len()..] {
            at = match (step, at) {
                (Step::Member(name), Some(value)) => value.get(name),
                (Step::Element(key), Some(Value::Object(map))) => map.get(key),
                // An element of a list that Git does not declare at all is rare enough to be looked at by its list.
                (Step::Element(_), Some(list @ Value::Array(_))) => {
                    return list.as_array().is_some_and(|l| !l.is_empty());
                }
                _ => None,
            };
        }
        at.is_some()
    })
}

fn empty(kind: &Kind) -> Value {
    match kind {
        Kind::List(_) => Value::Array(Vec::new()),
        _ => Value::Object(Map::new()),
    }
}
