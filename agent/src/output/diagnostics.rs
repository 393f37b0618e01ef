//! Diagnostics for people: the line, what is wrong with it, and what to do.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use lockstep_manifests::{Diagnostic, Severity};

/// One diagnostic with the line it is about.
pub fn render(diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let message = super::clean(&diagnostic.message);
    let title = level.primary_title(&message).id(diagnostic.code.id);
    let path = diagnostic.span.as_ref().map(|span| super::clean(&span.file.path)).unwrap_or_default();
    let hint = diagnostic.hint.as_deref().map(super::clean);
    let mut group: Group<'_> = match &diagnostic.span {
        Some(span) if !span.file.text.is_empty() => {
            let range = span.start as usize..(span.end as usize).max(span.start as usize);
            let range = one_line(&span.file.text, range);
            let mut snippet =
                Snippet::source(&span.file.text).path(&path).annotation(AnnotationKind::Primary.span(range));
            for (label, other) in diagnostic.related.iter().filter(|(_, other)| other.file == span.file) {
                let range = one_line(&other.file.text, other.start as usize..other.end as usize);
                snippet = snippet.annotation(AnnotationKind::Context.span(range).label(label));
            }
            title.element(snippet)
        }
        Some(_) => title.element(annotate_snippets::Origin::path(&path)),
        None => Group::with_title(title),
    };
    for (label, other) in &diagnostic.related {
        if diagnostic.span.as_ref().is_none_or(|span| span.file != other.file) {
            let (line, column) = other.line_column();
            group = group
                .element(Level::NOTE.message(super::clean(&format!("{label}: {}:{line}:{column}", other.file.path))));
        }
    }
    if let Some(hint) = &hint {
        group = group.element(Level::HELP.message(hint));
    }
    Renderer::styled().render(&[group])
}

/// A whole map is pointed at by its first line.
fn one_line(text: &str, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = range.start.min(text.len());
    let end = range.end.min(text.len()).max(start);
    let end = text[start..end].find('\n').map_or(end, |at| start + at);
    start..end
}

/// How many there are of each, in words; none where there is nothing.
pub fn summary(diagnostics: &[Diagnostic]) -> Option<String> {
    let count = |severity: Severity| diagnostics.iter().filter(|one| one.severity == severity).count();
    let words: Vec<String> = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
        .into_iter()
        .map(|(severity, word)| (count(severity), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| super::count(count, word))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}
