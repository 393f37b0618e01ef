//! The typed difference between what is declared and what is live: path, old, new, effect.

use crate::{
    compare::{
        normalise::{Context, default_of, normalise},
        rules::{Absent, Effect, Rule, Text, rule_of},
    },
    mask::{looks_secret, redact},
    report::Reason,
};
use lockstep_manifests::{
    arn::name_in,
    canonical::Root,
    ecs::{Kind, Structure},
    lists::{ListKind, list_kind},
    path::{Path, Step},
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

/// Something that is neither equal nor a difference that anything is done about, and is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remark {
    /// Where, in the grammar of [`lockstep_manifests::path`].
    pub path: String,
    /// Why nothing is done: [`Reason::NotComparable`] or [`Reason::Undeclared`].
    pub reason: Reason,
    /// The same in words.
    pub text: String,
}

/// What two definitions have to do with each other. They are equal where both lists are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// The differences.
    pub changes: Vec<Change>,
    /// What is left open.
    pub remarks: Vec<Remark>,
}

/// The differences of two definitions in the API's shape, less the ignored paths.
pub fn diff(root: Root, declared: &Value, live: &Value, context: &Context, ignore: &[Path]) -> Vec<Change> {
    compare(root, declared, live, context, ignore).changes
}

/// The same with what cannot be compared, and what stays although it is not declared.
pub fn compare(root: Root, declared: &Value, live: &Value, context: &Context, ignore: &[Path]) -> Comparison {
    let new = normalise(root, declared, context);
    let old = normalise(root, live, context);
    let mut walk = Walk {
        root,
        declared: &new,
        live: &old,
        is_new: !live.is_object(),
        context,
        ignore,
        found: Comparison::default(),
    };
    walk.structure(&new, &old, root.shape(), &Path::root(root.name()));
    walk.found
}

struct Walk<'a> {
    root: Root,
    declared: &'a Value,
    live: &'a Value,
    /// Nothing at all is live: then there is no default in force that a value would replace.
    is_new: bool,
    context: &'a Context,
    ignore: &'a [Path],
    found: Comparison,
}

/// A member with what to show where one of its sides has its default.
#[derive(Default)]
struct Shown {
    old: Option<Value>,
    new: Option<Value>,
}

impl Walk<'_> {
    fn structure(&mut self, declared: &Value, live: &Value, shape: &'static Structure, path: &Path) {
        for member in shape.members {
            let (new, old) = (declared.get(member.name), live.get(member.name));
            if new.is_none() && old.is_none() {
                continue;
            }
            let at = path.member(member.name);
            let rule = rule_of(shape.name, member.name);
            if let (None, Some(old)) = (new, old)
                && self.is_left_alone(rule.absent, member.name)
            {
                if declared.is_object() {
                    self.note_undeclared(rule.absent, old, &at);
                }
                continue;
            }
            if let (Some(Value::String(new)), Some(Value::String(old))) = (new, old)
                && self.is_by_name(rule, new, old, &at)
            {
                continue;
            }
            let default = match rule.absent {
                Absent::Unset => None,
                _ => default_of(shape.name, member.name, self.context),
            };
            let default = default.or_else(|| implied(shape, member.name, path));
            let shown = Shown {
                old: if self.is_new || old.is_some() { None } else { default.clone() },
                new: if new.is_some() { None } else { default },
            };
            self.value((new, old), shown, &member.kind, list_kind(shape.name, member.name), &at);
        }
    }

    /// A member that is live and not declared, and that ECS does not fill in by itself: it stays, and that is said.
    fn note_undeclared(&mut self, absent: Absent, old: &Value, path: &Path) {
        let Absent::Stays(filled_in) = absent else { return };
        if filled_in.is_some_and(|number| *old == number) || self.is_ignored(path) {
            return;
        }
        let change = Change::new(path, Some(old.clone()), None, Effect::InPlace);
        let value = change.old.map(|old| format!(" ({old})")).unwrap_or_default();
        let text = format!(
            "{path} is not in Git and stays as it is{value}: nothing is done, because ECS has no default to go back to; declare it to change it"
        );
        self.found.remarks.push(Remark { path: path.to_string(), reason: Reason::Undeclared, text });
    }

    /// Whether a name and an ARN are all that is to be said of a member: the same thing where the name is the ARN's,
    /// or two that nobody can compare.
    fn is_by_name(&mut self, rule: Rule, new: &str, old: &str, path: &Path) -> bool {
        if new.starts_with("arn:") == old.starts_with("arn:") {
            return false;
        }
        match rule.text {
            // Where the account is known, a role's name has become an ARN before; and clusters are not compared.
            Text::Role | Text::Cluster => is_name_of(new, old) || is_name_of(old, new),
            Text::Namespace => {
                if !self.is_ignored(path) {
                    let text = format!(
                        "{path} cannot be compared: Git has {new}, ECS returns {old}, and a namespace's ARN does not tell its name; nothing is done because of it. Write the ARN in Git to have it compared"
                    );
                    self.found.remarks.push(Remark { path: path.to_string(), reason: Reason::NotComparable, text });
                }
                true
            }
            _ => false,
        }
    }

    fn is_ignored(&self, path: &Path) -> bool {
        self.ignore.iter().any(|ignored| ignored.covers(path))
    }

    fn is_left_alone(&self, absent: Absent, member: &str) -> bool {
        match absent {
            Absent::ServerDecides | Absent::Stays(_) => true,
            Absent::UnlessOtherDeclared => {
                let other = if member == "launchType" { "capacityProviderStrategy" } else { "launchType" };
                // A strategy beside a declared launch type must go; a launch type beside a declared strategy is what
                // the strategy's own change replaces.
                member == "launchType" || self.declared.get(other).is_none()
            }
            _ => false,
        }
    }

    fn value(
        &mut self,
        (new, old): (Option<&Value>, Option<&Value>),
        shown: Shown,
        kind: &'static Kind,
        list: ListKind,
        path: &Path,
    ) {
        if new == old || self.is_ignored(path) {
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
            _ => self.push(path, old, new, shown),
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
            if new == old || self.is_ignored(&path) {
                continue;
            }
            match (element, new, old) {
                (Some(Kind::Structure(shape)), Some(new), Some(old)) if new.is_object() && old.is_object() => {
                    self.structure(new, old, shape, &path);
                }
                _ => self.push(&path, old, new, Shown::default()),
            }
        }
    }

    /// A value that is left out says that the default holds: that is what there is, or what will be.
    fn push(&mut self, path: &Path, old: Option<&Value>, new: Option<&Value>, shown: Shown) {
        let effect = self.effect(path, new);
        let (old, new) = (old.cloned().or(shown.old), new.cloned().or(shown.new));
        self.found.changes.push(Change::new(path, old, new, effect));
    }

    fn effect(&self, path: &Path, new: Option<&Value>) -> Effect {
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
        if member == "deploymentController" {
            // A service that is handed to another controller is lost to us, created anew or not.
            return Effect::Refused;
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

/// Whether a name, with its path, is what an ARN names.
fn is_name_of(name: &str, arn: &str) -> bool {
    name_in(arn).is_some_and(|named| named == name.strip_prefix('/').unwrap_or(name))
}

/// What an absent member is by another one: a Service Connect service is discovered by its port's name.
fn implied(shape: &Structure, member: &str, path: &Path) -> Option<Value> {
    match (shape.name, member, path.0.last()) {
        ("ServiceConnectService", "discoveryName", Some(Step::Element(port))) => Some(Value::String(port.clone())),
        _ => None,
    }
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
