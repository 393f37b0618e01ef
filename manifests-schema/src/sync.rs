//! `sync`: how an environment's rounds may act, and what they stop at.

use crate::{codes, diagnostic::Diagnostic, fields::Fields, node::is_whole, source::Span};
use std::time::Duration;

/// How an environment's rounds may act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Plan and report, never write.
    #[default]
    Observe,
    /// Make what runs equal to what is declared.
    Converge,
}

/// A shorter deadline would call every rollout stalled.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(60);

/// The settings of an environment, complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncPolicy {
    /// Whether rounds write.
    pub mode: Mode,
    /// Most rollouts at one time; 0 is no limit.
    pub max_concurrent: usize,
    /// How many rejected services of one change stop the rest of it; 0 is no limit.
    pub stop_after_failures: usize,
    /// Most services whose differences no commit and no parameter explains; more wait for a person. 0 is no limit.
    pub max_unexplained: usize,
    /// Whether services that are not declared any more are deleted.
    pub prune: bool,
    /// How long drift must last before it is healed.
    pub heal_after: Duration,
    /// How long a rollout may go without progress before it is called stalled.
    pub deadline: Duration,
}

impl Default for SyncPolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            max_concurrent: 10,
            stop_after_failures: 3,
            max_unexplained: 10,
            prune: false,
            heal_after: Duration::ZERO,
            deadline: Duration::from_secs(20 * 60),
        }
    }
}

/// The settings as one environment writes them: what it does not name is its parent's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    mode: Option<Mode>,
    max_concurrent: Option<usize>,
    stop_after_failures: Option<usize>,
    max_unexplained: Option<usize>,
    prune: Option<bool>,
    heal_after: Option<Duration>,
    deadline: Option<Duration>,
}

impl Written {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        let mut written = Self::default();
        if let Some((text, span)) = fields.text("mode") {
            match text.as_str() {
                "observe" => written.mode = Some(Mode::Observe),
                "converge" => written.mode = Some(Mode::Converge),
                _ => fields.problems.push(
                    Diagnostic::error(codes::NOT_ALLOWED, &span, format!("`{text}` is not a mode"))
                        .hint("the modes are observe and converge"),
                ),
            }
        }
        written.max_concurrent = count(fields, "maxConcurrent");
        written.stop_after_failures = count(fields, "stopAfterFailures");
        written.max_unexplained = count(fields, "maxUnexplained");
        written.prune = fields.boolean("prune").map(|(value, _)| value);
        written.deadline = span_of_time(fields, "deadline");
        if written.deadline.is_some_and(|deadline| deadline < SHORTEST_DEADLINE) {
            let message = "`deadline` must be a minute or more: a rollout takes that to show anything";
            fields.problems.push(Diagnostic::error(codes::NOT_ALLOWED, fields.span(), message));
            written.deadline = None;
        }
        if let Some(entry) = fields.take("heal") {
            let mut heal = Fields::new(entry.node, "`heal`", fields.problems);
            written.heal_after = span_of_time(&mut heal, "after");
            heal.finish();
        }
        written
    }
}

impl SyncPolicy {
    /// The settings of a chain, outermost first.
    pub(crate) fn of<'a>(chain: impl DoubleEndedIterator<Item = &'a Written> + Clone) -> Self {
        fn last<'a, T: Copy>(
            chain: impl DoubleEndedIterator<Item = &'a Written>,
            pick: fn(&Written) -> Option<T>,
            default: T,
        ) -> T {
            chain.rev().find_map(pick).unwrap_or(default)
        }
        let default = Self::default();
        Self {
            mode: last(chain.clone(), |it| it.mode, default.mode),
            max_concurrent: last(chain.clone(), |it| it.max_concurrent, default.max_concurrent),
            stop_after_failures: last(chain.clone(), |it| it.stop_after_failures, default.stop_after_failures),
            max_unexplained: last(chain.clone(), |it| it.max_unexplained, default.max_unexplained),
            prune: last(chain.clone(), |it| it.prune, default.prune),
            heal_after: last(chain.clone(), |it| it.heal_after, default.heal_after),
            deadline: last(chain, |it| it.deadline, default.deadline),
        }
    }
}

fn count(fields: &mut Fields<'_>, name: &'static str) -> Option<usize> {
    let (text, span) = fields.text(name)?;
    match text.parse() {
        Ok(count) => Some(count),
        Err(_) if is_whole(&text) && !text.starts_with('-') => {
            let message =
                format!("`{name}` is `{text}`, more than the largest number there is room for ({})", usize::MAX);
            fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, message).hint("0 is no limit"));
            None
        }
        Err(_) => {
            refuse(fields, name, &text, &span, "a whole number; 0 is no limit");
            None
        }
    }
}

fn span_of_time(fields: &mut Fields<'_>, name: &'static str) -> Option<Duration> {
    let (text, span) = fields.text(name)?;
    let parsed = parse_span(&text);
    if parsed.is_none() {
        refuse(fields, name, &text, &span, "a duration like 30s, 15m or 2h");
    }
    parsed
}

fn refuse(fields: &mut Fields<'_>, name: &str, text: &str, span: &Span, expected: &str) {
    let message = format!("`{name}` must be {expected}, not `{text}`");
    fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, span, message));
}

/// A duration as people write it: `90s`, `15m`, `1h30m`, `2d`.
pub fn parse_span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let amount: u64 = rest[..digits].parse().ok()?;
        let unit = match rest[digits..].chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(amount.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        let cases =
            [("90s", Some(90)), ("15m", Some(900)), ("1h30m", Some(5400)), ("2d", Some(172_800)), ("0s", Some(0))];
        for (text, seconds) in cases {
            assert_eq!(parse_span(text), seconds.map(Duration::from_secs), "{text}");
        }
        for text in ["", "15", "m", "-1m", "1w", "1.5h", "99999999999999999999d", "9999999999999999999d"] {
            assert_eq!(parse_span(text), None, "{text}");
        }
    }
}
