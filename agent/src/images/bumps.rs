//! From pins that are moved to a commit: the edits of their files, and the message.

use super::seen::Seen;
use crate::{
    board::time_text,
    config::CommitConfig,
    git::{FileEdit, NewCommit, PushError, Remote, SigningKey, Tip},
};
use lockstep_core::images::{Bump, BumpMessage, ImageReference};
use lockstep_manifests::{edit::set_pin, pins};
use std::collections::BTreeMap;

/// A pin that is moved.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PinMove {
    /// The pins file.
    pub(super) file: String,
    /// What it is set to.
    pub(super) pin: String,
    /// What the commit says of it.
    pub(super) bump: Bump,
}

impl PinMove {
    pub(super) fn of(seen: &Seen) -> Option<Self> {
        let moved = seen.pending()?;
        Some(Self { file: seen.watched.file.clone(), pin: moved.pin.clone(), bump: bump_of(seen)? })
    }
}

/// What a commit says of a pin that is moved.
pub fn bump_of(seen: &Seen) -> Option<Bump> {
    let moved = seen.pending()?;
    let watched = &seen.watched;
    let new = ImageReference::parse(&pins::apply(&watched.current().repository, &moved.pin));
    Some(Bump {
        environment: watched.environment.clone(),
        service: watched.service.clone(),
        container: watched.container.clone(),
        old: watched.current().clone(),
        old_pin: watched.pin.clone(),
        new_pin: moved.pin.clone(),
        new,
        pushed_at: moved.pushed_at.map(time_text),
        labels: moved.labels.clone(),
    })
}

/// Pins that could not be edited, each with the reason.
pub(super) type Refused = Vec<(String, String)>;

/// Edits the files of a commit for the moves of some sources, and pushes the result. Answers the new tip; none where
/// nothing was written, because there was nothing to write or a pin could not be edited.
pub(super) fn commit(
    remote: &mut Remote,
    base: &str,
    sources: &[(String, Vec<PinMove>)],
    config: &CommitConfig,
    key: Option<&SigningKey>,
    now: i64,
) -> (Refused, Result<Option<Tip>, PushError>) {
    let mut files: BTreeMap<&str, (Option<Vec<u8>>, String)> = BTreeMap::new();
    let (mut refused, mut bumps) = (Vec::new(), Vec::new());
    for PinMove { file, pin, bump } in sources.iter().flat_map(|(_, moves)| moves) {
        if !files.contains_key(file.as_str()) {
            let content = match remote.file_of(base, file) {
                Ok(content) => content,
                Err(error) => return (refused, Err(error.into())),
            };
            let text = String::from_utf8(content.clone().unwrap_or_default());
            match text {
                Ok(text) => {
                    files.insert(file, (content, text));
                }
                Err(_) => {
                    refused.push((bump.name(), format!("{file} is not UTF-8 text")));
                    continue;
                }
            }
        }
        let Some((_, text)) = files.get_mut(file.as_str()) else { continue };
        match set_pin(text, &bump.container, pin) {
            Ok(edited) if edited == *text => {
                let reason = "the pin says that already; something after the pins decides the image, a patch perhaps";
                refused.push((bump.name(), reason.to_owned()));
            }
            Ok(edited) => {
                *text = edited;
                bumps.push(bump.clone());
            }
            Err(error) => refused.push((bump.name(), error.to_string())),
        }
    }
    let edits: Vec<FileEdit> = files
        .into_iter()
        .filter(|(_, (before, text))| before.as_deref() != Some(text.as_bytes()))
        .filter(|(_, (before, text))| before.is_some() || !text.is_empty())
        .map(|(path, (_, text))| FileEdit { path: path.to_owned(), content: text.into_bytes() })
        .collect();
    // Others may follow what cannot be edited: it is decided again without it.
    if edits.is_empty() || !refused.is_empty() {
        return (refused, Ok(None));
    }
    let names: Vec<&str> = sources.iter().map(|(name, _)| name.as_str()).collect();
    let message = BumpMessage { bumps: &bumps, sources: &names }.render(&config.template);
    let new = NewCommit {
        edits: &edits,
        message: &message,
        author: &config.author,
        committer: &config.committer,
        at: now,
        key,
    };
    let result = remote.tip_at(base).map_err(PushError::from).and_then(|base| remote.commit(&base, &new));
    (refused, result.map(Some))
}
