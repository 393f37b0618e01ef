//! The agent: the driver's tasks, the API, the agent's file watched, and an orderly end.

mod file_watch;
mod lock;
mod signals;

pub use lock::StateLock;
pub use signals::{Asked, Signals, stopped as signal};

use crate::{
    aws::Accounts,
    cache::Cache,
    config::{AgentConfig, Flags},
    driver::{Backoff, Driver, supervise},
    images::Shared,
    reconcile::{Context, Timing},
    server::Server,
};
use file_watch::FileWatch;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// Longest time between the order to stop and the end.
const STOP: Duration = Duration::from_secs(9);
/// How much of it the API may take.
const SERVER: Duration = Duration::from_secs(1);

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
    server: JoinHandle<()>,
    driver: Option<Driver>,
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
        let driver = Some(Driver::start(&config, &context, &shared));
        tracing::info!(%address, sources = config.sources.len(), "started");
        Ok(Self { context, shared, address, stop_server, server, driver, config, _lock: lock })
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
                self.end_driver().await;
                self.driver = Some(Driver::start(&config, &self.context, &self.shared));
                self.config = config;
            }
        }
    }

    /// Lets every task finish what it is writing, and ends it.
    async fn end_driver(&mut self) {
        let Some(driver) = self.driver.take() else { return };
        self.context.gate.stop(true);
        if !driver.end(STOP, true).await {
            tracing::warn!("a source did not end in time and is cut off");
        }
        self.context.gate.stop(false);
    }

    /// Finishes the writes in hand, then ends.
    pub async fn shutdown(mut self) {
        tracing::info!("stopping");
        self.context.gate.stop(true);
        let _ = self.stop_server.send(true);
        if let Some(driver) = self.driver.take()
            && !driver.end(STOP - SERVER, false).await
        {
            tracing::warn!("something did not end in time");
        }
        let _ = timeout(SERVER, &mut self.server).await;
        self.context.cache.flush();
        tracing::info!("stopped");
    }
}
