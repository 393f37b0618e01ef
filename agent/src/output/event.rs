//! What happens, as lines of the log.

use lockstep_core::{
    event::{Event, What},
    fleet::condition::Condition,
    report::Verdict,
};

/// Services that a line of the log names; the others are counted.
const NAMED: usize = 5;

/// Writes an event into the log.
pub fn log(event: &Event) {
    let of = &event.of;
    let (source, commit) = (&of.source, &of.commit);
    let (environment, service) = (&of.environment, &of.service);
    match &event.what {
        What::Wrote { trigger, actions, changes } => {
            let changed: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
            let changed = changed.join(", ");
            tracing::info!(environment, service, ?trigger, ?actions, changed, "wrote");
        }
        What::Failed { reason } => tracing::warn!(environment, service, reason, "a write failed"),
        What::Verdict { verdict, text } => {
            if matches!(verdict, Verdict::Rejected | Verdict::Stalled) {
                tracing::warn!(environment, service, ?verdict, commit, text, "verdict");
            } else {
                tracing::info!(environment, service, ?verdict, commit, text, "verdict");
            }
        }
        What::Said { .. } => {}
        What::Failing { text, log } => {
            let log = log.join(" | ");
            tracing::warn!(environment, service, text, log, "the rollout has a failure");
        }
        What::Turned { services, condition, begins, text } => {
            let services = names(services);
            match (condition, begins) {
                (Condition::Unknown, true) => {
                    tracing::warn!(environment, services, reason = text, "the state is unknown");
                }
                (Condition::Unknown, false) => tracing::info!(environment, services, "the state is known again"),
                (Condition::Paused, true) => tracing::info!(environment, services, pause = text, "paused"),
                (Condition::Paused, false) => tracing::info!(environment, services, "not paused any more"),
                (Condition::Contested, true) => tracing::warn!(environment, services, reason = text, "contested"),
                (Condition::Contested, false) => tracing::info!(environment, services, "not contested any more"),
            }
        }
        What::Readable => tracing::info!(source, "the repository can be read again"),
        What::Commit { summary } => tracing::info!(source, commit, summary, "following"),
        What::Rewritten { from } => {
            tracing::warn!(source, from, to = commit, "the branch was rewritten; it is followed");
        }
        What::Bumped { summary, bumps } => {
            let bumps = bumps.join(", ");
            tracing::info!(source, commit, summary, bumps, "new images were committed");
        }
        What::Held { pin, text } => tracing::info!(source, pin, text, "a pin is held"),
        What::NotWritten { reason } => tracing::warn!(source, reason, "new images are not written back"),
        What::Unreadable { reason } => tracing::warn!(source, reason, "the repository cannot be read"),
    }
}

/// Services in one line.
fn names(services: &[String]) -> String {
    let shown = services.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match services.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
