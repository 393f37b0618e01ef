//! Rounds: what is declared is read again, what runs is read again, and the difference is planned, acted on and
//! reported. Level-triggered: a round takes no input but what it reads.

mod at;
mod branch;
mod changes;
mod cluster;
mod commits;
mod environment;
mod facts;
mod first;
mod fleet;
mod load;
mod lookout;
mod prune;
mod service;
mod shown;
mod source;
mod together;
mod totals;
mod waiting;

pub use lockstep_core::service::orders::Orders;

pub use branch::{Branch, Content, Files};
pub use load::{LoadedService, Loader, Snapshot};
pub use lockstep_core::service::machine::short;
pub use source::{EnvironmentRunner, SourceParts, SourceRunner};

use crate::{
    aws::{Accounts, Clients},
    board::Board,
    cache::Cache,
    output,
    permit::Gate,
};
use lockstep_core::event::{Event, Subject, What};
use lockstep_core::service::machine::Now;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::broadcast, time::Instant};

/// How often things are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Longest time between two observations of a service, and between two looks at the repository.
    pub interval: Duration,
    /// The same while a rollout is under way.
    pub follow: Duration,
}

impl Timing {
    /// For an interval: rollouts are followed at a sixth of it, every second at most.
    pub fn new(interval: Duration) -> Self {
        let follow = (interval / 6).max(Duration::from_secs(1)).min(interval);
        Self { interval, follow }
    }
}

/// The parts that rounds share.
pub struct Context {
    /// AWS.
    pub accounts: Arc<Accounts>,
    /// What was read before.
    pub cache: Arc<Cache>,
    /// Where rounds leave what they found.
    pub board: Board,
    /// Who watches.
    pub events: broadcast::Sender<Event>,
    /// How often.
    pub timing: Timing,
    /// Where each write gets its permit.
    pub gate: Gate,
    /// How far the round is.
    pub looked: Looked,
    began: Instant,
}

/// How far a round is, for whoever waits for it.
#[derive(Default)]
pub struct Looked {
    done: AtomicUsize,
    all: AtomicUsize,
}

impl Looked {
    /// Services that were looked at, and that are to be looked at.
    pub fn far(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed))
    }

    fn begin(&self) {
        self.done.store(0, Ordering::Relaxed);
        self.all.store(0, Ordering::Relaxed);
    }

    fn add(&self, services: usize) {
        self.all.fetch_add(services, Ordering::Relaxed);
    }

    fn one(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Context {
    /// A context of these parts.
    pub fn new(accounts: Accounts, cache: Cache, timing: Timing) -> Self {
        let (events, _) = broadcast::channel(4096);
        Self {
            accounts: Arc::new(accounts),
            cache: Arc::new(cache),
            board: Board::default(),
            events,
            timing,
            gate: Gate::default(),
            looked: Looked::default(),
            began: Instant::now(),
        }
    }

    /// The time of a step of a service in an account and region.
    fn now(&self, clients: &Clients) -> Now {
        Now { aws: clients.now(), uptime: self.began.elapsed() }
    }

    /// Tells what happened, and when (epoch seconds): to the log, and to those who watch. Nobody watching is fine.
    pub fn tell(&self, at: i64, of: Subject, what: What) {
        let event = Event { at, of, what };
        output::event::log(&event);
        let _ = self.events.send(event);
    }

    /// The same of something outside of AWS, which happens now.
    pub fn tell_now(&self, of: Subject, what: What) {
        self.tell(jiff::Timestamp::now().as_second(), of, what);
    }
}
