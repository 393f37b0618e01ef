//! `lockstep pause` and `lockstep resume`: services that the agent leaves alone for a while, by a tag on each of them.

use super::{
    Selection,
    sync::confirm,
    target::{Opened, Target},
};
use crate::{
    aws::Clients,
    exit::{Exit, Failure},
    output::{self, Format},
    reconcile::Orders,
};
use clap::Args;
use lockstep_core::{
    identity::{self, Owner, owner},
    observed::{LiveService, Reading},
    pause::{PAUSE, Pause},
    report::Reason,
    tags::{Tags, tag_text},
};
use lockstep_manifests::{Environment, sync::parse_span};
use std::sync::Arc;

#[derive(Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// How long, as `30m`, `2h` or `1d`; without it, until somebody resumes.
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<String>,
    /// Why, for whoever wonders.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// What became of one service.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    environment: String,
    service: String,
    text: String,
    done: bool,
}

pub(super) async fn pause(args: PauseArgs, format: Format) -> Result<Exit, Failure> {
    let length = match args.length.as_deref().map(|text| (text, parse_span(text))) {
        None => None,
        Some((_, Some(length))) if !length.is_zero() => Some(length),
        Some((text, _)) => {
            return Err(Failure::new(Exit::Usage, format!("`{text}` is not a duration like 30m, 2h or 1d")));
        }
    };
    let seconds = length.and_then(|length| i64::try_from(length.as_secs()).ok());
    let mut noted = false;
    each(args.target, &args.selection, "pause", format, async |clients, live| {
        let until = seconds.map(|seconds| clients.now().saturating_add(seconds));
        if until.is_some_and(|until| jiff::Timestamp::from_second(until).is_err()) {
            return Err("that is too long; leave --for out to pause until somebody resumes".to_owned());
        }
        // Whoever AWS says that it is: a name that anybody can give tells nobody whom to ask.
        let by = clients.caller_name().await.map_err(|error| error.to_string())?;
        let reason = args.reason.clone().unwrap_or_default();
        let value = Pause { until, written: String::new(), by: tag_text(&by), reason: reason.clone() }.value();
        let kept = Pause::parse(&value).reason;
        if kept != reason.trim() && !noted {
            noted = true;
            output::say(&format!(
                "the reason is kept as `{kept}`: a tag holds letters, digits, spaces and +-=._:/@, 256 in all"
            ));
        }
        let tags = Tags::from([(PAUSE.to_owned(), value.clone())]);
        clients.tag(&live.arn, &tags).await.map_err(|error| error.to_string())?;
        Ok(Pause::parse(&value).text())
    })
    .await
}

pub(super) async fn resume(args: ResumeArgs, format: Format) -> Result<Exit, Failure> {
    if !args.selection.environments.is_empty() {
        show_what_waits(&args, format).await?;
    }
    each(args.target, &args.selection, "resume", format, async |clients, live| {
        if !live.tags.contains_key(PAUSE) {
            return Ok("was not paused".to_owned());
        }
        clients.untag(&live.arn, PAUSE).await.map_err(|error| error.to_string())?;
        Ok("resumed".to_owned())
    })
    .await
}

/// Shows what the end of the pause lets happen, and asks. Where nothing waits, nothing is asked.
async fn show_what_waits(args: &ResumeArgs, format: Format) -> Result<(), Failure> {
    let mut opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    let round = async |opened: &mut Opened, orders: &Orders| {
        opened.runner.round(&opened.context, orders).await;
        opened.context.board.update(0, |source| source.plan())
    };
    let held = round(&mut opened, &args.selection.looking()).await;
    let mut plan = round(&mut opened, &Orders { unpaused: true, ..args.selection.looking() }).await;
    let is_paused = |environment: &str, service: &str| {
        let environments = held.environments.iter().filter(|it| it.name == environment);
        let mut services = environments.flat_map(|it| &it.services).filter(|it| it.name == service);
        services.any(|it| it.is_withheld_for(Reason::Paused))
    };
    for environment in &mut plan.environments {
        let name = environment.name.clone();
        environment.services.retain(|service| is_paused(&name, &service.name) && service.has_differences());
    }
    plan.environments.retain(|environment| !environment.services.is_empty());
    if plan.environments.is_empty() {
        return Ok(());
    }
    if format == Format::Text || !args.yes {
        output::say(&output::plan::render(&plan, false));
        output::say("this is what the pause holds back; an agent makes these changes as soon as it ends");
    }
    if !args.yes && !confirm()? {
        return Err(Failure::new(Exit::Failed, "not confirmed; nothing was resumed"));
    }
    Ok(())
}

/// Does something with each service of the selection that is ours, and says what became of it.
async fn each(
    target: Target,
    selection: &Selection,
    verb: &str,
    format: Format,
    mut act: impl AsyncFnMut(&Clients, &LiveService) -> Result<String, String>,
) -> Result<Exit, Failure> {
    if selection.environments.is_empty() {
        let message = format!("name the environment to {verb} with -e; without services, all of it is meant");
        return Err(Failure::new(Exit::Usage, message));
    }
    let opened = target.open().await?;
    opened.check_names(selection)?;
    let mut lines: Vec<Line> = Vec::new();
    for name in &selection.environments {
        let Some(environment) = opened.snapshot.repository.environments.get(name) else { continue };
        let clients = clients_of(&opened, environment).await?;
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
                Reading::Found(live) if live.status == "ACTIVE" => match refusal(&opened, &live, name, &ecs) {
                    Some(refusal) => Err(refusal),
                    None => act(&clients, &live).await,
                },
                Reading::Found(_) | Reading::Missing => Err("the ECS service does not exist".to_owned()),
                Reading::Failed(text) => Err(text),
                Reading::Unread => Err("it was not read".to_owned()),
            };
            let done = result.is_ok();
            let text = result.unwrap_or_else(|text| text);
            lines.push(Line { environment: name.clone(), service, text, done });
        }
    }
    match format {
        Format::Json => output::data(&output::json(&lines)),
        Format::Text => {
            for line in &lines {
                let text = output::clean(&line.text);
                let text = if line.done { text } else { output::paint::bad(&text) };
                output::data(&format!("{}/{}  {text}", line.environment, line.service));
            }
        }
    }
    Ok(if lines.iter().all(|line| line.done) { Exit::Done } else { Exit::Failed })
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
