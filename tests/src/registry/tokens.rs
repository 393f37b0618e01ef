//! A token service as registries use them: it knows one user, and signs what a registry then believes.

use super::{PASSWORD, USER};
use crate::listener::{Asked, Listener, Reply};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{CertificateParams, DnType, KeyPair, SigningKey};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const SERVICE: &str = "tests";
const ISSUER: &str = "tokens";
/// How long a token is good, in seconds.
const LIFETIME: u64 = 300;

/// A running token service on loopback; it ends when it is dropped.
pub struct TokenService {
    listener: Listener,
    directory: TempDir,
}

impl TokenService {
    /// A service for [`USER`] with [`PASSWORD`], over plain HTTP.
    pub fn start() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("there are no names");
        params.distinguished_name.push(DnType::CommonName, ISSUER);
        let certificate = params.self_signed(&key).expect("the key signs");
        let directory = TempDir::new().expect("a temporary directory can be made");
        std::fs::write(directory.path().join("signers.pem"), certificate.pem()).expect("a file can be written");
        let chain = STANDARD.encode(certificate.der());
        Self { listener: Listener::start(move |asked| answer(asked, &key, &chain)), directory }
    }

    /// The server behind it.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// A registry's settings to use it.
    pub(super) fn settings(&self) -> Value {
        json!({
            "realm": format!("http://{}/token", self.listener.address()),
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": self.directory.path().join("signers.pem"),
        })
    }
}

fn answer(asked: &Asked, key: &KeyPair, chain: &str) -> Reply {
    let user = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    if asked.header("authorization") != Some(user.as_str()) {
        return Reply::new(401, "who are you?");
    }
    let scopes = asked.target.split(['?', '&']).filter_map(|pair| pair.strip_prefix("scope="));
    let access: Vec<Value> = scopes.filter_map(granted).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [chain] });
    let claims = json!({
        "iss": ISSUER,
        "sub": USER,
        "aud": SERVICE,
        "iat": now,
        "nbf": now.saturating_sub(60),
        "exp": now + LIFETIME,
        "jti": asked.target,
        "access": access,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = key.sign(signed.as_bytes()).expect("the key signs");
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(plain(&signature)));
    Reply::new(200, json!({ "token": token, "expires_in": LIFETIME }).to_string())
}

/// Everything that a scope asks for: `repository:NAME:ACTIONS`.
fn granted(scope: &str) -> Option<Value> {
    let scope = scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
    let mut parts = scope.split(':');
    let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
    Some(json!({ "type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>() }))
}

/// The two numbers of a signature with 32 bytes each, as JWTs have them; X.509 has them in DER.
fn plain(der: &[u8]) -> Vec<u8> {
    let mut rest = der.get(2..).expect("a sequence");
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let length = usize::from(*rest.get(1).expect("a number"));
        let (number, after) = rest.get(2..).expect("a number").split_at(length);
        let significant = number.strip_prefix(&[0]).unwrap_or(number);
        numbers.extend(std::iter::repeat_n(0, 32 - significant.len()));
        numbers.extend_from_slice(significant);
        rest = after;
    }
    numbers
}
