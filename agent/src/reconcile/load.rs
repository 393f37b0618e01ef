//! From the files of a commit to rendered services, with everything reused whose files did not change.

use lockstep_core::verify::{self, Check, Outcome};
use lockstep_manifests::{
    Diagnostic, Rendered, Repository, Service,
    codes::{self, Code},
    diagnostic,
    render::{matched_nowhere, render_offline},
    repository::{ServiceDirectory, find_cycle},
    source::Span,
    tree::{FileEntry, Tree},
    updates::Strategy,
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// What a commit states.
#[derive(Clone)]
pub struct Snapshot {
    /// The commit; empty for files that are not committed.
    pub commit: String,
    /// The first line of the commit's message.
    pub summary: String,
    /// When it was committed, epoch seconds; 0 where nobody knows.
    pub committed_at: i64,
    /// The repository's settings.
    pub repository: Arc<Repository>,
    /// Whether `lockstep.yaml` and the components are usable. If not, nothing is written.
    pub valid: bool,
    /// Services by directory, in path order.
    pub services: Vec<Arc<LoadedService>>,
    /// Everything that is wrong, in file order.
    pub problems: Vec<Diagnostic>,
}

/// A service with what it renders to.
pub struct LoadedService {
    /// Name and directory.
    pub directory: ServiceDirectory,
    /// What it renders to, by environment; the problems where it does not.
    pub environments: BTreeMap<String, Result<Arc<Rendered>, Vec<Diagnostic>>>,
    /// The ECS service's name, by environment.
    names: BTreeMap<String, String>,
    problems: Vec<Diagnostic>,
    /// Files elsewhere that it was read from.
    outside: Vec<String>,
}

/// Loads commits one after the other.
#[derive(Default)]
pub struct Loader {
    /// The files that were loaded last.
    files: Vec<FileEntry>,
    repository: Option<(Arc<Repository>, Vec<Diagnostic>)>,
    services: HashMap<String, Arc<LoadedService>>,
}

impl Snapshot {
    /// Whether a service of this ECS name is declared for an environment.
    pub fn declares(&self, environment: &str, service: &str) -> bool {
        self.services.iter().any(|loaded| loaded.names.get(environment).is_some_and(|name| name == service))
    }

    /// The ECS names of the services that are declared for an environment.
    pub fn declared(&self, environment: &str) -> BTreeSet<String> {
        self.services.iter().filter_map(|loaded| loaded.names.get(environment).cloned()).collect()
    }

    /// The services of an environment, by their own and their ECS name.
    pub fn services_in(&self, environment: &str) -> Vec<(String, String)> {
        let name =
            |loaded: &Arc<LoadedService>| Some((loaded.directory.name.clone(), loaded.names.get(environment)?.clone()));
        self.services.iter().filter_map(name).collect()
    }

    /// Whether a service has errors, so that nobody knows which ECS service it declares for an environment.
    pub fn has_unreadable(&self, environment: &str) -> bool {
        self.services.iter().any(|loaded| {
            let errors = loaded.problems.iter().any(|problem| problem.severity == lockstep_manifests::Severity::Error);
            let broken = matches!(loaded.environments.get(environment), Some(Err(_)));
            (broken || errors) && !loaded.names.contains_key(environment)
        })
    }
}

impl Loader {
    /// Loads the files of a commit.
    pub fn load(&mut self, tree: &dyn Tree, commit: &str, summary: &str) -> Snapshot {
        let changes = Changes::between(&self.files, tree.files());
        if !changes.is_empty() {
            self.files = tree.files().to_vec();
        }
        let before = self.repository.take();
        let (repository, config_problems) = match &before {
            Some((known, problems)) if !changes.touch(known, problems) => (known.clone(), problems.clone()),
            _ => {
                let mut problems = Vec::new();
                let repository = Repository::load(tree, &mut problems);
                (Arc::new(repository), problems)
            }
        };
        self.repository = Some((repository.clone(), config_problems.clone()));
        // Services depend on the settings of the repository as a whole; not on which other services there are.
        let is_same = before.is_some_and(|(known, _)| known.read == repository.read);
        let mut known = if is_same { std::mem::take(&mut self.services) } else { HashMap::new() };
        self.services.clear();
        let valid = !diagnostic::has_errors(&config_problems);
        let mut services = Vec::with_capacity(repository.services.len());
        for directory in &repository.services {
            let loaded = match known.remove(&directory.path) {
                Some(loaded) if !changes.touch_service(&loaded) => loaded,
                _ => Arc::new(LoadedService::load(&repository, directory, tree)),
            };
            self.services.insert(directory.path.clone(), loaded.clone());
            services.push(loaded);
        }
        let mut problems = config_problems;
        check_together(&repository, &mut services, &mut problems);
        for service in &services {
            problems.extend(service.problems.iter().cloned());
            for result in service.environments.values() {
                if let Err(found) = result {
                    problems.extend(found.iter().cloned());
                }
            }
        }
        diagnostic::in_file_order(&mut problems);
        Snapshot {
            commit: commit.to_owned(),
            summary: summary.to_owned(),
            committed_at: 0,
            repository,
            valid,
            services,
            problems,
        }
    }
}

/// What differs between two lists of files.
struct Changes {
    /// Paths of files that came, went, or have other content.
    paths: HashSet<String>,
    /// The directories above them.
    directories: HashSet<String>,
    /// Whether a file below `services/` came or went: then there may be other services.
    moved: bool,
}

impl Changes {
    /// Both lists are in the order of their paths.
    fn between(before: &[FileEntry], now: &[FileEntry]) -> Self {
        let mut changes = Self { paths: HashSet::new(), directories: HashSet::new(), moved: false };
        let (mut before, mut now) = (before.iter().peekable(), now.iter().peekable());
        loop {
            let order = match (before.peek(), now.peek()) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.path.cmp(&new.path),
            };
            let old = if order.is_le() { before.next() } else { None };
            let new = if order.is_ge() { now.next() } else { None };
            if old == new {
                continue;
            }
            let Some(file) = new.or(old) else { continue };
            let is_same_kind = old.zip(new).is_some_and(|(old, new)| old.regular == new.regular);
            changes.moved |= !is_same_kind;
            changes.paths.insert(file.path.clone());
            let mut path = file.path.as_str();
            while let Some((directory, _)) = path.rsplit_once('/') {
                if !changes.directories.insert(directory.to_owned()) {
                    break;
                }
                path = directory;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether the repository's own settings, or which services there are, may have changed.
    fn touch(&self, repository: &Repository, problems: &[Diagnostic]) -> bool {
        self.moved
            || self.directories.contains("components")
            || self.paths.contains(lockstep_manifests::repository::CONFIG)
            || repository.read.iter().any(|(path, _)| self.paths.contains(path))
            || may_pass(problems)
    }

    /// Whether a service must be read again.
    fn touch_service(&self, service: &LoadedService) -> bool {
        self.directories.contains(&service.directory.path)
            || service.outside.iter().any(|path| self.paths.contains(path))
            || may_pass(&service.problems)
    }
}

/// Whether problems may be gone without a change of a file: an object that could not be read may be there next time.
fn may_pass(problems: &[Diagnostic]) -> bool {
    problems.iter().any(|problem| problem.code == codes::UNREADABLE)
}

/// Problems of a value by itself: they are none of another problem's making.
const STAND_ALONE: &[Code] = &[
    codes::WRONG_TYPE,
    codes::NOT_ALLOWED,
    codes::BAD_NAME,
    codes::WRONG_PLACE,
    codes::SUBSTITUTION,
    codes::SUBSTITUTION_TYPE,
];

impl LoadedService {
    fn load(repository: &Repository, directory: &ServiceDirectory, tree: &dyn Tree) -> Self {
        let mut problems = Vec::new();
        let service = Service::load(repository, directory, tree, &mut problems);
        // Where the files themselves are broken, the problems are the service's, not each environment's.
        let is_broken = diagnostic::has_errors(&problems);
        let mut environments = BTreeMap::new();
        let mut names = BTreeMap::new();
        for environment in repository.environments.values().filter(|environment| service.is_in(environment)) {
            let mut found = Vec::new();
            let rendered = render_offline(repository, environment, &service, &mut found);
            let result = match rendered {
                _ if is_broken => {
                    // What is read wrongly leaves gaps, which are not told as problems of their own.
                    problems.extend(found.into_iter().filter(|problem| STAND_ALONE.contains(&problem.code)));
                    Err(Vec::new())
                }
                Some((rendered, desired)) => {
                    problems.extend(found);
                    checked(&rendered, &verify::offline(&desired), &mut problems);
                    names.insert(environment.name.clone(), desired.service_name);
                    Ok(Arc::new(rendered))
                }
                None => Err(found),
            };
            environments.insert(environment.name.clone(), result);
        }
        let nowhere = matched_nowhere(environments.values().filter_map(|result| result.as_ref().ok()).map(Arc::as_ref));
        if !nowhere.is_empty() {
            problems.extend(nowhere);
            environments.values_mut().for_each(|result| *result = Err(Vec::new()));
        }
        Self {
            directory: directory.clone(),
            environments,
            names,
            problems,
            outside: service.read.into_iter().map(|(path, _)| path).filter(|path| !is_below(path, directory)).collect(),
        }
    }

    fn broken(&self, problem: &Diagnostic, only: Option<&str>) -> Self {
        let environments = self
            .environments
            .iter()
            .map(|(name, result)| {
                let hit = only.is_none_or(|only| only == name);
                (name.clone(), if hit { Err(vec![problem.clone()]) } else { result.clone() })
            })
            .collect();
        Self {
            directory: self.directory.clone(),
            environments,
            names: self.names.clone(),
            problems: self.problems.clone(),
            outside: self.outside.clone(),
        }
    }
}

/// What the checks found, at its place in the files. The service stays readable: its plan says why it is not written.
fn checked(rendered: &Rendered, checks: &[Check], problems: &mut Vec<Diagnostic>) {
    for check in checks.iter().filter(|check| check.outcome >= Outcome::Warn) {
        let message = format!("{}: {}", check.path, check.text);
        let problem = Diagnostic::error(check.code, &rendered.span_of(&check.path), message);
        let problem = if check.outcome == Outcome::Fail { problem } else { problem.as_warning() };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

fn is_below(path: &str, directory: &ServiceDirectory) -> bool {
    path.strip_prefix(&directory.path).is_some_and(|rest| rest.starts_with('/'))
}

/// What can only be seen of all services together: identities, and `after`.
fn check_together(repository: &Repository, services: &mut [Arc<LoadedService>], problems: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<(&str, &str, &str, &str), (usize, &str)> = HashMap::new();
    let mut broken: Vec<(usize, Diagnostic, Option<String>)> = Vec::new();
    for environment in repository.environments.values() {
        for (index, service) in services.iter().enumerate() {
            let Some(Ok(rendered)) = service.environments.get(&environment.name) else { continue };
            let Some(name) = service.names.get(&environment.name) else { continue };
            let identity = (
                environment.account.as_str(),
                environment.region.as_str(),
                environment.cluster.as_str(),
                name.as_str(),
            );
            if let Some((first, other)) = seen.insert(identity, (index, &environment.name)) {
                let message = format!(
                    "the ECS service {name} in cluster {} ({}, {}) is declared twice: by `{}` in `{other}` and by `{}` in `{}`",
                    environment.cluster,
                    environment.account,
                    environment.region,
                    services[first].directory.path,
                    service.directory.path,
                    environment.name,
                );
                let Some(Ok(earlier)) = services[first].environments.get(other) else { continue };
                let pairs = [(first, other, earlier, rendered), (index, environment.name.as_str(), rendered, earlier)];
                for (index, in_environment, here, there) in pairs {
                    let mut problem = Diagnostic::error(codes::DUPLICATE_IDENTITY, &here.place, message.clone());
                    if here.place != there.place {
                        problem = problem.related("and here", &there.place);
                    }
                    broken.push((index, problem, Some(in_environment.to_owned())));
                }
            }
        }
    }
    check_after(repository, services, &mut broken);
    check_follow(repository, services, &mut broken);
    for (index, problem, only) in broken {
        services[index] = Arc::new(services[index].broken(&problem, only.as_deref()));
        problems.push(problem);
    }
}

/// Image policies that follow a service which is not there, or lead back to themselves.
fn check_follow(
    repository: &Repository,
    services: &[Arc<LoadedService>],
    broken: &mut Vec<(usize, Diagnostic, Option<String>)>,
) {
    for environment in repository.environments.values() {
        let mut graph: BTreeMap<String, Vec<(String, Span)>> = BTreeMap::new();
        for (index, service) in services.iter().enumerate() {
            let Some(Ok(rendered)) = service.environments.get(&environment.name) else { continue };
            for (container, policy) in &rendered.updates {
                let Strategy::Follow { service: other, container: followed } = &policy.strategy else { continue };
                if !services.iter().any(|it| it.directory.name == *other) {
                    let message = format!("`follow` names `{other}`, which is not a service of this repository");
                    let names = services.iter().map(|it| it.directory.name.as_str());
                    let problem = Diagnostic::error(codes::UNKNOWN_NAME, &policy.span, message).suggest(other, names);
                    broken.push((index, problem, Some(environment.name.clone())));
                }
                let edge = (format!("{other}/{followed}"), policy.span.clone());
                graph.entry(format!("{}/{container}", service.directory.name)).or_default().push(edge);
            }
        }
        let edges = graph
            .iter()
            .map(|(name, edges)| (name.as_str(), edges.iter().map(|(other, span)| (other.as_str(), span)).collect()))
            .collect();
        if let Some((cycle, span)) = find_cycle(&edges) {
            let problem =
                Diagnostic::error(codes::CYCLE, span, format!("`follow` leads back to itself: {}", cycle.join(" → ")));
            for (index, service) in services.iter().enumerate() {
                if cycle.iter().any(|name| name.split('/').next() == Some(service.directory.name.as_str())) {
                    broken.push((index, problem.clone(), Some(environment.name.clone())));
                }
            }
        }
    }
}

fn check_after(
    repository: &Repository,
    services: &[Arc<LoadedService>],
    broken: &mut Vec<(usize, Diagnostic, Option<String>)>,
) {
    for environment in repository.environments.values() {
        let waits = |service: &Arc<LoadedService>| matches!(service.environments.get(&environment.name), Some(Ok(rendered)) if !rendered.after.is_empty());
        if !services.iter().any(waits) {
            continue;
        }
        let mut graph: BTreeMap<&str, Vec<(&str, &Span)>> = BTreeMap::new();
        for (index, service) in services.iter().enumerate() {
            let Some(Ok(rendered)) = service.environments.get(&environment.name) else {
                continue;
            };
            for (name, span) in &rendered.after {
                if !services.iter().any(|other| other.directory.name == *name) {
                    let message = format!("`after` names `{name}`, which is not a service of this repository");
                    let names = services.iter().map(|other| other.directory.name.as_str());
                    let problem = Diagnostic::error(codes::UNKNOWN_NAME, span, message).suggest(name, names);
                    broken.push((index, problem, Some(environment.name.clone())));
                }
            }
            let edges = rendered.after.iter().map(|(name, span)| (name.as_str(), span)).collect();
            graph.insert(&service.directory.name, edges);
        }
        if let Some((cycle, span)) = find_cycle(&graph) {
            let message = format!("`after` leads back to itself: {}", cycle.join(" → "));
            let problem = Diagnostic::error(codes::CYCLE, span, message);
            for (index, service) in services.iter().enumerate() {
                if cycle.contains(&service.directory.name.as_str()) {
                    broken.push((index, problem.clone(), Some(environment.name.clone())));
                }
            }
        }
    }
}
