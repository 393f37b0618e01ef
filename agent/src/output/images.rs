//! Pins and tags for people.

use super::{clean, paint};
use lockstep_core::state::{ImageState, Standing, TagLine};

/// Tags that were dropped, at most, where not all are asked for.
const FEW: usize = 20;

/// One line a pin, and what is to be said of it below.
pub(crate) fn list(states: &[ImageState]) -> String {
    let width = states.iter().map(|state| state.name().len()).max().unwrap_or_default();
    let mut text = String::new();
    for state in states {
        text.push_str(&one(state, width));
    }
    text
}

fn one(state: &ImageState, width: usize) -> String {
    let word = match state.standing {
        Standing::UpToDate => paint::good("up to date"),
        Standing::Pending => paint::notable("pending"),
        Standing::Available => paint::notable("available"),
        Standing::Held => paint::notable("held"),
        Standing::Nothing => "nothing".to_owned(),
        Standing::Unknown => paint::bad("unknown"),
        Standing::NotAsked => String::new(),
    };
    let pin = state.pin.as_deref().map_or("no pin".to_owned(), short_pin);
    let mut text = format!("{:width$}  {pin}  {}  {word}", paint::strong(&state.name()), clean(&state.policy));
    text.truncate(text.trim_end().len());
    text.push('\n');
    if !state.text.is_empty() && state.standing != Standing::UpToDate {
        text.push_str(&format!("{:width$}  {}\n", "", paint::faint(&clean(&state.text))));
    }
    if let Some(picked) = &state.picked {
        let pushed = state.pushed_at.as_ref().map_or(String::new(), |at| format!(", pushed {at}"));
        text.push_str(&format!(
            "{:width$}  {}\n",
            "",
            paint::faint(&format!("{}: {}: {picked}{pushed}", clean(&state.file), state.container))
        ));
    }
    text
}

/// A pin whose digest is cut.
fn short_pin(pin: &str) -> String {
    match pin.split_once('@') {
        Some((tag, digest)) => format!("{tag}@{}…", digest.get(..19).unwrap_or(digest)),
        None => pin.to_owned(),
    }
}

/// A pin with all tags of its repository.
pub(crate) fn explain(state: &ImageState, tags: &[TagLine], all: bool) -> String {
    let mut text = format!(
        "{}\n  repository  {}\n  file        {}\n  read by     {}\n  pin         {}\n  policy      {}\n",
        paint::strong(&state.name()),
        clean(&state.repository),
        clean(&state.file),
        state.readers.join(", "),
        state.pin.as_deref().unwrap_or("none"),
        clean(&state.policy)
    );
    let word = match state.standing {
        Standing::UpToDate => paint::good(&clean(&state.text)),
        Standing::Unknown => paint::bad(&clean(&state.text)),
        _ => paint::notable(&clean(&state.text)),
    };
    text.push_str(&format!("  result      {word}\n"));
    if let Some(picked) = &state.picked {
        text.push_str(&format!("  would write {}: {picked}\n", state.container));
    }
    if tags.is_empty() {
        return text;
    }
    text.push('\n');
    let width = tags.iter().map(|tag| tag.tag.len()).max().unwrap_or_default().min(60);
    let kept = tags.iter().filter(|tag| tag.kept).count();
    let shown = if all { tags.len() } else { tags.len().min(kept.min(FEW) + FEW) };
    for tag in &tags[..shown] {
        let mark = if tag.picked { paint::good("→") } else { " ".to_owned() };
        let pushed = tag.pushed_at.as_deref().unwrap_or("");
        let rule = if tag.kept { clean(&tag.rule) } else { paint::faint(&clean(&tag.rule)) };
        let line = format!("  {mark} {:width$}  {pushed:20}  {rule}", clean(&tag.tag));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if shown < tags.len() {
        text.push_str(&format!("    {}\n", paint::faint(&format!("{} more; --all shows them", tags.len() - shown))));
    }
    text
}
