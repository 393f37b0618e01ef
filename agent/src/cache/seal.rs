//! What the cache writes in place of values that look secret: a keyed hash, enough to see whether a value is the same.
//! The values themselves stay in memory, where they were read from ECS or declared in Git; after a restart the declared
//! ones are known again, and a revision with another one is read again from ECS.

use hmac::{Hmac, KeyInit, Mac};
use lockstep_core::mask;
use serde_json::Value;
use sha2::Sha256;
use std::{
    collections::{HashMap, HashSet},
    fs::{self, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How a sealed value begins.
const SEALED: &str = "lockstep-sealed:";
/// Values that are remembered at most; beyond, they are learned anew.
const MOST: usize = 20_000;

/// Seals values and opens those that it has seen.
pub(super) struct Seal {
    key: [u8; 32],
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By their sealed form.
    values: HashMap<String, Value>,
    /// What was learned as a whole.
    learned: HashSet<String>,
}

impl Seal {
    /// With a key of this process.
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // Without randomness from the system nothing that is sealed can be opened by guessing the key either: the
        // process's own hasher is seeded differently each time.
        if getrandom::fill(&mut key).is_err() {
            for (at, byte) in key.iter_mut().enumerate() {
                let hash = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), at);
                *byte = hash.to_le_bytes()[0];
            }
        }
        Self { key, known: Mutex::default() }
    }

    /// With the key that is kept in a file for its owner alone; a file that is not there, or is no key, is made anew.
    pub(super) fn kept(file: &Path) -> Self {
        let mut seal = Self::new();
        if let Ok(kept) = fs::read(file)
            && let Ok(key) = <[u8; 32]>::try_from(kept)
        {
            let _ = fs::set_permissions(file, Permissions::from_mode(0o600));
            seal.key = key;
            return seal;
        }
        let _ = fs::remove_file(file);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .and_then(|mut opened| opened.write_all(&seal.key));
        if let Err(error) = written {
            tracing::warn!(file = %file.display(), %error, "failed to keep the cache's key; after a restart more is read from ECS");
        }
        seal
    }

    /// Learns the values that look secret of what is declared. `name` says whether it was learned before.
    pub(super) fn learn(&self, name: &str, declared: &[&Value]) {
        if self.known().learned.contains(name) {
            return;
        }
        for value in declared {
            let _ = self.close(value);
        }
        self.known().learned.insert(name.to_owned());
    }

    /// A value with each part that looks secret sealed. None where it could not be told from what is sealed.
    pub(super) fn close(&self, value: &Value) -> Option<Value> {
        if any_text(value, &mut |text| text.starts_with(SEALED)) {
            return None;
        }
        Some(mask::replace(value, &mut |secret| {
            let sealed = self.seal_of(secret);
            let mut known = self.known();
            if known.values.len() >= MOST {
                *known = Known::default();
            }
            known.values.insert(sealed.clone(), secret.clone());
            Value::String(sealed)
        }))
    }

    /// The value as it was. None where a part of it is not known to this process.
    pub(super) fn open(&self, mut value: Value) -> Option<Value> {
        let mut is_known = true;
        self.open_in(&mut value, &mut is_known);
        is_known.then_some(value)
    }

    /// The value as far as it is known: what is not is a text that equals no declared value.
    pub(super) fn open_partly(&self, mut value: Value) -> Value {
        self.open_in(&mut value, &mut true);
        value
    }

    fn open_in(&self, value: &mut Value, is_known: &mut bool) {
        match value {
            Value::String(text) if text.starts_with(SEALED) => {
                let known = self.known().values.get(text.as_str()).cloned();
                match known {
                    Some(opened) => *value = opened,
                    None => *is_known = false,
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.open_in(item, is_known)),
            Value::Object(map) => map.values_mut().for_each(|inner| self.open_in(inner, is_known)),
            _ => {}
        }
    }

    fn seal_of(&self, value: &Value) -> String {
        let mut hash = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        hash.update(value.to_string().as_bytes());
        let bytes = hash.finalize().into_bytes();
        bytes.iter().take(16).fold(SEALED.to_owned(), |mut text, byte| {
            text.push_str(&format!("{byte:02x}"));
            text
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text anywhere in a value is of a kind.
fn any_text(value: &Value, is: &mut dyn FnMut(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is)),
        Value::Object(map) => map.values().any(|inner| any_text(inner, is)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_sealed_is_opened_by_who_knows_the_value() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cache.key");
        let plain = json!({"environment": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LEVEL", "value": "info"}],
            "command": ["run", "--token", "hunter2"], "tags": {"pwd": "hunter2"}});
        let (first, second) = (Seal::kept(&file), Seal::kept(&file));
        let sealed = first.close(&plain).unwrap();
        assert!(!sealed.to_string().contains("hunter2"), "{sealed}");
        assert_eq!(sealed["environment"][1]["value"], "info", "what is not secret stays");
        assert_eq!(first.open(sealed.clone()), Some(plain.clone()));
        assert_eq!(second.open(sealed.clone()), None, "another process does not know the value");
        assert_ne!(second.open_partly(sealed.clone()), plain);
        second.learn("v1", &[&plain]);
        assert_eq!(second.open(sealed.clone()), Some(plain.clone()), "until it is declared");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(Seal::new().close(&plain), Some(sealed), "another key, another hash");
        assert_eq!(first.close(&json!({"a": "lockstep-sealed:x"})), None, "nobody forges what is sealed");
    }
}
