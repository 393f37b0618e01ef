//! Parameter Store (AWS Systems Manager).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::error::{Answer, ApiError};
use crate::ids::digest_of;
use crate::outside::Call;
use crate::place::Place;
use crate::request::Request;

/// All parameters of a place.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    by_name: BTreeMap<String, Parameter>,
}

#[derive(Debug)]
struct Parameter {
    kind: String,
    description: Option<String>,
    /// The key of a secure string, where it is not the account's own.
    key: Option<String>,
    /// Oldest first; the version is the position plus one.
    versions: Vec<(String, Moment)>,
}

impl Parameters {
    pub(crate) fn put(&mut self, name: &str, kind: &str, value: &str, now: Moment) -> usize {
        let parameter = self.by_name.entry(name.to_owned()).or_insert_with(|| Parameter {
            kind: kind.to_owned(),
            description: None,
            key: None,
            versions: Vec::new(),
        });
        parameter.kind = kind.to_owned();
        parameter.versions.push((value.to_owned(), now));
        parameter.versions.len()
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    /// Whether a task may read the parameter of this name or ARN.
    pub(crate) fn contains(&self, reference: &str) -> bool {
        let name = match reference.split_once(":parameter/") {
            Some((_, name)) => name,
            None => reference,
        };
        self.by_name.contains_key(name) || self.by_name.contains_key(&format!("/{name}"))
    }

    /// Resolves `name`, `name:version` or an ARN of either.
    fn select(&self, place: &Place, reference: &str, decrypt: bool) -> Result<Value, ApiError> {
        let not_found = || ApiError::new("ParameterNotFound", "");
        let (base, selector) = self.split(place, reference).ok_or_else(not_found)?;
        let (name, parameter) = self.by_name.get_key_value(&base).ok_or_else(not_found)?;
        let version = match &selector {
            None => parameter.versions.len(),
            Some(text) => text
                .parse()
                .ok()
                .filter(|version| (1..=parameter.versions.len()).contains(version))
                .ok_or_else(|| {
                    ApiError::new(
                        "ParameterVersionNotFound",
                        format!(
                            "Systems Manager could not find version {text} of {name}. Verify the version and try again."
                        ),
                    )
                })?,
        };
        let (value, modified) = &parameter.versions[version - 1];
        let mut wire = json!({
            "Name": name,
            "Type": parameter.kind,
            "Value": if parameter.kind == "SecureString" && !decrypt { ciphertext(value) } else { value.clone() },
            "Version": version,
            "LastModifiedDate": modified.wire(),
            "ARN": arn(place, name),
            "DataType": "text",
        });
        if let Some(selector) = selector {
            wire["Selector"] = json!(format!(":{selector}"));
        }
        Ok(wire)
    }

    fn split(&self, place: &Place, reference: &str) -> Option<(String, Option<String>)> {
        let path = match reference.strip_prefix("arn:") {
            None => reference.to_owned(),
            Some(_) => {
                let path = reference.strip_prefix(&place.arn("ssm", "parameter"))?;
                // The ARN of `name` and of `/name` look alike.
                let bare = path.strip_prefix('/')?.to_owned();
                let known = |text: &str| self.by_name.contains_key(text.split(':').next().unwrap_or_default());
                if known(&bare) { bare } else { path.to_owned() }
            }
        };
        Some(match path.split_once(':') {
            Some((name, selector)) => (name.to_owned(), Some(selector.to_owned())),
            None => (path, None),
        })
    }
}

fn arn(place: &Place, name: &str) -> String {
    place.arn("ssm", format_args!("parameter/{}", name.trim_start_matches('/')))
}

fn ciphertext(value: &str) -> String {
    format!("AQICAHh{}", &digest_of(value)[7..])
}

/// Runs one operation.
pub(crate) fn run(operation: &str, call: Call<'_>) -> Answer {
    let request = call.request;
    let decrypt = request.flag("WithDecryption").unwrap_or(false);
    let name = request.text("Name").unwrap_or_default();
    let parameters = call.outside.parameters.entry(call.place.clone()).or_default();
    match operation {
        "GetParameter" => Ok(json!({ "Parameter": parameters.select(call.place, name, decrypt)? })),
        "GetParameters" => get_parameters(parameters, call.place, &request.texts("Names"), decrypt),
        "PutParameter" => put_parameter(parameters, request, call.now),
        "DeleteParameter" => {
            if parameters.remove(name) {
                Ok(json!({}))
            } else {
                Err(ApiError::new("ParameterNotFound", ""))
            }
        }
        "DescribeParameters" => {
            let all = parameters
                .by_name
                .iter()
                .map(|(name, parameter)| (name.clone(), parameter.describe(call.place, name)))
                .collect();
            let (items, next) = call.page(all, ("NextToken", "MaxResults"), 10, "InvalidNextToken")?;
            let mut answer = json!({ "Parameters": items });
            if let Some(token) = next {
                answer["NextToken"] = json!(token);
            }
            Ok(answer)
        }
        other => Err(ApiError::unsupported(format!("The sandbox does not know ssm:{other}."))),
    }
}

impl Parameter {
    fn describe(&self, place: &Place, name: &str) -> Value {
        let mut wire = Map::new();
        wire.insert("Name".to_owned(), json!(name));
        wire.insert("ARN".to_owned(), json!(arn(place, name)));
        wire.insert("Type".to_owned(), json!(self.kind));
        if self.kind == "SecureString" {
            wire.insert("KeyId".to_owned(), json!(self.key.as_deref().unwrap_or("alias/aws/ssm")));
        }
        if let Some(description) = &self.description {
            wire.insert("Description".to_owned(), json!(description));
        }
        if let Some((_, modified)) = self.versions.last() {
            wire.insert("LastModifiedDate".to_owned(), modified.wire());
        }
        wire.insert("Version".to_owned(), json!(self.versions.len()));
        wire.insert("Tier".to_owned(), json!("Standard"));
        wire.insert("Policies".to_owned(), json!([]));
        wire.insert("DataType".to_owned(), json!("text"));
        Value::Object(wire)
    }
}

fn get_parameters(parameters: &Parameters, place: &Place, names: &[&str], decrypt: bool) -> Answer {
    if names.is_empty() || names.len() > 10 {
        let bound = if names.is_empty() { "greater than or equal to 1" } else { "less than or equal to 10" };
        return Err(ApiError::validation(format!(
            "1 validation error detected: Value '[{}]' at 'names' failed to satisfy constraint: Member must have length {bound}",
            names.join(", ")
        )));
    }
    let mut seen: Vec<&str> = names.to_vec();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(ApiError::validation("Parameter names must be unique: duplicates found in the request."));
    }
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in names {
        match parameters.select(place, name, decrypt) {
            Ok(parameter) => found.push(parameter),
            Err(_) => invalid.push(*name),
        }
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

fn put_parameter(parameters: &mut Parameters, request: Request<'_>, now: Moment) -> Answer {
    let name = request.text("Name").unwrap_or_default();
    let existing = parameters.by_name.get(name);
    if existing.is_some() && !request.flag("Overwrite").unwrap_or(false) {
        return Err(ApiError::new(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        ));
    }
    let kind = match (request.text("Type"), existing) {
        (Some(kind), _) => kind.to_owned(),
        (None, Some(existing)) => existing.kind.clone(),
        (None, None) => {
            return Err(ApiError::validation("A parameter type is required when you create a parameter."));
        }
    };
    let version = parameters.put(name, &kind, request.text("Value").unwrap_or_default(), now);
    if let Some(parameter) = parameters.by_name.get_mut(name) {
        for (member, field) in [("Description", &mut parameter.description), ("KeyId", &mut parameter.key)] {
            if let Some(text) = request.text(member) {
                *field = Some(text.to_owned());
            }
        }
    }
    Ok(json!({ "Version": version, "Tier": "Standard" }))
}
