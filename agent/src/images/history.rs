//! What the branch's first-parent history says of pins: who moved each last, from what to what, under which policy.
//! Only commits that are new since the last time are walked.

use super::watched::{Watched, image_of};
use crate::git::{GitError, Remote, Step};
use lockstep_core::images::{ImageReference, PinChange, is_bump, releases};
use lockstep_manifests::{
    Rendered, Repository, Service,
    parse::{decode, parse},
    pins,
    render::render,
    tree::Tree,
    updates::Strategy,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How often a pin is followed to the file that it was moved from.
const MOST_MOVES: usize = 8;
/// Commits that are looked at at most.
const LONGEST_WALK: usize = 50_000;

/// The last change of a pin, as far as it is known.
#[derive(Clone, Debug)]
struct Known {
    file: String,
    change: Option<PinChange>,
    /// The pin's digests before the last change; only for policies that follow a moving tag.
    earlier: Option<BTreeSet<String>>,
}

/// The histories of pins.
#[derive(Debug, Default)]
pub struct Histories {
    tip: Option<String>,
    known: HashMap<String, Known>,
}

/// A change that is found while walking.
#[derive(Clone, Debug)]
struct Found {
    step: Step,
    old: Option<String>,
    new: Option<String>,
    is_release: bool,
}

/// What is still looked for of one pin.
struct Search<'a> {
    watched: &'a Watched,
    name: String,
    found: Option<Found>,
    earlier: Option<BTreeSet<String>>,
    known: Option<&'a Known>,
    done: bool,
    /// The commit in which the file became readable, and what the pin was from then on: what it was before the file was
    /// broken is still to be seen.
    mended: Option<(Step, Option<String>)>,
}

impl Search<'_> {
    /// Whether an earlier history is still wanted.
    fn is_open(&self) -> bool {
        !self.done && (self.found.is_none() || self.earlier.is_some())
    }

    /// Takes a step in which the pin went from one text to another.
    fn see(&mut self, step: Step, old: Option<String>, new: Option<String>) {
        if old == new {
            return;
        }
        match (&mut self.earlier, &old) {
            (Some(earlier), Some(old)) => earlier.extend(digest_of(old)),
            // It is the same choice still. For a moving tag the digest is the choice.
            (None, _) if is_more_exact(old.as_deref(), new.as_deref()) => return,
            _ => {}
        }
        if self.found.is_none() {
            self.found = Some(Found { step, old, new, is_release: false });
        }
    }
}

impl Histories {
    /// The last change of each pin by its name, at a commit.
    ///
    /// # Errors
    /// When objects are missing or damaged.
    pub fn changes(
        &mut self,
        remote: &Remote,
        tip: &str,
        watched: &[Watched],
    ) -> Result<BTreeMap<String, PinChange>, GitError> {
        let before = std::mem::take(&mut self.known);
        let follows = |watched: &Watched| matches!(watched.policy.strategy, Strategy::Digest(_));
        let mut searches: Vec<Search<'_>> = watched
            .iter()
            .map(|watched| {
                let name = watched.name();
                let known = before
                    .get(&name)
                    .filter(|known| known.file == watched.file && (known.earlier.is_some() || !follows(watched)));
                let earlier = follows(watched).then(BTreeSet::new);
                Search { watched, name, found: None, earlier, known, done: false, mended: None }
            })
            .collect();
        let mut files: Vec<String> = watched.iter().map(|watched| watched.file.clone()).collect();
        files.sort();
        files.dedup();
        walk(remote, tip, self.tip.as_deref(), &files, &mut searches)?;
        let mut past = Past::default();
        let mut changes = BTreeMap::new();
        for search in searches {
            let known = settle(remote, search, &mut past, 0)?;
            if let Some(change) = &known.1.change {
                changes.insert(known.0.clone(), change.clone());
            }
            self.known.insert(known.0, known.1);
        }
        self.tip = Some(tip.to_owned());
        Ok(changes)
    }
}

fn walk(
    remote: &Remote,
    tip: &str,
    known_tip: Option<&str>,
    files: &[String],
    searches: &mut [Search<'_>],
) -> Result<(), GitError> {
    let (mut count, mut failure) = (0, None);
    remote.first_parents(tip, files, |step| {
        count += 1;
        if known_tip == Some(step.commit.as_str()) {
            searches.iter_mut().filter(|search| search.known.is_some()).for_each(|search| search.done = true);
        }
        if step.message.contains("Lockstep-Release: ") {
            for search in searches.iter_mut().filter(|search| search.is_open() && search.found.is_none()) {
                if releases(&step.message, &search.name) {
                    search.found = Some(Found { step: step.clone(), old: None, new: None, is_release: true });
                }
            }
        }
        for file in step.changed.iter().filter_map(|at| files.get(*at)) {
            let mut pins = |commit: Option<&str>| match commit.map(|commit| remote.file_of(commit, file)) {
                None | Some(Ok(None)) => Some(BTreeMap::new()),
                Some(Ok(Some(bytes))) => texts(file, bytes),
                Some(Err(error)) => {
                    failure = Some(error);
                    None
                }
            };
            let (old, new) = (pins(step.parent.as_deref()), pins(Some(&step.commit)));
            for search in searches.iter_mut().filter(|search| search.is_open() && search.watched.file == *file) {
                let container = &search.watched.container;
                let of = |pins: &Option<BTreeMap<String, String>>| pins.as_ref().map(|it| it.get(container).cloned());
                match (of(&old), of(&new)) {
                    (Some(old), Some(new)) => search.see(step.clone(), old, new),
                    (None, Some(new)) => search.mended = Some((step.clone(), new)),
                    (Some(old), None) => {
                        if let Some((mended, new)) = search.mended.take() {
                            search.see(mended, old, new);
                        }
                    }
                    (None, None) => {}
                }
            }
        }
        failure.is_some() || count >= LONGEST_WALK || !searches.iter().any(Search::is_open)
    })?;
    // It was never readable before.
    for search in searches.iter_mut().filter(|search| search.is_open()) {
        if let Some((mended, new)) = search.mended.take() {
            search.see(mended, None, new);
        }
    }
    failure.map_or(Ok(()), Err)
}

/// The pins of a file; none where it cannot be read as what it is.
fn texts(file: &str, bytes: Vec<u8>) -> Option<BTreeMap<String, String>> {
    let mut problems = Vec::new();
    let pins = pins::read(&parse(&decode(file, bytes).ok()?).ok()?, &mut problems);
    let pins = pins.into_iter().map(|pin| (pin.container, pin.text)).collect();
    (!lockstep_manifests::diagnostic::has_errors(&problems)).then_some(pins)
}

/// Whether a pin only became more exact: the digest of its tag was added.
fn is_more_exact(old: Option<&str>, new: Option<&str>) -> bool {
    let added = old.zip(new).and_then(|(old, new)| new.strip_prefix(old));
    added.is_some_and(|added| added.starts_with('@'))
}

fn digest_of(pin: &str) -> Option<String> {
    pin.split_once('@').map(|(_, digest)| digest.to_owned())
}

/// What is known of a pin after the walk.
fn settle(remote: &Remote, search: Search<'_>, past: &mut Past, depth: usize) -> Result<(String, Known), GitError> {
    let Search { watched, name, found, mut earlier, known, .. } = search;
    if let (Some(earlier), Some(before)) = (&mut earlier, known.and_then(|known| known.earlier.as_ref())) {
        earlier.extend(before.iter().cloned());
    }
    let file = watched.file.clone();
    let Some(found) = found else {
        let change = known.and_then(|known| known.change.clone());
        return Ok((name, Known { file, change, earlier }));
    };
    let is_ours = found.is_release
        || found.new.as_deref().is_some_and(|new| is_bump(&found.step.message, &name, found.old.as_deref(), new));
    let written = |pin: &Option<String>| {
        let image = &watched.current().repository;
        pin.as_ref().map(|pin| ImageReference::parse(&pins::apply(image, pin)))
    };
    let current = || ImageReference { repository: watched.current().repository.clone(), tag: None, digest: None };
    let mut change = PinChange {
        commit: found.step.commit.clone(),
        author: found.step.author.clone(),
        at: found.step.at,
        before: written(&found.old),
        after: written(&found.new).unwrap_or_else(current),
        policy: Some(watched.policy.clone()),
        is_ours,
        earlier: earlier.clone().unwrap_or_default(),
        followed: None,
    };
    if !is_ours {
        let environment = &watched.readers[0].environment;
        let then = past.state(remote, &found.step.commit, environment, &watched.service)?;
        // A commit that could not be deployed says what it says by its pins alone.
        if let Some((rendered, repository)) = then {
            let image = |rendered: &Rendered, container: &str| {
                Some(image_of(rendered, repository.environments.get(environment)?, container)?.0)
            };
            if let Some(after) = image(&rendered, &watched.container) {
                change.after = after;
            }
            change.policy = rendered.updates.get(&watched.container).cloned();
            if let Some(Strategy::Follow { service, container }) = change.policy.as_ref().map(|policy| &policy.strategy)
            {
                let followed = past.state(remote, &found.step.commit, environment, service)?;
                change.followed = followed.and_then(|(rendered, _)| image(&rendered, container));
            }
            let parent = found.step.parent.as_deref();
            let before = match parent {
                Some(parent) => past.state(remote, parent, environment, &watched.service)?,
                None => None,
            };
            match before {
                Some((rendered, repository)) => {
                    let environment = repository.environments.get(environment);
                    let image = environment.and_then(|it| image_of(&rendered, it, &watched.container));
                    change.before = image.map(|(image, _)| image);
                }
                None if found.old.is_none() => change.before = None,
                None => {}
            }
            // The same image from another file: the service, or the pin, was only moved.
            if change.before.as_ref() == Some(&change.after)
                && depth < MOST_MOVES
                && let Some(parent) = parent
                && let Some((rendered, _)) = past.state(remote, parent, environment, &watched.service)?
                && let Some((_, pin)) = rendered.pins.iter().find(|(_, pin)| pin.container == watched.container)
                && pin.span.file.path != watched.file
            {
                let before = Watched { file: pin.span.file.path.clone(), ..watched.clone() };
                let earlier = earlier.clone().map(|_| BTreeSet::new());
                let (name_before, found, known, mended) = (name.clone(), None, None, None);
                let mut searches =
                    [Search { watched: &before, name: name_before, found, earlier, known, done: false, mended }];
                walk(remote, parent, None, std::slice::from_ref(&before.file), &mut searches)?;
                let [search] = searches;
                let (_, known) = settle(remote, search, past, depth + 1)?;
                return Ok((name, Known { file, ..known }));
            }
        }
    }
    Ok((name, Known { file, change: Some(change), earlier }))
}

/// States of the past, each commit's settings read once.
#[derive(Default)]
struct Past {
    commits: HashMap<String, (crate::git::ObjectTree, std::sync::Arc<Repository>)>,
}

impl Past {
    /// A service as a commit stated it; none where it was not there or not usable.
    fn state(
        &mut self,
        remote: &Remote,
        commit: &str,
        environment: &str,
        service: &str,
    ) -> Result<Option<(Rendered, std::sync::Arc<Repository>)>, GitError> {
        if !self.commits.contains_key(commit) {
            // Pins that were moved together share a commit; others are few.
            if self.commits.len() >= 8 {
                self.commits.clear();
            }
            let tree = remote.tree_of(commit)?;
            let repository = Repository::load(&tree, &mut Vec::new());
            self.commits.insert(commit.to_owned(), (tree, std::sync::Arc::new(repository)));
        }
        let Some((tree, repository)) = self.commits.get(commit) else { return Ok(None) };
        let tree: &dyn Tree = tree;
        let Some(environment) = repository.environments.get(environment) else { return Ok(None) };
        let Some(directory) = repository.services.iter().find(|it| it.name == service) else { return Ok(None) };
        let mut problems = Vec::new();
        let service = Service::load(repository, directory, tree, &mut problems);
        if !service.is_in(environment) || lockstep_manifests::diagnostic::has_errors(&problems) {
            return Ok(None);
        }
        Ok(render(repository, environment, &service, &mut Vec::new()).map(|rendered| (rendered, repository.clone())))
    }
}
