//! One more look at a service before a deployment of it is started: what a person did a moment ago is seen. ECS has no
//! compare-and-swap, so that this narrows the gap and does not close it.

use super::service::{Round, Track};
use crate::aws::Clients;
use lockstep_core::{
    observed::{LiveService, Reading},
    report::{Reason, ServicePlan, Verdict},
};
use lockstep_manifests::Desired;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// How old what was read may be when a deployment is started.
const FRESH: Duration = Duration::from_secs(1);
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

    async fn look(&self, clients: &Clients, cluster: &str, service: &str) -> Reading<LiveService> {
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

impl Round<'_> {
    /// Looks once more at a service that is about to be deployed, where it was read longer ago. Where it is another one
    /// now, nothing is written, and it is planned again.
    pub(super) async fn has_changed_meanwhile(
        &self,
        desired: &Desired,
        live: &Reading<LiveService>,
        plan: &mut ServicePlan,
        track: &mut Track,
    ) -> bool {
        if self.read_at.elapsed() < FRESH {
            return false;
        }
        let now = self.lookout.look(self.clients, &self.environment.cluster, &desired.service_name).await;
        let there = |reading: &Reading<LiveService>| reading.found().filter(|it| it.status != "INACTIVE").cloned();
        match (there(live), there(&now), &now) {
            (_, None, Reading::Failed(text)) => {
                plan.withhold_all(Reason::Unread, format!("the read before the deployment failed: {text}"));
            }
            (None, None, _) => return false,
            (Some(before), Some(now), _) if before.is_as(&now) => return false,
            _ => {
                let text = "the service was changed while its change was planned; it is planned again".to_owned();
                plan.withhold_all(Reason::Queued, text);
                plan.verdict = Some(Verdict::Pending);
            }
        }
        track.observed_at = None;
        true
    }
}
