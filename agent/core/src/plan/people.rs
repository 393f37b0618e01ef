//! People win: what is left alone because a person, another tool or another controller has a say in it.

use super::{Differences, Planner, Surroundings, names, take};
use crate::{
    diff::Change,
    drift::Hold,
    identity::{Owner, owner},
    observed::{LiveService, Observation},
    pause,
    report::{Reason, ServicePlan, Withheld},
    tags::Tags,
};

/// A paused service is looked at and left alone, whatever there is to do.
pub(super) fn withhold_paused(observed: &Observation, around: &Surroundings<'_>, mut plan: ServicePlan) -> ServicePlan {
    if around.unpaused {
        return plan;
    }
    let Some(pause) = observed.service.found().and_then(|live| pause::in_force(&live.tags, around.now)) else {
        return plan;
    };
    plan.withhold_all(Reason::Paused, pause.text());
    plan
}

impl Planner<'_> {
    /// A service without our tags: whether it was ours before, and who seems to own it now.
    pub(super) fn without_tags(&self, live: &LiveService) -> String {
        let service = &self.desired.service_name;
        let revision = self.observed.revision.found();
        let was_ours = revision.is_some_and(|revision| {
            let owner = owner(&revision.tags, self.around.source, &self.desired.environment, service);
            owner == Owner::Us
        });
        let others = others_of(&live.tags);
        let who = if others.is_empty() { String::new() } else { format!(" (its tags name {})", others.join(", ")) };
        if was_ours {
            return format!(
                "our tags were removed from the ECS service {service}, which runs a task definition of ours; somebody else owns it now{who}. `lockstep adopt` takes it back"
            );
        }
        format!("the ECS service {service} exists and does not carry our tags{who}; `lockstep adopt` takes it over")
    }

    /// Takes out what is not to be healed now. A task definition is registered as a whole, so it waits as a whole.
    pub(super) fn hold_back(&self, live: &LiveService, differences: &mut Differences, plan: &mut ServicePlan) {
        let holds = &self.around.holds;
        if holds.is_empty() {
            return;
        }
        let is_held = |change: &Change| holds.contains_key(&change.path);
        let mut held = Vec::new();
        if differences.task_definition.iter().any(is_held) {
            held.append(&mut differences.task_definition);
        }
        held.extend(take(&mut differences.service, is_held));
        held.extend(take(&mut differences.tags, is_held));
        let contested = |change: &Change| matches!(holds.get(&change.path), Some(Hold::Contested { .. }));
        let any_contested = held.iter().any(contested);
        let (disputed, young): (Vec<Change>, Vec<Change>) = held
            .into_iter()
            .partition(|change| contested(change) || (any_contested && change.path.starts_with("taskDefinition")));
        if !disputed.is_empty() {
            let flips = holds.values().filter_map(|hold| match hold {
                Hold::Contested { flips } => Some(*flips),
                Hold::Young { .. } => None,
            });
            let mut text = format!(
                "contested: somebody else changed {} {} times within an hour; it is not healed any more",
                names(&disputed),
                flips.max().unwrap_or_default()
            );
            let others = others_of(&live.tags);
            if !others.is_empty() {
                text = format!("{text}. The service's tags name {}", others.join(", "));
            }
            if let Some(event) = live.events.first() {
                text = format!("{text}. The latest event: {}", event.text);
            }
            plan.withheld.push(Withheld { reason: Reason::Contested, text, changes: disputed });
        }
        if !young.is_empty() {
            let until = holds.values().filter_map(|hold| match hold {
                Hold::Young { until } => jiff::Timestamp::from_second(*until).ok(),
                Hold::Contested { .. } => None,
            });
            let until = until.min().map_or_else(String::new, |until| format!("at {until}"));
            let text = format!("drift, healed {until} if it lasts (sync.heal.after)");
            plan.withheld.push(Withheld { reason: Reason::Healing, text, changes: young });
        }
    }
}

/// Why a service is only observed, and the way out.
pub(super) fn under_other_control(live: &LiveService) -> String {
    let only = "Lockstep writes only what ECS's own deployments control";
    if live.managed_by_ecs {
        return format!(
            "the service is managed by ECS itself (Express); {only}. The way out: create a service of your own beside it, move the traffic, and delete the Express service"
        );
    }
    let first = match live.controller.as_str() {
        "CODE_DEPLOY" => "with no CodeDeploy deployment under way and both target groups on the listener rules",
        _ => "with no task set being deployed",
    };
    let after = if live.controller == "EXTERNAL" { ", and delete the task sets that are left" } else { "" };
    format!(
        "the service is under the {} controller; {only}. The way out: {first}, `aws ecs update-service` with deploymentController type=ECS, the deployment strategy, and advancedConfiguration on its load balancers{after}; there is no way back",
        live.controller
    )
}

/// Why a service is not created for a controller under which it would never be written.
pub(super) fn for_another_controller(controller: &str) -> String {
    format!(
        "Git declares the {controller} deployment controller, and Lockstep writes only what ECS's own deployments control: it would create the service and never deploy to it, so it does not create it. Create it with the tool that deploys it, or take `deploymentController` out of Git"
    )
}

/// Tags that tell of another tool or team.
fn others_of(tags: &Tags) -> Vec<String> {
    let telling =
        ["cloudformation", "terraform", "managed", "owner", "team", "copilot", "pulumi", "cdk", "stack", "source"];
    let is_other = |name: &String| {
        let lower = name.to_lowercase();
        !lower.starts_with("lockstep:") && telling.iter().any(|word| lower.contains(word))
    };
    tags.iter().filter(|(name, _)| is_other(name)).take(4).map(|(name, value)| format!("{name}={value}")).collect()
}
