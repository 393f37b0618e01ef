//! Tasks of the agent that panicked: what a person must hear of although the agent goes on.

use lockstep_core::state::{Trouble, time_text};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

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
        trouble.at = time_text(jiff::Timestamp::now().as_second());
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
