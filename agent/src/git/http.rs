//! HTTP for one exchange with a Git server. The client that is kept between exchanges is a pool of connections and
//! nothing more: where a redirect led, what was presented and what went wrong belong to the exchange and end with it.
//!
//! A redirect is followed within the origin (scheme, host and port) alone. Whoever else a server names would be given
//! the token, and would from then on be believed to be the repository.

use super::{
    failure::{Failure, plain},
    gauge::{Gauge, Meter},
};
use gix::protocol::transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use reqwest::{
    Method, StatusCode, Url,
    blocking::{Client, Response},
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use std::{
    any::Any,
    io::{self, BufRead, Cursor, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Most redirects of one request.
const MOST_REDIRECTS: usize = 5;
/// Most bytes of an error's text that are read.
const LONGEST_TEXT: u64 = 2048;

/// The requests of one exchange.
pub(super) struct Exchange {
    client: Client,
    gauge: Gauge,
    /// Where the repository is by a redirect of this exchange.
    base: Arc<Mutex<Option<String>>>,
}

impl Exchange {
    pub(super) fn new(client: Client, gauge: Gauge) -> Self {
        Self { client, gauge, base: Arc::default() }
    }

    fn request(
        &self,
        method: Method,
        url: &str,
        base: &str,
        lines: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Shared {
        let mut headers = HeaderMap::new();
        for line in lines {
            let Some((name, value)) = line.as_ref().split_once(':') else { continue };
            let pair = (HeaderName::from_bytes(name.trim().as_bytes()), HeaderValue::from_str(value.trim()));
            if let (Ok(name), Ok(mut value)) = pair {
                value.set_sensitive(name == reqwest::header::AUTHORIZATION);
                headers.append(name, value);
            }
        }
        let tail = url.strip_prefix(base).unwrap_or_default().to_owned();
        let call = Call { method, url: url.to_owned(), tail, headers, body: Vec::new(), base: self.base.clone() };
        Shared(Arc::new(Mutex::new(State::Waiting { client: self.client.clone(), gauge: self.gauge.clone(), call })))
    }
}

impl Http for Exchange {
    type Headers = Headers;
    type ResponseBody = Body;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Headers, Body>> {
        let shared = self.request(Method::GET, url, base_url, headers);
        Ok(GetResponse { headers: Headers::of(&shared), body: Body::of(&shared, &self.gauge) })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Headers, Body, PostBody>> {
        let shared = self.request(Method::POST, url, base_url, headers);
        Ok(PostResponse {
            post_body: PostBody(shared.clone()),
            headers: Headers::of(&shared),
            body: Body::of(&shared, &self.gauge),
        })
    }

    fn configure(&mut self, _: &dyn Any) -> gix::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.base.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Call {
    method: Method,
    url: String,
    /// What follows the repository's address.
    tail: String,
    headers: HeaderMap,
    body: Vec<u8>,
    base: Arc<Mutex<Option<String>>>,
}

/// A request that is made when its answer is first looked at: by then its body is complete.
#[derive(Clone)]
struct Shared(Arc<Mutex<State>>);

enum State {
    Waiting { client: Client, gauge: Gauge, call: Call },
    Answered { kind: String, response: Response },
    Failed(String),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state after the request was made.
    fn asked(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if matches!(&*state, State::Waiting { .. }) {
            // What is seen only if sending panics.
            let waiting = std::mem::replace(&mut *state, State::Failed("the request broke off".to_owned()));
            let State::Waiting { client, gauge, call } = waiting else { return Ok(state) };
            match call.send(&client, &gauge) {
                Ok((kind, response)) => *state = State::Answered { kind, response },
                Err(failure) => *state = State::Failed(gauge.fail(failure).to_string()),
            }
        }
        match &*state {
            State::Failed(reason) => Err(io::Error::other(reason.clone())),
            _ => Ok(state),
        }
    }
}

impl Call {
    /// Sends the request, and sees that a Git server answered. Answers the type and the answer.
    fn send(self, client: &Client, gauge: &Gauge) -> Result<(String, Response), Failure> {
        let own = Url::parse(&self.url).map_err(|error| Failure::Network(format!("{}: {error}", self.url)))?;
        let mut url = own.clone();
        for _ in 0..=MOST_REDIRECTS {
            let Some(left) = gauge.left() else {
                gauge.fail_slow();
                return Err(Failure::Slow("the time is up".to_owned()));
            };
            let request = client.request(self.method.clone(), url.clone()).headers(self.headers.clone());
            let request = request.body(self.body.clone());
            // Objects may take long: as long as they keep coming.
            let request = if gauge.expects_objects() { request } else { request.timeout(left) };
            let response = request.send().map_err(|error| network(&error, gauge))?;
            if !is_redirect(response.status()) {
                if url != own
                    && self.method == Method::GET
                    && let Some(base) = url.as_str().strip_suffix(&self.tail)
                {
                    *self.base.lock().unwrap_or_else(PoisonError::into_inner) = Some(base.to_owned());
                }
                return self.judge(response);
            }
            url = self.follow(&own, &url, &response)?;
        }
        Err(Failure::Astray(shown(&url)))
    }

    /// Where a redirect leads, if that is allowed.
    fn follow(&self, own: &Url, from: &Url, response: &Response) -> Result<Url, Failure> {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| from.join(to).ok());
        let Some(to) = to else {
            let code = response.status().as_u16();
            return Err(Failure::Status { code, said: "it does not say where to".to_owned() });
        };
        if to.origin() != own.origin() {
            let path = shown(&to);
            let service = self.tail.split('?').next().unwrap_or_default();
            let to = path.strip_suffix(service).unwrap_or(&path).to_owned();
            return Err(Failure::Elsewhere { from: own.origin().ascii_serialization(), to });
        }
        let is_repository = to.as_str().ends_with(&self.tail) && to.username().is_empty() && to.password().is_none();
        if is_repository { Ok(to) } else { Err(Failure::Astray(shown(&to))) }
    }

    fn judge(&self, response: Response) -> Result<(String, Response), Failure> {
        let code = response.status().as_u16();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_page = matches!(kind.as_str(), "text/html" | "application/xhtml+xml");
        if !response.status().is_success() {
            let mut text = Vec::new();
            if kind == "text/plain" {
                // What cannot be read of it is not said.
                let _ = response.take(LONGEST_TEXT).read_to_end(&mut text);
            }
            return Err(Failure::Status { code, said: plain(&String::from_utf8_lossy(&text), 200) });
        }
        if is_page {
            return Err(Failure::Page(code));
        }
        let service = self.tail.trim_start_matches('/');
        let expected = match service.strip_prefix("info/refs?service=") {
            Some(service) => format!("application/x-{service}-advertisement"),
            None => format!("application/x-{service}-result"),
        };
        if code != 200 || kind != expected {
            let kind = if kind.is_empty() { "an answer without a type".to_owned() } else { plain(&kind, 60) };
            return Err(Failure::NotGit(format!("{kind} (HTTP status {code})")));
        }
        Ok((kind, response))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// An address as it may be shown: without what a query or a user's name could carry.
fn shown(url: &Url) -> String {
    plain(&format!("{}{}", url.origin().ascii_serialization(), url.path()), 200)
}

/// Why no answer came.
fn network(error: &reqwest::Error, gauge: &Gauge) -> Failure {
    if error.is_timeout() {
        if gauge.left().is_none() {
            gauge.fail_slow();
        } else if !error.is_connect() {
            return Failure::Slow(format!("it sent nothing for {} s", gauge.silence().as_secs()));
        }
    }
    let mut reasons = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !reasons.iter().any(|reason: &String| reason.contains(&text)) && text != "client error (Connect)" {
            reasons.push(text);
        }
        next = cause.source();
    }
    let reason = if reasons.is_empty() { "the server cannot be reached".to_owned() } else { reasons.join(": ") };
    Failure::Network(plain(&reason, 300))
}

/// The lines of an answer's head that Git's protocol looks at.
pub(super) struct Headers {
    shared: Shared,
    text: Option<Cursor<Vec<u8>>>,
}

impl Headers {
    fn of(shared: &Shared) -> Self {
        Self { shared: shared.clone(), text: None }
    }

    fn text(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if self.text.is_none() {
            let text = match &*self.shared.asked()? {
                State::Answered { kind, .. } => format!("Content-Type: {kind}\n"),
                _ => String::new(),
            };
            self.text = Some(Cursor::new(text.into_bytes()));
        }
        Ok(self.text.get_or_insert_default())
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.text()?.read(buffer)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.text()?.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Some(text) = &mut self.text {
            text.consume(count);
        }
    }
}

/// The body of a request.
pub(super) struct PostBody(Shared);

impl Write for PostBody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            State::Waiting { call, .. } => call.body.extend_from_slice(bytes),
            _ => return Err(io::Error::other("the request is on its way already")),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The body of an answer, measured as it is read.
pub(super) struct Body {
    shared: Shared,
    gauge: Gauge,
    meter: Meter,
    bytes: Vec<u8>,
    at: usize,
}

impl Body {
    fn of(shared: &Shared, gauge: &Gauge) -> Self {
        let meter = Meter::new(gauge.clone());
        Self { shared: shared.clone(), gauge: gauge.clone(), meter, bytes: Vec::new(), at: 0 }
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.bytes.len() {
            let mut state = self.shared.asked()?;
            let State::Answered { response, .. } = &mut *state else { return Ok(&[]) };
            self.bytes.resize(64 * 1024, 0);
            self.at = 0;
            let read = response.read(&mut self.bytes);
            let count = *read.as_ref().unwrap_or(&0);
            self.bytes.truncate(count);
            match read {
                Ok(0) => self.meter.end()?,
                Ok(_) => self.meter.take(&self.bytes)?,
                Err(error) => return Err(broken(&error, &self.gauge)),
            }
        }
        Ok(&self.bytes[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.bytes.len());
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.fill_buf()?;
        let count = rest.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// Why an answer has no end.
fn broken(error: &io::Error, gauge: &Gauge) -> io::Error {
    if gauge.left().is_none() {
        return gauge.fail_slow();
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    match inner {
        Some(inner) => gauge.fail(network(inner, gauge)),
        None => gauge.fail(Failure::Network(plain(&error.to_string(), 300))),
    }
}
