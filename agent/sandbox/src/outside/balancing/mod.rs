//! Load balancers (Elastic Load Balancing v2): target groups and their targets, listeners and rules.
//!
//! Whoever shifts traffic changes the weights of a rule; whoever runs tasks registers targets. Neither is decided here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::ids::Ids;
use crate::place::Place;

mod operations;
mod target;

pub(crate) use operations::run;
use target::Target;
pub use target::TargetState;

/// Target groups with their weights.
pub(crate) type Weights = Vec<(String, u32)>;

/// The load balancers of a place. Everything is known by its ARN.
#[derive(Debug, Default)]
pub(crate) struct Balancing {
    /// By name, with `app/` or `net/` before it.
    load_balancers: BTreeMap<String, String>,
    groups: BTreeMap<String, Group>,
    listeners: BTreeMap<String, Listener>,
    rules: BTreeMap<String, Rule>,
}

#[derive(Debug)]
struct Group {
    name: String,
    /// By address and port.
    targets: BTreeMap<(String, u16), Target>,
}

#[derive(Debug)]
struct Listener {
    load_balancer: String,
    port: u16,
    /// The ARN of the rule that holds the listener's default action.
    default_rule: String,
}

#[derive(Debug)]
struct Rule {
    listener: String,
    /// Absent: the default rule.
    priority: Option<u32>,
    weights: Weights,
}

/// Where everything of load balancers begins in an ARN.
fn arn(place: &Place, rest: std::fmt::Arguments<'_>) -> String {
    place.arn("elasticloadbalancing", rest)
}

impl Balancing {
    /// Makes a target group, unless it is there. Returns its ARN, which is known beforehand where the name is that of an
    /// ARN's end: `web/50dc6c495c0c9188`.
    pub(crate) fn create_group(&mut self, place: &Place, name: &str, ids: &mut Ids) -> String {
        let (name, id) = match name.split_once('/') {
            Some((name, id)) => (name, Some(id)),
            None => (name, None),
        };
        if let Some((found, _)) = self.groups.iter().find(|(_, group)| group.name == name) {
            return found.clone();
        }
        let id = id.map_or_else(|| ids.hex(16), str::to_owned);
        let new = arn(place, format_args!("targetgroup/{name}/{id}"));
        self.groups.insert(new.clone(), Group { name: name.to_owned(), targets: BTreeMap::new() });
        new
    }

    /// Removes a target group, even one that rules refer to: what then happens is worth a test.
    pub(crate) fn delete_group(&mut self, group: &str) {
        self.groups.remove(group);
    }

    /// Makes a listener with a default action, and its load balancer if need be. Returns its ARN.
    pub(crate) fn create_listener(
        &mut self,
        place: &Place,
        load_balancer: &str,
        port: u16,
        weights: Weights,
        ids: &mut Ids,
    ) -> String {
        let typed = match load_balancer.split_once('/') {
            Some(("app" | "net", _)) => load_balancer.to_owned(),
            _ => format!("app/{load_balancer}"),
        };
        let load_balancer = self
            .load_balancers
            .entry(typed)
            .or_insert_with_key(|typed| arn(place, format_args!("loadbalancer/{typed}/{}", ids.hex(16))));
        let path = load_balancer.split_once(":loadbalancer/").map_or("", |(_, path)| path);
        let new = arn(place, format_args!("listener/{path}/{}", ids.hex(16)));
        let default_rule = rule_arn(&new, ids);
        let rule = Rule { listener: new.clone(), priority: None, weights };
        self.rules.insert(default_rule.clone(), rule);
        self.listeners.insert(new.clone(), Listener { load_balancer: load_balancer.clone(), port, default_rule });
        new
    }

    /// Makes a rule, after all others of its listener. Returns its ARN, or nothing without such a listener.
    pub(crate) fn create_rule(&mut self, listener: &str, weights: Weights, ids: &mut Ids) -> Option<String> {
        self.listeners.get(listener)?;
        let others = self.rules.values().filter(|rule| rule.listener == listener);
        let priority = others.filter_map(|rule| rule.priority).max().unwrap_or_default() + 1;
        let new = rule_arn(listener, ids);
        let rule = Rule { listener: listener.to_owned(), priority: Some(priority), weights };
        self.rules.insert(new.clone(), rule);
        Some(new)
    }

    /// Where a rule sends traffic. A listener stands for its default action.
    pub(crate) fn weights(&self, rule_or_listener: &str) -> Option<&[(String, u32)]> {
        Some(&self.rules.get(self.rule_of(rule_or_listener)?)?.weights)
    }

    /// Changes where a rule sends traffic. A listener stands for its default action. Says whether it is there.
    pub(crate) fn set_weights(&mut self, rule_or_listener: &str, weights: Weights) -> bool {
        let Some(arn) = self.rule_of(rule_or_listener).map(str::to_owned) else {
            return false;
        };
        self.rules.get_mut(&arn).map(|rule| rule.weights = weights).is_some()
    }

    fn rule_of<'a>(&'a self, rule_or_listener: &'a str) -> Option<&'a str> {
        match self.listeners.get(rule_or_listener) {
            Some(listener) => Some(&listener.default_rule),
            None => self.rules.contains_key(rule_or_listener).then_some(rule_or_listener),
        }
    }

    /// Registers a target, or changes its state. Says whether the group is there.
    pub(crate) fn set_target(&mut self, group: &str, ip: &str, port: u16, state: TargetState) -> bool {
        let Some(group) = self.groups.get_mut(group) else {
            return false;
        };
        group.targets.insert((ip.to_owned(), port), Target::new(state));
        true
    }

    /// Takes a target out of its group.
    pub(crate) fn remove_target(&mut self, group: &str, ip: &str, port: u16) {
        if let Some(group) = self.groups.get_mut(group) {
            group.targets.remove(&(ip.to_owned(), port));
        }
    }

    /// The load balancers whose rules name a group.
    fn load_balancers_of(&self, group: &str) -> Vec<&str> {
        let naming = self.rules.values().filter(|rule| rule.weights.iter().any(|(named, _)| named == group));
        let mut found: Vec<&str> =
            naming.filter_map(|rule| Some(self.listeners.get(&rule.listener)?.load_balancer.as_str())).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn rule_arn(listener: &str, ids: &mut Ids) -> String {
    format!("{}/{}", listener.replacen(":listener/", ":listener-rule/", 1), ids.hex(16))
}

/// Whether something belongs to a network load balancer, by its ARN.
fn is_network(arn: &str) -> bool {
    arn.contains("/net/")
}

impl Group {
    fn wire(&self, arn: &str, load_balancers: &[&str]) -> Value {
        // A group gets its protocol from its load balancer here, since nobody chose one when it was made.
        let network = load_balancers.iter().any(|arn| is_network(arn));
        let mut wire = json!({
            "TargetGroupArn": arn,
            "TargetGroupName": self.name,
            "Protocol": if network { "TCP" } else { "HTTP" },
            "Port": 80,
            "VpcId": "vpc-0123456789abcdef0",
            "HealthCheckProtocol": "HTTP",
            "HealthCheckPort": "traffic-port",
            "HealthCheckEnabled": true,
            "HealthCheckIntervalSeconds": 30,
            "HealthCheckTimeoutSeconds": 5,
            "HealthyThresholdCount": 5,
            "UnhealthyThresholdCount": 2,
            "HealthCheckPath": "/",
            "Matcher": { "HttpCode": "200" },
            "LoadBalancerArns": load_balancers,
            "TargetType": "ip",
            "IpAddressType": "ipv4",
        });
        if !network {
            wire["ProtocolVersion"] = json!("HTTP1");
        }
        wire
    }
}

impl Listener {
    fn wire(&self, arn: &str, weights: &[(String, u32)]) -> Value {
        let protocol = match (is_network(&self.load_balancer), self.port) {
            (true, _) => "TCP",
            (false, 443) => "HTTPS",
            (false, _) => "HTTP",
        };
        json!({
            "ListenerArn": arn,
            "LoadBalancerArn": self.load_balancer,
            "Port": self.port,
            "Protocol": protocol,
            "DefaultActions": [forward(weights)],
        })
    }
}

impl Rule {
    fn wire(&self, arn: &str) -> Value {
        let conditions = match self.priority {
            Some(_) => {
                json!([{ "Field": "path-pattern", "Values": ["/*"], "PathPatternConfig": { "Values": ["/*"] } }])
            }
            None => json!([]),
        };
        json!({
            "RuleArn": arn,
            "Priority": self.priority.map_or_else(|| "default".to_owned(), |priority| priority.to_string()),
            "Conditions": conditions,
            "Actions": [forward(&self.weights)],
            "IsDefault": self.priority.is_none(),
        })
    }
}

fn forward(weights: &[(String, u32)]) -> Value {
    let groups: Vec<Value> =
        weights.iter().map(|(group, weight)| json!({ "TargetGroupArn": group, "Weight": weight })).collect();
    let mut action = json!({ "Type": "forward" });
    if let [(only, _)] = weights {
        action["TargetGroupArn"] = json!(only);
    }
    action["ForwardConfig"] = json!({ "TargetGroups": groups, "TargetGroupStickinessConfig": { "Enabled": false } });
    action
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_stands_for_its_default_action() {
        let (mut balancing, mut ids, place) = (Balancing::default(), Ids::new(1, "test"), Place::new("1", "r"));
        let weights = |blue, green| vec![("blue".to_owned(), blue), ("green".to_owned(), green)];
        let listener = balancing.create_listener(&place, "web", 80, weights(100, 0), &mut ids);
        let rule = balancing.create_rule(&listener, weights(100, 0), &mut ids).unwrap();
        assert!(balancing.set_weights(&listener, weights(0, 100)));
        assert_eq!(balancing.weights(&listener), Some(&*weights(0, 100)));
        assert_eq!(balancing.weights(&rule), Some(&*weights(100, 0)));
        assert_eq!(balancing.weights("none"), None);
        assert!(!balancing.set_weights("none", Vec::new()));
        assert_eq!(balancing.create_rule("none", Vec::new(), &mut ids), None);
    }
}
