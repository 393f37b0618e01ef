//! What UpdateService cannot change: said before anything is tried, and replaced only where the manifest says so.

use super::{Differences, Planner, names, take};
use crate::{
    compare::{
        diff::Change,
        normalise::{Context, normalise},
        rules::Effect,
    },
    observed::LiveService,
    report::{Action, ActionKind, Order, Reason, ServicePlan, Verdict, Withheld},
    stated::identity,
};
use lockstep_manifests::canonical::Root;
use serde_json::{Map, Value};

/// Members that are chosen when a service is created.
const CHOSEN_ONCE: &[&str] =
    &["role", "schedulingStrategy", "launchType", "capacityProviderStrategy", "deploymentController"];

impl Planner<'_> {
    /// Takes out what cannot be changed. Answers the changes that the service is to be replaced for.
    pub(super) fn withhold_impossible(
        &self,
        live: &LiveService,
        differences: &mut Differences,
        plan: &mut ServicePlan,
    ) -> Vec<Change> {
        let refused = take(&mut differences.service, |change| change.effect == Effect::Refused);
        if !refused.is_empty() {
            let text = match self.other_controller() {
                Some(controller) if refused.iter().any(|change| change.path.contains(".deploymentController")) => {
                    format!(
                        "{} stays: Lockstep writes only what ECS's own deployments control, and under the {controller} controller it could not write the service any more",
                        names(&refused)
                    )
                }
                _ => format!("ECS cannot change {}", names(&refused)),
            };
            plan.withheld.push(Withheld { reason: Reason::Refused, text, changes: refused });
        }
        let ports = self.frozen_ports();
        let mut replace = take(&mut differences.service, |change| change.effect == Effect::Replace);
        if !differences.task_definition.is_empty() && !ports.is_empty() {
            // A task definition is registered whole or not at all.
            let held = std::mem::take(&mut differences.task_definition);
            replace.extend(held.into_iter().map(|change| Change { effect: Effect::Replace, ..change }));
        }
        if replace.is_empty() {
            return replace;
        }
        let what = match ports.as_slice() {
            [] => names(&replace),
            ports => format!(
                "protocol and appProtocol of {}, which Service Connect uses (a port under another name needs no new service),",
                ports.join(", ")
            ),
        };
        let text = if !self.desired.replace {
            format!(
                "{what} cannot be changed on a service that exists; it would have to be deleted and created again, which `replace: true` allows"
            )
        } else if live.tags.get(identity::CREATED).is_some_and(|mark| self.is_created_as(mark)) {
            format!("the service was created for this state and still differs in {what}; it is not replaced again")
        } else {
            return replace;
        };
        plan.withheld.push(Withheld { reason: Reason::Replace, text, changes: replace });
        Vec::new()
    }

    /// Deletes the service. When ECS has deleted it, a later round finds it missing and creates it.
    pub(super) fn replace(&self, mut changes: Vec<Change>, others: &Differences, plan: &mut ServicePlan) {
        changes.extend(others.all());
        plan.verdict = Some(Verdict::Pending);
        plan.actions.push(Action { kind: ActionKind::DeleteService, changes, order: Some(Order::Delete) });
    }

    /// What is chosen at creation, as a hash: a service that was created for it is not replaced for it again.
    pub(super) fn created_as(&self) -> String {
        self.chosen("v2", &Context::of([&self.desired.task_definition, &self.desired.service]))
    }

    /// Whether the mark of a service is of this state. Marks from before the hashes `v2:` have the role's name alone.
    fn is_created_as(&self, mark: &str) -> bool {
        if mark.starts_with("v1:") {
            let context = Context::of([&self.desired.task_definition, &self.desired.service]);
            return mark == self.chosen("v1", &Context { last_parts: true, ..context });
        }
        mark == self.created_as()
    }

    fn chosen(&self, form: &str, context: &Context) -> String {
        let normal = normalise(Root::Service, &self.desired.service, context);
        let mut chosen: Map<String, Value> =
            CHOSEN_ONCE.iter().filter_map(|name| Some(((*name).to_owned(), normal.get(*name)?.clone()))).collect();
        for name in self.connected_ports() {
            if let Some(port) = named_port(&self.desired.task_definition, name) {
                chosen.insert(format!("port {name}"), Value::Array(vec![port.0.into(), port.1.into()]));
            }
        }
        identity::hash(form, &[&Value::Object(chosen)])
    }

    /// Names of ports that a Service Connect service uses on both sides with another protocol: ECS refuses that.
    fn frozen_ports(&self) -> Vec<String> {
        let Some(revision) = self.observed.revision.found() else { return Vec::new() };
        let differs = |name: &&str| {
            let (new, old) = (named_port(&self.definition, name), named_port(&revision.definition, name));
            new.is_some() && old.is_some() && new != old
        };
        self.connected_ports().into_iter().filter(differs).map(|name| format!("the port `{name}`")).collect()
    }

    fn connected_ports(&self) -> Vec<&str> {
        let services = self.desired.service.pointer("/serviceConnectConfiguration/services").and_then(Value::as_array);
        services.into_iter().flatten().filter_map(|service| service.get("portName")?.as_str()).collect()
    }
}

/// Protocol and application protocol of the port mapping of this name.
fn named_port<'a>(definition: &'a Value, name: &str) -> Option<(&'a str, &'a str)> {
    let containers = definition.get("containerDefinitions")?.as_array()?;
    let mut ports = containers.iter().filter_map(|container| container.get("portMappings")?.as_array()).flatten();
    let port = ports.find(|port| port.get("name").and_then(Value::as_str) == Some(name))?;
    let text = |member: &str, absent| port.get(member).and_then(Value::as_str).unwrap_or(absent);
    Some((text("protocol", "tcp"), text("appProtocol", "")))
}
