//! Values that are no values: placeholders that were never filled, and what is no name, image or number. ECS passes some
//! of them on, and only the start of a task fails.

use super::{Findings, Subject, is_known, of_container, of_service, task_definition, text};
use lockstep_manifests::{codes, path::Path};
use serde_json::Value;

/// Members that hold one word: a name, an id or an ARN.
const WORDS: &[&str] = &[
    "subnets",
    "securityGroups",
    "role",
    "valueFrom",
    "capacityProvider",
    "fileSystemId",
    "accessPointId",
    "productionListenerRule",
    "testListenerRule",
    "credentialsParameter",
    "family",
    "serviceName",
    "containerName",
    "registryArn",
    "targetGroupArn",
    "alternateTargetGroupArn",
    "hookTargetArn",
    "loadBalancerName",
];
const ROLES: &[&str] = &["roleArn", "executionRoleArn", "taskRoleArn", "role", "instanceProfileArn"];
/// Longest name of a container, and most letters of an image before its digest (RegisterTaskDefinition's reference in the
/// service model of November 2026).
const LONGEST: usize = 255;

pub(super) fn values(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::NO_VALUE;
    findings.about(code, task_definition(), "names, images and sizes are such, and no placeholders");
    for member in ["cpu", "memory"] {
        // Fargate's sizes have a rule of their own.
        if let Some(written) = text(subject.task_definition, member).filter(|_| !subject.fargate)
            && !is_size(written)
        {
            let said = format!("`{written}` is no size: write 512, `.5 vCPU` or `1 GB`");
            findings.fail(code, task_definition().member(member), said);
        }
    }
    for (name, container) in subject.containers() {
        let path = of_container(name);
        let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        if is_known(name) && (name.is_empty() || name.len() > LONGEST || !name.chars().all(legal)) {
            let said = "a container's name has letters, digits, `-` and `_` only, 255 at most";
            findings.fail(code, path.member("name"), said);
        }
        if let Some(problem) = text(container, "image").and_then(image_problem) {
            findings.fail(code, path.member("image"), problem);
        }
    }
    for (root, value) in [(task_definition(), subject.task_definition), (of_service(), subject.service)] {
        words(value, &root, findings);
    }
}

/// Images that nothing pins: what runs is what the registry calls `latest` when a task starts.
pub(super) fn tags(subject: &Subject<'_>, findings: &mut Findings) {
    for (name, container) in subject.containers() {
        let Some(image) = text(container, "image").filter(|image| is_known(image) && image_problem(image).is_none())
        else {
            continue;
        };
        let last = image.rsplit('/').next().unwrap_or(image);
        if !last.contains([':', '@']) {
            let said =
                "it has no tag and no digest, so that ECS takes whatever is tagged `latest` when a deployment starts";
            findings.warn(codes::IMAGE, of_container(name).member("image"), said);
        }
    }
}

/// What may be the secret itself, written where its name belongs, is not repeated.
const OF_SECRETS: &[&str] = &["valueFrom", "credentialsParameter"];

/// Looks at words and roles wherever they are.
fn words(value: &Value, path: &Path, findings: &mut Findings) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let path = path.member(name);
                for written in texts(inner) {
                    if ROLES.contains(&name.as_str()) && !is_role(written) {
                        let said = format!("`{written}` is no role: write its name or its ARN");
                        findings.fail(codes::NO_VALUE, path.clone(), said);
                    } else if WORDS.contains(&name.as_str()) && is_placeholder(written) {
                        let said = if OF_SECRETS.contains(&name.as_str()) {
                            "it is no name and no ARN, but a placeholder that was not filled, or the secret itself: \
                             write the name of a parameter, or `${{ secret:NAME }}`"
                                .to_owned()
                        } else {
                            format!("`{written}` looks like a placeholder that was not filled")
                        };
                        findings.fail(codes::NO_VALUE, path.clone(), said);
                    }
                }
                if !is_free(name) {
                    words(inner, &path, findings);
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate().filter(|(_, item)| item.is_object()) {
                let name = ["name", "containerName", "capacityProvider"].iter().find_map(|key| text(item, key));
                let path = name.map_or_else(|| path.element(at), |name| path.element(name));
                words(item, &path, findings);
            }
        }
        _ => {}
    }
}

/// Members whose keys are what people like.
fn is_free(member: &str) -> bool {
    matches!(
        member,
        "environment" | "dockerLabels" | "options" | "driverOpts" | "labels" | "properties" | "hookDetails"
    )
}

/// A text, or the texts of a list; empty and open ones are none.
fn texts(value: &Value) -> Vec<&str> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().filter_map(Value::as_str).filter(|text| !text.is_empty() && is_known(text)).collect()
}

fn is_placeholder(text: &str) -> bool {
    text.contains(['<', '>', '{', '}', '$']) || text.contains(char::is_whitespace)
}

/// A number, or a number with its unit.
fn is_size(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.strip_suffix("vcpu").or_else(|| lower.strip_suffix("gb")).unwrap_or(&lower).trim();
    number.parse::<f64>().is_ok_and(|number| number.is_finite() && number >= 0.0)
}

/// IAM's grammar: a name of `[\w+=,.@-]`, with its path, or an ARN that ends with these.
fn is_role(text: &str) -> bool {
    let name = match text.strip_prefix("arn:") {
        Some(rest) => {
            let parts: Vec<&str> = rest.splitn(5, ':').collect();
            match parts.as_slice() {
                [partition, "iam", "", account, resource] if !partition.is_empty() && !account.is_empty() => {
                    match resource.strip_prefix("role/").or_else(|| resource.strip_prefix("instance-profile/")) {
                        Some(name) => name,
                        None => return false,
                    }
                }
                _ => return false,
            }
        }
        None => text,
    };
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter);
    name.trim_start_matches('/').split('/').all(|part| !part.is_empty() && part.chars().all(legal))
}

/// Why a text is no reference to an image, as Docker and containerd read it.
fn image_problem(image: &str) -> Option<String> {
    if image.contains("://") {
        return Some(format!("`{image}` is an address; write the image without `https://`"));
    }
    if is_placeholder(image) {
        return Some(format!("`{image}` looks like a placeholder that was not filled"));
    }
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(format!("`{digest}` is no digest: `sha256:` and 64 hex digits"));
        }
    }
    if name.len() > LONGEST {
        return Some(format!("it has more than {LONGEST} letters"));
    }
    let last = name.rfind('/').map_or(0, |at| at + 1);
    let (repository, tag) = match name[last..].split_once(':') {
        Some((repository, tag)) => (&name[..last + repository.len()], Some(tag)),
        None => (name, None),
    };
    if let Some(tag) = tag {
        let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
        if tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) || !tag.chars().all(legal) {
            return Some(format!("`{tag}` is no tag"));
        }
    }
    let path = match repository.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host.eq_ignore_ascii_case("localhost") => path,
        _ => repository,
    };
    if path.chars().any(|letter| letter.is_ascii_uppercase()) {
        return Some(format!("`{path}`: names of repositories have no capital letters"));
    }
    let is_part = |part: &str| {
        let legal = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-".contains(letter);
        let edge = |letter: char| letter.is_ascii_alphanumeric();
        !part.is_empty() && part.chars().all(legal) && part.starts_with(edge) && part.ends_with(edge)
    };
    (!path.split('/').all(is_part)).then(|| format!("`{path}` is no name of a repository"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // F, I9: what is no image, and what is one.
    #[test]
    fn images_are_references() {
        let digest = format!("a/b@sha256:{}", "0".repeat(64));
        let good = [
            "nginx",
            "nginx:1",
            "a/b:1.2-3_x",
            "localhost:5000/a",
            "LOCALHOST/a",
            "public.ECR.aws/x/y:1",
            "a__b/c.d-e",
            "111111111111.dkr.ecr.eu-central-1.amazonaws.com/shop/web:1",
            digest.as_str(),
        ];
        for image in good {
            assert_eq!(image_problem(image), None, "{image}");
        }
        let bad = [
            "<IMAGE1_NAME>",
            "https://example.com/a:1",
            "Shop/Web:1",
            "$$$REG$$$/a:1",
            "${IMAGE}",
            "a b",
            "a/b:",
            "a//b",
            "a/b@sha256:0",
            "a/b@md5:0",
            "a:b:c",
            "-a",
            "{{image}}",
            "a/b:.x",
        ];
        for image in bad {
            assert!(image_problem(image).is_some(), "{image}");
        }
    }

    // I9: a role is a name or an ARN of IAM.
    #[test]
    fn roles_are_names_or_arns() {
        for role in ["execution", "service-role/exec", "arn:aws:iam::111111111111:role/a/b", "arn:aws-cn:iam::1:role/x"]
        {
            assert!(is_role(role), "{role}");
        }
        for role in [
            "<ROLE>",
            "${ROLE}",
            "arn:aws:iam::1:user/x",
            "arn:aws:s3:::x",
            "a b",
            "arn:aws:iam::<ACCOUNT>:role/<R>",
            "a//b",
        ] {
            assert!(!is_role(role), "{role}");
        }
    }
}
