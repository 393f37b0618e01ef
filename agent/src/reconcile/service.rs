//! One service in a round: ask what the planner needs to know, act on its orders, and say what became of it.

use super::{
    Context, Orders,
    board::ServiceState,
    environment::tell,
    event::{Event, Trigger},
};
use crate::{
    aws::{Clients, Remedy},
    config::Allow,
    execute::{Place, execute},
};
use lockstep_core::{
    identity::content_hash,
    lint::lint,
    observed::{LiveService, Observation, Reading},
    plan::{Outcome, Surroundings, plan_service},
    report::{ActionKind, Health, Order, Reason, ServicePlan, SyncStatus, Verdict, Withheld},
};
use lockstep_manifests::{Desired, Environment};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// How long reads may lag behind a write of ours before what they say is believed.
const STALE: Duration = Duration::from_secs(60);
/// How long a rollout may go without progress before it is called stalled.
const DEADLINE: Duration = Duration::from_secs(20 * 60);
/// Longest pause between two attempts of a write that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What a worker remembers of a service between rounds. Everything in it can be found out again.
#[derive(Default)]
pub(super) struct Track {
    /// The hash of the desired state that was planned last.
    pub hash: String,
    /// When it was observed.
    pub observed_at: Option<Instant>,
    /// What was reported.
    pub state: Option<ServiceState>,
    /// The hash of the desired state that was deployed last.
    pub deployed: Option<String>,
    fingerprint: Option<u64>,
    started: Option<Started>,
    verdict: Option<(String, Verdict)>,
    progress: Option<(String, Instant)>,
    failures: u32,
    not_before: Option<Instant>,
    /// The versions of the parameters that were bound when it was last as declared.
    parameters: Option<BTreeMap<String, u64>>,
}

/// A write of ours that starts a deployment.
struct Started {
    before: Option<String>,
    at: Instant,
}

impl Track {
    /// What was reported, where nothing was to be done and nothing changed since: planning again would say the same.
    fn at_rest(&self, hash: &str, fingerprint: Option<u64>) -> Option<ServiceState> {
        let state = self.state.as_ref()?;
        let quiet = self.hash == hash
            && self.started.is_none()
            && state.plan.sync == SyncStatus::Synced
            && state.plan.verdict == Some(Verdict::Deployed)
            && state.plan.actions.is_empty()
            && state.plan.withheld.is_empty();
        (quiet && fingerprint.is_some() && self.fingerprint == fingerprint).then(|| state.clone())
    }

    /// Whether something is under way that should be looked at soon.
    pub(super) fn is_open(&self) -> bool {
        self.started.is_some()
            || self
                .state
                .as_ref()
                .is_some_and(|state| matches!(state.plan.verdict, Some(Verdict::Progressing | Verdict::Pending)))
    }
}

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
    /// What the source may reach.
    pub allow: &'a Allow,
    /// What was ordered.
    pub orders: &'a Orders,
    /// Whether anything may be written.
    pub may_write: bool,
    /// When the round should be over: what is not done by then is left to the next one, so that what was started is
    /// followed and reported meanwhile.
    pub until: Instant,
}

impl Round<'_> {
    /// Plans one service, acts, and reports.
    pub(super) async fn service(
        &self,
        desired: &Desired,
        hash: &str,
        live: Reading<LiveService>,
        waiting: Option<String>,
        track: &mut Track,
    ) -> ServiceState {
        if Instant::now() > self.until && self.may_write {
            return self.later(desired, hash, track);
        }
        if track.hash != hash {
            track.failures = 0;
            track.not_before = None;
        }
        let fingerprint = fingerprint(&live, waiting.as_deref());
        if let Some(state) = track.at_rest(hash, fingerprint) {
            let state = ServiceState { commit: self.commit.to_owned(), observed_at: now(), ..state };
            track.observed_at = Some(Instant::now());
            track.state = Some(state.clone());
            return state;
        }
        track.fingerprint = fingerprint;
        hash.clone_into(&mut track.hash);
        track.observed_at = Some(Instant::now());
        let mut plan = match self.not_shown_yet(desired, &live, track) {
            Some(plan) => plan,
            None => {
                let identity = self.identity(desired);
                let cache = &self.context.cache;
                let before = track.parameters.get_or_insert_with(|| cache.parameters(&identity).unwrap_or_default());
                let before = before.clone();
                self.plan(desired, hash, &live, waiting, before).await
            }
        };
        let mut note = String::new();
        if plan.verdict == Some(Verdict::Deployed) && track.started.is_some() {
            self.confirm(&mut plan, live.found()).await;
        }
        if self.orders.adopt {
            plan.actions.retain(|action| action.kind == ActionKind::AdoptService);
        }
        let breaches = lint(&plan);
        if let Some(breach) = breaches.first() {
            tracing::error!(
                service = desired.name,
                number = breach.number,
                breach.text,
                "a plan breaks an invariant; it is not carried out"
            );
            let text =
                format!("the plan breaks invariant {} ({}); this is a bug of Lockstep", breach.number, breach.text);
            plan.actions.clear();
            plan.withheld.push(Withheld { reason: Reason::Invalid, text, changes: Vec::new() });
        }
        let waits = track.not_before.is_some_and(|at| Instant::now() < at) && !self.orders.by_hand;
        let stopping = self.context.stopping.load(std::sync::atomic::Ordering::Relaxed);
        if self.may_write && !plan.actions.is_empty() && !waits && !stopping {
            note = self.act(desired, hash, &live, &mut plan, track).await;
        } else if waits && let Some(state) = &track.state {
            note.clone_from(&state.note);
            let text = format!("{note}; tried again later");
            plan.withheld.push(Withheld { reason: Reason::Failed, text, changes: Vec::new() });
        }
        if plan.sync == SyncStatus::Synced && track.parameters.as_ref() != Some(&desired.parameters) {
            self.context.cache.keep_parameters(&self.identity(desired), &desired.parameters);
            track.parameters = Some(desired.parameters.clone());
        }
        self.follow(&mut plan, live.found(), track);
        self.report_verdict(desired, hash, &plan, live.found(), track);
        let state = ServiceState {
            revision: live.found().map(|live| short(&live.task_definition)).unwrap_or_default(),
            running: live.found().map_or(0, |live| live.running),
            desired_count: live.found().map_or(0, |live| live.desired),
            observed_at: now(),
            commit: self.commit.to_owned(),
            note,
            plan,
        };
        track.state = Some(state.clone());
        state
    }

    /// The round took its time: this service's turn is in the next one.
    fn later(&self, desired: &Desired, hash: &str, track: &mut Track) -> ServiceState {
        track.observed_at = None;
        if let Some(state) = &track.state
            && track.hash == hash
        {
            return ServiceState { commit: self.commit.to_owned(), ..state.clone() };
        }
        let text = "queued: the agent's share of the API rates is used up for now".to_owned();
        let mut plan = ServicePlan::withheld(&desired.name, SyncStatus::Unknown, Health::Unknown, Reason::Queued, text);
        plan.verdict = Some(Verdict::Pending);
        let empty = ServiceState {
            plan: plan.clone(),
            revision: String::new(),
            running: 0,
            desired_count: 0,
            observed_at: String::new(),
            commit: self.commit.to_owned(),
            note: String::new(),
        };
        let known = track.state.clone();
        known.map_or(empty, |state| ServiceState { plan: ServicePlan { health: state.plan.health, ..plan }, ..state })
    }

    /// Right after a write of ours, reads may show the state before it.
    fn not_shown_yet(&self, desired: &Desired, live: &Reading<LiveService>, track: &mut Track) -> Option<ServicePlan> {
        let started = track.started.as_ref()?;
        let current = match live {
            Reading::Found(live) => live.current_deployment.clone(),
            Reading::Missing => None,
            _ => return None,
        };
        let shows_deployments = live.found().is_none_or(|live| live.current_deployment.is_some());
        if current != started.before || !shows_deployments || started.at.elapsed() > STALE {
            return None;
        }
        let text = "waiting for ECS to show the deployment that was started".to_owned();
        let mut plan =
            ServicePlan::withheld(&desired.name, SyncStatus::OutOfSync, Health::Progressing, Reason::Waiting, text);
        plan.verdict = Some(Verdict::Progressing);
        Some(plan)
    }

    /// Asks the planner, and answers its questions until it has decided.
    async fn plan(
        &self,
        desired: &Desired,
        hash: &str,
        live: &Reading<LiveService>,
        waiting_for: Option<String>,
        parameters_before: BTreeMap<String, u64>,
    ) -> ServicePlan {
        let cache = &self.context.cache;
        let mut observed = Observation { service: live.clone(), ..Observation::default() };
        observed.known = cache.revision_of_content(&self.place(), &content_hash(&desired.task_definition));
        let around = Surroundings {
            source: self.source,
            commit: self.commit,
            may_adopt: self.allow.adopt || self.orders.by_hand,
            adopt_now: self.orders.adopt,
            waiting_for,
            retry: self.orders.retry,
            parameters_before,
        };
        for _ in 0..8 {
            match plan_service(desired, &observed, &around) {
                Outcome::Planned(plan) => return plan,
                Outcome::Needs(needs) => self.answer(needs, desired, hash, &mut observed).await,
            }
        }
        let text = "the planner asked more than it should; this is a bug of Lockstep";
        ServicePlan::withheld(&desired.name, SyncStatus::Unknown, Health::Unknown, Reason::Unread, text)
    }

    /// Success is what ECS says of the deployment that we started, not that counts are equal.
    async fn confirm(&self, plan: &mut ServicePlan, live: Option<&LiveService>) {
        let Some(current) = live.and_then(|live| live.current_deployment.clone()) else {
            return;
        };
        match self.clients.deployments(std::slice::from_ref(&current)).await {
            Ok(found) => match found.get(&current).map(|(status, reason)| (status.as_str(), reason)) {
                Some(("SUCCESSFUL", _)) | None => {}
                Some(("ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED" | "STOPPED", reason)) => {
                    plan.verdict = Some(Verdict::Rejected);
                    let text = format!("rejected: {reason}");
                    plan.withheld.push(Withheld { reason: Reason::Rejected, text, changes: Vec::new() });
                }
                Some(_) => plan.verdict = Some(Verdict::Progressing),
            },
            Err(error) if error.remedy == Remedy::Unsupported => {}
            Err(_) => plan.verdict = Some(Verdict::Progressing),
        }
    }

    async fn act(
        &self,
        desired: &Desired,
        hash: &str,
        live: &Reading<LiveService>,
        plan: &mut ServicePlan,
        track: &mut Track,
    ) -> String {
        let (environment, service) = (self.environment.name.clone(), desired.name.clone());
        let existing = live.found().filter(|live| live.status != "INACTIVE");
        let place = Place {
            allow: self.allow,
            environment: self.environment,
            clients: self.clients,
            service: &desired.service_name,
            arn: existing.map(|live| live.arn.as_str()),
        };
        // After a restart only the cache knows that this very state was deployed before.
        let known = existing.and_then(|live| self.context.cache.verdict(&self.key(live, hash)));
        let was_deployed = track.deployed.as_deref() == Some(hash) || known == Some(Verdict::Deployed);
        let trigger = match existing {
            None => Trigger::Create,
            Some(_) if was_deployed => Trigger::Drift,
            Some(_) => Trigger::Change,
        };
        let changes: Vec<_> = plan
            .actions
            .iter()
            .filter(|action| action.kind != ActionKind::RegisterTaskDefinition)
            .flat_map(|action| action.changes.clone())
            .collect();
        let starts = plan.actions.iter().any(|action| {
            matches!(action.kind, ActionKind::CreateService | ActionKind::UpdateService)
                && action.effect() != lockstep_core::rules::Effect::InPlace
        });
        match execute(plan, &place).await {
            Ok(done) => {
                self.remember_tags(plan, live.found(), hash);
                track.failures = 0;
                track.not_before = None;
                if starts {
                    let before = existing.and_then(|live| live.current_deployment.clone());
                    track.started = Some(Started { before, at: Instant::now() });
                    plan.verdict = Some(Verdict::Progressing);
                } else if done.wrote_service || !done.actions.is_empty() {
                    // A change that starts no deployment is done when a fresh read is equal.
                    track.observed_at = None;
                    if plan.verdict != Some(Verdict::Rejected) {
                        plan.verdict = Some(Verdict::Progressing);
                    }
                }
                let words: Vec<&str> = done.actions.iter().map(|kind| action_word(*kind)).collect();
                let actions = done.actions.clone();
                // Recording a verdict in tags is bookkeeping, told with the verdict itself.
                if plan.verdict != Some(Verdict::Rejected) {
                    tell(self.context, Event::Wrote { environment, service, trigger, actions, changes });
                }
                plan.actions.clear();
                words.join(", ")
            }
            Err(failed) => {
                if failed.error.remedy == Remedy::Refused {
                    self.context.cache.forget_content(&self.place(), &content_hash(&desired.task_definition));
                }
                track.failures += 1;
                let pause = self.context.timing.interval.saturating_mul(1 << track.failures.min(8)).min(LONGEST_PAUSE);
                track.not_before = Some(Instant::now() + pause);
                let reason = failed.to_string();
                plan.withheld.push(Withheld { reason: Reason::Failed, text: reason.clone(), changes: Vec::new() });
                tell(self.context, Event::Failed { environment, service, reason: reason.clone() });
                reason
            }
        }
    }

    /// Tags of a revision are the one thing of it that changes; the cache follows.
    fn remember_tags(&self, plan: &ServicePlan, live: Option<&LiveService>, hash: &str) {
        for action in &plan.actions {
            if let Some(Order::TagRevision { arn, tags }) = &action.order {
                if let Some(mut revision) = self.context.cache.revision(arn) {
                    revision.tags.extend(tags.clone());
                    self.context.cache.keep_revision(&self.place(), &revision);
                }
                if let Some(live) = live {
                    self.context.cache.forget_history(&self.key(live, hash));
                }
            }
        }
    }

    /// Ends the following of a deployment, or calls it stalled.
    fn follow(&self, plan: &mut ServicePlan, live: Option<&LiveService>, track: &mut Track) {
        if matches!(plan.verdict, Some(Verdict::Deployed | Verdict::Rejected | Verdict::Superseded)) {
            track.started = None;
            track.progress = None;
            return;
        }
        if plan.verdict != Some(Verdict::Progressing) {
            return;
        }
        let sign = live.map_or(String::new(), |live| {
            format!("{:?} {} {}", live.current_deployment, live.running, live.deployments.len())
        });
        match &track.progress {
            Some((last, since)) if *last == sign => {
                if since.elapsed() > DEADLINE {
                    plan.verdict = Some(Verdict::Stalled);
                }
            }
            _ => track.progress = Some((sign, Instant::now())),
        }
    }

    fn report_verdict(
        &self,
        desired: &Desired,
        hash: &str,
        plan: &ServicePlan,
        live: Option<&LiveService>,
        track: &mut Track,
    ) {
        let Some(verdict) = plan.verdict else { return };
        if verdict == Verdict::Deployed && plan.actions.is_empty() {
            track.deployed = Some(hash.to_owned());
        }
        let now = (hash.to_owned(), verdict);
        if track.verdict.as_ref() == Some(&now) {
            return;
        }
        let key = live.map(|live| self.key(live, hash));
        let known = key.as_ref().and_then(|key| self.context.cache.verdict(key));
        let is_news = track.verdict.is_some() || known != Some(verdict);
        track.verdict = Some(now);
        if let Some(key) = key
            && matches!(verdict, Verdict::Deployed | Verdict::Rejected)
        {
            self.context.cache.keep_verdict(&key, verdict);
        }
        if !is_news || verdict == Verdict::Pending {
            return;
        }
        let text = match verdict {
            Verdict::Rejected => plan
                .withheld
                .iter()
                .find(|withheld| withheld.reason == Reason::Rejected)
                .map(|withheld| withheld.text.clone())
                .unwrap_or_default(),
            _ => live.map(|live| format!("{}/{} running", live.running, live.desired)).unwrap_or_default(),
        };
        let (environment, service) = (self.environment.name.clone(), desired.name.clone());
        tell(self.context, Event::Verdict { environment, service, verdict, text });
    }

    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.environment.account, self.environment.region)
    }

    /// What a service is, whatever its state.
    fn identity(&self, desired: &Desired) -> String {
        format!("{}/{}/{}", self.place(), self.environment.cluster, desired.service_name)
    }

    pub(super) fn key(&self, live: &LiveService, hash: &str) -> String {
        format!("{}|{hash}|{}", live.arn, live.current_deployment.as_deref().unwrap_or_default())
    }
}

/// A number that changes when what was observed does.
fn fingerprint(live: &Reading<LiveService>, waiting: Option<&str>) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    live.found()?.hash(&mut hasher);
    waiting.hash(&mut hasher);
    Some(hasher.finish())
}

/// The time, RFC 3339.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `family:revision` of an ARN.
pub fn short(arn: &str) -> String {
    arn.rsplit('/').next().unwrap_or(arn).to_owned()
}

fn action_word(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::AdoptService => "adopted",
        ActionKind::RegisterTaskDefinition => "registered a task definition revision",
        ActionKind::CreateService => "created the service",
        ActionKind::UpdateService => "updated the service",
        ActionKind::DeleteService => "deleted the service to create it again",
        ActionKind::TagService => "tagged the service",
        ActionKind::TagTaskDefinition => "tagged the task definition revision",
    }
}
