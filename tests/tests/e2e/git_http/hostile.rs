//! Servers that mean no good, or are broken: where they send the client, and what they never end.

use super::{EXCHANGE, Rig, TOKEN, brief, contents, secured};
use lockstep::git::{
    Access, Credentials, FileEdit, GitError, Limits, Location, NewCommit, Person, PushError, Remote, Tip,
};
use lockstep_tests::git_http::{GitServer, Mischief, Options, Repository, git, line};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// A limit that a test reaches at once is in milliseconds; this is far from it, and near enough to see the difference.
const SOON: Duration = Duration::from_secs(20);

impl Rig {
    fn access(&self, limits: Limits, authority: Option<PathBuf>) -> Access {
        let credentials = self.server.authority().map(|_| Credentials { username: "bot".into(), token: TOKEN.into() });
        Access { credentials, authority: authority.or_else(|| self.server.authority()), limits, ..Access::default() }
    }

    fn limited(&self, limits: Limits) -> Remote {
        let location = Location::parse(&self.server.url("deploy")).unwrap();
        Remote::open(&location, "main", self.state.path(), self.access(limits, None)).unwrap()
    }
}

/// A stranger's server with a repository of the same name.
struct Stranger {
    server: GitServer,
    _root: TempDir,
}

impl Stranger {
    fn new(tls: bool) -> Self {
        let root = TempDir::new().unwrap();
        let repository = Repository::new(root.path(), "deploy");
        repository.write("lockstep.yaml", "version: 1\nenvironments: {}\n# evil\n");
        repository.commit("evil");
        Self { server: GitServer::with(root.path(), &Options { tls, ..Options::default() }), _root: root }
    }
}

/// Both servers' authorities in one file: it is not TLS that protects the token.
fn trusting(servers: &[&GitServer], directory: &Path) -> Option<PathBuf> {
    let pems: Vec<String> = servers
        .iter()
        .filter_map(|server| server.authority())
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let path = directory.join("both.pem");
    std::fs::write(&path, pems.concat()).unwrap();
    (!pems.is_empty()).then_some(path)
}

fn push(remote: &mut Remote, base: &Tip, content: &str) -> Result<Tip, PushError> {
    let person = Person::parse("Lockstep <lockstep@example.com>").unwrap();
    let edits = [FileEdit { path: "services/web/prod.pins.yaml".into(), content: content.into() }];
    let new = NewCommit {
        edits: &edits,
        message: "bump\n",
        author: &person,
        committer: &person,
        at: 1_767_225_600,
        key: None,
    };
    remote.commit(base, &new)
}

/// The one sentence about a redirect to another origin.
fn elsewhere(from: &str, to: &str) -> String {
    format!(
        "failed to read the repository {from}/deploy.git: {from} redirects to {to}/deploy.git, and no redirect to another \
         server is followed, because the token would go there too. If the repository moved, write its new address as \
         `repository`"
    )
}

fn origin(server: &GitServer) -> String {
    server.url("x").trim_end_matches("/x.git").to_owned()
}

// H1: the first poll, every later one, a fetch and a push, from https and http, to https and http.
#[test]
fn no_redirect_leads_to_another_origin() {
    for (ours, theirs) in [(true, true), (true, false), (false, false), (false, true)] {
        let rig = Rig::new(&if ours { secured() } else { Options::default() });
        let stranger = Stranger::new(theirs);
        let authority = trusting(&[&rig.server, &stranger.server], rig.root.path());
        let (from, to) = (origin(&rig.server), origin(&stranger.server));
        let expected = elsewhere(&from, &to);
        let location = Location::parse(&rig.server.url("deploy")).unwrap();
        let mut remote =
            Remote::open(&location, "main", rig.state.path(), rig.access(Limits::default(), authority)).unwrap();
        let statuses = if ours == theirs { &REDIRECTS[..] } else { &REDIRECTS[1..2] };
        for (number, status) in statuses.iter().copied().enumerate() {
            let redirect = {
                let to = to.clone();
                move |path: &str| Some(Mischief::Redirect(status, format!("{to}{path}")))
            };
            let everything = redirect.clone();
            rig.server.misbehave(move |_, path| everything(path));
            for poll in 0..3 {
                let error = remote.tip().unwrap_err();
                assert!(matches!(&error, GitError::Unreadable { .. }), "{error:?}");
                assert_eq!(error.to_string(), expected, "{status}, poll {poll}");
            }
            // The references come from here, what follows is sent away.
            let requests = redirect.clone();
            rig.server.misbehave(move |method, path| if method == "POST" { requests(path) } else { None });
            for _ in 0..2 {
                assert_eq!(remote.tip().unwrap_err().to_string(), expected, "{status}");
            }
            rig.server.behave();
            rig.repository.write("lockstep.yaml", format!("version: 1\nenvironments: {{}}\n# {number}\n"));
            let commit = rig.repository.commit("ours");
            let tip = remote.tip().unwrap();
            assert_eq!(tip.commit, commit, "the real server is asked");
            // A fetch of which only the objects are sent away.
            rig.repository.write("lockstep.yaml", format!("version: 1\nenvironments: {{}}\n# {number} again\n"));
            let commit = rig.repository.commit("ours again");
            let counted = std::sync::atomic::AtomicUsize::new(0);
            let objects = redirect.clone();
            rig.server.misbehave(move |method, path| {
                let is_second = method == "POST" && counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
                if is_second { objects(path) } else { None }
            });
            assert_eq!(remote.tip().unwrap_err().to_string(), expected, "{status}");
            rig.server.behave();
            let base = remote.tip().unwrap();
            assert_eq!(base.commit, commit);
            // A push: all of it, and its second half.
            for halves in [false, true] {
                let redirect = redirect.clone();
                rig.server
                    .misbehave(move |method, path| if method == "POST" || !halves { redirect(path) } else { None });
                let error = push(&mut remote, &base, "web: 1.0.0\n").unwrap_err();
                assert_eq!(error.to_string(), expected, "{status}");
            }
            rig.server.behave();
            assert_eq!(git(rig.repository.bare(), &["rev-parse", "main"]), base.commit);
        }
        assert_eq!(stranger.server.requests(), [], "nobody else is asked");
        assert_eq!(stranger.server.connections(), 0, "nor so much as connected to");
    }
}

// H1: within the origin a redirect is followed, each time anew.
#[test]
fn a_redirect_within_the_origin_is_followed() {
    for tls in [true, false] {
        let rig = Rig::new(&if tls { secured() } else { Options::default() });
        let location = Location::parse(&rig.server.url("old-name")).unwrap();
        let mut remote =
            Remote::open(&location, "main", rig.state.path(), rig.access(Limits::default(), None)).unwrap();
        for status in REDIRECTS {
            rig.server.misbehave(move |_, path| {
                let new = path.strip_prefix("/old-name.git").map(|rest| format!("/deploy.git{rest}"));
                new.map(|new| Mischief::Redirect(status, new))
            });
            let base = remote.tip().unwrap();
            assert_eq!(contents(&remote, &base), rig.expected(&base.commit));
            rig.server.forget();
            assert_eq!(remote.tip().unwrap(), base);
            let requests = rig.server.requests();
            assert_eq!(requests.len(), 3, "{requests:?}");
            assert!(requests.iter().all(|request| request.authorization == tls), "{requests:?}");
            let tip = push(&mut remote, &base, &format!("web: 1.0.0 # {status}\n")).unwrap();
            assert_eq!(git(rig.repository.bare(), &["rev-parse", "main"]), tip.commit);
        }
    }
}

// H1: of a request with a body, too: its method and its body are kept.
#[test]
fn a_request_that_is_redirected_within_the_origin_keeps_its_body() {
    let rig = Rig::new(&secured());
    std::os::unix::fs::symlink(rig.repository.bare(), rig.root.path().join("alias.git")).unwrap();
    let mut remote = rig.open_with(Some(TOKEN), rig.server.authority().as_deref());
    for status in REDIRECTS {
        rig.server.misbehave(move |method, path| {
            let new = path.strip_prefix("/deploy.git").map(|rest| format!("/alias.git{rest}"));
            new.filter(|_| method == "POST").map(|new| Mischief::Redirect(status, new))
        });
        let base = remote.tip().unwrap();
        assert_eq!(contents(&remote, &base), rig.expected(&base.commit));
        let tip = push(&mut remote, &base, &format!("web: 1.0.0 # {status}\n")).unwrap();
        assert_eq!(git(rig.repository.bare(), &["rev-parse", "main"]), tip.commit);
    }
    assert_eq!(rig.server.connections(), 1);
}

// E8: a sign-in, and a circle.
#[test]
fn a_redirect_to_no_repository_is_said_as_such() {
    let rig = Rig::new(&Options::default());
    let mut remote = rig.open();
    let tip = remote.tip().unwrap();
    let from = origin(&rig.server);
    for (to, shown) in [
        ("/users/sign_in?token=canary", format!("{from}/users/sign_in")),
        ("/deploy.git/info/refs?service=git-upload-pack", format!("{from}/deploy.git/info/refs")),
    ] {
        rig.server.misbehave(move |_, _| Some(Mischief::Redirect(302, to.to_owned())));
        let error = remote.tip().unwrap_err().to_string();
        assert!(
            error.ends_with(&format!(
                ": the server redirects to {shown}, which is no repository: as for a sign-in. Check the address and the token"
            )),
            "{error}"
        );
    }
    rig.server.misbehave(|_, _| Some(Mischief::Answer(302, "text/html".into(), Vec::new())));
    assert!(remote.tip().unwrap_err().to_string().ends_with("HTTP status 302 Found (it does not say where to)"));
    rig.server.behave();
    assert_eq!(remote.tip().unwrap(), tip);
}

// D1, E8: answers of proxies, sign-in pages and hosts that hide what they have.
#[test]
fn what_is_no_answer_of_git_is_worded_as_what_it_is() {
    let rig = Rig::new(&secured());
    let mut remote = rig.open_with(Some(TOKEN), rig.server.authority().as_deref());
    let tip = remote.tip().unwrap();
    let page = b"<html><body>Sign in</body></html>";
    let cases: [(u16, &str, &[u8], &str); 9] = [
        (
            200,
            "text/html",
            page,
            "the server answered with a web page, as for a sign-in (HTTP status 200). Check the address and the token",
        ),
        (
            203,
            "text/html; charset=utf-8",
            page,
            "the server answered with a web page, as for a sign-in (HTTP status 203). Check the address and the token",
        ),
        (404, "text/html", page, "it was not found, or the token may not read it (HTTP status 404 Not Found)"),
        (
            200,
            "text/plain",
            b"x",
            "the server answered with text/plain (HTTP status 200), not as a Git server does. Check the address",
        ),
        (
            204,
            "application/x-git-upload-pack-advertisement",
            b"",
            "the server answered with application/x-git-upload-pack-advertisement (HTTP status 204), not as a Git server does. Check the address",
        ),
        (
            200,
            "application/x-git-upload-pack-advertisement",
            b"Welcome!\n",
            "the server says `Welcome!` where Git's answer should begin",
        ),
        (503, "text/plain", b"back at\nnoon", "HTTP status 503 Service Unavailable (back at noon)"),
        (429, "text/html", page, "HTTP status 429 Too Many Requests"),
        (403, "text/plain", b"your token: glpat-0123456789abcdef", "HTTP status 403 Forbidden (your token: …)"),
    ];
    for (status, kind, body, says) in cases {
        let kind = kind.to_owned();
        rig.server.misbehave(move |_, _| Some(Mischief::Answer(status, kind.clone(), body.to_vec())));
        let error = remote.tip().unwrap_err();
        assert!(error.to_string().ends_with(&format!(": {says}")), "{error}");
        assert!(!format!("{error:?}").contains(TOKEN));
        match status {
            403 => assert!(matches!(error, GitError::Refused { .. }), "{error:?}"),
            429 | 503 => assert!(matches!(error, GitError::Unreachable { .. }), "{error:?}"),
            _ => assert!(matches!(error, GitError::Unreadable { .. }), "{error:?}"),
        }
    }
    rig.server.behave();
    rig.server.forget();
    assert_eq!(remote.tip().unwrap(), tip);
    assert_eq!(brief(&rig.server.requests()), EXCHANGE);
}

fn short() -> Limits {
    Limits {
        references: Duration::from_millis(400),
        objects: Duration::from_millis(800),
        push: Duration::from_millis(800),
        pace: (Duration::from_millis(100), 1000),
        ..Limits::default()
    }
}

/// The error of a look that must come soon.
fn soon(remote: &mut Remote) -> GitError {
    let start = Instant::now();
    let error = remote.tip().unwrap_err();
    assert!(start.elapsed() < SOON, "it took {:?}: {error}", start.elapsed());
    error
}

// H8
#[test]
fn a_server_that_drips_is_given_up_and_asked_again() {
    let rig = Rig::new(&Options::default());
    rig.history(20);
    let drip = || Mischief::Drip(Duration::from_millis(20));
    for method in ["GET", "POST"] {
        rig.server.misbehave(move |asked, _| (asked == method).then(drip));
        let error = soon(&mut rig.limited(short()));
        let GitError::Unreachable { reason, .. } = &error else { panic!("{error:?}") };
        assert_eq!(reason, "the server is too slow: the exchange was not done within 400 ms", "{method}");
    }
    // The objects alone.
    let counted = std::sync::atomic::AtomicUsize::new(0);
    rig.server.misbehave(move |method, _| {
        let is_second = method == "POST" && counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
        is_second.then(drip)
    });
    let mut remote = rig.limited(Limits { references: SOON, objects: 2 * SOON, ..short() });
    let error = soon(&mut remote);
    assert!(
        matches!(&error, GitError::Unreachable { reason, .. } if reason.starts_with("the server is too slow: it sent ")),
        "{error:?}"
    );
    rig.server.behave();
    assert_eq!(remote.tip().unwrap().commit, git(rig.repository.bare(), &["rev-parse", "main"]));
    // A push whose answer drips is over in time as well, and nobody knows what became of it.
    let mut remote = rig.limited(Limits { references: SOON, ..short() });
    let base = remote.tip().unwrap();
    let mut remote = rig.limited(short());
    rig.server.misbehave(move |method, _| (method == "POST").then(drip));
    let start = Instant::now();
    let error = push(&mut remote, &base, "web: 1.0.0\n").unwrap_err();
    assert!(start.elapsed() < SOON);
    assert!(matches!(&error, PushError::Unknown { reason } if reason.contains("not done within 800 ms")), "{error:?}");
}

// H9
#[test]
fn what_never_ends_is_ended() {
    let limits = Limits { lines: 100_000, messages: 100_000, pack: 100_000, ..Limits::default() };
    let rig = Rig::new(&Options::default());
    let advertisement = || "application/x-git-upload-pack-advertisement".to_owned();
    let result = || "application/x-git-upload-pack-result".to_owned();
    let head = [line(b"# service=git-upload-pack\n"), b"0000".to_vec(), line(b"version 2\n")].concat();
    let reference = format!("{} refs/heads/main-2\n", "1".repeat(40));
    let pack = [line(b"packfile\n"), line(b"\x01PACK\0\0\0\x02\0\x0f\xff\xff")].concat();
    type Case = (usize, Mischief, &'static str);
    let cases: [Case; 5] = [
        (0, Mischief::Endless(advertisement(), head, line(b"agent=x\n")), "references"),
        (1, Mischief::Endless(result(), Vec::new(), line(reference.as_bytes())), "references"),
        (2, Mischief::Endless(result(), line(b"acknowledgments\n"), line(b"NAK\n")), "references"),
        (2, Mischief::Endless(result(), line(b"packfile\n"), line(b"\x02Counting objects\n")), "messages"),
        // A blob that goes on for ever.
        (
            2,
            Mischief::Endless(
                result(),
                [pack, line(b"\x01\xbf\xff\xff\xff\x7f\x78\x01")].concat(),
                line(&[&b"\x01\0\xe8\xfd\x17\x02"[..], &[0; 65000]].concat()),
            ),
            "objects",
        ),
    ];
    for (number, (at, mischief, what)) in cases.into_iter().enumerate() {
        let counted = std::sync::atomic::AtomicUsize::new(0);
        rig.server.misbehave(move |_, _| {
            (counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 3 == at).then(|| mischief.clone())
        });
        let error = soon(&mut rig.limited(limits.clone()));
        let GitError::Unreadable { reason, .. } = &error else { panic!("{number}: {error:?}") };
        assert_eq!(
            reason,
            &format!("the server does not come to an end: it sends more than 100000 bytes of {what}"),
            "{number}"
        );
    }
    rig.server.behave();
    assert!(rig.open().tip().is_ok());
}

// H9
#[test]
fn a_length_that_is_a_lie_is_not_believed() {
    let rig = Rig::new(&Options::default());
    let tip = rig.open().tip().unwrap();
    for method in ["GET", "POST"] {
        for by in [-7, 1000] {
            rig.server.misbehave(move |asked, _| (asked == method).then_some(Mischief::Length(by)));
            let mut remote = rig.limited(short());
            let start = Instant::now();
            match remote.tip() {
                // What was cut off did not matter.
                Ok(found) => assert_eq!(found, tip, "{method} {by}"),
                Err(error) => assert!(
                    matches!(&error, GitError::Unreachable { .. } | GitError::Unreadable { .. }),
                    "{method} {by}: {error:?}"
                ),
            }
            assert!(start.elapsed() < SOON, "{method} {by}");
            rig.server.behave();
            let mut patient = rig.open();
            assert_eq!(patient.tip().unwrap(), tip, "{method} {by}");
        }
    }
}

// H9: what is large when it is unpacked.
#[test]
fn a_large_object_is_said_before_it_fills_the_memory() {
    let rig = Rig::new(&Options::default());
    rig.repository.write("docs/zeros.bin", vec![0; 3 * 1024 * 1024]);
    let commit = rig.repository.commit("large");
    let mut remote = rig.limited(Limits { object: 1024 * 1024, ..Limits::default() });
    for _ in 0..2 {
        let error = remote.tip().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "failed to read the repository {}: its history has an object of more than 1 MiB, and Lockstep reads all of \
                 the history. Remove the file from the history (`git filter-repo`), or follow a repository that has only \
                 the manifests",
                rig.server.url("deploy")
            )
        );
    }
    // Within the limit it is no matter, also for the look after a start.
    assert_eq!(rig.open().tip().unwrap().commit, commit);
    assert_eq!(rig.open().tip().unwrap().commit, commit);
}

// E8
#[test]
fn a_repository_with_sha_256_is_said_as_such() {
    let rig = Rig::new(&Options::default());
    git(rig.root.path(), &["init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main", "new.git"]);
    let location = Location::parse(&rig.server.url("new")).unwrap();
    let mut remote = Remote::open(&location, "main", rig.state.path(), Access::default()).unwrap();
    let error = remote.tip().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "failed to read the repository {}: its objects are named by sha256, and Lockstep reads SHA-1 repositories only",
            rig.server.url("new")
        )
    );
}

// E8: a request that is refused as a whole.
#[test]
fn a_push_that_a_proxy_refuses_is_refused() {
    let rig = Rig::new(&Options::default());
    let mut remote = rig.open();
    let base = remote.tip().unwrap();
    for (status, says) in [
        (
            413,
            "the server refuses the push to main: it is larger than the server, or a proxy before it, takes in one request: \
             HTTP status 413 Payload Too Large (no)",
        ),
        (400, "the server refuses the push to main: HTTP status 400 Bad Request (no)"),
        (422, "the server refuses the push to main: HTTP status 422 Unprocessable Entity (no)"),
        (
            502,
            "the answer to the push was lost: the repository URL cannot be reached: HTTP status 502 Bad Gateway (no)",
        ),
    ] {
        rig.server.misbehave(move |method, _| {
            (method == "POST").then(|| Mischief::Answer(status, "text/plain".into(), b"no\n".to_vec()))
        });
        let error = push(&mut remote, &base, "web: 1.0.0\n").unwrap_err();
        assert_eq!(error.to_string(), says.replace("URL", &rig.server.url("deploy")));
        assert_eq!(matches!(error, PushError::Refused { .. }), status != 502, "{error:?}");
    }
    assert_eq!(git(rig.repository.bare(), &["rev-parse", "main"]), base.commit);
}

// E8: the words of a hook are the same each time, however the server cuts them into packets.
#[test]
fn words_of_a_hook_do_not_depend_on_packets() {
    let rig = Rig::new(&Options::default());
    let mut remote = rig.open();
    let base = remote.tip().unwrap();
    let report =
        [line(b"unpack ok\n"), line(b"ng refs/heads/main pre-receive hook declined\n"), b"0000".to_vec()].concat();
    let report = line(&[b"\x01".as_slice(), &report].concat());
    let said = b"first line\nsecond line: \x1b[31mno\x1b[0m\n\nthird\n";
    for piece in [1, 3, 11, said.len()] {
        let messages: Vec<u8> =
            said.chunks(piece).flat_map(|part| line(&[b"\x02".as_slice(), part].concat())).collect();
        let body = [messages, report.clone(), b"0000".to_vec()].concat();
        rig.server.misbehave(move |method, _| {
            (method == "POST")
                .then(|| Mischief::Answer(200, "application/x-git-receive-pack-result".into(), body.clone()))
        });
        let error = push(&mut remote, &base, "web: 1.0.0\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server refuses the push to main: pre-receive hook declined (first line; second line: [31mno [0m; third)",
            "{piece}"
        );
    }
}
