//! Reading `updates` of layers, and merging them: members of a later layer replace those of an earlier one, and a
//! strategy replaces another one.

use super::{Constraint, Platform, Policy, Strategy, TagPattern, WriteMode};
use crate::{
    codes,
    diagnostic::{Diagnostic, suggest},
    fields::Fields,
    kind::{LayerKind, MustMatch},
    name::is_name,
    node::{Node, Value},
    source::Span,
    sync::parse_span,
};
use indexmap::IndexMap;
use std::{collections::HashSet, str::FromStr, time::Duration};

/// What one layer says of a container's policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    strategy: Option<(Strategy, String, Span)>,
    allow: Option<Vec<TagPattern>>,
    ignore: Option<Vec<TagPattern>>,
    min_age: Option<Duration>,
    platforms: Option<Vec<Platform>>,
    downgrade: Option<bool>,
    hold: Option<(String, Span)>,
}

/// `updates` of a layer: by container, where the container's name stands and what is said; none removes the policy.
pub(crate) type Parts = IndexMap<String, (Span, MustMatch, Option<Part>)>;

const STRATEGIES: [&str; 7] = ["semver", "version", "newest", "numeric", "alphabetical", "digest", "follow"];

/// How many patterns and other parts there are, for counting.
pub(crate) fn entries(parts: &Parts) -> usize {
    let count = |list: &Option<Vec<TagPattern>>| list.as_ref().map_or(0, Vec::len);
    let part = |part: &Option<Part>| part.as_ref().map_or(0, |part| count(&part.allow) + count(&part.ignore));
    parts.values().map(|(_, _, found)| 5 + part(found)).sum()
}

/// Reads `updates` of a layer.
pub(crate) fn read(fields: &mut Fields<'_>, kind: LayerKind) -> Parts {
    let Some(entry) = fields.take("updates") else { return Parts::new() };
    let must_match = kind.must_match();
    let span = entry.node.span.clone();
    let Value::Map(map) = entry.node.value else {
        let message = "`updates` is a map from container to image policy";
        fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, message));
        return Parts::new();
    };
    let mut parts = Parts::new();
    for (container, entry) in map {
        if container == "write"
            && matches!(entry.node.scalar_text().as_deref(), Some("commit" | "none" | "merge-request"))
        {
            let message = "`write` stands under `updates` of an environment in lockstep.yaml, not here";
            fields.problems.push(Diagnostic::error(codes::WRONG_PLACE, &entry.key, message));
            continue;
        }
        let part = if entry.node.is_null() { None } else { Some(read_part(entry.node, fields.problems)) };
        parts.insert(container, (entry.key, must_match, part));
    }
    parts
}

/// Reads `updates` of an environment in lockstep.yaml.
pub(crate) fn read_write(fields: &mut Fields<'_>) -> Option<WriteMode> {
    let entry = fields.take("updates")?;
    let mut inner = Fields::new(entry.node, "`updates` of an environment", fields.problems);
    let mut mode = None;
    if let Some((text, span)) = inner.text("write") {
        match text.as_str() {
            "commit" => mode = Some(WriteMode::Commit),
            "none" => mode = Some(WriteMode::None),
            "merge-request" => inner.problems.push(
                Diagnostic::error(codes::NOT_YET, &span, "`write: merge-request` is not implemented yet")
                    .hint("write `commit` or `none`"),
            ),
            _ => inner.problems.push(
                Diagnostic::error(codes::NOT_ALLOWED, &span, format!("`{text}` is not a way to write"))
                    .hint("the ways are commit and none"),
            ),
        }
    }
    inner.finish();
    mode
}

fn read_part(node: Node, problems: &mut Vec<Diagnostic>) -> Part {
    let mut fields = Fields::new(node, "an image policy", problems);
    let mut part = Part::default();
    for key in STRATEGIES {
        if key == "semver" && fields.is_map(key) {
            part.strategy = cut_version(&mut fields);
            continue;
        }
        let Some((text, span)) = fields.text(key) else { continue };
        if let Some((other, ..)) = &part.strategy {
            let message = format!("a policy has one strategy: `{}` or `{key}`", other.key());
            fields.problems.push(Diagnostic::error(codes::NOT_ALLOWED, &span, message));
            continue;
        }
        match strategy(key, &text) {
            Ok(strategy) => part.strategy = Some((strategy, text, span)),
            Err(reason) => {
                let message = format!("`{key}`: {reason}");
                fields.problems.push(Diagnostic::error(codes::POLICY, &span, message));
            }
        }
    }
    part.allow = parsed(&mut fields, "allow");
    part.ignore = parsed(&mut fields, "ignore");
    part.platforms = parsed(&mut fields, "platform");
    if let Some((text, span)) = fields.text("minAge") {
        match parse_span(&text) {
            Some(age) => part.min_age = Some(age),
            None => {
                let message = format!("`minAge` must be a duration like 30m, 2h or 3d, not `{text}`");
                fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, message));
            }
        }
    }
    part.downgrade = fields.boolean("downgrade").map(|(value, _)| value);
    if let Some((text, span)) = fields.text("hold") {
        if matches!(text.trim().to_ascii_lowercase().as_str(), "" | "true" | "false") {
            let problem = Diagnostic::error(codes::POLICY, &span, "`hold` says why the pin is left alone");
            fields.problems.push(problem.hint("write the reason; remove `hold` to let the pin move"));
        } else {
            part.hold = Some((text, span));
        }
    }
    fields.finish();
    part
}

/// `semver` as a map: a range, and what cuts the version out of a tag.
fn cut_version(fields: &mut Fields<'_>) -> Option<(Strategy, String, Span)> {
    let entry = fields.take("semver")?;
    let span = entry.node.span.clone();
    let mut inner = Fields::new(entry.node, "`semver`", fields.problems);
    if !inner.has("range") {
        let problem = Diagnostic::error(codes::MISSING, &span, "`semver` as a map needs a `range`");
        inner.problems.push(problem.hint("write `*` for any release"));
    }
    let (range, from) = (inner.text("range"), inner.text("from"));
    let mut refuse = |name: &str, span: &Span, reason: &dyn std::fmt::Display| {
        inner.problems.push(Diagnostic::error(codes::POLICY, span, format!("`semver.{name}`: {reason}")));
    };
    let mut written = String::new();
    let mut constraint = None;
    if let Some((text, span)) = range {
        match text.parse::<Constraint>() {
            Ok(found) => constraint = Some(found),
            Err(reason) => refuse("range", &span, &reason),
        }
        written = text;
    }
    let mut pattern = None;
    if let Some((text, span)) = from {
        match text.parse::<TagPattern>() {
            Ok(found) => pattern = Some(found),
            Err(reason) => {
                refuse("from", &span, &reason);
                constraint = None;
            }
        }
        written = format!("{written} from {text}");
    }
    inner.finish();
    Some((Strategy::Semver { range: constraint?, from: pattern }, written, span))
}

fn strategy(key: &str, text: &str) -> Result<Strategy, String> {
    Ok(match key {
        "semver" => {
            Strategy::Semver { range: text.parse::<Constraint>().map_err(|error| error.to_string())?, from: None }
        }
        "version" => Strategy::Version(text.parse()?),
        "newest" => Strategy::Newest(text.parse()?),
        "numeric" => Strategy::Numeric(text.parse()?),
        "alphabetical" => Strategy::Alphabetical(text.parse()?),
        "digest" if crate::pins::is_tag(text) => Strategy::Digest(text.to_owned()),
        "digest" => return Err(format!("`{text}` is not a tag")),
        _ => match text.split_once('/') {
            Some((service, container)) if is_name(service) && is_name(container) => {
                Strategy::Follow { service: service.to_owned(), container: container.to_owned() }
            }
            _ => return Err(format!("`{text}` is not SERVICE/CONTAINER")),
        },
    })
}

fn parsed<T: FromStr<Err = String>>(fields: &mut Fields<'_>, name: &'static str) -> Option<Vec<T>> {
    // An empty list takes away what earlier layers say.
    let is_there = fields.has(name);
    let texts = fields.texts(name);
    let mut values = Vec::new();
    for (text, span) in &texts {
        match text.parse() {
            Ok(value) => values.push(value),
            Err(reason) => {
                fields.problems.push(Diagnostic::error(codes::POLICY, span, format!("`{name}`: {reason}")));
            }
        }
    }
    is_there.then_some(values)
}

/// A container's policy from all layers, before it is known to be complete.
#[derive(Default)]
struct Merged {
    part: Part,
    /// The last place that names the container, and where it must be one of the task definition.
    place: Option<(Span, MustMatch)>,
}

/// The policies of layers, in their order, for a task definition with these containers. What names no container is
/// answered as problems: those of the service as a whole apart, because it need match in one environment only.
pub(crate) fn merge<'a>(
    layers: impl IntoIterator<Item = &'a Parts>,
    containers: &[&str],
    problems: &mut Vec<Diagnostic>,
    unmatched: &mut Vec<Diagnostic>,
) -> IndexMap<String, Policy> {
    let known: HashSet<&str> = containers.iter().copied().collect();
    let mut merged: IndexMap<&str, Merged> = IndexMap::new();
    for (container, (key, must_match, part)) in layers.into_iter().flatten() {
        if !known.contains(container.as_str()) {
            let found = match must_match {
                MustMatch::Nowhere => continue,
                MustMatch::Somewhere => &mut *unmatched,
                MustMatch::Here => &mut *problems,
            };
            let message = format!("`updates` names `{container}`, and the task definition has no such container");
            let problem = Diagnostic::error(codes::NOTHING_MATCHED, key, message);
            suggest(found, problem, container, containers.iter().copied());
            continue;
        }
        let Some(part) = part else {
            merged.shift_remove(container.as_str());
            continue;
        };
        let known = merged.entry(container).or_default();
        known.place = Some((key.clone(), *must_match));
        known.part.lay(part);
    }
    let mut policies = IndexMap::new();
    for (container, Merged { part, place }) in merged {
        let Some((strategy, written, span)) = part.strategy else {
            if let Some((key, must_match)) = place
                && must_match != MustMatch::Nowhere
            {
                let message = format!("the image policy of `{container}` names no strategy");
                let hint = format!("add one of {}", STRATEGIES.join(", "));
                problems.push(Diagnostic::error(codes::MISSING, &key, message).hint(hint));
            }
            continue;
        };
        let (hold, hold_span) = part.hold.map_or((None, None), |(text, span)| (Some(text), Some(span)));
        let policy = Policy {
            strategy,
            written,
            allow: part.allow.unwrap_or_default(),
            ignore: part.ignore.unwrap_or_default(),
            min_age: part.min_age.unwrap_or_default(),
            platforms: part.platforms.unwrap_or_default(),
            downgrade: part.downgrade.unwrap_or_default(),
            hold,
            span,
            hold_span,
        };
        policies.insert(container.to_owned(), policy);
    }
    policies
}

impl Part {
    fn lay(&mut self, over: &Part) {
        fn replace<T: Clone>(slot: &mut Option<T>, over: &Option<T>) {
            if over.is_some() {
                slot.clone_from(over);
            }
        }
        replace(&mut self.strategy, &over.strategy);
        replace(&mut self.allow, &over.allow);
        replace(&mut self.ignore, &over.ignore);
        replace(&mut self.min_age, &over.min_age);
        replace(&mut self.platforms, &over.platforms);
        replace(&mut self.downgrade, &over.downgrade);
        replace(&mut self.hold, &over.hold);
    }
}
