//! The simulation: what ECS does by itself while time passes.
//!
//! It is a machine without clock and IO: it is told the moment and works off its queue of events.
//! `tasks` is the life of a task, `pass` the scheduler of rolling deployments, `rollout` how
//! deployments begin and complete, `stages` and `hooks` how they shift traffic, `rollback` how they fail.

use std::time::Duration;

use crate::clock::Moment;
use crate::durations::Durations;
use crate::model::{DeploymentKey, Service, ServiceEvent, ServiceKey, TaskKey, World};
use crate::outside::Outside;

mod alarms;
mod fate;
mod hooks;
mod network;
mod pass;
pub(crate) mod queue;
mod rollback;
pub(crate) mod rollout;
pub(crate) mod stages;
mod start;
mod stop;
mod tasks;
mod troubles;

pub(crate) use start::NewTask;

use queue::{Event, Step};

/// What the simulation reads besides its world.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) durations: &'a Durations,
    pub(crate) outside: &'a Outside,
}

/// A world at a moment.
pub(crate) struct Sim<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) around: Around<'a>,
    pub(crate) now: Moment,
}

/// Events kept per service.
const EVENTS: usize = 100;

impl<'a> Sim<'a> {
    pub(crate) fn new(world: &'a mut World, around: Around<'a>, now: Moment) -> Self {
        Self { world, around, now }
    }

    /// Works off the next event that is due at `until`. False: there is none.
    pub(crate) fn step(&mut self, until: Moment) -> bool {
        let Some((at, event)) = self.world.queue.pop_until(until) else {
            return false;
        };
        self.now = at;
        match event {
            Event::Begin(service, deployment) => self.begin(service, deployment),
            Event::Pass(service) => self.pass(service),
            Event::Breaker(service, deployment) => self.judge(service, deployment),
            Event::Superseded(service, deployment) => self.end_superseded(service, deployment),
            Event::RollBack(service, deployment) => self.roll_back_on_request(service, deployment),
            Event::RollbackImpossible(service, deployment) => self.give_up(service, deployment),
            Event::Stage(service, deployment, entry) => {
                if self.shift(service, deployment).is_some_and(|shift| shift.entry == entry) {
                    self.pass(service);
                }
            }
            Event::StageTimeout(service, deployment, entry) => self.stage_timeout(service, deployment, entry),
            Event::HookCall(service, deployment, at) => self.call_hook(service, deployment, at),
            Event::HookTimeout(service, deployment, at) => self.hook_timeout(service, deployment, at),
            Event::Alarms(service, deployment) => self.watch_alarms(service, deployment),
            Event::Steady(service, round) => self.repeat_steady(service, round),
            Event::Task(task, step) => self.task_step(task, step),
        }
        true
    }

    pub(crate) fn service(&self, key: ServiceKey) -> Option<&Service> {
        self.world.services.get(&key)
    }

    pub(crate) fn service_mut(&mut self, key: ServiceKey) -> Option<&mut Service> {
        self.world.services.get_mut(&key)
    }

    pub(crate) fn durations(&self) -> &'a Durations {
        self.around.durations
    }

    /// Adds an event to the list of a service; `message` is what follows the service's name.
    pub(crate) fn tell(&mut self, key: ServiceKey, at: Moment, message: &str) {
        let id = self.world.ids.uuid();
        if let Some(service) = self.service_mut(key) {
            let message = format!("(service {}{message}", service.name);
            service.events.push_front(ServiceEvent { id, at, message });
            service.events.truncate(EVENTS);
        }
    }

    /// The same, for the one message that does not begin with the service in brackets.
    pub(crate) fn tell_plainly(&mut self, key: ServiceKey, message: String) {
        let (id, at) = (self.world.ids.uuid(), self.now);
        if let Some(service) = self.service_mut(key) {
            service.events.push_front(ServiceEvent { id, at, message });
            service.events.truncate(EVENTS);
        }
    }

    /// Asks for a look of the scheduler after a while.
    pub(crate) fn pass_in(&mut self, key: ServiceKey, after: Duration) {
        self.world.queue.push(self.now.plus(after), Event::Pass(key));
    }

    pub(crate) fn task_in(&mut self, key: TaskKey, after: Duration, step: Step) {
        self.world.queue.push(self.now.plus(after), Event::Task(key, step));
    }

    pub(crate) fn task_at(&mut self, key: TaskKey, at: Moment, step: Step) {
        self.world.queue.push(at.max(self.now), Event::Task(key, step));
    }

    fn repeat_steady(&mut self, key: ServiceKey, round: u64) {
        if self.service(key).is_some_and(|service| service.steady && service.steady_round == round) {
            self.tell(key, self.now, ") has reached a steady state.");
            let next = self.now.plus(self.durations().steady_state_repeat);
            self.world.queue.push(next, Event::Steady(key, round));
        }
    }

    pub(crate) fn unsettle(&mut self, key: ServiceKey) {
        if let Some(service) = self.service_mut(key)
            && service.steady
        {
            service.steady = false;
            service.steady_round += 1;
        }
    }

    pub(crate) fn deployment_id(&self, key: ServiceKey, deployment: DeploymentKey) -> String {
        self.service(key)
            .and_then(|service| service.deployment(deployment))
            .map(|deployment| deployment.id.clone())
            .unwrap_or_default()
    }
}
