//! `lockstep images`: which images policies pick, and why. Only `pin` and `release` write, and each says what.

mod explain;
mod list;
mod pin;
mod release;

use super::{
    Selection,
    target::{Opened, Target},
};
use crate::{
    exit::{Exit, Failure},
    git::{Access, Checkout, Location, Remote},
    images::{Histories, PinReader, Seen, Watched, watched},
    output::Format,
};
use clap::{Args, Subcommand};
use lockstep_core::images::PinChange;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::PoisonError,
    time::Duration,
};

#[derive(Args)]
pub(super) struct ImagesArgs {
    #[command(subcommand)]
    command: ImagesCommand,
}

#[derive(Subcommand)]
enum ImagesCommand {
    /// List the pins that policies are for, without asking any registry.
    #[command(after_help = "Example:\n  lockstep images list -C deploy -e prod")]
    List(list::ListArgs),
    /// Ask the registries, and show what would be written.
    #[command(after_help = "Example:\n  lockstep images check -C deploy -e prod")]
    Check(list::CheckArgs),
    /// Show each tag of an image with the rule that kept or dropped it.
    #[command(after_help = "Example:\n  lockstep images explain -C deploy -e prod checkout api")]
    Explain(explain::ExplainArgs),
    /// Write a pin with its digest into the pins file of a checkout.
    #[command(after_help = "Example:\n  lockstep images pin -C deploy -e prod checkout api 3.2.0")]
    Pin(pin::PinArgs),
    /// Let a pin that somebody moved by hand follow its policy again, by a commit.
    #[command(after_help = "Example:\n  lockstep images release --config agent.yaml -e prod checkout api")]
    Release(release::ReleaseArgs),
}

/// The name of a pin: in one word, or with `-e` in several.
#[derive(Args)]
struct PinName {
    /// The environment, where SERVICE and CONTAINER are words of their own.
    #[arg(long, short = 'e', value_name = "NAME")]
    environment: Option<String>,
    /// ENVIRONMENT/SERVICE/CONTAINER, where what is clear may be left out; or with -e: SERVICE [CONTAINER]
    #[arg(value_name = "PIN", required = true, num_args = 1..=2)]
    words: Vec<String>,
}

impl PinName {
    /// The name in one word.
    fn joined(&self) -> Result<String, Failure> {
        match (&self.environment, self.words.as_slice()) {
            (Some(environment), words) => Ok(format!("{environment}/{}", words.join("/"))),
            (None, [name]) => Ok(name.clone()),
            (None, words) => Err(Failure::new(Exit::Usage, format!("`{}` names no environment", words.join(" ")))
                .hint("write it as ENVIRONMENT/SERVICE/CONTAINER, or give the environment with -e")),
        }
    }
}

pub(super) async fn run(args: ImagesArgs, format: Format) -> Result<Exit, Failure> {
    match args.command {
        ImagesCommand::List(args) => list::list(args, format).await,
        ImagesCommand::Check(args) => list::check(args, format).await,
        ImagesCommand::Explain(args) => explain::run(args, format).await,
        ImagesCommand::Pin(args) => pin::run(args, format).await,
        ImagesCommand::Release(args) => release::run(args, format).await,
    }
}

/// The pins of a target, with what the history says of them.
struct Pins {
    opened: Opened,
    watched: Vec<Watched>,
    changes: BTreeMap<String, PinChange>,
}

impl Pins {
    async fn read(target: &Target) -> Result<Self, Failure> {
        let opened = target.open().await?;
        let mine = |name: &str| {
            let names = opened.config.as_ref().and_then(|source| source.environments.as_ref());
            names.is_none_or(|names| names.iter().any(|mine| mine == name))
        };
        let watched = watched(&opened.snapshot, mine);
        let changes = history(&opened, &watched).await.map_err(|reason| Failure::new(Exit::Failed, reason))?;
        Ok(Self { opened, watched, changes })
    }

    /// Only those that are meant.
    fn select(&mut self, selection: &Selection) -> Result<(), Failure> {
        self.opened.check_names(selection)?;
        let (environments, services) = (selection.environments(), selection.services());
        self.watched.retain(|it| {
            let mut readers = it.readers.iter().map(|reader| &reader.environment).chain([&it.environment]);
            (environments.is_empty() || readers.any(|name| environments.contains(name)))
                && (services.is_empty() || services.contains(&it.service))
        });
        Ok(())
    }

    /// Asks the registries. What pins follow is looked at as well.
    async fn look(&self) -> Vec<Seen> {
        let eyes = PinReader {
            accounts: &self.opened.context.accounts,
            registries: &self.opened.registries,
            allow: &self.opened.allow,
            snapshot: &self.opened.snapshot,
            age: Duration::from_secs(60),
            keep_rules: true,
            memory: None,
            patience: None,
        };
        eyes.look(&self.watched, &self.changes).await
    }

    /// The one pin of this name: `prod/checkout/api`, where what is clear may be left out.
    fn find(&self, name: &str) -> Result<&Watched, Failure> {
        let parts: Vec<&str> = name.split('/').collect();
        // One that several environments read has the name of each.
        let is_in = |it: &Watched, name: &str| {
            it.environment == name || it.readers.iter().any(|reader| reader.environment == name)
        };
        let matches = |it: &&Watched| match parts.as_slice() {
            [service] => it.service == *service,
            [first, second] => {
                (is_in(it, first) && it.service == *second) || (it.service == *first && it.container == *second)
            }
            [environment, service, container] => {
                is_in(it, environment) && it.service == *service && it.container == *container
            }
            _ => false,
        };
        let found: Vec<&Watched> = self.watched.iter().filter(matches).collect();
        let names = |pins: &[&Watched]| pins.iter().map(|it| it.name()).collect::<Vec<_>>().join(", ");
        match found.as_slice() {
            [one] => Ok(one),
            [] => {
                let failure = Failure::new(Exit::Usage, format!("no image policy is for `{name}`"));
                let all: Vec<&Watched> = self.watched.iter().collect();
                if lockstep_manifests::diagnostic::has_errors(&self.opened.snapshot.problems) {
                    return Err(failure.hint("services with errors are left out: see what is said of them"));
                }
                Err(match all.is_empty() {
                    true => failure.hint("add `updates:` to a service; see `lockstep explain LS0303`"),
                    false => failure.hint(format!("there are {}", names(&all))),
                })
            }
            several => Err(Failure::new(Exit::Usage, format!("`{name}` is not clear"))
                .hint(format!("name one of {}", names(several)))),
        }
    }

    /// The services' names, for checking what was asked for.
    fn services(&self) -> BTreeSet<String> {
        self.opened.snapshot.repository.services.iter().map(|service| service.name.clone()).collect()
    }
}

/// What the branch's history says; nothing where there is no history.
async fn history(opened: &Opened, watched: &[Watched]) -> Result<BTreeMap<String, PinChange>, String> {
    let (remote, commit) = match (opened.runner.remote(), &opened.checkout) {
        (Some(remote), _) => (remote, opened.snapshot.commit.clone()),
        (None, Some(path)) => match head(path)? {
            Some((remote, commit)) => (std::sync::Arc::new(std::sync::Mutex::new(remote)), commit),
            None => return Ok(BTreeMap::new()),
        },
        (None, None) => return Ok(BTreeMap::new()),
    };
    let watched = watched.to_vec();
    let read = tokio::task::spawn_blocking(move || {
        let remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
        Histories::default().changes(&remote, &commit, &watched)
    });
    read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// The repository of a checkout with the commit that is checked out.
fn head(path: &Path) -> Result<Option<(Remote, String)>, String> {
    let compared = Checkout::read(path).and_then(|checkout| checkout.compare_to_head());
    let Some((commit, _)) = compared.map_err(|error| error.to_string())? else { return Ok(None) };
    if commit.is_empty() {
        return Ok(None);
    }
    let location = Location::Path(path.to_owned());
    let remote =
        Remote::open(&location, "HEAD", Path::new(""), Access::default()).map_err(|error| error.to_string())?;
    Ok(Some((remote, commit)))
}
