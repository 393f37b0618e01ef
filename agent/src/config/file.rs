//! Reading the agent's file, with the same exact places as manifests.

use super::{AgentConfig, ConfigError, Origin, Setting, SourceConfig, images, is_error};
use crate::{
    aws::AccountRole,
    git::{Location, branch_problem},
};
use lockstep_core::allow::Allow;
use lockstep_manifests::{
    Diagnostic, codes, diagnostic,
    fields::Fields,
    node::{Node, Value},
    parse,
    source::{SourceFile, Span},
};
use std::path::{Path, PathBuf};

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<AgentConfig, ConfigError> {
    let bytes = std::fs::read(path)
        .map_err(|error| ConfigError::Value(format!("failed to read {}: {error}", path.display())))?;
    let text =
        String::from_utf8(bytes).map_err(|_| ConfigError::Value(format!("{} is not UTF-8 text", path.display())))?;
    parse(path, &text)
}

/// Reads a file's text.
pub(super) fn parse(path: &Path, text: &str) -> Result<AgentConfig, ConfigError> {
    let fail = |mut problems: Vec<Diagnostic>| {
        diagnostic::in_file_order(&mut problems);
        ConfigError::File(path.to_owned(), problems)
    };
    let file = SourceFile::new(path.display().to_string(), text);
    let node = parse::parse(&file).map_err(fail)?;
    let mut problems = Vec::new();
    let mut config = AgentConfig { file: Some(path.to_owned()), ..AgentConfig::built_in() };
    let mut fields = Fields::new(node, "the agent's file", &mut problems);
    setting(&mut fields, "stateDirectory", &mut config.state_directory, |text| Ok(PathBuf::from(text)));
    setting(&mut fields, "listen", &mut config.listen, super::parse_listen);
    setting(&mut fields, "interval", &mut config.interval, super::parse_duration);
    setting(&mut fields, "apiShare", &mut config.api_share, super::parse_share);
    if let Some(entry) = fields.take("sources") {
        read_sources(entry.node, &mut config.sources, fields.problems);
    }
    if let Some(entry) = fields.take("images") {
        images::read_images(entry.node, &mut config.images, fields.problems);
    }
    if let Some(entry) = fields.take("registries") {
        images::read_registries(entry.node, &mut config.registries, fields.problems);
    }
    if let Some(entry) = fields.take("accounts") {
        read_accounts(entry.node, &mut config, fields.problems);
    }
    fields.finish();
    if problems.iter().any(is_error) { Err(fail(problems)) } else { Ok(config) }
}

fn origin(span: &Span) -> Origin {
    Origin::File(span.file.path.clone(), span.line_column().0)
}

fn setting<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    slot: &mut Setting<T>,
    parse: impl Fn(&str) -> Result<T, String>,
) {
    let Some((text, span)) = fields.text(name) else {
        return;
    };
    match parse(&text) {
        Ok(value) => *slot = Setting { value, origin: origin(&span) },
        Err(reason) => fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, reason)),
    }
}

fn read_sources(node: Node, sources: &mut Vec<SourceConfig>, problems: &mut Vec<Diagnostic>) {
    let span = node.span.clone();
    let Value::List(items) = node.value else {
        problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, "`sources` is a list"));
        return;
    };
    let mut ids: Vec<String> = Vec::new();
    for item in items {
        let mut fields = Fields::new(item, "a source", problems);
        if let Some(source) = read_source(&mut fields, &mut ids) {
            if let Some((other, environment)) = sources.iter().find_map(|other| shared(other, &source)) {
                let place = fields.span().clone();
                let message = format!("{environment} of this repository is claimed by the source `{other}` already");
                fields.problems.push(
                    Diagnostic::error(codes::DUPLICATE_IDENTITY, &place, message)
                        .hint("give each source the environments of its own with `environments:`"),
                );
            }
            sources.push(source);
        }
        fields.finish();
    }
}

/// The id of the other source and an environment, where two sources of one repository claim the same.
fn shared(other: &SourceConfig, source: &SourceConfig) -> Option<(String, String)> {
    if other.location != source.location {
        return None;
    }
    let environment = match (&other.environments, &source.environments) {
        (Some(theirs), Some(ours)) => format!("environment `{}`", ours.iter().find(|name| theirs.contains(name))?),
        _ => "every environment".to_owned(),
    };
    Some((other.id.clone(), environment))
}

fn read_source(fields: &mut Fields<'_>, ids: &mut Vec<String>) -> Option<SourceConfig> {
    let place = fields.span().clone();
    let id = fields.text("id");
    let repository = fields.text("repository");
    let branch = fields.text("branch");
    let username = fields.text("username");
    let token = images::secret(fields, "token");
    let authority = fields.text("certificateAuthority");
    let ssh_key = images::secret(fields, "sshKey");
    let known_hosts = fields.text("knownHosts").map(|(path, _)| PathBuf::from(path));
    let commit =
        fields.take("commit").map(|entry| images::read_commit(entry.node, fields.problems)).unwrap_or_default();
    let environments = fields.texts("environments");
    let allow = fields.take("allow").map(|entry| read_allow(entry.node, fields.problems)).unwrap_or_default();
    for (name, value) in [("id", &id), ("repository", &repository)] {
        if value.is_none() {
            let message = format!("a source needs `{name}`");
            fields.problems.push(Diagnostic::error(codes::MISSING, &place, message));
        }
    }
    if let Some((id, span)) = &id {
        if ids.contains(id) {
            let message = format!("the source `{id}` is defined twice");
            fields.problems.push(Diagnostic::error(codes::DUPLICATE_KEY, span, message));
        }
        ids.push(id.clone());
        if !lockstep_manifests::name::is_name(id) {
            let message = format!("`{id}` is not an id: use letters, digits, `-` and `_`");
            fields.problems.push(Diagnostic::error(codes::BAD_NAME, span, message));
        }
    }
    let location = repository.and_then(|(text, span)| match Location::parse(&text) {
        Ok(location) => Some(location),
        Err(reason) => {
            fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, reason));
            None
        }
    });
    if let Some((name, span)) = &branch
        && let Some(reason) = branch_problem(name)
    {
        fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, span, reason));
    }
    let (id, _) = id?;
    Some(SourceConfig {
        id,
        origin: origin(&place),
        location: location?,
        branch: branch.map_or_else(
            || Setting { value: "main".to_owned(), origin: Origin::Default },
            |(value, span)| Setting { value, origin: origin(&span) },
        ),
        username: username.map_or_else(|| super::DEFAULT_USERNAME.to_owned(), |(value, _)| value),
        token,
        authority: authority.map(|(value, _)| PathBuf::from(value)),
        ssh_key,
        known_hosts,
        commit,
        environments: (!environments.is_empty()).then(|| environments.into_iter().map(|(name, _)| name).collect()),
        allow,
    })
}

fn read_allow(node: Node, problems: &mut Vec<Diagnostic>) -> Allow {
    let mut fields = Fields::new(node, "`allow`", problems);
    let clusters = fields.take("clusters").map(|entry| (entry.node.span.clone(), entry.node));
    let clusters = clusters.map(|(span, node)| match node.value {
        Value::List(items) => items.iter().filter_map(Node::scalar_text).collect(),
        _ => node.scalar_text().map(|text| vec![text]).unwrap_or_else(|| {
            fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, "`clusters` is a list of names"));
            Vec::new()
        }),
    });
    let mut globs = |name: &'static str| {
        let texts = fields.texts(name);
        let mut patterns = Vec::new();
        for (text, span) in texts {
            match globset::Glob::new(&text) {
                Ok(_) => patterns.push(text),
                Err(error) => fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, error.to_string())),
            }
        }
        patterns
    };
    let (registries, ssm, secrets) = (globs("registries"), globs("ssm"), globs("secrets"));
    let adopt = fields.boolean("adopt").is_some_and(|(value, _)| value);
    fields.finish();
    Allow { clusters, registries, ssm, secrets, adopt }
}

fn read_accounts(node: Node, config: &mut AgentConfig, problems: &mut Vec<Diagnostic>) {
    let span = node.span.clone();
    let Value::Map(map) = node.value else {
        problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, "`accounts` is a map from account id to role"));
        return;
    };
    for (account, entry) in map {
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = format!("`{account}` is not an AWS account id (12 digits, in quotes)");
            problems.push(Diagnostic::error(codes::WRONG_TYPE, &entry.key, message));
        }
        let place = entry.key.clone();
        let mut fields = Fields::new(entry.node, "an account", problems);
        let role = fields.text("role").map(|(role, _)| role);
        let external_id = fields.text("externalId").map(|(value, _)| value);
        if role.is_none() {
            fields.problems.push(Diagnostic::error(codes::MISSING, &place, "an account needs `role`"));
        }
        fields.finish();
        config.accounts.insert(account, AccountRole { role: role.unwrap_or_default(), external_id });
    }
}
