//! Why a deployment failed: the root cause that people look for first, in one place.

use crate::{mask, observed::refusal::is_aws_own, tags::tag_text};
use serde::{Deserialize, Serialize};

/// Longest line of a log that is kept, in characters.
const LONGEST_LINE: usize = 300;

/// The root cause of a failed deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// The container that failed first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// ECS's words on the container.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The task's stop code, as ECS writes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stop_code: String,
    /// ECS's words on the task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stopped_reason: String,
    /// Why ECS ended the deployment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deployment: String,
    /// The alarms that fired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// The latest events of the service that tell of trouble, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// The last lines of the container's log, with what looks secret hidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// The task definition revision that ECS went back to, `family:revision`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rolled_back_to: String,
    /// Whether the tasks could not be read, so that it is not the last word.
    #[serde(skip)]
    pub is_incomplete: bool,
    /// What was kept on the task definition revision, where ECS itself remembers nothing more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recorded: String,
}

impl Cause {
    /// A cause of which only the words on the revision's tag are left.
    pub fn recorded(text: &str) -> Self {
        Self { recorded: text.to_owned(), ..Self::default() }
    }

    /// Takes lines of a log, masked.
    pub fn take_log<'a>(&mut self, lines: impl Iterator<Item = &'a str>) {
        self.log = lines
            .map(|line| {
                // Masked before it is cut: half a token does not look like one.
                let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
                mask::line(&line).chars().take(LONGEST_LINE).collect()
            })
            .collect();
    }

    /// In one sentence; empty where nothing is known.
    pub fn short(&self) -> String {
        if !self.recorded.is_empty() {
            return self.recorded.clone();
        }
        let mut parts: Vec<String> = Vec::new();
        if !self.container.is_empty() {
            let mut part = format!("container {}", self.container);
            if let Some(code) = self.exit_code {
                part = format!("{part} exited with code {code}");
            }
            if !self.reason.is_empty() && self.reason != self.stopped_reason {
                part = format!("{part} ({})", self.reason);
            }
            parts.push(part);
        }
        if !self.stopped_reason.is_empty() {
            parts.push(self.stopped_reason.clone());
        }
        if !self.alarms.is_empty() {
            parts.push(format!("alarm {}", self.alarms.join(", ")));
        }
        // An event says more than ECS's sentence on the deployment, and less than a task.
        if parts.is_empty() {
            parts.extend(self.events.first().cloned());
        }
        if parts.is_empty() && !self.deployment.is_empty() {
            parts.push(self.deployment.clone());
        }
        parts.join(": ")
    }

    /// Whether it comes from a task, a log or an alarm, rather than from ECS's words on the deployment alone.
    pub fn is_first_hand(&self) -> bool {
        !self.stopped_reason.is_empty() || !self.log.is_empty() || !self.alarms.is_empty()
    }

    /// Whether this is what a tag's value says in short.
    pub fn is_recorded_as(&self, tag: &str) -> bool {
        tag_text(&self.short()) == tag
    }

    /// Whether it is a fault of AWS's own: the same state may well come up later.
    pub fn is_aws_own(&self) -> bool {
        if is_aws_own(&self.stop_code) {
            return true;
        }
        // A container that ran and ended is the state's own matter.
        if self.exit_code.is_some_and(|code| code != 0) {
            return false;
        }
        if !self.stopped_reason.is_empty() || !self.reason.is_empty() {
            return is_aws_own(&self.stopped_reason) || is_aws_own(&self.reason);
        }
        is_aws_own(&self.recorded) || self.events.iter().any(|event| is_aws_own(event))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.short().is_empty() && self.log.is_empty()
    }
}

/// How a container of a stopped task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, where it ran.
    pub exit_code: Option<i32>,
    /// Whether ECS gives a reason for it.
    pub has_reason: bool,
}

/// The container that a task failed by; none where none ended. When one fails, ECS stops the others: SIGTERM (143), then
/// SIGKILL (137) says nothing against them. One that ends with 0 is at fault where the task stopped because an essential
/// container ended.
pub fn culprit(containers: &[Ended], essential_ended: bool) -> Option<usize> {
    let rank = |container: &Ended| match (container.exit_code, container.has_reason) {
        (Some(143), false) | (Some(137), false) => Some(2),
        (Some(0), false) => Some(if essential_ended { 1 } else { 3 }),
        (None, false) => None,
        _ => Some(0),
    };
    let ranked = containers.iter().enumerate().filter_map(|(at, container)| Some((rank(container)?, at)));
    ranked.min().map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G1: the sidecar that was stopped with the task is not what the task failed by.
    #[test]
    fn the_container_at_fault_is_not_one_that_was_stopped() {
        let code = |exit_code| Ended { exit_code, has_reason: false };
        let killed = Ended { exit_code: Some(137), has_reason: true };
        let unstarted = Ended { exit_code: None, has_reason: true };
        let table: [(&[Ended], bool, Option<usize>); 8] = [
            (&[code(Some(143)), code(Some(1))], true, Some(1)),
            (&[code(Some(1)), code(Some(143))], true, Some(0)),
            (&[code(Some(137)), killed], true, Some(1)),
            (&[code(Some(143)), code(Some(0))], true, Some(1)),
            (&[code(Some(0)), code(Some(143))], false, Some(1)),
            (&[code(Some(143)), unstarted], true, Some(1)),
            (&[code(Some(0))], false, Some(0)),
            (&[code(None)], true, None),
        ];
        for (containers, essential_ended, expected) in table {
            assert_eq!(culprit(containers, essential_ended), expected, "{containers:?} {essential_ended}");
        }
    }

    #[test]
    fn the_task_says_most_then_the_event_then_the_deployment() {
        let mut cause = Cause { deployment: "rolled back".into(), ..Cause::default() };
        assert_eq!(cause.short(), "rolled back");
        cause.events.push("(service web) was unable to place a task.".into());
        assert_eq!(cause.short(), "(service web) was unable to place a task.");
        cause.container = "web".into();
        cause.exit_code = Some(137);
        cause.reason = "OutOfMemoryError: Container killed due to memory usage".into();
        cause.stopped_reason = "Essential container in task exited".into();
        assert_eq!(
            cause.short(),
            "container web exited with code 137 (OutOfMemoryError: Container killed due to memory usage): Essential container in task exited"
        );
        assert_eq!(Cause::recorded("exit 1").short(), "exit 1");
        assert!(Cause::default().is_empty());
    }

    // K4: AWS's own faults are no rejection.
    #[test]
    fn a_container_that_ended_is_never_awss_fault() {
        let capacity = "(service web) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later";
        let mut cause = Cause { events: vec![capacity.into()], ..Cause::default() };
        assert!(cause.is_aws_own());
        cause.stopped_reason = "Essential container in task exited".into();
        cause.exit_code = Some(1);
        assert!(!cause.is_aws_own(), "an event beside it is not the cause");
        cause.stop_code = "InfrastructureHealth".into();
        assert!(cause.is_aws_own());
        let throttled = "CannotPullContainerError: toomanyrequests: Rate exceeded";
        assert!(Cause { stopped_reason: throttled.into(), ..Cause::default() }.is_aws_own());
        assert!(!Cause::default().is_aws_own());
    }

    #[test]
    fn lines_of_a_log_are_masked_and_short() {
        let mut cause = Cause::default();
        let cut = format!("{} AKIAABCDEFGHIJKLMNOP", "y".repeat(290));
        cause.take_log(["token=abc123 ok", &"x".repeat(1000), "\u{1b}[31mred", &cut].into_iter());
        assert_eq!(cause.log[0], "token=••• ok");
        assert_eq!(cause.log[1].chars().count(), 300);
        assert_eq!(cause.log[2], "[31mred");
        assert_eq!(cause.log[3], format!("{} •••", "y".repeat(290)));
    }
}
