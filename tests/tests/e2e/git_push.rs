//! Commits that the agent makes, pushed to Git's own servers, and read back by the `git` program: what a push carries,
//! who wins a race, and how each refusal ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep::git::{
    Access, Credentials, FileEdit, GitError, Limits, Location, NewCommit, Person, PushError, Remote, SigningKey,
    SshAccess, SshKey, Tip,
};
use lockstep_manifests::tree::Tree;
use lockstep_tests::{
    eventually,
    git_http::{GitServer, Hold, Options, Repository, git},
    git_ssh::{Oddity, SshServer},
};
use std::{path::Path, process::Command, time::Duration};
use tempfile::TempDir;

const TOKEN: &str = "glpat-0123456789abcdef";

struct Rig {
    repository: Repository,
    root: TempDir,
    state: TempDir,
}

impl Rig {
    fn new() -> Self {
        let (root, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let repository = Repository::new(root.path(), "deploy");
        repository.write("lockstep.yaml", "version: 1\nenvironments: {}\n");
        repository.write("services/web/prod.pins.yaml", "web: 1.0.0 # first\n");
        repository.write("services/other/x.yaml", "a: 1\n");
        repository.commit("first");
        Self { repository, root, state }
    }

    fn open(&self, url: &str) -> Remote {
        self.open_with(url, Access::default())
    }

    fn open_with(&self, url: &str, access: Access) -> Remote {
        Remote::open(&Location::parse(url).unwrap(), "main", self.state.path(), access).unwrap()
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(self.repository.bare(), arguments)
    }

    /// The server's repository is whole, and its branch is here.
    fn assert_at(&self, tip: &Tip) {
        assert_eq!(self.git(&["rev-parse", "refs/heads/main"]), tip.commit);
        git(self.repository.bare(), &["fsck", "--strict", "--no-dangling"]);
    }

    fn count(&self) -> usize {
        self.git(&["rev-list", "--count", "main"]).parse().unwrap()
    }
}

fn person() -> Person {
    Person::parse("Lockstep <lockstep@example.com>").unwrap()
}

fn pins(content: &str) -> Vec<FileEdit> {
    vec![FileEdit { path: "services/web/prod.pins.yaml".into(), content: content.into() }]
}

fn commit(remote: &mut Remote, base: &Tip, content: &str, key: Option<&SigningKey>) -> Result<Tip, PushError> {
    let person = person();
    let new = NewCommit {
        edits: &pins(content),
        message: "web: 1.0.1\n\nbody\n\nLockstep-Environment: prod\n",
        author: &person,
        committer: &person,
        at: 1_767_225_600,
        key,
    };
    remote.commit(base, &new)
}

/// Every way to a repository.
fn ways(rig: &Rig, server: &GitServer, ssh: &SshServer) -> Vec<(String, Access)> {
    vec![
        (server.url("deploy"), Access::default()),
        (rig.repository.bare().display().to_string(), Access::default()),
        (ssh.url("deploy.git"), key(ssh.key(), ssh.known_hosts())),
    ]
}

/// What is presented to a server over SSH.
fn key(key: &Path, known_hosts: &Path) -> Access {
    let key = SshKey::parse(&std::fs::read_to_string(key).unwrap()).unwrap();
    let ssh = SshAccess { key: Some(key), known_hosts: Some(known_hosts.to_owned()) };
    Access { ssh: Some(ssh), ..Access::default() }
}

/// A hook that is asked about each push.
fn hook(rig: &Rig, script: &str) {
    let hook = rig.repository.bare().join("hooks/pre-receive");
    std::fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    Command::new("chmod").arg("+x").arg(&hook).status().unwrap();
}

#[test]
fn a_commit_changes_its_file_and_nothing_else() {
    let rig = Rig::new();
    let (server, ssh) = (GitServer::start(rig.root.path()), SshServer::start(rig.root.path()));
    for (number, (url, access)) in ways(&rig, &server, &ssh).into_iter().enumerate() {
        let mut remote = rig.open_with(&url, access);
        let base = remote.tip().unwrap();
        let content = format!("web: 1.0.{} # first\n", number + 1);
        let tip = commit(&mut remote, &base, &content, None).unwrap();
        rig.assert_at(&tip);
        assert_eq!(rig.git(&["rev-parse", "main^"]), base.commit);
        assert_eq!(rig.git(&["diff", "--numstat", "main^", "main"]), "1\t1\tservices/web/prod.pins.yaml");
        assert_eq!(rig.git(&["show", "main:services/web/prod.pins.yaml"]), content.trim_end());
        assert_eq!(
            rig.git(&["log", "-1", "--format=%an|%ae|%cn|%ce|%ct|%B", "main"]),
            "Lockstep|lockstep@example.com|Lockstep|lockstep@example.com|1767225600|web: 1.0.1\n\nbody\n\nLockstep-Environment: prod"
        );
        assert_eq!(rig.git(&["log", "-1", "--format=%(trailers:key=Lockstep-Environment,valueonly)", "main"]), "prod");
        // It is known here already.
        server.forget();
        assert_eq!(remote.tip().unwrap(), tip);
        let fetched = server.requests().iter().filter(|request| request.method == "POST").count();
        assert!(fetched <= 1, "only the references are asked for: {:?}", server.requests());
        let tree = remote.tree(&tip).unwrap();
        let file = tree.find("services/web/prod.pins.yaml").unwrap();
        assert_eq!(tree.read(file).unwrap(), content.into_bytes());
    }
}

#[test]
fn a_push_is_two_requests_and_carries_only_what_is_new() {
    let rig = Rig::new();
    let server = GitServer::with(rig.root.path(), &Options { token: Some(TOKEN.into()), ..Options::default() });
    let credentials = Credentials { username: "bot".into(), token: TOKEN.into() };
    // Plain HTTP takes no token: the agent refuses it before, and so does the library.
    let mut plain =
        rig.open_with(&server.url("deploy"), Access { credentials: Some(credentials.clone()), ..Access::default() });
    assert!(plain.tip().is_err());
    let server =
        GitServer::with(rig.root.path(), &Options { token: Some(TOKEN.into()), tls: true, ..Options::default() });
    let access = Access { credentials: Some(credentials), authority: server.authority(), ..Access::default() };
    let mut remote = rig.open_with(&server.url("deploy"), access);
    let base = remote.tip().unwrap();
    server.forget();
    let tip = commit(&mut remote, &base, "web: 1.0.1 # first\n", None).unwrap();
    rig.assert_at(&tip);
    let requests = server.requests();
    let lines: Vec<String> = requests.iter().map(|it| format!("{} {} {}", it.method, it.path, it.status)).collect();
    assert_eq!(
        lines,
        ["GET /deploy.git/info/refs?service=git-receive-pack 200", "POST /deploy.git/git-receive-pack 200"]
    );
    assert!(requests.iter().all(|request| request.authorization), "credentials go with the first request");
    // A commit, three trees and a file.
    assert!(requests[1].received < 1200, "{requests:?}");
    assert_eq!(server.connections(), 1);
}

#[test]
fn who_is_late_loses_and_nothing_is_overwritten() {
    let rig = Rig::new();
    let (server, ssh) = (GitServer::start(rig.root.path()), SshServer::start(rig.root.path()));
    for (url, access) in ways(&rig, &server, &ssh) {
        let mut remote = rig.open_with(&url, access);
        let base = remote.tip().unwrap();
        rig.repository.write("services/other/x.yaml", format!("a: {url}\n"));
        git(rig.repository.checkout(), &["fetch", "--quiet"]);
        git(rig.repository.checkout(), &["reset", "--quiet", "--soft", "origin/main"]);
        let theirs = rig.repository.commit("somebody else");
        let before = rig.count();
        assert_eq!(commit(&mut remote, &base, "web: 2.0.0\n", None), Err(PushError::Moved { branch: "main".into() }));
        assert_eq!((rig.git(&["rev-parse", "main"]), rig.count()), (theirs, before));
        // On the new tip it goes.
        let base = remote.tip().unwrap();
        let tip = commit(&mut remote, &base, "web: 2.0.0\n", None).unwrap();
        rig.assert_at(&tip);
        assert_eq!(rig.count(), before + 1);
    }
}

#[test]
fn a_hook_that_refuses_is_quoted_and_leaves_the_branch() {
    let rig = Rig::new();
    let (server, ssh) = (GitServer::start(rig.root.path()), SshServer::start(rig.root.path()));
    hook(&rig, "echo 'main is protected: open a merge request' >&2\nexit 1");
    // Nobody is asked where the repository is on disk.
    for (url, access) in ways(&rig, &server, &ssh).into_iter().filter(|(url, _)| url.contains("://")) {
        let mut remote = rig.open_with(&url, access);
        let base = remote.tip().unwrap();
        let refused = commit(&mut remote, &base, "web: 2.0.0\n", None).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the server refuses the push to main: pre-receive hook declined (main is protected: open a merge request)"
        );
        assert_eq!(rig.git(&["rev-parse", "main"]), base.commit);
    }
}

#[test]
fn wrong_credentials_and_a_server_that_is_away_are_told_apart() {
    let rig = Rig::new();
    let tls = Options { token: Some(TOKEN.into()), tls: true, ..Options::default() };
    let server = GitServer::with(rig.root.path(), &tls);
    // The server takes its own file with it.
    let authority = rig.state.path().join("authority.pem");
    std::fs::copy(server.authority().unwrap(), &authority).unwrap();
    let access = |token: &str| Access {
        credentials: Some(Credentials { username: "bot".into(), token: token.into() }),
        authority: Some(authority.clone()),
        ..Access::default()
    };
    let base = rig.open_with(&server.url("deploy"), access(TOKEN)).tip().unwrap();
    let mut remote = rig.open_with(&server.url("deploy"), access("wrong-canary"));
    let refused = commit(&mut remote, &base, "web: 2.0.0\n", None).unwrap_err();
    assert!(matches!(&refused, PushError::Git(GitError::Refused { .. })), "{refused:?}");
    assert!(!format!("{refused:?} {refused}").contains("wrong-canary"));
    let url = server.url("deploy");
    let mut remote = rig.open_with(&url, access(TOKEN));
    drop(server);
    let away = commit(&mut remote, &base, "web: 2.0.0\n", None).unwrap_err();
    assert!(matches!(&away, PushError::Git(GitError::Unreachable { .. })), "{away:?}");
    assert_eq!(rig.git(&["rev-parse", "main"]), base.commit);
}

#[test]
fn a_lost_answer_is_neither_success_nor_failure() {
    let rig = Rig::new();
    for half in [false, true] {
        let server = GitServer::start(rig.root.path());
        let mut remote = rig.open(&server.url("deploy"));
        let base = remote.tip().unwrap();
        server.hold(if half { Hold::Half(1) } else { Hold::Nothing(1) });
        let content = format!("web: 2.0.0 # {half}\n");
        let pushing = std::thread::spawn(move || (commit(&mut remote, &base, &content, None), remote));
        eventually("the push hangs", Duration::from_secs(20), || server.is_holding().then_some(()));
        drop(server);
        let (result, _) = pushing.join().unwrap();
        assert!(matches!(&result, Err(PushError::Unknown { .. })), "{result:?}");
        // The server did it all the same: only a look tells.
        assert_eq!(rig.git(&["show", "main:services/web/prod.pins.yaml"]), format!("web: 2.0.0 # {half}"));
    }
}

// A4: in the repository, in a linked worktree, in one of a bare repository, and while it is rebased there.
#[test]
fn a_branch_that_is_checked_out_is_not_moved_under_its_work_tree() {
    let rig = Rig::new();
    let (checkout, bare) = (rig.repository.checkout().to_owned(), rig.repository.bare().to_owned());
    let tree = |name: &str| std::fs::canonicalize(rig.root.path()).unwrap().join(name);
    let refused = |at: &Path, place: &Path| {
        let mut remote = rig.open(&at.display().to_string());
        let base = remote.tip().unwrap();
        let error = commit(&mut remote, &base, "web: 2.0.0\n", None).unwrap_err().to_string();
        let place = std::fs::canonicalize(place).unwrap();
        assert_eq!(
            error,
            format!(
                "the server refuses the push to main: it is checked out in {}. Check out another branch there, or push to a \
                 bare repository",
                place.display()
            )
        );
        assert_eq!(git(at, &["rev-parse", "main"]), base.commit);
    };
    refused(&checkout, &checkout);
    // The main work tree is elsewhere, a linked one is on the branch.
    git(&checkout, &["checkout", "--quiet", "-b", "elsewhere"]);
    git(&checkout, &["worktree", "add", "--quiet", &tree("linked").display().to_string(), "main"]);
    refused(&checkout, &tree("linked"));
    // Opened by the linked one, with the branch in the main one.
    git(&tree("linked"), &["checkout", "--quiet", "--detach"]);
    git(&checkout, &["checkout", "--quiet", "main"]);
    refused(&tree("linked"), &checkout);
    // A work tree of a bare repository; its own HEAD names the branch, and is no checkout.
    git(&bare, &["worktree", "add", "--quiet", &tree("of-bare").display().to_string(), "main"]);
    refused(&bare, &tree("of-bare"));
    let git_dir = git(&tree("of-bare"), &["rev-parse", "--absolute-git-dir"]);
    git(&tree("of-bare"), &["checkout", "--quiet", "--detach"]);
    for state in ["rebase-merge/head-name", "rebase-apply/head-name"] {
        let file = Path::new(&git_dir).join(state);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "refs/heads/main\n").unwrap();
        refused(&bare, &tree("of-bare"));
        std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
    std::fs::write(Path::new(&git_dir).join("BISECT_START"), "main\n").unwrap();
    refused(&bare, &tree("of-bare"));
    std::fs::remove_file(Path::new(&git_dir).join("BISECT_START")).unwrap();
    // Nobody has it any more.
    let mut remote = rig.open(&bare.display().to_string());
    let base = remote.tip().unwrap();
    let tip = commit(&mut remote, &base, "web: 2.0.0\n", None).unwrap();
    rig.assert_at(&tip);
}

// A4
#[test]
fn a_repository_of_another_user_is_refused() {
    let rig = Rig::new();
    let user = Command::new("id").arg("-u").output().unwrap().stdout;
    // Only root can give files away.
    if user != b"0\n" {
        return;
    }
    assert!(Command::new("chown").args(["-R", "65534"]).arg(rig.repository.bare()).status().unwrap().success());
    let location = Location::parse(&rig.repository.bare().display().to_string()).unwrap();
    let error = Remote::open(&location, "main", rig.state.path(), Access::default()).err().unwrap();
    let place = std::fs::canonicalize(rig.repository.bare()).unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "failed to read the repository {}: it belongs to another user (user id 65534), and Git refuses such \
             repositories. If you trust it, run `git config --global --add safe.directory {}`",
            rig.repository.bare().display(),
            place.display()
        )
    );
}

#[test]
fn signatures_are_good_for_git() {
    let rig = Rig::new();
    for kind in ["ed25519", "ecdsa"] {
        let directory = TempDir::new().unwrap();
        let key = directory.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", "deploy", "-f"]).arg(&key).status();
        assert!(made.expect("ssh-keygen of Debian's openssh-client is there").success());
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        let signers = directory.path().join("signers");
        std::fs::write(&signers, format!("lockstep@example.com {public}")).unwrap();
        let signing = SigningKey::parse(&std::fs::read_to_string(&key).unwrap()).unwrap();
        let mut remote = rig.open(&rig.repository.bare().display().to_string());
        let base = remote.tip().unwrap();
        let tip = commit(&mut remote, &base, &format!("web: 3.0.0 # {kind}\n"), Some(&signing)).unwrap();
        rig.assert_at(&tip);
        let allowed = format!("gpg.ssh.allowedSignersFile={}", signers.display());
        rig.git(&["-c", &allowed, "verify-commit", &tip.commit]);
        // A key of somebody else does not do.
        let trust = rig.git(&["-c", &allowed, "log", "-1", "--format=%G?%GS", &tip.commit]);
        assert_eq!(trust, "Glockstep@example.com");
    }
    let directory = TempDir::new().unwrap();
    let key = directory.path().join("key");
    Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "secret-canary", "-f"]).arg(&key).status().unwrap();
    let error = SigningKey::parse(&std::fs::read_to_string(&key).unwrap()).unwrap_err();
    assert_eq!(error, "the signing key has a passphrase; the agent cannot ask for it");
    assert_eq!(
        SigningKey::parse("x").unwrap_err(),
        "the signing key is not an ed25519 or ECDSA key in OpenSSH's format"
    );
}

#[test]
fn first_parents_tell_who_changed_which_path() {
    let rig = Rig::new();
    let repository = &rig.repository;
    let first = git(repository.checkout(), &["rev-parse", "HEAD"]);
    repository.write("services/other/x.yaml", "a: 2\n");
    let second = repository.commit("other");
    git(repository.checkout(), &["checkout", "--quiet", "-b", "side"]);
    repository.write("services/web/prod.pins.yaml", "web: 1.1.0\n");
    git(repository.checkout(), &["commit", "--quiet", "-am", "on the side"]);
    git(repository.checkout(), &["checkout", "--quiet", "main"]);
    git(repository.checkout(), &["merge", "--quiet", "--no-ff", "-m", "merge it", "side"]);
    git(repository.checkout(), &["push", "--quiet", "origin", "main"]);
    let remote = rig.open(&repository.bare().display().to_string());
    let merge = git(repository.checkout(), &["rev-parse", "HEAD"]);
    let paths = [
        "services/web/prod.pins.yaml".to_owned(),
        "services/none/prod.pins.yaml".to_owned(),
        "services/other/x.yaml".to_owned(),
    ];
    let mut steps = Vec::new();
    remote
        .first_parents(&merge, &paths, |step| {
            steps.push((step.commit.clone(), step.message.trim().to_owned(), step.changed.clone()));
            false
        })
        .unwrap();
    assert_eq!(
        steps,
        [
            (merge, "merge it".to_owned(), vec![0]),
            (second, "other".into(), vec![2]),
            (first, "first".into(), vec![0, 2])
        ]
    );
}

#[test]
fn who_is_who_over_ssh() {
    let rig = Rig::new();
    let ssh = SshServer::start(rig.root.path());
    let base = rig.open_with(&ssh.url("deploy.git"), key(ssh.key(), ssh.known_hosts())).tip().unwrap();
    let empty = rig.root.path().join("nobody");
    std::fs::write(&empty, "").unwrap();
    for (access, says) in [
        (key(ssh.other_key(), ssh.known_hosts()), "Permission denied (publickey)"),
        (key(ssh.key(), ssh.wrong_known_hosts()), "Host key verification failed"),
        (key(ssh.key(), &empty), "Host key verification failed"),
    ] {
        let mut remote = rig.open_with(&ssh.url("deploy.git"), access.clone());
        let read = remote.tip().unwrap_err();
        assert!(matches!(&read, GitError::Refused { reason, .. } if reason.contains(says)), "{read:?}");
        let pushed = commit(&mut remote, &base, "web: 2.0.0\n", None).unwrap_err();
        let is_refused = matches!(&pushed, PushError::Git(GitError::Refused { reason, .. }) if reason.contains(says));
        assert!(is_refused, "{pushed:?}");
        let secret = std::fs::read_to_string(ssh.other_key()).unwrap() + &std::fs::read_to_string(ssh.key()).unwrap();
        for line in secret.lines().filter(|line| line.len() > 20 && !line.starts_with('-')) {
            assert!(!format!("{read:?} {read} {pushed:?} {pushed}").contains(line), "{read:?} {pushed:?}");
        }
    }
    assert_eq!(rig.git(&["rev-parse", "main"]), base.commit);
    // Whoever is let in may still name what is not there.
    let mut remote = rig.open_with(&ssh.url("other.git"), key(ssh.key(), ssh.known_hosts()));
    let missing = remote.tip().unwrap_err();
    assert!(
        matches!(&missing, GitError::Unreadable { reason, .. }
            if reason.starts_with("it was not found, or the key may not read it (") && reason.contains("not appear to be a git repo")),
        "{missing:?}"
    );
    let url = ssh.url("deploy.git");
    let copies = [ssh.key(), ssh.known_hosts()].map(|from| {
        let to = rig.root.path().join(from.file_name().unwrap());
        std::fs::copy(from, &to).unwrap();
        to
    });
    drop(ssh);
    let away = rig.open_with(&url, key(&copies[0], &copies[1])).tip().unwrap_err();
    assert!(matches!(&away, GitError::Unreachable { reason, .. } if reason.contains("Connection refused")), "{away:?}");
}

// D5: ssh's own reason, and what a server's shell says before Git does.
#[test]
fn odd_servers_are_quoted() {
    let rig = Rig::new();
    let reason = |ssh: &SshServer, own: &Path| {
        let error = rig.open_with(&ssh.url("deploy.git"), key(own, ssh.known_hosts())).tip().unwrap_err();
        (error.to_string().replace(&ssh.url("deploy.git"), "URL"), ssh.port())
    };
    let ssh = SshServer::odd(rig.root.path(), Oddity::OldHostKey);
    let (text, port) = reason(&ssh, ssh.key());
    assert_eq!(
        text,
        format!(
            "the repository URL cannot be reached: Unable to negotiate with 127.0.0.1 port {port}: no matching host key type \
             found. Their offer: ssh-rsa. The server and this ssh program have no algorithm in common: update the server, or \
             use https://"
        )
    );
    let ssh = SshServer::odd(rig.root.path(), Oddity::Welcome);
    assert_eq!(
        reason(&ssh, ssh.key()).0,
        "failed to read the repository URL: the server says `Welcome to git.example.com` where Git's answer should begin"
    );
    // A greeting is no reason, and does no harm.
    let ssh = SshServer::odd(rig.root.path(), Oddity::Banner);
    let (text, _) = reason(&ssh, ssh.other_key());
    assert!(
        text.starts_with("the repository URL refuses the credentials: ") && text.contains("Permission denied"),
        "{text}"
    );
    assert!(!text.contains("activity"), "{text}");
    rig.open_with(&ssh.url("deploy.git"), key(ssh.key(), ssh.known_hosts())).tip().unwrap();
}

// H8: a server that reads nothing and says nothing, over SSH.
#[test]
fn an_exchange_over_ssh_has_an_end() {
    let rig = Rig::new();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let ssh = SshServer::start(rig.root.path());
    let limits = Limits { references: Duration::from_millis(400), ..Limits::default() };
    let access = Access { limits, ..key(ssh.key(), ssh.known_hosts()) };
    let start = std::time::Instant::now();
    let error = rig.open_with(&format!("ssh://git@127.0.0.1:{port}/deploy.git"), access).tip().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(
        matches!(&error, GitError::Unreachable { reason, .. }
            if reason == "the server is too slow: the exchange was not done within 400 ms"),
        "{error:?}"
    );
}

#[test]
fn any_file_name_is_good_for_a_key() {
    let rig = Rig::new();
    let ssh = SshServer::start(rig.root.path());
    for name in ["with space", "it's", "say \"hi\"", "100%", "%h", "back\\slash", "#1", "~", "a,b;c&d$e`f`", "$HOME"] {
        let directory = rig.root.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        let [own, known_hosts] = [(ssh.key(), "a key"), (ssh.known_hosts(), "known hosts")].map(|(from, to)| {
            let to = directory.join(format!("{to} {name}"));
            std::fs::copy(from, &to).unwrap();
            to
        });
        let mut remote = rig.open_with(&ssh.url("deploy.git"), key(&own, &known_hosts));
        let base = remote.tip().unwrap_or_else(|error| panic!("{name}: {error}"));
        let tip = commit(&mut remote, &base, &format!("web: 1.0.1 # {name}\n"), None).unwrap();
        rig.assert_at(&tip);
    }
}

#[test]
fn no_ssh_is_left_behind() {
    let rig = Rig::new();
    let ssh = SshServer::start(rig.root.path());
    let mut remote = rig.open_with(&ssh.url("deploy.git"), key(ssh.key(), ssh.known_hosts()));
    let mut wrong = rig.open_with(&ssh.url("deploy.git"), key(ssh.other_key(), ssh.known_hosts()));
    for number in 0..10 {
        let base = remote.tip().unwrap();
        wrong.tip().unwrap_err();
        if number % 5 == 0 {
            commit(&mut remote, &base, &format!("web: 1.1.{number}\n"), None).unwrap();
        }
    }
    assert_eq!(ssh.connections(), 22, "one for each exchange");
    // What other tests of this process have running ends; what is left behind stays.
    eventually("no ssh is left", Duration::from_secs(20), || children("ssh").is_empty().then_some(()));
}

/// Processes of a program that this one has started and not seen the end of.
fn children(program: &str) -> Vec<String> {
    let me = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter(|stat| {
            let Some((name, rest)) = stat.rsplit_once(')') else { return false };
            name.ends_with(&format!("({program}")) && rest.split_whitespace().nth(1) == Some(&me)
        })
        .collect()
}

#[test]
fn a_mirror_lives_through_many_commits() {
    let rig = Rig::new();
    let server = GitServer::start(rig.root.path());
    let mut remote = rig.open(&server.url("deploy"));
    for number in 0..50 {
        rig.repository.write("services/other/x.yaml", format!("a: {number}\n"));
        let theirs = rig.repository.commit("somebody else");
        let tip = remote.tip().unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(tip.commit, theirs);
        let tree = remote.tree(&tip).unwrap();
        assert_eq!(
            tree.read(tree.find("services/other/x.yaml").unwrap()).unwrap(),
            format!("a: {number}\n").as_bytes()
        );
    }
    let mirror = std::fs::read_dir(rig.state.path()).unwrap().next().unwrap().unwrap().path();
    let files = std::fs::read_dir(mirror.join("objects/pack")).unwrap();
    let packs = files.filter(|file| file.as_ref().unwrap().path().extension() == Some("pack".as_ref())).count();
    assert_eq!(packs, 1, "what a commit brings is unpacked");
    git(&mirror, &["fsck", "--strict", "--no-dangling"]);
    // As well after a restart.
    assert_eq!(rig.open(&server.url("deploy")).tip().unwrap(), remote.tip().unwrap());
    // When there are too many loose objects, they are gathered: by what is fetched, and by what is pushed.
    let loose = || git(&mirror, &["count-objects"]).split(' ').next().unwrap().parse::<usize>().unwrap();
    for number in 0..2 {
        crowd(&mirror, number);
        assert!(loose() > 7000, "{}", loose());
        let tip = if number == 0 {
            rig.repository.write("services/other/x.yaml", "a: crowd\n");
            rig.repository.commit("somebody else");
            remote.tip().unwrap()
        } else {
            let base = remote.tip().unwrap();
            commit(&mut remote, &base, "app: crowd\n", None).unwrap()
        };
        assert_eq!(loose(), 0);
        assert!(!contents(&remote, &tip).is_empty());
        git(&mirror, &["fsck", "--strict", "--no-dangling"]);
    }
}

/// Writes thousands of loose objects.
fn crowd(mirror: &Path, number: usize) {
    let files = tempfile::tempdir().unwrap();
    let mut names = String::new();
    for file in 0..8000 {
        let path = files.path().join(file.to_string());
        std::fs::write(&path, format!("crowd {number} {file}")).unwrap();
        names.push_str(&format!("{}\n", path.display()));
    }
    let list = files.path().join("list");
    std::fs::write(&list, names).unwrap();
    let list = std::fs::File::open(list).unwrap();
    let arguments = ["hash-object", "-w", "--no-filters", "--stdin-paths"];
    let output = Command::new("git").args(arguments).current_dir(mirror).stdin(list).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Reads every file of a commit.
fn contents(remote: &Remote, tip: &Tip) -> Vec<Vec<u8>> {
    let tree = remote.tree(tip).unwrap();
    tree.files().iter().filter(|file| file.is_regular()).map(|file| tree.read(file).unwrap()).collect()
}
