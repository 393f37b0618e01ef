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
    /// A secret of Secrets Manager.
    SecretsManager(String),
}

impl SecretRef {
    /// Reads `env:NAME`, `file:PATH`, `ssm:/path` or `secretsmanager:name`.
    ///
    /// # Errors
    /// A sentence that does not repeat the text: it may be the secret itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("ssm", name)) if !name.is_empty() => Ok(Self::Parameter(name.to_owned())),
            Some(("secretsmanager", name)) if !name.is_empty() => Ok(Self::SecretsManager(name.to_owned())),
            _ => Err("a secret is named by env:NAME, file:PATH, ssm:/PATH or secretsmanager:NAME, never written here"
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
            Self::SecretsManager(name) => write!(formatter, "secretsmanager:{name}"),
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
        SecretRef::SecretsManager(name) => accounts.own_secret(name).await.map_err(|error| error.to_string())?,
    };
    let value = value.trim().to_owned();
    if value.is_empty() { Err(format!("{secret} is empty")) } else { Ok(value) }
}
