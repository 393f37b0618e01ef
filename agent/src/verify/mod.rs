//! The checks that ask AWS: whether what a definition names is there, before ECS finds out that it is not. Each call is
//! a read; one that is denied is a SKIP that names the missing permission.

mod containers;
mod image;
mod service;

use crate::aws::{Accounts, AwsError, Clients, EcrImage, Remedy};
use lockstep_core::allow::Allow;
use lockstep_core::{
    observed::{Presence, refusal::Absent},
    verify::{Check, CheckOutcome},
};
use lockstep_manifests::{
    Desired, Environment,
    codes::{self, Code},
    layer::Ownership,
    path::Path,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Asks AWS, each question once for all services of a run.
pub struct Verifier<'a> {
    accounts: &'a Accounts,
    allow: &'a Allow,
    known: HashMap<String, (CheckOutcome, String)>,
    /// Whether a call failed for another reason than a missing permission.
    pub failed: bool,
}

impl<'a> Verifier<'a> {
    /// A verifier that may reach what `allow` says.
    pub fn new(accounts: &'a Accounts, allow: &'a Allow) -> Self {
        Self { accounts, allow, known: HashMap::new(), failed: false }
    }

    /// All checks of one service in one environment that take a call.
    pub async fn online(&mut self, desired: &Desired, environment: &Environment) -> Vec<Check> {
        let clients = self.accounts.clients(&environment.account, &environment.region).await;
        let mut checks = Vec::new();
        let definition = &desired.task_definition;
        let ours = desired.ownership == Ownership::Service;
        if ours {
            self.cluster(&clients, desired, environment, &mut checks).await;
        }
        for (role, member) in [("executionRoleArn", "executionRoleArn"), ("taskRoleArn", "taskRoleArn")] {
            if let Some(name) = text(definition, role) {
                let path = Path::root("taskDefinition").member(member);
                self.role(&clients, path, name, "ecs-tasks.amazonaws.com", &mut checks).await;
            }
        }
        for container in list(definition, "containerDefinitions") {
            let Some(name) = text(container, "name") else { continue };
            let path = Path::root("taskDefinition").member("containerDefinitions").element(name);
            if let Some(image) = text(container, "image") {
                self.image(environment, path.member("image"), image, definition, &mut checks).await;
            }
            self.secrets(environment, &path, container, &mut checks).await;
            self.log_group(environment, &path, container, &mut checks).await;
            self.environment_files(&clients, &path, container, &mut checks).await;
        }
        if ours {
            self.network(&clients, desired, &mut checks).await;
            self.balancers(&clients, desired, &mut checks).await;
            self.infrastructure_roles(&clients, &desired.service, &mut checks).await;
            self.hooks(&clients, &desired.service, &mut checks).await;
        }
        checks
    }

    /// Whether something that a deployment failed for is there now.
    pub async fn look_for(&mut self, absent: &Absent, desired: &Desired, environment: &Environment) -> Presence {
        let definition = &desired.task_definition;
        let mut checks = Vec::new();
        let nowhere = || Path::root("taskDefinition");
        let outcome = match absent {
            Absent::Image(image) => {
                // Another platform is no reason to wait: ECS says so in other words.
                self.image(environment, nowhere(), image, &Value::Null, &mut checks).await;
                checks.first().map(|check| check.outcome)
            }
            Absent::Secret(value) => {
                let whole = value.starts_with("arn:") && value.contains(":secretsmanager:");
                let length = if whole { 7 } else { usize::MAX };
                let value: Vec<&str> = value.split(':').take(length).collect();
                Some(self.secret(environment, &value.join(":")).await.0)
            }
            Absent::LogGroup { container, .. } => {
                let named = |it: &&Value| text(it, "name") == Some(container);
                let found = list(definition, "containerDefinitions").iter().find(named);
                self.log_group(environment, &nowhere(), found.unwrap_or(&Value::Null), &mut checks).await;
                checks.first().map(|check| check.outcome)
            }
        };
        match outcome {
            Some(CheckOutcome::Ok) => Presence::There(self.since(absent, environment).await),
            Some(CheckOutcome::Fail) => Presence::Absent,
            _ => Presence::Unknown,
        }
    }

    /// Since when an image is there. Of the others nobody says.
    async fn since(&self, absent: &Absent, environment: &Environment) -> Option<i64> {
        let Absent::Image(image) = absent else { return None };
        let image = EcrImage::parse(image)?;
        let clients = self.accounts.clients(&environment.account, &image.region).await;
        clients.image_pushed_at(&image.id).await.ok().flatten()
    }

    /// Remembers the answer to a question.
    async fn ask(
        &mut self,
        key: String,
        question: impl Future<Output = Result<(CheckOutcome, String), AwsError>>,
    ) -> (CheckOutcome, String) {
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let answer = match question.await {
            Ok(answer) => answer,
            Err(error) => {
                let missing = match error.remedy {
                    Remedy::Denied => format!("not checked: Lockstep has no permission for {}", error.operation),
                    Remedy::Unsupported => format!("not checked: this endpoint has no {}", error.operation),
                    _ => {
                        self.failed = true;
                        format!("not checked: {error}")
                    }
                };
                (CheckOutcome::Skip, missing)
            }
        };
        self.known.insert(key, answer.clone());
        answer
    }

    async fn cluster(
        &mut self,
        clients: &Arc<Clients>,
        desired: &Desired,
        environment: &Environment,
        checks: &mut Vec<Check>,
    ) {
        let name = environment.cluster.clone();
        let asked: Vec<String> = list(&desired.service, "capacityProviderStrategy")
            .iter()
            .filter_map(|item| text(item, "capacityProvider").map(str::to_owned))
            .collect();
        let key = format!("cluster {} {} {name} {asked:?}", clients.account, clients.region);
        let answer = self
            .ask(key, async {
                Ok(match clients.capacity_providers(&name).await? {
                    None => (CheckOutcome::Fail, format!("there is no active cluster {name}")),
                    Some(attached) => match asked.iter().find(|provider| !attached.contains(provider)) {
                        Some(other) => {
                            (CheckOutcome::Fail, format!("the cluster {name} has no capacity provider {other}"))
                        }
                        None => (
                            CheckOutcome::Ok,
                            format!("the cluster {name} is active and has what the service asks for"),
                        ),
                    },
                })
            })
            .await;
        push(checks, codes::EXISTS, Path::root("service").member("cluster"), answer);
    }

    async fn role(
        &mut self,
        clients: &Arc<Clients>,
        path: Path,
        written: &str,
        service: &str,
        checks: &mut Vec<Check>,
    ) {
        let name = written.rsplit('/').next().unwrap_or(written).to_owned();
        if let Some(account) = account_of(written).filter(|account| *account != clients.account) {
            let text = format!("not checked: the role belongs to account {account}");
            push(checks, codes::ROLES, path, (CheckOutcome::Skip, text));
            return;
        }
        let answer = self
            .ask(format!("role {} {name} {service}", clients.account), async {
                Ok(match clients.trust_policy(&name).await? {
                    None => (CheckOutcome::Fail, format!("there is no role {name}")),
                    Some(policy) if trusts(&policy, service) => {
                        (CheckOutcome::Ok, format!("the role {name} trusts {service}"))
                    }
                    Some(_) => (CheckOutcome::Fail, format!("the role {name} does not trust {service}")),
                })
            })
            .await;
        push(checks, codes::ROLES, path, answer);
    }
}

fn push(checks: &mut Vec<Check>, code: Code, path: Path, (outcome, text): (CheckOutcome, String)) {
    checks.push(Check { code, path, outcome, text, also: Vec::new() });
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member)?.as_str().filter(|text| !text.is_empty())
}

fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The account in an ARN.
fn account_of(written: &str) -> Option<&str> {
    let mut parts = written.split(':');
    (parts.next() == Some("arn")).then_some(())?;
    parts.nth(3).filter(|account| !account.is_empty())
}

/// Whether a trust policy lets a service assume the role.
fn trusts(policy: &Value, service: &str) -> bool {
    let holds = |value: Option<&Value>, wanted: &dyn Fn(&str) -> bool| match value {
        Some(Value::String(text)) => wanted(text),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).any(wanted),
        _ => false,
    };
    let statements = match policy.get("Statement") {
        Some(Value::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    statements.iter().any(|statement| {
        text(statement, "Effect") == Some("Allow")
            && holds(statement.get("Action"), &|action| matches!(action, "sts:AssumeRole" | "sts:*" | "*"))
            && holds(statement.pointer("/Principal/Service"), &|name| name == service)
    })
}

/// How many checks ended in each way.
pub fn count(checks: &[Check]) -> BTreeMap<CheckOutcome, usize> {
    let mut counts = BTreeMap::new();
    for check in checks {
        *counts.entry(check.outcome).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_trust_policy_is_read_in_all_its_forms() {
        let policy = |statement: Value| json!({"Version": "2012-10-17", "Statement": statement});
        let allow =
            |action: Value, principal: Value| json!({"Effect": "Allow", "Action": action, "Principal": principal});
        let tasks = "ecs-tasks.amazonaws.com";
        assert!(trusts(&policy(json!([allow(json!("sts:AssumeRole"), json!({"Service": tasks}))])), tasks));
        assert!(trusts(
            &policy(allow(json!(["sts:TagSession", "sts:AssumeRole"]), json!({"Service": ["x", tasks]}))),
            tasks
        ));
        assert!(!trusts(
            &policy(json!([allow(json!("sts:AssumeRole"), json!({"Service": "ec2.amazonaws.com"}))])),
            tasks
        ));
        assert!(!trusts(
            &policy(json!([{"Effect": "Deny", "Action": "sts:AssumeRole", "Principal": {"Service": tasks}}])),
            tasks
        ));
        assert!(!trusts(&json!({}), tasks));
    }
}
