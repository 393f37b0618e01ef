//! Where the agent's tasks leave what they found, for whoever asks: the API, `status`, the other environments.

mod task;
mod trouble;

pub use task::Tasks;
pub use trouble::Troubles;

use lockstep_core::state::{STATE_FORMAT, ServiceState, SourceState, State};
use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

/// Where rounds leave what they found.
#[derive(Default)]
pub struct Board {
    sources: RwLock<BTreeMap<usize, SourceState>>,
    queues: RwLock<BTreeMap<String, String>>,
    /// Tasks that panicked.
    pub troubles: Troubles,
    /// What the tasks are doing.
    pub tasks: Tasks,
}

impl Board {
    /// Changes a source's entry.
    pub fn update<T>(&self, index: usize, change: impl FnOnce(&mut SourceState) -> T) -> T {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        change(sources.entry(index).or_default())
    }

    /// A queue cannot be read, for this reason; or can be read again.
    pub fn queue(&self, url: &str, problem: Option<String>) {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => queues.insert(url.to_owned(), problem),
            None => queues.remove(url),
        };
    }

    /// Forgets everything, when the sources themselves changed.
    pub fn clear(&self) {
        self.sources.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.queues.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.tasks.clear();
    }

    /// Everything.
    pub fn state(&self) -> State {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        State {
            format: STATE_FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sources: sources.values().cloned().collect(),
            queues: self.queues.read().unwrap_or_else(PoisonError::into_inner).clone(),
            troubles: self.troubles.all(),
            lost_log_lines: crate::log::lost(),
        }
    }

    /// A service of a source.
    pub fn service(&self, index: usize, environment: &str, service: &str) -> Option<ServiceState> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        let environment = sources.get(&index)?.environments.iter().find(|other| other.name == environment)?;
        environment.services.iter().find(|other| other.plan.name == service).cloned()
    }
}
