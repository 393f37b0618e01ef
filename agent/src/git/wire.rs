//! How a remote repository is reached: HTTP over one connection that is kept, or the `ssh` program. Each exchange has a
//! transport and a gauge of its own.

use super::{
    GitError, Location,
    failure::Failure,
    gauge::{Gauge, Limits},
    http::Exchange,
    ssh::{Ssh, SshAccess},
};
use base64::Engine;
use gix::{
    bstr::ByteSlice,
    protocol::transport::{
        Protocol, Service,
        client::{
            Error, MessageKind, TransportWithoutIO, WriteMode,
            blocking_io::{RequestWriter, SetServiceResponse, Transport, http},
        },
    },
};
use std::{any::Any, borrow::Cow, path::PathBuf, time::Duration};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What to present to an HTTP server.
#[derive(Clone, PartialEq, Eq)]
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

/// What is presented to a server, how the server is recognised, and what it may cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// For `https://`.
    pub credentials: Option<Credentials>,
    /// A private certificate authority.
    pub authority: Option<PathBuf>,
    /// For `ssh://`.
    pub ssh: Option<SshAccess>,
    /// What an exchange may cost.
    pub limits: Limits,
}

/// The way to one repository.
pub(super) struct Wire {
    location: Location,
    url: String,
    access: Access,
    client: Option<reqwest::blocking::Client>,
    gauge: Gauge,
}

impl Wire {
    pub(super) fn new(location: &Location, access: Access) -> Self {
        let gauge = Gauge::new(&access.limits);
        Self { location: location.clone(), url: location.to_string(), access, client: None, gauge }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.access.limits
    }

    /// The exchange that was begun last.
    pub(super) fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    fn has_credentials(&self) -> bool {
        match self.location {
            Location::Ssh(_) => self.access.ssh.as_ref().is_some_and(|ssh| ssh.key.is_some()),
            _ => self.access.credentials.is_some(),
        }
    }

    /// A connection that failed is not used again.
    pub(super) fn forget_connection(&mut self) {
        self.client = None;
    }

    /// A transport for one exchange, which begins now.
    pub(super) fn transport(&mut self, version: Protocol) -> Result<Box<dyn Transport + Send>, GitError> {
        self.gauge = Gauge::new(&self.access.limits);
        let url = gix::url::parse(self.url.as_str()).map_err(|error| self.classify(&error))?;
        let inner: Box<dyn Transport + Send> = if let Location::Ssh(_) = self.location {
            match Ssh::new(url, version, self.access.ssh.as_ref(), self.gauge.clone()) {
                Ok(transport) => Box::new(transport),
                Err(reason) => return Err(GitError::Unreachable { repository: self.url.clone(), reason }),
            }
        } else {
            let client = match &self.client {
                Some(client) => client.clone(),
                None => self.client.insert(self.client()?).clone(),
            };
            let mut transport =
                http::Transport::new_http(Exchange::new(client, self.gauge.clone()), url, version, false);
            if let Some(credentials) = &self.access.credentials {
                let account = gix::sec::identity::Account {
                    username: credentials.username.clone(),
                    password: credentials.token.clone(),
                    oauth_refresh_token: None,
                };
                transport.set_identity(account).map_err(|error| self.classify(&error))?;
            }
            Box::new(transport)
        };
        Ok(Box::new(Checked { inner, gauge: self.gauge.clone() }))
    }

    /// A client without a state but its connections. Proxies come from the environment.
    fn client(&self) -> Result<reqwest::blocking::Client, GitError> {
        let unreadable = |reason: String| GitError::Unreadable { repository: self.url.clone(), reason };
        let mut builder = reqwest::ClientBuilder::new()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT);
        if let Some(path) = &self.access.authority {
            let tls = crate::authority::trusting(path).map_err(&unreadable)?;
            builder = builder.tls_backend_preconfigured(tls);
        } else {
            builder = crate::authority::with_system(builder);
        }
        // Where a request has no limit of its own, this is one for each wait on the server.
        let builder = reqwest::blocking::ClientBuilder::from(builder).timeout(self.access.limits.silence);
        builder.build().map_err(|error| unreadable(super::chain(&error)))
    }

    /// An error of an exchange by its remedy. What went wrong on the way is the cause of whatever followed.
    pub(super) fn classify(&self, error: &(dyn std::error::Error + 'static)) -> GitError {
        let credential = if matches!(self.location, Location::Ssh(_)) { "key" } else { "token" };
        match self.gauge.failure() {
            Some(failure) => self.hidden(failure.error(&self.url, credential, self.has_credentials())),
            None => {
                let reason = plain(&super::chain(error));
                self.hidden(GitError::Unreadable { repository: self.url.clone(), reason })
            }
        }
    }

    /// Whether it was the way that failed.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.gauge.failure()
    }

    /// An error without the token, which a server knows and may repeat.
    fn hidden(&self, error: GitError) -> GitError {
        match error {
            GitError::Unreachable { repository, reason } => {
                GitError::Unreachable { repository, reason: self.without_token(&reason) }
            }
            GitError::Refused { repository, reason } => {
                GitError::Refused { repository, reason: self.without_token(&reason) }
            }
            GitError::Unreadable { repository, reason } => {
                GitError::Unreadable { repository, reason: self.without_token(&reason) }
            }
            other @ GitError::NoBranch { .. } => other,
        }
    }

    /// A server's text without the token.
    pub(super) fn without_token(&self, text: &str) -> String {
        let Some(Credentials { username, token }) = &self.access.credentials else { return text.to_owned() };
        if token.is_empty() {
            return text.to_owned();
        }
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{token}"));
        text.replace(&encoded, "…").replace(token, "…")
    }
}

/// A transport that looks at what a server can do before it is spoken to.
struct Checked {
    inner: Box<dyn Transport + Send>,
    gauge: Gauge,
}

impl TransportWithoutIO for Checked {
    fn set_identity(&mut self, identity: gix::sec::identity::Account) -> Result<(), Error> {
        self.inner.set_identity(identity)
    }

    fn to_url(&self) -> Cow<'_, gix::bstr::BStr> {
        self.inner.to_url()
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        self.inner.connection_persists_across_multiple_requests()
    }

    fn configure(&mut self, config: &dyn Any) -> gix::Result {
        self.inner.configure(config)
    }
}

impl Transport for Checked {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra_parameters: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, Error> {
        let response = self.inner.handshake(service, extra_parameters)?;
        let format = response.capabilities.capability("object-format");
        if let Some(format) = format.and_then(|format| format.value().map(ToOwned::to_owned))
            && format != "sha1"
        {
            let name = super::failure::plain(&format.to_str_lossy(), 40);
            return Err(Error::Io(self.gauge.fail(Failure::ObjectFormat(name))));
        }
        Ok(response)
    }

    fn request(
        &mut self,
        write_mode: WriteMode,
        on_into_read: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, Error> {
        self.inner.request(write_mode, on_into_read, trace)
    }
}

/// The causes without the layers that only say that there is a cause.
fn plain(reason: &str) -> String {
    let layers = ["Transport handshake failed", "An IO error occurred when talking to the server"];
    let parts: Vec<&str> = reason.split(": ").filter(|part| !layers.contains(part)).collect();
    let reason = if parts.is_empty() { "the server's answer cannot be read".to_owned() } else { parts.join(": ") };
    super::failure::plain(&reason, 400)
}
