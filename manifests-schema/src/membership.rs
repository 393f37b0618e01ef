//! Which environments a service is in. It is said in one place: `environments:` of service.yaml, a map or a list of
//! names; where that is absent, the service is in every environment. Overlay and pins files only modify.
//!
//! Repositories of version 1 were read otherwise: an overlay file alone made a service a member of only its
//! environment. Both rules are kept, because old commits are read by theirs, and because a service that the two rules
//! read differently must be neither created nor removed until somebody has said what is meant.

pub mod fix;

use crate::{
    codes,
    diagnostic::Diagnostic,
    node::{Node, Value},
    repository::{Environment, Repository, Version},
    source::Span,
};
use indexmap::IndexMap;
use std::collections::BTreeSet;

/// How `environments:` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A list of names.
    List,
    /// A map from name to overlay.
    Map,
}

/// `environments:` of a service.yaml.
#[derive(Clone, Debug)]
pub struct Named {
    /// Where the key is.
    pub key: Span,
    /// How it is written.
    pub form: Form,
    /// The environments that it names, with the place of each, and whether it puts the service there or takes it out.
    pub entries: IndexMap<String, (Span, bool)>,
}

/// What a service's files say of its environments.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    /// The rule that holds.
    pub version: Version,
    /// `environments:`, where it is written.
    pub named: Option<Named>,
    /// Overlay files, by environment.
    pub overlays: Vec<(String, Span)>,
    /// Pins files, by environment.
    pub pins: Vec<(String, Span)>,
}

/// A service that the two rules read differently.
#[derive(Clone, Debug)]
pub struct Dispute {
    /// The environments that it is in by the rule of version 1.
    pub before: BTreeSet<String>,
    /// The environments that it is in by the rule of version 2.
    pub after: BTreeSet<String>,
    /// What `environments:` must name so that the rule of version 2 gives what version 1 gave: whether the service is
    /// in the environment. Only names that are not written yet.
    pub lines: Vec<(String, bool)>,
    /// What to say of it.
    pub problem: Diagnostic,
}

impl Membership {
    /// Whether the service is in an environment, by the rule of the repository's version.
    pub fn is_in(&self, environment: &Environment) -> bool {
        match self.version {
            Version::One => self.by_version_1(&environment.chain),
            Version::Two => self.by_version_2(&environment.chain),
        }
    }

    fn by_version_2(&self, chain: &[String]) -> bool {
        let Some(named) = &self.named else { return true };
        chain.iter().fold(false, |member, link| named.entries.get(link).map_or(member, |(_, is_in)| *is_in))
    }

    fn by_version_1(&self, chain: &[String]) -> bool {
        if self.named.as_ref().is_some_and(|named| named.form == Form::List) {
            return self.by_version_2(chain);
        }
        let entries = self.named.as_ref().map(|named| &named.entries);
        let says = |link: &String| {
            let written = entries.and_then(|entries| entries.get(link)).map(|(_, is_in)| *is_in);
            written.or_else(|| self.overlays.iter().any(|(name, _)| name == link).then_some(true))
        };
        let mut names = self.overlays.iter().map(|(name, _)| name).chain(entries.iter().flat_map(|it| it.keys()));
        if !names.any(|name| says(name) == Some(true)) {
            return !chain.iter().any(|link| says(link) == Some(false));
        }
        chain.iter().fold(false, |member, link| says(link).unwrap_or(member))
    }

    /// Reads `environments:`. What is inside of a map's entries is for the caller.
    pub(crate) fn read(&mut self, key: &Span, node: &Node, repository: &Repository, problems: &mut Vec<Diagnostic>) {
        let mut named = Named { key: key.clone(), form: Form::Map, entries: IndexMap::new() };
        match &node.value {
            Value::Map(map) => {
                for (name, entry) in map {
                    if is_known(name, &entry.key, repository, problems) {
                        named.entries.insert(name.clone(), (entry.key.clone(), !entry.node.is_null()));
                    }
                }
            }
            Value::List(items) => {
                named.form = Form::List;
                for item in items {
                    let Some(name) = item.scalar_text() else {
                        let message = format!("`environments` lists names, not {}", item.kind());
                        problems.push(Diagnostic::error(codes::WRONG_TYPE, &item.span, message));
                        continue;
                    };
                    if !is_known(&name, &item.span, repository, problems) {
                        continue;
                    }
                    if let Some((first, _)) = named.entries.insert(name.clone(), (item.span.clone(), true)) {
                        let message = format!("`{name}` is in the list twice");
                        problems.push(
                            Diagnostic::error(codes::DUPLICATE_KEY, &item.span, message).related("and here", &first),
                        );
                    }
                }
            }
            Value::Null if self.version == Version::One => return,
            Value::Null => {
                let message = "`environments` names nothing".to_owned();
                let hint = "name the environments, or remove the key: then the service is in every environment";
                problems.push(Diagnostic::error(codes::MEMBERSHIP, key, message).hint(hint));
            }
            _ => {
                let message =
                    format!("`environments` is a list of names, or a map from name to overlay, not {}", node.kind());
                problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message));
            }
        }
        let is_empty = match &node.value {
            Value::Map(map) => map.is_empty() && self.version == Version::Two,
            Value::List(items) => items.is_empty(),
            _ => false,
        };
        if is_empty {
            let message = "`environments` is empty, so that the service is in no environment".to_owned();
            problems.push(Diagnostic::error(codes::MEMBERSHIP, key, message).as_warning());
        }
        self.named = Some(named);
    }

    /// What contradicts the membership: files for environments that the service is not in, and a null that takes it out
    /// of where it would not be.
    pub(crate) fn check(&self, name: &str, repository: &Repository, problems: &mut Vec<Diagnostic>) {
        let Some(named) = &self.named else { return };
        let files = self.overlays.iter().map(|file| (file, "changes"));
        for ((environment, span), verb) in files.chain(self.pins.iter().map(|file| (file, "pins images of"))) {
            let Some(known) = repository.environments.get(environment) else { continue };
            if self.is_in(known) {
                continue;
            }
            let message =
                format!("this file {verb} `{name}` in `{environment}`, but the service is not in `{environment}`");
            let (label, place, hint) = match named.entries.get(environment) {
                Some((place, _)) => {
                    ("taken out here", place, format!("write `{environment}: {{}}` there, or remove the file"))
                }
                None => ("not named here", &named.key, format!("name `{environment}` there, or remove the file")),
            };
            problems.push(Diagnostic::error(codes::MEMBERSHIP, span, message).related(label, place).hint(hint));
        }
        for (environment, (place, is_in)) in &named.entries {
            let Some(known) = repository.environments.get(environment).filter(|_| !is_in) else { continue };
            let above = &known.chain[..known.chain.len().saturating_sub(1)];
            if self.by_version_2(above) && !above.is_empty() {
                continue;
            }
            let message =
                format!("nothing puts the service into `{environment}`, so that null takes it out of nothing");
            let problem = Diagnostic::error(codes::MEMBERSHIP, place, message)
                .hint(format!("write `{environment}: {{}}` to put it there, or remove the line"));
            // Where the old rule holds, such a line had a meaning.
            problems.push(if self.version == Version::One { problem.as_warning() } else { problem });
        }
    }

    /// Whether the two rules differ for this service. Only repositories of version 1 are asked.
    pub(crate) fn dispute(&self, file: &str, repository: &Repository, fallback: &Span) -> Option<Dispute> {
        if self.version != Version::One {
            return None;
        }
        let members = |rule: &dyn Fn(&[String]) -> bool| -> BTreeSet<String> {
            let environments = repository.environments.values();
            environments.filter(|it| rule(&it.chain)).map(|it| it.name.clone()).collect()
        };
        let before = members(&|chain| self.by_version_1(chain));
        let after = members(&|chain| self.by_version_2(chain));
        if before == after {
            return None;
        }
        let written = |name: &str| self.named.as_ref().is_some_and(|named| named.entries.contains_key(name));
        let mut lines = Vec::new();
        for environment in repository.environments.values() {
            let parent = environment.chain.len().checked_sub(2).and_then(|at| environment.chain.get(at));
            let inherited = parent.is_some_and(|parent| before.contains(parent));
            let is_in = before.contains(&environment.name);
            if is_in != inherited && !written(&environment.name) {
                lines.push((environment.name.clone(), is_in));
            }
        }
        let overlay = self.overlays.iter().find(|(name, _)| !written(name)).map(|(_, span)| span);
        let key = self.named.as_ref().map(|named| &named.key);
        let place = overlay.or(key).unwrap_or(fallback);
        let cause = if overlay.is_some() { "this overlay alone decided" } else { "this decided otherwise" };
        let message = format!(
            "an overlay no longer decides where a service is: with version 1 {cause} that it is in {}; by `environments` of service.yaml it is in {}",
            in_words(&before),
            in_words(&after)
        );
        let hint = format!(
            "to keep what version 1 did, add {} {file}; `lockstep validate --fix` writes it. Until then nothing is created or removed for this service",
            self.addition(&lines)
        );
        let problem = Diagnostic::error(codes::MEMBERSHIP, place, message).hint(hint);
        Some(Dispute { before, after, lines, problem })
    }

    /// The lines to add, for people.
    fn addition(&self, lines: &[(String, bool)]) -> String {
        match &self.named {
            None => format!("`environments: {}` to", value_of(lines)),
            Some(_) => {
                let lines: Vec<String> = lines.iter().map(|line| format!("`{}`", entry_of(line))).collect();
                format!("{} under `environments` of", lines.join(", "))
            }
        }
    }
}

/// An environment of lockstep.yaml, or an error.
fn is_known(name: &str, place: &Span, repository: &Repository, problems: &mut Vec<Diagnostic>) -> bool {
    let is_known = repository.environments.is_empty() || repository.environments.contains_key(name);
    if !is_known {
        let message = format!("`{name}` is not an environment of lockstep.yaml");
        let names = repository.environments.keys().map(String::as_str);
        problems.push(Diagnostic::error(codes::UNKNOWN_NAME, place, message).suggest(name, names));
    }
    is_known
}

fn in_words(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => "no environment".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The value of `environments:` that names these.
pub fn value_of(lines: &[(String, bool)]) -> String {
    if lines.iter().all(|(_, is_in)| *is_in) {
        let names: Vec<String> = lines.iter().map(|(name, _)| quoted(name)).collect();
        return format!("[{}]", names.join(", "));
    }
    let entries: Vec<String> = lines.iter().map(entry_of).collect();
    format!("{{ {} }}", entries.join(", "))
}

/// One line of the map.
pub fn entry_of((name, is_in): &(String, bool)) -> String {
    format!("{}: {}", quoted(name), if *is_in { "{}" } else { "null" })
}

/// A name as YAML reads it back as that text.
fn quoted(name: &str) -> String {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_plain = name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && !words.iter().any(|word| name.eq_ignore_ascii_case(word));
    if is_plain { name.to_owned() } else { format!("\"{name}\"") }
}

#[cfg(test)]
mod tests;
