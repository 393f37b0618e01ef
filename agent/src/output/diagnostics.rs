//! Diagnostics for people: the line, what is wrong with it, and what to do.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use lockstep_manifests::{Diagnostic, Severity, source::Span};
use std::ops::Range;

/// Longest text of a file that is shown with its problem, in bytes. Drawing takes time that grows faster than the text.
const LONGEST_SHOWN: usize = 4_000;

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
    let labels: Vec<String> = diagnostic.related.iter().map(|(label, _)| super::clean(label)).collect();
    let mut group: Group<'_> = match &diagnostic.span {
        Some(span) if !span.file.text.is_empty() => {
            let text = &span.file.text;
            let place = |span: &Span| one_line(text, span.start as usize..(span.end as usize).max(span.start as usize));
            let others: Vec<_> = labels.iter().zip(&diagnostic.related).collect();
            let others = others.into_iter().filter(|(_, (_, other))| other.file == span.file);
            let others: Vec<_> = others.map(|(label, (_, other))| (label, place(other))).collect();
            // The renderer looks at all that it is given, for each diagnostic: it gets the lines that matter.
            let primary = place(span);
            let ranges = || others.iter().map(|(_, range)| range).chain([&primary]);
            let first = ranges().map(|range| range.start).min().unwrap_or_default();
            let last = ranges().map(|range| range.end).max().unwrap_or_default();
            let begin = text[..first].rfind('\n').map_or(0, |at| at + 1);
            let end = text[last..].find('\n').map_or(text.len(), |at| last + at + 1);
            if end - begin > LONGEST_SHOWN || holds_secret(&text[begin..end]) {
                let (line, column) = span.line_column();
                title.element(annotate_snippets::Origin::path(&path).line(line).char_column(column))
            } else {
                let shifted = |range: &Range<usize>| range.start - begin..range.end - begin;
                let number = 1 + text[..begin].bytes().filter(|byte| *byte == b'\n').count();
                let mut snippet = Snippet::source(&text[begin..end]).line_start(number).path(&path);
                snippet = snippet.annotation(AnnotationKind::Primary.span(shifted(&primary)));
                for (label, range) in &others {
                    snippet = snippet.annotation(AnnotationKind::Context.span(shifted(range)).label(*label));
                }
                title.element(snippet)
            }
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
    // Escapes in lines of the file are replaced by the renderer, and the other texts were cleaned: what is left is its own.
    super::terminal::marked(&Renderer::styled().render(&[group]))
}

/// All diagnostics, each with its line; of notes one line for each file, unless all are asked for.
pub fn listed(diagnostics: &[Diagnostic], every_note: bool) -> Vec<String> {
    let is_short = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Note && !every_note;
    let mut texts: Vec<String> = diagnostics.iter().filter(|it| !is_short(it)).map(render).collect();
    let mut notes: Vec<(&str, Vec<&str>)> = Vec::new();
    for note in diagnostics.iter().filter(is_short) {
        let path = note.span.as_ref().map_or("", |span| span.file.path.as_str());
        match notes.last_mut() {
            Some((last, titles)) if *last == path => titles.push(note.code.title),
            _ => notes.push((path, vec![note.code.title])),
        }
    }
    for (path, mut titles) in notes {
        let count = super::count(titles.len(), "note");
        titles.sort_unstable();
        titles.dedup();
        texts.push(format!("note: {}: {count} ({}); -v shows all", super::clean(path), titles.join(", ")));
    }
    texts
}

/// Whether a line holds a secret itself, and not the name of one: such a line is named and not drawn, because what draws
/// it often goes into a log that more people read than the file.
fn holds_secret(lines: &str) -> bool {
    const NAMES: &[&str] = &["env:", "file:", "ssm:", "secretsmanager:", "arn:", "/", "${{"];
    lockstep_core::mask::hidden(lines).into_iter().any(|text| match text.strip_prefix(['[', '{']) {
        Some(inner) => holds_secret(inner),
        None => !NAMES.iter().any(|name| text.starts_with(name)),
    })
}

/// A whole map is pointed at by its first line.
fn one_line(text: &str, range: Range<usize>) -> Range<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_manifests::{codes, source::SourceFile};

    // H13: a line of a file with escapes of both sets and a turned direction.
    #[test]
    fn a_line_of_a_file_brings_no_escapes() {
        let line = "cluster: a\u{1b}]0;x\u{7}\u{9b}2J\u{202e}b\n";
        let file = std::sync::Arc::new(SourceFile { path: "a\u{9b}.yaml".into(), text: line.into() });
        let span = Span { file, start: 9, end: 12 };
        let diagnostic = Diagnostic::error(codes::BAD_NAME, &span, "bad \u{1b}[31mname").hint("say \u{9b}2J");
        let text = super::super::terminal::shown(&render(&diagnostic));
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(
            plain.chars().all(|letter| letter == '\n' || !letter.is_control() && letter != '\u{202e}'),
            "{plain:?}"
        );
        assert!(text.contains("\u{1b}[1m"), "our own colours are there: {text:?}");
        assert!(!text.contains("\u{1b}]") && !text.contains("\u{1b}[31mname"), "{text:?}");
    }

    // H12: whoever writes a secret where its name belongs finds it in the log of the one who was told.
    #[test]
    fn a_line_with_a_secret_is_named_and_not_drawn() {
        let shown = |line: &str| {
            let file = std::sync::Arc::new(SourceFile { path: "a.yaml".into(), text: line.into() });
            let span = Span { file, start: 0, end: 2 };
            let text = super::super::terminal::shown(&render(&Diagnostic::error(codes::BAD_NAME, &span, "bad")));
            anstream::adapter::strip_str(&text).to_string()
        };
        for line in [
            "    token: canary\n",
            "    token: \"canary\n",
            "  - { id: a, token: canary }\n",
            "  secrets: { DB_PASSWORD: canary }\n",
            "  username: glpat-canary-0123\n",
            "  repository: https://u:canary@git.example/x.git\n",
        ] {
            let text = shown(line);
            assert!(text.contains("a.yaml:1:1") && !text.contains("canary"), "{text}");
        }
        for line in ["    token: env:TOKEN\n", "  secrets: { DB_PASSWORD: /shop/db }\n", "  DB: ${{ ssm:/shop/db }}\n"]
        {
            let text = shown(line);
            assert!(text.contains(line.trim()), "{text}");
        }
    }

    // H6: drawing a long line took a second for each problem in it.
    #[test]
    fn a_long_line_is_named_and_not_drawn() {
        let line = format!("first: 1\nsecond: {}\n", "x".repeat(LONGEST_SHOWN));
        let file = std::sync::Arc::new(SourceFile { path: "a.yaml".into(), text: line.as_str().into() });
        let span = |start, end| Span { file: file.clone(), start, end };
        let shown = |span: &Span| {
            let text = super::super::terminal::shown(&render(&Diagnostic::error(codes::BAD_NAME, span, "bad")));
            anstream::adapter::strip_str(&text).to_string()
        };
        let long = shown(&span(17, 20));
        assert!(long.contains("a.yaml:2:9") && !long.contains("xxx"), "{long}");
        let short = shown(&span(0, 5));
        assert!(short.contains("a.yaml:1:1") && short.contains("first: 1"), "{short}");
    }
}
