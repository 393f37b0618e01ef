//! A repository on disk, opened directly as an object database.

use super::{
    GitError, Tip, chain, history,
    objects::{Listings, ObjectTree, tip_of},
};
use std::path::{Path, PathBuf};

/// A branch of a repository on disk.
pub struct Local {
    path: PathBuf,
    branch: String,
    listings: Listings,
}

impl Local {
    /// Opens it once, to say early when it is none.
    ///
    /// # Errors
    /// When there is no repository.
    pub fn open(path: &Path, branch: &str) -> Result<Self, GitError> {
        let local = Self { path: path.to_owned(), branch: branch.to_owned(), listings: Listings::default() };
        local.repository()?;
        Ok(local)
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn repository(&self) -> Result<gix::ThreadSafeRepository, GitError> {
        gix::ThreadSafeRepository::open_opts(self.path.clone(), gix::open::Options::isolated())
            .map_err(|error| GitError::Unreadable { repository: self.name(), reason: chain(&error) })
    }

    pub(super) fn tip(&mut self) -> Result<Tip, GitError> {
        // Opened anew: another process may have packed the objects since.
        let repository = self.repository()?.to_thread_local();
        let name = format!("refs/heads/{}", self.branch);
        let reference = repository
            .try_find_reference(name.as_str())
            .map_err(|error| GitError::Unreadable { repository: self.name(), reason: chain(&error) })?;
        let Some(mut reference) = reference else {
            return Err(GitError::NoBranch { repository: self.name(), branch: self.branch.clone() });
        };
        let id = reference
            .peel_to_id()
            .map_err(|error| GitError::Unreadable { repository: self.name(), reason: chain(&error) })?
            .detach();
        tip_of(&repository, &self.name(), id)
    }

    pub(super) fn walk_back(&self, from: &str, enough: impl FnMut(&Tip) -> bool) -> Result<(), GitError> {
        history::walk(&self.repository()?.to_thread_local(), &self.name(), from, enough)
    }

    pub(super) fn tree(&self, tip: &Tip) -> Result<ObjectTree, GitError> {
        ObjectTree::read_commit(&self.repository()?, &self.name(), tip, &self.listings)
    }
}
