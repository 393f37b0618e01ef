//! A bare mirror with full history of one branch over HTTP. While nothing moved, a round costs one ls-refs exchange:
//! two requests on a connection that is kept.

use super::{
    GitError, Tip, chain,
    objects::{Listings, ObjectTree, tip_of},
};
use gix::{
    bstr::ByteSlice,
    protocol::transport::{
        Protocol,
        client::{
            TransportWithoutIO,
            blocking_io::{Transport, connect, http},
        },
    },
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

/// Longest that one request may take.
const TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What to present to the server.
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

/// A mirrored branch.
pub struct Mirror {
    url: String,
    branch: String,
    directory: PathBuf,
    repository: gix::ThreadSafeRepository,
    credentials: Option<Credentials>,
    authority: Option<PathBuf>,
    transport: Option<Box<dyn Transport + Send>>,
    listings: Listings,
}

impl Mirror {
    /// Opens the mirror below `state`, or makes an empty one. A damaged one is set aside and fetched again.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(
        url: &str,
        branch: &str,
        state: &Path,
        credentials: Option<Credentials>,
        authority: Option<&Path>,
    ) -> Result<Self, GitError> {
        let directory = state.join(directory_name(url));
        let repository =
            open_or_init(&directory).map_err(|reason| GitError::Unreadable { repository: url.to_owned(), reason })?;
        Ok(Self {
            url: url.to_owned(),
            branch: branch.to_owned(),
            directory,
            repository,
            credentials,
            authority: authority.map(Path::to_owned),
            transport: None,
            listings: Listings::default(),
        })
    }

    fn tracking(&self) -> String {
        format!("refs/remotes/origin/{}", self.branch)
    }

    pub(super) fn tip(&mut self) -> Result<Tip, GitError> {
        let result = self.poll();
        if result.is_err() {
            // A connection that failed is not used again.
            self.transport = None;
        }
        let id = result?;
        let repository = self.repository.to_thread_local();
        match tip_of(&repository, &self.url, id) {
            Ok(tip) => Ok(tip),
            Err(error) => {
                tracing::warn!(repository = %self.url, %error, "the mirror is damaged; it is set aside and fetched again");
                self.rebuild()?;
                let id = self.poll()?;
                tip_of(&self.repository.to_thread_local(), &self.url, id)
            }
        }
    }

    pub(super) fn tree(&self, tip: &Tip) -> Result<ObjectTree, GitError> {
        ObjectTree::read_commit(&self.repository, &self.url, tip, &self.listings)
    }

    fn rebuild(&mut self) -> Result<(), GitError> {
        let fail = |reason: String| GitError::Unreadable { repository: self.url.clone(), reason };
        set_aside(&self.directory).map_err(fail)?;
        self.repository = open_or_init(&self.directory).map_err(fail)?;
        self.listings = Listings::default();
        Ok(())
    }

    fn connect(&self) -> Result<Box<dyn Transport + Send>, GitError> {
        let options = connect::Options { version: Protocol::V2, ..connect::Options::default() };
        let mut transport = connect::connect(self.url.as_str(), options).map_err(|error| self.classify(&error))?;
        transport
            .configure(&self.http_options()?)
            .map_err(|error| GitError::Unreadable { repository: self.url.clone(), reason: error.to_string() })?;
        if let Some(credentials) = &self.credentials {
            let account = gix::sec::identity::Account {
                username: credentials.username.clone(),
                password: credentials.token.clone(),
                oauth_refresh_token: None,
            };
            transport.set_identity(account).map_err(|error| self.classify(&error))?;
        }
        Ok(transport)
    }

    /// Time-outs, and a private certificate authority where one is configured. Proxies come from the environment.
    fn http_options(&self) -> Result<http::Options, GitError> {
        let authority = match &self.authority {
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

    /// One exchange; a fetch when the tip moved.
    fn poll(&mut self) -> Result<gix::ObjectId, GitError> {
        let transport = match self.transport.take() {
            Some(transport) => transport,
            None => self.connect()?,
        };
        let mut transport = transport;
        let repository = self.repository.to_thread_local();
        let spec = format!("+refs/heads/{}:{}", self.branch, self.tracking());
        let remote = repository
            .remote_at(self.url.as_str())
            .and_then(|remote| {
                remote
                    .with_fetch_tags(gix::remote::fetch::Tags::None)
                    .with_refspecs([spec.as_str()], gix::remote::Direction::Fetch)
            })
            .map_err(|error| self.classify(&error))?;
        let connection = remote.to_connection_with_transport(&mut transport).with_credentials(|_| Ok(None));
        let prepared = connection
            .prepare_fetch(gix::progress::Discard, gix::remote::ref_map::Options::default())
            .map_err(|error| self.classify(&error))?;
        let branch = format!("refs/heads/{}", self.branch);
        let advertised = prepared.ref_map().remote_refs.iter().find_map(|reference| {
            let (name, target, peeled) = reference.unpack();
            (name == branch.as_bytes().as_bstr()).then(|| peeled.or(target).map(ToOwned::to_owned)).flatten()
        });
        let Some(advertised) = advertised else {
            return Err(GitError::NoBranch { repository: self.url.clone(), branch: self.branch.clone() });
        };
        let known = repository
            .try_find_reference(self.tracking().as_str())
            .ok()
            .flatten()
            .and_then(|mut reference| reference.peel_to_id().ok().map(gix::Id::detach));
        if known != Some(advertised) || !repository.has_object(advertised) {
            prepared.receive(gix::progress::Discard, &AtomicBool::new(false)).map_err(|error| self.classify(&error))?;
        } else {
            drop(prepared);
        }
        self.transport = Some(transport);
        Ok(advertised)
    }

    fn classify(&self, error: &(dyn std::error::Error + 'static)) -> GitError {
        let reason = chain(error);
        let repository = self.url.clone();
        let refused = ["401", "403", "credential", "permission denied", "authenticat", "unauthorized"];
        let lower = reason.to_lowercase();
        if refused.iter().any(|word| lower.contains(word)) {
            let reason = if self.credentials.is_some() { reason } else { format!("{reason} (no token is configured)") };
            GitError::Refused { repository, reason }
        } else {
            GitError::Unreachable { repository, reason }
        }
    }
}

fn open_or_init(directory: &Path) -> Result<gix::ThreadSafeRepository, String> {
    let options = || {
        gix::open::Options::isolated().config_overrides([
            "user.name=Lockstep",
            "user.email=lockstep@localhost",
            "gc.auto=0",
        ])
    };
    if directory.exists() {
        match gix::ThreadSafeRepository::open_opts(directory, options()) {
            Ok(repository) => return Ok(repository),
            Err(error) => {
                tracing::warn!(directory = %directory.display(), reason = %chain(&error), "the mirror cannot be opened; it is set aside");
                set_aside(directory)?;
            }
        }
    }
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    gix::ThreadSafeRepository::init_opts(directory, gix::create::Kind::Bare, gix::create::Options::default(), options())
        .map_err(|error| chain(&error))
}

/// Moves a damaged mirror out of the way; an older one that was set aside is removed.
fn set_aside(directory: &Path) -> Result<(), String> {
    let aside = directory.with_extension("damaged");
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(|error| error.to_string())?;
    }
    std::fs::rename(directory, &aside).map_err(|error| error.to_string())
}

/// A readable and unique directory for a URL.
fn directory_name(url: &str) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;
    let hash = Sha256::digest(url.as_bytes());
    let mut name: String = url
        .rsplit('/')
        .next()
        .unwrap_or("repository")
        .trim_end_matches(".git")
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
        .collect();
    name.push('-');
    for byte in &hash[..6] {
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(".git");
    name
}
