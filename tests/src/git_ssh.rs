//! A Git server over SSH: a real `sshd` with `git-shell` behind it, on keys made for it alone. The listener is ours and
//! each connection gets an `sshd` of its own, as from inetd. So no port is guessed, nothing has to be waited for, refusals
//! do not slow down later connections, and no server outlives a test that is killed.

use std::{
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::{fs::DirBuilderExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};
use tempfile::TempDir;

/// What an `sshd` that runs as root insists on.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// A running server; it and its connections end when it is dropped.
pub struct SshServer {
    root: PathBuf,
    user: String,
    port: u16,
    key: PathBuf,
    other_key: PathBuf,
    known_hosts: PathBuf,
    wrong_known_hosts: PathBuf,
    log: PathBuf,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    _directory: TempDir,
}

/// What a server does that others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// It has a kind of host key that clients refuse today.
    OldHostKey,
    /// A start-up file of its shell writes to stdout before Git does.
    Welcome,
    /// It greets before anybody is let in.
    Banner,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    connections: AtomicUsize,
}

impl SshServer {
    /// Serves the bare repositories of a directory to the user who runs the test.
    pub fn start(root: &Path) -> Self {
        Self::with(root, None)
    }

    /// The same with something odd.
    pub fn odd(root: &Path, oddity: Oddity) -> Self {
        Self::with(root, Some(oddity))
    }

    fn with(root: &Path, oddity: Option<Oddity>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let [host, wrong_host, key, other_key] =
            ["host", "wrong-host", "client", "other-client"].map(|name| make_key(&directory.path().join(name)));
        let [known_hosts, wrong_known_hosts] = [host.as_path(), &wrong_host].map(|key| {
            let file = key.with_extension("known");
            write(&file, &format!("[127.0.0.1]:{port} {}", public(key)));
            file
        });
        let log = directory.path().join("log");
        let sshd = Sshd::new(directory.path(), &host, &key, &log, oddity);
        let shared = Arc::new(Shared::default());
        let accepting = std::thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener, &sshd)
        });
        Self {
            root: root.to_owned(),
            user: answer(Command::new("id").arg("-un")).trim().to_owned(),
            port,
            key,
            other_key,
            known_hosts,
            wrong_known_hosts,
            log,
            shared,
            accepting: Some(accepting),
            _directory: directory,
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a bare repository, which is named by its path below the root or in full.
    pub fn url(&self, path_of_bare: impl AsRef<Path>) -> String {
        let path = self.root.join(path_of_bare);
        assert!(path.starts_with(&self.root), "{} is not below {}", path.display(), self.root.display());
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, path.display())
    }

    /// The private key that is let in. It has no passphrase; its public half is beside it.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// The same for a key that is not let in.
    pub fn other_key(&self) -> &Path {
        &self.other_key
    }

    /// The file of known hosts with the server's key.
    pub fn known_hosts(&self) -> &Path {
        &self.known_hosts
    }

    /// A file of known hosts with another key for the server.
    pub fn wrong_known_hosts(&self) -> &Path {
        &self.wrong_known_hosts
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// What was logged: who was let in, and why somebody was not.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then ends the connections and gives up the port.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn accept(&self, listener: &TcpListener, sshd: &Sshd) {
        let mut sessions: Vec<Session> = Vec::new();
        for stream in listener.incoming() {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            self.connections.fetch_add(1, Ordering::SeqCst);
            sessions.retain_mut(Session::runs);
            sessions.push(sshd.serve(stream));
        }
    }
}

/// The program and its configuration.
struct Sshd {
    program: PathBuf,
    configuration: PathBuf,
    log: PathBuf,
}

impl Sshd {
    /// Writes the configuration, and has it read once, so that what is wrong with it is told at the start.
    fn new(directory: &Path, host: &Path, client: &Path, log: &Path, oddity: Option<Oddity>) -> Self {
        let (authorized, configuration) = (directory.join("authorized_keys"), directory.join("sshd_config"));
        let shell = git_shell();
        let command = format!(r#"'{}' -c \"$SSH_ORIGINAL_COMMAND\""#, shell.display());
        let command = match oddity {
            Some(Oddity::Welcome) => format!("echo Welcome to git.example.com; {command}"),
            _ => command,
        };
        let (host, more) = match oddity {
            Some(Oddity::OldHostKey) => {
                let old = directory.join("old-host");
                let mut keygen = Command::new(program("ssh-keygen", "openssh-client"));
                answer(keygen.args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "", "-f"]).arg(&old));
                (old, "HostKeyAlgorithms ssh-rsa\n".to_owned())
            }
            Some(Oddity::Banner) => {
                let banner = directory.join("banner");
                write(&banner, "All activity on this machine is logged.\nUnauthorised users leave.\n");
                (host.to_owned(), format!("Banner \"{}\"\n", banner.display()))
            }
            _ => (host.to_owned(), String::new()),
        };
        write(&authorized, &format!("restrict,command=\"{command}\" {}", public(client)));
        write(
            &configuration,
            &format!(
                "HostKey \"{}\"\nAuthorizedKeysFile \"{}\"\nPidFile none\nLogLevel VERBOSE\nUsePAM no\nStrictModes no\n\
                 UseDNS no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                 PermitRootLogin forced-commands-only\nAcceptEnv GIT_PROTOCOL\n\
                 SetEnv GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1\n{more}",
                host.display(),
                authorized.display(),
            ),
        );
        if answer(Command::new("id").arg("-u")).trim() == "0" {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(PRIVILEGE_SEPARATION);
            made.expect("root can make what sshd insists on");
        }
        let program = program("sshd", "openssh-server");
        answer(Command::new(&program).arg("-t").arg("-f").arg(&configuration));
        Self { program, configuration, log: log.to_owned() }
    }

    fn serve(&self, stream: TcpStream) -> Session {
        let out = stream.try_clone().expect("a connection can be named twice");
        let child = Command::new(&self.program)
            .arg("-i")
            .arg("-f")
            .arg(&self.configuration)
            .arg("-E")
            .arg(&self.log)
            .stdin(OwnedFd::from(stream))
            .stdout(OwnedFd::from(out))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sshd starts");
        Session(child)
    }
}

/// The `sshd` of one connection, which leads a process group.
struct Session(Child);

impl Session {
    fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.runs() {
            // Its unprivileged half has the connection too. What Git runs for it ends with the connection.
            let group = format!("kill -KILL -- -{}", self.0.id());
            let _ = Command::new("bash").args(["-c", &group]).stderr(Stdio::null()).status();
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Makes a key pair, and answers the private half's path.
fn make_key(path: &Path) -> PathBuf {
    let mut keygen = Command::new(program("ssh-keygen", "openssh-client"));
    answer(keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path));
    path.to_owned()
}

/// The line of a key's public half.
fn public(key: &Path) -> String {
    std::fs::read_to_string(key.with_extension("pub")).expect("ssh-keygen writes both halves")
}

/// Git's shell, which is not on everybody's path.
fn git_shell() -> PathBuf {
    let directory = answer(Command::new("git").arg("--exec-path"));
    let beside = Path::new(directory.trim()).join("git-shell");
    if beside.exists() { beside } else { program("git-shell", "git") }
}

/// Where a program is. `sshd` wants to be called by its full path, and is where only root's path leads.
fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|path| path.is_absolute() && path.exists())
        .unwrap_or_else(|| panic!("there is no {name}; Debian has it in the package {package}"))
}

fn write(path: &Path, content: &str) {
    std::fs::write(path, content).expect("the file can be written");
}

/// The stdout of a program that must succeed.
fn answer(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the program writes UTF-8")
}
