//! `lockstep images release`: a commit that lifts a hold by history, with the bump that was waiting.

use super::{PinName, Pins};
use crate::{
    cli::{Failure, target::Target},
    exit::Exit,
    git::{FileEdit, NewCommit, PushError, SigningKey},
    images::{Hold, Outcome, Seen, bump_of},
    output::{self, Format, plan::short},
};
use clap::Args;
use lockstep_core::images::{Template, release_message};
use lockstep_manifests::edit::set_pin;
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
        if let Outcome::Unknown(reason) = &seen.outcome {
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
        let key = match &config.signing_key {
            None => None,
            Some(secret) => {
                let text = crate::config::resolve_secret(secret, &pins.opened.context.accounts).await;
                Some(text.and_then(|text| SigningKey::parse(&text)).map_err(failed)?)
            }
        };
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
        let pushed = tokio::task::spawn_blocking(move || {
            let mut remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
            let edits = change.edits(remote.file_of(&base, &change.file)?)?;
            let new = NewCommit {
                edits: &edits,
                message: &change.message,
                author: &config.author,
                committer: &config.committer,
                at: jiff::Timestamp::now().as_second(),
                key: key.as_ref(),
            };
            let base = remote.tip_at(&base)?;
            remote.commit(&base, &new)
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
    pin: Option<String>,
    message: String,
}

impl Release {
    fn of(seen: &Seen, source: &str, template: &Template) -> Self {
        let bump = bump_of(seen);
        let watched = &seen.watched;
        Self {
            file: watched.file.clone(),
            container: watched.container.clone(),
            pin: seen.pending().map(|moved| moved.pin.clone()),
            message: release_message(&watched.name(), bump.as_ref(), source, template),
        }
    }

    fn told(&self) -> String {
        let subject = self.message.lines().next().unwrap_or_default();
        match &self.pin {
            Some(pin) => format!("{subject}\n  {}\n    {}: {pin}", self.file, self.container),
            None => format!("{subject} (nothing is waiting)"),
        }
    }

    fn edits(&self, before: Option<Vec<u8>>) -> Result<Vec<FileEdit>, PushError> {
        let Some(pin) = &self.pin else { return Ok(Vec::new()) };
        let refused = |reason: String| PushError::Refused { branch: self.file.clone(), reason };
        let text = String::from_utf8(before.unwrap_or_default()).map_err(|error| refused(error.to_string()))?;
        let content = set_pin(&text, &self.container, pin).map_err(|error| refused(error.to_string()))?;
        Ok(vec![FileEdit { path: self.file.clone(), content: content.into_bytes() }])
    }
}
