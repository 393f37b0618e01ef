//! `lockstep demo`: the main job on an embedded sandbox, told as a story. Nothing of it is acted: the commits, the
//! calls and the agent are the real ones; each step is verified from ECS's own answers.

mod repository;
mod story;
mod tell;
mod world;

use crate::{
    agent::{Agent, signal},
    aws::Accounts,
    config::{AgentConfig, Flags},
    exit::{Exit, Failure},
    output::{self, Format},
};
use clap::Args;
use repository::DemoRepository;
use std::path::PathBuf;
use tell::Teller;
use tokio::sync::broadcast::error::RecvError;
use world::World;

/// Arguments of `lockstep demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// End after the story.
    #[arg(long)]
    once: bool,
    /// Virtual seconds of the sandbox per second.
    #[arg(long, value_name = "FACTOR", default_value_t = 60.0, value_parser = speed)]
    speed: f64,
    /// Where the repository and the agent's state are made [default: a temporary directory]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.1..=1000.0).contains(&factor) => Ok(factor),
        _ => Err("a factor between 0.1 and 1000".to_owned()),
    }
}

/// Puts everything into a sandbox that the sample repository needs.
pub fn seed_sample(control: &lockstep_sandbox::Control) {
    world::seed(control);
}

/// Runs the demo.
///
/// # Errors
/// When something that the demo itself needs is missing: a directory, a port.
pub async fn run(args: DemoArgs, format: Format) -> Result<Exit, Failure> {
    let fail = |text: String| Failure::new(Exit::Failed, text);
    let temporary = tempfile::Builder::new()
        .prefix("lockstep-demo-")
        .tempdir()
        .map_err(|error| fail(format!("failed to make a directory: {error}")))?;
    let directory = args.directory.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&directory)
        .map_err(|error| fail(format!("failed to make {}: {error}", directory.display())))?;
    let world =
        World::start(args.speed).await.map_err(|error| fail(format!("failed to start the sandbox: {error}")))?;
    let repository = DemoRepository::create(&directory.join("shop.git"))
        .map_err(|reason| fail(format!("failed to make the repository: {reason}")))?;
    let file = directory.join("agent.yaml");
    std::fs::write(&file, world::agent_file(&repository, &directory, &world.queue()))
        .map_err(|error| fail(format!("failed to write {}: {error}", file.display())))?;
    let flags = Flags::default();
    let config = AgentConfig::load(Some(&file), &flags)?;
    let accounts = Accounts::at_endpoint(
        &world.endpoint(),
        world::STAGING_ACCOUNT,
        world::REGION,
        config.accounts.clone(),
        config.api_share.value,
    )
    .await;
    let agent = Agent::start(config, accounts).await.map_err(|error| fail(error.to_string()))?;
    let mut teller = Teller::new(format, &agent, &repository, &world);
    teller.opening();
    let story = tokio::select! {
        story = story::play(&agent, &world, &repository, &mut teller) => Some(story),
        () = signal() => None,
    };
    let Some(all_verified) = story else {
        agent.shutdown().await;
        world.shutdown().await;
        return Ok(Exit::Failed);
    };
    // What happens from here on is told, too.
    let mut events = agent.context.events.subscribe();
    teller.ending(all_verified, &file, args.once);
    if !args.once {
        let ended = signal();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => break,
                event = events.recv() => match event {
                    Ok(event) => teller.happened(event, None),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                },
            }
        }
        output::say("");
    }
    agent.shutdown().await;
    world.shutdown().await;
    Ok(if all_verified { Exit::Done } else { Exit::Failed })
}
