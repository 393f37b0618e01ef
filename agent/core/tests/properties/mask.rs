//! What looks secret is hidden wherever it is, in both shapes of a definition.

use lockstep_core::mask::{line, looks_secret, redact};
use lockstep_manifests::path::Path;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Texts that hold a secret, each as people write it.
const FORMS: &[&str] = &[
    "Server=db;Database=shop;Password={};Encrypt=true",
    "postgres://web:{}@db/shop",
    "host=db password={} port=5432",
    "{\"db\": {\"user\": \"web\", \"password\": \"{}\"}}",
    "[{\"name\": \"GH_PAT\", \"value\": \"{}\"}]",
    "export DB_PWD2={}; run",
    "run --token {} --port 80",
    "run --token={}",
    "curl -H 'Authorization: Bearer {}' https://example.com",
    "https://hooks.slack.com/services/T1/B1/{}",
    "https://example.com/hook?sig={}",
    "jdbc:mysql://db/shop?user=web&password={}",
    "cookie_salt: {}",
];

proptest! {
    // H12: in a variable, a label, an option or an argument; plain, and as JSON inside of JSON.
    #[test]
    fn no_form_of_a_secret_is_shown(secret in "Q[a-zA-Z0-9]{7,16}", form in 0..FORMS.len(), depth in 0..3_usize) {
        let mut text = FORMS[form].replace("{}", &secret);
        prop_assert!(!line(&text).contains(&secret), "{}", line(&text));
        for _ in 0..depth {
            text = json!({"config": text}).to_string();
        }
        let container = json!({
            "environment": [{"name": "SETTING", "value": text}], "dockerLabels": {"setting": text},
            "logConfiguration": {"options": {"setting": text}}, "command": ["sh", "-c", text], "entryPoint": [text],
        });
        prop_assert!(!redact(&container).to_string().contains(&secret), "{}", redact(&container));
        let normal = json!({"environment": {"SETTING": text}});
        prop_assert!(!redact(&normal).to_string().contains(&secret));
        let path: Path = "taskDefinition.containerDefinitions[web].environment[SETTING]".parse().unwrap();
        prop_assert!(looks_secret(&path, &Value::String(text)));
    }

    // A line keeps what is around a secret, and nothing panics.
    #[test]
    fn any_text_is_read(text in "\\PC{0,60}", secret in "[a-z]{3}[0-9]{9}") {
        let _ = line(&text);
        let _ = redact(&json!({"environment": {"A": text}, "command": [text, text]}));
        let around = format!("before password={secret} after");
        prop_assert_eq!(line(&around), "before password=••• after");
    }
}
