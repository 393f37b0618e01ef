//! From the files of a commit to rendered services, with everything reused whose files did not change.

use lockstep_manifests::{
    Diagnostic, Rendered, Repository, Service, codes, diagnostic,
    render::{bind_offline, render},
    repository::{ServiceDirectory, find_cycle},
    source::Span,
    tree::Tree,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What a commit states.
#[derive(Clone)]
pub struct Snapshot {
    /// The commit; empty for files that are not committed.
    pub commit: String,
    /// The first line of the commit's message.
    pub summary: String,
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
    read: Vec<(String, String)>,
    files: Vec<(String, String)>,
}

/// Loads commits one after the other.
#[derive(Default)]
pub struct Loader {
    repository: Option<(Arc<Repository>, Vec<Diagnostic>)>,
    services: HashMap<String, Arc<LoadedService>>,
}

impl Loader {
    /// Loads the files of a commit.
    pub fn load(&mut self, tree: &dyn Tree, commit: &str, summary: &str) -> Snapshot {
        let mut config_problems = Vec::new();
        let repository = Repository::load(tree, &mut config_problems);
        let repository = match &self.repository {
            Some((known, problems))
                if known.read == repository.read
                    && *problems == config_problems
                    && known.services == repository.services =>
            {
                known.clone()
            }
            _ => Arc::new(repository),
        };
        let mut known = std::mem::take(&mut self.services);
        // Services depend on the files of the repository as a whole; not on which other services there are.
        if self.repository.as_ref().is_none_or(|(known, _)| known.read != repository.read) {
            known.clear();
        }
        self.repository = Some((repository.clone(), config_problems.clone()));
        let valid = !diagnostic::has_errors(&config_problems);
        let mut services = Vec::with_capacity(repository.services.len());
        for directory in &repository.services {
            let loaded = match known.remove(&directory.path) {
                Some(loaded) if loaded.is_current(tree) => loaded,
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
        Snapshot { commit: commit.to_owned(), summary: summary.to_owned(), repository, valid, services, problems }
    }
}

impl LoadedService {
    fn load(repository: &Repository, directory: &ServiceDirectory, tree: &dyn Tree) -> Self {
        let mut problems = Vec::new();
        let service = Service::load(repository, directory, tree, &mut problems);
        let mut environments = BTreeMap::new();
        let mut names = BTreeMap::new();
        for environment in repository.environments.values().filter(|environment| service.is_in(environment)) {
            let result = if diagnostic::has_errors(&problems) {
                // The files themselves are broken: the problems are the service's, not each environment's.
                Err(Vec::new())
            } else {
                let mut found = Vec::new();
                let rendered = render(repository, environment, &service, &mut found);
                match rendered {
                    Some(rendered) => {
                        problems.extend(found);
                        names.insert(environment.name.clone(), bind_offline(&rendered, environment).service_name);
                        Ok(Arc::new(rendered))
                    }
                    None => Err(found),
                }
            };
            environments.insert(environment.name.clone(), result);
        }
        Self {
            directory: directory.clone(),
            environments,
            names,
            problems,
            read: service.read,
            files: files_of(tree, directory),
        }
    }

    /// Whether every file that this was read from is the same, and none came or went.
    fn is_current(&self, tree: &dyn Tree) -> bool {
        let outside = |path: &str| !path.starts_with(&format!("{}/", self.directory.path));
        self.problems.is_empty()
            && self.files == files_of(tree, &self.directory)
            && self
                .read
                .iter()
                .filter(|(path, _)| outside(path))
                .all(|(path, id)| tree.find(path).is_some_and(|file| file.id == *id))
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
            read: self.read.clone(),
            files: self.files.clone(),
        }
    }
}

fn files_of(tree: &dyn Tree, directory: &ServiceDirectory) -> Vec<(String, String)> {
    tree.below(&directory.path).iter().map(|file| (file.path.clone(), file.id.clone())).collect()
}

/// What can only be seen of all services together: identities, and `after`.
fn check_together(repository: &Repository, services: &mut [Arc<LoadedService>], problems: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<(String, String, String, String), (usize, String)> = HashMap::new();
    let mut broken: Vec<(usize, Diagnostic, Option<String>)> = Vec::new();
    for environment in repository.environments.values() {
        for (index, service) in services.iter().enumerate() {
            if !matches!(service.environments.get(&environment.name), Some(Ok(_))) {
                continue;
            }
            let Some(name) = service.names.get(&environment.name).cloned() else { continue };
            let place =
                (environment.account.clone(), environment.region.clone(), environment.cluster.clone(), name.clone());
            if let Some((first, other)) = seen.insert(place, (index, environment.name.clone())) {
                let message = format!(
                    "the ECS service {name} in cluster {} ({}, {}) is declared twice: by `{}` in `{other}` and by `{}` in `{}`",
                    environment.cluster,
                    environment.account,
                    environment.region,
                    services[first].directory.path,
                    service.directory.path,
                    environment.name,
                );
                for (index, in_environment) in [(first, other), (index, environment.name.clone())] {
                    let place = Span::of_file(&lockstep_manifests::source::SourceFile::new(
                        format!("{}/", services[index].directory.path),
                        "",
                    ));
                    let problem = Diagnostic::error(codes::DUPLICATE_IDENTITY, &place, message.clone());
                    broken.push((index, problem, Some(in_environment)));
                }
            }
        }
    }
    check_after(repository, services, &mut broken);
    for (index, problem, only) in broken {
        services[index] = Arc::new(services[index].broken(&problem, only.as_deref()));
        problems.push(problem);
    }
}

fn check_after(
    repository: &Repository,
    services: &[Arc<LoadedService>],
    broken: &mut Vec<(usize, Diagnostic, Option<String>)>,
) {
    for environment in repository.environments.values() {
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
