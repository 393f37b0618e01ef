//! Rounds of a source: of all its environments one after the other, as commands want them, or of one environment, as a
//! task of the agent runs them.

use super::{
    Branch, Content, Context, Orders, environment::Worker, load::Snapshot, service::Others, waiting::only_looked_at,
};
use crate::git::{GitError, Remote};
use futures_util::future::join_all;
use lockstep_core::allow::Allow;
use lockstep_manifests::tree::Tree;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

/// What is the same for all environments of a source.
#[derive(Clone)]
pub struct SourceParts {
    /// Its place on the board.
    pub index: usize,
    /// Its id, which the tags of ownership carry.
    pub id: String,
    /// What it may reach.
    pub allow: Allow,
    /// Its environments; all where none are named.
    pub environments: Option<Vec<String>>,
    /// Where its files come from.
    pub branch: Arc<Branch>,
}

impl SourceParts {
    /// Whether an environment of the repository is one of the source's.
    fn is_mine(&self, name: &str) -> bool {
        self.environments.as_ref().is_none_or(|names| names.iter().any(|mine| mine == name))
    }

    /// The environments of some files that are the source's, in the order of the file.
    pub fn environments_of(&self, snapshot: &Snapshot) -> Vec<String> {
        snapshot.repository.environments.keys().filter(|name| self.is_mine(name)).cloned().collect()
    }

    fn worker(&self) -> Worker {
        Worker::new(self.index, &self.id, self.allow.clone())
    }

    /// Whoever follows an environment that is only looked at may have another id: its state is read, whoever brought it
    /// about.
    fn looker(&self) -> Worker {
        Worker::new(self.index, "", self.allow.clone())
    }

    /// The looks at environments that some wait for, and that nobody runs here.
    fn looks(
        &self,
        snapshot: &Snapshot,
        run: &[String],
        of: &[String],
        orders: &Orders,
        lookers: &mut BTreeMap<String, Worker>,
    ) -> Vec<Job> {
        let job = |(name, services): (String, BTreeSet<String>)| {
            let worker = lookers.remove(&name).unwrap_or_else(|| self.looker());
            let (everything, environments) = (orders.everything, BTreeSet::from([name.clone()]));
            let orders = Orders { only_looks: true, everything, environments, services, ..Orders::default() };
            Job { name, worker, orders }
        };
        only_looked_at(snapshot, run, of, orders).into_iter().map(job).collect()
    }

    /// Runs rounds: those of environments that wait for others after them, so that they see what became of them. Answers
    /// whether something is under way.
    async fn run(&self, context: &Context, snapshot: &Arc<Snapshot>, mut jobs: Vec<Job>) -> (Vec<Job>, bool) {
        let environments = &snapshot.repository.environments;
        let history = Some(self.branch.history());
        let (mut done, mut in_flight, mut others) = (Vec::new(), false, Others::new());
        while !jobs.is_empty() {
            let waiting: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
            let is_ready = |job: &Job| !environments[&job.name].after.iter().any(|(other, _)| waiting.contains(other));
            let (ready, later): (Vec<_>, Vec<_>) = jobs.into_iter().partition(is_ready);
            let (ready, later) = if ready.is_empty() { (later, Vec::new()) } else { (ready, later) };
            let rounds = ready.into_iter().map(|mut job| {
                let (history, others) = (&history, &others);
                async move {
                    let environment = &environments[&job.name];
                    let round = job.worker.round(context, snapshot, environment, &job.orders, history, others);
                    let report = round.await;
                    (job, report)
                }
            });
            for (job, report) in join_all(rounds).await {
                in_flight |= report.in_flight;
                if job.orders.only_looks {
                    others.insert(job.name.clone(), report.states);
                }
                done.push(job);
            }
            jobs = later;
        }
        (done, in_flight)
    }
}

/// A round of an environment that is to be run, or was.
struct Job {
    name: String,
    worker: Worker,
    orders: Orders,
}

/// A source at work by hand.
pub struct SourceRunner {
    parts: SourceParts,
    workers: BTreeMap<String, Worker>,
    /// Workers of environments that are only looked at, because others wait for them.
    lookers: BTreeMap<String, Worker>,
}

impl SourceRunner {
    /// A source that has read nothing yet. `index` is its place on the board.
    pub fn new(index: usize, id: &str, allow: Allow, environments: Option<Vec<String>>, content: Content) -> Self {
        let branch = Arc::new(Branch::new(index, id, content));
        let parts = SourceParts { index, id: id.to_owned(), allow, environments, branch };
        Self { parts, workers: BTreeMap::new(), lookers: BTreeMap::new() }
    }

    /// Its branch.
    pub fn branch(&self) -> &Arc<Branch> {
        &self.parts.branch
    }

    /// What was read last.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.parts.branch.snapshot()
    }

    /// Looks at the repository, and reads it when it moved. On an error the last good state stays.
    ///
    /// # Errors
    /// When the repository cannot be read now.
    pub async fn refresh(&self, context: &Context) -> Result<(), GitError> {
        self.parts.branch.refresh(context).await
    }

    /// The branch that is followed; none for a checkout.
    pub fn remote(&self) -> Option<Arc<Mutex<Remote>>> {
        self.parts.branch.remote()
    }

    /// The files that the source reads now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn tree(&self) -> Result<Box<dyn Tree + Send>, GitError> {
        self.parts.branch.tree().await
    }

    /// One round of every environment that is meant. Answers whether something is under way.
    pub async fn round(&mut self, context: &Context, orders: &Orders) -> bool {
        let Some(snapshot) = self.parts.branch.looked_at() else {
            return false;
        };
        let mut names = self.parts.environments_of(&snapshot);
        names.retain(|name| orders.covers_environment(name));
        context.looked.begin();
        let mut jobs = self.parts.looks(&snapshot, &names, &names, orders, &mut self.lookers);
        for name in names {
            let worker = self.workers.remove(&name).unwrap_or_else(|| self.parts.worker());
            jobs.push(Job { name, worker, orders: orders.clone() });
        }
        let (done, in_flight) = self.parts.run(context, &snapshot, jobs).await;
        for job in done {
            let workers = if job.orders.only_looks { &mut self.lookers } else { &mut self.workers };
            workers.insert(job.name, job.worker);
        }
        context.cache.flush();
        in_flight
    }
}

/// One environment at work, whatever the others do.
pub struct EnvironmentRunner {
    parts: SourceParts,
    name: String,
    worker: Option<Worker>,
    lookers: BTreeMap<String, Worker>,
}

impl EnvironmentRunner {
    /// An environment of a source, of which nothing is known yet.
    pub fn new(parts: SourceParts, name: &str) -> Self {
        Self { parts, name: name.to_owned(), worker: None, lookers: BTreeMap::new() }
    }

    /// The source's environments that this one waits for.
    pub fn waits_for(&self, snapshot: &Snapshot) -> Vec<String> {
        let environment = snapshot.repository.environments.get(&self.name);
        let after = environment.into_iter().flat_map(|environment| &environment.after);
        after.map(|(other, _)| other.clone()).filter(|other| self.parts.is_mine(other)).collect()
    }

    /// One round, with a look at the environments that it waits for and that are not the source's. Answers whether
    /// something is under way.
    pub async fn round(&mut self, context: &Context, snapshot: &Arc<Snapshot>, orders: &Orders) -> bool {
        if !snapshot.repository.environments.contains_key(&self.name) {
            return false;
        }
        let mine = self.parts.environments_of(snapshot);
        let of = std::slice::from_ref(&self.name);
        let mut jobs = self.parts.looks(snapshot, &mine, of, orders, &mut self.lookers);
        let worker = self.worker.take().unwrap_or_else(|| self.parts.worker());
        jobs.push(Job { name: self.name.clone(), worker, orders: orders.clone() });
        let (done, in_flight) = self.parts.run(context, snapshot, jobs).await;
        for job in done {
            if job.orders.only_looks {
                self.lookers.insert(job.name, job.worker);
            } else {
                self.worker = Some(job.worker);
            }
        }
        in_flight
    }
}
