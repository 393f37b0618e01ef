//! What a branch was before: the commits behind its tip.

use super::{GitError, Tip, chain, objects::tip_of};
use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;

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
