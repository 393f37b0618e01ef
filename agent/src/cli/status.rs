//! `lockstep status`, and asking a running agent.

use super::{Selection, selected::clients_of, target::Target};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format},
    reconcile::Orders,
};
use clap::Args;
use lockstep_core::observed::Reading;
use lockstep_core::observed::words::ServiceStatus;
use lockstep_core::state::{State, TaskList};
use std::time::Duration;

/// Longest state that is read, in bytes: that of some ten thousand services.
const LONGEST_STATE: usize = 128 << 20;

/// The agent to ask.
#[derive(Args, Clone, Debug)]
pub(super) struct AgentUrl {
    /// Ask a running agent at this address.
    #[arg(
        long = "agent",
        value_name = "URL",
        num_args = 0..=1,
        default_missing_value = "",
        env = "LOCKSTEP_AGENT",
        help_heading = "Running agent"
    )]
    url: Option<String>,
}

impl AgentUrl {
    /// Whether the command is about a running agent.
    pub(super) fn is_asked(&self, target: &Target) -> bool {
        self.url.is_some() && !target.is_named()
    }

    /// An agent and files are two places to look at.
    ///
    /// # Errors
    /// When both are named on the command line; the variable gives way.
    pub(super) fn check(&self, target: &Target) -> Result<(), Failure> {
        let is_written = self.url.is_some() && self.url != std::env::var("LOCKSTEP_AGENT").ok();
        if is_written && target.is_named() {
            return Err(Failure::new(
                Exit::Usage,
                "--agent asks a running agent, so -C, --branch and --config say nothing",
            )
            .hint("name one of the two"));
        }
        Ok(())
    }

    /// Where the agent answers: as it is written, else by the variable, else on this machine.
    ///
    /// # Errors
    /// When it is no address.
    pub(super) fn base(&self) -> Result<String, Failure> {
        let variable = std::env::var("LOCKSTEP_AGENT").ok();
        let written = self.url.clone().filter(|url| !url.is_empty()).or(variable).filter(|url| !url.is_empty());
        let written = written.unwrap_or_else(|| "127.0.0.1:7700".to_owned());
        let written = written.trim_end_matches('/');
        // What follows a bare `--agent` is a service, more likely than not.
        if !written.contains([':', '.']) && written != "localhost" {
            let message = format!("`{}` is no address of an agent", lockstep_core::mask::line(written));
            return Err(Failure::new(Exit::Usage, message).hint("write --agent=URL, and --agent= for the usual one"));
        }
        Ok(if written.contains("://") { written.to_owned() } else { format!("http://{written}") })
    }

    /// The agent's state.
    pub(super) async fn state(&self) -> Result<State, Failure> {
        self.get("state").await
    }

    /// What the agent's API answers at a path.
    async fn get<T: serde::de::DeserializeOwned>(&self, what: &str) -> Result<T, Failure> {
        let base = self.base()?;
        // Whoever wrote a password into it does not want to read it in a log.
        let shown = lockstep_core::mask::line(&base);
        let fail = |error: reqwest::Error| {
            let error = error.without_url();
            let mut reason = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                reason = format!("{reason}: {source}");
            }
            Failure::new(Exit::Failed, format!("failed to ask the agent at {shown}: {reason}"))
                .hint("name it with --agent URL or LOCKSTEP_AGENT, or look yourself with -C PATH or --config FILE")
        };
        let client = crate::authority::with_system(reqwest::Client::builder())
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()
            .map_err(fail)?;
        let answer = client.get(format!("{base}/api/v1/{what}")).send().await.map_err(fail)?;
        let mut answer = answer.error_for_status().map_err(fail)?;
        let unusable =
            |reason: String| Failure::new(Exit::Failed, format!("the answer of {shown} is not used: {reason}"));
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(fail)? {
            body.extend_from_slice(&part);
            if body.len() > LONGEST_STATE {
                return Err(unusable(format!("it is longer than {} MiB", LONGEST_STATE >> 20)));
            }
        }
        serde_json::from_slice(&body).map_err(|error| unusable(format!("it is not an agent's: {error}")))
    }
}

#[derive(Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    agent: AgentUrl,
    #[command(flatten)]
    selection: Selection,
    /// List the services of the clusters that no file declares, and nothing else.
    #[arg(long)]
    unmanaged: bool,
    /// List what the agent's tasks are doing, and nothing else.
    #[arg(long, conflicts_with = "unmanaged")]
    tasks: bool,
}

/// A service that no file declares.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Unmanaged {
    environment: String,
    service: String,
    /// Its tags, which may tell whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<lockstep_core::tags::Tags>,
    /// Why nothing more is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Lists what runs in the environments' clusters and is declared nowhere.
async fn unmanaged(args: StatusArgs, format: Format) -> Result<Exit, Failure> {
    if !args.target.is_named() {
        return Err(Failure::new(
            Exit::Usage,
            "`--unmanaged` compares files with clusters: name the files with -C or --config",
        ));
    }
    let opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    let exit = opened.show_problems();
    let mut lines = Vec::new();
    for (name, environment) in &opened.snapshot.repository.environments {
        if !args.selection.environments.is_empty() && !args.selection.environments.contains(name) {
            continue;
        }
        let clients = clients_of(&opened, environment).await?;
        let fail = |error: crate::aws::AwsError| Failure::new(Exit::Failed, error.to_string());
        let mut names = clients.service_names(&environment.cluster).await.map_err(fail)?;
        // Several environments may share a cluster.
        let declared = opened.snapshot.repository.environments.iter().filter(|(_, other)| {
            (&other.account, &other.region, &other.cluster)
                == (&environment.account, &environment.region, &environment.cluster)
        });
        let declared: Vec<String> =
            declared.flat_map(|(other, _)| opened.snapshot.services_in(other)).map(|(_, ecs)| ecs).collect();
        names.retain(|service| !declared.contains(service));
        names.sort();
        for (service, reading) in clients.services(&environment.cluster, &names).await {
            let (tags, problem) = match reading {
                Reading::Found(live) if live.status == ServiceStatus::Inactive => continue,
                Reading::Found(live) => (Some(live.tags), None),
                Reading::Missing => continue,
                Reading::Failed(text) => (None, Some(text)),
                Reading::Unread => (None, Some("it was not read".to_owned())),
            };
            lines.push(Unmanaged { environment: name.clone(), service, tags, problem });
        }
    }
    match format {
        Format::Json => output::data(&output::json(&lines)),
        Format::Text if lines.is_empty() => output::data("every service of the clusters is declared"),
        Format::Text => {
            for line in &lines {
                let tags = line.tags.iter().flatten().take(4).map(|(key, value)| format!("{key}={value}"));
                let tags: Vec<String> = tags.collect();
                let told = line.problem.clone().unwrap_or_else(|| tags.join(", "));
                let told = if told.is_empty() { String::new() } else { format!("  ({told})") };
                output::data(&output::clean(&format!("{}/{}  not declared{told}", line.environment, line.service)));
            }
        }
    }
    Ok(exit)
}

/// Lists what the tasks of a running agent are doing.
async fn tasks(args: &StatusArgs, format: Format) -> Result<Exit, Failure> {
    if args.target.is_named() {
        let message = "`--tasks` is about a running agent, so -C, --branch and --config say nothing";
        return Err(Failure::new(Exit::Usage, message).hint("name the agent with --agent URL"));
    }
    let list: TaskList = args.agent.get("tasks").await?;
    match format {
        Format::Json => output::data(&output::json(&list)),
        Format::Text => output::data(&output::tasks::render(&list, jiff::Timestamp::now())),
    }
    Ok(Exit::Done)
}

pub(super) async fn run(args: StatusArgs, format: Format) -> Result<Exit, Failure> {
    args.agent.check(&args.target)?;
    if args.unmanaged {
        return unmanaged(args, format).await;
    }
    if args.tasks {
        return tasks(&args, format).await;
    }
    let mut exit = Exit::Done;
    let mut state = if args.target.is_named() {
        let mut opened = args.target.open().await?;
        opened.check_names(&args.selection)?;
        exit = opened.show_problems();
        let orders = Orders { everything: true, environments: args.selection.environments(), ..Orders::default() };
        opened.runner.round(&opened.context, &orders).await;
        opened.context.board.state()
    } else {
        args.agent.state().await?
    };
    let known = state.sources.iter().flat_map(|source| &source.environments);
    let names = known.clone().map(|environment| environment.name.clone()).collect();
    let services = known.flat_map(|environment| &environment.services);
    args.selection.check(&names, &services.map(|service| service.plan.name.clone()).collect())?;
    args.selection.check_membership(|name| {
        let environments = state.sources.iter().flat_map(|source| &source.environments);
        let there = environments.filter(|environment| environment.services.iter().any(|it| it.plan.name == name));
        Some(there.map(|environment| environment.name.clone()).collect())
    })?;
    let (environments, services) = (args.selection.environments(), args.selection.services());
    for source in &mut state.sources {
        source.environments.retain(|environment| environments.is_empty() || environments.contains(&environment.name));
        for environment in &mut source.environments {
            environment.services.retain(|service| services.is_empty() || services.contains(&service.plan.name));
        }
    }
    match format {
        Format::Json => output::data(&output::json(&state)),
        Format::Text => output::data(&output::status::render(&state, jiff::Timestamp::now())),
    }
    Ok(exit)
}
