//! HTTP: from bytes to a call and back. No decision about the services is taken here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;

use crate::error::ApiError;
use crate::request::drop_nulls;
use crate::state::{Incoming, Outgoing, State};

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
const TARGETS: [(&str, &str); 5] = [
    ("AmazonEC2ContainerServiceV20141113", "ecs"),
    ("AmazonEC2ContainerRegistry_V20150921", "ecr"),
    ("AmazonSSM", "ssm"),
    ("secretsmanager", "secretsmanager"),
    ("AnyScaleFrontendService", "application-autoscaling"),
];

pub(crate) fn router(handle: Handle) -> Router {
    Router::new()
        .route("/", post(answer))
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
    let json = headers.contains_key("x-amz-target");
    let incoming = if json { parse_json(&headers, &body) } else { query::parse(&headers, &body) };
    let (operation, outgoing) = match incoming {
        Ok(incoming) => {
            let operation = incoming.operation.clone();
            (operation, lock(&handle).call(incoming))
        }
        Err(error) => {
            let mut state = lock(&handle);
            let now = state.catch_up();
            let request_id = state.request_ids.uuid();
            let answer = Err(error);
            let delay = std::time::Duration::ZERO;
            (String::new(), Outgoing { service: "", answer, drop: false, delay, now, request_id })
        }
    };
    if !outgoing.delay.is_zero() {
        tokio::time::sleep(outgoing.delay).await;
    }
    if outgoing.drop {
        connection.cut();
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if json { render_json(outgoing) } else { query::render(&operation, outgoing) }
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
    let (access_key, region) = signature::scope(headers);
    Ok(Incoming { access_key, region, service, operation: operation.to_owned(), body })
}

fn render_json(outgoing: Outgoing) -> Response {
    let (status, body) = match &outgoing.answer {
        Ok(value) => (200, value.to_string()),
        Err(error) => (error.status, error.body(outgoing.service).to_string()),
    };
    respond(status, "application/x-amz-json-1.1", body, &outgoing)
}

fn respond(status: u16, content_type: &'static str, body: String, outgoing: &Outgoing) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::DATE, outgoing.now.http_date()),
        (header::HeaderName::from_static("x-amzn-requestid"), outgoing.request_id.clone()),
    ];
    (status, headers, body).into_response()
}
