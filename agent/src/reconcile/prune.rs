//! Orphans: services that carry our tags and are no longer declared. Found by a scan of the cluster, which is apart
//! from the rounds: at the start, when a commit removes something, and hourly. What is decided about them is in
//! `core/src/fleet/orphans.rs`.

use super::{
    load::{Loader, Snapshot},
    service::{Round, log_breach},
};
use crate::git::{GitError, Remote};
use lockstep_core::{
    event::Trigger,
    fleet::{
        orphans::{Around, Decided, Orphans as Machine},
        prune::Declared,
    },
    state::ServiceState,
};
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};

/// Commits that are looked at to find the one that declared a service.
const LONGEST_WALK: usize = 5_000;

/// The directory that has the branch's history, if any: it is opened anew to be read, so that nobody waits for a fetch
/// or a push.
pub(super) type History = Option<PathBuf>;

/// What a worker keeps of orphans.
#[derive(Default)]
pub(super) struct Orphans {
    machine: Machine,
    /// The commits that declared them.
    commits: HashMap<String, String>,
}

impl Orphans {
    /// Looks for the orphans of an environment, carries out what is decided, and reports.
    pub(super) async fn round(
        &mut self,
        round: &Round<'_>,
        snapshot: &Snapshot,
        declared: &BTreeSet<String>,
        undeployed: Option<&str>,
        history: &History,
    ) -> Vec<ServiceState> {
        let environment = round.ground.environment;
        let around = Around {
            ground: &round.ground,
            declared,
            unreadable: snapshot.has_unreadable(&environment.name) || !round.all_bound,
            undeployed,
            now: round.clients.now(),
        };
        if self.machine.wants_scan(&around) {
            let names = round.clients.service_names(&environment.cluster).await;
            if let Err(error) = &names {
                tracing::warn!(%error, "the cluster cannot be searched for orphans");
            }
            self.machine.scanned(names.ok(), &around);
        }
        let names = self.machine.names(&around);
        self.commits.retain(|name, _| names.contains(name));
        if names.is_empty() {
            return Vec::new();
        }
        let live = round.clients.services(&environment.cluster, &names).await;
        let ours = self.machine.ours(live, &round.ground);
        let (mut states, count) = (Vec::new(), ours.len());
        for (name, live) in ours {
            let by = match environment.sync.prune {
                true => self.declared_by(round, &name, history).await,
                false => Declared::Never,
            };
            let Decided { mut plan, writes, breach } = self.machine.decide(&name, &live, &by, count, &around);
            if let Some(breach) = breach {
                log_breach(&name, &breach);
            }
            let mut note = String::new();
            if writes {
                let intent = round.intent(&name, Trigger::Removed.word(), None);
                let outcome = round.write(&plan, &name, Some(&live.arn), intent).await;
                let (said, told) = self.machine.removed(&mut plan, &outcome, round.clients.now());
                note = said;
                if let Some(what) = told {
                    round.tell(round.clients.now(), &name, None, what);
                }
            }
            states.push(self.machine.state(plan, &live, note, &around));
        }
        states
    }

    /// The newest commit on the branch that declared the service for the environment.
    async fn declared_by(&mut self, round: &Round<'_>, name: &str, history: &History) -> Declared {
        if let Some(commit) = self.commits.get(name) {
            return Declared::By(commit.clone());
        }
        let (Some(directory), false) = (history.clone(), round.base.is_empty()) else {
            let text = "the files are in no Git repository with a commit";
            return Declared::Unknown(text.to_owned());
        };
        let (tip, environment, service) =
            (round.base.to_owned(), round.ground.environment.name.clone(), name.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            let remote = Remote::reader(&directory)?;
            search(&remote, &tip, &environment, &service)
        });
        match found.await {
            Ok(Ok(Some(commit))) => {
                self.commits.insert(name.to_owned(), commit.clone());
                Declared::By(commit)
            }
            Ok(Ok(None)) => Declared::Never,
            Ok(Err(error)) => Declared::Unknown(error.to_string()),
            Err(error) => Declared::Unknown(error.to_string()),
        }
    }
}

/// Reads the commits behind a tip until one declares the service.
fn search(remote: &Remote, tip: &str, environment: &str, service: &str) -> Result<Option<String>, GitError> {
    let mut loader = Loader::default();
    let (mut found, mut failed, mut seen, mut tree) = (None, None, 0, String::new());
    remote.walk_back(tip, |commit| {
        seen += 1;
        if commit.tree != tree {
            tree.clone_from(&commit.tree);
            match remote.tree(commit) {
                Ok(files) => {
                    if loader.load(&files, &commit.commit, "").declares(environment, service) {
                        found = Some(commit.commit.clone());
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        found.is_some() || failed.is_some() || seen >= LONGEST_WALK
    })?;
    failed.map_or(Ok(found), Err)
}
