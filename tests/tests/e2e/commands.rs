//! The commands that look and do not write, with the built program: diff, validate of files, render with its trace, and
//! plan as files are saved.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep_tests::{
    eventually,
    files::{directory, write},
    lockstep,
    moto::REGION,
    outcome,
    world::ONE_ENVIRONMENT,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::mpsc,
    time::Duration,
};
use tempfile::TempDir;

/// Exit code, stdout, stderr of the program in a directory.
fn run(directory: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    outcome(lockstep(arguments).current_dir(directory.path()))
}

const DECLARED: &str = r#"{
  "family": "web", "cpu": ".25 vCPU", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
  "containerDefinitions": [{"name": "web", "image": "nginx:1", "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}], "portMappings": [{"containerPort": 80}]}]
}"#;
const LIVE: &str = r#"{"taskDefinition": {
  "taskDefinitionArn": "arn:aws:ecs:eu-central-1:1:task-definition/web:7", "revision": 7, "status": "ACTIVE", "family": "web", "cpu": "256", "memory": "512",
  "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "compatibilities": ["EC2", "FARGATE"], "volumes": [], "placementConstraints": [],
  "containerDefinitions": [{"name": "web", "image": "nginx:1", "cpu": 0, "essential": true, "mountPoints": [], "volumesFrom": [], "systemControls": [],
    "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]}]
}, "tags": []}"#;

#[test]
fn two_files_are_compared_by_what_they_mean() {
    let changed = LIVE
        .replace("nginx:1", "nginx:2")
        .replace(r#"{"name": "B", "value": "2"}"#, r#"{"name": "TOKEN", "value": "hush"}"#);
    let files = directory(&[("declared.json", DECLARED), ("live.json", LIVE), ("changed.json", &changed)]);
    let diff = |live: &str, more: &[&str]| {
        let mut arguments = vec!["diff", "--declared", "declared.json", "--live", live];
        arguments.extend(more);
        run(&files, &arguments)
    };
    assert_eq!(diff("live.json", &[]), (0, String::new(), "no difference\n".into()));
    let (exit, stdout, stderr) = diff("changed.json", &[]);
    let expected = "taskDefinition.containerDefinitions[web].image: \"nginx:2\" → \"nginx:1\"  (new deployment)\n\
                    taskDefinition.containerDefinitions[web].environment[B]: nothing → \"2\"  (new deployment)\n\
                    taskDefinition.containerDefinitions[web].environment[TOKEN]: ••• → •••  (new deployment)\n";
    assert_eq!((exit, stdout.as_str(), stderr.as_str()), (4, expected, ""));
    let (exit, stdout, _) =
        diff("changed.json", &["--output", "json", "--ignore", "taskDefinition.containerDefinitions[web].environment"]);
    let data: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (exit, data["format"].as_str(), data["changes"].as_array().unwrap().len()),
        (4, Some("lockstep.diff/1"), 1)
    );
    assert_eq!(
        data["changes"][0],
        json!({"path": "taskDefinition.containerDefinitions[web].image", "old": "nginx:2", "new": "nginx:1", "effect": "newDeployment", "masked": false})
    );
    assert!(!stdout.contains("hush"));
}

#[test]
fn a_service_is_compared_with_what_describe_services_prints() {
    let declared = "serviceName: web\ncluster: prod\ndesiredCount: 2\nlaunchType: FARGATE\nnetworkConfiguration: { awsvpcConfiguration: { subnets: [b, a] } }\nserviceConnectConfiguration: { enabled: true, namespace: shop }\n";
    let live = json!({"services": [{"serviceName": "web", "serviceArn": "arn", "clusterArn": "arn:aws:ecs:x:1:cluster/prod", "status": "ACTIVE", "desiredCount": 2, "runningCount": 2,
        "launchType": "FARGATE", "platformVersion": "LATEST", "taskDefinition": "web:7", "loadBalancers": [], "schedulingStrategy": "REPLICA", "propagateTags": "NONE",
        "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING", "bakeTimeInMinutes": 0},
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a", "b"], "securityGroups": [], "assignPublicIp": "DISABLED"}},
        "deployments": [{"status": "PRIMARY", "serviceConnectConfiguration": {"enabled": true, "namespace": "shop"}}]}], "failures": []});
    let mut launch = live.clone();
    launch["services"][0]["launchType"] = json!("EC2");
    let files = directory(&[
        ("s.yaml", declared),
        ("live.json", &live.to_string()),
        ("other.json", &launch.to_string()),
        ("t.json", DECLARED),
    ]);
    assert_eq!(run(&files, &["diff", "--declared", "s.yaml", "--live", "live.json"]).0, 0);
    let (exit, stdout, _) = run(&files, &["diff", "--declared", "s.yaml", "--live", "other.json"]);
    assert_eq!((exit, stdout.as_str()), (4, "service.launchType: \"EC2\" → \"FARGATE\"  (needs a new service)\n"));
    let (exit, stdout, stderr) = run(&files, &["diff", "--declared", "s.yaml", "--live", "t.json"]);
    assert_eq!(
        (exit, stdout.as_str(), stderr.as_str()),
        (2, "", "error: s.yaml is a service, and t.json is a task definition\n")
    );
    let (exit, _, stderr) = run(&files, &["diff", "--declared", "s.yaml"]);
    assert_eq!(exit, 2, "{stderr}");
    let (exit, _, stderr) = run(&files, &["diff", "--declared", "no.yaml", "--live", "t.json"]);
    assert!(exit == 1 && stderr.starts_with("error: failed to read no.yaml: "), "{stderr}");
}

#[test]
fn any_file_that_people_have_is_validated_alone() {
    let files = directory(&[
        ("good.json", LIVE),
        ("bad.json", "{\n  \"family\": \"web\", // why\n  \"containerDefinitions\": []\n}"),
        ("typo.yaml", "family: wéb\ncontainerDefinitions:\n  - { name: web, image: x:1, memroy: 64 }\n"),
        (
            "size.yaml",
            "family: web\nnetworkMode: awsvpc\nrequiresCompatibilities: [FARGATE]\ncpu: 256\nmemory: 512\nephemeralStorage: { sizeInGiB: 10 }\ncontainerDefinitions: [{ name: web, image: x }]\n",
        ),
        ("two.yaml", "serviceName: a\n---\nserviceName: b\n"),
        ("twice.yaml", "serviceName: a\ndesiredCount: 1\ndesiredCount: 2\n"),
    ]);
    let (exit, stdout, stderr) = run(&files, &["validate", "good.json"]);
    assert_eq!((exit, stdout.as_str()), (0, "good.json: a task definition: 1 note\n"));
    // E7: notes are one line a file.
    assert_eq!(stderr, "note: good.json: 1 note (read-only member dropped); -v shows all\n\n");
    let (exit, _, stderr) = run(&files, &["validate", "-v", "good.json"]);
    assert_eq!(exit, 0);
    assert!(
        stderr.contains(
            "note[LS0401]: `taskDefinitionArn`, `revision`, `status`, `compatibilities` are part of what AWS answers"
        ),
        "{stderr}"
    );
    for (name, code, place, words) in [
        ("bad.json", "LS0002", "bad.json:2:20", "JSON has no comments"),
        ("typo.yaml", "LS0101", "typo.yaml:3:30", "did you mean `memory`?"),
        ("size.yaml", "LS0501", "size.yaml:6:32", "10 GiB is not between 21 and 200"),
        ("two.yaml", "LS0004", "two.yaml:2:1", "put it into a file of its own"),
        ("twice.yaml", "LS0003", "twice.yaml:3:1", "first defined here"),
    ] {
        let (exit, _, stderr) = run(&files, &["validate", name]);
        assert_eq!(exit, 3, "{name}: {stderr}");
        assert!(
            stderr.contains(&format!("error[{code}]")) && stderr.contains(place) && stderr.contains(words),
            "{name}: {stderr}"
        );
    }
    let (exit, stdout, _) = run(&files, &["validate", "twice.yaml", "good.json", "--output", "json"]);
    let data: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(exit, 3);
    assert_eq!(
        data["files"],
        json!([{"path": "twice.yaml", "kind": null}, {"path": "good.json", "kind": "task definition"}])
    );
    assert_eq!(
        data["problems"][0],
        json!({"code": "LS0003", "severity": "error", "message": "the key `desiredCount` is defined twice", "file": "twice.yaml", "line": 3, "column": 1, "endLine": 3, "endColumn": 13,
            "related": [{"message": "first defined here", "file": "twice.yaml", "line": 2, "column": 1}]})
    );
}

#[test]
fn links_in_a_checkout_and_in_a_commit_are_named_and_never_followed() {
    let files = directory(&[
        ("lockstep.yaml", ONE_ENVIRONMENT),
        ("services/web/service.yaml", "taskDefinition: /services/web/absolute.yaml\nservice: {}\n"),
        ("elsewhere/secret.yaml", "hush: hush\n"),
    ]);
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, files.path().join("services/web").join(name)).unwrap();
    };
    let absolute = files.path().join("elsewhere/secret.yaml");
    link(absolute.to_str().unwrap(), "absolute.yaml");
    link("../../elsewhere/secret.yaml", "relative.yaml");
    link("relative.yaml", "chained.yaml");
    link("nothing.yaml", "dangling.yaml");
    link("/etc", "directory");
    for arguments in
        [&["init", "--quiet", "--initial-branch=main"][..], &["add", "--all"], &["commit", "--quiet", "-m", "links"]]
    {
        lockstep_tests::git_http::git(files.path(), arguments);
    }
    for more in [&[][..], &["--branch", "main"]] {
        let mut arguments = vec!["validate", "-C", "."];
        arguments.extend(more);
        let (exit, stdout, stderr) = run(&files, &arguments);
        assert_eq!(exit, 3, "{stdout}{stderr}");
        for name in ["absolute.yaml", "relative.yaml", "chained.yaml", "dangling.yaml", "directory"] {
            let said = format!("`services/web/{name}` is a symbolic link; it is not followed");
            assert!(stderr.contains(&said), "{name} {more:?}: {stderr}");
        }
        assert!(!stderr.contains("hush") && !stdout.contains("hush"), "{stdout}{stderr}");
    }
}

#[test]
fn a_trace_is_data_too() {
    let files = directory(&[
        ("lockstep.yaml", ONE_ENVIRONMENT),
        (
            "services/web/service.yaml",
            "taskDefinition: { containerDefinitions: { web: { image: nginx, memory: 64 } } }\nservice: { desiredCount: 1 }\n",
        ),
        ("services/web/prod.pins.yaml", "web: 1.27\n"),
    ]);
    let (exit, stdout, stderr) =
        run(&files, &["render", "--offline", "-e", "prod", "web", "--trace", "--output", "json"]);
    assert_eq!(exit, 0, "{stderr}");
    let data: Value = serde_json::from_str(&stdout).unwrap();
    let values = data["services"][0]["values"].as_array().unwrap();
    let image = values.iter().find(|value| value["path"] == "taskDefinition.containerDefinitions[web].image").unwrap();
    assert_eq!(
        *image,
        json!({"path": "taskDefinition.containerDefinitions[web].image", "value": "nginx:1.27",
            "from": {"layer": "pins of prod", "file": "services/web/prod.pins.yaml", "line": 1, "column": 6, "written": "1.27"}, "variables": [],
            "overrode": [{"layer": "service", "file": "services/web/service.yaml", "line": 1, "column": 57, "written": "nginx"}]})
    );
}

#[test]
fn what_is_rendered_is_what_is_sent_in_the_models_order() {
    let files = directory(&[
        ("lockstep.yaml", ONE_ENVIRONMENT),
        (
            "services/web/service.yaml",
            "service: { tags: { team: shop }, desiredCount: 1, enableExecuteCommand: true }\ntaskDefinition: { tags: { a: b }, pidMode: task, cpu: 256, containerDefinitions: { web: { memory: 64, image: nginx } } }\n",
        ),
    ]);
    let (exit, stdout, stderr) = run(&files, &["render", "--offline", "-e", "prod", "web"]);
    assert_eq!(exit, 0, "{stderr}");
    let expected = json!({
        "taskDefinition": {"family": "web", "containerDefinitions": [{"name": "web", "image": "nginx", "memory": 64}], "cpu": "256", "tags": [{"key": "a", "value": "b"}], "pidMode": "task"},
        "service": {"cluster": "prod", "serviceName": "web", "desiredCount": 1, "tags": [{"key": "team", "value": "shop"}], "enableExecuteCommand": true},
    });
    assert_eq!(
        stdout,
        format!("{}\n", serde_json::to_string_pretty(&expected).unwrap()),
        "members in the model's order"
    );
    let (_, stdout, _) = run(&files, &["render", "--offline", "-e", "prod", "web", "--source", "acme"]);
    let own: Value = serde_json::from_str(&stdout).unwrap();
    let tags = own["service"]["tags"].as_array().unwrap();
    assert!(tags.contains(&json!({"key": "lockstep:source", "value": "acme"})), "{own:#}");
}

#[test]
fn a_plan_is_made_again_when_a_file_is_saved() {
    let service = |cpu: &str| {
        format!(
            "taskDefinition: {{ cpu: {cpu}, containerDefinitions: {{ web: {{ image: nginx, memory: 64 }} }} }}\nservice: {{ desiredCount: 1 }}\n"
        )
    };
    let files = directory(&[("lockstep.yaml", ONE_ENVIRONMENT), ("services/web/service.yaml", &service("256"))]);
    let mut child = lockstep(["plan", "--watch", "--output", "json", "-C", "."])
        .current_dir(files.path())
        // Nobody answers there: the plan is Unknown, and is made again all the same.
        .envs([
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_REGION", REGION),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = |stream: Box<dyn std::io::Read + Send>| {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        receiver
    };
    let (stdout, stderr) =
        (lines(Box::new(child.stdout.take().unwrap())), lines(Box::new(child.stderr.take().unwrap())));
    let watching = |what: &str| {
        eventually(what, Duration::from_secs(120), || {
            stderr.try_iter().any(|line| line.starts_with("watching")).then_some(())
        });
    };
    let plans = || stdout.try_iter().filter(|line| line.contains("lockstep.plan/1")).count();
    watching("the first plan");
    assert_eq!(plans(), 1);
    write(files.path(), "services/web/service.yaml", "taskDefinition: {\n");
    watching("a plan of a broken file");
    write(files.path(), "services/web/service.yaml", &service("512"));
    watching("a plan of the mended file");
    assert!(plans() >= 2);
    // What nobody saves is not planned, and what is hidden does not matter.
    write(files.path(), ".git/index", "x");
    let interrupted =
        std::process::Command::new("bash").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn all_problems_come_in_one_run_and_in_file_order() {
    let two = "version: 1\nenvironments:\n  a: { account: \"111111111111\", region: eu-central-1, cluster: c }\n  b: { account: \"111111111111\", region: eu-central-1, cluster: d }\n";
    let broken = "taskDefinition:\n  containerDefinitions:\n    web: { image: x:1, memory: 64, privileged: \"true\" }\nservice: { desiredCount: two, launchTyp: EC2, tags: [{ key: a, value: b }, { key: a, value: c }] }\n";
    let failing = "taskDefinition: { containerDefinitions: { web: { image: x:1, memory: 64, memoryReservation: 128 } } }\nservice: { desiredCount: 1 }\n";
    let files = directory(&[
        ("lockstep.yaml", two),
        ("services/one/service.yaml", broken),
        ("services/two/service.yaml", failing),
        ("components/c.yaml", "servce: {}\n"),
    ]);
    let (exit, stdout, _) = run(&files, &["validate", "--output", "json"]);
    let data: Value = serde_json::from_str(&stdout).unwrap();
    let places: Vec<String> = data["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            let text = |name: &str| problem[name].as_str().unwrap();
            format!("{} {} {}:{}:{}", text("severity"), text("code"), text("file"), problem["line"], problem["column"])
        })
        .collect();
    assert_eq!(
        places,
        [
            "error LS0101 components/c.yaml:1:1",
            "error LS0120 lockstep.yaml:1:1",
            "warning LS0102 services/one/service.yaml:3:48",
            "error LS0102 services/one/service.yaml:4:26",
            "error LS0101 services/one/service.yaml:4:31",
            "error LS0003 services/one/service.yaml:4:83",
            "error LS0506 services/two/service.yaml:1:93",
        ]
    );
    assert_eq!(exit, 3);
    // A check that fails is said of each environment that it fails in.
    let (exit, stdout, _) = run(&files, &["verify", "--offline", "two", "--output", "json"]);
    let data: Value = serde_json::from_str(&stdout).unwrap();
    let failing: Vec<&str> = data["services"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["checks"].as_array().unwrap().iter().any(|check| check["outcome"] == "FAIL"))
        .map(|one| one["environment"].as_str().unwrap())
        .collect();
    assert_eq!((exit, failing), (3, vec!["a", "b"]));
}

#[test]
fn one_identity_declared_twice_is_an_error_in_both_places() {
    let web = "taskDefinition: { containerDefinitions: { web: { image: x:1, memory: 64 } } }\nservice: { serviceName: shop, desiredCount: 1 }\n";
    let files = directory(&[
        ("lockstep.yaml", ONE_ENVIRONMENT),
        ("services/one/service.yaml", web),
        ("services/two/service.yaml", web),
    ]);
    let (exit, stdout, _) = run(&files, &["validate", "--output", "json"]);
    let data: Value = serde_json::from_str(&stdout).unwrap();
    let place = |value: &Value| format!("{}:{}:{}", value["file"].as_str().unwrap(), value["line"], value["column"]);
    let found: Vec<(String, String)> = data["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (place(problem), place(&problem["related"][0])))
        .collect();
    let (one, two) = ("services/one/service.yaml:2:25".to_owned(), "services/two/service.yaml:2:25".to_owned());
    assert_eq!((exit, found), (3, vec![(one.clone(), two.clone()), (two, one)]));
}

/// What a terminal would obey, or be led astray by.
fn misleading(text: &str) -> Vec<char> {
    let is = |letter: &char| {
        letter.is_control() && !matches!(letter, '\n' | '\t')
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(is).collect()
}

// H13: from a file's lines, from values, and from what is given on the command line; in texts, messages, the log and JSON.
#[test]
fn nothing_from_elsewhere_reaches_the_terminal() {
    let hostile = "a\u{9b}31m\u{202e}b";
    let escaped = "\"a\\e]0;x\\a\\x9b2J\\u202eb\"";
    let config = format!(
        "version: 1\nenvironments:\n  prod: {{ account: \"111111111111\", region: eu-central-1, cluster: {escaped} }}\n  next: {{ account: 1, region: {hostile}, cluster: x }}\n"
    );
    let web = format!(
        "taskDefinition:\n  containerDefinitions:\n    web: {{ image: nginx, memory: 64, environment: {{ X: {escaped} }} }}\nservice: {{ desiredCount: 1, {hostile}: 1 }}\n"
    );
    let files = directory(&[("lockstep.yaml", &config), ("services/web/service.yaml", &web)]);
    let environment = [("AWS_EC2_METADATA_DISABLED", "true"), ("LOCKSTEP_LOG", "debug")];
    for arguments in [
        &["validate"][..],
        &["validate", "--output", "json"],
        &["render"],
        &["render", "--trace"],
        &["render", "--output", "json"],
        &["verify", "--offline"],
        &["status", hostile],
        &["plan", hostile],
        &[hostile],
    ] {
        let (_, stdout, stderr) =
            outcome(lockstep(arguments.iter().copied()).current_dir(files.path()).envs(environment));
        assert!(!(stdout.is_empty() && stderr.is_empty()), "{arguments:?}");
        assert_eq!(
            (misleading(&stdout), misleading(&stderr)),
            (vec![], vec![]),
            "{arguments:?}: {stdout:?} {stderr:?}"
        );
    }
}

const MEMBERS: &str = "version: 1
environments:
  staging: { account: \"111111111111\", region: eu-central-1, cluster: staging }
  prod: { account: \"111111111111\", region: eu-central-1, cluster: prod }
  prod-us: { inherits: prod, region: us-east-1 }
";
const WEB: &str = "taskDefinition: { containerDefinitions: { web: { image: x:1, memory: 64 } } }\nservice: {}\n";

// A1: an overlay does not decide where a service is; what version 1 did is kept by a line, and the line is written.
#[test]
fn where_a_service_is_is_said_in_one_place() {
    let head = format!("# ours\n{WEB}");
    let taskdef = "{\"containerDefinitions\": [{\"name\": \"web\", \"image\": \"x:1\", \"memory\": 64}]}";
    let files = directory(&[
        ("lockstep.yaml", MEMBERS),
        ("services/all/service.yaml", &WEB.replace("web", "all")),
        ("services/web/service.yaml", &head),
        ("services/web/prod.yaml", "service: { desiredCount: 2 }\n"),
        ("services/plain/taskdef.json", taskdef),
        ("services/plain/servicedef.json", "{}"),
        ("services/plain/staging.yaml", ""),
    ]);
    let (exit, stdout, stderr) = run(&files, &["validate", "-v"]);
    let matrix = "service  staging  prod  prod-us\n\
                  all      yes      yes   yes\n\
                  plain    yes      ?     ?\n\
                  web      ?        yes   yes\n\
                  3 services in 3 environments: 2 errors\n";
    assert_eq!((exit, stdout.as_str()), (3, matrix), "{stderr}");
    for words in [
        "with version 1 this overlay alone decided that it is in prod and prod-us",
        "add `environments: [prod]` to services/web/service.yaml",
        "add `environments: [staging]` to services/plain/service.yaml",
    ] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
    let (exit, stdout, stderr) = run(&files, &["validate", "--fix"]);
    assert_eq!((exit, stdout.as_str()), (0, "3 services in 3 environments\n"), "{stderr}");
    assert_eq!(
        stderr,
        "services/plain/service.yaml: environments: [staging]\n\
         services/web/service.yaml: environments: [prod]\n\
         wrote to 2 files\n\
         hint: every service is where it was by both rules now: write `version: 2` in lockstep.yaml\n"
    );
    let text = |path: &str| std::fs::read_to_string(files.path().join(path)).unwrap();
    assert_eq!(text("services/web/service.yaml"), format!("{head}environments: [prod]\n"));
    assert_eq!(text("services/plain/service.yaml"), "environments: [staging]\n");
    write(files.path(), "lockstep.yaml", &MEMBERS.replace("version: 1", "version: 2"));
    let (exit, stdout, _) = run(&files, &["validate", "--output", "json"]);
    let data: Value = serde_json::from_str(&stdout).unwrap();
    let expected = json!({"all": ["prod", "prod-us", "staging"], "plain": ["staging"], "web": ["prod", "prod-us"]});
    assert_eq!((exit, &data["membership"]), (0, &expected));
    // The rule alone: an overlay for an environment that the service is not in names both places.
    write(files.path(), "services/web/staging.yaml", "service: { desiredCount: 1 }\n");
    let (exit, _, stderr) = run(&files, &["validate"]);
    assert_eq!(exit, 3);
    assert!(stderr.contains("this file changes `web` in `staging`, but the service is not in `staging`"), "{stderr}");
    assert!(stderr.contains("not named here: services/web/service.yaml:4:1"), "{stderr}");
}

// A1: a command that is asked for a service in an environment where it is not says so.
#[test]
fn a_service_that_is_not_in_an_environment_is_wrong_usage() {
    let files = directory(&[
        ("lockstep.yaml", &MEMBERS.replace("version: 1", "version: 2")),
        ("services/web/service.yaml", &format!("{WEB}environments: [prod]\n")),
        ("services/parked/service.yaml", &format!("{WEB}environments: []\n")),
    ]);
    let said = "error: web is not in staging\nhint: it is in prod, prod-us\n".to_owned();
    for command in ["render", "plan", "diff", "sync", "verify", "adopt", "pause", "resume"] {
        let (exit, stdout, stderr) = run(&files, &[command, "-C", ".", "-e", "staging", "web"]);
        assert_eq!((exit, stdout.as_str(), &stderr), (2, "", &said), "{command}");
    }
    let (exit, _, stderr) = run(&files, &["status", "-C", ".", "-e", "prod", "-e", "staging", "web"]);
    assert_eq!((exit, stderr), (2, said));
    let (exit, _, stderr) = run(&files, &["render", "--offline", "parked"]);
    assert_eq!(exit, 2);
    assert!(stderr.starts_with("error: parked is not in any environment\n"), "{stderr}");
    let (exit, _, _) = run(&files, &["render", "--offline", "-e", "prod-us", "web"]);
    assert_eq!(exit, 0);
}

// A2, A3: a checkout and a commit are listed by one rule, and what is not read is an error at its place in both.
#[test]
fn a_checkout_and_a_commit_say_the_same() {
    use std::os::unix::ffi::OsStrExt;
    let files = directory(&[
        ("lockstep.yaml", ONE_ENVIRONMENT),
        ("services/web/service.yaml", WEB),
        ("services/.off/web/service.yaml", WEB),
        ("services/target/service.yaml", WEB),
        ("services/node_modules/service.yaml", WEB),
        ("services/old/service.yaml.tmpl", WEB),
        ("services/gone/prod.pins.yaml", "web: 1\n"),
        ("Services/one/service.yaml", WEB),
        ("target/service.yaml", WEB),
        (&format!("services/{}deep/service.yaml", "d/".repeat(40)), WEB),
    ]);
    let name = std::ffi::OsStr::from_bytes(b"services/\xe9quipe");
    std::fs::create_dir(files.path().join(name)).unwrap();
    std::fs::write(files.path().join(name).join("service.yaml"), WEB).unwrap();
    for arguments in
        [&["init", "--quiet", "--initial-branch=main"][..], &["add", "--all"], &["commit", "--quiet", "-m", "all"]]
    {
        lockstep_tests::git_http::git(files.path(), arguments);
    }
    let checkout = run(&files, &["validate", "-v", "-C", "."]);
    let commit = run(&files, &["validate", "-v", "-C", ".", "--branch", "main"]);
    assert_eq!(checkout, commit);
    let (exit, stdout, stderr) = checkout;
    assert_eq!(exit, 3);
    assert!(stdout.ends_with("4 services in 1 environment: 5 errors\n"), "{stdout}{stderr}");
    for words in [
        "`Services/` is not read: the directory is called `services/`",
        "`services/.off/web` declares a service, but hidden directories are not read",
        "`services/gone/prod.pins.yaml` modifies a service, but its directory has none",
        "`service.yaml.tmpl` is not read, but it looks like `service.yaml`",
        "`services/\\xe9quipe` has a name that is not UTF-8 text",
    ] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}

// H5: a small repository of 10^12 paths is refused, and by its name.
#[test]
fn a_tree_that_multiplies_is_refused() {
    let files = directory(&[("lockstep.yaml", ONE_ENVIRONMENT)]);
    let git = |arguments: &[&str]| lockstep_tests::git_http::git(files.path(), arguments);
    git(&["init", "--quiet", "--initial-branch=main"]);
    let shell = "set -e; id=$(git mktree </dev/null); \
        for level in 1 2 3 4 5 6 7 8 9 10 11 12; do id=$(for at in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\\td%s\\n' $id $at; done | git mktree); done; \
        git update-ref refs/heads/main $(git -c user.name=a -c user.email=a@b commit-tree -m bomb $id)";
    let made = std::process::Command::new("sh").args(["-c", shell]).current_dir(files.path()).status().unwrap();
    assert!(made.success());
    let (exit, stdout, stderr) = run(&files, &["validate", "-C", ".", "--branch", "main"]);
    assert_eq!((exit, stdout.as_str()), (1, ""));
    assert!(stderr.contains("it has more than 100000 directories"), "{stderr}");
}

// G4: errors of lockstep.yaml say what they stop.
#[test]
fn a_broken_lockstep_yaml_says_that_writes_are_stopped() {
    let broken = ONE_ENVIRONMENT.replace("region:", "regoin:");
    let files = directory(&[("lockstep.yaml", &broken), ("services/web/service.yaml", WEB)]);
    let (exit, _, stderr) = run(&files, &["validate"]);
    assert_eq!(exit, 3);
    assert!(
        stderr.contains("error[LS0120]: nothing is written to any environment until the errors in lockstep.yaml and components/ are fixed"),
        "{stderr}"
    );
}

// I3: a file without a name is as good as one in a repository, where the directory gives it.
#[test]
fn a_file_needs_no_name() {
    let nameless = DECLARED.replace("\"family\": \"web\", ", "");
    let service = "desiredCount: 2\nlaunchType: EC2\n";
    let live = json!({"services": [{"serviceName": "web", "status": "ACTIVE", "desiredCount": 3, "launchType": "EC2", "taskDefinition": "web:7"}]});
    let files = directory(&[
        ("taskdef.json", &nameless),
        ("live.json", LIVE),
        ("service.yaml", service),
        ("live-service.json", &live.to_string()),
    ]);
    let (exit, stdout, stderr) = run(&files, &["validate", "taskdef.json", "service.yaml"]);
    assert_eq!((exit, stdout.as_str()), (0, "taskdef.json: a task definition\nservice.yaml: a service\n"), "{stderr}");
    let diff = |declared: &str, live: &str| run(&files, &["diff", "--declared", declared, "--live", live]);
    assert_eq!(diff("taskdef.json", "live.json"), (0, String::new(), "no difference\n".into()));
    let expected = "service.desiredCount: 3 → 2\n".to_owned();
    assert_eq!(diff("service.yaml", "live-service.json"), (4, expected, String::new()));
}
