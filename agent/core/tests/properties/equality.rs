//! Equality is an equivalence, member by member: every member of the model with values that are easily taken for one
//! another, each with each. And what is sent is what is compared.

use lockstep_core::compare::{
    diff::compare,
    normalise::{Context, default_of, normalise},
    rules::{Absent, Text, rule_of},
    send::sendable,
};
use lockstep_manifests::{
    canonical::Root,
    ecs::{Kind, Member, Structure},
    lists::{KeyForm, ListKind, list_kind},
};
use serde_json::{Map, Value, json};

const HOME: &str = "arn:aws:ecs:eu-central-1:111111111111:service/prod/web";

/// A member of the model, with the way to it from the root.
#[derive(Clone)]
struct Place {
    root: Root,
    /// Each structure on the way with the member that leads on.
    way: Vec<(&'static Structure, &'static Member)>,
    owner: &'static Structure,
    member: &'static Member,
}

impl Place {
    fn name(&self) -> String {
        let way: Vec<&str> = self.way.iter().map(|(_, member)| member.name).chain([self.member.name]).collect();
        format!("{}.{}", self.root.name(), way.join("."))
    }

    /// The definition in which the member has this value, or is absent.
    fn with(&self, value: Option<&Value>) -> Value {
        let mut inner = element(self.owner, self.way.last().copied());
        match value {
            Some(value) => inner.insert(self.member.name.to_owned(), value.clone()),
            None => inner.shift_remove(self.member.name),
        };
        let mut value = Value::Object(inner);
        for (at, (structure, member)) in self.way.iter().enumerate().rev() {
            if matches!(member.kind, Kind::List(_)) {
                value = json!([value]);
            }
            let mut outer = element(structure, at.checked_sub(1).map(|at| self.way[at]));
            outer.insert(member.name.to_owned(), value);
            value = Value::Object(outer);
        }
        value
    }
}

/// What a structure has beside the member in question: the key by which its list is ordered, and the strategy whose
/// block it is.
fn element(shape: &'static Structure, led_here: Option<(&'static Structure, &'static Member)>) -> Map<String, Value> {
    let mut map = Map::new();
    if let Some((owner, member)) = led_here
        && let ListKind::Keyed(key) = list_kind(owner.name, member.name)
    {
        match key.form {
            KeyForm::Port => {
                map.insert("containerPort".into(), json!(80));
            }
            KeyForm::Single => {
                let is_number = shape.member(key.members[0]).is_some_and(|key| matches!(key.kind, Kind::Integer));
                map.insert(key.members[0].into(), if is_number { json!(80) } else { json!("key") });
            }
            KeyForm::Composite => {}
        }
    }
    map
}

fn places(root: Root) -> Vec<Place> {
    fn walk(
        root: Root,
        way: &[(&'static Structure, &'static Member)],
        owner: &'static Structure,
        found: &mut Vec<Place>,
    ) {
        for member in owner.members {
            found.push(Place { root, way: way.to_vec(), owner, member });
            if let Some(inner) = member.kind.structure() {
                let mut way = way.to_vec();
                way.push((owner, member));
                walk(root, &way, inner, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(root, &[], root.shape(), &mut found);
    found
}

/// Values that are easily taken for one another.
fn pool(owner: &'static Structure, member: &'static Member) -> Vec<Value> {
    let texts = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect::<Vec<_>>();
    let rule = rule_of(owner.name, member.name);
    match &member.kind {
        Kind::String => match rule.text {
            Text::Role => texts(&[
                "",
                "exec",
                "/exec",
                "svc/exec",
                "arn:aws:iam::111111111111:role/exec",
                "arn:aws:iam::111111111111:role/svc/exec",
                "arn:aws:iam::222222222222:role/exec",
                "arn:aws-cn:iam::111111111111:role/exec",
            ]),
            Text::Cluster => texts(&["prod", "arn:aws:ecs:eu-central-1:111111111111:cluster/prod", "other"]),
            Text::Namespace => texts(&[
                "shop",
                "other",
                "ns-a",
                "arn:aws:servicediscovery:eu-central-1:111111111111:namespace/ns-a",
                "arn:aws:servicediscovery:eu-central-1:222222222222:namespace/ns-a",
            ]),
            Text::Cpu => texts(&["256", ".25 vCPU", "0.25vcpu", "512", "", "x"]),
            Text::Memory => texts(&["512", ".5 GB", "0.5gb", "1024", "", "x"]),
            Text::PlacementField => texts(&["cpu", "CPU", "Cpu", "host", "instanceId", "HOST", ""]),
            Text::Json => texts(&["{\"a\":1,\"b\":2}", "{\"b\": 2, \"a\": 1}", "{\"a\":1}", "x", ""]),
            Text::Plain | Text::Data => texts(&["", "a", "A", "/", "LATEST", "local", "a/b", "b", "key"]),
        },
        Kind::Enum(values) => values.iter().take(5).chain(&[""]).map(|text| json!(text)).collect(),
        Kind::Integer | Kind::Long => {
            [0, 1, 3, 5, 20, 30, 50, 60, 80, 100, 200, 300, 1440].map(|it| json!(it)).to_vec()
        }
        Kind::Double => vec![json!(5.0), json!(5), json!(10.0), json!(1.5)],
        Kind::Boolean => vec![json!(true), json!(false)],
        Kind::Structure(_) => vec![json!({})],
        Kind::List(Kind::Structure(_)) => vec![json!([]), json!([{}]), json!([{}, {}])],
        Kind::List(_) => {
            vec![
                json!([]),
                json!(["a"]),
                json!(["b", "a"]),
                json!(["a", "b"]),
                json!(["a", "a"]),
                json!(["read", "write", "mknod"]),
            ]
        }
        Kind::Map(_) => vec![json!({}), json!({"a": ""}), json!({"a": "x", "b": ""}), json!({"b": "", "a": "x"})],
        Kind::Document => vec![json!({}), json!({"a": 1, "b": [2]}), json!({"b": [2], "a": 1}), json!({"a": 1.0})],
    }
}

/// What the definition may be part of. One serves both sides of a comparison.
fn contexts() -> Vec<Context> {
    let of = |fargate, windows, daemon, mode: Option<&str>| {
        let network_mode = mode.map(str::to_owned);
        Context { fargate, windows, daemon, network_mode, ..Context::default() }.at(HOME)
    };
    vec![
        of(true, false, false, Some("awsvpc")),
        of(false, false, false, None),
        of(false, false, false, Some("bridge")),
        of(false, true, false, None),
        of(false, false, true, Some("host")),
    ]
}

fn equal(root: Root, one: &Value, other: &Value, context: &Context) -> bool {
    let found = compare(root, one, other, context, &[]);
    found.changes.is_empty() && found.remarks.is_empty()
}

/// Where absence leaves a member to ECS, an absent one is equal to any: only values are compared with each other.
fn leaves_it_to_ecs(place: &Place) -> bool {
    let is_left = |owner: &Structure, member: &Member| {
        matches!(
            rule_of(owner.name, member.name).absent,
            Absent::ServerDecides | Absent::Stays(_) | Absent::UnlessOtherDeclared
        )
    };
    is_left(place.owner, place.member) || place.way.iter().any(|(owner, member)| is_left(owner, member))
}

// B1: reflexive, symmetric, transitive, for every member of the model.
#[test]
fn equality_is_an_equivalence_for_every_member() {
    let mut checked = 0;
    for root in [Root::TaskDefinition, Root::Service] {
        for place in places(root) {
            let pool = pool(place.owner, place.member);
            let absent = place.with(None);
            for context in contexts() {
                let values = pool.iter().map(|value| place.with(Some(value)));
                let mut definitions: Vec<Value> = values.chain([absent.clone()]).collect();
                if leaves_it_to_ecs(&place) {
                    let nothing = normalise(root, &absent, &context);
                    definitions.retain(|definition| normalise(root, definition, &context) != nothing);
                }
                let count = definitions.len();
                let matrix: Vec<Vec<bool>> = definitions
                    .iter()
                    .map(|one| definitions.iter().map(|other| equal(root, one, other, &context)).collect())
                    .collect();
                for a in 0..count {
                    assert!(matrix[a][a], "{} {} is not itself", place.name(), definitions[a]);
                    for b in 0..count {
                        let (one, other) = (&definitions[a], &definitions[b]);
                        assert_eq!(matrix[a][b], matrix[b][a], "{} {one} {other} {context:?}", place.name());
                        for c in 0..count {
                            let holds = !(matrix[a][b] && matrix[b][c]) || matrix[a][c];
                            assert!(holds, "{} {one} {other} {} {context:?}", place.name(), definitions[c]);
                        }
                    }
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 1000, "{checked}");
}

/// Nothing in it says nothing: no empty text but where that is a value, no empty block, no null.
fn says_something(value: &Value, shape: &'static Structure, at: &str) {
    for (name, inner) in value.as_object().unwrap() {
        let member = shape.member(name).unwrap();
        let at = format!("{at}.{name}");
        match (&member.kind, inner) {
            (Kind::String | Kind::Enum(_), Value::String(text)) => {
                let is_data = matches!((shape.name, name.as_str()), ("KeyValuePair" | "Tag", "value"));
                assert!(is_data || !text.is_empty(), "{at} is sent empty");
            }
            (Kind::Structure(inner_shape), Value::Object(map)) => {
                assert!(!map.is_empty(), "{at} is sent empty");
                says_something(inner, inner_shape, &at);
            }
            (Kind::List(Kind::Structure(inner_shape)), Value::Array(items)) => {
                items.iter().for_each(|item| says_something(item, inner_shape, &at));
            }
            (_, inner) => assert!(!inner.is_null(), "{at} is null"),
        }
    }
}

/// Whatever is sent and has no trace in the normal form is a default that is spelled out, and nothing else.
fn is_compared(sent: &Value, normal: &Value, shape: &'static Structure, context: &Context, at: &str) {
    for (name, inner) in sent.as_object().unwrap() {
        let at = format!("{at}.{name}");
        let member = shape.member(name).unwrap();
        match (&member.kind, normal.get(name)) {
            (Kind::Structure(inner_shape), found) => {
                is_compared(inner, found.unwrap_or(&json!({})), inner_shape, context, &at);
            }
            (Kind::List(_) | Kind::Map(_) | Kind::Document, _) | (_, Some(_)) => {}
            (_, None) => {
                let mut one = Map::new();
                one.insert(name.clone(), inner.clone());
                let default = default_of(shape.name, name, context);
                let repeats_another = matches!(
                    (shape.name, name.as_str()),
                    ("PortMapping", "hostPort")
                        | ("Device", "containerPath")
                        | ("ServiceConnectService", "discoveryName")
                );
                assert!(
                    repeats_another || default.as_ref() == Some(inner) || default == inner.as_f64().map(Value::from),
                    "{at}: {inner} is sent, and compared as absent"
                );
            }
        }
    }
}

pub(crate) fn assert_sent_is_compared(root: Root, declared: &Value, context: &Context) {
    let sent = sendable(root, declared, context);
    says_something(&sent, root.shape(), root.name());
    let normal = normalise(root, declared, context);
    assert_eq!(normalise(root, &sent, context), normal, "{declared} is sent as {sent}");
    is_compared(&sent, &normal, root.shape(), context, root.name());
    assert_eq!(sendable(root, &sent, context), sent, "{declared}");
}

// B2: for every member: what compares as absent is not sent, and what is sent is what is compared.
#[test]
fn what_is_sent_is_what_is_compared_for_every_member() {
    for root in [Root::TaskDefinition, Root::Service] {
        for place in places(root) {
            for value in pool(place.owner, place.member).iter().map(Some).chain([None]) {
                for context in contexts() {
                    assert_sent_is_compared(root, &place.with(value), &context);
                }
            }
        }
    }
}

// B2: the members that were seen, one by one.
#[test]
fn an_empty_text_is_not_sent() {
    let context = Context::default();
    let container = json!({"name": "a", "image": "b", "hostname": "", "user": "", "workingDirectory": "", "memory": 0,
        "repositoryCredentials": {"credentialsParameter": ""}, "portMappings": [{"containerPort": 80, "name": "", "appProtocol": ""}],
        "environment": [{"name": "EMPTY", "value": ""}, {"name": "NONE"}], "dockerLabels": {"empty": ""}, "command": [""],
        "logConfiguration": {"logDriver": "awslogs", "options": {"empty": ""}}, "linuxParameters": {}});
    let declared = json!({"family": "web", "taskRoleArn": "", "executionRoleArn": "", "containerDefinitions": [container],
        "placementConstraints": [{"type": "memberOf", "expression": ""}]});
    assert_eq!(
        sendable(Root::TaskDefinition, &declared, &context),
        json!({"family": "web", "containerDefinitions": [{"name": "a", "image": "b", "portMappings": [{"containerPort": 80}],
            "command": [""], "environment": [{"name": "EMPTY", "value": ""}, {"name": "NONE", "value": ""}],
            "dockerLabels": {"empty": ""}, "logConfiguration": {"logDriver": "awslogs", "options": {"empty": ""}}}],
            "placementConstraints": [{"type": "memberOf"}]}),
        "what is data stays data"
    );
    let declared = json!({"serviceName": "web", "platformVersion": "", "role": "", "desiredCount": 0,
        "placementConstraints": [{"type": "distinctInstance", "expression": ""}],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a", "a"], "securityGroups": []}}});
    assert_eq!(
        sendable(Root::Service, &declared, &context),
        json!({"serviceName": "web", "desiredCount": 0, "placementConstraints": [{"type": "distinctInstance"}],
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a"], "securityGroups": []}}})
    );
}

// B1: without an account a short name is compared with an ARN's end, and two ARNs whole.
#[test]
fn offline_a_name_is_compared_with_an_arns_end() {
    let role = |text: &str| json!({"family": "a", "executionRoleArn": text});
    let cluster = |text: &str| json!({"serviceName": "a", "cluster": text});
    let differs = |root: Root, one: Value, other: Value| {
        let context = Context::of([&one, &other]);
        let there = compare(root, &one, &other, &context, &[]).changes.len();
        assert_eq!(there, compare(root, &other, &one, &context, &[]).changes.len());
        there
    };
    let arn = "arn:aws:iam::111111111111:role/exec";
    for (one, other, count) in [
        ("exec", arn, 0),
        ("/exec", arn, 0),
        ("svc/exec", arn, 1),
        ("exec", "arn:aws:iam::111111111111:role/svc/exec", 1),
        ("svc/exec", "arn:aws:iam::111111111111:role/svc/exec", 0),
        (arn, "arn:aws:iam::222222222222:role/exec", 1),
        (arn, "arn:aws-cn:iam::111111111111:role/exec", 1),
        (arn, arn, 0),
    ] {
        assert_eq!(differs(Root::TaskDefinition, role(one), role(other)), count, "{one} {other}");
    }
    let arn = "arn:aws:ecs:eu-central-1:111111111111:cluster/prod";
    for (one, other, count) in [
        ("prod", arn, 0),
        ("dev", arn, 1),
        (arn, "arn:aws:ecs:eu-central-1:222222222222:cluster/prod", 1),
        (arn, "arn:aws:ecs:us-east-1:111111111111:cluster/prod", 1),
    ] {
        assert_eq!(differs(Root::Service, cluster(one), cluster(other)), count, "{one} {other}");
    }
}
