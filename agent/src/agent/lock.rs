//! One agent a state directory.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Held while an agent uses a state directory; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes the directory where it is absent, and takes it.
    ///
    /// # Errors
    /// A sentence: another agent has it, or it cannot be written.
    pub fn take(directory: &Path) -> Result<Self, String> {
        let shown = directory.display();
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("failed to make the state directory {shown}: {error}"))?;
        // It holds what task definitions hold; that is nobody else's to read.
        if let Err(error) = std::fs::set_permissions(directory, Permissions::from_mode(0o700)) {
            tracing::warn!(%error, "failed to keep the state directory to its owner");
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join("lock"))
            .map_err(|error| format!("failed to write in the state directory {shown}: {error}"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(format!("another agent is running on the state directory {shown}")),
            Err(TryLockError::Error(error)) => Err(format!("failed to lock the state directory {shown}: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_refused_and_a_later_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateLock::take(directory.path()).unwrap();
        assert!(StateLock::take(directory.path()).unwrap_err().starts_with("another agent is running"));
        drop(first);
        assert!(StateLock::take(directory.path()).is_ok());
    }
}
