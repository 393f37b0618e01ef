//! From files to what would be sent: layers, keyed form, pins, inheritance, patches, membership, and every refusal.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_manifests::{
    Desired, Diagnostic, Repository, Service, Severity,
    layer::Ownership,
    render::{bind, render},
    substitute::{Parameters, Reference, Resolved},
    tree::MemoryTree,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const CONFIG: &str = r#"
version: 2
defaults:
  vars: { level: info }
  taskDefinition: { networkMode: awsvpc, requiresCompatibilities: [FARGATE] }
environments:
  staging: { account: "111111111111", region: eu-central-1, cluster: staging, vars: { domain: staging.example } }
  prod:
    account: "222222222222"
    region: eu-central-1
    cluster: prod
    vars: { domain: example.com, level: warn }
    defaults: { service: { propagateTags: SERVICE } }
  prod-us: { inherits: prod, region: us-east-1, vars: { domain: us.example.com } }
"#;

const WEB: &str = r#"
taskDefinition:
  cpu: "512"
  memory: 1024
  containerDefinitions:
    web:
      image: "${{ account }}.dkr.ecr.${{ region }}.amazonaws.com/web"
      portMappings: { 8080: {} }
      environment: { URL: "https://${{ vars.domain }}", LEVEL: "${{ vars.level }}", VERSION: 1.10 }
service: { desiredCount: 2 }
"#;

struct Rendering {
    desired: Option<Desired>,
    problems: Vec<Diagnostic>,
}

impl Rendering {
    /// `code line:column message` of everything that was found.
    fn said(&self) -> Vec<String> {
        self.problems
            .iter()
            .map(|problem| {
                let place =
                    problem.place().map_or(String::new(), |(file, line, column)| format!("{file}:{line}:{column} "));
                format!("{} {place}{}", problem.code.id, problem.message)
            })
            .collect()
    }

    fn container(&self) -> &Value {
        &self.desired.as_ref().unwrap().task_definition["containerDefinitions"][0]
    }
}

fn run(files: &[(&str, &str)], environment: &str) -> Rendering {
    run_with(files, environment, &Parameters::new())
}

fn run_with(files: &[(&str, &str)], environment: &str, parameters: &Parameters) -> Rendering {
    let mut files = files.to_vec();
    if !files.iter().any(|(path, _)| *path == "lockstep.yaml") {
        files.push(("lockstep.yaml", CONFIG));
    }
    let tree = MemoryTree::new(files);
    let mut problems = Vec::new();
    let repository = Repository::load(&tree, &mut problems);
    problems.extend(repository.twice.values().cloned());
    let mut desired = None;
    if let (Some(environment), Some(directory)) =
        (repository.environments.get(environment), repository.services.first())
    {
        let service = Service::load(&repository, directory, &tree, &mut problems);
        if service.is_in(environment)
            && let Some(rendered) = render(&repository, environment, &service, &mut problems)
        {
            match bind(&rendered, environment, parameters) {
                Ok(bound) => desired = Some(bound),
                Err(found) => problems.extend(found),
            }
        }
    }
    Rendering { desired, problems }
}

#[test]
fn layers_variables_and_substitution_come_together() {
    let rendering = run(&[("services/web/service.yaml", WEB)], "prod-us");
    assert_eq!(rendering.said(), Vec::<String>::new());
    let desired = rendering.desired.unwrap();
    assert_eq!(
        desired.task_definition,
        json!({
            "family": "web",
            "networkMode": "awsvpc",
            "containerDefinitions": [{
                "name": "web",
                "image": "222222222222.dkr.ecr.us-east-1.amazonaws.com/web",
                "portMappings": [{"containerPort": 8080}],
                "environment": [
                    {"name": "URL", "value": "https://us.example.com"},
                    {"name": "LEVEL", "value": "warn"},
                    {"name": "VERSION", "value": "1.10"},
                ],
            }],
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "512",
            "memory": "1024",
        })
    );
    assert_eq!(desired.service, json!({"serviceName": "web", "desiredCount": 2, "propagateTags": "SERVICE"}));
    let members: Vec<&String> = desired.task_definition.as_object().unwrap().keys().collect();
    assert_eq!(members, ["family", "networkMode", "containerDefinitions", "requiresCompatibilities", "cpu", "memory"]);
}

// B1: a role by name is one of the environment's own account, and is sent, shown and compared by its ARN.
#[test]
fn roles_by_name_get_their_arn() {
    let role = |role: &str| {
        let text = WEB
            .replace("  memory: 1024\n", &format!("  memory: 1024\n  taskRoleArn: {role}\n  executionRoleArn: exec\n"));
        let text = text.replace(
            "service: { desiredCount: 2 }",
            "service: { role: \"/svc/ecs\", cluster: \"arn:aws:ecs:us-east-1:222222222222:cluster/prod\" }",
        );
        let rendering = run(&[("services/web/service.yaml", &text)], "prod-us");
        assert_eq!(rendering.said(), Vec::<String>::new());
        let desired = rendering.desired.unwrap();
        let member = |definition: &Value, name: &str| definition[name].as_str().unwrap().to_owned();
        assert_eq!(member(&desired.task_definition, "executionRoleArn"), "arn:aws:iam::222222222222:role/exec");
        assert_eq!(member(&desired.service, "role"), "arn:aws:iam::222222222222:role/svc/ecs");
        member(&desired.task_definition, "taskRoleArn")
    };
    assert_eq!(role("svc/app"), "arn:aws:iam::222222222222:role/svc/app");
    assert_eq!(role("arn:aws:iam::111111111111:role/app"), "arn:aws:iam::111111111111:role/app");
}

// J5: what is wrong with a task definition as a whole is where the service's own files have it.
#[test]
fn a_definition_as_a_whole_has_its_place() {
    let files = [("services/web/service.yaml", WEB)];
    let tree = MemoryTree::new([("lockstep.yaml", CONFIG), files[0]]);
    let mut problems = Vec::new();
    let repository = Repository::load(&tree, &mut problems);
    let service = Service::load(&repository, &repository.services[0], &tree, &mut problems);
    let rendered = render(&repository, &repository.environments["prod"], &service, &mut problems).unwrap();
    let place = |path: &str| {
        let span = rendered.span_of(&path.parse().unwrap());
        let problem = Diagnostic::error(lockstep_manifests::codes::WRONG_TYPE, &span, "x");
        problem.place().map(|(file, line, _)| format!("{file}:{line}")).unwrap()
    };
    assert_eq!(place("taskDefinition.memory"), "services/web/service.yaml:4");
    assert_eq!(place("taskDefinition"), "services/web/service.yaml:3");
    assert_eq!(place("taskDefinition.executionRoleArn"), "services/web/service.yaml:3", "of what is missing");
}

#[test]
fn pins_replace_the_tag_and_are_inherited_container_by_container() {
    let files = [
        ("services/web/service.yaml", WEB),
        ("services/web/prod.pins.yaml", "web: 1.10\n"),
        ("services/web/prod-us.pins.yaml", "# none of its own yet\n"),
    ];
    assert_eq!(run(&files, "prod-us").container()["image"], "222222222222.dkr.ecr.us-east-1.amazonaws.com/web:1.10");
    assert_eq!(run(&files, "staging").container()["image"], "111111111111.dkr.ecr.eu-central-1.amazonaws.com/web");
    let own = [files[0], files[1], ("services/web/prod-us.pins.yaml", "web: 2.0\n")];
    assert_eq!(run(&own, "prod-us").container()["image"], "222222222222.dkr.ecr.us-east-1.amazonaws.com/web:2.0");
    assert_eq!(
        run(&[files[0], ("services/web/prod.pins.yaml", "wep: 1\n")], "prod").said(),
        ["LS0105 services/web/prod.pins.yaml:1:1 the task definition has no container `wep`"]
    );
    assert_eq!(
        run(&[files[0], ("services/web/prod.pins.yaml", "web: sha256:1\n")], "prod").said(),
        ["LS0302 services/web/prod.pins.yaml:1:6 `sha256:1` is not a pin"]
    );
}

#[test]
fn overlays_merge_by_key_replace_other_lists_and_null_removes() {
    let overlay = "taskDefinition:\n  containerDefinitions:\n    web:\n      command: [serve]\n      environment: { LEVEL: null, EXTRA: x }\nservice: { desiredCount: 6 }\n";
    let files = [("services/web/service.yaml", WEB), ("services/web/prod.yaml", overlay)];
    let rendering = run(&files, "prod");
    assert_eq!(rendering.said(), Vec::<String>::new());
    assert_eq!(
        rendering.container()["environment"],
        json!([{"name": "URL", "value": "https://example.com"}, {"name": "VERSION", "value": "1.10"}, {"name": "EXTRA", "value": "x"}])
    );
    assert_eq!(rendering.container()["command"], json!(["serve"]));
    assert_eq!(rendering.desired.unwrap().service["desiredCount"], 6);
    let wrong = overlay.replace("LEVEL: null", "LEVL: null");
    assert_eq!(
        run(&[files[0], ("services/web/prod.yaml", &wrong)], "prod").said(),
        ["LS0105 services/web/prod.yaml:5:22 null removes `LEVL`, but no earlier layer declares it"]
    );
}

#[test]
fn patches_run_on_the_keyed_form() {
    let patched = format!(
        "{WEB}patches:\n  - {{ op: replace, path: /taskDefinition/containerDefinitions/web/environment/URL/value, value: patched }}\n  - {{ op: remove, path: /taskDefinition/containerDefinitions/web/portMappings/8080~1tcp }}\n  - {{ op: add, path: /service/enableExecuteCommand, value: true }}\n"
    );
    let rendering = run(&[("services/web/service.yaml", &patched)], "prod");
    assert_eq!(rendering.said(), Vec::<String>::new());
    assert_eq!(rendering.container()["environment"][0], json!({"name": "URL", "value": "patched"}));
    assert_eq!(
        rendering.container()["environment"][2],
        json!({"name": "VERSION", "value": "1.10"}),
        "other values keep their text"
    );
    assert_eq!(rendering.container()["portMappings"], json!([]));
    let missed = patched.replace("containerDefinitions/web/env", "containerDefinitions/wep/env");
    let rendering = run(&[("services/web/service.yaml", &missed)], "prod");
    assert_eq!(rendering.problems[0].code.id, "LS0301");
    assert_eq!(rendering.problems[0].hint.as_deref(), Some("did you mean `/taskDefinition/containerDefinitions/web`?"));
    let unknown = patched.replace("enableExecuteCommand", "enableExec");
    let said = run(&[("services/web/service.yaml", &unknown)], "prod").said();
    assert!(said[0].starts_with("LS0101"), "{said:?}");
}

#[test]
fn what_aws_prints_works_unchanged() {
    let answer = json!({
        "taskDefinition": {
            "taskDefinitionArn": "arn:aws:ecs:eu-central-1:1:task-definition/web:7", "revision": 7, "status": "ACTIVE",
            "requiresAttributes": [], "compatibilities": ["EC2"], "registeredAt": "2026-01-01T00:00:00Z", "registeredBy": "arn",
            "family": "web", "cpu": "256", "memory": "512", "volumes": [], "networkMode": "awsvpc", "pidMode": null,
            "containerDefinitions": [{"name": "web", "image": "nginx:1", "cpu": 0, "memory": "512", "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]}]
        },
        "tags": [{"key": "team", "value": "shop"}]
    });
    let service = json!({"services": [{"serviceArn": "arn", "serviceName": "web-live", "clusterArn": "arn", "status": "ACTIVE",
        "taskDefinition": "web:7", "desiredCount": 2, "runningCount": 2, "events": [], "deployments": []}], "failures": []});
    let files =
        [("services/web/taskdef.json", &*answer.to_string()), ("services/web/servicedef.json", &*service.to_string())];
    let rendering = run(&files, "prod");
    assert!(rendering.problems.iter().all(|problem| problem.severity == Severity::Note), "{:?}", rendering.said());
    assert_eq!(rendering.problems.len(), 3, "one for each file, and one for the revision: {:?}", rendering.said());
    let desired = rendering.desired.unwrap();
    assert_eq!((desired.service_name.as_str(), &desired.service["desiredCount"]), ("web-live", &json!(2)));
    assert_eq!(desired.task_definition["containerDefinitions"][0]["memory"], 512);
    assert_eq!(desired.task_definition_tags["team"], "shop");
}

#[test]
fn parameters_are_bound_late_and_typed() {
    let service = "taskDefinition:\n  containerDefinitions:\n    web: { image: x, memory: 64, secrets: { KEY: \"${{ secret:shop/key }}\" } }\nservice:\n  desiredCount: \"${{ ssm:/count }}\"\n  networkConfiguration: { awsvpcConfiguration: { subnets: \"${{ ssm:/subnets }}\", securityGroups: [sg-0, \"${{ ssm:/groups }}\"] } }\n";
    let ssm = |name: &str| Reference::Ssm { name: name.into(), version: None };
    let list = |items: &[&str]| Resolved::List(items.iter().map(|item| (*item).to_owned()).collect(), Some(1));
    let mut parameters = Parameters::from([
        (ssm("/count"), Resolved::Text("3".into(), Some(1))),
        (ssm("/subnets"), list(&["a", "b"])),
        (ssm("/groups"), list(&["sg-1", "sg-2"])),
        (
            Reference::Secret { name: "shop/key".into() },
            Resolved::Text("arn:aws:secretsmanager:x:1:secret:shop/key-AbCdEf".into(), None),
        ),
    ]);
    let files = [("services/web/service.yaml", service)];
    let desired = run_with(&files, "prod", &parameters).desired.unwrap();
    assert_eq!(desired.service["desiredCount"], 3);
    let network = &desired.service["networkConfiguration"]["awsvpcConfiguration"];
    assert_eq!(*network, json!({"subnets": ["a", "b"], "securityGroups": ["sg-0", "sg-1", "sg-2"]}));
    assert_eq!(
        desired.task_definition["containerDefinitions"][0]["secrets"][0]["valueFrom"],
        "arn:aws:secretsmanager:x:1:secret:shop/key-AbCdEf"
    );
    parameters.insert(ssm("/count"), Resolved::Text("three".into(), Some(2)));
    parameters.insert(ssm("/subnets"), Resolved::Refused("it is a SecureString".into()));
    let said = run_with(&files, "prod", &parameters).said();
    assert_eq!(
        said,
        [
            "LS0204 services/web/service.yaml:6:59 `ssm:/subnets` cannot be used: it is a SecureString",
            "LS0102 services/web/service.yaml:5:17 `desiredCount` must be a whole number, not `three`",
        ]
    );
}

#[test]
fn every_mistake_is_refused_at_its_place() {
    let with = |addition: &str| format!("{WEB}{addition}");
    let cases: Vec<(Vec<(&str, String)>, &str)> = vec![
        (
            vec![("services/web/service.yaml", with("updates: { web: { semver: \">1;\" } }\n"))],
            "LS0303 services/web/service.yaml:11:27 `semver`: `;` is not understood",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { newest: \"a(\" } }\n"))],
            "LS0303 services/web/service.yaml:11:27 `newest`: not a regular expression: unclosed group",
        ),
        (
            vec![
                ("services/web/service.yaml", WEB.to_owned()),
                ("services/web/prod.yaml", "updates: { wbe: { semver: \"1\" } }\n".to_owned()),
            ],
            "LS0105 services/web/prod.yaml:1:12 `updates` names `wbe`, and the task definition has no such container",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { minAge: 2h } }\n"))],
            "LS0103 services/web/service.yaml:11:12 the image policy of `web` names no strategy",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { semver: 1, digest: x } }\n"))],
            "LS0104 services/web/service.yaml:11:38 a policy has one strategy: `semver` or `digest`",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { semver: {} } }\n"))],
            "LS0103 services/web/service.yaml:11:27 `semver` as a map needs a `range`",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { semver: { range: 1.2.3.4 } } }\n"))],
            "LS0303 services/web/service.yaml:11:36 `semver.range`: `1.2.3.4` is not a version",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { semver: { range: '*', from: '(a)(b)' } } }\n"))],
            "LS0303 services/web/service.yaml:11:47 `semver.from`: a pattern has at most one capture group; write the others as (?:…)",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { semver: { range: '*', form: 'a' } } }\n"))],
            "LS0101 services/web/service.yaml:11:41 `semver` has no key `form`",
        ),
        (
            vec![(
                "services/web/service.yaml",
                with("updates: { web: { semver: { range: '*' }, version: '^(.*)$' } }\n"),
            )],
            "LS0104 services/web/service.yaml:11:52 a policy has one strategy: `semver` or `version`",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { version: '[' } }\n"))],
            "LS0303 services/web/service.yaml:11:28 `version`: not a regular expression: unclosed character class",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { version: { range: '*' } } }\n"))],
            "LS0102 services/web/service.yaml:11:28 `version` must be a text, not a map",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { semver: 1, hold: false } }\n"))],
            "LS0303 services/web/service.yaml:11:36 `hold` says why the pin is left alone",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { semver: 1, platform: linux/aarch64 } }\n"))],
            "LS0303 services/web/service.yaml:11:40 `platform`: `linux/aarch64` is not a platform: images call it linux/arm64",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { semver: 1, platform: foo/bar } }\n"))],
            "LS0303 services/web/service.yaml:11:40 `platform`: `foo/bar` is not a platform: ECS runs linux and windows",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { web: { follow: other } }\n"))],
            "LS0303 services/web/service.yaml:11:27 `follow`: `other` is not SERVICE/CONTAINER",
        ),
        (
            vec![("services/web/service.yaml", with("updates: { write: none }\n"))],
            "LS0116 services/web/service.yaml:11:12 `write` stands under `updates` of an environment in lockstep.yaml, not here",
        ),
        (
            vec![("services/web/service.yaml", with("freezes: []\n"))],
            "LS0107 services/web/service.yaml:11:1 `freezes` is not implemented yet",
        ),
        (
            vec![("services/web/service.yaml", with("components: [logs]\n"))],
            "LS0112 services/web/service.yaml:11:14 there is no component `logs` (components/logs.yaml)",
        ),
        (
            vec![("services/web/service.yaml", with("scope: everything\n"))],
            "LS0104 services/web/service.yaml:11:8 `everything` is not a scope",
        ),
        (
            vec![("services/web/service.yaml", with("ignore: [service.desiredCont]\n"))],
            "LS0105 services/web/service.yaml:11:10 `Service` has no member `desiredCont`",
        ),
        (
            vec![("services/web/service.yaml", with("environments: { prd: {} }\n"))],
            "LS0112 services/web/service.yaml:11:17 `prd` is not an environment of lockstep.yaml",
        ),
        (
            vec![("services/web/service.yaml", with("")), ("services/web/notes.yaml", "a: 1".into())],
            "LS0105 services/web/notes.yaml:1:1 `notes.yaml` belongs to no environment of lockstep.yaml, and nothing names it",
        ),
        (
            vec![("services/web/service.yaml", with("")), ("services/web/taskdef.json", "{}".into())],
            "LS0109 services/web/service.yaml:3:3 `taskDefinition` is set here and in `services/web/taskdef.json`",
        ),
        (
            vec![
                ("services/web/service.yaml", with("environments: { prod: { adopt: true } }\n")),
                ("services/web/prod.yaml", "adopt: true".into()),
            ],
            "LS0109 services/web/prod.yaml:1:1 the overlay of `prod` is set here and in service.yaml",
        ),
        (
            vec![("services/web/service.yaml", WEB.replace("desiredCount: 2", "forceNewDeployment: true"))],
            "LS0117 services/web/service.yaml:10:12 `forceNewDeployment` is an order to ECS, not a state",
        ),
        (
            vec![("services/web/service.yaml", WEB.replace("desiredCount: 2", "cluster: other"))],
            "LS0116 services/web/service.yaml:10:21 `cluster` is `other`, but environment `prod` is `prod`",
        ),
        (
            // B1: a cluster of the same name in another account is another cluster.
            vec![(
                "services/web/service.yaml",
                WEB.replace("desiredCount: 2", "cluster: arn:aws:ecs:eu-central-1:111111111111:cluster/prod"),
            )],
            "LS0116 services/web/service.yaml:10:21 `cluster` is `arn:aws:ecs:eu-central-1:111111111111:cluster/prod`, but environment `prod` is `prod`",
        ),
        (
            vec![("services/web/service.yaml", WEB.replace("memory: 1024", "pidMode: hots"))],
            "LS0104 services/web/service.yaml:4:12 `hots` is not a value of `pidMode`",
        ),
        (
            vec![("services/web/service.yaml", WEB.replace("8080: {}", "http: {}"))],
            "LS0102 services/web/service.yaml:8:23 `http` is not a port: write 8080, 8080/udp or 8000-8010/tcp",
        ),
        (
            vec![("services/web/service.yaml", WEB.replace("8080: {}", "8080: { containerPort: 80 }"))],
            "LS0114 services/web/service.yaml:8:46 `containerPort` is `80`, but the element's key says `8080`",
        ),
        (
            vec![("services/web/service.yaml", WEB.replace("memory: 1024", "ephemeralStorage: {}"))],
            "LS0103 services/web/service.yaml:4:21 `EphemeralStorage` needs `sizeInGiB`",
        ),
        (
            vec![("services/web/service.yaml", WEB.replace("memory: 1024", "trustedExecutionConfiguration: {}"))],
            "LS0115 services/web/service.yaml:4:3 this build's AWS SDK has no member `trustedExecutionConfiguration`, so it could not be sent",
        ),
        (
            vec![("services/web/service.yaml", "taskDefinition: ../../../x.json\nservice: {}\n".into())],
            "LS0108 services/web/service.yaml:1:17 `../../../x.json` leads out of the repository",
        ),
        (
            vec![("services/web/service.yaml", "taskDefinition: x.json\nservice: {}\n".into())],
            "LS0108 services/web/service.yaml:1:17 the repository has no file `services/web/x.json`",
        ),
    ];
    for (files, expected) in cases {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (*path, content.as_str())).collect();
        let said = run(&files, "prod").said();
        assert!(said.iter().any(|line| line == expected), "{expected}\n is not in {said:#?}");
    }
}

#[test]
fn a_service_must_be_declared_in_some_layer() {
    let without = WEB.replace("service: { desiredCount: 2 }\n", "");
    let said = run(&[("services/web/service.yaml", &without)], "staging").said();
    assert_eq!(said, ["LS0103 services/web/service.yaml:1:1 `web` declares no ECS service in `staging`"]);
}

#[test]
fn every_mistake_in_lockstep_yaml_is_refused_at_its_place() {
    let cases = [
        (
            CONFIG.replace("version: 2", "version: 3"),
            "LS0104 lockstep.yaml:2:10 version `3` is not known to this build",
        ),
        (
            CONFIG.replace("\"111111111111\"", "111"),
            "LS0102 lockstep.yaml:7:23 `111` is not an AWS account id (12 digits; keep the quotes for leading zeros)",
        ),
        (
            CONFIG.replace("inherits: prod", "inherits: prod-us"),
            "LS0113 lockstep.yaml:14:24 `inherits` leads back to `prod-us`",
        ),
        (
            CONFIG.replace("inherits: prod", "inherits: prd"),
            "LS0112 lockstep.yaml:14:24 `inherits` names `prd`, which is not an environment",
        ),
        (
            CONFIG.replace("staging:", "taskdef:"),
            "LS0106 lockstep.yaml:7:3 `taskdef` is a reserved name: services have files of that name",
        ),
        (
            CONFIG.replace("region: us-east-1", "after: prod-us, region: x"),
            "LS0113 lockstep.yaml:14:37 `after` leads back to itself: prod-us → prod-us",
        ),
        (
            CONFIG.replace("region: us-east-1", "sync: { heal: { after: soon } }"),
            "LS0102 lockstep.yaml:14:53 `after` must be a duration like 30s, 15m or 2h, not `soon`",
        ),
        (
            CONFIG.replace("region: us-east-1", "sync: { maxConcurrent: many }"),
            "LS0102 lockstep.yaml:14:53 `maxConcurrent` must be a whole number; 0 is no limit, not `many`",
        ),
        (
            CONFIG.replace("region: us-east-1", "updates: { write: merge-request }"),
            "LS0107 lockstep.yaml:14:48 `write: merge-request` is not implemented yet",
        ),
        (CONFIG.replace("cluster: staging, ", ""), "LS0103 lockstep.yaml:7:3 environment `staging` needs `cluster`"),
        (
            CONFIG.replace("level: info", "level: \"${{ region }}\""),
            "LS0201 lockstep.yaml:4:18 a variable cannot be substituted itself",
        ),
    ];
    for (config, expected) in cases {
        let said = run(&[("lockstep.yaml", &config), ("services/web/service.yaml", WEB)], "prod").said();
        assert!(said.iter().any(|line| line == expected), "{expected}\n is not in {said:#?}");
    }
    let said = run(&[("services/a/web/service.yaml", WEB), ("services/b/web/service.yaml", WEB)], "prod").said();
    assert!(
        said.contains(
            &"LS0111 services/b/web/service.yaml:1:1 a service `web` is declared in `services/a/web` already"
                .to_owned()
        ),
        "{said:?}"
    );
}

#[test]
fn with_scope_task_definition_nothing_of_the_service_is_sent() {
    let rendering = run(&[("services/web/service.yaml", &format!("scope: taskDefinition\n{WEB}"))], "prod");
    let desired = rendering.desired.unwrap();
    assert_eq!((desired.ownership, desired.service), (Ownership::TaskDefinition, Value::Null));
}

// I11: this word alone says that there is no service; a file of that name is written `./none`.
#[test]
fn service_none_declares_a_definition_alone() {
    let with = |head: &str, service: &str| format!("{head}{}", WEB.replace("service: { desiredCount: 2 }", service));
    let none = with("scope: taskDefinition\n", "service: none");
    let rendering = run(&[("services/web/service.yaml", &none)], "prod");
    assert_eq!(rendering.said(), [""; 0]);
    let desired = rendering.desired.unwrap();
    assert_eq!((desired.ownership, desired.service), (Ownership::Definition, Value::Null));
    let said = run(&[("services/web/service.yaml", &with("", "service: none"))], "prod").said();
    assert_eq!(said, ["LS0103 services/web/service.yaml:10:10 `service: none` goes with `scope: taskDefinition`"]);
    let file = with("scope: taskDefinition\n", "service: ./none");
    let said = run(&[("services/web/service.yaml", &file)], "prod").said();
    assert_eq!(said, ["LS0108 services/web/service.yaml:11:10 the repository has no file `services/web/none`"]);
    let said = run(&[("services/web/service.yaml", &none), ("services/web/servicedef.json", "{}")], "prod").said();
    assert_eq!(
        said,
        [
            "LS0109 services/web/service.yaml:11:10 `service: none` is here, and a service in `services/web/servicedef.json`"
        ]
    );
    // A later layer may say otherwise for its environment.
    let files = [
        ("services/web/service.yaml", none.as_str()),
        ("services/web/prod.yaml", "scope: service\nservice: { desiredCount: 1 }\n"),
    ];
    assert_eq!(run(&files, "prod").desired.unwrap().service["desiredCount"], 1);
    assert_eq!(run(&files, "staging").desired.unwrap().ownership, Ownership::Definition);
}

#[test]
fn the_sample_repository_has_no_problem() {
    fn read(directory: &std::path::Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                read(&entry.path(), &format!("{name}/"), files);
            } else {
                files.push((name, std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-repo"), "", &mut files);
    let tree = MemoryTree::new(files);
    let mut problems = Vec::new();
    let repository = Repository::load(&tree, &mut problems);
    let mut rendered = 0;
    for directory in &repository.services {
        let service = Service::load(&repository, directory, &tree, &mut problems);
        for environment in repository.environments.values().filter(|environment| service.is_in(environment)) {
            rendered += usize::from(render(&repository, environment, &service, &mut problems).is_some());
        }
    }
    assert_eq!((rendered, problems), (14, vec![]));
}

proptest! {
    /// The keyed form and the list form of the same thing render equal.
    #[test]
    fn keyed_and_list_form_are_equal(environment in prop::collection::btree_map("[A-Z]{1,6}", "[a-z0-9]{0,6}", 0..6), ports in prop::collection::btree_set(1u16..9999, 0..4)) {
        let keyed: serde_json::Map<String, Value> = environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let list: Vec<Value> = environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let keyed_ports: serde_json::Map<String, Value> = ports.iter().map(|port| (port.to_string(), json!({}))).collect();
        let list_ports: Vec<Value> = ports.iter().map(|port| json!({"containerPort": port})).collect();
        let service = |environment: &Value, ports: &Value| json!({
            "taskDefinition": {"containerDefinitions": {"web": {"image": "x", "memory": 64, "environment": environment, "portMappings": ports}}}, "service": {}}).to_string();
        let one = run(&[("services/web/service.yaml", &service(&Value::Object(keyed), &Value::Object(keyed_ports)))], "prod");
        let two = run(&[("services/web/service.yaml", &service(&Value::Array(list), &Value::Array(list_ports)))], "prod");
        let sorted = |rendering: Rendering| {
            let mut value = rendering.desired.unwrap().task_definition;
            for name in ["environment", "portMappings"] {
                if let Some(items) = value["containerDefinitions"][0][name].as_array_mut() {
                    items.sort_by_key(Value::to_string);
                }
            }
            value
        };
        prop_assert_eq!(sorted(one), sorted(two));
    }

    /// No text makes the parser panic.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}|[\\[\\]{}:,&*!|>'\"%@`#~?\\- \n\ta-c0-9]{0,60}") {
        let _ = run(&[("lockstep.yaml", &text)], "prod");
        let _ = run(&[("services/web/service.yaml", &text)], "prod");
        let _ = run(&[("services/web/taskdef.json", &text)], "prod");
    }
}
