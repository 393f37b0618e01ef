//! `lockstep images list` and `lockstep images check`.

use super::Pins;
use crate::{
    cli::{Failure, Selection, target::Target},
    exit::Exit,
    images::{PinOutcome, Seen, state_of, unasked},
    output::{self, Format, images as render},
};
use clap::Args;
use lockstep_core::images::held_by;
use lockstep_core::state::{ImageState, Standing};
use lockstep_manifests::updates::Strategy;
use serde_json::json;

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// End with 4 where something would be written.
    #[arg(long)]
    exit_code: bool,
}

/// The name of the format as data.
pub(super) const FORMAT: &str = "lockstep.images/1";

pub(super) async fn list(args: ListArgs, format: Format) -> Result<Exit, Failure> {
    let mut pins = Pins::read(&args.target).await?;
    let exit = pins.opened.show_problems();
    pins.select(&args.selection)?;
    let states: Vec<ImageState> = pins
        .watched
        .iter()
        .map(|watched| {
            // What only the registry's tags can tell is not concluded without them.
            let needs_tags = matches!(watched.policy.strategy, Strategy::Newest(_))
                || pins.changes.get(&watched.name()).is_some_and(|change| change.after.tag.is_none());
            let change = pins.changes.get(&watched.name()).filter(|_| !needs_tags);
            let held = change.and_then(|change| held_by(change, &[]));
            unasked(watched, held)
        })
        .collect();
    show(&states, exit, format);
    Ok(exit)
}

pub(super) async fn check(args: CheckArgs, format: Format) -> Result<Exit, Failure> {
    let mut pins = Pins::read(&args.target).await?;
    let exit = pins.opened.show_problems();
    // What is followed may be among what is not meant.
    let seen = pins.look().await;
    pins.select(&args.selection)?;
    let meant = |seen: &&Seen| pins.watched.iter().any(|watched| watched.name() == seen.watched.name());
    let seen: Vec<&Seen> = seen.iter().filter(meant).collect();
    let states: Vec<ImageState> = seen.iter().map(|it| state_of(it)).collect();
    show(&states, exit, format);
    let unread = seen.iter().any(|it| matches!(it.outcome, PinOutcome::Unknown(_)));
    let differs = states.iter().any(|state| matches!(state.standing, Standing::Pending | Standing::Available));
    let exit = if unread { exit.or(Exit::Failed) } else { exit };
    Ok(if args.exit_code && differs { exit.or(Exit::Differences) } else { exit })
}

fn show(states: &[ImageState], exit: Exit, format: Format) {
    match format {
        Format::Json => output::data(&output::json(&json!({"format": FORMAT, "images": states}))),
        Format::Text if !states.is_empty() => output::data(&render::list(states)),
        Format::Text if exit == Exit::Done => output::say("no image policy (`updates:`) is in effect"),
        // What is wrong was said.
        Format::Text => {}
    }
}
