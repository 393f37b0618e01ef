//! `lockstep sync`: a person's order. It shows the plan, asks, acts, and follows what it started to its end.

use super::{
    Selection,
    progress::Progress,
    target::{Opened, Target},
};
use crate::{
    config::parse_duration,
    exit::{Exit, Failure},
    git::Checkout,
    output::{self, Format},
    reconcile::Orders,
};
use clap::Args;
use lockstep_core::event::Event;
use lockstep_core::{
    fleet::ending::{Asked, SyncProgress, ending, is_over, not_done, standing},
    report::{ActionKind, EnvironmentPlan, Plan, Reason, ServicePlan, SyncStatus, Verdict},
};
use std::{
    collections::BTreeSet,
    io::{BufRead, IsTerminal},
    time::{Duration, Instant},
};
use tokio::sync::broadcast::Receiver;

#[derive(Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Return once the writes are made; do not follow the deployments.
    #[arg(long)]
    no_wait: bool,
    /// How long to follow before giving up.
    #[arg(long, value_name = "DURATION", default_value = "20m", conflicts_with = "no_wait")]
    timeout: String,
    /// Sync files that are not committed.
    #[arg(long)]
    allow_dirty: bool,
    /// Try a state that ECS rejected once more.
    #[arg(long)]
    retry: bool,
    /// Remove services that are no longer declared, however many there are.
    #[arg(long)]
    prune: bool,
    /// Show no progress: neither what is written nor what ECS says.
    #[arg(long, short)]
    quiet: bool,
}

pub(super) async fn run(args: SyncArgs, format: Format) -> Result<Exit, Failure> {
    let limit = parse_duration(&args.timeout).map_err(|reason| Failure::new(Exit::Usage, reason))?;
    let mut opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    require_source(&opened, "sync")?;
    refuse_dirty(&opened, args.allow_dirty)?;
    let invalid = opened.show_problems();
    let asked = Asked { named: !args.selection.services.is_empty(), follow: !args.no_wait, prune: args.prune };
    let mut progress = Progress::new(args.quiet || format == Format::Json);
    let mut events = opened.context.events.subscribe();
    let looking = Orders { by_hand: true, retry: args.retry, prune: args.prune, ..args.selection.looking() };
    progress.round(&mut opened, &mut events, &looking).await;
    progress.clear();
    let plan = opened.context.board.update(0, |source| source.plan());
    if format == Format::Text {
        output::say(&output::plan::render(&plan, false));
    }
    // With a broken lockstep.yaml nothing would be written.
    let to_do = opened.snapshot.valid
        && services(&plan)
            .any(|service| !matches!(standing(service, asked), SyncProgress::Ended(_) | SyncProgress::Behind));
    if !to_do {
        finish(&plan, asked, format);
        return Ok(invalid.or(ending(services(&plan), asked).into()));
    }
    if !args.yes && !confirm()? {
        return Err(Failure::new(Exit::Failed, "not confirmed; nothing was written"));
    }
    let shown = removals(&plan);
    let writing = Orders { write: true, begins: true, removals: Some(shown), ..looking };
    follow(&mut opened, &mut events, &mut progress, writing, asked, limit).await;
    let plan = opened.context.board.update(0, |source| source.plan());
    finish(&plan, asked, format);
    Ok(invalid.or(ending(services(&plan), asked).into()))
}

fn services(plan: &Plan) -> impl Iterator<Item = &ServicePlan> + Clone {
    plan.environments.iter().flat_map(|environment| &environment.services)
}

/// The removals that were shown, as `environment/service`: no others are made.
fn removals(plan: &Plan) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for environment in &plan.environments {
        for service in &environment.services {
            if service.actions.iter().any(|action| action.kind == ActionKind::PruneService) {
                names.insert(format!("{}/{}", environment.name, service.name));
            }
        }
    }
    names
}

/// Writes, and looks again until nothing comes any more of what was asked for.
async fn follow(
    opened: &mut Opened,
    events: &mut Receiver<Event>,
    progress: &mut Progress,
    mut orders: Orders,
    asked: Asked,
    limit: Duration,
) {
    let started = Instant::now();
    loop {
        progress.round(opened, events, &orders).await;
        // From now on failures count, and only what is under way is looked at.
        orders.begins = false;
        orders.everything = false;
        let plan = opened.context.board.update(0, |source| source.plan());
        if is_over(services(&plan), asked) {
            progress.clear();
            return;
        }
        if started.elapsed() > limit {
            progress.clear();
            output::say("timed out; what was started continues in ECS");
            return;
        }
        let all = services(&plan).count();
        let ended =
            services(&plan).filter(|service| matches!(standing(service, asked), SyncProgress::Ended(_))).count();
        let seconds = started.elapsed().as_secs();
        progress.state(format!("{ended} of {all} done, {}:{:02}", seconds / 60, seconds % 60));
        tokio::time::sleep(opened.context.timing.follow).await;
    }
}

fn finish(plan: &Plan, asked: Asked, format: Format) {
    match format {
        Format::Json => output::data(&output::json(plan)),
        Format::Text => {
            for (service, why) in not_done(services(plan), asked) {
                let is_in =
                    |environment: &&EnvironmentPlan| environment.services.iter().any(|it| std::ptr::eq(it, service));
                let environment = plan.environments.iter().find(is_in).map_or("", |it| it.name.as_str());
                output::say(&format!("{environment}/{}: not done: {}", service.name, output::clean(&why)));
            }
            let services: Vec<_> = plan.environments.iter().flat_map(|environment| &environment.services).collect();
            for service in &services {
                for line in service.cause.iter().flat_map(|cause| &cause.log) {
                    output::say(&format!("{}: log: {}", service.name, output::clean(line)));
                }
            }
            // What equals Git and is not deployed, because its deployment failed, is no success.
            let is_waiting = |service: &ServicePlan| service.is_withheld_for(Reason::Prerequisite);
            let is_failed = |service: &ServicePlan| {
                service.sync == SyncStatus::Synced
                    && (is_waiting(service) || service.verdict == Some(Verdict::Rejected))
            };
            let is_done =
                |service: &&&ServicePlan| service.verdict != Some(Verdict::Progressing) && !is_failed(service);
            let count =
                |status: SyncStatus| services.iter().filter(is_done).filter(|service| service.sync == status).count();
            let rolling = services.iter().filter(|service| service.verdict == Some(Verdict::Progressing)).count();
            let rejected = services.iter().filter(|service| service.verdict == Some(Verdict::Rejected)).count();
            let waiting = services.iter().filter(|service| is_waiting(service)).count();
            let waiting = if waiting > 0 { format!(", {waiting} waiting") } else { String::new() };
            let rejected = if rejected > 0 { format!(", {rejected} rejected") } else { String::new() };
            let rolling = if rolling > 0 { format!(", {rolling} rolling out") } else { String::new() };
            output::data(&format!(
                "{} synced, {} out of sync, {} unknown{waiting}{rejected}{rolling}",
                count(SyncStatus::Synced),
                count(SyncStatus::OutOfSync),
                count(SyncStatus::Unknown)
            ));
        }
    }
}

/// Ownership tags carry the source's id, so writing needs one.
pub(super) fn require_source(opened: &Opened, command: &str) -> Result<(), Failure> {
    if opened.source.as_deref().is_some_and(lockstep_manifests::name::is_name) {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, format!("`{command}` needs the id of the source, which the tags of ownership carry"))
        .hint("give --source ID, or the agent's file with --config FILE"))
}

/// What is not committed is not what everybody sees.
pub(super) fn refuse_dirty(opened: &Opened, allow: bool) -> Result<(), Failure> {
    let Some(path) = opened.checkout.as_ref().filter(|_| !allow) else {
        return Ok(());
    };
    let compared = Checkout::read(path)
        .and_then(|checkout| checkout.compare_to_head())
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let message = match compared {
        None => "the files are not in a Git repository".to_owned(),
        Some((_, changed)) if changed.is_empty() => return Ok(()),
        Some((_, changed)) => {
            let shown: Vec<&str> = changed.iter().take(5).map(String::as_str).collect();
            {
                let differ = if changed.len() == 1 { "differs" } else { "differ" };
                format!("{} {differ} from the commit: {}", output::count(changed.len(), "file"), shown.join(", "))
            }
        }
    };
    Err(Failure::new(Exit::Usage, message).hint("commit them, or sync them all the same with --allow-dirty"))
}

/// Asks on the terminal; without one, `--yes` must have been given.
pub(super) fn confirm() -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(
            Failure::new(Exit::Usage, "there is no terminal to ask on").hint("give --yes to write without asking")
        );
    }
    output::ask("Write this? [y/N]");
    let mut answer = String::new();
    let _ = stdin.lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
