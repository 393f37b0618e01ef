//! One service in a round: ask what the planner needs to know, act on its orders, and say what became of it.

use super::{
    Context, Orders,
    act::Setback,
    cluster::ClusterTags,
    commits::{ChangedBy, Commits},
    follow::Failure,
    lookout::Lookout,
};
use crate::cache::Memory;
use crate::{aws::Clients, config::Allow};
use lockstep_core::state::{Axes, ServiceState};
use lockstep_core::{
    compare::diff::Change,
    fleet::brake::Brake,
    observed::{LiveService, Observation, Presence, Reading, Revision, runs},
    report::{ActionKind, Health, Reason, ServicePlan, SyncStatus, Verdict, Withheld},
    service::{
        drift,
        lint::{Subject, lint},
        plan::{Outcome, Surroundings, Wait, plan_service},
    },
    stated::identity::{self, OWN_TAGS, content_hash},
};
use lockstep_manifests::{Desired, Environment};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Seconds for which a service that was healed counts among those that differ without an explanation.
const RECENT: i64 = 600;
/// Seconds between two looks for something that a deployment failed for.
const LOOK_AGAIN: i64 = 60;
/// How long the newest revision of a family is taken for the newest before something is written.
const FRESH: Duration = Duration::from_secs(60);

/// What a worker remembers of a service between rounds. Everything in it can be found out again.
#[derive(Default)]
pub(super) struct Track {
    /// The hash of the desired state that was planned last.
    pub hash: String,
    /// The hash of the desired state that was there when this process looked first.
    pub found: String,
    /// When it was observed.
    pub observed_at: Option<Instant>,
    /// What was reported.
    pub state: Option<ServiceState>,
    /// The hash of the desired state that was deployed last.
    pub deployed: Option<String>,
    /// A desired state that came while this process looked: a commit, or a parameter, explains it.
    pub changed: Option<String>,
    /// When drift was healed last, epoch seconds.
    pub healed_at: Option<i64>,
    pub(super) fingerprint: Option<u64>,
    pub(super) started: Option<Started>,
    /// The last write, until AWS shows it.
    pub(super) written: Option<Written>,
    pub(super) verdict: Option<(String, Verdict, i64)>,
    pub(super) failures: u32,
    /// No write before then, epoch seconds of AWS's clock: one failed.
    pub(super) not_before: Option<i64>,
    /// Why nothing is written until then.
    pub(super) setback: Option<Setback>,
    /// Whether a person's order to try a rejected state once more was carried out: it is for one write.
    pub(super) retried: bool,
    /// The family's newest revision, as it was read last.
    pub(super) newest: Option<Newest>,
    /// The moment of the newest event of ECS that was told of, epoch seconds.
    pub(super) told_until: Option<i64>,
    /// The versions of the parameters that were bound when it was last as declared.
    pub(super) parameters: Option<BTreeMap<String, u64>>,
    /// The ECS service's name, as it was declared last.
    pub(super) ecs_name: String,
    /// The first failure of the rollout that is under way.
    pub(super) failure: Option<Failure>,
    /// The commit that last changed it.
    pub(super) changed_by: ChangedBy,
    /// What the last look for something that a deployment failed for has shown: of which state, when, and what.
    looked_for: Option<(String, i64, Presence)>,
    /// The state whose images the environment's own registries have shown.
    pub(super) shown: Option<String>,
    /// Of which state they have not, when that was asked, and why.
    pub(super) not_shown: Option<(String, i64, String)>,
    memory: Option<Memory>,
    kept: Memory,
}

/// A write of ours that starts a deployment.
pub(super) struct Started {
    pub before: Option<String>,
    pub at: Instant,
}

/// A write that AWS accepted, and what was seen of the service before it. AWS's answers may be older than the write.
pub(super) struct Written {
    hash: String,
    before: Option<LiveService>,
    actions: Vec<(ActionKind, Vec<Change>)>,
    times: u32,
    at: i64,
}

/// Seconds for which the same is not written again while AWS shows what it showed before; twice as long each time.
const NOT_SHOWN: i64 = 15;
const NOT_SHOWN_AT_MOST: i64 = 600;

impl Written {
    /// Until when the same is not written again, epoch seconds.
    fn until(&self) -> i64 {
        self.at.saturating_add((NOT_SHOWN << self.times.min(10)).min(NOT_SHOWN_AT_MOST))
    }
}

/// What a plan does, without the commit that it is for.
fn actions_of(plan: &ServicePlan) -> Vec<(ActionKind, Vec<Change>)> {
    plan.actions.iter().map(|action| (action.kind, action.changes.clone())).collect()
}

/// The newest revision of a family, as it was read.
pub(super) struct Newest {
    family: String,
    reading: Reading<Revision>,
    at: Instant,
}

impl Newest {
    /// `family:revision`.
    pub(super) fn revision(&self) -> Option<String> {
        self.reading.found().map(|revision| short(&revision.arn))
    }
}

/// A plan, with what it was made from.
pub(super) struct Prepared {
    /// The plan.
    pub plan: ServicePlan,
    observed: Observation,
}

impl Track {
    /// What was reported, where nothing was to be done and nothing changed since: planning again would say the same.
    pub(super) fn at_rest(&self, hash: &str, fingerprint: Option<u64>) -> Option<ServiceState> {
        let state = self.state.as_ref()?;
        let quiet = self.hash == hash
            && self.started.is_none()
            && state.plan.sync == SyncStatus::Synced
            && state.plan.verdict == Some(Verdict::Deployed)
            && state.plan.actions.is_empty()
            && state.plan.withheld.iter().all(|withheld| withheld.reason.is_remark());
        (quiet && fingerprint.is_some() && self.fingerprint == fingerprint).then(|| state.clone())
    }

    /// Whether a desired state came while this process looked, so that a commit or a parameter explains it.
    pub(super) fn is_explained(&self, hash: &str) -> bool {
        self.changed.as_deref() == Some(hash) || (!self.hash.is_empty() && self.hash != hash)
    }

    /// Whether a rollout is followed.
    pub(super) fn follows(&self) -> bool {
        let verdict = self.state.as_ref().and_then(|state| state.plan.verdict);
        self.started.is_some() || matches!(verdict, Some(Verdict::Progressing | Verdict::Stalled))
    }

    /// Whether something is under way that should be looked at soon.
    pub(super) fn is_open(&self) -> bool {
        self.started.is_some()
            || self.state.as_ref().is_some_and(|state| {
                matches!(state.plan.verdict, Some(Verdict::Progressing | Verdict::Pending | Verdict::Stalled))
                    && !state.plan.is_held()
            })
    }

    /// Whether drift of it counts among what is healed without a person: held for that, or healed a moment ago.
    pub(super) fn counts_as_healed(&self, now: i64) -> bool {
        let held = self.state.as_ref().is_some_and(|state| state.plan.is_withheld_for(Reason::Unexplained));
        held || self.healed_at.is_some_and(|at| now - at < RECENT)
    }

    /// Keeps axes that were found without a look at the service.
    pub(super) fn note_axes(&mut self, axes: &Axes) {
        if let Some(memory) = &mut self.memory {
            memory.axes.clone_from(axes);
        }
    }

    /// A deployment is started: what the one before failed for is another matter.
    pub(super) fn forget_absent(&mut self) {
        self.looked_for = None;
        self.memory().absent = None;
    }

    /// What is remembered over a restart.
    pub(super) fn memory(&mut self) -> &mut Memory {
        self.memory.get_or_insert_default()
    }
}

/// What was seen of environments that others wait for, by their names.
pub(super) type Others = BTreeMap<String, Vec<ServiceState>>;

/// What is common to the services of a round.
pub(super) struct Round<'a> {
    /// The agent's parts.
    pub context: &'a Context,
    /// The clients of the environment's account and region.
    pub clients: &'a Clients,
    /// The environment.
    pub environment: &'a Environment,
    /// The source's id.
    pub source: &'a str,
    /// The commit.
    pub commit: &'a str,
    /// The commit whose history tells what was declared before.
    pub base: &'a str,
    /// Services for which nothing is created: nobody has said where they are to be.
    pub not_created: BTreeSet<String>,
    /// When it was made, epoch seconds; 0 where nobody knows.
    pub committed_at: i64,
    /// The commits that last changed each service.
    pub history: &'a Commits,
    /// What the source may reach.
    pub allow: &'a Allow,
    /// What was ordered.
    pub orders: &'a Orders,
    /// What was seen of environments that are only looked at.
    pub others: &'a Others,
    /// Whether anything may be written.
    pub may_write: bool,
    /// When the round should be over: what is not done by then is left to the next one, so that what was started is
    /// followed and reported meanwhile.
    pub until: Instant,
    /// When the services were read.
    pub read_at: Instant,
    /// Where services that are about to be written are looked at once more.
    pub lookout: Lookout,
    /// What the cluster's tags say.
    pub cluster: ClusterTags,
    /// The environment's rollouts.
    pub brake: Mutex<Brake>,
    /// More services than may be healed differ without a commit or a parameter: how many.
    pub unexplained: Option<usize>,
    /// Whether the files of every service could be bound: if not, nobody knows all names that are declared.
    pub all_bound: bool,
}

impl Round<'_> {
    pub(super) fn brake(&self) -> MutexGuard<'_, Brake> {
        self.brake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a service is among what was ordered. What it waits for is looked at too, and never written.
    pub(super) fn is_meant(&self, service: &str) -> bool {
        !self.orders.only_looks && self.orders.covers(service)
    }

    /// Plans one service, acts, and reports.
    pub(super) async fn service(
        &self,
        desired: &Desired,
        hash: &str,
        live: Reading<LiveService>,
        waiting: Option<Wait>,
        prepared: Option<Prepared>,
        track: &mut Track,
    ) -> ServiceState {
        let may_write = self.may_write && self.is_meant(&desired.name);
        if Instant::now() > self.until && may_write {
            return self.later(desired, hash, track);
        }
        self.recall(desired, track);
        desired.service_name.clone_into(&mut track.ecs_name);
        track.changed_by.look(self.history, desired, hash);
        if !track.hash.is_empty() && track.hash != hash {
            // What was deployed before is not: a revert is a change, and no drift.
            track.deployed = None;
            track.changed = Some(hash.to_owned());
            track.memory().drift.turn_to(hash);
        }
        // A person's order tries once more, and then keeps to the pauses like everybody else.
        if track.hash != hash || self.orders.begins {
            track.failures = 0;
            track.not_before = None;
            track.setback = None;
        }
        if track.found.is_empty() {
            hash.clone_into(&mut track.found);
        }
        let fingerprint = fingerprint(&live, waiting.as_ref());
        let ordered = self.orders.restart.is_some() || self.cluster.pause().found().is_some();
        if let Some(state) = track.at_rest(hash, fingerprint).filter(|_| !ordered) {
            let (planned_for, commit) = (self.commit.to_owned(), track.changed_by.commit.clone());
            let mut state = ServiceState { planned_for, commit, observed_at: self.now_text(), ..state };
            self.turn_axes(&mut state, track);
            track.observed_at = Some(Instant::now());
            track.state = Some(state.clone());
            return state;
        }
        track.fingerprint = fingerprint;
        hash.clone_into(&mut track.hash);
        track.observed_at = Some(Instant::now());
        let mut unexplained = false;
        let mut plan = match self.not_shown_yet(desired, &live, track) {
            Some(plan) => plan,
            None => {
                let prepared = match prepared {
                    Some(prepared) => prepared,
                    None => self.prepare(desired, hash, &live, waiting.clone(), track).await,
                };
                unexplained = self.is_unexplained(hash, &prepared, track);
                self.with_holds(desired, hash, prepared, waiting, track).await
            }
        };
        // An error is no answer: the last verdict stays.
        if plan.sync == SyncStatus::Unknown
            && plan.verdict.is_none()
            && track.verdict.as_ref().is_some_and(|it| it.0 == hash)
        {
            plan.verdict = track.verdict.as_ref().map(|(_, verdict, _)| *verdict);
        }
        let mut note = String::new();
        if plan.verdict == Some(Verdict::Deployed) && track.started.is_some() {
            self.confirm(&mut plan, live.found());
        }
        if self.orders.adopt && self.orders.write {
            plan.actions.retain(|action| action.kind == ActionKind::AdoptService);
        }
        let subject = Subject { desired: Some(desired), ..self.subject(live.found()) };
        refuse_breaches(&mut plan, &subject);
        if plan.verdict == Some(Verdict::Rejected) {
            let since = plan.rejected_at.or_else(|| self.rejected_since(hash, live.found(), track));
            self.brake().note_rejected(&desired.service_name, since.unwrap_or_else(|| self.clients.now()));
        }
        // A service that is observed only narrows what its environment allows; a person's order writes all the same.
        let is_observed = desired.sync.observe && !self.orders.by_hand;
        if is_observed {
            let text = "the service is only observed (its `sync: { mode: observe }`)".to_owned();
            plan.withheld.push(Withheld { reason: Reason::Observe, text, changes: Vec::new() });
        }
        let waits = track.not_before.is_some_and(|at| self.clients.now() < at);
        let stopping = self.context.gate.is_stopping();
        if waits && !is_observed && !plan.actions.is_empty() {
            self.wait_for_next_attempt(&mut plan, track);
            note.clone_from(&track.state.as_ref().map(|state| state.note.clone()).unwrap_or_default());
        } else if may_write && !is_observed && !plan.actions.is_empty() && !stopping {
            self.hold(desired, hash, unexplained, &mut plan, track);
            self.wait_until_shown(hash, &live, &mut plan, track);
            if !plan.actions.is_empty() {
                let actions = actions_of(&plan);
                note = self.act(desired, hash, &live, &mut plan, track).await;
                if note.is_empty() || track.setback.is_some() {
                    track.written = None;
                } else {
                    self.note_written(hash, &live, actions, track);
                }
            }
        }
        if plan.sync == SyncStatus::Synced {
            track.memory().pending = None;
            track.memory().drift.settled(desired.service.get("desiredCount").and_then(serde_json::Value::as_i64));
            if track.parameters.as_ref() != Some(&desired.parameters) {
                self.context.cache.keep_parameters(&self.identity(desired), &desired.parameters);
                track.parameters = Some(desired.parameters.clone());
            }
        }
        self.follow(&mut plan, live.found(), track);
        self.tell_events(desired, live.found(), track);
        self.explain_stall(&mut plan, desired, hash, live.found(), track).await;
        self.report_failure(desired, &plan, live.found(), track);
        self.report_verdict(desired, hash, &plan, live.found(), track);
        let before = track.state.take().unwrap_or_else(|| ServiceState::unseen(plan.clone(), self.commit));
        let mut state = ServiceState {
            planned_for: self.commit.to_owned(),
            commit: track.changed_by.commit.clone(),
            note,
            plan,
            ..before
        };
        self.see(&mut state, &live, desired, track);
        self.turn_axes(&mut state, track);
        self.keep_memory(desired, track);
        track.state = Some(state.clone());
        state
    }

    /// Makes no write twice because an answer of AWS is older than the write.
    fn wait_until_shown(&self, hash: &str, live: &Reading<LiveService>, plan: &mut ServicePlan, track: &mut Track) {
        let is_as_before = |before: &Option<LiveService>| match (before, there(live)) {
            (Some(before), Some(live)) => before.is_as(live),
            (before, live) => before.is_none() && live.is_none(),
        };
        let same = |written: &&Written| {
            written.hash == hash && is_as_before(&written.before) && written.actions == actions_of(plan)
        };
        let Some(written) = track.written.as_ref().filter(same) else {
            track.written = None;
            return;
        };
        let (now, until) = (self.clients.now(), written.until());
        if now < until {
            let text = format!(
                "AWS accepted this write {}s ago and does not show it yet; written again in {}s if that lasts",
                now - written.at,
                until - now
            );
            plan.withhold_all(Reason::WaitingForAws, text);
            if plan.verdict != Some(Verdict::Rejected) {
                plan.verdict = Some(Verdict::Progressing);
            }
        }
    }

    fn note_written(
        &self,
        hash: &str,
        live: &Reading<LiveService>,
        actions: Vec<(ActionKind, Vec<Change>)>,
        track: &mut Track,
    ) {
        let times = track.written.as_ref().map_or(0, |before| before.times + 1);
        let (hash, before) = (hash.to_owned(), there(live).cloned());
        track.written = Some(Written { hash, before, actions, times, at: self.clients.now() });
    }

    /// The round took its time: this service's turn is in the next one.
    fn later(&self, desired: &Desired, hash: &str, track: &mut Track) -> ServiceState {
        track.observed_at = None;
        if let Some(state) = &track.state
            && track.hash == hash
            && state.plan.actions.is_empty()
        {
            return ServiceState { planned_for: self.commit.to_owned(), ..state.clone() };
        }
        let text = "queued: the agent has used its share of the API rate limits".to_owned();
        let mut plan = ServicePlan::withheld(&desired.name, SyncStatus::Unknown, Health::Unknown, Reason::Queued, text);
        plan.verdict = Some(Verdict::Pending);
        match track.state.clone() {
            Some(state) => ServiceState { plan: ServicePlan { health: state.plan.health, ..plan }, ..state },
            None => ServiceState::unseen(plan, self.commit),
        }
    }

    /// Loads what is remembered over a restart, once.
    fn recall(&self, desired: &Desired, track: &mut Track) {
        if track.memory.is_none() {
            let known = self.context.cache.memory(&self.identity(desired)).unwrap_or_default();
            track.kept.clone_from(&known);
            track.memory = Some(known);
        }
    }

    /// Writes it out where it changed in what must last: not for a good state that is merely seen again.
    fn keep_memory(&self, desired: &Desired, track: &mut Track) {
        let lasting = |memory: &Memory| {
            let mut memory = memory.clone();
            memory.axes.sync.last_good.clear();
            memory.axes.health.last_good.clear();
            memory
        };
        let memory = track.memory().clone();
        if lasting(&memory) != lasting(&track.kept) {
            self.context.cache.keep_memory(&self.identity(desired), &memory);
            track.kept = memory;
        }
    }

    fn turn_axes(&self, state: &mut ServiceState, track: &mut Track) {
        let now = self.now_text();
        let axes = &mut track.memory().axes;
        axes.turn(&state.plan, state.running.zip(state.desired_count), &now);
        state.axes = axes.clone();
    }

    /// Takes over what was observed of a service. What could not be read stays as it was seen last, with its time.
    fn see(&self, state: &mut ServiceState, live: &Reading<LiveService>, desired: &Desired, track: &Track) {
        if desired.ecs_service().is_none() {
            let Some(newest) = track.newest.as_ref().and_then(|newest| newest.reading.found()) else { return };
            state.images = runs::images_of(&newest.definition);
            state.revision = short(&newest.arn);
            self.seen(state, desired);
            return;
        }
        let (revision, counts) = match live {
            Reading::Found(live) if live.status != "INACTIVE" => {
                let known = self.context.cache.revision(&live.task_definition);
                state.images = known.map(|known| runs::images_of(&known.definition)).unwrap_or_default();
                (short(&live.task_definition), (live.running, live.desired))
            }
            Reading::Found(_) | Reading::Missing => {
                state.images.clear();
                (String::new(), (0, 0))
            }
            Reading::Failed(_) | Reading::Unread => return,
        };
        state.revision = revision;
        (state.running, state.desired_count) = (Some(counts.0), Some(counts.1));
        self.seen(state, desired);
    }

    fn seen(&self, state: &mut ServiceState, desired: &Desired) {
        state.observed_at = self.now_text();
        state.declared_images = runs::images_of(&desired.task_definition);
        if state.declared_images.iter().all(|image| state.images.contains(image)) {
            state.declared_images.clear();
        }
    }

    /// Asks the planner, and answers its questions until it has decided.
    pub(super) async fn prepare(
        &self,
        desired: &Desired,
        hash: &str,
        live: &Reading<LiveService>,
        waiting_for: Option<Wait>,
        track: &mut Track,
    ) -> Prepared {
        let cache = &self.context.cache;
        let mut observed = Observation { service: live.clone(), ..Observation::default() };
        cache.learn(hash, &[&desired.task_definition, &desired.service]);
        observed.known = cache.revision_of_content(&self.place(), &content_hash(&desired.task_definition));
        observed.cause =
            live.found().and_then(|live| cache.cause(&self.key(live, hash)).or_else(|| track.first_failure(live)));
        let family = desired.family();
        let known = track.newest.as_ref().filter(|newest| newest.family == family);
        let is_old = known.is_some_and(|newest| newest.at.elapsed() > FRESH);
        // Where no service runs it, the newest revision is all that there is to look at.
        let known = known.filter(|_| !is_old || desired.ecs_service().is_some());
        observed.newest = known.map(|newest| newest.reading.clone()).unwrap_or_default();
        if known.is_none() {
            track.newest = None;
        }
        let now = self.clients.now();
        observed.was_absent = track.memory().absent.as_deref() == Some(hash);
        let known = track.looked_for.as_ref().filter(|(of, at, _)| of == hash && now - at < LOOK_AGAIN);
        observed.presence = known.map(|(.., presence)| *presence);
        let is_new = known.is_none();
        let around = self.surroundings(desired, waiting_for, track);
        let mut plan = self.ask(desired, hash, &mut observed, &around).await;
        // What is only shown may be a little old; what is written may not.
        if is_old && self.may_write && !plan.actions.is_empty() {
            observed.newest = Reading::Unread;
            track.newest = None;
            plan = self.ask(desired, hash, &mut observed, &around).await;
        }
        let is_known = track.newest.as_ref().is_some_and(|newest| newest.family == family);
        if !is_known && matches!(observed.newest, Reading::Found(_) | Reading::Missing) {
            let (family, reading) = (family.to_owned(), observed.newest.clone());
            track.newest = Some(Newest { family, reading, at: Instant::now() });
        }
        if let Some(presence) = observed.presence.filter(|_| is_new) {
            track.looked_for = Some((hash.to_owned(), now, presence));
            if presence == Presence::Absent {
                track.memory().absent = Some(hash.to_owned());
            }
        }
        if let Some(live) = live.found() {
            track.note_failure(live, observed.cause.as_ref());
        }
        Prepared { plan, observed }
    }

    fn surroundings(&self, desired: &Desired, waiting_for: Option<Wait>, track: &mut Track) -> Surroundings<'_> {
        let cache = &self.context.cache;
        let identity = self.identity(desired);
        let before = track.parameters.get_or_insert_with(|| cache.parameters(&identity).unwrap_or_default());
        Surroundings {
            source: self.source,
            commit: self.commit,
            changed_by: track.changed_by.commit.clone(),
            may_adopt: self.allow.adopt || self.orders.by_hand,
            adopt_now: self.orders.adopt,
            waiting_for,
            retry: self.orders.retry && !track.retried,
            only_shown: !self.may_write,
            unpaused: self.orders.unpaused,
            restart: self.orders.restart.clone(),
            paused: self.cluster.pause(),
            now: self.clients.now(),
            not_created: self.not_created.contains(&desired.name),
            holds: BTreeMap::new(),
            parameters_before: before.clone(),
        }
    }

    async fn ask(
        &self,
        desired: &Desired,
        hash: &str,
        observed: &mut Observation,
        around: &Surroundings<'_>,
    ) -> ServicePlan {
        for _ in 0..8 {
            match plan_service(desired, observed, around) {
                Outcome::Planned(plan) => return *plan,
                Outcome::Needs(needs) => self.answer(needs, desired, hash, observed).await,
            }
        }
        let text = "the planner asked too many questions; this is a bug of Lockstep, please report it";
        ServicePlan::withheld(&desired.name, SyncStatus::Unknown, Health::Unknown, Reason::Unread, text)
    }

    /// The plan without what is not to be healed now: drift that is young, and fields that somebody else keeps changing.
    async fn with_holds(
        &self,
        desired: &Desired,
        hash: &str,
        prepared: Prepared,
        waiting: Option<Wait>,
        track: &mut Track,
    ) -> ServicePlan {
        let Prepared { plan, mut observed } = prepared;
        let is_drift = self.was_deployed(hash, observed.service.found(), track);
        if self.orders.by_hand || plan.sync == SyncStatus::Unknown {
            return plan;
        }
        let heal = self.environment.sync.heal_of(&desired.sync);
        let changes = drift_of(&plan);
        let look = drift::Look { desired: hash, changes: &changes, now: self.clients.now(), heal, is_drift };
        let holds = track.memory().drift.consider(&look);
        if holds.is_empty() {
            return plan;
        }
        let around = Surroundings { holds, ..self.surroundings(desired, waiting, track) };
        self.ask(desired, hash, &mut observed, &around).await
    }

    /// Whether this very state was deployed before. After a restart only the cache knows.
    pub(super) fn was_deployed(&self, hash: &str, live: Option<&LiveService>, track: &Track) -> bool {
        let cached = || live.and_then(|live| self.context.cache.verdict(&self.key(live, hash)));
        let registered = || track.memory.as_ref().and_then(|memory| memory.registered.as_deref());
        track.deployed.as_deref() == Some(hash)
            || registered() == Some(hash)
            || matches!(cached(), Some((Verdict::Deployed, _)))
    }

    /// Whether no commit and no parameter explains what is to be done.
    pub(super) fn is_unexplained(&self, hash: &str, prepared: &Prepared, track: &Track) -> bool {
        let Some(live) = prepared.observed.service.found() else { return false };
        if drift_of(&prepared.plan).is_empty() || !prepared.plan.causes.is_empty() {
            return false;
        }
        if self.was_deployed(hash, Some(live), track) {
            return true;
        }
        if track.deployed.is_some() || track.is_explained(hash) {
            return false;
        }
        // Nothing is remembered. The revision in use says what its content was when we registered it: where Git has
        // another one now, a commit changed it.
        let revision = prepared.observed.revision.found();
        let registered = revision.and_then(|revision| revision.tags.get(identity::HASH));
        let changes_definition =
            drift_of(&prepared.plan).iter().any(|change| change.path.starts_with("taskDefinition"));
        registered.is_none() || !changes_definition
    }

    /// What a plan is for, as the lint sees it.
    pub(super) fn subject<'s>(&'s self, live: Option<&'s LiveService>) -> Subject<'s> {
        let (environment, now) = (self.environment.name.as_str(), self.clients.now());
        Subject { desired: None, live, source: self.source, environment, declared: None, now }
    }

    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.environment.account, self.environment.region)
    }

    /// What a service is, whatever its state.
    pub(super) fn identity(&self, desired: &Desired) -> String {
        let place = self.place();
        match desired.ecs_service() {
            Some(name) => format!("{place}/{}/{name}", self.environment.cluster),
            None => format!("{place}/task-definition/{}", desired.family()),
        }
    }

    pub(super) fn key(&self, live: &LiveService, hash: &str) -> String {
        format!("{}|{hash}|{}", live.arn, live.current_deployment.as_deref().unwrap_or_default())
    }

    /// AWS's time, RFC 3339.
    pub(super) fn now_text(&self) -> String {
        jiff::Timestamp::from_second(self.clients.now()).map(|now| now.to_string()).unwrap_or_default()
    }
}

/// What a plan changes of a service that should be as it is, less our own bookkeeping.
pub(super) fn drift_of(plan: &ServicePlan) -> Vec<Change> {
    let heals = [ActionKind::RegisterTaskDefinition, ActionKind::UpdateService, ActionKind::TagService];
    plan.actions
        .iter()
        .filter(|action| heals.contains(&action.kind))
        .flat_map(|action| action.changes.clone())
        .filter(|change| change.path != "service.taskDefinition" && !change.path.contains(OWN_TAGS))
        .collect()
}

/// A plan that breaks an invariant is not carried out.
pub(super) fn refuse_breaches(plan: &mut ServicePlan, subject: &Subject<'_>) {
    let breaches = lint(plan, subject);
    let Some(breach) = breaches.first() else { return };
    tracing::error!(
        service = plan.name,
        number = breach.number,
        breach.text,
        "a plan breaks an invariant; it is not carried out"
    );
    let text = format!(
        "the plan breaks invariant {} ({}); this is a bug of Lockstep, please report it",
        breach.number, breach.text
    );
    plan.actions.clear();
    plan.withheld.push(Withheld { reason: Reason::Invalid, text, changes: Vec::new() });
}

/// A service that is there.
fn there(live: &Reading<LiveService>) -> Option<&LiveService> {
    live.found().filter(|live| live.status != "INACTIVE")
}

/// A number that changes when what was observed does.
pub(super) fn fingerprint(live: &Reading<LiveService>, waiting: Option<&Wait>) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    live.found()?.hash(&mut hasher);
    waiting.hash(&mut hasher);
    Some(hasher.finish())
}

/// `family:revision` of an ARN.
pub fn short(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or(arn).to_owned()
}
