//! The local state cache: task definition revisions and what is known of them. Everything in it can be read again from
//! ECS; a damaged cache is set aside and filled anew. Nothing secret of the agent's own is written here, and no value
//! that looks secret: a keyed hash stands for it ([`seal`]).

mod seal;
mod store;

use lockstep_core::service::memory::Memory;
use lockstep_core::{
    observed::{History, Revision, ServiceRevision, cause::Cause},
    report::Verdict,
};
use seal::Seal;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use store::{Store, Unusable};

/// The version of the values. A cache of another one is removed: it may hold what is not written any more.
const VERSION: u8 = 2;

/// The cache. All methods are best effort: a failure is logged, and the answer is read again.
pub struct Cache {
    store: Store,
    seal: Seal,
    directory: PathBuf,
}

impl Cache {
    /// Opens the cache below the state directory. What cannot be opened is set aside.
    pub fn open(state: &Path) -> Self {
        let directory = state.join("cache");
        let store = Store::open(&directory, VERSION).or_else(|unusable| {
            match &unusable {
                Unusable::Damaged(_) => set_aside(&directory),
                Unusable::OtherVersion => remove(&directory),
            }
            let store = Store::open(&directory, VERSION)?;
            if let Unusable::Damaged(reason) = &unusable {
                tracing::warn!(directory = %directory.display(), reason, "the cache was damaged; it is set aside and filled anew");
            }
            Ok(store)
        });
        let store = store.unwrap_or_else(|unusable: Unusable| {
            let reason = match unusable {
                Unusable::Damaged(reason) => reason,
                Unusable::OtherVersion => "another version wrote it, and it cannot be removed".to_owned(),
            };
            tracing::error!(directory = %directory.display(), reason, "the cache cannot be used; going on without a cache");
            Store::Nothing
        });
        // Without a cache nothing is to be told again after a restart.
        let seal = if matches!(store, Store::Nothing) { Seal::new() } else { Seal::kept(&state.join("cache.key")) };
        Self { store, seal, directory }
    }

    /// A cache that keeps nothing beyond the process and writes nothing to a disk, for commands by hand.
    pub fn in_memory() -> Self {
        Self { store: Store::memory(), seal: Seal::new(), directory: PathBuf::new() }
    }

    /// Learns what is declared: values that look secret are kept as hashes only, and these are told by them. `name` is
    /// of the declared state; it is learned once.
    pub fn learn(&self, name: &str, declared: &[&Value]) {
        self.seal.learn(name, declared);
    }

    /// A task definition revision by its ARN.
    pub fn revision(&self, arn: &str) -> Option<Revision> {
        self.seal.open(self.get("revision", arn)?).and_then(read)
    }

    /// Remembers a revision: by its ARN, and by the hash of its content.
    pub fn keep_revision(&self, place: &str, revision: &Revision) {
        self.put_sealed("revision", &revision.arn, revision);
        let hash = lockstep_core::stated::identity::content_hash(&revision.definition);
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

    /// Forgets a revision: whether it is ACTIVE is to be read again.
    pub fn forget_revision(&self, arn: &str) {
        self.remove("revision", arn);
    }

    /// A service revision by its ARN.
    pub fn service_revision(&self, arn: &str) -> Option<ServiceRevision> {
        read(self.seal.open_partly(self.get("service-revision", arn)?))
    }

    /// Remembers a service revision.
    pub fn keep_service_revision(&self, revision: &ServiceRevision) {
        self.put_sealed("service-revision", &revision.arn, revision);
    }

    /// The history under (service, desired hash, current deployment). It is compared with what is declared, and never
    /// sent: a value that is not known any more is another one than the declared.
    pub fn history(&self, key: &str) -> Option<History> {
        read(self.seal.open_partly(self.get("history", key)?))
    }

    /// Remembers a history in which nothing is open. Under another deployment the key is another one, so it never grows
    /// stale.
    pub fn keep_history(&self, key: &str, history: &History) {
        self.put_sealed("history", key, history);
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
        if let Err(error) = self.store.flush() {
            tracing::warn!(%error, directory = %self.directory.display(), "failed to write the cache; it is filled anew when needed");
        }
    }

    fn get<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Option<T> {
        let bytes = self.store.get(&format!("{kind}/{key}"))?;
        let (version, json) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        serde_json::from_slice(json).ok()
    }

    /// Values that hold definitions go through here.
    fn put_sealed<T: Serialize>(&self, kind: &str, key: &str, value: &T) {
        if let Some(sealed) = serde_json::to_value(value).ok().and_then(|value| self.seal.close(&value)) {
            self.put(kind, key, &sealed);
        }
    }

    fn put<T: Serialize>(&self, kind: &str, key: &str, value: &T) {
        let Ok(json) = serde_json::to_vec(value) else {
            return;
        };
        let mut bytes = vec![VERSION];
        bytes.extend(json);
        if !self.store.put(format!("{kind}/{key}"), bytes) {
            tracing::warn!(kind, "failed to write to the cache");
        }
    }

    fn remove(&self, kind: &str, key: &str) {
        self.store.remove(&format!("{kind}/{key}"));
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory) {
        tracing::warn!(directory = %directory.display(), %error, "failed to remove the cache of another version");
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
    use std::os::unix::fs::PermissionsExt;

    /// All bytes of all files below a directory.
    fn bytes_below(directory: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            bytes.extend(if path.is_dir() { bytes_below(&path) } else { std::fs::read(&path).unwrap() });
        }
        bytes
    }

    fn contains(bytes: &[u8], text: &str) -> bool {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    // H12: what the mask hides is nowhere on the disk, and is told from another value all the same.
    #[test]
    fn no_value_that_looks_secret_is_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let definition = json!({"family": "a", "containerDefinitions": [{"name": "web", "command": ["run", "--token", "hunter2"],
            "environment": [{"name": "DB_PWD2", "value": "hunter2"}, {"name": "URL", "value": "Server=db;Password=hunter2"}, {"name": "LEVEL", "value": "readable"}]}]});
        let revision = Revision {
            arn: "arn:a:1".into(),
            definition: definition.clone(),
            active: true,
            tags: [("pwd".to_owned(), "hunter2".to_owned())].into(),
            ..Revision::default()
        };
        let service = ServiceRevision {
            arn: "arn:s:1".into(),
            task_definition: "arn:a:1".into(),
            members: json!({"serviceConnectConfiguration": {"logConfiguration": {"options": {"splunk-token": "hunter2"}}}}),
        };
        let history = History::Known(vec![lockstep_core::observed::PastDeployment {
            revision: revision.clone(),
            service: service.members.clone(),
            ..Default::default()
        }]);
        {
            let cache = Cache::open(directory.path());
            cache.keep_revision("1/eu", &revision);
            cache.keep_service_revision(&service);
            cache.keep_history("k", &history);
            cache.flush();
            assert_eq!(cache.revision("arn:a:1"), Some(revision.clone()), "in this process");
            assert_eq!(cache.history("k"), Some(history.clone()));
        }
        let written = bytes_below(directory.path());
        assert!(contains(&written, "readable") && !contains(&written, "hunter2"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory.path().join("cache")), 0o700);
        let cache = Cache::open(directory.path());
        assert_eq!(cache.revision("arn:a:1"), None, "after a restart it is read again");
        assert_ne!(cache.history("k"), Some(history.clone()));
        cache.learn("v1", &[&definition, &service.members, &json!({"tags": revision.tags})]);
        assert_eq!(cache.revision("arn:a:1"), Some(revision), "where nothing else is declared");
        assert_eq!(cache.history("k"), Some(history));
        assert_eq!(cache.service_revision("arn:s:1"), Some(service));
    }

    // H12: what an older version wrote in clear does not stay.
    #[test]
    fn a_cache_of_another_version_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cache");
        {
            let database = sled::Config::new().path(&path).open().unwrap();
            database.insert("revision/a", b"\x01{\"value\":\"hunter2\"}".to_vec()).unwrap();
            database.flush().unwrap();
        }
        assert!(contains(&bytes_below(directory.path()), "hunter2"));
        let cache = Cache::open(directory.path());
        cache.flush();
        assert!(!contains(&bytes_below(directory.path()), "hunter2"));
        assert!(!directory.path().join("cache.damaged").exists());
    }

    // H11: nothing of a command by hand is in a file.
    #[test]
    fn a_command_by_hand_has_its_cache_in_memory() {
        let revision =
            Revision { arn: "arn:a:1".into(), definition: json!({"family": "a"}), active: true, ..Revision::default() };
        let cache = Cache::in_memory();
        cache.keep_revision("1/eu", &revision);
        assert!(matches!(cache.store, Store::Memory(_)));
        assert_eq!(cache.revision("arn:a:1"), Some(revision.clone()));
        let hash = lockstep_core::stated::identity::content_hash(&revision.definition);
        cache.forget_content("1/eu", &hash);
        assert_eq!(cache.revision_of_content("1/eu", &hash), None);
    }

    #[test]
    fn a_damaged_cache_is_set_aside_and_filled_anew() {
        let directory = tempfile::tempdir().unwrap();
        let revision =
            Revision { arn: "arn:a:1".into(), definition: json!({"family": "a"}), active: true, ..Revision::default() };
        let hash = lockstep_core::stated::identity::content_hash(&revision.definition);
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
