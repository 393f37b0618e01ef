//! `lockstep adopt`: tags existing services as ours, and changes nothing else of them.

use super::{
    Selection,
    sync::{confirm, refuse_dirty, require_source},
    target::Target,
};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format},
    reconcile::Orders,
};
use clap::Args;
use lockstep_core::report::Reason;

#[derive(Args)]
pub(super) struct AdoptArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// Adopt every service of the selection that is not owned by anybody.
    #[arg(long)]
    all: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Adopt by files that are not committed.
    #[arg(long)]
    allow_dirty: bool,
}

pub(super) async fn run(args: AdoptArgs, format: Format) -> Result<Exit, Failure> {
    if args.selection.services.is_empty() && !args.all {
        return Err(Failure::new(Exit::Usage, "name the services to adopt, or give --all"));
    }
    let mut opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    require_source(&opened, "adopt")?;
    refuse_dirty(&opened, args.allow_dirty)?;
    let invalid = opened.show_problems();
    let looking = Orders { by_hand: true, adopt: true, ..args.selection.looking() };
    opened.runner.round(&opened.context, &looking).await;
    let plan = opened.context.board.update(0, |source| source.plan());
    let services = || plan.environments.iter().flat_map(|environment| &environment.services);
    if format == Format::Text {
        output::say(&output::plan::render(&plan, false));
    }
    let count = services().filter(|service| !service.actions.is_empty()).count();
    let foreign = services().any(|service| service.is_withheld_for(Reason::ForeignOwner));
    if count > 0 {
        if !args.yes && !confirm()? {
            return Err(Failure::new(Exit::Failed, "not confirmed; nothing was written"));
        }
        opened.runner.round(&opened.context, &Orders { write: true, ..looking }).await;
    }
    let after = opened.context.board.update(0, |source| source.plan());
    let failed = after
        .environments
        .iter()
        .flat_map(|environment| &environment.services)
        .any(|service| service.is_withheld_for(Reason::Failed) || service.is_withheld_for(Reason::Unread));
    match format {
        Format::Json => output::data(&output::json(&after)),
        Format::Text if failed => output::data("not everything was adopted"),
        Format::Text => output::data(&format!("{count} adopted")),
    }
    Ok(if failed || foreign { invalid.or(Exit::Failed) } else { invalid })
}
