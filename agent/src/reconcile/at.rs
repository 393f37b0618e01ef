//! Services that are at another commit than the branch's tip in an environment: what they render to there.

use super::load::{LoadedService, Snapshot};
use crate::git::Remote;
use lockstep_core::stated::at::{Asked, At, Past, choose};
use lockstep_manifests::{
    Diagnostic, Environment, Rendered, Repository, at, codes, diagnostic,
    render::{self, render_offline},
    service::Service,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Commits that are looked at to find the one that a file names.
const LONGEST_WALK: usize = 5_000;

/// Puts the services that are at another commit there. Where that cannot be done, the file has an error, and the service
/// stays as it was. `directory` has the history.
pub(super) fn apply(snapshot: &mut Snapshot, directory: &Path) {
    if !snapshot.services.iter().any(|loaded| loaded.has_at()) {
        return;
    }
    let remote = if snapshot.base.is_empty() {
        Err("the files are in no Git repository with a commit, so that there is no history".to_owned())
    } else {
        Remote::reader(directory).map_err(|error| error.to_string())
    };
    let repository = snapshot.repository.clone();
    let mut problems = Vec::new();
    for loaded in &mut snapshot.services {
        if !loaded.has_at() {
            continue;
        }
        let mut outcomes = BTreeMap::new();
        for (name, written) in loaded.at_files() {
            let Some(environment) = repository.environments.get(name) else { continue };
            let outcome = match &remote {
                Ok(remote) => place(remote, &snapshot.base, &repository, environment, loaded, written),
                Err(reason) => Err(reason.clone()),
            };
            let outcome = outcome.map(|(at, rendered)| (at, Arc::new(rendered)));
            let outcome = outcome.map_err(|reason| Diagnostic::error(codes::AT, &written.span, reason));
            problems.extend(outcome.as_ref().err().cloned());
            outcomes.insert(name.clone(), outcome);
        }
        *loaded = Arc::new(loaded.placed(outcomes));
    }
    snapshot.problems.extend(problems);
    diagnostic::cut(&mut snapshot.problems);
}

/// What a service is in an environment at the commit that a file names.
fn place(
    remote: &Remote,
    tip: &str,
    repository: &Repository,
    environment: &Environment,
    loaded: &LoadedService,
    written: &at::At,
) -> Result<(At, Rendered), String> {
    let name = &loaded.directory.name;
    let settings = match loaded.environments.get(&environment.name) {
        Some(Ok(rendered)) => rendered,
        Some(Err(_)) => return Err(format!("{name} has errors in {}; correct these first", environment.name)),
        None => return Err(format!("{name} is not in {}", environment.name)),
    };
    let file = written.span.file.path.as_str();
    let paths: Vec<String> = loaded.files_in(environment, repository).into_iter().filter(|path| path != file).collect();
    let mut history = Vec::new();
    let walked = remote.first_parents(tip, &paths, |step| {
        history.push(Past { commit: step.commit.clone(), changes: !step.changed.is_empty() });
        step.commit.starts_with(&written.commit) || history.len() >= LONGEST_WALK
    });
    walked.map_err(|error| format!("the history cannot be read: {error}"))?;
    let asked = Asked { commit: &written.commit, reason: &written.reason, file };
    let Some(at) = choose(Some(asked), &history)? else { return Err("nothing was chosen".to_owned()) };
    let short = lockstep_core::stated::commit::short(&at.commit);
    let tree = remote.tree_of(&at.commit).map_err(|error| format!("commit {short} cannot be read: {error}"))?;
    let mut found = Vec::new();
    let there = Repository::load(&tree, &mut found);
    let first_error = |found: &[Diagnostic]| {
        let first = found.iter().find(|problem| problem.severity == lockstep_manifests::Severity::Error)?;
        let place = first.place().map_or(String::new(), |(file, line, _)| format!("{file}:{line}: "));
        Some(format!("at commit {short} the files have errors: {place}{}", first.message))
    };
    if let Some(text) = first_error(&found) {
        return Err(text);
    }
    // Identity and settings are the tip's; what renders is the commit's.
    let Some(then) = there.environments.get(&environment.name) else {
        return Err(format!("commit {short} does not know the environment {}", environment.name));
    };
    let then = Environment {
        account: environment.account.clone(),
        account_span: environment.account_span.clone(),
        region: environment.region.clone(),
        cluster: environment.cluster.clone(),
        sync: environment.sync,
        write: environment.write,
        after: environment.after.clone(),
        ..then.clone()
    };
    let Some(directory) = there.services.iter().find(|directory| directory.name == *name) else {
        return Err(format!("commit {short} has no service {name}"));
    };
    let service = Service::load(&there, directory, &tree, &mut found);
    if !service.is_in(&then) {
        return Err(format!("at commit {short} {name} is not in {}", environment.name));
    }
    let rendered = render_offline(&there, &then, &service, &mut render::meter(), &mut found);
    let (rendered, desired) = match (rendered, first_error(&found)) {
        (Some(rendered), None) => rendered,
        (_, text) => return Err(text.unwrap_or_else(|| format!("commit {short} does not render"))),
    };
    let is_other = loaded.names.get(&environment.name).is_some_and(|known| *known != desired.service_name);
    if is_other {
        let was = &desired.service_name;
        return Err(format!("at commit {short} {name} was another ECS service, {was}"));
    }
    Ok((at, rendered.with_settings_of(settings)))
}
