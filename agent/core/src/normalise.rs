//! One form for what Git declares and for what ECS answers, so that equal things compare equal: keyed lists become
//! maps, sets are sorted, and everything that only spells out a default is dropped. Driven by [`crate::rules`].

use crate::rules::{Absent, Text, rule_of};
use lockstep_manifests::{
    canonical::Root,
    ecs::{Kind, Structure},
    lists::{Key, KeyForm, ListKind, list_kind, port_key},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a default may depend on. One context serves both sides of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The tasks run on Fargate.
    pub fargate: bool,
    /// The tasks run Windows containers.
    pub windows: bool,
    /// The service is a daemon.
    pub daemon: bool,
    /// The task definition's network mode, when it is written.
    pub network_mode: Option<String>,
}

impl Context {
    /// The context of these definitions (task definitions or services, declared or live).
    pub fn of<'a>(definitions: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut context = Self::default();
        for definition in definitions {
            let text = |name: &str| definition.get(name).and_then(Value::as_str);
            let list = |name: &str| definition.get(name).and_then(Value::as_array).into_iter().flatten();
            context.fargate |= list("requiresCompatibilities").any(|value| value == "FARGATE")
                || text("launchType") == Some("FARGATE")
                || list("capacityProviderStrategy").any(|item| {
                    matches!(item.get("capacityProvider").and_then(Value::as_str), Some("FARGATE" | "FARGATE_SPOT"))
                });
            context.windows |= definition
                .pointer("/runtimePlatform/operatingSystemFamily")
                .and_then(Value::as_str)
                .is_some_and(|family| family.starts_with("WINDOWS"));
            context.daemon |= text("schedulingStrategy") == Some("DAEMON");
            if let Some(mode) = text("networkMode").filter(|mode| !mode.is_empty()) {
                context.network_mode.get_or_insert_with(|| mode.to_owned());
            }
        }
        context
    }
}

/// The normal form of a task definition or service in the API's shape.
pub fn normalise(root: Root, value: &Value, context: &Context) -> Value {
    structure(value, root.shape(), context)
}

fn structure(value: &Value, shape: &'static Structure, context: &Context) -> Value {
    let mut result = Map::new();
    for member in shape.members {
        let Some(written) = value.get(member.name) else {
            continue;
        };
        let rule = rule_of(shape.name, member.name);
        let Some(mut normal) = member_value(written, &member.kind, shape, member.name, rule.text, context) else {
            continue;
        };
        if shape.name == "PortMapping" && member.name == "hostPort" && is_same_port(value, written, context) {
            continue;
        }
        if shape.name == "Device" && member.name == "containerPath" && value.get("hostPath") == Some(written) {
            continue;
        }
        if matches!(member.kind, Kind::Double) {
            normal = normal.as_f64().map_or(normal, Value::from);
        }
        if default_of(rule.absent, context).is_some_and(|default| default == normal) {
            continue;
        }
        result.insert(member.name.to_owned(), normal);
    }
    Value::Object(result)
}

/// In awsvpc and host mode the host's port is the container's; elsewhere 0 is "any".
fn is_same_port(mapping: &Value, written: &Value, context: &Context) -> bool {
    let same = mapping.get("containerPort") == Some(written);
    match context.network_mode.as_deref() {
        Some("awsvpc" | "host") => same,
        None => same && context.fargate,
        Some(_) => false,
    }
}

/// The value that an absent member has, where it has one.
pub fn default_of(absent: Absent, context: &Context) -> Option<Value> {
    let text = match absent {
        Absent::Is(text) => text,
        Absent::OnFargate(text) if context.fargate => text,
        Absent::OnLinuxInstances(text) if !context.fargate && !context.windows => text,
        Absent::ByScheduling(replica, daemon) => {
            if context.daemon {
                daemon
            } else {
                replica
            }
        }
        _ => return None,
    };
    serde_json::from_str(text).ok()
}

/// The normal form of a member; none where it is as absent.
fn member_value(
    value: &Value,
    kind: &'static Kind,
    owner: &'static Structure,
    name: &'static str,
    text: Text,
    context: &Context,
) -> Option<Value> {
    let normal = match (kind, value) {
        (_, Value::Null) => return None,
        (Kind::Structure(shape), Value::Object(_)) => structure(value, shape, context),
        (Kind::List(element), Value::Array(items)) => list(items, element, list_kind(owner.name, name), context),
        (Kind::Map(_), Value::Object(map)) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        (Kind::String | Kind::Enum(_), Value::String(written)) => Value::String(normal_text(written, text)),
        _ => value.clone(),
    };
    let empty = match &normal {
        Value::String(text_value) => text_value.is_empty() && text != Text::Data,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty() && !matches!(kind, Kind::Document),
        _ => false,
    };
    (!empty).then_some(normal)
}

fn list(items: &[Value], element: &'static Kind, kind: ListKind, context: &Context) -> Value {
    let normal = |item: &Value| match element {
        Kind::Structure(shape) => structure(item, shape, context),
        _ => item.clone(),
    };
    match kind {
        ListKind::Ordered => Value::Array(items.iter().map(normal).collect()),
        ListKind::Set => {
            let mut set: Vec<Value> = items.iter().map(normal).collect();
            set.sort_by_key(Value::to_string);
            set.dedup();
            Value::Array(set)
        }
        ListKind::Keyed(key) => {
            let mut map: BTreeMap<String, Value> = BTreeMap::new();
            for item in items {
                let text = element_key(item, key);
                let mut value = normal(item);
                if let Some(object) = value.as_object_mut() {
                    if key.form != KeyForm::Composite {
                        for member in key.members {
                            object.shift_remove(*member);
                        }
                        if key.form == KeyForm::Port {
                            object.shift_remove("containerPortRange");
                        }
                    }
                    if let Some(scalar) = key.scalar
                        && object.keys().all(|name| name == scalar)
                    {
                        value = object.shift_remove(scalar).unwrap_or_else(|| Value::String(String::new()));
                    }
                }
                map.insert(text, value);
            }
            Value::Object(map.into_iter().collect())
        }
    }
}

/// The text of an element's key, as paths show it.
pub fn element_key(item: &Value, key: Key) -> String {
    let part = |name: &str| match item.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) if number.as_i64() != Some(0) => Some(number.to_string()),
        Some(Value::Array(items)) => {
            let mut texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            texts.sort_unstable();
            Some(texts.join("+"))
        }
        _ => None,
    };
    if key.form == KeyForm::Port {
        let port = part("containerPort").or_else(|| part("containerPortRange")).unwrap_or_default();
        return port_key(&port, part("protocol").as_deref());
    }
    if key.members == ["type", "value"] && part("type").as_deref() != Some("InferenceAccelerator") {
        return part("type").unwrap_or_default();
    }
    if key.members == ["hostPath", "containerPath"] && part("hostPath") == part("containerPath") {
        return part("hostPath").unwrap_or_default();
    }
    key.members.iter().filter_map(|name| part(name)).collect::<Vec<_>>().join(",")
}

fn normal_text(written: &str, text: Text) -> String {
    match text {
        Text::Plain | Text::Data => written.to_owned(),
        Text::Cpu => units(written, "vcpu", 1024.0),
        Text::Memory => units(written, "gb", 1024.0),
        Text::Role | Text::NameOrArn => written.rsplit('/').next().unwrap_or(written).to_owned(),
        Text::PlacementField => match written {
            "host" => "instanceId".to_owned(),
            _ if written.eq_ignore_ascii_case("cpu") || written.eq_ignore_ascii_case("memory") => {
                written.to_ascii_uppercase()
            }
            _ => written.to_owned(),
        },
    }
}

/// `1 vCPU` → `1024`, `.5 gb` → `512`; anything else stays.
fn units(written: &str, unit: &str, factor: f64) -> String {
    let lower = written.trim().to_ascii_lowercase();
    let Some(amount) = lower.strip_suffix(unit) else {
        return written.trim().to_owned();
    };
    match amount.trim().parse::<f64>() {
        Ok(amount) if amount.is_finite() => format!("{}", (amount * factor).round()),
        _ => written.to_owned(),
    }
}
