//! The agent's tasks: what they do, and that one panicked.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of the list's format.
pub const TASKS_FORMAT: &str = "lockstep.tasks/1";

/// All tasks, as `/api/v1/tasks` shows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskList {
    /// [`TASKS_FORMAT`].
    pub format: String,
    /// The tasks, by name.
    pub tasks: Vec<TaskState>,
}

/// One task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskState {
    /// What it is for: `git shop`, `environment shop/prod`, `images shop`, `registry ghcr.io`.
    pub name: String,
    /// Whether it is running now.
    pub running: bool,
    /// When its latest run began, RFC 3339; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// How long the run before took, or the latest where it has ended, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// How the latest run that ended did: `ok`, or what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// When it runs next, RFC 3339; absent where it waits for something to happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A task that panicked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// What the task is for.
    pub task: String,
    /// How often it panicked.
    pub panics: u64,
    /// What it said last.
    pub text: String,
    /// When that was, RFC 3339.
    pub at: String,
    /// Whether it waits to be started again.
    pub is_down: bool,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.panics == 1 { "once".to_owned() } else { format!("{} times", self.panics) };
        let state = if self.is_down { "; it waits to be started again" } else { "" };
        write!(
            formatter,
            "{} panicked {times}, last at {} ({}){state}; this is a bug of Lockstep, please report it",
            self.task, self.at, self.text
        )
    }
}
