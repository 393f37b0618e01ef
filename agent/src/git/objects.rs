//! The files of a commit, straight from the object database: no work tree.

use super::{GitError, Tip, chain};
use gix::objs::tree::EntryKind;
use lockstep_manifests::{
    listing::{self, Found, Storage, What},
    tree::{EntryKind as Kind, FileEntry, Tree},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Longest subject of a commit that is kept, in letters.
const SUMMARY: usize = 200;
/// Largest directory object that is read, in bytes.
const MAX_TREE: u64 = 32 << 20;

/// Listings of trees by object id: an unchanged directory is read once.
#[derive(Default, Clone)]
pub(super) struct Listings(Arc<Mutex<Known>>);

type Known = HashMap<gix::ObjectId, Arc<Vec<Found<gix::ObjectId>>>>;

/// The files of one commit.
pub struct ObjectTree {
    repository: gix::ThreadSafeRepository,
    name: String,
    files: Vec<FileEntry>,
}

impl ObjectTree {
    pub(super) fn read_commit(
        repository: &gix::ThreadSafeRepository,
        name: &str,
        tip: &Tip,
        listings: &Listings,
    ) -> Result<Self, GitError> {
        let fail = |reason: String| GitError::Unreadable { repository: name.to_owned(), reason };
        let local = repository.to_thread_local();
        let root = gix::ObjectId::from_hex(tip.tree.as_bytes()).map_err(|error| fail(error.to_string()))?;
        let known = std::mem::take(&mut *listings.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut trees = Trees { local: &local, known, used: HashMap::new() };
        let files = listing::list(&mut trees, &root).map_err(fail)?;
        *listings.0.lock().unwrap_or_else(PoisonError::into_inner) = trees.used;
        Ok(Self { repository: repository.clone(), name: name.to_owned(), files })
    }

    /// The repository's name in messages.
    pub fn repository(&self) -> &str {
        &self.name
    }
}

/// The directories of a commit.
struct Trees<'a> {
    local: &'a gix::Repository,
    known: Known,
    used: Known,
}

impl Storage for Trees<'_> {
    type Place = gix::ObjectId;

    fn entries(&mut self, directory: &gix::ObjectId) -> Result<Arc<Vec<Found<gix::ObjectId>>>, String> {
        let known = self.used.get(directory).or_else(|| self.known.get(directory));
        let entries = match known {
            Some(entries) => entries.clone(),
            None => Arc::new(self.read(*directory)?),
        };
        self.used.insert(*directory, entries.clone());
        Ok(entries)
    }

    fn id(&mut self, file: &gix::ObjectId) -> String {
        file.to_string()
    }
}

impl Trees<'_> {
    fn read(&self, id: gix::ObjectId) -> Result<Vec<Found<gix::ObjectId>>, String> {
        let size = self.local.find_header(id).map_err(|error| missing(self.local, chain(&error)))?.size();
        if size > MAX_TREE {
            return Err(format!("the directory {id} has {size} bytes, more than the limit"));
        }
        let tree = self.local.find_tree(id).map_err(|error| missing(self.local, chain(&error)))?;
        let mut entries = Vec::new();
        for entry in tree.iter() {
            let entry = entry.map_err(|error| chain(&error))?;
            let what = match entry.mode().kind() {
                EntryKind::Tree => What::Directory,
                EntryKind::Blob | EntryKind::BlobExecutable => What::Other(Kind::File),
                EntryKind::Link => What::Other(Kind::Link),
                EntryKind::Commit => What::Other(Kind::Submodule),
            };
            entries.push(Found { name: listing::name_of(entry.filename()), what, place: entry.object_id() });
        }
        Ok(entries)
    }
}

impl Tree for ObjectTree {
    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn read(&self, file: &FileEntry) -> Result<Vec<u8>, String> {
        let id = gix::ObjectId::from_hex(file.id.as_bytes()).map_err(|error| error.to_string())?;
        let local = self.repository.to_thread_local();
        let header = local.find_header(id).map_err(|error| missing(&local, chain(&error)))?;
        if header.size() > lockstep_manifests::parse::MAX_FILE as u64 {
            return Err(format!("it has {} bytes, more than the limit", header.size()));
        }
        let object = local.find_object(id).map_err(|error| chain(&error))?;
        super::lfs::refuse(&object.data)?;
        Ok(object.detach().data)
    }
}

/// A regular file of a commit.
pub(super) fn file_of(
    local: &gix::Repository,
    name: &str,
    commit: &str,
    path: &str,
) -> Result<Option<Vec<u8>>, GitError> {
    let fail = |reason: String| GitError::Unreadable { repository: name.to_owned(), reason };
    let id = gix::ObjectId::from_hex(commit.as_bytes()).map_err(|error| fail(error.to_string()))?;
    let tree = local.find_commit(id).and_then(|commit| commit.tree()).map_err(|error| fail(chain(&error)))?;
    let Some(entry) = tree.lookup_entry_by_path(path).map_err(|error| fail(chain(&error)))? else { return Ok(None) };
    if !matches!(entry.mode().kind(), EntryKind::Blob | EntryKind::BlobExecutable) {
        return Ok(None);
    }
    let header = local.find_header(entry.object_id()).map_err(|error| fail(missing(local, chain(&error))))?;
    if header.size() > lockstep_manifests::parse::MAX_FILE as u64 {
        return Ok(None);
    }
    let object = local.find_object(entry.object_id()).map_err(|error| fail(chain(&error)))?;
    Ok(Some(object.detach().data))
}

/// What is said where an object is missing; a clone that was made without some objects says so itself.
pub(super) fn missing(local: &gix::Repository, reason: String) -> String {
    let config = local.config_snapshot();
    let is_partial = config.string("extensions.partialClone").is_some()
        || local.remote_names().iter().any(|name| {
            let key = format!("remote.{name}.promisor");
            config.boolean(key.as_str()).unwrap_or(false)
        });
    match is_partial {
        false => reason,
        true => format!(
            "the clone is partial (made with --filter) and lacks an object that is needed; Git fetches such objects when \
             they are read, Lockstep does not. Clone without --filter ({reason})"
        ),
    }
}

/// The subject of a commit for logs and states: one line, of no more than [`SUMMARY`] letters.
pub(super) fn line(subject: &[u8]) -> String {
    lockstep_core::text::line(&String::from_utf8_lossy(subject), SUMMARY)
}

/// The tip of a commit id.
pub(super) fn tip_of(local: &gix::Repository, name: &str, id: gix::ObjectId) -> Result<Tip, GitError> {
    let fail = |reason: String| GitError::Unreadable { repository: name.to_owned(), reason };
    let commit = local.find_commit(id).map_err(|error| fail(missing(local, chain(&error))))?;
    let tree = commit.tree_id().map_err(|error| fail(chain(&error)))?.to_string();
    // Its author chose how long it is; no more of it than a line is looked at.
    let summary = commit.message().map(|message| line(&message.title[..message.title.len().min(4 * SUMMARY)]));
    let committed_at = commit.time().map_or(0, |time| time.seconds);
    // Git holds what a subject says, but logs and chats go further than the repository.
    let summary = summary.map(|summary| lockstep_core::mask::line(&summary)).unwrap_or_default();
    Ok(Tip { commit: id.to_string(), tree, summary, committed_at })
}
