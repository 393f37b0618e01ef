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
use lockstep_manifests::tree::Tree;
use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// Packs with fewer objects are unpacked; Git's own limit.
const FEW_OBJECTS: u32 = 100;

/// A mirrored branch.
pub struct Mirror {
    url: String,
    branch: String,
    directory: PathBuf,
    repository: gix::ThreadSafeRepository,
    wire: Wire,
    listings: Listings,
    verified: bool,
}

impl Mirror {
    /// Opens the mirror below `state`, or makes an empty one. A damaged one is set aside and fetched again.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(location: &Location, branch: &str, state: &Path, access: Access) -> Result<Self, GitError> {
        let url = location.to_string();
        let directory = state.join(directory_name(&url));
        let repository =
            open_or_init(&directory).map_err(|reason| GitError::Unreadable { repository: url.clone(), reason })?;
        Ok(Self {
            url,
            branch: branch.to_owned(),
            directory,
            repository,
            wire: Wire::new(location, access),
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
                self.wire.forget_connection();
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
                .reference(self.tracking(), to, gix::refs::transaction::PreviousValue::Any, "push")
                .map(|_| ())
                .map_err(|error| GitError::Unreadable { repository: self.url.clone(), reason: chain(&error) })
        });
        if let Err(error) = kept {
            tracing::debug!(%error, "a pushed commit could not be kept in the mirror");
        }
        self.tidy();
        Ok(built.tip)
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

    /// One exchange; a fetch when the tip moved.
    fn poll(&mut self) -> Result<gix::ObjectId, GitError> {
        let transport = self.wire.transport(Protocol::V2)?;
        let repository = self.repository.to_thread_local();
        let spec = format!("+refs/heads/{}:{}", self.branch, self.tracking());
        let remote = repository
            .remote_at(self.url.as_str())
            .and_then(|remote| {
                remote
                    .with_fetch_tags(gix::remote::fetch::Tags::None)
                    .with_refspecs([spec.as_str()], gix::remote::Direction::Fetch)
            })
            .map_err(|error| self.wire.classify(&error))?;
        let connection = remote
            .to_connection_with_transport(transport)
            .with_transport_options(self.wire.options()?)
            .with_credentials(|_| Ok(None));
        let prepared = connection
            .prepare_fetch(gix::progress::Discard, gix::remote::ref_map::Options::default())
            .map_err(|error| self.wire.classify(&error))?;
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
        if known == Some(advertised) && repository.has_object(advertised) {
            return Ok(advertised);
        }
        let received = prepared
            .receive(gix::progress::Discard, &AtomicBool::new(false))
            .map_err(|error| self.wire.classify(&error))?;
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
        match open_or_init(&self.directory) {
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
