//! The built program, as a user runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apart;
mod lasting;

use lockstep_sandbox::{Behaviour, ClockMode, Options, Sandbox};
use lockstep_tests::{
    binary,
    program::{Running, lockstep, text},
    world::{ACCOUNT, ONE_ENVIRONMENT, REGION, Repository, service},
};
use serde_json::Value;
use std::{path::Path, process::Output, time::Duration};

const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";

async fn sandbox() -> Sandbox {
    let options = Options { clock: ClockMode::Speed(300.0), default_account: ACCOUNT.to_owned(), ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let control = sandbox.control();
    control.create_cluster(ACCOUNT, REGION, "prod");
    control.push_image(ACCOUNT, REGION, "app", "1", Behaviour::Ok);
    control.push_image(ACCOUNT, REGION, "app", "2", Behaviour::Ok);
    control.push_image(ACCOUNT, REGION, "app", "bad", Behaviour::crash(1, Duration::from_secs(2)));
    sandbox
}

fn shop(tag: &str) -> Repository {
    let repository = Repository::new();
    let app = service(&format!("{IMAGE}:{tag}"));
    repository.commit("first", &[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &app)]);
    repository
}

fn agent_file(directory: &Path, repository: &str) -> String {
    let state = directory.join("state");
    let file = directory.join("agent.yaml");
    let content = format!(
        "stateDirectory: {}\nlisten: 127.0.0.1:0\ninterval: 200ms\napiShare: 1\nsources:\n  - id: acme\n    repository: {repository}\n",
        state.display()
    );
    std::fs::write(&file, content).unwrap();
    file.display().to_string()
}

fn expect(output: &Output, code: i32) -> (String, String) {
    let (out, err) = text(output);
    assert_eq!(output.status.code(), Some(code), "stdout:\n{out}\nstderr:\n{err}");
    assert!(!err.contains("panicked"), "{err}");
    (out, err)
}

#[test]
fn the_demo_verifies_every_step() {
    let output = lockstep(None).args(["demo", "--once", "--output", "json"]).output().unwrap();
    let (out, err) = expect(&output, 0);
    assert_eq!(err, "");
    let story: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(story["verified"], true);
    let steps: Vec<(&str, bool)> = story["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["name"].as_str().unwrap(), step["verified"].as_bool().unwrap()))
        .collect();
    assert_eq!(steps, [("create", true), ("change", true), ("drift", true), ("rejection", true), ("image", true)]);
}

#[test]
fn the_demo_needs_no_git_program_and_no_other_tool() {
    let output = lockstep(None).args(["demo", "--once"]).env("PATH", "").env("HOME", "/nowhere").output().unwrap();
    let (out, _) = expect(&output, 0);
    assert!(out.ends_with("s)\n"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_follows_to_the_end_and_its_exit_code_tells_which() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    let run = |arguments: &[&str]| {
        lockstep(Some(&sandbox.endpoint_url())).args(arguments).current_dir(repository.path()).output().unwrap()
    };
    let (_, err) = expect(&run(&["sync", "--yes"]), 2);
    assert!(err.contains("`sync` needs the id of the source"), "{err}");
    let (_, err) = expect(&run(&["sync", "--source", "acme"]), 2);
    assert!(err.contains("there is no terminal to ask on"), "{err}");
    expect(&run(&["plan", "--exit-code"]), 4);
    let (out, _) = expect(&run(&["sync", "--source", "acme", "--yes"]), 0);
    assert_eq!(out, "1 synced, 0 out of sync, 0 unknown\n");
    expect(&run(&["plan", "--exit-code"]), 0);
    let (out, _) = expect(&run(&["sync", "--source", "acme", "--yes"]), 0);
    assert_eq!(out, "1 synced, 0 out of sync, 0 unknown\n");

    // Files that are not committed are not what everybody sees.
    let bad = service(&format!("{IMAGE}:bad"));
    std::fs::write(repository.path().join("services/web/service.yaml"), &bad).unwrap();
    let (_, err) = expect(&run(&["sync", "--source", "acme", "--yes"]), 2);
    assert!(err.contains("1 file differs from the commit: services/web/service.yaml"), "{err}");
    repository.commit("bad", &[]);
    let (out, err) = expect(&run(&["sync", "--source", "acme", "--yes"]), 5);
    assert_eq!(out, "0 synced, 1 out of sync, 0 unknown, 1 rejected\n");
    assert!(err.contains("container app exited with code 1"), "{err}");
    // Already rejected: nothing is done, and it is still said.
    sandbox.control().reset_calls();
    expect(&run(&["sync", "--source", "acme", "--yes"]), 5);
    assert_eq!(sandbox.control().calls().get("ecs:UpdateService"), None);
    // A plan with something withheld is no failure.
    expect(&run(&["plan"]), 0);
    let (out, _) = expect(&run(&["status", "-C", "."]), 0);
    assert!(out.contains("Rejected"), "{out}");

    repository.commit("two", &[("services/web/service.yaml", &service(&format!("{IMAGE}:2")))]);
    // The clock stands: the rollout cannot end.
    sandbox.control().set_manual();
    let slow = run(&["sync", "--source", "acme", "--yes", "--timeout", "50ms"]);
    expect(&slow, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_answers_ends_on_a_signal_and_is_alone_on_its_directory() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), &repository.path().display().to_string());
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    let base = agent.address();
    agent.wait_until(|| {
        lockstep_tests::program::get(&format!("{base}/readyz")).is_some_and(|(status, _)| status == 200)
    });
    assert_eq!(lockstep_tests::program::get(&format!("{base}/healthz")), Some((200, "ok\n".to_owned())));
    agent.wait_until(|| {
        let state = lockstep_tests::program::get(&format!("{base}/api/v1/state")).unwrap().1;
        state.contains("\"Synced\"") && state.contains("\"Deployed\"")
    });
    let (out, _) = expect(&lockstep(None).args(["status", "--agent", &base]).output().unwrap(), 0);
    assert!(out.contains("web  Synced"), "{out}");
    let output = lockstep(None).args(["plan", "--agent", &base, "--output", "json"]).output().unwrap();
    let plan: Value = serde_json::from_str(&expect(&output, 0).0).unwrap();
    assert_eq!(plan["format"], "lockstep.plan/1");
    assert_eq!(plan["commit"], repository.git(&["rev-parse", "HEAD"]));
    assert_eq!(plan["environments"][0]["services"][0]["actions"], serde_json::json!([]));

    // A page in a browser that reaches loopback under its own name learns nothing.
    let host = reqwest::Client::new().get(format!("{base}/api/v1/state")).header("Host", "evil.example").send();
    assert_eq!(host.await.unwrap().status(), 421);

    let second = lockstep(Some(&sandbox.endpoint_url())).args(["agent", "--config", &file]).output().unwrap();
    let (_, err) = expect(&second, 1);
    assert!(err.contains("another agent is running on the state directory"), "{err}");

    let elsewhere = directory.path().join("elsewhere").display().to_string();
    let taken = base.trim_start_matches("http://");
    let third = lockstep(Some(&sandbox.endpoint_url()))
        .args(["agent", "--config", &file, "--state-directory", &elsewhere, "--listen", taken])
        .output()
        .unwrap();
    let (_, err) = expect(&third, 1);
    assert!(err.contains(&format!("failed to listen on {taken}")), "{err}");

    assert!(agent.terminate(Duration::from_secs(10)).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_file_is_followed_and_a_broken_one_changes_nothing() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    repository.git(&["branch", "next"]);
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), &repository.path().display().to_string());
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    let base = agent.address();
    let state = || lockstep_tests::program::get(&format!("{base}/api/v1/state")).unwrap().1;
    agent.wait_until(|| state().contains("\"Deployed\""));
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "sources: 3\n").unwrap();
    agent.wait_until_logged("is not usable; going on as before");
    repository.git(&["checkout", "--quiet", "next"]);
    repository.commit("on next", &[]);
    let next = repository.git(&["rev-parse", "HEAD"]);
    assert!(!state().contains(&next));
    std::fs::write(&file, format!("{good}    branch: next\n")).unwrap();
    agent.wait_until(|| state().contains(&next));
    assert!(agent.terminate(Duration::from_secs(10)).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_remote_leaves_the_agent_up_and_not_ready() {
    let sandbox = sandbox().await;
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), "http://127.0.0.1:9/shop.git");
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    let base = agent.address();
    agent.wait_until_logged("cannot be reached");
    let (status, body) = lockstep_tests::program::get(&format!("{base}/readyz")).unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("cannot be reached"), "{body}");
    assert!(agent.terminate(Duration::from_secs(10)).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_one_sentence_and_nothing_is_concluded() {
    let sandbox = sandbox().await;
    sandbox.control().invalidate_key(ACCOUNT);
    let repository = shop("1");
    let output =
        lockstep(Some(&sandbox.endpoint_url())).args(["plan"]).current_dir(repository.path()).output().unwrap();
    let (out, _) = expect(&output, 1);
    assert!(out.contains("web  Unknown, Unknown"), "{out}");
    assert!(out.contains("failed to call sts:GetCallerIdentity: InvalidClientTokenId"), "{out}");
    assert_eq!(sandbox.control().calls().get("ecs:DescribeServices"), None);
}

#[test]
fn a_full_disk_is_a_sentence_and_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let repository = shop("1");
    let file = agent_file(directory.path(), &repository.path().display().to_string());
    // No file may grow beyond one block: what a full disk answers, the limit answers.
    let script = format!("ulimit -f 0; trap '' XFSZ; exec '{}' agent --config '{file}'", binary().display());
    let mut agent = Running::shell("http://127.0.0.1:9", &script);
    // It works without its cache: the commit is read and followed.
    agent.wait_until_logged("following source=");
    assert!(agent.terminate(Duration::from_secs(10)).success(), "{}", agent.log());
    let log = agent.log();
    let cache: Vec<&str> = log.lines().filter(|line| line.contains("cache")).collect();
    assert_eq!(cache.len(), 1, "{log}");
    assert!(cache[0].contains("the cache cannot be used; going on without a cache"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn show_config_names_the_origin_of_each_value() {
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), "/somewhere");
    let output = lockstep(None)
        .args(["agent", "--config", &file, "--show-config", "--listen", "127.0.0.1:7777"])
        .env("LOCKSTEP_INTERVAL", "5m")
        .output()
        .unwrap();
    let (out, _) = expect(&output, 0);
    for line in [
        format!("apiShare = 1  # {file}:4"),
        "listen = 127.0.0.1:7777  # flag --listen".to_owned(),
        "interval = 300s  # environment variable LOCKSTEP_INTERVAL".to_owned(),
        "sources[acme].branch = main  # default".to_owned(),
    ] {
        assert!(out.lines().any(|other| other == line), "{line}\n{out}");
    }
    let open = lockstep(None).args(["agent", "--config", &file, "--listen", "0.0.0.0:80"]).output().unwrap();
    let (_, err) = expect(&open, 2);
    assert!(err.contains("is not a loopback address"), "{err}");
    let absent = lockstep(None).args(["agent", "--config", "/nowhere/agent.yaml"]).output().unwrap();
    let (_, err) = expect(&absent, 2);
    assert!(err.contains("failed to read /nowhere/agent.yaml"), "{err}");
}

#[test]
fn wrong_usage_is_2_and_unknown_names_are_suggested() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-repo");
    let run = |arguments: &[&str]| lockstep(None).args(arguments).current_dir(&sample).output().unwrap();
    expect(&run(&["frobnicate"]), 2);
    let (_, err) = expect(&run(&["render", "--offline", "-e", "prd"]), 2);
    assert!(err.contains("hint: did you mean `prod`?"), "{err}");
    let (_, err) = expect(&run(&["render", "--offline", "chekout"]), 2);
    assert!(err.contains("hint: did you mean `checkout`?"), "{err}");
    let (_, err) = expect(&run(&["validate", "-C", "git://x/y"]), 2);
    assert!(err.contains("`git://` is not supported"), "{err}");
    let (_, err) = expect(&run(&["validate", "-C", "/nowhere"]), 1);
    assert!(err.contains("there is no directory /nowhere"), "{err}");
    let (_, err) = expect(&run(&["explain", "LS9999"]), 2);
    assert!(err.contains("there is no code"), "{err}");
    let (out, _) = expect(&run(&["--version"]), 0);
    assert_eq!(out, format!("lockstep {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn invalid_manifests_are_3_with_file_line_and_column() {
    let repository = Repository::new();
    let broken = service("x").replace("cpu:", "cpuu:");
    repository.commit("broken", &[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &broken)]);
    let run = |arguments: &[&str]| lockstep(None).args(arguments).current_dir(repository.path()).output().unwrap();
    let (out, err) = expect(&run(&["validate"]), 3);
    assert_eq!(out, "1 service in 1 environment: 1 error\n");
    assert!(err.contains("services/web/service.yaml:4:3"), "{err}");
    assert!(err.contains("help: did you mean `cpu`?"), "{err}");
    let (out, _) = expect(&run(&["validate", "--output", "json"]), 3);
    let found: Value = serde_json::from_str(&out).unwrap();
    let problem = &found["problems"][0];
    assert_eq!((&problem["code"], &problem["line"], &problem["column"]), (&"LS0101".into(), &4.into(), &3.into()));
    let outside = tempfile::tempdir().unwrap();
    let empty = lockstep(None).args(["validate"]).current_dir(outside.path()).output().unwrap();
    let (_, err) = expect(&empty, 3);
    assert!(err.contains("the repository has no lockstep.yaml at its root"), "{err}");
}

/// Runs the README's console blocks. `…` in what the README shows stands for anything.
#[test]
fn the_readmes_console_blocks_are_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let mut commands = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for part in block.split("$ ").skip(1) {
            let (command, shown) = part.split_once('\n').unwrap();
            let command = command.replace("cargo run --release -- demo", "lockstep demo --once");
            let mut words = command.split_whitespace();
            assert_eq!(words.next(), Some("lockstep"), "{command}");
            let output = lockstep(None).args(words).current_dir(&root).output().unwrap();
            let (out, _) = expect(&output, 0);
            assert!(matches(shown.trim_end(), out.trim_end()), "$ {command}\n{out}\nis not\n{shown}");
            commands += 1;
        }
    }
    assert_eq!(commands, 5, "the README has other console blocks than before");
}

fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = "";
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
        last = part;
    }
    rest.is_empty() || last.is_empty()
}
