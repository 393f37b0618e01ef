//! The way over SSH: the `ssh` program, run without a shell, whose last words are the reason when it fails. It ends with
//! the transport, or when the exchange takes too long.

use super::{
    failure::Failure,
    gauge::{Gauge, Meter},
    ssh_key::SshKey,
};
use gix::protocol::transport::{
    Protocol, Service,
    client::{
        Error, MessageKind, TransportWithoutIO, WriteMode,
        blocking_io::{RequestWriter, SetServiceResponse, Transport},
        git::{ConnectMode, blocking_io::Connection},
    },
};
use std::{
    any::Any,
    borrow::Cow,
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel},
    },
    time::Duration,
};

/// Longest time that the program may take to say why it closed the connection.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// It asks nothing and trusts no server that it does not know.
const OPTIONS: [&str; 6] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    // Why it has no algorithm in common with a server, the program tells from this level on.
    "LogLevel=INFO",
];
/// What the program says when it gives up, as opposed to what a server greets with.
const OWN_WORDS: [&str; 18] = [
    "Unable to negotiate",
    "Permission denied",
    "Host key verification failed",
    "No matching",
    "No ED25519 host key is known",
    "No ECDSA host key is known",
    "No RSA host key is known",
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    "Too many authentication failures",
    "Received disconnect",
    "Disconnected from",
    "Connection closed by",
    "Connection reset by",
    "Connection to ",
    "kex_exchange_identification",
    "banner exchange",
    "ssh: ",
    "Load key",
];

/// Key and known hosts for SSH. The `ssh` program reads no configuration of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAccess {
    /// The private key.
    pub key: Option<SshKey>,
    /// The file with the server's key; the user's own where absent. A server that it does not name is refused.
    pub known_hosts: Option<PathBuf>,
}

/// A transport for one exchange.
pub(super) struct Ssh {
    url: gix::Url,
    version: Protocol,
    arguments: Vec<OsString>,
    gauge: Gauge,
    // The key's file must be there as long as the program may read it.
    _key: Option<SshKey>,
    session: Option<Session>,
}

/// A running program. Dropped, it is gone.
struct Session {
    connection: Connection<Answers, ChildStdin>,
    _child: Running,
}

/// The program, and the thread that ends it when the exchange takes too long: a server that reads nothing would hold
/// the one who writes for ever.
struct Running {
    child: Arc<Mutex<Child>>,
    _done: Sender<()>,
}

impl Running {
    fn watched(child: Child, gauge: Gauge) -> Self {
        let child = Arc::new(Mutex::new(child));
        let (done, wait) = channel();
        std::thread::spawn({
            let child = child.clone();
            move || {
                while let Some(left) = gauge.left() {
                    if wait.recv_timeout(left) == Err(RecvTimeoutError::Disconnected) {
                        return;
                    }
                }
                gauge.fail_slow();
                kill(&child);
            }
        });
        Self { child, _done: done }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        kill(&self.child);
    }
}

fn kill(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = child.kill();
    let _ = child.wait();
}

impl Ssh {
    /// The way to a repository. Nothing is started yet.
    ///
    /// # Errors
    /// A sentence, where the URL is not one for the program.
    pub(super) fn new(
        url: gix::Url,
        version: Protocol,
        access: Option<&SshAccess>,
        gauge: Gauge,
    ) -> Result<Self, String> {
        let mut arguments: Vec<OsString> = ["-F", "none"].map(OsString::from).into();
        let mut option = |text: OsString| arguments.extend([OsString::from("-o"), text]);
        for text in OPTIONS {
            option(text.into());
        }
        if version != Protocol::V1 {
            option("SendEnv=GIT_PROTOCOL".into());
        }
        let key = access.and_then(|access| access.key.clone());
        if let Some(key) = &key {
            option("IdentitiesOnly=yes".into());
            option("IdentityAgent=none".into());
            option(named("IdentityFile", key.path()));
        }
        if let Some(known_hosts) = access.and_then(|access| access.known_hosts.as_deref()) {
            option("GlobalKnownHostsFile=none".into());
            option(named("UserKnownHostsFile", known_hosts));
        }
        if let Some(port) = url.port {
            arguments.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = url.user() {
            arguments.extend(["-l".into(), user.into()]);
        }
        let host = url.host_argument_safe().ok_or("the URL names no host")?;
        arguments.push("--".into());
        arguments.push(host.trim_start_matches('[').trim_end_matches(']').into());
        Ok(Self { url, version, arguments, gauge, _key: key, session: None })
    }

    fn start(&self, service: Service) -> std::io::Result<Session> {
        let path = gix::url::expand_path::for_shell(self.url.path.clone());
        let mut remote = OsString::from(format!("{} ", service.as_str()));
        remote.push(quoted(&path));
        let mut command = Command::new("ssh");
        // Its words are read.
        command.args(&self.arguments).arg(remote).env("LANG", "C").env("LC_ALL", "C");
        if self.version != Protocol::V1 {
            command.env("GIT_PROTOCOL", format!("version={}", self.version as usize));
        }
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started
            .map_err(|error| self.gauge.fail(Failure::Network(format!("the ssh program does not start: {error}"))))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let child = Running::watched(child, self.gauge.clone());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(std::io::Error::other("the ssh program has no pipes"));
        };
        let (gauge, meter) = (self.gauge.clone(), Meter::new(self.gauge.clone()));
        let answers = Answers { chunks: read(stdout), words: listen(stderr), rest: Vec::new(), at: 0, gauge, meter };
        let virtual_host = None::<(String, Option<u16>)>;
        let connection = Connection::new(answers, stdin, self.version, path, virtual_host, ConnectMode::Process, false);
        Ok(Session { connection, _child: child })
    }
}

impl TransportWithoutIO for Ssh {
    fn to_url(&self) -> Cow<'_, gix::bstr::BStr> {
        Cow::Owned(self.url.to_bstring())
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        true
    }

    fn configure(&mut self, _: &dyn Any) -> gix::Result {
        Ok(())
    }
}

impl Transport for Ssh {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra_parameters: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, Error> {
        let session = self.start(service)?;
        self.session.insert(session).connection.handshake(service, extra_parameters)
    }

    fn request(
        &mut self,
        write_mode: WriteMode,
        on_into_read: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, Error> {
        let session = self.session.as_mut().ok_or(Error::MissingHandshake)?;
        session.connection.request(write_mode, on_into_read, trace)
    }
}

/// What the server answers.
struct Answers {
    chunks: Receiver<std::io::Result<Vec<u8>>>,
    words: Receiver<Vec<String>>,
    rest: Vec<u8>,
    at: usize,
    gauge: Gauge,
    meter: Meter,
}

impl Answers {
    /// The next bytes of the server.
    fn next(&mut self) -> std::io::Result<Vec<u8>> {
        let silence = self.gauge.silence();
        match self.chunks.recv_timeout(silence) {
            Ok(chunk) => {
                let chunk = chunk.map_err(|error| self.gauge.fail(Failure::Network(error.to_string())))?;
                self.meter.take(&chunk)?;
                Ok(chunk)
            }
            Err(RecvTimeoutError::Timeout) => {
                Err(self.gauge.fail(Failure::Slow(format!("it sent nothing for {} s", silence.as_secs()))))
            }
            // What is asked for has an end of its own, so this one comes too early.
            Err(RecvTimeoutError::Disconnected) => {
                let words = self.words.recv_timeout(LAST_WORDS).unwrap_or_default();
                self.meter.end()?;
                Err(self.gauge.fail(Failure::Closed(words)))
            }
        }
    }
}

impl Read for Answers {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.rest.len() {
            self.rest = self.next()?;
            self.at = 0;
        }
        let count = buffer.len().min(self.rest.len() - self.at);
        buffer[..count].copy_from_slice(&self.rest[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Reads a pipe on a thread of its own, so that waiting for it has a limit. The thread ends with the program.
fn read(mut stdout: ChildStdout) -> Receiver<std::io::Result<Vec<u8>>> {
    let (send, chunks) = sync_channel(4);
    std::thread::spawn(move || {
        loop {
            let mut chunk = vec![0; 64 * 1024];
            let read = match stdout.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if send.send(read).is_err() || is_last {
                return;
            }
        }
    });
    chunks
}

/// Collects the last lines with words that the program writes.
fn listen(stderr: ChildStderr) -> Receiver<Vec<String>> {
    let (send, words) = sync_channel(1);
    std::thread::spawn(move || {
        let mut last: Vec<String> = Vec::new();
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        while matches!(stderr.by_ref().take(4096).read_until(b'\n', &mut line), Ok(1..)) {
            let text: String = String::from_utf8_lossy(&line).chars().filter(|letter| !letter.is_control()).collect();
            let text = text.strip_prefix("remote:").unwrap_or(&text).trim();
            if text.contains(char::is_alphanumeric) {
                if last.len() == 12 {
                    last.remove(0);
                }
                last.push(text.chars().take(300).collect());
            }
            line.clear();
        }
        let _ = send.send(telling(last));
    });
    words
}

/// The lines that tell why: the program's own from the first of them on, where there are any. Else the last ones, which
/// may be the server's. What a server greets with comes before both.
fn telling(lines: Vec<String>) -> Vec<String> {
    let is_own = |line: &String| OWN_WORDS.iter().any(|word| line.contains(word));
    let first = lines.iter().position(is_own).unwrap_or_else(|| lines.len().saturating_sub(3));
    let mut telling: Vec<String> = lines.into_iter().skip(first).collect();
    let excess = telling.len().saturating_sub(3);
    telling.drain(..excess);
    telling
}

/// An option with a path, as the program reads its configuration: a list of words, in which `%` begins a token.
fn named(option: &str, path: &Path) -> OsString {
    let mut bytes = format!("{option}=\"").into_bytes();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => bytes.extend([b'\\', *byte]),
            b'%' => bytes.extend(*b"%%"),
            byte => bytes.push(*byte),
        }
    }
    bytes.push(b'"');
    OsString::from_vec(bytes)
}

/// A path as one word for the server's shell.
fn quoted(path: &[u8]) -> OsString {
    let mut bytes = vec![b'\''];
    for byte in path {
        match byte {
            // History expansion of some shells takes no notice of quotes.
            b'\'' | b'!' => bytes.extend([b'\'', b'\\', *byte, b'\'']),
            byte => bytes.push(*byte),
        }
    }
    bytes.push(b'\'');
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // D5: the program's reason is told, and not what the server greets with.
    #[test]
    fn a_greeting_is_no_reason() {
        let lines = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let reason = "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa";
        assert_eq!(telling(lines(&["All activity is logged.", "Go away.", reason])), [reason]);
        let refused = "git@git.example.com: Permission denied (publickey).";
        assert_eq!(telling(lines(&["a", "b", "c", "d", refused])), [refused]);
        // What the server says of a repository is all there is.
        let missing = ["ERROR: Repository not found.", "fatal: Could not read from remote repository."];
        assert_eq!(telling(lines(&missing)), missing);
        assert_eq!(telling(lines(&["a", "b", "c", "d"])), ["b", "c", "d"]);
        assert!(telling(Vec::new()).is_empty());
    }
}
