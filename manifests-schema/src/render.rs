//! From a service's layers to what would be sent to ECS in one environment. [`render`] needs only files; [`bind`]
//! adds the values of parameters.

use crate::{
    canonical::Root,
    check::{Unresolved, check},
    codes,
    diagnostic::{Diagnostic, has_errors},
    layer::{Layer, Ownership},
    merge::merge,
    node::{Entry, Map, Node},
    patch,
    path::Path,
    pins,
    repository::{Environment, Repository, is_name},
    service::Service,
    source::Span,
    substitute::{Parameters, Reference, Scope, references, substitute},
};
use serde_json::{Map as JsonMap, Value as Json};

/// A service in one environment, all layers merged, substitutions still open.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The service's name: its directory's.
    pub name: String,
    /// The environment's name.
    pub environment: String,
    /// What is ours.
    pub ownership: Ownership,
    /// Services that go first.
    pub after: Vec<(String, Span)>,
    /// Paths that are neither compared nor sent in an update.
    pub ignore: Vec<Path>,
    /// Whether the agent may take over an existing service.
    pub adopt: bool,
    /// Whether the service may be deleted and created again for what cannot be changed otherwise.
    pub replace: bool,
    /// `{taskDefinition, service}` in canonical form.
    definition: Node,
    scope: Scope,
    /// Parameters and secrets that the definition names, with the first place of each.
    pub references: Vec<(Reference, Span)>,
    span: Span,
}

/// A service in one environment, as it would be sent.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Desired {
    /// The service's name: its directory's.
    pub name: String,
    /// The environment's name.
    pub environment: String,
    /// The ECS service's name.
    pub service_name: String,
    /// What is ours.
    pub ownership: Ownership,
    /// Services that go first, by name.
    pub after: Vec<String>,
    /// Paths that are neither compared nor sent in an update, as texts.
    pub ignore: Vec<String>,
    /// Whether the agent may take over an existing service.
    pub adopt: bool,
    /// Whether the service may be deleted and created again for what cannot be changed otherwise.
    pub replace: bool,
    /// RegisterTaskDefinition's input, without tags.
    pub task_definition: Json,
    /// Tags declared for the task definition.
    pub task_definition_tags: JsonMap<String, Json>,
    /// CreateService's input without tags, cluster and taskDefinition; null where the service is not ours.
    pub service: Json,
    /// Tags declared for the service.
    pub service_tags: JsonMap<String, Json>,
}

/// Merges the layers of a service for one environment. Every problem that does not depend on parameters is found here.
pub fn render(
    repository: &Repository,
    environment: &Environment,
    service: &Service,
    problems: &mut Vec<Diagnostic>,
) -> Option<Rendered> {
    let before = problems.len();
    let layers = layers_of(repository, environment, service, problems);
    let span = service.span.clone();
    let mut vars = Map::new();
    let mut task_definition = Node::empty_map(&span);
    let mut service_definition = Node::empty_map(&span);
    let mut rendered = Rendered {
        name: service.directory.name.clone(),
        environment: environment.name.clone(),
        ownership: Ownership::Service,
        after: Vec::new(),
        ignore: Vec::new(),
        adopt: false,
        replace: false,
        definition: Node::empty_map(&span),
        scope: Scope::default(),
        references: Vec::new(),
        span: span.clone(),
    };
    let mut declares_service = false;
    for layer in &layers {
        match layer {
            Stacked::Variables(map) => vars.extend((*map).clone()),
            Stacked::Layer(layer) => {
                vars.extend(layer.vars.clone());
                if let Some(node) = &layer.task_definition {
                    merge(&mut task_definition, node.clone(), problems);
                }
                if let Some(node) = &layer.service {
                    declares_service = true;
                    merge(&mut service_definition, node.clone(), problems);
                }
                if let Some(after) = &layer.after {
                    rendered.after = after.clone();
                }
                rendered.ignore.extend(layer.ignore.iter().map(|(path, _)| path.clone()));
                if let Some((scope, _)) = &layer.scope {
                    rendered.ownership = *scope;
                }
                rendered.adopt = layer.adopt.unwrap_or(rendered.adopt);
                rendered.replace = layer.replace.unwrap_or(rendered.replace);
            }
        }
    }
    if rendered.ownership == Ownership::Service && !declares_service {
        let message = format!("`{}` declares no ECS service in `{}`", rendered.name, environment.name);
        problems.push(
            Diagnostic::error(codes::MISSING, &span, message)
                .hint("add `service:` (an empty map is enough) or servicedef.json, or say `scope: taskDefinition`"),
        );
    }
    apply_pins(&mut task_definition, environment, service, problems);
    let mut definition = Node::empty_map(&span);
    if let Some(map) = definition.as_map_mut() {
        map.insert("taskDefinition".into(), Entry { key: span.clone(), node: task_definition });
        map.insert("service".into(), Entry { key: span.clone(), node: service_definition });
    }
    for layer in &layers {
        if let Stacked::Layer(layer) = layer
            && let Some(patches) = &layer.patches
        {
            patch::apply(&mut definition, patches, problems);
        }
    }
    rendered.scope = Scope {
        fixed: vec![
            ("name", rendered.name.clone()),
            ("environment", environment.name.clone()),
            ("account", environment.account.clone()),
            ("region", environment.region.clone()),
            ("cluster", environment.cluster.clone()),
        ],
        vars,
    };
    let mut found = Vec::new();
    references(&definition, &mut found);
    for (reference, span) in found {
        if !rendered.references.iter().any(|(known, _)| *known == reference) {
            rendered.references.push((reference, span));
        }
    }
    rendered.definition = definition;
    // Everything that can be known without parameters is checked now.
    bind_with(&rendered, environment, None, problems);
    (!has_errors(&problems[before..])).then_some(rendered)
}

/// Replaces the substitutions with the values that were read, and checks the types.
///
/// # Errors
/// Everything that is wrong with the result, at the places in the files.
pub fn bind(
    rendered: &Rendered,
    environment: &Environment,
    parameters: &Parameters,
) -> Result<Desired, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let desired = bind_with(rendered, environment, Some(parameters), &mut problems);
    if has_errors(&problems) { Err(problems) } else { Ok(desired) }
}

/// The same with references left as they are written, for looking at without AWS.
pub fn bind_offline(rendered: &Rendered, environment: &Environment) -> Desired {
    bind_with(rendered, environment, None, &mut Vec::new())
}

enum Stacked<'a> {
    Variables(&'a Map),
    Layer(&'a Layer),
}

/// The layers in the order in which they merge.
fn layers_of<'a>(
    repository: &'a Repository,
    environment: &'a Environment,
    service: &'a Service,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Stacked<'a>> {
    let mut defaults = vec![&repository.defaults];
    defaults.extend(&environment.defaults);
    let overlays: Vec<&Layer> =
        environment.chain.iter().filter_map(|link| service.overlays.get(link).and_then(Option::as_ref)).collect();
    let mut components: Vec<&Layer> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    for layer in defaults.iter().copied().chain([&service.layer]).chain(overlays.iter().copied()) {
        for (name, span) in &layer.components {
            if named.contains(&name.as_str()) {
                continue;
            }
            match repository.components.get(name) {
                Some(component) => {
                    named.push(name);
                    components.push(component);
                }
                None => {
                    let message = format!("there is no component `{name}` (components/{name}.yaml)");
                    problems.push(
                        Diagnostic::error(codes::UNKNOWN_NAME, span, message)
                            .suggest(name, repository.components.keys().map(String::as_str)),
                    );
                }
            }
        }
    }
    let mut stack: Vec<Stacked<'a>> = defaults.into_iter().map(Stacked::Layer).collect();
    stack.push(Stacked::Variables(&environment.vars));
    stack.extend(components.into_iter().map(Stacked::Layer));
    stack.push(Stacked::Layer(&service.layer));
    stack.extend(overlays.into_iter().map(Stacked::Layer));
    stack
}

fn apply_pins(
    task_definition: &mut Node,
    environment: &Environment,
    service: &Service,
    problems: &mut Vec<Diagnostic>,
) {
    let mut pins: Vec<&pins::Pin> = Vec::new();
    for link in &environment.chain {
        for pin in service.pins.get(link).into_iter().flatten() {
            pins.retain(|other| other.container != pin.container);
            pins.push(pin);
        }
    }
    for pin in pins {
        let containers = task_definition
            .as_map_mut()
            .and_then(|map| map.get_mut("containerDefinitions"))
            .and_then(|entry| entry.node.as_map_mut());
        let Some(containers) = containers else {
            continue;
        };
        let Some(container) = containers.get_mut(&pin.container).and_then(|entry| entry.node.as_map_mut()) else {
            let message = format!("the task definition has no container `{}`", pin.container);
            problems.push(
                Diagnostic::error(codes::NOTHING_MATCHED, &pin.key, message)
                    .suggest(&pin.container, containers.keys().map(String::as_str)),
            );
            continue;
        };
        let image = container.get("image").and_then(|entry| entry.node.as_str()).map(str::to_owned);
        if image.is_none() && !pin.text.contains('/') {
            let message = format!("container `{}` has no `image` that the pin could complete", pin.container);
            problems.push(Diagnostic::error(codes::PIN, &pin.span, message));
            continue;
        }
        let pinned = pins::apply(image.as_deref().unwrap_or_default(), &pin.text);
        let node = Node::string(pinned, &pin.span);
        container.insert("image".to_owned(), Entry { key: pin.span.clone(), node });
    }
}

fn bind_with(
    rendered: &Rendered,
    environment: &Environment,
    parameters: Option<&Parameters>,
    problems: &mut Vec<Diagnostic>,
) -> Desired {
    let unresolved = if parameters.is_some() { Unresolved::None } else { Unresolved::Tolerated };
    let bound = substitute(&rendered.definition, &rendered.scope, parameters, problems);
    let root = |root: Root, problems: &mut Vec<Diagnostic>| -> JsonMap<String, Json> {
        let mut node = bound.get(root.name()).cloned().unwrap_or_else(|| Node::empty_map(&rendered.span));
        if let Some(map) = node.as_map_mut() {
            let name = match root {
                Root::TaskDefinition => "family",
                Root::Service => "serviceName",
            };
            let span = rendered.span.clone();
            map.entry(name.to_owned())
                .or_insert_with(|| Entry { key: span.clone(), node: Node::string(rendered.name.clone(), &span) });
            if root == Root::Service {
                take_cluster(map, environment, problems);
            }
        }
        let result = check(&node, root.shape(), unresolved, problems);
        for name in ["family", "serviceName"] {
            if let (Some(text), Some(place)) = (result.get(name).and_then(Json::as_str), node.get(name))
                && !is_name(text)
                && !text.contains("${{")
            {
                let message = format!("`{text}` is not a {name}: use letters, digits, `-` and `_`, 255 at most");
                problems.push(Diagnostic::error(codes::BAD_NAME, &place.span, message));
            }
        }
        result
    };
    let mut task_definition = root(Root::TaskDefinition, problems);
    let mut service = root(Root::Service, problems);
    let text =
        |map: &JsonMap<String, Json>, name: &str| map.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let service_name = text(&service, "serviceName");
    let task_definition_tags = take_tags(&mut task_definition);
    let service_tags = take_tags(&mut service);
    let ours = rendered.ownership == Ownership::Service;
    Desired {
        name: rendered.name.clone(),
        environment: rendered.environment.clone(),
        service_name,
        ownership: rendered.ownership,
        after: rendered.after.iter().map(|(name, _)| name.clone()).collect(),
        ignore: rendered.ignore.iter().map(ToString::to_string).collect(),
        adopt: rendered.adopt,
        replace: rendered.replace,
        task_definition: Json::Object(task_definition),
        task_definition_tags,
        service: if ours { Json::Object(service) } else { Json::Null },
        service_tags: if ours { service_tags } else { JsonMap::new() },
    }
}

/// `cluster` is the environment's; a file may repeat it.
fn take_cluster(map: &mut Map, environment: &Environment, problems: &mut Vec<Diagnostic>) {
    let Some(entry) = map.shift_remove("cluster") else {
        return;
    };
    let written = entry.node.scalar_text().unwrap_or_default();
    let name = written.rsplit('/').next().unwrap_or_default();
    if name != environment.cluster {
        let message =
            format!("`cluster` is `{written}`, but environment `{}` is `{}`", environment.name, environment.cluster);
        problems.push(
            Diagnostic::error(codes::WRONG_PLACE, &entry.node.span, message).hint("remove it: the environment decides"),
        );
    }
}

fn take_tags(map: &mut JsonMap<String, Json>) -> JsonMap<String, Json> {
    let Some(Json::Array(tags)) = map.shift_remove("tags") else {
        return JsonMap::new();
    };
    tags.into_iter()
        .filter_map(|tag| {
            let key = tag.get("key")?.as_str()?.to_owned();
            let value = tag.get("value").cloned().unwrap_or_else(|| Json::String(String::new()));
            Some((key, value))
        })
        .collect()
}
