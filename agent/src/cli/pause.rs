//! `lockstep pause` and `lockstep resume`: services that the agent leaves alone for a while, by a tag on each of them.

use super::{
    Selection,
    selected::{Line, NO_SERVICE, clients_of, each, forgive_absent, print, remove_tag, require_environment, set_tags},
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
    report::Reason,
    service::pause::{PAUSE, Pause, environment_tag, of_environment},
    tags::{Tags, tag_text},
};
use lockstep_manifests::{Environment, sync::parse_span};

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

pub(super) async fn pause(args: PauseArgs, format: Format) -> Result<Exit, Failure> {
    let length = match args.length.as_deref().map(|text| (text, parse_span(text))) {
        None => None,
        Some((_, Some(length))) if !length.is_zero() => Some(length),
        Some((text, _)) => {
            return Err(Failure::new(Exit::Usage, format!("`{text}` is not a duration like 30m, 2h or 1d")));
        }
    };
    let seconds = length.and_then(|length| i64::try_from(length.as_secs()).ok());
    require_environment(&args.selection, "pause")?;
    let opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    let mut noted = false;
    let mut value = async |clients: &Clients| {
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
        Ok(value)
    };
    let mut lines = Vec::new();
    if args.selection.services.is_empty() {
        lines = of_environments(&opened, &args.selection, async |clients, environment, arn, tag, _| {
            let value = value(clients).await?;
            let tags = Tags::from([(tag, value.clone())]);
            set_tags(&opened, clients, (environment, ""), "pause", arn, &tags).await?;
            Ok(Some(format!("the environment is {}", Pause::parse(&value).text())))
        })
        .await?;
    }
    let services = each(&opened, &args.selection, async |service| {
        let value = value(service.clients).await?;
        let tags = Tags::from([(PAUSE.to_owned(), value.clone())]);
        let of = (service.environment, service.name);
        set_tags(&opened, service.clients, of, "pause", &service.live.arn, &tags).await?;
        Ok(Pause::parse(&value).text())
    });
    lines.extend(services.await?);
    forgive_absent(&mut lines, "the environment's pause holds it");
    for line in lines.iter_mut().filter(|line| !line.done && line.text == NO_SERVICE) {
        line.text = format!(
            "{NO_SERVICE} to carry the tag; `lockstep pause -e {}` pauses it with its environment",
            line.environment
        );
    }
    Ok(print(&lines, format))
}

/// Does something with the clusters' tags that pause the environments of the selection as a whole. Where they may not be
/// read, that is said: the services' own tags do what they can.
async fn of_environments(
    opened: &Opened,
    selection: &Selection,
    mut act: impl AsyncFnMut(&Clients, &Environment, &str, String, &Tags) -> Result<Option<String>, String>,
) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for name in &selection.environments {
        let Some(environment) = opened.snapshot.repository.environments.get(name) else { continue };
        let clients = clients_of(opened, environment).await?;
        let result = match clients.cluster(&environment.cluster).await {
            Ok((arn, tags)) => act(&clients, environment, &arn, environment_tag(name), &tags).await,
            Err(error) => Err(error.to_string()),
        };
        match result {
            Ok(Some(text)) => lines.push(Line::of(name, "", Ok(text))),
            Ok(None) => {}
            Err(text) => output::say(&format!(
                "{name}: the cluster's tag is left as it is, so that only the services below are meant: {text}"
            )),
        }
    }
    Ok(lines)
}

pub(super) async fn resume(args: ResumeArgs, format: Format) -> Result<Exit, Failure> {
    require_environment(&args.selection, "resume")?;
    let opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    if !args.selection.services.is_empty() {
        refuse_paused_environments(&opened, &args.selection).await?;
    }
    show_what_waits(&args, format).await?;
    let mut lines = Vec::new();
    if args.selection.services.is_empty() {
        lines = of_environments(&opened, &args.selection, async |clients, environment, arn, tag, tags| {
            if !tags.contains_key(&tag) {
                return Ok(None);
            }
            remove_tag(&opened, clients, (environment, ""), "resume", arn, &tag).await?;
            Ok(Some("the environment is resumed".to_owned()))
        })
        .await?;
    }
    let services = each(&opened, &args.selection, async |service| {
        if !service.live.tags.contains_key(PAUSE) {
            return Ok("was not paused".to_owned());
        }
        let of = (service.environment, service.name);
        remove_tag(&opened, service.clients, of, "resume", &service.live.arn, PAUSE).await?;
        Ok("resumed".to_owned())
    });
    lines.extend(services.await?);
    forgive_absent(&mut lines, "nothing holds it");
    Ok(print(&lines, format))
}

/// One service does not get out of the pause of its whole environment: to say "resumed" would be untrue.
async fn refuse_paused_environments(opened: &Opened, selection: &Selection) -> Result<(), Failure> {
    for name in &selection.environments {
        let Some(environment) = opened.snapshot.repository.environments.get(name) else { continue };
        let clients = clients_of(opened, environment).await?;
        if let Ok((_, tags)) = clients.cluster(&environment.cluster).await
            && let Some(pause) = of_environment(&tags, name, clients.now())
        {
            let message = format!("{name} is {}, as a whole", pause.text());
            let hint =
                format!("`lockstep resume -e {name}` ends that; `lockstep pause` with names pauses single services");
            return Err(Failure::new(Exit::Failed, message).hint(hint));
        }
    }
    Ok(())
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
