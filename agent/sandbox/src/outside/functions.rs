//! The Lambda functions that lifecycle hooks call: what each of them answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a hook's function answers. Absent means [`HookAnswer::Succeeded`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum HookAnswer {
    /// The stage may go on.
    #[default]
    Succeeded,
    /// The deployment is to be rolled back.
    Failed,
    /// Not decided yet for so many calls, then [`HookAnswer::Succeeded`].
    #[serde(rename_all = "camelCase")]
    InProgress {
        /// How many calls are answered so.
        calls: u32,
        /// Seconds until ECS asks again; 30 where absent.
        call_back_delay: Option<u64>,
    },
    /// An answer without `hookStatus`.
    Unparsable,
    /// The role of the hook cannot be assumed.
    RoleDenied,
    /// The function cannot be called, for this reason.
    Unreachable(String),
}

/// All functions, by ARN.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    answers: BTreeMap<String, HookAnswer>,
}

impl Functions {
    pub(crate) fn set(&mut self, arn: &str, answer: HookAnswer) {
        self.answers.insert(arn.to_owned(), answer);
    }

    pub(crate) fn answer(&self, arn: &str) -> HookAnswer {
        self.answers.get(arn).cloned().unwrap_or_default()
    }
}
