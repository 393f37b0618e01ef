//! What differs: the task definition, the service's members, its tags.

use super::{Planner, tag_changes};
use crate::{
    diff::{Change, diff},
    identity::{self, content_hash},
    normalise::Context,
    observed::{History, LiveService, Need, Reading, Revision},
};
use lockstep_manifests::{Desired, canonical::Root, layer::Ownership};
use serde_json::Value;
use std::borrow::Cow;

/// Members that ECS answers in a service revision alone.
const IN_REVISION_ALONE: &[&str] = &["gatewayConnectors", "monitoring"];

/// Whether Git declares what only a service revision shows.
pub fn needs_revisions(desired: &Desired) -> bool {
    IN_REVISION_ALONE.iter().any(|name| desired.service.get(name).is_some())
}

/// The differences of a service, by what they are about.
pub(super) struct Differences {
    pub(super) task_definition: Vec<Change>,
    pub(super) service: Vec<Change>,
    pub(super) tags: Vec<Change>,
}

impl Differences {
    pub(super) fn all(&self) -> Vec<Change> {
        self.task_definition.iter().chain(&self.service).chain(&self.tags).cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.task_definition.is_empty() && self.service.is_empty() && self.tags.is_empty()
    }
}

impl Planner<'_> {
    /// What differs; none while something that it takes is not known.
    pub(super) fn differences(&mut self, live: &LiveService) -> Option<Differences> {
        let revision = match &self.observed.revision {
            Reading::Found(revision) => revision.clone(),
            // A service runs a revision: that it cannot be found is a failed read, and no empty one.
            Reading::Missing => {
                self.unread = Some(format!("the task definition in use, {}, cannot be found", live.task_definition));
                return None;
            }
            Reading::Unread => {
                self.needs.insert(Need::Revision);
                return None;
            }
            Reading::Failed(text) => {
                self.unread = Some(text.clone());
                return None;
            }
        };
        let task_definition = self.of_task_definition(&revision);
        if self.desired.ownership == Ownership::TaskDefinition {
            return Some(Differences { task_definition, service: Vec::new(), tags: Vec::new() });
        }
        let definition = self.live_definition(live)?;
        let context =
            Context::of([&self.desired.task_definition, &revision.definition, &self.desired.service, &definition]);
        let service = diff(Root::Service, &self.desired.service, &definition, &context, &self.ignore);
        let tags = tag_changes(&self.declared_tags(), &live.tags)
            .into_iter()
            .filter(|change| {
                change.path.parse().is_ok_and(|path| !self.ignore.iter().any(|ignored| ignored.covers(&path)))
            })
            .collect();
        Some(Differences { task_definition, service, tags })
    }

    fn of_task_definition(&self, revision: &Revision) -> Vec<Change> {
        let declared = &self.desired.task_definition;
        let context = Context::of([declared, &revision.definition]);
        let mut changes = diff(Root::TaskDefinition, declared, &revision.definition, &context, &self.ignore);
        // It is not settled whether ECS keeps variables with an empty value. Where the revision is ours and was
        // registered with this very content, one that it lacks is one that ECS dropped.
        if !changes.is_empty() && revision.tags.get(identity::HASH) == Some(&content_hash(&self.definition)) {
            let empty = Some(Value::String(String::new()));
            changes.retain(|change| {
                !(change.old.is_none() && change.new == empty && change.path.contains(".environment["))
            });
        }
        changes
    }

    /// The live service, with the members that only its revision shows where Git declares them.
    fn live_definition<'b>(&mut self, live: &'b LiveService) -> Option<Cow<'b, Value>> {
        let declared: Vec<&str> =
            IN_REVISION_ALONE.iter().copied().filter(|name| self.desired.service.get(name).is_some()).collect();
        if declared.is_empty() {
            return Some(Cow::Borrowed(&live.definition));
        }
        let current = match &self.observed.history {
            Reading::Unread => {
                self.needs.insert(Need::History);
                return None;
            }
            Reading::Found(History::Known(past)) => past.iter().find(|deployment| !deployment.has_failed()),
            _ => None,
        };
        let mut definition = live.definition.clone();
        if let Some(map) = definition.as_object_mut() {
            for name in declared {
                let value = match current {
                    Some(current) => current.service.get(name),
                    // Where there is no history, what is declared is taken as it is rather than sent again and again.
                    None => self.desired.service.get(name),
                };
                if let Some(value) = value {
                    map.insert(name.to_owned(), value.clone());
                }
            }
        }
        Some(Cow::Owned(definition))
    }
}
