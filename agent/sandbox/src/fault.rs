//! Faults on demand: which call, when, and what happens to it.

use serde::{Deserialize, Serialize};

use crate::ids::Ids;

/// A rule that spoils calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// `service:Operation`; a `*` at the end stands for the rest.
    pub operation: String,
    /// Only in this account.
    #[serde(default)]
    pub account: Option<String>,
    /// Only in this region.
    #[serde(default)]
    pub region: Option<String>,
    /// Which of the matching calls.
    #[serde(default)]
    pub when: When,
    /// Whether the call still has its effect.
    #[serde(default)]
    pub timing: Timing,
    /// What happens.
    pub effect: Effect,
}

impl Fault {
    /// A fault on every call of an operation, before it has an effect.
    pub fn new(operation: impl Into<String>, effect: Effect) -> Self {
        Self {
            operation: operation.into(),
            account: None,
            region: None,
            when: When::Always,
            timing: Timing::Before,
            effect,
        }
    }

    /// The same fault on chosen calls only.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// The same fault at another point.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The same fault in one account only.
    #[must_use]
    pub fn in_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }
}

/// Which of the calls that match, counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// All of them.
    #[default]
    Always,
    /// Only the n-th.
    Nth(u64),
    /// Each n-th.
    Every(u64),
    /// The first n.
    First(u64),
    /// So many in a hundred, by chance.
    Percent {
        /// How many in a hundred.
        share: u64,
        /// Decides which; the same seed strikes the same calls.
        seed: u64,
    },
}

/// Before or after the effect of the call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Timing {
    /// The call has no effect.
    #[default]
    Before,
    /// The call has its effect; only the answer is lost.
    After,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// `AccessDeniedException` in the words of IAM.
    Deny,
    /// `ThrottlingException`.
    Throttle,
    /// HTTP 500.
    InternalError,
    /// An error of choice.
    Error {
        /// The shape name.
        code: String,
        /// The message.
        message: String,
        /// The HTTP status.
        status: u16,
    },
    /// The connection ends without an answer.
    Drop,
    /// No answer ever comes, and the connection stays.
    Hang,
    /// The answer comes later, by so many real seconds.
    Delay(f64),
    /// A read answers as it would have before the latest write, for so many virtual seconds after it.
    Stale(f64),
    /// Every member of this name in the answer has this value: a status that nobody knows yet, say.
    Replace {
        /// The name of the member.
        member: String,
        /// Its value.
        value: serde_json::Value,
    },
}

/// A fault and how often it has matched.
#[derive(Debug)]
pub(crate) struct Armed {
    pub(crate) fault: Fault,
    pub(crate) matched: u64,
    pub(crate) struck: u64,
}

impl From<Fault> for Armed {
    fn from(fault: Fault) -> Self {
        Self { fault, matched: 0, struck: 0 }
    }
}

impl Armed {
    /// Counts a call and says whether the fault strikes.
    pub(crate) fn strikes(&mut self, operation: &str, account: &str, region: &str) -> bool {
        let fault = &self.fault;
        let named = match fault.operation.strip_suffix('*') {
            Some(prefix) => operation.starts_with(prefix),
            None => operation == fault.operation,
        };
        let here = fault.account.as_deref().is_none_or(|only| only == account)
            && fault.region.as_deref().is_none_or(|only| only == region);
        if !named || !here {
            return false;
        }
        self.matched += 1;
        let strikes = match fault.when {
            When::Always => true,
            When::Nth(n) => self.matched == n,
            When::Every(n) => n > 0 && self.matched.is_multiple_of(n),
            When::First(n) => self.matched <= n,
            When::Percent { share, seed } => {
                Ids::new(seed, &format!("{} {}", fault.operation, self.matched)).next() % 100 < share
            }
        };
        self.struck += u64::from(strikes);
        strikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_are_counted_per_fault() {
        let mut armed = Armed::from(Fault::new("ecs:*", Effect::Throttle).when(When::Every(2)));
        let strikes: Vec<bool> = (0..4).map(|_| armed.strikes("ecs:ListServices", "1", "r")).collect();
        assert_eq!(strikes, [false, true, false, true]);
        assert!(!armed.strikes("ssm:GetParameters", "1", "r"));
    }
}
