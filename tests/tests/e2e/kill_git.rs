//! The program is killed while a Git request of its is open, at each of them in turn: before the answer, and in its
//! middle. What it left on disk must not stop the one that starts next.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says where it was")]

use lockstep_sandbox::{Behaviour, ClockMode, Control, Options, Sandbox};
use lockstep_tests::{
    git_http::{GitServer, Hold, Mischief, Options as Serving, Repository, git},
    program::Running,
    world::{ACCOUNT, ONE_ENVIRONMENT, REGION, service},
};
use std::path::Path;

const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";

fn agent_file(directory: &Path, url: &str) -> String {
    let (state, file) = (directory.join("state"), directory.join("agent.yaml"));
    let content = format!(
        "stateDirectory: {}\nlisten: 127.0.0.1:0\ninterval: 100ms\napiShare: 1\nsources:\n  - id: acme\n    repository: {url}\n",
        state.display()
    );
    std::fs::write(&file, content).unwrap();
    file.display().to_string()
}

/// The image of each registration, in order.
fn registered(control: &Control) -> Vec<String> {
    let journal = control.journal(0);
    let registrations = journal.iter().filter(|entry| entry.operation == "RegisterTaskDefinition");
    registrations
        .map(|entry| entry.request["containerDefinitions"][0]["image"].as_str().unwrap().replace(IMAGE, ""))
        .collect()
}

fn write(repository: &Repository, tag: &str) {
    repository.write("services/web/service.yaml", service(&format!("{IMAGE}:{tag}")));
    repository.commit_at(tag, 1_800_000_000);
}

/// A sandbox, a Git server with one commit, and an agent's file.
struct Scene {
    sandbox: Sandbox,
    control: Control,
    directory: tempfile::TempDir,
    repository: Repository,
    server: GitServer,
    file: String,
}

impl Scene {
    async fn set(serving: &Serving) -> Self {
        let options =
            Options { clock: ClockMode::Speed(300.0), default_account: ACCOUNT.to_owned(), ..Options::default() };
        let sandbox = Sandbox::start(options).await.unwrap();
        let control = sandbox.control();
        control.create_cluster(ACCOUNT, REGION, "prod");
        for tag in ["1", "2"] {
            control.push_image(ACCOUNT, REGION, "app", tag, Behaviour::Ok);
        }
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::new(directory.path(), "deploy");
        repository.write("lockstep.yaml", ONE_ENVIRONMENT);
        write(&repository, "1");
        let server = GitServer::with(directory.path(), serving);
        let file = agent_file(directory.path(), &server.url("deploy"));
        Self { sandbox, control, directory, repository, server, file }
    }

    fn agent(&self) -> Running {
        Running::agent(&self.sandbox.endpoint_url(), &self.file, &[])
    }

    fn traced(&self, kill_at: &[String]) -> Running {
        Running::traced(&self.sandbox.endpoint_url(), &self.file, &self.trace(), kill_at)
    }

    fn trace(&self) -> std::path::PathBuf {
        self.directory.path().join("trace")
    }

    /// Whether these tags were registered, in this order, and the service exists.
    fn deployed(&self, tags: &[&str]) -> impl Fn() -> bool + use<> {
        let expected: Vec<String> = tags.iter().map(|tag| format!(":{tag}")).collect();
        let control = self.control.clone();
        move || registered(&control) == expected && control.calls().contains_key("ecs:CreateService")
    }

    /// Deploys the first commit and makes the second, if that is what it is about. Answers all that is to be deployed.
    fn begin(&self, second: bool) -> &'static [&'static str] {
        if !second {
            return &["1"];
        }
        let mut agent = self.agent();
        agent.wait_until(self.deployed(&["1"]));
        agent.kill();
        write(&self.repository, "2");
        &["1", "2"]
    }

    /// The next start deploys what is there.
    fn goes_on(&self, tags: &[&str], told: &str) {
        let mut agent = self.agent();
        agent.wait_until(self.deployed(tags));
        agent.terminate(std::time::Duration::from_secs(10));
        assert_eq!(self.control.calls()["ecs:CreateService"], 1, "{told}");
    }
}

/// The first commit is cloned and deployed, the second is fetched and deployed; the kill is at a request of one of them.
async fn case(hold: Hold, second: bool) {
    let scene = Scene::set(&Serving::default()).await;
    let tags = scene.begin(second);
    scene.server.hold(hold);
    let mut agent = scene.agent();
    agent.wait_until(|| scene.server.is_holding());
    agent.kill();
    scene.server.release();
    scene.goes_on(tags, &format!("{hold:?}, second commit: {second}"));
}

/// A clone and a fetch are each three requests: the capabilities, the references, the objects.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_git_request() {
    for second in [false, true] {
        for request in 0..3 {
            case(Hold::Nothing(request), second).await;
            case(Hold::Half(request), second).await;
        }
    }
}

// H7: each rename publishes something; whatever is half done before it must not stop the next start.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_rename() {
    let strace = std::process::Command::new("strace").args(["-q", "-o", "/dev/null", "true"]).output();
    let strace = strace.unwrap_or_else(|error| panic!("strace: {error}; install the Debian package strace"));
    let said = String::from_utf8_lossy(&strace.stderr);
    if said.contains("Operation not permitted") {
        eprintln!("not run: this machine lets nobody trace a program ({said})");
        return;
    }
    for second in [false, true] {
        let scene = Scene::set(&Serving::default()).await;
        scene.begin(second);
        let (state, before) = (scene.directory.path().join("state"), scene.directory.path().join("before"));
        let copy = |from: &Path, to: &Path| {
            let _ = std::fs::remove_dir_all(to);
            if from.exists() {
                assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
            }
        };
        copy(&state, &before);
        let head = git(scene.repository.bare(), &["rev-parse", "main"]);
        let follows = format!("following source=\"acme\" commit=\"{head}\"");
        let mut agent = scene.traced(&[]);
        agent.wait_until_logged(&follows);
        agent.kill_group();
        // `renameat(AT_FDCWD, "from", AT_FDCWD, "to") = 0`
        let trace = std::fs::read_to_string(scene.trace()).unwrap();
        let paths = |line: &str| -> Vec<String> { line.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
        let renames: Vec<Vec<String>> = trace.lines().filter(|line| line.contains("rename")).map(paths).collect();
        assert!(renames.iter().any(|paths| paths[1].ends_with("refs/lockstep/tracked")), "{trace}");
        for paths in renames {
            eprintln!("killed at {paths:?}");
            copy(&before, &state);
            let mut agent = scene.traced(&paths);
            agent.wait_until_ended();
            let mut agent = scene.agent();
            agent.wait_until_logged(&follows);
            agent.terminate(std::time::Duration::from_secs(10));
            assert!(!agent.log().contains("WARN"), "{}", agent.log());
        }
    }
}

// D1: a token that was replaced is heard without a restart, whatever the server tells those who have the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_token_is_presented_whatever_the_server_said() {
    let page = b"<html>Sign in</html>".to_vec();
    for (denial, says) in [
        (Mischief::Answer(203, "text/html".into(), page.clone()), "a web page, as for a sign-in (HTTP status 203)"),
        (
            Mischief::Answer(404, "text/html".into(), page.clone()),
            "the token may not read it (HTTP status 404 Not Found)",
        ),
        (Mischief::Redirect(302, "/users/sign_in".into()), "as for a sign-in. Check the address and the token"),
        (Mischief::Answer(500, "text/html".into(), page), "HTTP status 500"),
    ] {
        let serving = Serving { token: Some("new-canary".into()), tls: true, ..Serving::default() };
        let scene = Scene::set(&serving).await;
        scene.server.deny_with(denial);
        let token = scene.directory.path().join("token");
        std::fs::write(&token, "old-canary\n").unwrap();
        let more = format!(
            "    token: file:{}\n    certificateAuthority: {}\n",
            token.display(),
            scene.server.authority().unwrap().display()
        );
        std::fs::write(&scene.file, std::fs::read_to_string(&scene.file).unwrap() + &more).unwrap();
        let mut agent = scene.agent();
        agent.wait_until_logged(says);
        std::fs::write(&token, "new-canary\n").unwrap();
        agent.wait_until(scene.deployed(&["1"]));
        agent.terminate(std::time::Duration::from_secs(10));
        assert!(!agent.log().contains("canary"), "{}", agent.log());
    }
}
