//! The agent: one task a source, the API, the agent's file watched, and an orderly end.

mod access;
mod file_watch;
mod lock;
mod signals;
mod tasks;

pub use access::open;
pub use lock::StateLock;
pub use signals::{Asked, Signals, stopped as signal};

use crate::{
    aws::{Accounts, QueueUrl},
    cache::Cache,
    config::{AgentConfig, Flags, SourceConfig},
    git::Access,
    images::{Shared, Updater, UpdaterConfig, listen},
    reconcile::{Content, Context, Orders, SourceRunner, Timing},
    server::Server,
};
use file_watch::FileWatch;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};
use tasks::{Backoff, supervise};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// Longest time between the order to stop and the end.
const STOP: Duration = Duration::from_secs(9);

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error("{0}")]
    State(String),
    /// The API's address cannot be used.
    #[error("failed to listen on {address}: {error}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The configuration has no source.
    #[error("the agent's file names no source to follow")]
    NoSource,
}

/// A running agent.
pub struct Agent {
    /// What its rounds share.
    pub context: Arc<Context>,
    shared: Arc<Shared>,
    /// Where the API answers.
    pub address: std::net::SocketAddr,
    stop_server: watch::Sender<bool>,
    stop_sources: watch::Sender<bool>,
    server: JoinHandle<()>,
    sources: Vec<JoinHandle<()>>,
    config: AgentConfig,
    _lock: StateLock,
}

impl Agent {
    /// Starts an agent.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub async fn start(config: AgentConfig, accounts: Accounts) -> Result<Self, StartError> {
        if config.sources.is_empty() {
            return Err(StartError::NoSource);
        }
        let lock = StateLock::take(&config.state_directory.value).map_err(StartError::State)?;
        let address = config.listen.value;
        let server = Server::bind(address).await.map_err(|error| StartError::Listen { address, error })?;
        let address = server.address().map_err(|error| StartError::Listen { address, error })?;
        let cache = Cache::open(&config.state_directory.value);
        let context = Arc::new(Context::new(accounts, cache, Timing::new(config.interval.value)));
        let shared = Arc::new(Shared::default());
        let (stop_server, stopped) = watch::channel(false);
        let server = tokio::spawn({
            let context = context.clone();
            async move {
                let serve = || server.serve(context.clone(), stopped.clone());
                let backoff = Backoff::default();
                supervise("the API", &context.board.troubles, stopped.clone(), backoff, serve, |_| ()).await;
            }
        });
        let (stop_sources, stopped) = watch::channel(false);
        let sources = spawn_sources(&config, &context, &shared, &stopped);
        tracing::info!(%address, sources = config.sources.len(), "started");
        Ok(Self { context, shared, address, stop_server, stop_sources, server, sources, config, _lock: lock })
    }

    /// Runs until a signal; follows changes of the agent's file.
    pub async fn run(mut self, flags: Flags, mut signals: Signals) {
        let interval = self.config.interval.value;
        let mut watch = self.config.file.as_ref().map(|file| FileWatch::new(file, interval));
        loop {
            let changed = async {
                match &mut watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop => break,
                    Asked::Reload => {
                        tracing::info!("SIGHUP: reading the agent's file again");
                        if let Some(watch) = &mut watch {
                            watch.look();
                        }
                        self.reload(&flags).await;
                    }
                },
                () = changed => self.reload(&flags).await,
            }
        }
        self.shutdown().await;
    }

    /// Reads the file again. One that is broken changes nothing.
    async fn reload(&mut self, flags: &Flags) {
        let Some(file) = self.config.file.clone() else {
            return;
        };
        match AgentConfig::load(Some(&file), flags) {
            Err(error) => {
                tracing::error!(%error, "the agent's file was changed and is not usable; going on as before")
            }
            Ok(config) if config == self.config => {}
            Ok(config) => {
                let fixed = config.listen.value != self.config.listen.value
                    || config.state_directory.value != self.config.state_directory.value
                    || config.api_share.value.to_bits() != self.config.api_share.value.to_bits()
                    || config.interval.value != self.config.interval.value
                    || config.accounts != self.config.accounts;
                if fixed {
                    tracing::warn!(
                        "listen, stateDirectory, interval, apiShare and accounts take effect after a restart"
                    );
                }
                tracing::info!("the agent's file was read again");
                self.end_sources().await;
                let (stop, stopped) = watch::channel(false);
                self.stop_sources = stop;
                self.sources = spawn_sources(&config, &self.context, &self.shared, &stopped);
                self.config = config;
            }
        }
    }

    /// Lets every source finish what it is writing, and ends it.
    async fn end_sources(&mut self) {
        self.context.stopping.store(true, Ordering::Relaxed);
        let _ = self.stop_sources.send(true);
        for mut source in self.sources.drain(..) {
            if timeout(STOP, &mut source).await.is_err() {
                // Two of one source would be in each other's way.
                tracing::warn!("a source did not end in time and is cut off");
                source.abort();
            }
        }
        self.context.stopping.store(false, Ordering::Relaxed);
    }

    /// Finishes the writes in hand, then ends.
    pub async fn shutdown(mut self) {
        tracing::info!("stopping");
        self.context.stopping.store(true, Ordering::Relaxed);
        let _ = self.stop_sources.send(true);
        let _ = self.stop_server.send(true);
        let sources = std::mem::take(&mut self.sources);
        let ended = timeout(STOP, async {
            for source in sources {
                let _ = source.await;
            }
            let _ = timeout(Duration::from_secs(1), &mut self.server).await;
        });
        if ended.await.is_err() {
            tracing::warn!("something did not end in time");
        }
        self.context.cache.flush();
        tracing::info!("stopped");
    }
}

fn spawn_sources(
    config: &AgentConfig,
    context: &Arc<Context>,
    shared: &Arc<Shared>,
    stopped: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    context.board.clear();
    shared.doorbell.forget_sources();
    shared.desks.clear();
    shared.registries.configure(config.registries.clone());
    let queues = config.images.queues.iter().filter_map(|url| QueueUrl::parse(url)).map(|queue| {
        let (context, shared, stopped) = (context.clone(), shared.clone(), stopped.clone());
        tokio::spawn(async move {
            let name = format!("the queue {}", queue.url);
            let run = || listen(queue.clone(), &context, &shared, stopped.clone());
            let panicked = |text: &str| context.board.queue(&queue.url, Some(format!("its reader panicked: {text}")));
            supervise(&name, &context.board.troubles, stopped.clone(), Backoff::default(), run, panicked).await;
        })
    });
    let queues: Vec<JoinHandle<()>> = queues.collect();
    let sources = config.sources.iter().enumerate().map(|(index, source)| {
        context.board.update(index, |state| state.id.clone_from(&source.id));
        // Each has a mirror of its own: two that fetch into one are in each other's way.
        let state = config.state_directory.value.join("git").join(&source.id);
        let desk = shared.desks.of(&source.location, &source.branch.value);
        let images = UpdaterConfig {
            index,
            source: source.id.clone(),
            allow: source.allow.clone(),
            environments: source.environments.clone(),
            images: config.images.clone(),
            commit: source.commit.clone(),
        };
        let (source, context, shared, stopped) = (source.clone(), context.clone(), shared.clone(), stopped.clone());
        tokio::spawn(async move {
            let name = format!("the source {}", source.id);
            let run = || {
                let updater = Updater::new(images.clone(), shared.clone(), desk.clone());
                follow(index, source.clone(), state.clone(), context.clone(), updater, stopped.clone())
            };
            let panicked = |text: &str| {
                context.board.update(index, |state| state.error = Some(format!("the source's task panicked: {text}")));
            };
            supervise(&name, &context.board.troubles, stopped.clone(), Backoff::default(), run, panicked).await;
        })
    });
    queues.into_iter().chain(sources).collect()
}

/// One source, until the end.
async fn follow(
    index: usize,
    source: SourceConfig,
    state: PathBuf,
    context: Arc<Context>,
    mut updater: Updater,
    mut stopped: watch::Receiver<bool>,
) {
    let mut runner: Option<SourceRunner> = None;
    let mut presented = Access::default();
    let mut looked_at: Option<tokio::time::Instant> = None;
    let mut rung = updater.listener();
    while !*stopped.borrow() && !context.stopping.load(Ordering::Relaxed) {
        if runner.is_none() {
            match access::open_with(&source, &state, &context).await {
                Ok((remote, access)) => {
                    presented = access;
                    let content = Content::Remote(Arc::new(Mutex::new(remote)));
                    let allow = source.allow.clone();
                    runner = Some(SourceRunner::new(index, &source.id, allow, source.environments.clone(), content));
                }
                Err(reason) => {
                    let news = context
                        .board
                        .update(index, |state| state.error.replace(reason.clone()) != Some(reason.clone()));
                    if news {
                        tracing::warn!(source = source.id, reason, "the repository cannot be opened");
                    }
                }
            }
        }
        let mut pause = context.timing.interval;
        if let Some(running) = &mut runner {
            let due = looked_at.is_none_or(|at| at.elapsed() + Duration::from_millis(20) >= context.timing.interval);
            let mut result = Ok(());
            if due {
                looked_at = Some(tokio::time::Instant::now());
                result = running.refresh(&context).await;
            }
            if running.round(&context, &Orders::agent()).await {
                pause = context.timing.follow;
            }
            // Rung from here on is heard after this look.
            rung.mark_unchanged();
            let (moved, next) = updater.round(&context, running).await;
            if moved {
                continue;
            }
            pause = next.map_or(pause, |next| next.min(pause));
            // What was presented may have been replaced, and servers say so in many ways: with a 404, a web page, a
            // project that cannot be found. It is read again, and where it is new the next look comes soon.
            if (result.is_err() || updater.has_failed())
                && access::renew(&source, &context, running, &mut presented).await
            {
                looked_at = None;
                pause = pause.min(context.timing.follow);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = rung.changed() => {}
            _ = stopped.changed() => {}
        }
    }
}
