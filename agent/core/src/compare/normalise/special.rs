//! The few rules that need to see more than one member at a time.

use super::Context;
use lockstep_manifests::ecs::{Kind, Structure};
use serde_json::{Map, Value};

/// Whether a written member only repeats what another member, or the context, says already.
pub(super) fn is_as_absent(shape: &Structure, member: &str, owner: &Value, written: &Value, context: &Context) -> bool {
    match (shape.name, member) {
        ("PortMapping", "hostPort") => is_same_port(owner, written, context),
        ("Device", "containerPath") => owner.get("hostPath") == Some(written),
        ("ServiceConnectService", "discoveryName") => owner.get("portName") == Some(written),
        // What another strategy would do has no effect, and ECS refuses to be sent it.
        ("DeploymentConfiguration", "linearConfiguration") => strategy(owner) != "LINEAR",
        ("DeploymentConfiguration", "canaryConfiguration") => strategy(owner) != "CANARY",
        _ => false,
    }
}

/// Whether a written member that is as absent must not be sent at all. (Others that only repeat what is known are: ECS
/// stores the same.)
pub(crate) fn is_never_sent(
    shape: &Structure,
    member: &str,
    owner: &Value,
    written: &Value,
    context: &Context,
) -> bool {
    match (shape.name, member) {
        ("PortMapping", "hostPort") => written == 0 && is_same_port(owner, written, context),
        // ECS takes a platform version for Fargate alone, and LATEST is what there is without one.
        ("Service", "platformVersion") => written == "LATEST",
        ("DeploymentConfiguration", "linearConfiguration" | "canaryConfiguration") => {
            is_as_absent(shape, member, owner, written, context)
        }
        _ => false,
    }
}

fn strategy(configuration: &Value) -> &str {
    configuration.get("strategy").and_then(Value::as_str).unwrap_or("ROLLING")
}

/// In awsvpc and host mode the host's port is the container's; elsewhere 0 is "any".
fn is_same_port(mapping: &Value, written: &Value, context: &Context) -> bool {
    let same = mapping.get("containerPort") == Some(written);
    match context.network_mode.as_deref() {
        Some("awsvpc" | "host") => same || written == 0,
        None => (same || written == 0) && context.fargate,
        Some(_) => false,
    }
}

/// In a proxy configuration an empty value is as no property.
pub(super) fn is_empty_property(owner: &Structure, value: &Value) -> bool {
    owner.name == "ProxyConfiguration" && value.as_str() == Some("")
}

/// The block of a load balancer or lattice configuration that names the other target group.
const ADVANCED: &str = "advancedConfiguration";
const OTHER: &str = "alternateTargetGroupArn";
const TARGET: &str = "targetGroupArn";

/// In blue/green, linear and canary deployments the two target groups change places with every deployment: they are
/// a pair without an order, and the normal form has the lesser one first.
pub(super) fn order_pair(shape: &Structure, result: &mut Map<String, Value>) {
    if !matches!(shape.name, "LoadBalancer" | "VpcLatticeConfiguration") {
        return;
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let (one, other) = (text(result.get(TARGET)), text(result.get(ADVANCED).and_then(|block| block.get(OTHER))));
    if let (Some(one), Some(other)) = (one, other)
        && other < one
    {
        result[TARGET] = Value::String(other);
        result[ADVANCED][OTHER] = Value::String(one);
    }
}

/// An element with its pair in order, where it has one that is not: its key is read from it.
pub(super) fn ordered_pair(element: &Kind, item: &Value) -> Option<Value> {
    let Kind::Structure(shape) = element else { return None };
    if !matches!(shape.name, "LoadBalancer" | "VpcLatticeConfiguration") {
        return None;
    }
    let mut map = item.as_object()?.clone();
    order_pair(shape, &mut map);
    Some(Value::Object(map))
}
