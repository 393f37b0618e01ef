//! The typed difference between what is declared and what is live: path, old, new, effect.

use crate::{
    mask::{looks_secret, redact},
    normalise::{Context, normalise},
    rules::{Absent, Effect, Text, rule_of},
};
use lockstep_manifests::{
    canonical::Root,
    ecs::{Kind, Structure},
    lists::{ListKind, list_kind},
    path::Path,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where, in the grammar of [`lockstep_manifests::path`].
    pub path: String,
    /// What is live; absent where nothing is, and where it is masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What is declared; absent where nothing is, and where it is masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// What the change does.
    pub effect: Effect,
    /// Whether the values look secret and are left out.
    pub masked: bool,
}

impl Change {
    /// A change whose values are left out when they look secret.
    pub fn new(path: &Path, old: Option<Value>, new: Option<Value>, effect: Effect) -> Self {
        let masked = old.iter().chain(&new).any(|value| looks_secret(path, value));
        // Of a block that comes or goes as a whole, only the secret-looking leaves are hidden.
        let keep = |value: Option<Value>| if masked { None } else { value.as_ref().map(redact) };
        Self { path: path.to_string(), old: keep(old), new: keep(new), effect, masked }
    }

    /// The member of CreateService that this change is in, where it is in one.
    pub fn service_member(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("service.")?;
        Some(rest.split(['.', '[']).next().unwrap_or(rest))
    }
}

/// The differences of two definitions in the API's shape, less the ignored paths.
pub fn diff(root: Root, declared: &Value, live: &Value, context: &Context, ignore: &[Path]) -> Vec<Change> {
    let new = normalise(root, declared, context);
    let old = normalise(root, live, context);
    diff_normal(root, &new, &old, ignore)
}

/// The differences of two definitions in normal form.
pub fn diff_normal(root: Root, declared: &Value, live: &Value, ignore: &[Path]) -> Vec<Change> {
    let mut walk = Walk { root, declared, live, ignore, changes: Vec::new() };
    walk.structure(declared, live, root.shape(), &Path::root(root.name()));
    walk.changes
}

struct Walk<'a> {
    root: Root,
    declared: &'a Value,
    live: &'a Value,
    ignore: &'a [Path],
    changes: Vec<Change>,
}

impl Walk<'_> {
    fn structure(&mut self, declared: &Value, live: &Value, shape: &'static Structure, path: &Path) {
        for member in shape.members {
            let (new, old) = (declared.get(member.name), live.get(member.name));
            if new.is_none() && old.is_none() {
                continue;
            }
            if new.is_none() && self.is_left_alone(rule_of(shape.name, member.name).absent, member.name) {
                continue;
            }
            if rule_of(shape.name, member.name).text == Text::NameOrArn && is_told_apart_by_id(new, old) {
                continue;
            }
            let path = path.member(member.name);
            self.value(new, old, &member.kind, list_kind(shape.name, member.name), &path);
        }
    }

    fn is_left_alone(&self, absent: Absent, member: &str) -> bool {
        match absent {
            Absent::ServerDecides => true,
            Absent::UnlessOtherDeclared => {
                let other = if member == "launchType" { "capacityProviderStrategy" } else { "launchType" };
                // A strategy beside a declared launch type must go; a launch type beside a declared strategy is what
                // the strategy's own change replaces.
                member == "launchType" || self.declared.get(other).is_none()
            }
            _ => false,
        }
    }

    fn value(&mut self, new: Option<&Value>, old: Option<&Value>, kind: &'static Kind, list: ListKind, path: &Path) {
        if new == old || self.ignore.iter().any(|ignored| ignored.covers(path)) {
            return;
        }
        match (kind, new, old) {
            (Kind::Structure(shape), new, old) if new.or(old).is_some_and(Value::is_object) => {
                static EMPTY: Value = Value::Null;
                let (new, old) = (new.unwrap_or(&EMPTY), old.unwrap_or(&EMPTY));
                self.structure(new, old, shape, path);
            }
            (Kind::List(element), new, old) if matches!(list, ListKind::Keyed(_)) => {
                self.elements(new, old, path, Some(element));
            }
            (Kind::Map(_), new, old) => self.elements(new, old, path, None),
            _ => self.push(path, old, new),
        }
    }

    /// The elements of a keyed list, or the values of a map.
    fn elements(&mut self, new: Option<&Value>, old: Option<&Value>, path: &Path, element: Option<&'static Kind>) {
        let empty = serde_json::Map::new();
        let new = new.and_then(Value::as_object).unwrap_or(&empty);
        let old = old.and_then(Value::as_object).unwrap_or(&empty);
        let mut keys: Vec<&String> = new.keys().chain(old.keys().filter(|key| !new.contains_key(*key))).collect();
        keys.sort();
        for key in keys {
            let path = path.element(key);
            let (new, old) = (new.get(key), old.get(key));
            if new == old || self.ignore.iter().any(|ignored| ignored.covers(&path)) {
                continue;
            }
            match (element, new, old) {
                (Some(Kind::Structure(shape)), Some(new), Some(old)) if new.is_object() && old.is_object() => {
                    self.structure(new, old, shape, &path);
                }
                _ => self.push(&path, old, new),
            }
        }
    }

    fn push(&mut self, path: &Path, old: Option<&Value>, new: Option<&Value>) {
        let effect = self.effect(path, new);
        self.changes.push(Change::new(path, old.cloned(), new.cloned(), effect));
    }

    fn effect(&self, path: &Path, new: Option<&Value>) -> Effect {
        use lockstep_manifests::path::Step;
        if self.root == Root::TaskDefinition {
            return Effect::NewDeployment;
        }
        let Some(Step::Member(member)) = path.0.get(1) else {
            return Effect::Refused;
        };
        if member == "deploymentController" && new.is_none() {
            // Back to ECS's own controller is the one direction that UpdateService is known to take.
            return Effect::InPlace;
        }
        if matches!(member.as_str(), "launchType" | "capacityProviderStrategy") {
            return launch_effect(self.declared, self.live);
        }
        let change = rule_of("Service", member).change;
        match change {
            Some(change) if new.is_none() && path.0.len() == 2 && change.remove.is_none() => match member.as_str() {
                "deploymentConfiguration" => Effect::InPlace,
                _ => Effect::Refused,
            },
            Some(change) => change.effect,
            None => Effect::Refused,
        }
    }
}

/// A Cloud Map namespace's ARN ends with its id, which a name cannot be compared with: of the two forms neither
/// contradicts the other.
fn is_told_apart_by_id(new: Option<&Value>, old: Option<&Value>) -> bool {
    let is_id = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| text.starts_with("ns-"));
    new.is_some() && old.is_some() && is_id(new) != is_id(old)
}

/// What it takes to change where the tasks run. A launch type is not in UpdateService: it can only be left for a
/// capacity provider strategy of the same kind, and come back when that strategy is taken away. Both with a forced
/// deployment; anything else needs a new service.
fn launch_effect(declared: &Value, live: &Value) -> Effect {
    let kind = |service: &Value| -> Option<String> {
        if let Some(launch) = service.get("launchType").and_then(Value::as_str) {
            return Some(launch.to_owned());
        }
        let providers = service.get("capacityProviderStrategy")?.as_object()?;
        let fargate = providers.keys().any(|name| matches!(name.as_str(), "FARGATE" | "FARGATE_SPOT"));
        Some(if fargate { "FARGATE" } else { "EC2" }.to_owned())
    };
    let has_launch_type = |service: &Value| service.get("launchType").is_some();
    let (new, old) = (kind(declared), kind(live));
    let stays = new == old && new.as_deref() != Some("EXTERNAL");
    match (has_launch_type(declared), has_launch_type(live)) {
        // Between two strategies ECS takes any change.
        (false, false) => Effect::NeedsForce,
        (true, true) => Effect::Replace,
        _ if stays => Effect::NeedsForce,
        _ => Effect::Replace,
    }
}
