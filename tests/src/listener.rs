//! An HTTP server that answers what a test wants, and keeps what it was asked: for counterparts that do wrong, and for
//! those that nobody should talk to. What bodies hold it does not look at.

use crate::{
    certificates::{Certificates, accept},
    eventually,
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// The headers, with names in small letters.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// A header's value, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Whole(Vec<u8>),
    /// The same again and again, until the client goes away.
    Endless(Vec<u8>),
    /// A byte each second, until the client goes away.
    Dripping,
    /// Less than the header says; then the connection ends.
    Short(Vec<u8>),
}

impl Reply {
    /// An answer with a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(body.into()) }
    }

    /// An answer whose body never ends.
    pub fn endless(status: u16, part: &str) -> Self {
        Self { status, headers: Vec::new(), body: Body::Endless(part.as_bytes().to_vec()) }
    }

    /// An answer that comes byte by byte, and never ends.
    pub fn dripping(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Dripping }
    }

    /// An answer that ends before the length that it names.
    pub fn short(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Short(body.into()) }
    }

    /// With a header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn write(&self, stream: &mut impl Write) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} -\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.body {
            Body::Whole(body) => {
                head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
                stream.write_all(&[head.as_bytes(), body].concat())?;
            }
            Body::Short(body) => {
                head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len() + 1000));
                stream.write_all(&[head.as_bytes(), body].concat())?;
                stream.flush()?;
                return Err(std::io::Error::other("the rest is kept back"));
            }
            Body::Dripping => {
                head.push_str("Content-Length: 1000\r\n\r\n");
                stream.write_all(head.as_bytes())?;
                loop {
                    stream.flush()?;
                    std::thread::sleep(Duration::from_secs(1));
                    stream.write_all(b" ")?;
                }
            }
            Body::Endless(part) => {
                head.push_str("Transfer-Encoding: chunked\r\n\r\n");
                stream.write_all(head.as_bytes())?;
                let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
                loop {
                    stream.write_all(&chunk)?;
                }
            }
        }
        stream.flush()
    }
}

type Answer = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

struct Shared {
    answer: Answer,
    stopping: AtomicBool,
    asked: Mutex<Vec<Asked>>,
    connected: Mutex<Vec<(SocketAddr, Option<TcpStream>)>>,
}

/// A running server on a free port of loopback; it ends when it is dropped.
pub struct Listener {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

impl Listener {
    /// Answers over plain HTTP.
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(None, Box::new(answer))
    }

    /// Answers over TLS.
    pub fn tls(certificates: &Certificates, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Some(certificates.config.clone()), Box::new(answer))
    }

    /// Somebody whom nobody should ask.
    pub fn foreign() -> Self {
        Self::start(|_| Reply::new(200, "{}"))
    }

    fn with(tls: Option<Arc<rustls::ServerConfig>>, answer: Answer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            answer,
            stopping: AtomicBool::new(false),
            asked: Mutex::default(),
            connected: Mutex::default(),
        });
        let accepting = std::thread::spawn({
            let shared = shared.clone();
            move || {
                while let Ok((stream, peer)) = listener.accept() {
                    if shared.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    lock(&shared.connected).push((peer, stream.try_clone().ok()));
                    let (shared, tls) = (shared.clone(), tls.clone());
                    // A connection that breaks off is the client's to complain about.
                    std::thread::spawn(move || {
                        let _ = match tls {
                            None => shared.serve(stream),
                            Some(tls) => accept(tls, stream).and_then(|stream| shared.serve(stream)),
                        };
                    });
                }
            }
        });
        Self { shared, address, accepting: Some(accepting) }
    }

    /// The address with the port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// The targets that it was asked for, in order.
    pub fn targets(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.target).collect()
    }

    /// What it was presented, in order: the `Authorization` headers.
    pub fn presented(&self) -> Vec<Option<String>> {
        self.asked().iter().map(|asked| asked.header("authorization").map(str::to_owned)).collect()
    }

    /// Whether anybody so much as connected.
    pub fn was_connected(&self) -> bool {
        // Connections are accepted in their order: when this one is, all before it are.
        let own = TcpStream::connect(self.address).expect("it listens");
        let own = own.local_addr().expect("a connected socket has an address");
        eventually("a connection is accepted", Duration::from_secs(30), || {
            let mut connected = lock(&self.shared.connected);
            let at = connected.iter().position(|(peer, _)| *peer == own)?;
            connected.remove(at);
            Some(!connected.is_empty())
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then gives up the port.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
        for (_, stream) in lock(&self.shared.connected).drain(..) {
            let _ = stream.map(|stream| stream.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    /// Answers the requests of one connection until the client has no more.
    fn serve(&self, stream: impl Read + Write) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(asked) = head(&mut stream)? {
            let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
            let reply = (self.answer)(&asked);
            // Noted before it is sent: who has the answer finds the request in the list.
            lock(&self.asked).push(asked);
            reply.write(stream.get_mut())?;
        }
        Ok(())
    }
}

/// The head of the next request; none where there is no more.
fn head(stream: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let malformed = || std::io::Error::other("this is no request");
    let mut words = lines.first().ok_or_else(malformed)?.split(' ').map(str::to_owned);
    let (method, target) = (words.next().ok_or_else(malformed)?, words.next().ok_or_else(malformed)?);
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Ok(Some(Asked { method, target, headers }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
