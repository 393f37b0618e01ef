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
    let source = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "repository"],
        "properties": {
            "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "description": "stable: ownership tags carry it"},
            "repository": {"type": "string", "description": "https://…, or a path on disk"},
            "branch": {"type": "string", "description": "main where absent"},
            "username": {"type": "string"},
            "token": {"type": "string", "pattern": "^(env|file|ssm|secretsmanager):", "description": "env:NAME, file:PATH, ssm:/PATH or secretsmanager:NAME"},
            "certificateAuthority": {"type": "string", "description": "a PEM file"},
            "environments": texts("the environments that this source is for; all where absent"),
            "allow": allow,
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
            "accounts": {"type": "object", "propertyNames": {"pattern": "^[0-9]{12}$"}, "additionalProperties": account},
        },
    })
}
