//! One definition by itself: a task definition or a service in any form that people have, apart from any repository.

use crate::{
    canonical::{Origin, Root, canonical, unwrapped},
    check::{Unresolved, check},
    codes,
    diagnostic::{Diagnostic, cut, has_errors},
    node::{Entry, Node},
    parse,
    source::SourceFile,
};
use serde_json::Value as Json;
use std::sync::Arc;

/// Which side of a comparison a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What should be.
    Declared,
    /// What AWS answered: read-only members that stand for declared ones are read as these.
    Live,
}

/// A definition that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// What it defines.
    pub root: Root,
    /// RegisterTaskDefinition's or CreateService's input. Substitutions stay as they are written.
    pub value: Json,
    /// The same in canonical form, with places.
    pub node: Node,
}

/// Reads a file that holds one definition. Problems, notes included, go to `problems`; none is answered with errors.
pub fn read(file: &Arc<SourceFile>, side: Side, problems: &mut Vec<Diagnostic>) -> Option<Definition> {
    let mut found = Vec::new();
    let definition = read_whole(file, side, &mut found);
    cut(&mut found);
    problems.append(&mut found);
    definition
}

fn read_whole(file: &Arc<SourceFile>, side: Side, problems: &mut Vec<Diagnostic>) -> Option<Definition> {
    let before = problems.len();
    let node = match parse::parse(file) {
        Ok(node) => node,
        Err(found) => {
            problems.extend(found);
            return None;
        }
    };
    let Some(root) = kind_of(&node).or_else(|| kind_in_capitals(&node)) else {
        let message = "this is neither a task definition nor a service".to_owned();
        problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message).hint(
            "a task definition has containerDefinitions, a service has members like desiredCount or launchType; both may be as `aws ecs describe-…` prints them",
        ));
        return None;
    };
    let node = if side == Side::Live && root == Root::Service { with_answered(unwrapped(node, root)) } else { node };
    if side == Side::Live {
        return Some(live(node, root, problems));
    }
    let canonical = canonical(node, root, Origin::Aws, problems);
    if has_errors(&problems[before..]) {
        return None;
    }
    // In a repository the directory gives the name, so that many files have none.
    let name = name_member(root);
    let is_named = canonical.get(name).is_some_and(|node| !node.is_null());
    let mut checked = canonical.clone();
    if let (false, Some(map)) = (is_named, checked.as_map_mut()) {
        let span = canonical.span.clone();
        map.insert(name.to_owned(), Entry { key: span.clone(), node: Node::string("unnamed", &span) });
    }
    let mut value = check(&checked, root.shape(), Unresolved::Tolerated, problems);
    if !is_named {
        value.shift_remove(name);
    }
    (!has_errors(&problems[before..])).then_some(Definition { root, value: Json::Object(value), node: canonical })
}

/// What AWS answered is not judged: what of it is not understood is left out, with a note.
fn live(node: Node, root: Root, problems: &mut Vec<Diagnostic>) -> Definition {
    let mut found = Vec::new();
    let node = canonical(node, root, Origin::Live, &mut found);
    let mut value = check(&node, root.shape(), Unresolved::Tolerated, &mut found);
    value.retain(|_, value| !value.is_null());
    problems.extend(found.into_iter().map(Diagnostic::as_note));
    Definition { root, value: Json::Object(value), node }
}

/// The member that names a definition.
pub fn name_member(root: Root) -> &'static str {
    match root {
        Root::TaskDefinition => "family",
        Root::Service => "serviceName",
    }
}

/// What a document defines, by its wrapper or by its members.
fn kind_of(node: &Node) -> Option<Root> {
    if node.get("taskDefinition").is_some_and(|inner| inner.as_map().is_some()) {
        return Some(Root::TaskDefinition);
    }
    if node.get("services").is_some() || node.get("service").is_some_and(|inner| inner.as_map().is_some()) {
        return Some(Root::Service);
    }
    let map = node.as_map()?;
    if map.contains_key("containerDefinitions") {
        return Some(Root::TaskDefinition);
    }
    let count = |root: Root| map.keys().filter(|name| root.shape().member(name).is_some()).count();
    match (count(Root::TaskDefinition), count(Root::Service)) {
        (0, 0) => None,
        (task_definition, service) if service > task_definition => Some(Root::Service),
        _ => Some(Root::TaskDefinition),
    }
}

/// What a document in CloudFormation's spelling would define: its members are told of then.
fn kind_in_capitals(node: &Node) -> Option<Root> {
    let map = node.as_map()?;
    if map.contains_key("ContainerDefinitions") {
        return Some(Root::TaskDefinition);
    }
    map.contains_key("ServiceName").then_some(Root::Service)
}

/// `clusterArn` and `roleArn` of an answer are what CreateService calls `cluster` and `role`.
fn with_answered(mut node: Node) -> Node {
    if let Some(map) = node.as_map_mut() {
        for (answered, declared) in [("clusterArn", "cluster"), ("roleArn", "role")] {
            if let Some(Entry { key, node }) = map.shift_remove(answered) {
                map.entry(declared.to_owned()).or_insert(Entry { key, node });
            }
        }
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(text: &str, side: Side) -> (Option<Definition>, Vec<String>) {
        let mut problems = Vec::new();
        let path = if text.starts_with('{') { "a.json" } else { "a.yaml" };
        let found = read(&SourceFile::new(path, text), side, &mut problems);
        (found, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn the_kind_is_told_by_the_wrapper_or_by_the_members() {
        for (text, root) in [
            ("family: a\ncontainerDefinitions: []\n", Root::TaskDefinition),
            ("{\"taskDefinition\": {\"family\": \"a\", \"containerDefinitions\": []}}", Root::TaskDefinition),
            ("serviceName: a\ntaskDefinition: a:3\n", Root::Service),
            ("{\"services\": [{\"serviceName\": \"a\", \"status\": \"ACTIVE\"}], \"failures\": []}", Root::Service),
            ("{\"service\": \"a\", \"desiredCount\": 2}", Root::Service),
        ] {
            assert_eq!(run(text, Side::Declared).0.map(|found| found.root), Some(root), "{text}");
        }
        assert_eq!(run("a: 1\n", Side::Declared).1, ["this is neither a task definition nor a service"]);
        assert_eq!(run("[1]\n", Side::Declared).1, ["this is neither a task definition nor a service"]);
    }

    // I3: in a repository the directory gives the name.
    #[test]
    fn a_definition_needs_no_name() {
        let definition = "containerDefinitions: [{ name: web, image: x, memory: 64 }]\n";
        let (found, said) = run(definition, Side::Declared);
        assert_eq!(said, [""; 0]);
        let expected = json!({"containerDefinitions": [{"name": "web", "image": "x", "memory": 64}]});
        assert_eq!(found.map(|found| (found.root, found.value)), Some((Root::TaskDefinition, expected)));
        let (found, said) = run("serviceName: null\ndesiredCount: 2\nlaunchType: FARGATE\n", Side::Declared);
        assert_eq!(said, [""; 0]);
        let expected = json!({"desiredCount": 2, "launchType": "FARGATE"});
        assert_eq!(found.map(|found| (found.root, found.value)), Some((Root::Service, expected)));
    }

    #[test]
    fn what_only_the_primary_deployment_shows_is_kept() {
        let text = json!({"services": [{"serviceName": "a", "clusterArn": "arn:x/prod", "roleArn": "arn:role/r", "deployments": [
            {"status": "ACTIVE", "serviceConnectConfiguration": {"enabled": false}},
            {"status": "PRIMARY", "serviceConnectConfiguration": {"enabled": true}, "volumeConfigurations": []}]}]})
        .to_string();
        let declared =
            json!({"serviceName": "a", "serviceConnectConfiguration": {"enabled": true}, "volumeConfigurations": []});
        assert_eq!(run(&text, Side::Declared).0.unwrap().value, declared);
        let live = run(&text, Side::Live).0.unwrap().value;
        assert_eq!((&live["cluster"], &live["role"]), (&json!("arn:x/prod"), &json!("arn:role/r")));
    }

    // E7, I10: what AWS answered is taken, and what of it cannot be declared is dropped with a note.
    #[test]
    fn what_aws_answers_and_nobody_can_declare_is_a_note() {
        let network = json!({"awsvpcConfiguration": {"subnets": ["s"], "futureInner": 1}});
        let answer = json!({"services": [{"serviceName": "a", "schedulingStrategy": "DAEMON", "desiredCount": 3,
            "futureMember": {"x": 1}, "networkConfiguration": network}]})
        .to_string();
        let (found, said) = run(&answer, Side::Declared);
        let network = json!({"awsvpcConfiguration": {"subnets": ["s"]}});
        let value = json!({"serviceName": "a", "schedulingStrategy": "DAEMON", "networkConfiguration": network});
        assert_eq!(found.unwrap().value, value);
        let mut said = said;
        said.sort();
        assert_eq!(
            said,
            [
                "AWS answers `futureInner` of `AwsVpcConfiguration`, which this build does not know; it was dropped",
                "AWS answers `futureMember` of service, which this build does not know; it was dropped",
                "`desiredCount` of a DAEMON service is part of what AWS answers, not of what is declared; it was dropped",
            ]
        );
        // What people write themselves is theirs.
        let declared = run("serviceName: a\nschedulingStrategy: DAEMON\ndesiredCount: 3\n", Side::Declared);
        assert_eq!(declared.0.unwrap().value["desiredCount"], 3);
        assert_eq!(
            run("serviceName: a\nfutureMember: 1\n", Side::Declared).1,
            ["service has no member `futureMember`"]
        );
        // A slip in what was pasted stays one; AWS makes none.
        let slip = json!({"taskDefinition": {"family": "a", "containerDefinitions": [], "memroy": "512"}}).to_string();
        assert_eq!(run(&slip, Side::Declared).1, ["taskDefinition has no member `memroy`"]);
        assert!(run(&slip, Side::Live).0.is_some());
    }

    // E7: two of one name, and values that the model does not list, are compared as they are.
    #[test]
    fn what_is_live_is_compared_as_it_is() {
        let container = json!({"name": "w", "image": "i",
            "environment": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A#2", "value": "3"}],
            "portMappings": [{"containerPort": 80}, {"containerPort": 80}]});
        let definition = json!({"family": "a", "containerDefinitions": [container], "networkMode": "future"});
        let (found, said) = run(&json!({"taskDefinition": definition}).to_string(), Side::Live);
        assert_eq!(found.unwrap().value, definition);
        assert_eq!(said, ["`future` is not a value of `networkMode`"]);
        let twice = run(&json!({"taskDefinition": definition}).to_string(), Side::Declared);
        assert!(
            twice.0.is_none() && twice.1.iter().any(|one| one == "`environment` has two elements `A`"),
            "{:?}",
            twice.1
        );
    }

    // J6: ECS takes several of one type.
    #[test]
    fn tag_specifications_of_one_type_may_be_several() {
        let specifications = json!([{"resourceType": "volume", "tags": [{"key": "a", "value": "b"}]},
            {"resourceType": "volume", "propagateTags": "SERVICE"}]);
        let volume = json!({"roleArn": "r", "tagSpecifications": specifications});
        let text = json!({"serviceName": "a", "volumeConfigurations": [{"name": "data", "managedEBSVolume": volume}]});
        let (found, said) = run(&text.to_string(), Side::Declared);
        assert_eq!((found.map(|found| found.value), said), (Some(text), Vec::new()));
    }

    // I4: one element, where AWS has a list of them.
    #[test]
    fn a_map_that_is_one_element_is_no_map_by_key() {
        let said = |container: &str| {
            run(
                &format!("family: a\ncontainerDefinitions:\n  - {{ name: a, image: i, {container} }}\n"),
                Side::Declared,
            )
            .1
        };
        for (written, member, keys) in [
            ("environment: { name: LOG_LEVEL, value: debug }", "environment", "name, value"),
            ("secrets: { name: A, valueFrom: arn }", "secrets", "name, valueFrom"),
            ("dependsOn: { containerName: b, condition: START }", "dependsOn", "containerName, condition"),
            ("portMappings: { containerPort: 80 }", "portMappings", "containerPort"),
            ("portMappings: { containerPort: 80, protocol: tcp }", "portMappings", "containerPort, protocol"),
            ("ulimits: { name: nofile, softLimit: 1, hardLimit: 1 }", "ulimits", "name, softLimit, hardLimit"),
            (
                "logConfiguration: { logDriver: awslogs, secretOptions: { name: a, valueFrom: b } }",
                "secretOptions",
                "name, valueFrom",
            ),
        ] {
            assert_eq!(said(written), [format!("`{member}` is a list of maps with {keys}; this is one of them")]);
        }
        let tags = run("serviceName: a\ntags: { key: a, value: b }\n", Side::Declared).1;
        assert_eq!(tags, ["`tags` is a list of maps with key, value; this is one of them"]);
        for fine in ["environment: { LOG_LEVEL: a, name: b }", "portMappings: { 80: {} }", "environment: {}"] {
            assert_eq!(said(fine), Vec::<String>::new(), "{fine}");
        }
        let user = run("family: a\ncontainerDefinitions: { user: { image: i } }\n", Side::Declared);
        assert_eq!(user.1, Vec::<String>::new(), "a container may be called as a member of containers");
    }
}
