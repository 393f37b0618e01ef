//! What people hear of once when it begins and once when it is over: that a service's state is not known, that it is
//! paused, that somebody else keeps changing it. What has one reason for many services is told once for all of them.

use crate::report::{Reason, ServicePlan, SyncStatus};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A condition of a service that begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// Its state could not be found out.
    Unknown,
    /// A person asked to leave it alone.
    Paused,
    /// Somebody else keeps changing it.
    Contested,
}

/// A condition that began or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub condition: Condition,
    /// Whether it began.
    pub begins: bool,
    /// Why, where it began.
    pub text: String,
    /// The services, by name.
    pub services: Vec<String>,
}

/// The conditions that were told of, by service.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    told: BTreeMap<String, BTreeMap<Condition, Reason>>,
}

impl Conditions {
    /// What began and what ended since the last call. `plans` are all services of the environment.
    pub fn take<'a>(&mut self, plans: impl Iterator<Item = &'a ServicePlan>) -> Vec<Change> {
        let mut began: BTreeMap<(Condition, String), Vec<String>> = BTreeMap::new();
        let mut ended: BTreeMap<Condition, Vec<String>> = BTreeMap::new();
        let mut names = BTreeSet::new();
        for plan in plans {
            names.insert(plan.name.clone());
            let told = self.told.entry(plan.name.clone()).or_default();
            let now = conditions(plan);
            for condition in told.keys().filter(|condition| !now.contains_key(*condition)) {
                ended.entry(*condition).or_default().push(plan.name.clone());
            }
            for (condition, (reason, text)) in &now {
                // Another wording of the same reason is no news: it may hold a time or an id of a request.
                if told.get(condition) != Some(reason) {
                    began.entry((*condition, text.clone())).or_default().push(plan.name.clone());
                }
            }
            *told = now.into_iter().map(|(condition, (reason, _))| (condition, reason)).collect();
        }
        self.told.retain(|name, _| names.contains(name));
        let ended = ended.into_iter().map(|(condition, services)| Change {
            condition,
            begins: false,
            text: String::new(),
            services,
        });
        let began =
            began.into_iter().map(|((condition, text), services)| Change { condition, begins: true, text, services });
        ended.chain(began).collect()
    }
}

fn conditions(plan: &ServicePlan) -> BTreeMap<Condition, (Reason, String)> {
    let mut found = BTreeMap::new();
    for withheld in &plan.withheld {
        let condition = match withheld.reason {
            Reason::Paused => Condition::Paused,
            Reason::Contested => Condition::Contested,
            // To wait for one's turn is ordinary.
            Reason::Queued => continue,
            reason if reason.is_remark() => continue,
            _ if plan.sync == SyncStatus::Unknown => Condition::Unknown,
            _ => continue,
        };
        found.entry(condition).or_insert_with(|| (withheld.reason, withheld.text.clone()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Health;

    fn plan(name: &str, sync: SyncStatus, reason: Option<Reason>, text: &str) -> ServicePlan {
        let mut plan = ServicePlan::withheld(name, sync, Health::Healthy, reason.unwrap_or(Reason::Observe), text);
        if reason.is_none() {
            plan.withheld.clear();
        }
        plan
    }

    fn told(changes: &[Change]) -> Vec<(Condition, bool, &str, String)> {
        changes.iter().map(|it| (it.condition, it.begins, it.text.as_str(), it.services.join(" "))).collect()
    }

    #[test]
    fn each_condition_is_told_once_when_it_begins_and_once_when_it_ends() {
        use Condition::{Contested, Paused, Unknown};
        let mut changes = Conditions::default();
        let good = |name| plan(name, SyncStatus::Synced, None, "");
        let unread = |name, text| plan(name, SyncStatus::Unknown, Some(Reason::Unread), text);
        let mut take = |plans: &[ServicePlan]| changes.take(plans.iter());
        assert_eq!(take(&[good("a"), good("b")]), []);
        // One reason for many services is one line.
        let began = take(&[unread("a", "denied"), unread("b", "denied")]);
        assert_eq!(told(&began), [(Unknown, true, "denied", "a b".to_owned())]);
        assert_eq!(take(&[unread("a", "denied"), unread("b", "denied, request 2")]), [], "it is told once");
        // Another reason is news.
        let wrong = plan("a", SyncStatus::Unknown, Some(Reason::WrongAccount), "another account");
        assert_eq!(told(&take(&[wrong, unread("b", "denied")])), [(Unknown, true, "another account", "a".to_owned())]);
        let paused = || plan("b", SyncStatus::OutOfSync, Some(Reason::Paused), "paused by ada");
        assert_eq!(
            told(&take(&[good("a"), paused()])),
            [(Unknown, false, "", "a b".to_owned()), (Paused, true, "paused by ada", "b".to_owned())]
        );
        assert_eq!(take(&[good("a"), paused()]), []);
        let contested = plan("a", SyncStatus::OutOfSync, Some(Reason::Contested), "contested: …");
        assert_eq!(
            told(&take(&[contested, good("b")])),
            [(Paused, false, "", "b".to_owned()), (Contested, true, "contested: …", "a".to_owned())]
        );
        // To wait for one's turn is no condition, and neither is a service that is gone.
        let queued = plan("b", SyncStatus::Unknown, Some(Reason::Queued), "queued");
        assert_eq!(take(&[queued]), []);
    }
}
