//! Registries other than ECR: a real one with each way to authenticate, and ones that lead astray.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod astray;
mod endpoint;
mod proxy;
mod served;
mod tokens;

use base64::{Engine, engine::general_purpose::STANDARD};
use lockstep::oci::{Access, Credentials, OciError, Password, Registry};
use lockstep_tests::registry::{PASSWORD, USER};
use sha2::{Digest, Sha256};

/// A registry on loopback without TLS, which the agent's file names.
fn plain() -> Access {
    Access { insecure: true, exact: true, ..Access::default() }
}

/// The same with a user.
fn with_user(username: &str, password: &str) -> Access {
    let credentials = Credentials { username: username.to_owned(), password: Password::new(password) };
    Access { credentials: Some(credentials), ..plain() }
}

/// The user as a request presents it.
fn presented() -> Option<String> {
    Some(format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}"))))
}

fn client(host: &str, access: Access) -> Registry {
    Registry::new(host, access).unwrap()
}

fn digest(body: &[u8]) -> String {
    let hex: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The reason of a refusal by the agent's file.
fn forbidden<T>(outcome: Result<T, OciError>) -> String {
    match outcome.err().expect("it is refused") {
        OciError::Forbidden { reason, .. } => reason,
        other => panic!("not forbidden: {other:?}"),
    }
}

/// The reason why an answer is not used.
fn malformed<T>(outcome: Result<T, OciError>) -> String {
    match outcome.err().expect("it is not used") {
        OciError::Malformed { reason, .. } => reason,
        other => panic!("not malformed: {other:?}"),
    }
}
