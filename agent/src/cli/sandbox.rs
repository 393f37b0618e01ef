//! `lockstep sandbox`: the ECS sandbox on loopback, to use by hand.

use crate::{
    agent::signal,
    exit::{Exit, Failure},
    output::{self, Format},
};
use clap::Args;
use lockstep_sandbox::{ClockMode, Options, Sandbox};
use std::net::SocketAddr;

/// The name of the format as data.
const FORMAT: &str = "lockstep.sandbox/1";

#[derive(Args)]
pub(super) struct SandboxArgs {
    /// Where it answers, on loopback.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// Virtual seconds per second; 0 stops the clock, it is then moved over HTTP.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Seed of the ids.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The account of access keys that are not an account's id.
    #[arg(long, value_name = "ACCOUNT", default_value = "111111111111")]
    account: String,
    /// Put the clusters, images, parameters, target groups and log groups in that the sample repository needs.
    #[arg(long)]
    sample: bool,
}

pub(super) async fn run(args: SandboxArgs, format: Format) -> Result<Exit, Failure> {
    if !args.listen.ip().is_loopback() {
        return Err(Failure::new(Exit::Usage, "the sandbox listens on loopback only"));
    }
    if !(0.0..=100_000.0).contains(&args.speed) {
        return Err(Failure::new(Exit::Usage, "the speed is a factor between 0 and 100000"));
    }
    let options = Options {
        address: args.listen,
        clock: if args.speed == 0.0 { ClockMode::Manual } else { ClockMode::Speed(args.speed) },
        seed: args.seed,
        default_account: args.account.clone(),
        auto_create_clusters: !args.sample,
        auto_create_images: !args.sample,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options)
        .await
        .map_err(|error| Failure::new(Exit::Failed, format!("failed to listen on {}: {error}", args.listen)))?;
    if args.sample {
        crate::demo::seed_sample(&sandbox.control());
    }
    let url = sandbox.endpoint_url();
    let variables = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", args.account.as_str()),
        ("AWS_SECRET_ACCESS_KEY", "sandbox"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
    ];
    match format {
        Format::Text => {
            let words: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
            output::data(&format!("export {}", words.join(" ")));
        }
        Format::Json => {
            let environment: serde_json::Map<_, _> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
            output::data(&output::json(&serde_json::json!({"format": FORMAT, "environment": environment})));
        }
    }
    output::say(&format!(
        "ECS, ECR, SSM, Secrets Manager, STS, Application Auto Scaling, CloudWatch, Elastic Load Balancing and SQS answer \
         on {url}; Ctrl-C ends it."
    ));
    output::say("An access key of 12 digits is the account of that id. Calls are counted at /sandbox/calls.");
    signal().await;
    sandbox.shutdown().await;
    Ok(Exit::Done)
}
