//! Reading a queue of push events.

use super::{events::pushed_to, shared::Shared};
use crate::{aws::QueueUrl, reconcile::Context};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Longest pause after a queue could not be read.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Reads a queue until the end.
pub async fn listen(queue: QueueUrl, context: &Context, shared: &Shared, mut stopped: watch::Receiver<bool>) {
    let queue = Arc::new(queue);
    let region = queue.region.clone().unwrap_or_else(|| context.accounts.region());
    let mut failures: BTreeMap<String, u32> = BTreeMap::new();
    let (tasks, task) = (&context.board.tasks, format!("queue {}", queue.url));
    loop {
        tasks.begin(&task);
        let clients = context.accounts.clients(&queue.account, &region).await;
        let received = tokio::select! {
            received = clients.receive(&queue) => received,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let messages = match received {
            Ok(messages) => messages,
            Err(error) => {
                let count = failures.entry(error.to_string()).or_default();
                *count += 1;
                if *count == 1 {
                    context.board.queue(&queue.url, Some(error.to_string()));
                    tracing::warn!(queue = queue.url, %error, "the queue cannot be read; registries are polled all the same");
                }
                let pause = Duration::from_secs(1 << (*count).min(6)).min(LONGEST_PAUSE);
                tasks.end(&task, Err(&error.to_string()), Some(pause));
                tokio::select! {
                    () = tokio::time::sleep(pause) => continue,
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            }
        };
        failures.clear();
        context.board.queue(&queue.url, None);
        tasks.end(&task, Ok(()), Some(Duration::ZERO));
        let mut rings = false;
        for message in messages {
            match pushed_to(&message.body) {
                Some(place) => {
                    let push = shared.registries.pushed(&place);
                    tracing::debug!(%place, "a push was announced");
                    shared.push_events.add(&queue, message, place, push);
                    rings = true;
                }
                // Nothing follows from it.
                None => {
                    if let Err(error) = clients.delete(&queue, &message).await {
                        tracing::debug!(%error, "a message could not be deleted");
                    }
                }
            }
        }
        if rings {
            shared.push_events.ring();
        }
    }
}
