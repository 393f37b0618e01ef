//! What a branch was before: the commits behind its tip.

use super::{
    GitError, Tip, chain,
    objects::{missing, tip_of},
};
use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;
use std::collections::BTreeMap;

/// The newest commits that lead to one, itself first, until `enough` says so.
///
/// # Errors
/// When objects are missing or damaged.
pub(super) fn walk(
    repository: &gix::Repository,
    name: &str,
    from: &str,
    mut enough: impl FnMut(&Tip) -> bool,
) -> Result<(), GitError> {
    let fail = |reason: String| GitError::Unreadable { repository: name.to_owned(), reason };
    let id = gix::ObjectId::from_hex(from.as_bytes()).map_err(|error| fail(error.to_string()))?;
    let commits = repository
        .rev_walk([id])
        .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))
        .all()
        .map_err(|error| fail(chain(&error)))?;
    for commit in commits {
        let commit = commit.map_err(|error| fail(chain(&error)))?;
        if enough(&tip_of(repository, name, commit.id)?) {
            return Ok(());
        }
    }
    Ok(())
}

/// A commit of a branch's first-parent history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The commit.
    pub commit: String,
    /// The commit before it; none for the first.
    pub parent: Option<String>,
    /// Its whole message.
    pub message: String,
    /// The author's name, with control characters left out.
    pub author: String,
    /// The committer's name, likewise.
    pub committer: String,
    /// When it was committed, epoch seconds.
    pub at: i64,
    /// Which of the paths that were asked for it changed, by their place in the list.
    pub changed: Vec<usize>,
}

/// What is said of a clone whose history was cut off.
const SHALLOW: &str =
    "the clone is shallow, and who holds a pin stands in the history: `git fetch --unshallow` brings it";

/// Goes back along first parents, the commit itself first, until `enough` says so.
///
/// # Errors
/// When objects are missing or damaged.
pub(super) fn first_parents(
    repository: &gix::Repository,
    name: &str,
    from: &str,
    paths: &[String],
    mut enough: impl FnMut(&Step) -> bool,
) -> Result<(), GitError> {
    let fail = |reason: String| GitError::Unreadable { repository: name.to_owned(), reason };
    let wanted = Wanted::of(paths);
    let mut next = Some(gix::ObjectId::from_hex(from.as_bytes()).map_err(|error| fail(error.to_string()))?);
    while let Some(id) = next {
        let commit = repository.find_commit(id).map_err(|error| fail(chain(&error)))?;
        let tree = commit.tree_id().map_err(|error| fail(chain(&error)))?.detach();
        let parent = commit.parent_ids().next().map(gix::Id::detach);
        let before = match parent {
            None => None,
            Some(parent) => {
                let parent = repository.find_commit(parent).map_err(|error| match repository.is_shallow() {
                    Ok(true) => fail(SHALLOW.to_owned()),
                    _ => fail(chain(&error)),
                })?;
                Some(parent.tree_id().map_err(|error| fail(chain(&error)))?.detach())
            }
        };
        let mut changed = Vec::new();
        wanted.differing(repository, before, Some(tree), &mut changed).map_err(fail)?;
        changed.sort_unstable();
        let author = commit.author().map(|author| author.name.to_string()).unwrap_or_default();
        let committer = commit.committer().map(|committer| committer.name.to_string()).unwrap_or_default();
        let cleaned = |name: &str| name.chars().filter(|letter| !letter.is_control()).take(100).collect();
        let step = Step {
            commit: id.to_string(),
            parent: parent.map(|id| id.to_string()),
            message: commit.message_raw().map(|message| message.to_string()).unwrap_or_default(),
            author: cleaned(&author),
            committer: cleaned(&committer),
            at: commit.time().map_or(0, |time| time.seconds),
            changed,
        };
        if enough(&step) {
            return Ok(());
        }
        next = parent;
    }
    Ok(())
}

/// Paths as a tree of their parts.
#[derive(Default)]
struct Wanted {
    below: BTreeMap<String, Wanted>,
    here: Vec<usize>,
}

impl Wanted {
    fn of(paths: &[String]) -> Self {
        let mut root = Self::default();
        for (index, path) in paths.iter().enumerate() {
            let mut at = &mut root;
            for part in path.split('/') {
                at = at.below.entry(part.to_owned()).or_default();
            }
            at.here.push(index);
        }
        root
    }

    /// Finds the paths whose objects differ between two trees. What is the same as a whole is not looked into.
    fn differing(
        &self,
        repository: &gix::Repository,
        before: Option<gix::ObjectId>,
        after: Option<gix::ObjectId>,
        changed: &mut Vec<usize>,
    ) -> Result<(), String> {
        if before == after {
            return Ok(());
        }
        changed.extend(&self.here);
        if self.below.is_empty() {
            return Ok(());
        }
        let (old, new) = (self.entries(repository, before)?, self.entries(repository, after)?);
        for (name, wanted) in &self.below {
            wanted.differing(repository, old.get(name).copied(), new.get(name).copied(), changed)?;
        }
        Ok(())
    }

    fn entries(
        &self,
        repository: &gix::Repository,
        tree: Option<gix::ObjectId>,
    ) -> Result<BTreeMap<&String, gix::ObjectId>, String> {
        let mut found = BTreeMap::new();
        let Some(id) = tree else { return Ok(found) };
        let object = repository.find_object(id).map_err(|error| missing(repository, chain(&error)))?;
        // A file where a directory was has nothing below it.
        let Ok(tree) = object.try_into_tree() else { return Ok(found) };
        for entry in tree.iter() {
            let entry = entry.map_err(|error| chain(&error))?;
            let Ok(name) = std::str::from_utf8(entry.filename()) else { continue };
            if let Some((name, _)) = self.below.get_key_value(name) {
                found.insert(name, entry.object_id());
            }
        }
        Ok(found)
    }
}
