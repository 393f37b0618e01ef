//! The window of a branch: everything that falls into it is one commit.

use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// What is about to be written, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    wanted: BTreeMap<String, String>,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    first: Instant,
    changed: Instant,
}

impl Window {
    /// Takes what is wanted now: pins by name with what they would say.
    pub(super) fn see(&mut self, wanted: BTreeMap<String, String>, now: Instant) {
        if wanted.is_empty() {
            self.open = None;
        } else if wanted != self.wanted {
            let first = self.open.map_or(now, |open| open.first);
            self.open = Some(Open { first, changed: now });
        }
        self.wanted = wanted;
    }

    /// When it is written: after a quiet time, or when it has waited long enough. None where nothing is wanted.
    pub(super) fn due(&self, quiet: Duration, at_most: Duration) -> Option<Instant> {
        self.open.map(|open| (open.changed + quiet).min(open.first + at_most))
    }

    /// What is wanted was written: what comes now is another commit.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_closes_after_a_quiet_time_or_when_it_was_open_long_enough() {
        let (quiet, at_most) = (Duration::from_secs(10), Duration::from_secs(60));
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let wanted = |count: usize| (0..count).map(|it| (it.to_string(), "1".to_owned())).collect();
        let mut window = Window::default();
        assert_eq!(window.due(quiet, at_most), None);
        window.see(wanted(1), at(0));
        window.see(wanted(1), at(5));
        assert_eq!(window.due(quiet, at_most), Some(at(10)));
        for second in (8..60).step_by(8) {
            window.see(wanted(second), at(second as u64));
        }
        assert_eq!(window.due(quiet, at_most), Some(at(60)), "new images do not put it off for ever");
        window.see(wanted(0), at(61));
        assert_eq!(window.due(quiet, at_most), None);
        window.see(wanted(1), at(70));
        assert_eq!(window.due(quiet, at_most), Some(at(80)));
        window.close();
        assert_eq!(window.due(quiet, at_most), None);
    }
}
