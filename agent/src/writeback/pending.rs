//! Where the sources that state one branch of one repository lay down what they want to write there: all of it that falls
//! into one window is one commit, by whichever of them is first.

use super::{PinMove, window::Window};
use crate::{config::CommitConfig, git::Location};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::OwnedMutexGuard, time::Instant};

/// The write_queue of a branch. It is held while a commit is made.
#[derive(Clone, Default)]
pub struct WriteQueue(Arc<tokio::sync::Mutex<PendingWrites>>);

/// The write_queues of all branches.
#[derive(Default)]
pub struct WriteQueues(Mutex<Vec<(Location, String, WriteQueue)>>);

impl WriteQueues {
    /// Forgets all write_queues: the sources are made anew.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The write_queue of a branch: the same for all that name it alike.
    pub fn of(&self, location: &Location, branch: &str) -> WriteQueue {
        let mut write_queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., write_queue)) =
            write_queues.iter().find(|(other, name, _)| other == location && name == branch)
        {
            return write_queue.clone();
        }
        let write_queue = WriteQueue::default();
        write_queues.push((location.clone(), branch.to_owned(), write_queue.clone()));
        write_queue
    }
}

/// What a source wants to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    /// The commit that it was decided on.
    pub(crate) base: String,
    /// How its commits look.
    pub(crate) commit: CommitConfig,
    /// The pins that it moves.
    pub(crate) moves: Vec<PinMove>,
}

/// What lies on a write_queue.
#[derive(Default)]
pub(crate) struct PendingWrites {
    window: Window,
    /// By source.
    offers: BTreeMap<String, Offer>,
    /// The commit that was written on last, and who knows.
    written_on: Option<(String, BTreeSet<String>)>,
}

impl WriteQueue {
    pub(crate) async fn lock(&self) -> OwnedMutexGuard<PendingWrites> {
        self.0.clone().lock_owned().await
    }
}

impl PendingWrites {
    /// Lays down what a source wants now in place of what it wanted; nothing takes that away.
    pub(crate) fn put(&mut self, source: &str, offer: Option<Offer>, now: Instant) {
        match offer {
            Some(offer) => self.offers.insert(source.to_owned(), offer),
            None => self.offers.remove(source),
        };
        self.see(now);
    }

    fn see(&mut self, now: Instant) {
        let moves = self.offers.values().flat_map(|offer| &offer.moves);
        self.window.see(moves.map(|it| (it.bump.name(), it.pin.clone())).collect(), now);
    }

    /// When it is written.
    pub(crate) fn due(&self, quiet: Duration, at_most: Duration) -> Option<Instant> {
        self.window.due(quiet, at_most)
    }

    /// Whether the branch was moved away from a commit by one of us. Each source is told once: a person may set the branch
    /// back.
    pub(crate) fn is_past(&mut self, source: &str, base: &str) -> bool {
        self.written_on.as_mut().is_some_and(|(past, told)| past == base && told.insert(source.to_owned()))
    }

    /// What is written together with a source's own: what was decided on the same commit, and is to look the same. The
    /// source itself comes first.
    pub(crate) fn together(&self, source: &str) -> Vec<(String, Vec<PinMove>)> {
        let Some(own) = self.offers.get(source) else { return Vec::new() };
        let fits = |other: &Offer| other.base == own.base && other.commit == own.commit;
        let others = self.offers.iter().filter(|(name, offer)| *name != source && fits(offer));
        let all = std::iter::once((source, own)).chain(others.map(|(name, offer)| (name.as_str(), offer)));
        all.map(|(name, offer)| (name.to_owned(), offer.moves.clone())).collect()
    }

    /// The moves of these sources were written on a commit by one of them: what comes now is another window.
    pub(crate) fn wrote(&mut self, by: &str, sources: &[(String, Vec<PinMove>)], base: &str, now: Instant) {
        for (source, _) in sources {
            self.offers.remove(source);
        }
        self.written_on = Some((base.to_owned(), BTreeSet::from([by.to_owned()])));
        self.window.close();
        self.see(now);
    }
}
