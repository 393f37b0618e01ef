//! What a repository may become. A limit on what is written says nothing of what an alias, a `copy` patch, a variable
//! or a component makes of it, so what would be built is counted first: in values and in bytes of text, for a document,
//! for a service in one environment, for an environment, and for a repository.

use crate::node::{Map, Node, Value};

/// How much something is: values, and bytes of text in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Scalars, lists and maps.
    pub nodes: u64,
    /// Bytes of texts and keys.
    pub bytes: u64,
}

/// Most that a document may be, aliases expanded.
pub const DOCUMENT: Weight = Weight::new(100_000, 4 << 20);
/// Most that a service may be in one environment: some twenty times what ECS takes as a task definition.
pub const SERVICE: Weight = Weight::new(20_000, 1 << 20);
/// Most that the files of one service may be together.
pub const SERVICE_FILES: Weight = Weight::new(200_000, 8 << 20);
/// Most that `lockstep.yaml` and the components may be together, and what environments inherit once more.
pub const SETTINGS: Weight = Weight::new(500_000, 32 << 20);
/// Most that all services of an environment may be together.
pub const ENVIRONMENT: Weight = Weight::new(1_000_000, 64 << 20);
/// Most that all services of a repository may be together, in all environments.
pub const REPOSITORY: Weight = Weight::new(2_000_000, 128 << 20);
/// Most that the files of all services may be together.
pub const FILES: Weight = Weight::new(4_000_000, 256 << 20);
/// What a service costs in an environment, however little it says.
pub const RENDERING: Weight = Weight::new(10, 512);

impl Weight {
    /// So many values and bytes.
    pub const fn new(nodes: u64, bytes: u64) -> Self {
        Self { nodes, bytes }
    }

    /// A scalar of this text.
    pub fn text(text: &str) -> Self {
        Self::new(1, text.len() as u64)
    }

    /// A tree.
    pub fn of(node: &Node) -> Self {
        match &node.value {
            Value::Null | Value::Bool(_) => Self::new(1, 0),
            Value::Number(text) | Value::String(text) => Self::text(text),
            Value::List(items) => items.iter().map(Self::of).fold(Self::new(1, 0), Self::and),
            Value::Map(map) => Self::of_map(map).and(Self::new(1, 0)),
        }
    }

    /// The keys and values of a map.
    pub fn of_map(map: &Map) -> Self {
        map.iter().fold(Self::default(), |sum, (name, entry)| {
            sum.and(Self::new(0, name.len() as u64)).and(Self::of(&entry.node))
        })
    }

    /// A tree of plain JSON.
    pub fn of_json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Self::new(1, 8),
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(items) => items.iter().map(Self::of_json).fold(Self::new(1, 0), Self::and),
            serde_json::Value::Object(map) => map.iter().fold(Self::new(1, 0), |sum, (name, value)| {
                sum.and(Self::new(0, name.len() as u64)).and(Self::of_json(value))
            }),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { nodes: self.nodes.saturating_add(other.nodes), bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// Whether it is no more than a limit.
    pub const fn fits(self, limit: Self) -> bool {
        self.nodes <= limit.nodes && self.bytes <= limit.bytes
    }

    /// What is too much of this, in words: `more than 20000 values`.
    pub fn excess(self, limit: Self) -> String {
        match limit.nodes {
            nodes if self.nodes > nodes => format!("more than {nodes} values"),
            _ => format!("more than {} KiB of text", limit.bytes >> 10),
        }
    }
}

/// Counts what is about to be built against a limit.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    limit: Weight,
    used: Weight,
}

impl Meter {
    /// Nothing used yet.
    pub fn new(limit: Weight) -> Self {
        Self { limit, used: Weight::default() }
    }

    /// Counts what is to be built next. What does not fit must not be built: the sentence says why.
    ///
    /// # Errors
    /// What is too much, in words.
    pub fn charge(&mut self, weight: Weight) -> Result<(), String> {
        self.used = self.used.and(weight);
        if self.is_spent() { Err(self.used.excess(self.limit)) } else { Ok(()) }
    }

    /// Whether more was asked for than there is.
    pub fn is_spent(&self) -> bool {
        !self.used.fits(self.limit)
    }

    /// What was counted: what was built, and what was refused.
    pub fn used(&self) -> Weight {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse::parse, source::SourceFile};

    #[test]
    fn a_tree_weighs_its_values_keys_and_texts_as_json_or_not() {
        let node = parse(&SourceFile::new("a.yaml", "ab: [x, yz]\nc: null\nd: true\n")).unwrap();
        assert_eq!(Weight::of(&node), Weight::new(6, 2 + 3 + 1 + 1));
        assert_eq!(Weight::of_json(&serde_json::json!({"ab": ["x", "yz"]})), Weight::new(4, 5));
    }

    #[test]
    fn a_meter_says_what_is_too_much() {
        let mut meter = Meter::new(Weight::new(3, 2048));
        assert_eq!(meter.charge(Weight::new(3, 2048)), Ok(()));
        assert_eq!(meter.charge(Weight::new(0, 1)), Err("more than 2 KiB of text".to_owned()));
        assert_eq!(meter.charge(Weight::new(u64::MAX, 0)), Err("more than 3 values".to_owned()));
        assert!(meter.is_spent());
    }
}
