//! `lockstep verify`: what ECS would tell only later, told before.

use super::{Selection, render::parameters, target::Target};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format, diagnostics, paint},
    verify::{Verifier, count},
};
use clap::Args;
use lockstep_core::verify::{self, Check, CheckOutcome};
use lockstep_manifests::render::{bind, bind_offline};
use serde_json::json;

#[derive(Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// Only what the definitions alone decide; AWS is not asked.
    #[arg(long)]
    offline: bool,
    /// Show checks that hold, too.
    #[arg(long, short)]
    verbose: bool,
}

/// The checks of a service in an environment.
struct Verified {
    environment: String,
    service: String,
    checks: Vec<Check>,
}

pub(super) async fn run(args: VerifyArgs, format: Format) -> Result<Exit, Failure> {
    let opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    // The checks of this command are in the problems, too; they are told once, as checks.
    let mut exit = opened.show_problems_but(|problem| problem.code.id.starts_with("LS05"));
    let (environments, services) = (args.selection.environments(), args.selection.services());
    let mut verifier = Verifier::new(&opened.context.accounts, &opened.allow);
    let mut all: Vec<Verified> = Vec::new();
    for environment in opened.snapshot.repository.environments.values() {
        if !environments.is_empty() && !environments.contains(&environment.name) {
            continue;
        }
        for service in &opened.snapshot.services {
            if !services.is_empty() && !services.contains(&service.directory.name) {
                continue;
            }
            let Some(Ok(rendered)) = service.environments.get(&environment.name) else { continue };
            let desired = if args.offline {
                bind_offline(rendered, environment)
            } else {
                match bind(rendered, environment, &parameters(&opened, rendered, environment).await?) {
                    Ok(desired) => desired,
                    Err(problems) => {
                        for problem in &problems {
                            output::say(&format!("{}\n", diagnostics::render(problem)));
                        }
                        exit = exit.or(Exit::Invalid);
                        continue;
                    }
                }
            };
            let mut checks = verify::offline(&desired);
            checks.iter_mut().filter(|check| !check.also.is_empty()).for_each(|check| {
                let places: Vec<String> = std::iter::once(&check.path)
                    .chain(&check.also)
                    .map(|path| {
                        let span = rendered.span_of(path);
                        format!("{path} at {}:{}", span.file.path, span.line_column().0)
                    })
                    .collect();
                check.text = format!("{} ({})", check.text, places.join(", "));
            });
            if !args.offline {
                let clients = opened.context.accounts.clients(&environment.account, &environment.region).await;
                clients.check_account().await.map_err(|error| {
                    Failure::new(Exit::Failed, error.to_string()).hint("--offline checks what takes no call")
                })?;
                checks.extend(verifier.online(&desired, environment).await);
            }
            let (environment, service) = (environment.name.clone(), service.directory.name.clone());
            all.push(Verified { environment, service, checks });
        }
    }
    match format {
        Format::Json => output::data(&output::json(&data(&all))),
        Format::Text => output::data(&text(&all, args.verbose)),
    }
    if verifier.failed {
        exit = exit.or(Exit::Failed);
    }
    if all.iter().flat_map(|one| &one.checks).any(|check| check.outcome == CheckOutcome::Fail) {
        exit = exit.or(Exit::Invalid);
    }
    Ok(exit)
}

fn data(all: &[Verified]) -> serde_json::Value {
    let services: Vec<_> = all
        .iter()
        .map(|one| {
            let checks: Vec<_> = one
                .checks
                .iter()
                .map(|check| json!({"outcome": check.outcome, "code": check.code.id, "path": check.path.to_string(), "text": check.text}))
                .collect();
            json!({"environment": one.environment, "service": one.service, "checks": checks})
        })
        .collect();
    json!({"format": "lockstep.verify/1", "services": services})
}

fn text(all: &[Verified], verbose: bool) -> String {
    let mut text = String::new();
    for one in all {
        text.push_str(&format!("{}\n", paint::strong(&format!("{}/{}", one.environment, one.service))));
        for check in one.checks.iter().filter(|check| verbose || check.outcome != CheckOutcome::Ok) {
            let word = match check.outcome {
                CheckOutcome::Ok => paint::good("OK  "),
                CheckOutcome::Skip => paint::faint("SKIP"),
                CheckOutcome::Warn => paint::notable("WARN"),
                CheckOutcome::Fail => paint::bad("FAIL"),
            };
            let (path, said) = (output::clean(&check.path.to_string()), output::clean(&check.text));
            text.push_str(&format!("  {word}  {path}: {said}  {}\n", paint::faint(check.code.id)));
        }
        let counts = count(&one.checks);
        let number = |outcome: CheckOutcome| counts.get(&outcome).copied().unwrap_or_default();
        text.push_str(&format!(
            "  {} OK, {} WARN, {} FAIL, {} SKIP\n",
            number(CheckOutcome::Ok),
            number(CheckOutcome::Warn),
            number(CheckOutcome::Fail),
            number(CheckOutcome::Skip)
        ));
    }
    text
}
