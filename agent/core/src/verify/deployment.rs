//! Whether a deployment can progress, and what its strategy needs.

use super::{Findings, Subject, element, is_on, is_set, list, number, of_service, strings, text};
use lockstep_manifests::codes;
use serde_json::Value;

fn configuration<'a>(subject: &Subject<'a>) -> &'a Value {
    subject.service.get("deploymentConfiguration").unwrap_or(&Value::Null)
}

fn strategy_of<'a>(subject: &Subject<'a>) -> &'a str {
    text(configuration(subject), "strategy").unwrap_or("ROLLING")
}

/// Whether ECS's own deployments control the service.
fn is_ecs(subject: &Subject<'_>) -> bool {
    let controller = subject.service.get("deploymentController").and_then(|block| text(block, "type"));
    controller.is_none_or(|controller| controller == "ECS")
}

pub(super) fn percentages(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::PERCENTAGES;
    let path = of_service().member("deploymentConfiguration");
    if !is_ecs(subject) || strategy_of(subject) != "ROLLING" {
        return;
    }
    findings.about(code, path.clone(), "a rolling deployment can start new tasks or stop old ones");
    let configuration = configuration(subject);
    let is_daemon = text(subject.service, "schedulingStrategy") == Some("DAEMON");
    let (maximum, minimum) = if is_daemon { (100, 0) } else { (200, 100) };
    let maximum = number(configuration, "maximumPercent").unwrap_or(maximum);
    let minimum = number(configuration, "minimumHealthyPercent").unwrap_or(minimum);
    if maximum < 100 {
        findings.fail(code, path.member("maximumPercent"), format!("{maximum} is below 100"));
    }
    if maximum <= 100 && minimum >= 100 {
        let text = "with at most 100 % and at least 100 % of the tasks no task can be stopped or started";
        findings.fail(code, path, text);
        return;
    }
    let count = number(subject.service, "desiredCount").filter(|count| *count > 0);
    if let (Some(count), false) = (count, is_daemon) {
        let (most, least) = (count * maximum / 100, (count * minimum + 99) / 100);
        if most <= count && least >= count {
            let text = format!(
                "of {count} tasks, {maximum} % are at most {most} and {minimum} % at least {least}: no task can be stopped or started"
            );
            // Scaling may change the count, and autoscaling may own it.
            findings.warn(code, path, text);
        }
    }
}

pub(super) fn strategy(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::STRATEGY;
    let configuration = configuration(subject);
    if !configuration.is_object() || !is_ecs(subject) {
        return;
    }
    let path = of_service().member("deploymentConfiguration");
    findings.about(code, path.clone(), "the deployment strategy has what it needs");
    let strategy = strategy_of(subject);
    for (member, needed) in [("linearConfiguration", "LINEAR"), ("canaryConfiguration", "CANARY")] {
        if is_set(configuration, member) && strategy != needed {
            findings.fail(
                code,
                path.member(member),
                format!("it goes with the strategy {needed} only, not {strategy}"),
            );
        }
    }
    let early = configuration.get("earlySuccessCriteria").unwrap_or(&Value::Null);
    if is_on(early, "enable") && strategy != "ROLLING" {
        findings.fail(code, path.member("earlySuccessCriteria"), format!("it goes with ROLLING only, not {strategy}"));
    }
    if strategy == "ROLLING" {
        return;
    }
    if strategy == "BLUE_GREEN" && configuration.get("bakeTimeInMinutes").is_none() {
        findings.fail(code, path.member("bakeTimeInMinutes"), "BLUE_GREEN needs it, 0 included");
    }
    let balancers = list(subject.service, "loadBalancers");
    let connect = subject.service.get("serviceConnectConfiguration").unwrap_or(&Value::Null);
    let lattice = list(subject.service, "vpcLatticeConfigurations");
    // BLUE_GREEN also works for a service without traffic of its own; there is nothing to shift in steps then.
    let is_headless = balancers.is_empty() && lattice.is_empty() && !is_on(connect, "enabled");
    if is_headless && strategy == "BLUE_GREEN" {
        let text = "BLUE_GREEN without a load balancer or Service Connect starts the new tasks beside the old ones, and shifts no traffic";
        findings.warn(code, path.member("strategy"), text);
    } else if is_headless {
        let text =
            format!("{strategy} shifts the traffic of a load balancer or of Service Connect, and there is neither");
        findings.warn(code, path.member("strategy"), text);
    } else if strategy != "BLUE_GREEN" && balancers.is_empty() && !is_on(connect, "enabled") {
        let text =
            format!("{strategy} was not known to shift the traffic of VPC Lattice in November 2026; ECS may refuse it");
        findings.warn(code, path.member("strategy"), text);
    }
    for (at, balancer) in balancers.iter().enumerate() {
        let path = element(&of_service(), "Service", "loadBalancers", balancer, at).member("advancedConfiguration");
        let Some(advanced) = balancer.get("advancedConfiguration").filter(|block| !block.is_null()) else {
            // ECS: "advancedConfiguration field is required for all loadBalancers when using a non-ROLLING deployment strategy"
            findings.fail(code, path, format!("{strategy} needs it for each load balancer"));
            continue;
        };
        for member in ["alternateTargetGroupArn", "productionListenerRule", "roleArn"] {
            if !is_set(advanced, member) {
                findings.warn(code, path.member(member), format!("{strategy} needs it to shift traffic"));
            }
        }
    }
}

pub(super) fn hooks(subject: &Subject<'_>, findings: &mut Findings) {
    let code = codes::HOOKS;
    let configuration = configuration(subject);
    let path = of_service().member("deploymentConfiguration");
    for (at, hook) in list(configuration, "lifecycleHooks").iter().enumerate() {
        findings.about(code, path.clone(), "hooks and alarms name what they call");
        let path = element(&path, "DeploymentConfiguration", "lifecycleHooks", hook, at);
        if text(hook, "targetType").unwrap_or("AWS_LAMBDA") == "AWS_LAMBDA" {
            if !is_set(hook, "hookTargetArn") {
                findings.fail(code, path.member("hookTargetArn"), "a hook that calls a function needs it");
            }
            if !is_set(hook, "roleArn") {
                findings.warn(code, path.member("roleArn"), "a hook that calls a function needs it");
            }
        }
        if strings(hook, "lifecycleStages").is_empty() && hook.get("lifecycleStages").is_none_or(Value::is_array) {
            findings.fail(code, path.member("lifecycleStages"), "a hook needs a stage");
        }
    }
    let alarms = configuration.get("alarms").unwrap_or(&Value::Null);
    if is_on(alarms, "enable") {
        findings.about(code, path.clone(), "hooks and alarms name what they call");
        if !is_set(alarms, "alarmNames") {
            findings.fail(code, path.member("alarms").member("alarmNames"), "alarms are enabled, and none is named");
        }
    }
}
