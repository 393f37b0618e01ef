//! One more look at services before deployments of them are started: what a person did a moment ago is seen.

use crate::aws::Clients;
use lockstep_core::observed::{LiveService, Reading};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// How long services are gathered that are about to be written: ten of them cost one call.
const GATHERED: Duration = Duration::from_millis(20);

type Waiting = Vec<(String, oneshot::Sender<Reading<LiveService>>)>;

/// Where the services of a round that are about to be written are looked at, together.
#[derive(Default)]
pub(super) struct Lookout(Mutex<Waiting>);

impl Lookout {
    fn with<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads a service, together with those that others ask for at this moment.
    pub(super) async fn look(&self, clients: &Clients, cluster: &str, service: &str) -> Reading<LiveService> {
        let (tell, told) = oneshot::channel();
        let is_first = self.with(|waiting| {
            waiting.push((service.to_owned(), tell));
            waiting.len() == 1
        });
        if is_first {
            tokio::time::sleep(GATHERED).await;
            let waiting = self.with(std::mem::take);
            let names: Vec<String> = waiting.iter().map(|(name, _)| name.clone()).collect();
            let live: BTreeMap<String, Reading<LiveService>> = clients.services(cluster, &names).await;
            for (name, tell) in waiting {
                let _ = tell.send(live.get(&name).cloned().unwrap_or_default());
            }
        }
        told.await.unwrap_or_default()
    }
}
