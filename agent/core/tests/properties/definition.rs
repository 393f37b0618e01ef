//! Random definitions over the whole model, by walking its shapes. What ECS would refuse outright is left out, so that
//! every member that stands has a meaning.

use lockstep_manifests::{
    canonical::Root,
    ecs::{Kind, Structure},
    lists::{KeyForm, ListKind, list_kind},
};
use proptest::{prelude::*, strategy::Union};
use serde_json::{Map, Value, json};

pub(crate) fn task_definition() -> BoxedStrategy<Value> {
    structure(Root::TaskDefinition.shape())
}

pub(crate) fn service() -> BoxedStrategy<Value> {
    structure(Root::Service.shape())
        .prop_map(|mut value| {
            let map = value.as_object_mut().unwrap();
            if map.contains_key("launchType") {
                map.shift_remove("capacityProviderStrategy");
            }
            value
        })
        .boxed()
}

/// Members that are set by Lockstep at each write, or compared apart.
fn is_apart(structure: &str, member: &str) -> bool {
    matches!(
        (structure, member),
        ("Service", "cluster" | "taskDefinition" | "clientToken" | "tags") | ("TaskDefinition", "tags")
    )
}

fn structure(shape: &'static Structure) -> BoxedStrategy<Value> {
    let mut members: BoxedStrategy<Map<String, Value>> = Just(Map::new()).boxed();
    for member in shape.members.iter().filter(|member| !is_apart(shape.name, member.name)) {
        let inner = value(&member.kind, shape, member.name);
        let one =
            if member.required { inner.prop_map(Some).boxed() } else { prop::option::weighted(0.35, inner).boxed() };
        members = (members, one)
            .prop_map(|(mut map, value)| {
                map.extend(value.map(|value| (member.name.to_owned(), value)));
                map
            })
            .boxed();
    }
    members.prop_map(|map| consistent(shape.name, map)).boxed()
}

/// What cannot stand together does not.
fn consistent(shape: &str, mut map: Map<String, Value>) -> Value {
    match shape {
        "PortMapping" => {
            if map.contains_key("containerPortRange") {
                map.shift_remove("containerPort");
                map.shift_remove("hostPort");
            } else {
                // A port of 0 is no port, and no key.
                let port = match map.get("containerPort").and_then(Value::as_i64) {
                    Some(0) | None => json!(8080),
                    Some(port) => json!(port),
                };
                map.insert("containerPort".to_owned(), port.clone());
                if map.contains_key("hostPort") {
                    map["hostPort"] = port;
                }
            }
        }
        "DeploymentConfiguration" => {
            let strategy = map.get("strategy").and_then(Value::as_str).unwrap_or("ROLLING").to_owned();
            for (member, needed) in [("linearConfiguration", "LINEAR"), ("canaryConfiguration", "CANARY")] {
                if strategy != needed {
                    map.shift_remove(member);
                }
            }
        }
        "Volume" => {
            let mut seen = false;
            map.retain(|name, _| name == "name" || !std::mem::replace(&mut seen, true));
        }
        _ => {}
    }
    Value::Object(map)
}

fn value(kind: &'static Kind, owner: &'static Structure, member: &'static str) -> BoxedStrategy<Value> {
    match kind {
        Kind::String => text(owner.name, member),
        Kind::Enum(values) => prop::sample::select(*values).prop_map(|value| json!(value)).boxed(),
        Kind::Integer | Kind::Long => (0..400i64).prop_map(|number| json!(number)).boxed(),
        Kind::Double => (0..100i64).prop_map(|number| json!(number as f64 / 2.0)).boxed(),
        Kind::Boolean => any::<bool>().prop_map(|value| json!(value)).boxed(),
        Kind::Document => prop_oneof![
            Just(json!({"a": [1, {"b": "c", "d": null}], "e": true})),
            "[a-z]{1,3}".prop_map(|text| json!({ "function": text })),
        ]
        .boxed(),
        Kind::Structure(shape) => structure(shape),
        Kind::Map(_) => prop::collection::btree_map("[a-z]{1,4}", "[a-z0-9=:]{0,4}", 0..3)
            .prop_map(|map| Value::Object(map.into_iter().map(|(key, value)| (key, json!(value))).collect()))
            .boxed(),
        Kind::List(element) => list(element, owner, member),
    }
}

fn list(element: &'static Kind, owner: &'static Structure, member: &'static str) -> BoxedStrategy<Value> {
    let most = match member {
        "containerDefinitions" => 2,
        // Its elements have a log level and nothing that tells them apart.
        "containerConfigurations" => 1,
        _ => 3,
    };
    let items = prop::collection::vec(value(element, owner, member), 0..=most);
    let kind = list_kind(owner.name, member);
    items
        .prop_map(move |items| {
            let mut kept: Vec<Value> = Vec::new();
            for item in items {
                // An element without its key says nothing that could be told apart.
                if matches!(kind, ListKind::Keyed(key) if key.form == KeyForm::Single && key.text_of(&item).is_empty())
                {
                    continue;
                }
                let same = |other: &Value| match kind {
                    ListKind::Keyed(key) if key.form == KeyForm::Composite => {
                        other == &item || key.text_of(other) == key.text_of(&item)
                    }
                    ListKind::Keyed(key) => key.text_of(other) == key.text_of(&item),
                    ListKind::Set => *other == item,
                    ListKind::Ordered => false,
                };
                if !kept.iter().any(same) {
                    kept.push(item);
                }
            }
            Value::Array(kept)
        })
        .boxed()
}

fn text(owner: &str, member: &str) -> BoxedStrategy<Value> {
    let word = || "[a-z][a-z0-9-]{0,5}".prop_map(|text| json!(text)).boxed();
    match (owner, member) {
        ("TaskDefinition", "cpu") => {
            prop::sample::select(vec!["256", "1 vCPU", ".25 vcpu", "512"]).prop_map(|text| json!(text)).boxed()
        }
        ("TaskDefinition", "memory") => {
            prop::sample::select(vec!["512", "2 GB", ".5 gb", "1024"]).prop_map(|text| json!(text)).boxed()
        }
        ("TaskDefinition", "taskRoleArn" | "executionRoleArn") | ("Service", "role") => Union::new([
            word(),
            "[a-z]{1,5}".prop_map(|name| json!(format!("arn:aws:iam::111111111111:role/{name}"))).boxed(),
        ])
        .boxed(),
        ("PortMapping", "containerPortRange") => {
            (1..100u16).prop_map(|port| json!(format!("{port}-{}", port + 5))).boxed()
        }
        ("PlacementStrategy", "field") => {
            prop::sample::select(vec!["cpu", "MEMORY", "host", "instanceId", "attribute:ecs.availability-zone"])
                .prop_map(|text| json!(text))
                .boxed()
        }
        ("KeyValuePair", "value") => "[a-z0-9]{0,4}".prop_map(|text| json!(text)).boxed(),
        ("TrustedExecutionConfiguration", "attestationPolicy") => Just(json!("{\"a\": 1, \"b\": 2}")).boxed(),
        _ => word(),
    }
}
