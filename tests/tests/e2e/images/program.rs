//! The program as an agent: pushes that a queue announces, and secrets that appear nowhere.

use lockstep_sandbox::{Behaviour, ClockMode, Control, Options, Sandbox};
use lockstep_tests::{
    git_http::{GitServer, Options as GitOptions, Repository, git},
    images::one_service,
    program::{Running, get},
    registry::{self, Doors, ImageSpec, Registry},
    world::{ACCOUNT, ONE_ENVIRONMENT, REGION, service},
};
use std::{path::Path, process::Command};

const TOKEN: &str = "glpat-canary-of-git";

async fn sandbox() -> (Sandbox, Control) {
    let options = Options { clock: ClockMode::Speed(60.0), default_account: ACCOUNT.to_owned(), ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let control = sandbox.control();
    control.create_cluster(ACCOUNT, REGION, "prod");
    (sandbox, control)
}

fn agent_file(directory: &Path, more: &str, source: &str) -> String {
    let (state, file) = (directory.join("state"), directory.join("agent.yaml"));
    let content = format!(
        "stateDirectory: {}\nlisten: 127.0.0.1:0\ninterval: 200ms\napiShare: 1\n{more}sources:\n  - id: acme\n{source}",
        state.display()
    );
    std::fs::write(&file, content).unwrap();
    file.display().to_string()
}

fn tip(repository: &Repository) -> String {
    git(repository.bare(), &["show", "main:services/web/prod.pins.yaml"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_a_queue_announces_is_committed_and_its_message_deleted() {
    let (sandbox, control) = sandbox().await;
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::new(directory.path(), "deploy");
    for (path, content) in one_service("{ semver: \"*\" }", "1.0.0") {
        repository.write(&path, content);
    }
    repository.commit("first");
    control.push_image(ACCOUNT, REGION, "app", "1.0.0", Behaviour::Ok);
    control.deliver_ecr_events(ACCOUNT, REGION, "images");
    let queue = control.create_queue(ACCOUNT, REGION, "images");
    control.send_message(ACCOUNT, REGION, "images", "not an event");
    // Without the queue the registry would be read once in an hour.
    let missing = queue.replace("/images", "/missing");
    let images = format!("images: {{ interval: 1h, quiet: 50ms, queues: [\"{queue}\", \"{missing}\"] }}\n");
    let source = format!("    repository: {}\n", repository.bare().display());
    let file = agent_file(directory.path(), &images, &source);
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    agent.wait_until(|| tip(&repository).contains("1.0.0@sha256:"));
    let digest = control.push_image(ACCOUNT, REGION, "app", "1.1.0", Behaviour::Ok);
    agent.wait_until(|| tip(&repository).contains(&format!("1.1.0@{digest}")));
    agent.wait_until(|| control.queue_depth(ACCOUNT, REGION, "images") == 0);
    assert_eq!(git(repository.bare(), &["rev-list", "--count", "main"]), "3");
    // A queue that is not there is no reason to stop, and is said.
    let base = agent.address();
    let state = || {
        let (_, body) = lockstep_tests::program::get(&format!("{base}/api/v1/state")).unwrap();
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["queues"].clone()
    };
    agent.wait_until(|| state()[&missing].as_str().is_some_and(|reason| reason.contains("sqs:ReceiveMessage")));
    assert_eq!(state().as_object().unwrap().len(), 1);
    // Killed between push and commit, the message comes again, and the registry is read at the start anyway.
    drop(agent);
    let digest = control.push_image(ACCOUNT, REGION, "app", "1.2.0", Behaviour::Ok);
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    agent.wait_until(|| tip(&repository).contains(&format!("1.2.0@{digest}")));
    agent.wait_until(|| control.queue_depth(ACCOUNT, REGION, "images") == 0);
    assert_eq!(git(repository.bare(), &["rev-list", "--count", "main"]), "4");
    sandbox.shutdown().await;
}

/// Everything below a directory.
fn everything(directory: &Path, found: &mut Vec<u8>) {
    for entry in std::fs::read_dir(directory).unwrap().map_while(Result::ok) {
        if entry.file_type().unwrap().is_dir() {
            everything(&entry.path(), found);
        } else {
            found.extend(std::fs::read(entry.path()).unwrap_or_default());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_appear_nowhere_at_any_level_of_the_log() {
    let (sandbox, _control) = sandbox().await;
    let images = Registry::with(&registry::Options { doors: Doors::Login, tls: None });
    images.push("team/app", "1.1.0", &ImageSpec::of(&["linux/amd64"]));
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::new(directory.path(), "deploy");
    repository.write("lockstep.yaml", ONE_ENVIRONMENT);
    let web = service(&format!("{}/team/app", images.address()));
    repository.write("services/web/service.yaml", format!("{web}updates: {{ app: {{ semver: \"*\" }} }}\n"));
    repository.write("services/web/prod.pins.yaml", "app: 1.0.0\n");
    repository.commit("first");
    let server = GitServer::with(
        directory.path(),
        &GitOptions { token: Some(TOKEN.into()), tls: true, ..GitOptions::default() },
    );
    let secrets = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let path = secrets.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let key = secrets.path().join("key");
    assert!(
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap().success()
    );
    let private = std::fs::read_to_string(&key).unwrap();
    let token_file = secret("token", TOKEN);
    let more = format!(
        "images: {{ interval: 200ms, quiet: 50ms }}\nregistries:\n  {}: {{ insecure: true, username: {}, password: \"file:{}\" }}\n",
        images.address(),
        registry::USER,
        secret("password", registry::PASSWORD)
    );
    let source = format!(
        "    repository: {}\n    token: file:{token_file}\n    certificateAuthority: {}\n    allow: {{ registries: [\"{}\"] }}\n    commit: {{ signingKey: \"file:{}\" }}\n",
        server.url("deploy"),
        server.authority().unwrap().display(),
        images.address(),
        key.display()
    );
    let file = agent_file(directory.path(), &more, &source);
    let endpoint = sandbox.endpoint_url();
    let mut agent = Running::agent(&endpoint, &file, &["--log", "trace"]);
    agent.wait_until(|| tip(&repository).contains("1.1.0@sha256:"));
    let (_, state) = get(&format!("{}/api/v1/state", agent.address())).unwrap();
    assert!(state.contains("1.1.0@sha256:"), "{state}");
    let mut seen = agent.log();
    drop(agent);
    // Both are wrong now.
    secret("token", "glpat-canary-of-git-wrong");
    secret("password", "not-a-secret-wrong");
    let mut agent = Running::agent(&endpoint, &file, &["--log", "trace"]);
    agent.wait_until(|| server.requests().iter().filter(|request| request.status == 401).count() >= 3);
    seen.push_str(&agent.log());
    drop(agent);
    let (code, out, err) = lockstep_tests::outcome(
        lockstep_tests::program::lockstep(Some(&endpoint))
            .args(["images", "check", "--config", &file, "--log", "trace"]),
    );
    assert_ne!(code, 0);
    seen.push_str(&state);
    seen.push_str(&out);
    seen.push_str(&err);
    seen.push_str(&git(repository.bare(), &["log", "-p", "--format=raw"]));
    let mut bytes = seen.into_bytes();
    everything(&directory.path().join("state"), &mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let inside = private.lines().nth(2).unwrap();
    use base64::Engine;
    let encoded =
        |user: &str, password: &str| base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    for canary in [
        TOKEN.to_owned(),
        registry::PASSWORD.to_owned(),
        encoded("lockstep", TOKEN),
        encoded(registry::USER, registry::PASSWORD),
        inside.to_owned(),
        "PRIVATE KEY".to_owned(),
    ] {
        assert!(!text.contains(&canary), "{canary} is in:\n{}", around(&text, &canary));
    }
    assert!(text.contains("gpgsig -----BEGIN SSH SIGNATURE-----"));
    sandbox.shutdown().await;
}

fn around<'a>(text: &'a str, canary: &str) -> &'a str {
    let at = text.find(canary).unwrap_or_default();
    let from = text.floor_char_boundary(at.saturating_sub(300));
    &text[from..text.ceil_char_boundary((at + 300).min(text.len()))]
}
