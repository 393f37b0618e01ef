//! `lockstep validate`.

use super::{Failure, target::Target};
use crate::{
    exit::Exit,
    output::{self, Format, diagnostics},
    reconcile::board::problem,
};
use clap::Args;
use lockstep_manifests::diagnostic::has_errors;

#[derive(Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: ValidateArgs, format: Format) -> Result<Exit, Failure> {
    let opened = args.target.open().await?;
    let problems = &opened.snapshot.problems;
    let repository = &opened.snapshot.repository;
    match format {
        Format::Json => {
            let problems: Vec<_> = problems.iter().map(problem).collect();
            output::data(&output::json(&serde_json::json!({
                "format": "lockstep.validate/1",
                "environments": repository.environments.keys().collect::<Vec<_>>(),
                "services": repository.services.iter().map(|service| &service.name).collect::<Vec<_>>(),
                "problems": problems,
            })));
        }
        Format::Text => {
            for problem in problems {
                output::say(&format!("{}\n", diagnostics::render(problem)));
            }
            let found = diagnostics::summary(problems).map_or(String::new(), |summary| format!(": {summary}"));
            output::data(&format!(
                "{} in {}{found}",
                output::count(repository.services.len(), "service"),
                output::count(repository.environments.len(), "environment")
            ));
        }
    }
    Ok(if has_errors(problems) { Exit::Invalid } else { Exit::Done })
}
