//! The checks that ask AWS: whether what a definition names is there, before ECS finds out that it is not. Each call is
//! a read; one that is denied is a SKIP that names the missing permission.

mod image;

use crate::{
    aws::{Accounts, AwsError, Clients, Network, Remedy},
    config::Allow,
};
use image::EcrImage;
use lockstep_core::verify::{Check, Outcome};
use lockstep_manifests::{
    Desired, Environment,
    codes::{self, Code},
    layer::Ownership,
    lists::{ListKind, list_kind},
    path::Path,
    substitute::Reference,
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
    known: HashMap<String, (Outcome, String)>,
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

    /// Remembers the answer to a question.
    async fn ask(
        &mut self,
        key: String,
        question: impl Future<Output = Result<(Outcome, String), AwsError>>,
    ) -> (Outcome, String) {
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let answer = match question.await {
            Ok(answer) => answer,
            Err(error) => {
                let missing = match error.remedy {
                    Remedy::Denied => format!("not checked: {} is not allowed to us", error.operation),
                    Remedy::Unsupported => format!("not checked: this endpoint has no {}", error.operation),
                    _ => {
                        self.failed = true;
                        format!("not checked: {error}")
                    }
                };
                (Outcome::Skip, missing)
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
                    None => (Outcome::Fail, format!("there is no active cluster {name}")),
                    Some(attached) => match asked.iter().find(|provider| !attached.contains(provider)) {
                        Some(other) => (Outcome::Fail, format!("the cluster {name} has no capacity provider {other}")),
                        None => {
                            (Outcome::Ok, format!("the cluster {name} is active and has what the service asks for"))
                        }
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
            let text = format!("not checked: the role is of account {account}");
            push(checks, codes::ROLES, path, (Outcome::Skip, text));
            return;
        }
        let answer = self
            .ask(format!("role {} {name} {service}", clients.account), async {
                Ok(match clients.trust_policy(&name).await? {
                    None => (Outcome::Fail, format!("there is no role {name}")),
                    Some(policy) if trusts(&policy, service) => {
                        (Outcome::Ok, format!("the role {name} trusts {service}"))
                    }
                    Some(_) => (Outcome::Fail, format!("the role {name} does not trust {service}")),
                })
            })
            .await;
        push(checks, codes::ROLES, path, answer);
    }

    async fn image(
        &mut self,
        environment: &Environment,
        path: Path,
        written: &str,
        definition: &Value,
        checks: &mut Vec<Check>,
    ) {
        let Some(image) = EcrImage::parse(written) else {
            let text = "not checked: only images in ECR are looked up".to_owned();
            push(checks, codes::IMAGE, path, (Outcome::Skip, text));
            return;
        };
        if !self.allow.registry(&image.host, &environment.account) {
            let text =
                format!("not checked: the agent's file does not allow the registry {} (allow.registries)", image.host);
            push(checks, codes::IMAGE, path, (Outcome::Skip, text));
            return;
        }
        // The environment's credentials, in the image's region.
        let clients = self.accounts.clients(&environment.account, &image.region).await;
        let wanted = image::platform_of(definition);
        let key = format!("image {} {} {:?} {wanted:?}", clients.account, image.region, image.id);
        let answer = self
            .ask(key, async {
                Ok(match clients.image(&image.id).await? {
                    None => (Outcome::Fail, format!("{} has no image {}", image.id.repository, image.id.reference)),
                    Some(found) => image::judge(&found, wanted.as_ref()),
                })
            })
            .await;
        push(checks, codes::IMAGE, path, answer);
    }

    async fn secrets(&mut self, environment: &Environment, path: &Path, container: &Value, checks: &mut Vec<Check>) {
        let mut named: Vec<(Path, String)> = Vec::new();
        let mut add = |path: Path, value: Option<&str>| named.extend(value.map(|text| (path, text.to_owned())));
        for secret in list(container, "secrets") {
            let name = text(secret, "name").unwrap_or_default();
            add(path.member("secrets").element(name), text(secret, "valueFrom"));
        }
        let log = container.get("logConfiguration").unwrap_or(&Value::Null);
        for secret in list(log, "secretOptions") {
            let name = text(secret, "name").unwrap_or_default();
            add(path.member("logConfiguration").member("secretOptions").element(name), text(secret, "valueFrom"));
        }
        let credentials = container.get("repositoryCredentials").unwrap_or(&Value::Null);
        add(path.member("repositoryCredentials"), text(credentials, "credentialsParameter"));
        for (path, value) in named {
            let answer = self.secret(environment, &value).await;
            push(checks, codes::SECRET, path, answer);
        }
    }

    async fn secret(&mut self, environment: &Environment, value: &str) -> (Outcome, String) {
        let parts: Vec<&str> = value.splitn(8, ':').collect();
        let is_secret = parts.first() == Some(&"arn") && parts.get(2) == Some(&"secretsmanager");
        let region = if parts.first() == Some(&"arn") { parts.get(3).copied() } else { None };
        let region = region.filter(|region| !region.is_empty()).unwrap_or(&environment.region).to_owned();
        if let Some(account) = account_of(value).filter(|account| *account != environment.account) {
            return (Outcome::Skip, format!("not checked: it is of account {account}"));
        }
        let (id, name) = if is_secret {
            // arn:aws:secretsmanager:region:account:secret:name-suffix[:json-key:stage:version]
            let last = parts.get(6).copied().unwrap_or_default();
            let name = last.rsplit_once('-').map_or(last, |(name, suffix)| if suffix.len() == 6 { name } else { last });
            (parts[..parts.len().min(7)].join(":"), name.to_owned())
        } else {
            let name = value.split_once(":parameter").map_or(value, |(_, name)| name).to_owned();
            (name.clone(), name)
        };
        let reference = if is_secret {
            Reference::Secret { name: name.clone() }
        } else {
            Reference::Ssm { name: name.clone(), version: None }
        };
        if !self.allow.reference(&reference) {
            let list = if is_secret { "allow.secrets" } else { "allow.ssm" };
            return (Outcome::Skip, format!("not checked: the agent's file does not allow to ask for it ({list})"));
        }
        let clients = self.accounts.clients(&environment.account, &region).await;
        let key = format!("secret {} {region} {is_secret} {id}", clients.account);
        self.ask(key, async {
            let there = if is_secret {
                clients.secret_there(&id).await?
            } else {
                clients.parameters_there(std::slice::from_ref(&id)).await?.values().all(|there| *there)
            };
            let what = if is_secret { "secret" } else { "parameter" };
            Ok(if there {
                (Outcome::Ok, format!("the {what} {name} is there"))
            } else {
                (Outcome::Fail, format!("there is no {what} {name}"))
            })
        })
        .await
    }

    async fn log_group(&mut self, environment: &Environment, path: &Path, container: &Value, checks: &mut Vec<Check>) {
        let log = container.get("logConfiguration").unwrap_or(&Value::Null);
        let options = log.get("options").unwrap_or(&Value::Null);
        let (Some("awslogs"), Some(group)) = (text(log, "logDriver"), text(options, "awslogs-group")) else { return };
        let path = path.member("logConfiguration").member("options").element("awslogs-group");
        let creates = options.get("awslogs-create-group").is_some_and(|value| value == "true" || *value == true);
        if creates {
            let text = "the log group is created when it is missing (awslogs-create-group)".to_owned();
            push(checks, codes::EXISTS, path, (Outcome::Ok, text));
            return;
        }
        let region = text(options, "awslogs-region").unwrap_or(&environment.region).to_owned();
        let clients = self.accounts.clients(&environment.account, &region).await;
        let group = group.to_owned();
        let answer = self
            .ask(format!("log group {} {region} {group}", clients.account), async {
                Ok(if clients.log_group_there(&group).await? {
                    (Outcome::Ok, format!("the log group {group} is there"))
                } else {
                    (Outcome::Fail, format!("there is no log group {group} in {region}"))
                })
            })
            .await;
        push(checks, codes::EXISTS, path, answer);
    }

    async fn environment_files(
        &mut self,
        clients: &Arc<Clients>,
        path: &Path,
        container: &Value,
        checks: &mut Vec<Check>,
    ) {
        for (at, file) in list(container, "environmentFiles").iter().enumerate() {
            let path = path.member("environmentFiles").element(at).member("value");
            let place = text(file, "value").and_then(|arn| arn.split_once(":s3:::")?.1.split_once('/'));
            let Some((bucket, key)) = place else { continue };
            let answer = self
                .ask(format!("object {} {bucket}/{key}", clients.account), async {
                    Ok(if clients.object_there(bucket, key).await? {
                        (Outcome::Ok, format!("{key} is there"))
                    } else {
                        (Outcome::Fail, format!("there is no {key} in the bucket {bucket}"))
                    })
                })
                .await;
            push(checks, codes::EXISTS, path, answer);
        }
    }

    /// Roles with which ECS itself attaches volumes and targets.
    async fn infrastructure_roles(&mut self, clients: &Arc<Clients>, service: &Value, checks: &mut Vec<Check>) {
        let base = Path::root("service");
        for volume in list(service, "volumeConfigurations") {
            let name = text(volume, "name").unwrap_or_default();
            if let Some(role) = volume.get("managedEBSVolume").and_then(|volume| text(volume, "roleArn")) {
                let path =
                    base.member("volumeConfigurations").element(name).member("managedEBSVolume").member("roleArn");
                self.role(clients, path, role, "ecs.amazonaws.com", checks).await;
            }
        }
        for (item, path) in keyed(service, "vpcLatticeConfigurations") {
            if let Some(role) = text(item, "roleArn") {
                self.role(clients, path.member("roleArn"), role, "ecs.amazonaws.com", checks).await;
            }
        }
    }

    /// Functions that a deployment calls, with their roles, and the alarms that it watches.
    async fn hooks(&mut self, clients: &Arc<Clients>, service: &Value, checks: &mut Vec<Check>) {
        let configuration = service.get("deploymentConfiguration").unwrap_or(&Value::Null);
        let base = Path::root("service").member("deploymentConfiguration");
        for (at, hook) in list(configuration, "lifecycleHooks").iter().enumerate() {
            let path = base.member("lifecycleHooks").element(at);
            if let Some(arn) = text(hook, "hookTargetArn") {
                let answer = self
                    .ask(format!("function {arn}"), async {
                        Ok(if clients.function_there(arn).await? {
                            (Outcome::Ok, "the function is there".to_owned())
                        } else {
                            (Outcome::Fail, "there is no such function".to_owned())
                        })
                    })
                    .await;
                push(checks, codes::EXISTS, path.member("hookTargetArn"), answer);
            }
            if let Some(role) = text(hook, "roleArn") {
                self.role(clients, path.member("roleArn"), role, "ecs.amazonaws.com", checks).await;
            }
        }
        let alarms = configuration.get("alarms").unwrap_or(&Value::Null);
        let names: Vec<String> =
            list(alarms, "alarmNames").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        if names.is_empty() {
            return;
        }
        let answer = self
            .ask(format!("alarms {} {} {names:?}", clients.account, clients.region), async {
                let missing = clients.alarms_missing(&names).await?;
                Ok(if missing.is_empty() {
                    (Outcome::Ok, "the alarms are there".to_owned())
                } else {
                    (Outcome::Fail, format!("there is no alarm {}", missing.join(", ")))
                })
            })
            .await;
        push(checks, codes::EXISTS, base.member("alarms").member("alarmNames"), answer);
    }

    async fn network(&mut self, clients: &Arc<Clients>, desired: &Desired, checks: &mut Vec<Check>) {
        let Some(vpc) = desired.service.pointer("/networkConfiguration/awsvpcConfiguration") else { return };
        let base = Path::root("service").member("networkConfiguration").member("awsvpcConfiguration");
        let ids = |member: &str| -> Vec<String> {
            list(vpc, member).iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
        };
        let subnets = ids("subnets");
        for (member, what) in [("subnets", Network::Subnets), ("securityGroups", Network::SecurityGroups)] {
            let asked = ids(member);
            if asked.is_empty() {
                continue;
            }
            let (asked, subnets) = (&asked, &subnets);
            let key = format!("{member} {} {} {asked:?} {subnets:?}", clients.account, clients.region);
            let answer = self
                .ask(key, async {
                    let mut vpcs = match clients.vpcs(what, asked).await? {
                        Ok(vpcs) => vpcs,
                        Err(text) => return Ok((Outcome::Fail, text)),
                    };
                    if what == Network::SecurityGroups
                        && let Ok(of_subnets) = clients.vpcs(Network::Subnets, subnets).await?
                    {
                        vpcs.extend(of_subnets);
                    }
                    vpcs.sort();
                    vpcs.dedup();
                    Ok(match vpcs.as_slice() {
                        [] => (Outcome::Fail, "none of them is there".to_owned()),
                        [vpc] => (Outcome::Ok, format!("they are there, in {vpc}")),
                        several => (Outcome::Fail, format!("they are of several VPCs: {}", several.join(", "))),
                    })
                })
                .await;
            push(checks, codes::EXISTS, base.member(member), answer);
        }
    }

    async fn balancers(&mut self, clients: &Arc<Clients>, desired: &Desired, checks: &mut Vec<Check>) {
        let is_awsvpc = text(&desired.task_definition, "networkMode") == Some("awsvpc");
        for (item, path) in keyed(&desired.service, "loadBalancers") {
            let advanced = item.get("advancedConfiguration").unwrap_or(&Value::Null);
            let groups = [
                (path.member("targetGroupArn"), text(item, "targetGroupArn")),
                (
                    path.member("advancedConfiguration").member("alternateTargetGroupArn"),
                    text(advanced, "alternateTargetGroupArn"),
                ),
            ];
            for (path, arn) in groups {
                let Some(arn) = arn.map(str::to_owned) else { continue };
                let answer = self
                    .ask(format!("target group {arn} {is_awsvpc}"), async {
                        Ok(match clients.target_type(&arn).await? {
                            None => (Outcome::Fail, "there is no such target group".to_owned()),
                            Some(kind) if is_awsvpc && kind != "ip" => {
                                (Outcome::Fail, format!("with networkMode awsvpc its type must be ip, not {kind}"))
                            }
                            Some(kind) => (Outcome::Ok, format!("the target group is there, of type {kind}")),
                        })
                    })
                    .await;
                push(checks, codes::EXISTS, path, answer);
            }
            if let Some(role) = text(advanced, "roleArn") {
                let path = path.member("advancedConfiguration").member("roleArn");
                self.role(clients, path, role, "ecs.amazonaws.com", checks).await;
            }
        }
    }
}

/// The elements of a keyed list of the service, with their paths.
fn keyed<'v>(service: &'v Value, member: &str) -> Vec<(&'v Value, Path)> {
    let base = Path::root("service").member(member);
    let ListKind::Keyed(key) = list_kind("Service", member) else { return Vec::new() };
    list(service, member).iter().map(|item| (item, base.element(key.text_of(item)))).collect()
}

fn push(checks: &mut Vec<Check>, code: Code, path: Path, (outcome, text): (Outcome, String)) {
    checks.push(Check { code, path, outcome, text });
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
pub fn count(checks: &[Check]) -> BTreeMap<Outcome, usize> {
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
