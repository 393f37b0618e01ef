//! What becomes of a task: its secrets and the behaviour of its images.

use crate::behaviour::Behaviour;
use crate::model::TaskKey;
use crate::outside::Outside;
use crate::place::Place;
use crate::sim::Sim;

impl Sim<'_> {
    /// What the images and secrets of a task make of it, and which container is to blame.
    pub(crate) fn fate(&self, key: TaskKey) -> (Behaviour, usize) {
        let task = &self.world.tasks[&key];
        let outside = self.around.outside;
        let place = &self.world.place;
        let troubled = task.service.and_then(|(service, deployment)| self.trouble_of_tasks(service, deployment));
        if let Some(behaviour) = troubled {
            let essential = task.definition.containers.iter().position(|container| container.essential);
            return (behaviour, essential.unwrap_or_default());
        }
        for (at, container) in task.definition.containers.iter().enumerate() {
            for secret in &container.secrets {
                if let Some(reason) = missing_secret(outside, place, secret) {
                    return (Behaviour::StartFailure { reason, after_seconds: 0.0 }, at);
                }
            }
        }
        let mut fate = (Behaviour::Ok, 0);
        for (at, (container, defined)) in task.containers.iter().zip(&task.definition.containers).enumerate() {
            let found = outside.pull(&container.image);
            if found.digest.is_none() {
                return (Behaviour::Missing, at);
            }
            if let Behaviour::StartFailure { .. } = found.behaviour {
                return (found.behaviour, at);
            }
            if defined.essential && fate.0 == Behaviour::Ok {
                fate = (found.behaviour, at);
            }
        }
        fate
    }
}

/// The reason why a task cannot have a secret, if so.
fn missing_secret(outside: &Outside, place: &Place, value_from: &str) -> Option<String> {
    if value_from.contains(":secretsmanager:") {
        let region = value_from.split(':').nth(3).unwrap_or(&place.region);
        let account = value_from.split(':').nth(4).unwrap_or(&place.account);
        let place = Place::new(account, region);
        let known = outside.secrets.get(&place).is_some_and(|secrets| secrets.contains(value_from));
        return (!known).then(|| {
            format!(
                "ResourceInitializationError: unable to pull secrets or registry auth: The task can't retrieve the secret with ARN '{value_from}' from Secrets Manager. Check whether the secret exists in the specified Region"
            )
        });
    }
    let known = outside.parameters.get(place).is_some_and(|parameters| parameters.contains(value_from));
    (!known).then(|| {
        let name = value_from.split_once(":parameter/").map_or(value_from, |(_, name)| name);
        format!(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid parameters: {name}"
        )
    })
}
