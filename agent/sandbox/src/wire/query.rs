//! The query protocol of STS: forms in, XML out.

use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::state::{Incoming, Outgoing};
use crate::wire::{respond, signature};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Incoming, ApiError> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut members = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        members.insert(decode(name), Value::String(decode(value)));
    }
    let operation = members.remove("Action").and_then(|action| action.as_str().map(str::to_owned));
    members.remove("Version");
    let Some(operation) = operation else {
        return Err(ApiError::new("MissingAction", "Could not find operation in the request."));
    };
    let (access_key, region) = signature::scope(headers);
    Ok(Incoming { access_key, region, service: "sts", operation, body: members })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], escaped) {
            (_, Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub(super) fn render(operation: &str, outgoing: Outgoing) -> Response {
    let id = &outgoing.request_id;
    let (status, body) = match &outgoing.answer {
        Ok(value) => {
            let result = element(&format!("{operation}Result"), value);
            let body = format!(
                "<{operation}Response xmlns=\"{NAMESPACE}\">{result}<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
            );
            (200, body)
        }
        Err(error) => {
            let kind = if error.status >= 500 { "Receiver" } else { "Sender" };
            let body = format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
                escape(&error.code),
                escape(&error.message)
            );
            (error.status, body)
        }
    };
    respond(status, "text/xml", body, &outgoing)
}

fn element(name: &str, value: &Value) -> String {
    let inner = match value {
        Value::Object(members) => members.iter().map(|(name, member)| element(name, member)).collect(),
        Value::String(text) => escape(text),
        other => other.to_string(),
    };
    format!("<{name}>{inner}</{name}>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        assert_eq!(decode("arn%3Aaws+x%2"), "arn:aws x%2");
        assert_eq!(element("A", &serde_json::json!({ "B": "<", "C": 1 })), "<A><B>&lt;</B><C>1</C></A>");
    }
}
