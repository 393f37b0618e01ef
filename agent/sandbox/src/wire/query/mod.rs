//! The query protocol: forms in, XML out.

use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use crate::error::ApiError;
use crate::outside::sqs;
use crate::state::{Incoming, Outgoing, Protocol};
use crate::wire::{respond, shapes, signature};

mod flat;
mod form;
mod xml;

use xml::{element, escape};

/// A service that speaks it.
#[derive(Debug)]
pub(super) struct Dialect {
    /// The service's name in signatures.
    signed: &'static str,
    service: &'static str,
    namespace: &'static str,
    /// Lists and maps are flattened.
    flat: bool,
}

const STS: Dialect =
    Dialect { signed: "sts", service: "sts", namespace: "https://sts.amazonaws.com/doc/2011-06-15/", flat: false };

const DIALECTS: [Dialect; 4] = [
    STS,
    Dialect {
        signed: "elasticloadbalancing",
        service: "elasticloadbalancing",
        namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        flat: false,
    },
    Dialect {
        signed: "monitoring",
        service: "cloudwatch",
        namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
        flat: false,
    },
    Dialect { signed: "sqs", service: "sqs", namespace: "http://queue.amazonaws.com/doc/2012-11-05/", flat: true },
];

impl Dialect {
    /// The dialect of a request. What is not signed for a service that is known here speaks to STS.
    pub(super) fn of(headers: &HeaderMap) -> &'static Self {
        let signed = signature::scope(headers).service;
        DIALECTS.iter().find(|dialect| Some(dialect.signed) == signed.as_deref()).unwrap_or(&STS)
    }

    pub(super) fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<Incoming, ApiError> {
        let mut members = form::parse(std::str::from_utf8(body).unwrap_or_default());
        let operation = members.remove("Action").and_then(|action| action.as_str().map(str::to_owned));
        members.remove("Version");
        let Some(operation) = operation else {
            return Err(ApiError::new("MissingAction", "Could not find operation in the request."));
        };
        if self.flat {
            members = flat::widen(members);
        }
        let body = shapes::type_form(self.service, &operation, members);
        let signature::Scope { access_key, region, .. } = signature::scope(headers);
        Ok(Incoming { access_key, region, service: self.service, protocol: Protocol::Query, operation, body })
    }

    pub(super) fn render(&self, operation: &str, outgoing: &Outgoing) -> Response {
        let id = &outgoing.request_id;
        let namespace = self.namespace;
        let (status, body) = match &outgoing.answer {
            Ok(value) => {
                let result = self.result(operation, value);
                let body = format!(
                    "<{operation}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
                );
                (200, body)
            }
            Err(error) => {
                let kind = if error.status >= 500 { "Receiver" } else { "Sender" };
                let (code, status) = match self.service {
                    "sqs" => (sqs::query_code(&error.code), sqs::query_status(error)),
                    _ => (error.code.as_str(), error.status),
                };
                let body = format!(
                    "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{kind}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
                    escape(code),
                    escape(&error.message)
                );
                (status, body)
            }
        };
        respond(status, "text/xml", body, &[], outgoing)
    }

    fn result(&self, operation: &str, value: &Value) -> String {
        let name = format!("{operation}Result");
        if !self.flat {
            return element(&name, value);
        }
        // An operation without an output shape has no element for it either.
        if value.is_null() { String::new() } else { format!("<{name}>{}</{name}>", flat::render(value)) }
    }
}
