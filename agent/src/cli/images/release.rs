//! `lockstep images release`: a commit that lifts a hold by history, with the bump that was waiting.

use super::{PinName, Pins};
use crate::{
    cli::{Failure, target::Target},
    exit::Exit,
    git::{FileEdit, PushError, Remote},
    images::{Hold, PinOutcome, Seen, bump_of, move_of},
    output::{self, Format, plan::short},
    permit::{Actor, Intent},
    writeback::{self, FileChange, PinMove},
};
use clap::Args;
use lockstep_core::images::{Template, release_message};
use serde_json::json;
use std::sync::PoisonError;

#[derive(Args)]
pub(super) struct ReleaseArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    pin: PinName,
    /// Do not ask for a confirmation.
    #[arg(long)]
    yes: bool,
}

/// How often a branch that moves meanwhile is read again.
const ATTEMPTS: usize = 5;

pub(super) async fn run(args: ReleaseArgs, format: Format) -> Result<Exit, Failure> {
    let failed = |reason: String| Failure::new(Exit::Failed, reason);
    for _ in 0..ATTEMPTS {
        let pins = Pins::read(&args.target).await?;
        let Some(remote) = pins.opened.runner.remote() else {
            return Err(Failure::new(Exit::Usage, "`images release` commits to a branch")
                .hint("name it with --config FILE [--source ID], or -C REPOSITORY --branch NAME"));
        };
        let name = pins.find(&args.pin.joined()?)?.name();
        let seen = pins.look().await;
        let Some(seen) = seen.iter().find(|seen| seen.watched.name() == name) else {
            return Err(failed("nothing was read".to_owned()));
        };
        if let PinOutcome::Unknown(reason) = &seen.outcome {
            return Err(failed(reason.clone()));
        }
        match &seen.hold {
            Some(Hold::History(_)) => {}
            Some(Hold::Policy { place, .. }) => {
                return Err(Failure::new(Exit::Usage, format!("{name} is held by its policy"))
                    .hint(format!("remove `hold` at {place}")));
            }
            None => {
                output::say(&format!("{name} is not held"));
                return Ok(Exit::Done);
            }
        }
        let config = pins.opened.config.as_ref().map(|source| source.commit.clone()).unwrap_or_default();
        let accounts = &pins.opened.context.accounts;
        let key = writeback::signing_key(&config, accounts).await.map_err(failed)?;
        let source = pins.opened.source.clone().unwrap_or_default();
        let base = pins.opened.snapshot.commit.clone();
        let change = Release::of(seen, &source, &config.template);
        let told = change.told();
        if !args.yes {
            output::say(&told);
            if !crate::cli::sync::confirm()? {
                return Err(failed("not confirmed; nothing was written".to_owned()));
            }
        }
        let context = pins.opened.context.clone();
        let pushed = tokio::task::spawn_blocking(move || {
            let mut remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
            let edits = change.edits(&remote, &base)?;
            let intent = Intent {
                actor: Actor::person(&config.author.name),
                trigger: "images release".to_owned(),
                source,
                branch: remote.branch().to_owned(),
                ..Intent::default()
            };
            let change =
                FileChange { base: &base, edits: &edits, message: &change.message, config: &config, key: key.as_ref() };
            writeback::push(&mut remote, &change, &context.gate, intent)
        });
        match pushed.await.map_err(|error| failed(error.to_string()))? {
            Ok(tip) => {
                match format {
                    Format::Json => {
                        let data = json!({"format": super::list::FORMAT, "pin": name, "commit": tip.commit});
                        output::data(&output::json(&data));
                    }
                    Format::Text => output::data(&format!("{told}\ncommit {}\n", short(&tip.commit))),
                }
                return Ok(Exit::Done);
            }
            Err(PushError::Moved { .. }) => {}
            Err(error) => return Err(failed(error.to_string())),
        }
    }
    Err(failed("the branch keeps moving; try again".to_owned()))
}

/// What is committed.
struct Release {
    file: String,
    container: String,
    pin: Option<PinMove>,
    message: String,
}

impl Release {
    fn of(seen: &Seen, source: &str, template: &Template) -> Self {
        let bump = bump_of(seen);
        let watched = &seen.watched;
        Self {
            file: watched.file.clone(),
            container: watched.container.clone(),
            pin: move_of(seen),
            message: release_message(&watched.name(), bump.as_ref(), source, template),
        }
    }

    fn told(&self) -> String {
        let subject = self.message.lines().next().unwrap_or_default();
        match &self.pin {
            Some(moved) => format!("{subject}\n  {}\n    {}: {}", self.file, self.container, moved.pin),
            None => format!("{subject} (nothing is waiting)"),
        }
    }

    fn edits(&self, remote: &Remote, base: &str) -> Result<Vec<FileEdit>, PushError> {
        let (edits, _, refused) = writeback::edit(remote, base, self.pin.iter())?;
        match refused.into_iter().next() {
            Some((_, reason)) => Err(PushError::Refused { branch: self.file.clone(), reason }),
            None => Ok(edits),
        }
    }
}
