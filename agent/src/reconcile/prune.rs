//! Orphans: services that carry our tags and are no longer declared. Found by a scan of the cluster, which is apart
//! from the rounds: at the start, when a commit removes something, and hourly.

use super::{
    load::{Loader, Snapshot},
    service::{Round, log_breach},
};
use crate::{
    execute::{Ended, Target, execute},
    git::{GitError, Remote},
};
use lockstep_core::event::{Trigger, What};
use lockstep_core::observed::words::ServiceStatus;
use lockstep_core::service::{machine::short, outcome::refuse_breaches};
use lockstep_core::state::{Axes, ServiceState, time_text};
use lockstep_core::{
    fleet::prune::{Circumstances, Declared, plan_orphan},
    observed::{LiveService, Reading},
    report::{ActionKind, Reason, ServicePlan, Verdict, Withheld},
    service::lint::Subject,
    stated::identity::{self, Owner, owner},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
};

/// Seconds of AWS's clock between two scans.
const SCAN: i64 = 3600;
/// Seconds until a scan that failed is tried again.
const AGAIN: i64 = 300;
/// Commits that are looked at to find the one that declared a service.
const LONGEST_WALK: usize = 5_000;

/// The directory that has the branch's history, if any: it is opened anew to be read, so that nobody waits for a fetch
/// or a push.
pub(super) type History = Option<PathBuf>;

/// What a worker remembers of orphans.
#[derive(Default)]
pub(super) struct Orphans {
    scanned_at: Option<i64>,
    /// The ECS names that were declared at the last scan.
    declared: BTreeSet<String>,
    /// ECS names of orphans that were found.
    found: BTreeSet<String>,
    /// The commits that declared them.
    commits: HashMap<String, String>,
    axes: HashMap<String, Axes>,
    /// No removal before then: one failed.
    not_before: Option<i64>,
}

impl Orphans {
    /// Plans the orphans of an environment, acts, and reports.
    pub(super) async fn round(
        &mut self,
        round: &Round<'_>,
        snapshot: &Snapshot,
        declared: &BTreeSet<String>,
        undeployed: Option<&str>,
        history: &History,
    ) -> Vec<ServiceState> {
        let now = round.clients.now();
        let removed = self.declared.iter().any(|name| !declared.contains(name));
        let due = removed || self.scanned_at.is_none_or(|at| now - at >= SCAN) || round.ground.orders.prune;
        if due {
            match round.clients.service_names(&round.ground.environment.cluster).await {
                Ok(names) => {
                    self.found = names.into_iter().filter(|name| !declared.contains(name)).collect();
                    self.scanned_at = Some(now);
                    declared.clone_into(&mut self.declared);
                }
                Err(error) => {
                    tracing::warn!(%error, "the cluster cannot be searched for orphans");
                    self.scanned_at = Some(now - SCAN + AGAIN);
                }
            }
        }
        self.found.retain(|name| !declared.contains(name));
        if self.found.is_empty() {
            return Vec::new();
        }
        let names: Vec<String> = self.found.iter().cloned().collect();
        let live = round.clients.services(&round.ground.environment.cluster, &names).await;
        let is_ours = |live: &LiveService| {
            let service = live.tags.get(identity::SERVICE).map_or("", String::as_str);
            let us = owner(&live.tags, round.ground.source, &round.ground.environment.name, service) == Owner::Us;
            us && live.definition.get("serviceName").and_then(|name| name.as_str()) == Some(service)
        };
        let mut ours: BTreeMap<String, LiveService> = BTreeMap::new();
        for (name, reading) in live {
            match reading {
                Reading::Found(live) if live.status == ServiceStatus::Active && is_ours(&live) => {
                    ours.insert(name, live);
                }
                Reading::Found(live) if live.status == ServiceStatus::Draining => {}
                // Gone, or somebody else's: no business of ours until the next scan.
                Reading::Found(_) | Reading::Missing => {
                    self.found.remove(&name);
                }
                Reading::Failed(_) | Reading::Unread => {}
            }
        }
        let around = Circumstances {
            prune: round.ground.environment.sync.prune,
            confirmed: round.ground.orders.prune,
            declared: declared.len(),
            orphans: ours.len(),
            unreadable: snapshot.has_unreadable(&round.ground.environment.name) || !round.all_bound,
            undeployed,
            now,
        };
        let mut states = Vec::new();
        for (name, live) in ours {
            let by = if around.prune { self.declared_by(round, &name, history).await } else { Declared::Never };
            let mut plan = plan_orphan(&live, &name, &by, around);
            if let Reading::Found(pause) = round.cluster.pause() {
                plan.withhold_all(Reason::Paused, format!("the environment is {}", pause.text()));
            }
            let subject = Subject { declared: Some(&by), ..round.subject(Some(&live)) };
            if let Some(breach) = refuse_breaches(&mut plan, &subject) {
                log_breach(&plan.name, &breach);
            }
            let stopping = round.context.gate.is_stopping();
            let waits = self.not_before.is_some_and(|at| now < at) && !round.ground.orders.begins;
            let is_shown = round.ground.orders.removals.as_ref().is_none_or(|shown| {
                // What was shown goes on to its end.
                shown.contains(&format!("{}/{name}", round.ground.environment.name))
            });
            let note = if round.ground.may_write && !plan.actions.is_empty() && !stopping && !waits && is_shown {
                self.remove(round, &live, &mut plan).await
            } else {
                String::new()
            };
            let mut state = ServiceState {
                revision: short(&live.task_definition),
                running: Some(live.running),
                desired_count: Some(live.desired),
                observed_at: time_text(now),
                note,
                ..ServiceState::unseen(plan, round.ground.commit)
            };
            let axes = self.axes.entry(state.plan.name.clone()).or_default();
            axes.turn(&state.plan, Some((live.running, live.desired)), &time_text(now));
            state.axes = axes.clone();
            states.push(state);
        }
        states
    }

    async fn remove(&mut self, round: &Round<'_>, live: &LiveService, plan: &mut ServicePlan) -> String {
        let service = plan.name.clone();
        let target = Target {
            allow: round.allow,
            environment: round.ground.environment,
            clients: round.clients,
            service: &service,
            arn: Some(live.arn.as_str()),
            gate: &round.context.gate,
            intent: round.intent(&service, Trigger::Removed.word(), None),
        };
        let changes = plan.actions.iter().flat_map(|action| action.changes.clone()).collect();
        match execute(plan, &target).await {
            Ok(_) => {
                plan.actions.clear();
                plan.causes.clear();
                plan.withheld.push(Withheld {
                    reason: Reason::Orphan,
                    text: "no longer declared; it is being removed".to_owned(),
                    changes: Vec::new(),
                });
                plan.verdict = Some(Verdict::Progressing);
                let actions = vec![ActionKind::PruneService];
                let trigger = Trigger::Removed;
                round.tell(round.clients.now(), &service, None, What::Wrote { trigger, actions, changes });
                "removing the service".to_owned()
            }
            Err(Ended::Stopping(_)) => {
                plan.actions.clear();
                String::new()
            }
            Err(Ended::Failed(failed)) => {
                let reason = failed.to_string();
                self.not_before = Some(round.clients.now() + AGAIN);
                plan.actions.clear();
                plan.withheld.push(Withheld { reason: Reason::Failed, text: reason.clone(), changes: Vec::new() });
                round.tell(round.clients.now(), &service, None, What::Failed { reason: reason.clone() });
                reason
            }
        }
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
