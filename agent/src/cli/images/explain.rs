//! `lockstep images explain`: every tag with its rule.

use super::{PinName, Pins, list::FORMAT};
use crate::{
    cli::{Failure, target::Target},
    exit::Exit,
    images::{PinOutcome, state_of},
    output::{self, Format, images as render},
};
use clap::Args;
use lockstep_core::images::Rule;
use lockstep_core::state::TagLine;
use serde_json::json;

#[derive(Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    pin: PinName,
    /// All tags; else those that were dropped are cut after 20.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: ExplainArgs, format: Format) -> Result<Exit, Failure> {
    let pins = Pins::read(&args.target).await?;
    let exit = pins.opened.show_problems();
    let name = pins.find(&args.pin.joined()?)?.name();
    let seen = pins.look().await;
    let Some(seen) = seen.iter().find(|seen| seen.watched.name() == name) else {
        return Err(Failure::new(Exit::Failed, "nothing was read"));
    };
    let state = state_of(seen);
    let mut tags: Vec<TagLine> = seen
        .judged
        .iter()
        .map(|judged| {
            let candidate = &seen.candidates[judged.index];
            TagLine {
                tag: candidate.tag.clone(),
                digest: candidate.digest.clone(),
                pushed_at: candidate.pushed_at.map(lockstep_core::state::time_text),
                kept: judged.rule.is_kept(),
                picked: judged.rule == Rule::Picked,
                rule: judged.rule.to_string(),
            }
        })
        .collect();
    // The picked one, what would do, the rest; the newest first where that is known.
    tags.sort_by(|a, b| {
        (b.picked, b.kept)
            .cmp(&(a.picked, a.kept))
            .then_with(|| b.pushed_at.cmp(&a.pushed_at))
            .then_with(|| b.tag.cmp(&a.tag))
    });
    match format {
        Format::Json => output::data(&output::json(&json!({"format": FORMAT, "images": [state], "tags": tags}))),
        Format::Text => output::data(&render::explain(&state, &tags, args.all)),
    }
    Ok(if matches!(seen.outcome, PinOutcome::Unknown(_)) { exit.or(Exit::Failed) } else { exit })
}
