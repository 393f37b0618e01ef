//! What a service's machine is given and what it orders: facts, the time, steps, effects; and one evaluation as it goes.

use super::{drift::Delay, lint::Breach, memory::Memory, orders::Orders, pause::Pause, plan::Wait};
use crate::{
    event::{Trigger, What},
    observed::{LiveService, Need, Observation, Reading, Revision, cause::Cause},
    report::{ServicePlan, Verdict},
    state::ServiceState,
    stated::commit::Commit,
};
use lockstep_manifests::{Desired, Environment};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The time of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// By AWS's clock, epoch seconds.
    pub aws: i64,
    /// Since the process began.
    pub uptime: Duration,
}

/// What is the same for all services of a round.
#[derive(Clone, Debug)]
pub struct Ground<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The source's id.
    pub source: &'a str,
    /// The commit.
    pub commit: &'a str,
    /// When it was made, epoch seconds; 0 where nobody knows.
    pub committed_at: i64,
    /// What was ordered.
    pub orders: &'a Orders,
    /// Whether anything may be written.
    pub may_write: bool,
    /// Whether the agent's file lets the source adopt services.
    pub may_adopt: bool,
    /// Services for which nothing is created: nobody has said where they are to be.
    pub not_created: BTreeSet<String>,
    /// The pause of the whole environment.
    pub paused: Reading<Pause>,
    /// More services than may be healed differ without a commit or a parameter: how many.
    pub unexplained: Option<usize>,
    /// Whether the endpoint has a history of deployments.
    pub has_history: bool,
    /// The interval of rounds.
    pub interval: Duration,
}

impl Ground<'_> {
    /// Whether a service is among what was ordered. What it waits for is looked at too, and never written.
    pub fn is_meant(&self, service: &str) -> bool {
        !self.orders.only_looks && self.orders.covers(service)
    }
}

/// What is known of one service when its evaluation begins.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The round.
    pub ground: &'a Ground<'a>,
    /// What Git declares.
    pub desired: &'a Desired,
    /// Its hash.
    pub hash: &'a str,
    /// The commit that last changed it.
    pub commit: Option<&'a Commit>,
}

impl Facts<'_> {
    pub(super) fn may_write(&self) -> bool {
        self.ground.may_write && self.ground.is_meant(&self.desired.name)
    }
}

/// What was found out before and kept, of a service with its current deployment and desired state.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// A revision with the desired content.
    pub revision: Option<Revision>,
    /// Why the newest failed deployment failed.
    pub cause: Option<Cause>,
    /// The last verdict, and since when (epoch seconds).
    pub verdict: Option<(Verdict, i64)>,
    /// The versions of the parameters that were bound when it was last as declared.
    pub parameters: BTreeMap<String, u64>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read this into the [`Evaluation::observation`].
    Ask(BTreeSet<Need>),
    /// Read the service and the environment's pause once more, where that was longer ago than a second.
    LookAgain,
    /// Carry out the [`Evaluation::plan`].
    Execute(Trigger),
    /// Nothing more: [`Service::finish`] says what is known.
    Over,
}

/// Something to tell or to keep. The order of them matters.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Something happened, at a time (epoch seconds).
    Tell(i64, What),
    /// Keep the verdict on this state and deployment, and since when (epoch seconds).
    KeepVerdict(Verdict, i64),
    /// Keep the versions of the parameters.
    KeepParameters,
    /// Keep the memory over a restart.
    KeepMemory(Box<Memory>),
    /// Read again whether these revisions may be used, and the history.
    Forget(Vec<String>),
    /// The plan broke an invariant: a bug of ours.
    Breach(Breach),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Plan,
    PlanAgain,
    Delay,
    Decide,
    Write,
    Settle,
    Explain,
    Over,
}

/// One evaluation of a service: a look, and what follows from it.
#[derive(Debug)]
pub struct Evaluation {
    pub(super) live: Reading<LiveService>,
    pub(super) waiting: Option<Wait>,
    /// What was read for the plan.
    pub(super) observed: Observation,
    /// The verdict that was kept, and since when.
    pub(super) kept_verdict: Option<(Verdict, i64)>,
    pub(super) fingerprint: Option<u64>,
    pub(super) phase: Phase,
    pub(super) questions: usize,
    pub(super) newest_is_old: bool,
    pub(super) looked_for_is_new: bool,
    pub(super) holds: BTreeMap<String, Delay>,
    pub(super) plan: ServicePlan,
    pub(super) unexplained: bool,
    /// Whether the actions only show what would be done.
    pub(super) is_shown_only: bool,
    pub(super) trigger: Trigger,
    pub(super) note: String,
    pub(super) effects: Vec<Effect>,
}

impl Evaluation {
    /// What the planner goes by, to be filled with what it asks for.
    pub fn observation(&mut self) -> &mut Observation {
        &mut self.observed
    }

    /// What was read of the service when the evaluation began.
    pub fn live(&self) -> &Reading<LiveService> {
        &self.live
    }

    /// The plan as it is now.
    pub fn plan(&self) -> &ServicePlan {
        &self.plan
    }

    /// Whether no commit and no parameter explains what is to be done.
    pub fn is_unexplained(&self) -> bool {
        self.unexplained
    }

    /// What is to be told and kept, once.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn tell(&mut self, now: &Now, what: What) {
        self.effects.push(Effect::Tell(now.aws, what));
    }
}

/// How an evaluation begins.
#[derive(Debug)]
pub enum Begun {
    /// It is over already.
    Over(Box<ServiceState>),
    /// It takes its steps.
    Evaluation(Box<Evaluation>),
}
