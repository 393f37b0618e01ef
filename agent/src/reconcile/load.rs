//! From the files of a commit to rendered services, with everything reused whose files did not change.

use super::{changes::Changes, commits::Commits, together::check_together, totals::Totals};
use lockstep_core::{
    stated::at::At,
    verify::{self, Check, CheckOutcome},
};
use lockstep_manifests::{
    Diagnostic, Environment, Rendered, Repository, Service,
    budget::Weight,
    codes::{self, Code},
    diagnostic,
    layer::Ownership,
    render::{self, matched_nowhere, render_offline},
    repository::ServiceDirectory,
    source::{SourceFile, Span},
    strays,
    tree::{FileEntry, Tree},
};
use std::{
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
    /// The commit whose history tells what was declared before: the commit itself, or for files that are not committed
    /// the one that is checked out. Empty where there is none.
    pub base: String,
    /// The repository's settings.
    pub repository: Arc<Repository>,
    /// Whether `lockstep.yaml` and the components are usable. If not, nothing is written.
    pub valid: bool,
    /// Whether something below `services/` or `components/` is not read, so that nobody knows all that is declared.
    pub unread: bool,
    /// Services by directory, in path order.
    pub services: Vec<Arc<LoadedService>>,
    /// Everything that is wrong, in file order.
    pub problems: Vec<Diagnostic>,
    /// Which commit last changed each service.
    pub history: Arc<Commits>,
}

/// A service with what it renders to.
#[derive(Clone)]
pub struct LoadedService {
    /// Name and directory.
    pub directory: ServiceDirectory,
    /// What it renders to, by environment; the problems where it does not.
    pub environments: BTreeMap<String, Result<Arc<Rendered>, Vec<Diagnostic>>>,
    /// The ECS service's name, by environment.
    pub(super) names: BTreeMap<String, String>,
    /// The task definition's family, by environment, where it is another name.
    families: BTreeMap<String, String>,
    /// Why nothing is created or removed for it: the rules of version 1 and 2 differ on where it is.
    pub dispute: Option<Diagnostic>,
    /// The environments that only one of the two rules puts it in.
    disputed: BTreeMap<String, Disputed>,
    /// Whether its files could be read, so that its environments are known.
    is_read: bool,
    pub(super) problems: Vec<Diagnostic>,
    strays: Vec<Diagnostic>,
    /// Files elsewhere that it was read from.
    pub(super) outside: Vec<String>,
    /// What its files became, and what it became in each environment.
    pub(super) files: Weight,
    pub(super) weights: BTreeMap<String, Weight>,
    /// The files of its directory.
    inside: Vec<String>,
    /// The files that say at which commit it is, by environment.
    at_files: BTreeMap<String, lockstep_manifests::at::At>,
    /// At which commit it is, by environment, where that is not the branch's tip.
    at: BTreeMap<String, At>,
    /// What it renders to at the tip, where it is elsewhere.
    tips: BTreeMap<String, Arc<Rendered>>,
}

impl LoadedService {
    /// Whether it declares a task definition that no ECS service uses.
    pub(super) fn is_definition_in(&self, environment: &str) -> bool {
        let rendered = self.environments.get(environment).and_then(|result| result.as_ref().ok());
        rendered.is_some_and(|rendered| rendered.ownership == Ownership::Definition)
    }

    /// The family that it registers in an environment.
    pub(super) fn family_in(&self, environment: &str) -> Option<&str> {
        self.families.get(environment).or_else(|| self.names.get(environment)).map(String::as_str)
    }

    /// The files that it is made of, in whatever environment.
    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        self.inside.iter().chain(&self.outside)
    }

    /// The files that it is made of in an environment, and those that would belong to it there: that one of them was
    /// taken away is a change too.
    pub(super) fn files_in(&self, environment: &Environment, repository: &Repository) -> Vec<String> {
        let directory = &self.directory.path;
        let is_of = |path: &String, name: &str| {
            let file = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
            let rest = file.strip_prefix(name).unwrap_or_default();
            matches!(rest, ".yaml" | ".yml" | ".pins.yaml" | ".pins.yml" | ".at.yaml")
        };
        let is_of_another = |path: &String| {
            let others = repository.environments.keys().filter(|name| !environment.chain.contains(name));
            others.into_iter().any(|name| is_of(path, name))
        };
        let mut files: Vec<String> = self.paths().filter(|path| !is_of_another(path)).cloned().collect();
        for name in &environment.chain {
            files.extend([".yaml", ".pins.yaml"].map(|end| format!("{directory}/{name}{end}")));
        }
        files
    }
}

/// A service in an environment that only one of the two rules of membership puts it in.
#[derive(Clone)]
struct Disputed {
    /// The ECS service's name.
    name: String,
    /// Whether the rule of the repository's version puts it there.
    by_version: bool,
}

/// Loads commits one after the other.
#[derive(Default)]
pub struct Loader {
    /// The files that were loaded last.
    files: Vec<FileEntry>,
    repository: Option<(Arc<Repository>, Vec<Diagnostic>)>,
    services: HashMap<String, Arc<LoadedService>>,
    strays: Option<Strays>,
}

/// What is not read, and what was used when it was looked for.
#[derive(Clone, Default)]
struct Strays {
    used: BTreeSet<String>,
    problems: Vec<Diagnostic>,
}

impl Snapshot {
    /// Whether a service of this ECS name is declared for an environment, by the rule of the repository's version.
    pub fn declares(&self, environment: &str, service: &str) -> bool {
        self.services.iter().any(|loaded| {
            let disputed = loaded.disputed.get(environment).filter(|disputed| disputed.by_version);
            let name = loaded.names.get(environment).or(disputed.map(|disputed| &disputed.name));
            name.is_some_and(|name| name == service)
        })
    }

    /// The ECS names of the services that are, or may be, declared for an environment.
    pub fn declared(&self, environment: &str) -> BTreeSet<String> {
        let name = |loaded: &Arc<LoadedService>| {
            let disputed = || Some(&loaded.disputed.get(environment)?.name);
            loaded.names.get(environment).or_else(disputed).cloned()
        };
        self.services.iter().filter_map(name).collect()
    }

    /// The ECS name of a service in an environment, where it is known.
    pub(super) fn ecs_name(&self, environment: &str, service: &str) -> Option<String> {
        let loaded = self.services.iter().find(|loaded| loaded.directory.name == service)?;
        loaded.names.get(environment).cloned()
    }

    /// The ECS services of an environment, by their own and their ECS name.
    pub fn services_in(&self, environment: &str) -> Vec<(String, String)> {
        let name = |loaded: &Arc<LoadedService>| {
            if loaded.is_definition_in(environment) {
                return None;
            }
            Some((loaded.directory.name.clone(), loaded.names.get(environment)?.clone()))
        };
        self.services.iter().filter_map(name).collect()
    }

    /// Whether a service is a task definition without an ECS service (`service: none`) in an environment.
    pub fn is_definition(&self, environment: &str, service: &str) -> bool {
        let named = |loaded: &&Arc<LoadedService>| loaded.directory.name == service;
        self.services.iter().find(named).is_some_and(|loaded| loaded.is_definition_in(environment))
    }

    /// Whether a service has errors, so that nobody knows which ECS service it declares for an environment.
    pub fn has_unreadable(&self, environment: &str) -> bool {
        let is_unknown = |loaded: &Arc<LoadedService>| {
            let is_broken = matches!(loaded.environments.get(environment), Some(Err(_)));
            let nameless = loaded.disputed.get(environment).is_some_and(|disputed| disputed.name.is_empty());
            nameless || ((is_broken || !loaded.is_read) && !loaded.names.contains_key(environment))
        };
        self.unread || self.services.iter().any(is_unknown)
    }

    /// Services that only one of the two rules of membership puts into an environment, with what to say of each.
    pub fn disputed_in(&self, environment: &str) -> Vec<(String, Diagnostic)> {
        let disputed = |loaded: &Arc<LoadedService>| {
            let problem = loaded.dispute.as_ref().filter(|_| loaded.disputed.contains_key(environment))?;
            Some((loaded.directory.name.clone(), problem.clone()))
        };
        self.services.iter().filter_map(disputed).collect()
    }

    /// Services for which nothing is created meanwhile.
    pub fn not_created(&self) -> BTreeSet<String> {
        let disputed = self.services.iter().filter(|loaded| loaded.dispute.is_some());
        disputed.map(|loaded| loaded.directory.name.clone()).collect()
    }

    /// At which commit a service is in an environment, where that is not the branch's tip.
    pub fn at(&self, environment: &str, service: &str) -> Option<&At> {
        self.services.iter().find(|loaded| loaded.directory.name == service)?.at(environment)
    }

    /// The environments that a service is in, those that are disputed among them; none where it is not known.
    pub fn environments_of(&self, service: &str) -> Option<BTreeSet<String>> {
        let loaded = self.services.iter().find(|loaded| loaded.directory.name == service && loaded.is_read)?;
        Some(loaded.environments.keys().chain(loaded.disputed.keys()).cloned().collect())
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
                diagnostic::cut(&mut problems);
                (Arc::new(repository), problems)
            }
        };
        self.repository = Some((repository.clone(), config_problems.clone()));
        // Services depend on the settings of the repository as a whole; not on which other services there are.
        let is_same = before.is_some_and(|(known, _)| known.read == repository.read);
        let mut known = if is_same { std::mem::take(&mut self.services) } else { HashMap::new() };
        self.services.clear();
        let mut problems = config_problems;
        let mut totals = Totals::new(&repository);
        let mut services = Vec::with_capacity(repository.services.len());
        let mut twice: HashSet<&str> = HashSet::new();
        for directory in &repository.services {
            if let Some(problem) = repository.twice.get(&directory.name) {
                if twice.insert(&directory.name) {
                    services.push(Arc::new(LoadedService::unread(directory, problem)));
                }
                continue;
            }
            if let Some(problem) = &totals.exceeded {
                services.push(Arc::new(LoadedService::unread(directory, problem)));
                continue;
            }
            let loaded = match known.remove(&directory.path) {
                Some(loaded) if !changes.touch_service(&loaded) => loaded,
                _ => Arc::new(LoadedService::load(&repository, directory, tree, &totals)),
            };
            totals.add(&loaded);
            self.services.insert(directory.path.clone(), loaded.clone());
            services.push(loaded);
        }
        let exceeded = totals.exceeded;
        problems.extend(exceeded.clone());
        let valid = !diagnostic::has_errors(&problems);
        if !valid {
            let message =
                "nothing is written to any environment until the errors in lockstep.yaml and components/ are fixed";
            let place = Span::of_file(&SourceFile::new(lockstep_manifests::repository::CONFIG, ""));
            problems.push(Diagnostic::error(codes::WRITES_STOPPED, &place, message));
        }
        let strays = self.strays(&repository, &services, tree, changes.moved || !is_same);
        let unread = !strays.is_empty() || services.iter().any(|service| !service.strays.is_empty());
        problems.extend(strays);
        check_together(&repository, &mut services, &mut problems);
        collect(&services, exceeded.as_ref(), &mut problems);
        Snapshot {
            commit: commit.to_owned(),
            summary: summary.to_owned(),
            committed_at: 0,
            base: commit.to_owned(),
            repository,
            valid,
            unread,
            services,
            problems,
            history: Arc::default(),
        }
    }
}

impl Loader {
    /// What is not read and should be. Looked for again when a file came or went, or when services name other files.
    fn strays(
        &mut self,
        repository: &Repository,
        services: &[Arc<LoadedService>],
        tree: &dyn Tree,
        moved: bool,
    ) -> Vec<Diagnostic> {
        let mut used: BTreeSet<String> = services.iter().flat_map(|service| service.outside.iter().cloned()).collect();
        used.extend(repository.read.iter().map(|(path, _)| path.clone()));
        match &self.strays {
            Some(known) if !moved && known.used == used => {}
            _ => {
                let problems = strays::find(repository, tree, &|path| used.contains(path));
                self.strays = Some(Strays { used, problems });
            }
        }
        self.strays.as_ref().map(|strays| strays.problems.clone()).unwrap_or_default()
    }
}

/// Most problems of a commit that are kept and shown; the rest are counted.
const MOST_PROBLEMS: usize = 5_000;

/// The problems of all services, beside those of the repository itself.
fn collect(services: &[Arc<LoadedService>], exceeded: Option<&Diagnostic>, problems: &mut Vec<Diagnostic>) {
    diagnostic::cut(problems);
    let mut left = 0;
    let is_unread = |service: &&Arc<LoadedService>| exceeded.is_some() && service.problems.first() == exceeded;
    for service in services.iter().filter(|service| !is_unread(service)) {
        let of_environments = service.environments.values().filter_map(|result| result.as_ref().err()).flatten();
        for problem in service.problems.iter().chain(&service.strays).chain(of_environments) {
            if problems.len() < MOST_PROBLEMS {
                problems.push(problem.clone());
            } else {
                left += 1;
            }
        }
    }
    diagnostic::cut(problems);
    if left > 0 {
        let message = format!("there are up to {left} more errors, warnings and notes in files that are not shown");
        problems.push(Diagnostic::general(codes::TOO_MANY, message));
    }
}

/// Whether problems may be gone without a change of a file: an object that could not be read may be there next time.
pub(super) fn may_pass(problems: &[Diagnostic]) -> bool {
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
    /// A service that is not read, because the repository as a whole is too large, or because two directories have its
    /// name: it is declared, and nobody knows as what.
    fn unread(directory: &ServiceDirectory, reason: &Diagnostic) -> Self {
        Self {
            inside: Vec::new(),
            directory: directory.clone(),
            environments: BTreeMap::new(),
            names: BTreeMap::new(),
            families: BTreeMap::new(),
            dispute: None,
            disputed: BTreeMap::new(),
            is_read: false,
            problems: vec![reason.clone()],
            strays: Vec::new(),
            outside: Vec::new(),
            files: Weight::default(),
            weights: BTreeMap::new(),
            at_files: BTreeMap::new(),
            at: BTreeMap::new(),
            tips: BTreeMap::new(),
        }
    }

    fn load(repository: &Repository, directory: &ServiceDirectory, tree: &dyn Tree, totals: &Totals<'_>) -> Self {
        let mut problems = Vec::new();
        let service = Service::load(repository, directory, tree, &mut problems);
        // Where the files themselves are broken, the problems are the service's, not each environment's.
        let is_broken = diagnostic::has_errors(&problems);
        let mut environments = BTreeMap::new();
        let (mut names, mut families) = (BTreeMap::new(), BTreeMap::new());
        let mut weights = BTreeMap::new();
        let mut rendered_all = totals.rendered;
        let disputed = disputed(repository, &service);
        let is_in =
            |environment: &&Environment| service.is_in(environment) && !disputed.contains_key(&environment.name);
        for environment in repository.environments.values().filter(is_in) {
            if rendered_all.is_spent() || !totals.left(&environment.name) {
                // Counted up to here it is too much already; the reason is the repository's.
                environments.insert(environment.name.clone(), Err(Vec::new()));
                continue;
            }
            let mut found = Vec::new();
            let mut meter = render::meter();
            let rendered = render_offline(repository, environment, &service, &mut meter, &mut found);
            let _ = rendered_all.charge(meter.used());
            weights.insert(environment.name.clone(), meter.used());
            diagnostic::cut(&mut found);
            let result = match rendered {
                _ if is_broken => {
                    // What is read wrongly leaves gaps, which are not told as problems of their own.
                    problems.extend(found.into_iter().filter(|problem| STAND_ALONE.contains(&problem.code)));
                    Err(Vec::new())
                }
                Some((rendered, desired)) => {
                    problems.extend(found);
                    checked(&rendered, &verify::offline(&desired), &mut problems);
                    if desired.family() != desired.service_name {
                        families.insert(environment.name.clone(), desired.family().to_owned());
                    }
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
        let dispute = service.dispute.map(|dispute| dispute.problem);
        problems.extend(dispute.clone());
        diagnostic::cut(&mut problems);
        keep_few(&mut environments);
        Self {
            directory: directory.clone(),
            environments,
            names,
            families,
            files: service.weight,
            weights,
            dispute,
            disputed,
            is_read: !is_broken,
            problems,
            inside: files_below(tree, directory),
            strays: service.strays,
            at_files: service.at.into_iter().collect(),
            at: BTreeMap::new(),
            tips: BTreeMap::new(),
            outside: service.read.into_iter().map(|(path, _)| path).filter(|path| !is_below(path, directory)).collect(),
        }
    }

    /// The same, with what is wrong with it beside other services.
    pub(super) fn broken(&self, problems: &[(Diagnostic, Option<String>)]) -> Self {
        let mut environments = self.environments.clone();
        for (problem, only) in problems {
            let hit = environments.iter_mut().filter(|(name, _)| only.as_ref().is_none_or(|only| only == *name));
            hit.for_each(|(_, result)| *result = Err(vec![problem.clone()]));
        }
        Self { environments, ..self.clone() }
    }

    /// Whether a file says that it is at another commit somewhere.
    pub(super) fn has_at(&self) -> bool {
        !self.at_files.is_empty()
    }

    /// The files that say at which commit it is, by environment.
    pub(super) fn at_files(&self) -> &BTreeMap<String, lockstep_manifests::at::At> {
        &self.at_files
    }

    /// At which commit it is in an environment, where that is not the branch's tip.
    pub fn at(&self, environment: &str) -> Option<&At> {
        self.at.get(environment)
    }

    /// What it renders to at the branch's tip.
    pub fn at_tip(&self, environment: &str) -> Option<&Arc<Rendered>> {
        self.tips.get(environment).or_else(|| self.environments.get(environment)?.as_ref().ok())
    }

    /// The same at other commits, by environment; the problem where that cannot be.
    pub(super) fn placed(&self, outcomes: BTreeMap<String, Result<(At, Arc<Rendered>), Diagnostic>>) -> Self {
        let mut placed = self.clone();
        for (environment, outcome) in outcomes {
            let Some(there) = placed.environments.get_mut(&environment) else { continue };
            match outcome {
                Ok((at, rendered)) => {
                    if let Ok(tip) = std::mem::replace(there, Ok(rendered)) {
                        placed.tips.insert(environment.clone(), tip);
                    }
                    placed.at.insert(environment, at);
                }
                Err(problem) => *there = Err(vec![problem]),
            }
        }
        placed
    }
}

/// The same problem in each of a thousand environments is kept for the first of them.
fn keep_few(environments: &mut BTreeMap<String, Result<Arc<Rendered>, Vec<Diagnostic>>>) {
    let mut left = 2 * diagnostic::MOST_OF_A_FILE;
    for found in environments.values_mut().filter_map(|result| result.as_mut().err()) {
        found.truncate(left.max(1));
        left = left.saturating_sub(found.len());
    }
}

/// The environments that only one of the two rules of membership puts a service in. Its name there protects what runs.
fn disputed(repository: &Repository, service: &Service) -> BTreeMap<String, Disputed> {
    let Some(dispute) = &service.dispute else { return BTreeMap::new() };
    let only_one = dispute.before.symmetric_difference(&dispute.after);
    only_one
        .filter_map(|name| {
            let environment = repository.environments.get(name)?;
            let rendered = render_offline(repository, environment, service, &mut render::meter(), &mut Vec::new());
            let ecs = rendered.map(|(_, desired)| desired.service_name).unwrap_or_default();
            Some((name.clone(), Disputed { name: ecs, by_version: dispute.before.contains(name) }))
        })
        .collect()
}

/// What the checks found, at its place in the files. The service stays readable: its plan says why it is not written.
fn checked(rendered: &Rendered, checks: &[Check], problems: &mut Vec<Diagnostic>) {
    for check in checks.iter().filter(|check| check.outcome >= CheckOutcome::Warn) {
        let message = format!("{}: {}", check.path, check.text);
        let problem = Diagnostic::error(check.code, &rendered.span_of(&check.path), message);
        let problem = if check.outcome == CheckOutcome::Fail { problem } else { problem.as_warning() };
        // The layer that sets the other side.
        let also = |problem: Diagnostic, path| problem.related(format!("{path} is set here"), &rendered.span_of(path));
        // The same in another environment is dropped when all are put in order.
        problems.push(check.also.iter().fold(problem, also));
    }
}

/// The paths of a directory's files. A tree lists them in their order.
fn files_below(tree: &dyn Tree, directory: &ServiceDirectory) -> Vec<String> {
    let prefix = format!("{}/", directory.path);
    let files = tree.files();
    let start = files.partition_point(|file| file.path.as_str() < prefix.as_str());
    files[start..].iter().map(|file| &file.path).take_while(|path| path.starts_with(&prefix)).cloned().collect()
}

fn is_below(path: &str, directory: &ServiceDirectory) -> bool {
    path.strip_prefix(&directory.path).is_some_and(|rest| rest.starts_with('/'))
}
