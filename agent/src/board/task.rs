//! What the agent's tasks are doing, for whoever wonders why nothing happens.

use lockstep_core::state::{TASKS_FORMAT, TaskList, TaskState, time_text};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Longest text of a result.
const LONGEST: usize = 200;

struct Entry {
    state: TaskState,
    began: Option<Instant>,
    /// Runs at one time: a registry is read for several repositories.
    running: usize,
}

/// The tasks that there are.
#[derive(Default)]
pub struct Tasks(Mutex<BTreeMap<String, Entry>>);

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        let mut tasks = self.lock();
        let new =
            || Entry { state: TaskState { name: name.to_owned(), ..TaskState::default() }, began: None, running: 0 };
        change(tasks.entry(name.to_owned()).or_insert_with(new));
    }

    /// There is such a task; it has not run yet.
    pub fn add(&self, name: &str) {
        self.change(name, |_| ());
    }

    /// A run begins.
    pub fn begin(&self, name: &str) {
        self.change(name, |entry| {
            entry.running += 1;
            if entry.running > 1 {
                return;
            }
            entry.began = Some(Instant::now());
            entry.state.running = true;
            entry.state.started = Some(time_text(jiff::Timestamp::now().as_second()));
            entry.state.next = None;
        });
    }

    /// A run ended, and the next one comes after a pause; without one, when something happens.
    pub fn end(&self, name: &str, result: Result<(), &str>, next: Option<Duration>) {
        self.change(name, |entry| {
            entry.running = entry.running.saturating_sub(1);
            let took = entry.began.map(|began| began.elapsed());
            entry.state.running = entry.running > 0;
            entry.state.took_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            entry.state.result = Some(match result {
                Ok(()) => "ok".to_owned(),
                Err(reason) => lockstep_core::text::line(reason, LONGEST),
            });
            let at = next.and_then(|pause| jiff::Timestamp::now().checked_add(pause).ok());
            entry.state.next = at.map(|at| time_text(at.as_second()));
        });
    }

    /// A task is not there any more.
    pub fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Forgets all tasks.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// All tasks, by name.
    pub fn all(&self) -> TaskList {
        let tasks = self.lock().values().map(|entry| entry.state.clone()).collect();
        TaskList { format: TASKS_FORMAT.to_owned(), tasks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_tells_when_it_ran_how_it_did_and_when_it_runs_next() {
        let tasks = Tasks::default();
        tasks.add("images shop");
        tasks.begin("git shop");
        let all = tasks.all().tasks;
        assert_eq!(
            all.iter().map(|it| (it.name.as_str(), it.running)).collect::<Vec<_>>(),
            [("git shop", true), ("images shop", false)]
        );
        tasks.end("git shop", Err("no\nanswer"), Some(Duration::from_secs(5)));
        let git = tasks.all().tasks.remove(0);
        assert_eq!((git.running, git.took_ms.is_some(), git.result.as_deref()), (false, true, Some("no answer")));
        assert!(git.next > git.started);
        tasks.begin("git shop");
        let git = tasks.all().tasks.remove(0);
        assert_eq!(
            (git.running, git.took_ms.is_some(), git.result.as_deref(), git.next),
            (true, true, Some("no answer"), None)
        );
        tasks.remove("git shop");
        assert_eq!(tasks.all().tasks.len(), 1);
    }
}
