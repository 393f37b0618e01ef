//! Files that Git could not merge, and that were committed all the same.

use crate::{
    codes,
    diagnostic::Diagnostic,
    source::{SourceFile, Span},
};
use std::sync::Arc;

/// Refuses a file with conflict markers: what a parser says of them is true and helps nobody.
pub(super) fn refuse(file: &Arc<SourceFile>) -> Result<(), Vec<Diagnostic>> {
    if !file.text.contains("<<<<<<< ") {
        return Ok(());
    }
    let mut start = None;
    let mut is_divided = false;
    let mut at = 0;
    for (number, line) in file.text.split_inclusive('\n').enumerate() {
        let text = line.trim_end_matches(['\n', '\r']);
        if text.starts_with("<<<<<<< ") {
            start = Some((number + 1, at..at + text.len()));
            is_divided = false;
        } else if text == "=======" {
            is_divided = true;
        } else if let (true, true, Some((first, range))) = (text.starts_with(">>>>>>> "), is_divided, &start) {
            let message =
                format!("the file has a merge conflict that is not resolved (lines {first} to {})", number + 1);
            let span = Span::new(file, range.clone());
            let problem = Diagnostic::error(codes::SYNTAX, &span, message);
            return Err(vec![problem.hint("keep one of the two sides, remove the markers, and commit the file again")]);
        }
        at += line.len();
    }
    Ok(())
}
