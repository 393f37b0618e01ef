//! The program is killed while a Git request of its is open, at each of them in turn: before the answer, and in its
//! middle. What it left on disk must not stop the one that starts next.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_sandbox::{Behaviour, ClockMode, Control, Options, Sandbox};
use lockstep_tests::{
    git_http::{GitServer, Hold, Repository},
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
    repository.commit(tag);
}

/// The first commit is cloned and deployed, the second is fetched and deployed; the kill is at a request of one of them.
async fn case(hold: Hold, second: bool) {
    let options = Options { clock: ClockMode::Speed(300.0), default_account: ACCOUNT.to_owned(), ..Options::default() };
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
    let server = GitServer::start(directory.path());
    let file = agent_file(directory.path(), &server.url("deploy"));
    let endpoint = sandbox.endpoint_url();
    let deployed = |tags: &[&str]| {
        let expected: Vec<String> = tags.iter().map(|tag| format!(":{tag}")).collect();
        let control = control.clone();
        move || registered(&control) == expected && control.calls().contains_key("ecs:CreateService")
    };
    if second {
        let mut agent = Running::agent(&endpoint, &file, &[]);
        agent.wait_until(deployed(&["1"]));
        agent.kill();
        write(&repository, "2");
    }
    server.hold(hold);
    let mut agent = Running::agent(&endpoint, &file, &[]);
    agent.wait_until(|| server.is_holding());
    agent.kill();
    server.release();
    let mut agent = Running::agent(&endpoint, &file, &[]);
    let done: &[&str] = if second { &["1", "2"] } else { &["1"] };
    agent.wait_until(deployed(done));
    agent.terminate(std::time::Duration::from_secs(10));
    assert_eq!(control.calls()["ecs:CreateService"], 1, "{hold:?}, second commit: {second}");
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
