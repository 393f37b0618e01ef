//! What earlier looks found: a pin of which nothing changed is not judged again, however many tags its repository has.

use super::{
    registries::{Listing, Place},
    seen::{OpenPin, PinOutcome, Seen},
    watched::Watched,
};
use lockstep_core::images::{Candidate, PinChange};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

/// The last finding of each pin.
#[derive(Default)]
pub struct Memory {
    kept: Mutex<HashMap<String, Kept>>,
}

/// A finding with all that it was made from.
struct Kept {
    candidates: Vec<Arc<Vec<Candidate>>>,
    change: Option<PinChange>,
    followed: Option<String>,
    seen: Seen,
}

impl Memory {
    /// What was found, if all that it was made from is the same still. Lists of tags are compared by their place: a
    /// registry that answers the same again keeps the list that it had.
    pub(super) fn recall(&self, turn: &OpenPin<'_>, places: &[Place], listings: &[Arc<Listing>]) -> Option<Seen> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(&turn.watched.name())?;
        let is_same = known.seen.watched == *turn.watched
            && known.change.as_ref() == turn.change
            && Ok(&known.followed) == turn.followed.as_ref()
            && known.seen.places == places
            && known.candidates.len() == listings.len()
            && known.candidates.iter().zip(listings).all(|(was, is)| Arc::ptr_eq(was, &is.candidates));
        is_same.then(|| known.seen.clone())
    }

    /// Keeps a finding that lasts as long as what it was made from; forgets what was known where it does not.
    pub(super) fn keep(&self, turn: &OpenPin<'_>, seen: &Seen, lasts: bool) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let name = turn.watched.name();
        match &turn.followed {
            Ok(followed) if lasts && !matches!(seen.outcome, PinOutcome::Unknown(_)) => {
                let candidates = seen.listings.iter().map(|listing| listing.candidates.clone()).collect();
                // The listings themselves are newer the next time.
                let seen = Seen { listings: Vec::new(), ..seen.clone() };
                kept.insert(name, Kept { candidates, change: turn.change.cloned(), followed: followed.clone(), seen });
            }
            _ => {
                kept.remove(&name);
            }
        }
    }

    /// Forgets pins that are not watched any more.
    pub fn only(&self, watched: &[Watched]) {
        let names: HashSet<String> = watched.iter().map(Watched::name).collect();
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| names.contains(name));
    }
}
