//! The way over SSH: the `ssh` program, run without a shell, whose last words are the reason when it fails. It ends with
//! the transport.

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
        Arc,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::Duration,
};

/// Longest time without a byte from the server.
const SILENCE: Duration = Duration::from_secs(120);
/// Longest time that the program may take to say why it closed the connection.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// It asks nothing and trusts no server that it does not know.
const OPTIONS: [&str; 6] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    // Without the banner that some servers greet with.
    "LogLevel=ERROR",
];

/// Key and known hosts for SSH. The `ssh` program reads no configuration of its own.
#[derive(Clone, Debug)]
pub struct SshAccess {
    /// The private key's file.
    pub key: Option<PathBuf>,
    /// The file with the server's key; the user's own where absent. A server that it does not name is refused.
    pub known_hosts: Option<PathBuf>,
    /// Keeps a key that was written for this process only.
    pub keeper: Option<Arc<tempfile::NamedTempFile>>,
}

/// A transport for one exchange.
pub(super) struct Ssh {
    url: gix::Url,
    version: Protocol,
    arguments: Vec<OsString>,
    session: Option<Session>,
}

/// A running program. Dropped, it is gone.
struct Session {
    connection: Connection<Answers, ChildStdin>,
    _child: Running,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ssh {
    /// The way to a repository. Nothing is started yet.
    ///
    /// # Errors
    /// A sentence, where the URL is not one for the program.
    pub(super) fn new(url: gix::Url, version: Protocol, access: Option<&SshAccess>) -> Result<Self, String> {
        let mut arguments: Vec<OsString> = ["-F", "none"].map(OsString::from).into();
        let mut option = |text: OsString| arguments.extend([OsString::from("-o"), text]);
        for text in OPTIONS {
            option(text.into());
        }
        if version != Protocol::V1 {
            option("SendEnv=GIT_PROTOCOL".into());
        }
        if let Some(key) = access.and_then(|access| access.key.as_deref()) {
            option("IdentitiesOnly=yes".into());
            option("IdentityAgent=none".into());
            option(named("IdentityFile", key));
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
        Ok(Self { url, version, arguments, session: None })
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
        let child =
            started.map_err(|error| std::io::Error::other(format!("the ssh program does not start: {error}")))?;
        let mut child = Running(child);
        let pipes = (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(std::io::Error::other("the ssh program has no pipes"));
        };
        let answers = Answers { chunks: read(stdout), words: listen(stderr), rest: Vec::new(), at: 0 };
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
}

impl Read for Answers {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.rest.len() {
            self.rest = match self.chunks.recv_timeout(SILENCE) {
                Ok(chunk) => chunk?,
                Err(RecvTimeoutError::Timeout) => {
                    let reason = format!("the server was silent for {} seconds", SILENCE.as_secs());
                    return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, reason));
                }
                // What is asked for has an end of its own, so this one comes too early.
                Err(RecvTimeoutError::Disconnected) => {
                    let words = self.words.recv_timeout(LAST_WORDS).unwrap_or_default();
                    let reason = match words.is_empty() {
                        true => "the server closed the connection".to_owned(),
                        false => words.join("; "),
                    };
                    return Err(std::io::Error::other(reason));
                }
            };
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
                if last.len() == 3 {
                    last.remove(0);
                }
                last.push(text.chars().take(300).collect());
            }
            line.clear();
        }
        let _ = send.send(last);
    });
    words
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
