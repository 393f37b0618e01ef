//! Errors as the services word them.

use serde_json::{Value, json};

/// An error answer: a shape name, a message and an HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into() }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub(crate) fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new("UnsupportedFeatureException", message)
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    pub(crate) fn cluster_not_found() -> Self {
        Self::new("ClusterNotFoundException", "Cluster not found.")
    }

    pub(crate) fn service_not_found() -> Self {
        Self::new("ServiceNotFoundException", "Service not found.")
    }

    pub(crate) fn throttled(service: &str) -> Self {
        let code = match service {
            "sts" | "elasticloadbalancing" | "cloudwatch" => "Throttling",
            "sqs" => "RequestThrottled",
            _ => "ThrottlingException",
        };
        Self::new(code, "Rate exceeded")
    }

    /// The answer of a service that speaks JSON.
    pub(crate) fn body(&self, service: &str) -> Value {
        let message = match (service, self.code.as_str()) {
            ("secretsmanager" | "application-autoscaling", _) | ("ssm", "InternalServerError" | "InvalidNextToken") => {
                "Message"
            }
            _ => "message",
        };
        json!({ "__type": self.code, message: self.message })
    }
}

/// The result of an operation.
pub(crate) type Answer = Result<Value, ApiError>;
