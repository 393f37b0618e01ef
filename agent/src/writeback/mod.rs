//! Every commit to a config repository: the edits of pins, the window that gathers them, the message, the signature and
//! the push. Used by the agent and by commands.

mod pending;
mod pins;
mod window;

pub(crate) use pending::{Offer, PendingWrites};
pub use pending::{WriteQueue, WriteQueues};
pub use pins::{PinMove, Refused, edit};

use crate::{
    aws::Accounts,
    config::{CommitConfig, resolve_secret},
    git::{FileEdit, NewCommit, PushError, Remote, SigningKey, Tip},
    permit::{Gate, Intent},
};
use lockstep_core::stated::commit::Commit;

/// What is committed.
pub struct FileChange<'a> {
    /// The commit that it was decided on.
    pub base: &'a str,
    /// The files; none for a commit that only says something.
    pub edits: &'a [FileEdit],
    /// The message.
    pub message: &'a str,
    /// How commits look.
    pub config: &'a CommitConfig,
    /// What they are signed with.
    pub key: Option<&'a SigningKey>,
}

/// Commits a change, and pushes it onto the commit that it was decided on. `intent` is told with the files and that
/// commit.
///
/// # Errors
/// When somebody else was faster, when the push is refused or fails, and while the agent ends.
pub fn push(remote: &mut Remote, change: &FileChange<'_>, gate: &Gate, intent: Intent) -> Result<Tip, PushError> {
    let base = remote.tip_at(change.base)?;
    let commit = Commit { id: base.commit.clone(), summary: base.summary.clone(), ..Commit::default() };
    let paths = change.edits.iter().map(|edit| edit.path.clone()).collect();
    let intent = Intent { call: "git:push".to_owned(), commit: Some(commit), paths, ..intent };
    let permit = gate
        .permit(intent)
        .map_err(|stopping| PushError::Refused { branch: String::new(), reason: stopping.to_string() })?;
    let new = NewCommit {
        edits: change.edits,
        message: change.message,
        author: &change.config.author,
        committer: &change.config.committer,
        at: jiff::Timestamp::now().as_second(),
        key: change.key,
    };
    let pushed = remote.commit(&base, &new);
    permit.tell(&pushed, |tip| Some(tip.commit.clone()));
    pushed
}

/// The key that commits are signed with, where one is configured. Without it nothing is written unsigned.
///
/// # Errors
/// A sentence that names the key's place, never the key.
pub async fn signing_key(config: &CommitConfig, accounts: &Accounts) -> Result<Option<SigningKey>, String> {
    match &config.signing_key {
        None => Ok(None),
        Some(secret) => SigningKey::parse(&resolve_secret(secret, accounts).await?).map(Some),
    }
}
