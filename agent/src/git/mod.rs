//! The config repository: where it is, its tip, and its files. By gix alone; no `git` program runs. Everything here
//! blocks, so callers run it on a blocking thread.

mod checkout;
mod failure;
mod gauge;
mod history;
mod http;
mod lfs;
mod local;
mod location;
mod mirror;
mod objects;
mod owner;
mod pack;
mod push;
mod report;
mod sign;
mod ssh;
mod ssh_key;
mod wire;
mod write;

pub use checkout::Checkout;
pub use gauge::Limits;
pub use history::Step;
pub use local::Local;
pub use location::{Location, branch_problem};
pub use mirror::Mirror;
pub use objects::ObjectTree;
pub use push::PushError;
pub use sign::SigningKey;
pub use ssh::SshAccess;
pub use ssh_key::SshKey;
pub use wire::{Access, Credentials};
pub use write::{FileEdit, NewCommit, Person};

use std::path::Path;

/// Why the repository could not be read, by what helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// The remote cannot be reached, or did not answer in time: later may be better.
    #[error("the repository {repository} cannot be reached: {reason}")]
    Unreachable {
        /// The repository, without credentials.
        repository: String,
        /// What went wrong.
        reason: String,
    },
    /// The remote refuses the credentials.
    #[error("the repository {repository} refuses the credentials: {reason}")]
    Refused {
        /// The repository, without credentials.
        repository: String,
        /// What went wrong.
        reason: String,
    },
    /// There is no such branch.
    #[error("the repository {repository} has no branch {branch}")]
    NoBranch {
        /// The repository.
        repository: String,
        /// The branch.
        branch: String,
    },
    /// The repository, its mirror or a checkout cannot be read.
    #[error("failed to read the repository {repository}: {reason}")]
    Unreadable {
        /// The repository.
        repository: String,
        /// What went wrong.
        reason: String,
    },
}

/// The commit at the tip of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The commit's id, in hex.
    pub commit: String,
    /// Its tree's id, in hex.
    pub tree: String,
    /// The first line of its message.
    pub summary: String,
    /// When it was committed, epoch seconds.
    pub committed_at: i64,
}

/// A branch of a repository that is followed.
pub enum Remote {
    /// Over HTTP or SSH, through a bare mirror with full history.
    Mirror(Box<Mirror>),
    /// A repository on disk.
    Local(Local),
}

impl Remote {
    /// Opens a branch. A mirror is kept below `state`.
    ///
    /// # Errors
    /// When the mirror cannot be made, or the repository on disk cannot be opened.
    pub fn open(location: &Location, branch: &str, state: &Path, access: Access) -> Result<Self, GitError> {
        Ok(match location {
            Location::Http(_) | Location::Ssh(_) => {
                Self::Mirror(Box::new(Mirror::open(location, branch, state, access)?))
            }
            Location::Path(path) => Self::Local(Local::open(path, branch)?),
        })
    }

    /// Opens the history that a directory has, to read it.
    ///
    /// # Errors
    /// When it is no repository.
    pub fn reader(directory: &Path) -> Result<Self, GitError> {
        Ok(Self::Local(Local::open(directory, "HEAD")?))
    }

    /// The branch that is followed.
    pub fn branch(&self) -> &str {
        match self {
            Self::Mirror(mirror) => mirror.branch(),
            Self::Local(local) => local.branch(),
        }
    }

    /// The directory with the branch's history.
    pub fn directory(&self) -> &Path {
        match self {
            Self::Mirror(mirror) => mirror.directory(),
            Self::Local(local) => local.path(),
        }
    }

    /// Presents something else to the server from now on.
    pub fn renew(&mut self, access: Access) {
        match self {
            Self::Mirror(mirror) => mirror.renew(access),
            Self::Local(_) => {}
        }
    }

    /// Asks for the branch's tip, and fetches what is new. While nothing moved this is one ls-refs exchange.
    ///
    /// # Errors
    /// As the variants of [`GitError`] say.
    pub fn tip(&mut self) -> Result<Tip, GitError> {
        match self {
            Self::Mirror(mirror) => mirror.tip(),
            Self::Local(local) => local.tip(),
        }
    }

    /// The files of a commit that [`Remote::tip`] answered.
    ///
    /// # Errors
    /// When objects are missing or damaged.
    pub fn tree(&self, tip: &Tip) -> Result<ObjectTree, GitError> {
        match self {
            Self::Mirror(mirror) => mirror.tree(tip),
            Self::Local(local) => local.tree(tip),
        }
    }

    /// Goes back in the history of a commit, newest first and itself first, until `enough` says so.
    ///
    /// # Errors
    /// When objects are missing or damaged.
    pub fn walk_back(&self, from: &str, enough: impl FnMut(&Tip) -> bool) -> Result<(), GitError> {
        match self {
            Self::Mirror(mirror) => mirror.walk_back(from, enough),
            Self::Local(local) => local.walk_back(from, enough),
        }
    }

    /// Goes back along first parents, the commit itself first, until `enough` says so; tells which of the paths each
    /// commit changed.
    ///
    /// # Errors
    /// When objects are missing or damaged.
    pub fn first_parents(
        &self,
        from: &str,
        paths: &[String],
        enough: impl FnMut(&Step) -> bool,
    ) -> Result<(), GitError> {
        match self {
            Self::Mirror(mirror) => mirror.first_parents(from, paths, enough),
            Self::Local(local) => local.first_parents(from, paths, enough),
        }
    }

    /// The files of any commit of the history.
    ///
    /// # Errors
    /// When objects are missing or damaged.
    pub fn tree_of(&self, commit: &str) -> Result<ObjectTree, GitError> {
        match self {
            Self::Mirror(mirror) => mirror.tree_of(commit),
            Self::Local(local) => local.tree_of(commit),
        }
    }

    /// A file of any commit of the history; none where it has no such file.
    ///
    /// # Errors
    /// When objects are missing or damaged.
    pub fn file_of(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        match self {
            Self::Mirror(mirror) => mirror.file_of(commit, path),
            Self::Local(local) => local.file_of(commit, path),
        }
    }

    /// A commit with its tree.
    ///
    /// # Errors
    /// When it is not there.
    pub fn tip_at(&self, commit: &str) -> Result<Tip, GitError> {
        match self {
            Self::Mirror(mirror) => mirror.tip_at(commit),
            Self::Local(local) => local.tip_at(commit),
        }
    }

    /// Makes a commit on `base` and moves the branch to it, if the branch is still there.
    ///
    /// # Errors
    /// As the variants of [`PushError`] say.
    pub fn commit(&mut self, base: &Tip, new: &NewCommit<'_>) -> Result<Tip, PushError> {
        match self {
            Self::Mirror(mirror) => mirror.commit(base, new),
            Self::Local(local) => local.commit(base, new),
        }
    }

    /// Whether a commit is in the history of another, as far as it is looked for.
    ///
    /// # Errors
    /// When objects are missing or damaged.
    pub fn is_behind(&self, commit: &str, tip: &str) -> Result<bool, GitError> {
        let (mut found, mut seen) = (false, 0);
        self.walk_back(tip, |other| {
            seen += 1;
            found = other.commit == commit;
            found || seen >= LONGEST_WALK
        })?;
        // What is not found in so long a history may be further back: nothing is concluded.
        Ok(found || seen >= LONGEST_WALK)
    }
}

/// Commits that are looked at to find another.
const LONGEST_WALK: usize = 20_000;

/// An error of gix with its causes, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}
