//! Lifecycle hooks: functions that ECS calls, and pauses that wait for a person or a tool.

use std::time::Duration;

use serde_json::{Value, json};

use crate::model::{DeploymentKey, HookRun, HookStatus, ServiceKey, Shift, Stage, Status};
use crate::outside::functions::HookAnswer;
use crate::sim::Sim;
use crate::sim::queue::Event;
use crate::sim::rollback::Cause;

/// Seconds until a function is asked again that does not say when.
const CALL_BACK: u64 = 30;

impl Sim<'_> {
    /// Begins all hooks of a stage.
    pub(crate) fn run_hooks(&mut self, key: ServiceKey, deployment: DeploymentKey, stage: Stage) {
        let now = self.now;
        let Some(record) = self.record(key, deployment) else {
            return;
        };
        let Some(entry) = record.shift.as_ref().map(|shift| shift.entry) else {
            return;
        };
        let configured = record.configuration["lifecycleHooks"].as_array().cloned().unwrap_or_default();
        for hook in configured {
            let stages = hook["lifecycleStages"].as_array();
            if !stages.into_iter().flatten().any(|name| name == stage.wire()) {
                continue;
            }
            let pauses = hook["targetType"] == "PAUSE";
            let text = |name: &str| hook[name].as_str().map(str::to_owned);
            let timeout = &hook["timeoutConfiguration"];
            let expires_at = now.plus(Duration::from_secs(60 * timeout["timeoutInMinutes"].as_u64().unwrap_or(1440)));
            let kind = if pauses { "pause" } else { "lambda" };
            let run = HookRun {
                id: format!("ecs-{kind}-{}", self.world.ids.slug(43)),
                function: text("hookTargetArn").filter(|_| !pauses),
                role: text("roleArn"),
                entry,
                stage,
                status: if pauses { HookStatus::AwaitingAction } else { HookStatus::InProgress },
                expires_at,
                goes_on: timeout["action"] == "CONTINUE",
                calls: 0,
                details: hook.get("hookDetails").cloned().unwrap_or_else(|| json!({})),
            };
            let Some(shift) = self.record_mut(key, deployment).and_then(|record| record.shift.as_mut()) else {
                return;
            };
            let at = shift.hooks.len();
            shift.hooks.push(run);
            self.world.queue.push(expires_at, Event::HookTimeout(key, deployment, at));
            if !pauses {
                let call = now.plus(self.durations().hook_call);
                self.world.queue.push(call, Event::HookCall(key, deployment, at));
            }
        }
    }

    /// Calls the function of a hook and takes its answer.
    pub(crate) fn call_hook(&mut self, key: ServiceKey, deployment: DeploymentKey, at: usize) {
        let Some(hook) = self.open_hook(key, deployment, at) else {
            return;
        };
        let function = hook.function.clone().unwrap_or_default();
        let (calls, role, stage) = (hook.calls, hook.role.clone().unwrap_or_default(), hook.stage);
        self.note_call(key, deployment, &function, stage, hook.details.clone());
        if let Some(hook) = self.hook_mut(key, deployment, at) {
            hook.calls += 1;
        }
        let answer = self.around.outside.functions.answer(&function);
        match failure(&answer, &function, &role) {
            Some(reason) => self.fail_hook(key, deployment, at, HookStatus::Failed, &reason),
            None => match answer {
                HookAnswer::InProgress { calls: pending, call_back_delay } if calls < pending => {
                    let again = self.now.plus(Duration::from_secs(call_back_delay.unwrap_or(CALL_BACK)));
                    self.world.queue.push(again, Event::HookCall(key, deployment, at));
                }
                _ => self.resolve_hook(key, deployment, at, HookStatus::Succeeded),
            },
        }
    }

    pub(crate) fn hook_timeout(&mut self, key: ServiceKey, deployment: DeploymentKey, at: usize) {
        let Some(hook) = self.open_hook(key, deployment, at) else {
            return;
        };
        if hook.goes_on {
            return self.resolve_hook(key, deployment, at, HookStatus::TimedOut);
        }
        let what = if hook.function.is_some() { "lifecycle hook" } else { "pause hook" };
        let reason = format!("Service deployment rolled back because {} {what} timed out.", hook.stage.wire());
        if let Some(hook) = self.hook_mut(key, deployment, at) {
            hook.status = HookStatus::TimedOut;
        }
        self.fail(key, Cause::Hook(reason));
    }

    /// What a person or a tool decides about a pause: it is over.
    pub(crate) fn resolve_hook(&mut self, key: ServiceKey, deployment: DeploymentKey, at: usize, status: HookStatus) {
        let now = self.now;
        if let Some(record) = self.record_mut(key, deployment) {
            record.updated_at = now;
        }
        if let Some(hook) = self.hook_mut(key, deployment, at) {
            hook.status = status;
        }
        self.look_at_stage(key, deployment);
    }

    /// A hook says no: the deployment is rolled back.
    pub(crate) fn fail_hook(
        &mut self,
        key: ServiceKey,
        deployment: DeploymentKey,
        at: usize,
        status: HookStatus,
        reason: &str,
    ) {
        let Some(hook) = self.hook_mut(key, deployment, at) else {
            return;
        };
        hook.status = status;
        let stage = hook.stage.wire();
        let reason = format!("Service deployment rolled back because {stage} lifecycle hook(s) failed. {reason}");
        self.fail(key, Cause::Hook(reason));
    }

    /// On the way back the functions that watch a shift are called again. The reason, when one of them says no.
    pub(crate) fn call_hooks_of_rollback(&mut self, key: ServiceKey, deployment: DeploymentKey) -> Option<String> {
        let record = self.record(key, deployment)?;
        let shift = record.shift.as_ref()?;
        let reached = shift.stage?;
        let hooks: Vec<(Stage, String, String)> = shift
            .hooks
            .iter()
            .filter(|hook| hook.stage.shifts() && hook.stage <= reached && hook.status != HookStatus::Failed)
            .filter_map(|hook| Some((hook.stage, hook.function.clone()?, hook.role.clone().unwrap_or_default())))
            .collect();
        let mut refused = None;
        for (stage, function, role) in hooks {
            self.note_call(key, deployment, &function, stage, json!({}));
            let answer = self.around.outside.functions.answer(&function);
            if let Some(reason) = failure(&answer, &function, &role) {
                let stage = stage.wire();
                refused.get_or_insert(format!("{stage} lifecycle hook(s) failed during the rollback. {reason}"));
            }
        }
        refused
    }

    fn open_hook(&self, key: ServiceKey, deployment: DeploymentKey, at: usize) -> Option<&HookRun> {
        let record = self.record(key, deployment).filter(|record| record.status == Status::InProgress)?;
        let hook = record.shift.as_ref()?.hooks.get(at)?;
        hook.status.is_open().then_some(hook)
    }

    fn hook_mut(&mut self, key: ServiceKey, deployment: DeploymentKey, at: usize) -> Option<&mut HookRun> {
        self.record_mut(key, deployment)?.shift.as_mut()?.hooks.get_mut(at)
    }

    /// Keeps the payload of a call for whoever asks.
    fn note_call(&mut self, key: ServiceKey, deployment: DeploymentKey, function: &str, stage: Stage, details: Value) {
        let execution = self.world.ids.uuid();
        let Some(service) = self.service(key) else {
            return;
        };
        let Some((record, shift)) = service.latest_shift(deployment) else {
            return;
        };
        let weights = |share: f64| {
            let mut weights = serde_json::Map::new();
            weights.insert(service.revisions[record.target].arn.clone(), json!(share));
            for source in &record.sources {
                weights.insert(service.revisions[*source].arn.clone(), json!(100.0 - share));
            }
            Value::Object(weights)
        };
        let (test, production) = told_weights(shift, stage);
        let payload = json!({
            "executionId": execution,
            "lifecycleStage": stage.wire(),
            "resourceArn": record.arn,
            "executionDetails": {
                "serviceArn": service.arn,
                "targetServiceRevisionArn": service.revisions[record.target].arn,
                "testTrafficWeights": test.map_or_else(|| json!({}), weights),
                "productionTrafficWeights": production.map_or_else(|| json!({}), weights),
            },
            "hookDetails": details,
        });
        let call = json!({ "time": self.now.seconds(), "function": function, "payload": payload });
        self.world.hook_calls.push(call);
    }
}

/// The weights that a function is told of: test traffic and production traffic, in percent.
fn told_weights(shift: &Shift, stage: Stage) -> (Option<f64>, Option<f64>) {
    match stage {
        Stage::TestTrafficShift => (Some(shift.test), None),
        Stage::PreProductionTrafficShift | Stage::ProductionTrafficShift => (None, Some(shift.production)),
        _ => (None, None),
    }
}

/// ECS's words for an answer that fails the stage.
fn failure(answer: &HookAnswer, function: &str, role: &str) -> Option<String> {
    Some(match answer {
        HookAnswer::Succeeded | HookAnswer::InProgress { .. } => return None,
        HookAnswer::Failed => format!("Lifecycle hook target {function} returned FAILED status."),
        HookAnswer::Unparsable => {
            format!("ECS was unable to parse the response from {function} due to: HookStatus must not be null")
        }
        HookAnswer::RoleDenied => format!("ECS was unable to assume role {role}"),
        HookAnswer::Unreachable(reason) => {
            format!("ECS was unable to invoke hook target {function} due to {reason}")
        }
    })
}
