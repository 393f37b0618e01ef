//! What differs: the task definition, the service's members, its tags.

use super::{Planner, tag_changes};
use crate::observed::words::Controller;
use crate::{
    compare::{
        diff::{Change, Comparison, Remark, compare},
        normalise::Context,
    },
    observed::{History, LiveService, Need, Reading, Revision},
    stated::identity::{self, content_hash},
};
use lockstep_manifests::{Desired, canonical::Root, layer::Ownership};
use serde_json::Value;
use std::borrow::Cow;

/// Members that ECS returns in a service revision alone.
const IN_REVISION_ALONE: &[&str] = &["gatewayConnectors", "monitoring"];

/// Whether Git declares what only a service revision shows.
pub fn needs_revisions(desired: &Desired) -> bool {
    IN_REVISION_ALONE.iter().any(|name| desired.service.get(name).is_some())
}

/// Members of a service under the EXTERNAL controller that its task sets have in its place.
const IN_TASK_SETS: &[&str] = &[
    "capacityProviderStrategy",
    "launchType",
    "loadBalancers",
    "networkConfiguration",
    "platformVersion",
    "serviceRegistries",
];

/// The differences of a service, by what they are about.
#[derive(Default)]
pub(super) struct Differences {
    pub(super) task_definition: Vec<Change>,
    pub(super) service: Vec<Change>,
    pub(super) tags: Vec<Change>,
    /// What is neither equal nor different; it is said.
    pub(super) remarks: Vec<Remark>,
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
        // A service under the EXTERNAL controller has task definitions in its task sets alone.
        let revision = if live.controller == Controller::External && live.task_definition.is_empty() {
            None
        } else {
            Some(self.revision_in_use(live)?)
        };
        let mut found = Differences::default();
        if let Some(revision) = &revision {
            let of_definition = self.of_task_definition(revision);
            found.task_definition = of_definition.changes;
            found.remarks = of_definition.remarks;
        }
        if self.desired.ownership == Ownership::TaskDefinition {
            return Some(found);
        }
        let definition = self.live_definition(live)?;
        let mut declared = Cow::Borrowed(&self.desired.service);
        if let (None, Some(map)) = (&revision, self.desired.service.as_object()) {
            let is_own = |(name, _): &(&String, &Value)| !IN_TASK_SETS.contains(&name.as_str());
            let own = map.iter().filter(is_own).map(|(name, value)| (name.clone(), value.clone()));
            declared = Cow::Owned(Value::Object(own.collect()));
        }
        let in_use = revision.as_ref().map_or(&Value::Null, |revision| &revision.definition);
        let context = Context::of([&self.desired.task_definition, in_use, &declared, &definition]).at(&live.arn);
        let of_service = compare(Root::Service, &declared, &definition, &context, &self.ignore);
        found.service = of_service.changes;
        found.remarks.extend(of_service.remarks);
        let is_compared = |change: &Change| {
            change.path.parse().is_ok_and(|path| !self.ignore.iter().any(|ignored| ignored.covers(&path)))
        };
        found.tags = tag_changes(&self.declared_tags(), &live.tags).into_iter().filter(is_compared).collect();
        Some(found)
    }

    /// The task definition revision that the service runs; none while it is not known.
    fn revision_in_use(&mut self, live: &LiveService) -> Option<Revision> {
        match &self.observed.revision {
            Reading::Found(revision) => return Some(revision.clone()),
            // A service runs a revision: that it cannot be found is a failed read, and no empty one.
            Reading::Missing => {
                self.unread = Some(format!("the task definition in use, {}, cannot be found", live.task_definition));
            }
            Reading::Unread => {
                self.needs.insert(Need::Revision);
            }
            Reading::Failed(text) => self.unread = Some(text.clone()),
        }
        None
    }

    fn of_task_definition(&self, revision: &Revision) -> Comparison {
        let declared = &self.desired.task_definition;
        let context = Context::of([declared, &revision.definition]).at(&revision.arn);
        let mut found = compare(Root::TaskDefinition, declared, &revision.definition, &context, &self.ignore);
        // It is not settled whether ECS keeps variables with an empty value. Where the revision is ours and was
        // registered with this very content, one that it lacks is one that ECS dropped.
        if !found.changes.is_empty() && revision.tags.get(identity::HASH) == Some(&content_hash(&self.definition)) {
            let empty = Some(Value::String(String::new()));
            found.changes.retain(|change| {
                !(change.old.is_none() && change.new == empty && change.path.contains(".environment["))
            });
        }
        found
    }

    /// The live service, with the members that only its revision shows where Git declares them.
    pub(super) fn live_definition<'b>(&mut self, live: &'b LiveService) -> Option<Cow<'b, Value>> {
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
