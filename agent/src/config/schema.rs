//! The JSON Schema of the agent's own file, for editors.

use serde_json::{Value, json};

/// The schema. A test holds it against what the reader takes.
pub fn schema() -> Value {
    let texts = |description: &str| json!({"description": description, "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]});
    let allow = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "clusters": texts("cluster names; any where absent"),
            "registries": texts("registry hosts that the agent may contact"),
            "ssm": texts("parameters that may be read"),
            "secrets": texts("secrets whose ARN may be asked for"),
            "adopt": {"type": "boolean", "description": "whether `adopt: true` of a manifest is obeyed"},
        },
    });
    let secret = |description: &str| json!({"type": "string", "pattern": "^(env|file|ssm|secretsmanager):", "description": description});
    let person =
        |description: &str| json!({"type": "string", "pattern": "^[^<>]+<[^<> ]+>$", "description": description});
    let commit = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "author": person("who wrote the commits that move pins: Name <address>"),
            "committer": person("who made them; the author where absent"),
            "signingKey": secret("an SSH key that signs them"),
            "subject": {"type": "string", "description": "the first line: {summary}, {count}, {environments}, {services}, {images}"},
            "bump": {"type": "string", "description": "the lines for each pin: {environment}, {service}, {container}, {repository}, {old}, {new}, {oldPin}, {newPin}, {digest}, {pushedAt}, {source}, {changelog}"},
        },
    });
    let duration =
        |description: &str| json!({"type": "string", "pattern": "^[0-9.]+(ms|s|m|h)$", "description": description});
    let images = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "interval": duration("longest time between two readings of a registry (60s)"),
            "quiet": duration("how long nothing new must have been found before a commit is made (10s)"),
            "atMost": duration("longest time that a commit waits (60s)"),
            "queues": texts("URLs of SQS queues that EventBridge puts ECR's events into"),
        },
    });
    let registry = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "username": {"type": "string"},
            "password": secret("the password or token"),
            "insecure": {"type": "boolean", "description": "reach it over plain http://"},
            "tokenHosts": texts("other hosts that hand out tokens for it"),
            "blobHosts": texts("other hosts that it redirects to for the content of images"),
            "certificateAuthority": {"type": "string", "description": "a PEM file"},
        },
    });
    let source = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "repository"],
        "properties": {
            "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "description": "stable: ownership tags carry it"},
            "repository": {"type": "string", "description": "https://…, or a path on disk"},
            "branch": {"type": "string", "description": "main where absent"},
            "username": {"type": "string"},
            "token": {"type": "string", "pattern": "^(env|file|ssm|secretsmanager):", "description": "env:NAME, file:PATH, ssm:/PATH, secretsmanager:NAME or secretsmanager:NAME#KEY"},
            "certificateAuthority": {"type": "string", "description": "a PEM file"},
            "environments": texts("the environments that this source is for; all where absent"),
            "allow": allow,
            "sshKey": secret("the private key for ssh://"),
            "knownHosts": {"type": "string", "description": "the file with the server's key for ssh://"},
            "commit": commit,
        },
    });
    let account = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["role"],
        "properties": {"role": {"type": "string"}, "externalId": {"type": "string"}},
    });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The agent's own file (agent.yaml)",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "stateDirectory": {"type": "string"},
            "listen": {"type": "string", "description": "an address on loopback"},
            "interval": {"type": ["string", "number"], "description": "30s, 5m"},
            "apiShare": {"type": ["number", "string"], "description": "the share of AWS's documented rates, 0 to 1"},
            "sources": {"type": "array", "items": source},
            "images": images,
            "registries": {"type": "object", "additionalProperties": registry, "description": "registries other than ECR, by host"},
            "accounts": {"type": "object", "propertyNames": {"pattern": "^[0-9]{12}$"}, "additionalProperties": account},
        },
    })
}
