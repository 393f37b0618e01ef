//! A bare mirror with full history of one branch of a remote repository. While nothing moved, a round costs one ls-refs
//! exchange: over HTTP two requests on a connection that is kept.

use super::{
    GitError, Tip, chain, history,
    objects::{Listings, ObjectTree, file_of, tip_of},
    pack::{gather, is_crowded, unpack},
    push::{PushError, push},
    wire::{Access, Wire},
    write::{NewCommit, build},
};
use super::{Location, history::Step};
use gix::{bstr::ByteSlice, protocol::transport::Protocol, remote::fetch::Status};
use lockstep_manifests::{parse::MAX_FILE, tree::Tree};
use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// Packs with fewer objects are unpacked; Git's own limit.
const FEW_OBJECTS: u32 = 100;

/// Where the mirror notes the branch's tip. One name for every branch: names of branches that exclude each other as
/// paths (`release`, `release/1`) cannot both be followed one after the other otherwise.
const TRACKED: &str = "refs/lockstep/tracked";

/// A mirrored branch.
pub struct Mirror {
    location: Location,
    url: String,
    branch: String,
    directory: PathBuf,
    repository: gix::ThreadSafeRepository,
    wire: Wire,
    listings: Listings,
    verified: bool,
    /// The tip for which the mirror was made anew without avail: then it is not the mirror.
    rebuilt_for: Option<gix::ObjectId>,
}

/// Why a poll failed.
enum Failed {
    /// The server, or the way to it.
    There(GitError),
    /// What the server sent could not be put into the mirror, with the tip that it was about.
    Here(GitError, gix::ObjectId),
}

impl Failed {
    fn into_error(self) -> GitError {
        match self {
            Self::There(error) | Self::Here(error, _) => error,
        }
    }
}

impl Mirror {
    /// Opens the mirror below `state`, or makes an empty one. What a process that was killed left behind is removed, and
    /// a damaged mirror is set aside and fetched again. Nobody else may use the directory: the agent holds a lock on its
    /// state.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(location: &Location, branch: &str, state: &Path, access: Access) -> Result<Self, GitError> {
        let url = location.to_string();
        let directory = state.join(directory_name(&url));
        sweep(&directory);
        let repository = open_or_init(&directory, access.limits.object)
            .map_err(|reason| GitError::Unreadable { repository: url.clone(), reason })?;
        Ok(Self {
            location: location.clone(),
            url,
            branch: branch.to_owned(),
            directory,
            repository,
            wire: Wire::new(location, access),
            listings: Listings::default(),
            verified: false,
            rebuilt_for: None,
        })
    }

    pub(super) fn branch(&self) -> &str {
        &self.branch
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Presents something else from now on.
    pub(super) fn renew(&mut self, access: Access) {
        self.wire = Wire::new(&self.location, access);
    }

    pub(super) fn tip(&mut self) -> Result<Tip, GitError> {
        match self.poll() {
            Ok(id) => {
                let tip = tip_of(&self.repository.to_thread_local(), &self.url, id);
                if let Ok(tip) = tip
                    && (self.verified || self.is_whole(&tip))
                {
                    self.verified = true;
                    self.rebuilt_for = None;
                    return Ok(tip);
                }
            }
            Err(Failed::There(error)) => {
                self.wire.forget_connection();
                if !self.is_damaged() {
                    return Err(error);
                }
            }
            Err(Failed::Here(error, id)) => {
                self.wire.forget_connection();
                if self.rebuilt_for == Some(id) {
                    return Err(error);
                }
                self.rebuilt_for = Some(id);
            }
        }
        tracing::warn!(repository = %self.url, "the mirror is damaged; the repository is fetched anew");
        let id = self.rebuild()?;
        self.verified = true;
        tip_of(&self.repository.to_thread_local(), &self.url, id)
    }

    /// Whether the files of a commit can be read. Looked at once after the start: a process that was stopped in the
    /// middle of a write leaves damage that only reading finds. Of files that are no manifests only the heads are read:
    /// they may be of any size.
    fn is_whole(&self, tip: &Tip) -> bool {
        let Ok(tree) = ObjectTree::read_commit(&self.repository, &self.url, tip, &self.listings) else { return false };
        let repository = self.repository.to_thread_local();
        // Only what may be a manifest is listed, and only what is small enough is ever read.
        tree.files().iter().filter(|file| file.is_regular()).all(|file| {
            let Ok(id) = gix::ObjectId::from_hex(file.id.as_bytes()) else { return false };
            let Ok(header) = repository.find_header(id) else { return false };
            header.size() > MAX_FILE as u64 || repository.find_object(id).is_ok()
        })
    }

    /// Whether what failed is the mirror rather than the network.
    fn is_damaged(&self) -> bool {
        if !self.directory.join("objects").is_dir() {
            return true;
        }
        let repository = self.repository.to_thread_local();
        let mut reference = match repository.try_find_reference(TRACKED) {
            Ok(Some(reference)) => reference,
            Ok(None) => return false,
            Err(_) => return true,
        };
        let Ok(id) = reference.peel_to_id().map(gix::Id::detach) else { return true };
        !tip_of(&repository, &self.url, id).is_ok_and(|tip| self.is_whole(&tip))
    }

    pub(super) fn walk_back(&self, from: &str, enough: impl FnMut(&Tip) -> bool) -> Result<(), GitError> {
        history::walk(&self.repository.to_thread_local(), &self.url, from, enough)
    }

    pub(super) fn tree(&self, tip: &Tip) -> Result<ObjectTree, GitError> {
        ObjectTree::read_commit(&self.repository, &self.url, tip, &self.listings)
    }

    pub(super) fn first_parents(
        &self,
        from: &str,
        paths: &[String],
        enough: impl FnMut(&Step) -> bool,
    ) -> Result<(), GitError> {
        history::first_parents(&self.repository.to_thread_local(), &self.url, from, paths, enough)
    }

    pub(super) fn tree_of(&self, commit: &str) -> Result<ObjectTree, GitError> {
        // The listings that are kept are those of the branch's tip.
        ObjectTree::read_commit(&self.repository, &self.url, &self.tip_at(commit)?, &Listings::default())
    }

    pub(super) fn file_of(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        file_of(&self.repository.to_thread_local(), &self.url, commit, path)
    }

    pub(super) fn tip_at(&self, commit: &str) -> Result<Tip, GitError> {
        let id = gix::ObjectId::from_hex(commit.as_bytes())
            .map_err(|error| GitError::Unreadable { repository: self.url.clone(), reason: error.to_string() })?;
        tip_of(&self.repository.to_thread_local(), &self.url, id)
    }

    pub(super) fn commit(&mut self, base: &Tip, new: &NewCommit<'_>) -> Result<Tip, PushError> {
        let repository = self.repository.to_thread_local();
        let built = build(&repository, &self.url, base, new)?;
        let hex = |text: &str| {
            gix::ObjectId::from_hex(text.as_bytes())
                .map_err(|error| GitError::Unreadable { repository: self.url.clone(), reason: error.to_string() })
        };
        let (from, to) = (hex(&base.commit)?, hex(&built.tip.commit)?);
        if let Err(error) = push(&mut self.wire, &self.branch, from, to, &built.objects) {
            if !matches!(error, PushError::Moved { .. } | PushError::Refused { .. }) {
                self.wire.forget_connection();
            }
            return Err(error);
        }
        // It is on the remote. What fails from here on costs a fetch.
        let kept = built.keep(&repository, &self.url).and_then(|()| {
            repository
                .reference(TRACKED, to, gix::refs::transaction::PreviousValue::Any, "push")
                .map(|_| ())
                .map_err(|error| GitError::Unreadable { repository: self.url.clone(), reason: chain(&error) })
        });
        if let Err(error) = kept {
            tracing::debug!(%error, "a pushed commit could not be kept in the mirror");
        }
        self.tidy();
        Ok(built.tip)
    }

    /// Fetches everything into a new mirror. The old one is set aside only when that worked: until then it is the last
    /// that is known.
    fn rebuild(&mut self) -> Result<gix::ObjectId, GitError> {
        let name = self.url.clone();
        let fail = |reason: String| GitError::Unreadable { repository: name.clone(), reason };
        let new = self.directory.with_extension("new");
        remove(&new).map_err(fail)?;
        let fresh = open_or_init(&new, self.wire.limits().object).map_err(fail)?;
        let old = std::mem::replace(&mut self.repository, fresh);
        let place = std::mem::replace(&mut self.directory, new.clone());
        let polled = self.poll();
        self.directory = place;
        self.repository = old;
        let id = match polled {
            Ok(id) => id,
            Err(failed) => {
                self.wire.forget_connection();
                if let Err(error) = remove(&new) {
                    tracing::debug!(repository = %self.url, error, "a mirror that was given up stays");
                }
                return Err(failed.into_error());
            }
        };
        if self.directory.exists() {
            set_aside(&self.directory).map_err(fail)?;
        }
        std::fs::rename(&new, &self.directory).map_err(|error| fail(error.to_string()))?;
        self.repository = open_or_init(&self.directory, self.wire.limits().object).map_err(fail)?;
        self.listings = Listings::default();
        Ok(id)
    }

    /// One exchange; a fetch when the tip moved.
    fn poll(&mut self) -> Result<gix::ObjectId, Failed> {
        let transport = self.wire.transport(Protocol::V2).map_err(Failed::There)?;
        let repository = self.repository.to_thread_local();
        let spec = format!("+refs/heads/{}:{TRACKED}", self.branch);
        let there = |error: &(dyn std::error::Error + 'static)| Failed::There(self.wire.classify(error));
        let remote = repository
            .remote_at(self.url.as_str())
            .and_then(|remote| {
                remote
                    .with_fetch_tags(gix::remote::fetch::Tags::None)
                    .with_refspecs([spec.as_str()], gix::remote::Direction::Fetch)
            })
            .map_err(|error| there(&error))?;
        let connection = remote
            .to_connection_with_transport(transport)
            // A fetch would else configure the transport by the repository's settings.
            .with_transport_options(Box::new(()))
            .with_credentials(|_| Ok(None));
        let prepared = connection
            .prepare_fetch(gix::progress::Discard, gix::remote::ref_map::Options::default())
            .map_err(|error| there(&error))?;
        let branch = format!("refs/heads/{}", self.branch);
        let advertised = prepared.ref_map().remote_refs.iter().find_map(|reference| {
            let (name, target, peeled) = reference.unpack();
            (name == branch.as_bytes().as_bstr()).then(|| peeled.or(target).map(ToOwned::to_owned)).flatten()
        });
        let Some(advertised) = advertised else {
            let error = GitError::NoBranch { repository: self.url.clone(), branch: self.branch.clone() };
            return Err(Failed::There(error));
        };
        let known = repository
            .try_find_reference(TRACKED)
            .ok()
            .flatten()
            .and_then(|mut reference| reference.peel_to_id().ok().map(gix::Id::detach));
        if known == Some(advertised) && repository.has_object(advertised) {
            return Ok(advertised);
        }
        self.wire.gauge().expect_objects();
        let received = prepared.receive(gix::progress::Discard, &AtomicBool::new(false)).map_err(|error| {
            let told = self.wire.classify(&error);
            match self.wire.failure() {
                Some(_) => Failed::There(told),
                None if is_too_large(&error) => Failed::There(self.too_large()),
                None => Failed::Here(told, advertised),
            }
        })?;
        if let Status::Change { write_pack_bundle, .. } = received.status {
            self.settle(&write_pack_bundle, known.is_none());
        }
        Ok(advertised)
    }

    /// Unpacks a small pack, as `git fetch` does: one for each commit would be thousands, all of which are looked into
    /// for each object. The repository is opened anew, because it has room for as many packs as it found and a few more.
    fn settle(&mut self, received: &gix_pack::bundle::write::Outcome, is_first: bool) {
        // The clone itself stays a pack.
        if !is_first
            && received.index.num_objects < FEW_OBJECTS
            && let Err(reason) = unpack(&self.repository.to_thread_local(), received)
        {
            tracing::debug!(repository = %self.url, reason, "a pack could not be unpacked; it stays");
        }
        self.tidy();
        match open_or_init(&self.directory, self.wire.limits().object) {
            Ok(repository) => self.repository = repository,
            Err(reason) => tracing::warn!(repository = %self.url, reason, "the mirror cannot be opened again"),
        }
    }

    /// Gathers objects that lie about one by one into a pack, before there are too many of them.
    fn tidy(&self) {
        if is_crowded(&self.directory)
            && let Err(reason) = gather(&self.repository.to_thread_local(), &self.directory)
        {
            tracing::debug!(repository = %self.url, reason, "loose objects could not be packed; they stay");
        }
    }

    fn too_large(&self) -> GitError {
        let limit = super::gauge::size(self.wire.limits().object);
        GitError::Unreadable {
            repository: self.url.clone(),
            reason: format!(
                "its history has an object of more than {limit}, and Lockstep reads all of the history. Remove the file \
                 from the history (`git filter-repo`), or follow a repository that has only the manifests"
            ),
        }
    }
}

/// Whether something is larger than may be held in memory.
fn is_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
    chain(error).contains("too large to fit in memory")
}

/// Removes what a process that was killed left behind: locks of references and files that were being written. Without
/// this nothing could be written again, for a lock says that somebody is at it.
fn sweep(directory: &Path) {
    if let Err(reason) = remove(&directory.with_extension("new")) {
        tracing::warn!(reason, "what a fetch left behind cannot be removed");
    }
    let mut left: Vec<PathBuf> = Vec::new();
    leftovers(directory, &|name| name.ends_with(".lock"), false, &mut left);
    leftovers(&directory.join("refs"), &|name| name.ends_with(".lock"), true, &mut left);
    let is_temporary = |name: &str| name.starts_with(".tmp") || name.starts_with("tmp_");
    leftovers(&directory.join("objects"), &is_temporary, true, &mut left);
    for path in left {
        match std::fs::remove_file(&path) {
            Ok(()) => tracing::info!(file = %path.display(), "a file that a killed process left behind was removed"),
            Err(error) => tracing::warn!(file = %path.display(), %error, "what was left behind cannot be removed"),
        }
    }
}

/// Files below a directory whose names say that they were left behind.
fn leftovers(directory: &Path, is_one: &dyn Fn(&str) -> bool, deep: bool, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && deep {
            leftovers(&entry.path(), is_one, deep, found);
        } else if kind.is_file() && entry.file_name().to_str().is_some_and(is_one) {
            found.push(entry.path());
        }
    }
}

/// Removes a directory, if it is there.
fn remove(directory: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("failed to remove {}: {error}", directory.display()))
        }
        _ => Ok(()),
    }
}

fn open_or_init(directory: &Path, largest: u64) -> Result<gix::ThreadSafeRepository, String> {
    let largest = format!("gitoxide.objects.allocLimit={largest}");
    let options = || {
        gix::open::Options::isolated().config_overrides([
            "user.name=Lockstep",
            "user.email=lockstep@localhost",
            "gc.auto=0",
            // Each thread may hold some of the largest objects.
            "pack.threads=2",
            largest.as_str(),
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
