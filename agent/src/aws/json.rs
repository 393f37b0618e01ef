//! APIs that speak AWS's JSON protocol and of which one or two calls are used: their SDK crates cost more to build than
//! all else of them (`docs/decisions/0004-query-reads-without-an-sdk.md`).

use super::{
    AwsError, Clients,
    address::Address,
    error::{self, Remedy, denied},
    signed::{Request, exchange},
};
use aws_config::SdkConfig;
use serde_json::Value;
use std::time::Duration;

/// How often a call is made that was throttled or not answered.
const ATTEMPTS: u32 = 3;
/// The pause before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// An API of the JSON protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Api {
    /// The name that endpoints and signatures use.
    name: &'static str,
    /// What operations are called with before their name.
    target: &'static str,
    /// `application/x-amz-json-` with this version.
    version: &'static str,
    /// The variable of the environment that names another endpoint for it alone.
    endpoint: &'static str,
    /// The longest that an answer may take.
    patience: Duration,
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Application Auto Scaling.
pub(super) const SCALING: Api = Api {
    name: "application-autoscaling",
    target: "AnyScaleFrontendService",
    version: "1.1",
    endpoint: "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING",
    patience: PATIENCE,
};
/// CloudWatch Logs.
pub(super) const LOGS: Api = Api {
    name: "logs",
    target: "Logs_20140328",
    version: "1.1",
    endpoint: "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
    patience: PATIENCE,
};
/// Secrets Manager.
pub(super) const SECRETS: Api = Api {
    name: "secretsmanager",
    target: "secretsmanager",
    version: "1.1",
    endpoint: "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    patience: PATIENCE,
};
/// SQS. An answer may take as long as the wait for a message.
pub(super) const QUEUES: Api = Api {
    name: "sqs",
    target: "AmazonSQS",
    version: "1.0",
    endpoint: "AWS_ENDPOINT_URL_SQS",
    patience: Duration::from_secs(30),
};

impl Clients {
    /// One call, repeated where it was throttled or not answered.
    ///
    /// # Errors
    /// As the call fails.
    pub(super) async fn json(&self, api: Api, operation: &'static str, input: &Value) -> Result<Value, AwsError> {
        json(&self.config, &self.http, &self.region, (api, operation), input).await
    }
}

/// The same with a configuration of one's own.
///
/// # Errors
/// As the call fails.
pub(super) async fn json(
    config: &SdkConfig,
    http: &reqwest::Client,
    region: &str,
    (api, operation): (Api, &'static str),
    input: &Value,
) -> Result<Value, AwsError> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match once(config, http, region, (api, operation), input).await {
            Err(error) if matches!(error.remedy, Remedy::Throttled | Remedy::Unreachable) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            result => return result,
        }
    }
    once(config, http, region, (api, operation), input).await
}

async fn once(
    config: &SdkConfig,
    http: &reqwest::Client,
    region: &str,
    (api, operation): (Api, &'static str),
    input: &Value,
) -> Result<Value, AwsError> {
    let own = std::env::var(api.endpoint).ok().filter(|url| !url.is_empty());
    let configured = own.as_deref().or_else(|| config.endpoint_url());
    // An endpoint of FIPS 140 has a name of its own.
    let name = match config.use_fips() {
        Some(true) if configured.is_none() => format!("{}-fips", api.name),
        _ => api.name.to_owned(),
    };
    let address =
        Address::of(&name, region, configured, &[]).map_err(|reason| AwsError::forbidden(operation, &reason))?;
    let action = operation.split(':').next_back().unwrap_or(operation);
    let (target, kind) = (format!("{}.{action}", api.target), format!("application/x-amz-json-{}", api.version));
    let request = Request {
        operation,
        method: reqwest::Method::POST,
        address,
        service: api.name,
        region,
        body: &input.to_string(),
        headers: vec![("content-type", &kind), ("x-amz-target", &target)],
        patience: Some(api.patience),
    };
    let (status, text) = exchange(config, http, request).await?;
    if (200..300).contains(&status) {
        let text = if text.is_empty() { "{}" } else { &text };
        return serde_json::from_str(text).map_err(|_| not_awss(operation, status));
    }
    Err(refusal(operation, status, &text))
}

/// A list of an answer. One without it says nothing: that there is nothing is said by an empty list.
///
/// # Errors
/// When the answer has no such list.
pub(super) fn list<'a>(operation: &'static str, answer: &'a Value, member: &str) -> Result<&'a [Value], AwsError> {
    answer[member].as_array().map(Vec::as_slice).ok_or_else(|| without(operation, member))
}

/// A text of an answer.
///
/// # Errors
/// When the answer has no such text.
pub(super) fn text<'a>(operation: &'static str, answer: &'a Value, member: &str) -> Result<&'a str, AwsError> {
    answer[member].as_str().ok_or_else(|| without(operation, member))
}

/// An answer that lacks what it always has.
pub(super) fn without(operation: &'static str, member: &str) -> AwsError {
    let text = format!("the answer has no {member}");
    AwsError { operation, remedy: Remedy::Unsupported, code: String::new(), text }
}

fn not_awss(operation: &'static str, status: u16) -> AwsError {
    let text = format!("HTTP {status} with an answer that is not AWS's");
    AwsError { operation, remedy: Remedy::Unsupported, code: String::new(), text }
}

/// An error answer: `{"__type": "…", "message": "…"}`, the code with or without its namespace.
fn refusal(operation: &'static str, status: u16, text: &str) -> AwsError {
    let Ok(answer) = serde_json::from_str::<Value>(text) else {
        let remedy = if status == 403 { Remedy::Denied } else { Remedy::Unsupported };
        return AwsError { remedy, ..not_awss(operation, status) };
    };
    let find = |names: &[&str]| names.iter().find_map(|name| answer[*name].as_str()).unwrap_or_default();
    let code = find(&["__type", "code"]);
    let code = error::words(code.rsplit('#').next().unwrap_or(code).split(':').next().unwrap_or_default());
    let message = error::words(find(&["message", "Message"]));
    let remedy = error::by_code(&code, status);
    let text = match (code.as_str(), message.as_str()) {
        (_, message) if remedy == Remedy::Denied && denied(message).is_some() => denied(message).unwrap_or_default(),
        ("", "") => format!("HTTP {status}"),
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    AwsError { operation, remedy, code, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_lacks_is_not_nothing() {
        let answer = serde_json::json!({ "logGroups": [], "ARN": 7 });
        assert_eq!(list("logs:DescribeLogGroups", &answer, "logGroups"), Ok([].as_slice()));
        for error in [
            list("logs:DescribeLogGroups", &serde_json::json!({}), "logGroups").unwrap_err(),
            list("logs:DescribeLogGroups", &serde_json::json!({ "logGroups": {} }), "logGroups").unwrap_err(),
            text("secretsmanager:DescribeSecret", &answer, "ARN").unwrap_err(),
        ] {
            assert_eq!(error.remedy, Remedy::Unsupported);
            assert!(error.text.starts_with("the answer has no "), "{error}");
        }
    }

    #[test]
    fn errors_are_read_with_or_without_a_namespace() {
        let of = |status, text: &str| {
            let error = refusal("sqs:ReceiveMessage", status, text);
            (error.remedy, error.code, error.text)
        };
        assert_eq!(
            of(400, r#"{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no queue"}"#),
            (Remedy::Refused, "QueueDoesNotExist".into(), "QueueDoesNotExist: no queue".into())
        );
        assert_eq!(of(400, r#"{"__type": "ResourceNotFoundException", "Message": "no secret"}"#).0, Remedy::NotFound);
        assert_eq!(of(400, r#"{"__type": "ThrottlingException"}"#).0, Remedy::Throttled);
        assert_eq!(of(500, "{}"), (Remedy::Unreachable, String::new(), "HTTP 500".into()));
        assert_eq!(of(403, "<html>").0, Remedy::Denied);
        assert_eq!(of(502, "<html>").0, Remedy::Unsupported);
    }
}
