//! What one thing waits for keeps no other waiting: a region, a registry, a Git server and a push that never answer, beside
//! a commit to something else. That the one still waits when the other is done is the proof.

use super::{ACCOUNT, Behaviour, IMAGE, Path, REGION, Running, Sandbox, Value, sandbox, service};
use lockstep_sandbox::{Effect, Fault};
use lockstep_tests::{
    git_http::{GitServer, Hold, Mischief, Repository, git},
    program::get,
    world::call_ecs,
};
use serde_json::json;
use std::time::Duration;

const FAR: &str = "us-east-1";

/// An agent's file with these sources, each with its repository.
fn agents_file(directory: &Path, sources: &[(&str, &str)]) -> String {
    let file = directory.join("agent.yaml");
    let mut content = format!(
        "stateDirectory: {}\nlisten: 127.0.0.1:0\ninterval: 200ms\napiShare: 1\nimages: {{ interval: 200ms, quiet: 50ms, atMost: 50ms }}\nsources:\n",
        directory.join("state").display()
    );
    for (id, repository) in sources {
        content.push_str(&format!("  - {{ id: {id}, repository: \"{repository}\" }}\n"));
    }
    std::fs::write(&file, content).unwrap();
    file.display().to_string()
}

/// `lockstep.yaml` with environments of these names and regions.
fn config(environments: &[(&str, &str)]) -> String {
    let environment = |(name, region): &(&str, &str)| {
        format!(
            "  {name}: {{ account: \"{ACCOUNT}\", region: {region}, cluster: prod, sync: {{ mode: converge, maxConcurrent: 0, stopAfterFailures: 0, maxUnexplained: 0 }} }}\n"
        )
    };
    format!("version: 1\nenvironments:\n{}", environments.iter().map(environment).collect::<String>())
}

fn repository(directory: &Path, name: &str, files: &[(&str, &str)]) -> Repository {
    let repository = Repository::new(directory, name);
    for (path, content) in files {
        repository.write(path, content);
    }
    repository.commit("first");
    repository
}

struct Asked {
    base: String,
}

impl Asked {
    fn json(&self, what: &str) -> Value {
        serde_json::from_str(&get(&format!("{}/api/v1/{what}", self.base)).unwrap().1).unwrap()
    }

    /// The images that run in an environment of a source, with their verdict.
    fn runs(&self, source: &str, environment: &str) -> Vec<(String, String)> {
        let state = self.json("state");
        let sources = state["sources"].as_array().unwrap().iter().filter(|it| it["id"] == source);
        let environments = sources.flat_map(|it| it["environments"].as_array().unwrap());
        let services =
            environments.filter(|it| it["name"] == environment).flat_map(|it| it["services"].as_array().unwrap());
        services
            .map(|it| {
                let tag = it["images"][0]["tag"].as_str().unwrap_or_default().to_owned();
                (tag, it["plan"]["verdict"].as_str().unwrap_or_default().to_owned())
            })
            .collect()
    }

    fn is_deployed(&self, source: &str, environment: &str, tag: &str) -> bool {
        let runs = self.runs(source, environment);
        !runs.is_empty() && runs.iter().all(|(runs, verdict)| runs == tag && verdict == "Deployed")
    }

    /// When the run began that a task is in; none while it is in none.
    fn running_since(&self, task: &str) -> Option<String> {
        let tasks = self.json("tasks");
        let found = tasks["tasks"].as_array().unwrap().iter().find(|it| it["name"] == task)?;
        (found["running"] == true).then(|| found["started"].as_str().unwrap().to_owned())
    }
}

/// Waits until a call of a service in the far region hangs.
fn wait_until_it_hangs(agent: &mut Running, sandbox: &Sandbox, operation: &str) {
    sandbox.control().reset_calls();
    agent.wait_until(|| sandbox.control().calls_in(ACCOUNT, FAR).keys().any(|call| call.starts_with(operation)));
}

/// A call of somebody else.
fn ecs(endpoint: &str, operation: &str, request: &Value) -> Value {
    let answer = call_ecs(endpoint, ACCOUNT, REGION, operation, request);
    let answer = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(answer));
    serde_json::from_str(&answer.unwrap().1).unwrap()
}

/// Somebody lowers a service's count, and the agent puts it back.
fn heals(agent: &mut Running, sandbox: &Sandbox, service: &str) {
    let endpoint = sandbox.endpoint_url();
    let change = json!({"cluster": "prod", "service": service, "desiredCount": 0});
    assert_eq!(ecs(&endpoint, "UpdateService", &change)["service"]["desiredCount"], 0);
    agent.wait_until(|| {
        let live = ecs(&endpoint, "DescribeServices", &json!({"cluster": "prod", "services": [service]}));
        live["services"][0]["desiredCount"] == 1
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_never_answers_delays_no_other() {
    let sandbox = sandbox().await;
    sandbox.control().create_cluster(ACCOUNT, FAR, "prod");
    let directory = tempfile::tempdir().unwrap();
    let both = config(&[("near", REGION), ("far", FAR)]);
    let one = service(&format!("{IMAGE}:1"));
    let files = [("lockstep.yaml", both.as_str()), ("services/web/service.yaml", one.as_str())];
    let deploy = repository(directory.path(), "deploy", &files);
    let file = agents_file(directory.path(), &[("acme", &deploy.bare().display().to_string())]);
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    let asked = Asked { base: agent.address() };
    agent.wait_until(|| asked.is_deployed("acme", "near", "1") && asked.is_deployed("acme", "far", "1"));
    sandbox.control().add_fault(Fault { region: Some(FAR.to_owned()), ..Fault::new("ecs:*", Effect::Hang) });
    wait_until_it_hangs(&mut agent, &sandbox, "ecs:");
    let since = asked.running_since("environment acme/far").unwrap();
    deploy.write("services/web/service.yaml", service(&format!("{IMAGE}:2")));
    deploy.commit("web: 2");
    agent.wait_until(|| asked.is_deployed("acme", "near", "2"));
    assert_eq!(asked.running_since("environment acme/far"), Some(since), "the far region is still waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_never_answers_delays_no_other() {
    let sandbox = sandbox().await;
    let control = sandbox.control();
    control.push_image(ACCOUNT, FAR, "app", "1", Behaviour::Ok);
    let directory = tempfile::tempdir().unwrap();
    let near = format!("{}updates: {{ app: {{ numeric: \"^([0-9]+)$\" }} }}\n", service(IMAGE));
    let far = near.replace(REGION, FAR);
    let one = config(&[("prod", REGION)]);
    let files = [
        ("lockstep.yaml", one.as_str()),
        ("services/far/service.yaml", far.as_str()),
        ("services/far/prod.pins.yaml", "app: \"1\"\n"),
        ("services/near/service.yaml", near.as_str()),
        ("services/near/prod.pins.yaml", "app: \"2\"\n"),
    ];
    let deploy = repository(directory.path(), "deploy", &files);
    let file = agents_file(directory.path(), &[("acme", &deploy.bare().display().to_string())]);
    control.add_fault(Fault { region: Some(FAR.to_owned()), ..Fault::new("ecr:*", Effect::Hang) });
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    let asked = Asked { base: agent.address() };
    let task = format!("registry {ACCOUNT}.dkr.ecr.{FAR}.amazonaws.com");
    agent.wait_until(|| asked.running_since(&task).is_some());
    let since = asked.running_since(&task).unwrap();
    control.push_image(ACCOUNT, REGION, "app", "3", Behaviour::Ok);
    let pin = || git(deploy.bare(), &["show", "main:services/near/prod.pins.yaml"]);
    agent.wait_until(|| pin().contains("3@sha256:"));
    assert_eq!(asked.running_since(&task), Some(since), "the other registry is still asked");
    agent.wait_until(|| asked.runs("acme", "prod").contains(&("3".to_owned(), "Deployed".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_server_that_never_answers_delays_no_other_source() {
    let sandbox = sandbox().await;
    let directory = tempfile::tempdir().unwrap();
    let one = config(&[("prod", REGION)]);
    let app = |name: &str, tag: &str| {
        service(&format!("{IMAGE}:{tag}")).replace("service:\n", &format!("service:\n  serviceName: {name}\n"))
    };
    let files = |name: &str| {
        [("lockstep.yaml".to_owned(), one.clone()), ("services/web/service.yaml".to_owned(), app(name, "1"))]
    };
    let of = |name: &str| {
        let files = files(name);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        repository(directory.path(), name, &files)
    };
    let (_first, second) = (of("first"), of("second"));
    let server = GitServer::start(directory.path());
    let file = agents_file(
        directory.path(),
        &[("first", &server.url("first")), ("second", &second.bare().display().to_string())],
    );
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    let asked = Asked { base: agent.address() };
    agent.wait_until(|| asked.is_deployed("first", "prod", "1") && asked.is_deployed("second", "prod", "1"));
    server.hold(Hold::Nothing(0));
    agent.wait_until(|| server.is_holding());
    let since = asked.running_since("git first").unwrap();
    second.write("services/web/service.yaml", app("second", "2"));
    second.commit("2");
    agent.wait_until(|| asked.is_deployed("second", "prod", "2"));
    // What runs of the source that cannot be read is looked at, and healed, meanwhile.
    heals(&mut agent, &sandbox, "first");
    assert_eq!(asked.running_since("git first"), Some(since), "the server is still waited for");
    server.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_never_ends_delays_no_round() {
    let sandbox = sandbox().await;
    let control = sandbox.control();
    let directory = tempfile::tempdir().unwrap();
    let web = format!("{}updates: {{ app: {{ numeric: \"^([0-9]+)$\" }} }}\n", service(IMAGE));
    let one = config(&[("prod", REGION)]);
    let files = [
        ("lockstep.yaml", one.as_str()),
        ("services/web/service.yaml", web.as_str()),
        ("services/web/prod.pins.yaml", "app: \"2\"\n"),
    ];
    let _deploy = repository(directory.path(), "deploy", &files);
    let server = GitServer::start(directory.path());
    server.misbehave(|method, path| {
        (method == "POST" && path.ends_with("git-receive-pack")).then_some(Mischief::Drip(Duration::from_secs(1)))
    });
    let file = agents_file(directory.path(), &[("acme", &server.url("deploy"))]);
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    let asked = Asked { base: agent.address() };
    agent.wait_until(|| asked.is_deployed("acme", "prod", "2"));
    control.push_image(ACCOUNT, REGION, "app", "3", Behaviour::Ok);
    agent
        .wait_until(|| server.requests().iter().any(|it| it.method == "POST" && it.path.ends_with("git-receive-pack")));
    let since = asked.running_since("images acme").unwrap();
    heals(&mut agent, &sandbox, "web");
    assert_eq!(asked.running_since("images acme"), Some(since), "the push is still waited for");
    server.behave();
}
