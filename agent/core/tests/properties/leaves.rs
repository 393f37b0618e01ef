//! One leaf changed, one order turned round, and the normal form spelled in the API's shape again.

use lockstep_manifests::{
    canonical::{Root, key_members},
    ecs::{Kind, Structure},
    lists::{KeyForm, ListKind, list_kind},
};
use proptest::sample::Index;
use serde_json::{Map, Value, json};

/// Pointers to the leaves of a definition, with what they hold.
fn leaves(value: &Value, shape: &'static Structure, at: &str, found: &mut Vec<(String, &'static Kind)>) {
    for member in shape.members {
        let Some(inner) = value.get(member.name) else { continue };
        leaves_of(inner, &member.kind, &format!("{at}/{}", member.name), found);
    }
}

fn leaves_of(value: &Value, kind: &'static Kind, at: &str, found: &mut Vec<(String, &'static Kind)>) {
    match kind {
        Kind::Structure(shape) => leaves(value, shape, at, found),
        Kind::List(element) => {
            for (index, item) in value.as_array().unwrap().iter().enumerate() {
                leaves_of(item, element, &format!("{at}/{index}"), found);
            }
        }
        Kind::Map(element) => {
            for (key, item) in value.as_object().unwrap() {
                leaves_of(item, element, &format!("{at}/{key}"), found);
            }
        }
        _ => found.push((at.to_owned(), kind)),
    }
}

/// The definition with another value at one leaf.
pub(crate) fn change_one(root: Root, value: &Value, pick: Index) -> Option<(String, Value)> {
    let mut found = Vec::new();
    leaves(value, root.shape(), "", &mut found);
    // With another strategy the block of this one would have no meaning.
    found.retain(|(path, _)| !path.ends_with("/deploymentConfiguration/strategy"));
    // A property without a value is as none, whatever its name is.
    found.retain(|(path, _)| {
        let is_property = path.contains("/proxyConfiguration/properties/") && path.ends_with("/name");
        let given = value.pointer(&path.replace("/name", "/value")).and_then(Value::as_str);
        !is_property || given.is_some_and(|text| !text.is_empty())
    });
    if found.is_empty() {
        return None;
    }
    let (path, kind) = pick.get(&found).clone();
    let mut changed = value.clone();
    let leaf = changed.pointer_mut(&path)?;
    *leaf = match (kind, &*leaf) {
        (Kind::Enum(values), Value::String(text)) => json!(values.iter().find(|other| *other != text)?),
        (Kind::Document, _) => json!({"changed": true}),
        (_, Value::String(text)) if path == "/cpu" || path == "/memory" => {
            json!(if text == "4096" { "8192" } else { "4096" })
        }
        (_, Value::String(text)) => json!(format!("{text}x")),
        (_, Value::Bool(flag)) => json!(!flag),
        (Kind::Double, Value::Number(number)) => json!(number.as_f64().unwrap() + 0.5),
        (_, Value::Number(number)) => json!(number.as_i64().unwrap() + 1),
        _ => return None,
    };
    Some((path, changed))
}

/// The definition with a list turned round whose order has a meaning, and which reads differently then.
pub(crate) fn turn_round(root: Root, value: &Value, pick: Index) -> Option<(String, Value)> {
    fn ordered(value: &Value, shape: &'static Structure, at: &str, found: &mut Vec<String>) {
        for member in shape.members {
            let path = format!("{at}/{}", member.name);
            match (&member.kind, value.get(member.name)) {
                (Kind::Structure(shape), Some(inner)) => ordered(inner, shape, &path, found),
                (Kind::List(element), Some(Value::Array(items))) => {
                    if let Kind::Structure(shape) = element {
                        for (index, item) in items.iter().enumerate() {
                            ordered(item, shape, &format!("{path}/{index}"), found);
                        }
                    }
                    let turned: Vec<&Value> = items.iter().rev().collect();
                    let is_palindrome = items.iter().collect::<Vec<_>>() == turned;
                    if list_kind(shape.name, member.name) == ListKind::Ordered && !is_palindrome {
                        found.push(path);
                    }
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    ordered(value, root.shape(), "", &mut found);
    // `host` and `instanceId` say the same, so a list of them may read the same backwards.
    found.retain(|path| !path.contains("placementStrategy"));
    if found.is_empty() {
        return None;
    }
    let path = pick.get(&found).clone();
    let mut turned = value.clone();
    turned.pointer_mut(&path)?.as_array_mut()?.reverse();
    Some((path, turned))
}

/// The normal form with its maps as lists again.
pub(crate) fn in_api_shape(root: Root, normal: &Value) -> Value {
    structure(normal, root.shape())
}

fn structure(normal: &Value, shape: &'static Structure) -> Value {
    let mut result = Map::new();
    for member in shape.members {
        let Some(inner) = normal.get(member.name) else { continue };
        let value = match &member.kind {
            Kind::Structure(shape) => structure(inner, shape),
            Kind::List(element) => list(inner, element, list_kind(shape.name, member.name)),
            _ => inner.clone(),
        };
        result.insert(member.name.to_owned(), value);
    }
    Value::Object(result)
}

fn list(normal: &Value, element: &'static Kind, kind: ListKind) -> Value {
    let spell = |item: &Value| match element {
        Kind::Structure(shape) if item.is_object() => structure(item, shape),
        _ => item.clone(),
    };
    match (kind, normal) {
        (ListKind::Keyed(key), Value::Object(map)) => map
            .iter()
            .map(|(text, item)| {
                let mut item = spell(item);
                if !item.is_object() {
                    item = json!({ key.scalar.unwrap(): item });
                }
                if key.form != KeyForm::Composite {
                    for (member, part) in key_members(text, key) {
                        let number = part.parse::<i64>().ok().filter(|_| matches!(member, "containerPort" | "port"));
                        item[member] = number.map_or_else(|| json!(part), |number| json!(number));
                    }
                }
                item
            })
            .collect(),
        (_, Value::Array(items)) => items.iter().map(spell).collect(),
        _ => unreachable!("a list is an array or a map"),
    }
}

/// A definition with every list that has a map form written as a map.
pub(crate) fn keyed_form(root: Root, value: &Value) -> Value {
    keyed(value, root.shape())
}

fn keyed(value: &Value, shape: &'static Structure) -> Value {
    let mut result = Map::new();
    for (name, inner) in value.as_object().unwrap() {
        let member = shape.member(name).unwrap();
        let written = match (&member.kind, list_kind(shape.name, member.name)) {
            (Kind::Structure(shape), _) => keyed(inner, shape),
            (Kind::List(Kind::Structure(shape)), ListKind::Keyed(key)) if key.has_map_form() => {
                let elements = inner.as_array().unwrap().iter().map(|item| {
                    let text = key.text_of(item);
                    let mut element = keyed(item, shape);
                    let map = element.as_object_mut().unwrap();
                    for (member, _) in key_members(&text, key) {
                        map.shift_remove(member);
                    }
                    // The scalar that stands for the element, where that is all there is.
                    let scalar = key.scalar.filter(|scalar| map.keys().eq([scalar])).map(|scalar| map[scalar].clone());
                    (text, scalar.unwrap_or(element))
                });
                Value::Object(elements.collect())
            }
            (Kind::List(Kind::Structure(shape)), _) => {
                inner.as_array().unwrap().iter().map(|item| keyed(item, shape)).collect()
            }
            _ => inner.clone(),
        };
        result.insert(name.clone(), written);
    }
    Value::Object(result)
}
