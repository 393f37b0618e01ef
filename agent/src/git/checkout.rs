//! A checkout as people edit it: the files on disk, with the ids that Git would give them.

use super::{GitError, chain};
use gix::bstr::ByteSlice;
use lockstep_manifests::{
    listing::{self, Found, Storage, What},
    tree::{EntryKind, FileEntry, Tree},
};
use std::{
    collections::BTreeMap,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The files of a directory.
pub struct Checkout {
    root: PathBuf,
    files: Vec<FileEntry>,
}

impl Checkout {
    /// Lists a directory by the rule that holds for commits as well.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn read(root: &Path) -> Result<Self, GitError> {
        let fail = |reason: String| GitError::Unreadable { repository: root.display().to_string(), reason };
        let files = listing::list(&mut Disk { root }, &root.to_owned()).map_err(fail)?;
        Ok(Self { root: root.to_owned(), files })
    }

    /// The commit that is checked out, and the paths that differ from it; none where there is no repository.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn compare_to_head(&self) -> Result<Option<(String, Vec<String>)>, GitError> {
        let name = self.root.display().to_string();
        let fail = |reason: String| GitError::Unreadable { repository: name.clone(), reason };
        if !self.root.join(".git").exists() {
            return Ok(None);
        }
        let repository = gix::ThreadSafeRepository::open_opts(self.root.clone(), gix::open::Options::isolated())
            .map_err(|error| fail(chain(&error)))?;
        let local = repository.to_thread_local();
        super::owner::refuse_foreign(&local, &name)?;
        let Ok(id) = local.head_id() else {
            return Ok(Some((String::new(), self.paths())));
        };
        let tip = super::objects::tip_of(&local, &name, id.detach())?;
        let committed = super::ObjectTree::read_commit(&repository, &name, &tip, &super::objects::Listings::default())?;
        let ids = |files: &[FileEntry]| -> BTreeMap<String, String> {
            files.iter().map(|file| (file.path.clone(), file.id.clone())).collect()
        };
        let (mine, theirs) = (ids(&self.files), ids(committed.files()));
        let changed = mine
            .iter()
            .filter(|(path, id)| {
                theirs.get(*path).is_none_or(|other| other != *id && !self.is_converted(path, other, &local))
            })
            .map(|(path, _)| path.clone())
            .chain(theirs.keys().filter(|path| !mine.contains_key(*path)).cloned())
            .collect();
        Ok(Some((tip.commit, changed)))
    }

    /// Whether a file differs from the committed one in the ends of its lines alone: Git converts them where it is told to,
    /// and calls such a checkout clean.
    fn is_converted(&self, path: &str, committed: &str, repository: &gix::Repository) -> bool {
        let Ok(id) = gix::ObjectId::from_hex(committed.as_bytes()) else { return false };
        let is_small = |size: u64| size <= lockstep_manifests::parse::MAX_FILE as u64;
        if !repository.find_header(id).is_ok_and(|header| is_small(header.size())) {
            return false;
        }
        let mine = self.root.join(path);
        if !std::fs::metadata(&mine).is_ok_and(|data| data.is_file() && is_small(data.len())) {
            return false;
        }
        let (Ok(mine), Ok(theirs)) = (std::fs::read(mine), repository.find_object(id)) else { return false };
        mine.replace("\r\n", "\n") == theirs.data.replace("\r\n", "\n")
    }

    fn paths(&self) -> Vec<String> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }
}

/// Directories on disk.
struct Disk<'a> {
    root: &'a Path,
}

impl Storage for Disk<'_> {
    type Place = PathBuf;

    fn entries(&mut self, directory: &PathBuf) -> Result<Arc<Vec<Found<PathBuf>>>, String> {
        let fail = |error: std::io::Error| {
            let shown = directory.strip_prefix(self.root).unwrap_or(directory);
            let shown = if shown.as_os_str().is_empty() { directory } else { shown };
            format!("failed to list {}: {error}", shown.display())
        };
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let (kind, place) = (entry.file_type().map_err(fail)?, entry.path());
            let what = if kind.is_dir() && place.join(".git").exists() {
                What::Other(EntryKind::Submodule)
            } else if kind.is_dir() {
                What::Directory
            } else if kind.is_symlink() {
                What::Other(EntryKind::Link)
            } else if kind.is_file() {
                What::Other(EntryKind::File)
            } else {
                What::Other(EntryKind::Special)
            };
            entries.push(Found { name: listing::name_of(entry.file_name().as_bytes()), what, place });
        }
        Ok(Arc::new(entries))
    }

    fn id(&mut self, file: &PathBuf) -> String {
        blob_id(file)
    }
}

/// The id that Git gives the content. A file that cannot be read now says so when it is parsed.
fn blob_id(path: &Path) -> String {
    let Ok(content) = std::fs::read(path) else {
        return String::new();
    };
    gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, &content)
        .map(|id| id.to_string())
        .unwrap_or_default()
}

impl Tree for Checkout {
    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn read(&self, file: &FileEntry) -> Result<Vec<u8>, String> {
        let path = self.root.join(&file.path);
        let size = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
        if size > lockstep_manifests::parse::MAX_FILE as u64 {
            return Err(format!("it has {size} bytes, more than the limit"));
        }
        let content = std::fs::read(&path).map_err(|error| error.to_string())?;
        super::lfs::refuse(&content)?;
        Ok(content)
    }
}
