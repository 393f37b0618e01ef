//! Image updates on loopback: `cargo bench -p lockstep-tests --bench images`.
//!
//! From a push event in the queue to the commit on the remote, by the agent itself with a window of no time; and the bump
//! of one pin in a repository of 1,000 services over `git http-backend`, beside the same edit, commit and push by the
//! `git` program from an up-to-date clone, in turns. Last, looks at rest at many pins of a repository with many tags.
#![allow(clippy::print_stdout, reason = "the figures are its result")]

use lockstep::{
    agent::Agent,
    aws::Accounts,
    config::{AgentConfig, Flags},
    git::{Access, FileEdit, Location, NewCommit, Person, Remote, Tip},
};
use lockstep_core::event::What;
use lockstep_manifests::edit::set_pin;
use lockstep_sandbox::{Behaviour, ClockMode, Options, Sandbox};
use lockstep_tests::{
    git_http::{GitServer, Repository, git},
    images::{ImageWorld, one_service},
    world::{ACCOUNT, IMAGE, ONE_ENVIRONMENT, REGION, Setup, service},
};
use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const SERVICES: usize = 1000;
const EVENTS: usize = 100;
const TURNS: usize = 20;
const PINS: usize = 500;
const TAGS: usize = 10_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        events().await;
        large().await;
        many_tags().await;
    });
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!("{what:60} p50 {:8.1?}  p99 {:8.1?}  ({} times)", at(0.5), at(0.99), times.len());
}

/// From the push into ECR, which puts its event into the queue, to the commit on the branch.
async fn events() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options { clock: ClockMode::Speed(1.0), default_account: ACCOUNT.to_owned(), ..Options::default() };
    let sandbox = Sandbox::start(options).await.expect("a free port");
    let control = sandbox.control();
    control.create_cluster(ACCOUNT, REGION, "prod");
    let repository = Repository::new(directory.path(), "deploy");
    for (path, content) in one_service("{ semver: \"*\" }", "1.0.0") {
        // What it costs to deploy is not asked here.
        repository.write(&path, content.replace("mode: converge", "mode: observe"));
    }
    repository.commit("first");
    control.push_image(ACCOUNT, REGION, "app", "1.0.0", Behaviour::Ok);
    control.deliver_ecr_events(ACCOUNT, REGION, "images");
    let queue = control.create_queue(ACCOUNT, REGION, "images");
    let file = directory.path().join("agent.yaml");
    let content = format!(
        "stateDirectory: {}\nlisten: 127.0.0.1:0\ninterval: 1h\nimages: {{ interval: 1h, quiet: 50ms, queues: [\"{queue}\"] }}\nsources: [{{ id: acme, repository: {} }}]\n",
        directory.path().join("state").display(),
        repository.bare().display()
    );
    std::fs::write(&file, content).expect("a file");
    let mut config = AgentConfig::load(Some(&file), &Flags::default()).expect("a good file");
    config.images.quiet = Duration::ZERO;
    let accounts = Accounts::at_endpoint(&sandbox.endpoint_url(), ACCOUNT, REGION, BTreeMap::new(), 1000.0).await;
    let agent = Agent::start(config, accounts).await.expect("an agent");
    let mut events = agent.context.events.subscribe();
    let mut times = Vec::new();
    for number in 0..=EVENTS {
        let start = Instant::now();
        // The first commit makes the pin exact.
        if number > 0 {
            control.push_image(ACCOUNT, REGION, "app", &format!("1.0.{number}"), Behaviour::Ok);
        }
        while !matches!(events.recv().await, Ok(event) if matches!(event.what, What::Bumped { .. })) {}
        if number > 0 {
            times.push(start.elapsed());
        }
    }
    agent.shutdown().await;
    let commits = git(repository.bare(), &["rev-list", "--count", "main"]);
    assert_eq!(commits, (EVENTS + 2).to_string(), "a commit for each push");
    show("push event → commit on the remote (window of 0 s)", times);
    sandbox.shutdown().await;
}

/// One pin of 1,000 services.
async fn large() {
    let mut files = vec![("lockstep.yaml".to_owned(), ONE_ENVIRONMENT.to_owned())];
    for number in 0..SERVICES {
        let directory = format!("services/s{number:04}");
        let policy = if number == 500 { "updates: { app: { semver: \"*\" } }\n" } else { "" };
        files.push((format!("{directory}/service.yaml"), format!("{}{policy}", service(IMAGE))));
        files.push((format!("{directory}/prod.pins.yaml"), "app: 1.0.0\n".to_owned()));
    }
    let mut setup = Setup::default();
    setup.options.journal_answers = false;
    let state = tempfile::tempdir().expect("a directory");
    let mut it =
        ImageWorld::with(&files, setup, |repository| repository.bare().display().to_string(), Access::default()).await;
    let server = GitServer::start(it.root());
    it.reach(&server.url("deploy"), &state.path().join("mirror"));
    let clone = state.path().join("clone");
    git(state.path(), &["clone", "--quiet", &server.url("deploy"), &clone.display().to_string()]);
    let location = Location::parse(&server.url("deploy")).expect("a URL");
    let mut remote = Remote::open(&location, "main", &state.path().join("alone"), Access::default()).expect("a mirror");
    let (mut ours, mut alone, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TURNS {
        it.push(&format!("1.{turn}.0"));
        it.world.runner.refresh(&it.world.context).await.expect("the repository can be read");
        let start = Instant::now();
        let (moved, _) = it.updater.round(&it.world.context, it.world.runner.branch()).await;
        ours.push(start.elapsed());
        assert!(moved && it.last_change() == "1\t1\tservices/s0500/prod.pins.yaml", "one line");
        let tip = remote.tip().expect("the repository can be read");
        let start = Instant::now();
        by_gix(&mut remote, &tip, turn);
        alone.push(start.elapsed());
        git(&clone, &["pull", "--quiet", "--rebase"]);
        let start = Instant::now();
        by_program(&clone, turn);
        theirs.push(start.elapsed());
    }
    show("1,000 services: read ECR, decide, edit, commit, push, read again", ours);
    show("1,000 services: edit, commit, push alone", alone);
    show("1,000 services: edit, commit, push by the git program", theirs);
}

/// Looks at rest: all pins are of one repository with many tags.
async fn many_tags() {
    let mut files = vec![("lockstep.yaml".to_owned(), ONE_ENVIRONMENT.to_owned())];
    for number in 0..PINS {
        let directory = format!("services/s{number:04}");
        let policy = "updates: { app: { semver: \">=1.0 <2\" } }\n";
        files.push((format!("{directory}/service.yaml"), format!("{}{policy}", service(IMAGE))));
        files.push((format!("{directory}/prod.pins.yaml"), "app: 1.0.0\n".to_owned()));
    }
    let mut it = ImageWorld::quick(&files).await;
    for number in 0..TAGS {
        it.push(&format!("1.{}.{}", number / 100, number % 100));
    }
    assert!(it.look().await);
    let (mut anew, mut again) = (Vec::new(), Vec::new());
    for _ in 0..TURNS / 4 {
        it.restart();
        for times in [&mut anew, &mut again] {
            let start = Instant::now();
            assert!(!it.look().await);
            times.push(start.elapsed());
        }
    }
    show("500 pins of a repository of 10,000 tags: first look at rest", anew);
    show("500 pins of a repository of 10,000 tags: next looks", again);
}

/// The edit of another pin, its commit and its push, without what decides it.
fn by_gix(remote: &mut Remote, tip: &Tip, turn: usize) {
    let path = "services/s0002/prod.pins.yaml";
    let content = remote.file_of(&tip.commit, path).expect("it can be read").expect("it is there");
    let text = String::from_utf8(content).expect("a text");
    let edited = set_pin(&text, "app", &format!("1.0.0-{turn}")).expect("it can be edited");
    let ada = Person { name: "Ada".to_owned(), email: "ada@example.com".to_owned() };
    let new = NewCommit {
        edits: &[FileEdit { path: path.to_owned(), content: edited.into_bytes() }],
        message: "bump\n",
        author: &ada,
        committer: &ada,
        at: 1_800_000_000,
        key: None,
    };
    remote.commit(tip, &new).expect("it is pushed");
}

/// The same edit of another pin, from a clone that is up to date.
fn by_program(clone: &Path, turn: usize) {
    let path = "services/s0001/prod.pins.yaml";
    std::fs::write(clone.join(path), format!("app: 1.0.0-{turn}\n")).expect("a file");
    for arguments in [
        vec!["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", "bump", path],
        vec!["push", "--quiet", "origin", "HEAD:main"],
    ] {
        let status = Command::new("git").args(arguments).current_dir(clone).status().expect("the git program");
        assert!(status.success());
    }
}
