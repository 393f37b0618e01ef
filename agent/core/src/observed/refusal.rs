//! What AWS means by refusing a call: that it passes, that something else must exist first, or that the request is
//! wrong. ECS gives all three the same codes, so that only the words tell them apart. This is the one place that knows
//! such words; a text that is not listed is a refusal that stands.

use crate::observed::cause::Cause;
use lockstep_manifests::Desired;
use serde_json::Value;
use std::fmt;

/// What a refusal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Something else is under way; the same call goes through a little later.
    Passing,
    /// Something outside of the repository must exist first.
    Prerequisite,
    /// The request itself is refused, and will be again.
    Stands,
}

/// A piece of a text of AWS, and where it was seen.
struct Known {
    text: &'static str,
    #[expect(dead_code, reason = "it is there to be read beside its text")]
    source: &'static str,
}

const fn known(text: &'static str, source: &'static str) -> Known {
    Known { text, source }
}

/// Conflicts that pass.
const PASSING: &[Known] = &[
    known(
        "Too many concurrent attempts to create a new revision of the specified family",
        "ClientException of RegisterTaskDefinition: hashicorp/terraform-provider-aws issue 9777, PrefectHQ/prefect issue 10102",
    ),
    known(
        "still Draining",
        "InvalidParameterException of CreateService: `Unable to Start a service that is still Draining.`",
    ),
    known(
        "cannot be stopped while deployments are active",
        "InvalidParameterException of DeleteService: repeated by hashicorp/terraform-provider-aws, aws_ecs_service",
    ),
];

/// Things that must exist first.
const PREREQUISITES: &[Known] = &[
    known("Role is not valid", "ClientException of RegisterTaskDefinition, for a role that does not exist (yet)"),
    known(
        "Unable to assume the service linked role",
        "InvalidParameterException of CreateService: repeated by hashicorp/terraform-provider-aws, aws_ecs_service",
    ),
    known(
        "verify that the ECS service role being passed has the proper permissions",
        "InvalidParameterException of CreateService and UpdateService: the same place",
    ),
    known(
        "does not have an associated load balancer",
        "InvalidParameterException of CreateService and UpdateService, until a listener uses the target group: the same place",
    ),
    known("target group does not exist", "InvalidParameterException of CreateService"),
    known("specified capacity provider was not found", "InvalidParameterException of CreateService"),
    known("InvalidSubnetID.NotFound", "EC2's code inside InvalidParameterException of CreateService"),
    known("InvalidGroup.NotFound", "EC2's code inside InvalidParameterException of CreateService"),
];

/// Codes that say by themselves that something must exist first.
const MISSING: &[&str] = &["ClusterNotFoundException", "NamespaceNotFoundException"];

/// Reads a refusal.
pub fn refusal(code: &str, message: &str) -> Refusal {
    let has = |list: &[Known]| list.iter().any(|known| message.contains(known.text));
    if code == "ConflictException" || has(PASSING) {
        Refusal::Passing
    } else if MISSING.contains(&code) || has(PREREQUISITES) {
        Refusal::Prerequisite
    } else {
        Refusal::Stands
    }
}

/// What a refusal says is missing, by its name where the words or the desired state tell it.
pub fn missing(desired: &Desired, code: &str, message: &str) -> String {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let named = |what: &str, names: Vec<String>| match names.as_slice() {
        [] => format!("the {what}"),
        [one] => format!("the {what} {one}"),
        many => format!("the {what}s {}", many.join(", ")),
    };
    // EC2 and load balancers name what they miss in their own words.
    let word = |starts: &[&str]| {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "-:/_".contains(letter);
        let mut words = message.split(|letter| !letters(letter));
        words.find(|word| starts.iter().any(|start| word.starts_with(start))).map(str::to_owned)
    };
    if let Some(name) = word(&["arn:", "subnet-", "sg-"]) {
        let what = if name.contains(":targetgroup/") { "target group " } else { "" };
        return format!("{what}{name}");
    }
    let (definition, service) = (&desired.task_definition, &desired.service);
    if message.contains("service linked role") {
        "the role AWSServiceRoleForECS".to_owned()
    } else if message.contains("Role") || message.contains("role") {
        let roles = ["executionRoleArn", "taskRoleArn"].iter().filter_map(|name| text(definition, name));
        named("role", roles.chain(text(service, "role").filter(|_| message.contains("service role"))).collect())
    } else if message.contains("target group") {
        let groups = service.get("loadBalancers").and_then(Value::as_array).into_iter().flatten();
        named("target group", groups.filter_map(|group| text(group, "targetGroupArn")).collect())
    } else if message.contains("capacity provider") {
        let items = service.get("capacityProviderStrategy").and_then(Value::as_array).into_iter().flatten();
        named("capacity provider", items.filter_map(|item| text(item, "capacityProvider")).collect())
    } else if code == "NamespaceNotFoundException" {
        let connect = service.get("serviceConnectConfiguration");
        named("namespace", connect.and_then(|connect| text(connect, "namespace")).into_iter().collect())
    } else {
        format!("the cluster of the environment {}", desired.environment)
    }
}

/// Failures of a deployment that are AWS's own: the same state may well come up later.
const AWS_OWN: &[Known] = &[
    known(
        "Capacity is unavailable at this time",
        "Amazon ECS Developer Guide, service event messages: no Fargate capacity in the zones of the service",
    ),
    known(
        "toomanyrequests",
        "the code of a registry that throttles pulls (Docker Hub, Amazon ECR Public), in CannotPullContainerError",
    ),
    known("Rate exceeded", "Amazon ECR's words for the same, in CannotPullContainerError"),
    known("InfrastructureHealth", "the stop code of a task whose infrastructure AWS took away"),
    known("InternalError: ", "Amazon ECS Developer Guide, stopped task errors: an error inside AWS"),
];

/// Whether what ECS says of a failed deployment or task is a fault of AWS's own.
pub fn is_aws_own(text: &str) -> bool {
    AWS_OWN.iter().any(|known| text.contains(known.text))
}

/// Something that a task failed for because it was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// An image, as the task definition names it.
    Image(String),
    /// A secret or a parameter, as `valueFrom` names it.
    Secret(String),
    /// The log group of a container, by the container's name.
    LogGroup {
        /// The container.
        container: String,
        /// The group.
        group: String,
    },
}

impl fmt::Display for Absent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(image) => write!(formatter, "the image {image}"),
            Self::Secret(name) if name.contains(":secretsmanager:") => write!(formatter, "the secret {name}"),
            Self::Secret(name) => write!(formatter, "the parameter {name}"),
            Self::LogGroup { group, .. } => write!(formatter, "the log group {group}"),
        }
    }
}

/// Failures of tasks for something that is not there.
const ABSENT: &[Known] = &[
    known("failed to resolve ref", "CannotPullContainerError of a tag or digest that the registry does not have"),
    known("Check whether the secret exists", "ResourceInitializationError, for a secret: Amazon ECS Developer Guide"),
    known("can't find the specified secret", "Secrets Manager's ResourceNotFoundException in the same error"),
    known("invalid parameters: ", "Systems Manager's words in the same error, for parameters that do not exist"),
    known("The specified log group does not exist", "CloudWatch Logs' ResourceNotFoundException in the same error"),
];

/// What a deployment failed for because it was not there: only what the desired state itself names.
pub fn absent(desired: &Desired, cause: &Cause) -> Option<Absent> {
    let texts = [&cause.reason, &cause.stopped_reason, &cause.recorded];
    let texts = texts.into_iter().chain(&cause.events).filter(|text| ABSENT.iter().any(|it| text.contains(it.text)));
    let containers =
        || desired.task_definition.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let items = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let find = |words: &String| {
        if words.contains("failed to resolve ref") {
            if !words.contains("not found") {
                return None;
            }
            let mut images = containers().filter_map(|container| text(container, "image"));
            return images.find(|image| words.contains(image.as_str())).map(Absent::Image);
        }
        if words.contains("The specified log group does not exist") {
            let mut groups = containers().filter_map(|container| {
                let group = text(container.pointer("/logConfiguration/options")?, "awslogs-group")?;
                Some(Absent::LogGroup { container: text(container, "name")?, group })
            });
            let first = groups.next()?;
            // Of several groups the words do not tell which.
            return groups.all(|other| other.to_string() == first.to_string()).then_some(first);
        }
        let secrets = containers().flat_map(|container| {
            let options = container.get("logConfiguration").map(|log| items(log, "secretOptions")).unwrap_or_default();
            items(container, "secrets").into_iter().chain(options)
        });
        let mut named = secrets.filter_map(|secret| text(&secret, "valueFrom"));
        named.find(|name| names(words, name)).map(Absent::Secret)
    };
    texts.into_iter().find_map(find)
}

/// Whether a text names a secret or a parameter, by its ARN or its name as a whole.
fn names(words: &str, value: &str) -> bool {
    let arn: Vec<&str> = value.splitn(8, ':').take(7).collect();
    let arn = arn.join(":");
    let name = value.split_once(":parameter").map_or(arn.as_str(), |(_, name)| name);
    let letters = |letter: char| !(letter.is_ascii_alphanumeric() || "-:/_.".contains(letter));
    words.split(letters).any(|word| {
        let word = word.trim_end_matches(['.', ':']);
        word == arn || word == name
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // C4: a conflict that passes is no verdict; K4: what must exist first is waited for.
    #[test]
    fn the_words_tell_what_passes_what_is_missing_and_what_stands() {
        let cases = [
            (
                "ClientException",
                "Too many concurrent attempts to create a new revision of the specified family.",
                Refusal::Passing,
            ),
            ("InvalidParameterException", "Unable to Start a service that is still Draining.", Refusal::Passing),
            (
                "InvalidParameterException",
                "The service cannot be stopped while deployments are active.",
                Refusal::Passing,
            ),
            ("ConflictException", "", Refusal::Passing),
            ("ClientException", "Role is not valid", Refusal::Prerequisite),
            (
                "InvalidParameterException",
                "Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
                Refusal::Prerequisite,
            ),
            (
                "InvalidParameterException",
                "The target group with targetGroupArn arn:a does not have an associated load balancer.",
                Refusal::Prerequisite,
            ),
            ("NamespaceNotFoundException", "Namespace not found.", Refusal::Prerequisite),
            ("ClientException", "No Fargate configuration exists for given values.", Refusal::Stands),
            ("InvalidParameterException", "TaskDefinition is inactive", Refusal::Stands),
            ("", "", Refusal::Stands),
        ];
        for (code, message, expected) in cases {
            assert_eq!(refusal(code, message), expected, "{code}: {message}");
        }
    }

    fn desired() -> Desired {
        Desired {
            name: "web".into(),
            environment: "prod".into(),
            service_name: "web".into(),
            ownership: lockstep_manifests::layer::Ownership::Service,
            after: vec![],
            ignore: vec![],
            adopt: false,
            replace: false,
            sync: lockstep_manifests::Narrowing::default(),
            task_definition: json!({"executionRoleArn": "execution", "taskRoleArn": "web"}),
            task_definition_tags: Default::default(),
            service: json!({"loadBalancers": [{"targetGroupArn": "arn:aws:elasticloadbalancing:r:1:targetgroup/a/1"}]}),
            service_tags: Default::default(),
            parameters: Default::default(),
        }
    }

    // K4: with its name.
    #[test]
    fn what_is_missing_is_named() {
        let desired = desired();
        let cases = [
            ("Role is not valid", "the roles execution, web"),
            ("Unable to assume the service linked role. Please verify", "the role AWSServiceRoleForECS"),
            (
                "The target group with targetGroupArn arn:aws:elasticloadbalancing:r:1:targetgroup/b/2 does not have an associated load balancer.",
                "target group arn:aws:elasticloadbalancing:r:1:targetgroup/b/2",
            ),
            (
                "The target group does not have an associated load balancer.",
                "the target group arn:aws:elasticloadbalancing:r:1:targetgroup/a/1",
            ),
            ("The subnet ID 'subnet-1' does not exist (ErrorCode: InvalidSubnetID.NotFound)", "subnet-1"),
        ];
        for (message, expected) in cases {
            assert_eq!(missing(&desired, "InvalidParameterException", message), expected);
        }
    }

    // K4: AWS's own faults.
    #[test]
    fn a_fault_of_awss_own_is_told_from_one_of_the_state() {
        for own in [
            "(service web) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or in a different availability zone.",
            "CannotPullContainerError: pull image manifest has been retried 7 time(s): failed to copy: httpReadSeeker: toomanyrequests: You have reached your pull rate limit",
            "InfrastructureHealth",
        ] {
            assert!(is_aws_own(own), "{own}");
        }
        for ours in [
            "Essential container in task exited",
            "You've reached the limit on the number of vCPUs you can run concurrently.",
            "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref x:1: not found",
            "",
        ] {
            assert!(!is_aws_own(ours), "{ours}");
        }
    }

    // K4: only what the state itself names is looked for.
    #[test]
    fn what_a_task_failed_for_is_named_by_the_state() {
        let definition = json!({"containerDefinitions": [
            {"name": "app", "image": "shop/web:2", "secrets": [
                {"name": "A", "valueFrom": "arn:aws:secretsmanager:r:1:secret:db-AbCdEf:password::"},
                {"name": "B", "valueFrom": "arn:aws:ssm:r:1:parameter/shop/b"}, {"name": "C", "valueFrom": "/shop/c"}]},
            {"name": "log", "image": "log:1", "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/g"}}}]});
        let desired = Desired { task_definition: definition, ..desired() };
        let pull = "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref";
        let secret = "ResourceInitializationError: The task can't retrieve the secret with ARN";
        let ssm = "ResourceInitializationError: unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid parameters:";
        for (words, expected) in [
            (format!("{pull} docker.io/shop/web:2: shop/web:2: not found"), Some("the image shop/web:2")),
            (format!("{pull} other:1: not found"), None),
            (
                format!(
                    "{secret} 'arn:aws:secretsmanager:r:1:secret:db-AbCdEf' from Secrets Manager. Check whether the secret exists in the specified Region"
                ),
                Some("the secret arn:aws:secretsmanager:r:1:secret:db-AbCdEf:password::"),
            ),
            (format!("{secret} 'arn:aws:secretsmanager:r:1:secret:db-AbCdEg'. Check whether the secret exists"), None),
            (format!("{ssm} /shop/c"), Some("the parameter /shop/c")),
            (format!("{ssm} /shop/b,/shop/x"), Some("the parameter arn:aws:ssm:r:1:parameter/shop/b")),
            (format!("{ssm} /shop/cc"), None),
            (
                "failed to validate logger args: The specified log group does not exist.".to_owned(),
                Some("the log group /g"),
            ),
            ("Essential container in task exited".to_owned(), None),
            (format!("{pull} shop/web:2: unexpected status 403 Forbidden, failed to authorize"), None),
        ] {
            let cause = Cause { stopped_reason: words.clone(), ..Cause::default() };
            assert_eq!(absent(&desired, &cause).map(|it| it.to_string()).as_deref(), expected, "{words}");
        }
    }
}
