//! What a commit changes goes first: it is looked at and written before what is due anyway, whose reads are paced.

use super::{
    Orders,
    environment::{Looked, Worker},
    load::Snapshot,
    service::Round,
};
use lockstep_manifests::Desired;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};
use tokio::time::Instant;

type Wanted = BTreeMap<String, (Arc<Desired>, String)>;

impl Worker {
    /// The services with another desired state, where others are due as well. Not one that has to wait for a service
    /// that nobody has looked at yet, or whose files are broken: it takes its evaluation with the others.
    pub(super) fn goes_first(&self, wanted: &Wanted, due: &BTreeSet<String>, orders: &Orders) -> BTreeSet<String> {
        if orders.by_hand {
            return BTreeSet::new();
        }
        let is_changed = |name: &&String| {
            let (desired, hash) = &wanted[*name];
            self.tracks
                .get(*name)
                .is_some_and(|track| track.machine.state().is_some() && track.machine.is_changed(hash))
                && desired.after.iter().all(|other| wanted.contains_key(other) && self.is_seen(other))
        };
        let first: BTreeSet<String> = due.iter().filter(is_changed).cloned().collect();
        if first.len() == due.len() { BTreeSet::new() } else { first }
    }

    /// Observes these services, and plans and writes them.
    pub(super) async fn changed_first(
        &mut self,
        round: &mut Round<'_>,
        snapshot: &Snapshot,
        wanted: &Wanted,
        first: &BTreeSet<String>,
    ) {
        if first.is_empty() {
            return;
        }
        let seen = wanted.iter().filter(|(name, _)| first.contains(*name) || self.is_seen(name));
        let seen: Wanted = seen.map(|(name, wanted)| (name.clone(), wanted.clone())).collect();
        let named = first.iter().filter_map(|name| Some(wanted[name].0.ecs_service()?.to_owned()));
        let names: Vec<String> = named.collect();
        let mut live = round.clients.services(&round.ground.environment.cluster, &names).await;
        round.read_at = Instant::now();
        self.read_rollouts(round.clients, &seen, first, &mut live).await;
        round.brake = Mutex::new(self.brake(round.ground.environment, &seen, &live));
        let mut looked = Looked { live, evaluations: HashMap::new() };
        self.run_waves(round, snapshot, &seen, first, &mut looked, &[]).await;
    }

    fn is_seen(&self, name: &str) -> bool {
        self.tracks.get(name).is_some_and(|track| track.machine.state().is_some())
    }
}
