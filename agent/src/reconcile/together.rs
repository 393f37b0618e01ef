//! What can only be seen of all services of a commit together: one identity twice, `after` and `follow`.

use super::load::LoadedService;
use lockstep_manifests::{
    Diagnostic, Repository, codes, layer::Ownership, path::Path, repository::find_cycle, source::Span,
    updates::Strategy,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// What can only be seen of all services together: identities, and `after`.
pub(super) fn check_together(
    repository: &Repository,
    services: &mut [Arc<LoadedService>],
    problems: &mut Vec<Diagnostic>,
) {
    let mut seen: HashMap<(&str, &str, &str, &str), (usize, &str)> = HashMap::new();
    let mut broken: Vec<(usize, Diagnostic, Option<String>)> = Vec::new();
    for environment in repository.environments.values() {
        for (index, service) in services.iter().enumerate() {
            let Some(Ok(rendered)) = service.environments.get(&environment.name) else { continue };
            if service.is_definition_in(&environment.name) {
                continue;
            }
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
    check_families(repository, services, &mut broken);
    check_after(repository, services, &mut broken);
    check_follow(repository, services, &mut broken);
    let mut by_service: BTreeMap<usize, Vec<(Diagnostic, Option<String>)>> = BTreeMap::new();
    for (index, problem, only) in broken {
        problems.push(problem.clone());
        by_service.entry(index).or_default().push((problem, only));
    }
    for (index, found) in by_service {
        services[index] = Arc::new(services[index].broken(&found));
    }
}

/// Task definitions without a service whose family something else registers too: the newest revision, which is what
/// schedules run, would be the other's.
fn check_families(
    repository: &Repository,
    services: &[Arc<LoadedService>],
    broken: &mut Vec<(usize, Diagnostic, Option<String>)>,
) {
    let environments = || repository.environments.values();
    let is_alone = |service: &LoadedService| environments().any(|it| service.is_definition_in(&it.name));
    if !services.iter().any(|service| is_alone(service)) {
        return;
    }
    let mut users: BTreeMap<_, Vec<(usize, &str)>> = BTreeMap::new();
    for environment in environments() {
        for (index, service) in services.iter().enumerate() {
            let Some(Ok(_)) = service.environments.get(&environment.name) else { continue };
            let Some(family) = service.family_in(&environment.name) else { continue };
            let family = (environment.account.as_str(), environment.region.as_str(), family);
            users.entry(family).or_default().push((index, &environment.name));
        }
    }
    let place = Path::root("taskDefinition").member("family");
    for ((account, region, family), users) in users {
        for (index, environment) in &users {
            let Some(Ok(rendered)) = services[*index].environments.get(*environment) else { continue };
            let other = users.iter().find(|other| **other != (*index, environment));
            let Some((other, elsewhere)) = other.filter(|_| rendered.ownership == Ownership::Definition) else {
                continue;
            };
            let message = format!(
                "the task definition family {family} ({account}, {region}) is registered by `{}` in `{elsewhere}` too, so that its newest revision, which schedules run, would not be this one",
                services[*other].directory.path
            );
            let hint = "give it a `family` of its own, as in `family: ${{ name }}-${{ environment }}`";
            let problem = Diagnostic::error(codes::DUPLICATE_IDENTITY, &rendered.span_of(&place), message).hint(hint);
            broken.push((*index, problem, Some((*environment).to_owned())));
        }
    }
}

/// Image policies that follow a service which is not there, or lead back to themselves.
fn check_follow(
    repository: &Repository,
    services: &[Arc<LoadedService>],
    broken: &mut Vec<(usize, Diagnostic, Option<String>)>,
) {
    let known: HashSet<&str> = services.iter().map(|service| service.directory.name.as_str()).collect();
    for environment in repository.environments.values() {
        let mut graph: BTreeMap<String, Vec<(String, Span)>> = BTreeMap::new();
        for (index, service) in services.iter().enumerate() {
            let Some(Ok(rendered)) = service.environments.get(&environment.name) else { continue };
            for (container, policy) in &rendered.updates {
                let Strategy::Follow { service: other, container: followed } = &policy.strategy else { continue };
                if !known.contains(other.as_str()) {
                    let message = format!("`follow` names `{other}`, which is not a service of this repository");
                    let problem = Diagnostic::error(codes::UNKNOWN_NAME, &policy.span, message);
                    let problem = near(problem, other, services, broken.len());
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
            let on_it: HashSet<&str> = cycle.iter().filter_map(|name| name.split('/').next()).collect();
            for (index, service) in services.iter().enumerate() {
                if on_it.contains(service.directory.name.as_str()) {
                    broken.push((index, problem.clone(), Some(environment.name.clone())));
                }
            }
        }
    }
}

/// With the name of a service that may have been meant, where not many names are wrong already.
fn near(problem: Diagnostic, written: &str, services: &[Arc<LoadedService>], already: usize) -> Diagnostic {
    if already >= 50 {
        return problem;
    }
    problem.suggest(written, services.iter().map(|service| service.directory.name.as_str()))
}

fn check_after(
    repository: &Repository,
    services: &[Arc<LoadedService>],
    broken: &mut Vec<(usize, Diagnostic, Option<String>)>,
) {
    let known: HashSet<&str> = services.iter().map(|service| service.directory.name.as_str()).collect();
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
                if !known.contains(name.as_str()) {
                    let message = format!("`after` names `{name}`, which is not a service of this repository");
                    let problem = Diagnostic::error(codes::UNKNOWN_NAME, span, message);
                    let problem = near(problem, name, services, broken.len());
                    broken.push((index, problem, Some(environment.name.clone())));
                }
            }
            let edges = rendered.after.iter().map(|(name, span)| (name.as_str(), span)).collect();
            graph.insert(&service.directory.name, edges);
        }
        if let Some((cycle, span)) = find_cycle(&graph) {
            let message = format!("`after` leads back to itself: {}", cycle.join(" → "));
            let problem = Diagnostic::error(codes::CYCLE, span, message);
            let on_it: HashSet<&str> = cycle.iter().copied().collect();
            for (index, service) in services.iter().enumerate() {
                if on_it.contains(service.directory.name.as_str()) {
                    broken.push((index, problem.clone(), Some(environment.name.clone())));
                }
            }
        }
    }
}
