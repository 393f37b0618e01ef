//! Tags and hashes: how Lockstep recognises what is its own.

use crate::{
    compare::normalise::{Context, normalise},
    tags::{Tags, tag_text},
};
use lockstep_manifests::{canonical::Root, render::Desired};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// How the path of one of our own tags looks.
pub const OWN_TAGS: &str = ".tags[lockstep:";
/// The source that owns an object.
pub const SOURCE: &str = "lockstep:source";
/// The ECS service's name.
pub const SERVICE: &str = "lockstep:service";
/// The environment's name.
pub const ENVIRONMENT: &str = "lockstep:environment";
/// On a task definition revision: the commit that brought it.
pub const COMMIT: &str = "lockstep:commit";
/// On a task definition revision: the hash of its content.
pub const HASH: &str = "lockstep:hash";
/// On a service: the desired state that ECS rejected, and the deployment that failed ([`Rejected`]).
pub const REJECTED: &str = "lockstep:rejected";
/// On a service that may be replaced: the hash of what was chosen when it was created.
pub const CREATED: &str = "lockstep:created";
/// On a task definition revision: why ECS rejected it, in short.
pub const OUTCOME: &str = "lockstep:outcome";

/// Who owns a live service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This source, for this environment and service.
    Us,
    /// Nobody that we know: it carries none of our tags, or not all of them.
    Nobody,
    /// Another source, or another environment or service of this one.
    Other(String),
}

/// The value of the tag [`REJECTED`]: `HASH DEPLOYMENT`.
///
/// The deployment tells a failure that is recorded from a later one of the same revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected<'a> {
    /// The hash of the desired state.
    pub hash: &'a str,
    /// The last part of the service deployment's ARN; empty where it was not recorded.
    pub deployment: &'a str,
}

impl<'a> Rejected<'a> {
    /// Reads the tag's value.
    pub fn parse(value: &'a str) -> Self {
        let (hash, deployment) = value.split_once(' ').unwrap_or((value, ""));
        Self { hash, deployment }
    }

    /// Whether it records this desired state, whose hash is `hash`. A tag from before the hashes `v2:` still does.
    pub fn is_of(&self, desired: &Desired, hash: &str) -> bool {
        self.hash == hash || (self.hash.starts_with("v1:") && self.hash == desired_hash_before(desired))
    }

    /// The tag's value.
    pub fn value(&self) -> String {
        tag_text(&format!("{} {}", self.hash, self.deployment))
    }
}

/// Reads the owner from a service's tags. An empty `source` stands for any: who only looks need not say who he is.
pub fn owner(tags: &Tags, source: &str, environment: &str, service: &str) -> Owner {
    let get = |name: &str| tags.get(name).map(String::as_str);
    let source = if source.is_empty() { get(SOURCE).unwrap_or_default() } else { source };
    match (get(SOURCE), get(ENVIRONMENT), get(SERVICE)) {
        (Some(a), Some(b), Some(c)) if a == source && b == environment && c == service => Owner::Us,
        (Some(a), _, _) if a != source => Owner::Other(format!("source {a}")),
        (Some(_), Some(b), _) if b != environment => Owner::Other(format!("environment {b} of this source")),
        (Some(_), Some(_), Some(c)) => Owner::Other(format!("service {c} of this source and environment")),
        _ => Owner::Nobody,
    }
}

/// Whether the ARN of a service is of the short form, without the cluster's name: ECS sets no tags on such a service.
pub fn is_short_arn(arn: &str) -> bool {
    arn.splitn(6, ':')
        .nth(5)
        .and_then(|resource| resource.strip_prefix("service/"))
        .is_some_and(|rest| !rest.contains('/'))
}

/// The three tags of ownership.
pub fn ownership_tags(source: &str, environment: &str, service: &str) -> Tags {
    [(SOURCE, source), (ENVIRONMENT, environment), (SERVICE, service)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The hash of a task definition's content, `v1:` and 32 hex digits. An index only: equality is the differ's. Of roles
/// it has the names alone, so that it is the same for a role's name and its ARN.
pub fn content_hash(task_definition: &Value) -> String {
    let context = Context { last_parts: true, ..Context::of([task_definition]) };
    hash("v1", &[&normalise(Root::TaskDefinition, task_definition, &context)])
}

/// The hash of everything that is desired of a service, `v2:` and 32 hex digits. Two states have the same one only if
/// they compare as equal.
pub fn desired_hash(desired: &Desired) -> String {
    let context = Context::of([&desired.task_definition, &desired.service]);
    hash("v2", &values_of(desired, &context).each_ref())
}

/// The same as versions before `v2:` made it: roles by their last part.
fn desired_hash_before(desired: &Desired) -> String {
    let context = Context { last_parts: true, ..Context::of([&desired.task_definition, &desired.service]) };
    hash("v1", &values_of(desired, &context).each_ref())
}

fn values_of(desired: &Desired, context: &Context) -> [Value; 3] {
    [
        normalise(Root::TaskDefinition, &desired.task_definition, context),
        normalise(Root::Service, &desired.service, context),
        Value::Object(desired.service_tags.clone()),
    ]
}

/// A short hash of values: the name of its form, and 32 hex digits.
pub(crate) fn hash(form: &str, values: &[&Value]) -> String {
    let mut hasher = Sha256::new();
    for value in values {
        hasher.update(value.to_string().as_bytes());
        hasher.update([0]);
    }
    hasher.finalize().iter().take(16).fold(format!("{form}:"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whose an ARN of STS or IAM is, as people call them: `Admin/ada@example.com` of a role's session, `ada` of a user.
pub fn caller_name(arn: &str) -> String {
    let Some(resource) = arn.splitn(6, ':').nth(5) else { return arn.to_owned() };
    match resource.split_once('/') {
        Some(("assumed-role", session)) => session.to_owned(),
        Some((_, path)) => path.rsplit('/').next().unwrap_or(path).to_owned(),
        None => resource.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_and_order_do_not_change_a_hash() {
        let a = json!({"family": "a", "cpu": "1 vCPU", "networkMode": "awsvpc", "containerDefinitions": [
            {"name": "web", "image": "x", "portMappings": [{"containerPort": 80}], "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]});
        let b = json!({"family": "a", "cpu": "1024", "networkMode": "awsvpc", "containerDefinitions": [
            {"name": "web", "image": "x", "essential": true, "cpu": 0, "mountPoints": [],
             "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}], "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}]});
        assert_eq!(content_hash(&a), content_hash(&b));
        assert_ne!(content_hash(&a), content_hash(&json!({"family": "a"})));
    }

    // C1: told before the write is refused.
    #[test]
    fn a_short_arn_is_without_the_cluster() {
        assert!(is_short_arn("arn:aws:ecs:eu-central-1:111111111111:service/web"));
        assert!(!is_short_arn("arn:aws:ecs:eu-central-1:111111111111:service/prod/web"));
        assert!(!is_short_arn(""));
    }

    #[test]
    fn an_owner_is_all_three_tags() {
        let ours = ownership_tags("acme", "prod", "web");
        assert_eq!(owner(&ours, "acme", "prod", "web"), Owner::Us);
        assert_eq!(owner(&Tags::new(), "acme", "prod", "web"), Owner::Nobody);
        assert_eq!(owner(&ours, "other", "prod", "web"), Owner::Other("source acme".into()));
        assert_eq!(owner(&ours, "acme", "dev", "web"), Owner::Other("environment prod of this source".into()));
        let mut stripped = ours.clone();
        stripped.remove(SERVICE);
        assert_eq!(owner(&stripped, "acme", "prod", "web"), Owner::Nobody);
    }
}
