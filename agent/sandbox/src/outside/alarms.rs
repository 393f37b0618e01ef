//! CloudWatch alarms.

use std::collections::BTreeSet;

/// The alarms of a place.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    firing: BTreeSet<String>,
}

impl Alarms {
    pub(crate) fn firing(&self, name: &str) -> bool {
        self.firing.contains(name)
    }

    pub(crate) fn set(&mut self, name: &str, firing: bool) {
        if firing {
            self.firing.insert(name.to_owned())
        } else {
            self.firing.remove(name)
        };
    }
}
