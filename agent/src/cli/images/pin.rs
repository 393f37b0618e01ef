//! `lockstep images pin`: a pin with its digest, written into the checkout's file. Nothing is committed.

use super::Pins;
use crate::{
    cli::{Failure, target::Target},
    exit::Exit,
    images::{PinOutcome, PinPlace, Place, Reader, Want, Watched, reader_of},
    output::{self, Format},
};
use clap::Args;
use lockstep_core::images::{Rule, Verified};
use lockstep_manifests::edit::set_pin;
use serde_json::json;
use std::time::Duration;

#[derive(Args)]
pub(super) struct PinArgs {
    #[command(flatten)]
    target: Target,
    /// The environment, where SERVICE and CONTAINER are words of their own.
    #[arg(long, short = 'e', value_name = "NAME")]
    environment: Option<String>,
    /// ENVIRONMENT/SERVICE/CONTAINER [TAG], or with -e: SERVICE [CONTAINER] [TAG]. The container may be left out where
    /// the service has one; without a tag it is the one that the policy picks.
    #[arg(value_name = "PIN", required = true, num_args = 1..=3)]
    words: Vec<String>,
}

pub(super) async fn run(args: PinArgs, format: Format) -> Result<Exit, Failure> {
    let pins = Pins::read(&args.target).await?;
    let exit = pins.opened.show_problems();
    let Some(checkout) = pins.opened.checkout.clone() else {
        return Err(Failure::new(Exit::Usage, "`images pin` writes into a checkout; name one with -C PATH"));
    };
    let (name, tag) = name_and_tag(&pins, &args)?;
    let (environment, service, container) = named(&pins, &name)?;
    let reader = reader_of(&pins.opened.snapshot, &environment, &service, &container).map_err(failed)?;
    let (file, pin) = match &tag {
        Some(tag) => (reader.file.clone(), by_tag(&pins, &reader, &service, &container, tag).await?),
        None => by_policy(&pins, &environment, &service, &container).await?,
    };
    let path = checkout.join(&file);
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(format!("failed to read {}: {error}", path.display()))),
    };
    let after = set_pin(&before, &container, &pin).map_err(|error| failed(format!("{file}: {error}")))?;
    let is_changed = after != before;
    let others: Vec<&str> = reader.readers.iter().map(String::as_str).filter(|name| *name != environment).collect();
    if is_changed && !others.is_empty() {
        output::say(&format!("this pin is read by {} too", others.join(", ")));
    }
    if is_changed {
        std::fs::write(&path, after).map_err(|error| failed(format!("failed to write {}: {error}", path.display())))?;
    }
    match format {
        Format::Json => output::data(&output::json(&json!({
            "format": super::list::FORMAT, "file": file, "container": container, "pin": pin, "changed": is_changed,
        }))),
        Format::Text if is_changed => output::data(&format!("{file}\n  {container}: {pin}\n")),
        Format::Text => output::say(&format!("{file} already says that")),
    }
    Ok(exit)
}

fn failed(reason: String) -> Failure {
    Failure::new(Exit::Failed, reason)
}

/// The name of the pin in one word, and the tag.
fn name_and_tag(pins: &Pins, args: &PinArgs) -> Result<(String, Option<String>), Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let (name, tag) = match (&args.environment, words.as_slice()) {
        (None, [name]) => ((*name).to_owned(), None),
        (None, [name, tag]) => ((*name).to_owned(), Some(*tag)),
        (Some(environment), [service]) => (format!("{environment}/{service}"), None),
        (Some(environment), [service, container, tag]) => (format!("{environment}/{service}/{container}"), Some(*tag)),
        (Some(environment), [service, word]) => {
            // Two words: the second is a container, where the service has one of that name.
            let containers = crate::images::containers_of(&pins.opened.snapshot, environment, service);
            match containers.is_ok_and(|known| known.iter().any(|known| known == word)) {
                true => (format!("{environment}/{service}/{word}"), None),
                false => (format!("{environment}/{service}"), Some(*word)),
            }
        }
        (_, words) => {
            return Err(Failure::new(Exit::Usage, format!("`{}` is not a pin and a tag", words.join(" "))));
        }
    };
    Ok((name, tag.map(str::to_owned)))
}

/// Environment, service and container of a name.
fn named(pins: &Pins, name: &str) -> Result<(String, String, String), Failure> {
    let usage = |text: String| Failure::new(Exit::Usage, text);
    let parts: Vec<&str> = name.split('/').collect();
    let (environment, service, container) = match parts.as_slice() {
        [environment, service] => (*environment, *service, None),
        [environment, service, container] => (*environment, *service, Some((*container).to_owned())),
        _ => return Err(usage(format!("`{name}` is not ENVIRONMENT/SERVICE/CONTAINER"))),
    };
    let selection = crate::cli::Selection::of(environment, service);
    let environments = pins.opened.snapshot.repository.environments.keys().cloned().collect();
    selection.check(&environments, &pins.services())?;
    let containers = crate::images::containers_of(&pins.opened.snapshot, environment, service).map_err(usage)?;
    let container = match (container, containers.as_slice()) {
        (Some(container), known) if known.contains(&container) => container,
        (None, [only]) => only.clone(),
        (_, known) => return Err(usage(format!("name one of the containers of {service}: {}", known.join(", ")))),
    };
    Ok((environment.to_owned(), service.to_owned(), container))
}

/// A tag with its digest, which must be the same wherever the pin is read.
async fn by_tag(pins: &Pins, pin: &PinPlace, service: &str, container: &str, tag: &str) -> Result<String, Failure> {
    let digest = digest_of(pins, &pin.reader, tag).await?;
    for name in pin.readers.iter().filter(|name| **name != pin.reader.environment) {
        let other = reader_of(&pins.opened.snapshot, name, service, container).map_err(failed)?;
        if digest_of(pins, &other.reader, tag).await? != digest {
            return Err(failed(format!("{tag} is another image for {name}, which reads this pin too"))
                .hint(format!("give {name} a pin of its own")));
        }
    }
    // A full reference keeps its repository.
    Ok(match &pin.pin {
        Some(text) if text.contains('/') => format!("{}:{tag}@{digest}", pin.reader.image.repository),
        _ => format!("{tag}@{digest}"),
    })
}

/// What a tag points at in the repository that an environment reads.
async fn digest_of(pins: &Pins, reader: &Reader, tag: &str) -> Result<String, Failure> {
    if tag.contains('@') {
        return Err(Failure::new(Exit::Usage, "name the tag alone: its digest is read and added"));
    }
    let opened = &pins.opened;
    let place = Place::of(&reader.image.repository, &opened.allow, &reader.account).map_err(failed)?;
    let (accounts, registries) = (&opened.context.accounts, &opened.registries);
    let want = Want::Tag(tag.to_owned());
    let listing = registries.list(accounts, &place, &want, &opened.allow, Duration::ZERO).await.map_err(failed)?;
    let missing = || failed(format!("{place} has no tag {tag}"));
    let candidate = listing.candidates.iter().find(|it| it.tag == tag).ok_or_else(missing)?;
    let facts = registries.facts(accounts, &place, candidate, &opened.allow).await.map_err(failed)?;
    let facts = facts.ok_or_else(missing)?;
    match &facts.verified {
        Verified::Gone => return Err(missing()),
        Verified::NotAnImage(what) => return Err(failed(format!("{tag} is not an image: {what}"))),
        Verified::Image(Err(_)) => {}
        Verified::Image(Ok(has)) => {
            if let Some(wanted) = reader.platform.iter().find(|platform| !has.contains(platform)) {
                let has: Vec<String> = has.iter().map(ToString::to_string).collect();
                let name = &reader.environment;
                let reason = format!("{tag} has no {wanted}, which {name} runs, but {}", has.join(", "));
                return Err(failed(reason));
            }
        }
    }
    Ok(facts.digest.clone())
}

/// What the policy picks, with the file that it goes into.
async fn by_policy(
    pins: &Pins,
    environment: &str,
    service: &str,
    container: &str,
) -> Result<(String, String), Failure> {
    let is_it = |it: &&Watched| {
        it.service == service
            && it.container == container
            && it.readers.iter().any(|reader| reader.environment == environment)
    };
    let Some(watched) = pins.watched.iter().find(is_it) else {
        return Err(Failure::new(Exit::Usage, format!("{environment}/{service}/{container} has no image policy"))
            .hint("name the tag"));
    };
    let seen = pins.look().await;
    let Some(seen) = seen.iter().find(|seen| seen.watched.name() == watched.name()) else {
        return Err(failed("nothing was read".to_owned()));
    };
    match &seen.outcome {
        PinOutcome::Move(moved) => Ok((watched.file.clone(), moved.pin.clone())),
        PinOutcome::UpToDate { .. } => Ok((watched.file.clone(), watched.pin.clone().unwrap_or_default())),
        PinOutcome::Unknown(reason) => Err(failed(reason.clone())),
        PinOutcome::Nothing(reason) => {
            let picked = seen.judged.iter().find(|judged| judged.rule == Rule::Picked);
            let hint = picked
                .map(|judged| format!("name the tag to pin it all the same: {}", seen.candidates[judged.index].tag));
            let failure = failed(reason.clone());
            Err(match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        }
    }
}
