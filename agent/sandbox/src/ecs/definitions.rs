//! Task definitions.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::ecs::{Ctx, normalise, put, put_some, tags_of, with_token};
use crate::error::{Answer, ApiError};
use crate::model::{Definition, Object, TaskDefinition};

impl Ctx<'_> {
    pub(crate) fn register_task_definition(&mut self) -> Answer {
        let mut wire = normalise::task_definition(self.request)?;
        let family = self.request.text("family").unwrap_or_default().to_owned();
        let now = self.now();
        let world = &mut *self.sim.world;
        let containers = normalise::containers(&wire);
        if self.options.shuffle_sets {
            normalise::shuffle(&mut wire, &mut world.ids);
        }
        let revision = world.families.get(&family).and_then(|family| family.keys().last().copied()).unwrap_or(0) + 1;
        let arn = world.ecs_arn(format_args!("task-definition/{family}:{revision}"));
        let mut full = Object::new();
        put(&mut full, "taskDefinitionArn", arn.as_str());
        put(&mut full, "revision", revision);
        full.extend(wire);
        let (compatibilities, attributes) = (compatibilities(&full), attributes(&full));
        put(&mut full, "compatibilities", compatibilities);
        put(&mut full, "requiresAttributes", attributes);
        put(&mut full, "registeredAt", now.wire());
        put(&mut full, "registeredBy", self.caller.arn.as_str());
        let awsvpc = full.get("networkMode").and_then(Value::as_str) == Some("awsvpc");
        // The simulation works on the shuffled order too, so that answers agree with each other.
        let containers = if self.options.shuffle_sets { normalise::containers(&full) } else { containers };
        let definition = Definition { arn, family: family.clone(), revision, wire: full, containers, awsvpc };
        let definition = TaskDefinition {
            definition: Arc::new(definition),
            active: true,
            deregistered_at: None,
            tags: tags_of(self.request),
        };
        let answer = show(&definition, true);
        world.families.entry(family).or_default().insert(revision, definition);
        Ok(answer)
    }

    pub(crate) fn describe_task_definition(&mut self) -> Answer {
        let reference = self.request.text("taskDefinition").unwrap_or_default();
        let definition =
            self.find_definition(reference).ok_or_else(|| ApiError::client("Unable to describe task definition."))?;
        Ok(show(definition, self.request.includes("TAGS")))
    }

    pub(crate) fn deregister_task_definition(&mut self) -> Answer {
        let reference = self.request.text("taskDefinition").unwrap_or_default();
        if !reference.rsplit('/').next().is_some_and(|name| name.contains(':')) {
            return Err(ApiError::client("The specified task definition is missing a revision."));
        }
        let (family, revision) = self
            .find_definition(reference)
            .map(|found| (found.definition.family.clone(), found.definition.revision))
            .ok_or_else(|| ApiError::client("The specified task definition does not exist."))?;
        let now = self.now();
        let found = self.sim.world.families.get_mut(&family).and_then(|family| family.get_mut(&revision));
        let Some(found) = found else {
            return Err(ApiError::client("The specified task definition does not exist."));
        };
        found.active = false;
        found.deregistered_at.get_or_insert(now);
        let mut answer = show(found, false);
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("tags");
        }
        Ok(answer)
    }

    pub(crate) fn list_task_definitions(&mut self) -> Answer {
        let family = self.request.text("familyPrefix");
        let active = match self.request.text("status").unwrap_or("ACTIVE") {
            "ACTIVE" => true,
            "INACTIVE" => false,
            _ => return Ok(json!({ "taskDefinitionArns": [] })),
        };
        let families = self.sim.world.families.iter().filter(|(name, _)| family.is_none_or(|family| family == *name));
        let mut all: Vec<(String, String)> = families
            .flat_map(|(name, revisions)| {
                revisions.iter().filter(|(_, definition)| definition.active == active).map(
                    move |(revision, definition)| (format!("{name} {revision:010}"), definition.definition.arn.clone()),
                )
            })
            .collect();
        if self.request.text("sort") == Some("DESC") {
            all.reverse();
        }
        let (arns, next) = self.page(all, 100)?;
        Ok(with_token(json!({ "taskDefinitionArns": arns }), next))
    }

    pub(crate) fn list_task_definition_families(&mut self) -> Answer {
        let prefix = self.request.text("familyPrefix").unwrap_or_default();
        let status = self.request.text("status").unwrap_or("ACTIVE");
        let all = self
            .sim
            .world
            .families
            .iter()
            .filter(|(name, revisions)| {
                let active = revisions.values().any(|definition| definition.active);
                name.starts_with(prefix)
                    && match status {
                        "ACTIVE" => active,
                        "INACTIVE" => !active,
                        _ => true,
                    }
            })
            .map(|(name, _)| (name.clone(), name.clone()))
            .collect();
        let (families, next) = self.page(all, 100)?;
        Ok(with_token(json!({ "families": families }), next))
    }
}

fn show(definition: &TaskDefinition, tags: bool) -> Value {
    let mut wire = definition.definition.wire.clone();
    put(&mut wire, "status", if definition.active { "ACTIVE" } else { "INACTIVE" });
    put_some(&mut wire, "deregisteredAt", definition.deregistered_at.map(|moment| moment.wire()));
    let mut answer = json!({ "taskDefinition": wire });
    if tags {
        answer["tags"] = json!(definition.tags);
    }
    answer
}

fn compatibilities(wire: &Object) -> Value {
    let awsvpc = wire.get("networkMode").and_then(Value::as_str) == Some("awsvpc");
    let sized = wire.contains_key("cpu") && wire.contains_key("memory");
    if awsvpc && sized { json!(["EC2", "FARGATE"]) } else { json!(["EC2"]) }
}

fn attributes(wire: &Object) -> Value {
    let mut names = vec!["com.amazonaws.ecs.capability.docker-remote-api.1.18"];
    if wire.get("networkMode").and_then(Value::as_str) == Some("awsvpc") {
        names.push("ecs.capability.task-eni");
    }
    if wire.contains_key("executionRoleArn") {
        names.push("ecs.capability.execution-role-ecr-pull");
    }
    if wire.contains_key("taskRoleArn") {
        names.push("com.amazonaws.ecs.capability.task-iam-role");
    }
    names.into_iter().map(|name| json!({ "name": name })).collect()
}
