//! `lockstep agent`.

use crate::{
    agent::{Agent, Signals, StartError},
    aws::Accounts,
    config::{AgentConfig, Flags},
    exit::{Exit, Failure},
    output::{self, Format},
};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct AgentArgs {
    /// The agent's own file.
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_CONFIG")]
    config: PathBuf,
    /// Where the mirror and the cache are kept [env: LOCKSTEP_STATE_DIRECTORY]
    #[arg(long, value_name = "DIRECTORY")]
    state_directory: Option<PathBuf>,
    /// Where the API answers, on loopback [env: LOCKSTEP_LISTEN]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Longest time between two looks at the repository and at a service [env: LOCKSTEP_INTERVAL]
    #[arg(long, value_name = "DURATION")]
    interval: Option<String>,
    /// The share of AWS's documented rates that the agent uses, 0 to 1 [env: LOCKSTEP_API_SHARE]
    #[arg(long, value_name = "SHARE")]
    api_share: Option<String>,
    /// Print the configuration with the origin of each value, and end.
    #[arg(long)]
    show_config: bool,
}

pub(super) async fn run(args: AgentArgs, format: Format) -> Result<Exit, Failure> {
    let flags = Flags {
        state_directory: args.state_directory,
        listen: args.listen,
        interval: args.interval,
        api_share: args.api_share,
    };
    let config = AgentConfig::load(Some(&args.config), &flags)?;
    if args.show_config {
        let values = config.describe();
        match format {
            Format::Json => output::data(&output::json(&values)),
            Format::Text => values.iter().for_each(|value| output::data(&value.to_string())),
        }
        return Ok(Exit::Done);
    }
    // From the start: a signal while it starts is no accident.
    let signals = Signals::listen()
        .map_err(|error| Failure::new(Exit::Failed, format!("failed to listen to signals: {error}")))?;
    let accounts = Accounts::load(config.accounts.clone(), config.api_share.value).await;
    let agent = Agent::start(config, accounts).await.map_err(|error| {
        let exit = if matches!(error, StartError::NoSource) { Exit::Usage } else { Exit::Failed };
        Failure::new(exit, error.to_string())
    })?;
    agent.run(flags, signals).await;
    Ok(Exit::Done)
}
