//! `lockstep plan`.

use super::{Failure, Selection, status::AgentUrl, target::Target};
use crate::{
    exit::Exit,
    output::{self, Format},
    reconcile::Orders,
};
use clap::Args;
use lockstep_core::report::{Plan, Reason};

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
    /// Show services without differences too.
    #[arg(long, short)]
    verbose: bool,
}

pub(super) async fn run(args: PlanArgs, format: Format) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let plan = if args.agent.is_asked(&args.target) {
        let state = args.agent.state().await?;
        let mut plans: Vec<Plan> = state.sources.iter().map(crate::reconcile::board::SourceState::plan).collect();
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
        exit = opened.show_problems();
        let orders = Orders {
            everything: true,
            environments: args.selection.environments(),
            services: args.selection.services(),
            ..Orders::default()
        };
        opened.runner.round(&opened.context, &orders).await;
        opened.context.board.update(0, |source| source.plan())
    };
    match format {
        Format::Json => output::data(&output::json(&plan)),
        Format::Text => output::data(&output::plan::render(&plan, args.verbose)),
    }
    Ok(exit.or(end_of(&plan, args.exit_code)))
}

fn select(plan: &mut Plan, selection: &Selection) -> Result<(), Failure> {
    let names = plan.environments.iter().map(|environment| environment.name.clone()).collect();
    let services = plan.environments.iter().flat_map(|environment| &environment.services);
    selection.check(&names, &services.map(|service| service.name.clone()).collect())?;
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
    let mut exit = Exit::Done;
    if services().any(|service| unread.iter().any(|reason| service.is_withheld_for(*reason))) {
        exit = exit.or(Exit::Failed);
    }
    if services().any(|service| service.is_withheld_for(Reason::Invalid)) {
        exit = exit.or(Exit::Invalid);
    }
    if exit_code && plan.has_differences() {
        exit = exit.or(Exit::Differences);
    }
    exit
}
