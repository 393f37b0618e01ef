//! Presenters: terminal and JSON forms of the same values. They never reach in to find out more.

pub mod diagnostics;
pub(crate) mod images;
pub mod plan;
pub mod status;
pub mod trace;

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
    let written = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
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
    let _ = writeln!(out, "{text}");
}

/// A hint, on a line of its own.
pub fn hint(text: &str) {
    say(&format!("hint: {text}"));
}

/// A text from elsewhere without control characters, which a terminal would obey.
pub fn clean(text: &str) -> String {
    let is_harmless = |letter: char| !letter.is_control() || letter == '\n' || letter == '\t';
    text.chars().map(|letter| if is_harmless(letter) { letter } else { '\u{fffd}' }).collect()
}

/// A number with its word: `1 service`, `2 services`.
pub fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// A value as pretty JSON.
pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
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
        format!("{}{}{}", style.render(), super::clean(text), style.render_reset())
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
