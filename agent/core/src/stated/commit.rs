//! The commit that last changed a service, as people ask for it: which, by whom, what for, when.

use serde::{Deserialize, Serialize};

/// Letters of a commit's id that people are shown.
const SHORT: usize = 10;

/// A commit of the config repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// The author's name.
    pub author: String,
    /// The committer's name: who merged it, where that is another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub committer: String,
    /// The first line of its message.
    pub summary: String,
    /// When it was committed, epoch seconds.
    pub at: i64,
}

impl Commit {
    /// The first letters of its id.
    pub fn short(&self) -> &str {
        short(&self.id)
    }

    /// In words: `commit 4be1d20a77 by Ada Example: web: 1.9.0`.
    pub fn text(&self) -> String {
        let mut text = format!("commit {}", self.short());
        if !self.author.is_empty() {
            text = format!("{text} by {}", self.author);
        }
        if !self.summary.is_empty() {
            text = format!("{text}: {}", self.summary);
        }
        text
    }
}

/// The first letters of a commit's id.
pub fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_in_words() {
        let mut commit = Commit { id: "4be1d20a77c0ffee".into(), ..Commit::default() };
        assert_eq!(commit.text(), "commit 4be1d20a77");
        commit.author = "Ada Example".into();
        commit.summary = "web: 1.9.0".into();
        assert_eq!(commit.text(), "commit 4be1d20a77 by Ada Example: web: 1.9.0");
    }
}
