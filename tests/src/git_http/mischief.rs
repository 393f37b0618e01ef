//! What a hostile or broken Git server does.

use super::wire::Answer;
use std::{
    io::{Result, Write},
    time::Duration,
};

/// One answer that is not as it should be.
#[derive(Clone, Debug)]
pub enum Mischief {
    /// A redirect with this status.
    Redirect(u16, String),
    /// Another answer: status, type, body.
    Answer(u16, String, Vec<u8>),
    /// A type, a beginning, and then the same for ever.
    Endless(String, Vec<u8>, Vec<u8>),
    /// The right answer, a byte at a time with so much time between two.
    Drip(Duration),
    /// The right answer with a length that is off by so many bytes.
    Length(isize),
}

/// A packet line.
pub fn line(content: &[u8]) -> Vec<u8> {
    [format!("{:04x}", content.len() + 4).as_bytes(), content].concat()
}

impl Mischief {
    /// The answer, where it is not the right one.
    pub(super) fn answer(&self) -> Option<Answer> {
        match self {
            Self::Redirect(status, to) => {
                Some(Answer::typed(*status, "text/html", Some(format!("Location: {to}")), Vec::new()))
            }
            Self::Answer(status, kind, body) => Some(Answer::typed(*status, kind, None, body.clone())),
            Self::Endless(kind, start, _) => Some(Answer::typed(200, kind, None, start.clone())),
            Self::Drip(_) | Self::Length(_) => None,
        }
    }

    /// Writes it. Answers whether the connection is good for another request.
    pub(super) fn write(&self, answer: &Answer, stream: &mut impl Write, stop: impl Fn() -> bool) -> Result<bool> {
        match self {
            Self::Redirect(..) | Self::Answer(..) => {
                answer.write(stream)?;
                Ok(true)
            }
            Self::Endless(_, start, part) => {
                answer.write_head(stream, None)?;
                let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
                if !start.is_empty() {
                    stream.write_all(&chunk(start))?;
                }
                let part = chunk(part);
                while !stop() {
                    stream.write_all(&part)?;
                }
                Ok(false)
            }
            Self::Drip(pause) => {
                answer.write_head(stream, Some(answer.body.len()))?;
                for byte in &answer.body {
                    if stop() {
                        break;
                    }
                    stream.write_all(&[*byte])?;
                    stream.flush()?;
                    std::thread::park_timeout(*pause);
                }
                Ok(false)
            }
            Self::Length(by) => {
                let length = answer.body.len().saturating_add_signed(*by);
                answer.write_head(stream, Some(length))?;
                stream.write_all(&answer.body)?;
                stream.flush()?;
                Ok(false)
            }
        }
    }
}
