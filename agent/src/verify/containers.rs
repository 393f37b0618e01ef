//! What containers name: images, secrets, log groups, environment files.

use super::{Verifier, account_of, image, list, push, text};
use crate::aws::{Clients, EcrImage};
use lockstep_core::verify::{Check, CheckOutcome, object};
use lockstep_manifests::{Environment, codes, name::is_region, path::Path, substitute::Reference};
use serde_json::Value;
use std::sync::Arc;

impl Verifier<'_> {
    pub(super) async fn image(
        &mut self,
        environment: &Environment,
        path: Path,
        written: &str,
        definition: &Value,
        checks: &mut Vec<Check>,
    ) {
        let Some(image) = EcrImage::parse(written) else {
            let text = "not checked: only images in ECR are looked up".to_owned();
            push(checks, codes::IMAGE, path, (CheckOutcome::Skip, text));
            return;
        };
        if !self.allow.registry(&image.host, &environment.account) {
            let text =
                format!("not checked: the agent's file does not allow the registry {} (allow.registries)", image.host);
            push(checks, codes::IMAGE, path, (CheckOutcome::Skip, text));
            return;
        }
        // The environment's credentials, in the image's region.
        let clients = self.accounts.clients(&environment.account, &image.region).await;
        let wanted = lockstep_core::images::platform_of(definition);
        let key = format!("image {} {} {:?} {wanted:?}", clients.account, image.region, image.id);
        let answer = self
            .ask(key, async {
                Ok(match clients.image(&image.id).await? {
                    None => {
                        (CheckOutcome::Fail, format!("{} has no image {}", image.id.repository, image.id.reference))
                    }
                    Some(found) => image::judge(&found, wanted.as_ref()),
                })
            })
            .await;
        push(checks, codes::IMAGE, path, answer);
    }

    pub(super) async fn secrets(
        &mut self,
        environment: &Environment,
        path: &Path,
        container: &Value,
        checks: &mut Vec<Check>,
    ) {
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

    pub(super) async fn secret(&mut self, environment: &Environment, value: &str) -> (CheckOutcome, String) {
        let parts: Vec<&str> = value.splitn(8, ':').collect();
        let is_secret = parts.first() == Some(&"arn") && parts.get(2) == Some(&"secretsmanager");
        let region = if parts.first() == Some(&"arn") { parts.get(3).copied() } else { None };
        let region = region.filter(|region| !region.is_empty()).unwrap_or(&environment.region).to_owned();
        if !is_region(&region) {
            return (CheckOutcome::Fail, format!("`{}` is not a region", region.escape_debug()));
        }
        if let Some(account) = account_of(value).filter(|account| *account != environment.account) {
            return (CheckOutcome::Skip, format!("not checked: it belongs to account {account}"));
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
            return (
                CheckOutcome::Skip,
                format!("not checked: the agent's file does not allow to ask for it ({list})"),
            );
        }
        // `:json-key:stage:version` behind the ARN.
        let inside = if is_secret { parts.get(7).and_then(|rest| rest.split(':').next()) } else { None };
        let inside = inside.filter(|key| !key.is_empty());
        // ECS takes what is no ARN for the name of a parameter.
        let of_secret = Reference::Secret { name: name.clone() };
        let may_be_secret = !value.starts_with("arn:") && self.allow.reference(&of_secret);
        let clients = self.accounts.clients(&environment.account, &region).await;
        let key = format!("secret {} {region} {is_secret} {id} {inside:?}", clients.account);
        self.ask(key, async {
            let there = if is_secret {
                clients.secret_there(&id).await?
            } else {
                clients.parameters_there(std::slice::from_ref(&id)).await?.values().all(|there| *there)
            };
            let what = if is_secret { "secret" } else { "parameter" };
            Ok(match inside {
                Some(inside) if there => {
                    let said = format!(
                        "the secret {name} exists; whether it has the key `{inside}` is not known, because its value is not read"
                    );
                    (CheckOutcome::Skip, said)
                }
                _ if there => (CheckOutcome::Ok, format!("the {what} {name} exists")),
                // A question that only makes the answer clearer; where it cannot be asked, the answer stands.
                _ if may_be_secret && clients.secret_there(&id).await.unwrap_or(false) => {
                    let said = format!(
                        "there is no parameter {}, but a secret of that name: ECS needs its ARN, so write `${{{{ secret:{} }}}}`",
                        shown(&name),
                        shown(&name)
                    );
                    (CheckOutcome::Fail, said)
                }
                _ => (CheckOutcome::Fail, format!("there is no {what} {}", shown(&name))),
            })
        })
        .await
    }

    pub(super) async fn log_group(
        &mut self,
        environment: &Environment,
        path: &Path,
        container: &Value,
        checks: &mut Vec<Check>,
    ) {
        let log = container.get("logConfiguration").unwrap_or(&Value::Null);
        let options = log.get("options").unwrap_or(&Value::Null);
        let (Some("awslogs"), Some(group)) = (text(log, "logDriver"), text(options, "awslogs-group")) else { return };
        let base = path.member("logConfiguration").member("options");
        let path = base.element("awslogs-group");
        let creates = options.get("awslogs-create-group").is_some_and(|value| value == "true" || *value == true);
        if creates {
            let text = "the log group is created when it is missing (awslogs-create-group)".to_owned();
            push(checks, codes::EXISTS, path, (CheckOutcome::Ok, text));
            return;
        }
        let region = text(options, "awslogs-region").unwrap_or(&environment.region).to_owned();
        if !is_region(&region) {
            let path = base.element("awslogs-region");
            push(
                checks,
                codes::EXISTS,
                path,
                (CheckOutcome::Fail, format!("`{}` is not a region", region.escape_debug())),
            );
            return;
        }
        let clients = self.accounts.clients(&environment.account, &region).await;
        let group = group.to_owned();
        let answer = self
            .ask(format!("log group {} {region} {group}", clients.account), async {
                Ok(if clients.log_group_there(&group).await? {
                    (CheckOutcome::Ok, format!("the log group {group} exists"))
                } else {
                    (CheckOutcome::Fail, format!("there is no log group {group} in {region}"))
                })
            })
            .await;
        push(checks, codes::EXISTS, path, answer);
    }

    pub(super) async fn environment_files(
        &mut self,
        clients: &Arc<Clients>,
        path: &Path,
        container: &Value,
        checks: &mut Vec<Check>,
    ) {
        for (at, file) in list(container, "environmentFiles").iter().enumerate() {
            let path = path.member("environmentFiles").element(at).member("value");
            let Some(value) = text(file, "value") else { continue };
            let (bucket, key) = match object(value) {
                Ok(place) => place,
                Err(answer) => {
                    push(checks, codes::EXISTS, path, answer);
                    continue;
                }
            };
            let answer = self
                .ask(format!("object {} {bucket}/{key}", clients.account), async {
                    Ok(if clients.object_there(bucket, key).await? {
                        (CheckOutcome::Ok, format!("{key} is there"))
                    } else {
                        (CheckOutcome::Fail, format!("there is no {key} in the bucket {bucket}"))
                    })
                })
                .await;
            push(checks, codes::EXISTS, path, answer);
        }
    }
}

/// The name of a parameter or secret, unless it may be the secret itself, written where its name belongs.
fn shown(name: &str) -> &str {
    let is_path = name.contains('/') && lockstep_core::mask::line(name) == name;
    let is_constant = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if is_path || (is_constant && name.contains('_')) { name } else { "of the name that is written there" }
}
