//! The config repository over HTTP, against Git's own server: what a poll costs, what it fetches, and what it says when
//! it cannot.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod certificates;
mod checkout;
mod healing;
mod hostile;

use lockstep::git::{Access, Credentials, GitError, Location, Remote, Tip};
use lockstep_manifests::tree::Tree;
use lockstep_tests::{
    git_http::{GitServer, Options, Repository, Request, git},
    lockstep, outcome,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const TOKEN: &str = "glpat-0123456789abcdef";

/// A repository on a server, and where its mirror is kept.
struct Rig {
    repository: Repository,
    server: GitServer,
    state: TempDir,
    root: TempDir,
}

impl Rig {
    fn new(options: &Options) -> Self {
        let (root, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let repository = Repository::new(root.path(), "deploy");
        repository.write("lockstep.yaml", "version: 1\nenvironments: {}\n");
        repository.write("services/web/taskdef.json", "{\"family\": \"web\"}\n");
        repository.write("services/web/größe.txt", "not a manifest\n");
        repository.commit("first");
        let server = GitServer::with(root.path(), options);
        Self { repository, server, state, root }
    }

    fn open(&self) -> Remote {
        self.open_with(None, None)
    }

    fn open_with(&self, token: Option<&str>, authority: Option<&Path>) -> Remote {
        let location = Location::parse(&self.server.url("deploy")).unwrap();
        let credentials = token.map(|token| Credentials { username: "lockstep".to_owned(), token: token.to_owned() });
        Remote::open(
            &location,
            "main",
            self.state.path(),
            Access { credentials, authority: authority.map(Path::to_owned), ..Access::default() },
        )
        .unwrap()
    }

    /// The one mirror in the state directory.
    fn mirror(&self) -> PathBuf {
        let is_mirror = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "git");
        let mut found: Vec<PathBuf> = std::fs::read_dir(self.state.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(is_mirror)
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// What `git` says is in a commit: path to object id and content.
    fn expected(&self, commit: &str) -> BTreeMap<String, (String, Vec<u8>)> {
        let listing = git(self.repository.bare(), &["ls-tree", "-r", "-z", commit]);
        let entries = listing.split('\0').filter(|line| !line.is_empty());
        entries
            .map(|line| {
                let (meta, path) = line.split_once('\t').unwrap();
                (meta, path)
            })
            // Elsewhere than below services/, only what may be a manifest is listed.
            .filter(|(_, path)| path.starts_with("services/") || lockstep_manifests::parse::is_manifest(path))
            .map(|(meta, path)| {
                let id = meta.split(' ').nth(2).unwrap();
                // Every file here ends with one line's end, which `git` cuts off.
                let content = git(self.repository.bare(), &["cat-file", "blob", id]) + "\n";
                (path.to_owned(), (id.to_owned(), content.into_bytes()))
            })
            .collect()
    }

    /// A commit that adds some history.
    fn history(&self, commits: usize) {
        for number in 0..commits {
            // Text that does not compress away: otherwise "less than a clone" says nothing.
            let seed = git(self.repository.checkout(), &["rev-parse", "HEAD"]);
            let noise: Vec<String> = (0..40).map(|line| git_hash(&format!("{seed}{number}{line}"))).collect();
            self.repository.write(&format!("docs/page-{}.md", number % 7), noise.join("\n") + "\n");
            self.repository.commit(&format!("change {number}"));
        }
    }

    fn count(&self) -> String {
        git(&self.mirror(), &["rev-list", "--count", "refs/lockstep/tracked"])
    }
}

/// A number that looks random and is the same in every run.
fn git_hash(text: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut parts = Vec::new();
    for part in 0..4 {
        let mut hasher = DefaultHasher::new();
        (text, part).hash(&mut hasher);
        parts.push(format!("{:016x}", hasher.finish()));
    }
    parts.concat()
}

fn contents(remote: &Remote, tip: &Tip) -> BTreeMap<String, (String, Vec<u8>)> {
    let tree = remote.tree(tip).unwrap();
    tree.files().iter().map(|file| (file.path.clone(), (file.id.clone(), tree.read(file).unwrap()))).collect()
}

/// `METHOD what status` of each request.
fn brief(requests: &[Request]) -> Vec<String> {
    requests
        .iter()
        .map(|request| {
            let path = request.path.split('?').next().unwrap();
            format!("{} {} {}", request.method, path.trim_start_matches("/deploy.git/"), request.status)
        })
        .collect()
}

const EXCHANGE: [&str; 2] = ["GET info/refs 200", "POST git-upload-pack 200"];

#[test]
fn the_first_tip_clones_what_git_has() {
    let rig = Rig::new(&Options::default());
    let mut remote = rig.open();
    let tip = remote.tip().unwrap();
    assert_eq!(tip.commit, git(rig.repository.bare(), &["rev-parse", "main"]));
    assert_eq!(tip.tree, git(rig.repository.bare(), &["rev-parse", "main^{tree}"]));
    assert_eq!(tip.summary, "first");
    let found = contents(&remote, &tip);
    assert_eq!(found.len(), 3);
    assert_eq!(found, rig.expected(&tip.commit));
}

#[test]
fn a_poll_of_an_unchanged_remote_is_one_exchange_on_the_kept_connection() {
    let rig = Rig::new(&Options::default());
    let mut remote = rig.open();
    let first = remote.tip().unwrap();
    for _ in 0..5 {
        rig.server.forget();
        assert_eq!(remote.tip().unwrap(), first);
        let requests = rig.server.requests();
        assert_eq!(brief(&requests), EXCHANGE);
        assert!(requests.iter().all(|request| request.connection == 1), "{requests:?}");
    }
    assert_eq!(rig.server.connections(), 1);
}

#[test]
fn a_mirror_of_an_earlier_run_is_used_again() {
    let rig = Rig::new(&Options::default());
    let first = rig.open().tip().unwrap();
    rig.server.forget();
    let mut remote = rig.open();
    assert_eq!(remote.tip().unwrap(), first);
    assert_eq!(brief(&rig.server.requests()), EXCHANGE);
    assert_eq!(contents(&remote, &first), rig.expected(&first.commit));
}

#[test]
fn a_commit_is_fetched_alone_and_the_mirror_has_full_history() {
    let rig = Rig::new(&Options::default());
    rig.history(120);
    let mut remote = rig.open();
    remote.tip().unwrap();
    let sent = || rig.server.requests().iter().map(|request| request.sent).sum::<usize>();
    let clone = sent();
    assert_eq!(rig.count(), "121");

    rig.repository.write("services/web/taskdef.json", "{\"family\": \"web\", \"cpu\": \"256\"}\n");
    let commit = rig.repository.commit("more");
    rig.server.forget();
    let tip = remote.tip().unwrap();
    assert_eq!(tip.commit, commit);
    assert_eq!(tip.summary, "more");
    assert_eq!(brief(&rig.server.requests()), [EXCHANGE[0], EXCHANGE[1], EXCHANGE[1]]);
    assert!(sent() * 20 < clone, "{} bytes for one commit, {clone} for the clone", sent());
    assert_eq!(rig.server.connections(), 1);
    assert_eq!(rig.count(), "122");
    assert_eq!(contents(&remote, &tip), rig.expected(&commit));

    // Many small fetches leave a mirror that is still whole.
    for number in 0..10 {
        rig.repository.write("services/web/taskdef.json", format!("{{\"family\": \"web\", \"cpu\": \"{number}\"}}\n"));
        let commit = rig.repository.commit("again");
        assert_eq!(remote.tip().unwrap().commit, commit);
    }
    assert_eq!(rig.count(), "132");
    git(&rig.mirror(), &["fsck", "--strict"]);
}

#[test]
fn a_force_push_is_followed() {
    let rig = Rig::new(&Options::default());
    rig.history(5);
    let mut remote = rig.open();
    remote.tip().unwrap();
    git(rig.repository.checkout(), &["reset", "--quiet", "--hard", "HEAD~3"]);
    rig.repository.write("lockstep.yaml", "version: 1\nenvironments: {}\n# anew\n");
    let commit = rig.repository.commit("anew");
    let tip = remote.tip().unwrap();
    assert_eq!((tip.commit.as_str(), tip.summary.as_str()), (commit.as_str(), "anew"));
    assert_eq!(rig.count(), "4");
    assert_eq!(contents(&remote, &tip), rig.expected(&commit));

    // Back to a commit that the mirror has: nothing to fetch, and still followed.
    git(rig.repository.checkout(), &["reset", "--quiet", "--hard", "HEAD~2"]);
    git(rig.repository.checkout(), &["push", "--quiet", "--force", "origin", "HEAD:refs/heads/main"]);
    let back = git(rig.repository.bare(), &["rev-parse", "main"]);
    assert_eq!(remote.tip().unwrap().commit, back);
    rig.server.forget();
    assert_eq!(remote.tip().unwrap().commit, back);
    assert_eq!(brief(&rig.server.requests()), EXCHANGE, "a poll after a force push is as cheap as any");
}

#[test]
fn a_deleted_branch_says_so_and_may_come_back() {
    let rig = Rig::new(&Options::default());
    let mut remote = rig.open();
    let tip = remote.tip().unwrap();
    git(rig.repository.bare(), &["branch", "other", "main"]);
    git(rig.repository.bare(), &["update-ref", "-d", "refs/heads/main"]);
    let gone = GitError::NoBranch { repository: rig.server.url("deploy"), branch: "main".to_owned() };
    assert_eq!(remote.tip().unwrap_err(), gone);
    assert_eq!(gone.to_string(), format!("the repository {} has no branch main", rig.server.url("deploy")));
    // The last good state can still be read.
    assert_eq!(contents(&remote, &tip), rig.expected(&tip.commit));
    git(rig.repository.bare(), &["update-ref", "-d", "refs/heads/other"]);
    assert_eq!(remote.tip().unwrap_err(), gone, "a repository without any branch");
    git(rig.repository.bare(), &["update-ref", "refs/heads/main", &tip.commit]);
    assert_eq!(remote.tip().unwrap(), tip);
}

#[test]
fn a_server_that_is_away_is_unreachable_until_it_is_back() {
    let mut rig = Rig::new(&Options::default());
    let mut remote = rig.open();
    let tip = remote.tip().unwrap();
    let port = rig.server.port();
    // Something must stand in the field while the server is away.
    let elsewhere = TempDir::new().unwrap();
    drop(std::mem::replace(&mut rig.server, GitServer::start(elsewhere.path())));
    for _ in 0..2 {
        let start = Instant::now();
        let error = remote.tip().unwrap_err();
        assert!(matches!(&error, GitError::Unreachable { .. }), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(30), "it took {:?}", start.elapsed());
        let text = error.to_string();
        let start = format!("the repository http://127.0.0.1:{port}/deploy.git cannot be reached: ");
        assert!(text.starts_with(&start) && !text.contains('\n'), "{text}");
    }
    assert_eq!(contents(&remote, &tip), rig.expected(&tip.commit), "the mirror needs no server");
    rig.server = GitServer::with(rig.root.path(), &Options { port, ..Options::default() });
    assert_eq!(remote.tip().unwrap(), tip);
    assert_eq!(brief(&rig.server.requests()), EXCHANGE);
}

#[test]
fn a_repository_that_is_not_there_is_said_as_such() {
    let rig = Rig::new(&Options::default());
    let location = Location::parse(&rig.server.url("other")).unwrap();
    let mut remote = Remote::open(&location, "main", rig.state.path(), Access::default()).unwrap();
    let error = remote.tip().unwrap_err();
    assert!(matches!(&error, GitError::Unreadable { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "failed to read the repository {}: it was not found, or it needs a token, and none is configured \
             (HTTP status 404 Not Found)",
            rig.server.url("other")
        )
    );
}

#[test]
fn numbers_and_words_of_a_url_are_no_answer_of_a_server() {
    let elsewhere = TempDir::new().unwrap();
    let url = GitServer::start(elsewhere.path()).url("authentication-401");
    let mut remote =
        Remote::open(&Location::parse(&url).unwrap(), "main", elsewhere.path(), Access::default()).unwrap();
    let error = remote.tip().unwrap_err();
    assert!(matches!(&error, GitError::Unreachable { .. }), "{error:?}");
}

fn secured() -> Options {
    Options { token: Some(TOKEN.to_owned()), tls: true, ..Options::default() }
}

#[test]
fn the_right_token_goes_with_the_first_request() {
    let rig = Rig::new(&secured());
    let mut remote = rig.open_with(Some(TOKEN), rig.server.authority().as_deref());
    let tip = remote.tip().unwrap();
    assert_eq!(contents(&remote, &tip), rig.expected(&tip.commit));
    let requests = rig.server.requests();
    assert_eq!(brief(&requests), [EXCHANGE[0], EXCHANGE[1], EXCHANGE[1]]);
    assert!(requests.iter().all(|request| request.authorization), "{requests:?}");
    rig.server.forget();
    assert_eq!(remote.tip().unwrap(), tip);
    assert_eq!(brief(&rig.server.requests()), EXCHANGE);
    assert_eq!(rig.server.connections(), 1);
}

#[test]
fn a_wrong_token_is_refused_and_never_repeated() {
    let rig = Rig::new(&secured());
    let wrong = "glpat-wrong-fedcba9876543210";
    let mut remote = rig.open_with(Some(wrong), rig.server.authority().as_deref());
    for _ in 0..2 {
        let error = remote.tip().unwrap_err();
        assert!(matches!(&error, GitError::Refused { .. }), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains(wrong) && !text.contains('\n'), "{text}");
        assert!(!text.contains("Basic"), "{text}");
    }
    assert_eq!(brief(&rig.server.requests()), ["GET info/refs 401"; 2], "one try each, none without the token");
    let debug = format!("{:?}", Credentials { username: "lockstep".to_owned(), token: wrong.to_owned() });
    assert!(!debug.contains(wrong), "{debug}");
}

#[test]
fn no_token_where_one_is_needed_is_refused_with_the_reason() {
    let rig = Rig::new(&secured());
    let error = rig.open_with(None, rig.server.authority().as_deref()).tip().unwrap_err();
    assert!(matches!(&error, GitError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("no token is configured"), "{error}");
}

#[test]
fn a_token_never_travels_in_clear_text() {
    let rig = Rig::new(&Options { token: Some(TOKEN.to_owned()), ..Options::default() });
    let error = rig.open_with(Some(TOKEN), None).tip().unwrap_err();
    assert!(rig.server.requests().iter().all(|request| !request.authorization), "{:?}", rig.server.requests());
    assert!(!error.to_string().contains(TOKEN), "{error}");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let rig = Rig::new(&secured());
    let error = rig.open_with(Some(TOKEN), None).tip().unwrap_err();
    assert!(matches!(&error, GitError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    assert_eq!(rig.server.requests(), []);
    let nowhere = rig.state.path().join("nowhere.pem");
    let error = rig.open_with(Some(TOKEN), Some(&nowhere)).tip().unwrap_err();
    assert!(error.to_string().contains("nowhere.pem"), "{error}");
    assert_eq!(rig.server.requests(), []);
}

/// Damages the mirror of an earlier run, and checks that the next one is as good as new.
fn survives(damage: impl Fn(&Path)) {
    let rig = Rig::new(&Options::default());
    rig.history(10);
    let first = rig.open().tip().unwrap();
    damage(&rig.mirror());
    let mut remote = rig.open();
    assert_eq!(remote.tip().unwrap(), first);
    assert_eq!(contents(&remote, &first), rig.expected(&first.commit));
    assert_eq!(rig.count(), "11");
    git(&rig.mirror(), &["fsck", "--strict"]);
    assert!(rig.mirror().with_extension("damaged").is_dir(), "what was damaged is kept for whoever wants to know");
    rig.server.forget();
    assert_eq!(remote.tip().unwrap(), first);
    assert_eq!(brief(&rig.server.requests()), EXCHANGE);
}

fn pack_of(mirror: &Path) -> PathBuf {
    let mut packs = std::fs::read_dir(mirror.join("objects/pack")).unwrap().map(|entry| entry.unwrap().path());
    packs.find(|path| path.extension().is_some_and(|extension| extension == "pack")).expect("a pack")
}

fn truncate(path: &Path, length: impl Fn(u64) -> u64) {
    // Packs are written read-only.
    let content = std::fs::read(path).unwrap();
    let length = usize::try_from(length(content.len() as u64)).unwrap();
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, &content[..length]).unwrap();
}

#[test]
fn a_pack_without_content_is_fetched_again() {
    survives(|mirror| truncate(&pack_of(mirror), |_| 0));
}

#[test]
fn a_pack_without_its_second_half_is_fetched_again() {
    survives(|mirror| truncate(&pack_of(mirror), |length| length / 2));
}

#[test]
fn a_pack_without_its_index_is_fetched_again() {
    survives(|mirror| std::fs::remove_file(pack_of(mirror).with_extension("idx")).unwrap());
}

#[test]
fn a_mirror_without_head_is_fetched_again() {
    survives(|mirror| std::fs::remove_file(mirror.join("HEAD")).unwrap());
}

#[test]
fn a_mirror_that_is_damaged_while_it_is_open_is_fetched_again() {
    let rig = Rig::new(&Options::default());
    rig.history(10);
    let mut remote = rig.open();
    let first = remote.tip().unwrap();
    std::fs::remove_dir_all(rig.mirror()).unwrap();
    rig.repository.write("lockstep.yaml", "version: 1\nenvironments: {}\n# more\n");
    let commit = rig.repository.commit("more");
    let tip = remote.tip().unwrap();
    assert_ne!(tip, first);
    assert_eq!(tip.commit, commit);
    assert_eq!(contents(&remote, &tip), rig.expected(&commit));
    assert_eq!(rig.count(), "12");
}

const CONFIG: &str =
    "version: 1\nenvironments:\n  prod:\n    account: \"123456789012\"\n    region: eu-central-1\n    cluster: prod\n";
const SERVICE: &str =
    "taskDefinition:\n  containerDefinitions:\n    web: { image: web:1, memory: 128 }\nservice: { desiredCount: 1 }\n";

#[test]
fn the_program_validates_a_remote() {
    let rig = Rig::new(&Options::default());
    rig.repository.write("lockstep.yaml", CONFIG);
    rig.repository.write("services/web/service.yaml", SERVICE);
    std::fs::remove_file(rig.repository.checkout().join("services/web/taskdef.json")).unwrap();
    rig.repository.commit("a service");
    let url = rig.server.url("deploy");
    let (exit, stdout, stderr) = outcome(&mut lockstep(["validate", "-C", &url, "--branch", "main"]));
    assert_eq!((exit, stdout.as_str(), stderr.as_str()), (0, "1 service in 1 environment\n", ""));

    let (exit, stdout, stderr) = outcome(&mut lockstep(["validate", "-C", &url, "--branch", "nope"]));
    assert_eq!((exit, stdout.as_str()), (1, ""));
    assert_eq!(stderr, format!("error: the repository {url} has no branch nope\n"));
}

#[test]
fn the_program_says_one_sentence_about_an_unreachable_remote() {
    let elsewhere = TempDir::new().unwrap();
    let url = GitServer::start(elsewhere.path()).url("deploy");
    let (exit, stdout, stderr) = outcome(&mut lockstep(["validate", "-C", &url, "--branch", "main"]));
    assert_eq!((exit, stdout.as_str()), (1, ""));
    assert!(stderr.starts_with(&format!("error: the repository {url} cannot be reached: ")), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
