//! Virtual time: the moments of the simulation and the clock that yields them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// How the virtual clock moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClockMode {
    /// So many virtual seconds per real second; 1 is real time.
    Speed(f64),
    /// Only when it is told to.
    Manual,
}

/// An instant of virtual time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(u64);

impl Moment {
    #[cfg(test)]
    pub(crate) fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment of a timestamp on the wire.
    pub(crate) fn from_seconds(seconds: f64) -> Self {
        // Saturating is right: a moment before 1970 or beyond all time does not occur.
        Self((seconds * 1000.0).round() as u64)
    }

    pub(crate) fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The form of a timestamp of CloudWatch Logs.
    pub(crate) fn millis(self) -> u64 {
        self.0
    }

    pub(crate) fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The form of a timestamp on the wire: epoch seconds.
    pub(crate) fn wire(self) -> Value {
        Value::from(self.seconds())
    }

    fn timestamp(self) -> jiff::Timestamp {
        i64::try_from(self.0)
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
            .unwrap_or(jiff::Timestamp::MAX)
    }

    /// The form of the HTTP `Date` header.
    pub(crate) fn http_date(self) -> String {
        self.timestamp().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// ISO 8601, as the query protocol wants it.
    pub(crate) fn iso(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// ISO 8601 with milliseconds.
    pub(crate) fn iso_millis(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }
}

/// The clock. It starts at the real time and never goes back.
#[derive(Debug)]
pub(crate) struct Clock {
    mode: ClockMode,
    base: Moment,
    since: Instant,
}

impl Clock {
    pub(crate) fn start(mode: ClockMode) -> Self {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { mode, base: Moment(0).plus(real), since: Instant::now() }
    }

    pub(crate) fn now(&self) -> Moment {
        match self.mode {
            ClockMode::Manual => self.base,
            ClockMode::Speed(speed) => {
                let elapsed = self.since.elapsed().as_secs_f64() * speed.max(0.0);
                self.base.plus(Duration::try_from_secs_f64(elapsed).unwrap_or(Duration::MAX))
            }
        }
    }

    pub(crate) fn mode(&self) -> ClockMode {
        self.mode
    }

    pub(crate) fn advance(&mut self, span: Duration) {
        self.rebase();
        self.base = self.base.plus(span);
    }

    pub(crate) fn set_mode(&mut self, mode: ClockMode) {
        self.rebase();
        self.mode = mode;
    }

    fn rebase(&mut self) {
        self.base = self.now();
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_several_faces() {
        let moment = Moment::from_millis(1_700_000_000_250);
        assert_eq!(moment.wire(), serde_json::json!(1_700_000_000.25));
        assert_eq!(moment.http_date(), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(moment.iso(), "2023-11-14T22:13:20Z");
        assert_eq!(moment.iso_millis(), "2023-11-14T22:13:20.250Z");
        assert_eq!(Moment::from_seconds(moment.seconds()), moment);
    }

    #[test]
    fn a_manual_clock_only_moves_when_told() {
        let mut clock = Clock::start(ClockMode::Manual);
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), start.plus(Duration::from_secs(5)));
    }
}
