//! The local state cache in sled: task definition revisions and what is known of them. Everything in it can be read
//! again from ECS; a damaged cache is set aside and filled anew. Nothing secret of the agent's own is written here.

mod memory;

pub use memory::{Memory, Progress};

use lockstep_core::{
    cause::Cause,
    observed::{History, Revision, ServiceRevision},
    report::Verdict,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// The version of the values; another one is as absent.
const VERSION: u8 = 1;
/// Kept small: the values are small, and the budget of the whole agent is 60 MiB.
const CAPACITY: u64 = 4 * 1024 * 1024;

/// The cache. All methods are best effort: a failure is logged, and the answer is read again.
pub struct Cache {
    database: Option<sled::Db>,
    directory: PathBuf,
}

impl Cache {
    /// Opens the cache below the state directory. What cannot be opened is set aside.
    pub fn open(state: &Path) -> Self {
        let directory = state.join("cache");
        let database = match try_open(&directory) {
            Ok(database) => Some(database),
            Err(damage) => {
                set_aside(&directory);
                match try_open(&directory) {
                    Ok(database) => {
                        tracing::warn!(directory = %directory.display(), reason = damage, "the cache was damaged; it is set aside and filled anew");
                        Some(database)
                    }
                    Err(reason) => {
                        tracing::error!(directory = %directory.display(), reason, "the cache cannot be used; going on without a cache");
                        None
                    }
                }
            }
        };
        Self { database, directory }
    }

    /// A cache that keeps nothing beyond the process, for commands by hand.
    pub fn in_memory() -> Self {
        let database = sled::Config::new().temporary(true).cache_capacity(CAPACITY).open().ok();
        Self { database, directory: PathBuf::new() }
    }

    /// A task definition revision by its ARN.
    pub fn revision(&self, arn: &str) -> Option<Revision> {
        self.get("revision", arn)
    }

    /// Remembers a revision: by its ARN, and by the hash of its content.
    pub fn keep_revision(&self, place: &str, revision: &Revision) {
        self.put("revision", &revision.arn, revision);
        let hash = lockstep_core::identity::content_hash(&revision.definition);
        self.put("hash", &format!("{place}/{hash}"), &revision.arn);
    }

    /// A revision that had this content when it was last seen.
    pub fn revision_of_content(&self, place: &str, hash: &str) -> Option<Revision> {
        let arn: String = self.get("hash", &format!("{place}/{hash}"))?;
        self.revision(&arn)
    }

    /// Forgets that a revision may be used: it turned out to be INACTIVE.
    pub fn forget_content(&self, place: &str, hash: &str) {
        self.remove("hash", &format!("{place}/{hash}"));
    }

    /// A service revision by its ARN.
    pub fn service_revision(&self, arn: &str) -> Option<ServiceRevision> {
        self.get("service-revision", arn)
    }

    /// Remembers a service revision.
    pub fn keep_service_revision(&self, revision: &ServiceRevision) {
        self.put("service-revision", &revision.arn, revision);
    }

    /// The history under (service, desired hash, current deployment).
    pub fn history(&self, key: &str) -> Option<History> {
        self.get("history", key)
    }

    /// Remembers a history in which nothing is open. Under another deployment the key is another one, so it never grows
    /// stale.
    pub fn keep_history(&self, key: &str, history: &History) {
        self.put("history", key, history);
    }

    /// Forgets a history, because tags of its revisions changed.
    pub fn forget_history(&self, key: &str) {
        self.remove("history", key);
    }

    /// Why the newest failed deployment failed, under the same key.
    pub fn cause(&self, key: &str) -> Option<Cause> {
        self.get("cause", key)
    }

    /// Remembers a cause.
    pub fn keep_cause(&self, key: &str, cause: &Cause) {
        self.put("cause", key, cause);
    }

    /// The last verdict on a service, under the same key, and since when (epoch seconds).
    pub fn verdict(&self, key: &str) -> Option<(Verdict, i64)> {
        self.get("verdict", key)
    }

    /// Remembers a verdict.
    pub fn keep_verdict(&self, key: &str, verdict: Verdict, since: i64) {
        self.put("verdict", key, &(verdict, since));
    }

    /// What is remembered between rounds of a service, whatever its state, by its identity.
    pub fn memory(&self, identity: &str) -> Option<Memory> {
        self.get("memory", identity)
    }

    /// Remembers it.
    pub fn keep_memory(&self, identity: &str, memory: &Memory) {
        self.put("memory", identity, memory);
    }

    /// The versions of the parameters that were bound when a service was last as declared, by its identity.
    pub fn parameters(&self, identity: &str) -> Option<BTreeMap<String, u64>> {
        self.get("parameters", identity)
    }

    /// Remembers versions of parameters. Their values are not kept.
    pub fn keep_parameters(&self, identity: &str, versions: &BTreeMap<String, u64>) {
        self.put("parameters", identity, versions);
    }

    /// Writes out what is buffered; once a round is enough.
    pub fn flush(&self) {
        if let Some(database) = &self.database
            && let Err(error) = database.flush()
        {
            tracing::warn!(%error, directory = %self.directory.display(), "failed to write the cache; it is filled anew when needed");
        }
    }

    fn get<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Option<T> {
        let database = self.database.as_ref()?;
        let found = catch_unwind(AssertUnwindSafe(|| database.get(format!("{kind}/{key}")))).ok()?;
        let bytes = found.ok().flatten()?;
        let (version, json) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        serde_json::from_slice(json).ok()
    }

    fn put<T: Serialize>(&self, kind: &str, key: &str, value: &T) {
        let Some(database) = &self.database else {
            return;
        };
        let Ok(json) = serde_json::to_vec(value) else {
            return;
        };
        let mut bytes = vec![VERSION];
        bytes.extend(json);
        let stored = catch_unwind(AssertUnwindSafe(|| database.insert(format!("{kind}/{key}"), bytes)));
        if !matches!(stored, Ok(Ok(_))) {
            tracing::warn!(kind, "failed to write to the cache");
        }
    }

    fn remove(&self, kind: &str, key: &str) {
        if let Some(database) = &self.database {
            let _ = catch_unwind(AssertUnwindSafe(|| database.remove(format!("{kind}/{key}"))));
        }
    }
}

/// Opens and scans; sled panics on some kinds of damage.
fn try_open(directory: &Path) -> Result<sled::Db, String> {
    let opened = catch_unwind(AssertUnwindSafe(|| -> Result<sled::Db, sled::Error> {
        let database = sled::Config::new().path(directory).cache_capacity(CAPACITY).open()?;
        for entry in database.iter() {
            entry?;
        }
        Ok(database)
    }));
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it is damaged".to_owned()),
    }
}

fn set_aside(directory: &Path) {
    let aside = directory.with_extension("damaged");
    let _ = std::fs::remove_dir_all(&aside);
    if let Err(error) = std::fs::rename(directory, &aside)
        && directory.exists()
    {
        tracing::warn!(%error, "failed to set the damaged cache aside");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_damaged_cache_is_set_aside_and_filled_anew() {
        let directory = tempfile::tempdir().unwrap();
        let revision =
            Revision { arn: "arn:a:1".into(), definition: json!({"family": "a"}), active: true, ..Revision::default() };
        let hash = lockstep_core::identity::content_hash(&revision.definition);
        {
            let cache = Cache::open(directory.path());
            cache.keep_revision("1/eu", &revision);
            cache.flush();
        }
        {
            let cache = Cache::open(directory.path());
            assert_eq!(cache.revision_of_content("1/eu", &hash), Some(revision.clone()));
            assert_eq!(cache.revision_of_content("1/us", &hash), None);
        }
        std::fs::remove_dir_all(directory.path().join("cache")).unwrap();
        std::fs::write(directory.path().join("cache"), "not a directory").unwrap();
        let cache = Cache::open(directory.path());
        assert_eq!(cache.revision("arn:a:1"), None);
        cache.keep_revision("1/eu", &revision);
        assert_eq!(cache.revision("arn:a:1"), Some(revision));
    }
}
