//! What ECS would say only later, said before: the checks that need nothing but the definition. Each is OK, FAIL, WARN
//! or SKIP with its reason. A FAIL is certain, and withholds the service's writes: it follows from the definition itself, or
//! ECS says so in the words of `model-sentences.txt`, which are compared with the pinned service model each time that it is
//! raised, or in an answer that the rule's page quotes. What is known otherwise, and what AWS tends to allow one day, is a
//! WARN. Values that are not known yet (an open substitution) fail nothing.

mod containers;
mod deployment;
mod fargate;
mod limits;
mod object;
mod ports;
mod service;
mod words;

pub use object::object;

use lockstep_manifests::{
    Desired,
    codes::Code,
    layer::Ownership,
    lists::{ListKind, list_kind},
    path::Path,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckOutcome {
    /// It holds.
    Ok,
    /// It could not be checked.
    Skip,
    /// It may not hold.
    Warn,
    /// It does not hold: ECS would refuse or never finish.
    Fail,
}

/// One check and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What is checked; its page says why.
    pub code: Code,
    /// What it is about.
    pub path: Path,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// The reason, as a fragment.
    pub text: String,
    /// What else it is about: where the other side of a contradiction is declared.
    pub also: Vec<Path>,
}

/// All checks that the definition alone decides, in the order of the definition. A rule that finds nothing is one OK.
pub fn offline(desired: &Desired) -> Vec<Check> {
    let subject = Subject::new(desired);
    let mut checks = Vec::new();
    let rules: &[fn(&Subject<'_>, &mut Findings)] = &[
        fargate::sizes,
        fargate::features,
        containers::definitions,
        containers::dependencies,
        containers::references,
        containers::variables,
        containers::names_of_network,
        containers::health_checks,
        containers::logs,
        containers::roles,
        containers::volumes,
        ports::mappings,
        words::values,
        words::tags,
        limits::size,
    ];
    let of_service: &[fn(&Subject<'_>, &mut Findings)] = &[
        ports::service_connect,
        service::scheduling,
        service::network,
        service::load_balancers,
        service::volumes,
        deployment::percentages,
        deployment::strategy,
        deployment::hooks,
    ];
    let is_ours = desired.ownership == Ownership::Service;
    for rule in rules.iter().chain(if is_ours { of_service } else { &[] }) {
        let mut findings = Findings::default();
        rule(&subject, &mut findings);
        findings.finish(&mut checks);
    }
    let mut findings = Findings::default();
    limits::tags(desired, &mut findings);
    findings.finish(&mut checks);
    checks
}

/// The checks that failed, in words; none where all hold.
pub fn failure(checks: &[Check]) -> Option<String> {
    let failed: Vec<String> = checks
        .iter()
        .filter(|check| check.outcome == CheckOutcome::Fail)
        .map(|check| format!("{} ({}): {}", check.code.id, check.path, check.text))
        .collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

/// What a rule found.
#[derive(Default)]
struct Findings {
    about: Option<(Code, Path, &'static str)>,
    found: Vec<Check>,
}

impl Findings {
    /// The rule applies, and this is what it says when nothing is wrong.
    fn about(&mut self, code: Code, path: Path, text: &'static str) {
        self.about = Some((code, path, text));
    }

    fn fail(&mut self, code: Code, path: Path, text: impl Into<String>) {
        self.found.push(Check { code, path, outcome: CheckOutcome::Fail, text: text.into(), also: Vec::new() });
    }

    fn warn(&mut self, code: Code, path: Path, text: impl Into<String>) {
        self.found.push(Check { code, path, outcome: CheckOutcome::Warn, text: text.into(), also: Vec::new() });
    }

    /// What was found last is about another place, too.
    fn also(&mut self, path: Path) {
        if let Some(check) = self.found.last_mut() {
            check.also.push(path);
        }
    }

    fn finish(self, checks: &mut Vec<Check>) {
        if let (Some((code, path, text)), true) = (self.about, self.found.is_empty()) {
            checks.push(Check { code, path, outcome: CheckOutcome::Ok, text: text.to_owned(), also: Vec::new() });
        }
        checks.extend(self.found);
    }
}

/// What is checked, with what most rules ask of it.
struct Subject<'a> {
    task_definition: &'a Value,
    service: &'a Value,
    /// The tasks can only run on Fargate.
    fargate: bool,
    /// The tasks run Windows containers.
    windows: bool,
    network_mode: Option<&'a str>,
}

impl<'a> Subject<'a> {
    fn new(desired: &'a Desired) -> Self {
        let (task_definition, service) = (&desired.task_definition, &desired.service);
        let compatible: Vec<&str> = strings(task_definition, "requiresCompatibilities");
        let providers = providers(service);
        let fargate = compatible == ["FARGATE"]
            || text(service, "launchType") == Some("FARGATE")
            || providers.iter().any(|provider| is_fargate_provider(provider));
        let windows = task_definition
            .pointer("/runtimePlatform/operatingSystemFamily")
            .and_then(Value::as_str)
            .is_some_and(|family| family.starts_with("WINDOWS"));
        let network_mode = text(task_definition, "networkMode");
        Self { task_definition, service, fargate, windows, network_mode }
    }

    fn containers(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        list(self.task_definition, "containerDefinitions")
            .iter()
            .filter_map(|container| Some((container.get("name")?.as_str()?, container)))
    }

    fn container(&self, name: &str) -> Option<&'a Value> {
        self.containers().find(|(other, _)| *other == name).map(|(_, container)| container)
    }
}

fn task_definition() -> Path {
    Path::root("taskDefinition")
}

fn of_service() -> Path {
    Path::root("service")
}

fn of_container(name: &str) -> Path {
    task_definition().member("containerDefinitions").element(name)
}

/// The path of an element of a keyed list of the model.
fn element(path: &Path, structure: &str, member: &str, item: &Value, at: usize) -> Path {
    let path = path.member(member);
    match list_kind(structure, member) {
        ListKind::Keyed(key) => path.element(key.text_of(item)),
        _ => path.element(at),
    }
}

/// A text that is known: an open substitution is none.
fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member)?.as_str().filter(|text| !text.is_empty() && is_known(text))
}

fn is_known(text: &str) -> bool {
    !text.contains("${{")
}

fn number(value: &Value, member: &str) -> Option<i64> {
    value.get(member)?.as_i64()
}

fn is_on(value: &Value, member: &str) -> bool {
    value.get(member) == Some(&Value::Bool(true))
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a member says anything: neither absent nor empty.
fn is_set(value: &Value, member: &str) -> bool {
    match value.get(member) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(_) => true,
    }
}

fn strings<'a>(value: &'a Value, member: &str) -> Vec<&'a str> {
    list(value, member).iter().filter_map(Value::as_str).collect()
}

fn providers(service: &Value) -> Vec<&str> {
    list(service, "capacityProviderStrategy").iter().filter_map(|item| item.get("capacityProvider")?.as_str()).collect()
}

fn is_fargate_provider(name: &str) -> bool {
    matches!(name, "FARGATE" | "FARGATE_SPOT")
}
