//! What is known, for people and machines: the API, `status`, pages. Values and enums only, with one serialisation.

mod axes;
mod images;
mod tasks;

pub use axes::{Axes, Axis};
pub use images::{HoldState, ImageState, Standing, TagLine, UP_TO_DATE, time_text};
pub use tasks::{TASKS_FORMAT, TaskList, TaskState, Trouble};

use crate::{
    observed::runs::ContainerImage,
    report::{EnvironmentPlan, FORMAT, Health, Plan, Problem, Reason, RelatedPlace, ServicePlan, Withheld},
    stated::commit::Commit,
};
use lockstep_manifests::{Diagnostic, Mode, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the state's format.
pub const STATE_FORMAT: &str = "lockstep.state/1";

/// Everything, as `/api/v1/state` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// [`STATE_FORMAT`].
    pub format: String,
    /// The version of Lockstep.
    pub version: String,
    /// The sources, in the order of the agent's file.
    pub sources: Vec<SourceState>,
    /// Queues of push events that cannot be read now, each with the reason. Registries are polled all the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub queues: BTreeMap<String, String>,
    /// Tasks of the agent that panicked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Trouble>,
    /// Lines of the log that could not be written.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lost_log_lines: usize,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

/// One source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceState {
    /// Its id.
    pub id: String,
    /// The commit that is followed; empty before the first one was read.
    pub commit: String,
    /// The first line of its message.
    pub summary: String,
    /// The commit that was followed before, where the branch was rewritten and no longer leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewritten: Option<String>,
    /// Why the repository cannot be read now, where it cannot. The state below is then the last good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is wrong with its files.
    pub problems: Vec<Problem>,
    /// Why nothing is written, where `lockstep.yaml` or a component is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes_stopped: Option<String>,
    /// Its environments.
    pub environments: Vec<EnvironmentState>,
    /// The pins that image policies are for.
    #[serde(default)]
    pub images: Vec<ImageState>,
    /// Why new images are not written back, where something is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_back: Option<String>,
}

/// One environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentState {
    /// Its name.
    pub name: String,
    /// AWS account.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// ECS cluster.
    pub cluster: String,
    /// Whether the agent writes.
    pub mode: Mode,
    /// Its services, by name.
    pub services: Vec<ServiceState>,
    /// What is not done in the environment as a whole.
    #[serde(default)]
    pub withheld: Vec<Withheld>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceState {
    /// The plan of the latest round.
    pub plan: ServicePlan,
    /// Sync status and health with their reasons, and since when.
    #[serde(default)]
    pub axes: Axes,
    /// The task definition revision in use, `family:revision`.
    pub revision: String,
    /// The images of the revision in use; empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ContainerImage>,
    /// The images that Git declares, where they are others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declared_images: Vec<ContainerImage>,
    /// Tasks that ran when it was last observed; null where that was never known.
    pub running: Option<i64>,
    /// Tasks that should have run then.
    pub desired_count: Option<i64>,
    /// When it was last observed, RFC 3339; empty before. A read that fails does not move it.
    pub observed_at: String,
    /// The commit that last changed its files; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// The branch's commit that it was planned for.
    #[serde(default)]
    pub planned_for: String,
    /// What the agent is doing or did last, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl ServiceState {
    /// A service that was not observed yet.
    pub fn unseen(plan: ServicePlan, planned_for: &str) -> Self {
        Self {
            plan,
            axes: Axes::default(),
            revision: String::new(),
            images: Vec::new(),
            declared_images: Vec::new(),
            running: None,
            desired_count: None,
            observed_at: String::new(),
            commit: None,
            planned_for: planned_for.to_owned(),
            note: String::new(),
        }
    }

    /// Tasks that run of those that should, as far as they are known: `1/2`, `?` where they never were, `-` where there are none.
    pub fn count(&self) -> String {
        match (self.running, self.desired_count) {
            (Some(running), Some(desired)) => format!("{running}/{desired}"),
            // A task definition that no service uses has none.
            _ if !self.revision.is_empty() || self.plan.health == Health::Missing => "-".to_owned(),
            _ => "?".to_owned(),
        }
    }

    /// Whether what is known of its tasks is of an earlier look than the latest.
    pub fn is_stale(&self) -> bool {
        self.plan.health == Health::Unknown && !self.observed_at.is_empty()
    }
}

impl SourceState {
    /// The pins of a service that are held in an environment.
    fn held(&self, environment: &str, service: &str) -> impl Iterator<Item = Withheld> {
        let mine = |image: &&ImageState| {
            image.standing == Standing::Held
                && image.service == service
                && image.readers.iter().any(|it| it == environment)
        };
        let withheld = |image: &ImageState| Withheld {
            reason: Reason::Held,
            text: format!("{}: {}", image.container, image.text),
            changes: Vec::new(),
        };
        self.images.iter().filter(mine).map(withheld).collect::<Vec<_>>().into_iter()
    }

    /// The plan of the source.
    pub fn plan(&self) -> Plan {
        Plan {
            format: FORMAT.to_owned(),
            commit: self.commit.clone(),
            environments: self
                .environments
                .iter()
                .map(|environment| EnvironmentPlan {
                    name: environment.name.clone(),
                    services: environment
                        .services
                        .iter()
                        .map(|service| {
                            let mut plan = service.plan.clone();
                            plan.withheld.extend(self.held(&environment.name, &plan.name));
                            plan
                        })
                        .collect(),
                    withheld: environment.withheld.clone(),
                })
                .collect(),
            problems: self.problems.clone(),
        }
    }
}

/// A diagnostic as data.
pub fn problem(diagnostic: &Diagnostic) -> Problem {
    let place = diagnostic.place();
    // A directory has no text to point into.
    let end = diagnostic.span.as_ref().filter(|span| !span.file.text.is_empty());
    let end = end.map(|span| span.file.line_column(span.end as usize));
    Problem {
        code: diagnostic.code.id.to_owned(),
        severity: match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
        .to_owned(),
        message: diagnostic.message.clone(),
        file: place.map(|(file, _, _)| file.to_owned()),
        line: place.map(|(_, line, _)| line),
        column: place.map(|(_, _, column)| column),
        end_line: end.map(|(line, _)| line),
        end_column: end.map(|(_, column)| column),
        hint: diagnostic.hint.clone(),
        related: diagnostic
            .related
            .iter()
            .map(|(message, span)| {
                let (line, column) = span.line_column();
                RelatedPlace { message: message.clone(), file: span.file.path.clone(), line, column }
            })
            .collect(),
    }
}
