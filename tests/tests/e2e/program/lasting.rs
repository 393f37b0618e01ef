//! What must not end an agent, stop it, or be answered by it: a log that nobody reads, signals, half-sent requests, pages
//! of others in a browser, files behind links.

use super::{agent_file, expect, sandbox, shop};
use lockstep_tests::{
    binary, eventually,
    files::directory,
    program::{Running, get, lockstep},
    world::{ACCOUNT, REGION},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A child that is killed when the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn send(signal: &str, id: u32) {
    let sent = Command::new("bash").args(["-c", &format!("kill -{signal} {id}")]).status().unwrap();
    assert!(sent.success());
}

fn wait_for(url: &str, text: &str) {
    eventually(&format!("{url} shows {text}"), PATIENCE, || get(url).filter(|(_, body)| body.contains(text)));
}

// H10: `lockstep agent 2>&1 | head -1`.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_goes_on_when_nobody_reads_its_log() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), &repository.path().display().to_string());
    let mut command = lockstep(Some(&sandbox.endpoint_url()));
    let child = command.args(["agent", "--config", &file]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut agent = Ended(child.unwrap());
    let base = {
        let log = BufReader::new(agent.0.stderr.take().unwrap());
        let line = log.lines().map_while(Result::ok).find(|line| line.contains("started address=")).unwrap();
        let address = line.split("started address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        format!("http://{address}")
    };
    // Nobody holds the other end of the pipe any more.
    repository.commit("two", &[("README", "2\n")]);
    wait_for(&format!("{base}/api/v1/state"), &repository.git(&["rev-parse", "HEAD"]));
    wait_for(&format!("{base}/healthz"), "could not be written");
    assert!(get(&format!("{base}/healthz")).unwrap().1.starts_with("ok\n"));
    repository.commit("three", &[("README", "3\n")]);
    wait_for(&format!("{base}/api/v1/state"), &repository.git(&["rev-parse", "HEAD"]));
    wait_for(&format!("{base}/api/v1/state"), "\"lostLogLines\":");
    send("TERM", agent.0.id());
    assert!(agent.0.wait().unwrap().success());
}

// H10: stderr on a full disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_full_disk_ends_nothing() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), &repository.path().display().to_string());
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().to_string();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = lockstep(Some(&sandbox.endpoint_url()));
    command.args(["agent", "--config", &file, "--listen", &free]).stdout(Stdio::null()).stderr(full);
    let mut agent = Ended(command.spawn().unwrap());
    wait_for(&format!("http://{free}/api/v1/state"), "\"Deployed\"");
    wait_for(&format!("http://{free}/healthz"), "could not be written");
    send("TERM", agent.0.id());
    assert!(agent.0.wait().unwrap().success());
}

// H16 and D8: signals that are sent by habit, and the log as JSON.
#[tokio::test(flavor = "multi_thread")]
async fn signals_that_ask_for_nothing_end_nothing_and_the_log_can_be_json() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    repository.git(&["branch", "next"]);
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), &repository.path().display().to_string());
    let log = directory.path().join("agent.log");
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().to_string();
    let mut command = lockstep(Some(&sandbox.endpoint_url()));
    // The log is beside the file that is watched, and says all that it can.
    command.args(["agent", "--config", &file, "--listen", &free, "-o", "json", "--log", "trace"]);
    let audit = directory.path().join("audit.log");
    let (out, err) = (std::fs::File::create(&audit).unwrap(), std::fs::File::create(&log).unwrap());
    let mut agent = Ended(command.stdout(out).stderr(err).spawn().unwrap());
    let state = format!("http://{free}/api/v1/state");
    wait_for(&state, "\"Deployed\"");
    for signal in ["USR1", "USR2", "HUP"] {
        send(signal, agent.0.id());
    }
    let read = || std::fs::read_to_string(&log).unwrap();
    eventually("the signals are heard", PATIENCE, || {
        let log = read();
        ["SIGUSR1", "SIGUSR2", "SIGHUP"].iter().all(|name| log.contains(name)).then_some(())
    });
    repository.git(&["checkout", "--quiet", "next"]);
    repository.commit("on next", &[("README", "next\n")]);
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}    branch: next\n")).unwrap();
    wait_for(&state, &repository.git(&["rev-parse", "HEAD"]));
    send("TERM", agent.0.id());
    assert!(agent.0.wait().unwrap().success());
    let log = read();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    let said = |text: &str| log.lines().filter(|line| line.contains(&format!("\"message\":\"{text}\""))).count();
    assert_eq!((said("started"), said("stopped")), (1, 1));
    assert!(!log.contains("inotify"), "the watcher of files logs nothing");
    // Each write is two lines of the audit, apart from the log.
    assert!(!log.contains("lockstep.audit"));
    let audit = std::fs::read_to_string(&audit).unwrap();
    let lines: Vec<serde_json::Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let head = repository.git(&["rev-parse", "main"]);
    let mut told = Vec::new();
    for line in &lines {
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        assert_eq!((text("format"), &line["actor"]["kind"]), ("lockstep.audit/1", &"agent".into()), "{line}");
        assert_eq!(
            (text("source"), text("environment"), text("service"), text("trigger"), text("account")),
            ("acme", "prod", "web", "create", ACCOUNT),
            "{line}"
        );
        assert_eq!(
            (&line["commit"]["id"], &line["commit"]["author"]),
            (&head.clone().into(), &"Test".into()),
            "{line}"
        );
        told.push((text("phase"), text("call"), text("result"), text("made").rsplit('/').next().unwrap()));
    }
    let deployment = told.last().unwrap().3;
    assert_eq!(
        told,
        [
            ("intent", "ecs:RegisterTaskDefinition", "", ""),
            ("outcome", "ecs:RegisterTaskDefinition", "done", "web:1"),
            ("intent", "ecs:CreateService", "", ""),
            ("outcome", "ecs:CreateService", "done", deployment),
        ]
    );
    assert!(!deployment.is_empty());
    assert!(lines[0]["id"] == lines[1]["id"] && lines[1]["id"] != lines[2]["id"]);
    assert_eq!(
        lines[0]["paths"].as_array().unwrap().iter().filter(|path| path.as_str().unwrap().contains("cpu")).count(),
        1
    );
}

// D3: as Kubernetes mounts files.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_behind_links_is_followed_through_every_swap() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    let directory = tempfile::tempdir().unwrap();
    let plain = agent_file(directory.path(), &repository.path().display().to_string());
    let content = std::fs::read_to_string(plain).unwrap();
    let mount = tempfile::tempdir().unwrap();
    let swap = |name: &str, branch: &str| {
        let inside = mount.path().join(name);
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("agent.yaml"), format!("{content}    branch: {branch}\n")).unwrap();
        std::os::unix::fs::symlink(name, mount.path().join("..tmp")).unwrap();
        std::fs::rename(mount.path().join("..tmp"), mount.path().join("..data")).unwrap();
    };
    swap("..1", "main");
    let file = mount.path().join("agent.yaml");
    std::os::unix::fs::symlink("..data/agent.yaml", &file).unwrap();
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file.display().to_string(), &[]);
    let state = format!("{}/api/v1/state", agent.address());
    for (name, branch) in [("..2", "two"), ("..3", "three")] {
        repository.git(&["checkout", "--quiet", "-b", branch]);
        repository.commit(branch, &[("README", branch)]);
        let head = repository.git(&["rev-parse", "HEAD"]);
        swap(name, branch);
        wait_for(&state, &head);
    }
    assert!(agent.terminate(Duration::from_secs(10)).success());
}

// H14
#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_take_no_descriptors_from_git() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), &repository.path().display().to_string());
    let script = format!("ulimit -n 128; exec '{}' agent --config '{file}'", binary().display());
    let mut agent = Running::shell(&sandbox.endpoint_url(), &script);
    let base = agent.address();
    let half: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
            let _ = stream.write_all(b"GET /api/v1/state HTTP/1.1\r\nHost: ");
            stream
        })
        .collect();
    repository.commit("two", &[("README", "2\n")]);
    wait_for(&format!("{base}/api/v1/state"), &repository.git(&["rev-parse", "HEAD"]));
    drop(half);
    assert!(agent.terminate(Duration::from_secs(10)).success());
    assert!(!agent.log().contains("Too many open files"), "{}", agent.log());
}

/// The first line of the answer to a request that is sent as it is here.
fn answer(base: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text.lines().next().unwrap_or_default().to_owned()
}

// What follows a bare `--agent` may be a service; and the variable holds for it.
#[test]
fn an_agents_address_is_one() {
    let (_, err) = expect(&lockstep(None).args(["status", "--agent", "web"]).output().unwrap(), 2);
    assert!(err.contains("`web` is no address of an agent"), "{err}");
    let mut command = lockstep(None);
    let (_, err) =
        expect(&command.args(["plan", "--agent"]).env("LOCKSTEP_AGENT", "http://127.0.0.1:1").output().unwrap(), 1);
    assert!(err.contains("asking the agent at http://127.0.0.1:1; -C . looks at the files here"), "{err}");
    assert!(err.contains("failed to ask the agent at http://127.0.0.1:1"), "{err}");
}

// H12: libraries write whole requests at their finest levels, whatever is secret in them.
#[tokio::test(flavor = "multi_thread")]
async fn no_level_of_the_log_shows_what_is_sent() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    let service = lockstep_tests::world::service(&format!("{}:1", lockstep_tests::world::IMAGE));
    let service = service.replace("LEVEL: info", "DB_PASSWORD: canary-of-a-password");
    repository.commit("fix token=canary-of-a-subject", &[("services/web/service.yaml", &service)]);
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), &repository.path().display().to_string());
    for filter in ["trace", "lockstep=info,aws_smithy_runtime=trace,hyper=trace"] {
        let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &["--log", filter]);
        let base = agent.address();
        wait_for(&format!("{base}/api/v1/state"), "\"verdict\":\"Deployed\"");
        let state = get(&format!("{base}/api/v1/state")).unwrap().1;
        agent.terminate(Duration::from_secs(10));
        for text in [agent.log(), state] {
            assert!(!text.contains("canary"), "{}", text.lines().find(|line| line.contains("canary")).unwrap());
        }
    }
}

// H3 and H15
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_resolves_its_name_to_loopback_is_refused_and_a_long_subject_is_cut() {
    let sandbox = sandbox().await;
    let repository = shop("1");
    let directory = tempfile::tempdir().unwrap();
    let file = agent_file(directory.path(), &repository.path().display().to_string());
    let mut agent = Running::agent(&sandbox.endpoint_url(), &file, &[]);
    let base = agent.address();
    let with = |target: &str, headers: &str| {
        answer(&base, &format!("GET {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"))
    };
    for host in ["127.0.0.1", "localhost:7700", "LOCALHOST", "[::1]:80", "127.0.0.9"] {
        assert_eq!(with("/healthz", &format!("Host: {host}\r\n")), "HTTP/1.1 200 OK", "{host}");
    }
    for host in [
        "127.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example",
        "localhost.evil.example",
        "",
    ] {
        let status = with("/api/v1/state", &format!("Host: {host}\r\n"));
        assert_eq!(status, "HTTP/1.1 421 Misdirected Request", "{host}");
    }
    let misdirected = "HTTP/1.1 421 Misdirected Request";
    assert_eq!(with("/healthz", "Host: 127.0.0.1\r\nHost: evil.example\r\n"), misdirected);
    assert_eq!(with("/healthz", "Host: evil.example\r\nHost: 127.0.0.1\r\n"), misdirected);
    assert_eq!(with("/healthz", ""), misdirected);
    assert_eq!(with("http://evil.example/healthz", "Host: 127.0.0.1\r\n"), misdirected);
    assert_eq!(with("http://127.0.0.1/healthz", "Host: evil.example\r\n"), misdirected);
    assert_eq!(with("http://127.0.0.1/healthz", "Host: 127.0.0.1\r\n"), "HTTP/1.1 200 OK");

    let message = directory.path().join("message");
    std::fs::write(&message, format!("a\u{202e}b\u{9b}31mc {}", "x".repeat(3_000_000))).unwrap();
    repository.git(&["commit", "--quiet", "--allow-empty", "-F", &message.display().to_string()]);
    wait_for(&format!("{base}/api/v1/state"), &repository.git(&["rev-parse", "HEAD"]));
    let state = get(&format!("{base}/api/v1/state")).unwrap().1;
    assert!(state.len() < 100_000);
    // H13: nothing that misleads a terminal is there as it is.
    assert!(state.contains("a\\u202eb") && !state.contains(['\u{202e}', '\u{9b}']), "{state}");
    assert!(agent.terminate(Duration::from_secs(10)).success());
    assert!(agent.log().len() < 100_000);
}

// H16
#[test]
fn one_cluster_by_name_and_by_arn_is_declared_twice() {
    let config = format!(
        "version: 1\nenvironments:\n  a: {{ account: \"{ACCOUNT}\", region: {REGION}, cluster: prod }}\n  b: {{ account: \"{ACCOUNT}\", region: {REGION}, cluster: \"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/prod\" }}\n"
    );
    let service = lockstep_tests::world::service("nginx:1");
    let files = directory(&[("lockstep.yaml", &config), ("services/web/service.yaml", &service)]);
    let (_, err) = expect(&lockstep(None).args(["validate"]).current_dir(files.path()).output().unwrap(), 3);
    assert!(err.contains("is declared twice"), "{err}");
    let other = config.replace(&format!(":{ACCOUNT}:cluster"), ":222222222222:cluster");
    std::fs::write(files.path().join("lockstep.yaml"), other).unwrap();
    let (_, err) = expect(&lockstep(None).args(["validate"]).current_dir(files.path()).output().unwrap(), 3);
    assert!(err.contains("the cluster's ARN is of account 222222222222"), "{err}");
}
