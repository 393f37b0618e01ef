//! What ECS refuses at once about deployment configurations and load balancers.

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::model::{Definition, Object, Stage};

type Checked = Result<(), ApiError>;

/// Most hooks of one kind.
const MOST_HOOKS: usize = 10;

fn refuse(unless: bool, text: impl Into<String>) -> Checked {
    if unless { Ok(()) } else { Err(ApiError::invalid(text.into())) }
}

/// Checks a whole `deploymentConfiguration`.
pub(crate) fn check_configuration(merged: &Object) -> Checked {
    let number = |name: &str| merged.get(name).and_then(Value::as_i64).unwrap_or_default();
    let (least, most) = (number("minimumHealthyPercent"), number("maximumPercent"));
    refuse(most >= 100, "maximumPercent must be greater than or equal to 100.")?;
    refuse(least >= 0, "minimumHealthyPercent must be greater than or equal to 0.")?;
    let stuck = most == 100 && least == 100;
    refuse(!stuck, "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")?;
    refuse((0..=1440).contains(&number("bakeTimeInMinutes")), "bakeTimeInMinutes must be between 0 and 1440.")?;
    let strategy = merged.get("strategy").and_then(Value::as_str).unwrap_or("ROLLING");
    let unused = [("linearConfiguration", "LINEAR"), ("canaryConfiguration", "CANARY")];
    for (member, needed) in unused {
        let fits = strategy == needed || !merged.contains_key(member);
        refuse(fits, format!("{member} is only allowed with the deployment strategy {needed}."))?;
    }
    if let Some(linear) = merged.get("linearConfiguration") {
        check_share(linear, "stepPercent", 3.0)?;
        check_minutes(linear, "stepBakeTimeInMinutes")?;
    }
    if let Some(canary) = merged.get("canaryConfiguration") {
        check_share(canary, "canaryPercent", 0.1)?;
        check_minutes(canary, "canaryBakeTimeInMinutes")?;
    }
    if let Some(early) = merged.get("earlySuccessCriteria").filter(|early| early["enable"] == json!(true)) {
        refuse(strategy == "ROLLING", "earlySuccessCriteria is only allowed with the deployment strategy ROLLING.")?;
        let percent = early["healthyPercent"].as_i64().unwrap_or(100);
        refuse((0..=100).contains(&percent), "healthyPercent must be between 0 and 100.")?;
        refuse(percent >= least, "healthyPercent cannot be less than minimumHealthyPercent.")?;
    }
    check_hooks(merged.get("lifecycleHooks"))
}

/// A percentage in tenths, within its bounds.
fn check_share(block: &Value, member: &str, least: f64) -> Checked {
    let share = block[member].as_f64().unwrap_or(least);
    let in_tenths = (share * 10.0 - (share * 10.0).round()).abs() < 1e-6;
    let text = format!("{member} must be a multiple of 0.1 between {least:.1} and 100.0.");
    refuse(in_tenths && (least..=100.0).contains(&share), text)
}

fn check_minutes(block: &Value, member: &str) -> Checked {
    let minutes = block[member].as_i64().unwrap_or_default();
    refuse((0..=1440).contains(&minutes), format!("{member} must be between 0 and 1440."))
}

fn check_hooks(hooks: Option<&Value>) -> Checked {
    let hooks = hooks.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for hook in hooks {
        let kind = hook["targetType"].as_str().unwrap_or("AWS_LAMBDA");
        let known = matches!(kind, "AWS_LAMBDA" | "PAUSE");
        refuse(known, "Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE")?;
        let pauses = kind == "PAUSE";
        let stages = hook["lifecycleStages"].as_array().map(Vec::as_slice).unwrap_or_default();
        refuse(!stages.is_empty(), "lifecycleStages cannot be empty.")?;
        for stage in stages {
            let stage = Stage::ALL.into_iter().find(|known| json!(known.wire()) == *stage);
            let allowed = match stage {
                Some(Stage::ScaleUp | Stage::BakeTime | Stage::CleanUp) | None => false,
                Some(stage) => !(pauses && stage.shifts()),
            };
            let kind = if pauses { "Pause" } else { "Lambda" };
            refuse(allowed, format!("Invalid lifecycle stage provided for {kind} Hook"))?;
        }
        refuse(pauses || hook["hookTargetArn"].is_string(), "hookTargetArn is required for hooks of type AWS_LAMBDA.")?;
        let minutes = hook["timeoutConfiguration"]["timeoutInMinutes"].as_i64().unwrap_or(1440);
        let longest = if pauses { 20_160 } else { 1440 };
        refuse((1..=longest).contains(&minutes), format!("timeoutInMinutes must be between 1 and {longest}."))?;
    }
    let pauses = hooks.iter().filter(|hook| hook["targetType"] == "PAUSE").count();
    refuse(pauses <= MOST_HOOKS, "A service can have at most 10 lifecycle hooks of type PAUSE.")?;
    refuse(hooks.len() - pauses <= MOST_HOOKS, "A service can have at most 10 lifecycle hooks of type AWS_LAMBDA.")
}

/// Checks load balancers against the containers of the definition and against the strategy.
pub(crate) fn check_load_balancers(balancers: &Value, definition: &Definition, configuration: &Value) -> Checked {
    let balancers = balancers.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut groups: Vec<&str> = Vec::new();
    for balancer in balancers {
        let name = balancer["containerName"].as_str().unwrap_or_default();
        let known = definition.containers.iter().any(|container| container.name == name);
        refuse(known, format!("The container {name} does not exist in the task definition."))?;
        let port = &balancer["containerPort"];
        let containers = definition.wire.get("containerDefinitions").and_then(Value::as_array);
        let container = containers.into_iter().flatten().find(|container| container["name"] == json!(name));
        let mapped = container.and_then(|container| container["portMappings"].as_array()).into_iter().flatten();
        let maps = !port.is_u64() || mapped.into_iter().any(|mapping| mapping["containerPort"] == *port);
        refuse(maps, format!("The container {name} did not have a container port {port} defined."))?;
        let advanced = &balancer["advancedConfiguration"];
        if advanced.is_object() {
            check_advanced(balancer, advanced)?;
        }
        for group in [&balancer["targetGroupArn"], &advanced["alternateTargetGroupArn"]] {
            let Some(group) = group.as_str() else { continue };
            let again = groups.contains(&group) && advanced.is_object();
            refuse(!again, format!("Duplicate targetGroupArn found: {group}"))?;
            groups.push(group);
        }
    }
    let advanced = balancers.iter().filter(|balancer| balancer["advancedConfiguration"].is_object()).count();
    refuse(
        advanced == 0 || advanced == balancers.len(),
        "Either all or none of the provided loadBalancers must have advancedConfiguration defined",
    )?;
    let rolling = matches!(configuration["strategy"].as_str(), None | Some("ROLLING"));
    refuse(
        rolling || advanced == balancers.len(),
        "advancedConfiguration field is required for all loadBalancers when using a non-ROLLING deployment strategy",
    )
}

fn check_advanced(balancer: &Value, advanced: &Value) -> Checked {
    refuse(
        balancer["loadBalancerName"].is_null(),
        "advancedConfiguration field is not allowed with ELBv1 loadBalancers",
    )?;
    let production = advanced["productionListenerRule"].as_str();
    if let Some(arn) = production {
        // `listener/app/…` is an ALB's listener; its rules are `listener-rule/app/…`.
        let fits = !arn.contains(":listener/app/");
        let text = "productionListenerRule has an invalid ARN format. Must be RuleArn for ALB or ListenerArn for NLB.";
        refuse(fits, format!("{text} Got: {arn}"))?;
        let twice = advanced["testListenerRule"].as_str() == Some(arn);
        let text = "The following rules cannot be used as both production and test listener rules:";
        refuse(!twice, format!("{text} {arn}"))?;
    }
    Ok(())
}

/// Checks `networkConfiguration` against the network mode of the definition.
pub(crate) fn check_network(network: Option<&Value>, definition: &Definition) -> Checked {
    let given = network.is_some_and(|network| network.get("awsvpcConfiguration").is_some());
    match (definition.awsvpc, given) {
        (true, false) => {
            Err(ApiError::invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified."))
        }
        (false, true) => Err(ApiError::invalid(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        )),
        _ => Ok(()),
    }
}
