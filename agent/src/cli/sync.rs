//! `lockstep sync`: a person's order. It shows the plan, asks, acts, and follows what it started to its end.

use super::{
    Selection,
    target::{Opened, Target},
};
use crate::{
    board::Event,
    config::parse_duration,
    exit::{Exit, Failure},
    git::Checkout,
    output::{self, Format, paint},
    reconcile::Orders,
};
use clap::Args;
use lockstep_core::report::{Plan, Reason, ServicePlan, SyncStatus, Verdict};
use std::{
    io::{BufRead, IsTerminal, Write},
    time::{Duration, Instant},
};

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
    #[arg(long, value_name = "DURATION", default_value = "20m")]
    timeout: String,
    /// Sync files that are not committed.
    #[arg(long)]
    allow_dirty: bool,
    /// Try a state that ECS rejected once more.
    #[arg(long)]
    retry: bool,
    /// Remove services that are not declared any more, however many there are.
    #[arg(long)]
    prune: bool,
}

pub(super) async fn run(args: SyncArgs, format: Format) -> Result<Exit, Failure> {
    let limit = parse_duration(&args.timeout).map_err(|reason| Failure::new(Exit::Usage, reason))?;
    let mut opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    require_source(&opened, "sync")?;
    refuse_dirty(&opened, args.allow_dirty)?;
    let invalid = opened.show_problems();
    let looking = Orders { by_hand: true, retry: args.retry, prune: args.prune, ..args.selection.looking() };
    opened.runner.round(&opened.context, &looking).await;
    let plan = opened.context.board.update(0, |source| source.plan());
    if format == Format::Text {
        output::say(&output::plan::render(&plan, false));
    }
    let to_do = plan.environments.iter().flat_map(|environment| &environment.services).any(|service| {
        !service.actions.is_empty()
            || service.verdict == Some(Verdict::Progressing)
            || service.is_withheld_for(Reason::Waiting)
    });
    let is_named = !args.selection.services.is_empty();
    if !to_do {
        finish(&plan, format);
        return Ok(invalid.or(end_of(&plan, is_named)));
    }
    if !args.yes && !confirm()? {
        return Err(Failure::new(Exit::Failed, "not confirmed; nothing was written"));
    }
    let writing = Orders { write: true, begins: true, ..looking };
    let exit = follow(&mut opened, writing, args.no_wait, limit, format).await;
    let plan = opened.context.board.update(0, |source| source.plan());
    finish(&plan, format);
    Ok(invalid.or(exit).or(end_of(&plan, is_named)))
}

/// Writes, and looks again until nothing is under way.
async fn follow(opened: &mut Opened, orders: Orders, no_wait: bool, limit: Duration, format: Format) -> Exit {
    let mut events = opened.context.events.subscribe();
    let started = Instant::now();
    let mut orders = orders;
    loop {
        opened.runner.round(&opened.context, &orders).await;
        // A rejected state is tried once more, not again and again; and failures from now on count.
        orders.retry = false;
        orders.begins = false;
        while let Ok(event) = events.try_recv() {
            if format == Format::Text {
                tell(&event);
            }
        }
        let standing: Vec<Standing> = opened.context.board.update(0, |source| {
            source
                .environments
                .iter()
                .flat_map(|environment| &environment.services)
                .map(|state| standing(&state.plan))
                .collect()
        });
        let has = |wanted: Standing| standing.contains(&wanted);
        if no_wait && !has(Standing::Queued) {
            return Exit::Done;
        }
        if !has(Standing::Queued) && !has(Standing::Moving) {
            // What is blocked waits for something that failed or was rejected.
            return if has(Standing::Blocked) { Exit::Failed } else { Exit::Done };
        }
        if started.elapsed() > limit {
            output::say("timed out; what was started goes on without us");
            return Exit::TimedOut;
        }
        tokio::time::sleep(opened.context.timing.follow).await;
    }
}

/// How a service stands on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Done,
    Queued,
    Moving,
    Blocked,
}

fn standing(plan: &ServicePlan) -> Standing {
    if plan.is_withheld_for(Reason::Queued) {
        Standing::Queued
    } else if plan.verdict == Some(Verdict::Progressing) || plan.is_withheld_for(Reason::RollingBack) {
        Standing::Moving
    } else if plan.is_withheld_for(Reason::Failed) || plan.is_withheld_for(Reason::Waiting) {
        Standing::Blocked
    } else if plan.actions.is_empty() {
        Standing::Done
    } else {
        Standing::Moving
    }
}

/// An event in one line.
fn tell(event: &Event) {
    match event {
        Event::Wrote { environment, service, actions, .. } => {
            output::say(&format!("{environment}/{service}: {} written", actions.len()));
        }
        Event::Failed { environment, service, reason } => {
            output::say(&format!("{environment}/{service}: {}", paint::bad(reason)));
        }
        Event::Verdict { environment, service, verdict, text } => {
            let word = format!("{verdict:?}");
            let word = match verdict {
                Verdict::Deployed => paint::good(&word),
                Verdict::Rejected | Verdict::Stalled => paint::bad(&word),
                _ => word,
            };
            output::say(format!("{environment}/{service}: {word} {text}").trim_end());
        }
        // A sync by hand does not look at registries.
        Event::Bumped { .. } | Event::Held { .. } | Event::NotWritten { .. } => {}
        Event::Commit { .. } | Event::Unreadable { .. } | Event::Rewritten { .. } => {}
    }
}

fn finish(plan: &Plan, format: Format) {
    match format {
        Format::Json => output::data(&output::json(plan)),
        Format::Text => {
            let services: Vec<_> = plan.environments.iter().flat_map(|environment| &environment.services).collect();
            for service in &services {
                for line in service.cause.iter().flat_map(|cause| &cause.log) {
                    output::say(&format!("{}: log: {}", service.name, output::clean(line)));
                }
            }
            let is_done = |service: &&&ServicePlan| service.verdict != Some(Verdict::Progressing);
            let count =
                |status: SyncStatus| services.iter().filter(is_done).filter(|service| service.sync == status).count();
            let rolling = services.iter().filter(|service| service.verdict == Some(Verdict::Progressing)).count();
            let rejected = services.iter().filter(|service| service.verdict == Some(Verdict::Rejected)).count();
            let rejected = if rejected > 0 { format!(", {rejected} rejected") } else { String::new() };
            let rolling = if rolling > 0 { format!(", {rolling} rolling out") } else { String::new() };
            output::data(&format!(
                "{} synced, {} out of sync, {} unknown{rejected}{rolling}",
                count(SyncStatus::Synced),
                count(SyncStatus::OutOfSync),
                count(SyncStatus::Unknown)
            ));
        }
    }
}

/// How a sync ends. What was named and is left alone is not done, whatever the reason.
fn end_of(plan: &Plan, is_named: bool) -> Exit {
    let mut exit = Exit::Done;
    for service in plan.environments.iter().flat_map(|environment| &environment.services) {
        let failed = [Reason::Failed, Reason::Unread, Reason::WrongAccount, Reason::NotAllowed];
        if failed.iter().any(|reason| service.is_withheld_for(*reason)) {
            exit = exit.or(Exit::Failed);
        }
        let braked = service.is_withheld_for(Reason::Stopped) || service.is_withheld_for(Reason::Unexplained);
        if service.sync == SyncStatus::OutOfSync && (braked || (is_named && service.is_held())) {
            exit = exit.or(Exit::Failed);
        }
        if service.is_withheld_for(Reason::Invalid) || service.is_withheld_for(Reason::Verify) {
            exit = exit.or(Exit::Invalid);
        }
        match service.verdict {
            Some(Verdict::Rejected) => exit = exit.or(Exit::Rejected),
            Some(Verdict::Stalled) => exit = exit.or(Exit::TimedOut),
            _ => {}
        }
    }
    exit
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
    let mut err = anstream::stderr();
    let _ = write!(err, "Write this? [y/N] ");
    let _ = err.flush();
    let mut answer = String::new();
    let _ = stdin.lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
