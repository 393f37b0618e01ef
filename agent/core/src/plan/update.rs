//! What UpdateService is sent: all changed members in one call, nested blocks complete, removals in their explicit
//! form. Omitting a member leaves it as it is, so leaving out is never a way to remove.

use crate::{
    diff::Change,
    normalise::{Context, default_of},
    observed::LiveService,
    rules::{Effect, rule_of},
};
use lockstep_manifests::{
    canonical::Root,
    ecs::{Kind, Structure},
    path::Path,
    render::Desired,
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The members to send for these changes, and whether a deployment must be forced with them.
pub(super) fn members(desired: &Desired, live: &LiveService, changes: &[Change]) -> (Value, bool) {
    let ignore: Vec<Path> = desired.ignore.iter().filter_map(|path| path.parse().ok()).collect();
    let names: BTreeSet<&str> = changes.iter().filter_map(Change::service_member).collect();
    let context = Context::of([&desired.task_definition, &desired.service, &live.definition]);
    let mut result = Map::new();
    let mut force = false;
    for member in Root::Service.shape().members {
        if !names.contains(member.name) {
            continue;
        }
        let declared = desired.service.get(member.name).filter(|value| !is_empty(value));
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
            (Some(declared), _, _) => Some(declared.clone()),
            (None, _, Some(remove)) => serde_json::from_str(remove).ok(),
            (None, Kind::Structure(shape), None) => Some(complete(&Value::Object(Map::new()), live, shape, &context)),
            (None, _, None) => None,
        };
        if let Some(mut value) = value {
            let path = Path::root("service").member(member.name);
            keep_ignored(&mut value, live, &member.kind, &path, &ignore);
            result.insert(member.name.to_owned(), value);
        }
    }
    (Value::Object(result), force)
}

/// Puts what is live where a path is ignored: the block is sent whole, and what Git ignores must not change by it.
fn keep_ignored(value: &mut Value, live: Option<&Value>, kind: &Kind, path: &Path, ignore: &[Path]) {
    let (Kind::Structure(shape), Some(map)) = (kind, value.as_object_mut()) else { return };
    for member in shape.members {
        let path = path.member(member.name);
        let existing = live.and_then(|live| live.get(member.name));
        if ignore.iter().any(|ignored| ignored.covers(&path)) {
            match existing {
                Some(existing) => map.insert(member.name.to_owned(), existing.clone()),
                None => map.shift_remove(member.name),
            };
        } else if let Some(inner) = map.get_mut(member.name) {
            keep_ignored(inner, existing, &member.kind, &path, ignore);
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
            (None, Some(existing), Kind::Structure(inner)) => {
                let empty = complete(&Value::Null, Some(existing), inner, context);
                (!is_empty(&empty)).then_some(empty)
            }
            (None, Some(_), Kind::List(_)) => Some(Value::Array(Vec::new())),
            (None, Some(_), _) => default_of(rule_of(shape.name, member.name).absent, context),
            (None, None, _) => None,
        };
        if let Some(value) = value {
            result.insert(member.name.to_owned(), value);
        }
    }
    Value::Object(result)
}
