//! The message of a bump commit: a template of the agent's file for people, trailers for machines.

use super::{ImageReference, Labels, reference::short_digest};
use std::collections::BTreeSet;

/// One pin that is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bump {
    /// The environment in whose pins file it stands.
    pub environment: String,
    /// The service.
    pub service: String,
    /// The container.
    pub container: String,
    /// The image before; none where the container had neither tag nor digest.
    pub old: ImageReference,
    /// The image after.
    pub new: ImageReference,
    /// What the pins file said; none where it had no such pin.
    pub old_pin: Option<String>,
    /// What the pins file says.
    pub new_pin: String,
    /// When it was pushed, RFC 3339.
    pub pushed_at: Option<String>,
    /// Where it comes from.
    pub labels: Labels,
}

impl Bump {
    /// `prod/checkout/api`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.environment, self.service, self.container)
    }
}

/// How messages read. A place holder is a name in braces; `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    subject: String,
    bump: String,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

const SUBJECT: &str = "{summary}";
const BUMP: &str =
    "{environment}/{service} {container}: {old} → {new}\n  pushed {pushedAt}\n  source {source}\n  changes {changelog}";
const SUBJECT_NAMES: [&str; 5] = ["summary", "count", "environments", "services", "images"];
const BUMP_NAMES: [&str; 12] = [
    "environment",
    "service",
    "container",
    "repository",
    "old",
    "new",
    "oldPin",
    "newPin",
    "digest",
    "pushedAt",
    "source",
    "changelog",
];

impl Default for Template {
    fn default() -> Self {
        Self { subject: SUBJECT.to_owned(), bump: BUMP.to_owned() }
    }
}

impl Template {
    /// A template whose parts replace the built-in ones.
    ///
    /// # Errors
    /// The first place holder that there is not, or a brace that is not closed.
    pub fn new(subject: Option<&str>, bump: Option<&str>) -> Result<Self, TemplateError> {
        let subject = subject.unwrap_or(SUBJECT);
        let bump = bump.unwrap_or(BUMP);
        check(subject, &SUBJECT_NAMES)?;
        check(bump, &BUMP_NAMES)?;
        if subject.contains('\n') || subject.trim().is_empty() {
            return Err(TemplateError("the subject is one line".to_owned()));
        }
        Ok(Self { subject: subject.to_owned(), bump: bump.trim_end().to_owned() })
    }
}

/// A message of some bumps.
pub struct BumpMessage<'a> {
    /// What is moved, in the order of the files.
    pub bumps: &'a [Bump],
    /// The ids of the sources whose bumps these are.
    pub sources: &'a [&'a str],
}

impl BumpMessage<'_> {
    /// The whole message. The same bumps give the same text.
    pub fn render(&self, template: &Template) -> String {
        let mut text = line(&self.subject(template));
        text.push_str("\n\n");
        for bump in self.bumps {
            text.push_str(&block(bump, template));
        }
        text.push('\n');
        for environment in unique(self.bumps.iter().map(|bump| bump.environment.as_str())) {
            text.push_str(&format!("Lockstep-Environment: {environment}\n"));
        }
        for bump in self.bumps {
            text.push_str(&format!("{IMAGE_TRAILER}: {}\n", trailer_of(bump)));
        }
        for source in self.sources {
            text.push_str(&format!("Lockstep-Source: {source}\n"));
        }
        text
    }

    fn subject(&self, template: &Template) -> String {
        let environments = unique(self.bumps.iter().map(|bump| bump.environment.as_str())).join(", ");
        let summary = match self.bumps {
            [bump] => {
                let change = bump.old.change_to(&bump.new);
                format!("{}: {} {change} in {}", bump.service, bump.container, bump.environment)
            }
            bumps => {
                let services = unique(bumps.iter().map(|bump| bump.service.as_str()));
                format!("{} images of {} in {environments}", bumps.len(), few(&services))
            }
        };
        fill(&template.subject, |name| match name {
            "summary" => summary.clone(),
            "count" => self.bumps.len().to_string(),
            "environments" => environments.clone(),
            "services" => unique(self.bumps.iter().map(|bump| bump.service.as_str())).join(", "),
            _ => unique(self.bumps.iter().map(|bump| bump.new.repository.as_str())).join(", "),
        })
        .0
    }
}

/// Longest list of names in a subject.
const FEW: usize = 3;

fn few(names: &[&str]) -> String {
    match names.len() {
        ..=FEW => names.join(", "),
        count => format!("{} and {} more", names[..FEW].join(", "), count - FEW),
    }
}

/// In order of first appearance.
fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// The lines of one bump. A line whose place holders are all empty is left out.
fn block(bump: &Bump, template: &Template) -> String {
    let mut text = String::new();
    for written in template.bump.split('\n') {
        let (filled, holders, found) = fill(written, |name| value_of(bump, name));
        if holders == 0 || found > 0 {
            text.push_str(line(&filled).trim_end());
            text.push('\n');
        }
    }
    text
}

fn value_of(bump: &Bump, name: &str) -> String {
    let pin = |image: &ImageReference| image.pin().unwrap_or_else(|| "no pin".to_owned());
    match name {
        "environment" => bump.environment.clone(),
        "service" => bump.service.clone(),
        "container" => bump.container.clone(),
        "repository" => bump.new.repository.clone(),
        "old" => long(&bump.old),
        "new" => long(&bump.new),
        "oldPin" => pin(&bump.old),
        "newPin" => pin(&bump.new),
        "digest" => bump.new.digest.clone().unwrap_or_default(),
        "pushedAt" => bump.pushed_at.clone().unwrap_or_default(),
        "source" => bump.labels.commit_link().or_else(|| bump.labels.revision.clone()).unwrap_or_default(),
        _ => bump.labels.changelog.clone().unwrap_or_default(),
    }
}

/// Tag and the digest's first digits.
fn long(image: &ImageReference) -> String {
    match (&image.tag, &image.digest) {
        (Some(tag), Some(digest)) => format!("{tag} ({})", short_digest(digest)),
        _ => short(image),
    }
}

fn short(image: &ImageReference) -> String {
    if image.pin().is_none() { "no pin".to_owned() } else { image.short() }
}

/// One line of text, whatever it was filled with.
fn line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Replaces place holders. Answers how many there were, and how many had a value.
fn fill(text: &str, value: impl Fn(&str) -> String) -> (String, usize, usize) {
    let (mut filled, mut holders, mut found) = (String::new(), 0, 0);
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        if from.starts_with("{{") || from.starts_with("}}") {
            filled.push_str(&from[..1]);
            rest = &from[2..];
        } else if let Some((name, after)) = from[1..].split_once('}').filter(|_| from.starts_with('{')) {
            let value = value(name);
            holders += 1;
            found += usize::from(!value.is_empty());
            filled.push_str(&value);
            rest = after;
        } else {
            filled.push_str(&from[..1]);
            rest = &from[1..];
        }
    }
    filled.push_str(rest);
    (filled, holders, found)
}

fn check(text: &str, names: &[&str]) -> Result<(), TemplateError> {
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let from = &rest[at..];
        if from.starts_with("{{") || from.starts_with("}}") {
            rest = &from[2..];
            continue;
        }
        let Some((name, after)) = from[1..].split_once('}').filter(|_| from.starts_with('{')) else {
            return Err(TemplateError("a brace stands alone; write {{ or }} for one".to_owned()));
        };
        if !names.contains(&name) {
            let mut message = format!("there is no place holder {{{name}}}; there are {}", names.join(", "));
            if let Some(near) = lockstep_manifests::diagnostic::nearest(name, names.iter().copied()) {
                message = format!("there is no place holder {{{name}}}; did you mean {{{near}}}?");
            }
            return Err(TemplateError(message));
        }
        rest = after;
    }
    Ok(())
}

const IMAGE_TRAILER: &str = "Lockstep-Image";
const RELEASE_TRAILER: &str = "Lockstep-Release";

/// What the trailer of a bump says: `prod/checkout/api OLD → NEW`, both as the file says them.
pub fn trailer_of(bump: &Bump) -> String {
    // What stood there before is anybody's text.
    line(&format!("{} {} → {}", bump.name(), bump.old_pin.as_deref().unwrap_or("-"), bump.new_pin))
}

/// The trailers of a message's last paragraph.
fn trailers<'a>(message: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    last.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(": ")).map(str::trim)
}

/// Whether a commit is a bump of Lockstep's own that moved a pin (`prod/checkout/api`) from this to that. A message that
/// somebody used again for another change does not count.
pub fn is_bump(message: &str, pin: &str, from: Option<&str>, to: &str) -> bool {
    let change = format!("{pin} {} → {to}", from.unwrap_or("-"));
    trailers(message, IMAGE_TRAILER).any(|text| text == change)
}

/// Whether a commit releases a pin.
pub fn releases(message: &str, pin: &str) -> bool {
    trailers(message, RELEASE_TRAILER).any(|text| text == pin)
}

/// The message of a release: what is moved with it, and the trailer that lifts the hold. Its subject is the template's.
pub fn release_message(pin: &str, moved: Option<&Bump>, source: &str, template: &Template) -> String {
    let summary = match moved {
        Some(bump) => format!("release {pin}: {}", bump.old.change_to(&bump.new)),
        None => format!("release {pin}"),
    };
    let mut parts = pin.split('/');
    let (environment, service) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (subject, ..) = fill(&template.subject, |name| match name {
        "summary" => summary.clone(),
        "count" => usize::from(moved.is_some()).to_string(),
        "environments" => environment.to_owned(),
        "services" => service.to_owned(),
        _ => moved.map(|bump| bump.new.repository.clone()).unwrap_or_default(),
    });
    let mut text = format!("{}\n\nThe pin follows its policy again.\n\n", line(&subject));
    if let Some(bump) = moved {
        text.push_str(&format!("{IMAGE_TRAILER}: {}\n", trailer_of(bump)));
    }
    text.push_str(&format!("{RELEASE_TRAILER}: {pin}\n"));
    if !source.is_empty() {
        text.push_str(&format!("Lockstep-Source: {source}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bump(service: &str, old: &str, new: &str) -> Bump {
        let image = |pin: &str| ImageReference::parse(&format!("r.example/{service}{pin}"));
        Bump {
            environment: "prod".into(),
            service: service.into(),
            container: "api".into(),
            old: image(old),
            new: image(new),
            old_pin: old.strip_prefix(':').map(str::to_owned),
            new_pin: new.trim_start_matches(':').to_owned(),
            pushed_at: Some("2026-01-02T03:04:05Z".into()),
            labels: Labels::default(),
        }
    }

    #[test]
    fn a_message_is_for_people_and_for_machines() {
        let new = format!(":1.4.3@sha256:{}", "ab".repeat(32));
        let mut one = bump("checkout", ":1.4.2", &new);
        one.labels.revision = Some("0af1234".into());
        one.labels.source = Some("https://git.example.com/checkout".into());
        let bumps = [one];
        let text = BumpMessage { bumps: &bumps, sources: &["shop"] }.render(&Template::default());
        insta::assert_snapshot!(text);
        let to = format!("1.4.3@sha256:{}", "ab".repeat(32));
        assert!(is_bump(&text, "prod/checkout/api", Some("1.4.2"), &to));
        assert!(!is_bump(&text, "prod/checkout/api", Some("1.4.1"), &to), "the same message on another change");
        assert!(
            !is_bump(&text, "prod/checkout/web", Some("1.4.2"), &to)
                && !is_bump(&text, "prod/checkout/api", Some("1.4.2"), "1.4.3")
        );
        // Only the last paragraph has trailers: the quote in a revert has none.
        assert!(!is_bump(
            &format!("Revert\n\n{text}\n\nThis reverts commit 1.\n"),
            "prod/checkout/api",
            Some("1.4.2"),
            &to
        ));
    }

    #[test]
    fn many_images_are_one_message() {
        let bumps: Vec<Bump> = ["a", "b", "c", "d", "e"].map(|name| bump(name, "", ":2")).into();
        let text = BumpMessage { bumps: &bumps, sources: &["shop"] }.render(&Template::default());
        assert!(
            text.starts_with("5 images of a, b, c and 2 more in prod\n\nprod/a api: no pin → 2\n  pushed 2026"),
            "{text}"
        );
        assert!(
            text.contains("\nLockstep-Environment: prod\nLockstep-Image: prod/a/api - → 2\nLockstep-Image: prod/b/api"),
            "{text}"
        );
    }

    #[test]
    fn a_template_of_ones_own() {
        let template =
            Template::new(Some("chore({services}): {count} {{x}} [skip ci]"), Some("* {newPin}\nby {source}")).unwrap();
        let bumps = [bump("a", ":1", ":2")];
        let text = BumpMessage { bumps: &bumps, sources: &["s"] }.render(&template);
        assert!(text.starts_with("chore(a): 1 {x} [skip ci]\n\n* 2\n\nLockstep-Environment"), "{text}");
        let wrong = |subject, bump| Template::new(subject, bump).unwrap_err().to_string();
        assert_eq!(wrong(Some("{sumary}"), None), "there is no place holder {sumary}; did you mean {summary}?");
        assert_eq!(wrong(None, Some("{")), "a brace stands alone; write {{ or }} for one");
        assert_eq!(wrong(Some("a\nb"), None), "the subject is one line");
    }

    #[test]
    fn a_release_names_its_pin() {
        let text = release_message("prod/a/api", None, "s", &Template::default());
        assert!(releases(&text, "prod/a/api") && !releases(&text, "prod/a"));
        assert!(text.starts_with("release prod/a/api\n\n") && text.ends_with("\nLockstep-Source: s\n"), "{text}");
        let template = Template::new(Some("chore({environments}/{services}): {summary}"), None).unwrap();
        let text = release_message("prod/a/api", None, "", &template);
        assert!(text.starts_with("chore(prod/a): release prod/a/api\n\n"), "{text}");
        assert!(text.ends_with("\nLockstep-Release: prod/a/api\n"), "{text}");
    }
}
