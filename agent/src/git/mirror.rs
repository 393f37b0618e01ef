//! A bare mirror with full history of one branch over HTTP. While nothing moved, a round costs one ls-refs exchange:
//! two requests on a connection that is kept.

use super::{
    GitError, Tip, chain, history,
    objects::{Listings, ObjectTree, tip_of},
};
use gix::{
    bstr::ByteSlice,
    protocol::transport::{
        Protocol,
        client::{TransportWithoutIO, blocking_io::http},
    },
};
use lockstep_manifests::tree::Tree;
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

/// A mirrored branch.
pub struct Mirror {
    url: String,
    branch: String,
    directory: PathBuf,
    repository: gix::ThreadSafeRepository,
    credentials: Option<Credentials>,
    authority: Option<PathBuf>,
    client: Option<Client>,
    listings: Listings,
    verified: bool,
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
            client: None,
            listings: Listings::default(),
            verified: false,
        })
    }

    fn tracking(&self) -> String {
        format!("refs/remotes/origin/{}", self.branch)
    }

    pub(super) fn tip(&mut self) -> Result<Tip, GitError> {
        match self.poll() {
            Ok(id) => {
                let tip = tip_of(&self.repository.to_thread_local(), &self.url, id);
                if let Ok(tip) = tip
                    && (self.verified || self.is_whole(&tip))
                {
                    self.verified = true;
                    return Ok(tip);
                }
            }
            Err(error) => {
                // A connection that failed is not used again.
                self.client = None;
                if !self.is_damaged() {
                    return Err(error);
                }
            }
        }
        tracing::warn!(repository = %self.url, "the mirror is damaged; it is set aside and fetched again");
        self.rebuild()?;
        let id = self.poll()?;
        self.verified = true;
        tip_of(&self.repository.to_thread_local(), &self.url, id)
    }

    /// Whether every file of a commit can be read. Looked at once after the start: a process that was stopped in the
    /// middle of a write leaves damage that only reading finds.
    fn is_whole(&self, tip: &Tip) -> bool {
        let Ok(tree) = ObjectTree::read_commit(&self.repository, &self.url, tip, &self.listings) else { return false };
        let repository = self.repository.to_thread_local();
        tree.files()
            .iter()
            .filter(|file| file.regular)
            .all(|file| gix::ObjectId::from_hex(file.id.as_bytes()).is_ok_and(|id| repository.find_object(id).is_ok()))
    }

    /// Whether what failed is the mirror rather than the network.
    fn is_damaged(&self) -> bool {
        if !self.directory.join("objects").is_dir() {
            return true;
        }
        let repository = self.repository.to_thread_local();
        let Ok(Some(mut reference)) = repository.try_find_reference(self.tracking().as_str()) else { return false };
        let Ok(id) = reference.peel_to_id().map(gix::Id::detach) else { return true };
        !tip_of(&repository, &self.url, id).is_ok_and(|tip| self.is_whole(&tip))
    }

    pub(super) fn walk_back(&self, from: &str, enough: impl FnMut(&Tip) -> bool) -> Result<(), GitError> {
        history::walk(&self.repository.to_thread_local(), &self.url, from, enough)
    }

    pub(super) fn tree(&self, tip: &Tip) -> Result<ObjectTree, GitError> {
        ObjectTree::read_commit(&self.repository, &self.url, tip, &self.listings)
    }

    fn rebuild(&mut self) -> Result<(), GitError> {
        let fail = |reason: String| GitError::Unreadable { repository: self.url.clone(), reason };
        if self.directory.exists() {
            set_aside(&self.directory).map_err(fail)?;
        }
        self.repository = open_or_init(&self.directory).map_err(fail)?;
        self.listings = Listings::default();
        Ok(())
    }

    fn transport(&self, client: Client) -> Result<http::Transport<Client>, GitError> {
        let url = gix::url::parse(self.url.as_str()).map_err(|error| self.classify(&error))?;
        let mut transport = http::Transport::new_http(client, url, Protocol::V2, false);
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
        let client = self.client.get_or_insert_with(Client::default).clone();
        let mut transport = self.transport(client)?;
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
        let connection = remote
            .to_connection_with_transport(&mut transport)
            .with_transport_options(Box::new(self.http_options()?))
            .with_credentials(|_| Ok(None));
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
        Ok(advertised)
    }

    fn classify(&self, error: &(dyn std::error::Error + 'static)) -> GitError {
        // The URL may hold any word.
        let reason = plain(&chain(error).replace(&self.url, "URL"));
        let repository = self.url.clone();
        let refused =
            ["status 401", "status 403", "401 unauthorized", "403 forbidden", "credential", "permission denied"];
        let lower = reason.to_lowercase();
        if refused.iter().any(|word| lower.contains(word)) || lower.contains("authenticat") {
            let reason = if self.credentials.is_some() { reason } else { format!("{reason} (no token is configured)") };
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
    ];
    let parts: Vec<&str> = reason.split(": ").filter(|part| !layers.contains(part)).collect();
    if parts.is_empty() { "the server cannot be reached".to_owned() } else { parts.join(": ") }
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
