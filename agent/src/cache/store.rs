//! Where the cache's values are: in sled below the agent's state directory, or in memory for commands by hand.

use std::{
    collections::HashMap,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Kept small: the values are small, and the budget of the whole agent is 60 MiB.
const CAPACITY: u64 = 4 * 1024 * 1024;

/// Values by their keys.
pub(super) enum Store {
    Disk(sled::Db),
    Memory(Mutex<HashMap<String, Vec<u8>>>),
    /// The disk cannot be used.
    Nothing,
}

/// Why a directory cannot be used as it is.
pub(super) enum Unusable {
    /// It is damaged, or cannot be opened.
    Damaged(String),
    /// Another version of this program wrote it.
    OtherVersion,
}

/// How long a database that was closed a moment ago may still be locked: sled's own threads let go of it last.
const LOCKED: Duration = Duration::from_secs(2);

/// Opens a database as soon as nobody else has it open.
fn unlocked(directory: &Path) -> Result<sled::Db, sled::Error> {
    let started = Instant::now();
    loop {
        match sled::Config::new().path(directory).cache_capacity(CAPACITY).open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") && started.elapsed() < LOCKED => {
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => return opened,
        }
    }
}

impl Store {
    /// Opens and scans; sled panics on some kinds of damage.
    pub(super) fn open(directory: &Path, version: u8) -> Result<Self, Unusable> {
        // For its owner alone: definitions of tasks are in it. What is in the way is sled's to tell.
        let _ = DirBuilder::new().mode(0o700).create(directory);
        let opened = catch_unwind(AssertUnwindSafe(|| -> Result<(sled::Db, bool), sled::Error> {
            let database = unlocked(directory)?;
            let mut is_ours = true;
            for entry in database.iter() {
                is_ours &= entry?.1.first() == Some(&version);
            }
            Ok((database, is_ours))
        }));
        match opened {
            Ok(Ok((database, true))) => Ok(Self::Disk(database)),
            Ok(Ok((_, false))) => Err(Unusable::OtherVersion),
            Ok(Err(error)) => Err(Unusable::Damaged(error.to_string())),
            Err(_) => Err(Unusable::Damaged("it is damaged".to_owned())),
        }
    }

    pub(super) fn memory() -> Self {
        Self::Memory(Mutex::default())
    }

    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        match self {
            Self::Disk(database) => {
                let found = catch_unwind(AssertUnwindSafe(|| database.get(key))).ok()?;
                found.ok().flatten().map(|bytes| bytes.to_vec())
            }
            Self::Memory(map) => map.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned(),
            Self::Nothing => None,
        }
    }

    /// Whether the value was taken.
    pub(super) fn put(&self, key: String, value: Vec<u8>) -> bool {
        match self {
            Self::Disk(database) => {
                let stored = catch_unwind(AssertUnwindSafe(|| database.insert(key, value)));
                matches!(stored, Ok(Ok(_)))
            }
            Self::Memory(map) => {
                map.lock().unwrap_or_else(PoisonError::into_inner).insert(key, value);
                true
            }
            Self::Nothing => true,
        }
    }

    pub(super) fn remove(&self, key: &str) {
        match self {
            Self::Disk(database) => {
                let _ = catch_unwind(AssertUnwindSafe(|| database.remove(key)));
            }
            Self::Memory(map) => {
                map.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
            }
            Self::Nothing => {}
        }
    }

    /// Writes out what is buffered.
    pub(super) fn flush(&self) -> Result<(), String> {
        match self {
            Self::Disk(database) => database.flush().map(|_| ()).map_err(|error| error.to_string()),
            Self::Memory(_) | Self::Nothing => Ok(()),
        }
    }
}
