//! What an exchange with a Git server may cost: its time, its silence, and the bytes of each part of the protocol. No
//! server is trusted to end anything by itself.

use super::failure::Failure;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Limits of one exchange. Tests choose smaller ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time until the references are known.
    pub references: Duration,
    /// Longest time until the objects are here as well.
    pub objects: Duration,
    /// Longest time for a push.
    pub push: Duration,
    /// Longest time without a byte.
    pub silence: Duration,
    /// A window of time, and the fewest bytes that must arrive in it while objects are received.
    pub pace: (Duration, u64),
    /// Most bytes of capabilities, references and acknowledgements.
    pub lines: u64,
    /// Most bytes of what a server says beside its answer.
    pub messages: u64,
    /// Most bytes of a pack.
    pub pack: u64,
    /// Largest object in bytes, as it is when unpacked.
    pub object: u64,
}

const MIB: u64 = 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            references: Duration::from_secs(60),
            objects: Duration::from_secs(600),
            push: Duration::from_secs(120),
            silence: Duration::from_secs(60),
            pace: (Duration::from_secs(60), 6000),
            lines: 32 * MIB,
            messages: 8 * MIB,
            pack: 1024 * MIB,
            // GitHub takes no larger files either.
            object: 100 * MIB,
        }
    }
}

/// Longest text of a server that is kept.
const LONGEST_SAID: usize = 4096;

/// The costs of one exchange so far, and the first thing that went wrong in it.
#[derive(Clone)]
pub(super) struct Gauge(Arc<Mutex<State>>);

struct State {
    limits: Limits,
    deadline: Instant,
    allowed: Duration,
    /// The start of the window and the bytes in it, while objects are received.
    pace: Option<(Instant, u64)>,
    lines: u64,
    messages: u64,
    pack: u64,
    said: Vec<u8>,
    failure: Option<Failure>,
}

impl State {
    /// So much time is allowed for the whole exchange.
    fn allow(&mut self, allowed: Duration) {
        self.deadline += allowed.saturating_sub(self.allowed);
        self.allowed = allowed;
    }
}

impl Gauge {
    /// An exchange that begins now. Until told otherwise it is about references.
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(State {
            limits: limits.clone(),
            deadline: Instant::now() + limits.references,
            allowed: limits.references,
            pace: None,
            lines: 0,
            messages: 0,
            pack: 0,
            said: Vec::new(),
            failure: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on objects are received.
    pub(super) fn expect_objects(&self) {
        let mut state = self.lock();
        let allowed = state.limits.objects;
        state.allow(allowed);
        state.pace = Some((Instant::now(), 0));
    }

    /// Whether objects are received.
    pub(super) fn expects_objects(&self) -> bool {
        self.lock().pace.is_some()
    }

    /// The exchange is a push.
    pub(super) fn expect_push(&self) {
        let mut state = self.lock();
        let allowed = state.limits.push;
        state.allow(allowed);
    }

    /// Time that is left for the exchange; none when it is over.
    pub(super) fn left(&self) -> Option<Duration> {
        self.lock().deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Longest time without a byte.
    pub(super) fn silence(&self) -> Duration {
        self.lock().limits.silence
    }

    /// Notes what went wrong. The first is the cause of what follows.
    pub(super) fn fail(&self, failure: Failure) -> io::Error {
        let mut state = self.lock();
        let failure = state.failure.get_or_insert(failure);
        io::Error::other(failure.to_string())
    }

    /// The time is up.
    pub(super) fn fail_slow(&self) -> io::Error {
        let allowed = self.lock().allowed;
        self.fail(Failure::Slow(format!("the exchange was not done within {}", told(allowed))))
    }

    /// The first thing that went wrong on the way; none where the way is not to blame.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    /// What the server said beside its answer.
    pub(super) fn said(&self) -> Vec<u8> {
        self.lock().said.clone()
    }

    fn took(&self, kind: Kind, bytes: &[u8]) {
        let mut state = self.lock();
        let count = bytes.len() as u64;
        match kind {
            Kind::Line => state.lines += count,
            Kind::Message => {
                state.messages += count;
                let room = LONGEST_SAID.saturating_sub(state.said.len()).min(bytes.len());
                state.said.extend_from_slice(&bytes[..room]);
            }
            Kind::Data => state.pack += count,
        }
    }

    /// Whether everything is within its limits.
    fn check(&self, count: u64) -> io::Result<()> {
        let mut state = self.lock();
        let now = Instant::now();
        if now >= state.deadline {
            drop(state);
            return Err(self.fail_slow());
        }
        let limits = &state.limits;
        let excess = [
            (state.lines, limits.lines, "references"),
            (state.messages, limits.messages, "messages"),
            (state.pack, limits.pack, "objects"),
        ];
        if let Some((_, limit, what)) = excess.into_iter().find(|(spent, limit, _)| spent > limit) {
            drop(state);
            return Err(self.fail(Failure::Endless(format!("it sends more than {} of {what}", size(limit)))));
        }
        let (window, fewest) = limits.pace;
        if let Some((start, bytes)) = &mut state.pace {
            *bytes += count;
            if now.duration_since(*start) >= window {
                if *bytes < fewest {
                    let text = format!("it sent {bytes} bytes in {}", told(window));
                    drop(state);
                    return Err(self.fail(Failure::Slow(text)));
                }
                (*start, *bytes) = (now, 0);
            }
        }
        Ok(())
    }
}

/// A duration for people.
fn told(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds => format!("{seconds} s"),
    }
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    if bytes < MIB { format!("{bytes} bytes") } else { format!("{} MiB", bytes / MIB) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Outside the side bands.
    Line,
    /// Progress, and words of hooks.
    Message,
    /// A pack or a report.
    Data,
}

/// Looks at one stream of packet lines as it passes, and counts by what the bytes are.
pub(super) struct Meter {
    gauge: Gauge,
    at: At,
    is_first: bool,
}

enum At {
    /// In the four digits of a length.
    Length(Vec<u8>),
    /// At the first byte of a line, which may name a side band; so many bytes are left.
    Band(usize),
    /// In a line.
    Line(Kind, usize),
    /// No packet lines.
    Raw,
    /// No packet lines from the first byte on: the first words of it.
    Noise(Vec<u8>),
}

/// First words of an answer that are quoted.
const LONGEST_NOISE: usize = 200;

impl Meter {
    pub(super) fn new(gauge: Gauge) -> Self {
        Self { gauge, at: At::Length(Vec::new()), is_first: true }
    }

    /// Counts what arrived.
    ///
    /// # Errors
    /// When there is too much of something, or it takes too long.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = self.step(rest);
            rest = &rest[used..];
        }
        if let At::Noise(noise) = &self.at
            && (noise.len() >= LONGEST_NOISE || noise.contains(&b'\n'))
        {
            return Err(self.noise());
        }
        self.gauge.check(bytes.len() as u64)
    }

    /// The stream ended.
    ///
    /// # Errors
    /// When it was no Git from its first byte on.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match &self.at {
            At::Noise(_) => Err(self.noise()),
            At::Length(digits) if self.is_first && !digits.is_empty() => {
                self.at = At::Noise(digits.clone());
                Err(self.noise())
            }
            _ => Ok(()),
        }
    }

    fn noise(&self) -> io::Error {
        let At::Noise(noise) = &self.at else { return io::Error::other("no noise") };
        let text = String::from_utf8_lossy(noise);
        self.gauge.fail(Failure::Noise(text.lines().next().unwrap_or_default().to_owned()))
    }

    /// Looks at the next bytes that are of one kind. Answers how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.at {
            At::Length(digits) => {
                let count = (4 - digits.len()).min(bytes.len());
                digits.extend_from_slice(&bytes[..count]);
                self.gauge.took(Kind::Line, &bytes[..count]);
                if digits.len() == 4 {
                    self.at = match (length(digits), self.is_first) {
                        (Some(0..=2 | 4), _) => At::Length(Vec::new()),
                        (Some(length @ 5..), _) => At::Band(length - 4),
                        (_, true) => At::Noise(std::mem::take(digits)),
                        (_, false) => At::Raw,
                    };
                    self.is_first = false;
                }
                count
            }
            At::Band(left) => {
                let (kind, band) = match bytes[0] {
                    1 => (Kind::Data, 1),
                    2 | 3 => (Kind::Message, 1),
                    _ => (Kind::Line, 0),
                };
                let left = *left - band;
                self.at = if left == 0 { At::Length(Vec::new()) } else { At::Line(kind, left) };
                band
            }
            At::Line(kind, left) => {
                let count = (*left).min(bytes.len());
                self.gauge.took(*kind, &bytes[..count]);
                *left -= count;
                if *left == 0 {
                    self.at = At::Length(Vec::new());
                }
                count
            }
            At::Raw => {
                self.gauge.took(Kind::Data, bytes);
                bytes.len()
            }
            At::Noise(noise) => {
                let room = LONGEST_NOISE.saturating_sub(noise.len()).min(bytes.len());
                noise.extend_from_slice(&bytes[..room]);
                bytes.len()
            }
        }
    }
}

/// The length of a packet line.
fn length(digits: &[u8]) -> Option<usize> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Limits {
        Limits { lines: 40, messages: 20, pack: 100, ..Limits::default() }
    }

    fn line(content: &[u8]) -> Vec<u8> {
        [format!("{:04x}", content.len() + 4).as_bytes(), content].concat()
    }

    /// The costs after a stream that arrives in pieces of so many bytes.
    fn spent(stream: &[u8], piece: usize) -> (Gauge, io::Result<()>) {
        let gauge = Gauge::new(&small());
        let mut meter = Meter::new(gauge.clone());
        let result = stream.chunks(piece).try_for_each(|piece| meter.take(piece)).and_then(|()| meter.end());
        (gauge, result)
    }

    #[test]
    fn bytes_are_counted_by_what_they_are_however_they_arrive() {
        let stream =
            [line(b"abc\n"), b"0000".to_vec(), line(b"\x01data"), line(b"\x02one\n"), line(b"\x02two"), line(b"\x03!")]
                .concat();
        for piece in 1..stream.len() {
            let (gauge, result) = spent(&stream, piece);
            assert!(result.is_ok(), "{piece}: {result:?}");
            let state = gauge.lock();
            assert_eq!((state.lines, state.messages, state.pack), (4 * 6 + 4, 8, 4), "{piece}");
            // E8: the words are the same however they were cut into packets.
            assert_eq!(state.said, b"one\ntwo!", "{piece}");
        }
    }

    #[test]
    fn each_part_has_an_end() {
        for (content, what) in
            [(&b"refs"[..], "references"), (b"\x02progress", "messages"), (b"\x01a pack of some bytes", "objects")]
        {
            let stream: Vec<u8> = std::iter::repeat_n(line(content), 6).flatten().collect();
            let (gauge, result) = spent(&stream, 7);
            assert!(result.unwrap_err().to_string().contains(what));
            assert!(matches!(gauge.failure(), Some(Failure::Endless(text)) if text.contains(what)));
        }
    }

    #[test]
    fn what_is_no_git_is_quoted() {
        for (stream, quoted) in
            [(&b"Welcome to git.example.com\nhello"[..], "Welcome to git.example.com"), (b"Hi", "Hi")]
        {
            for piece in [1, 3, 100] {
                let (gauge, result) = spent(stream, piece);
                assert!(result.is_err());
                assert_eq!(gauge.failure(), Some(Failure::Noise(quoted.to_owned())), "{piece}");
            }
        }
    }

    #[test]
    fn what_drips_is_not_waited_for() {
        let gauge = Gauge::new(&Limits { pace: (Duration::ZERO, 10), ..Limits::default() });
        gauge.expect_objects();
        assert!(gauge.check(9).unwrap_err().to_string().contains("it sent 9 bytes in 0 ms"));
        let gauge = Gauge::new(&Limits { references: Duration::ZERO, ..Limits::default() });
        assert!(gauge.check(1_000_000).unwrap_err().to_string().contains("not done within 0 ms"));
        assert_eq!(gauge.left(), None);
    }
}
