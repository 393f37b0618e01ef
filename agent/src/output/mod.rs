//! Presenters: terminal and JSON forms of the same values. They never reach in to find out more.

pub mod diagnostics;
pub mod event;
pub(crate) mod images;
pub(crate) mod log;
pub mod plan;
pub mod status;
pub mod tasks;
mod terminal;
pub mod trace;

pub use terminal::{clean, escape_json};

use std::{
    io::{ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// The form of a command's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

static LOST: AtomicBool = AtomicBool::new(false);

/// Writes data to stdout. A reader that went away is no error; anything else is said, and the program fails.
pub fn data(text: &str) {
    let mut out = anstream::stdout();
    let written = writeln!(out, "{}", terminal::shown(text.trim_end_matches('\n'))).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        say(&format!("error: failed to write to stdout: {error}"));
    }
}

/// Whether data could not be written.
pub fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Writes conversation to stderr.
pub fn say(text: &str) {
    let mut out = anstream::stderr();
    let _ = writeln!(out, "{}", terminal::shown(text));
}

/// Writes over the line that the cursor is in, on stderr.
pub fn in_place(text: &str) {
    let mut out = std::io::stderr();
    let _ = write!(out, "\r{}", terminal::shown(text)).and_then(|()| out.flush());
}

/// Asks on stderr: the answer is typed behind the text.
pub fn ask(text: &str) {
    let mut out = anstream::stderr();
    let _ = write!(out, "{} ", terminal::shown(text)).and_then(|()| out.flush());
}

/// A hint, on a line of its own.
pub fn hint(text: &str) {
    say(&format!("hint: {text}"));
}

/// A number with its word: `1 service`, `2 services`.
pub fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// A value as pretty JSON.
pub fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    escape_json(&text)
}

/// Colours are decoration: everything reads the same without them.
pub mod paint {
    use anstyle::{AnsiColor, Style};

    const GREEN: Style = AnsiColor::Green.on_default();
    const YELLOW: Style = AnsiColor::Yellow.on_default();
    const RED: Style = AnsiColor::Red.on_default();
    const BOLD: Style = Style::new().bold();
    const FAINT: Style = Style::new().dimmed();

    fn with(style: Style, text: &str) -> String {
        super::terminal::marked(&format!("{}{}{}", style.render(), super::clean(text), style.render_reset()))
    }

    /// Good.
    pub fn good(text: &str) -> String {
        with(GREEN, text)
    }

    /// To look at.
    pub fn notable(text: &str) -> String {
        with(YELLOW, text)
    }

    /// Bad.
    pub fn bad(text: &str) -> String {
        with(RED, text)
    }

    /// A heading.
    pub fn strong(text: &str) -> String {
        with(BOLD, text)
    }

    /// In the background.
    pub fn faint(text: &str) -> String {
        with(FAINT, text)
    }
}
