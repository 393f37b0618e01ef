//! Files that are templates, or are written for another tool: told so in one sentence instead of in what follows of it.

use crate::{
    codes,
    diagnostic::{Diagnostic, Severity},
    source::{SourceFile, Span},
};
use std::sync::Arc;

/// So many members in CloudFormation's spelling are no slips.
const MANY: usize = 3;

/// The problems of one file. Where errors come from what the file is, one sentence stands for them.
pub(crate) fn recognise(problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let errors: Vec<(&Diagnostic, &Span)> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .filter_map(|problem| Some((problem, problem.span.as_ref()?)))
        .collect();
    let Some((_, first)) = errors.first() else { return problems };
    let file = first.file.clone();
    if let Some(found) = cloudformation(&file, &errors) {
        return std::iter::once(found)
            .chain(problems.into_iter().filter(|it| it.severity != Severity::Error))
            .collect();
    }
    let Some((place, mark)) =
        errors.iter().find_map(|(problem, span)| Some(((*span).clone(), mark_at(problem, span)?)))
    else {
        return problems;
    };
    let line = place.line_column().0;
    let message = format!("the file looks like a template (`{mark}` in line {line}); Lockstep reads it as it is");
    let found = Diagnostic::error(codes::TEMPLATE, &place, message).hint(
        "write what the template makes of it, or variables of Lockstep: `${{ vars.NAME }}` with NAME under `vars:`",
    );
    let is_of_template =
        |problem: &Diagnostic| problem.span.as_ref().is_some_and(|span| mark_at(problem, span).is_some());
    let others = problems.iter().filter(|problem| problem.severity != Severity::Error || !is_of_template(problem));
    std::iter::once(found).chain(others.cloned()).collect()
}

/// The part of a template that an error is about.
fn mark_at(problem: &Diagnostic, span: &Span) -> Option<String> {
    if problem.code == codes::SYNTAX { mark(line_of(span)) } else { mark(span.text().lines().next()?) }
}

fn line_of(span: &Span) -> &str {
    let text = &span.file.text;
    let start = text[..span.start as usize].rfind('\n').map_or(0, |at| at + 1);
    let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    &text[start..end]
}

/// `{{ x }}`, `{% if %}`, `<% x %>`, `$NAME` or `${NAME}` in a text: not `${{ x }}`, which is ours.
fn mark(text: &str) -> Option<String> {
    for (open, close) in [("{{", "}}"), ("{%", "%}"), ("<%", "%>")] {
        for (at, _) in text.match_indices(open) {
            if text[..at].ends_with('$') {
                continue;
            }
            if let Some(length) = text[at..].find(close) {
                return Some(cut(&text[at..at + length + close.len()]));
            }
        }
    }
    for (at, _) in text.match_indices('$') {
        let rest = &text[at + 1..];
        let (name, closes) = match rest.strip_prefix('{') {
            Some(inner) => (inner, true),
            None => (rest, false),
        };
        let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
        if is_name && (!closes || name[length..].starts_with('}')) {
            return Some(cut(&text[at..at + 1 + length + 2 * usize::from(closes)]));
        }
    }
    None
}

fn cut(mark: &str) -> String {
    if mark.chars().count() <= 40 { mark.to_owned() } else { mark.chars().take(39).chain(['…']).collect() }
}

const FUNCTIONS: [&str; 12] = [
    "!Ref",
    "!Sub",
    "!GetAtt",
    "!Join",
    "!If",
    "!Select",
    "!Split",
    "!ImportValue",
    "!FindInMap",
    "!Base64",
    "!Equals",
    "!Cidr",
];

/// What CloudFormation's own files, and files in its spelling, are told.
fn cloudformation(file: &Arc<SourceFile>, errors: &[(&Diagnostic, &Span)]) -> Option<Diagnostic> {
    let hint = "`aws ecs describe-task-definition` and `describe-services` print what is deployed in the form that Lockstep takes";
    let function = errors.iter().find_map(|(problem, span)| {
        let word = span.text().split(|letter: char| letter.is_whitespace() || "[{\"'".contains(letter)).next()?;
        (problem.code == codes::SYNTAX && FUNCTIONS.contains(&word)).then_some((*span, word))
    });
    if let Some((span, word)) = function {
        let line = span.line_column().0;
        let message = format!(
            "the file looks like a CloudFormation template (`{word}` in line {line}); Lockstep reads it without CloudFormation's functions"
        );
        return Some(Diagnostic::error(codes::TEMPLATE, span, message).hint(hint));
    }
    let is_pascal = |span: &Span| {
        let name = span.text().trim_matches(['"', '\'']);
        name.starts_with(|letter: char| letter.is_ascii_uppercase())
            && name.contains(|letter: char| letter.is_ascii_lowercase())
    };
    let mut pascal = errors.iter().filter(|(problem, span)| problem.code == codes::UNKNOWN_KEY && is_pascal(span));
    let first = pascal.next().map(|(_, span)| *span);
    let is_other = file.text.contains("AWSTemplateFormatVersion") || file.text.contains("AWS::ECS::");
    let place = match first {
        Some(first) if pascal.count() + 1 >= MANY || is_other => first,
        _ if is_other => errors.first()?.1,
        _ => return None,
    };
    let word = place.text().trim_matches(['"', '\'']).lines().next().unwrap_or_default();
    let message = match is_other {
        true => "the file is a CloudFormation template; Lockstep takes the ECS API's own form".to_owned(),
        false => format!(
            "the members are written as CloudFormation writes them (`{}`); Lockstep takes the ECS API's own names (`{}`)",
            cut(word),
            cut(&lower_first(word))
        ),
    };
    Some(Diagnostic::error(codes::TEMPLATE, place, message).hint(hint))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Side, read};

    fn said(path: &str, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let _ = read(&SourceFile::new(path, text), Side::Declared, &mut problems);
        problems.into_iter().map(|problem| problem.message).collect()
    }

    // I9: a template is told so in one sentence.
    #[test]
    fn a_template_is_called_that_in_one_sentence() {
        let template = |mark: &str, line: usize| {
            vec![format!("the file looks like a template (`{mark}` in line {line}); Lockstep reads it as it is")]
        };
        let json = |cpu: &str| {
            format!(
                "{{\"family\": \"a\",\n\"containerDefinitions\": [{{\"name\": \"a\", \"image\": \"i\", \"memory\": {cpu}, \"cpu\": {cpu}}}]}}"
            )
        };
        assert_eq!(said("a.json", &json("{{ memory }}")), template("{{ memory }}", 2));
        assert_eq!(said("a.json", &json("\"$MEMORY\"")), template("$MEMORY", 2));
        assert_eq!(said("a.json", &json("${MEMORY}")), template("${MEMORY}", 2));
        assert_eq!(
            said("a.yaml", "family: a\ncontainerDefinitions:\n  - { name: a, memory: {{ memory }} }\n"),
            template("{{ memory }}", 3)
        );
        assert_eq!(said("a.yaml", "family: a\n{% if x %}\ncpu: 1\n"), template("{% if x %}", 2));
        let text = "family: a\ncontainerDefinitions:\n  - name: a\n    image: !Ref Image\n    memory: !Sub \"${X}\"\n";
        assert_eq!(
            said("a.yaml", text),
            [
                "the file looks like a CloudFormation template (`!Ref` in line 4); Lockstep reads it without CloudFormation's functions"
            ]
        );
        let pascal = "Family: a\nContainerDefinitions:\n  - { Name: a, Image: i }\nCpu: 256\n";
        assert_eq!(
            said("a.yaml", pascal),
            [
                "the members are written as CloudFormation writes them (`Family`); Lockstep takes the ECS API's own names (`family`)"
            ]
        );
        assert_eq!(
            said("a.yaml", "AWSTemplateFormatVersion: 2010-09-09\nResources: {}\n"),
            ["the file is a CloudFormation template; Lockstep takes the ECS API's own form"]
        );
    }

    #[test]
    fn what_is_no_template_is_told_what_is_wrong() {
        // Docker's log tags, shells and our own substitutions have such marks and are right.
        let text = "family: a\ncontainerDefinitions:\n  - { name: a, image: i, memory: x, command: [sh, -c, \"echo $HOME {{x}}\"] }\n";
        assert_eq!(said("a.yaml", text), ["`memory` must be a whole number, not `x`"]);
        assert_eq!(
            said("a.yaml", "family: a\ncontainerDefinitions: []\nCpu: 256\n"),
            ["taskDefinition has no member `Cpu`"]
        );
        assert_eq!(mark("${{ vars.x }}"), None);
        assert_eq!(mark("$5 ${} $$"), None);
    }
}
