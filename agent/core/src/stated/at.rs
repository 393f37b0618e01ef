//! Of which commit a service's state in an environment is taken: of the branch's tip, or of another commit of its
//! first-parent history, with a reason. This is the one place that chooses; what delays a change sets what it chooses by.

use crate::stated::commit::short;
use serde::{Deserialize, Serialize};

/// Another commit than the tip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct At {
    /// The commit's id.
    pub commit: String,
    /// Why.
    pub reason: String,
    /// Commits since that changed the service, and wait.
    pub waiting: usize,
    /// The file that says so.
    pub file: String,
}

impl At {
    /// In words: `at 4be1d20a77: INC-4711; 3 commits wait`.
    pub fn text(&self) -> String {
        let waiting = match self.waiting {
            0 => "no commit waits".to_owned(),
            1 => "1 commit waits".to_owned(),
            count => format!("{count} commits wait"),
        };
        format!("at {}: {}; {waiting}", short(&self.commit), self.reason)
    }
}

/// What a file asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The commit, or the first letters of its id.
    pub commit: &'a str,
    /// Why.
    pub reason: &'a str,
    /// The file.
    pub file: &'a str,
}

/// A commit of the branch's first-parent history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Its id.
    pub commit: String,
    /// Whether it changed the service.
    pub changes: bool,
}

/// Chooses the commit: the tip where nothing is asked for. `history` begins with the tip.
///
/// # Errors
/// A sentence, where the commit that is asked for is not in the history.
pub fn choose(asked: Option<Asked<'_>>, history: &[Past]) -> Result<Option<At>, String> {
    let Some(asked) = asked else { return Ok(None) };
    let Some(at) = history.iter().position(|past| past.commit.starts_with(asked.commit)) else {
        return Err(format!("commit {} is not in the first-parent history of the branch", short(asked.commit)));
    };
    let (since, there) = (&history[..at], &history[at]);
    // The commit that added the file changed nothing that waits.
    let waiting = since.iter().filter(|past| past.changes).count();
    let (reason, file) = (asked.reason.to_owned(), asked.file.to_owned());
    Ok(Some(At { commit: there.commit.clone(), reason, waiting, file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_the_history_is_chosen_and_what_waits_is_counted() {
        let past = |commit: &str, changes| Past { commit: commit.repeat(10), changes };
        let history = [past("cccc", false), past("bbbb", true), past("aaaa", true), past("0000", true)];
        let ask = |commit| Some(Asked { commit, reason: "INC-4711", file: "services/web/prod.at.yaml" });
        assert_eq!(choose(None, &history), Ok(None));
        let at = choose(ask("aaaaaaa"), &history).unwrap().unwrap();
        assert_eq!((at.commit.as_str(), at.waiting), ("a".repeat(40).as_str(), 1));
        assert_eq!(at.text(), "at aaaaaaaaaa: INC-4711; 1 commit waits");
        let tip = choose(ask("ccccccc"), &history).unwrap().unwrap();
        assert_eq!(tip.text(), "at cccccccccc: INC-4711; no commit waits");
        assert_eq!(
            choose(ask("1234567"), &history),
            Err("commit 1234567 is not in the first-parent history of the branch".into())
        );
    }
}
