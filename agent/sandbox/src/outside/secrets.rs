//! AWS Secrets Manager.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::error::{Answer, ApiError};
use crate::ids::Ids;
use crate::outside::Call;
use crate::place::Place;

/// All secrets of a place.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    by_name: BTreeMap<String, Secret>,
}

#[derive(Debug)]
struct Secret {
    arn: String,
    description: Option<String>,
    created_at: Moment,
    changed_at: Moment,
    /// Oldest first; the last one is current, the one before it previous.
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    id: String,
    value: Value,
    created_at: Moment,
}

impl Secrets {
    /// Writes a value, and makes the secret if need be. Returns the ARN.
    pub(crate) fn put(&mut self, place: &Place, name: &str, value: Value, now: Moment, ids: &mut Ids) -> String {
        let secret = self.by_name.entry(name.to_owned()).or_insert_with(|| Secret {
            arn: place.arn("secretsmanager", format_args!("secret:{name}-{}", ids.letters(6))),
            description: None,
            created_at: now,
            changed_at: now,
            versions: Vec::new(),
        });
        secret.changed_at = now;
        secret.versions.push(Version { id: ids.uuid(), value, created_at: now });
        secret.arn.clone()
    }

    /// Finds by name, full ARN or ARN without the suffix.
    fn find(&self, id: &str) -> Option<(&String, &Secret)> {
        if !id.starts_with("arn:") {
            return self.by_name.get_key_value(id);
        }
        self.by_name.iter().find(|(_, secret)| secret.arn == id).or_else(|| {
            self.by_name.iter().find(|(_, secret)| secret.arn.len() == id.len() + 7 && secret.arn.starts_with(id))
        })
    }

    /// Whether a task may read `valueFrom`, which may carry `:key:stage:version`.
    pub(crate) fn contains(&self, value_from: &str) -> bool {
        let arn: Vec<&str> = value_from.splitn(8, ':').take(7).collect();
        self.find(&arn.join(":")).is_some()
    }
}

impl Secret {
    fn stages(&self, at: usize) -> Vec<&'static str> {
        match self.versions.len() - at {
            1 => vec!["AWSCURRENT"],
            2 => vec!["AWSPREVIOUS"],
            _ => vec![],
        }
    }

    fn summary(&self, name: &str, stages_member: &str) -> Value {
        let mut wire = json!({ "ARN": self.arn, "Name": name });
        if let Some(description) = &self.description {
            wire["Description"] = json!(description);
        }
        wire["LastChangedDate"] = self.changed_at.wire();
        wire["Tags"] = json!([]);
        let stages: Map<String, Value> = (0..self.versions.len())
            .filter(|at| !self.stages(*at).is_empty())
            .map(|at| (self.versions[at].id.clone(), json!(self.stages(at))))
            .collect();
        wire[stages_member] = Value::Object(stages);
        wire["CreatedDate"] = self.created_at.wire();
        wire
    }
}

/// Runs one operation.
pub(crate) fn run(operation: &str, call: Call<'_>) -> Answer {
    let request = call.request;
    let id = request.text("SecretId").unwrap_or_default();
    let not_found = || ApiError::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
    let value = || {
        let mut value = Map::new();
        for member in ["SecretString", "SecretBinary"] {
            if let Some(content) = request.get(member) {
                value.insert(member.to_owned(), content.clone());
            }
        }
        Value::Object(value)
    };
    let ids = &mut call.outside.ids;
    let secrets = call.outside.secrets.entry(call.place.clone()).or_default();
    match operation {
        "DescribeSecret" => {
            let (name, secret) = secrets.find(id).ok_or_else(not_found)?;
            Ok(secret.summary(name, "VersionIdsToStages"))
        }
        "GetSecretValue" => {
            let (name, secret) = secrets.find(id).ok_or_else(not_found)?;
            let at = (0..secret.versions.len()).rev().find(|at| {
                request.text("VersionId").is_none_or(|wanted| secret.versions[*at].id == wanted)
                    && match (request.text("VersionStage"), request.text("VersionId")) {
                        (Some(stage), _) => secret.stages(*at).contains(&stage),
                        (None, Some(_)) => true,
                        (None, None) => secret.stages(*at).contains(&"AWSCURRENT"),
                    }
            });
            let Some(at) = at else {
                return Err(ApiError::new(
                    "ResourceNotFoundException",
                    "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
                ));
            };
            let version = &secret.versions[at];
            let mut wire = json!({ "ARN": secret.arn, "Name": name, "VersionId": version.id });
            for (member, content) in version.value.as_object().into_iter().flatten() {
                wire[member] = content.clone();
            }
            wire["VersionStages"] = json!(secret.stages(at));
            wire["CreatedDate"] = version.created_at.wire();
            Ok(wire)
        }
        "CreateSecret" => {
            let name = request.text("Name").unwrap_or_default();
            if secrets.by_name.contains_key(name) {
                return Err(ApiError::new(
                    "ResourceExistsException",
                    format!("The operation failed because the secret {name} already exists."),
                ));
            }
            let arn = secrets.put(call.place, name, value(), call.now, ids);
            if let Some(secret) = secrets.by_name.get_mut(name) {
                secret.description = request.text("Description").map(str::to_owned);
                return Ok(json!({ "ARN": arn, "Name": name, "VersionId": secret.versions[0].id }));
            }
            Err(not_found())
        }
        "PutSecretValue" => {
            let name = secrets.find(id).map(|(name, _)| name.clone()).ok_or_else(not_found)?;
            let arn = secrets.put(call.place, &name, value(), call.now, ids);
            let version = secrets.by_name[&name].versions.last().map(|version| version.id.clone());
            Ok(json!({ "ARN": arn, "Name": name, "VersionId": version, "VersionStages": ["AWSCURRENT"] }))
        }
        "ListSecrets" => {
            let all = secrets
                .by_name
                .iter()
                .map(|(name, secret)| (name.clone(), secret.summary(name, "SecretVersionsToStages")))
                .collect();
            let (items, next) = call.page(all, ("NextToken", "MaxResults"), 100, "InvalidNextTokenException")?;
            let mut answer = json!({ "SecretList": items });
            if let Some(token) = next {
                answer["NextToken"] = json!(token);
            }
            Ok(answer)
        }
        other => Err(ApiError::unsupported(format!("The sandbox does not know secretsmanager:{other}."))),
    }
}
