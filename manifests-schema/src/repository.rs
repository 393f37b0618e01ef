//! The repository as a whole: `lockstep.yaml`, its environments, the components, and where the services are.

use crate::{
    budget::{Meter, SETTINGS, Weight},
    codes,
    diagnostic::{Diagnostic, suggest},
    fields::Fields,
    kind::LayerKind,
    layer::{Files, Layer, variables},
    listing,
    name::{cluster_name, is_account, is_name, is_region},
    node::{Map, Value},
    source::Span,
    sync::{self, SyncPolicy},
    tree::Tree,
    updates::{self, WriteMode},
};
use indexmap::IndexMap;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Most files below `services/` and `components/`.
pub const MAX_FILES: usize = 50_000;
/// Most environments.
pub const MAX_ENVIRONMENTS: usize = 1_000;
/// Most environments that one inherits from, one from the other.
pub const MAX_CHAIN: usize = 32;
/// The name of the repository's own file.
pub const CONFIG: &str = "lockstep.yaml";
const RESERVED: &[&str] = &["service", "servicedef", "taskdef"];

/// A named target.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub span: Span,
    /// AWS account id, 12 digits.
    pub account: String,
    /// Where the account is written.
    pub account_span: Span,
    /// AWS region.
    pub region: String,
    /// ECS cluster name.
    pub cluster: String,
    /// Variables, with those of the environments that it inherits from.
    pub vars: Map,
    /// Defaults of the chain with the environment that each stands in, outermost first.
    pub defaults: Vec<(String, Layer)>,
    /// How to sync.
    pub sync: SyncPolicy,
    /// What is done with images that policies pick.
    pub write: WriteMode,
    /// Environments whose services go first.
    pub after: Vec<(String, Span)>,
    /// The chain of inheritance, from the outermost environment to this one.
    pub chain: Vec<String>,
}

impl Environment {
    /// The place of its account, for messages: `lockstep.yaml:4`.
    pub fn account_place(&self) -> String {
        let (line, _) = self.account_span.line_column();
        format!("{}:{line}", self.account_span.file.path)
    }
}

/// Where a service's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDirectory {
    /// The service's name: the directory's last part.
    pub name: String,
    /// Path from the root.
    pub path: String,
}

/// The version of the format, which decides the rule of membership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// An overlay file alone decides where a service is.
    One,
    /// Only `environments:` of service.yaml does.
    #[default]
    Two,
}

/// The repository's own settings.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    /// The version of the format.
    pub version: Version,
    /// The repository's defaults.
    pub defaults: Layer,
    /// Environments in file order, those that are usable.
    pub environments: IndexMap<String, Environment>,
    /// Components by name.
    pub components: BTreeMap<String, Layer>,
    /// Directories that hold a service, in path order.
    pub services: Vec<ServiceDirectory>,
    /// Names that several directories have, each with what is wrong: nobody knows which one is meant.
    pub twice: BTreeMap<String, Diagnostic>,
    /// Paths and ids of the files that this was read from, for caches.
    pub read: Vec<(String, String)>,
}

#[derive(Default)]
struct Written {
    span: Option<Span>,
    inherits: Option<(String, Span)>,
    account: Option<(String, Span)>,
    region: Option<(String, Span)>,
    cluster: Option<(String, Span)>,
    vars: Map,
    defaults: Option<Layer>,
    sync: sync::Written,
    write: Option<WriteMode>,
    after: Vec<(String, Span)>,
    /// What an environment that has this one in its chain takes of it.
    weight: Weight,
}

impl Repository {
    /// Reads everything but the services. With errors in `problems`, what was read may still be looked at, but nothing
    /// may be written on its ground.
    pub fn load(tree: &dyn Tree, problems: &mut Vec<Diagnostic>) -> Self {
        let mut files = Files::new(tree, SETTINGS);
        let count = tree.below("services").len() + tree.below("components").len();
        if count > MAX_FILES {
            let message = format!(
                "the repository has {count} files below services/ and components/, more than the limit of {MAX_FILES}"
            );
            problems.push(Diagnostic::general(codes::TOO_COMPLEX, message));
            return Self::default();
        }
        let (services, twice) = discover(tree);
        let mut repository = Self { services, twice, ..Self::default() };
        if tree.find(CONFIG).is_none() {
            let message = format!("the repository has no {CONFIG} at its root");
            problems.push(Diagnostic::general(codes::MISSING, message).hint("it names the environments"));
            return repository;
        }
        for entry in tree.below("components").iter().filter(|entry| entry.is_regular()) {
            let Some(name) = component_name(&entry.path) else {
                continue;
            };
            if let Some(node) = files.parse(&entry.path, problems) {
                let mut fields = Fields::new(node, "a component", problems);
                let layer = Layer::read(&mut fields, LayerKind::Component, &mut files);
                fields.finish();
                repository.components.insert(name.to_owned(), layer);
            }
        }
        if let Some(node) = files.parse(CONFIG, problems) {
            repository.read_config(Fields::new(node, "lockstep.yaml", problems), &mut files);
        }
        repository.read = files.read;
        repository
    }

    fn read_config(&mut self, mut fields: Fields<'_>, files: &mut Files<'_>) {
        match fields.text("version") {
            Some((text, _)) if text == "1" => self.version = Version::One,
            Some((text, _)) if text == "2" => self.version = Version::Two,
            Some((text, span)) => {
                let message = format!("version `{text}` is not known to this build");
                fields.problems.push(Diagnostic::error(codes::NOT_ALLOWED, &span, message).hint("write `version: 2`"));
            }
            None => {
                let span = fields.span().clone();
                fields.problems.push(
                    Diagnostic::error(codes::MISSING, &span, "lockstep.yaml needs `version`")
                        .hint("write `version: 2`"),
                );
            }
        }
        if let Some(entry) = fields.take("defaults") {
            let mut inner = Fields::new(entry.node, "`defaults`", fields.problems);
            self.defaults = Layer::read(&mut inner, LayerKind::Defaults, files);
            inner.finish();
        }
        let mut written: IndexMap<String, Written> = IndexMap::new();
        let environments = fields.take("environments");
        match environments.map(|entry| entry.node) {
            Some(node) => match node.value {
                Value::Map(map) => {
                    for (name, entry) in map {
                        check_environment_name(&name, &entry.key, fields.problems);
                        let inner = Fields::new(entry.node, "an environment", fields.problems);
                        written.insert(name, read_environment(inner, entry.key, files));
                    }
                }
                _ => {
                    let message = "`environments` is a map from name to environment".to_owned();
                    fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message));
                }
            },
            None => {
                let span = fields.span().clone();
                fields.problems.push(Diagnostic::error(codes::MISSING, &span, "lockstep.yaml needs `environments`"));
            }
        }
        fields.not_yet();
        self.resolve(written, fields.problems);
        fields.finish();
    }

    /// Follows `inherits` and builds the environments.
    fn resolve(&mut self, mut written: IndexMap<String, Written>, problems: &mut Vec<Diagnostic>) {
        if let Some((_, first)) = written.get_index(MAX_ENVIRONMENTS) {
            let message = format!("{} environments are more than the limit of {MAX_ENVIRONMENTS}", written.len());
            problems.push(Diagnostic { span: first.span.clone(), ..Diagnostic::general(codes::TOO_COMPLEX, message) });
            written.truncate(MAX_ENVIRONMENTS);
        }
        let names: Vec<String> = written.keys().cloned().collect();
        // What is inherited is there once more for each environment that has it.
        let mut inherited = Meter::new(SETTINGS);
        for name in &names {
            let Some(chain) = chain_of(name, &written, problems) else { continue };
            let weight = |link: &String| written[link].weight;
            if let Err(excess) = inherited.charge(chain.iter().map(weight).fold(Weight::default(), Weight::and)) {
                let message = format!("with what `{name}` inherits, the environments become {excess}");
                let span = written[name].span.clone();
                problems.push(Diagnostic { span, ..Diagnostic::general(codes::TOO_COMPLEX, message) });
                break;
            }
            if let Some(environment) = build(name, &chain, &written, problems) {
                self.environments.insert(name.clone(), environment);
            }
        }
        for (name, environment) in &mut written {
            for (other, span) in &environment.after {
                if !names.contains(other) {
                    let message = format!("`after` of `{name}` names `{other}`, which is not an environment");
                    let problem = Diagnostic::error(codes::UNKNOWN_NAME, span, message);
                    suggest(problems, problem, other, names.iter().map(String::as_str));
                }
            }
        }
        let graph: BTreeMap<&str, Vec<(&str, &Span)>> = self
            .environments
            .values()
            .map(|environment| {
                (
                    environment.name.as_str(),
                    environment.after.iter().map(|(name, span)| (name.as_str(), span)).collect(),
                )
            })
            .collect();
        if let Some((cycle, span)) = find_cycle(&graph) {
            let message = format!("`after` leads back to itself: {}", cycle.join(" → "));
            problems.push(Diagnostic::error(codes::CYCLE, span, message));
        }
    }
}

/// The component that a file holds.
pub(crate) fn component_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix("components/").filter(|name| !name.split('/').any(listing::is_hidden))?;
    name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"))
}

fn check_environment_name(name: &str, span: &Span, problems: &mut Vec<Diagnostic>) {
    if RESERVED.contains(&name) {
        let message = format!("`{name}` is a reserved name: services have files of that name");
        problems.push(Diagnostic::error(codes::RESERVED, span, message));
    } else if !is_name(name) {
        let message = format!("`{name}` is not a name: use letters, digits, `-` and `_`, 255 at most");
        problems.push(Diagnostic::error(codes::BAD_NAME, span, message));
    }
}

fn read_environment(mut fields: Fields<'_>, key: Span, files: &mut Files<'_>) -> Written {
    let mut written = Written { span: Some(key), ..Written::default() };
    written.inherits = fields.text("inherits");
    written.account = fields.text("account");
    if let Some((account, span)) = &written.account
        && !is_account(account)
    {
        let message = format!("`{account}` is not an AWS account id (12 digits; keep the quotes for leading zeros)");
        fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, span, message));
    }
    written.region = fields.text("region");
    if let Some((region, span)) = &written.region
        && !is_region(region)
    {
        let message = format!("`{region}` is not a region like eu-central-1");
        fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, span, message));
    }
    written.cluster = fields.text("cluster");
    written.vars = variables(&mut fields);
    written.after = fields.texts("after");
    if let Some(entry) = fields.take("defaults") {
        let mut inner = Fields::new(entry.node, "`defaults`", fields.problems);
        written.defaults = Some(Layer::read(&mut inner, LayerKind::Defaults, files));
        inner.finish();
    }
    if let Some(entry) = fields.take("sync") {
        let mut inner = Fields::new(entry.node, "`sync`", fields.problems);
        written.sync = sync::Written::read(&mut inner);
        inner.finish();
    }
    written.write = updates::read_write(&mut fields);
    fields.not_yet();
    fields.finish();
    written.weight =
        Weight::of_map(&written.vars).and(written.defaults.as_ref().map_or_else(Weight::default, Layer::whole));
    written
}

/// The chain from the outermost environment to `name`.
fn chain_of(name: &str, written: &IndexMap<String, Written>, problems: &mut Vec<Diagnostic>) -> Option<Vec<String>> {
    let mut chain = vec![name.to_owned()];
    let mut at = name;
    while let Some((parent, span)) = written.get(at).and_then(|environment| environment.inherits.as_ref()) {
        if chain.contains(parent) {
            let message = format!("`inherits` leads back to `{parent}`");
            problems.push(Diagnostic::error(codes::CYCLE, span, message));
            return None;
        }
        if !written.contains_key(parent) {
            let message = format!("`inherits` names `{parent}`, which is not an environment");
            let problem = Diagnostic::error(codes::UNKNOWN_NAME, span, message);
            suggest(problems, problem, parent, written.keys().map(String::as_str));
            return None;
        }
        if chain.len() > MAX_CHAIN {
            let message = format!("`inherits` leads over more than {MAX_CHAIN} environments");
            problems.push(Diagnostic::error(codes::TOO_COMPLEX, span, message));
            return None;
        }
        chain.push(parent.clone());
        at = parent;
    }
    chain.reverse();
    Some(chain)
}

fn build(
    name: &str,
    chain: &[String],
    written: &IndexMap<String, Written>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Environment> {
    let own = &written[name];
    let span = own.span.clone()?;
    let inherited = |pick: fn(&Written) -> Option<&(String, Span)>, what: &str, problems: &mut Vec<Diagnostic>| {
        let found = chain.iter().rev().find_map(|link| pick(&written[link])).map(|(text, _)| text.clone());
        if found.is_none() {
            let message = format!("environment `{name}` needs `{what}`");
            problems.push(Diagnostic::error(codes::MISSING, &span, message));
        }
        found
    };
    let account = inherited(|written| written.account.as_ref(), "account", problems);
    let place = chain.iter().rev().find_map(|link| written[link].account.as_ref());
    let account_span = place.map_or_else(|| span.clone(), |(_, place)| place.clone());
    let region = inherited(|written| written.region.as_ref(), "region", problems);
    let cluster = inherited(|written| written.cluster.as_ref(), "cluster", problems);
    // What is no region gets into no host name: without one there is nothing to ask.
    let region = region.filter(|region| is_region(region));
    let cluster = match (&account, &region, cluster) {
        (Some(account), Some(region), Some(cluster)) => match cluster_name(&cluster, account, region) {
            Ok(name) => Some(name.to_owned()),
            Err(reason) => {
                let place = chain.iter().rev().find_map(|link| written[link].cluster.as_ref());
                let place = place.map_or(&span, |(_, place)| place);
                problems
                    .push(Diagnostic::error(codes::WRONG_TYPE, place, reason).hint("write the cluster's name alone"));
                None
            }
        },
        _ => None,
    };
    let mut vars = Map::new();
    for link in chain {
        vars.extend(written[link].vars.clone());
    }
    Some(Environment {
        name: name.to_owned(),
        account: account?,
        account_span,
        region: region?,
        cluster: cluster?,
        vars,
        defaults: chain.iter().filter_map(|link| Some((link.clone(), written[link].defaults.clone()?))).collect(),
        sync: SyncPolicy::of(chain.iter().map(|link| &written[link].sync)),
        write: chain.iter().rev().find_map(|link| written[link].write).unwrap_or_default(),
        after: own.after.clone(),
        chain: chain.to_vec(),
        span,
    })
}

/// Finds a circle in a graph of names: the names on it, from where it closes to there again, with what the edge that
/// closes it carries. Without recursion: a chain may be as long as a repository has services.
pub fn find_cycle<'a, T: Copy>(graph: &BTreeMap<&'a str, Vec<(&'a str, T)>>) -> Option<(Vec<&'a str>, T)> {
    let mut done: HashSet<&str> = HashSet::new();
    for start in graph.keys() {
        // The way to where we are, with how many edges of each name were followed, and where on the way each name is.
        let mut way: Vec<(&'a str, usize)> = if done.contains(start) { Vec::new() } else { vec![(start, 0)] };
        let mut places: HashMap<&str, usize> = HashMap::from([(*start, 0)]);
        while let Some(last) = way.last_mut() {
            let (name, followed) = *last;
            last.1 += 1;
            let Some((next, edge)) = graph.get(name).and_then(|edges| edges.get(followed)) else {
                places.remove(name);
                done.insert(name);
                way.pop();
                continue;
            };
            if let Some(from) = places.get(next) {
                let mut cycle: Vec<&str> = way[*from..].iter().map(|(name, _)| *name).collect();
                cycle.push(next);
                return Some((cycle, *edge));
            }
            if !done.contains(next) {
                places.insert(next, way.len());
                way.push((next, 0));
            }
        }
    }
    None
}

/// Directories below `services/` that hold a `service.yaml` or a `taskdef.*`. What stands in the way of reading others
/// is told by [`crate::strays`].
fn discover(tree: &dyn Tree) -> (Vec<ServiceDirectory>, BTreeMap<String, Diagnostic>) {
    let mut found: Vec<ServiceDirectory> = Vec::new();
    let mut twice = BTreeMap::new();
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    for entry in tree.below("services") {
        let Some((directory, file)) = entry.path.rsplit_once('/') else {
            continue;
        };
        let name = directory.rsplit('/').next().unwrap_or(directory).to_owned();
        let is_hidden = directory.split('/').any(listing::is_hidden);
        if !listing::makes_a_service(file) || is_hidden || directory == "services" || !is_name(&name) {
            continue;
        }
        if by_name.get(&name).is_some_and(|path| path == directory) {
            continue;
        }
        if let Some(first) = by_name.get(&name) {
            let span = Span::of_file(&crate::source::SourceFile::new(entry.path.clone(), ""));
            let message = format!("a service `{name}` is declared in `{first}` already");
            let hint = "the directory's name is the service's name: rename one of the two";
            twice.insert(name.clone(), Diagnostic::error(codes::DUPLICATE_IDENTITY, &span, message).hint(hint));
        }
        by_name.insert(name.clone(), directory.to_owned());
        found.push(ServiceDirectory { name, path: directory.to_owned() });
    }
    (found, twice)
}
