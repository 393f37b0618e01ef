//! Healing drift, and when not to: a grace period, and fields that somebody else keeps changing.

use crate::diff::Change;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How many times within [`WINDOW`] a field may flip before it is contested.
const FLIPS: usize = 3;
/// The window, in seconds.
const WINDOW: i64 = 3600;

/// What is remembered of the drift of one service. Times are epoch seconds of AWS's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The desired state that it is about.
    pub desired: String,
    /// When a difference was first seen that is still there, by path.
    seen: BTreeMap<String, i64>,
    /// When a difference was seen anew, by path: each time, somebody had changed the field.
    flips: BTreeMap<String, Vec<i64>>,
}

/// A difference that is not healed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is younger than the grace period.
    Young {
        /// When it is healed, epoch seconds.
        until: i64,
    },
    /// Somebody else keeps changing it.
    Contested {
        /// How many times within an hour.
        flips: usize,
    },
}

impl Memory {
    /// What is not to be healed now, by path. Called at each look at a service that should be as it was deployed.
    pub fn consider(&mut self, desired: &str, changes: &[Change], now: i64, after: Duration) -> BTreeMap<String, Hold> {
        if self.desired != desired {
            *self = Self { desired: desired.to_owned(), ..Self::default() };
        }
        let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        self.seen.retain(|path, _| paths.contains(&path.as_str()));
        self.flips.retain(|_, flips| {
            flips.retain(|at| now - at < WINDOW);
            !flips.is_empty()
        });
        let after = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
        let mut holds = BTreeMap::new();
        for path in paths {
            let since = *self.seen.entry(path.to_owned()).or_insert_with(|| {
                self.flips.entry(path.to_owned()).or_default().push(now);
                now
            });
            let flips = self.flips.get(path).map_or(0, Vec::len);
            let until = since.saturating_add(after);
            if flips >= FLIPS {
                holds.insert(path.to_owned(), Hold::Contested { flips });
            } else if now < until {
                holds.insert(path.to_owned(), Hold::Young { until });
            }
        }
        holds
    }

    /// These differences were healed; when they are seen again, somebody changed them again.
    pub fn healed(&mut self, changes: &[Change]) {
        for change in changes {
            self.seen.remove(&change.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Effect;

    fn change(path: &str) -> Change {
        Change { path: path.into(), old: None, new: None, effect: Effect::InPlace, masked: false }
    }

    #[test]
    fn a_field_that_flips_three_times_in_an_hour_is_contested() {
        let mut memory = Memory::default();
        let changes = [change("service.desiredCount")];
        for at in [0, 600] {
            assert_eq!(memory.consider("v1", &changes, at, Duration::ZERO), BTreeMap::new());
            memory.healed(&changes);
            assert_eq!(memory.consider("v1", &[], at + 30, Duration::ZERO), BTreeMap::new());
        }
        let contested = BTreeMap::from([("service.desiredCount".to_owned(), Hold::Contested { flips: 3 })]);
        assert_eq!(memory.consider("v1", &changes, 1200, Duration::ZERO), contested);
        assert_eq!(memory.consider("v1", &changes, 1230, Duration::ZERO), contested, "looking again is no flip");
        assert_eq!(memory.consider("v1", &changes, 3600, Duration::ZERO), BTreeMap::new(), "after a quiet hour");
        assert_eq!(memory.consider("v2", &changes, 3700, Duration::ZERO), BTreeMap::new(), "another desired state");
    }

    #[test]
    fn drift_may_have_to_last() {
        let mut memory = Memory::default();
        let after = Duration::from_secs(900);
        let changes = [change("service.desiredCount"), change("service.propagateTags")];
        let young = |until| Hold::Young { until };
        assert_eq!(
            memory.consider("v1", &changes[..1], 100, after),
            BTreeMap::from([("service.desiredCount".to_owned(), young(1000))])
        );
        assert_eq!(
            memory.consider("v1", &changes, 500, after),
            BTreeMap::from([
                ("service.desiredCount".to_owned(), young(1000)),
                ("service.propagateTags".to_owned(), young(1400))
            ])
        );
        assert_eq!(
            memory.consider("v1", &changes, 1000, after),
            BTreeMap::from([("service.propagateTags".to_owned(), young(1400))])
        );
    }
}
