//! People win: what is left alone because a person, another tool or another controller has a say in it.

use super::{Differences, Planner, names as named, take};
use crate::observed::words::Controller;
use crate::{
    compare::diff::Change,
    observed::LiveService,
    report::{Reason, ServicePlan, Withheld},
    service::drift::Delay,
    stated::identity::{Owner, owner},
    tags::Tags,
};

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
                "our tags were removed from the ECS service {service}, which runs a task definition of ours; somebody else owns it now{who}. Run `lockstep adopt` to take it back"
            );
        }
        format!(
            "the ECS service {service} exists and does not carry our tags{who}; run `lockstep adopt` to take it over"
        )
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
        let hold = |change: &Change| holds.get(&change.path);
        let contested = |change: &Change| matches!(hold(change), Some(Delay::Contested { .. }));
        let any_contested = held.iter().any(contested);
        let disputed =
            take(&mut held, |change| contested(change) || (any_contested && change.path.starts_with("taskDefinition")));
        let never = take(&mut held, |change| matches!(hold(change), Some(Delay::Never { .. })));
        let raised = take(&mut held, |change| matches!(hold(change), Some(Delay::Raised { .. })));
        if !disputed.is_empty() {
            plan.withheld.push(self.contested(live, disputed));
        }
        if !never.is_empty() {
            let only_count = holds.values().any(|hold| matches!(hold, Delay::Never { count: true }));
            let key = if only_count { "sync.heal.count: never" } else { "sync.heal: never" };
            let text = format!("drift is only reported here ({key}); run `lockstep sync` to correct it");
            plan.withheld.push(Withheld { reason: Reason::NotHealed, text, changes: never });
        }
        if let Some(Delay::Raised { live, until }) = raised.first().and_then(hold) {
            let declared = raised[0].new.as_ref().map(ToString::to_string).unwrap_or_default();
            let text = format!(
                "the count was raised to {live}, above Git's {declared}; it will be lowered{} if it is still there (sync.heal.count: up). To keep it, commit it",
                at(*until)
            );
            plan.withheld.push(Withheld { reason: Reason::Healing, text, changes: raised });
        }
        if !held.is_empty() {
            let until = holds.values().filter_map(|hold| match hold {
                Delay::Young { until } => Some(*until),
                _ => None,
            });
            let text = format!(
                "drift; will be corrected{} if it is still there (sync.heal.after)",
                until.min().map_or_else(String::new, at)
            );
            plan.withheld.push(Withheld { reason: Reason::Healing, text, changes: held });
        }
    }

    /// Fields that somebody else keeps changing: what they do, who they seem to be, and how it ends.
    fn contested(&self, live: &LiveService, disputed: Vec<Change>) -> Withheld {
        let flips = self.around.holds.values().filter_map(|hold| match hold {
            Delay::Contested { flips, slowly } => Some((*flips, *slowly)),
            _ => None,
        });
        let (times, slowly) = flips.max().unwrap_or_default();
        let how = if slowly { "put back to the same value" } else { "changed" };
        let within = if slowly { "7 days" } else { "an hour" };
        let mut text = format!(
            "contested: somebody else {how} {} {times} times within {within}; Lockstep leaves it alone",
            named(&disputed)
        );
        let in_use = self.observed.revision.found().or(self.observed.newest.found());
        let revision = in_use.filter(|_| in_definition(&disputed));
        if let Some(by) = revision.and_then(|revision| revision.registered_by.as_deref()) {
            text = format!("{text}. The revision in use was registered by {by}");
        }
        let others = others_of(&live.tags);
        if !others.is_empty() {
            text = format!("{text}. The service's tags name {}", others.join(", "));
        }
        if let Some(event) = live.events.first() {
            text = format!("{text}. The latest event: {}", event.text);
        }
        let elsewhere = if in_definition(&disputed) {
            "If Terraform should keep the service and Lockstep the image: `scope: taskDefinition` here, and `lifecycle { ignore_changes = [task_definition] }` there"
        } else {
            "If it belongs to another tool, name it in `ignore` here; if to Git, take it out there (Terraform: `ignore_changes`)"
        };
        let end = if slowly { "a week" } else { "an hour" };
        let text = format!(
            "{text}. {elsewhere}. It ends {end} after the last change, by a commit that changes the field, or by `lockstep sync`"
        );
        Withheld { reason: Reason::Contested, text, changes: disputed }
    }
}

fn in_definition(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.path.starts_with("taskDefinition"))
}

/// ` at TIME`, or nothing where there is no such time.
fn at(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |time| format!(" at {time}"))
}

/// Why a service is only observed, and the way out.
pub(super) fn under_other_control(live: &LiveService) -> String {
    let only = "Lockstep writes only what ECS's own deployments control";
    if live.managed_by_ecs {
        return format!(
            "the service is managed by ECS itself (Express); {only}. The way out: create a service of your own beside it, move the traffic, and delete the Express service"
        );
    }
    let first = match live.controller {
        Controller::CodeDeploy => {
            "with no CodeDeploy deployment under way and both target groups on the listener rules"
        }
        _ => "with no task set being deployed",
    };
    let after = if live.controller == Controller::External { ", and delete the task sets that are left" } else { "" };
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
