//! Checks requests against the input shapes of the services: required members, types, enums.
//!
//! `shapes.json` holds, per service, which input shape an operation has, and the shapes: their
//! type, members, required members and enum values. Unknown members are ignored, as the services do.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::ApiError;

#[derive(Debug, Deserialize)]
struct Model {
    operations: BTreeMap<String, String>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Debug, Deserialize)]
struct Shape {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    members: BTreeMap<String, String>,
    #[serde(default)]
    required: Vec<String>,
    of: Option<String>,
    #[serde(rename = "enum", default)]
    values: Vec<String>,
}

static MODELS: LazyLock<BTreeMap<String, Model>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("shapes.json")).expect("the shapes beside this file are well formed")
});

/// Refuses a request that does not fit. An operation without a known shape passes.
pub(crate) fn check(service: &str, operation: &str, body: &Map<String, Value>) -> Result<(), ApiError> {
    let Some(model) = MODELS.get(service) else {
        return Ok(());
    };
    let Some(shape) = model.operations.get(operation).and_then(|name| model.shapes.get(name)) else {
        return Ok(());
    };
    structure(model, shape, body, "").map_err(|fault| {
        let code = match (service, operation) {
            ("ecs", "RegisterTaskDefinition") => "ClientException",
            ("ecs" | "ecr" | "secretsmanager", _) => "InvalidParameterException",
            _ => "ValidationException",
        };
        ApiError::new(code, fault)
    })
}

fn structure(model: &Model, shape: &Shape, fields: &Map<String, Value>, path: &str) -> Result<(), String> {
    let at = |name: &str| {
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    };
    if let Some(absent) = shape.required.iter().find(|name| !fields.contains_key(*name)) {
        return Err(format!("{} should not be null or empty.", at(absent)));
    }
    for (name, value) in fields {
        if let Some(inner) = shape.members.get(name).and_then(|inner| model.shapes.get(inner)) {
            member(model, inner, value, &at(name))?;
        }
    }
    Ok(())
}

fn member(model: &Model, shape: &Shape, value: &Value, path: &str) -> Result<(), String> {
    let wrong = || format!("Invalid type for {path}: expected {}.", shape.kind);
    let inner = shape.of.as_ref().and_then(|name| model.shapes.get(name));
    match shape.kind.as_str() {
        "structure" => structure(model, shape, value.as_object().ok_or_else(wrong)?, path),
        "list" => {
            for (at, item) in value.as_array().ok_or_else(wrong)?.iter().enumerate() {
                if let Some(inner) = inner {
                    member(model, inner, item, &format!("{path}[{at}]"))?;
                }
            }
            Ok(())
        }
        "map" => {
            for (key, item) in value.as_object().ok_or_else(wrong)? {
                if let Some(inner) = inner {
                    member(model, inner, item, &format!("{path}.{key}"))?;
                }
            }
            Ok(())
        }
        "string" => {
            let text = value.as_str().ok_or_else(wrong)?;
            let known = shape.values.is_empty() || shape.values.iter().any(|known| known == text);
            if known {
                Ok(())
            } else {
                Err(format!("Invalid value for {path}: {text}. Valid values: {}.", shape.values.join(", ")))
            }
        }
        "integer" | "long" => value.as_i64().map(|_| ()).ok_or_else(wrong),
        "double" | "float" | "timestamp" => value.as_f64().map(|_| ()).ok_or_else(wrong),
        "boolean" => value.as_bool().map(|_| ()).ok_or_else(wrong),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(operation: &str, body: Value) -> String {
        check("ecs", operation, body.as_object().unwrap())
            .map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn requests_are_judged_by_their_shape() {
        let container = json!({ "name": "a", "image": "b", "portMappings": [{ "containerPort": "80" }] });
        assert_eq!(
            verdict("RegisterTaskDefinition", json!({ "family": "a", "containerDefinitions": [container] })),
            "ClientException: Invalid type for containerDefinitions[0].portMappings[0].containerPort: expected integer."
        );
        assert_eq!(
            verdict("UpdateService", json!({})),
            "InvalidParameterException: service should not be null or empty."
        );
        assert_eq!(verdict("UpdateService", json!({ "service": "a", "novelty": 1 })), "fine");
        assert!(
            verdict("CreateService", json!({ "serviceName": "a", "launchType": "MOON" })).contains("Valid values: EC2")
        );
    }
}
