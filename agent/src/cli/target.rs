//! What a command works on: a checkout, a repository with a branch, or a source of the agent's file.

use super::scratch::Scratch;
use crate::{
    aws::Accounts,
    cache::Cache,
    config::{AgentConfig, Flags, SourceConfig},
    exit::{Exit, Failure},
    git::{Access, Location, Remote, branch_problem},
    images::Registries,
    output::{self, diagnostics},
    reconcile::{Content, Context, Snapshot, SourceRunner, Timing},
};
use clap::Args;
use lockstep_core::allow::Allow;
use lockstep_manifests::{Diagnostic, Severity};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The section of the help for what many commands share.
const FILES: &str = "Files and rules";

/// Where the files are, and whose rules hold.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Target {
    /// The config repository: a checkout, a repository on disk, or an https:// URL [default: the current directory;
    /// `status`: the running agent]
    #[arg(long, short = 'C', value_name = "PATH|URL", help_heading = FILES)]
    repository: Option<String>,
    /// The branch to read; with a checkout, the committed state instead of the files.
    #[arg(long, value_name = "NAME", help_heading = FILES)]
    branch: Option<String>,
    /// The agent's file: its sources, roles and allow-lists hold.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    config: Option<PathBuf>,
    /// The id of the source: the owner that tags name.
    #[arg(long, value_name = "ID", help_heading = FILES)]
    source: Option<String>,
    /// The share of AWS's documented rates to use, 0 to 1 [default: 1] [env: LOCKSTEP_API_SHARE]
    #[arg(long, value_name = "SHARE")]
    api_share: Option<String>,
}

/// A target that was opened and read.
pub(crate) struct Opened {
    /// The rounds' shared parts.
    pub(crate) context: Arc<Context>,
    /// The registries of images, as the agent's file has them.
    pub(crate) registries: Registries,
    /// The source.
    pub(crate) runner: SourceRunner,
    /// What was read.
    pub(crate) snapshot: Arc<Snapshot>,
    /// The source of the agent's file, where one is named.
    pub(crate) config: Option<SourceConfig>,
    /// The source's id, where one was given.
    pub(crate) source: Option<String>,
    /// What the source may reach.
    pub(crate) allow: Allow,
    /// The checkout's path, where the files are not committed ones.
    pub(crate) checkout: Option<PathBuf>,
    _scratch: Scratch,
}

impl Target {
    /// Whether the command line names anything.
    pub(crate) fn is_named(&self) -> bool {
        self.repository.is_some() || self.config.is_some() || self.branch.is_some()
    }

    /// Opens and reads the target.
    pub(crate) async fn open(&self) -> Result<Opened, Failure> {
        let flags = Flags { api_share: self.api_share.clone(), ..Flags::default() };
        let config = AgentConfig::load(self.config.as_deref(), &flags)?;
        let source = self.choose_source(&config)?;
        let id = self.source.clone().or_else(|| source.as_ref().map(|source| source.id.clone()));
        let allow = source.as_ref().map_or_else(Allow::everything, |source| source.allow.clone());
        let environments = source.as_ref().and_then(|source| source.environments.clone());
        let accounts = Accounts::load(config.accounts.clone(), config.share_by_hand()).await;
        let timing = Timing { interval: Duration::from_secs(30), follow: Duration::from_secs(1) };
        let context = Context::new(accounts, Cache::in_memory(), timing);
        let registries = Registries::default();
        registries.configure(config.registries.clone());
        let scratch = Scratch::default();
        let (content, checkout) = self.content(source.clone(), &context, &scratch).await?;
        let runner = SourceRunner::new(0, id.as_deref().unwrap_or_default(), allow.clone(), environments, content);
        runner.refresh(&context).await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let snapshot = runner.snapshot().ok_or_else(|| Failure::new(Exit::Failed, "nothing was read"))?;
        Ok(Opened {
            context: Arc::new(context),
            registries,
            runner,
            snapshot,
            config: source,
            source: id,
            allow,
            checkout,
            _scratch: scratch,
        })
    }

    fn choose_source(&self, config: &AgentConfig) -> Result<Option<SourceConfig>, Failure> {
        if self.config.is_none() {
            return Ok(None);
        }
        let names = || config.sources.iter().map(|source| source.id.as_str()).collect::<Vec<_>>().join(", ");
        match &self.source {
            Some(id) => match config.sources.iter().find(|source| source.id == *id) {
                Some(source) => Ok(Some(source.clone())),
                None => {
                    Err(Failure::new(Exit::Usage, format!("the agent's file has no source {id}; it has {}", names())))
                }
            },
            None => match config.sources.as_slice() {
                [source] => Ok(Some(source.clone())),
                [] => Err(Failure::new(Exit::Usage, "the agent's file names no source")),
                _ => Err(Failure::new(Exit::Usage, format!("name one of the sources with --source: {}", names()))),
            },
        }
    }

    async fn content(
        &self,
        source: Option<SourceConfig>,
        context: &Context,
        scratch: &Scratch,
    ) -> Result<(Content, Option<PathBuf>), Failure> {
        if let Some(reason) = self.branch.as_deref().and_then(branch_problem) {
            return Err(Failure::new(Exit::Usage, reason));
        }
        if let (None, Some(mut source)) = (&self.repository, source) {
            if let Some(branch) = &self.branch {
                source.branch.value.clone_from(branch);
            }
            let remote = crate::driver::open(&source, scratch.path()?, context).await;
            let remote = remote.map_err(|reason| Failure::new(Exit::Failed, reason))?;
            return Ok((Content::Remote(Arc::new(Mutex::new(remote))), None));
        }
        let written = self.repository.clone().unwrap_or_else(|| ".".to_owned());
        let location = Location::parse(&written).map_err(|reason| Failure::new(Exit::Usage, reason))?;
        if let Location::Path(path) = &location {
            if !path.exists() {
                return Err(Failure::new(Exit::Failed, format!("there is no directory {}", path.display())));
            }
            let is_bare = path.join("objects").is_dir() && path.join("HEAD").is_file();
            if self.branch.is_none() && !is_bare {
                return Ok((Content::Checkout(path.clone()), Some(path.clone())));
            }
        }
        let branch = self.branch.clone().unwrap_or_else(|| "main".to_owned());
        let state = scratch.path()?.to_owned();
        let opened =
            tokio::task::spawn_blocking(move || Remote::open(&location, &branch, &state, Access::default())).await;
        let remote = opened
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        Ok((Content::Remote(Arc::new(Mutex::new(remote))), None))
    }
}

impl Opened {
    /// Reads the target again.
    pub(crate) async fn read_again(&mut self) -> Result<(), Failure> {
        let read = self.runner.refresh(&self.context).await;
        read.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        if let Some(snapshot) = self.runner.snapshot() {
            self.snapshot = snapshot.clone();
        }
        Ok(())
    }

    /// Shows what is wrong with the files. Answers how that ends the command.
    pub(crate) fn show_problems(&self) -> Exit {
        self.show_problems_but(|_| false)
    }

    /// The same without some of them.
    pub(crate) fn show_problems_but(&self, is_left_out: impl Fn(&Diagnostic) -> bool) -> Exit {
        let shown: Vec<&Diagnostic> = self.snapshot.problems.iter().filter(|problem| !is_left_out(problem)).collect();
        for problem in shown.iter().filter(|problem| problem.severity != Severity::Note) {
            output::say(&format!("{}\n", diagnostics::render(problem)));
        }
        if shown.iter().any(|problem| problem.severity == Severity::Error) { Exit::Invalid } else { Exit::Done }
    }

    /// Names that were asked for must exist, and services be in the environments that were asked for.
    pub(crate) fn check_names(&self, selection: &super::Selection) -> Result<(), Failure> {
        let repository = &self.snapshot.repository;
        if repository.environments.is_empty() && !self.snapshot.valid {
            return Ok(());
        }
        let environments = repository.environments.keys().cloned().collect();
        selection.check(&environments, &repository.services.iter().map(|service| service.name.clone()).collect())?;
        selection.check_membership(|service| self.snapshot.environments_of(service))
    }
}
