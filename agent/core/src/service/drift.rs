//! Healing drift, and when not to: a grace period, a count that somebody raised, and fields that somebody else keeps
//! changing.

use crate::compare::diff::Change;
use lockstep_manifests::{CountRule, Heal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How many times a field may flip before it is contested: within [`HOUR`], or to the same foreign value within [`WEEK`].
const FLIPS: usize = 3;
/// Seconds. Also how long a count that was raised by hand stays at least.
const HOUR: i64 = 3600;
/// Seconds.
const WEEK: i64 = 7 * 24 * HOUR;
/// The path of the one field that people change in an incident.
const COUNT: &str = "service.desiredCount";

/// What is remembered of the drift of one service. Times are epoch seconds of AWS's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftMemory {
    /// The desired state that it is about.
    pub desired: String,
    /// When a difference was first seen that is still there, by path.
    seen: BTreeMap<String, i64>,
    /// When a difference was seen anew, by path: each time, somebody had changed the field.
    flips: BTreeMap<String, Vec<i64>>,
    /// Fields that somebody keeps putting back to a value of theirs, by path. It outlives commits that leave the field alone.
    #[serde(default)]
    foreign: BTreeMap<String, Foreign>,
    /// The desired count of the state that was last as declared.
    #[serde(default)]
    count: Option<i64>,
    /// A live count above the declared one.
    #[serde(default)]
    raised: Option<Raised>,
}

/// A value of somebody else's. Short hashes say whether two values are the same; they tell nothing of a secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Foreign {
    declared: u16,
    live: u16,
    at: Vec<i64>,
}

/// A count that somebody raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Raised {
    live: i64,
    since: i64,
}

/// A difference that is not healed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delay {
    /// It is younger than the grace period.
    Young {
        /// When it is healed, epoch seconds.
        until: i64,
    },
    /// Somebody else keeps changing it.
    Contested {
        /// How many times.
        flips: usize,
        /// Whether to the same value within a week, rather than within an hour.
        slowly: bool,
    },
    /// The live count is above the declared one: somebody raised it, maybe in an incident.
    Raised {
        /// The live count.
        live: i64,
        /// When it is lowered, epoch seconds.
        until: i64,
    },
    /// Drift is only reported.
    Never {
        /// Whether only that of the desired count.
        count: bool,
    },
}

/// A look at a service that differs from what is declared.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The hash of the desired state.
    pub desired: &'a str,
    /// What would be changed.
    pub changes: &'a [Change],
    /// AWS's time, epoch seconds.
    pub now: i64,
    /// What may be healed, and when.
    pub heal: Heal,
    /// Whether this very state was deployed before. Otherwise a commit explains the differences, except for a count that
    /// the commit does not change.
    pub is_drift: bool,
}

impl DriftMemory {
    /// What is not to be written now, by path.
    pub fn consider(&mut self, look: &Look<'_>) -> BTreeMap<String, Delay> {
        self.turn_to(look.desired);
        let mut holds = BTreeMap::new();
        if let Some(hold) = self.count_hold(look) {
            holds.insert(COUNT.to_owned(), hold);
        }
        if !look.is_drift {
            return holds;
        }
        let Heal::When { after, .. } = look.heal else {
            let never = |change: &Change| (change.path.clone(), Delay::Never { count: false });
            return look.changes.iter().map(never).collect();
        };
        self.forget(look);
        let after = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
        for change in look.changes.iter().filter(|change| !holds.contains_key(&change.path)).collect::<Vec<_>>() {
            let since = match self.seen.get(&change.path) {
                Some(since) => *since,
                None => self.note_flip(change, look.now),
            };
            let fast = self.flips.get(&change.path).map_or(0, Vec::len);
            let slow = self.foreign.get(&change.path).map_or(0, |foreign| foreign.at.len());
            let until = since.saturating_add(after);
            if fast >= FLIPS {
                holds.insert(change.path.clone(), Delay::Contested { flips: fast, slowly: false });
            } else if slow >= FLIPS {
                holds.insert(change.path.clone(), Delay::Contested { flips: slow, slowly: true });
            } else if look.now < until {
                holds.insert(change.path.clone(), Delay::Young { until });
            }
        }
        holds
    }

    /// Begins anew for another desired state. What somebody does to fields that it does not change is kept.
    pub fn turn_to(&mut self, desired: &str) {
        if self.desired != desired {
            desired.clone_into(&mut self.desired);
            self.seen.clear();
            self.flips.clear();
        }
    }

    /// The service was seen as declared.
    pub fn settled(&mut self, declared_count: Option<i64>) {
        self.count = declared_count;
        self.raised = None;
        self.seen.clear();
    }

    /// These differences were healed; when they are seen again, somebody changed them again.
    pub fn healed(&mut self, changes: &[Change]) {
        for change in changes {
            self.seen.remove(&change.path);
        }
    }

    /// Whether the desired count is to be left as it is. A count above Git's is not lowered while it is young, unless a
    /// commit changed the declared one: nobody knows better than the person who raised it.
    fn count_hold(&mut self, look: &Look<'_>) -> Option<Delay> {
        let change = look.changes.iter().find(|change| change.path == COUNT)?;
        let (live, declared) = (change.old.as_ref()?.as_i64()?, change.new.as_ref()?.as_i64()?);
        let by_commit = !look.is_drift && self.count.is_some_and(|before| before != declared);
        let (after, rule) = match look.heal {
            _ if by_commit => return None,
            Heal::Never => return Some(Delay::Never { count: false }),
            Heal::When { count: CountRule::Never, .. } => return Some(Delay::Never { count: true }),
            Heal::When { after, count } => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), count),
        };
        if live <= declared || rule == CountRule::Both {
            return None;
        }
        let since = match &self.raised {
            Some(raised) if raised.live == live => raised.since,
            _ => look.now,
        };
        self.raised = Some(Raised { live, since });
        let until = since.saturating_add(after.max(HOUR));
        (look.now < until).then_some(Delay::Raised { live, until })
    }

    /// Notes that somebody changed a field, and returns since when it differs.
    fn note_flip(&mut self, change: &Change, now: i64) -> i64 {
        self.seen.insert(change.path.clone(), now);
        self.flips.entry(change.path.clone()).or_default().push(now);
        let (declared, live) = (short_hash(&change.new), short_hash(&change.old));
        let foreign = self.foreign.entry(change.path.clone()).or_default();
        if (foreign.declared, foreign.live) != (declared, live) {
            *foreign = Foreign { declared, live, at: Vec::new() };
        }
        foreign.at.push(now);
        now
    }

    /// Forgets what is too long ago, or gone.
    fn forget(&mut self, look: &Look<'_>) {
        self.seen.retain(|path, _| look.changes.iter().any(|change| change.path == *path));
        self.flips.retain(|_, flips| {
            flips.retain(|at| look.now - at < HOUR);
            !flips.is_empty()
        });
        self.foreign.retain(|path, foreign| {
            let last = foreign.at.last().copied().unwrap_or_default();
            foreign.at.retain(|at| last - at < WEEK);
            // A commit that declares another value of the field is a new beginning.
            let is_same = look
                .changes
                .iter()
                .find(|change| change.path == *path)
                .is_none_or(|change| short_hash(&change.new) == foreign.declared);
            look.now - last < WEEK && is_same
        });
    }
}

fn short_hash(value: &Option<Value>) -> u16 {
    let mut hasher = Sha256::new();
    hasher.update(value.as_ref().map(Value::to_string).unwrap_or_default().as_bytes());
    let digest = hasher.finalize();
    u16::from_be_bytes([digest[0], digest[1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::rules::Effect;
    use std::time::Duration;

    const DAY: i64 = 24 * HOUR;

    fn change(path: &str) -> Change {
        Change { path: path.into(), old: None, new: None, effect: Effect::InPlace, masked: false }
    }

    fn count(live: i64, declared: i64) -> [Change; 1] {
        [Change { old: Some(live.into()), new: Some(declared.into()), ..change(COUNT) }]
    }

    fn when(after: Duration, count: CountRule) -> Heal {
        Heal::When { after, count }
    }

    fn drift<'a>(desired: &'a str, changes: &'a [Change], now: i64) -> Look<'a> {
        Look { desired, changes, now, heal: Heal::default(), is_drift: true }
    }

    #[test]
    fn a_field_that_flips_three_times_in_an_hour_is_contested() {
        let mut memory = DriftMemory::default();
        let changes = [change("service.enableExecuteCommand")];
        for at in [0, 600] {
            assert_eq!(memory.consider(&drift("v1", &changes, at)), BTreeMap::new());
            memory.healed(&changes);
            assert_eq!(memory.consider(&drift("v1", &[], at + 30)), BTreeMap::new());
        }
        let hold = |slowly| BTreeMap::from([(changes[0].path.clone(), Delay::Contested { flips: 3, slowly })]);
        assert_eq!(memory.consider(&drift("v1", &changes, 1200)), hold(false));
        assert_eq!(memory.consider(&drift("v1", &changes, 1230)), hold(false), "looking again is no flip");
        assert_eq!(memory.consider(&drift("v1", &changes, 3600)), hold(true), "it was the same value each time");
        assert_eq!(memory.consider(&drift("v1", &changes, 1200 + WEEK)), BTreeMap::new(), "after a quiet week");
    }

    /// K3: `terraform apply` once a day.
    #[test]
    fn the_same_foreign_value_is_contested_at_the_third_time_in_a_week() {
        let to = |live: &str, declared: &str| {
            [Change { old: Some(live.into()), new: Some(declared.into()), ..change("service.propagateTags") }]
        };
        let theirs = to("NONE", "SERVICE");
        let mut memory = DriftMemory::default();
        for day in [0, 1] {
            // A commit that leaves the field alone comes in between.
            let desired = format!("v{day}");
            assert_eq!(memory.consider(&drift(&desired, &theirs, day * DAY)), BTreeMap::new());
            memory.healed(&theirs);
        }
        let contested = BTreeMap::from([(theirs[0].path.clone(), Delay::Contested { flips: 3, slowly: true })]);
        assert_eq!(memory.consider(&drift("v1", &theirs, 2 * DAY)), contested);
        let mut other_value = memory.clone();
        assert_eq!(
            other_value.consider(&drift("v1", &to("TASK_DEFINITION", "SERVICE"), 3 * DAY)),
            contested,
            "still there"
        );
        let mut by_commit = memory.clone();
        assert_eq!(by_commit.consider(&drift("v2", &to("NONE", "TASK_DEFINITION"), 2 * DAY)), BTreeMap::new());
        // Another value each time is another matter: a person, not a tool.
        let mut varied = DriftMemory::default();
        for day in 0..6 {
            let changes = to(&format!("value {day}"), "SERVICE");
            assert_eq!(varied.consider(&drift("v1", &changes, day * DAY)), BTreeMap::new());
            varied.healed(&changes);
        }
    }

    #[test]
    fn drift_may_have_to_last() {
        let mut memory = DriftMemory::default();
        let changes = [change("service.desiredCount"), change("service.propagateTags")];
        let mut consider = |changes: &[Change], now| {
            let heal = when(Duration::from_secs(900), CountRule::Both);
            memory.consider(&Look { heal, ..drift("v1", changes, now) })
        };
        let young = |until| Delay::Young { until };
        assert_eq!(consider(&changes[..1], 100), BTreeMap::from([("service.desiredCount".to_owned(), young(1000))]));
        assert_eq!(
            consider(&changes, 500),
            BTreeMap::from([
                ("service.desiredCount".to_owned(), young(1000)),
                ("service.propagateTags".to_owned(), young(1400))
            ])
        );
        assert_eq!(consider(&changes, 1000), BTreeMap::from([("service.propagateTags".to_owned(), young(1400))]));
    }

    /// K1: who raised a count in an incident keeps it for an hour, each time anew; one that is too low is raised at once.
    #[test]
    fn a_count_that_was_raised_is_not_lowered_at_once() {
        let raised = |live, until| BTreeMap::from([(COUNT.to_owned(), Delay::Raised { live, until })]);
        let mut memory = DriftMemory::default();
        memory.settled(Some(3));
        assert_eq!(memory.consider(&drift("v1", &count(1, 3), 0)), BTreeMap::new(), "too low");
        memory.settled(Some(3));
        assert_eq!(memory.consider(&drift("v1", &count(10, 3), 100)), raised(10, 100 + HOUR));
        assert_eq!(memory.consider(&drift("v1", &count(12, 3), 3000)), raised(12, 3000 + HOUR), "raised again");
        assert_eq!(memory.consider(&drift("v1", &count(12, 3), 3000 + HOUR)), BTreeMap::new(), "an hour later");
        // A commit that leaves the count alone leaves the raised one, too; one that changes it is obeyed.
        let by_commit = |memory: &DriftMemory, declared| {
            let changes = count(12, declared);
            memory.clone().consider(&Look { is_drift: false, ..drift("v2", &changes, 4000) })
        };
        assert_eq!(by_commit(&memory, 3), raised(12, 3000 + HOUR));
        assert_eq!(by_commit(&memory, 5), BTreeMap::new());
        // Whether a commit changed it is not known: it is not lowered at once.
        assert_eq!(by_commit(&DriftMemory::default(), 5), raised(12, 4000 + HOUR));
    }

    /// K1: the rules of `sync.heal`.
    #[test]
    fn healing_follows_its_rules() {
        let never = |count| Some(Delay::Never { count });
        let raised = |until| Some(Delay::Raised { live: 10, until });
        let table: [(Heal, i64, bool, Option<Delay>); 8] = [
            (Heal::Never, 10, true, never(false)),
            (Heal::Never, 1, true, never(false)),
            (when(Duration::ZERO, CountRule::Never), 1, true, never(true)),
            (when(Duration::ZERO, CountRule::Both), 10, true, None),
            (when(Duration::ZERO, CountRule::Up), 10, true, raised(HOUR)),
            (when(Duration::from_secs(7200), CountRule::Up), 10, true, raised(7200)),
            (when(Duration::from_secs(60), CountRule::Up), 1, true, Some(Delay::Young { until: 60 })),
            (Heal::Never, 10, false, never(false)),
        ];
        for (heal, live, is_drift, expected) in table {
            let mut memory = DriftMemory::default();
            memory.settled(Some(3));
            let holds = memory.consider(&Look { heal, is_drift, ..drift("v1", &count(live, 3), 0) });
            assert_eq!(holds.get(COUNT).cloned(), expected, "{heal:?} {live} {is_drift}");
        }
        // What a commit changes is deployed, whatever the rule.
        let mut memory = DriftMemory::default();
        memory.settled(Some(3));
        let changes = count(10, 5);
        let commit = Look { heal: Heal::Never, is_drift: false, ..drift("v2", &changes, 0) };
        assert_eq!(memory.consider(&commit), BTreeMap::new());
    }
}
