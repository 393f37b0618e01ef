//! A plan for people.

use super::paint;
use lockstep_core::{
    compare::{diff::Change, rules::Effect},
    report::{ActionKind, EnvironmentPlan, Health, Plan, ServicePlan, SyncStatus},
};
use serde_json::Value;

/// Longest value that is shown whole.
const LONGEST: usize = 100;

/// The whole plan. `verbose` shows services without differences too.
pub fn render(plan: &Plan, verbose: bool) -> String {
    let mut text = String::new();
    let commit =
        if plan.commit.is_empty() { "uncommitted files".to_owned() } else { format!("commit {}", short(&plan.commit)) };
    text.push_str(&format!("Plan for {commit}\n"));
    for environment in &plan.environments {
        text.push_str(&render_environment(environment, verbose));
    }
    let services: Vec<&ServicePlan> = plan.environments.iter().flat_map(|environment| &environment.services).collect();
    let changed = services.iter().filter(|service| !service.actions.is_empty()).count();
    let withheld = services.iter().filter(|service| service.actions.is_empty() && service.has_differences()).count();
    let unknown = services.iter().filter(|service| service.sync == SyncStatus::Unknown).count();
    text.push_str(&format!(
        "\n{} to change, {withheld} withheld, {unknown} unknown, {} as declared\n",
        changed,
        services.len() - changed - withheld - unknown
    ));
    text
}

fn render_environment(environment: &EnvironmentPlan, verbose: bool) -> String {
    let mut text = format!("\n{}\n", paint::strong(&environment.name));
    for withheld in &environment.withheld {
        text.push_str(&format!("  {}\n", paint::notable(&format!("not done: {}", withheld.text))));
    }
    let mut quiet = 0;
    for service in &environment.services {
        let is_quiet = service.actions.is_empty()
            && service.withheld.is_empty()
            && service.rollout.is_none()
            && service.at.is_none();
        if !verbose && is_quiet {
            quiet += 1;
            continue;
        }
        text.push_str(&render_service(service, &environment.name));
    }
    if quiet > 0 {
        text.push_str(&format!("  {}\n", paint::faint(&format!("{quiet} as declared"))));
    }
    text
}

/// One service.
pub fn render_service(service: &ServicePlan, environment: &str) -> String {
    let mut text = format!("  {}  {}, {}\n", paint::strong(&service.name), service.sync.word(), service.health.word());
    if let Some(at) = &service.at {
        text.push_str(&format!("    {}\n", paint::notable(&super::clean(&at.text()))));
    }
    let is_removal = service.actions.iter().any(|action| action.kind == ActionKind::PruneService);
    for cause in &service.causes {
        let lead = if is_removal { "" } else { "because of " };
        text.push_str(&format!("    {}\n", paint::faint(&format!("{lead}{}", super::clean(cause)))));
    }
    for line in service.rollout_lines(environment) {
        text.push_str(&format!("    {}\n", paint::notable(&super::clean(&line))));
    }
    for action in &service.actions {
        let effect = match action.kind {
            ActionKind::RegisterTaskDefinition => String::new(),
            _ => format!(" ({})", effect_word(action.effect())),
        };
        text.push_str(&format!("    {} {}{effect}\n", mark(action.kind), action_word(action.kind)));
        for change in &action.changes {
            let first = action.kind == ActionKind::RegisterTaskDefinition && service.health == Health::Missing;
            let shown = if first || is_new(action.kind) { render_addition(change) } else { render_change(change) };
            text.push_str(&format!("        {shown}\n"));
        }
    }
    for withheld in &service.withheld {
        // What only tells something is no order that was not carried out.
        let is_note = service.sync == SyncStatus::Synced && withheld.changes.is_empty();
        let word = if is_note || withheld.reason.is_remark() { "note" } else { "not done" };
        text.push_str(&format!("    {}\n", paint::notable(&format!("{word}: {}", super::clean(&withheld.text)))));
        let missing = service.health == Health::Missing;
        for change in &withheld.changes {
            let shown = if missing { render_addition(change) } else { render_change(change) };
            text.push_str(&format!("        {shown}\n"));
        }
    }
    for line in service.cause.iter().flat_map(|cause| &cause.log) {
        text.push_str(&format!("        {}\n", paint::faint(&format!("log: {}", super::clean(line)))));
    }
    text
}

/// Something new needs no "nothing →".
fn is_new(kind: ActionKind) -> bool {
    matches!(kind, ActionKind::CreateService)
}

fn render_addition(change: &Change) -> String {
    match &change.new {
        Some(new) if change.old.is_none() && !change.masked => {
            format!("{}: {}", super::clean(&change.path), value_text(new))
        }
        _ => render_change(change),
    }
}

/// `path: old → new  (effect)`.
pub fn render_change(change: &Change) -> String {
    let effect = match change.effect {
        Effect::InPlace => String::new(),
        effect => format!("  {}", paint::faint(&format!("({})", effect_word(effect)))),
    };
    if change.masked {
        return format!("{}: ••• → •••{effect}", super::clean(&change.path));
    }
    let show = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), value_text);
    format!("{}: {} → {}{effect}", super::clean(&change.path), show(&change.old), show(&change.new))
}

fn value_text(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}

fn mark(kind: ActionKind) -> String {
    match kind {
        ActionKind::CreateService | ActionKind::RegisterTaskDefinition => paint::good("+"),
        _ => paint::notable("~"),
    }
}

fn action_word(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::AdoptService => "adopt the service",
        ActionKind::RegisterTaskDefinition => "register a task definition revision",
        ActionKind::CreateService => "create the service",
        ActionKind::UpdateService => "update the service",
        ActionKind::DeleteService => "delete the service, to create it again as declared",
        ActionKind::PruneService => "remove the service, which is no longer declared",
        ActionKind::TagService => "tag the service",
        ActionKind::TagTaskDefinition => "tag the task definition revision",
        ActionKind::EndScale => "end the scale: its time is over",
    }
}

/// An effect in words.
pub fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::InPlace => "in place",
        Effect::NewDeployment => "new deployment",
        Effect::NeedsForce => "forces a new deployment",
        Effect::Replace => "needs a new service",
        Effect::Refused => "ECS cannot",
    }
}

pub use lockstep_core::stated::commit::short;
