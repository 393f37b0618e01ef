//! Rounds: what is declared is read again, what runs is read again, and the difference is planned, acted on and
//! reported. Level-triggered: a round takes no input but what it reads.

mod act;
mod at;
mod branch;
mod changes;
mod cluster;
mod commits;
mod environment;
mod facts;
mod first;
mod fleet;
mod follow;
mod load;
mod lookout;
mod prune;
mod service;
mod shown;
mod source;
mod together;
mod totals;
mod waiting;

pub use branch::{Branch, Content, Files};
pub use load::{LoadedService, Loader, Snapshot};
pub use service::short;
pub use source::{EnvironmentRunner, SourceParts, SourceRunner};

use crate::{aws::Accounts, board::Board, cache::Cache, output, permit::Gate};
use lockstep_core::event::{Event, Subject, What};
use lockstep_core::service::plan::Restart;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::broadcast;

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
        }
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

/// What a round is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Orders {
    /// Whether anything may be written.
    pub write: bool,
    /// Whether a person ordered it: then observed environments are written too.
    pub by_hand: bool,
    /// Whether it is the first round of a person's order: failures from before do not count against it.
    pub begins: bool,
    /// Whether services that are not ours yet are adopted.
    pub adopt: bool,
    /// Whether a state that ECS rejected is tried once more.
    pub retry: bool,
    /// A person's order to deploy what runs once more.
    pub restart: Option<Restart>,
    /// Whether a person confirmed that many services may be removed.
    pub prune: bool,
    /// The removals that a person was shown, as `environment/service`: no others are made. None for the agent's own.
    pub removals: Option<BTreeSet<String>>,
    /// Whether to plan as if nothing were paused, to show what a pause holds back.
    pub unpaused: bool,
    /// Whether the round only looks because something else waits for it: nothing is written, told or published.
    pub only_looks: bool,
    /// Whether services that are no longer declared are looked for where the environment does not prune, too.
    pub orphans: bool,
    /// Whether everything is observed, however young the last observation is.
    pub everything: bool,
    /// The environments; all where none are named.
    pub environments: BTreeSet<String>,
    /// The services; all where none are named.
    pub services: BTreeSet<String>,
}

impl Orders {
    /// What the agent's own rounds do.
    pub fn agent() -> Self {
        Self { write: true, orphans: true, ..Self::default() }
    }

    /// Whether a service is meant.
    pub fn covers(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.contains(service)
    }

    /// Whether an environment is meant.
    pub fn covers_environment(&self, environment: &str) -> bool {
        self.environments.is_empty() || self.environments.contains(environment)
    }
}
