//! The parts of the agent's file about images: how often registries are read, which there are, and what commits look
//! like.

use super::{SecretRef, parse_duration};
use crate::git::Person;
use lockstep_core::images::Template;
use lockstep_manifests::{
    Diagnostic, codes,
    fields::Fields,
    node::{Node, Value},
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// When registries are read, and when what they have is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagesConfig {
    /// Longest time between two readings of a registry.
    pub interval: Duration,
    /// How long nothing new must have been found before a commit is made.
    pub quiet: Duration,
    /// Longest time that a commit waits.
    pub at_most: Duration,
    /// Queues that EventBridge puts ECR's events into, as URLs.
    pub queues: Vec<String>,
}

impl Default for ImagesConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            quiet: Duration::from_secs(10),
            at_most: Duration::from_secs(60),
            queues: Vec::new(),
        }
    }
}

/// A registry other than ECR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// The user's name.
    pub username: Option<String>,
    /// Where the password or token is.
    pub password: Option<SecretRef>,
    /// Whether it is reached over plain http://.
    pub insecure: bool,
    /// Other hosts that hand out tokens for it.
    pub token_hosts: Vec<String>,
    /// Other hosts that it redirects to for the content of images.
    pub blob_hosts: Vec<String>,
    /// A private certificate authority.
    pub authority: Option<PathBuf>,
}

/// How a source's commits look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitConfig {
    /// Who wrote them.
    pub author: Person,
    /// Who made them.
    pub committer: Person,
    /// The key that signs them.
    pub signing_key: Option<SecretRef>,
    /// What they say.
    pub template: Template,
}

impl Default for CommitConfig {
    fn default() -> Self {
        let person = Person { name: "Lockstep".to_owned(), email: "lockstep@localhost".to_owned() };
        Self { author: person.clone(), committer: person, signing_key: None, template: Template::default() }
    }
}

/// Reads `images`.
pub(super) fn read_images(node: Node, config: &mut ImagesConfig, problems: &mut Vec<Diagnostic>) {
    let mut fields = Fields::new(node, "`images`", problems);
    for (name, slot) in
        [("interval", &mut config.interval), ("quiet", &mut config.quiet), ("atMost", &mut config.at_most)]
    {
        let Some((text, span)) = fields.text(name) else { continue };
        match parse_duration(&text) {
            Ok(duration) => *slot = duration,
            Err(reason) => fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, reason)),
        }
    }
    if config.quiet > config.at_most {
        let message = "`atMost` must not be shorter than `quiet`";
        let span = fields.span().clone();
        fields.problems.push(Diagnostic::error(codes::NOT_ALLOWED, &span, message));
    }
    for (url, span) in fields.texts("queues") {
        if crate::aws::QueueUrl::parse(&url).is_some() {
            config.queues.push(url);
        } else {
            let message = format!(
                "`{url}` is not the URL of an SQS queue like https://sqs.eu-central-1.amazonaws.com/111111111111/images"
            );
            fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, message));
        }
    }
    fields.finish();
}

/// Reads `registries`.
pub(super) fn read_registries(
    node: Node,
    registries: &mut BTreeMap<String, RegistryConfig>,
    problems: &mut Vec<Diagnostic>,
) {
    let span = node.span.clone();
    let Value::Map(map) = node.value else {
        problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, "`registries` is a map from host to settings"));
        return;
    };
    for (host, entry) in map {
        if host.contains(['/', '*', '@', ' ']) || host.is_empty() {
            let message = format!("`{host}` is not a registry's host like registry.example.com:5000");
            problems.push(Diagnostic::error(codes::WRONG_TYPE, &entry.key, message));
        }
        let mut fields = Fields::new(entry.node, "a registry", problems);
        let username = fields.text("username").map(|(text, _)| text);
        let password = secret(&mut fields, "password");
        let insecure = fields.boolean("insecure").is_some_and(|(value, _)| value);
        let texts = |fields: &mut Fields<'_>, name| fields.texts(name).into_iter().map(|(text, _)| text).collect();
        let token_hosts = texts(&mut fields, "tokenHosts");
        let blob_hosts = texts(&mut fields, "blobHosts");
        let authority = fields.text("certificateAuthority").map(|(text, _)| PathBuf::from(text));
        if username.is_some() != password.is_some() {
            let message = "`username` and `password` belong together";
            fields.problems.push(Diagnostic::error(codes::MISSING, &entry.key, message));
        }
        fields.finish();
        let config = RegistryConfig { username, password, insecure, token_hosts, blob_hosts, authority };
        if registries.insert(host.to_ascii_lowercase(), config).is_some() {
            let message = format!("`{host}` is here twice: host names have no case");
            problems.push(Diagnostic::error(codes::DUPLICATE_KEY, &entry.key, message));
        }
    }
}

/// Reads a source's `commit`.
pub(super) fn read_commit(node: Node, problems: &mut Vec<Diagnostic>) -> CommitConfig {
    let mut config = CommitConfig::default();
    let mut fields = Fields::new(node, "`commit`", problems);
    let mut person = |name: &'static str| {
        let (text, span) = fields.text(name)?;
        match Person::parse(&text) {
            Ok(person) => Some(person),
            Err(reason) => {
                fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, reason));
                None
            }
        }
    };
    let (author, committer) = (person("author"), person("committer"));
    if let Some(author) = author {
        config.committer = author.clone();
        config.author = author;
    }
    if let Some(committer) = committer {
        config.committer = committer;
    }
    config.signing_key = secret(&mut fields, "signingKey");
    let (subject, bump) = (fields.text("subject"), fields.text("bump"));
    let text = |written: &Option<(String, _)>| written.as_ref().map(|(text, _): &(String, _)| text.clone());
    match Template::new(text(&subject).as_deref(), text(&bump).as_deref()) {
        Ok(template) => config.template = template,
        Err(error) => {
            // Each part is tried alone, to point at the one that is wrong.
            let in_subject = Template::new(text(&subject).as_deref(), None).is_err();
            let span = if in_subject { subject } else { bump }.map_or_else(|| fields.span().clone(), |(_, span)| span);
            fields.problems.push(Diagnostic::error(codes::NOT_ALLOWED, &span, error.to_string()));
        }
    }
    fields.finish();
    config
}

/// A member that names where a secret is.
pub(super) fn secret(fields: &mut Fields<'_>, name: &'static str) -> Option<SecretRef> {
    let (text, span) = fields.text(name)?;
    match SecretRef::parse(&text) {
        Ok(secret) => Some(secret),
        Err(reason) => {
            fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, reason));
            None
        }
    }
}
