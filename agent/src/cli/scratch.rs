//! The directory of a command by hand for what it fetches: made when it is needed, for its owner alone, and removed at
//! the end. What a killed command left is removed by the next one.

use crate::exit::{Exit, Failure};
use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::OnceLock,
    time::Duration,
};
use tempfile::TempDir;

/// How the directories are called.
const PREFIX: &str = "lockstep-scratch-";
/// The file in them whose lock says that their owner lives.
const LOCK: &str = "lock";
/// A younger one may not have its lock yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A directory that is made when it is asked for.
#[derive(Default)]
pub(super) struct Scratch {
    made: OnceLock<(TempDir, File)>,
}

impl Scratch {
    /// Its path.
    pub(super) fn path(&self) -> Result<&Path, Failure> {
        if self.made.get().is_none() {
            let made = make(&std::env::temp_dir()).map_err(|error| {
                Failure::new(Exit::Failed, format!("failed to make a temporary directory: {error}"))
            })?;
            let _ = self.made.set(made);
        }
        self.made
            .get()
            .map(|(directory, _)| directory.path())
            .ok_or_else(|| Failure::new(Exit::Failed, "there is no temporary directory"))
    }
}

fn make(parent: &Path) -> io::Result<(TempDir, File)> {
    let owner_alone = Permissions::from_mode(0o700);
    let directory = tempfile::Builder::new().prefix(PREFIX).permissions(owner_alone).tempdir_in(parent)?;
    let lock = File::create(directory.path().join(LOCK))?;
    lock.lock()?;
    sweep(parent, fs::metadata(directory.path())?.uid(), YOUNG);
    Ok((directory, lock))
}

/// Removes what belongs to this user and to no living command.
fn sweep(parent: &Path, owner: u32, young: Duration) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && fs::symlink_metadata(&path).is_ok_and(|found| {
                let age = found.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
                found.is_dir() && found.uid() == owner && age >= young
            });
        if is_ours && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // H11: the directory is its owner's, and what a killed command left is gone with the next.
    #[test]
    fn a_scratch_is_private_and_what_was_left_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        let (living, _lock) = make(parent.path()).unwrap();
        assert_eq!(fs::metadata(living.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(left.exists(), "it may be about to be used");
        sweep(parent.path(), fs::metadata(&left).unwrap().uid(), Duration::ZERO);
        assert!(!left.exists() && living.path().exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
