//! The desired count: who owns it beside Git. Application Auto Scaling where it has a scalable target, and a person
//! for a while.

use super::{COUNT, Planner, take};
use crate::{
    compare::{diff::Change, rules::Effect},
    observed::{LiveService, Need, Reading},
    report::{Action, ActionKind, Order, Reason, ServicePlan, Withheld},
    service::{
        plan::difference::Differences,
        scale::{SCALE, Scale},
    },
};
use lockstep_manifests::path::Path;
use serde_json::{Value, json};

impl Planner<'_> {
    /// A declared count that differs is left alone where a scalable target owns it.
    pub(super) fn note_autoscaling(&mut self, live: &LiveService, plan: &mut ServicePlan) {
        let declared = self.desired.service.get("desiredCount").and_then(Value::as_i64);
        if declared.is_some_and(|declared| declared != live.desired)
            && matches!(self.observed.scalable, Reading::Found(_))
        {
            let text =
                "the desired count is left to Application Auto Scaling, which has a scalable target for it".to_owned();
            plan.withheld.push(Withheld { reason: Reason::Autoscaled, text, changes: Vec::new() });
        }
    }

    /// Takes out the count where Application Auto Scaling owns it. Answers whether that could be found out.
    pub(super) fn leave_to_autoscaling(&mut self, differences: &mut Differences, plan: &mut ServicePlan) -> bool {
        let is_count = |change: &Change| change.path == COUNT;
        if !differences.service.iter().any(is_count) {
            return true;
        }
        match &self.observed.scalable {
            Reading::Unread => {
                self.needs.insert(Need::Scalable);
                return false;
            }
            Reading::Missing => {}
            Reading::Found(_) => differences.service.retain(|change| !is_count(change)),
            Reading::Failed(text) => {
                let held = take(&mut differences.service, is_count);
                plan.withheld.push(Withheld { reason: Reason::Unread, text: text.clone(), changes: held });
            }
        }
        true
    }

    /// A count for a while: left alone until it ends, then put back, unless somebody changed it meanwhile. Answers
    /// whether all could be found out that this takes.
    pub(super) fn scaled(&mut self, live: &LiveService, differences: &mut Differences, plan: &mut ServicePlan) -> bool {
        let Some(scale) = Scale::of(&live.tags) else { return true };
        let is_count = |change: &Change| change.path == COUNT;
        if !scale.is_over(self.around.now) {
            let changes = take(&mut differences.service, is_count);
            plan.withheld.push(Withheld { reason: Reason::Scaled, text: scale.text(), changes });
            return true;
        }
        let target = match &self.observed.scalable {
            Reading::Unread => {
                self.needs.insert(Need::Scalable);
                return false;
            }
            Reading::Failed(text) => {
                let changes = take(&mut differences.service, is_count);
                plan.withheld.push(Withheld { reason: Reason::Unread, text: text.clone(), changes });
                return true;
            }
            Reading::Found(target) => Some(*target),
            Reading::Missing => None,
        };
        let declared = self.desired.service.get("desiredCount").and_then(Value::as_i64);
        let (path, current, back) = match target {
            Some(target) => ("scalableTarget.minCapacity", target.minimum, scale.was),
            None => (COUNT, live.desired, declared.unwrap_or(scale.was)),
        };
        if current == scale.count && current != back {
            differences.service.retain(|change| !is_count(change));
            let order = match target {
                Some(_) => Order::Minimum { capacity: back },
                None => Order::Update { members: json!({ "desiredCount": back }), revision: None, force: false },
            };
            let change = Change {
                path: path.to_owned(),
                old: Some(current.into()),
                new: Some(back.into()),
                effect: Effect::InPlace,
                masked: false,
            };
            plan.actions.push(Action { kind: ActionKind::EndScale, changes: vec![change], order: Some(order) });
        }
        let tag = Path::root("service").member("tags").element(SCALE);
        let old = live.tags.get(SCALE).cloned().map(Value::String);
        let change = Change::new(&tag, old, None, Effect::InPlace);
        let order = Order::UntagService { tag: SCALE.to_owned() };
        plan.actions.push(Action { kind: ActionKind::EndScale, changes: vec![change], order: Some(order) });
        true
    }
}
