//! The task of one source's image updates, and of the branch that it writes.

use super::{Parts, source::Opened};
use crate::images::Updater;
use std::time::Duration;

/// Looks for new images and writes what is due, until the order to stop.
pub(super) async fn run(source: &str, mut updater: Updater, opened: &Opened, mut parts: Parts) {
    let (context, task) = (parts.context.clone(), format!("images {source}"));
    let mut files = opened.branch.listener();
    let mut rung = updater.listener();
    context.board.tasks.add(&task);
    while !parts.is_stopping() {
        // Rung or read from here on is heard after this look.
        rung.mark_unchanged();
        files.mark_unchanged();
        context.board.tasks.begin(&task);
        let (moved, next) = updater.round(&context, &opened.branch).await;
        let mut pause = if moved { Some(Duration::ZERO) } else { next };
        // What was presented may have been replaced: then the next look comes soon.
        if updater.has_failed() && opened.renew(&context).await {
            pause = Some(pause.map_or(context.timing.follow, |pause| pause.min(context.timing.follow)));
        }
        let problem = updater.problem().map(str::to_owned);
        context.board.tasks.end(&task, problem.as_deref().map_or(Ok(()), Err), pause);
        let sleep = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            _ = rung.changed() => {}
            _ = files.changed() => {}
            () = parts.stopped() => break,
        }
    }
    context.board.tasks.remove(&task);
}
