//! From a service's layers to what would be sent to ECS in one environment. [`render`] needs only files; [`bind`]
//! adds the values of parameters.

use crate::{
    arn::{Home, partition_of},
    budget::{self, Meter, Weight},
    canonical::Root,
    check::{Unresolved, check},
    codes,
    diagnostic::{Diagnostic, has_errors, suggest},
    ignored::check_ignored,
    layer::{Ignored, Ownership},
    locate::locate,
    merge::merge,
    name::is_name,
    node::{Entry, Map, Node},
    patch,
    path::{Path, Step},
    pins,
    repository::{Environment, Repository},
    service::Service,
    source::Span,
    stack::{LayerName, Stacked, layers_of, pins_of},
    substitute::{Named, Parameters, Reference, Resolved, Scope, Substitution},
    sync::Narrowing,
    updates::{self, Policy},
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::{BTreeMap, HashSet};

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
    pub ignore: Vec<Ignored>,
    /// Whether the agent may take over an existing service.
    pub adopt: bool,
    /// Whether the service may be deleted and created again for what cannot be changed otherwise.
    pub replace: bool,
    /// What it narrows of its environment's `sync`.
    pub sync: Narrowing,
    /// Image policies by container.
    pub updates: IndexMap<String, Policy>,
    /// The pin in effect of each container that has one, with the environment in whose file it stands.
    pub pins: Vec<(String, pins::Pin)>,
    /// Pins files of the environments that this one inherits from, and its own.
    pub pin_files: IndexMap<String, String>,
    /// `{taskDefinition, service}` in canonical form.
    definition: Node,
    scope: Scope,
    /// Parameters and secrets that the definition names, with the first place of each.
    pub references: Vec<(Reference, Span)>,
    /// Entries of the service's own `ignore` that match nothing here. They are errors where they match in none of its
    /// environments; see [`matched_nowhere`].
    pub unmatched: Vec<Diagnostic>,
    /// Where the ECS service gets its name: its `serviceName`, or the service as a whole.
    pub place: Span,
    span: Span,
}

impl Rendered {
    /// The same, with the service's own settings of another rendering: of what is deployed, one commit decides, and how
    /// it is deployed, the branch's tip.
    pub fn with_settings_of(self, tip: &Self) -> Self {
        Self {
            ownership: tip.ownership,
            after: tip.after.clone(),
            ignore: tip.ignore.clone(),
            adopt: tip.adopt,
            replace: tip.replace,
            sync: tip.sync,
            updates: tip.updates.clone(),
            // What is ignored by the tip need not be there.
            unmatched: Vec::new(),
            ..self
        }
    }
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
    /// What it narrows of its environment's `sync`.
    #[serde(default)]
    pub sync: Narrowing,
    /// RegisterTaskDefinition's input, without tags.
    pub task_definition: Json,
    /// Tags declared for the task definition.
    pub task_definition_tags: JsonMap<String, Json>,
    /// CreateService's input without tags, cluster and taskDefinition; null where the service is not ours.
    pub service: Json,
    /// Tags declared for the service.
    pub service_tags: JsonMap<String, Json>,
    /// The versions of the parameters that were bound, where the manifest names none: they change without a commit.
    #[serde(default)]
    pub parameters: BTreeMap<String, u64>,
}

impl Desired {
    /// The ECS service's name; none where no ECS service is declared.
    pub fn ecs_service(&self) -> Option<&str> {
        (self.ownership != Ownership::Definition).then_some(&*self.service_name)
    }

    /// The task definition's family.
    pub fn family(&self) -> &str {
        self.task_definition.get("family").and_then(Json::as_str).unwrap_or_default()
    }
}

/// Merges the layers of a service for one environment. Every problem that does not depend on parameters is found here.
pub fn render(
    repository: &Repository,
    environment: &Environment,
    service: &Service,
    problems: &mut Vec<Diagnostic>,
) -> Option<Rendered> {
    render_offline(repository, environment, service, &mut meter(), problems).map(|(rendered, _)| rendered)
}

/// Counts one service in one environment.
pub fn meter() -> Meter {
    Meter::new(budget::SERVICE)
}

/// The same with what [`bind_offline`] makes of it, which is found on the way. What is about to be built is counted with
/// `meter`, also where nothing comes of it.
pub fn render_offline(
    repository: &Repository,
    environment: &Environment,
    service: &Service,
    meter: &mut Meter,
    problems: &mut Vec<Diagnostic>,
) -> Option<(Rendered, Desired)> {
    let before = problems.len();
    let layers = layers_of(repository, environment, service, problems);
    if !fits(&layers, environment, service, meter, problems) {
        return None;
    }
    let span = service.span.clone();
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
        sync: Narrowing::default(),
        updates: IndexMap::new(),
        pins: Vec::new(),
        pin_files: IndexMap::new(),
        definition: Node::empty_map(&span),
        scope: Scope::default(),
        references: Vec::new(),
        unmatched: Vec::new(),
        place: span.clone(),
        span: span.clone(),
    };
    let mut variables: Vec<&Map> = Vec::new();
    let mut declares_service = false;
    let mut none: Option<&Span> = None;
    for layer in &layers {
        match layer {
            Stacked::Variables(map) => variables.push(map),
            Stacked::Layer(name, layer) => {
                variables.push(&layer.vars);
                let is_own = *name == LayerName::Service;
                if let Some(node) = &layer.task_definition {
                    merge_at(&mut task_definition, node, is_own, problems);
                }
                if let Some(span) = &layer.no_service {
                    // What defaults and components say is for those that have a service.
                    service_definition = Node::empty_map(&service.span);
                    none = Some(span);
                }
                if let Some(node) = &layer.service {
                    declares_service = true;
                    none = None;
                    merge_at(&mut service_definition, node, is_own, problems);
                }
                if let Some(after) = &layer.after {
                    rendered.after = after.clone();
                }
                rendered.ignore.extend(layer.ignore.iter().cloned());
                if let Some((scope, _)) = &layer.scope {
                    rendered.ownership = *scope;
                }
                rendered.adopt = layer.adopt.unwrap_or(rendered.adopt);
                rendered.replace = layer.replace.unwrap_or(rendered.replace);
                if let Some(sync) = &layer.sync {
                    rendered.sync.take(sync);
                }
            }
        }
    }
    if let Some(none) = none {
        if rendered.ownership == Ownership::Service {
            let message = "`service: none` goes with `scope: taskDefinition`".to_owned();
            let hint = "add `scope: taskDefinition`: then the definition is registered when it changes, and nothing else is written";
            problems.push(Diagnostic::error(codes::MISSING, none, message).hint(hint));
        }
        rendered.ownership = Ownership::Definition;
    } else if rendered.ownership == Ownership::Service && !declares_service {
        let message = format!("`{}` declares no ECS service in `{}`", rendered.name, environment.name);
        problems.push(
            Diagnostic::error(codes::MISSING, &span, message)
                .hint("add `service:` (an empty map is enough) or servicedef.json, or say `scope: taskDefinition`"),
        );
    }
    rendered.pins = apply_pins(&mut task_definition, environment, service, problems);
    let file = |link: &String| Some((link.clone(), service.pin_files.get(link)?.clone()));
    rendered.pin_files = environment.chain.iter().filter_map(file).collect();
    let mut definition = Node::empty_map(&span);
    if let Some(map) = definition.as_map_mut() {
        map.insert("taskDefinition".into(), Entry { key: span.clone(), node: task_definition });
        map.insert("service".into(), Entry { key: span.clone(), node: service_definition });
    }
    for layer in &layers {
        if let Stacked::Layer(_, layer) = layer
            && let Some(patches) = &layer.patches
        {
            patch::apply(&mut definition, patches, meter, problems);
            if meter.is_spent() {
                return None;
            }
        }
    }
    let mut named = Named::default();
    named.collect(&definition);
    rendered.scope = Scope {
        fixed: vec![
            ("name", rendered.name.clone()),
            ("environment", environment.name.clone()),
            ("account", environment.account.clone()),
            ("region", environment.region.clone()),
            ("cluster", environment.cluster.clone()),
        ],
        vars: used_variables(&named.variables, &variables, meter, problems)?,
    };
    rendered.references = named.references;
    if let Some(name) = definition.get("service").and_then(|service| service.get("serviceName")) {
        rendered.place = name.span.clone();
    }
    rendered.definition = definition;
    // Everything that can be known without parameters is checked now.
    let mut unmatched = Vec::new();
    let parts = layers.iter().filter_map(|layer| match layer {
        Stacked::Layer(_, layer) => Some(&layer.updates),
        Stacked::Variables(_) => None,
    });
    let containers = container_names(&rendered.definition);
    let policies = updates::merge(parts, &containers, problems, &mut unmatched);
    rendered.updates = policies;
    let binding = Binding { rendered: &rendered, environment, known: &variables, parameters: None };
    let offline = binding.bind(meter, problems, &mut unmatched);
    rendered.unmatched = unmatched;
    (!has_errors(&problems[before..])).then_some((rendered, offline))
}

/// Counts the layers of a service before any is laid on another. Where they are too much, this is said at the layer that
/// makes them so.
fn fits(
    layers: &[Stacked<'_>],
    environment: &Environment,
    service: &Service,
    meter: &mut Meter,
    problems: &mut Vec<Diagnostic>,
) -> bool {
    let pins = Weight::new(pins_of(environment, service).count() as u64, 0);
    let mut counted = meter.charge(budget::RENDERING.and(pins)).map_err(|excess| (excess, None));
    for layer in layers {
        if let (Ok(()), Stacked::Layer(name, layer)) = (&counted, layer) {
            counted = meter.charge(layer.weight).map_err(|excess| (excess, Some((name, layer.span()))));
        }
    }
    let Err((excess, layer)) = counted else { return true };
    let (what, place) = match layer {
        Some((LayerName::Service, place)) => ("the service".to_owned(), place),
        Some((name, place)) => (format!("with {name} the service"), place),
        None => ("with its pins the service".to_owned(), None),
    };
    let message = format!("{what} becomes {excess} in `{}`", environment.name);
    problems.push(Diagnostic::error(codes::TOO_COMPLEX, place.unwrap_or(&service.span), message));
    false
}

/// The variables that a definition names: the last layer that sets one wins.
fn used_variables(
    names: &HashSet<String>,
    layers: &[&Map],
    meter: &mut Meter,
    problems: &mut Vec<Diagnostic>,
) -> Option<Map> {
    let mut used = Map::with_capacity(names.len());
    for name in names {
        let Some(entry) = layers.iter().rev().find_map(|map| map.get(name)) else { continue };
        if let Err(excess) = meter.charge(Weight::of(&entry.node)) {
            let message = format!("with the variable `{name}` the service becomes {excess}");
            problems.push(Diagnostic::error(codes::TOO_COMPLEX, &entry.node.span, message));
            return None;
        }
        used.insert(name.clone(), entry.clone());
    }
    Some(used)
}

/// Lays a layer's definition over the ones below it. Where the service's own files have it is where people look for
/// what is wrong with it as a whole.
fn merge_at(base: &mut Node, over: &Node, is_own: bool, problems: &mut Vec<Diagnostic>) {
    merge(base, over.clone(), problems);
    if is_own {
        base.span = over.span.clone();
    }
}

impl Rendered {
    /// What it is in memory: the definition, and the variables that it names.
    pub fn weight(&self) -> Weight {
        Weight::of(&self.definition).and(Weight::of_map(&self.scope.vars))
    }

    /// The place in the files of a path: its own, or that of the nearest thing above it that is written.
    pub fn span_of(&self, path: &Path) -> Span {
        let Some((Step::Member(first), steps)) = path.0.split_first() else { return self.place.clone() };
        let root = if first == Root::Service.name() { Root::Service } else { Root::TaskDefinition };
        let found = self.definition.get(first).map(|node| locate(node, root, steps));
        // What no file declares stands for the service as a whole.
        found.filter(|span| !span.file.text.is_empty()).unwrap_or_else(|| self.place.clone())
    }
}

/// The definition in canonical form with its substitutions replaced, for looking at where each value came from.
pub(crate) fn canonical_of(rendered: &Rendered, parameters: Option<&Parameters>) -> Node {
    let substitution = Substitution { scope: &rendered.scope, known: &[], parameters };
    substitution.of(&rendered.definition, &mut meter(), &mut Vec::new())
}

/// Entries of a service's own `ignore` that match in none of the environments that it was rendered for.
pub fn matched_nowhere<'a>(rendered: impl IntoIterator<Item = &'a Rendered>) -> Vec<Diagnostic> {
    let mut all = rendered.into_iter();
    let Some(first) = all.next() else { return Vec::new() };
    let rest: Vec<&Rendered> = all.collect();
    let is_everywhere =
        |problem: &&Diagnostic| rest.iter().all(|other| other.unmatched.iter().any(|same| same.span == problem.span));
    first.unmatched.iter().filter(is_everywhere).cloned().collect()
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
    let binding = Binding { rendered, environment, known: &[], parameters: Some(parameters) };
    let desired = binding.bind(&mut meter(), &mut problems, &mut Vec::new());
    if has_errors(&problems) { Err(problems) } else { Ok(desired) }
}

/// The same with references left as they are written, for looking at without AWS.
pub fn bind_offline(rendered: &Rendered, environment: &Environment) -> Desired {
    let binding = Binding { rendered, environment, known: &[], parameters: None };
    binding.bind(&mut meter(), &mut Vec::new(), &mut Vec::new())
}

fn apply_pins(
    task_definition: &mut Node,
    environment: &Environment,
    service: &Service,
    problems: &mut Vec<Diagnostic>,
) -> Vec<(String, pins::Pin)> {
    // Of each container the last one counts.
    let mut seen = HashSet::new();
    let all: Vec<(&str, &pins::Pin)> = pins_of(environment, service).collect();
    let mut in_effect: Vec<(&str, &pins::Pin)> =
        all.into_iter().rev().filter(|(_, pin)| seen.insert(pin.container.as_str())).collect();
    in_effect.reverse();
    for (_, pin) in &in_effect {
        let containers = task_definition
            .as_map_mut()
            .and_then(|map| map.get_mut("containerDefinitions"))
            .and_then(|entry| entry.node.as_map_mut());
        let Some(containers) = containers else {
            continue;
        };
        let Some(container) = containers.get_mut(&pin.container).and_then(|entry| entry.node.as_map_mut()) else {
            let message = format!("the task definition has no container `{}`", pin.container);
            let problem = Diagnostic::error(codes::NOTHING_MATCHED, &pin.key, message);
            suggest(problems, problem, &pin.container, containers.keys().map(String::as_str));
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
    in_effect.into_iter().map(|(link, pin)| (link.to_owned(), pin.clone())).collect()
}

/// The containers of a definition in canonical form.
fn container_names(definition: &Node) -> Vec<&str> {
    let containers = definition.get("taskDefinition").and_then(|node| node.get("containerDefinitions"));
    containers.and_then(Node::as_map).map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// A rendered service on its way to what is sent.
struct Binding<'a> {
    rendered: &'a Rendered,
    environment: &'a Environment,
    known: &'a [&'a Map],
    parameters: Option<&'a Parameters>,
}

impl Binding<'_> {
    /// Where it would become too much, the problem says so, and the result is of no use.
    fn bind(&self, meter: &mut Meter, problems: &mut Vec<Diagnostic>, unmatched: &mut Vec<Diagnostic>) -> Desired {
        let Self { rendered, environment, known, parameters } = *self;
        let unresolved = if parameters.is_some() { Unresolved::None } else { Unresolved::Tolerated };
        let bound =
            Substitution { scope: &rendered.scope, known, parameters }.of(&rendered.definition, meter, problems);
        // Gaps of our own making are not told as problems.
        let mut untold = Vec::new();
        let problems = if meter.is_spent() { &mut untold } else { problems };
        let mut root = |root: Root, problems: &mut Vec<Diagnostic>| -> JsonMap<String, Json> {
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
            if parameters.is_none() {
                check_ignored(root, &result, &rendered.ignore, problems, unmatched);
            }
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
        name_roles(&mut task_definition, environment);
        name_roles(&mut service, environment);
        let text = |map: &JsonMap<String, Json>, name: &str| {
            map.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
        };
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
            ignore: rendered.ignore.iter().map(|ignored| ignored.path.to_string()).collect(),
            adopt: rendered.adopt,
            replace: rendered.replace,
            sync: rendered.sync,
            task_definition: Json::Object(task_definition),
            task_definition_tags,
            service: if ours { Json::Object(service) } else { Json::Null },
            service_tags: if ours { service_tags } else { JsonMap::new() },
            parameters: parameters.map(|values| versions(rendered, values)).unwrap_or_default(),
        }
    }
}

/// The versions of the parameters that follow the newest one.
fn versions(rendered: &Rendered, values: &Parameters) -> BTreeMap<String, u64> {
    let version = |(reference, _): &(Reference, Span)| match (reference, values.get(reference)?) {
        (
            Reference::Ssm { name, version: None },
            Resolved::Text(_, Some(version)) | Resolved::List(_, Some(version)),
        ) => Some((name.clone(), *version)),
        _ => None,
    };
    rendered.references.iter().filter_map(version).collect()
}

/// `cluster` is the environment's; a file may repeat it.
fn take_cluster(map: &mut Map, environment: &Environment, problems: &mut Vec<Diagnostic>) {
    let Some(entry) = map.shift_remove("cluster") else {
        return;
    };
    let written = entry.node.scalar_text().unwrap_or_default();
    if cluster_arn(&written, environment) != cluster_arn(&environment.cluster, environment) {
        let message =
            format!("`cluster` is `{written}`, but environment `{}` is `{}`", environment.name, environment.cluster);
        problems.push(
            Diagnostic::error(codes::WRONG_PLACE, &entry.node.span, message).hint("remove it: the environment decides"),
        );
    }
}

/// The ARN of a cluster: one that is written by name is of the environment's own account and region.
fn cluster_arn(written: &str, environment: &Environment) -> String {
    if written.starts_with("arn:") {
        return written.to_owned();
    }
    let Environment { account, region, .. } = environment;
    format!("arn:{}:ecs:{region}:{account}:cluster/{written}", partition_of(region))
}

/// Roles that are written by name get their ARN: what is compared, shown and sent then names the account.
fn name_roles(definition: &mut JsonMap<String, Json>, environment: &Environment) {
    let home = Home::new(&environment.account, &environment.region);
    for member in ["taskRoleArn", "executionRoleArn", "role"] {
        if let Some(Json::String(written)) = definition.get_mut(member) {
            *written = home.role(written);
        }
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
