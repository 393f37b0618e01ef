//! One definition by itself: a task definition or a service in any form that people have, apart from any repository.

use crate::{
    canonical::{Origin, Root, canonical, unwrapped},
    check::{Unresolved, check},
    codes,
    diagnostic::{Diagnostic, has_errors},
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
    let before = problems.len();
    let node = match parse::parse(file) {
        Ok(node) => node,
        Err(found) => {
            problems.extend(found);
            return None;
        }
    };
    let Some(root) = kind_of(&node) else {
        let message = "this is neither a task definition nor a service".to_owned();
        problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message).hint(
            "a task definition has containerDefinitions, a service has serviceName; both may be as `aws ecs describe-…` prints them",
        ));
        return None;
    };
    let node = if side == Side::Live && root == Root::Service { with_answered(unwrapped(node, root)) } else { node };
    let canonical = canonical(node, root, Origin::Aws, problems);
    if has_errors(&problems[before..]) {
        return None;
    }
    let value = check(&canonical, root.shape(), Unresolved::Tolerated, problems);
    (!has_errors(&problems[before..])).then_some(Definition { root, value: Json::Object(value), node: canonical })
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
}
