//! `lockstep validate --fix`: the lines of `environments:` that a repository of version 1 needs.

use super::super::target::Opened;
use crate::{
    exit::{Exit, Failure},
    output,
};
use lockstep_manifests::{Service, membership, repository::Version};
use std::{
    io::{ErrorKind, Write},
    path::Path,
};

/// Writes them, and says which.
pub(super) async fn run(opened: &Opened) -> Result<(), Failure> {
    let Some(checkout) = &opened.checkout else {
        let failure = Failure::new(Exit::Usage, "--fix writes files, so that it needs a checkout");
        return Err(failure.hint("name one with -C PATH, without --branch"));
    };
    let fail = |error: String| Failure::new(Exit::Failed, error);
    let tree = opened.runner.tree().await.map_err(|error| fail(error.to_string()))?;
    let repository = &opened.snapshot.repository;
    let mut written = 0;
    let mut refused = 0;
    for directory in &repository.services {
        let service = Service::load(repository, directory, tree.as_ref(), &mut Vec::new());
        let Some(dispute) = &service.dispute else { continue };
        let names = ["service.yaml", "service.yml"].map(|name| format!("{}/{name}", directory.path));
        let path = names.iter().find(|path| tree.find(path).is_some()).unwrap_or(&names[0]);
        let before = match tree.find(path) {
            Some(entry) => {
                let bytes = tree.read(entry).map_err(fail)?;
                String::from_utf8(bytes).map_err(|error| fail(format!("{path}: {error}")))?
            }
            None => String::new(),
        };
        match membership::fix::fix(&before, dispute) {
            Ok(text) => {
                replace(&checkout.join(path), &before, &text)
                    .map_err(|error| fail(format!("failed to write {path}: {error}")))?;
                output::say(&format!("{path}: {}", added(&before, &text)));
                written += 1;
            }
            Err(error) => {
                output::say(&format!("{path}: {error}"));
                refused += 1;
            }
        }
    }
    if written > 0 {
        output::say(&format!("wrote to {}", output::count(written, "file")));
    }
    if refused == 0 && repository.version == Version::One && opened.snapshot.valid {
        output::hint("every service is where it was by both rules now: write `version: 2` in lockstep.yaml");
    }
    Ok(())
}

/// What was added, for people.
fn added(before: &str, after: &str) -> String {
    let start = before.bytes().zip(after.bytes()).take_while(|(one, other)| one == other).count();
    let line = after[..after.floor_char_boundary(start)].rfind('\n').map_or(0, |at| at + 1);
    let rest = after.len() - before.len() + start.saturating_sub(line);
    let end = after.floor_char_boundary((line + rest).min(after.len()));
    after[line..end].trim_end().replace("\r\n", "\n").replace('\n', ", ")
}

/// Puts the new text in place of the old one, if the file still is what was read.
fn replace(path: &Path, before: &str, text: &str) -> std::io::Result<()> {
    let now = match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if now.as_deref().unwrap_or_default() != before.as_bytes() {
        return Err(std::io::Error::other("it was changed meanwhile"));
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".lockstep-").tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    // A file that is made anew gets the rights that files get, not those of a temporary one.
    let permissions = match now {
        Some(_) => std::fs::metadata(path)?.permissions(),
        None => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
