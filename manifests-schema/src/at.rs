//! `ENVIRONMENT.at.yaml`: another commit than the branch's tip, of which a service's state in one environment is taken.

use crate::{codes, diagnostic::Diagnostic, fields::Fields, node::Node, source::Span};

/// Fewest letters of a commit's id that name it.
const SHORTEST: usize = 7;
/// Longest reason, in letters.
const LONGEST: usize = 500;

/// What such a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The commit: its id, or the first letters of it.
    pub commit: String,
    /// Why.
    pub reason: String,
    /// Where the commit is written.
    pub span: Span,
}

/// Reads such a file.
pub fn read(node: Node, problems: &mut Vec<Diagnostic>) -> Option<At> {
    let place = node.span.clone();
    let mut fields = Fields::new(node, "a file that says at which commit a service is", problems);
    let commit = fields.text("commit");
    let reason = fields.text("reason");
    for (name, value) in [("commit", &commit), ("reason", &reason)] {
        if value.as_ref().is_none_or(|(text, _)| text.trim().is_empty()) {
            let message = format!("`{name}` is missing: the file needs `commit: ID` and `reason: TEXT`");
            fields.problems.push(Diagnostic::error(codes::AT, &place, message));
        }
    }
    fields.finish();
    let ((commit, span), (reason, _)) = commit.zip(reason)?;
    let commit = commit.trim().to_ascii_lowercase();
    let is_id = (SHORTEST..=40).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id && !commit.is_empty() {
        let message = format!("`{commit}` is not the id of a commit: 7 to 40 hex digits");
        problems.push(Diagnostic::error(codes::AT, &span, message));
    }
    let reason: String = reason.trim().chars().map(|it| if it.is_control() { ' ' } else { it }).take(LONGEST).collect();
    (is_id && !reason.is_empty()).then_some(At { commit, reason, span })
}
