//! Load balancers.

use std::collections::BTreeMap;

/// The load balancing of a place.
#[derive(Debug, Default)]
pub(crate) struct Balancing {
    weights: BTreeMap<String, Vec<(String, u32)>>,
}

impl Balancing {
    pub(crate) fn set_weights(&mut self, rule: &str, weights: Vec<(String, u32)>) {
        self.weights.insert(rule.to_owned(), weights);
    }

    pub(crate) fn weights(&self, rule: &str) -> Option<&[(String, u32)]> {
        self.weights.get(rule).map(Vec::as_slice)
    }
}
