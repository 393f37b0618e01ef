//! What a look at a pin starts from, and what it finds.

use super::{
    registries::{Listing, Place, Want},
    watched::Watched,
};
use lockstep_core::images::{Candidate, Held, Judged, Labels, PinChange};
use lockstep_manifests::updates::Strategy;
use std::sync::Arc;

/// A pin whose turn it is.
pub(super) struct OpenPin<'a> {
    pub(super) index: usize,
    pub(super) watched: &'a Watched,
    /// Its last change in the branch's history.
    pub(super) change: Option<&'a PinChange>,
    /// The tag that it follows; none where it follows none; or why that is not known.
    pub(super) followed: Result<Option<String>, String>,
}

impl OpenPin<'_> {
    /// What is read of its repositories.
    pub(super) fn want(&self) -> Option<Want> {
        match (&self.watched.policy.strategy, self.followed.as_ref().ok()?) {
            (Strategy::Digest(tag), _) | (_, Some(tag)) => Some(Want::Tag(tag.clone())),
            _ => Some(Want::All),
        }
    }
}

/// What becomes of a pin.
#[derive(Clone, Debug)]
pub enum PinOutcome {
    /// The policy picks another image.
    Move(Box<Move>),
    /// The pin is what the policy picks.
    UpToDate {
        /// What a person may want to know all the same.
        note: Option<String>,
    },
    /// Nothing is picked, for this reason.
    Nothing(String),
    /// The registry could not be read.
    Unknown(String),
}

/// An image that is picked.
#[derive(Clone, Debug)]
pub struct Move {
    /// Its tag.
    pub tag: String,
    /// Its digest.
    pub digest: String,
    /// What is written.
    pub pin: String,
    /// When it was pushed, epoch seconds.
    pub pushed_at: Option<i64>,
    /// Where it comes from.
    pub labels: Labels,
}

/// Why a pin is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Its policy says so.
    Policy {
        /// Why.
        reason: String,
        /// Where that is written.
        place: String,
    },
    /// A person moved it by hand.
    History(Held),
}

/// What was seen of a pin.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The pin.
    pub watched: Watched,
    /// Where its images are, for each environment that reads it.
    pub places: Vec<Place>,
    /// What was read there, in the same order.
    pub listings: Vec<Arc<Listing>>,
    /// Repositories of environments that read the pin and could not be asked for a while, with the reason: it is moved
    /// without them.
    pub lagging: Vec<(Place, String)>,
    /// The tags that were judged.
    pub candidates: Arc<Vec<Candidate>>,
    /// What became of each.
    pub judged: Vec<Judged>,
    /// What becomes of the pin.
    pub outcome: PinOutcome,
    /// Whether it is left alone.
    pub hold: Option<Hold>,
}

impl Seen {
    pub(super) fn without(watched: &Watched, outcome: PinOutcome) -> Self {
        Self {
            watched: watched.clone(),
            places: Vec::new(),
            listings: Vec::new(),
            lagging: Vec::new(),
            candidates: Arc::default(),
            judged: Vec::new(),
            outcome,
            hold: None,
        }
    }

    /// What would be written, if nothing holds it.
    pub fn pending(&self) -> Option<&Move> {
        match &self.outcome {
            PinOutcome::Move(moved) => Some(moved),
            _ => None,
        }
    }
}
