//! The log on stderr. A program that follows ECS services must not end, wait or panic because nobody reads its log: what
//! cannot be written is dropped, and counted.

use crate::output::{self, Format};
use std::{
    io::{self, Write},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Lines that wait while stderr takes none.
const WAITING: usize = 1024;
/// Longest wait for the last lines at the end.
const LAST: Duration = Duration::from_secs(1);

static LOST: AtomicUsize = AtomicUsize::new(0);

/// Lines that could not be written.
pub(crate) fn lost() -> usize {
    LOST.load(Ordering::Relaxed)
}

/// Writes what still waits when it is dropped.
pub(crate) struct Log(Option<SyncSender<Entry>>);

enum Entry {
    Line(Vec<u8>),
    /// A line of the audit, which goes to stdout.
    Audit(Vec<u8>),
    /// All before it is written; whoever waits for that is told.
    End(SyncSender<()>),
}

/// Where lines of the audit go, where the log is JSON.
static AUDIT: OnceLock<SyncSender<Entry>> = OnceLock::new();

/// A line of the audit: on stdout where the log is JSON, else in the log.
pub(crate) fn audit(line: &str) {
    match AUDIT.get() {
        Some(queue) => {
            if queue.try_send(Entry::Audit(format!("{line}\n").into_bytes())).is_err() {
                LOST.fetch_add(1, Ordering::Relaxed);
            }
        }
        None => tracing::info!("audit {line}"),
    }
}

/// Starts the log of a command that people watch: at once, and as text.
pub(crate) fn start(filter: Option<&str>) -> Result<Log, String> {
    let filter = filter_of(filter, "error")?;
    let has_colours = has_colours();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Direct { has_colours })
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(has_colours)
        .finish()
        .with(filter_fn(is_told))
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok(Log(None))
}

/// Starts the log of the agent, which has nothing else: from a thread of its own, and as JSON where that was asked for.
pub(crate) fn start_agents(filter: Option<&str>, format: Format) -> Result<Log, String> {
    let filter = filter_of(filter, "info")?;
    let has_colours = has_colours() && format == Format::Text;
    let (sender, entries) = sync_channel(WAITING);
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write(&entries, &mut Direct { has_colours }))
        .map_err(|error| format!("failed to start the log: {error}"))?;
    let queue = Queue(sender.clone());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || queue.clone())
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(has_colours);
    match format {
        Format::Text => builder.finish().with(filter_fn(is_told)).try_init(),
        Format::Json => {
            let _ = AUDIT.set(sender.clone());
            builder.json().flatten_event(true).finish().with(filter_fn(is_told)).try_init()
        }
    }
    .map_err(|error| error.to_string())?;
    // A panic is a line like any other: whoever reads JSON can read it too.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("no reason given");
        tracing::error!(place, text, "a task panicked; this is a bug of Lockstep, please report it");
    }));
    Ok(Log(Some(sender)))
}

/// Whether something may be logged whatever the filter says. Libraries write whole requests and answers, with all that is
/// secret in them, where they tell of details.
fn is_told(what: &Metadata<'_>) -> bool {
    *what.level() <= Level::INFO || what.target().starts_with("lockstep")
}

/// What is logged. The watcher of files is left out whatever is asked for: where the log is beside a file that is
/// watched, each of its lines would bring the next.
fn filter_of(written: Option<&str>, default: &str) -> Result<EnvFilter, String> {
    let filter = match written {
        None | Some("") => EnvFilter::new(format!(
            "{default},aws_config=error,aws_smithy_runtime=error,gix=error,sled=error,rustls_platform_verifier=off"
        )),
        Some(filter) => EnvFilter::try_new(filter).map_err(|error| format!("the log filter is wrong: {error}"))?,
    };
    let quiet = ["notify=off", "inotify=off"].iter().filter_map(|text| text.parse().ok());
    Ok(quiet.fold(filter, EnvFilter::add_directive))
}

fn write(entries: &Receiver<Entry>, to: &mut impl Write) {
    for entry in entries {
        match entry {
            Entry::Line(line) => drop(to.write_all(&line)),
            Entry::Audit(line) => {
                let mut out = io::stdout().lock();
                if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                    LOST.fetch_add(1, Ordering::Relaxed);
                }
            }
            Entry::End(told) => drop(told.try_send(())),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else { return };
        let (told, end) = sync_channel(1);
        if queue.try_send(Entry::End(told)).is_ok() {
            let _ = end.recv_timeout(LAST);
        }
    }
}

fn has_colours() -> bool {
    io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none()
}

/// The way out to stderr, whose failures are counted and nothing more.
struct Direct {
    has_colours: bool,
}

impl Write for Direct {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut out = output::log::Log { has_colours: self.has_colours };
        if out.write_all(line).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The queue before the thread that writes. A line is one call of `write_all`.
#[derive(Clone)]
struct Queue(SyncSender<Entry>);

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.0.try_send(Entry::Line(line.to_vec()))
        {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // H10: nobody reads, and nobody waits.
    #[test]
    fn lines_beyond_the_queue_are_dropped_and_counted() {
        let (sender, entries) = sync_channel(2);
        let mut queue = Queue(sender.clone());
        let before = lost();
        for _ in 0..5 {
            queue.write_all(b"line\n").unwrap();
        }
        assert_eq!(lost() - before, 3);
        drop((queue, sender));
        let mut written = Vec::new();
        write(&entries, &mut written);
        assert_eq!(written, b"line\nline\n");
    }

    // H16
    #[test]
    fn the_watcher_never_logs() {
        for filter in ["trace", "notify=trace", "notify::inotify=trace,info"] {
            let filter = filter_of(Some(filter), "info").unwrap().to_string();
            assert!(filter.contains("notify=off"), "{filter}");
        }
        assert!(filter_of(Some("a=b=c"), "info").is_err());
    }
}
