//! One source's image updates: look, wait for the window, edit, commit, push; and again on the new tip when somebody
//! else was faster.

use super::{
    bumps::move_of,
    history::Histories,
    look::{Patience, PinReader},
    memory::Memory,
    registries::Place,
    seen::{PinOutcome, Seen},
    shared::Shared,
    state::state_of,
    watched::{Watched, watched},
};
use crate::{
    config::{CommitConfig, ImagesConfig},
    git::{PushError, Remote, SigningKey, Tip},
    permit::{Actor, Gate, ImageChange, Intent},
    reconcile::{Branch, Context, Snapshot},
    writeback::{self, FileChange, Offer, PendingWrites, PinMove, Refused as Uneditable, WriteQueue},
};
use lockstep_core::allow::Allow;
use lockstep_core::event::{Subject, What};
use lockstep_core::images::{BumpMessage, PinChange, trailer_of};
use lockstep_core::state::{ImageState, Standing};
use lockstep_manifests::updates::WriteMode;
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
/// A push that takes longer is told of.
const SLOW: Duration = Duration::from_secs(5);
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
    shared: Arc<Shared>,
    write_queue: WriteQueue,
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
    /// A push failed, and nobody asked yet.
    push_failed: bool,
    /// Pins that could not be edited, each with what the edit was for.
    refused: BTreeMap<String, Refused>,
}

/// What a commit states about pins, found once.
struct Stated {
    snapshot: Arc<Snapshot>,
    watched: Arc<Vec<Watched>>,
    changes: Arc<BTreeMap<String, PinChange>>,
}

/// An edit that was refused.
struct Refused {
    /// What it was for.
    of: String,
    reason: String,
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
    /// An updater that has seen nothing yet. What it writes is laid on the write_queue of its branch.
    pub fn new(config: UpdaterConfig, shared: Arc<Shared>, write_queue: WriteQueue) -> Self {
        Self {
            config,
            histories: Arc::default(),
            memory: Memory::default(),
            shared,
            write_queue,
            stated: None,
            pushes: 0,
            next: None,
            failures: 0,
            not_before: None,
            failure: None,
            problem: None,
            uneditable: None,
            push_failed: false,
            refused: BTreeMap::new(),
        }
    }

    /// Hears when there may be something new before its time.
    pub fn listener(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.push_events.listener()
    }

    /// Looks at all pins where something may have changed since the last look, and writes what is due. Answers whether
    /// the branch was moved, and how long until the next look.
    pub async fn round(&mut self, context: &Arc<Context>, branch: &Branch) -> (bool, Option<Duration>) {
        let now = Instant::now();
        let pushes = self.shared.registries.pushes();
        let is_same = match (&self.stated, branch.snapshot()) {
            (Some(stated), Some(snapshot)) => Arc::ptr_eq(&stated.snapshot, &snapshot),
            _ => false,
        };
        if is_same && pushes == self.pushes && self.next.is_none_or(|next| next > now) {
            return (false, self.next.map(|next| next - now));
        }
        self.pushes = pushes;
        let (moved, pause) = self.look_and_write(context, branch).await;
        self.next = pause.map(|pause| Instant::now() + pause);
        (moved, pause)
    }

    async fn look_and_write(&mut self, context: &Arc<Context>, branch: &Branch) -> (bool, Option<Duration>) {
        let mut moved = false;
        for attempt in 0..ATTEMPTS {
            let Some((snapshot, remote)) = branch.snapshot().zip(branch.remote()) else {
                return (moved, None);
            };
            let Some(seen) = self.look(context, &snapshot, &remote).await else {
                self.write_queue.lock().await.put(&self.config.source, None, Instant::now());
                return (moved, Some(self.config.images.interval));
            };
            let wanted = self.wanted(&seen);
            let mut pending = self.write_queue.lock().await;
            pending.put(&self.config.source, self.offer(&snapshot, &wanted), Instant::now());
            let due = pending.due(self.config.images.quiet, self.config.images.at_most).filter(|_| !wanted.is_empty());
            let Some(due) = due.map(|due| self.not_before.map_or(due, |not_before| due.max(not_before))) else {
                drop(pending);
                self.succeeded();
                self.report(context, &seen, None);
                self.acknowledge(context, &seen, &wanted).await;
                return (moved, (!seen.is_empty()).then_some(self.config.images.interval));
            };
            let now = Instant::now();
            let is_past = pending.is_past(&self.config.source, &snapshot.commit);
            if due > now && !is_past {
                drop(pending);
                // What failed is in the way until it was tried again.
                let failure = self.failure.clone();
                self.report(context, &seen, failure);
                self.acknowledge(context, &seen, &wanted).await;
                return (moved, Some((due - now).min(self.config.images.interval)));
            }
            let written = match is_past {
                true => Written::Moved,
                false => self.write(context, &snapshot, &remote, &wanted, &mut pending).await,
            };
            drop(pending);
            match written {
                Written::Done(tip) => {
                    moved = true;
                    self.succeeded();
                    tracing::debug!(source = self.config.source, commit = tip.commit, "the branch was moved");
                }
                Written::Nothing => {
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
                    let _ = branch.refresh(context).await;
                    return (moved, Some(pause));
                }
            }
            if branch.refresh(context).await.is_err() {
                return (moved, Some(PAUSE));
            }
        }
        (moved, Some(PAUSE))
    }

    /// What is laid on the write_queue.
    fn offer(&self, snapshot: &Snapshot, wanted: &[&Seen]) -> Option<Offer> {
        let moves: Vec<PinMove> = wanted.iter().filter_map(|it| move_of(it)).collect();
        let offer = Offer { base: snapshot.commit.clone(), commit: self.config.commit.clone(), moves };
        (!offer.moves.is_empty()).then_some(offer)
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
        context: &Arc<Context>,
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
        let eyes = PinReader {
            accounts: &context.accounts,
            registries: &self.shared.registries,
            allow: &self.config.allow,
            snapshot,
            age: self.config.images.interval,
            keep_rules: false,
            memory: Some(&self.memory),
            patience: Some(Patience { context, shared: &self.shared }),
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
        self.refusal(seen).is_some()
    }

    fn refusal(&self, seen: &Seen) -> Option<&str> {
        let refused = self.refused.get(&seen.watched.name())?;
        (refused.of == refusal_key(seen)).then_some(refused.reason.as_str())
    }

    /// Whether a push failed since this was asked last, for another reason than that somebody was faster.
    pub fn has_failed(&mut self) -> bool {
        std::mem::take(&mut self.push_failed)
    }

    /// What is in the way of writing.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    async fn write(
        &mut self,
        context: &Arc<Context>,
        snapshot: &Arc<Snapshot>,
        remote: &Arc<Mutex<Remote>>,
        wanted: &[&Seen],
        pending: &mut PendingWrites,
    ) -> Written {
        let key = match writeback::signing_key(&self.config.commit, &context.accounts).await {
            Ok(key) => key,
            Err(reason) => return Written::Failed(format!("nothing is written unsigned: {reason}")),
        };
        let sources = pending.together(&self.config.source);
        let (base, remote, config) = (snapshot.commit.clone(), remote.clone(), self.config.commit.clone());
        let of = context.clone();
        let mut writing = tokio::task::spawn_blocking(move || {
            let mut remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
            let (refused, result) = commit(&mut remote, &base, &sources, &config, key.as_ref(), &of.gate);
            (sources, refused, result)
        });
        let written = match tokio::time::timeout(SLOW, &mut writing).await {
            Ok(written) => written,
            Err(_) => {
                let reason = format!("the push has not been answered for {} s; waiting for it", SLOW.as_secs());
                self.say(context, Some(reason));
                writing.await
            }
        };
        match written {
            Err(error) => Written::Failed(error.to_string()),
            Ok((sources, refused, result)) => {
                let now = Instant::now();
                let has_refused = !refused.is_empty();
                for (name, reason) in refused {
                    let Some(seen) = wanted.iter().find(|it| it.watched.name() == name) else {
                        // Another source's: it will see for itself.
                        let owner = sources.iter().find(|(_, moves)| moves.iter().any(|it| it.bump.name() == name));
                        owner.into_iter().for_each(|(owner, _)| pending.put(owner, None, now));
                        continue;
                    };
                    self.refused.insert(name.clone(), Refused { of: refusal_key(seen), reason: reason.clone() });
                    tracing::warn!(source = self.config.source, pin = name, reason, "the pin cannot be edited");
                    self.uneditable = Some(format!("{name}: {reason}"));
                }
                self.push_failed = matches!(&result, Err(error) if !matches!(error, PushError::Moved { .. }));
                match result {
                    Ok(None) if has_refused => Written::Again,
                    Ok(None) => {
                        pending.put(&self.config.source, None, now);
                        Written::Nothing
                    }
                    Ok(Some(tip)) => {
                        pending.wrote(&self.config.source, &sources, &snapshot.commit, now);
                        for (source, moves) in sources {
                            let bumps = moves.iter().map(|it| trailer_of(&it.bump)).collect();
                            let of = Subject { commit: tip.commit.clone(), ..Subject::source(&source) };
                            context.tell_now(of, What::Bumped { summary: tip.summary.clone(), bumps });
                        }
                        Written::Done(tip)
                    }
                    Err(PushError::Moved { .. }) => Written::Moved,
                    Err(error) => Written::Failed(error.to_string()),
                }
            }
        }
    }

    /// Leaves what was seen on the board, and tells what changed.
    fn report(&mut self, context: &Arc<Context>, seen: &[Seen], problem: Option<String>) {
        let states: Vec<ImageState> = seen
            .iter()
            .map(|it| {
                let mut state = state_of(it);
                if let Some(reason) = self.refusal(it) {
                    state.standing = Standing::Unknown;
                    state.text = format!("{}, but the pin cannot be edited: {reason}", state.text);
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
        for state in states.iter().filter(|state| state.standing == Standing::Held) {
            let was = before.iter().find(|other| other.name() == state.name()).and_then(|other| other.hold.as_ref());
            if was != state.hold.as_ref() {
                let what = What::Held { pin: state.name(), text: state.text.clone() };
                context.tell_now(Subject::source(&self.config.source), what);
            }
        }
    }

    fn say(&mut self, context: &Arc<Context>, problem: Option<String>) {
        context.board.update(self.config.index, |source| source.write_back.clone_from(&problem));
        if problem != self.problem
            && let Some(reason) = &problem
        {
            context.tell_now(Subject::source(&self.config.source), What::NotWritten { reason: reason.clone() });
        }
        self.problem = problem;
    }

    /// Deletes the messages whose effect is there: the repository was read since, and nothing of it is still to be
    /// written.
    async fn acknowledge(&self, context: &Arc<Context>, seen: &[Seen], wanted: &[&Seen]) {
        let mut open: BTreeSet<&Place> = wanted.iter().flat_map(|it| &it.places).collect();
        open.extend(seen.iter().flat_map(|it| &it.lagging).map(|(place, _)| place));
        let places: BTreeSet<Place> = seen.iter().flat_map(|it| &it.places).cloned().collect();
        let done = |place: &Place, push: u64| {
            let mut mine = seen.iter().filter(|it| it.places.contains(place));
            !open.contains(place)
                && mine.all(|it| {
                    let at = it.places.iter().position(|other| other == place);
                    let listing = at.and_then(|at| it.listings.get(at));
                    !matches!(it.outcome, PinOutcome::Unknown(_))
                        && listing.is_some_and(|listing| listing.is_after(push))
                })
        };
        for (queue, message) in self.shared.push_events.done(self.config.index, places, done) {
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

/// Edits the files of a commit for the moves of some sources, and pushes the result. Answers the new tip; none where
/// nothing was written, because there was nothing to write or a pin could not be edited.
fn commit(
    remote: &mut Remote,
    base: &str,
    sources: &[(String, Vec<PinMove>)],
    config: &CommitConfig,
    key: Option<&SigningKey>,
    gate: &Gate,
) -> (Uneditable, Result<Option<Tip>, PushError>) {
    let moves = sources.iter().flat_map(|(_, moves)| moves);
    let (edits, bumps, refused) = match writeback::edit(remote, base, moves) {
        Ok(edited) => edited,
        Err(error) => return (Vec::new(), Err(error.into())),
    };
    // Others may follow what cannot be edited: it is decided again without it.
    if edits.is_empty() || !refused.is_empty() {
        return (refused, Ok(None));
    }
    let names: Vec<&str> = sources.iter().map(|(name, _)| name.as_str()).collect();
    let message = BumpMessage { bumps: &bumps, sources: &names }.render(&config.template);
    let images = bumps.iter().map(|bump| ImageChange {
        container: bump.name(),
        from: Some(bump.old.to_string()),
        to: Some(bump.new.to_string()),
    });
    let intent = Intent {
        actor: Actor::agent(&config.author.name),
        trigger: "images".to_owned(),
        source: names.join(", "),
        branch: remote.branch().to_owned(),
        images: images.collect(),
        ..Intent::default()
    };
    let change = FileChange { base, edits: &edits, message: &message, config, key };
    (refused, writeback::push(remote, &change, gate, intent).map(Some))
}
