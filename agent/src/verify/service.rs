//! What services name: networks, target groups, roles of ECS itself, functions and alarms of deployments.

use super::{Verifier, list, push, text};
use crate::aws::{Clients, Network};
use lockstep_core::verify::{Check, CheckOutcome};
use lockstep_manifests::{
    Desired, codes,
    lists::{ListKind, list_kind},
    path::Path,
};
use serde_json::Value;
use std::sync::Arc;

impl Verifier<'_> {
    pub(super) async fn network(&mut self, clients: &Arc<Clients>, desired: &Desired, checks: &mut Vec<Check>) {
        let Some(vpc) = desired.service.pointer("/networkConfiguration/awsvpcConfiguration") else { return };
        let base = Path::root("service").member("networkConfiguration").member("awsvpcConfiguration");
        let ids = |member: &str| -> Vec<String> {
            list(vpc, member).iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
        };
        let subnets = ids("subnets");
        for (member, what) in [("subnets", Network::Subnets), ("securityGroups", Network::SecurityGroups)] {
            let asked = ids(member);
            if asked.is_empty() {
                continue;
            }
            let (asked, subnets) = (&asked, &subnets);
            let key = format!("{member} {} {} {asked:?} {subnets:?}", clients.account, clients.region);
            let answer = self
                .ask(key, async {
                    let mut vpcs = match clients.vpcs(what, asked).await? {
                        Ok(vpcs) => vpcs,
                        Err(text) => return Ok((CheckOutcome::Fail, text)),
                    };
                    if what == Network::SecurityGroups
                        && let Ok(of_subnets) = clients.vpcs(Network::Subnets, subnets).await?
                    {
                        vpcs.extend(of_subnets);
                    }
                    vpcs.sort();
                    vpcs.dedup();
                    Ok(match vpcs.as_slice() {
                        [] => (CheckOutcome::Fail, "none of them exists".to_owned()),
                        [vpc] => (CheckOutcome::Ok, format!("they exist, in {vpc}")),
                        several => (CheckOutcome::Fail, format!("they are of several VPCs: {}", several.join(", "))),
                    })
                })
                .await;
            push(checks, codes::EXISTS, base.member(member), answer);
        }
    }

    pub(super) async fn balancers(&mut self, clients: &Arc<Clients>, desired: &Desired, checks: &mut Vec<Check>) {
        let is_awsvpc = text(&desired.task_definition, "networkMode") == Some("awsvpc");
        for (item, path) in keyed(&desired.service, "loadBalancers") {
            let advanced = item.get("advancedConfiguration").unwrap_or(&Value::Null);
            let groups = [
                (path.member("targetGroupArn"), text(item, "targetGroupArn")),
                (
                    path.member("advancedConfiguration").member("alternateTargetGroupArn"),
                    text(advanced, "alternateTargetGroupArn"),
                ),
            ];
            for (path, arn) in groups {
                let Some(arn) = arn.map(str::to_owned) else { continue };
                let answer = self
                    .ask(format!("target group {arn} {is_awsvpc}"), async {
                        Ok(match clients.target_type(&arn).await? {
                            None => (CheckOutcome::Fail, "there is no such target group".to_owned()),
                            Some(kind) if is_awsvpc && kind != "ip" => {
                                (CheckOutcome::Fail, format!("with networkMode awsvpc its type must be ip, not {kind}"))
                            }
                            Some(kind) => (CheckOutcome::Ok, format!("the target group exists, of type {kind}")),
                        })
                    })
                    .await;
                push(checks, codes::EXISTS, path, answer);
            }
            if let Some(role) = text(advanced, "roleArn") {
                let path = path.member("advancedConfiguration").member("roleArn");
                self.role(clients, path, role, "ecs.amazonaws.com", checks).await;
            }
        }
    }
    /// Roles with which ECS itself attaches volumes and targets, and the targets of VPC Lattice.
    pub(super) async fn infrastructure_roles(
        &mut self,
        clients: &Arc<Clients>,
        service: &Value,
        checks: &mut Vec<Check>,
    ) {
        let base = Path::root("service");
        for volume in list(service, "volumeConfigurations") {
            let name = text(volume, "name").unwrap_or_default();
            if let Some(role) = volume.get("managedEBSVolume").and_then(|volume| text(volume, "roleArn")) {
                let path =
                    base.member("volumeConfigurations").element(name).member("managedEBSVolume").member("roleArn");
                self.role(clients, path, role, "ecs.amazonaws.com", checks).await;
            }
        }
        for (item, path) in keyed(service, "vpcLatticeConfigurations") {
            if let Some(role) = text(item, "roleArn") {
                self.role(clients, path.member("roleArn"), role, "ecs.amazonaws.com", checks).await;
            }
            if let Some(arn) = text(item, "targetGroupArn") {
                let answer = self
                    .ask(format!("lattice target group {arn}"), async {
                        Ok(if clients.lattice_target_there(arn).await? {
                            (CheckOutcome::Ok, "the target group exists".to_owned())
                        } else {
                            (CheckOutcome::Fail, "there is no such target group".to_owned())
                        })
                    })
                    .await;
                push(checks, codes::EXISTS, path.member("targetGroupArn"), answer);
            }
        }
    }

    /// Functions that a deployment calls, with their roles, and the alarms that it watches.
    pub(super) async fn hooks(&mut self, clients: &Arc<Clients>, service: &Value, checks: &mut Vec<Check>) {
        let configuration = service.get("deploymentConfiguration").unwrap_or(&Value::Null);
        let base = Path::root("service").member("deploymentConfiguration");
        for (at, hook) in list(configuration, "lifecycleHooks").iter().enumerate() {
            let path = base.member("lifecycleHooks").element(at);
            if let Some(arn) = text(hook, "hookTargetArn") {
                let answer = self
                    .ask(format!("function {arn}"), async {
                        Ok(if clients.function_there(arn).await? {
                            (CheckOutcome::Ok, "the function exists".to_owned())
                        } else {
                            (CheckOutcome::Fail, "there is no such function".to_owned())
                        })
                    })
                    .await;
                push(checks, codes::EXISTS, path.member("hookTargetArn"), answer);
            }
            if let Some(role) = text(hook, "roleArn") {
                self.role(clients, path.member("roleArn"), role, "ecs.amazonaws.com", checks).await;
            }
        }
        let alarms = configuration.get("alarms").unwrap_or(&Value::Null);
        let names: Vec<String> =
            list(alarms, "alarmNames").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        if names.is_empty() {
            return;
        }
        let answer = self
            .ask(format!("alarms {} {} {names:?}", clients.account, clients.region), async {
                let missing = clients.alarms_missing(&names).await?;
                Ok(if missing.is_empty() {
                    (CheckOutcome::Ok, "the alarms exist".to_owned())
                } else {
                    (CheckOutcome::Fail, format!("there is no alarm {}", missing.join(", ")))
                })
            })
            .await;
        push(checks, codes::EXISTS, base.member("alarms").member("alarmNames"), answer);
    }
}

/// The elements of a keyed list of the service, with their paths.
fn keyed<'v>(service: &'v Value, member: &str) -> Vec<(&'v Value, Path)> {
    let base = Path::root("service").member(member);
    let ListKind::Keyed(key) = list_kind("Service", member) else { return Vec::new() };
    list(service, member).iter().map(|item| (item, base.element(key.text_of(item)))).collect()
}
