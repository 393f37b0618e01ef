//! Tasks of the agent that panicked: what a person must hear of although the agent goes on.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

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

/// All of them.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<String, Trouble>>);

impl Troubles {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task panicked, and now waits to be started again or goes on at once.
    pub fn panicked(&self, task: &str, text: &str, is_down: bool) {
        let mut troubles = self.lock();
        let trouble = troubles.entry(task.to_owned()).or_default();
        task.clone_into(&mut trouble.task);
        trouble.panics += 1;
        trouble.text = lockstep_core::text::line(text, 200);
        trouble.at = super::time_text(jiff::Timestamp::now().as_second());
        trouble.is_down = is_down;
    }

    /// A task was started again, or is not there any more.
    pub fn is_up(&self, task: &str) {
        if let Some(trouble) = self.lock().get_mut(task) {
            trouble.is_down = false;
        }
    }

    /// All tasks that ever panicked.
    pub fn all(&self) -> Vec<Trouble> {
        self.lock().values().cloned().collect()
    }
}
