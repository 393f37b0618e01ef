//! What ECS finds wrong with listener rules when it begins to shift traffic.

use serde_json::Value;

use crate::model::{DeploymentKey, ServiceKey};
use crate::sim::Sim;

impl Sim<'_> {
    /// Why a deployment cannot shift traffic with the listener rules as they are.
    pub(crate) fn refused_network(&self, key: ServiceKey, deployment: DeploymentKey) -> Option<String> {
        self.shift(key, deployment)?;
        let service = self.service(key)?;
        let revision = &service.revisions[service.primary().revision];
        let balancers = revision.template.get("loadBalancers").and_then(Value::as_array);
        let known = self.around.outside.balancing.get(&self.world.place)?;
        balancers.into_iter().flatten().find_map(|balancer| {
            let advanced = &balancer["advancedConfiguration"];
            let (a, b) = (balancer["targetGroupArn"].as_str()?, advanced["alternateTargetGroupArn"].as_str()?);
            let rule = advanced["productionListenerRule"].as_str()?;
            let Some(weights) = known.weights(rule) else {
                return Some("One or more rules not found".to_owned());
            };
            let serving: Vec<&str> =
                weights.iter().filter(|(_, weight)| *weight > 0).map(|(group, _)| group.as_str()).collect();
            if let Some(stranger) = serving.iter().find(|group| **group != a && **group != b) {
                return Some(format!(
                    "Production listener rule is forwarding traffic to unexpected target group {stranger}. Expected traffic to be forwarded to either targetGroupArn: {a} or alternateTargetGroupArn: {b}"
                ));
            }
            if let Some(group) = [a, b].into_iter().find(|group| !weights.iter().any(|(known, _)| known == group)) {
                return Some(format!(
                    "Target group {group} is not associated with either productionListenerRule or testListenerRule."
                ));
            }
            (serving.len() != 1).then(|| {
                format!(
                    "productionListenerRule {rule} should have exactly one target group serving traffic but found {} target groups which are serving traffic",
                    serving.len()
                )
            })
        })
    }
}
