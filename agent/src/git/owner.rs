//! Whose a repository on disk is. Git refuses those of other users, because whoever can write a repository can make its
//! readers do things; so does this, with the same exceptions.

use super::{GitError, chain};
use gix::{
    bstr::{BString, ByteSlice},
    config::{File, Source, file::Metadata},
};
use std::{os::unix::fs::MetadataExt, path::Path};

/// Refuses a repository that belongs to another user, unless the user's own configuration of Git allows it.
///
/// # Errors
/// With what to do.
pub(super) fn refuse_foreign(repository: &gix::Repository, name: &str) -> Result<(), GitError> {
    let place = repository.workdir().unwrap_or_else(|| repository.git_dir());
    let file = repository.workdir().map(|directory| directory.join(".git"));
    let parts = [Some(repository.git_dir()), repository.workdir(), file.as_deref()];
    let Some(foreign) = parts.into_iter().flatten().find(|path| !is_own(path)) else { return Ok(()) };
    let place = std::fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
    if is_allowed(&place, &safe_directories()) {
        return Ok(());
    }
    let owner = std::fs::symlink_metadata(foreign).map_or(String::new(), |data| format!(" (user id {})", data.uid()));
    Err(GitError::Unreadable {
        repository: name.to_owned(),
        reason: format!(
            "it belongs to another user{owner}, and Git refuses such repositories. If you trust it, run \
             `git config --global --add safe.directory {}`",
            place.display()
        ),
    })
}

/// What cannot be looked at is not the user's own.
fn is_own(path: &Path) -> bool {
    gix::sec::Trust::from_path_ownership(path).is_ok_and(|trust| trust == gix::sec::Trust::Full)
}

/// `safe.directory` of the machine's and the user's configuration, never of the repository's own.
fn safe_directories() -> Vec<BString> {
    let files = [Source::System, Source::Git, Source::User].into_iter().filter_map(|source| {
        let path = source.storage_location(&mut |name| std::env::var_os(name))?;
        path.is_file().then(|| Metadata::from(source).at(path))
    });
    match File::from_paths_metadata(files, gix::config::file::init::Options::default()) {
        Ok(file) => file.and_then(|file| file.strings("safe.directory")).unwrap_or_default(),
        Err(error) => {
            tracing::debug!(error = %chain(&error), "the user's configuration of Git cannot be read");
            Vec::new()
        }
    }
}

/// Git's rule: `*` is everything, `PATH/*` everything below, an empty value forgets what came before.
fn is_allowed(place: &Path, safe: &[BString]) -> bool {
    safe.iter().fold(false, |allowed, entry| {
        let Ok(text) = entry.to_path() else { return allowed };
        let text = text.to_string_lossy();
        match text.strip_suffix("/*") {
            _ if text.is_empty() => false,
            _ if text == "*" => true,
            Some(above) => allowed || (place.starts_with(above) && place != Path::new(above)),
            None => allowed || place == Path::new(text.as_ref()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // A4
    #[test]
    fn exceptions_are_those_of_git() {
        let allowed = |entries: &[&str]| {
            let entries: Vec<BString> = entries.iter().map(|entry| BString::from(*entry)).collect();
            is_allowed(Path::new("/srv/git/deploy.git"), &entries)
        };
        for entries in
            [&["/srv/git/deploy.git"][..], &["*"], &["/srv/git/*"], &["/srv/*"], &["*", "/other"], &["", "*"]]
        {
            assert!(allowed(entries), "{entries:?}");
        }
        for entries in [&[][..], &["/srv/git"], &["/srv/git/deploy.git/*"], &["*", ""], &["/srv/gi*"], &["deploy.git"]]
        {
            assert!(!allowed(entries), "{entries:?}");
        }
    }

    // A4
    #[test]
    fn only_own_paths_are_own() {
        let directory = tempfile::tempdir().unwrap();
        assert!(is_own(directory.path()));
        assert!(!is_own(&directory.path().join("missing")));
    }
}
