//! Where the log goes: to stderr, by the same way out as everything else.

use super::terminal;
use std::io::{self, Write};

/// Writes records of the log to stderr.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    /// Whether the formatter colours its records.
    pub(crate) has_colours: bool,
}

impl Write for Log {
    /// The formatter writes each record with one call.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = terminal::log_record(&String::from_utf8_lossy(record), self.has_colours);
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
