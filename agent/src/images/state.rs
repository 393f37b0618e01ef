//! What is shown of a pin.

use super::{
    seen::{Hold, PinOutcome, Seen},
    watched::Watched,
};
use lockstep_core::images::{Held, ImageReference};
use lockstep_core::state::{HoldState, ImageState, Standing, UP_TO_DATE, time_text};
use lockstep_manifests::updates::WriteMode;

/// What is to be shown of a pin that was looked at.
pub fn state_of(seen: &Seen) -> ImageState {
    let watched = &seen.watched;
    let current = watched.current();
    let hold = seen.hold.as_ref().map(hold_state);
    let waiting = match seen.pending() {
        Some(moved) if current.tag.as_ref() == Some(&moved.tag) => {
            format!(
                "{} is waiting",
                ImageReference { tag: None, digest: Some(moved.digest.clone()), ..current.clone() }.short()
            )
        }
        Some(moved) => format!("{} is waiting", moved.tag),
        None => "nothing is waiting".to_owned(),
    };
    let (standing, mut text) = match (&seen.outcome, &hold) {
        (PinOutcome::Unknown(reason), _) => (Standing::Unknown, reason.clone()),
        (_, Some(hold)) => (Standing::Held, format!("{}; {waiting}", hold.text())),
        (PinOutcome::UpToDate { note: Some(note) }, _) => (Standing::UpToDate, note.clone()),
        (PinOutcome::UpToDate { note: None }, _) => (Standing::UpToDate, UP_TO_DATE.to_owned()),
        (PinOutcome::Nothing(reason), _) => (Standing::Nothing, reason.clone()),
        (PinOutcome::Move(moved), _) => {
            let new = ImageReference {
                repository: current.repository.clone(),
                tag: Some(moved.tag.clone()),
                digest: Some(moved.digest.clone()),
            };
            let change = current.change_to(&new);
            match watched.write {
                WriteMode::Commit => (Standing::Pending, change),
                WriteMode::None => (Standing::Available, format!("{change}, not written (updates.write: none)")),
            }
        }
    };
    for (place, reason) in &seen.lagging {
        text.push_str(&format!(
            "; {place} could not be read for 15 minutes ({reason}), so that the pin is moved without it: the environments that use it deploy the image when it is there"
        ));
    }
    if !watched.overruled.is_empty() {
        let names = watched.overruled.join(", ");
        text.push_str(&format!(
            "; {names} reads this pin too and has another policy, which does not hold: give it a pin of its own"
        ));
    }
    ImageState {
        environment: watched.environment.clone(),
        service: watched.service.clone(),
        container: watched.container.clone(),
        readers: watched.readers.iter().map(|reader| reader.environment.clone()).collect(),
        file: watched.file.clone(),
        repository: current.repository.clone(),
        pin: watched.pin.clone(),
        policy: watched.policy.to_string(),
        write: watched.write,
        standing,
        picked: seen.pending().map(|moved| moved.pin.clone()),
        pushed_at: seen.pending().and_then(|moved| moved.pushed_at).map(time_text),
        hold,
        text,
    }
}

/// What is to be shown of a pin without asking a registry.
pub fn unasked(watched: &Watched, held: Option<Held>) -> ImageState {
    let mut seen = Seen::without(watched, PinOutcome::Nothing(String::new()));
    seen.hold = match &watched.policy.hold {
        Some(reason) => {
            let place = watched.policy.hold_span.as_ref().map(|span| format!("{span:?}")).unwrap_or_default();
            Some(Hold::Policy { reason: reason.clone(), place })
        }
        None => held.map(Hold::History),
    };
    let mut state = state_of(&seen);
    match &state.hold {
        Some(hold) => state.text = hold.text(),
        None => state.standing = Standing::NotAsked,
    }
    state
}

fn hold_state(hold: &Hold) -> HoldState {
    match hold {
        Hold::Policy { reason, place } => {
            HoldState { by: None, commit: None, at: None, what: format!("{reason} (hold, {place})") }
        }
        Hold::History(held) => HoldState {
            by: Some(held.by.clone()),
            commit: Some(held.commit.clone()),
            at: Some(time_text(held.at)),
            what: held.what.clone(),
        },
    }
}
