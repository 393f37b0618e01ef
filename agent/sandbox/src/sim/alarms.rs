//! The CloudWatch alarms of a deployment.

use serde_json::{Value, json};

use crate::model::{DeploymentKey, Monitor, ServiceKey, Status};
use crate::sim::Sim;
use crate::sim::queue::Event;
use crate::sim::rollback::Cause;

impl Sim<'_> {
    /// Begins to watch. An alarm that fires already makes ECS ignore them all for this deployment.
    pub(crate) fn begin_alarms(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let Some(record) = self.record(key, deployment) else {
            return;
        };
        if record.alarms != Monitor::Monitoring {
            return;
        }
        if !self.firing(&record.configuration).is_empty() {
            if let Some(record) = self.record_mut(key, deployment) {
                record.alarms = Monitor::Disabled;
            }
            return;
        }
        let next = self.now.plus(self.durations().alarm_poll);
        self.world.queue.push(next, Event::Alarms(key, deployment));
    }

    pub(crate) fn watch_alarms(&mut self, key: ServiceKey, deployment: DeploymentKey) {
        let Some(record) = self.record(key, deployment) else {
            return;
        };
        if record.status != Status::InProgress || record.alarms != Monitor::Monitoring {
            return;
        }
        let firing = self.firing(&record.configuration);
        if firing.is_empty() {
            let next = self.now.plus(self.durations().alarm_poll);
            self.world.queue.push(next, Event::Alarms(key, deployment));
            return;
        }
        let roll_back = record.configuration["alarms"]["rollback"] == json!(true);
        if let Some(record) = self.record_mut(key, deployment) {
            record.triggered_alarms = firing;
        }
        self.fail(key, Cause::Alarm { roll_back });
    }

    fn firing(&self, configuration: &Value) -> Vec<String> {
        let names = configuration["alarms"]["alarmNames"].as_array();
        let alarms = self.around.outside.alarms.get(&self.world.place);
        names
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|name| alarms.is_some_and(|alarms| alarms.firing(name)))
            .map(str::to_owned)
            .collect()
    }
}
