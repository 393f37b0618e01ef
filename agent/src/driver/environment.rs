//! The task of one environment: rounds, each with the newest files. Nothing that another environment, a registry or a
//! push does keeps it waiting, but for the environments that it is `after`, and for these not long.

use super::Parts;
use crate::reconcile::{EnvironmentRunner, Orders, SourceParts};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::watch, time::timeout};

/// The commit of each environment's latest round.
pub(super) type Progress = watch::Sender<BTreeMap<String, String>>;

/// What the task is called.
pub(super) fn name_of(source: &str, environment: &str) -> String {
    format!("environment {source}/{environment}")
}

/// Runs rounds until the order to stop, or until the files do not name the environment any more.
pub(super) async fn run(source: &SourceParts, name: &str, progress: &Progress, mut parts: Parts) {
    let (context, task) = (parts.context.clone(), name_of(&source.id, name));
    let mut runner = EnvironmentRunner::new(source.clone(), name);
    let mut files = source.branch.listener();
    let mut beside = progress.subscribe();
    context.board.tasks.add(&task);
    while !parts.is_stopping() {
        let snapshot = files.borrow_and_update().as_ref().map(|files| files.looked_at.clone());
        let Some(snapshot) = snapshot.filter(|snapshot| snapshot.repository.environments.contains_key(name)) else {
            break;
        };
        let waits_for = runner.waits_for(&snapshot);
        let is_known = |done: &BTreeMap<String, String>| {
            waits_for.iter().all(|other| done.get(other).is_some_and(|commit| *commit == snapshot.commit))
        };
        // Those that it waits for are looked at first. Where that takes long, what it would heal does not wait for them.
        tokio::select! {
            _ = timeout(context.timing.follow, beside.wait_for(is_known)) => {}
            () = parts.stopped() => break,
        }
        context.board.tasks.begin(&task);
        let is_open = runner.round(&context, &snapshot, &Orders::agent()).await;
        progress.send_modify(|done| {
            done.insert(name.to_owned(), snapshot.commit.clone());
        });
        let cache = context.cache.clone();
        // Written to the disk: not on a thread that others wait for.
        let _ = tokio::task::spawn_blocking(move || cache.flush()).await;
        let pause = if is_open { context.timing.follow } else { context.timing.interval };
        context.board.tasks.end(&task, Ok(()), Some(pause));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = files.changed() => {}
            () = parts.stopped() => break,
        }
    }
    context.board.tasks.remove(&task);
}

/// What all environments of a source share.
pub(super) fn progress() -> Arc<Progress> {
    Arc::new(watch::channel(BTreeMap::new()).0)
}
