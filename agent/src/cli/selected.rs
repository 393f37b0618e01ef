//! What commands do with each service of a selection that is ours, one after the other, and how they say it.

use super::{Selection, target::Opened};
use crate::{
    aws::Clients,
    exit::{Exit, Failure},
    output::{self, Format},
    permit::{Actor, Intent, Permit},
};
use lockstep_core::observed::words::ServiceStatus;
use lockstep_core::{
    observed::{LiveService, Reading},
    stated::identity::{self, Owner, owner},
    tags::Tags,
};
use lockstep_manifests::Environment;
use std::sync::Arc;

/// What is said of a task definition without a service, where something is to be done with one.
pub(super) const NO_SERVICE: &str = "it declares no ECS service (`service: none`)";

/// What is said of a service that is not there.
pub(super) const NOT_THERE: &str = "the ECS service does not exist";

/// What became of one service, or of an environment as a whole.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    pub(super) environment: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) service: String,
    pub(super) text: String,
    pub(super) done: bool,
}

impl Line {
    pub(super) fn of(environment: &str, service: &str, result: Result<String, String>) -> Self {
        let done = result.is_ok();
        let text = result.unwrap_or_else(|text| text);
        Self { environment: environment.to_owned(), service: service.to_owned(), text, done }
    }
}

/// Where an environment as a whole was reached by its cluster's tag, a service that is not there yet is no failure.
pub(super) fn forgive_absent(lines: &mut [Line], text: &str) {
    let whole: Vec<String> =
        lines.iter().filter(|line| line.service.is_empty() && line.done).map(|line| line.environment.clone()).collect();
    for line in lines.iter_mut().filter(|line| !line.done && line.text == NOT_THERE) {
        if whole.contains(&line.environment) {
            (line.done, line.text) = (true, format!("it does not exist yet; {text}"));
        }
    }
}

/// Prints what became of all, and says how the command ends.
pub(super) fn print(lines: &[Line], format: Format) -> Exit {
    match format {
        Format::Json => output::data(&output::json(&lines)),
        Format::Text => {
            for line in lines {
                let text = output::clean(&line.text);
                let text = if line.done { text } else { output::paint::bad(&text) };
                let slash = if line.service.is_empty() { "" } else { "/" };
                output::data(&format!("{}{slash}{}  {text}", line.environment, line.service));
            }
        }
    }
    if lines.iter().all(|line| line.done) { Exit::Done } else { Exit::Failed }
}

/// The environment must be named: a verb that changes something is never meant for all of them.
pub(super) fn require_environment(selection: &Selection, verb: &str) -> Result<(), Failure> {
    if selection.environments.is_empty() {
        let message = format!("name the environment to {verb} with -e; without services, all of it is meant");
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(())
}

/// One service of a selection: what it is called, and what runs.
pub(super) struct Selected<'a> {
    pub(super) clients: &'a Clients,
    pub(super) environment: &'a Environment,
    /// The service's name in the repository.
    pub(super) name: &'a str,
    /// The ECS service's name.
    pub(super) ecs_name: &'a str,
    pub(super) live: LiveService,
}

/// Does something with each service of the selection that is ours.
pub(super) async fn each(
    opened: &Opened,
    selection: &Selection,
    mut act: impl AsyncFnMut(Selected<'_>) -> Result<String, String>,
) -> Result<Vec<Line>, Failure> {
    let mut lines: Vec<Line> = Vec::new();
    for name in &selection.environments {
        let Some(environment) = opened.snapshot.repository.environments.get(name) else { continue };
        let clients = clients_of(opened, environment).await?;
        let alone = selection.services.iter().filter(|service| opened.snapshot.is_definition(name, service));
        lines.extend(alone.map(|service| Line::of(name, service, Err(NO_SERVICE.to_owned()))));
        let services: Vec<(String, String)> = opened
            .snapshot
            .services_in(name)
            .into_iter()
            .filter(|(service, _)| selection.services.is_empty() || selection.services.contains(service))
            .collect();
        let names: Vec<String> = services.iter().map(|(_, ecs)| ecs.clone()).collect();
        let mut live = clients.services(&environment.cluster, &names).await;
        for (service, ecs) in services {
            let result = match live.remove(&ecs).unwrap_or_default() {
                Reading::Found(live) if live.status == ServiceStatus::Active => {
                    match refusal(opened, &live, name, &ecs) {
                        Some(refusal) => Err(refusal),
                        None => {
                            let clients = &*clients;
                            act(Selected { clients, environment, name: &service, ecs_name: &ecs, live }).await
                        }
                    }
                }
                Reading::Found(_) | Reading::Missing => Err(NOT_THERE.to_owned()),
                Reading::Failed(text) => Err(text),
                Reading::Unread => Err("it was not read".to_owned()),
            };
            lines.push(Line::of(name, &service, result));
        }
    }
    Ok(lines)
}

/// One write of a command, for the audit.
pub(super) struct Write<'a> {
    /// The command.
    pub(super) verb: &'a str,
    pub(super) call: &'a str,
    /// The service's name in the repository; empty where the environment as a whole is meant.
    pub(super) service: &'a str,
    /// What is written.
    pub(super) path: String,
}

/// The permit for a write of a command.
pub(super) fn permit(
    opened: &Opened,
    clients: &Clients,
    environment: &Environment,
    write: Write<'_>,
) -> Result<Permit, String> {
    let intent = Intent {
        actor: Actor::person(&clients.known_caller()),
        trigger: write.verb.to_owned(),
        call: write.call.to_owned(),
        source: opened.source.clone().unwrap_or_default(),
        environment: environment.name.clone(),
        service: write.service.to_owned(),
        account: environment.account.clone(),
        region: environment.region.clone(),
        cluster: environment.cluster.clone(),
        paths: vec![write.path],
        ..Intent::default()
    };
    opened.context.gate.permit(intent).map_err(|error| error.to_string())
}

/// Sets tags of a service or a cluster.
pub(super) async fn set_tags(
    opened: &Opened,
    clients: &Clients,
    (environment, service): (&Environment, &str),
    verb: &str,
    arn: &str,
    tags: &Tags,
) -> Result<(), String> {
    let path = format!("tags[{}]", tags.keys().cloned().collect::<Vec<_>>().join(", "));
    let permit = permit(opened, clients, environment, Write { verb, call: "ecs:TagResource", service, path })?;
    let result = clients.tag(&permit, arn, tags).await;
    permit.tell(&result, |()| None);
    result.map_err(|error| error.to_string())
}

/// Takes a tag of a service or a cluster away.
pub(super) async fn remove_tag(
    opened: &Opened,
    clients: &Clients,
    (environment, service): (&Environment, &str),
    verb: &str,
    arn: &str,
    tag: &str,
) -> Result<(), String> {
    let path = format!("tags[{tag}]");
    let permit = permit(opened, clients, environment, Write { verb, call: "ecs:UntagResource", service, path })?;
    let result = clients.untag(&permit, arn, tag).await;
    permit.tell(&result, |()| None);
    result.map_err(|error| error.to_string())
}

/// The clients of an environment, after everything that must hold before they are used.
pub(super) async fn clients_of(opened: &Opened, environment: &Environment) -> Result<Arc<Clients>, Failure> {
    if let Some(text) = opened.allow.refuses_cluster(&environment.cluster) {
        return Err(Failure::new(Exit::Failed, text));
    }
    let clients = opened.context.accounts.clients(&environment.account, &environment.region).await;
    clients.check_account().await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    Ok(clients)
}

/// Why a service is none of our business. Without --source, any source's will do.
fn refusal(opened: &Opened, live: &LiveService, environment: &str, service: &str) -> Option<String> {
    let source = opened.source.as_deref().unwrap_or_default();
    match owner(&live.tags, source, environment, service) {
        Owner::Us if live.tags.contains_key(identity::SOURCE) => None,
        Owner::Other(other) => Some(format!("it is owned by {other}")),
        _ => Some("it is not adopted, so that Lockstep leaves it alone anyway".to_owned()),
    }
}
