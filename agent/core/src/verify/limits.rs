//! How much there may be of something. The numbers are in the reference of the API (service model of November 2026), and
//! the size of a definition in the page "Amazon ECS service quotas" (November 2026; it cannot be raised).

use super::{Findings, Subject, of_service, task_definition};
use lockstep_manifests::{Desired, codes, path::Path};
use serde_json::{Map, Value};

/// Bytes of a task definition, as JSON.
const LARGEST: usize = 64 * 1024;
/// Tags of a resource.
const MOST_TAGS: usize = 50;
/// Letters of a tag's name and value.
const LONGEST: (usize, usize) = (128, 256);

pub(super) fn size(subject: &Subject<'_>, findings: &mut Findings) {
    let size = subject.task_definition.to_string().len();
    findings.about(codes::LIMITS, task_definition(), "it is within ECS's limits");
    if size > LARGEST {
        let said = format!(
            "the definition has {size} bytes, more than the {LARGEST} that ECS takes; move long values to Parameter Store or to environmentFiles"
        );
        findings.fail(codes::LIMITS, task_definition(), said);
    }
}

/// Tags as they are declared, with those that Lockstep adds when it registers and adopts.
pub(super) fn tags(desired: &Desired, findings: &mut Findings) {
    let kinds = [(task_definition(), &desired.task_definition_tags, 5), (of_service(), &desired.service_tags, 3)];
    for (root, tags, ours) in kinds {
        of_one(&root.member("tags"), tags, ours, findings);
    }
}

fn of_one(path: &Path, tags: &Map<String, Value>, ours: usize, findings: &mut Findings) {
    if tags.is_empty() {
        return;
    }
    findings.about(codes::LIMITS, path.clone(), "there are not too many tags");
    if tags.len() + ours > MOST_TAGS {
        let said =
            format!("{} tags and the {ours} of Lockstep are more than the {MOST_TAGS} that AWS takes", tags.len());
        findings.fail(codes::LIMITS, path.clone(), said);
    }
    for (name, value) in tags {
        let value = value.as_str().unwrap_or_default();
        if name.chars().count() > LONGEST.0 || (super::is_known(value) && value.chars().count() > LONGEST.1) {
            let said = format!("a tag's name has at most {} letters, and its value {}", LONGEST.0, LONGEST.1);
            findings.fail(codes::LIMITS, path.element(name), said);
        }
    }
}
