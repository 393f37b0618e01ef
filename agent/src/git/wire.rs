//! How a remote repository is reached: HTTP over one connection that is kept, or the `ssh` program.

use super::{
    GitError, Location,
    ssh::{Ssh, SshAccess},
};
use gix::protocol::transport::{
    Protocol,
    client::{
        TransportWithoutIO,
        blocking_io::{Transport, http},
    },
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Longest that one request may take.
const TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What to present to an HTTP server.
#[derive(Clone)]
pub struct Credentials {
    /// The user's name; any name does where a token is used.
    pub username: String,
    /// The token.
    pub token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Credentials({}, …)", self.username)
    }
}

/// What is presented to a server, and how the server is recognised.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// For `https://`.
    pub credentials: Option<Credentials>,
    /// A private certificate authority.
    pub authority: Option<PathBuf>,
    /// For `ssh://`.
    pub ssh: Option<SshAccess>,
}

/// The HTTP client with its connection. A transport is good for one handshake only, so each poll has its own around it.
#[derive(Clone, Default)]
struct Client(Arc<Mutex<http::reqwest::Remote>>);

impl Client {
    fn lock(&self) -> std::sync::MutexGuard<'_, http::reqwest::Remote> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl http::Http for Client {
    type Headers = <http::reqwest::Remote as http::Http>::Headers;
    type ResponseBody = <http::reqwest::Remote as http::Http>::ResponseBody;
    type PostBody = <http::reqwest::Remote as http::Http>::PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<http::GetResponse<Self::Headers, Self::ResponseBody>> {
        self.lock().get(url, base_url, headers)
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        body: http::PostBodyDataKind,
    ) -> gix::Result<http::PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        self.lock().post(url, base_url, headers, body)
    }

    fn configure(&mut self, config: &dyn std::any::Any) -> gix::Result {
        self.lock().configure(config)
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.lock().redirected_base_url()
    }
}

/// The way to one repository.
pub(super) struct Wire {
    location: Location,
    url: String,
    access: Access,
    client: Option<Client>,
}

impl Wire {
    pub(super) fn new(location: &Location, access: Access) -> Self {
        Self { location: location.clone(), url: location.to_string(), access, client: None }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn has_credentials(&self) -> bool {
        match self.location {
            Location::Ssh(_) => self.access.ssh.as_ref().is_some_and(|ssh| ssh.key.is_some()),
            _ => self.access.credentials.is_some(),
        }
    }

    /// A connection that failed is not used again.
    pub(super) fn forget_connection(&mut self) {
        self.client = None;
    }

    /// A transport for one exchange.
    pub(super) fn transport(&mut self, version: Protocol) -> Result<Box<dyn Transport + Send>, GitError> {
        let url = gix::url::parse(self.url.as_str()).map_err(|error| self.classify(&error))?;
        if let Location::Ssh(_) = self.location {
            return match Ssh::new(url, version, self.access.ssh.as_ref()) {
                Ok(transport) => Ok(Box::new(transport)),
                Err(reason) => Err(GitError::Unreachable { repository: self.url.clone(), reason }),
            };
        }
        let client = self.client.get_or_insert_with(Client::default).clone();
        let mut transport = http::Transport::new_http(client, url, version, false);
        if let Some(credentials) = &self.access.credentials {
            let account = gix::sec::identity::Account {
                username: credentials.username.clone(),
                password: credentials.token.clone(),
                oauth_refresh_token: None,
            };
            transport.set_identity(account).map_err(|error| self.classify(&error))?;
        }
        transport.configure(&self.http_options()?).map_err(|error| self.classify(&error))?;
        Ok(Box::new(transport))
    }

    /// What a fetch must be told as well: it would else configure the transport by the repository's settings.
    pub(super) fn options(&self) -> Result<Box<dyn std::any::Any>, GitError> {
        match self.location {
            Location::Ssh(_) => Ok(Box::new(())),
            _ => Ok(Box::new(self.http_options()?)),
        }
    }

    /// Time-outs, and a private certificate authority where one is configured. Proxies come from the environment.
    fn http_options(&self) -> Result<http::Options, GitError> {
        let authority = match &self.access.authority {
            None => None,
            Some(path) => {
                let unreadable = |reason: String| GitError::Unreadable {
                    repository: self.url.clone(),
                    reason: format!("the certificate authority {}: {reason}", path.display()),
                };
                let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
                let certificates =
                    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(error.to_string()))?;
                Some(certificates)
            }
        };
        let configure = move |builder: reqwest::blocking::ClientBuilder| {
            let builder = builder.timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
            Ok(authority
                .iter()
                .flatten()
                .fold(builder, |builder, certificate| builder.add_root_certificate(certificate.clone())))
        };
        let backend = http::reqwest::Options { configure_client: Some(Box::new(configure)), ..Default::default() };
        Ok(http::Options { backend: Some(Arc::new(Mutex::new(backend))), ssl_verify: true, ..http::Options::default() })
    }

    pub(super) fn classify(&self, error: &(dyn std::error::Error + 'static)) -> GitError {
        // The URL may hold any word.
        let mut reason = plain(&super::chain(error).replace(&self.url, "URL"));
        // What the library says of a 401 is about helpers that nobody has.
        if reason.contains("No credentials were returned") {
            reason = "HTTP status 401 Unauthorized".to_owned();
        }
        let repository = self.url.clone();
        let refused = [
            "status 401",
            "status 403",
            "401 unauthorized",
            "403 forbidden",
            "credential",
            "permission denied",
            "host key verification failed",
        ];
        let lower = reason.to_lowercase();
        if refused.iter().any(|word| lower.contains(word)) || lower.contains("authenticat") {
            let what = if matches!(self.location, Location::Ssh(_)) { "key" } else { "token" };
            let reason = if self.has_credentials() { reason } else { format!("{reason} (no {what} is configured)") };
            GitError::Refused { repository, reason }
        } else {
            GitError::Unreachable { repository, reason }
        }
    }
}

/// The causes without the layers that only say that there is a cause.
fn plain(reason: &str) -> String {
    let layers = [
        "Transport handshake failed",
        "An IO error occurred when talking to the server",
        "error sending request for url (URL/info/refs?service=git-upload-pack)",
        "error sending request for url (URL/info/refs?service=git-receive-pack)",
        "error sending request for url (URL/git-receive-pack)",
    ];
    let parts: Vec<&str> = reason.split(": ").filter(|part| !layers.contains(part)).collect();
    if parts.is_empty() { "the server cannot be reached".to_owned() } else { parts.join(": ") }
}
