//! From pins that are moved to the edits of their files: one line each.

use crate::git::{FileEdit, GitError, Remote};
use lockstep_core::images::Bump;
use lockstep_manifests::edit::set_pin;
use std::collections::BTreeMap;

/// A pin that is moved.
#[derive(Clone, Debug, PartialEq)]
pub struct PinMove {
    /// The pins file.
    pub file: String,
    /// What it is set to.
    pub pin: String,
    /// What the commit says of it.
    pub bump: Bump,
}

/// Pins that could not be edited, each with the reason.
pub type Refused = Vec<(String, String)>;

/// The edits that move pins in the files of a commit, the bumps that they make, and the pins that cannot be edited.
///
/// # Errors
/// When the files cannot be read.
pub fn edit<'a>(
    remote: &Remote,
    base: &str,
    moves: impl Iterator<Item = &'a PinMove>,
) -> Result<(Vec<FileEdit>, Vec<Bump>, Refused), GitError> {
    let mut files: BTreeMap<&str, (Option<Vec<u8>>, String)> = BTreeMap::new();
    let (mut refused, mut bumps) = (Vec::new(), Vec::new());
    for PinMove { file, pin, bump } in moves {
        if !files.contains_key(file.as_str()) {
            let content = remote.file_of(base, file)?;
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
                let reason = "the pin already says that; something after the pins decides the image, a patch perhaps";
                refused.push((bump.name(), reason.to_owned()));
            }
            Ok(edited) => {
                *text = edited;
                bumps.push(bump.clone());
            }
            Err(error) => refused.push((bump.name(), error.to_string())),
        }
    }
    let edits = files
        .into_iter()
        .filter(|(_, (before, text))| before.as_deref() != Some(text.as_bytes()))
        .filter(|(_, (before, text))| before.is_some() || !text.is_empty())
        .map(|(path, (_, text))| FileEdit { path: path.to_owned(), content: text.into_bytes() })
        .collect();
    Ok((edits, bumps, refused))
}
