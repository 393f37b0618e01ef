//! What was called: counters and a bounded journal.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use crate::place::Place;

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// Position since the start or the last reset, from 1.
    pub sequence: u64,
    /// Virtual time in epoch seconds.
    pub time: f64,
    /// The account of the caller.
    pub account: String,
    /// The region that the request was signed for.
    pub region: String,
    /// The caller's ARN; empty if the caller was refused.
    pub caller: String,
    /// `ecs`, `ecr`, `ssm` and so on.
    pub service: String,
    /// The operation's name.
    pub operation: String,
    /// The request's members.
    pub request: Value,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The error's shape name.
    pub error: Option<String>,
    /// The body of the answer before it is rendered, also of an error; only with `Options::journal_answers`, and not
    /// where the connection was cut instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

/// Counters and journal.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    capacity: usize,
    entries: VecDeque<JournalEntry>,
    last: u64,
    counts: BTreeMap<Place, BTreeMap<String, u64>>,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    pub(crate) fn record(&mut self, mut entry: JournalEntry) {
        let place = Place::new(&entry.account, &entry.region);
        let name = format!("{}:{}", entry.service, entry.operation);
        *self.counts.entry(place).or_default().entry(name).or_default() += 1;
        self.last += 1;
        entry.sequence = self.last;
        self.entries.push_back(entry);
        while self.entries.len() > self.capacity {
            self.entries.pop_front();
        }
    }

    pub(crate) fn totals(&self) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        for (name, count) in self.counts.values().flatten() {
            *totals.entry(name.clone()).or_default() += count;
        }
        totals
    }

    pub(crate) fn counts_in(&self, place: &Place) -> BTreeMap<String, u64> {
        self.counts.get(place).cloned().unwrap_or_default()
    }

    pub(crate) fn since(&self, sequence: u64) -> Vec<JournalEntry> {
        let from = self.entries.partition_point(|entry| entry.sequence <= sequence);
        self.entries.range(from..).cloned().collect()
    }

    pub(crate) fn reset(&mut self) {
        self.counts.clear();
        self.entries.clear();
        self.last = 0;
    }
}
