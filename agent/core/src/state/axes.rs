//! Sync status and health of a service, each with its reason and since when.

use crate::report::{Health, ServicePlan, SyncStatus};
use serde::{Deserialize, Serialize};

/// The two axes of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Axes {
    /// Whether what runs is what is declared.
    pub sync: Axis<SyncStatus>,
    /// How what runs is doing.
    pub health: Axis<Health>,
}

/// One axis: its value, why, since when, and when it was last good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Axis<T> {
    /// The value.
    pub value: T,
    /// Why, where it is not good.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Since when it has this value, RFC 3339.
    pub since: String,
    /// The last value that was known, where it is unknown now.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub last_known: Option<T>,
    /// When it was last seen Synced, or Healthy; RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_good: String,
}

impl<T: Copy + Default + PartialEq> Axis<T> {
    fn turn(&mut self, value: T, is_good: bool, reason: String, now: &str) {
        let unknown = T::default();
        if self.value != value || self.since.is_empty() {
            self.last_known = (value == unknown && self.value != unknown).then_some(self.value);
            self.value = value;
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
        self.sync.turn(plan.sync, plan.sync == SyncStatus::Synced, differs.clone(), now);
        let doing = match (&plan.rollout, plan.health) {
            (Some(rollout), _) => rollout.text(),
            (None, Health::Unknown) => differs,
            (None, _) => {
                counts.map_or_else(String::new, |(running, desired)| format!("{running} of {desired} tasks run"))
            }
        };
        let good = matches!(plan.health, Health::Healthy | Health::Suspended);
        self.health.turn(plan.health, good, doing, now);
    }
}
