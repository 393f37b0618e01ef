//! Reads that lag behind: what services were before the latest write.

use serde_json::Value;

use crate::ecs::{Ctx, last_segment};
use crate::model::Before;

impl Ctx<'_> {
    /// Keeps how the service that a write names is now.
    pub(crate) fn keep_before(&mut self, operation: &str) {
        let request = self.request;
        let named = match operation {
            "CreateService" => request.text("serviceName"),
            "UpdateService" | "DeleteService" => request.text("service"),
            "TagResource" | "UntagResource" => request.text("resourceArn").filter(|arn| arn.contains(":service/")),
            _ => None,
        };
        let Some(named) = named else {
            return;
        };
        let from_arn = named.rsplit('/').nth(1).filter(|_| named.starts_with("arn:"));
        let cluster = from_arn.or_else(|| request.text("cluster")).map_or("default", last_segment).to_owned();
        let key = self.find_service(&cluster, named);
        let service = key.map(|key| self.show_service(key, true));
        let before = Before { at: self.now(), service };
        self.sim.world.before.insert((cluster, last_segment(named).to_owned()), before);
    }

    /// The service as a read that lags behind shows it: `Some(None)` is a service that did not exist.
    pub(crate) fn before(&self, cluster: &str, name: &str) -> Option<Option<Value>> {
        if self.lag.is_zero() {
            return None;
        }
        let before = self.sim.world.before.get(&(cluster.to_owned(), last_segment(name).to_owned()))?;
        (before.at.plus(self.lag) > self.now()).then(|| before.service.clone())
    }
}
