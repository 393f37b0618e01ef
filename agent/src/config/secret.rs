//! Where the agent's own secrets are. They are resolved here, kept in memory, and printed nowhere.

use crate::aws::Accounts;
use std::{fmt, path::PathBuf};

/// A place that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Environment(String),
    /// A file.
    File(PathBuf),
    /// A parameter of Parameter Store, decrypted.
    Parameter(String),
    /// A secret of Secrets Manager, and the key in it, where it is a JSON object.
    SecretsManager(String, Option<String>),
}

impl SecretRef {
    /// Reads `env:NAME`, `file:PATH`, `ssm:/path`, `secretsmanager:name` or `secretsmanager:name#key`.
    ///
    /// # Errors
    /// A sentence that does not repeat the text: it may be the secret itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("ssm", name)) if !name.is_empty() => Ok(Self::Parameter(name.to_owned())),
            // Secrets Manager allows no `#` in a name.
            Some(("secretsmanager", name)) if !name.is_empty() && !name.starts_with('#') && !name.ends_with('#') => {
                let (name, key) = name.split_once('#').map_or((name, None), |(name, key)| (name, Some(key.to_owned())));
                Ok(Self::SecretsManager(name.to_owned(), key))
            }
            _ => Err("a secret is named by env:NAME, file:PATH, ssm:/PATH, secretsmanager:NAME or \
                      secretsmanager:NAME#KEY, never written here"
                .to_owned()),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(formatter, "env:{name}"),
            Self::File(path) => write!(formatter, "file:{}", path.display()),
            Self::Parameter(name) => write!(formatter, "ssm:{name}"),
            Self::SecretsManager(name, None) => write!(formatter, "secretsmanager:{name}"),
            Self::SecretsManager(name, Some(key)) => write!(formatter, "secretsmanager:{name}#{key}"),
        }
    }
}

/// Reads a secret with the agent's own credentials.
///
/// # Errors
/// A sentence that names the place, never the value.
pub async fn resolve_secret(secret: &SecretRef, accounts: &Accounts) -> Result<String, String> {
    let value = match secret {
        SecretRef::Environment(name) => {
            std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
        }
        SecretRef::File(path) => {
            std::fs::read_to_string(path).map_err(|error| format!("failed to read {}: {error}", path.display()))?
        }
        SecretRef::Parameter(name) => accounts.own_parameter(name).await.map_err(|error| error.to_string())?,
        SecretRef::SecretsManager(name, key) => {
            let value = accounts.own_secret(name).await.map_err(|error| error.to_string())?;
            member(secret, value, key.as_deref())?
        }
    };
    let value = value.trim().to_owned();
    if value.is_empty() { Err(format!("{secret} is empty")) } else { Ok(value) }
}

/// Most keys of a secret that are named.
const MOST_KEYS: usize = 20;

/// The secret itself, or what it has at a key. A secret that is a JSON object is never taken whole: it would be sent as a
/// token, with all that is in it.
fn member(secret: &SecretRef, value: String, key: Option<&str>) -> Result<String, String> {
    let object = match serde_json::from_str(&value) {
        Ok(serde_json::Value::Object(object)) => Some(object),
        _ => None,
    };
    let Some(object) = object else {
        return match key {
            None => Ok(value),
            Some(key) => Err(format!("{secret}: the secret is no JSON object; name it without `#{key}`")),
        };
    };
    let keys = || object.keys().take(MOST_KEYS).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    match key.map(|key| object.get(key)) {
        Some(Some(serde_json::Value::String(text))) => Ok(text.clone()),
        Some(Some(_)) => Err(format!("{secret} is no text")),
        Some(None) => Err(format!("{secret}: the secret has no such key; it has {}", keys())),
        None => Err(format!("{secret} is a JSON object: name one of its keys, as {secret}#KEY; it has {}", keys())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // E8
    #[test]
    fn a_secret_that_is_a_json_object_is_read_by_its_key() {
        let value = r#"{"user": "bot", "token": "canary", "port": 1}"#;
        let read = |name: &str, value: &str| {
            let secret = SecretRef::parse(name).unwrap();
            assert_eq!(secret.to_string(), name);
            let SecretRef::SecretsManager(_, key) = &secret else { panic!("{secret:?}") };
            member(&secret, value.to_owned(), key.as_deref())
        };
        assert_eq!(read("secretsmanager:git#token", value), Ok("canary".into()));
        assert_eq!(read("secretsmanager:git", "canary"), Ok("canary".into()));
        for (name, value, error) in [
            (
                "secretsmanager:git",
                value,
                "secretsmanager:git is a JSON object: name one of its keys, as secretsmanager:git#KEY; it has `user`, `token`, `port`",
            ),
            (
                "secretsmanager:git#tokn",
                value,
                "secretsmanager:git#tokn: the secret has no such key; it has `user`, `token`, `port`",
            ),
            ("secretsmanager:git#port", value, "secretsmanager:git#port is no text"),
            (
                "secretsmanager:git#token",
                "canary",
                "secretsmanager:git#token: the secret is no JSON object; name it without `#token`",
            ),
            (
                "secretsmanager:git#token",
                "[\"canary\"]",
                "secretsmanager:git#token: the secret is no JSON object; name it without `#token`",
            ),
        ] {
            assert_eq!(read(name, value), Err(error.into()));
        }
        for bad in ["secretsmanager:#a", "secretsmanager:a#", "secretsmanager:"] {
            assert!(SecretRef::parse(bad).unwrap_err().contains("secretsmanager:NAME#KEY"), "{bad}");
        }
    }
}
