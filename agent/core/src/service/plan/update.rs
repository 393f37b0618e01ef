//! What UpdateService is sent: all changed members in one call, nested blocks complete, removals in their explicit
//! form. Omitting a member leaves it as it is, so leaving out is never a way to remove.

use crate::{
    compare::{
        diff::Change,
        ignore::keep_live,
        normalise::{Context, default_of, structure},
        rules::{Absent, Effect, rule_of},
        send::{filled, sendable},
    },
    observed::LiveService,
};
use lockstep_manifests::{
    canonical::Root,
    ecs::{Kind, Structure},
    lists::{ListKind, list_kind},
    path::Path,
    render::Desired,
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The members to send for these changes, and whether a deployment must be forced with them.
pub(super) fn members(desired: &Desired, live: &LiveService, changes: &[Change], ignore: &[Path]) -> (Value, bool) {
    let names: BTreeSet<&str> = changes.iter().filter_map(Change::service_member).collect();
    let context = Context::of([&desired.task_definition, &desired.service, &live.definition]).at(&live.arn);
    let sent = sendable(Root::Service, &desired.service, &context);
    let mut result = Map::new();
    let mut force = false;
    for member in Root::Service.shape().members {
        if !names.contains(member.name) {
            continue;
        }
        let declared = sent.get(member.name).filter(|value| !is_empty(value));
        let change = rule_of("Service", member.name).change;
        force |= change.is_some_and(|change| change.effect == Effect::NeedsForce);
        if member.name == "launchType" {
            // Only reachable by dropping the strategy; the launch type itself is not in UpdateService.
            result.insert("capacityProviderStrategy".to_owned(), Value::Array(Vec::new()));
            continue;
        }
        let live = live.definition.get(member.name);
        let value = match (declared, &member.kind, change.and_then(|change| change.remove)) {
            (Some(declared), Kind::Structure(shape), _) => Some(complete(declared, live, shape, &context)),
            (Some(declared), Kind::List(Kind::Structure(shape)), _) => {
                Some(with_what_stays(declared, live, shape, list_kind("Service", member.name)))
            }
            (Some(declared), _, _) => Some(declared.clone()),
            (None, _, Some(remove)) => serde_json::from_str(remove).ok(),
            (None, Kind::Structure(shape), None) => Some(complete(&Value::Object(Map::new()), live, shape, &context)),
            (None, _, None) => None,
        };
        if let Some(mut value) = value {
            if matches!(member.name, "loadBalancers" | "vpcLatticeConfigurations") {
                orient_pairs(&mut value, live);
            }
            let path = Path::root("service").member(member.name);
            keep_live(&mut value, live, &member.kind, list_kind("Service", member.name), &path, ignore);
            result.insert(member.name.to_owned(), value);
        }
    }
    // ECS takes the one only together with the other.
    if result.get("enableECSManagedTags") == Some(&Value::Bool(true)) && !result.contains_key("propagateTags") {
        let known = desired.service.get("propagateTags").or_else(|| live.definition.get("propagateTags"));
        let value = known.cloned().unwrap_or_else(|| Value::String("NONE".to_owned()));
        result.insert("propagateTags".to_owned(), value);
    }
    (Value::Object(result), force)
}

/// The target groups of a pair change places with every deployment. Git names the two; which of them has the traffic
/// now is ECS's to say, and an update for another reason must not turn that round.
fn orient_pairs(value: &mut Value, live: Option<&Value>) {
    let pair = |item: &Value| {
        let target = item.get("targetGroupArn")?.as_str()?.to_owned();
        let other = item.pointer("/advancedConfiguration/alternateTargetGroupArn")?.as_str()?.to_owned();
        Some((target, other))
    };
    let live: Vec<_> = live.and_then(Value::as_array).into_iter().flatten().filter_map(pair).collect();
    for item in value.as_array_mut().into_iter().flatten() {
        if let Some((target, other)) = pair(item)
            && live.contains(&(other.clone(), target.clone()))
        {
            item["targetGroupArn"] = Value::String(other);
            item["advancedConfiguration"]["alternateTargetGroupArn"] = Value::String(target);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// A block as declared, with the default spelled out for whatever is live and not declared.
fn complete(declared: &Value, live: Option<&Value>, shape: &'static Structure, context: &Context) -> Value {
    let mut result = Map::new();
    for member in shape.members {
        let written = declared.get(member.name).filter(|value| !is_empty(value));
        let existing = live.and_then(|live| live.get(member.name)).filter(|value| !is_empty(value));
        let value = match (written, existing, &member.kind) {
            (Some(written), existing, Kind::Structure(inner)) => Some(complete(written, existing, inner, context)),
            (Some(written), _, _) => Some(written.clone()),
            // What ECS decided stays as it is: leaving it out of a block that is sent whole would take it away.
            (None, Some(existing), _) if is_kept(shape, member.name) => Some(existing.clone()),
            (None, Some(_), _) if is_of_another_strategy(shape, member.name, declared) => None,
            // Alarms that are off on both sides need no word.
            (None, Some(existing), Kind::Structure(inner))
                if inner.name == "DeploymentAlarms" && is_as_nothing(existing, inner, context) =>
            {
                None
            }
            (None, Some(existing), Kind::Structure(inner)) => {
                let empty = complete(&Value::Null, Some(existing), inner, context);
                (!is_empty(&empty)).then_some(empty)
            }
            (None, Some(_), Kind::List(_)) => Some(Value::Array(Vec::new())),
            (None, Some(_), _) => default_of(shape.name, member.name, context),
            (None, None, _) => filled(shape, member),
        };
        if let Some(value) = value {
            result.insert(member.name.to_owned(), value);
        }
    }
    Value::Object(result)
}

/// What ECS decided, or has no default for, stays as it is: leaving it out of what is sent whole would take it away.
fn is_kept(shape: &Structure, member: &str) -> bool {
    matches!(rule_of(shape.name, member).absent, Absent::ServerDecides | Absent::Stays(_))
}

fn is_as_nothing(value: &Value, shape: &'static Structure, context: &Context) -> bool {
    structure(value, shape, context).as_object().is_some_and(Map::is_empty)
}

/// The elements of a keyed list, with what is live of the same element, not declared, and said to stay.
fn with_what_stays(declared: &Value, live: Option<&Value>, shape: &'static Structure, kind: ListKind) -> Value {
    let (ListKind::Keyed(key), Value::Array(items)) = (kind, declared) else { return declared.clone() };
    let live: Vec<&Value> = live.and_then(Value::as_array).into_iter().flatten().collect();
    let items = items.iter().map(|item| {
        let same = live.iter().find(|other| key.text_of(other) == key.text_of(item));
        same.map_or_else(|| item.clone(), |same| keeping(item, same, shape))
    });
    Value::Array(items.collect())
}

fn keeping(declared: &Value, live: &Value, shape: &'static Structure) -> Value {
    let mut result = Map::new();
    // Another type of volume has other numbers.
    let other_type = declared.get("volumeType").is_some_and(|kind| live.get("volumeType") != Some(kind));
    for member in shape.members {
        let existing = live.get(member.name).filter(|value| !is_empty(value));
        let value = match (declared.get(member.name), existing, &member.kind) {
            (Some(written), Some(existing), Kind::Structure(inner)) => Some(keeping(written, existing, inner)),
            (Some(written), _, _) => Some(written.clone()),
            (None, Some(_), _) if other_type && matches!(member.name, "iops" | "throughput") => None,
            (None, Some(existing), _) if matches!(rule_of(shape.name, member.name).absent, Absent::Stays(_)) => {
                Some(existing.clone())
            }
            _ => None,
        };
        if let Some(value) = value {
            result.insert(member.name.to_owned(), value);
        }
    }
    Value::Object(result)
}

/// ECS refuses the block of a strategy beside another one.
fn is_of_another_strategy(shape: &Structure, member: &str, declared: &Value) -> bool {
    let strategy = declared.get("strategy").and_then(Value::as_str).unwrap_or("ROLLING");
    match (shape.name, member) {
        ("DeploymentConfiguration", "linearConfiguration") => strategy != "LINEAR",
        ("DeploymentConfiguration", "canaryConfiguration") => strategy != "CANARY",
        _ => false,
    }
}
