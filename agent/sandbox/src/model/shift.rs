//! Deployments that shift traffic: their strategy, stages, weights and hooks.

use serde_json::Value;

use crate::clock::Moment;

/// `deploymentConfiguration.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    Rolling,
    BlueGreen,
    Linear,
    Canary,
}

impl Strategy {
    pub(crate) fn of(configuration: &Value) -> Self {
        match configuration["strategy"].as_str() {
            Some("BLUE_GREEN") => Self::BlueGreen,
            Some("LINEAR") => Self::Linear,
            Some("CANARY") => Self::Canary,
            _ => Self::Rolling,
        }
    }
}

/// `lifecycleStage`, in the order in which a deployment goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    ReconcileService,
    PreScaleUp,
    ScaleUp,
    PostScaleUp,
    TestTrafficShift,
    PostTestTrafficShift,
    PreProductionTrafficShift,
    ProductionTrafficShift,
    PostProductionTrafficShift,
    BakeTime,
    CleanUp,
}

impl Stage {
    pub(crate) const ALL: [Self; 11] = [
        Self::ReconcileService,
        Self::PreScaleUp,
        Self::ScaleUp,
        Self::PostScaleUp,
        Self::TestTrafficShift,
        Self::PostTestTrafficShift,
        Self::PreProductionTrafficShift,
        Self::ProductionTrafficShift,
        Self::PostProductionTrafficShift,
        Self::BakeTime,
        Self::CleanUp,
    ];

    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::ReconcileService => "RECONCILE_SERVICE",
            Self::PreScaleUp => "PRE_SCALE_UP",
            Self::ScaleUp => "SCALE_UP",
            Self::PostScaleUp => "POST_SCALE_UP",
            Self::TestTrafficShift => "TEST_TRAFFIC_SHIFT",
            Self::PostTestTrafficShift => "POST_TEST_TRAFFIC_SHIFT",
            Self::PreProductionTrafficShift => "PRE_PRODUCTION_TRAFFIC_SHIFT",
            Self::ProductionTrafficShift => "PRODUCTION_TRAFFIC_SHIFT",
            Self::PostProductionTrafficShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
            Self::BakeTime => "BAKE_TIME",
            Self::CleanUp => "CLEAN_UP",
        }
    }

    pub(crate) fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage > self)
    }

    /// Whether traffic moves in it. Nothing may pause there.
    pub(crate) fn shifts(self) -> bool {
        matches!(self, Self::TestTrafficShift | Self::ProductionTrafficShift)
    }
}

/// What a service deployment with stages has come to.
#[derive(Debug, Clone)]
pub(crate) struct Shift {
    pub(crate) strategy: Strategy,
    /// None: not begun, or, for a rolling deployment, past the only stage that it has.
    pub(crate) stage: Option<Stage>,
    pub(crate) entered_at: Moment,
    /// Counts the stages entered, so that an old timer can be told from a new one.
    pub(crate) entry: u64,
    /// The step of the production shift, from 0.
    pub(crate) step: usize,
    /// The target revision's share of the production traffic, in percent; the rest is the source's.
    pub(crate) production: f64,
    /// The same of the test traffic.
    pub(crate) test: f64,
    /// Every hook that was run so far, in order.
    pub(crate) hooks: Vec<HookRun>,
}

impl Shift {
    pub(crate) fn new(strategy: Strategy, now: Moment) -> Self {
        Self {
            strategy,
            stage: None,
            entered_at: now,
            entry: 0,
            step: 0,
            production: 0.0,
            test: 0.0,
            hooks: Vec::new(),
        }
    }

    /// The hooks of the present stage.
    pub(crate) fn current(&self) -> impl Iterator<Item = &HookRun> {
        self.hooks.iter().filter(|hook| hook.entry == self.entry)
    }
}

/// The shares of production traffic that a deployment goes through, in percent.
pub(crate) fn steps(configuration: &Value) -> Vec<f64> {
    match Strategy::of(configuration) {
        Strategy::Rolling | Strategy::BlueGreen => vec![100.0],
        Strategy::Canary => {
            let share = configuration["canaryConfiguration"]["canaryPercent"].as_f64().unwrap_or(5.0);
            if share >= 100.0 { vec![100.0] } else { vec![share, 100.0] }
        }
        Strategy::Linear => {
            let share = configuration["linearConfiguration"]["stepPercent"].as_f64().unwrap_or(10.0);
            let count = (100.0 / share).ceil().max(1.0) as u32;
            (1..=count).map(|step| (f64::from(step) * share).min(100.0)).collect()
        }
    }
}

/// How long each step but the last is watched, in minutes.
pub(crate) fn step_bake(configuration: &Value) -> u64 {
    match Strategy::of(configuration) {
        Strategy::Rolling | Strategy::BlueGreen => 0,
        Strategy::Canary => configuration["canaryConfiguration"]["canaryBakeTimeInMinutes"].as_u64().unwrap_or(10),
        Strategy::Linear => configuration["linearConfiguration"]["stepBakeTimeInMinutes"].as_u64().unwrap_or(6),
    }
}

/// A lifecycle hook, as far as the simulation needs to know it.
#[derive(Debug, Clone)]
pub(crate) struct HookRun {
    pub(crate) id: String,
    /// The function; none: the hook pauses.
    pub(crate) function: Option<String>,
    pub(crate) role: Option<String>,
    /// The entry of the stage that it belongs to.
    pub(crate) entry: u64,
    pub(crate) stage: Stage,
    pub(crate) status: HookStatus,
    pub(crate) expires_at: Moment,
    pub(crate) goes_on: bool,
    /// How often the function was called.
    pub(crate) calls: u32,
    /// `hookDetails` of the configuration.
    pub(crate) details: Value,
}

/// `DeploymentLifecycleHookStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookStatus {
    AwaitingAction,
    InProgress,
    Succeeded,
    Failed,
    TimedOut,
}

impl HookStatus {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::AwaitingAction => "AWAITING_ACTION",
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::AwaitingAction | Self::InProgress)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn traffic_moves_in_steps() {
        let linear =
            |percent: f64| steps(&json!({ "strategy": "LINEAR", "linearConfiguration": { "stepPercent": percent } }));
        assert_eq!(linear(25.0), [25.0, 50.0, 75.0, 100.0]);
        assert_eq!(linear(40.0), [40.0, 80.0, 100.0]);
        assert_eq!(steps(&json!({ "strategy": "CANARY" })), [5.0, 100.0]);
        assert_eq!(steps(&json!({ "strategy": "BLUE_GREEN" })), [100.0]);
    }

    #[test]
    fn stages_follow_each_other() {
        assert_eq!(Stage::ReconcileService.next(), Some(Stage::PreScaleUp));
        assert_eq!(Stage::CleanUp.next(), None);
        assert!(Stage::ALL.is_sorted());
    }
}
