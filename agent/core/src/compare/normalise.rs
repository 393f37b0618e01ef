//! One form for what Git declares and for what ECS answers, so that equal things compare equal: keyed lists become
//! maps, sets are sorted, and everything that only spells out a default is dropped. Driven by [`crate::compare::rules`].

pub(crate) mod special;

use crate::compare::rules::{Absent, Text, rule_of};
use lockstep_manifests::{
    arn::Home,
    canonical::Root,
    ecs::{Kind, Member, Structure},
    lists::{Key, KeyForm, ListKind, list_kind},
};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

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
    /// The account that roles without an ARN are in, where it is known.
    pub home: Option<Home>,
    /// Names in the form of the hashes `v1:`: the last part of an ARN alone.
    pub last_parts: bool,
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

    /// The same in the account of this ARN: where it is one, a role's name means a role of that account.
    pub fn at(self, arn: &str) -> Self {
        Self { home: Home::of_arn(arn).or(self.home), ..self }
    }
}

/// The normal form of a task definition or service in the API's shape.
pub fn normalise(root: Root, value: &Value, context: &Context) -> Value {
    structure(value, root.shape(), context)
}

/// The normal form of a part of a definition.
pub(crate) fn structure(value: &Value, shape: &'static Structure, context: &Context) -> Value {
    let mut result = Map::new();
    for column in columns(shape) {
        let name = column.member.name;
        let Some(written) = value.get(name) else {
            continue;
        };
        if special::is_as_absent(shape, name, value, written, context) {
            continue;
        }
        let Some(mut normal) = member_value(written, shape, column, context) else {
            continue;
        };
        if matches!(column.member.kind, Kind::Double) {
            normal = normal.as_f64().map_or(normal, Value::from);
        }
        if column.absent.of(context).is_some_and(|default| *default == normal) {
            continue;
        }
        result.insert(name.to_owned(), normal);
    }
    special::order_pair(shape, &mut result);
    Value::Object(result)
}

/// The value that an absent member has, where it has one.
pub fn default_of(structure: &str, member: &str, context: &Context) -> Option<Value> {
    let columns = TABLE.get(structure)?;
    columns.iter().find(|column| column.member.name == member)?.absent.of(context).cloned()
}

/// A member of the model with all that the tables say of it, looked up once.
struct Column {
    member: &'static Member,
    text: Text,
    list: ListKind,
    absent: Defaults,
}

/// The values that stand for absence, parsed.
#[derive(Default)]
struct Defaults {
    everywhere: Option<Value>,
    fargate: Option<Value>,
    linux_instances: Option<Value>,
    replica: Option<Value>,
    daemon: Option<Value>,
}

impl Defaults {
    fn new(absent: Absent) -> Self {
        let parse = |text: &str| serde_json::from_str(text).ok();
        let mut defaults = Self::default();
        match absent {
            Absent::Is(text) => defaults.everywhere = parse(text),
            Absent::Unset => defaults.everywhere = Some(0.into()),
            Absent::OnFargate(text) => defaults.fargate = parse(text),
            Absent::OnLinuxInstances(text) => defaults.linux_instances = parse(text),
            Absent::ByScheduling(replica, daemon) => {
                defaults.replica = parse(replica);
                defaults.daemon = parse(daemon);
            }
            Absent::Absent | Absent::ServerDecides | Absent::Stays(_) | Absent::UnlessOtherDeclared => {}
        }
        defaults
    }

    fn of(&self, context: &Context) -> Option<&Value> {
        let by_scheduling = if context.daemon { &self.daemon } else { &self.replica };
        let by_platform = if context.fargate {
            &self.fargate
        } else if context.windows {
            &None
        } else {
            &self.linux_instances
        };
        self.everywhere.as_ref().or(by_scheduling.as_ref()).or(by_platform.as_ref())
    }
}

static TABLE: LazyLock<HashMap<&'static str, Vec<Column>>> = LazyLock::new(|| {
    fn add(shape: &'static Structure, table: &mut HashMap<&'static str, Vec<Column>>) {
        if table.contains_key(shape.name) {
            return;
        }
        let column = |member: &'static Member| {
            let rule = rule_of(shape.name, member.name);
            let list = list_kind(shape.name, member.name);
            Column { member, text: rule.text, list, absent: Defaults::new(rule.absent) }
        };
        table.insert(shape.name, shape.members.iter().map(column).collect());
        for inner in shape.members.iter().filter_map(|member| member.kind.structure()) {
            add(inner, table);
        }
    }
    let mut table = HashMap::new();
    add(Root::TaskDefinition.shape(), &mut table);
    add(Root::Service.shape(), &mut table);
    table
});

fn columns(shape: &'static Structure) -> &'static [Column] {
    TABLE.get(shape.name).map_or(&[], Vec::as_slice)
}

/// The normal form of a member; none where it is as absent.
fn member_value(value: &Value, owner: &'static Structure, column: &Column, context: &Context) -> Option<Value> {
    let normal = match (&column.member.kind, value) {
        (_, Value::Null) => return None,
        (Kind::Structure(shape), Value::Object(_)) => structure(value, shape, context),
        (Kind::List(element), Value::Array(items)) => list(items, element, owner, column.list, context),
        (Kind::Map(_), Value::Object(map)) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        (Kind::String | Kind::Enum(_), Value::String(written)) => {
            Value::String(normal_text(written, column.text, context))
        }
        (Kind::Document, document) => sorted(document),
        _ => value.clone(),
    };
    let empty = match &normal {
        Value::String(text) => text.is_empty() && column.text != Text::Data,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty() && !matches!(column.member.kind, Kind::Document),
        _ => false,
    };
    (!empty).then_some(normal)
}

/// A free-form document with the keys of its maps in one order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Object(map) => {
            let map: BTreeMap<&String, &Value> = map.iter().collect();
            Value::Object(map.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        other => other.clone(),
    }
}

fn list(
    items: &[Value],
    element: &'static Kind,
    owner: &'static Structure,
    kind: ListKind,
    context: &Context,
) -> Value {
    let normal = |item: &Value| match element {
        Kind::Structure(shape) => structure(item, shape, context),
        _ => item.clone(),
    };
    match kind {
        ListKind::Ordered => Value::Array(items.iter().map(normal).collect()),
        ListKind::Set => {
            let is_something = |item: &Value| item.as_object().is_none_or(|map| !map.is_empty());
            let mut set: Vec<Value> = items.iter().map(normal).filter(is_something).collect();
            set.sort_by_key(Value::to_string);
            set.dedup();
            Value::Array(set)
        }
        ListKind::Keyed(key) => {
            let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for item in items {
                // Both sides are keyed alike only where what orders the pair is ordered first.
                let ordered = special::ordered_pair(element, item);
                let item = ordered.as_ref().unwrap_or(item);
                let value = without_key(normal(item), key);
                if !special::is_empty_property(owner, &value) {
                    map.entry(key.text_of(item)).or_default().push(value);
                }
            }
            let mut result = Map::new();
            for (text, mut values) in map {
                // Elements that share a key are told apart by their content, so that none hides another.
                values.sort_by_key(Value::to_string);
                values.dedup();
                for (at, value) in values.into_iter().enumerate() {
                    let text = if at == 0 { text.clone() } else { format!("{text}#{}", at + 1) };
                    result.insert(text, value);
                }
            }
            Value::Object(result)
        }
    }
}

/// An element less the members that make its key; the scalar alone where that is all there is.
fn without_key(mut value: Value, key: Key) -> Value {
    let Some(object) = value.as_object_mut() else {
        return value;
    };
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
        return object.shift_remove(scalar).unwrap_or_else(|| Value::String(String::new()));
    }
    value
}

fn normal_text(written: &str, text: Text, context: &Context) -> String {
    match text {
        Text::Plain | Text::Data => written.to_owned(),
        Text::Cpu => units(written, "vcpu", 1024.0),
        Text::Memory => units(written, "gb", 1024.0),
        Text::Role | Text::Cluster | Text::Namespace if context.last_parts => {
            written.rsplit('/').next().unwrap_or(written).to_owned()
        }
        Text::Role => context.home.as_ref().map_or_else(|| written.to_owned(), |home| home.role(written)),
        Text::Cluster | Text::Namespace => written.to_owned(),
        Text::PlacementField => match written {
            "host" => "instanceId".to_owned(),
            _ if written.eq_ignore_ascii_case("cpu") || written.eq_ignore_ascii_case("memory") => {
                written.to_ascii_uppercase()
            }
            _ => written.to_owned(),
        },
        Text::Json => {
            serde_json::from_str(written).map_or_else(|_| written.to_owned(), |json| sorted(&json).to_string())
        }
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
