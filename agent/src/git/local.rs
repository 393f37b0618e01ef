//! A repository on disk, opened directly as an object database.

use super::{
    GitError, Tip, chain,
    history::{self, Step},
    objects::{Listings, ObjectTree, file_of, tip_of},
    owner::refuse_foreign,
    push::PushError,
    write::{NewCommit, build},
};
use gix::refs::{Target, transaction::PreviousValue};
use std::path::{Path, PathBuf};

/// No configuration but the repository's own; who moves a reference is named in its log.
fn options() -> gix::open::Options {
    gix::open::Options::isolated().config_overrides(["committer.name=Lockstep", "committer.email=lockstep@localhost"])
}

/// Where a branch is checked out, or is being rebased or bisected: in the repository itself, or in a worktree of it. To
/// move it would make the next commit there take the move back.
fn checked_out(repository: &gix::Repository, name: &str) -> Result<Option<PathBuf>, String> {
    // Of a linked worktree it is a path through `..`.
    let common = std::fs::canonicalize(repository.common_dir()).map_err(|error| error.to_string())?;
    let mut heads: Vec<(PathBuf, PathBuf)> = Vec::new();
    if repository.main_repo().map_or(true, |main| !main.is_bare()) {
        heads.push((common.clone(), common.parent().unwrap_or(&common).to_owned()));
    }
    for worktree in repository.worktrees().map_err(|error| chain(&error))? {
        let git_dir = worktree.git_dir().to_owned();
        let place = worktree.base().unwrap_or_else(|_| git_dir.clone());
        heads.push((git_dir, place));
    }
    let short = name.strip_prefix("refs/heads/").unwrap_or(name);
    let is_at = |git_dir: &Path| {
        let read = |file: &str| std::fs::read_to_string(git_dir.join(file)).unwrap_or_default();
        read("HEAD").strip_prefix("ref:").is_some_and(|head| head.trim() == name)
            || ["rebase-merge/head-name", "rebase-apply/head-name"].iter().any(|file| read(file).trim() == name)
            || [name, short].contains(&read("BISECT_START").trim())
    };
    Ok(heads.into_iter().find(|(git_dir, _)| is_at(git_dir)).map(|(_, place)| place))
}

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

    pub(super) fn branch(&self) -> &str {
        &self.branch
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn repository(&self) -> Result<gix::ThreadSafeRepository, GitError> {
        let repository = gix::ThreadSafeRepository::open_opts(self.path.clone(), options())
            .map_err(|error| GitError::Unreadable { repository: self.name(), reason: chain(&error) })?;
        refuse_foreign(&repository.to_thread_local(), &self.name())?;
        Ok(repository)
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

    pub(super) fn first_parents(
        &self,
        from: &str,
        paths: &[String],
        enough: impl FnMut(&Step) -> bool,
    ) -> Result<(), GitError> {
        history::first_parents(&self.repository()?.to_thread_local(), &self.name(), from, paths, enough)
    }

    pub(super) fn tree_of(&self, commit: &str) -> Result<ObjectTree, GitError> {
        // The listings that are kept are those of the branch's tip.
        ObjectTree::read_commit(&self.repository()?, &self.name(), &self.tip_at(commit)?, &Listings::default())
    }

    pub(super) fn file_of(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        file_of(&self.repository()?.to_thread_local(), &self.name(), commit, path)
    }

    pub(super) fn tip_at(&self, commit: &str) -> Result<Tip, GitError> {
        let id = gix::ObjectId::from_hex(commit.as_bytes())
            .map_err(|error| GitError::Unreadable { repository: self.name(), reason: error.to_string() })?;
        tip_of(&self.repository()?.to_thread_local(), &self.name(), id)
    }

    /// Writes the objects, then moves the branch if it is still where the commit was built.
    pub(super) fn commit(&mut self, base: &Tip, new: &NewCommit<'_>) -> Result<Tip, PushError> {
        let repository = self.repository()?.to_thread_local();
        let name = format!("refs/heads/{}", self.branch);
        let unreadable = |reason: String| GitError::Unreadable { repository: self.name(), reason };
        if let Some(place) = checked_out(&repository, &name).map_err(&unreadable)? {
            return Err(PushError::Refused {
                branch: self.branch.clone(),
                reason: format!(
                    "it is checked out in {}. Check out another branch there, or push to a bare repository",
                    place.display()
                ),
            });
        }
        let hex = |text: &str| gix::ObjectId::from_hex(text.as_bytes()).map_err(|error| unreadable(error.to_string()));
        let from = hex(&base.commit)?;
        let moved = || PushError::Moved { branch: self.branch.clone() };
        let here = repository.try_find_reference(name.as_str()).map_err(|error| unreadable(chain(&error)))?;
        if here.and_then(|mut reference| reference.peel_to_id().ok().map(gix::Id::detach)) != Some(from) {
            return Err(moved());
        }
        let built = build(&repository, &self.name(), base, new)?;
        built.keep(&repository, &self.name())?;
        let to = hex(&built.tip.commit)?;
        let expected = PreviousValue::MustExistAndMatch(Target::Object(from));
        match repository.reference(name.as_str(), to, expected, new.message.lines().next().unwrap_or_default()) {
            Ok(_) => Ok(built.tip),
            Err(error) => {
                // Another process has the lock or was faster: then the branch is elsewhere, or will be.
                let now = repository.try_find_reference(name.as_str()).ok().flatten();
                let now = now.and_then(|mut reference| reference.peel_to_id().ok().map(gix::Id::detach));
                let text = chain(&error);
                if now != Some(from) || text.contains("lock") { Err(moved()) } else { Err(unreadable(text).into()) }
            }
        }
    }

    pub(super) fn tree(&self, tip: &Tip) -> Result<ObjectTree, GitError> {
        ObjectTree::read_commit(&self.repository()?, &self.name(), tip, &self.listings)
    }
}
