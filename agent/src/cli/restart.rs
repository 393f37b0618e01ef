//! `lockstep restart`: what runs is deployed once more, whatever Git says by now.

use super::{
    Selection,
    progress::Progress,
    selected::{Line, NO_SERVICE, clients_of, print},
    sync::{confirm, require_source},
    target::{Opened, Target},
};
use crate::{
    aws::Clients,
    config::parse_duration,
    exit::{Exit, Failure},
    output::{self, Format},
    reconcile::Orders,
};
use clap::Args;
use lockstep_core::observed::words::ServiceStatus;
use lockstep_core::{
    observed::Reading,
    report::{ActionKind, Reason},
    service::plan::Restart,
    tags::tag_text,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

#[derive(Args)]
pub(super) struct RestartArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// Why, for whoever wonders.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Return once the restarts are ordered; do not follow the deployments.
    #[arg(long)]
    no_wait: bool,
    /// How long to follow before giving up.
    #[arg(long, value_name = "DURATION", default_value = "20m")]
    timeout: String,
}

/// A service on its way: its ECS name, the deployment before, and the one that the restart started.
struct Job {
    environment: String,
    service: String,
    ecs_name: String,
    before: Option<String>,
    started: Option<String>,
    result: Option<Result<String, String>>,
}

pub(super) async fn run(args: RestartArgs, format: Format) -> Result<Exit, Failure> {
    let limit = parse_duration(&args.timeout).map_err(|reason| Failure::new(Exit::Usage, reason))?;
    if args.selection.environments.is_empty() || args.selection.services.is_empty() {
        let message = "name the service and the environment, as in `lockstep restart checkout -e prod`";
        return Err(Failure::new(Exit::Usage, message));
    }
    let mut opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    require_source(&opened, "restart")?;
    let mut jobs = jobs(&opened, &args.selection).await?;
    let mut by = String::new();
    if let Some(environment) = opened.snapshot.repository.environments.get(&args.selection.environments[0]) {
        let clients = clients_of(&opened, environment).await?;
        by = clients.caller_name().await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    }
    let restart = Restart { by: tag_text(&by), reason: tag_text(&args.reason) };
    let looking = Orders { by_hand: true, restart: Some(restart), ..args.selection.looking() };
    let mut progress = Progress::new(format == Format::Json);
    let mut events = opened.context.events.subscribe();
    progress.round(&mut opened, &mut events, &looking).await;
    progress.clear();
    let plan = opened.context.board.update(0, |source| source.plan());
    if format == Format::Text {
        output::say(&output::plan::render(&plan, false));
    }
    if !args.yes && !confirm()? {
        return Err(Failure::new(Exit::Failed, "not confirmed; nothing was written"));
    }
    let started = Instant::now();
    let mut begins = true;
    // The fleet brake may let only some begin at a time.
    while jobs.iter().any(|job| job.result.is_none() && job.started.is_none()) && started.elapsed() < limit {
        let waiting = jobs.iter().filter(|job| job.result.is_none() && job.started.is_none());
        let services = waiting.map(|job| job.service.clone()).collect();
        let writing = Orders { write: true, begins, services, ..looking.clone() };
        progress.round(&mut opened, &mut events, &writing).await;
        begins = false;
        note_started(&opened, &mut jobs).await?;
        if jobs.iter().any(|job| job.result.is_none() && job.started.is_none()) {
            tokio::time::sleep(opened.context.timing.follow).await;
        }
    }
    while !args.no_wait && jobs.iter().any(|job| job.result.is_none()) && started.elapsed() < limit {
        follow(&opened, &mut jobs).await?;
        if jobs.iter().any(|job| job.result.is_none()) {
            tokio::time::sleep(opened.context.timing.follow.min(Duration::from_secs(5))).await;
        }
    }
    progress.clear();
    let timed_out = !args.no_wait && jobs.iter().any(|job| job.result.is_none());
    let failed = jobs.iter().any(|job| job.started.is_some() && matches!(job.result, Some(Err(_))));
    let lines: Vec<Line> = jobs
        .into_iter()
        .map(|job| {
            let open = match (&job.started, args.no_wait) {
                (Some(_), true) => Ok("restart ordered".to_owned()),
                (Some(_), false) => Err("still under way when the time was over; it continues in ECS".to_owned()),
                (None, _) => Err("not started in time".to_owned()),
            };
            Line::of(&job.environment, &job.service, job.result.unwrap_or(open))
        })
        .collect();
    let exit = print(&lines, format);
    Ok(if failed {
        Exit::Rejected
    } else if timed_out {
        Exit::TimedOut
    } else {
        exit
    })
}

async fn jobs(opened: &Opened, selection: &Selection) -> Result<Vec<Job>, Failure> {
    let mut jobs = Vec::new();
    for name in &selection.environments {
        let Some(environment) = opened.snapshot.repository.environments.get(name) else { continue };
        let clients = clients_of(opened, environment).await?;
        for service in selection.services.iter().filter(|service| opened.snapshot.is_definition(name, service)) {
            let (environment, service, result) = (name.clone(), service.clone(), Some(Err(NO_SERVICE.to_owned())));
            let ecs_name = String::new();
            jobs.push(Job { environment, service, ecs_name, before: None, started: None, result });
        }
        for (service, ecs_name) in opened.snapshot.services_in(name) {
            if selection.services.contains(&service) {
                let before = current(&clients, &environment.cluster, &ecs_name).await;
                let (before, result) = match before {
                    Ok(before) => (before, None),
                    Err(text) => (None, Some(Err(text))),
                };
                jobs.push(Job { environment: name.clone(), service, ecs_name, before, started: None, result });
            }
        }
    }
    Ok(jobs)
}

/// The current deployment of a service.
async fn current(clients: &Clients, cluster: &str, ecs_name: &str) -> Result<Option<String>, String> {
    match clients.services(cluster, &[ecs_name.to_owned()]).await.remove(ecs_name).unwrap_or_default() {
        Reading::Found(live) if live.status == ServiceStatus::Active => Ok(live.current_deployment),
        Reading::Found(_) | Reading::Missing => Err("the ECS service does not exist".to_owned()),
        Reading::Failed(text) => Err(text),
        Reading::Unread => Err("it was not read".to_owned()),
    }
}

/// What became of the orders: started, queued by the fleet brake, or held back for a reason.
async fn note_started(opened: &Opened, jobs: &mut [Job]) -> Result<(), Failure> {
    for job in jobs.iter_mut().filter(|job| job.result.is_none() && job.started.is_none()) {
        let Some(state) = opened.context.board.service(0, &job.environment, &job.service) else {
            job.result = Some(Err("its files have errors".to_owned()));
            continue;
        };
        let environment = &opened.snapshot.repository.environments[&job.environment];
        let clients = clients_of(opened, environment).await?;
        match current(&clients, &environment.cluster, &job.ecs_name).await {
            Ok(now) if now != job.before => job.started = now,
            Ok(_) => {
                let plan = &state.plan;
                let waits = [Reason::Queued, Reason::Observe];
                let is_held = |reason: Reason| !waits.contains(&reason);
                let held = plan.withheld.iter().find(|withheld| is_held(withheld.reason));
                let acts = plan.actions.iter().any(|action| action.kind == ActionKind::UpdateService);
                if let Some(held) = held.filter(|_| !acts) {
                    job.result = Some(Err(held.text.clone()));
                }
            }
            Err(text) => job.result = Some(Err(text)),
        }
    }
    Ok(())
}

/// What ECS says of the deployments that were started.
async fn follow(opened: &Opened, jobs: &mut [Job]) -> Result<(), Failure> {
    let mut by_environment: BTreeMap<String, Vec<&mut Job>> = BTreeMap::new();
    for job in jobs.iter_mut().filter(|job| job.result.is_none()) {
        by_environment.entry(job.environment.clone()).or_default().push(job);
    }
    for (name, jobs) in by_environment {
        let clients = clients_of(opened, &opened.snapshot.repository.environments[&name]).await?;
        let arns: Vec<String> = jobs.iter().filter_map(|job| job.started.clone()).collect();
        let found = clients.rollouts(&arns).await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        for job in jobs {
            let Some(rollout) = job.started.as_ref().and_then(|arn| found.get(arn)).filter(|it| !it.is_open()) else {
                continue;
            };
            job.result = Some(match rollout.status.as_str() {
                "SUCCESSFUL" => Ok("restarted".to_owned()),
                status => Err(format!("ECS ended the deployment as {status}: {}", rollout.reason)),
            });
        }
    }
    Ok(())
}
