//! Checks requests against the input shapes of the services: required members, types, enums, lengths and ranges.
//!
//! `shapes.json` holds, per service, which input shape an operation has, and the shapes: their
//! type, members, required members and enum values, and for some services bounds. `generate/shapes.py` writes it.
//! Unknown members are ignored, as the services do.

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
    min: Option<i64>,
    max: Option<i64>,
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
            ("ecs" | "ecr" | "secretsmanager" | "logs", _) => "InvalidParameterException",
            ("elasticloadbalancing" | "cloudwatch", _) => "ValidationError",
            ("sqs", "GetQueueAttributes") => "InvalidAttributeName",
            ("sqs", _) => "InvalidParameterValue",
            _ => "ValidationException",
        };
        ApiError::new(code, fault)
    })
}

/// Gives the texts of a form the types of the operation's input shape. What does not fit stays a text, for
/// [`check`] to refuse; so does all of an operation without a known shape.
pub(crate) fn type_form(service: &str, operation: &str, body: Map<String, Value>) -> Map<String, Value> {
    let found = MODELS.get(service).and_then(|model| Some((model, model.operations.get(operation)?)));
    match found.map(|(model, name)| typed(model, name, Value::Object(body.clone()))) {
        Some(Value::Object(body)) => body,
        _ => body,
    }
}

fn typed(model: &Model, name: &str, value: Value) -> Value {
    let Some(shape) = model.shapes.get(name) else {
        return value;
    };
    match (shape.kind.as_str(), value) {
        ("structure", Value::Object(fields)) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = match shape.members.get(&name) {
                    Some(inner) => typed(model, inner, value),
                    None => value,
                };
                (name, value)
            })
            .collect(),
        ("list", Value::Array(items)) => {
            items.into_iter().map(|item| typed(model, shape.of.as_deref().unwrap_or_default(), item)).collect()
        }
        // The form of an empty list.
        ("list", Value::String(text)) if text.is_empty() => Value::Array(Vec::new()),
        (kind, Value::String(text)) => scalar(kind, &text).unwrap_or(Value::String(text)),
        (_, value) => value,
    }
}

fn scalar(kind: &str, text: &str) -> Option<Value> {
    match kind {
        "integer" | "long" => text.parse::<i64>().ok().map(Value::from),
        "double" | "float" => text.parse::<f64>().ok().map(Value::from),
        "boolean" => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    }
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
            let items = value.as_array().ok_or_else(wrong)?;
            bounded(shape, i64::try_from(items.len()).unwrap_or(i64::MAX), "length", path)?;
            for (at, item) in items.iter().enumerate() {
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
            bounded(shape, i64::try_from(text.chars().count()).unwrap_or(i64::MAX), "length", path)?;
            let known = shape.values.is_empty() || shape.values.iter().any(|known| known == text);
            if known {
                Ok(())
            } else {
                Err(format!("Invalid value for {path}: {text}. Valid values: {}.", shape.values.join(", ")))
            }
        }
        "integer" | "long" => bounded(shape, value.as_i64().ok_or_else(wrong)?, "value", path),
        "double" | "float" | "timestamp" => value.as_f64().map(|_| ()).ok_or_else(wrong),
        "boolean" => value.as_bool().map(|_| ()).ok_or_else(wrong),
        _ => Ok(()),
    }
}

fn bounded(shape: &Shape, size: i64, what: &str, path: &str) -> Result<(), String> {
    if let Some(min) = shape.min.filter(|min| size < *min) {
        return Err(format!("{path} must have {what} greater than or equal to {min}."));
    }
    match shape.max.filter(|max| size > *max) {
        Some(max) => Err(format!("{path} must have {what} less than or equal to {max}.")),
        None => Ok(()),
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

    #[test]
    fn sizes_and_ranges_are_judged_too() {
        let verdict = |body: Value| {
            check("cloudwatch", "DescribeAlarms", body.as_object().unwrap())
                .map_or_else(|error| error.to_string(), |()| "fine".to_owned())
        };
        assert_eq!(verdict(json!({ "MaxRecords": 100 })), "fine");
        assert_eq!(
            verdict(json!({ "MaxRecords": 101 })),
            "ValidationError: MaxRecords must have value less than or equal to 100."
        );
        assert_eq!(
            verdict(json!({ "AlarmNames": vec!["a"; 101] })),
            "ValidationError: AlarmNames must have length less than or equal to 100."
        );
    }

    #[test]
    fn forms_get_types() {
        let form = json!({ "MaxRecords": "5", "AlarmNames": ["7"], "AlarmTypes": "", "StateValue": "OK" });
        let typed = type_form("cloudwatch", "DescribeAlarms", form.as_object().unwrap().clone());
        assert_eq!(
            Value::Object(typed),
            json!({ "MaxRecords": 5, "AlarmNames": ["7"], "AlarmTypes": [], "StateValue": "OK" })
        );
        let wrong =
            type_form("cloudwatch", "DescribeAlarms", json!({ "MaxRecords": "x" }).as_object().unwrap().clone());
        assert!(check("cloudwatch", "DescribeAlarms", &wrong).is_err());
    }
}
