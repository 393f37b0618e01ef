//! What the agent knows, for whoever asks: the API, `status`, the other environments. Values only.

mod event;
mod images;
mod task;
mod trouble;

pub use event::{Event, Trigger};
pub use images::{HoldState, ImageState, Standing, TagLine, UP_TO_DATE, time_text};
pub use task::{TASKS_FORMAT, TaskList, TaskState, Tasks};
pub use trouble::{Trouble, Troubles};

use lockstep_core::{
    observed::runs::ContainerImage,
    report::{EnvironmentPlan, FORMAT, Health, Plan, Problem, Reason, RelatedPlace, ServicePlan, SyncStatus, Withheld},
    stated::commit::Commit,
};
use lockstep_manifests::{Diagnostic, Mode, Severity};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

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
    pub withheld: Vec<lockstep_core::report::Withheld>,
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

/// The two axes of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Axes {
    /// Whether what runs is what is declared.
    pub sync: Axis,
    /// How what runs is doing.
    pub health: Axis,
}

/// One axis: its value, why, since when, and when it was last good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Axis {
    /// The value.
    pub value: String,
    /// Why, where it is not good.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Since when it has this value, RFC 3339.
    pub since: String,
    /// The last value that was known, where it is unknown now.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_known: String,
    /// When it was last seen Synced, or Healthy; RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_good: String,
}

impl Axis {
    fn turn(&mut self, value: &str, is_good: bool, reason: String, now: &str) {
        if self.value != value {
            self.last_known = match (value, self.value.as_str()) {
                ("Unknown", known) if known != "Unknown" => known.to_owned(),
                _ => String::new(),
            };
            value.clone_into(&mut self.value);
            now.clone_into(&mut self.since);
        }
        if is_good {
            now.clone_into(&mut self.last_good);
        }
        self.reason = if is_good { String::new() } else { reason };
    }
}

impl Axes {
    /// The axes after a plan was made, at a time in RFC 3339.
    pub fn turn(&mut self, plan: &ServicePlan, counts: Option<(i64, i64)>, now: &str) {
        let mut reasons = plan.withheld.iter().filter(|withheld| !withheld.reason.is_remark());
        let told = reasons.clone().find(|withheld| !withheld.changes.is_empty()).or(reasons.next());
        let count = plan.changes().len();
        let differs = match (told, count) {
            (Some(withheld), _) => withheld.text.clone(),
            (None, 0) => "a write is under way".to_owned(),
            (None, 1) => "1 difference".to_owned(),
            (None, count) => format!("{count} differences"),
        };
        let sync = format!("{:?}", plan.sync);
        self.sync.turn(&sync, plan.sync == SyncStatus::Synced, differs.clone(), now);
        let doing = match (&plan.rollout, plan.health) {
            (Some(rollout), _) => rollout.text(),
            (None, Health::Unknown) => differs,
            (None, _) => {
                counts.map_or_else(String::new, |(running, desired)| format!("{running} of {desired} tasks run"))
            }
        };
        let good = matches!(plan.health, Health::Healthy | Health::Suspended);
        self.health.turn(&format!("{:?}", plan.health), good, doing, now);
    }
}

/// Where rounds leave what they found.
#[derive(Default)]
pub struct Board {
    sources: RwLock<BTreeMap<usize, SourceState>>,
    queues: RwLock<BTreeMap<String, String>>,
    /// Tasks that panicked.
    pub troubles: Troubles,
    /// What the tasks are doing.
    pub tasks: Tasks,
}

impl Board {
    /// Changes a source's entry.
    pub fn update<T>(&self, index: usize, change: impl FnOnce(&mut SourceState) -> T) -> T {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        change(sources.entry(index).or_default())
    }

    /// A queue cannot be read, for this reason; or can be read again.
    pub fn queue(&self, url: &str, problem: Option<String>) {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => queues.insert(url.to_owned(), problem),
            None => queues.remove(url),
        };
    }

    /// Forgets everything, when the sources themselves changed.
    pub fn clear(&self) {
        self.sources.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.queues.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.tasks.clear();
    }

    /// Everything.
    pub fn state(&self) -> State {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        State {
            format: STATE_FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sources: sources.values().cloned().collect(),
            queues: self.queues.read().unwrap_or_else(PoisonError::into_inner).clone(),
            troubles: self.troubles.all(),
            lost_log_lines: crate::log::lost(),
        }
    }

    /// A service of a source.
    pub fn service(&self, index: usize, environment: &str, service: &str) -> Option<ServiceState> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        let environment = sources.get(&index)?.environments.iter().find(|other| other.name == environment)?;
        environment.services.iter().find(|other| other.plan.name == service).cloned()
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
