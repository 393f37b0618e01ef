//! What is wrong with a manifest, and where. Values only: the terminal and JSON renderings live with the program.

use crate::{codes::Code, source::Span};

/// How bad a diagnostic is. Warnings and notes never change an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file (and so its service) is not usable.
    Error,
    /// Usable, but probably not what was meant.
    Warning,
    /// Something that was done on the reader's behalf, for example a read-only member that was dropped.
    Note,
}

/// One statement about a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// The stable code; `lockstep explain` has a page for each.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence in lower case.
    pub message: String,
    /// Where; absent when the statement is about the repository as a whole.
    pub span: Option<Span>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Other places that matter, with a word on each ("first defined here").
    pub related: Vec<(String, Span)>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: Code, span: &Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span: Some(span.clone()),
            hint: None,
            related: Vec::new(),
        }
    }

    /// An error about the repository as a whole.
    pub fn general(code: Code, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), span: None, hint: None, related: Vec::new() }
    }

    /// The same statement as a note.
    #[must_use]
    pub fn as_note(self) -> Self {
        Self { severity: Severity::Note, ..self }
    }

    /// The same statement as a warning.
    #[must_use]
    pub fn as_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds a suggestion from a list of possible names when one of them is near.
    #[must_use]
    pub fn suggest<'a>(self, written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(written, candidates) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// Adds another place.
    #[must_use]
    pub fn related(mut self, label: impl Into<String>, span: &Span) -> Self {
        self.related.push((label.into(), span.clone()));
        self
    }

    /// File path, line and column, where there is a place.
    pub fn place(&self) -> Option<(&str, usize, usize)> {
        self.span.as_ref().map(|span| {
            let (line, column) = span.line_column();
            (span.file.path.as_str(), line, column)
        })
    }
}

/// Whether any of these is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Sorts into file order (path, then position), drops repetitions.
pub fn in_file_order(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| d.span.as_ref().map(|span| (span.file.path.clone(), span.start));
        key(a).cmp(&key(b)).then(a.code.id.cmp(b.code.id)).then_with(|| a.message.cmp(&b.message))
    });
    diagnostics.dedup();
}

/// The candidate nearest to what was written: equal but for the case, a distance of at most a third of its letters,
/// or one that the other contains.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = written.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&lower, &other);
            let contained = lower.len() >= 4 && (other.contains(&lower) || lower.contains(&other)) && other.len() >= 4;
            (if contained { distance.min(2) } else { distance }, candidate)
        })
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(3) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_suggested_and_strangers_are_not() {
        let names = ["containerDefinitions", "cpu", "memory", "networkMode"];
        assert_eq!(nearest("ContainerDefinitons", names), Some("containerDefinitions"));
        assert_eq!(nearest("memroy", names), Some("memory"));
        assert_eq!(nearest("CPU", names), Some("cpu"));
        assert_eq!(nearest("replicas", names), None);
    }
}
