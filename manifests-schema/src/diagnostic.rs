//! What is wrong with a manifest, and where. Values only: the terminal and JSON renderings live with the program.

use crate::{
    codes::{self, Code},
    source::Span,
    template,
};

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
            message: shortened(message.into()),
            span: Some(span.clone()),
            hint: None,
            related: Vec::new(),
        }
    }

    /// An error about the repository as a whole.
    pub fn general(code: Code, message: impl Into<String>) -> Self {
        let message = shortened(message.into());
        Self { code, severity: Severity::Error, message, span: None, hint: None, related: Vec::new() }
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

    /// Adds a suggestion from a list of possible names when one of them is near. Where names come from a repository, and
    /// so may be many, [`suggest`] is the way.
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

/// Most letters of a message: what is named in it was written by others.
const LONGEST_MESSAGE: usize = 2_000;
/// Those of them that its end gets, where it is longer.
const END_OF_MESSAGE: usize = 600;

/// A long message without its middle: what is said of a name stands before and after it.
fn shortened(message: String) -> String {
    if message.len() <= LONGEST_MESSAGE {
        return message;
    }
    let place = |number: usize| message.char_indices().nth(number).map(|(at, _)| at);
    let end = message.char_indices().rev().nth(END_OF_MESSAGE - 1).map_or(0, |(at, _)| at);
    match place(LONGEST_MESSAGE - END_OF_MESSAGE) {
        Some(start) if start < end => format!("{}…{}", &message[..start], &message[end..]),
        _ => message,
    }
}

/// Whether any of these is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Most diagnostics of a file that are worked out and shown; the rest are counted.
pub const MOST_OF_A_FILE: usize = 200;
/// So many of the first diagnostics of a list come with a suggestion.
const SUGGESTIONS: usize = 50;
/// So many names are looked at for a suggestion.
const CANDIDATES: usize = 1_000;
/// Longer names are not compared.
const LONGEST_NAME: usize = 64;

/// Adds a problem, with a suggestion while the list is short: who has this many problems has another one.
pub fn suggest<'a>(
    problems: &mut Vec<Diagnostic>,
    problem: Diagnostic,
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) {
    let problem = if problems.len() < SUGGESTIONS { problem.suggest(written, candidates) } else { problem };
    problems.push(problem);
}

/// Sorts into file order (path, then position), drops repetitions.
pub fn in_file_order(diagnostics: &mut Vec<Diagnostic>) {
    fn place(diagnostic: &Diagnostic) -> Option<(&str, u32)> {
        diagnostic.span.as_ref().map(|span| (span.file.path.as_str(), span.start))
    }
    diagnostics
        .sort_by(|a, b| place(a).cmp(&place(b)).then(a.code.id.cmp(b.code.id)).then_with(|| a.message.cmp(&b.message)));
    diagnostics.dedup();
}

/// Sorts into file order, says of a template in one sentence that it is one, and keeps the first [`MOST_OF_A_FILE`] of each
/// file, errors before all else: of the others it is said how many there are.
pub fn cut(diagnostics: &mut Vec<Diagnostic>) {
    if diagnostics.is_empty() {
        return;
    }
    in_file_order(diagnostics);
    let mut kept: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    let mut rest = std::mem::take(diagnostics).into_iter().peekable();
    while let Some(first) = rest.next() {
        let path = first.span.as_ref().map(|span| span.file.path.clone());
        let mut of_file = vec![first];
        while let Some(next) = rest.next_if(|next| next.span.as_ref().map(|span| &span.file.path) == path.as_ref()) {
            of_file.push(next);
        }
        of_file = template::recognise(of_file);
        if of_file.len() > MOST_OF_A_FILE {
            of_file = cut_file(of_file);
        }
        kept.append(&mut of_file);
    }
    *diagnostics = kept;
}

fn cut_file(mut all: Vec<Diagnostic>) -> Vec<Diagnostic> {
    all.sort_by_key(|problem| problem.severity);
    let left = all.split_off(MOST_OF_A_FILE - 1);
    in_file_order(&mut all);
    let worst = left.iter().map(|problem| problem.severity).min().unwrap_or(Severity::Note);
    let count = |severity: Severity| left.iter().filter(|problem| problem.severity == severity).count();
    let words: Vec<String> = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
        .into_iter()
        .map(|(severity, word)| (count(severity), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} more {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    let file = all.first().and_then(|problem| problem.span.as_ref()).map(|span| span.file.clone());
    let span = file.map(|file| Span::new(&file, file.text.len()..file.text.len()));
    let message = format!("the file has {}", words.join(" and "));
    let rest = Diagnostic { severity: worst, span, ..Diagnostic::general(codes::TOO_MANY, message) };
    all.push(rest.hint("the first ones are shown; the others often have the same cause"));
    all
}

/// The candidate nearest to what was written: equal but for the case, a distance of at most a third of its letters,
/// or one that the other contains. Long names, and names beyond the first thousand, are not looked at.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > LONGEST_NAME {
        return None;
    }
    let lower = written.to_lowercase();
    let letters = lower.chars().count();
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates.into_iter().take(CANDIDATES).filter(|candidate| candidate.len() <= LONGEST_NAME) {
        let most = (candidate.chars().count().max(3) / 3).max(1);
        let most = best.map_or(most, |(distance, _)| most.min(distance.saturating_sub(1)));
        let other = candidate.to_lowercase();
        let contained = lower.len() >= 4 && (other.contains(&lower) || lower.contains(&other)) && other.len() >= 4;
        let apart = other.chars().count().abs_diff(letters).max(strangers(&lower, &other));
        let distance = match contained {
            true if apart >= 2 => 2,
            false if apart > most => continue,
            _ => strsim::osa_distance(&lower, &other),
        };
        let distance = if contained { distance.min(2) } else { distance };
        if distance <= most {
            best = Some((distance, candidate));
        }
        if distance == 0 {
            break;
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A distance that two names have at least, by the letters that one has more often than the other. Far cheaper than the
/// distance itself, which most names then need not be asked for.
fn strangers(a: &str, b: &str) -> usize {
    if !(a.is_ascii() && b.is_ascii()) {
        return 0;
    }
    let mut counts = [0i32; 32];
    a.bytes().for_each(|byte| counts[usize::from(byte % 32)] += 1);
    b.bytes().for_each(|byte| counts[usize::from(byte % 32)] -= 1);
    let more = |sign: i32| counts.iter().map(|count| (count * sign).max(0)).sum::<i32>();
    usize::try_from(more(1).max(more(-1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;
    use proptest::prelude::*;

    // H15: a name of 900,000 letters, in a message that ends in a log line, a state and a terminal.
    #[test]
    fn a_message_is_not_as_long_as_what_it_names() {
        let long = |name: &str| Diagnostic::general(codes::UNKNOWN_NAME, format!("there is no `{name}` here")).message;
        let message = long(&"ä".repeat(900_000));
        assert_eq!(message.chars().count(), LONGEST_MESSAGE + 1);
        assert!(message.starts_with("there is no `ä") && message.ends_with("ä` here") && message.contains("ä…ä"));
        let whole = "x".repeat(LONGEST_MESSAGE - 20);
        assert_eq!(long(&whole), format!("there is no `{whole}` here"));
        assert_eq!(long(&"ä".repeat(1_500)).chars().count(), 1_519);
    }

    #[test]
    fn the_nearest_name_is_suggested_and_strangers_are_not() {
        let names = ["containerDefinitions", "cpu", "memory", "networkMode"];
        assert_eq!(nearest("ContainerDefinitons", names), Some("containerDefinitions"));
        assert_eq!(nearest("memroy", names), Some("memory"));
        assert_eq!(nearest("CPU", names), Some("cpu"));
        assert_eq!(nearest("replicas", names), None);
    }

    // H6: 45,000 unknown members took minutes and as many sentences.
    #[test]
    fn of_a_file_the_first_are_kept_and_the_rest_are_counted() {
        let (file, other) = (SourceFile::new("a.yaml", "x".repeat(2_000)), SourceFile::new("b.yaml", "x"));
        let one =
            |file, at: usize| Diagnostic::error(codes::UNKNOWN_KEY, &Span::new(file, at..at + 1), format!("no {at}"));
        let mut problems: Vec<Diagnostic> = (0..1_000).map(|at| one(&file, at)).collect();
        problems.extend((1_000..1_300).map(|at| one(&file, at).as_note()));
        problems.push(one(&file, 1_999));
        problems.push(one(&other, 0));
        problems.reverse();
        cut(&mut problems);
        assert_eq!(problems.len(), 201);
        assert_eq!(problems[198].message, "no 198");
        assert_eq!(problems[199].message, "the file has 802 more errors and 300 more notes");
        assert_eq!((problems[199].severity, problems[199].code.id), (Severity::Error, "LS0006"));
        assert_eq!(problems[200].message, "no 0");
        let mut few: Vec<Diagnostic> = (0..200).map(|at| one(&file, at)).collect();
        cut(&mut few);
        assert_eq!(few.len(), 200, "as many as are shown need no counting");
    }

    #[test]
    fn only_the_first_of_many_problems_come_with_a_suggestion() {
        let file = SourceFile::new("a.yaml", "");
        let mut problems = Vec::new();
        for _ in 0..1_000 {
            suggest(
                &mut problems,
                Diagnostic::error(codes::UNKNOWN_KEY, &Span::of_file(&file), "x"),
                "memry",
                ["memory"],
            );
        }
        assert_eq!(problems.iter().filter(|problem| problem.hint.is_some()).count(), SUGGESTIONS);
        assert_eq!(nearest(&"a".repeat(65), ["aa"]), None, "what is that long is not compared");
    }

    proptest! {
        #[test]
        fn what_is_skipped_would_not_have_been_near(a in "[a-e]{1,12}", b in "[a-eé]{1,12}") {
            prop_assert!(strangers(&a, &b) <= strsim::osa_distance(&a, &b));
        }
    }
}
