//! Which commit last changed each service in each environment: the branch's history read once, then only what is new of
//! it. By the files that the service is made of there; a change of `lockstep.yaml` counts where it is seen to change it.

use super::load::Snapshot;
use crate::git::{Access, Location, Remote};
use lockstep_core::{mask, stated::commit::Commit};
use lockstep_manifests::{Desired, repository::CONFIG};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// Commits that are looked at: what was last changed longer ago is not known.
const LONGEST_WALK: usize = 2_000;
/// Longest first line of a message that is kept, in letters.
const LONGEST_SUMMARY: usize = 200;

/// The commits that last changed each service.
#[derive(Clone, Debug, Default)]
pub struct Commits {
    /// The commit up to which the history was read.
    tip: String,
    /// By path, with its place in the history: a higher one is later.
    files: BTreeMap<String, (i64, Arc<Commit>)>,
    /// By environment and service.
    services: BTreeMap<String, BTreeMap<String, Arc<Commit>>>,
}

impl Commits {
    /// Reads the history of a commit as far as it is new. What cannot be read is not known, which concerns nobody but
    /// those who look.
    pub(super) fn follow(&self, remote: &Remote, snapshot: &Snapshot, tip: &str) -> Self {
        let mut paths: BTreeSet<String> = BTreeSet::from([CONFIG.to_owned()]);
        for environment in snapshot.repository.environments.values() {
            for loaded in &snapshot.services {
                paths.extend(loaded.files_in(environment, &snapshot.repository));
            }
        }
        let paths: Vec<String> = paths.into_iter().collect();
        let is_there: BTreeSet<&String> = snapshot.services.iter().flat_map(|loaded| loaded.paths()).collect();
        let mut open: BTreeSet<usize> =
            paths.iter().enumerate().filter(|(_, path)| is_there.contains(path)).map(|(index, _)| index).collect();
        let mut found: BTreeMap<usize, (usize, Arc<Commit>)> = BTreeMap::new();
        let (mut looked_at, mut is_joined) = (0, false);
        let walked = remote.first_parents(tip, &paths, |step| {
            is_joined = step.commit == self.tip;
            if is_joined {
                // From here back everything is known.
                return true;
            }
            looked_at += 1;
            if !step.changed.is_empty() {
                let summary = step.message.lines().next().unwrap_or_default();
                // Masked before it is cut: half a token does not look like one.
                let summary: String = summary.chars().filter(|letter| !letter.is_control()).collect();
                let summary = mask::line(&summary).chars().take(LONGEST_SUMMARY).collect();
                let (id, author, committer) = (step.commit.clone(), step.author.clone(), step.committer.clone());
                let commit = Arc::new(Commit { id, author, committer, summary, at: step.at });
                for index in &step.changed {
                    open.remove(index);
                    found.entry(*index).or_insert_with(|| (looked_at, commit.clone()));
                }
            }
            open.is_empty() && self.tip.is_empty() || looked_at >= LONGEST_WALK
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "the history of the services cannot be read to its end");
        }
        let base = self.files.values().map(|(place, _)| *place).max().unwrap_or_default();
        let place = |at: usize| base + i64::try_from(looked_at + 1 - at).unwrap_or_default();
        let mut files = BTreeMap::new();
        for (index, path) in paths.into_iter().enumerate() {
            let new = found.remove(&index).map(|(at, commit)| (place(at), commit));
            let known = || self.files.get(&path).filter(|_| is_joined).cloned();
            if let Some(entry) = new.or_else(known) {
                files.insert(path, entry);
            }
        }
        let mut commits = Self { tip: tip.to_owned(), files, services: BTreeMap::new() };
        commits.name_services(snapshot);
        commits
    }

    /// The same of a checkout, whose files may differ from its commit.
    pub(super) fn of_checkout(path: &Path, snapshot: &Snapshot, head: &str, edited: &[String]) -> Self {
        let opened = Remote::open(&Location::Path(path.to_owned()), "HEAD", Path::new(""), Access::default());
        let Ok(remote) = opened else { return Self::default() };
        let mut commits = Self::default().follow(&remote, snapshot, head);
        // What is edited is in no commit yet.
        for path in edited {
            commits.files.insert(path.clone(), (i64::MAX, Arc::new(Commit::default())));
        }
        commits.name_services(snapshot);
        commits
    }

    fn name_services(&mut self, snapshot: &Snapshot) {
        self.services.clear();
        for environment in snapshot.repository.environments.values() {
            let services = self.services.entry(environment.name.clone()).or_default();
            for loaded in &snapshot.services {
                let files = loaded.files_in(environment, &snapshot.repository);
                let last = files.iter().filter_map(|path| self.files.get(path)).max_by_key(|(place, _)| *place);
                if let Some((_, commit)) = last.filter(|(_, commit)| !commit.id.is_empty()) {
                    services.insert(loaded.directory.name.clone(), commit.clone());
                }
            }
        }
    }

    fn of(&self, environment: &str, service: &str) -> Option<&Arc<Commit>> {
        self.services.get(environment)?.get(service)
    }
}

/// The commit that last changed one service, as its rounds see it.
#[derive(Default)]
pub(super) struct ChangedBy {
    /// The commit.
    pub(super) commit: Option<Commit>,
    tip: String,
    hash: String,
    by_files: Option<Arc<Commit>>,
    parameters: BTreeMap<String, u64>,
}

impl ChangedBy {
    /// Looks again, for a desired state.
    pub(super) fn look(&mut self, commits: &Commits, desired: &Desired, hash: &str) {
        if self.tip == commits.tip && self.hash == hash && !self.tip.is_empty() {
            return;
        }
        let by_files = commits.of(&desired.environment, &desired.name);
        let is_other = !self.hash.is_empty() && self.hash != hash;
        if self.hash.is_empty() || self.by_files.as_ref() != by_files {
            self.commit = by_files.map(|commit| Commit::clone(commit));
        } else if is_other
            && self.parameters == desired.parameters
            && let Some((_, config)) = commits.files.get(CONFIG)
        {
            // None of its files changed and no parameter did: it was a setting of the repository.
            self.commit = Some(Commit::clone(config));
        }
        hash.clone_into(&mut self.hash);
        commits.tip.clone_into(&mut self.tip);
        self.by_files = by_files.cloned();
        self.parameters.clone_from(&desired.parameters);
    }
}
