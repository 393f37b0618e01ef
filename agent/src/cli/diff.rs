//! `lockstep diff`: the typed difference, of two files or of what is declared and what runs.

use super::{Selection, file, target::Target};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format},
};
use clap::Args;
use lockstep_core::{
    compare::{
        diff::{Change, compare},
        normalise::Context,
    },
    report::{Plan, Reason, ServicePlan, SyncStatus},
    stated::identity::OWN_TAGS,
};
use lockstep_manifests::{
    definition::{self, Definition, Side},
    path::Path as FieldPath,
};
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// A task definition or service as it should be; asks AWS nothing.
    #[arg(long, value_name = "FILE", requires = "live")]
    declared: Option<PathBuf>,
    /// The same as AWS describes it.
    #[arg(long, value_name = "FILE", requires = "declared")]
    live: Option<PathBuf>,
    /// A path that is not compared, for example taskDefinition.containerDefinitions[web].image; may be repeated.
    #[arg(long, value_name = "PATH", requires = "declared")]
    ignore: Vec<String>,
}

pub(super) async fn run(args: DiffArgs, format: Format) -> Result<Exit, Failure> {
    match (&args.declared, &args.live) {
        (Some(declared), Some(live)) => {
            if args.target.is_named() || !args.selection.is_empty() {
                return Err(Failure::new(
                    Exit::Usage,
                    "two files are compared without a repository, environment or service",
                ));
            }
            of_files(declared, live, &args.ignore, format)
        }
        _ => of_what_runs(args, format).await,
    }
}

fn of_files(
    declared: &std::path::Path,
    live: &std::path::Path,
    ignore: &[String],
    format: Format,
) -> Result<Exit, Failure> {
    let ignore: Vec<FieldPath> = ignore
        .iter()
        .map(|text| text.parse().map_err(|error| Failure::new(Exit::Usage, format!("{error}"))))
        .collect::<Result<_, _>>()?;
    let (one, other) = (file::read(declared, Side::Declared)?, file::read(live, Side::Live)?);
    let (Some(one), Some(other)) = (one, other) else {
        return Ok(Exit::Invalid);
    };
    if one.root != other.root {
        let text = format!(
            "{} is a {}, and {} is a {}",
            declared.display(),
            file::name(one.root),
            live.display(),
            file::name(other.root)
        );
        return Err(Failure::new(Exit::Usage, text));
    }
    let (mut one, mut other) = (one, other);
    take_name(&mut one, &other);
    take_name(&mut other, &one);
    let context = Context::of([&one.value, &other.value]);
    let found = compare(one.root, &one.value, &other.value, &context, &ignore);
    let changes = found.changes;
    match format {
        Format::Json => {
            output::data(&output::json(&json!({"format": FORMAT, "changes": changes, "remarks": found.remarks})));
        }
        Format::Text => {
            changes.iter().for_each(|change| output::data(&output::plan::render_change(change)));
            found.remarks.iter().for_each(|remark| output::data(&as_line(&remark.text)));
            if changes.is_empty() {
                output::say("no difference");
            }
        }
    }
    Ok(if changes.is_empty() { Exit::Done } else { Exit::Differences })
}

/// A file without a name means the other one's: in a repository the directory gives it.
fn take_name(file: &mut Definition, other: &Definition) {
    let name = definition::name_member(file.root);
    if let (Some(map), Some(value)) = (file.value.as_object_mut(), other.value.get(name)) {
        map.entry(name).or_insert_with(|| value.clone());
    }
}

/// The name of the format as data.
const FORMAT: &str = "lockstep.diff/1";

async fn of_what_runs(args: DiffArgs, format: Format) -> Result<Exit, Failure> {
    let mut opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    let invalid = opened.show_problems();
    opened.runner.round(&opened.context, &args.selection.looking()).await;
    let plan = opened.context.board.update(0, |source| source.plan());
    match format {
        Format::Json => output::data(&output::json(&as_data(&plan))),
        Format::Text => {
            let text = as_text(&plan);
            if text.is_empty() { output::say("no difference") } else { output::data(&text) }
        }
    }
    let services = || plan.environments.iter().flat_map(|environment| &environment.services);
    let mut exit = invalid;
    if services().any(is_unknown) {
        exit = exit.or(Exit::Failed);
    }
    if services().any(|service| !differences(service).is_empty()) {
        exit = exit.or(Exit::Differences);
    }
    Ok(exit)
}

fn is_unknown(service: &ServicePlan) -> bool {
    service.sync == SyncStatus::Unknown && !service.is_withheld_for(Reason::Invalid)
}

/// What differs, whether or not something is done about it. Our own tags are no part of what is declared.
fn differences(service: &ServicePlan) -> Vec<&Change> {
    let mut found: Vec<&Change> = Vec::new();
    let all = service
        .withheld
        .iter()
        .flat_map(|withheld| &withheld.changes)
        .chain(service.actions.iter().flat_map(|action| &action.changes));
    for change in all {
        let is_ours = change.path == "service.taskDefinition" || change.path.contains(OWN_TAGS);
        if !is_ours && !found.iter().any(|other| other.path == change.path) {
            found.push(change);
        }
    }
    found.sort_by_key(|change| !change.path.starts_with("taskDefinition"));
    found
}

/// What could not be compared, and what stays although it is not declared.
fn remarks(service: &ServicePlan) -> Vec<serde_json::Value> {
    let remarks = service.withheld.iter().filter(|withheld| withheld.reason.is_remark());
    remarks.map(|withheld| json!({"reason": withheld.reason, "text": withheld.text})).collect()
}

fn as_line(remark: &str) -> String {
    format!("note: {}", output::clean(remark))
}

fn as_data(plan: &Plan) -> serde_json::Value {
    let environments: Vec<_> = plan
        .environments
        .iter()
        .map(|environment| {
            let services: Vec<_> = environment
                .services
                .iter()
                .map(|service| {
                    let (changes, remarks) = (differences(service), remarks(service));
                    json!({"name": service.name, "sync": service.sync, "changes": changes, "remarks": remarks})
                })
                .collect();
            json!({"name": environment.name, "services": services})
        })
        .collect();
    json!({"format": FORMAT, "commit": plan.commit, "environments": environments})
}

fn as_text(plan: &Plan) -> String {
    let mut text = String::new();
    for environment in &plan.environments {
        for service in &environment.services {
            let changes = differences(service);
            let unknown = is_unknown(service);
            let remarks = service.withheld.iter().filter(|withheld| withheld.reason.is_remark());
            if changes.is_empty() && !unknown && remarks.clone().count() == 0 {
                continue;
            }
            text.push_str(&format!("{}\n", output::paint::strong(&format!("{}/{}", environment.name, service.name))));
            for withheld in service.withheld.iter().filter(|_| unknown) {
                text.push_str(&format!("  {}\n", output::paint::bad(&format!("unknown: {}", withheld.text))));
            }
            for change in changes {
                text.push_str(&format!("  {}\n", output::plan::render_change(change)));
            }
            for remark in remarks {
                text.push_str(&format!("  {}\n", as_line(&remark.text)));
            }
        }
    }
    text
}
