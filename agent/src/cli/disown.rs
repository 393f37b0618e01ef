//! `lockstep disown`: the way back from `adopt`. It takes our tags off services, and changes nothing else of them.

use super::{
    Selection,
    selected::{each, print, remove_tag},
    sync::{confirm, require_source},
    target::Target,
};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format},
};
use clap::Args;
use lockstep_manifests::layer::Ownership;

/// What all our tags begin with.
const OURS: &str = "lockstep:";

#[derive(Args)]
pub(super) struct DisownArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(args: DisownArgs, format: Format) -> Result<Exit, Failure> {
    if args.selection.environments.is_empty() || args.selection.services.is_empty() {
        let message = "name the service and the environment, as in `lockstep disown checkout -e prod`";
        return Err(Failure::new(Exit::Usage, message));
    }
    let opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    require_source(&opened, "disown")?;
    // What would take it back at once must go first.
    for service in &opened.snapshot.services {
        for name in
            args.selection.environments.iter().filter(|_| args.selection.services.contains(&service.directory.name))
        {
            let Some(Ok(rendered)) = service.environments.get(name) else { continue };
            let line = match (rendered.adopt, rendered.ownership) {
                (_, Ownership::TaskDefinition) => "scope: taskDefinition",
                (true, _) => "adopt: true",
                _ => continue,
            };
            let message = format!("{name}/{} says `{line}`, so that the agent would take it back", rendered.name);
            let hint = format!("remove `{line}` from {} first, and commit that", service.directory.path);
            return Err(Failure::new(Exit::Usage, message).hint(hint));
        }
    }
    output::say(
        "`disown` takes all `lockstep:` tags off the service; tasks, definitions and their tags stay as they are",
    );
    if !args.yes && !confirm()? {
        return Err(Failure::new(Exit::Failed, "not confirmed; nothing was written"));
    }
    let lines = each(&opened, &args.selection, async |service| {
        let tags: Vec<&String> = service.live.tags.keys().filter(|name| name.starts_with(OURS)).collect();
        for tag in &tags {
            remove_tag(&opened, service.clients, (service.environment, service.name), "disown", &service.live.arn, tag)
                .await?;
        }
        Ok(format!("disowned: {} taken off", output::count(tags.len(), "tag")))
    });
    Ok(print(&lines.await?, format))
}
