//! The SSH server that other tests stand on, by the `git` and `ssh` programs alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep_tests::{
    eventually,
    git_http::{Repository, git},
    git_ssh::SshServer,
};
use std::{
    io::Read,
    net::TcpStream,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// The `ssh` program with a key, an opinion on hosts, and nothing of the machine's.
fn ssh(key: &Path, known_hosts: &Path) -> String {
    format!(
        "ssh -F none -i {} -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes -o StrictHostKeyChecking=yes \
         -o UserKnownHostsFile={} -o GlobalKnownHostsFile=/dev/null",
        key.display(),
        known_hosts.display()
    )
}

/// The `git` program over that.
fn git_over(ssh: &str, directory: &Path, arguments: &[&str]) -> Output {
    Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .env("GIT_SSH_COMMAND", ssh)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap()
}

/// What a command that failed wrote to stderr.
fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

struct Rig {
    root: TempDir,
    repository: Repository,
    commit: String,
    server: SshServer,
}

impl Rig {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let repository = Repository::new(root.path(), "deploy");
        repository.write("lockstep.yaml", "version: 1\nenvironments: {}\n");
        let commit = repository.commit("first");
        let server = SshServer::start(root.path());
        Self { root, repository, commit, server }
    }

    fn url(&self) -> String {
        self.server.url(self.repository.bare())
    }

    /// A command for the server's shell.
    fn run(&self, ssh: &str, command: &str) -> Command {
        let mut run = Command::new("sh");
        run.args(["-c", &format!("exec {ssh} -p {} 127.0.0.1 \"$0\"", self.server.port()), command]);
        run
    }

    /// The command that Git gives to read the repository.
    fn upload_pack(&self) -> String {
        format!("git-upload-pack '{}'", self.repository.bare().display())
    }
}

#[test]
fn a_clone_and_a_push() {
    let rig = Rig::new();
    let ssh = ssh(rig.server.key(), rig.server.known_hosts());
    let cloned = git_over(&ssh, rig.root.path(), &["clone", "--quiet", &rig.url(), "clone"]);
    assert!(cloned.status.success(), "{cloned:?}\n{}", rig.server.log());
    let clone = rig.root.path().join("clone");
    assert_eq!(git(&clone, &["rev-parse", "HEAD"]), rig.commit);
    assert_eq!(rig.server.connections(), 1);

    git(&clone, &["commit", "--quiet", "--allow-empty", "-m", "second"]);
    let pushed = git_over(&ssh, &clone, &["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
    assert!(pushed.status.success(), "{pushed:?}\n{}", rig.server.log());
    assert_eq!(git(rig.repository.bare(), &["rev-parse", "main"]), git(&clone, &["rev-parse", "HEAD"]));
    assert_eq!(rig.server.connections(), 2);
}

#[test]
fn the_second_version_of_the_protocol() {
    let rig = Rig::new();
    let ssh = ssh(rig.server.key(), rig.server.known_hosts()) + " -o SetEnv=GIT_PROTOCOL=version=2";
    let answer = rig.run(&ssh, &rig.upload_pack()).stdin(Stdio::null()).output().unwrap();
    assert!(String::from_utf8_lossy(&answer.stdout).contains("version 2\n"), "{answer:?}");
}

#[test]
fn a_key_that_is_not_let_in() {
    let rig = Rig::new();
    let ssh = ssh(rig.server.other_key(), rig.server.known_hosts());
    let refused = refusal(&git_over(&ssh, rig.root.path(), &["ls-remote", &rig.url()]));
    assert!(refused.contains("Permission denied (publickey)"), "{refused}");
}

#[test]
fn a_host_with_another_key() {
    let rig = Rig::new();
    let ssh = ssh(rig.server.key(), rig.server.wrong_known_hosts());
    let refused = refusal(&git_over(&ssh, rig.root.path(), &["ls-remote", &rig.url()]));
    assert!(refused.contains("Host key verification failed"), "{refused}");
}

#[test]
fn only_git_is_run() {
    let rig = Rig::new();
    let ssh = ssh(rig.server.key(), rig.server.known_hosts());
    let refused = refusal(&rig.run(&ssh, "true").output().unwrap());
    assert!(refused.contains("unrecognized command 'true'"), "{refused}");
}

#[test]
fn connections_end_with_the_server() {
    let rig = Rig::new();
    let ssh = ssh(rig.server.key(), rig.server.known_hosts());
    let mut client = rig.run(&ssh, &rig.upload_pack()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // The refs begin to come: the session is under way, and waits for what the client wants.
    client.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
    let port = rig.server.port();
    drop(rig.server);
    TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    let status = eventually("the client ends", Duration::from_secs(20), || client.try_wait().unwrap());
    assert!(!status.success());
}
