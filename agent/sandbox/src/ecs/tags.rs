//! Tags of resources, found by their ARN.

use serde_json::{Value, json};

use crate::ecs::clusters::not_found;
use crate::ecs::{Ctx, last_segment};
use crate::error::{Answer, ApiError};
use crate::model::World;

impl Ctx<'_> {
    pub(crate) fn tag_resource(&mut self) -> Answer {
        let new = self.request.list("tags").cloned().unwrap_or_default();
        if new.iter().any(|tag| tag["key"].as_str().is_none_or(str::is_empty)) {
            return Err(ApiError::invalid("Tag keys cannot be empty."));
        }
        if new.iter().any(|tag| tag["key"].as_str().is_some_and(|key| key.starts_with("aws:"))) {
            return Err(ApiError::invalid("Tag keys cannot start with aws:."));
        }
        let tags = self.tags_of_arn()?;
        for tag in new {
            match tags.iter_mut().find(|old| old["key"] == tag["key"]) {
                Some(old) => *old = tag,
                None => tags.push(tag),
            }
        }
        Ok(json!({}))
    }

    pub(crate) fn untag_resource(&mut self) -> Answer {
        let keys: Vec<Value> = self.request.list("tagKeys").cloned().unwrap_or_default();
        self.tags_of_arn()?.retain(|tag| !keys.contains(&tag["key"]));
        Ok(json!({}))
    }

    pub(crate) fn list_tags(&mut self) -> Answer {
        Ok(json!({ "tags": *self.tags_of_arn()? }))
    }

    fn tags_of_arn(&mut self) -> Result<&mut Vec<Value>, ApiError> {
        let arn = self.request.text("resourceArn").unwrap_or_default();
        let Some(path) = arn.strip_prefix("arn:").and_then(|arn| arn.splitn(5, ':').nth(4)) else {
            return Err(ApiError::invalid("Invalid ARN."));
        };
        let (kind, rest) = path.split_once('/').unwrap_or((path, ""));
        find(self.sim.world, kind, rest).ok_or_else(|| not_found(kind))
    }
}

fn find<'a>(world: &'a mut World, kind: &str, path: &str) -> Option<&'a mut Vec<Value>> {
    match kind {
        "cluster" => world.clusters.get_mut(path).map(|cluster| &mut cluster.tags),
        "service" => {
            let (cluster, name) = path.split_once('/')?;
            let key = world.names.get(&(cluster.to_owned(), name.to_owned()))?;
            world.services.get_mut(key).map(|service| &mut service.tags)
        }
        "task-definition" => {
            let (family, revision) = path.rsplit_once(':')?;
            let revision = revision.parse().ok()?;
            world.families.get_mut(family)?.get_mut(&revision).map(|definition| &mut definition.tags)
        }
        "task" => {
            let key = world.task_ids.get(last_segment(path))?;
            world.tasks.get_mut(key).map(|task| &mut task.tags)
        }
        _ => None,
    }
}
