//! Deployments with stages: BLUE_GREEN, LINEAR and CANARY, and the hook before a rolling one.
//!
//! A stage ends when its hooks are resolved and what it is for is done. Nothing is decided by
//! timers alone: each of them asks for a look, and the look decides.

use std::time::Duration;

use crate::model::{
    DeploymentKey, Effect, HookStatus, Object, Rollout, ServiceDeployment, ServiceKey, Shift, Stage, Status, Strategy,
    TaskKey, step_bake, steps,
};
use crate::sim::Sim;
use crate::sim::pass::{Share, Source};
use crate::sim::queue::Event;
use crate::sim::rollback::Cause;

/// No stage, and no step of a shift, may take longer.
const LONGEST_STAGE: Duration = Duration::from_secs(24 * 3600);

impl Sim<'_> {
    /// The open service deployment of an entry.
    pub(crate) fn record(&self, key: ServiceKey, deployment: DeploymentKey) -> Option<&ServiceDeployment> {
        let history = &self.service(key)?.history;
        history.iter().rev().find(|record| record.deployment == deployment && !record.status.terminal())
    }

    pub(crate) fn record_mut(&mut self, key: ServiceKey, deployment: DeploymentKey) -> Option<&mut ServiceDeployment> {
        let history = &mut self.service_mut(key)?.history;
        history.iter_mut().rev().find(|record| record.deployment == deployment && !record.status.terminal())
    }

    /// The stages of a deployment that goes through them now.
    pub(crate) fn shift(&self, key: ServiceKey, deployment: DeploymentKey) -> Option<&Shift> {
        let record = self.record(key, deployment).filter(|record| record.status == Status::InProgress)?;
        record.shift.as_ref()
    }

    /// The first stage, when the scheduler has picked up the deployment.
    pub(crate) fn first_stage(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let Some(shift) = self.shift(key, deployment) else {
            return;
        };
        let several = self
            .service(key)
            .is_some_and(|service| service.deployments[1..].iter().any(|entry| entry.rollout != Rollout::Completed));
        let first =
            if several && shift.strategy != Strategy::Rolling { Stage::ReconcileService } else { Stage::PreScaleUp };
        self.enter(key, deployment, first);
    }

    fn enter(&mut self, key: ServiceKey, deployment: DeploymentKey, stage: Stage) {
        let now = self.now;
        let Some(record) = self.record_mut(key, deployment) else {
            return;
        };
        let steps = steps(&record.configuration);
        record.updated_at = now;
        let Some(shift) = &mut record.shift else {
            return;
        };
        shift.stage = Some(stage);
        shift.entered_at = now;
        shift.entry += 1;
        match stage {
            Stage::TestTrafficShift => shift.test = 100.0,
            Stage::ProductionTrafficShift => shift.production = steps.get(shift.step).copied().unwrap_or(100.0),
            _ => {}
        }
        let entry = shift.entry;
        if stage.shifts() {
            self.set_weights(key, deployment);
        }
        self.run_hooks(key, deployment, stage);
        let look = now.plus(self.durations().stage_step);
        self.world.queue.push(look, Event::Stage(key, deployment, entry));
        self.world.queue.push(now.plus(LONGEST_STAGE), Event::StageTimeout(key, deployment, entry));
        self.pass_in(key, Duration::ZERO);
    }

    /// A look at a stage: whether it is over, and what follows.
    pub(crate) fn look_at_stage(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let now = self.now;
        let Some(service) = self.service(key).filter(|service| service.primary().key == deployment) else {
            return;
        };
        let Some(shift) = self.shift(key, deployment) else {
            return;
        };
        let Some(stage) = shift.stage else {
            return;
        };
        if shift.current().any(|hook| hook.status.is_open()) || service.rollback.is_some() {
            return;
        }
        let record = self.record(key, deployment);
        let configuration = record.map(|record| record.configuration.clone()).unwrap_or_default();
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let dwell = match stage {
            Stage::BakeTime => minutes(configuration["bakeTimeInMinutes"].as_u64().unwrap_or(0)),
            Stage::ProductionTrafficShift if shift.production < 100.0 => minutes(step_bake(&configuration)),
            _ => Duration::ZERO,
        };
        let until = shift.entered_at.plus(dwell.max(self.durations().stage_step));
        if now < until {
            let entry = shift.entry;
            self.world.queue.push(until, Event::Stage(key, deployment, entry));
            return;
        }
        let done = match stage {
            Stage::ReconcileService => self.is_reconciled(key),
            Stage::ScaleUp => self.is_scaled_up(key, deployment),
            Stage::CleanUp => self.is_cleaned_up(key, deployment),
            _ => true,
        };
        if !done {
            return;
        }
        let rolling = shift.strategy == Strategy::Rolling;
        let more = stage == Stage::ProductionTrafficShift && shift.production < 100.0;
        match stage.next() {
            _ if rolling => {
                if let Some(shift) = self.record_mut(key, deployment).and_then(|record| record.shift.as_mut()) {
                    shift.stage = None;
                }
                self.pass_in(key, Duration::ZERO);
            }
            _ if more => {
                if let Some(shift) = self.record_mut(key, deployment).and_then(|record| record.shift.as_mut()) {
                    shift.step += 1;
                }
                self.enter(key, deployment, Stage::PreProductionTrafficShift);
            }
            Some(next) => self.enter(key, deployment, next),
            None => self.complete(key),
        }
    }

    fn is_reconciled(&self, key: ServiceKey) -> bool {
        self.service(key)
            .is_some_and(|service| service.deployments[1..].iter().all(|entry| entry.rollout == Rollout::Completed))
    }

    fn is_scaled_up(&self, key: ServiceKey, deployment: DeploymentKey) -> bool {
        let Some(service) = self.service(key) else {
            return false;
        };
        let own = service.tasks.iter().map(|task| &self.world.tasks[task]);
        let own = own.filter(|task| task.live() && task.service.is_some_and(|(_, owner)| owner == deployment));
        let (mut all, mut healthy) = (0, 0);
        for task in own {
            all += 1;
            healthy += u32::from(task.healthy);
        }
        all == service.desired && healthy == all
    }

    fn is_cleaned_up(&self, key: ServiceKey, deployment: DeploymentKey) -> bool {
        self.service(key).is_some_and(|service| {
            service
                .tasks
                .iter()
                .all(|task| self.world.tasks[task].service.is_some_and(|(_, owner)| owner == deployment))
        })
    }

    pub(crate) fn stage_timeout(&mut self, key: ServiceKey, deployment: DeploymentKey, entry: u64) {
        let Some(shift) = self.shift(key, deployment) else {
            return;
        };
        // A pause has its own, longer limit.
        let waits = shift.current().any(|hook| hook.status == HookStatus::AwaitingAction);
        if let Some(stage) = shift.stage.filter(|_| shift.entry == entry && !waits) {
            self.fail(key, Cause::Stage(format!("{} took longer than 24 hours.", stage.wire())));
        }
    }

    /// One look of the scheduler at a service whose traffic is being shifted.
    pub(crate) fn pass_of_shift(&mut self, key: ServiceKey, target: DeploymentKey, share: &Share, sources: &[Source]) {
        let Some(stage) = self.shift(key, target).and_then(|shift| shift.stage) else {
            return;
        };
        let Some(service) = self.service(key) else {
            return;
        };
        let desired = service.desired;
        let waits = service.primary().not_before.is_some_and(|moment| moment > self.now);
        let id = service.primary().id.clone();
        let unwanted: Vec<TaskKey> = sources
            .iter()
            .filter(|source| source.expendable || stage == Stage::CleanUp)
            .flat_map(|source| source.share.tasks())
            .collect();
        if !unwanted.is_empty() {
            for source in sources.iter().filter(|source| source.expendable || stage == Stage::CleanUp) {
                self.set_desired(key, source.key, 0);
            }
            let unwanted = self.unprotected(key, unwanted);
            self.stop_and_tell(key, &unwanted, &id);
        }
        if stage < Stage::CleanUp {
            for source in sources.iter().filter(|source| !source.expendable) {
                self.set_desired(key, source.key, desired);
            }
            self.replace_in_sources(key, sources, 0, u32::MAX);
        }
        if stage >= Stage::ScaleUp {
            self.set_desired(key, target, desired);
            let missing = desired.saturating_sub(share.live());
            if missing > 0 && !waits {
                self.report_failures(key, target);
                self.start_tasks(key, target, missing);
            } else if desired < share.live() {
                self.scale_in(key, share, share.live() - desired);
            }
        }
        self.drop_empty(key);
        self.look_at_stage(key, target);
    }

    /// Takes the traffic back to the source.
    pub(crate) fn take_traffic_back(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        if let Some(shift) = self.record_mut(key, deployment).and_then(|record| record.shift.as_mut()) {
            shift.production = 0.0;
            shift.test = 0.0;
        }
        self.set_weights(key, deployment);
    }

    /// Writes the weights of a deployment to the listener rules that ECS manages for it.
    fn set_weights(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let Some(service) = self.service(key) else {
            return;
        };
        let Some((record, shift)) = service.latest_shift(deployment) else {
            return;
        };
        let revision = &service.revisions[record.target];
        let balancers = revision.template.get("loadBalancers").and_then(|value| value.as_array());
        let mut effects = Vec::new();
        for balancer in balancers.into_iter().flatten() {
            let advanced = &balancer["advancedConfiguration"];
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            let (Some(main), Some(other)) =
                (text(&balancer["targetGroupArn"]), text(&advanced["alternateTargetGroupArn"]))
            else {
                continue;
            };
            let (green, blue) = if revision.alternate { (other, main) } else { (main, other) };
            for (rule, percent) in [("productionListenerRule", shift.production), ("testListenerRule", shift.test)] {
                let Some(rule) = text(&advanced[rule]) else { continue };
                // A rule's weights are whole numbers up to 999.
                let share = (percent * 10.0).round() as u32;
                let weights = vec![(green.clone(), share.min(999)), (blue.clone(), (1000 - share).min(999))];
                effects.push(Effect::Weights { rule, weights });
            }
        }
        self.world.effects.extend(effects);
    }
}

/// What a service deployment needs to go through stages, if it does.
pub(crate) fn stages_of(configuration: &serde_json::Value, now: crate::clock::Moment) -> Option<Shift> {
    let strategy = Strategy::of(configuration);
    let before = |hook: &Object| {
        let stages = hook.get("lifecycleStages").and_then(|stages| stages.as_array());
        stages.into_iter().flatten().any(|stage| stage == "PRE_SCALE_UP")
    };
    // A rolling deployment knows only the hook before its first task.
    let hooked = configuration["lifecycleHooks"]
        .as_array()
        .is_some_and(|hooks| hooks.iter().filter_map(|hook| hook.as_object()).any(before));
    (strategy != Strategy::Rolling || hooked).then(|| Shift::new(strategy, now))
}
