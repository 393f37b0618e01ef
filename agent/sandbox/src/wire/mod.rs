//! HTTP: from bytes to a call and back. No decision about the services is taken here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;

use crate::error::ApiError;
use crate::outside::sqs;
use crate::place::Place;
use crate::request::drop_nulls;
use crate::state::{Incoming, Outgoing, Protocol, State};

mod control;
mod listener;
mod query;
pub(crate) mod shapes;
mod signature;

pub(crate) use listener::{Connection, Listener};

/// The state, shared by all connections.
pub(crate) type Handle = Arc<Mutex<State>>;

/// The state for the length of one call.
pub(crate) fn lock(handle: &Handle) -> MutexGuard<'_, State> {
    handle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Services that speak JSON, by the prefix of their targets.
const TARGETS: [(&str, &str); 8] = [
    ("AmazonEC2ContainerServiceV20141113", "ecs"),
    ("AmazonEC2ContainerRegistry_V20150921", "ecr"),
    ("AmazonSSM", "ssm"),
    ("secretsmanager", "secretsmanager"),
    ("AnyScaleFrontendService", "application-autoscaling"),
    ("GraniteServiceVersion20100801", "cloudwatch"),
    ("Logs_20140328", "logs"),
    ("AmazonSQS", "sqs"),
];

/// The longest time that a call waits for a message, whatever it asks for: a test should not hang.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn router(handle: Handle) -> Router {
    Router::new()
        .route("/", post(answer))
        // Some clients of SQS send requests to the URL of the queue.
        .route("/{account}/{queue}", post(answer))
        .route("/blobs/{account}/{region}/{digest}/{*repository}", get(blob))
        .nest("/sandbox", control::routes())
        .layer(axum::extract::DefaultBodyLimit::max(8 * 1024 * 1024))
        .with_state(handle)
}

async fn answer(
    Shared(handle): Shared<Handle>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let dialect = (!headers.contains_key("x-amz-target")).then(|| query::Dialect::of(&headers));
    let incoming = match dialect {
        None => parse_json(&headers, &body),
        Some(dialect) => dialect.parse(&headers, &body),
    };
    let (service, operation, outgoing) = match incoming {
        Ok(incoming) => {
            wait_for_message(&handle, &incoming).await;
            (incoming.service, incoming.operation.clone(), lock(&handle).call(incoming))
        }
        Err(error) => {
            let mut state = lock(&handle);
            let now = state.catch_up();
            let request_id = state.request_ids.uuid();
            let outgoing = Outgoing { answer: Err(error), drop: false, delay: Duration::ZERO, now, request_id };
            ("", String::new(), outgoing)
        }
    };
    if !outgoing.delay.is_zero() {
        tokio::time::sleep(outgoing.delay).await;
    }
    if outgoing.drop {
        connection.cut();
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    match dialect {
        None => render_json(service, &outgoing),
        Some(dialect) => dialect.render(&operation, &outgoing),
    }
}

/// Holds a receiver of an empty queue back until a message is there, in real time. The state is not locked meanwhile.
async fn wait_for_message(handle: &Handle, incoming: &Incoming) {
    const STEP: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        let wish = lock(handle).wait(incoming);
        if waited >= wish.min(PATIENCE) {
            return;
        }
        tokio::time::sleep(STEP).await;
        waited += STEP;
    }
}

/// A blob of a registry, below the address that `GetDownloadUrlForLayer` answers with.
async fn blob(
    Shared(handle): Shared<Handle>,
    Path((account, region, digest, repository)): Path<(String, String, String, String)>,
) -> Response {
    let state = lock(&handle);
    let registry = state.outside.registries.get(&Place::new(&account, &region));
    match registry.and_then(|registry| registry.blob(&repository, &digest)) {
        Some(blob) => ([(header::CONTENT_TYPE, "application/octet-stream")], blob.to_owned()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn parse_json(headers: &HeaderMap, body: &[u8]) -> Result<Incoming, ApiError> {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unknown = || ApiError::new("UnknownOperationException", "").with_status(404);
    let (prefix, operation) = target.split_once('.').ok_or_else(unknown)?;
    let (_, service) = TARGETS.iter().find(|(known, _)| *known == prefix).ok_or_else(unknown)?;
    let mut value: Value = match body {
        [] => Value::Object(Default::default()),
        body => serde_json::from_slice(body)
            .map_err(|_| ApiError::new("SerializationException", "The request is not valid JSON."))?,
    };
    drop_nulls(&mut value);
    let Value::Object(body) = value else {
        return Err(ApiError::new("SerializationException", "The request is not a JSON object."));
    };
    let signature::Scope { access_key, region, .. } = signature::scope(headers);
    Ok(Incoming { access_key, region, service, protocol: Protocol::Json, operation: operation.to_owned(), body })
}

fn render_json(service: &str, outgoing: &Outgoing) -> Response {
    // Services that once spoke the query protocol speak JSON 1.0, with full names and the old codes of errors.
    let once_query = matches!(service, "sqs" | "cloudwatch");
    let content_type = if once_query { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
    let error = match &outgoing.answer {
        Ok(Value::Null) => return respond(200, content_type, "{}".to_owned(), &[], outgoing),
        Ok(value) => return respond(200, content_type, value.to_string(), &[], outgoing),
        Err(error) => error,
    };
    let mut body = error.body(service);
    if !once_query {
        return respond(error.status, content_type, body.to_string(), &[], outgoing);
    }
    body["__type"] = Value::from(format!("com.amazonaws.{service}#{}", error.code));
    let code = if service == "sqs" { sqs::query_code(&error.code) } else { &error.code };
    let fault = if error.status >= 500 { "Receiver" } else { "Sender" };
    let old = ("x-amzn-query-error", format!("{code};{fault}"));
    respond(error.status, content_type, body.to_string(), &[old], outgoing)
}

fn respond(
    status: u16,
    content_type: &'static str,
    body: String,
    more: &[(&'static str, String)],
    outgoing: &Outgoing,
) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::DATE, outgoing.now.http_date()),
        (header::HeaderName::from_static("x-amzn-requestid"), outgoing.request_id.clone()),
    ];
    let mut response = (status, headers, body).into_response();
    for (name, value) in more {
        // A code that a fault made up may not be fit for a header.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}
