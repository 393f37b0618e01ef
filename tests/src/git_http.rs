//! A Git server over HTTP or TLS: the `git http-backend` program behind a small HTTP server that counts. What the Git
//! protocol says is decided by Git alone; here are only connections, requests, and who may ask.

mod mischief;
mod repository;
mod wire;

pub use mischief::{Mischief, line};
pub use repository::{Repository, git};

use crate::{
    certificates::{Certificates, accept},
    eventually,
};
use base64::Engine;
use std::{
    io::{BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};
use wire::{Answer, Head};

/// How to serve.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port; any free one where it is 0.
    pub port: u16,
    /// The token that is asked for, with any user name.
    pub token: Option<String>,
    /// Whether to speak TLS, with a certificate of an authority of the server's own.
    pub tls: bool,
}

/// One request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The connection that it came over, counted from 1.
    pub connection: usize,
    /// Whether it carried an `Authorization` header.
    pub authorization: bool,
    /// The status that it was answered with.
    pub status: u16,
    /// Bytes of its body.
    pub received: usize,
    /// Bytes of the answer's body.
    pub sent: usize,
}

/// A running server; it ends when it is dropped.
pub struct GitServer {
    shared: Arc<Shared>,
    port: u16,
    scheme: &'static str,
    certificates: Option<Certificates>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    root: PathBuf,
    token: Option<String>,
    stopping: AtomicBool,
    hold: Mutex<Option<Hold>>,
    held: AtomicBool,
    mischief: Mutex<Option<Plan>>,
    denial: Mutex<Option<Mischief>>,
    seen: Mutex<Seen>,
}

/// What is done instead of answering a request, by its method and its path with its query.
type Plan = Box<dyn Fn(&str, &str) -> Option<Mischief> + Send>;

/// Where an answer stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// So many requests are answered first; then one gets no answer at all.
    Nothing(usize),
    /// The same; then one gets the first half of its answer.
    Half(usize),
}

impl Hold {
    /// Whether the next request is the one; counts down otherwise.
    fn strikes(&mut self) -> bool {
        let (Self::Nothing(left) | Self::Half(left)) = self;
        let now = *left == 0;
        *left = left.saturating_sub(1);
        now
    }
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    connections: usize,
    open: Vec<TcpStream>,
}

impl GitServer {
    /// Serves the bare repositories of a directory over plain HTTP, to everybody.
    pub fn start(root: &Path) -> Self {
        Self::with(root, &Options::default())
    }

    /// Serves the bare repositories of a directory.
    pub fn with(root: &Path, options: &Options) -> Self {
        Self::presenting(root, options, options.tls.then(Certificates::new))
    }

    /// The same with a certificate of the test's own.
    pub fn presenting(root: &Path, options: &Options, certificates: Option<Certificates>) -> Self {
        // A port that was used a moment ago may be the local end of somebody's connection for a while.
        let bind = || TcpListener::bind(("127.0.0.1", options.port)).ok();
        let listener = eventually("the port is free", std::time::Duration::from_secs(60), bind);
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let tls = certificates.as_ref().map(|certificates| certificates.config.clone());
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            token: options.token.clone(),
            stopping: AtomicBool::new(false),
            hold: Mutex::default(),
            held: AtomicBool::new(false),
            mischief: Mutex::default(),
            denial: Mutex::default(),
            seen: Mutex::default(),
        });
        let accepting = std::thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming() {
                    if shared.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let number = shared.opened(&stream);
                    let (shared, tls) = (shared.clone(), tls.clone());
                    // A connection that breaks off is the client's to complain about.
                    std::thread::spawn(move || {
                        let _ = match tls {
                            None => shared.serve(stream, number),
                            Some(tls) => accept(tls, stream).and_then(|stream| shared.serve(stream, number)),
                        };
                    });
                }
            }
        });
        let scheme = if options.tls { "https" } else { "http" };
        Self { shared, port, scheme, certificates, accepting: Some(accepting) }
    }

    /// The URL of a repository.
    pub fn url(&self, name: &str) -> String {
        format!("{}://127.0.0.1:{}/{name}.git", self.scheme, self.port)
    }

    /// The port, to serve on again later.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate authority's file, where the server speaks TLS.
    pub fn authority(&self) -> Option<PathBuf> {
        self.certificates.as_ref().map(Certificates::authority)
    }

    /// The requests since the start or since [`GitServer::forget`].
    pub fn requests(&self) -> Vec<Request> {
        self.shared.seen().requests.clone()
    }

    /// How many connections were opened, ever.
    pub fn connections(&self) -> usize {
        self.shared.seen().connections
    }

    /// Lets one of the next requests hang until [`GitServer::release`].
    pub fn hold(&self, hold: Hold) {
        self.shared.held.store(false, Ordering::SeqCst);
        *self.shared.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(hold);
    }

    /// Whether a request hangs.
    pub fn is_holding(&self) -> bool {
        self.shared.held.load(Ordering::SeqCst)
    }

    /// Answers all requests again.
    pub fn release(&self) {
        self.shared.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.held.store(false, Ordering::SeqCst);
    }

    /// Does wrong from now on, where the plan says so.
    pub fn misbehave(&self, plan: impl Fn(&str, &str) -> Option<Mischief> + Send + 'static) {
        *self.shared.mischief.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(plan));
    }

    /// What those are told who present another token, or none; otherwise it is a 401.
    pub fn deny_with(&self, mischief: Mischief) {
        *self.shared.denial.lock().unwrap_or_else(PoisonError::into_inner) = Some(mischief);
    }

    /// Does right again.
    pub fn behave(&self) {
        self.shared.mischief.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Starts the list of requests anew.
    pub fn forget(&self) {
        self.shared.seen().requests.clear();
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then gives up the port.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
        for stream in self.shared.seen().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, stream: &TcpStream) -> usize {
        let mut seen = self.seen();
        seen.connections += 1;
        seen.open.extend(stream.try_clone());
        seen.connections
    }

    /// Answers the requests of one connection until the client has no more.
    fn serve(&self, stream: impl Read + Write, connection: usize) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(head) = Head::read(&mut stream)? {
            let body = head.read_body(&mut stream)?;
            let mischief = self.mischief(&head);
            let answer = match &mischief {
                Some(mischief) => mischief.answer().unwrap_or_else(|| self.answer(&head, &body)),
                None => self.answer(&head, &body),
            };
            // Noted before it is sent: who has the answer finds the request in the list.
            self.seen().requests.push(Request {
                method: head.method.clone(),
                path: head.target.clone(),
                connection,
                authorization: head.header("authorization").is_some(),
                status: answer.status,
                received: body.len(),
                sent: answer.body.len(),
            });
            if let Some(mischief) = mischief {
                let goes_on = mischief.write(&answer, stream.get_mut(), || self.stopping.load(Ordering::SeqCst))?;
                if goes_on {
                    continue;
                }
                if let Some(stream) = self.seen().open.get(connection - 1) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                return Ok(());
            }
            match self.held_now() {
                None => answer.write(stream.get_mut())?,
                Some(hold) => {
                    if matches!(hold, Hold::Half(_)) {
                        let mut whole = Vec::new();
                        answer.write(&mut whole)?;
                        stream.get_mut().write_all(&whole[..whole.len() / 2])?;
                        stream.get_mut().flush()?;
                    }
                    self.held.store(true, Ordering::SeqCst);
                    // The client goes away, or the server does.
                    while !self.stopping.load(Ordering::SeqCst) && self.held.load(Ordering::SeqCst) {
                        std::thread::park_timeout(std::time::Duration::from_millis(20));
                    }
                    // The connection ends here: nobody may wait for the rest of the answer.
                    if let Some(stream) = self.seen().open.get(connection - 1) {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn mischief(&self, head: &Head) -> Option<Mischief> {
        if self.token.is_some() && presented(head) != self.token {
            let denial = self.denial.lock().unwrap_or_else(PoisonError::into_inner);
            if denial.is_some() {
                return denial.clone();
            }
        }
        let plan = self.mischief.lock().unwrap_or_else(PoisonError::into_inner);
        plan.as_ref().and_then(|plan| plan(&head.method, &head.target))
    }

    /// The hold, where this request is the one that it is for.
    fn held_now(&self) -> Option<Hold> {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let strikes = hold.as_mut().is_some_and(Hold::strikes);
        if strikes { hold.take() } else { None }
    }

    fn answer(&self, head: &Head, body: &[u8]) -> Answer {
        match &self.token {
            Some(token) if presented(head).as_deref() != Some(token) => {
                Answer::text(401, "WWW-Authenticate: Basic realm=\"git\"", "who are you?\n")
            }
            _ => self.backend(head, body),
        }
    }

    /// Runs the CGI program.
    fn backend(&self, head: &Head, body: &[u8]) -> Answer {
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let mut command = Command::new("git");
        command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("REQUEST_METHOD", &head.method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_LENGTH", body.len().to_string())
            // Whoever may ask may push.
            .env("REMOTE_USER", "bot")
            .env("REMOTE_ADDR", "127.0.0.1");
        for (header, variable) in [
            ("content-type", "CONTENT_TYPE"),
            ("git-protocol", "GIT_PROTOCOL"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ] {
            if let Some(value) = head.header(header) {
                command.env(variable, value);
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the git program is there");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // The program may end without reading all of it.
                let _ = stdin.write_all(body);
            });
            child.wait_with_output().expect("the git program ends")
        });
        Answer::of_cgi(&output.stdout)
    }
}

/// The password of basic authentication.
fn presented(head: &Head) -> Option<String> {
    let encoded = head.header("authorization")?.strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(_, token)| token.to_owned())
}
