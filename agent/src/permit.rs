//! The one gate of every write to AWS and to Git. What writes demands a [`Permit`], and only the gate makes one: not while
//! the agent ends, and later not without a lease. Each permit is two lines of the audit: what is about to be written, and
//! what came of it. See `agent/docs/audit.md`.

use lockstep_core::{
    report::{Action, ServicePlan, Verdict},
    stated::commit::Commit,
};
use serde::Serialize;
use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// The name of the lines' format.
pub const AUDIT_FORMAT: &str = "lockstep.audit/1";
/// Paths that a line names.
const MOST_PATHS: usize = 100;
/// Longest text of what failed.
const LONGEST: usize = 500;

/// Who orders a write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// `agent`, or `person` for a command.
    pub kind: &'static str,
    /// The identity by STS, or the author of a commit; empty where it is not known.
    pub name: String,
}

impl Actor {
    /// The agent, by its identity.
    pub fn agent(name: &str) -> Self {
        Self { kind: "agent", name: name.to_owned() }
    }

    /// A person at a command, by their identity.
    pub fn person(name: &str) -> Self {
        Self { kind: "person", name: name.to_owned() }
    }
}

/// An image that a write exchanges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageChange {
    /// The container, with its service where the write is of several.
    pub container: String,
    /// The image before, with its digest where it is pinned; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The image afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What is about to be written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Who orders it.
    pub actor: Actor,
    /// Why: `create`, `change`, `drift`, `removed`, `restart`, `images`, or the command of a person.
    pub trigger: String,
    /// The call: `ecs:UpdateService`, `git:push`.
    pub call: String,
    /// The source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The environment; empty where a write is of several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// The service's name in the repository.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The account, of a write to AWS.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// The cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// The branch, of a write to Git.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub branch: String,
    /// The commit that last changed the service, or that a push is made on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// The images that it exchanges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageChange>,
    /// The paths that it changes, or the files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// What was known of the desired state when it was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl Intent {
    /// The same for one action of a plan: its call, and what it changes. Values are not told, images aside.
    pub fn of_action(&self, call: &str, action: &Action, plan: &ServicePlan) -> Self {
        let image = |path: &str| path.starts_with("taskDefinition.containerDefinitions[") && path.ends_with("].image");
        let text = |value: &Option<serde_json::Value>| {
            value.as_ref().and_then(|value| value.as_str()).map(lockstep_core::mask::line)
        };
        let images = action.changes.iter().filter(|change| image(&change.path)).map(|change| ImageChange {
            container: change.path.split(['[', ']']).nth(1).unwrap_or_default().to_owned(),
            from: text(&change.old),
            to: text(&change.new),
        });
        let paths = action.changes.iter().map(|change| change.path.clone()).take(MOST_PATHS);
        Self {
            call: call.to_owned(),
            images: images.collect(),
            paths: paths.collect(),
            verdict: plan.verdict,
            ..self.clone()
        }
    }
}

/// A line of the audit.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    format: &'static str,
    at: String,
    id: &'a str,
    /// `intent`, then `outcome`.
    phase: &'static str,
    #[serde(flatten)]
    intent: &'a Intent,
    /// `done`, `failed`, or `unknown` where nobody learned what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What the write made: a revision, a deployment, a commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<&'a str>,
}

/// Where permits come from: one for a process.
#[derive(Default)]
pub struct Gate {
    stopping: AtomicBool,
    random: RandomState,
    count: AtomicU64,
}

/// Nothing new is written: the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent is stopping")]
pub struct Stopping;

impl Gate {
    /// From now on nothing new is written; or again.
    pub fn stop(&self, stopping: bool) {
        self.stopping.store(stopping, Ordering::Relaxed);
    }

    /// Whether nothing new is written.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Lets a plan of several writes begin. What has begun is finished, whatever comes: a part of a plan may be worse than
    /// none.
    ///
    /// # Errors
    /// While the agent ends.
    pub fn open(&self) -> Result<Pass<'_>, Stopping> {
        if self.is_stopping() { Err(Stopping) } else { Ok(Pass(self)) }
    }

    /// A permit for one write.
    ///
    /// # Errors
    /// While the agent ends.
    pub fn permit(&self, intent: Intent) -> Result<Permit, Stopping> {
        Ok(self.open()?.permit(intent))
    }
}

/// The way through the gate, for the writes of one plan.
pub struct Pass<'a>(&'a Gate);

impl Pass<'_> {
    /// A permit for one write, asked for right before it.
    pub fn permit(&self, intent: Intent) -> Permit {
        let number = self.0.count.fetch_add(1, Ordering::Relaxed);
        let permit = Permit { id: format!("{:016x}", self.0.random.hash_one(number)), intent, is_told: false };
        permit.write("intent", None, None, None);
        permit
    }
}

/// The permission to make one write. Its end is the second line of the audit.
#[must_use = "a write is told of when it is done"]
pub struct Permit {
    id: String,
    intent: Intent,
    is_told: bool,
}

impl Permit {
    /// Tells what came of the write: what it made, or what failed.
    pub fn tell<T, E: std::fmt::Display>(mut self, result: &Result<T, E>, made: impl FnOnce(&T) -> Option<String>) {
        self.is_told = true;
        match result {
            Ok(done) => self.write("outcome", Some("done"), None, made(done).as_deref()),
            Err(error) => self.write("outcome", Some("failed"), Some(&error.to_string()), None),
        }
    }

    fn write(&self, phase: &'static str, result: Option<&'static str>, error: Option<&str>, made: Option<&str>) {
        let error = error.map(|text| lockstep_core::text::line(&lockstep_core::mask::line(text), LONGEST));
        let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let line = Line { format: AUDIT_FORMAT, at, id: &self.id, phase, intent: &self.intent, result, error, made };
        if let Ok(line) = serde_json::to_string(&line) {
            crate::log::audit(&crate::output::escape_json(&line));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_told {
            self.write("outcome", Some("unknown"), None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_new_is_written_while_the_agent_ends_and_what_began_is_finished() {
        let gate = Gate::default();
        let pass = gate.open().unwrap();
        gate.stop(true);
        assert_eq!(gate.permit(Intent::default()).err(), Some(Stopping));
        pass.permit(Intent::default()).tell(&Ok::<(), Stopping>(()), |()| None);
        gate.stop(false);
        let (first, second) = (gate.permit(Intent::default()).unwrap(), gate.permit(Intent::default()).unwrap());
        assert_ne!(first.id, second.id);
        assert_eq!(first.id.len(), 16);
    }
}
