//! Scalable targets (Application Auto Scaling).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::clock::Moment;
use crate::error::{Answer, ApiError};
use crate::ids::Ids;
use crate::outside::Call;
use crate::place::Place;

/// The scalable targets of a place, by namespace, resource and dimension.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    by_key: BTreeMap<(String, String, String), Value>,
}

/// What to register.
pub(crate) struct Registration<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) dimension: &'a str,
    pub(crate) minimum: Option<u32>,
    pub(crate) maximum: Option<u32>,
    pub(crate) role: Option<&'a str>,
    pub(crate) suspended: Option<&'a Value>,
}

impl Targets {
    pub(crate) fn register(&mut self, place: &Place, new: &Registration<'_>, now: Moment, ids: &mut Ids) -> Answer {
        let key = (new.namespace.to_owned(), new.resource.to_owned(), new.dimension.to_owned());
        let old = self.by_key.get(&key);
        let bound = |name: &str, given: Option<u32>| match (given, old) {
            (Some(value), _) => Ok(json!(value)),
            (None, Some(old)) => Ok(old[name].clone()),
            (None, None) => {
                Err(ApiError::validation(format!("{name} must be specified when registering a new scalable target")))
            }
        };
        let (minimum, maximum) = (bound("MinCapacity", new.minimum)?, bound("MaxCapacity", new.maximum)?);
        if minimum.as_u64() > maximum.as_u64() {
            return Err(ApiError::validation("Maximum capacity cannot be less than minimum capacity"));
        }
        let arn = match old {
            Some(old) => old["ScalableTargetARN"].clone(),
            None => json!(place.arn("application-autoscaling", format_args!("scalable-target/{}", ids.hex(40)))),
        };
        let role = format!(
            "arn:aws:iam::{}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService",
            place.account
        );
        let idle = json!({ "DynamicScalingInSuspended": false, "DynamicScalingOutSuspended": false, "ScheduledScalingSuspended": false });
        let target = json!({
            "ServiceNamespace": new.namespace,
            "ResourceId": new.resource,
            "ScalableDimension": new.dimension,
            "MinCapacity": minimum,
            "MaxCapacity": maximum,
            "RoleARN": new.role.unwrap_or(&role),
            "CreationTime": old.map_or_else(|| now.wire(), |old| old["CreationTime"].clone()),
            "SuspendedState": new.suspended.unwrap_or(&idle),
            "ScalableTargetARN": arn,
        });
        self.by_key.insert(key, target);
        Ok(json!({ "ScalableTargetARN": arn }))
    }
}

/// Runs one operation.
pub(crate) fn run(operation: &str, call: Call<'_>) -> Answer {
    let request = call.request;
    let namespace = request.text("ServiceNamespace").unwrap_or_default();
    let resource = request.text("ResourceId").unwrap_or_default();
    let dimension = request.text("ScalableDimension");
    let ids = &mut call.outside.ids;
    let targets = call.outside.scaling.entry(call.place.clone()).or_default();
    match operation {
        "RegisterScalableTarget" => {
            let new = Registration {
                namespace,
                resource,
                dimension: dimension.unwrap_or_default(),
                minimum: request.count("MinCapacity"),
                maximum: request.count("MaxCapacity"),
                role: request.text("RoleARN"),
                suspended: request.get("SuspendedState"),
            };
            targets.register(call.place, &new, call.now, ids)
        }
        "DescribeScalableTargets" => {
            let wanted = request.texts("ResourceIds");
            if wanted.len() > 50 {
                return Err(ApiError::validation(
                    "1 validation error detected: ResourceIds must have length less than or equal to 50",
                ));
            }
            let all = targets
                .by_key
                .iter()
                .filter(|((space, id, dim), _)| {
                    space == namespace
                        && (wanted.is_empty() || wanted.contains(&id.as_str()))
                        && dimension.is_none_or(|dimension| dimension == dim)
                })
                .map(|((_, id, dim), target)| (format!("{id} {dim}"), target.clone()))
                .collect();
            let (items, next) = call.page(all, ("NextToken", "MaxResults"), 50, "InvalidNextTokenException")?;
            let mut answer = json!({ "ScalableTargets": items });
            if let Some(token) = next {
                answer["NextToken"] = json!(token);
            }
            Ok(answer)
        }
        "DeregisterScalableTarget" => {
            let key = (namespace.to_owned(), resource.to_owned(), dimension.unwrap_or_default().to_owned());
            if targets.by_key.remove(&key).is_some() {
                return Ok(json!({}));
            }
            Err(ApiError::new(
                "ObjectNotFoundException",
                format!(
                    "No scalable target found for service namespace: {namespace}, resource ID: {resource}, scalable dimension: {}",
                    key.2
                ),
            ))
        }
        other => Err(ApiError::unsupported(format!("The sandbox does not know application-autoscaling:{other}."))),
    }
}
