//! `lockstep plan`.

use super::{
    Selection,
    progress::Progress,
    status::AgentUrl,
    target::{Opened, Target},
};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format},
};
use clap::Args;
use lockstep_core::report::{EnvironmentPlan, Plan, Reason};
use notify::{RecursiveMode, Watcher};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

#[derive(Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    agent: AgentUrl,
    #[command(flatten)]
    selection: Selection,
    /// End with 4 where anything differs.
    #[arg(long)]
    exit_code: bool,
    /// Do not show how far the look is.
    #[arg(long, short)]
    quiet: bool,
    /// Show services without differences too.
    #[arg(long, short)]
    verbose: bool,
    /// Plan again whenever a file of the checkout is saved, until Ctrl-C.
    #[arg(long, conflicts_with = "exit_code")]
    watch: bool,
}

pub(super) async fn run(args: PlanArgs, format: Format) -> Result<Exit, Failure> {
    args.agent.check(&args.target)?;
    if args.watch && args.agent.is_asked(&args.target) {
        return Err(Failure::new(Exit::Usage, "--watch looks at the files of a checkout, not at an agent"));
    }
    let mut exit = Exit::Done;
    let plan = if args.agent.is_asked(&args.target) {
        if format == Format::Text {
            output::say(&format!("asking the agent at {}; -C . looks at the files here", args.agent.base()?));
        }
        let state = args.agent.state().await?;
        let mut plans: Vec<Plan> = state.sources.iter().map(lockstep_core::state::SourceState::plan).collect();
        let mut plan = plans.pop().ok_or_else(|| Failure::new(Exit::Failed, "the agent has no source"))?;
        for other in plans {
            plan.environments.extend(other.environments);
            plan.problems.extend(other.problems);
        }
        select(&mut plan, &args.selection)?;
        plan
    } else {
        let mut opened = args.target.open().await?;
        opened.check_names(&args.selection)?;
        if args.watch {
            return watch(&args, opened, format).await;
        }
        exit = opened.show_problems();
        look(&args, &mut opened).await
    };
    tell(&plan, &args, format);
    Ok(exit.or(end_of(&plan, args.exit_code)))
}

async fn look(args: &PlanArgs, opened: &mut Opened) -> Plan {
    let mut progress = Progress::new(args.quiet);
    let mut events = opened.context.events.subscribe();
    progress.round(opened, &mut events, &args.selection.looking()).await;
    progress.clear();
    opened.context.board.update(0, |source| source.plan())
}

fn tell(plan: &Plan, args: &PlanArgs, format: Format) {
    match format {
        Format::Json => output::data(&output::json(plan)),
        Format::Text => output::data(&output::plan::render(plan, args.verbose)),
    }
}

/// Plans, and plans again after each change of a file, until a signal.
async fn watch(args: &PlanArgs, mut opened: Opened, format: Format) -> Result<Exit, Failure> {
    let Some(checkout) = opened.checkout.clone() else {
        return Err(
            Failure::new(Exit::Usage, "only a checkout can be watched").hint("name one with -C PATH, without --branch")
        );
    };
    let fail = |reason: String| Failure::new(Exit::Failed, reason);
    let mut changes = Saved::watch(&checkout).map_err(|error| fail(format!("failed to watch the files: {error}")))?;
    let ended = crate::agent::signal();
    tokio::pin!(ended);
    loop {
        opened.show_problems();
        let plan = look(args, &mut opened).await;
        tell(&plan, args, format);
        output::say("watching; Ctrl-C ends it");
        loop {
            tokio::select! {
                () = &mut ended => return Ok(Exit::Done),
                () = changes.next() => {}
            }
            match opened.runner.refresh(&opened.context).await {
                Ok(()) => break,
                Err(error) => output::say(&format!("error: {error}")),
            }
        }
        if let Some(snapshot) = opened.runner.snapshot() {
            opened.snapshot = snapshot.clone();
        }
    }
}

/// Waits for files to be saved.
struct Saved {
    events: tokio::sync::mpsc::Receiver<()>,
    _watcher: notify::RecommendedWatcher,
}

impl Saved {
    /// Editors write a file in several steps; a pause of this length ends them.
    const QUIET: Duration = Duration::from_millis(100);

    fn watch(checkout: &Path) -> notify::Result<Self> {
        let (sender, events) = tokio::sync::mpsc::channel(1);
        // Events name files by their real paths; only what is hidden below the checkout does not matter.
        let root = checkout.canonicalize().unwrap_or_else(|_| checkout.to_owned());
        let watched = root.clone();
        let matters = move |path: &PathBuf| {
            let inside = path.strip_prefix(&root).unwrap_or(path);
            !inside.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
        };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event
                && !matches!(event.kind, notify::EventKind::Access(_))
                && event.paths.iter().any(&matters)
            {
                // One waiting event is as good as many.
                let _ = sender.try_send(());
            }
        })?;
        watcher.watch(&watched, RecursiveMode::Recursive)?;
        Ok(Self { events, _watcher: watcher })
    }

    async fn next(&mut self) {
        if self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while tokio::time::timeout(Self::QUIET, self.events.recv()).await.is_ok_and(|event| event.is_some()) {}
    }
}

fn select(plan: &mut Plan, selection: &Selection) -> Result<(), Failure> {
    let names = plan.environments.iter().map(|environment| environment.name.clone()).collect();
    let services = plan.environments.iter().flat_map(|environment| &environment.services);
    selection.check(&names, &services.map(|service| service.name.clone()).collect())?;
    let has = |environment: &EnvironmentPlan, name: &str| environment.services.iter().any(|it| it.name == name);
    selection.check_membership(|name| {
        let environments = plan.environments.iter().filter(|environment| has(environment, name));
        Some(environments.map(|environment| environment.name.clone()).collect())
    })?;
    let (environments, services) = (selection.environments(), selection.services());
    plan.environments.retain(|environment| environments.is_empty() || environments.contains(&environment.name));
    for environment in &mut plan.environments {
        environment.services.retain(|service| services.is_empty() || services.contains(&service.name));
    }
    Ok(())
}

/// Withheld is no failure; something that could not be read is.
fn end_of(plan: &Plan, exit_code: bool) -> Exit {
    let services = || plan.environments.iter().flat_map(|environment| &environment.services);
    let unread = [Reason::Unread, Reason::WrongAccount, Reason::NotAllowed];
    let invalid = [Reason::Invalid, Reason::Verify];
    let mut exit = Exit::Done;
    if services().any(|service| unread.iter().any(|reason| service.is_withheld_for(*reason))) {
        exit = exit.or(Exit::Failed);
    }
    if services().any(|service| invalid.iter().any(|reason| service.is_withheld_for(*reason))) {
        exit = exit.or(Exit::Invalid);
    }
    if exit_code && plan.has_differences() {
        exit = exit.or(Exit::Differences);
    }
    exit
}
