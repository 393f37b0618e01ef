//! Where each value of a rendered service came from: its layer, file and line, and what it overrode.

use crate::{
    canonical::Root,
    ecs::{Kind, Structure},
    lists::{ListKind, list_kind},
    node::{Node, Value},
    path::Path,
    render::{Rendered, canonical_of},
    repository::{Environment, Repository},
    service::Service,
    source::Span,
    stack::{LayerName, Stacked, layers_of, pins_of},
    substitute::{Parameters, variables_of},
};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A value of the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// Where it is, in the grammar of [`crate::path`].
    pub path: Path,
    /// What it is, substituted.
    pub value: Json,
    /// Where it was written.
    pub from: Origin,
    /// Variables that stand in it, with where each is set.
    pub variables: Vec<(String, Span)>,
    /// What it overrode, the latest first.
    pub overrode: Vec<Origin>,
}

/// A place in a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The layer.
    pub layer: LayerName,
    /// The place.
    pub span: Span,
    /// What is written there; null where it was removed.
    pub written: Json,
}

/// What each layer wrote at each path, in the order of the layers.
type Written = BTreeMap<Path, Vec<Origin>>;

/// Traces a rendered service, in the order of what is sent. Without `parameters` references stay as they are written.
pub fn trace(
    repository: &Repository,
    environment: &Environment,
    service: &Service,
    rendered: &Rendered,
    parameters: Option<&Parameters>,
) -> Vec<Traced> {
    let mut written = Written::new();
    let mut variables: BTreeMap<String, Span> = BTreeMap::new();
    for stacked in layers_of(repository, environment, service, &mut Vec::new()) {
        let map = match &stacked {
            Stacked::Variables(map) => *map,
            Stacked::Layer(_, layer) => &layer.vars,
        };
        variables.extend(map.iter().map(|(name, entry)| (name.clone(), entry.node.span.clone())));
        if let Stacked::Layer(name, layer) = stacked {
            for (root, node) in [(Root::TaskDefinition, &layer.task_definition), (Root::Service, &layer.service)] {
                if let Some(node) = node {
                    let mut leaves = Vec::new();
                    of_structure(node, root.shape(), &Path::root(root.name()), &mut leaves);
                    record(&mut written, &name, leaves);
                }
            }
        }
    }
    for (link, pin) in pins_of(environment, service) {
        let path = Path::root("taskDefinition").member("containerDefinitions").element(&pin.container).member("image");
        let node = Node::string(pin.text.clone(), &pin.span);
        record(&mut written, &LayerName::Pins(link.to_owned()), vec![(path, node)]);
    }
    let result = canonical_of(rendered, parameters);
    let mut traced = Vec::new();
    for root in [Root::TaskDefinition, Root::Service] {
        let mut leaves = Vec::new();
        if let Some(node) = result.get(root.name()) {
            of_structure(node, root.shape(), &Path::root(root.name()), &mut leaves);
        }
        let (member, in_root) = match root {
            Root::TaskDefinition => ("family", true),
            Root::Service => ("serviceName", result.get(root.name()).is_some()),
        };
        let path = Path::root(root.name()).member(member);
        if in_root && !leaves.iter().any(|(other, _)| *other == path) {
            let name = Json::String(rendered.name.clone());
            let from = Origin { layer: LayerName::Directory, span: service.span.clone(), written: name.clone() };
            traced.push(Traced { path, value: name, from, variables: Vec::new(), overrode: Vec::new() });
        }
        traced.extend(leaves.into_iter().map(|(path, node)| one(path, &node, &written, &variables)));
    }
    traced
}

fn one(path: Path, node: &Node, written: &Written, variables: &BTreeMap<String, Span>) -> Traced {
    let mut origins = written.get(&path).cloned().unwrap_or_default();
    // A substitution keeps the place of the text that it stood in; a patch has a place that no layer wrote.
    let from = match origins.iter().rposition(|origin| origin.span == node.span) {
        Some(at) => {
            origins.truncate(at + 1);
            origins.pop()
        }
        None => None,
    };
    let is_list = matches!(node.value, Value::List(_));
    let from = from.or_else(|| if is_list { origins.pop() } else { None }).unwrap_or_else(|| Origin {
        layer: LayerName::Patch,
        span: node.span.clone(),
        written: node.to_json(),
    });
    let mut used = Vec::new();
    names_in(&from.written, &mut used);
    let variables = used.into_iter().filter_map(|name| Some((name.clone(), variables.get(&name)?.clone()))).collect();
    origins.reverse();
    Traced { path, value: node.to_json(), from, variables, overrode: origins }
}

fn names_in(written: &Json, found: &mut Vec<String>) {
    match written {
        Json::String(text) => found.extend(variables_of(text)),
        Json::Array(items) => items.iter().for_each(|item| names_in(item, found)),
        _ => {}
    }
}

/// Notes what a layer wrote. What is written as a whole takes the place of what stood below it.
fn record(written: &mut Written, layer: &LayerName, leaves: Vec<(Path, Node)>) {
    for (path, node) in leaves {
        let origin = Origin { layer: layer.clone(), span: node.span.clone(), written: node.to_json() };
        if node.is_null() {
            let below: Vec<Path> = written.keys().filter(|other| path.covers(other)).cloned().collect();
            for path in below {
                written.entry(path).or_default().push(origin.clone());
            }
        } else {
            written.entry(path).or_default().push(origin);
        }
    }
}

/// The leaves of a canonical tree: scalars, lists without a key, and what stands for a whole block.
fn of_structure(node: &Node, shape: &'static Structure, path: &Path, found: &mut Vec<(Path, Node)>) {
    let Some(map) = node.as_map() else {
        found.push((path.clone(), node.clone()));
        return;
    };
    for member in shape.members {
        if let Some(entry) = map.get(member.name) {
            of_value(&entry.node, &member.kind, list_kind(shape.name, member.name), &path.member(member.name), found);
        }
    }
}

fn of_value(node: &Node, kind: &'static Kind, list: ListKind, path: &Path, found: &mut Vec<(Path, Node)>) {
    match (kind, &node.value) {
        (Kind::Structure(shape), Value::Map(_)) => of_structure(node, shape, path, found),
        (Kind::Map(_), Value::Map(map)) => {
            found.extend(map.iter().map(|(key, entry)| (path.element(key), entry.node.clone())));
        }
        (Kind::List(Kind::Structure(shape)), Value::Map(map)) => {
            for (key, entry) in map {
                let path = path.element(key);
                match &entry.node.value {
                    // An element that is nothing but its key is a leaf of its own.
                    Value::Map(inner) if inner.is_empty() => found.push((path, entry.node.clone())),
                    _ => of_structure(&entry.node, shape, &path, found),
                }
            }
        }
        (Kind::List(Kind::Structure(shape)), Value::List(items)) => {
            for (at, item) in items.iter().enumerate() {
                let text = match list {
                    ListKind::Keyed(key) => key.text_of(&item.to_json()),
                    _ => String::new(),
                };
                let path = if text.is_empty() { path.element(at) } else { path.element(text) };
                of_structure(item, shape, &path, found);
            }
        }
        _ => found.push((path.clone(), node.clone())),
    }
}
