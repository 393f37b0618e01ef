//! One source: follows its branch, and runs the rounds of its environments.

use super::{
    Context, Orders,
    commits::Commits,
    environment::Worker,
    load::{Loader, Snapshot},
    service::Others,
    waiting::only_looked_at,
};
use crate::board::{Event, problem};
use crate::{
    config::Allow,
    git::{Access, Checkout, GitError, Location, Remote},
};
use futures_util::future::join_all;
use lockstep_manifests::{Severity, tree::Tree};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

/// Where a source's files come from.
pub enum Content {
    /// A branch of a repository.
    Remote(Arc<std::sync::Mutex<Remote>>),
    /// A checkout, with whatever is in it now.
    Checkout(PathBuf),
}

/// What a broken `lockstep.yaml` means.
const STOPPED: &str =
    "writes are stopped: lockstep.yaml or a component has errors; what runs is looked at by the last usable files";

/// A source at work.
pub struct SourceRunner {
    index: usize,
    id: String,
    allow: Allow,
    environments: Option<Vec<String>>,
    content: Content,
    loader: Loader,
    snapshot: Option<Arc<Snapshot>>,
    /// The last one whose `lockstep.yaml` was usable: what is read while it is not.
    usable: Option<Arc<Snapshot>>,
    workers: BTreeMap<String, Worker>,
    /// Workers of environments that are only looked at, because others wait for them.
    lookers: BTreeMap<String, Worker>,
    /// The commit that was followed before, where the branch was rewritten since.
    rewritten: Option<String>,
}

impl SourceRunner {
    /// A source that has read nothing yet. `index` is its place on the board.
    pub fn new(index: usize, id: &str, allow: Allow, environments: Option<Vec<String>>, content: Content) -> Self {
        Self {
            index,
            id: id.to_owned(),
            allow,
            environments,
            content,
            loader: Loader::default(),
            snapshot: None,
            usable: None,
            workers: BTreeMap::new(),
            lookers: BTreeMap::new(),
            rewritten: None,
        }
    }

    /// What was read last.
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// Looks at the repository, and reads it when it moved. On an error the last good state stays.
    ///
    /// # Errors
    /// When the repository cannot be read now.
    pub async fn refresh(&mut self, context: &Context) -> Result<(), GitError> {
        let result = self.read(context).await;
        let error = result.as_ref().err().map(ToString::to_string);
        let news = context.board.update(self.index, |source| {
            source.id.clone_from(&self.id);
            let news = source.error != error;
            source.error.clone_from(&error);
            news
        });
        let source = self.id.clone();
        match (error, news) {
            (Some(reason), true) => context.tell(Event::Unreadable { source, reason }),
            (None, true) => context.tell(Event::Readable { source }),
            (_, false) => {}
        }
        result
    }

    async fn read(&mut self, context: &Context) -> Result<(), GitError> {
        // Reading the files takes as long as a commit makes it: never on the thread that everything else runs on.
        let known = self.snapshot.as_ref().map(|snapshot| snapshot.commit.clone());
        let history = self.snapshot.as_ref().map(|before| before.history.clone()).unwrap_or_default();
        let place = match &self.content {
            Content::Checkout(path) => Content::Checkout(path.clone()),
            Content::Remote(remote) => Content::Remote(remote.clone()),
        };
        let mut loader = std::mem::take(&mut self.loader);
        let read = tokio::task::spawn_blocking(move || {
            let read = load(&place, known, &history, &mut loader);
            (read, loader)
        });
        // Where it did not end, the next look begins anew.
        let (read, loader) = read.await.map_err(|error| self.unreadable(&error))?;
        self.loader = loader;
        let Some((snapshot, rewritten)) = read? else {
            return Ok(());
        };
        if matches!(self.content, Content::Remote(_)) {
            if let Some(from) = &rewritten {
                let (source, from, to) = (self.id.clone(), from.clone(), snapshot.commit.clone());
                context.tell(Event::Rewritten { source, from, to });
            }
            self.rewritten = rewritten;
            context.tell(Event::Commit {
                source: self.id.clone(),
                commit: snapshot.commit.clone(),
                summary: snapshot.summary.clone(),
            });
        }
        for problem in snapshot.problems.iter().filter(|problem| problem.severity == Severity::Error).take(20) {
            let place = problem.place().map_or(String::new(), |(file, line, column)| format!("{file}:{line}:{column}"));
            tracing::warn!(
                source = self.id,
                place,
                code = problem.code.id,
                problem = problem.message,
                "the files have an error"
            );
        }
        if !snapshot.valid && self.snapshot.as_ref().is_none_or(|before| before.valid) {
            tracing::warn!(source = self.id, commit = snapshot.commit, "{STOPPED}");
        }
        context.board.update(self.index, |source| {
            source.commit.clone_from(&snapshot.commit);
            source.summary.clone_from(&snapshot.summary);
            source.rewritten.clone_from(&self.rewritten);
            source.problems = snapshot.problems.iter().map(problem).collect();
            source.writes_stopped = (!snapshot.valid).then(|| STOPPED.to_owned());
            if snapshot.valid {
                source
                    .environments
                    .retain(|environment| snapshot.repository.environments.contains_key(&environment.name));
            }
        });
        let snapshot = Arc::new(snapshot);
        if snapshot.valid {
            self.usable = Some(snapshot.clone());
        }
        self.snapshot = Some(snapshot);
        Ok(())
    }

    fn unreadable(&self, error: &tokio::task::JoinError) -> GitError {
        GitError::Unreadable { repository: self.id.clone(), reason: error.to_string() }
    }

    /// What rounds look at: the files of the commit; where its `lockstep.yaml` is broken, those of the last one where it
    /// was usable. Nothing is written then; what runs is looked at all the same.
    fn looked_at(&self) -> Option<Arc<Snapshot>> {
        let snapshot = self.snapshot.as_ref()?;
        match &self.usable {
            Some(usable) if !snapshot.valid => {
                Some(Arc::new(Snapshot { valid: false, problems: Vec::new(), ..Snapshot::clone(usable) }))
            }
            _ => Some(snapshot.clone()),
        }
    }

    /// The branch that is followed; none for a checkout.
    pub fn remote(&self) -> Option<Arc<std::sync::Mutex<Remote>>> {
        match &self.content {
            Content::Remote(remote) => Some(remote.clone()),
            Content::Checkout(_) => None,
        }
    }

    /// The files that the source reads now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn tree(&self) -> Result<Box<dyn Tree + Send>, GitError> {
        match &self.content {
            Content::Checkout(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || Checkout::read(&path));
                Ok(Box::new(read.await.map_err(|error| self.unreadable(&error))??))
            }
            Content::Remote(remote) => {
                let remote = remote.clone();
                let read = tokio::task::spawn_blocking(move || {
                    let mut remote = remote.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    let tip = remote.tip()?;
                    remote.tree(&tip)
                });
                Ok(Box::new(read.await.map_err(|error| self.unreadable(&error))??))
            }
        }
    }

    /// One round of every environment that is meant. Answers whether something is under way.
    pub async fn round(&mut self, context: &Context, orders: &Orders) -> bool {
        let Some(snapshot) = self.looked_at() else {
            return false;
        };
        let repository = &snapshot.repository;
        let mine = |name: &String| self.environments.as_ref().is_none_or(|names| names.contains(name));
        let names: Vec<String> = repository
            .environments
            .keys()
            .filter(|name| mine(name) && orders.covers_environment(name))
            .cloned()
            .collect();
        let looks = only_looked_at(&snapshot, &names, orders);
        context.looked.begin();
        let mut jobs = Vec::new();
        for name in names {
            let new = || Worker::new(self.index, &self.id, self.allow.clone());
            let worker = self.workers.remove(&name).unwrap_or_else(new);
            jobs.push((name, worker, orders.clone()));
        }
        for (name, services) in looks {
            // Whoever follows it may have another id: its state is read, whoever brought it about.
            let new = || Worker::new(self.index, "", self.allow.clone());
            let worker = self.lookers.remove(&name).unwrap_or_else(new);
            let environments = BTreeSet::from([name.clone()]);
            let everything = orders.everything;
            let looking = Orders { only_looks: true, everything, environments, services, ..Orders::default() };
            jobs.push((name, worker, looking));
        }
        let history = match &self.content {
            Content::Remote(remote) => Some(remote.clone()),
            // Only what is behind a commit is asked of it, so that no branch matters.
            Content::Checkout(path) => Remote::open(&Location::Path(path.clone()), "HEAD", path, Access::default())
                .ok()
                .map(|remote| Arc::new(std::sync::Mutex::new(remote))),
        };
        let (mut in_flight, mut others) = (false, Others::new());
        // Environments that wait for others come after them, so that they see what became of them in this round.
        while !jobs.is_empty() {
            let waiting: Vec<String> = jobs.iter().map(|(name, ..)| name.clone()).collect();
            let is_ready = |name: &String| {
                let after = &repository.environments[name].after;
                !after.iter().any(|(other, _)| waiting.contains(other))
            };
            let (ready, later): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|(name, ..)| is_ready(name));
            let (ready, later) = if ready.is_empty() { (later, Vec::new()) } else { (ready, later) };
            let rounds = ready.into_iter().map(|(name, mut worker, orders)| {
                let (snapshot, history, others) = (snapshot.clone(), &history, &others);
                async move {
                    let environment = &snapshot.repository.environments[&name];
                    let report = worker.round(context, &snapshot, environment, &orders, history, others).await;
                    (name, worker, orders.only_looks, report)
                }
            });
            for (name, worker, only_looks, report) in join_all(rounds).await {
                in_flight |= report.in_flight;
                if only_looks {
                    others.insert(name.clone(), report.states);
                    self.lookers.insert(name, worker);
                } else {
                    self.workers.insert(name, worker);
                }
            }
            jobs = later;
        }
        context.cache.flush();
        in_flight
    }
}

/// Reads what moved since a commit: its files, and the commit that was followed before where the branch was rewritten.
/// None where nothing moved.
fn load(
    content: &Content,
    known: Option<String>,
    history: &Commits,
    loader: &mut Loader,
) -> Result<Option<(Snapshot, Option<String>)>, GitError> {
    match content {
        Content::Checkout(path) => {
            let checkout = Checkout::read(path)?;
            let head = checkout.compare_to_head()?;
            let commit = match &head {
                Some((commit, changed)) if changed.is_empty() => commit.clone(),
                _ => String::new(),
            };
            let mut snapshot = loader.load(&checkout, &commit, "");
            snapshot.base = head.as_ref().map(|(head, _)| head.clone()).unwrap_or_default();
            if let Some((head, edited)) = head.filter(|(head, _)| !head.is_empty()) {
                snapshot.history = Arc::new(Commits::of_checkout(path, &snapshot, &head, &edited));
            }
            Ok(Some((snapshot, None)))
        }
        Content::Remote(opened) => {
            let mut remote = opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let tip = remote.tip()?;
            if known.as_deref() == Some(tip.commit.as_str()) {
                return Ok(None);
            }
            let tree = remote.tree(&tip)?;
            // What cannot be found out is not called rewritten.
            let rewritten = known.filter(|known| !remote.is_behind(known, &tip.commit).unwrap_or(true));
            drop(remote);
            let mut snapshot = loader.load(&tree, &tip.commit, &tip.summary);
            snapshot.committed_at = tip.committed_at;
            let opened = opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            snapshot.history = Arc::new(history.follow(&opened, &snapshot, &tip.commit));
            Ok(Some((snapshot, rewritten)))
        }
    }
}
