//! One look at all pins: what the registries have, what each policy picks of it, and what that means for the pin.

use super::{
    memory::Memory,
    registries::{Facts, Listing, Place, Registries, Want},
    seen::{Hold, Move, OpenPin, PinOutcome, Seen},
    shared::Shared,
    watched::Watched,
};
use crate::{
    aws::Accounts,
    reconcile::{Context, Snapshot},
};
use futures_util::future::join_all;
use lockstep_core::allow::Allow;
use lockstep_core::images::{Candidate, Decision, ImageReference, PinChange, Rule, Verified, decide, held_by, judge};
use lockstep_manifests::updates::{Platform, Strategy};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// How long a look of the agent waits for a registry. What takes longer goes on, and is seen by the next look.
const PATIENCE: Duration = Duration::from_secs(5);
/// Images that are looked at for one pin in one look of the agent, and in one by hand.
const MOST_IMAGES: usize = 10;
const MOST_BY_HAND: usize = 100;
/// For how many seconds a pin waits for the repository of another environment that reads it and cannot be asked.
const LONGEST_LAG: i64 = 15 * 60;

/// Lets a look go on without the registries that do not answer.
pub struct Patience<'a> {
    /// What reads need that go on after the look.
    pub context: &'a Arc<Context>,
    /// The same.
    pub shared: &'a Arc<Shared>,
}

impl Patience<'_> {
    /// The tags of a repository, read by a task of its own. Where it ends after the look, the next look comes at once.
    async fn list(&self, place: &Place, want: &Want, allow: &Allow, age: Duration) -> Result<Arc<Listing>, String> {
        let (context, shared, allow) = (self.context.clone(), self.shared.clone(), allow.clone());
        let Some(reading) = shared.registries.begin(place, want) else {
            // It is being read for an earlier look, which is waited for.
            let listing = shared.registries.list(&context.accounts, place, want, &allow, age);
            return timeout(PATIENCE, listing).await.unwrap_or_else(|_| Err(unanswered(&place.host())));
        };
        let (place, want, is_late) = (place.clone(), want.clone(), Arc::new(AtomicBool::new(false)));
        let (late, host) = (is_late.clone(), place.host());
        let mut task = tokio::spawn(async move {
            let (tasks, task) = (&context.board.tasks, format!("registry {}", place.host()));
            tasks.begin(&task);
            let listing = shared.registries.list(&context.accounts, &place, &want, &allow, age).await;
            drop(reading);
            tasks.end(&task, listing.as_ref().map(drop).map_err(String::as_str), None);
            if late.load(Ordering::SeqCst) {
                shared.push_events.ring();
            }
            listing
        });
        match timeout(PATIENCE, &mut task).await {
            Ok(listing) => listing.map_err(|error| error.to_string())?,
            Err(_) => {
                is_late.store(true, Ordering::SeqCst);
                Err(unanswered(&host))
            }
        }
    }
}

/// What is said of a registry that a look went on without.
fn unanswered(host: &str) -> String {
    format!("{host} has not answered for {} seconds; it is still being asked", PATIENCE.as_secs())
}

/// What a look needs.
pub struct PinReader<'a> {
    /// AWS.
    pub accounts: &'a Accounts,
    /// The registries.
    pub registries: &'a Registries,
    /// What the source may reach.
    pub allow: &'a Allow,
    /// What is declared.
    pub snapshot: &'a Snapshot,
    /// How old a listing may be.
    pub age: Duration,
    /// Whether each tag with its rule is wanted.
    pub keep_rules: bool,
    /// What earlier looks found.
    pub memory: Option<&'a Memory>,
    /// What lets it go on without a registry that does not answer; none where somebody waits for the whole answer.
    pub patience: Option<Patience<'a>>,
}

type Listings = HashMap<(Place, Want), Result<Arc<Listing>, String>>;

impl PinReader<'_> {
    /// Looks at all pins. `changes` are the last changes of pins in the branch's history, by name.
    pub async fn look(&self, watched: &[Watched], changes: &BTreeMap<String, PinChange>) -> Vec<Seen> {
        let mut listings = Listings::new();
        let mut seen: Vec<Option<Seen>> = watched.iter().map(|_| None).collect();
        // Those that follow others come after what they follow.
        let mut open: Vec<usize> = (0..watched.len()).collect();
        while !open.is_empty() {
            let (ready, later): (Vec<usize>, Vec<usize>) = open
                .iter()
                .partition(|index| target(watched, &watched[**index]).is_none_or(|other| !open.contains(&other)));
            if ready.is_empty() {
                for index in open.drain(..) {
                    let reason = "`follow` leads back to itself".to_owned();
                    seen[index] = Some(Seen::without(&watched[index], PinOutcome::Nothing(reason)));
                }
                break;
            }
            open = later;
            let turn: Vec<OpenPin<'_>> = ready
                .into_iter()
                .map(|index| {
                    let watched_pin = &watched[index];
                    let followed = match &watched_pin.policy.strategy {
                        Strategy::Follow { service, container } => {
                            self.followed(watched, &seen, index, service, container).map(Some)
                        }
                        _ => Ok(None),
                    };
                    OpenPin { index, watched: watched_pin, change: changes.get(&watched_pin.name()), followed }
                })
                .collect();
            self.read_all(&turn, &mut listings).await;
            for (index, looked) in self.look_at_all(turn, &listings).await {
                seen[index] = Some(looked);
            }
        }
        seen.into_iter().flatten().collect()
    }

    /// Reads what pins need and nobody read yet, all registries at one time.
    async fn read_all(&self, turn: &[OpenPin<'_>], listings: &mut Listings) {
        let mut keys: Vec<(Place, Want)> = Vec::new();
        for it in turn.iter().filter(|it| it.watched.problem.is_none()) {
            let Some(want) = it.want() else { continue };
            for reader in &it.watched.readers {
                if let Ok(place) = Place::of(&reader.image.repository, self.allow, &reader.account) {
                    keys.push((place, want.clone()));
                }
            }
        }
        keys.retain(|key| !listings.contains_key(key));
        keys.sort();
        keys.dedup();
        let read = keys.into_iter().map(|key| async move {
            let listing = match &self.patience {
                Some(patience) => patience.list(&key.0, &key.1, self.allow, self.age).await,
                None => self.registries.list(self.accounts, &key.0, &key.1, self.allow, self.age).await,
            };
            (key, listing)
        });
        listings.extend(join_all(read).await);
    }

    /// Looks at pins, those of several repositories at one time: an image that several pins share is asked for once.
    async fn look_at_all(&self, turn: Vec<OpenPin<'_>>, listings: &Listings) -> Vec<(usize, Seen)> {
        let mut repositories: HashMap<&str, Vec<&OpenPin<'_>>> = HashMap::new();
        for it in &turn {
            repositories.entry(&it.watched.current().repository).or_default().push(it);
        }
        let looks = repositories.into_iter().map(|(repository, pins)| async move {
            if self.patience.is_none() {
                return self.look_in_turn(pins, listings).await;
            }
            let unseen: Vec<(usize, &Watched)> = pins.iter().map(|it| (it.index, it.watched)).collect();
            match timeout(PATIENCE, self.look_in_turn(pins, listings)).await {
                Ok(looked) => looked,
                // What was found of its images is kept: the next look goes on from there.
                Err(_) => {
                    let reason = unanswered(&crate::oci::split(repository).0);
                    unseen
                        .into_iter()
                        .map(|(at, it)| (at, Seen::without(it, PinOutcome::Unknown(reason.clone()))))
                        .collect()
                }
            }
        });
        join_all(looks).await.into_iter().flatten().collect()
    }

    async fn look_in_turn(&self, pins: Vec<&OpenPin<'_>>, listings: &Listings) -> Vec<(usize, Seen)> {
        let mut looked = Vec::with_capacity(pins.len());
        for it in pins {
            looked.push((it.index, self.look_at(it, listings).await));
        }
        looked
    }

    /// The tag of the pin that is followed: the one that it will have.
    fn followed(
        &self,
        watched: &[Watched],
        seen: &[Option<Seen>],
        index: usize,
        service: &str,
        container: &str,
    ) -> Result<String, String> {
        let none = || Err(format!("{service}/{container} has no tag that could be followed"));
        if let Some(other) = target(watched, &watched[index])
            && let Some(seen) = &seen[other]
        {
            let moves = seen.hold.is_none() && seen.watched.write == watched[index].write;
            return match &seen.outcome {
                PinOutcome::Move(moved) if moves => Ok(moved.tag.clone()),
                _ => seen.watched.current().tag.clone().map_or_else(none, Ok),
            };
        }
        // What has no policy is followed where a person moves it.
        let environment = &watched[index].readers[0].environment;
        let loaded = self.snapshot.services.iter().find(|loaded| loaded.directory.name == service);
        let Some(loaded) = loaded else { return Err(format!("there is no service {service} to follow")) };
        let Some(Ok(rendered)) = loaded.environments.get(environment) else {
            return Err(format!("{service} is not in {environment}, or has errors"));
        };
        let environment = &self.snapshot.repository.environments[environment];
        match super::watched::image_of(rendered, environment, container) {
            None => Err(format!("{service} has no container {container} to follow")),
            Some((image, _)) => image.tag.map_or_else(none, Ok),
        }
    }

    async fn look_at(&self, turn: &OpenPin<'_>, listings: &Listings) -> Seen {
        let watched = turn.watched;
        let mut seen = Seen::without(watched, PinOutcome::Nothing(String::new()));
        // What the registry does not decide is known without it.
        seen.hold = hold_of(turn, &[]);
        if let Some(problem) = &watched.problem {
            seen.outcome = PinOutcome::Nothing(problem.clone());
            return seen;
        }
        let (followed, want) = match (&turn.followed, turn.want()) {
            (Ok(followed), Some(want)) => (followed, want),
            (Ok(_), None) => return seen,
            (Err(reason), _) => {
                seen.outcome = PinOutcome::Nothing(reason.clone());
                return seen;
            }
        };
        for reader in &watched.readers {
            let place = match Place::of(&reader.image.repository, self.allow, &reader.account) {
                Ok(place) => place,
                Err(reason) => {
                    seen.places.clear();
                    seen.outcome = PinOutcome::Unknown(reason);
                    return seen;
                }
            };
            if !seen.places.contains(&place) {
                seen.places.push(place);
            }
        }
        for (at, place) in seen.places.iter().enumerate() {
            match listings.get(&(place.clone(), want.clone())) {
                Some(Ok(listing)) => {
                    self.registries.was_read(place);
                    seen.listings.push(listing.clone());
                }
                // Where the pin's own repository cannot be read, nothing is known.
                Some(Err(reason)) if at > 0 => seen.lagging.push((place.clone(), reason.clone())),
                Some(Err(reason)) => {
                    seen.outcome = PinOutcome::Unknown(reason.clone());
                    return seen;
                }
                None => return seen,
            }
        }
        let now = seen.listings.first().map_or(0, |listing| listing.now);
        let left = |(place, _): &(Place, String)| LONGEST_LAG - self.registries.unreadable_for(place, now);
        if let Some((left, (_, reason))) = seen.lagging.iter().map(|it| (left(it), it)).max_by_key(|(left, _)| *left)
            && left > 0
        {
            let minutes = (left + 59) / 60;
            let text = format!("{reason}; the pin is moved without it in {minutes} min, if that goes on");
            seen.outcome = PinOutcome::Unknown(text);
            seen.lagging = Vec::new();
            return seen;
        }
        seen.places.retain(|place| seen.lagging.iter().all(|(other, _)| other != place));
        match self.memory.and_then(|memory| memory.recall(turn, &seen.places, &seen.listings)) {
            Some(known) => Seen { listings: seen.listings, lagging: seen.lagging, ..known },
            None => {
                let lasts = self.decide(turn, followed.as_deref(), &mut seen).await;
                if let Some(memory) = self.memory {
                    memory.keep(turn, &seen, lasts);
                }
                seen
            }
        }
    }

    /// Decides what becomes of a pin whose listings were read. Answers whether the same listings lead to the same.
    async fn decide(&self, turn: &OpenPin<'_>, followed: Option<&str>, seen: &mut Seen) -> bool {
        let watched = turn.watched;
        let (Some((place, others)), Some(listing)) = (seen.places.split_first(), seen.listings.first().cloned()) else {
            return false;
        };
        let place = place.clone();
        seen.candidates = listing.candidates.clone();
        for (other, there) in others.iter().zip(&seen.listings[1..]) {
            mark_absent(Arc::<Vec<_>>::make_mut(&mut seen.candidates), other, there);
        }
        seen.hold = hold_of(turn, &seen.candidates);
        let needs_times =
            matches!(watched.policy.strategy, Strategy::Newest(_)) || watched.policy.min_age > Duration::ZERO;
        if needs_times && !listing.has_push_times {
            let what = if matches!(watched.policy.strategy, Strategy::Newest(_)) { "newest" } else { "minAge" };
            let reason =
                format!("the registry of {place} does not tell when images were pushed, so `{what}` cannot be used");
            seen.outcome = PinOutcome::Nothing(reason);
            return true;
        }
        let is_certain = self.choose(watched, &place, &listing, followed, seen).await;
        if let PinOutcome::Move(moved) = &seen.outcome
            && may_be_older(watched, &seen.candidates, moved, turn.change.map(|change| change.at))
        {
            seen.outcome = PinOutcome::Nothing(format!(
                "{}, which Git declares, is not in the registry any more, and {} may be older; set `downgrade: true` to allow it",
                watched.current().short(),
                moved.tag
            ));
        }
        // A list without digests does not show that a tag was moved, and with an age the time decides as well.
        let lasts = is_certain
            && watched.policy.min_age.is_zero()
            && seen.candidates.iter().all(|candidate| candidate.digest.is_some());
        if !self.keep_rules {
            seen.judged = Vec::new();
            seen.candidates = Arc::default();
        }
        lasts
    }

    /// Why nothing is picked, with what a person would ask next.
    fn nothing(&self, watched: &Watched, seen: &Seen, followed: Option<&str>, reason: String) -> String {
        if let (Strategy::Follow { service, container }, Some(tag)) = (&watched.policy.strategy, followed)
            && seen.candidates.is_empty()
        {
            return format!("the registry has no tag {tag}, which {service}/{container} has");
        }
        let young = seen.judged.iter().filter_map(|judged| match judged.rule {
            Rule::TooYoung(seconds) => Some((seconds, judged)),
            _ => None,
        });
        // One that fits by its tag and cannot be taken is what people wonder about.
        let fits = |rule: &Rule| {
            matches!(
                rule,
                Rule::NoPlatform { .. }
                    | Rule::NotAnImage(_)
                    | Rule::Unverified(_)
                    | Rule::NotEverywhere(_)
                    | Rule::Gone
            )
        };
        if let Some(judged) = seen.judged.iter().find(|judged| fits(&judged.rule)) {
            let tag = &seen.candidates[judged.index].tag;
            return format!("{tag} fits the policy by its tag, but cannot be used: {}", judged.rule);
        }
        match young.min_by_key(|(seconds, _)| *seconds) {
            Some((_, first)) => format!("{reason}; {}: {}", seen.candidates[first.index].tag, first.rule),
            None => reason,
        }
    }

    /// Judges the tags, looks at the one that is picked, and judges again where that shows that it does not do. Answers
    /// whether what was found of the images is certain.
    async fn choose(
        &self,
        watched: &Watched,
        place: &Place,
        listing: &Listing,
        followed: Option<&str>,
        seen: &mut Seen,
    ) -> bool {
        let current = watched.current();
        let wanted = platforms(watched);
        let mut verified: BTreeMap<String, Verified> = BTreeMap::new();
        let mut looked: HashMap<String, Arc<Facts>> = HashMap::new();
        let (mut tries, mut is_certain) = (0, true);
        let picked = loop {
            seen.judged = judge(&watched.policy, current, &seen.candidates, &verified, &wanted, followed, listing.now);
            let picked = seen.judged.iter().find(|judged| judged.rule == Rule::Picked);
            let Some(candidate) = picked.map(|judged| seen.candidates[judged.index].clone()) else { break None };
            if looked.contains_key(&candidate.tag) || is_pinned(watched, current, &candidate) {
                break Some(candidate);
            }
            tries += usize::from(!self.registries.knows(place, &candidate));
            let most = if self.keep_rules { MOST_BY_HAND } else { MOST_IMAGES };
            if tries > most {
                if let Some(next) = seen.judged.iter_mut().find(|judged| judged.rule == Rule::Picked) {
                    next.rule = Rule::NotLookedAt;
                }
                let reason =
                    format!("{most} images in a row cannot be taken; {} is the next to look at", candidate.tag);
                seen.outcome = PinOutcome::Nothing(reason);
                return false;
            }
            match self.registries.facts(self.accounts, place, &candidate, self.allow).await {
                Ok(Some(facts)) if facts.failure.is_some() && !wanted.is_empty() => {
                    seen.outcome = PinOutcome::Unknown(facts.failure.clone().unwrap_or_default());
                    return false;
                }
                Ok(Some(facts)) => {
                    is_certain &= !matches!(facts.verified, Verified::Image(Err(_)));
                    verified.insert(candidate.tag.clone(), facts.verified.clone());
                    looked.insert(candidate.tag, facts);
                }
                Ok(None) => {
                    is_certain = false;
                    verified.insert(candidate.tag, Verified::Gone);
                }
                Err(reason) => {
                    seen.outcome = PinOutcome::Unknown(reason);
                    return false;
                }
            }
        };
        let digest = picked.as_ref().map(|candidate| match looked.get(&candidate.tag) {
            Some(facts) => facts.digest.clone(),
            None => candidate.digest.clone().or_else(|| current.digest.clone()).unwrap_or_default(),
        });
        let pair = picked.as_ref().zip(digest.as_deref());
        seen.outcome = match decide(&watched.policy, current, &seen.candidates, pair) {
            Decision::UpToDate { note } => PinOutcome::UpToDate { note },
            Decision::Nothing(reason) => PinOutcome::Nothing(self.nothing(watched, seen, followed, reason)),
            Decision::Move { tag } => match (looked.remove(&tag), picked, digest) {
                (Some(facts), Some(candidate), Some(digest)) => {
                    // No update waits for its labels.
                    let labels = self.registries.labels(self.accounts, place, &facts, self.allow).await;
                    is_certain &= labels.is_some();
                    PinOutcome::Move(Box::new(Move {
                        pin: watched.pin_of(&tag, &digest),
                        tag,
                        digest,
                        pushed_at: candidate.pushed_at,
                        labels: labels.unwrap_or_default(),
                    }))
                }
                _ => PinOutcome::UpToDate { note: None },
            },
        };
        is_certain
    }
}

/// The watched pin that another one follows in the environment where it is read.
fn target(watched: &[Watched], following: &Watched) -> Option<usize> {
    watched.iter().position(|other| following.follows(other))
}

/// Whether a tag is what is pinned already, as far as the list tells: then it need not be looked at.
fn is_pinned(watched: &Watched, current: &ImageReference, candidate: &Candidate) -> bool {
    let same_tag = current.tag.as_deref() == Some(candidate.tag.as_str());
    match (&candidate.digest, &current.digest) {
        (Some(listed), Some(pinned)) if listed == pinned => {
            same_tag || matches!(watched.policy.strategy, Strategy::Newest(_))
        }
        // Of a version that is pinned by its digest only the tag counts.
        (_, Some(_)) => same_tag && !matches!(watched.policy.strategy, Strategy::Digest(_) | Strategy::Follow { .. }),
        _ => false,
    }
}

/// What is not in the repository of another environment that reads the pin is not taken.
fn mark_absent(candidates: &mut [Candidate], place: &Place, there: &Listing) {
    let digests: HashSet<&String> = there.candidates.iter().filter_map(|other| other.digest.as_ref()).collect();
    let tags: HashSet<&String> = there.candidates.iter().map(|other| &other.tag).collect();
    for candidate in candidates.iter_mut().filter(|candidate| candidate.absent_in.is_none()) {
        let is_there = match &candidate.digest {
            Some(digest) => digests.contains(digest),
            None => tags.contains(&candidate.tag),
        };
        if !is_there {
            candidate.absent_in = Some(match tags.contains(&candidate.tag) {
                true => format!("another image has the tag in {place}"),
                false => format!("not in {place} yet"),
            });
        }
    }
}

/// Whether the image that is pinned is gone, and the picked one may be older than it: then nothing is moved.
fn may_be_older(watched: &Watched, candidates: &[Candidate], moved: &Move, pinned_at: Option<i64>) -> bool {
    let current = watched.current();
    matches!(watched.policy.strategy, Strategy::Newest(_))
        && !watched.policy.downgrade
        && current.digest.is_some()
        && candidates.iter().all(|candidate| candidate.digest != current.digest)
        && moved.pushed_at.zip(pinned_at).is_none_or(|(pushed, pinned)| pushed <= pinned)
}

fn platforms(watched: &Watched) -> Vec<Platform> {
    if !watched.policy.platforms.is_empty() {
        return watched.policy.platforms.clone();
    }
    let mut wanted: Vec<Platform> = watched.readers.iter().filter_map(|reader| reader.platform.clone()).collect();
    wanted.sort();
    wanted.dedup();
    wanted
}

fn hold_of(turn: &OpenPin<'_>, candidates: &[Candidate]) -> Option<Hold> {
    let policy = &turn.watched.policy;
    if let Some(reason) = &policy.hold {
        let place = policy.hold_span.as_ref().map(|span| format!("{span:?}")).unwrap_or_default();
        return Some(Hold::Policy { reason: reason.clone(), place });
    }
    held_by(turn.change?, candidates).map(Hold::History)
}
