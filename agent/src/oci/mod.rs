//! Tags, image manifests and image configurations from registries other than ECR, over the distribution API. Which
//! registry is asked may come from a repository that nobody vouches for; what is reached on the way is what the agent's
//! own file says and nothing else. It only reads, and layers are not for it.

mod address;
mod challenge;
mod error;
mod http;
mod names;
mod registry;
mod token;
mod trust;

pub use error::OciError;
pub(crate) use names::digest_of;
pub use names::split;
pub use registry::{Manifest, Registry};

use std::{fmt, path::PathBuf};

/// What the agent's own file says of one registry.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Plain `http://` instead of TLS: only where the agent's file says so for exactly this host.
    pub insecure: bool,
    /// Whether the agent's file names the host letter for letter rather than by a glob: only then it may have a private
    /// address or a loopback one.
    pub exact: bool,
    /// What to present to it; nothing where anybody may read.
    pub credentials: Option<Credentials>,
    /// Other hosts that may hand out tokens for it, letter for letter, with a port where it is not the usual one. They
    /// are shown the credentials, and may have private addresses.
    pub token_hosts: Vec<String>,
    /// Globs of other hosts that its blobs may be redirected to, with a port where it is not the usual one.
    pub blob_hosts: Vec<String>,
    /// A file with certificates, in PEM, that are trusted beside the system's.
    pub authority: Option<PathBuf>,
}

/// A user of a registry.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name; any name does where the registry only looks at the token.
    pub username: String,
    /// The password, or the token.
    pub password: Password,
}

/// A password, which is not printed.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Keeps a password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    /// The password itself: for the request that presents it.
    fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let credentials = Credentials { username: "robot".into(), password: Password::new("hunter2") };
        let access = Access { credentials: Some(credentials), ..Access::default() };
        let printed = format!("{access:?} {access:#?}");
        assert!(printed.contains("robot") && !printed.contains("hunter2"), "{printed}");
        let registry = Registry::new("registry.example.com", access).unwrap();
        assert_eq!(format!("{registry:?}"), "Registry(registry.example.com, …)");
    }
}
