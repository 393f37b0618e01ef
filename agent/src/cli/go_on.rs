//! `lockstep continue`: the answer to a rollout that waits in a PAUSE hook. It goes on, or back.

use super::{
    Selection,
    selected::{Line, NO_SERVICE, Write, clients_of, permit, print},
    sync::confirm,
    target::Target,
};
use crate::{
    aws::Clients,
    exit::{Exit, Failure},
    output::{self, Format},
};
use clap::Args;
use lockstep_core::observed::words::ServiceStatus;
use lockstep_core::{
    observed::{LiveService, Reading, Rollout},
    stated::identity::{Owner, owner},
};
use std::sync::Arc;

#[derive(Args)]
pub(super) struct ContinueArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// Roll back instead.
    #[arg(long)]
    rollback: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// A rollout that waits.
struct Waiting {
    clients: Arc<Clients>,
    environment: String,
    service: String,
    revision: String,
    rollout: Rollout,
}

pub(super) async fn run(args: ContinueArgs, format: Format) -> Result<Exit, Failure> {
    if args.selection.environments.is_empty() || args.selection.services.is_empty() {
        let message = "name the service and the environment, as in `lockstep continue checkout -e prod`";
        return Err(Failure::new(Exit::Usage, message));
    }
    let opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    let source = opened.source.as_deref().unwrap_or_default();
    let (mut waiting, mut lines) = (Vec::new(), Vec::new());
    for name in &args.selection.environments {
        let Some(environment) = opened.snapshot.repository.environments.get(name) else { continue };
        let clients = clients_of(&opened, environment).await?;
        let declared = opened.snapshot.services_in(name);
        for service in &args.selection.services {
            let ecs = declared.iter().find(|(other, _)| other == service).map(|(_, ecs)| ecs);
            let found = match ecs {
                None if opened.snapshot.is_definition(name, service) => Err(NO_SERVICE.to_owned()),
                None => Err(format!("it is not in {name}, or its files have errors")),
                Some(ecs) => match rollout_of(&clients, &environment.cluster, ecs).await {
                    Ok((live, _)) if matches!(owner(&live.tags, source, name, ecs), Owner::Other(_)) => {
                        Err("it is owned by another source".to_owned())
                    }
                    other => other,
                },
            };
            match found {
                Ok((live, rollout)) => {
                    let revision = live.primary().map_or(&live.task_definition, |primary| &primary.task_definition);
                    waiting.push(Waiting {
                        clients: clients.clone(),
                        environment: name.clone(),
                        service: service.clone(),
                        revision: crate::reconcile::short(revision),
                        rollout,
                    });
                }
                Err(text) => {
                    lines.push(Line { environment: name.clone(), service: service.clone(), text, done: false });
                }
            }
        }
    }
    let what = if args.rollback { "rolled back" } else { "continued" };
    for it in &waiting {
        let told = format!("{}/{}: {}: {}", it.environment, it.service, it.revision, it.rollout.text());
        output::say(&output::clean(&told));
    }
    if !waiting.is_empty() && !args.yes {
        output::say(&format!("{} will be {what}.", output::count(waiting.len(), "rollout")));
        if !confirm()? {
            return Err(Failure::new(Exit::Failed, "not confirmed; nothing was sent"));
        }
    }
    for it in waiting {
        let mut result = Ok(());
        for pause in &it.rollout.pauses {
            let Some(environment) = opened.snapshot.repository.environments.get(&it.environment) else { continue };
            let (call, path) = ("ecs:ContinueServiceDeployment", format!("hooks[{}]", pause.id));
            let write = Write { verb: "continue", call, service: &it.service, path };
            let permit = match permit(&opened, &it.clients, environment, write) {
                Ok(permit) => permit,
                Err(text) => {
                    result = Err(text);
                    break;
                }
            };
            let answered = it.clients.answer_pause(&permit, &it.rollout.arn, &pause.id, args.rollback).await;
            permit.tell(&answered, |()| None);
            result = answered.map_err(|error| error.to_string());
            if result.is_err() {
                break;
            }
        }
        let done = result.is_ok();
        let text = result.err().unwrap_or_else(|| format!("{what}: {}", it.revision));
        lines.push(Line { environment: it.environment, service: it.service, text, done });
    }
    Ok(print(&lines, format))
}

/// The rollout of a service that waits in a pause.
async fn rollout_of(clients: &Clients, cluster: &str, service: &str) -> Result<(LiveService, Rollout), String> {
    let mut found = clients.services(cluster, &[service.to_owned()]).await;
    let live = match found.remove(service).unwrap_or_default() {
        Reading::Found(live) if live.status == ServiceStatus::Active => live,
        Reading::Found(_) | Reading::Missing => return Err("the ECS service does not exist".to_owned()),
        Reading::Failed(text) => return Err(text),
        Reading::Unread => return Err("it was not read".to_owned()),
    };
    let Some(arn) = live.current_deployment.clone() else {
        return Err("ECS names no deployment of it".to_owned());
    };
    let mut rollouts = clients.rollouts(std::slice::from_ref(&arn)).await.map_err(|error| error.to_string())?;
    let rollout = rollouts.remove(&arn).ok_or("ECS does not show its deployment")?;
    if rollout.pauses.is_empty() || !rollout.is_open() {
        return Err(format!("it does not wait in a PAUSE hook: {}", rollout.text()));
    }
    let rollout = rollout.with_pauses_since(&live.definition);
    Ok((live, rollout))
}
