//! One source's image updates: look, wait for the window, edit, commit, push; and again on the new tip when somebody
//! else was faster.

use super::{
    history::Histories,
    look::{Eyes, Outcome, Seen},
    memory::Memory,
    registries::Place,
    state::{ImageState, time_text},
    watched::{Watched, watched},
    window::Window,
};
use crate::{
    config::{Allow, CommitConfig, ImagesConfig, SecretRef, resolve_secret},
    git::{FileEdit, GitError, NewCommit, PushError, Remote, SigningKey, Tip},
    reconcile::{Context, Snapshot, SourceRunner, event::Event, tell},
};
use lockstep_core::images::{Bump, BumpMessage, Change, ImageReference};
use lockstep_manifests::{edit::set_pin, pins, updates::WriteMode};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How often one window is tried again on a branch that keeps moving.
const ATTEMPTS: usize = 8;
/// The first pause after a push that failed; it doubles.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What an updater is made from.
#[derive(Clone, Debug)]
pub struct UpdaterConfig {
    /// The source's place on the board.
    pub index: usize,
    /// Its id.
    pub source: String,
    /// What it may reach.
    pub allow: Allow,
    /// Its environments; all where none are named.
    pub environments: Option<Vec<String>>,
    /// When registries are read, and when what they have is written.
    pub images: ImagesConfig,
    /// How commits look.
    pub commit: CommitConfig,
}

/// A source's image updates.
pub struct Updater {
    config: UpdaterConfig,
    histories: Arc<Mutex<Histories>>,
    memory: Memory,
    window: Window,
    /// What was stated when it was looked last.
    stated: Option<Stated>,
    pushes: u64,
    next: Option<Instant>,
    /// How often writing failed in a row, until when it is not tried again, and why.
    failures: u32,
    not_before: Option<Instant>,
    failure: Option<String>,
    /// What is on the board as being in the way.
    problem: Option<String>,
    /// The last pin that could not be edited, and why.
    uneditable: Option<String>,
    credentials_refused: bool,
    /// Pins that could not be edited, each with what the edit was for.
    refused: BTreeMap<String, String>,
}

/// What a commit states about pins, found once.
struct Stated {
    snapshot: Arc<Snapshot>,
    watched: Arc<Vec<Watched>>,
    changes: Arc<BTreeMap<String, Change>>,
}

/// How an attempt to write ended.
enum Written {
    /// The branch was moved.
    Done(Tip),
    /// There was nothing to write.
    Nothing,
    /// Somebody else was faster.
    Moved,
    /// A pin cannot be edited: what is wanted is decided without it.
    Again,
    /// It failed.
    Failed(String),
}

impl Updater {
    /// An updater that has seen nothing yet.
    pub fn new(config: UpdaterConfig) -> Self {
        Self {
            config,
            histories: Arc::default(),
            memory: Memory::default(),
            window: Window::default(),
            stated: None,
            pushes: 0,
            next: None,
            failures: 0,
            not_before: None,
            failure: None,
            problem: None,
            uneditable: None,
            credentials_refused: false,
            refused: BTreeMap::new(),
        }
    }

    /// Looks at all pins where something may have changed since the last look, and writes what is due. Answers whether
    /// the branch was moved, and how long until the next look.
    pub async fn round(&mut self, context: &Context, runner: &mut SourceRunner) -> (bool, Option<Duration>) {
        let now = Instant::now();
        let pushes = context.registries.pushes();
        let is_same = match (&self.stated, runner.snapshot()) {
            (Some(stated), Some(snapshot)) => Arc::ptr_eq(&stated.snapshot, snapshot),
            _ => false,
        };
        if is_same && pushes == self.pushes && self.next.is_none_or(|next| next > now) {
            return (false, self.next.map(|next| next - now));
        }
        self.pushes = pushes;
        let (moved, pause) = self.look_and_write(context, runner).await;
        self.next = pause.map(|pause| Instant::now() + pause);
        (moved, pause)
    }

    async fn look_and_write(&mut self, context: &Context, runner: &mut SourceRunner) -> (bool, Option<Duration>) {
        let mut moved = false;
        for attempt in 0..ATTEMPTS {
            let Some((snapshot, remote)) = runner.snapshot().cloned().zip(runner.remote()) else {
                return (moved, None);
            };
            let Some(seen) = self.look(context, &snapshot, &remote).await else {
                return (moved, Some(self.config.images.interval));
            };
            let wanted = self.wanted(&seen);
            self.window.see(wanted.iter().map(|it| (it.watched.name(), it.pin())).collect(), Instant::now());
            let due = self.window.due(self.config.images.quiet, self.config.images.at_most);
            let Some(due) = due.map(|due| self.not_before.map_or(due, |not_before| due.max(not_before))) else {
                self.succeeded();
                self.report(context, &seen, None);
                self.acknowledge(context, &seen, &wanted).await;
                return (moved, (!seen.is_empty()).then_some(self.config.images.interval));
            };
            let now = Instant::now();
            if due > now {
                // What failed is in the way until it was tried again.
                let failure = self.failure.clone();
                self.report(context, &seen, failure);
                self.acknowledge(context, &seen, &wanted).await;
                return (moved, Some((due - now).min(self.config.images.interval)));
            }
            match self.write(context, &snapshot, &remote, &wanted).await {
                Written::Done(tip) => {
                    moved = true;
                    self.window.close();
                    self.succeeded();
                    tracing::debug!(source = self.config.source, commit = tip.commit, "the branch was moved");
                }
                Written::Nothing => {
                    self.window.close();
                    self.succeeded();
                    self.report(context, &seen, None);
                    self.acknowledge(context, &seen, &wanted).await;
                    return (moved, Some(self.config.images.interval));
                }
                Written::Moved => {
                    tracing::info!(
                        source = self.config.source,
                        attempt,
                        "the branch was moved meanwhile; deciding again"
                    );
                }
                Written::Again => {}
                Written::Failed(reason) => {
                    let pause = (PAUSE * 2_u32.saturating_pow(self.failures.min(10))).min(LONGEST_PAUSE);
                    self.failures += 1;
                    self.not_before = Some(Instant::now() + pause);
                    self.failure = Some(reason.clone());
                    self.report(context, &seen, Some(reason));
                    // What became of the push shows in the branch.
                    let _ = runner.refresh(context).await;
                    return (moved, Some(pause));
                }
            }
            if runner.refresh(context).await.is_err() {
                return (moved, Some(PAUSE));
            }
        }
        (moved, Some(PAUSE))
    }

    /// Nothing is in the way any more.
    fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = None;
        self.failure = None;
    }

    /// Looks at all pins of a commit. None where the files are not usable, or their history cannot be read.
    async fn look(
        &mut self,
        context: &Context,
        snapshot: &Arc<Snapshot>,
        remote: &Arc<Mutex<Remote>>,
    ) -> Option<Vec<Seen>> {
        if !snapshot.valid || snapshot.commit.is_empty() {
            return None;
        }
        if !self.stated.as_ref().is_some_and(|stated| Arc::ptr_eq(&stated.snapshot, snapshot)) {
            self.stated = None;
            match self.state(snapshot, remote).await {
                Ok(stated) => {
                    self.memory.only(&stated.watched);
                    self.stated = Some(stated);
                }
                Err(reason) => {
                    self.say(context, Some(reason));
                    return None;
                }
            }
        }
        let stated = self.stated.as_ref()?;
        let eyes = Eyes {
            accounts: &context.accounts,
            registries: &context.registries,
            allow: &self.config.allow,
            snapshot,
            age: self.config.images.interval,
            keep_rules: false,
            memory: Some(&self.memory),
        };
        Some(eyes.look(&stated.watched, &stated.changes).await)
    }

    /// What a commit states about pins.
    async fn state(&self, snapshot: &Arc<Snapshot>, remote: &Arc<Mutex<Remote>>) -> Result<Stated, String> {
        let mine =
            |name: &str| self.config.environments.as_ref().is_none_or(|names| names.iter().any(|mine| mine == name));
        let watched = Arc::new(watched(snapshot, mine));
        let (histories, remote, commit) = (self.histories.clone(), remote.clone(), snapshot.commit.clone());
        let of = watched.clone();
        let changes = tokio::task::spawn_blocking(move || {
            let remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
            histories.lock().unwrap_or_else(PoisonError::into_inner).changes(&remote, &commit, &of)
        });
        let changes = changes.await.map_err(|error| error.to_string())?;
        let changes = Arc::new(changes.map_err(|error| format!("the history cannot be read: {error}"))?);
        Ok(Stated { snapshot: snapshot.clone(), watched, changes })
    }

    /// What is to be written.
    fn wanted<'a>(&self, seen: &'a [Seen]) -> Vec<&'a Seen> {
        seen.iter()
            .filter(|it| it.pending().is_some() && it.hold.is_none() && it.watched.write == WriteMode::Commit)
            .filter(|it| !self.is_refused(it))
            // What cannot lead is not followed.
            .filter(|it| !seen.iter().any(|other| self.is_refused(other) && it.watched.follows(&other.watched)))
            .collect()
    }

    /// Whether the pin cannot be edited as it is.
    fn is_refused(&self, seen: &Seen) -> bool {
        self.refused.get(&seen.watched.name()) == Some(&refusal_key(seen))
    }

    /// Whether the server refused the credentials at the last push.
    pub fn was_refused(&self) -> bool {
        self.credentials_refused
    }

    async fn write(
        &mut self,
        context: &Context,
        snapshot: &Arc<Snapshot>,
        remote: &Arc<Mutex<Remote>>,
        wanted: &[&Seen],
    ) -> Written {
        let key = match &self.config.commit.signing_key {
            None => None,
            Some(secret) => match signing_key(secret, context).await {
                Ok(key) => Some(key),
                Err(reason) => return Written::Failed(format!("nothing is written unsigned: {reason}")),
            },
        };
        let moves: Vec<(String, String, String, Bump)> = wanted.iter().filter_map(|it| move_of(it)).collect();
        let (base, remote, config) = (snapshot.commit.clone(), remote.clone(), self.config.clone());
        let now = jiff::Timestamp::now().as_second();
        let written = tokio::task::spawn_blocking(move || {
            let mut remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
            commit(&mut remote, &base, &moves, &config, key.as_ref(), now)
        });
        match written.await {
            Err(error) => Written::Failed(error.to_string()),
            Ok((refused, result)) => {
                let has_refused = !refused.is_empty();
                for (name, reason) in refused {
                    if let Some(seen) = wanted.iter().find(|it| it.watched.name() == name) {
                        self.refused.insert(name.clone(), refusal_key(seen));
                    }
                    tracing::warn!(source = self.config.source, pin = name, reason, "the pin cannot be edited");
                    self.uneditable = Some(format!("{name}: {reason}"));
                }
                self.credentials_refused = matches!(result, Err(PushError::Git(GitError::Refused { .. })));
                match result {
                    Ok(None) if has_refused => Written::Again,
                    Ok(None) => Written::Nothing,
                    Ok(Some((tip, bumps))) => {
                        let commit = tip.commit.clone();
                        tell(
                            context,
                            Event::Bumped {
                                source: self.config.source.clone(),
                                commit,
                                summary: tip.summary.clone(),
                                bumps,
                            },
                        );
                        Written::Done(tip)
                    }
                    Err(PushError::Moved { .. }) => Written::Moved,
                    Err(error) => Written::Failed(error.to_string()),
                }
            }
        }
    }

    /// Leaves what was seen on the board, and tells what changed.
    fn report(&mut self, context: &Context, seen: &[Seen], problem: Option<String>) {
        let states: Vec<ImageState> = seen
            .iter()
            .map(|it| {
                let mut state = ImageState::of(it);
                if self.is_refused(it) {
                    state.standing = super::Standing::Unknown;
                    state.text = format!("{}, but the pin cannot be edited: see the log", state.text);
                }
                state
            })
            .collect();
        // What was refused counts as long as the pin is what it was.
        let open = seen.iter().any(|it| self.is_refused(it));
        let problem = problem.or_else(|| self.uneditable.clone().filter(|_| open));
        self.say(context, problem);
        let before =
            context.board.update(self.config.index, |source| std::mem::replace(&mut source.images, states.clone()));
        for state in states.iter().filter(|state| state.standing == super::Standing::Held) {
            let was = before.iter().find(|other| other.name() == state.name()).and_then(|other| other.hold.as_ref());
            if was != state.hold.as_ref() {
                let (source, pin, text) = (self.config.source.clone(), state.name(), state.text.clone());
                tell(context, Event::Held { source, pin, text });
            }
        }
    }

    fn say(&mut self, context: &Context, problem: Option<String>) {
        context.board.update(self.config.index, |source| source.write_back.clone_from(&problem));
        if problem != self.problem
            && let Some(reason) = &problem
        {
            tell(context, Event::NotWritten { source: self.config.source.clone(), reason: reason.clone() });
        }
        self.problem = problem;
    }

    /// Deletes the messages whose effect is there: the repository was read since, and nothing of it is still to be
    /// written.
    async fn acknowledge(&self, context: &Context, seen: &[Seen], wanted: &[&Seen]) {
        let open: BTreeSet<&Place> = wanted.iter().flat_map(|it| &it.places).collect();
        let places: BTreeSet<Place> = seen.iter().flat_map(|it| &it.places).cloned().collect();
        let done = |place: &Place, push: u64| {
            let mut mine = seen.iter().filter(|it| it.places.contains(place));
            !open.contains(place)
                && mine.all(|it| {
                    let at = it.places.iter().position(|other| other == place);
                    let listing = at.and_then(|at| it.listings.get(at));
                    !matches!(it.outcome, Outcome::Unknown(_)) && listing.is_some_and(|listing| listing.is_after(push))
                })
        };
        for (queue, message) in context.doorbell.done(self.config.index, places, done) {
            let region = queue.region.clone().unwrap_or_else(|| context.accounts.region());
            let clients = context.accounts.clients(&queue.account, &region).await;
            if let Err(error) = clients.delete(&queue, &message).await {
                tracing::debug!(%error, "a message could not be deleted; it comes again");
            }
        }
    }
}

impl Seen {
    fn pin(&self) -> String {
        self.pending().map(|moved| moved.pin.clone()).unwrap_or_default()
    }
}

/// What an edit that was refused was for: it is tried again when either changes.
fn refusal_key(seen: &Seen) -> String {
    format!("{} {:?} {}", seen.watched.file, seen.watched.pin, seen.pin())
}

async fn signing_key(secret: &SecretRef, context: &Context) -> Result<SigningKey, String> {
    SigningKey::parse(&resolve_secret(secret, &context.accounts).await?)
}

/// File, container, pin and bump of a pin that is moved.
fn move_of(seen: &Seen) -> Option<(String, String, String, Bump)> {
    let moved = seen.pending()?;
    Some((seen.watched.file.clone(), seen.watched.container.clone(), moved.pin.clone(), bump_of(seen)?))
}

/// What a commit says of a pin that is moved.
pub fn bump_of(seen: &Seen) -> Option<Bump> {
    let moved = seen.pending()?;
    let watched = &seen.watched;
    let new = ImageReference::parse(&pins::apply(&watched.current().repository, &moved.pin));
    Some(Bump {
        environment: watched.environment.clone(),
        service: watched.service.clone(),
        container: watched.container.clone(),
        old: watched.current().clone(),
        old_pin: watched.pin.clone(),
        new_pin: moved.pin.clone(),
        new,
        pushed_at: moved.pushed_at.map(time_text),
        labels: moved.labels.clone(),
    })
}

type Committed = Result<Option<(Tip, Vec<String>)>, PushError>;

/// Edits the files of a commit and pushes the result. Answers the pins that could not be edited as well.
fn commit(
    remote: &mut Remote,
    base: &str,
    moves: &[(String, String, String, Bump)],
    config: &UpdaterConfig,
    key: Option<&SigningKey>,
    now: i64,
) -> (Vec<(String, String)>, Committed) {
    let mut files: BTreeMap<&str, (Option<Vec<u8>>, String)> = BTreeMap::new();
    let (mut refused, mut bumps) = (Vec::new(), Vec::new());
    for (file, container, pin, bump) in moves {
        if !files.contains_key(file.as_str()) {
            let content = match remote.file_of(base, file) {
                Ok(content) => content,
                Err(error) => return (refused, Err(error.into())),
            };
            let text = String::from_utf8(content.clone().unwrap_or_default());
            match text {
                Ok(text) => {
                    files.insert(file, (content, text));
                }
                Err(_) => {
                    refused.push((bump.name(), format!("{file} is not UTF-8 text")));
                    continue;
                }
            }
        }
        let Some((_, text)) = files.get_mut(file.as_str()) else { continue };
        match set_pin(text, container, pin) {
            Ok(edited) if edited == *text => {
                let reason = "the pin says that already; something after the pins decides the image, a patch perhaps";
                refused.push((bump.name(), reason.to_owned()));
            }
            Ok(edited) => {
                *text = edited;
                bumps.push(bump.clone());
            }
            Err(error) => refused.push((bump.name(), error.to_string())),
        }
    }
    let edits: Vec<FileEdit> = files
        .into_iter()
        .filter(|(_, (before, text))| before.as_deref() != Some(text.as_bytes()))
        .filter(|(_, (before, text))| before.is_some() || !text.is_empty())
        .map(|(path, (_, text))| FileEdit { path: path.to_owned(), content: text.into_bytes() })
        .collect();
    // Others may follow what cannot be edited: it is decided again without it.
    if edits.is_empty() || !refused.is_empty() {
        return (refused, Ok(None));
    }
    let message = BumpMessage { bumps: &bumps, source: &config.source }.render(&config.commit.template);
    let new = NewCommit {
        edits: &edits,
        message: &message,
        author: &config.commit.author,
        committer: &config.commit.committer,
        at: now,
        key,
    };
    let told = bumps.iter().map(lockstep_core::images::trailer_of).collect();
    let result = remote.tip_at(base).map_err(PushError::from).and_then(|base| remote.commit(&base, &new));
    (refused, result.map(|tip| Some((tip, told))))
}
