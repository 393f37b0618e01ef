//! The command line. stdout is data, stderr is conversation.

mod adopt;
mod agent;
mod diff;
mod disown;
mod explain;
mod file;
mod go_on;
mod images;
mod pause;
mod plan;
mod progress;
mod render;
mod restart;
mod sandbox;
mod scale;
mod schema;
mod scratch;
mod selected;
mod status;
mod sync;
mod target;
mod validate;
mod verify;

use crate::{
    config::ConfigError,
    exit::{Exit, Failure},
    log,
    output::{self, Format, diagnostics},
    reconcile::Orders,
};
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeSet;

/// Threads of the agent that run its tasks.
const AGENTS_THREADS: usize = 2;

/// The section of the help for what all commands share.
const EVERYWHERE: &str = "All commands";

/// GitOps for Amazon ECS and Fargate, without Kubernetes.
#[derive(Parser)]
#[command(name = "lockstep", version, disable_help_subcommand = true)]
struct Cli {
    /// The form of the data on stdout.
    #[arg(long, short, global = true, value_enum, default_value_t, help_heading = EVERYWHERE)]
    output: Format,
    /// What to log to stderr: error, warn, info, debug, or a filter like lockstep=debug.
    #[arg(long, global = true, env = "LOCKSTEP_LOG", value_name = "FILTER", help_heading = EVERYWHERE)]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch Lockstep at work on an embedded sandbox: no account, no network.
    #[command(after_help = "Example:\n  lockstep demo --once")]
    Demo(crate::demo::DemoArgs),
    /// Follow config repositories and keep ECS services as they state.
    #[command(after_help = "Example:\n  lockstep agent --config agent.yaml")]
    Agent(agent::AgentArgs),
    /// Check the files of a config repository.
    #[command(after_help = "Examples:\n  lockstep validate -C deploy\n  lockstep validate taskdef.json")]
    Validate(validate::ValidateArgs),
    /// Print what would be sent to ECS.
    #[command(after_help = "Example:\n  lockstep render -C deploy --offline -e prod checkout")]
    Render(render::RenderArgs),
    /// Show differences, planned actions, and what is held back and why.
    #[command(after_help = "Example:\n  lockstep plan -C deploy -e prod checkout")]
    Plan(plan::PlanArgs),
    /// Show the typed difference of two files, or of what is declared and what runs.
    #[command(
        after_help = "Examples:\n  lockstep diff --declared taskdef.json --live described.json\n  lockstep diff -C deploy -e prod checkout"
    )]
    Diff(diff::DiffArgs),
    /// Make what runs equal to what is declared, now and by hand.
    #[command(after_help = "Example:\n  lockstep sync -C deploy --source shop -e prod checkout")]
    Sync(sync::SyncArgs),
    /// Show services, their sync status and health.
    #[command(
        after_help = "Examples:\n  lockstep status --agent http://127.0.0.1:7700 -e prod\n  lockstep status -C deploy -e prod checkout"
    )]
    Status(status::StatusArgs),
    /// Take ownership of services that exist already.
    #[command(after_help = "Example:\n  lockstep adopt -C deploy --source shop -e prod checkout")]
    Adopt(adopt::AdoptArgs),
    /// Leave services alone for a while: nothing of them is written.
    #[command(after_help = "Example:\n  lockstep pause -C deploy checkout -e prod --for 1h --reason INC-4711")]
    Pause(pause::PauseArgs),
    /// End a pause.
    #[command(after_help = "Example:\n  lockstep resume -C deploy checkout -e prod")]
    Resume(pause::ResumeArgs),
    /// Let a rollout go on that waits in a PAUSE hook, or roll it back.
    #[command(
        after_help = "Examples:\n  lockstep continue -C deploy checkout -e prod\n  lockstep continue -C deploy checkout -e prod --rollback"
    )]
    Continue(go_on::ContinueArgs),
    /// Deploy what runs once more, whatever Git says by now.
    #[command(
        after_help = "Example:\n  lockstep restart -C deploy checkout -e prod --source shop --reason 'leaks memory'"
    )]
    Restart(restart::RestartArgs),
    /// Give a service another count for a while; the agent puts it back.
    #[command(
        after_help = "Example:\n  lockstep scale -C deploy checkout=10 -e prod --for 2h --source shop --reason sale"
    )]
    Scale(scale::ScaleArgs),
    /// Take the tags of ownership off services; the way back from adopt.
    #[command(after_help = "Example:\n  lockstep disown -C deploy checkout -e prod --source shop")]
    Disown(disown::DisownArgs),
    /// Check before deploying what ECS would tell only later.
    #[command(after_help = "Example:\n  lockstep verify -C deploy -e prod checkout")]
    Verify(verify::VerifyArgs),
    /// Look at new images: what policies pick, and why.
    #[command(after_help = "Example:\n  lockstep images check -C deploy -e prod")]
    Images(images::ImagesArgs),
    /// Run the ECS sandbox on loopback.
    #[command(after_help = "Example:\n  lockstep sandbox --sample --speed 60")]
    Sandbox(sandbox::SandboxArgs),
    /// Print or write the JSON Schemas of all files, for editors.
    #[command(after_help = "Example:\n  lockstep schema service")]
    Schema(schema::SchemaArgs),
    /// Explain the code of a diagnostic.
    #[command(after_help = "Example:\n  lockstep explain LS0107")]
    Explain(explain::ExplainArgs),
}

/// Environments and services that are meant; all where none are named.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Selection {
    /// An environment; may be repeated.
    #[arg(long = "environment", short = 'e', value_name = "NAME")]
    environments: Vec<String>,
    /// Services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Selection {
    /// One service in one environment.
    fn of(environment: &str, service: &str) -> Self {
        Self { environments: vec![environment.to_owned()], services: vec![service.to_owned()] }
    }

    fn environments(&self) -> BTreeSet<String> {
        self.environments.iter().cloned().collect()
    }

    /// Orders to look at all that is meant, and write nothing.
    fn looking(&self) -> Orders {
        Orders { everything: true, environments: self.environments(), services: self.services(), ..Orders::default() }
    }

    fn is_empty(&self) -> bool {
        self.environments.is_empty() && self.services.is_empty()
    }

    fn services(&self) -> BTreeSet<String> {
        self.services.iter().cloned().collect()
    }

    /// Names that were asked for must be among those that there are.
    fn check(&self, environments: &BTreeSet<String>, services: &BTreeSet<String>) -> Result<(), Failure> {
        let pairs = [("environment", &self.environments, environments), ("service", &self.services, services)];
        for (what, asked, known) in pairs {
            if let Some(name) = asked.iter().find(|name| !known.contains(*name)) {
                let failure = Failure::new(Exit::Usage, format!("there is no {what} `{name}`"));
                let near = lockstep_manifests::diagnostic::nearest(name, known.iter().map(String::as_str));
                return Err(match near {
                    _ if name.contains('/') => {
                        failure.hint("the environment is named with -e: `-e prod web` is what prints as prod/web")
                    }
                    Some(near) => failure.hint(format!("did you mean `{near}`?")),
                    None if known.is_empty() => failure.hint(format!("no {what} is known")),
                    None => failure.hint(format!("there are {}", known.iter().cloned().collect::<Vec<_>>().join(", "))),
                });
            }
        }
        Ok(())
    }
}

impl Selection {
    /// A service that was asked for must be in the environments that were asked for. `environments_of` answers where a
    /// service is; none where that is not known.
    fn check_membership(&self, environments_of: impl Fn(&str) -> Option<BTreeSet<String>>) -> Result<(), Failure> {
        for service in &self.services {
            let Some(there) = environments_of(service) else { continue };
            let absent = self.environments.iter().find(|name| !there.contains(*name));
            if absent.is_none() && !there.is_empty() {
                continue;
            }
            let place = absent.map_or("any environment", String::as_str);
            let failure = Failure::new(Exit::Usage, format!("{service} is not in {place}"));
            let names: Vec<String> = there.into_iter().collect();
            return Err(failure.hint(match names.as_slice() {
                [] => format!("`environments` of {service}'s service.yaml names none"),
                names => format!("it is in {}", names.join(", ")),
            }));
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        if let ConfigError::File(_, problems) = &error {
            for problem in problems {
                output::say(&diagnostics::render(problem));
            }
        }
        Self::new(Exit::Usage, error.to_string())
    }
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if !error.use_stderr() {
                // Help and version: words of our own.
                let _ = error.print();
                return Exit::Done;
            }
            // It repeats what was given, which a script may have from elsewhere.
            output::say(error.render().to_string().trim_end());
            return Exit::Usage;
        }
    };
    // Only the agent has nothing but its log; the others say themselves what matters.
    let log = match &cli.command {
        Command::Agent(_) => log::start_agents(cli.log.as_deref(), cli.output),
        _ => log::start(cli.log.as_deref()),
    };
    let _log = match log {
        Ok(log) => log,
        Err(message) => {
            output::say(&format!("error: {message}"));
            return Exit::Usage;
        }
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Command::Agent(_) = cli.command {
        // The agent waits far more than it computes. More threads than these would only keep more memory.
        builder.worker_threads(AGENTS_THREADS);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::say(&format!("error: failed to start: {error}"));
            return Exit::Failed;
        }
    };
    let result = runtime.block_on(run(cli));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(exit) if output::is_lost() => exit.or(Exit::Failed),
        Ok(exit) => exit,
        Err(failure) => {
            output::say(&format!("{}: {}", output::paint::bad("error"), failure.message));
            if let Some(hint) = failure.hint {
                output::hint(&hint);
            }
            failure.exit
        }
    }
}

async fn run(cli: Cli) -> Result<Exit, Failure> {
    let format = cli.output;
    match cli.command {
        Command::Demo(args) => crate::demo::run(args, format).await,
        Command::Agent(args) => agent::run(args, format).await,
        Command::Validate(args) => validate::run(args, format).await,
        Command::Render(args) => render::run(args, format).await,
        Command::Plan(args) => plan::run(args, format).await,
        Command::Diff(args) => diff::run(args, format).await,
        Command::Sync(args) => sync::run(args, format).await,
        Command::Status(args) => status::run(args, format).await,
        Command::Adopt(args) => adopt::run(args, format).await,
        Command::Pause(args) => pause::pause(args, format).await,
        Command::Resume(args) => pause::resume(args, format).await,
        Command::Continue(args) => go_on::run(args, format).await,
        Command::Restart(args) => restart::run(args, format).await,
        Command::Scale(args) => scale::run(args, format).await,
        Command::Disown(args) => disown::run(args, format).await,
        Command::Verify(args) => verify::run(args, format).await,
        Command::Images(args) => images::run(args, format).await,
        Command::Sandbox(args) => sandbox::run(args, format).await,
        Command::Schema(args) => schema::run(&args, format),
        Command::Explain(args) => explain::run(&args, format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn commands(command: &clap::Command, found: &mut Vec<(String, String)>) {
        for below in command.get_subcommands() {
            let help = below.get_after_help().map(ToString::to_string).unwrap_or_default();
            found.push((below.get_name().to_owned(), help));
            commands(below, found);
        }
    }

    // G7: every command shows an example, and each example is one.
    #[test]
    fn every_command_has_an_example_that_parses() {
        let mut found = Vec::new();
        commands(&Cli::command(), &mut found);
        assert!(found.len() > 15);
        for (name, help) in found {
            let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  ")).collect();
            assert!(!examples.is_empty(), "{name} shows no example");
            for example in examples {
                let words: Vec<&str> = example.split_whitespace().collect();
                assert!(words.contains(&name.as_str()), "{example}");
                assert!(Cli::try_parse_from(words).is_ok(), "{example}");
            }
        }
    }
}
