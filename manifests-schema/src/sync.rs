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

/// In which directions drift of a service's desired count is healed, narrowest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CountRule {
    /// A live count is left alone.
    Never,
    /// A count below Git's is raised. One above it is lowered only when it has lasted: somebody raised it for a reason.
    #[default]
    Up,
    /// In both directions at once.
    Both,
}

/// Whether and when drift is healed. Commits are not drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Heal {
    /// Drift is reported and left alone.
    Never,
    /// Drift is healed.
    When {
        /// How long it must last before.
        after: Duration,
        /// What holds for the desired count.
        count: CountRule,
    },
}

impl Default for Heal {
    fn default() -> Self {
        Self::When { after: Duration::ZERO, count: CountRule::default() }
    }
}

/// What a service says of `sync`. It only narrows what its environment allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Narrowing {
    /// Whether the service is observed only.
    pub observe: bool,
    /// Whether its drift is never healed.
    #[serde(default)]
    pub heal_never: bool,
    /// How long its drift must last at least before it is healed.
    #[serde(default)]
    pub after: Duration,
    /// The rule for its desired count; the environment's where there is none.
    #[serde(default)]
    pub count: Option<CountRule>,
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
    /// Whether services that are no longer declared are deleted.
    pub prune: bool,
    /// Whether and when drift is healed.
    pub heal: Heal,
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
            heal: Heal::default(),
            deadline: Duration::from_secs(20 * 60),
        }
    }
}

/// `heal` as it is written: the members that a map does not name are the parent's.
#[derive(Clone, Copy, Debug)]
enum WrittenHeal {
    Never,
    Map { after: Option<Duration>, count: Option<CountRule> },
}

/// The settings as one environment writes them: what it does not name is its parent's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    mode: Option<Mode>,
    max_concurrent: Option<usize>,
    stop_after_failures: Option<usize>,
    max_unexplained: Option<usize>,
    prune: Option<bool>,
    heal: Option<WrittenHeal>,
    deadline: Option<Duration>,
}

impl Written {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        let mut written = Self { mode: mode(fields).map(|(mode, _)| mode), ..Self::default() };
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
        written.heal = heal(fields);
        written
    }
}

/// `sync` of a layer, as it is written. Later layers replace members of earlier ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WrittenNarrowing {
    observe: bool,
    heal: Option<WrittenHeal>,
}

impl WrittenNarrowing {
    /// Reads `sync` of a layer of a service.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let entry = fields.take("sync")?;
        let mut inner = Fields::new(entry.node, "`sync` of a service", fields.problems);
        let mode = mode(&mut inner);
        if let Some((Mode::Converge, span)) = &mode {
            let message = "a service can only narrow what its environment allows: `mode: observe`";
            let hint = "remove it: without `mode`, the environment's holds";
            inner.problems.push(Diagnostic::error(codes::NOT_ALLOWED, span, message).hint(hint));
        }
        let read = Self { observe: matches!(mode, Some((Mode::Observe, _))), heal: heal(&mut inner) };
        inner.finish();
        Some(read)
    }
}

impl Narrowing {
    /// Takes what a later layer says.
    pub(crate) fn take(&mut self, layer: &WrittenNarrowing) {
        self.observe |= layer.observe;
        match layer.heal {
            Some(WrittenHeal::Never) => self.heal_never = true,
            Some(WrittenHeal::Map { after, count }) => {
                self.heal_never = false;
                self.after = after.unwrap_or(self.after);
                self.count = count.or(self.count);
            }
            None => {}
        }
    }
}

fn mode(fields: &mut Fields<'_>) -> Option<(Mode, Span)> {
    let (text, span) = fields.text("mode")?;
    match text.as_str() {
        "observe" => Some((Mode::Observe, span)),
        "converge" => Some((Mode::Converge, span)),
        _ => {
            fields.problems.push(
                Diagnostic::error(codes::NOT_ALLOWED, &span, format!("`{text}` is not a mode"))
                    .hint("the modes are observe and converge"),
            );
            None
        }
    }
}

fn heal(fields: &mut Fields<'_>) -> Option<WrittenHeal> {
    let entry = fields.take("heal")?;
    if entry.node.as_str() == Some("never") {
        return Some(WrittenHeal::Never);
    }
    if let Some(text) = entry.node.scalar_text() {
        let message = format!("`heal` is `never`, or a map of after and count, not `{text}`");
        fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &entry.node.span, message));
        return None;
    }
    let mut heal = Fields::new(entry.node, "`heal`", fields.problems);
    let after = span_of_time(&mut heal, "after");
    let count = heal.text("count").and_then(|(text, span)| match text.as_str() {
        "up" => Some(CountRule::Up),
        "both" => Some(CountRule::Both),
        "never" => Some(CountRule::Never),
        _ => {
            let message = format!("`{text}` is not a rule for the desired count");
            let hint = "the rules are up (a count raised by hand is lowered after an hour), both (at once) and never";
            heal.problems.push(Diagnostic::error(codes::NOT_ALLOWED, &span, message).hint(hint));
            None
        }
    });
    heal.finish();
    Some(WrittenHeal::Map { after, count })
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
            heal: heal_of(chain.clone()),
            deadline: last(chain, |it| it.deadline, default.deadline),
        }
    }

    /// Whether and when drift of a service is healed: the narrower of both.
    pub fn heal_of(&self, service: &Narrowing) -> Heal {
        match self.heal {
            Heal::When { after, count } if !service.heal_never => Heal::When {
                after: after.max(service.after),
                count: service.count.map_or(count, |narrower| narrower.min(count)),
            },
            _ => Heal::Never,
        }
    }
}

/// Member by member, as everything of `sync`; `never` takes the place of the whole map, and a map that of `never`.
fn heal_of<'a>(chain: impl Iterator<Item = &'a Written>) -> Heal {
    chain.filter_map(|written| written.heal).fold(Heal::default(), |before, written| match (written, before) {
        (WrittenHeal::Never, _) => Heal::Never,
        (WrittenHeal::Map { after, count }, Heal::When { after: old, count: kept }) => {
            Heal::When { after: after.unwrap_or(old), count: count.unwrap_or(kept) }
        }
        (WrittenHeal::Map { after, count }, Heal::Never) => {
            Heal::When { after: after.unwrap_or_default(), count: count.unwrap_or_default() }
        }
    })
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

    /// K1: a service narrows what its environment allows, and never widens it.
    #[test]
    fn a_service_only_narrows() {
        let minute = Duration::from_secs(60);
        let policy = |heal| SyncPolicy { heal, ..SyncPolicy::default() };
        let when = |after, count| Heal::When { after, count };
        let service = |after, count| Narrowing { after, count, ..Narrowing::default() };
        let environment = policy(when(minute, CountRule::Up));
        assert_eq!(environment.heal_of(&Narrowing::default()), when(minute, CountRule::Up));
        assert_eq!(environment.heal_of(&service(2 * minute, Some(CountRule::Both))), when(2 * minute, CountRule::Up));
        assert_eq!(
            environment.heal_of(&service(Duration::ZERO, Some(CountRule::Never))),
            when(minute, CountRule::Never)
        );
        assert_eq!(environment.heal_of(&Narrowing { heal_never: true, ..Narrowing::default() }), Heal::Never);
        assert_eq!(policy(Heal::Never).heal_of(&service(minute, Some(CountRule::Both))), Heal::Never);
    }

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
