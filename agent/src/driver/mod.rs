//! What runs in an agent: for each source a task that fetches its branch, one for each of its environments, and one for
//! its images and the branch that they are written to; one for each queue; and the reads of each registry. What one of
//! them waits for keeps no other waiting. Each has a name, and a status that people can see.

mod access;
mod environment;
mod images;
mod source;
mod supervise;

pub use access::open;
pub(crate) use supervise::{Backoff, supervise};

use crate::{
    aws::QueueUrl,
    config::AgentConfig,
    images::{Shared, listen},
    reconcile::Context,
};
use source::Source;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// What all tasks have.
#[derive(Clone)]
struct Parts {
    context: Arc<Context>,
    stop: watch::Receiver<bool>,
}

impl Parts {
    fn is_stopping(&self) -> bool {
        *self.stop.borrow() || self.context.gate.is_stopping()
    }

    /// Resolves with the order to stop.
    async fn stopped(&mut self) {
        let _ = self.stop.wait_for(|stop| *stop).await;
    }
}

/// The tasks of an agent's sources and queues.
pub struct Driver {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Driver {
    /// Starts them.
    pub fn start(config: &AgentConfig, context: &Arc<Context>, shared: &Arc<Shared>) -> Self {
        context.board.clear();
        shared.push_events.forget_sources();
        shared.write_queues.clear();
        shared.registries.configure(config.registries.clone());
        let (stop, stopped) = watch::channel(false);
        let parts = Parts { context: context.clone(), stop: stopped };
        let queues = config.images.queues.iter().filter_map(|url| QueueUrl::parse(url));
        let queues = queues.map(|queue| tokio::spawn(read_queue(queue, parts.clone(), shared.clone())));
        let sources = config.sources.iter().enumerate().map(|(index, source)| {
            context.board.update(index, |state| state.id.clone_from(&source.id));
            let state = config.state_directory.value.join("git").join(&source.id);
            let (images, shared) = (config.images.clone(), shared.clone());
            let source = Source { index, config: source.clone(), state, images, shared };
            tokio::spawn(source::run(source, parts.clone()))
        });
        Self { stop, tasks: queues.chain(sources).collect() }
    }

    /// Lets every task finish what it is writing, and ends it. Answers whether all ended in time; what did not is cut off
    /// where `abort` says so, because two of one source would be in each other's way.
    pub async fn end(self, limit: Duration, abort: bool) -> bool {
        let _ = self.stop.send(true);
        let aborts: Vec<_> = self.tasks.iter().map(JoinHandle::abort_handle).collect();
        let ended = timeout(limit, async {
            for task in self.tasks {
                let _ = task.await;
            }
        });
        let in_time = ended.await.is_ok();
        if !in_time && abort {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
        in_time
    }
}

/// Reads a queue of pushes until the order to stop.
async fn read_queue(queue: QueueUrl, parts: Parts, shared: Arc<Shared>) {
    let context = &parts.context;
    let name = format!("queue {}", queue.url);
    let run = || listen(queue.clone(), context, &shared, parts.stop.clone());
    let panicked = |text: &str| context.board.queue(&queue.url, Some(format!("its reader panicked: {text}")));
    supervise(&name, &context.board.troubles, parts.stop.clone(), Backoff::default(), run, panicked).await;
}
