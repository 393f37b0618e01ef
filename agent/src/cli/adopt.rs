//! `lockstep adopt`: tags existing services as ours, and changes nothing else of them.

use super::{
    Selection,
    progress::Progress,
    selected::NO_SERVICE,
    sync::{confirm, refuse_dirty, require_source},
    target::{Opened, Target},
};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format},
    reconcile::Orders,
};
use clap::Args;
use lockstep_core::{
    observed::{Reading, registrars::deploys_today},
    report::{ActionKind, Reason, ServicePlan},
    stated::identity::{Owner, owner},
};
use std::collections::BTreeMap;

/// Of how many services it is found out who deploys them, and from how many revisions.
const LOOKED_INTO: usize = 20;
const REVISIONS: i32 = 10;
/// How often the tags are looked for after the write.
const READS: u32 = 5;

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
    let mut progress = Progress::new(format == Format::Json);
    let mut events = opened.context.events.subscribe();
    progress.round(&mut opened, &mut events, &looking).await;
    progress.clear();
    let plan = opened.context.board.update(0, |source| source.plan());
    if format == Format::Text {
        output::say(&output::plan::render(&plan, false));
    }
    let adopting =
        |service: &&ServicePlan| service.actions.iter().any(|action| action.kind == ActionKind::AdoptService);
    let wanted: Vec<(String, String)> = plan
        .environments
        .iter()
        .flat_map(|environment| {
            environment.services.iter().filter(adopting).map(|it| (environment.name.clone(), it.name.clone()))
        })
        .collect();
    let services = || plan.environments.iter().flat_map(|environment| &environment.services);
    // Not there to adopt, or somebody else's, or not to be found out.
    let refused = [Reason::ForeignOwner, Reason::NotAdopted, Reason::Unread, Reason::NotAllowed, Reason::WrongAccount];
    let refused = services().any(|service| refused.iter().any(|reason| service.is_withheld_for(*reason)));
    let mut left: Vec<(String, String, String)> = Vec::new();
    if !wanted.is_empty() {
        if format == Format::Text {
            output::say(
                "`adopt` sets the tags of ownership and nothing else; the other changes are what the next sync makes, by the agent or by hand",
            );
        }
        if format == Format::Text {
            say_who_deploys(&opened, &wanted).await;
        }
        if !args.yes && !confirm()? {
            return Err(Failure::new(Exit::Failed, "not confirmed; nothing was written"));
        }
        let writing = Orders { write: true, begins: true, ..looking };
        progress.round(&mut opened, &mut events, &writing).await;
        left = not_ours(&opened, &wanted).await;
    }
    let after = opened.context.board.update(0, |source| source.plan());
    let adopted = wanted.len() - left.len();
    match format {
        Format::Json => output::data(&output::json(&after)),
        Format::Text => {
            for (environment, service) in definitions(&opened, &args.selection) {
                output::say(&format!("{environment}/{service}: nothing to adopt: {NO_SERVICE}"));
            }
            for (environment, service, why) in &left {
                output::say(&format!("{environment}/{service}: not adopted: {}", output::clean(why)));
            }
            let rest = if left.is_empty() { String::new() } else { format!(", {} not adopted", left.len()) };
            output::data(&format!("{adopted} adopted{rest}"));
        }
    }
    Ok(if left.is_empty() && !refused { invalid } else { invalid.or(Exit::Failed) })
}

/// The named services that are task definitions without a service: no tag says whose those are.
fn definitions(opened: &Opened, selection: &Selection) -> Vec<(String, String)> {
    let environments = opened.snapshot.repository.environments.keys();
    let wanted = environments.filter(|name| selection.environments.is_empty() || selection.environments.contains(name));
    let alone = wanted.flat_map(|name| selection.services.iter().map(|service| (name.clone(), service.clone())));
    alone.filter(|(name, service)| opened.snapshot.is_definition(name, service)).collect()
}

/// Says who registered the newest revisions of the services: two who deploy one service undo each other.
async fn say_who_deploys(opened: &Opened, wanted: &[(String, String)]) {
    for (name, service) in wanted.iter().take(LOOKED_INTO) {
        let Some(environment) = opened.snapshot.repository.environments.get(name) else { continue };
        let Some(state) = opened.context.board.service(0, name, service) else { continue };
        let Some((family, _)) = state.revision.rsplit_once(':') else { continue };
        let clients = opened.context.accounts.clients(&environment.account, &environment.region).await;
        let text = match clients.newest_revisions(family, REVISIONS).await {
            Ok(revisions) => match deploys_today(&revisions, clients.now()) {
                Some(who) => format!("deployed today by {who}: remove that job first"),
                None => continue,
            },
            Err(error) => format!("who deploys it today is not known: {error}"),
        };
        output::say(&output::clean(&format!("{name}/{service}: {text}")));
    }
    if wanted.len() > LOOKED_INTO {
        output::say(&format!("who deploys the other {} was not looked at", wanted.len() - LOOKED_INTO));
    }
}

/// Those of the services that do not carry our tags now, each with why. Success is that the tags are there.
async fn not_ours(opened: &Opened, wanted: &[(String, String)]) -> Vec<(String, String, String)> {
    let source = opened.source.as_deref().unwrap_or_default();
    let mut left = Vec::new();
    for (name, environment) in &opened.snapshot.repository.environments {
        let names: BTreeMap<String, String> = opened
            .snapshot
            .services_in(name)
            .into_iter()
            .filter(|(service, _)| wanted.iter().any(|(in_environment, it)| in_environment == name && it == service))
            .map(|(service, ecs)| (ecs, service))
            .collect();
        if names.is_empty() {
            continue;
        }
        let clients = opened.context.accounts.clients(&environment.account, &environment.region).await;
        let mut rest: Vec<String> = names.keys().cloned().collect();
        let mut unread: BTreeMap<String, String> = BTreeMap::new();
        // A read may lag a little behind the write.
        for attempt in 0..READS {
            if attempt > 0 {
                tokio::time::sleep(opened.context.timing.follow).await;
            }
            let live = clients.services(&environment.cluster, &rest).await;
            rest.retain(|ecs| match live.get(ecs) {
                Some(Reading::Found(live)) => owner(&live.tags, source, name, ecs) != Owner::Us,
                Some(Reading::Failed(text)) => {
                    unread.insert(ecs.clone(), text.clone());
                    true
                }
                _ => true,
            });
            let is_explained = |ecs: &String| why_not(opened, name, &names[ecs]).is_some();
            if rest.iter().all(is_explained) {
                break;
            }
        }
        left.extend(rest.into_iter().map(|ecs| {
            let service = names[&ecs].clone();
            let why = why_not(opened, name, &service).or_else(|| unread.remove(&ecs));
            (name.clone(), service, why.unwrap_or_else(|| "ECS does not show the tags that were set".to_owned()))
        }));
    }
    left
}

/// Why the write failed, where it did.
fn why_not(opened: &Opened, environment: &str, service: &str) -> Option<String> {
    let state = opened.context.board.service(0, environment, service)?;
    let failed = [Reason::Failed, Reason::WaitingForAws, Reason::Prerequisite, Reason::Unread, Reason::Rejected];
    let held = state.plan.withheld.into_iter().find(|held| failed.contains(&held.reason));
    held.map(|held| held.text)
}
