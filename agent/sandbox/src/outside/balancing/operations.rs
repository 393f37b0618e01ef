//! The reads of Elastic Load Balancing.

use serde_json::{Value, json};

use crate::error::{Answer, ApiError};
use crate::outside::Call;
use crate::outside::balancing::target::Target;
use crate::outside::balancing::{Balancing, Listener};
use crate::request::Request;

/// Pages hold 400 items at most, and as many without a wish.
const PAGE: usize = 400;

/// Runs one operation.
pub(crate) fn run(operation: &str, call: &Call<'_>) -> Answer {
    let nothing = Balancing::default();
    let balancing = call.outside.balancing.get(call.place).unwrap_or(&nothing);
    match operation {
        "DescribeTargetGroups" => describe_groups(call, balancing),
        "DescribeListeners" => describe_listeners(call, balancing),
        "DescribeRules" => describe_rules(call, balancing),
        "DescribeTargetHealth" => describe_health(call.request, balancing),
        other => {
            let message = format!("The sandbox does not know elasticloadbalancing:{other}.");
            Err(ApiError::new("InvalidAction", message))
        }
    }
}

fn no_group() -> ApiError {
    ApiError::new("TargetGroupNotFound", "One or more target groups not found")
}

fn no_listener() -> ApiError {
    ApiError::new("ListenerNotFound", "One or more listeners not found")
}

/// Refuses a request that names things in several ways at once.
fn one_of(request: Request<'_>, members: &[&str]) -> Result<(), ApiError> {
    if members.iter().filter(|member| request.has(member)).count() > 1 {
        return Err(ApiError::new("ValidationError", format!("Only one of {} may be given", members.join(", "))));
    }
    Ok(())
}

fn load_balancer<'a>(request: Request<'a>, balancing: &Balancing) -> Result<Option<&'a str>, ApiError> {
    match request.text("LoadBalancerArn") {
        Some(arn) if !balancing.load_balancers.values().any(|known| known == arn) => {
            Err(ApiError::new("LoadBalancerNotFound", format!("Load balancer '{arn}' not found")))
        }
        arn => Ok(arn),
    }
}

fn answer(call: &Call<'_>, member: &str, all: Vec<(String, Value)>) -> Answer {
    let (items, next) = call.page(all, ("Marker", "PageSize"), PAGE, "ValidationError")?;
    let mut answer = json!({ member: items });
    if let Some(marker) = next {
        answer["NextMarker"] = json!(marker);
    }
    Ok(answer)
}

fn describe_groups(call: &Call<'_>, balancing: &Balancing) -> Answer {
    let request = call.request;
    one_of(request, &["LoadBalancerArn", "TargetGroupArns", "Names"])?;
    let (arns, names) = (request.texts("TargetGroupArns"), request.texts("Names"));
    let load_balancer = load_balancer(request, balancing)?;
    let there = |name: &str| balancing.groups.values().any(|group| group.name == name);
    if arns.iter().any(|arn| !balancing.groups.contains_key(*arn)) || names.iter().any(|name| !there(name)) {
        return Err(no_group());
    }
    let all = balancing
        .groups
        .iter()
        .map(|(arn, group)| (arn, group, balancing.load_balancers_of(arn)))
        .filter(|(arn, group, load_balancers)| {
            (arns.is_empty() || arns.contains(&arn.as_str()))
                && (names.is_empty() || names.contains(&group.name.as_str()))
                && load_balancer.is_none_or(|wanted| load_balancers.contains(&wanted))
        })
        .map(|(arn, group, load_balancers)| (arn.clone(), group.wire(arn, &load_balancers)))
        .collect();
    answer(call, "TargetGroups", all)
}

fn describe_listeners(call: &Call<'_>, balancing: &Balancing) -> Answer {
    let request = call.request;
    one_of(request, &["LoadBalancerArn", "ListenerArns"])?;
    let arns = request.texts("ListenerArns");
    let load_balancer = load_balancer(request, balancing)?;
    if arns.is_empty() && load_balancer.is_none() {
        let message = "You must specify either listener ARNs or a load balancer ARN";
        return Err(ApiError::new("ValidationError", message));
    }
    if arns.iter().any(|arn| !balancing.listeners.contains_key(*arn)) {
        return Err(no_listener());
    }
    let weights = |listener: &Listener| balancing.rules.get(&listener.default_rule).map(|rule| rule.weights.as_slice());
    let all = balancing
        .listeners
        .iter()
        .filter(|(arn, listener)| match load_balancer {
            Some(wanted) => listener.load_balancer == wanted,
            None => arns.contains(&arn.as_str()),
        })
        .map(|(arn, listener)| (arn.clone(), listener.wire(arn, weights(listener).unwrap_or_default())))
        .collect();
    answer(call, "Listeners", all)
}

fn describe_rules(call: &Call<'_>, balancing: &Balancing) -> Answer {
    let request = call.request;
    one_of(request, &["ListenerArn", "RuleArns"])?;
    let (listener, arns) = (request.text("ListenerArn"), request.texts("RuleArns"));
    match listener {
        None if arns.is_empty() => {
            return Err(ApiError::new("ValidationError", "You must specify either listener ARNs or rule ARNs"));
        }
        Some(arn) if !balancing.listeners.contains_key(arn) => return Err(no_listener()),
        _ => {}
    }
    if arns.iter().any(|arn| !balancing.rules.contains_key(*arn)) {
        return Err(ApiError::new("RuleNotFound", "One or more rules not found"));
    }
    let mut all: Vec<(String, Value)> = balancing
        .rules
        .iter()
        .filter(|(arn, rule)| match listener {
            Some(listener) => rule.listener == listener,
            None => arns.contains(&arn.as_str()),
        })
        // The order of evaluation: by priority, the default rule last.
        .map(|(arn, rule)| (format!("{:010} {arn}", rule.priority.unwrap_or(u32::MAX)), rule.wire(arn)))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    answer(call, "Rules", all)
}

fn describe_health(request: Request<'_>, balancing: &Balancing) -> Answer {
    let group = balancing.groups.get(request.text("TargetGroupArn").unwrap_or_default()).ok_or_else(no_group)?;
    let all: Vec<Value> = match request.list("Targets") {
        None => group.targets.iter().map(|((ip, port), target)| target.wire(ip, *port)).collect(),
        Some(wanted) => wanted
            .iter()
            .map(|wanted| {
                let ip = wanted["Id"].as_str().unwrap_or_default();
                let port = wanted["Port"].as_u64().and_then(|port| u16::try_from(port).ok());
                let found =
                    group.targets.iter().find(|((known, at), _)| known == ip && port.is_none_or(|port| port == *at));
                match found {
                    Some(((ip, port), target)) => target.wire(ip, *port),
                    None => Target::unregistered().wire(ip, port.unwrap_or(80)),
                }
            })
            .collect(),
    };
    Ok(json!({ "TargetHealthDescriptions": all }))
}
