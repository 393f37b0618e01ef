//! Log groups, their streams and events (CloudWatch Logs).
//!
//! Events are taken whatever their time: clients stamp them with the real clock, which the virtual one leaves behind.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::clock::Moment;
use crate::place::Place;

mod operations;

pub(crate) use operations::run;

/// The log groups of a place, by name.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    groups: BTreeMap<String, Group>,
}

#[derive(Debug)]
struct Group {
    created_at: Moment,
    class: String,
    streams: BTreeMap<String, Stream>,
    /// Events of all streams so far.
    count: u64,
}

#[derive(Debug)]
struct Stream {
    created_at: Moment,
    ingested_at: Option<Moment>,
    /// In the order of their positions.
    events: Vec<Event>,
}

#[derive(Debug)]
struct Event {
    position: Position,
    message: String,
    ingested_at: Moment,
}

/// Where an event stands: its time in milliseconds, then its number in the group, from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    millis: u64,
    number: u64,
}

impl Logs {
    /// Adds a line, and makes group and stream if need be.
    pub(crate) fn append(&mut self, group: &str, stream: &str, at: Moment, line: &str) {
        let group = self.groups.entry(group.to_owned()).or_insert_with(|| Group::new(at, "STANDARD"));
        group.streams.entry(stream.to_owned()).or_insert_with(|| Stream::new(at));
        group.append(stream, at.millis(), line, at);
    }

    /// Makes a group, unless it is there. Says whether it was not.
    pub(crate) fn create(&mut self, name: &str, class: &str, now: Moment) -> bool {
        let absent = !self.groups.contains_key(name);
        if absent {
            self.groups.insert(name.to_owned(), Group::new(now, class));
        }
        absent
    }
}

impl Group {
    fn new(now: Moment, class: &str) -> Self {
        Self { created_at: now, class: class.to_owned(), streams: BTreeMap::new(), count: 0 }
    }

    /// Adds an event to a stream that is there.
    fn append(&mut self, stream: &str, millis: u64, message: &str, now: Moment) {
        let Some(stream) = self.streams.get_mut(stream) else {
            return;
        };
        self.count += 1;
        let position = Position { millis, number: self.count };
        let at = stream.events.partition_point(|event| event.position < position);
        stream.events.insert(at, Event { position, message: message.to_owned(), ingested_at: now });
        stream.ingested_at = Some(now);
    }

    fn wire(&self, place: &Place, name: &str) -> Value {
        let arn = arn(place, name);
        let bytes: usize =
            self.streams.values().flat_map(|stream| &stream.events).map(|event| event.message.len() + 26).sum();
        json!({
            "logGroupName": name,
            "creationTime": self.created_at.millis(),
            "metricFilterCount": 0,
            "arn": format!("{arn}:*"),
            "storedBytes": bytes,
            "logGroupClass": self.class,
            "logGroupArn": arn,
        })
    }
}

fn arn(place: &Place, group: &str) -> String {
    place.arn("logs", format_args!("log-group:{group}"))
}

impl Stream {
    fn new(now: Moment) -> Self {
        Self { created_at: now, ingested_at: None, events: Vec::new() }
    }

    /// The time of its last event, by which streams are ordered.
    fn last(&self) -> u64 {
        self.events.last().map_or(0, |event| event.position.millis)
    }

    fn wire(&self, place: &Place, group: &str, name: &str) -> Value {
        let mut wire = json!({
            "logStreamName": name,
            "creationTime": self.created_at.millis(),
            "arn": format!("{}:log-stream:{name}", arn(place, group)),
            "storedBytes": 0,
        });
        if let (Some(first), Some(ingested)) = (self.events.first(), self.ingested_at) {
            wire["firstEventTimestamp"] = json!(first.position.millis);
            wire["lastEventTimestamp"] = json!(self.last());
            wire["lastIngestionTime"] = json!(ingested.millis());
            wire["uploadSequenceToken"] = json!(Position { millis: ingested.millis(), number: 0 }.text());
        }
        wire
    }
}

impl Event {
    fn wire(&self) -> Value {
        json!({
            "timestamp": self.position.millis,
            "message": self.message,
            "ingestionTime": self.ingested_at.millis(),
        })
    }
}

impl Position {
    /// The form of ids and tokens: 56 digits.
    fn text(self) -> String {
        format!("{:020}{:036}", self.millis, self.number)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 56 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return None;
        }
        let (millis, number) = text.split_at(20);
        Some(Self { millis: millis.parse().ok()?, number: number.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_keep_their_order_as_text() {
        let (a, b) = (Position { millis: 9, number: 10 }, Position { millis: 10, number: 2 });
        assert!(a < b && a.text() < b.text());
        assert_eq!(Position::parse(&a.text()), Some(a));
        assert_eq!(Position::parse("1"), None);
    }

    #[test]
    fn late_events_take_their_place() {
        let mut logs = Logs::default();
        for (millis, line) in [(5, "b"), (1, "a"), (5, "c")] {
            logs.append("g", "s", Moment::from_millis(millis), line);
        }
        let lines: Vec<&str> = logs.groups["g"].streams["s"].events.iter().map(|event| &*event.message).collect();
        assert_eq!(lines, ["a", "b", "c"]);
    }
}
