use super::*;
use serde_json::json;

const BASE: &str = "taskDefinition.containerDefinitions[web]";

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

fn is_hidden(member: &str, value: &Value) -> bool {
    looks_secret(&path(&format!("{BASE}.{member}")), value)
}

#[test]
fn lines_hide_what_looks_secret_and_nothing_else() {
    let cases = [
        ("connecting to postgres://me:pw@db/x", "connecting to •••"),
        ("DB_PASSWORD=hunter2 missing", "DB_PASSWORD=••• missing"),
        ("password: hunter2", "password: •••"),
        ("the password is hunter2", "the password is •••"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer •••"),
        ("key AKIAABCDEFGHIJKLMNOP denied", "key ••• denied"),
        ("sig wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "sig •••"),
        ("{\"apiKey\":\"x\"}", "{\"apiKey\":\"•••\"}"),
        ("config {\"db\": {\"password\": \"a b\"}, \"n\": 1}", "config {\"db\": {\"password\": \"•••\"}, \"n\": 1}"),
        (r#"body "{\"token\":\"x y\",\"n\":1}""#, r#"body "{\"token\":\"•••\",\"n\":1}""#),
        ("Server=db;Password=a!b;Encrypt=true", "Server=db;Password=•••;Encrypt=true"),
        ("run --token x --port 80", "run --token ••• --port 80"),
        ("curl -u me:pw https://example.com", "curl -u ••• https://example.com"),
        ("pushing to https://tok@git.example.com/x failed", "pushing to ••• failed"),
        (
            "cloning ssh://git@git.example.com/x and postgres://web@db/x",
            "cloning ssh://git@git.example.com/x and postgres://web@db/x",
        ),
        ("amqps://SECRET@mq", "•••"),
        ("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLE1aa set", "key ••• set"),
        ("at 0123456789abcdef0123456789abcdef01234567", "at 0123456789abcdef0123456789abcdef01234567"),
        ("posting to https://hooks.slack.com/services/T0/B0/x failed", "posting to ••• failed"),
        ("<password>x</password>", "<password>•••</password>"),
        ("panicked at src/main.rs:12:5: no such table users", "panicked at src/main.rs:12:5: no such table users"),
        ("panicked at src/auth.rs:12:5", "panicked at src/auth.rs:12:5"),
        ("task 0123456789abcdef0123456789abcdef stopped", "task 0123456789abcdef0123456789abcdef stopped"),
        (
            "The security token included in the request is invalid.",
            "The security token included in the request is invalid.",
        ),
        (
            "The security token included in the request is expired",
            "The security token included in the request is expired",
        ),
        ("Secrets Manager can't find the specified secret.", "Secrets Manager can't find the specified secret."),
        ("Invalid parameter at 'authorizationToken'", "Invalid parameter at 'authorizationToken'"),
        ("GET https://example.com/health 502", "GET https://example.com/health 502"),
        ("password authentication failed for user \"web\"", "password authentication failed for user \"web\""),
        (
            "unable to pull secrets or registry auth: unable to retrieve secret from asm",
            "unable to pull secrets or registry auth: unable to retrieve secret from asm",
        ),
        (
            "no secret arn:aws:secretsmanager:eu-central-1:111111111111:secret:checkout/stripe-AbCdEf",
            "no secret arn:aws:secretsmanager:eu-central-1:111111111111:secret:checkout/stripe-AbCdEf",
        ),
        ("", ""),
    ];
    for (text, shown) in cases {
        assert_eq!(line(text), shown, "{text}");
    }
}

#[test]
fn secrets_are_recognised_by_name_or_by_look() {
    let hidden = [
        ("environment[DB_PASSWORD]", json!("x")),
        ("environment[STRIPE_KEY]", json!("x")),
        ("environment[URL]", json!("postgres://me:pw@db/x")),
        ("environment[PASS]", json!("x")),
        ("command", json!(["serve", "--token", "x"])),
        ("command", json!(["--key", "AKIAABCDEFGHIJKLMNOP"])),
        ("healthCheck.command", json!(["CMD-SHELL", "curl -H 'Authorization: Bearer x' y"])),
    ];
    for (member, value) in hidden {
        assert!(is_hidden(member, &value), "{member} {value}");
    }
    let shown = [
        ("environment[LOG_LEVEL]", json!("debug")),
        ("secrets[DB_PASSWORD]", json!("arn:aws:ssm:::parameter/x")),
        ("image", json!("a.example/b@sha256:0")),
        ("command", json!(["serve", "--port", "80"])),
    ];
    for (member, value) in shown {
        assert!(!is_hidden(member, &value), "{member} {value}");
    }
    let level = path("taskDefinition.containerDefinitions[auth].environment[LOG_LEVEL]");
    assert!(!looks_secret(&level, &json!("debug")), "the name of a container says nothing of its variables");
}

// H12: each was shown in clear.
#[test]
fn the_rules_of_lines_hold_for_values() {
    let hidden = [
        json!("Server=db;Database=shop;User Id=web;Password=hunter2"),
        json!("Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=b="),
        json!("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b==;EndpointSuffix=core.windows.net"),
        json!("host=db port=5432 user=web password=hunter2"),
        json!("jdbc:mysql://db/shop?user=web&password=hunter2"),
        json!("jdbc:sqlserver://db;user=web;password=hunter2"),
        json!("jdbc:oracle:thin:scott/tiger@db:1521/x"),
        json!("redis://:hunter2@cache:6379/0"),
        json!("postgres://me:p/w@db/x"),
        json!("{\"db\": {\"user\": \"web\", \"password\": \"hunter2\"}}"),
        json!("[{\"name\": \"DB_PASSWORD\", \"value\": \"hunter2\"}]"),
        json!("{\"config\": \"{\\\"apiKey\\\": \\\"x\\\"}\"}"),
        json!("{\"url\": \"amqp://me:pw@mq\"}"),
        json!("user: web\npassword: hunter2\n"),
        json!("https://hooks.slack.com/services/T000/B000/XXXX"),
        json!("https://discord.com/api/webhooks/123456/abcdef"),
        json!("https://acme.webhook.office.com/webhookb2/1@2/IncomingWebhook/3/4"),
        json!("https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=t"),
        json!("https://api.telegram.org/bot123:abc/sendMessage"),
        json!("https://prod.westeurope.logic.azure.com/workflows/1/triggers/m/invoke?sig=abc"),
        json!("https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/1"),
        json!("export PASSWORD=x; run --token x"),
        json!("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"),
    ];
    for value in &hidden {
        assert!(is_hidden("environment[SETTING]", value), "{value}");
        assert!(is_hidden("dockerLabels[setting]", value), "{value}");
        assert!(is_hidden("command", &json!(["serve", value])), "{value}");
    }
    for command in [
        json!(["sh", "-c", "export PASSWORD=x; run --token x"]),
        json!(["sh", "-c", "run --token x"]),
        json!(["curl", "-u", "me:pw", "https://example.com"]),
        json!(["curl", "-H", "X-Api-Key: x"]),
        json!(["mysql", "-h", "db", "-phunter2"]),
        json!(["redis-cli", "-a", "hunter2"]),
    ] {
        assert!(is_hidden("command", &command), "{command}");
        assert!(is_hidden("entryPoint", &command), "{command}");
    }
    let shown = [
        json!("https://ci.example.com/github-webhook/"),
        json!("https://example.com/webhooks/stripe"),
        json!("{\"level\": \"info\", \"auth\": true, \"token\": null}"),
        json!("Server=db;Database=shop"),
        json!("http://localhost:8080/path@x"),
        json!("arn:aws:secretsmanager:eu-central-1:111111111111:secret:checkout/stripe-AbCdEf"),
        json!("https://sqs.eu-central-1.amazonaws.com/111111111111/orders"),
        json!("a/b:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        json!("eu-central-1"),
        json!("2026-11-30T10:00:00Z"),
    ];
    for value in &shown {
        assert!(!is_hidden("environment[SETTING]", value), "{value}");
    }
}

#[test]
fn a_block_keeps_what_is_not_secret_in_both_shapes() {
    assert_eq!(
        redact(&json!({"image": "x", "environment": {"API_TOKEN": "x", "LEVEL": "info"}, "command": ["--password=x"]})),
        json!({"image": "x", "environment": {"API_TOKEN": "•••", "LEVEL": "info"}, "command": "•••"})
    );
    assert_eq!(
        redact(&json!({"environment": [{"name": "GH_PAT", "value": "x"}, {"name": "LEVEL", "value": "info"}],
            "secrets": [{"name": "KEY", "valueFrom": "/key"}], "tags": [{"key": "team", "value": "shop"}]})),
        json!({"environment": [{"name": "GH_PAT", "value": "•••"}, {"name": "LEVEL", "value": "info"}],
            "secrets": [{"name": "KEY", "valueFrom": "/key"}], "tags": [{"key": "team", "value": "shop"}]})
    );
    let volume = json!({"dockerVolumeConfiguration": {"driverOpts": {"password": "x", "type": "nfs"}}});
    assert_eq!(redact(&volume)["dockerVolumeConfiguration"]["driverOpts"], json!({"password": "•••", "type": "nfs"}));
}

#[test]
fn long_texts_are_read_once() {
    // Quadratic reading of a text of this size would be noticed by everybody.
    for part in ["://", "password=", "a:", "-p ", "token ", "{\"a\":", "='", "secret={"] {
        assert!(!line(&part.repeat(30_000 / part.len())).is_empty());
    }
}
