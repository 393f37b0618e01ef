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
    let is_short =
        |word: &str| lower == word || lower.ends_with(&format!("_{word}")) || lower.ends_with(&format!("-{word}"));
    NAMES.iter().any(|word| lower.contains(word)) || ["key", "pass", "pwd", "pw", "pin"].into_iter().any(is_short)
}

/// Environment, labels and options hold what people like; the other members have a fixed meaning.
fn is_free_text(path: &Path) -> bool {
    path.0.iter().any(|step| matches!(step, Step::Member(name) if FREE.contains(&name.as_str())))
}

/// `secrets` and `secretOptions` name where a secret is, not the secret.
fn is_reference(path: &Path) -> bool {
    path.0.iter().any(|step| matches!(step, Step::Member(name) if matches!(name.as_str(), "secrets" | "secretOptions")))
}

/// What stands for a value that is not shown.
const HIDDEN: &str = "•••";

/// The members whose keys are free text.
const FREE: &[&str] = &["environment", "dockerLabels", "options", "driverOpts", "labels", "properties", "tags"];

fn value_looks_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => text_looks_secret(text),
        Value::Array(items) => items.iter().any(value_looks_secret) || has_secret_flag(items),
        _ => false,
    }
}

/// `--token x` in a list of arguments.
fn has_secret_flag(items: &[Value]) -> bool {
    items.iter().filter_map(Value::as_str).any(|text| {
        let flag = text.trim_start_matches('-');
        text.starts_with('-') && name_looks_secret(flag.split('=').next().unwrap_or(flag))
    })
}

/// A block with its secret-looking leaves hidden; what is not secret stays readable.
pub fn redact(value: &Value) -> Value {
    redact_in(value, false)
}

fn redact_in(value: &Value, free: bool) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(name, inner)| {
                    let inner = if free && name_looks_secret(name) {
                        Value::String(HIDDEN.to_owned())
                    } else {
                        redact_in(inner, FREE.contains(&name.as_str()))
                    };
                    (name.clone(), inner)
                })
                .collect(),
        ),
        Value::Array(items) if has_secret_flag(items) => Value::String(HIDDEN.to_owned()),
        Value::Array(items) => Value::Array(items.iter().map(|item| redact_in(item, free)).collect()),
        Value::String(text) if text_looks_secret(text) => Value::String(HIDDEN.to_owned()),
        other => other.clone(),
    }
}

/// A line of free text with what looks secret hidden: values of secret-looking names, tokens by their prefix, passwords
/// in URLs, what follows `Bearer`, and long random words.
pub fn line(text: &str) -> String {
    let mut hides_next = false;
    let words = text.split(' ').map(|word| {
        if word.is_empty() {
            return word.to_owned();
        }
        let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        if std::mem::take(&mut hides_next) && !bare.is_empty() {
            hides_next = matches!(bare.to_lowercase().as_str(), "bearer" | "basic" | "is");
            return if hides_next { word.to_owned() } else { HIDDEN.to_owned() };
        }
        if let Some((name, separator, value)) = split_assignment(word)
            && name_looks_secret(name.trim_matches(|letter: char| !letter.is_alphanumeric()))
        {
            // `password: x` has its value in the next word.
            hides_next = value.is_empty();
            return if hides_next { word.to_owned() } else { format!("{name}{separator}{HIDDEN}") };
        }
        hides_next =
            matches!(bare.to_lowercase().as_str(), "bearer" | "authorization" | "password" | "token" | "secret");
        if text_looks_secret(bare) || looks_random(bare) { HIDDEN.to_owned() } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `name=value` or `name:value`, but not a URL.
fn split_assignment(word: &str) -> Option<(&str, char, &str)> {
    let at = word.find(['=', ':'])?;
    let (name, rest) = word.split_at(at);
    let value = &rest[1..];
    let separator = rest.chars().next()?;
    (!name.is_empty() && !value.starts_with("//")).then_some((name, separator, value))
}

/// A long word of letters and digits in no order, as keys are. Digests and ids of AWS have only hex digits and stay.
fn looks_random(word: &str) -> bool {
    let plain = word.len() >= 24 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/_-=".contains(&byte));
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let path = word.matches('/').count() > 1 || word.matches('-').count() > 2;
    plain && !hex && !path && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

fn text_looks_secret(text: &str) -> bool {
    let has_password = text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    });
    let lower = text.to_lowercase();
    let has_header = lower.contains("bearer ") || lower.contains("authorization:");
    let has_flag = lower.split_whitespace().any(|word| {
        word.starts_with('-')
            && word.split_once('=').is_some_and(|(flag, _)| name_looks_secret(flag.trim_start_matches('-')))
    });
    has_password || has_header || has_flag || PREFIXES.iter().any(|prefix| text.starts_with(prefix) && text.len() >= 12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_hide_what_looks_secret_and_nothing_else() {
        let cases = [
            ("connecting to postgres://me:pw@db/x", "connecting to •••"),
            ("DB_PASSWORD=hunter2 missing", "DB_PASSWORD=••• missing"),
            ("password: hunter2", "password: •••"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer •••"),
            ("key AKIAABCDEFGHIJKLMNOP denied", "key ••• denied"),
            ("sig wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "sig •••"),
            ("{\"apiKey\":\"x\"}", "{\"apiKey\":•••"),
            ("panicked at src/main.rs:12:5: no such table users", "panicked at src/main.rs:12:5: no such table users"),
            ("task 0123456789abcdef0123456789abcdef stopped", "task 0123456789abcdef0123456789abcdef stopped"),
            ("GET https://example.com/health 502", "GET https://example.com/health 502"),
        ];
        for (text, shown) in cases {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn secrets_are_recognised_by_name_or_by_look() {
        let path = |text: &str| text.parse::<Path>().expect("a path");
        let base = "taskDefinition.containerDefinitions[web]";
        assert!(looks_secret(&path(&format!("{base}.environment[DB_PASSWORD]")), &json!("x")));
        assert!(looks_secret(&path(&format!("{base}.environment[STRIPE_KEY]")), &json!("x")));
        assert!(looks_secret(&path(&format!("{base}.environment[URL]")), &json!("postgres://me:pw@db/x")));
        assert!(looks_secret(&path(&format!("{base}.environment[PASS]")), &json!("x")));
        assert!(looks_secret(&path(&format!("{base}.command")), &json!(["serve", "--token", "x"])));
        assert!(looks_secret(
            &path(&format!("{base}.healthCheck.command")),
            &json!(["CMD-SHELL", "curl -H 'Authorization: Bearer x' y"])
        ));
        assert_eq!(
            redact(
                &json!({"image": "x", "environment": {"API_TOKEN": "x", "LEVEL": "info"}, "command": ["--password=x"]})
            ),
            json!({"image": "x", "environment": {"API_TOKEN": "•••", "LEVEL": "info"}, "command": "•••"})
        );
        let volume = json!({"dockerVolumeConfiguration": {"driverOpts": {"password": "x", "type": "nfs"}}});
        assert_eq!(
            redact(&volume)["dockerVolumeConfiguration"]["driverOpts"],
            json!({"password": "•••", "type": "nfs"})
        );
        assert!(looks_secret(&path(&format!("{base}.command")), &json!(["--key", "AKIAABCDEFGHIJKLMNOP"])));
        assert!(!looks_secret(&path(&format!("{base}.environment[LOG_LEVEL]")), &json!("debug")));
        assert!(!looks_secret(&path(&format!("{base}.secrets[DB_PASSWORD]")), &json!("arn:aws:ssm:::parameter/x")));
        assert!(!looks_secret(&path(&format!("{base}.image")), &json!("a.example/b@sha256:0")));
    }
}
