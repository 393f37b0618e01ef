//! `lockstep validate`.

mod fix;

use super::{file, target::Target};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format, diagnostics},
    reconcile::Snapshot,
};
use clap::Args;
use lockstep_core::state::problem;
use lockstep_manifests::{Diagnostic, definition::Side, diagnostic::has_errors};
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    target: Target,
    /// Files that hold one task definition or service each, in any form that AWS takes or prints; no repository is read.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Show every note, not only how many a file has, and which service is in which environment.
    #[arg(long, short)]
    verbose: bool,
    /// Write the lines that a repository of version 1 needs, so that version 2 keeps every service where it is.
    #[arg(long, conflicts_with = "files")]
    fix: bool,
}

/// The name of the format as data.
const FORMAT: &str = "lockstep.validate/1";

pub(super) async fn run(args: ValidateArgs, format: Format) -> Result<Exit, Failure> {
    if !args.files.is_empty() {
        if args.target.is_named() {
            return Err(Failure::new(Exit::Usage, "files are validated by themselves, without a repository"));
        }
        return of_files(&args.files, args.verbose, format);
    }
    let mut opened = args.target.open().await?;
    if args.fix {
        fix::run(&opened).await?;
        opened.read_again().await?;
    }
    let problems = &opened.snapshot.problems;
    let repository = &opened.snapshot.repository;
    let summary = format!(
        "{} in {}",
        output::count(repository.services.len(), "service"),
        output::count(repository.environments.len(), "environment")
    );
    let data = json!({
        "format": FORMAT,
        "environments": repository.environments.keys().collect::<Vec<_>>(),
        "services": repository.services.iter().map(|service| &service.name).collect::<Vec<_>>(),
        "membership": repository.services.iter().map(|service| (service.name.clone(), json!(opened.snapshot.environments_of(&service.name)))).collect::<serde_json::Map<_, _>>(),
        "problems": problems.iter().map(problem).collect::<Vec<_>>(),
    });
    if args.verbose && format == Format::Text {
        output::data(&matrix(&opened.snapshot));
    }
    Ok(tell(problems, &summary, &data, args.verbose, format))
}

/// Which service is in which environment; a question mark where its files do not say.
fn matrix(snapshot: &Snapshot) -> String {
    let environments: Vec<&str> = snapshot.repository.environments.keys().map(String::as_str).collect();
    let names = snapshot.repository.services.iter().map(|service| service.name.as_str());
    let width = names.clone().chain(["service"]).map(str::len).max().unwrap_or_default();
    let line = |name: &str, cells: Vec<&str>| {
        let cells = cells.iter().zip(&environments).map(|(cell, name)| format!("  {cell:<0$}", name.len().max(3)));
        format!("{name:<width$}{}", cells.collect::<String>()).trim_end().to_owned()
    };
    let mut lines = vec![line("service", environments.clone())];
    for name in names {
        let there = snapshot.environments_of(name);
        let is_disputed = |environment: &str| snapshot.disputed_in(environment).iter().any(|(other, _)| other == name);
        let cell = |environment: &&str| match &there {
            None => "?",
            Some(_) if is_disputed(environment) => "?",
            Some(there) if there.contains(*environment) => "yes",
            Some(_) => "-",
        };
        lines.push(line(name, environments.iter().map(cell).collect()));
    }
    lines.join("\n")
}

fn of_files(files: &[PathBuf], verbose: bool, format: Format) -> Result<Exit, Failure> {
    let mut problems = Vec::new();
    let mut kinds = Vec::new();
    for path in files {
        let (found, said) = file::look_at(path, Side::Declared)?;
        problems.extend(said);
        kinds.push((path.display().to_string(), found.map(|found| file::name(found.root))));
    }
    let summary: Vec<String> = kinds
        .iter()
        .map(|(path, kind)| format!("{path}: {}", kind.map_or("not usable".to_owned(), |kind| format!("a {kind}"))))
        .collect();
    let data = json!({
        "format": FORMAT,
        "files": kinds.iter().map(|(path, kind)| json!({"path": path, "kind": kind})).collect::<Vec<_>>(),
        "problems": problems.iter().map(problem).collect::<Vec<_>>(),
    });
    Ok(tell(&problems, &summary.join("\n"), &data, verbose, format))
}

fn tell(problems: &[Diagnostic], summary: &str, data: &serde_json::Value, verbose: bool, format: Format) -> Exit {
    match format {
        Format::Json => output::data(&output::json(data)),
        Format::Text => {
            for text in diagnostics::listed(problems, verbose) {
                output::say(&format!("{text}\n"));
            }
            let found = diagnostics::summary(problems).map_or(String::new(), |summary| format!(": {summary}"));
            output::data(&format!("{summary}{found}"));
        }
    }
    if has_errors(problems) { Exit::Invalid } else { Exit::Done }
}
