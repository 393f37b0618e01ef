//! One service as a machine without IO. It is given facts and the time, and orders one step after the other: what to
//! read, what to write, what to tell and to remember. Whoever carries the steps out decides nothing.

pub use super::evaluation::{Begun, Effect, Evaluation, Facts, Ground, Known, Now, Step};

use super::{
    evaluation::Phase,
    memory::Memory,
    outcome::{Setback, Started, Written},
    plan::{PlanOutcome, Surroundings, Wait, plan_service},
    verdict::FirstFailure,
};
use crate::{
    event::Trigger,
    fleet::brake::Brake,
    observed::{
        LiveService, Need, Observation, Presence, Reading, Revision, runs::ContainerImage, words::ServiceStatus,
    },
    report::{Health, Reason, ServicePlan, SyncStatus, Verdict},
    state::{ServiceState, time_text},
};
use lockstep_manifests::Desired;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Seconds between two looks for something that a deployment failed for.
const LOOK_AGAIN: i64 = 60;
/// How long the newest revision of a family is taken for the newest before something is written.
const FRESH: Duration = Duration::from_secs(60);
/// Rounds of questions of one plan.
const MOST_QUESTIONS: usize = 8;

/// What is remembered of a service between rounds. Everything in it can be found out again.
#[derive(Debug, Default)]
pub struct Service {
    /// The desired state that was planned last.
    pub(super) hash: String,
    /// The desired state whose evaluation began last.
    pub(super) begun: String,
    /// The desired state that was there when this process looked first.
    pub(super) found: String,
    /// When it was observed.
    pub(super) observed_at: Option<Duration>,
    /// What was reported.
    pub(super) state: Option<ServiceState>,
    /// The desired state that was deployed last.
    pub(super) deployed: Option<String>,
    /// A desired state that came while this process looked: a commit, or a parameter, explains it.
    pub(super) changed: Option<String>,
    /// When drift was healed last, epoch seconds.
    pub(super) healed_at: Option<i64>,
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
    pub(super) failure: Option<FirstFailure>,
    /// What the last look for something that a deployment failed for has shown: of which state, when, and what.
    pub(super) looked_for: Option<(String, i64, Presence)>,
    pub(super) is_recalled: bool,
    pub(super) memory: Memory,
    pub(super) kept: Memory,
}

/// The newest revision of a family, as it was read.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    family: String,
    pub(super) reading: Reading<Revision>,
    at: Duration,
}

impl Newest {
    /// `family:revision`.
    pub(super) fn revision(&self) -> Option<String> {
        self.reading.found().map(|revision| short(&revision.arn))
    }
}

impl Service {
    /// Takes over what is remembered over a restart, once.
    pub fn recall(&mut self, load: impl FnOnce() -> Memory) {
        if !self.is_recalled {
            self.is_recalled = true;
            self.memory = load();
            self.kept = self.memory.clone();
        }
    }

    /// Begins an evaluation with what was read of the service. `is_late`: the round has taken its time, and only looks.
    pub fn begin(
        &mut self,
        facts: &Facts<'_>,
        live: Reading<LiveService>,
        waiting: Option<Wait>,
        is_late: bool,
        now: &Now,
    ) -> Begun {
        let (desired, hash, ground) = (facts.desired, facts.hash, facts.ground);
        if is_late && facts.may_write() {
            return Begun::Over(Box::new(self.later(facts)));
        }
        desired.service_name.clone_into(&mut self.ecs_name);
        let is_other = self.begun != hash;
        if is_other && !self.begun.is_empty() {
            // What was deployed before is not: a revert is a change, and no drift.
            self.deployed = None;
            self.changed = Some(hash.to_owned());
            self.memory.drift.turn_to(hash);
        }
        // A person's order tries once more, and then keeps to the pauses like everybody else.
        if is_other || ground.orders.begins {
            self.failures = 0;
            self.not_before = None;
            self.setback = None;
        }
        if self.found.is_empty() {
            hash.clone_into(&mut self.found);
        }
        hash.clone_into(&mut self.begun);
        let fingerprint = fingerprint(&live, waiting.as_ref());
        let ordered = ground.orders.restart.is_some() || ground.paused.found().is_some();
        self.observed_at = Some(now.uptime);
        if let Some(state) = self.at_rest(hash, fingerprint).filter(|_| !ordered) {
            let (planned_for, commit) = (ground.commit.to_owned(), facts.commit.cloned());
            let mut state = ServiceState { planned_for, commit, observed_at: time_text(now.aws), ..state };
            self.turn_axes(&mut state, now);
            self.state = Some(state.clone());
            return Begun::Over(Box::new(state));
        }
        let plan = ServicePlan::withheld(&desired.name, SyncStatus::Unknown, Health::Unknown, Reason::Unread, "");
        let mut evaluation = Evaluation {
            observed: Observation { service: live.clone(), ..Observation::default() },
            live,
            waiting,
            kept_verdict: None,
            fingerprint,
            phase: Phase::Plan,
            questions: 0,
            newest_is_old: false,
            looked_for_is_new: false,
            holds: BTreeMap::new(),
            plan,
            unexplained: false,
            is_shown_only: false,
            trigger: Trigger::Change,
            note: String::new(),
            effects: Vec::new(),
        };
        if let Some(plan) = self.not_shown_yet(desired, &evaluation.live, now) {
            evaluation.plan = plan;
            evaluation.phase = Phase::Decide;
        }
        Begun::Evaluation(Box::new(evaluation))
    }

    /// Gives an evaluation what is known from before.
    pub fn inform(&mut self, evaluation: &mut Evaluation, facts: &Facts<'_>, known: Known, now: &Now) {
        let (desired, hash) = (facts.desired, facts.hash);
        let observed = &mut evaluation.observed;
        observed.known = known.revision;
        observed.cause = evaluation.live.found().and_then(|live| known.cause.or_else(|| self.first_failure(live)));
        evaluation.kept_verdict = known.verdict;
        self.parameters.get_or_insert(known.parameters);
        let family = desired.family();
        let newest = self.newest.as_ref().filter(|newest| newest.family == family);
        evaluation.newest_is_old = newest.is_some_and(|newest| now.uptime.saturating_sub(newest.at) > FRESH);
        // Where no service runs it, the newest revision is all that there is to look at.
        let newest = newest.filter(|_| !evaluation.newest_is_old || desired.ecs_service().is_some());
        observed.newest = newest.map(|newest| newest.reading.clone()).unwrap_or_default();
        if newest.is_none() {
            self.newest = None;
        }
        observed.was_absent = self.memory.absent.as_deref() == Some(hash);
        let looked = self.looked_for.as_ref().filter(|(of, at, _)| of == hash && now.aws - at < LOOK_AGAIN);
        observed.presence = looked.map(|(.., presence)| *presence);
        evaluation.looked_for_is_new = looked.is_none();
    }

    /// Plans, as far as it goes without another answer; [`Step::Over`] when there is a plan.
    pub fn plan(&mut self, evaluation: &mut Evaluation, facts: &Facts<'_>, now: &Now) -> Step {
        while matches!(evaluation.phase, Phase::Plan | Phase::PlanAgain) {
            let around = self.surroundings(facts, evaluation, now);
            let plan = match plan_service(facts.desired, &evaluation.observed, &around) {
                PlanOutcome::Planned(plan) => *plan,
                PlanOutcome::Needs(needs) if evaluation.questions < MOST_QUESTIONS => {
                    evaluation.questions += 1;
                    return Step::Ask(needs);
                }
                PlanOutcome::Needs(_) => {
                    let text = "the planner asked too many questions; this is a bug of Lockstep, please report it";
                    let (name, unknown) = (&facts.desired.name, Health::Unknown);
                    ServicePlan::withheld(name, SyncStatus::Unknown, unknown, Reason::Unread, text)
                }
            };
            evaluation.questions = 0;
            // What is only shown may be a little old; what is written may not.
            if evaluation.newest_is_old
                && facts.ground.may_write
                && !plan.actions.is_empty()
                && evaluation.phase == Phase::Plan
            {
                evaluation.newest_is_old = false;
                evaluation.observed.newest = Reading::Unread;
                self.newest = None;
                continue;
            }
            evaluation.plan = plan;
            if evaluation.phase == Phase::Plan {
                self.learn(evaluation, facts, now);
                evaluation.unexplained = self.lacks_explanation(evaluation, facts.hash);
                evaluation.phase = Phase::Delay;
            } else {
                evaluation.phase = Phase::Decide;
            }
        }
        Step::Over
    }

    /// The next step.
    pub fn step(&mut self, evaluation: &mut Evaluation, facts: &Facts<'_>, brake: &mut Brake, now: &Now) -> Step {
        loop {
            match evaluation.phase {
                Phase::Plan | Phase::PlanAgain => match self.plan(evaluation, facts, now) {
                    Step::Over => {}
                    step => return step,
                },
                Phase::Delay => self.hold_drift(evaluation, facts, now),
                Phase::Decide => {
                    evaluation.phase = Phase::Settle;
                    if let Some(step) = self.decide(evaluation, facts, brake, now) {
                        evaluation.phase = Phase::Write;
                        return step;
                    }
                }
                // Whoever was to write did not say what came of it.
                Phase::Write => evaluation.phase = Phase::Settle,
                Phase::Settle => {
                    evaluation.phase = Phase::Explain;
                    if self.settle(evaluation, facts, now) {
                        return Step::Ask(BTreeSet::from([Need::Cause]));
                    }
                }
                Phase::Explain => {
                    self.explain_stall(evaluation);
                    evaluation.phase = Phase::Over;
                }
                Phase::Over => return Step::Over,
            }
        }
    }

    /// Ends an evaluation: what is known now. `images` are those of the revision in use, where they are known.
    pub fn finish(
        &mut self,
        evaluation: &mut Evaluation,
        facts: &Facts<'_>,
        images: Vec<ContainerImage>,
        now: &Now,
    ) -> ServiceState {
        self.report_failure(evaluation, now);
        self.report_verdict(evaluation, facts, now);
        // Only now: an evaluation that is given up leaves what was known before.
        facts.hash.clone_into(&mut self.hash);
        self.fingerprint = evaluation.fingerprint;
        let commit = facts.ground.commit;
        let before = self.state.take().unwrap_or_else(|| ServiceState::unseen(evaluation.plan.clone(), commit));
        let mut state = ServiceState {
            planned_for: commit.to_owned(),
            commit: facts.commit.cloned(),
            note: std::mem::take(&mut evaluation.note),
            plan: evaluation.plan.clone(),
            ..before
        };
        self.see(&mut state, evaluation, facts.desired, images, now);
        self.turn_axes(&mut state, now);
        if self.memory.lasting() != self.kept.lasting() {
            evaluation.effects.push(Effect::KeepMemory(Box::new(self.memory.clone())));
            self.kept = self.memory.clone();
        }
        self.state = Some(state.clone());
        state
    }

    fn surroundings<'a>(&self, facts: &Facts<'a>, evaluation: &Evaluation, now: &Now) -> Surroundings<'a> {
        let ground = facts.ground;
        Surroundings {
            source: ground.source,
            commit: ground.commit,
            changed_by: facts.commit.cloned(),
            may_adopt: ground.may_adopt || ground.orders.by_hand,
            adopt_now: ground.orders.adopt,
            waiting_for: evaluation.waiting.clone(),
            retry: ground.orders.retry && !self.retried,
            only_shown: !ground.may_write,
            unpaused: ground.orders.unpaused,
            restart: ground.orders.restart.clone(),
            paused: ground.paused.clone(),
            now: now.aws,
            not_created: ground.not_created.contains(&facts.desired.name),
            holds: evaluation.holds.clone(),
            parameters_before: self.parameters.clone().unwrap_or_default(),
        }
    }

    /// Remembers what was read for a plan.
    fn learn(&mut self, evaluation: &Evaluation, facts: &Facts<'_>, now: &Now) {
        let (family, observed) = (facts.desired.family(), &evaluation.observed);
        let is_known = self.newest.as_ref().is_some_and(|newest| newest.family == family);
        if !is_known && matches!(observed.newest, Reading::Found(_) | Reading::Missing) {
            let (family, reading) = (family.to_owned(), observed.newest.clone());
            self.newest = Some(Newest { family, reading, at: now.uptime });
        }
        if let Some(presence) = observed.presence.filter(|_| evaluation.looked_for_is_new) {
            self.looked_for = Some((facts.hash.to_owned(), now.aws, presence));
            if presence == Presence::Absent {
                self.memory.absent = Some(facts.hash.to_owned());
            }
        }
        if let Some(live) = evaluation.live.found() {
            self.note_failure(live, observed.cause.as_ref());
        }
    }

    /// What is not to be healed now: drift that is young, and fields that somebody else keeps changing. Where there is
    /// such, it is planned again without.
    fn hold_drift(&mut self, evaluation: &mut Evaluation, facts: &Facts<'_>, now: &Now) {
        evaluation.phase = Phase::Decide;
        if facts.ground.orders.by_hand || evaluation.plan.sync == SyncStatus::Unknown {
            return;
        }
        evaluation.holds = self.consider_drift(evaluation, facts, now);
        if !evaluation.holds.is_empty() {
            evaluation.phase = Phase::PlanAgain;
        }
    }

    /// What was reported, where nothing was to be done and nothing changed since: planning again would say the same.
    pub fn at_rest(&self, hash: &str, fingerprint: Option<u64>) -> Option<ServiceState> {
        let state = self.state.as_ref()?;
        let quiet = self.hash == hash
            && self.started.is_none()
            && state.plan.sync == SyncStatus::Synced
            && state.plan.verdict == Some(Verdict::Deployed)
            && state.plan.actions.is_empty()
            && state.plan.withheld.iter().all(|withheld| withheld.reason.is_remark());
        (quiet && fingerprint.is_some() && self.fingerprint == fingerprint).then(|| state.clone())
    }

    /// The round took its time: this service's evaluation is in the next one.
    pub fn later(&mut self, facts: &Facts<'_>) -> ServiceState {
        self.observed_at = None;
        let planned_for = facts.ground.commit;
        if let Some(state) = self.state.as_ref().filter(|_| self.hash == facts.hash)
            && state.plan.actions.is_empty()
        {
            return ServiceState { planned_for: planned_for.to_owned(), ..state.clone() };
        }
        let text = "queued: the agent has used its share of the API rate limits";
        let (name, unknown) = (&facts.desired.name, Health::Unknown);
        let mut plan = ServicePlan::withheld(name, SyncStatus::Unknown, unknown, Reason::Queued, text);
        plan.verdict = Some(Verdict::Pending);
        match self.state.clone() {
            Some(state) => ServiceState { plan: ServicePlan { health: state.plan.health, ..plan }, ..state },
            None => ServiceState::unseen(plan, planned_for),
        }
    }

    /// Takes over what was observed of a service. What could not be read stays as it was seen last, with its time.
    fn see(
        &self,
        state: &mut ServiceState,
        evaluation: &Evaluation,
        desired: &Desired,
        images: Vec<ContainerImage>,
        now: &Now,
    ) {
        use crate::observed::runs::images_of;
        if desired.ecs_service().is_none() {
            let Some(newest) = self.newest.as_ref().and_then(|newest| newest.reading.found()) else { return };
            state.images = images_of(&newest.definition);
            state.revision = short(&newest.arn);
        } else {
            let counts = match &evaluation.live {
                Reading::Found(live) if live.status != ServiceStatus::Inactive => {
                    state.images = images;
                    state.revision = short(&live.task_definition);
                    (live.running, live.desired)
                }
                Reading::Found(_) | Reading::Missing => {
                    state.images.clear();
                    state.revision.clear();
                    (0, 0)
                }
                Reading::Failed(_) | Reading::Unread => return,
            };
            (state.running, state.desired_count) = (Some(counts.0), Some(counts.1));
        }
        state.observed_at = time_text(now.aws);
        state.declared_images = images_of(&desired.task_definition);
        if state.declared_images.iter().all(|image| state.images.contains(image)) {
            state.declared_images.clear();
        }
    }

    fn turn_axes(&mut self, state: &mut ServiceState, now: &Now) {
        self.memory.axes.turn(&state.plan, state.running.zip(state.desired_count), &time_text(now.aws));
        state.axes = self.memory.axes.clone();
    }
}

/// A service that is there.
pub(super) fn there(live: &Reading<LiveService>) -> Option<&LiveService> {
    live.found().filter(|live| live.status != ServiceStatus::Inactive)
}

/// A number that changes when what was observed does.
pub fn fingerprint(live: &Reading<LiveService>, waiting: Option<&Wait>) -> Option<u64> {
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
