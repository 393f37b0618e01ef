//! One request and its answer, with limits on everything: no redirect is followed, nobody is reached whom
//! [`super::address`] refuses, nothing is kept past its longest length.

use super::{
    Credentials, OciError, address,
    address::{Guard, Refused},
    token::Token,
    trust::Place,
};
use reqwest::{
    StatusCode,
    header::{ACCEPT, HeaderMap, HeaderName},
    redirect::Policy,
};
use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest that one request may take, with its answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// What is looked at of an answer that is a refusal, in bytes.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// What a request presents.
#[derive(Clone)]
pub(super) enum Authorization {
    /// Nothing.
    None,
    /// User and password.
    Basic(Credentials),
    /// A token.
    Bearer(Token),
}

/// An answer.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Its body; of one that is no success, the beginning.
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A header's values that are text.
    pub(super) fn texts(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The address may not be reached.
    Refused(String),
    /// Nobody answered, or not to the end.
    Unreachable(String),
    /// The answer is longer than it may be.
    TooLong,
}

/// The clients: one for hosts that the agent's file names letter for letter, one for all others.
pub(super) struct Http {
    private: reqwest::Client,
    public: reqwest::Client,
    proxies: BTreeSet<String>,
}

impl Http {
    /// Makes them, with a private certificate authority where one is configured.
    ///
    /// # Errors
    /// When the authority's file cannot be read.
    pub(super) fn new(registry: &str, authority: Option<&Path>) -> Result<Self, OciError> {
        let invalid = |reason: String| OciError::Invalid { registry: registry.to_owned(), reason };
        let tls = authority.map(crate::authority::trusting).transpose().map_err(invalid)?;
        let proxies = address::proxies(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        let client = |guard: Guard| {
            let builder = reqwest::Client::builder();
            let builder = match &tls {
                None => crate::authority::with_system(builder),
                Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
            };
            builder
                .user_agent(concat!("lockstep/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(TIMEOUT)
                .redirect(Policy::none())
                // Digests are of what is sent, and limits are on what is kept.
                .no_gzip()
                .no_brotli()
                .no_zstd()
                .no_deflate()
                .dns_resolver(Arc::new(guard))
                .build()
                .map_err(|error| invalid(reason(&error)))
        };
        Ok(Self {
            private: client(Guard { private: true, proxies: BTreeSet::new() })?,
            public: client(Guard { private: false, proxies: proxies.clone() })?,
            proxies,
        })
    }

    /// Asks for a URL.
    ///
    /// # Errors
    /// As [`Failure`] says; an answer of any status is one.
    pub(super) async fn get(
        &self,
        place: &Place,
        authorization: &Authorization,
        accept: &str,
        longest: usize,
    ) -> Result<Answer, Failure> {
        self.admit(place)?;
        let client = if place.private { &self.private } else { &self.public };
        let request = client.get(place.url.clone()).header(ACCEPT, accept);
        let request = match authorization {
            Authorization::None => request,
            Authorization::Basic(user) => request.basic_auth(&user.username, Some(user.password.reveal())),
            Authorization::Bearer(token) => request.bearer_auth(token.reveal()),
        };
        let mut response = request.send().await.map_err(failure)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failure)? {
            body.extend_from_slice(&part);
            if !status.is_success() && body.len() > LONGEST_REFUSAL {
                body.truncate(LONGEST_REFUSAL);
                break;
            }
            if status.is_success() && body.len() > longest {
                return Err(Failure::TooLong);
            }
        }
        Ok(Answer { status, headers, body })
    }

    /// What no resolver gets to see: addresses in the URL itself, and names that it lets pass because they are proxies.
    fn admit(&self, place: &Place) -> Result<(), Failure> {
        if let Some(address) = address::literal(&place.url) {
            return address::admit(address, place.private).map_err(|Refused(reason)| Failure::Refused(reason));
        }
        let is_proxy = place.url.host_str().is_some_and(|host| self.proxies.contains(host));
        if is_proxy && !place.private {
            return Err(Failure::Refused("this is the agent's own proxy".to_owned()));
        }
        Ok(())
    }
}

/// Tells a refusal of the resolver's from a network that fails.
fn failure(error: reqwest::Error) -> Failure {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = next {
        if let Some(Refused(reason)) = error.downcast_ref() {
            return Failure::Refused(reason.clone());
        }
        next = error.source();
    }
    if error.is_timeout() {
        return Failure::Unreachable("it did not answer in time".to_owned());
    }
    Failure::Unreachable(reason(&error.without_url()))
}

/// An error with its causes, without the layers that only say that there is a cause.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    const LAYERS: [&str; 5] = [
        "error sending request",
        "client error (Connect)",
        "client error (SendRequest)",
        "dns error",
        "error resolving DNS",
    ];
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !LAYERS.contains(&text.as_str()) && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    if parts.is_empty() { "the connection failed".to_owned() } else { parts.join(": ") }
}
