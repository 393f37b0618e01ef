//! One service in a round: its machine orders, and this carries out: reads, writes, keeps, tells. Nothing is decided here.

use super::{
    Context,
    cluster::ClusterTags,
    commits::{ChangedBy, Commits},
    lookout::Lookout,
};
use crate::{
    aws::Clients,
    execute::{Ended, Target, execute},
    permit::{Actor, Intent},
};
use lockstep_core::allow::Allow;
use lockstep_core::observed::words::ServiceStatus;
use lockstep_core::{
    event::{Subject, Trigger, What},
    fleet::brake::Brake,
    observed::{LiveService, Reading, runs},
    report::{Order, ServicePlan},
    service::{
        lint,
        machine::{Begun, Effect, Evaluation, Facts, Ground, Known, Now, Service, Step},
        outcome::{Done, Looked, WriteFailure, WriteOutcome},
        plan::Wait,
    },
    state::ServiceState,
    stated::{commit::Commit, identity::content_hash},
};
use lockstep_manifests::Desired;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How old what was read may be when a deployment is started.
const FRESH: Duration = Duration::from_secs(1);

/// What a worker keeps of a service between rounds.
#[derive(Default)]
pub(super) struct Track {
    /// What is known of it, and what is decided.
    pub machine: Service,
    /// The commit that last changed it.
    pub changed_by: ChangedBy,
    /// The state whose images the environment's own registries have shown.
    pub(super) shown: Option<String>,
    /// Of which state they have not, when that was asked, and why.
    pub(super) not_shown: Option<(String, i64, String)>,
}

/// What was seen of environments that others wait for, by their names.
pub(super) type Others = BTreeMap<String, Vec<ServiceState>>;

/// What is common to the services of a round.
pub(super) struct Round<'a> {
    /// What the machines go by.
    pub ground: Ground<'a>,
    /// The agent's parts.
    pub context: &'a Context,
    /// The clients of the environment's account and region.
    pub clients: &'a Clients,
    /// The commit whose history tells what was declared before.
    pub base: &'a str,
    /// The commits that last changed each service.
    pub history: &'a Commits,
    /// What the source may reach.
    pub allow: &'a Allow,
    /// What was seen of environments that are only looked at.
    pub others: &'a Others,
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
    /// Whether the files of every service could be bound: if not, nobody knows all names that are declared.
    pub all_bound: bool,
}

impl Round<'_> {
    fn brake(&self) -> MutexGuard<'_, Brake> {
        self.brake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Now {
        self.context.now(self.clients)
    }

    /// Begins a service's evaluation with what was read of it.
    pub(super) fn begin(
        &self,
        desired: &Desired,
        hash: &str,
        live: Reading<LiveService>,
        waiting: Option<Wait>,
        track: &mut Track,
    ) -> Begun {
        let Track { machine, changed_by, .. } = track;
        let (cache, identity) = (&self.context.cache, self.identity(desired));
        machine.recall(|| cache.memory(&identity).unwrap_or_default());
        changed_by.look(self.history, desired, hash);
        let (now, is_late) = (self.now(), Instant::now() > self.until);
        let facts = Facts { ground: &self.ground, desired, hash, commit: changed_by.commit.as_ref() };
        let mut evaluation = match machine.begin(&facts, live, waiting, is_late, &now) {
            Begun::Over(state) => return Begun::Over(state),
            Begun::Evaluation(evaluation) => evaluation,
        };
        cache.learn(hash, &[&desired.task_definition, &desired.service]);
        let key = evaluation.live().found().map(|live| self.key(live, hash));
        let known = Known {
            revision: cache.revision_of_content(&self.place(), &content_hash(&desired.task_definition)),
            cause: key.as_ref().and_then(|key| cache.cause(key)),
            verdict: key.as_ref().and_then(|key| cache.verdict(key)),
            parameters: cache.parameters(&identity).unwrap_or_default(),
        };
        machine.inform(&mut evaluation, &facts, known, &now);
        Begun::Evaluation(evaluation)
    }

    /// Plans, and does nothing.
    pub(super) async fn plan(&self, desired: &Desired, hash: &str, evaluation: &mut Evaluation, track: &mut Track) {
        let Track { machine, changed_by, .. } = track;
        let facts = Facts { ground: &self.ground, desired, hash, commit: changed_by.commit.as_ref() };
        while let Step::Ask(needs) = machine.plan(evaluation, &facts, &self.now()) {
            self.answer(needs, desired, hash, evaluation.observation()).await;
        }
    }

    /// Takes a service's evaluation to its end.
    pub(super) async fn service(
        &self,
        desired: &Desired,
        hash: &str,
        mut evaluation: Box<Evaluation>,
        track: &mut Track,
    ) -> ServiceState {
        let Track { machine, changed_by, .. } = track;
        let facts = Facts { ground: &self.ground, desired, hash, commit: changed_by.commit.as_ref() };
        loop {
            let mut step = machine.step(&mut evaluation, &facts, &mut self.brake(), &self.now());
            self.apply(&facts, &mut evaluation);
            if step == Step::LookAgain {
                let looked = self.look_again(desired).await;
                let Some(next) = machine.looked(&mut evaluation, looked) else { continue };
                step = next;
            }
            match step {
                Step::Ask(needs) => self.answer(needs, desired, hash, evaluation.observation()).await,
                Step::Execute(trigger) => {
                    let outcome = self.carry_out(&facts, &evaluation, trigger).await;
                    let jitter = |pause| self.clients.jittered(pause);
                    machine.executed(&mut evaluation, &facts, &outcome, &jitter, &self.now());
                }
                Step::LookAgain => {}
                Step::Over => break,
            }
        }
        let in_use = evaluation.live().found().and_then(|live| self.context.cache.revision(&live.task_definition));
        let images = in_use.map(|revision| runs::images_of(&revision.definition)).unwrap_or_default();
        let state = machine.finish(&mut evaluation, &facts, images, &self.now());
        self.apply(&facts, &mut evaluation);
        state
    }

    /// Tells and keeps what a machine says.
    fn apply(&self, facts: &Facts<'_>, evaluation: &mut Evaluation) {
        let (cache, desired) = (&self.context.cache, facts.desired);
        for effect in evaluation.take_effects() {
            let key = evaluation.live().found().map(|live| self.key(live, facts.hash));
            match effect {
                Effect::Tell(at, what) => self.tell(at, &desired.name, facts.commit, what),
                Effect::KeepVerdict(verdict, since) => {
                    if let Some(key) = key {
                        cache.keep_verdict(&key, verdict, since);
                    }
                }
                Effect::KeepParameters => cache.keep_parameters(&self.identity(desired), &desired.parameters),
                Effect::KeepMemory(memory) => cache.keep_memory(&self.identity(desired), &memory),
                Effect::Forget(revisions) => {
                    cache.forget_content(&self.place(), &content_hash(&desired.task_definition));
                    revisions.iter().for_each(|arn| cache.forget_revision(arn));
                    if let Some(key) = key {
                        cache.forget_history(&key);
                    }
                }
                Effect::Breach(breach) => log_breach(&desired.name, &breach),
            }
        }
    }

    /// Carries out the plan of an evaluation.
    async fn carry_out(&self, facts: &Facts<'_>, evaluation: &Evaluation, trigger: Trigger) -> WriteOutcome {
        let (desired, live, plan) = (facts.desired, evaluation.live().found(), evaluation.plan());
        let existing = live.filter(|live| live.status != ServiceStatus::Inactive);
        let intent = self.intent(&desired.name, trigger.word(), facts.commit.cloned());
        let arn = existing.map(|live| live.arn.as_str());
        let outcome = self.write(plan, &desired.service_name, arn, intent).await;
        if matches!(outcome, WriteOutcome::Done(_)) {
            self.remember_tags(plan, live, facts.hash);
        }
        outcome
    }

    /// Carries out a plan for an ECS service, which has this ARN where it exists.
    pub(super) async fn write(
        &self,
        plan: &ServicePlan,
        service: &str,
        arn: Option<&str>,
        intent: Intent,
    ) -> WriteOutcome {
        let (allow, environment, clients) = (self.allow, self.ground.environment, self.clients);
        let gate = &self.context.gate;
        let target = Target { allow, environment, clients, service, arn, gate, intent };
        let keep = |done: &Done| {
            if let Some(revision) = &done.registered {
                self.context.cache.keep_revision(&self.place(), revision);
            }
        };
        match execute(plan, &target).await {
            Ok(done) => {
                keep(&done);
                WriteOutcome::Done(done)
            }
            Err(Ended::Stopping(_)) => WriteOutcome::Stopping,
            Err(Ended::Failed(failed)) => {
                keep(&failed.done);
                let (action, told) = (failed.action, failed.to_string());
                let error = failed.error;
                let (remedy, code, text) = (error.remedy, error.code, error.text);
                WriteOutcome::Failed(WriteFailure { action, told, remedy, code, text })
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

    /// Reads once more what was read longer ago: the environment's pause, and the service. ECS has no compare-and-swap,
    /// so that this narrows the gap and does not close it.
    async fn look_again(&self, desired: &Desired) -> Looked {
        let pause = self.cluster.pause_now(self.clients, self.ground.environment).await;
        if matches!(pause, Some(Reading::Found(_) | Reading::Failed(_))) || self.read_at.elapsed() < FRESH {
            return Looked { live: None, pause };
        }
        let cluster = &self.ground.environment.cluster;
        let live = self.lookout.look(self.clients, cluster, &desired.service_name).await;
        Looked { live: Some(live), pause }
    }

    /// What the audit tells of each write of the round.
    pub(super) fn intent(&self, service: &str, trigger: &str, commit: Option<Commit>) -> Intent {
        let (caller, environment) = (self.clients.known_caller(), self.ground.environment);
        Intent {
            actor: if self.ground.orders.by_hand { Actor::person(&caller) } else { Actor::agent(&caller) },
            trigger: trigger.to_owned(),
            source: self.ground.source.to_owned(),
            environment: environment.name.clone(),
            service: service.to_owned(),
            account: environment.account.clone(),
            region: environment.region.clone(),
            cluster: environment.cluster.clone(),
            commit,
            ..Intent::default()
        }
    }

    /// Tells of a service, with the commit that last changed it, else the branch's.
    pub(super) fn tell(&self, at: i64, service: &str, commit: Option<&Commit>, what: What) {
        let commit = commit.map_or(self.ground.commit, |commit| commit.id.as_str()).to_owned();
        let (environment, service) = (self.ground.environment.name.clone(), service.to_owned());
        let of = Subject { commit, environment, service, ..Subject::source(self.ground.source) };
        self.context.tell(at, of, what);
    }

    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.ground.environment.account, self.ground.environment.region)
    }

    /// What a service is, whatever its state.
    fn identity(&self, desired: &Desired) -> String {
        let place = self.place();
        match desired.ecs_service() {
            Some(name) => format!("{place}/{}/{name}", self.ground.environment.cluster),
            None => format!("{place}/task-definition/{}", desired.family()),
        }
    }

    pub(super) fn key(&self, live: &LiveService, hash: &str) -> String {
        format!("{}|{hash}|{}", live.arn, live.current_deployment.as_deref().unwrap_or_default())
    }
}

/// A bug of ours, for whoever reads the log.
pub(super) fn log_breach(service: &str, breach: &lint::Breach) {
    let (number, text) = (breach.number, breach.text);
    tracing::error!(service, number, text, "a plan breaks an invariant; it is not carried out");
}
