//! What is going to happen, in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Moment;
use crate::model::{DeploymentKey, ServiceKey, TaskKey};

/// A thing that happens at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// The scheduler picks up a deployment.
    Begin(ServiceKey, DeploymentKey),
    /// The scheduler looks at a service.
    Pass(ServiceKey),
    /// The circuit breaker decides.
    Breaker(ServiceKey, DeploymentKey),
    /// The pending tasks of a superseded deployment are stopped.
    Superseded(ServiceKey, DeploymentKey),
    /// A rollback that was asked for begins.
    RollBack(ServiceKey, DeploymentKey),
    /// A rollback without a candidate ends.
    RollbackImpossible(ServiceKey, DeploymentKey),
    /// A look at a stage, if it is still this entry.
    Stage(ServiceKey, DeploymentKey, u64),
    /// The longest that a stage may last is over.
    StageTimeout(ServiceKey, DeploymentKey, u64),
    /// The function of a hook is called.
    HookCall(ServiceKey, DeploymentKey, usize),
    /// A hook has waited long enough.
    HookTimeout(ServiceKey, DeploymentKey, usize),
    /// The alarms of a deployment are looked at.
    Alarms(ServiceKey, DeploymentKey),
    /// The steady state is told again.
    Steady(ServiceKey, u64),
    /// A task goes one step.
    Task(TaskKey, Step),
}

/// Steps in the life of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Attach,
    StartPull,
    EndPull,
    FailStart,
    Run,
    Exit,
    Register,
    TargetHealthy,
    TargetUnhealthy,
    ContainerHealthy,
    ContainerUnhealthy,
    CountAsHealthy,
    Deregister,
    Signal,
    Deprovision,
    Stopped,
    Forget,
}

/// Events in the order of time; those of one moment in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(Moment, u64, Event)>>,
    arrivals: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Moment, event: Event) {
        self.arrivals += 1;
        self.heap.push(Reverse((at, self.arrivals, event)));
    }

    pub(crate) fn next_at(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    pub(crate) fn pop_until(&mut self, now: Moment) -> Option<(Moment, Event)> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
