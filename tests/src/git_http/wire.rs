//! As much of HTTP/1.1 as a Git client speaks: kept connections, bodies with a length or in chunks.

use std::io::{BufRead, Error, ErrorKind, Read, Result, Write};

/// The head of a request.
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The next head; none where the client has closed the connection.
    pub(super) fn read(stream: &mut impl BufRead) -> Result<Option<Self>> {
        let Some(first) = line(stream)? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(malformed("the request line"));
        };
        let mut headers = Vec::new();
        loop {
            let text = line(stream)?.ok_or_else(|| malformed("the head"))?;
            if text.is_empty() {
                return Ok(Some(Self { method: method.to_owned(), target: target.to_owned(), headers }));
            }
            let (name, value) = text.split_once(':').ok_or_else(|| malformed("a header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// A header's value, by its name in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The whole body.
    pub(super) fn read_body(&self, stream: &mut impl BufRead) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = line(stream)?.ok_or_else(|| malformed("a chunk"))?;
                let size = size.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).map_err(|_| malformed("a chunk's size"))?;
                let read = stream.by_ref().take(size).read_to_end(&mut body)?;
                if read as u64 != size || line(stream)?.as_deref() != Some("") {
                    return Err(malformed("a chunk"));
                }
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        if let Some(length) = self.header("content-length") {
            let length = length.parse().map_err(|_| malformed("the length"))?;
            stream.by_ref().take(length).read_to_end(&mut body)?;
        }
        Ok(body)
    }
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A short answer of our own.
    pub(super) fn text(status: u16, header: &str, body: &str) -> Self {
        Self { status, headers: vec![header.to_owned()], body: body.as_bytes().to_vec() }
    }

    /// The same with a type, and perhaps a header.
    pub(super) fn typed(status: u16, kind: &str, header: Option<String>, body: Vec<u8>) -> Self {
        let mut headers = vec![format!("Content-Type: {kind}")];
        headers.extend(header);
        Self { status, headers, body }
    }

    /// Writes the head with a length that is not the body's, and the body; or the head of a body without an end.
    pub(super) fn write_head(&self, stream: &mut impl Write, length: Option<usize>) -> Result<()> {
        let length =
            length.map_or("Transfer-Encoding: chunked".to_owned(), |length| format!("Content-Length: {length}"));
        let headers: String = self.headers.iter().map(|header| format!("{header}\r\n")).collect();
        write!(stream, "HTTP/1.1 {} -\r\n{length}\r\n{headers}\r\n", self.status)?;
        stream.flush()
    }

    /// What a CGI program wrote.
    pub(super) fn of_cgi(mut output: &[u8]) -> Self {
        let (mut status, mut headers) = (200, Vec::new());
        loop {
            let text = match line(&mut output) {
                Ok(Some(text)) if !text.is_empty() => text,
                _ => return Self { status, headers, body: output.to_vec() },
            };
            match text.strip_prefix("Status: ") {
                Some(code) => status = code.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(500),
                None => headers.push(text),
            }
        }
    }

    /// Writes it, and leaves the connection open.
    pub(super) fn write(&self, stream: &mut impl Write) -> Result<()> {
        let mut bytes = format!("HTTP/1.1 {} -\r\nContent-Length: {}\r\n", self.status, self.body.len());
        for header in &self.headers {
            bytes.push_str(header);
            bytes.push_str("\r\n");
        }
        bytes.push_str("\r\n");
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(&self.body);
        stream.write_all(&bytes)?;
        stream.flush()
    }
}

/// A line without its end; none where there is no more.
fn line(stream: &mut impl BufRead) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    if stream.read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed("a line"))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{what} is malformed"))
}
