//! Standard queues (Amazon SQS): messages are hidden while they are being worked on, and come back unless deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Moment;
use crate::ids::{Ids, hex, unhex};
use crate::place::Place;

mod attributes;
mod operations;
mod sums;

pub(crate) use operations::{query_code, query_status, run, wait};

/// The queues of a place, by name.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    by_name: BTreeMap<String, Queue>,
}

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    created_at: Moment,
    /// Those that its maker gave.
    attributes: BTreeMap<String, String>,
    purged_at: Option<Moment>,
    /// Oldest first.
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Message {
    id: String,
    body: String,
    attributes: Map<String, Value>,
    sender: String,
    sent_at: Moment,
    first_received_at: Option<Moment>,
    received: u64,
    /// When it can be received; in the past for one that can be received now.
    visible_at: Moment,
}

/// A message to be sent.
pub(crate) struct NewMessage<'a> {
    pub(crate) body: &'a str,
    pub(crate) attributes: Map<String, Value>,
    /// The user id of the sender.
    pub(crate) sender: &'a str,
    /// Absent: as long as the queue delays all.
    pub(crate) delay: Option<Duration>,
}

/// What a receipt handle means now.
#[derive(Debug, PartialEq, Eq)]
enum Receipt {
    /// It is of the latest receive of a message that is there.
    Current(usize),
    /// The message was received again since, or is gone.
    Stale,
    /// It is no receipt handle.
    Invalid,
}

/// The most messages of one receive.
const BATCH: usize = 10;

impl Queues {
    /// The queue of the name, made if need be.
    pub(crate) fn ensure(&mut self, name: &str, now: Moment) -> &mut Queue {
        self.by_name.entry(name.to_owned()).or_insert_with(|| Queue::new(BTreeMap::new(), now))
    }

    /// How many messages a queue holds, visible or not.
    pub(crate) fn depth(&mut self, name: &str, now: Moment) -> usize {
        self.by_name.get_mut(name).map_or(0, |queue| {
            queue.forget_old(now);
            queue.messages.len()
        })
    }
}

/// The URL of a queue.
pub(crate) fn url(endpoint: &str, place: &Place, name: &str) -> String {
    format!("{endpoint}/{}/{name}", place.account)
}

impl Queue {
    fn new(attributes: BTreeMap<String, String>, now: Moment) -> Self {
        Self { created_at: now, attributes, purged_at: None, messages: Vec::new() }
    }

    /// Adds a message. Returns its id.
    pub(crate) fn send(&mut self, new: NewMessage<'_>, now: Moment, ids: &mut Ids) -> String {
        let id = ids.uuid();
        self.messages.push(Message {
            id: id.clone(),
            body: new.body.to_owned(),
            attributes: new.attributes,
            sender: new.sender.to_owned(),
            sent_at: now,
            first_received_at: None,
            received: 0,
            visible_at: now.plus(new.delay.unwrap_or_else(|| self.seconds("DelaySeconds"))),
        });
        id
    }

    /// Drops messages that were kept for as long as the queue keeps them.
    fn forget_old(&mut self, now: Moment) {
        let kept = self.seconds("MessageRetentionPeriod");
        self.messages.retain(|message| message.sent_at.plus(kept) > now);
    }

    fn has_visible(&self, now: Moment) -> bool {
        self.messages.iter().any(|message| message.visible_at <= now)
    }

    /// Hides the oldest visible messages. Returns them with their receipt handles.
    fn receive(&mut self, count: usize, hidden: Duration, now: Moment) -> Vec<(&Message, String)> {
        let visible = self.messages.iter_mut().filter(|message| message.visible_at <= now);
        visible
            .take(count)
            .map(|message| {
                message.received += 1;
                message.first_received_at.get_or_insert(now);
                message.visible_at = now.plus(hidden);
                let handle = message.handle();
                (&*message, handle)
            })
            .collect()
    }

    fn receipt(&self, handle: &str) -> Receipt {
        let text = handle.strip_prefix(HANDLE).and_then(unhex).and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((id, received)) = text.as_deref().and_then(|text| text.split_once(' ')) else {
            return Receipt::Invalid;
        };
        let current = |message: &Message| message.id == id && message.received.to_string() == received;
        self.messages.iter().position(current).map_or(Receipt::Stale, Receipt::Current)
    }

    /// Deletes a message, unless its handle is stale. Says whether the handle is one.
    fn delete(&mut self, handle: &str) -> bool {
        match self.receipt(handle) {
            Receipt::Current(at) => {
                self.messages.remove(at);
                true
            }
            Receipt::Stale => true,
            Receipt::Invalid => false,
        }
    }
}

/// How receipt handles begin.
const HANDLE: &str = "AQEB";

impl Message {
    /// A handle names the message and its receive, so that an older one is known to be stale.
    fn handle(&self) -> String {
        format!("{HANDLE}{}", hex(format!("{} {}", self.id, self.received).as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_deletes_nothing() {
        let (mut queues, mut ids, start) = (Queues::default(), Ids::new(1, "test"), Moment::from_millis(0));
        let queue = queues.ensure("q", start);
        let new = NewMessage { body: "a", attributes: Map::new(), sender: "b", delay: None };
        queue.send(new, start, &mut ids);
        let hidden = Duration::from_secs(30);
        let receive = |queue: &mut Queue, now| queue.receive(BATCH, hidden, now).pop().map(|(_, handle)| handle);
        let first = receive(queue, start).unwrap();
        assert_eq!(receive(queue, start), None);
        let later = start.plus(hidden);
        let second = receive(queue, later).unwrap();
        assert_ne!(first, second);
        assert!(queue.delete(&first));
        assert_eq!(queue.messages.len(), 1);
        assert!(queue.delete(&second));
        assert!(queue.messages.is_empty());
        assert!(queue.delete(&second) && !queue.delete("x"));
    }
}
