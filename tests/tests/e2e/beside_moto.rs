//! One script of calls against the sandbox and against moto, answer beside answer. Every difference stands in
//! `beside-moto/differences.yaml` with who is right and why; one that is not there fails, and so does one that is gone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep_sandbox::Options;
use lockstep_tests::{
    aws::{Aws, Emulator, Reply},
    judge::judge,
    moto::{ACCOUNT, Moto},
};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// A call of the script.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    name: String,
    call: String,
    input: Value,
    /// Members of the answer that later calls need: name and JSON pointer.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// JSON pointers of lists whose order nobody promises.
    #[serde(default)]
    unordered: Vec<String>,
}

/// How two answers differ in one place.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Only the sandbox has the member.
    MotoLacks,
    /// Only moto has the member.
    SandboxLacks,
    /// Both have it, with other values.
    Value,
}

/// Who is right where two answers differ.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Side {
    Sandbox,
    Moto,
    Both,
    Neither,
}

/// An entry of the list of differences.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// Calls by operation or by the names of steps.
    at: Vec<String>,
    /// Members; an index is `*`.
    paths: Vec<String>,
    kind: Kind,
    right: Side,
    evidence: String,
}

/// One difference: step, operation, path, kind.
type Difference = (String, String, String, Kind);

/// One endpoint with what it has answered so far.
struct Player {
    aws: Aws,
    kept: BTreeMap<String, String>,
}

impl Player {
    fn new(endpoint: Aws, subnet: &str, group: &str) -> Self {
        let kept = [("subnet", subnet), ("group", group)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { aws: endpoint, kept: kept.into() }
    }

    fn play(&mut self, step: &Step) -> Reply {
        let mut input = step.input.to_string();
        for (name, value) in &self.kept {
            input = input.replace(&format!("${{{name}}}"), value);
        }
        assert!(!input.contains("${"), "{}: {input}", step.name);
        let mut reply = self.aws.send(&step.call, &serde_json::from_str(&input).unwrap());
        for (name, pointer) in &step.keep {
            let found = reply.body.pointer(pointer).and_then(Value::as_str);
            let value = found.unwrap_or_else(|| panic!("{}: no {pointer} in {}", step.name, reply.body));
            self.kept.insert(name.clone(), value.to_owned());
        }
        for pointer in &step.unordered {
            let list = reply.body.pointer_mut(pointer).and_then(Value::as_array_mut);
            list.unwrap_or_else(|| panic!("{}: no {pointer}", step.name))
                .sort_by_key(|item| plain("", item).to_string());
        }
        reply
    }
}

/// What is different by nature in texts: ids and random parts.
static RANDOM: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
        (r"\becs-svc/[0-9]+\b", "ecs-svc/<id>"),
        (r"(:task/[^/]+/)[0-9a-f]{32}\b", "${1}<id>"),
        (r"(:secret:[^ ]+)-[A-Za-z0-9]{6}\b", "${1}-<suffix>"),
        (r"\beni-[0-9a-f]+\b", "eni-<id>"),
        (r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "<mac>"),
        (r"\b10(\.[0-9]{1,3}){3}\b|\b172(\.[0-9]{1,3}){3}\b", "<ip>"),
        (r"(scalable-target/)[0-9a-z-]+", "${1}<id>"),
        (r"\bAROA[A-Z0-9]+", "<role>"),
    ];
    rules.map(|(pattern, with)| (Regex::new(pattern).unwrap(), with)).into()
});

/// A value without what must differ; null is absent. The form of a time stays: a number and a text are different.
fn plain(member: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let there = fields.iter().filter(|(_, field)| !field.is_null());
            let plain = there.map(|(name, field)| (masked(name), plain(name, field)));
            if fields.keys().all(|name| *name == masked(name)) {
                return Value::Object(plain.collect());
            }
            // By random keys: only the values tell them apart.
            let mut pairs: Vec<Value> = plain.map(|(name, field)| json!([name, field])).collect();
            pairs.sort_by_key(Value::to_string);
            Value::Array(pairs)
        }
        Value::Array(list) => list.iter().map(|item| plain(member, item)).collect(),
        Value::Number(_) if is_time(member) => json!("<time>"),
        Value::String(_) if is_time(member) => json!("<time as text>"),
        Value::String(_) if ["AccessKeyId", "SecretAccessKey", "SessionToken"].contains(&member) => json!("<random>"),
        Value::String(text) => json!(masked(text)),
        other => other.clone(),
    }
}

fn masked(text: &str) -> String {
    RANDOM.iter().fold(text.to_owned(), |text, (pattern, with)| pattern.replace_all(&text, *with).into_owned())
}

fn is_time(member: &str) -> bool {
    ["At", "Date", "Time", "Expiration"].iter().any(|end| member.ends_with(end))
}

fn compare(sandbox: &Value, moto: &Value, path: &str, found: &mut BTreeSet<(String, Kind)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (sandbox, moto) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours {
                match theirs.get(name) {
                    Some(other) => compare(value, other, &below(name), found),
                    None => _ = found.insert((below(name), Kind::MotoLacks)),
                }
            }
            for name in theirs.keys().filter(|name| !ours.contains_key(*name)) {
                found.insert((below(name), Kind::SandboxLacks));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (ours, theirs) in ours.iter().zip(theirs) {
                compare(ours, theirs, &below("*"), found);
            }
        }
        (ours, theirs) if ours != theirs => _ = found.insert((path.to_owned(), Kind::Value)),
        _ => {}
    }
}

/// The differences of two replies: of what they are, or of their members.
fn differences(sandbox: &Reply, moto: &Reply) -> BTreeSet<(String, Kind)> {
    let mut found = BTreeSet::new();
    if (sandbox.status == 200) != (moto.status == 200) {
        found.insert(("(outcome)".to_owned(), Kind::Value));
        return found;
    }
    if sandbox.status != moto.status {
        found.insert(("(status)".to_owned(), Kind::Value));
    }
    compare(&plain("", &sandbox.body), &plain("", &moto.body), "", &mut found);
    found
}

/// What a reply has at a path, for who reads the failure.
fn shown(reply: &Reply, path: &str) -> String {
    let mut value = &reply.body;
    if !path.starts_with('(') {
        for name in path.split('.').filter(|name| !name.is_empty()) {
            value = if name == "*" { &value[0] } else { &value[name] };
        }
    }
    format!("{} {}", reply.status, value.to_string().chars().take(400).collect::<String>())
}

fn list<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    serde_yaml::from_str(text).expect("a list")
}

#[test]
fn the_sandbox_and_moto_answer_alike_but_for_what_is_listed() {
    let steps: Vec<Step> = list(include_str!("../../beside-moto/script.yaml"));
    let known: Vec<Known> = list(include_str!("../../beside-moto/differences.yaml"));
    let names: BTreeSet<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names.len(), steps.len(), "names of steps are unique");
    assert!(known.iter().all(|entry| entry.evidence.len() > 10), "a difference without evidence");
    let moto = Moto::start();
    let subnet = moto.ec2("DescribeSubnets", "subnetId").swap_remove(0);
    let group = moto.ec2("DescribeSecurityGroups", "groupId").swap_remove(0);
    let emulator = Emulator::start(Options { container_instances: 0, ..Options::default() });
    let mut ours = Player::new(emulator.client(ACCOUNT), &subnet, &group);
    let mut theirs = Player::new(Aws::new(moto.endpoint(), "test"), &subnet, &group);
    let mut found = BTreeMap::<Difference, String>::new();
    for step in &steps {
        let (sandbox, moto) = (ours.play(step), theirs.play(step));
        for (path, kind) in differences(&sandbox, &moto) {
            let told =
                format!("{} | {path} | {kind:?}\n  {}\n  {}", step.name, shown(&sandbox, &path), shown(&moto, &path));
            found.insert((step.name.clone(), step.call.clone(), path, kind), told);
        }
    }
    let mut pairs = BTreeSet::new();
    for entry in &known {
        pairs.extend(entry.at.iter().flat_map(|at| entry.paths.iter().map(move |path| (at, path, entry.kind))));
    }
    let covers = |(at, path, kind): &(&String, &String, Kind), (step, call, place, other): &Difference| {
        (*at == step || *at == call) && *path == place && kind == other
    };
    let unlisted = found.iter().filter(|(difference, _)| !pairs.iter().any(|pair| covers(pair, difference)));
    let unlisted: Vec<&str> = unlisted.map(|(_, told)| told.as_str()).collect();
    assert!(unlisted.is_empty(), "differences that are not in differences.yaml:\n{}", unlisted.join("\n"));
    let gone: Vec<_> = pairs.iter().filter(|pair| !found.keys().any(|difference| covers(pair, difference))).collect();
    assert!(gone.is_empty(), "differences that do not occur any more: {gone:#?}");
    assert!(known.iter().all(|entry| entry.right != Side::Moto), "the sandbox is wrong, and that is known: mend it");
    judge(&emulator.control.journal(0));
}
