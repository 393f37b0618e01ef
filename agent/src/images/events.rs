//! Pushes that ECR tells of: EventBridge puts its events into a queue of SQS. They only make a look sooner. A message is
//! deleted when every source that reads the repository has looked since and has nothing left to write; what is lost
//! before comes again.

use super::registries::Place;
use crate::aws::{Message, QueueUrl};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// Most messages that wait for their effect.
const MOST_PENDING: usize = 1000;

/// A message that waits for its effect.
struct Pending {
    queue: Arc<QueueUrl>,
    message: Message,
    place: Place,
    push: u64,
    /// The sources that are done with it.
    done: BTreeSet<usize>,
}

/// Where pushes are announced.
pub struct PushEvents {
    pending: Mutex<Vec<Pending>>,
    /// The repositories that each source reads, by its place on the board.
    reads: Mutex<BTreeMap<usize, BTreeSet<Place>>>,
    rings: watch::Sender<u64>,
}

impl Default for PushEvents {
    fn default() -> Self {
        Self { pending: Mutex::default(), reads: Mutex::default(), rings: watch::channel(0).0 }
    }
}

impl PushEvents {
    fn pending(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when somebody rings after now.
    pub fn listener(&self) -> watch::Receiver<u64> {
        self.rings.subscribe()
    }

    /// Wakes all sources.
    pub fn ring(&self) {
        self.rings.send_modify(|count| *count += 1);
    }

    pub(super) fn add(&self, queue: &Arc<QueueUrl>, message: Message, place: Place, push: u64) {
        let mut pending = self.pending();
        // The same message again has another receipt; the old one no longer deletes it.
        pending.retain(|known| known.message.body != message.body || known.queue != *queue);
        if pending.len() >= MOST_PENDING {
            // It comes again when its time is over.
            pending.remove(0);
        }
        pending.push(Pending { queue: queue.clone(), message, place, push, done: BTreeSet::new() });
    }

    /// Forgets which source reads what, when there are others.
    pub fn forget_sources(&self) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.pending().iter_mut().for_each(|pending| pending.done.clear());
    }

    /// Tells what a source reads, and which pushes it is done with. Answers the messages that all are done with who read
    /// that repository; one that nobody reads has no effect. A source that never got to look has read nothing yet, and
    /// reads everything when it does.
    pub fn done(
        &self,
        source: usize,
        places: BTreeSet<Place>,
        is_done: impl Fn(&Place, u64) -> bool,
    ) -> Vec<(Arc<QueueUrl>, Message)> {
        let mut finished = Vec::new();
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        reads.insert(source, places);
        self.pending().retain_mut(|pending| {
            if is_done(&pending.place, pending.push) {
                pending.done.insert(source);
            }
            let mut readers = reads.iter().filter(|(_, places)| places.contains(&pending.place));
            let is_finished = readers.all(|(source, _)| pending.done.contains(source));
            if is_finished {
                finished.push((pending.queue.clone(), pending.message.clone()));
            }
            !is_finished
        });
        finished
    }
}

/// The repository that an event tells a push of; none for any other event.
pub(super) fn pushed_to(body: &str) -> Option<Place> {
    let mut event: Value = serde_json::from_str(body).ok()?;
    // What came by way of SNS is wrapped once more.
    if let Some(inner) = event.get("Message").and_then(Value::as_str) {
        event = serde_json::from_str(inner).ok()?;
    }
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let is_push = text("/source") == Some("aws.ecr")
        && text("/detail/action-type") == Some("PUSH")
        && text("/detail/result") == Some("SUCCESS");
    if !is_push {
        return None;
    }
    Some(Place::Ecr {
        account: text("/account")?.to_owned(),
        region: text("/region")?.to_owned(),
        repository: text("/detail/repository-name")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: &str = r#"{"source":"aws.ecr","detail-type":"ECR Image Action","account":"111111111111","region":"eu-central-1","detail":{"action-type":"PUSH","result":"SUCCESS","repository-name":"web","image-tag":"1"}}"#;

    #[test]
    fn only_pushes_that_succeeded_are_pushes() {
        let place =
            Place::Ecr { account: "111111111111".into(), region: "eu-central-1".into(), repository: "web".into() };
        assert_eq!(pushed_to(PUSH), Some(place.clone()));
        assert_eq!(pushed_to(&serde_json::json!({"Type": "Notification", "Message": PUSH}).to_string()), Some(place));
        for other in [
            "",
            "[]",
            "{\"Message\": \"x\"}",
            &PUSH.replace("SUCCESS", "FAILURE"),
            &PUSH.replace("PUSH", "DELETE"),
            &PUSH.replace("aws.ecr", "aws.ecs"),
            &PUSH.replace("\"repository-name\":\"web\",", ""),
        ] {
            assert_eq!(pushed_to(other), None, "{other}");
        }
    }

    #[test]
    fn a_message_is_finished_when_every_source_is_done_with_it() {
        let push_events = PushEvents::default();
        let queue = Arc::new(QueueUrl::parse("https://sqs.eu-central-1.amazonaws.com/111111111111/q").unwrap());
        let place = pushed_to(PUSH).unwrap();
        let message = |receipt: &str| Message { receipt: receipt.into(), body: PUSH.into() };
        push_events.add(&queue, message("1"), place.clone(), 1);
        push_events.add(&queue, message("2"), place.clone(), 2);
        assert_eq!(push_events.pending().len(), 1, "the same message again");
        let both = BTreeSet::from([place.clone()]);
        assert!(push_events.done(1, both.clone(), |_, push| push < 2).is_empty());
        assert!(push_events.done(0, both.clone(), |_, _| true).is_empty());
        // One that reads something else is not waited for.
        assert!(push_events.done(2, BTreeSet::new(), |_, _| false).is_empty());
        let finished = push_events.done(1, both, |other, push| *other == place && push == 2);
        assert_eq!(finished, [(queue, message("2"))]);
        assert!(push_events.pending().is_empty());
    }
}
