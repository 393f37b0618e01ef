//! The JSON Schemas: those in the repository are those that the program writes, the sample repository satisfies them,
//! and they refuse what `validate` refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep_tests::{lockstep, outcome};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn committed(name: &str) -> Value {
    let path = root().join("manifests-schema/schema").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn yaml(text: &str) -> Value {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    value.apply_merge().unwrap();
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn breaches(schema: &Value, instance: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_committed_schemas_are_the_programs() {
    let directory = TempDir::new().unwrap();
    let (exit, stdout, stderr) = outcome(&mut lockstep(["schema", "--write", directory.path().to_str().unwrap()]));
    assert_eq!(exit, 0, "{stdout}{stderr}");
    let names = |directory: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let committed = root().join("manifests-schema/schema");
    assert_eq!(names(directory.path()), names(&committed));
    for name in names(&committed) {
        let (ours, theirs) = (std::fs::read(committed.join(&name)), std::fs::read(directory.path().join(&name)));
        assert!(
            ours.unwrap() == theirs.unwrap(),
            "{} has drifted: lockstep schema --write manifests-schema/schema",
            name.display()
        );
    }
}

#[test]
fn every_file_of_the_sample_repository_satisfies_the_schema_that_it_names() {
    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    files(&root().join("sample-repo"), &mut found);
    let mut checked = 0;
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (schema, instance) = match path.extension().unwrap().to_str().unwrap() {
            "yaml" => {
                let line = text.lines().next().unwrap();
                let named = line.strip_prefix("# yaml-language-server: $schema=");
                let named = named.unwrap_or_else(|| panic!("{name} has no editor line: {line}"));
                let schema = path.parent().unwrap().join(named);
                assert!(schema.is_file(), "{name} names {named}");
                (schema, yaml(&text))
            }
            "json" => {
                let schema = format!("manifests-schema/schema/{}", name.replace(".json", ".schema.json"));
                (root().join(schema), serde_json::from_str(&text).unwrap())
            }
            _ => continue,
        };
        let schema = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
        assert_eq!(breaches(&schema, &instance), Vec::<String>::new(), "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} files");
}

#[test]
fn the_schemas_take_what_people_write_and_refuse_what_validate_refuses() {
    let service = committed("service.schema.json");
    let good = yaml(
        r#"
taskDefinition:
  cpu: 512
  containerDefinitions:
    web:
      image: x
      portMappings: { 8080/tcp: { name: http } }
      environment: { A: 1.10, B: true, C: null, D: { value: x } }
      dependsOn: { router: START }
service:
  desiredCount: "${{ vars.count }}"
  networkConfiguration: { awsvpcConfiguration: { subnets: "${{ ssm:/subnets }}" } }
environments: { prod: { taskDefinition: { memory: null } }, dev: null }
patches: [{ op: remove, path: /service/tags }]
"#,
    );
    assert_eq!(breaches(&service, &good), Vec::<String>::new());
    for bad in [
        "taskDefinition: { memroy: 1 }",
        "taskDefinition: { networkMode: vpc }",
        "taskDefinition: { containerDefinitions: { web: { portMappings: { http: {} } } } }",
        "service: { desiredCount: many }",
        "scope: everything",
        "desiredCount: 2",
        "patches: [{ op: change, path: /x }]",
    ] {
        assert!(!breaches(&service, &yaml(bad)).is_empty(), "{bad}");
    }
    let aws = committed("taskdef.schema.json");
    let answer = json!({"taskDefinition": {"family": "a"}, "tags": []});
    assert_eq!(breaches(&aws, &answer), Vec::<String>::new());
    assert_eq!(
        breaches(&aws, &json!({"family": "a", "revision": 3, "containerDefinitions": []})),
        Vec::<String>::new()
    );
    assert!(!breaches(&aws, &json!({"familly": "a"})).is_empty());
    let pins = committed("pins.schema.json");
    assert_eq!(breaches(&pins, &yaml("web: 1.10\nb: \"1.2@sha256:\"")).len(), 1, "a digest of no letters");
    assert_eq!(
        breaches(&pins, &yaml(&format!("web: 1.10\nb: a.example/x:1\nc: '@sha256:{}'", "a".repeat(64)))),
        Vec::<String>::new()
    );
    let agent = committed("agent.schema.json");
    let file = yaml(
        "sources: [{ id: a, repository: /x, allow: { clusters: [prod] } }]\naccounts: { \"111111111111\": { role: r } }",
    );
    assert_eq!(breaches(&agent, &file), Vec::<String>::new());
    assert!(!breaches(&agent, &yaml("source: []")).is_empty());
}
