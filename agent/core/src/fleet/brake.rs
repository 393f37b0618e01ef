//! The fleet brake: how many rollouts of an environment run at one time, and when the rest of a change stops.

use std::collections::{BTreeMap, BTreeSet};

/// What an environment's rollouts have come to, and what is admitted.
#[derive(Clone, Debug, Default)]
pub struct Brake {
    max_concurrent: usize,
    stop_after: usize,
    in_flight: BTreeSet<String>,
    /// Rejected services, and since when (epoch seconds).
    rejected: BTreeMap<String, i64>,
}

/// Why a rollout is not started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Others are under way; the next round goes on.
    Concurrent(String),
    /// Others of the same change failed; a person or a new commit goes on.
    Failures(String),
}

impl Brake {
    /// A brake that lets so many run at one time, and stops after so many failures; 0 is no limit.
    pub fn new(max_concurrent: usize, stop_after: usize) -> Self {
        Self { max_concurrent, stop_after, ..Self::default() }
    }

    /// A rollout of this service is under way.
    pub fn note_in_flight(&mut self, service: &str) {
        self.in_flight.insert(service.to_owned());
    }

    /// ECS rejected what this service should be, at this moment.
    pub fn note_rejected(&mut self, service: &str, since: i64) {
        self.in_flight.remove(service);
        self.rejected.insert(service.to_owned(), since);
    }

    /// Whether a service whose change waits since a moment may start now. What is admitted counts as under way.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&mut self, service: &str, waiting_since: i64) -> Result<(), Held> {
        let failed: Vec<&str> = self
            .rejected
            .iter()
            .filter(|(name, since)| **since >= waiting_since && name.as_str() != service)
            .map(|(name, _)| name.as_str())
            .collect();
        if self.stop_after > 0 && failed.len() >= self.stop_after {
            return Err(Held::Failures(format!(
                "stopped: {} of this change failed in the environment ({}); run `lockstep sync` to continue, or fix them with a commit",
                failed.len(),
                failed.join(", ")
            )));
        }
        // What takes the place of its own rollout needs no other place.
        let is_new = !self.in_flight.contains(service);
        if is_new && self.max_concurrent > 0 && self.in_flight.len() >= self.max_concurrent {
            return Err(Held::Concurrent(format!(
                "queued: {} rollouts are under way in the environment, the limit (sync.maxConcurrent)",
                self.in_flight.len()
            )));
        }
        self.in_flight.insert(service.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_one_time() {
        let mut brake = Brake::new(2, 0);
        brake.note_in_flight("a");
        assert_eq!(brake.admit("b", 0), Ok(()));
        assert!(matches!(brake.admit("c", 0), Err(Held::Concurrent(_))));
        assert_eq!(brake.admit("a", 0), Ok(()), "it takes its own place");
        assert_eq!(Brake::new(0, 0).admit("c", 0), Ok(()));
    }

    #[test]
    fn failures_of_the_same_change_stop_the_rest() {
        let mut brake = Brake::new(0, 2);
        brake.note_rejected("old", 10);
        brake.note_rejected("a", 100);
        assert_eq!(brake.admit("c", 50), Ok(()), "what failed before this change does not count");
        brake.note_rejected("b", 101);
        let held = brake.admit("c", 50);
        assert!(matches!(&held, Err(Held::Failures(text)) if text.contains("(a, b)")), "{held:?}");
        assert_eq!(brake.admit("c", 102), Ok(()), "a later change is another matter");
        assert_eq!(brake.admit("b", 50), Ok(()), "what mends itself may start");
    }
}
