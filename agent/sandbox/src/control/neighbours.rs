//! The hand of the test on alarms, logs, load balancers and queues.

use serde_json::Map;

use crate::control::Control;
use crate::outside::alarms::AlarmState;
use crate::outside::balancing::TargetState;
use crate::outside::sqs::{self, NewMessage};
use crate::place::Place;
use crate::wire::lock;

impl Control {
    /// Puts an alarm of CloudWatch into a state, and makes it if need be.
    pub fn set_alarm(&self, account: &str, region: &str, name: &str, state: AlarmState) {
        let mut sandbox = lock(&self.handle);
        let now = sandbox.catch_up();
        sandbox.outside.alarms.entry(Place::new(account, region)).or_default().set(name, state, now);
    }

    /// Adds lines to a log stream, and makes group and stream if need be.
    pub fn put_log_events(&self, account: &str, region: &str, group: &str, stream: &str, lines: &[&str]) {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        let logs = state.outside.logs.entry(Place::new(account, region)).or_default();
        lines.iter().for_each(|line| logs.append(group, stream, now, line));
    }

    /// Makes a log group, unless it is there.
    pub fn create_log_group(&self, account: &str, region: &str, name: &str) {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        state.outside.logs.entry(Place::new(account, region)).or_default().create(name, "STANDARD", now);
    }

    /// Makes a target group for addresses, unless one of the name is there. Returns its ARN, which is known beforehand
    /// where the name is that of an ARN's end: `web/50dc6c495c0c9188`.
    pub fn create_target_group(&self, account: &str, region: &str, name: &str) -> String {
        let mut state = lock(&self.handle);
        state.catch_up();
        let place = Place::new(account, region);
        let outside = &mut state.outside;
        outside.balancing.entry(place.clone()).or_default().create_group(&place, name, &mut outside.ids)
    }

    /// Removes a target group, even one that rules refer to.
    pub fn delete_target_group(&self, account: &str, region: &str, group: &str) {
        let mut state = lock(&self.handle);
        state.catch_up();
        if let Some(balancing) = state.outside.balancing.get_mut(&Place::new(account, region)) {
            balancing.delete_group(group);
        }
    }

    /// Makes a listener that forwards to target groups by their weights, and its load balancer if need be: an
    /// application load balancer of the name, or a network load balancer if the name begins with `net/`.
    /// Returns the listener's ARN.
    pub fn create_listener(
        &self,
        account: &str,
        region: &str,
        load_balancer: &str,
        port: u16,
        groups: &[(&str, u32)],
    ) -> String {
        let mut state = lock(&self.handle);
        state.catch_up();
        let place = Place::new(account, region);
        let outside = &mut state.outside;
        let balancing = outside.balancing.entry(place.clone()).or_default();
        balancing.create_listener(&place, load_balancer, port, owned(groups), &mut outside.ids)
    }

    /// Makes a rule of a listener that forwards to target groups by their weights. Returns its ARN, or nothing if there
    /// is no such listener.
    pub fn create_rule(&self, account: &str, region: &str, listener: &str, groups: &[(&str, u32)]) -> Option<String> {
        let mut state = lock(&self.handle);
        state.catch_up();
        let outside = &mut state.outside;
        let balancing = outside.balancing.get_mut(&Place::new(account, region))?;
        balancing.create_rule(listener, owned(groups), &mut outside.ids)
    }

    /// Changes the weights of a rule, or of a listener's default action. Says whether it is there.
    pub fn set_rule_weights(&self, account: &str, region: &str, rule: &str, groups: &[(&str, u32)]) -> bool {
        let mut state = lock(&self.handle);
        state.catch_up();
        let balancing = state.outside.balancing.get_mut(&Place::new(account, region));
        balancing.is_some_and(|balancing| balancing.set_weights(rule, owned(groups)))
    }

    /// The weights of a rule, or of a listener's default action.
    pub fn rule_weights(&self, account: &str, region: &str, rule: &str) -> Option<Vec<(String, u32)>> {
        let mut state = lock(&self.handle);
        state.catch_up();
        state.outside.balancing.get(&Place::new(account, region))?.weights(rule).map(<[_]>::to_vec)
    }

    /// Registers a target of a group, or changes its state. Says whether the group is there.
    pub fn set_target(
        &self,
        account: &str,
        region: &str,
        group: &str,
        ip: &str,
        port: u16,
        target: TargetState,
    ) -> bool {
        let mut state = lock(&self.handle);
        state.catch_up();
        let balancing = state.outside.balancing.get_mut(&Place::new(account, region));
        balancing.is_some_and(|balancing| balancing.set_target(group, ip, port, target))
    }

    /// Takes a target out of its group.
    pub fn remove_target(&self, account: &str, region: &str, group: &str, ip: &str, port: u16) {
        let mut state = lock(&self.handle);
        state.catch_up();
        if let Some(balancing) = state.outside.balancing.get_mut(&Place::new(account, region)) {
            balancing.remove_target(group, ip, port);
        }
    }

    /// Makes a queue, unless it is there. Returns its URL.
    pub fn create_queue(&self, account: &str, region: &str, name: &str) -> String {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        let place = Place::new(account, region);
        state.outside.queues.entry(place.clone()).or_default().ensure(name, now);
        sqs::url(&state.outside.endpoint, &place, name)
    }

    /// Sends a message to a queue, and makes the queue if need be. Returns the message's id.
    pub fn send_message(&self, account: &str, region: &str, queue: &str, body: &str) -> String {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        let outside = &mut state.outside;
        let queue = outside.queues.entry(Place::new(account, region)).or_default().ensure(queue, now);
        let new = NewMessage { body, attributes: Map::new(), sender: account, delay: None };
        queue.send(new, now, &mut outside.ids)
    }

    /// How many messages a queue holds, in flight or not.
    pub fn queue_depth(&self, account: &str, region: &str, queue: &str) -> usize {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        state.outside.queues.get_mut(&Place::new(account, region)).map_or(0, |queues| queues.depth(queue, now))
    }

    /// From now on, each push to the registry of a place puts an event into a queue of that place, which is made if
    /// need be.
    pub fn deliver_ecr_events(&self, account: &str, region: &str, queue: &str) {
        let mut state = lock(&self.handle);
        let now = state.catch_up();
        state.outside.deliver_ecr_events(&Place::new(account, region), queue, now);
    }
}

fn owned(groups: &[(&str, u32)]) -> Vec<(String, u32)> {
    groups.iter().map(|(group, weight)| ((*group).to_owned(), *weight)).collect()
}
