//! Values that look secret are never shown. A guess that errs on the side of hiding.

use lockstep_manifests::path::{Path, Step};
use serde_json::Value;

const NAMES: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "private",
    "credential",
    "auth",
    "passphrase",
    "signing",
    "dsn",
    "connection_string",
];
const PREFIXES: &[&str] = &[
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "rk_live_",
    "sk-",
    "SG.",
    "eyJ",
    "-----BEGIN",
];

/// Whether a value at this path should be masked.
pub fn looks_secret(path: &Path, value: &Value) -> bool {
    let named =
        is_free_text(path) && path.0.iter().any(|step| matches!(step, Step::Element(key) if name_looks_secret(key)));
    (named && !is_reference(path)) || value_looks_secret(value)
}

/// Whether the text of a name says that its value is secret.
fn name_looks_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    NAMES.iter().any(|word| lower.contains(word)) || lower.ends_with("_key") || lower.ends_with("_pwd")
}

/// Environment, labels and options hold what people like; the other members have a fixed meaning.
fn is_free_text(path: &Path) -> bool {
    path.0.iter().any(|step| {
        matches!(step, Step::Member(name) if matches!(name.as_str(), "environment" | "dockerLabels" | "options" | "driverOpts" | "labels" | "properties" | "tags"))
    })
}

/// `secrets` and `secretOptions` name where a secret is, not the secret.
fn is_reference(path: &Path) -> bool {
    path.0.iter().any(|step| matches!(step, Step::Member(name) if matches!(name.as_str(), "secrets" | "secretOptions")))
}

fn value_looks_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => text_looks_secret(text),
        Value::Array(items) => items.iter().any(value_looks_secret),
        Value::Object(map) => map.iter().any(|(name, value)| {
            let in_environment = matches!(name.as_str(), "environment" | "options" | "dockerLabels");
            value_looks_secret(value)
                || (in_environment
                    && value.as_object().is_some_and(|inner| inner.keys().any(|key| name_looks_secret(key))))
        }),
        _ => false,
    }
}

fn text_looks_secret(text: &str) -> bool {
    let has_password = text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    });
    has_password || PREFIXES.iter().any(|prefix| text.starts_with(prefix) && text.len() >= 12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_recognised_by_name_or_by_look() {
        let path = |text: &str| text.parse::<Path>().expect("a path");
        let base = "taskDefinition.containerDefinitions[web]";
        assert!(looks_secret(&path(&format!("{base}.environment[DB_PASSWORD]")), &json!("x")));
        assert!(looks_secret(&path(&format!("{base}.environment[STRIPE_KEY]")), &json!("x")));
        assert!(looks_secret(&path(&format!("{base}.environment[URL]")), &json!("postgres://me:pw@db/x")));
        assert!(looks_secret(&path(base), &json!({"environment": {"API_TOKEN": "x"}})));
        assert!(looks_secret(&path(&format!("{base}.command")), &json!(["--key", "AKIAABCDEFGHIJKLMNOP"])));
        assert!(!looks_secret(&path(&format!("{base}.environment[LOG_LEVEL]")), &json!("debug")));
        assert!(!looks_secret(&path(&format!("{base}.secrets[DB_PASSWORD]")), &json!("arn:aws:ssm:::parameter/x")));
        assert!(!looks_secret(&path(&format!("{base}.image")), &json!("a.example/b@sha256:0")));
    }
}
