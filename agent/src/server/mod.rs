//! The agent's API: state and plan as JSON, and the two questions of an orchestrator. On loopback only.

mod connections;
mod host;

use crate::reconcile::Context;
use axum::{
    Router,
    extract::{Query, Request, State as Shared},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use connections::Limits;
use lockstep_core::report::Plan;
use lockstep_core::state::{State, TaskList};
use serde::Deserialize;
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::watch};

/// A server that is bound, not yet serving.
pub struct Server {
    listener: TcpListener,
    limits: Limits,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// When it is taken or not allowed.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, limits: Limits::of_this_process() })
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is told to stop.
    pub async fn serve(&self, context: Arc<Context>, stopped: watch::Receiver<bool>) {
        let app = Router::new()
            .route("/healthz", get(health))
            .route("/readyz", get(ready))
            .route("/api/v1/state", get(state))
            .route("/api/v1/plan", get(plan))
            .route("/api/v1/tasks", get(tasks))
            .layer(middleware::from_fn(only_loopback_names))
            .with_state(context.clone());
        let panicked = || context.board.troubles.panicked("the API", "a request was not answered", false);
        connections::serve(&self.listener, app, self.limits, stopped, panicked).await;
    }
}

async fn only_loopback_names(request: Request, next: Next) -> Response {
    if host::is_for_loopback(request.headers(), request.uri()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this API answers to loopback names only\n").into_response()
    }
}

/// Whether the process is alive. A task that panicked is started again, so it is told of and is no reason to end all.
async fn health(Shared(context): Shared<Arc<Context>>) -> String {
    let mut text = "ok\n".to_owned();
    for trouble in context.board.troubles.all() {
        text.push_str(&format!("{trouble}\n"));
    }
    match crate::log::lost() {
        0 => {}
        lost => text.push_str(&format!("{} could not be written\n", crate::output::count(lost, "log line"))),
    }
    text
}

/// JSON whose texts bring nothing that a terminal or a reader would be misled by: they come from Git, registries and AWS.
struct CleanJson<T>(T);

impl<T: serde::Serialize> IntoResponse for CleanJson<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => {
                let text = crate::output::escape_json(&text);
                ([(axum::http::header::CONTENT_TYPE, "application/json")], text).into_response()
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        }
    }
}

async fn state(Shared(context): Shared<Arc<Context>>) -> CleanJson<State> {
    CleanJson(context.board.state())
}

async fn tasks(Shared(context): Shared<Arc<Context>>) -> CleanJson<TaskList> {
    CleanJson(context.board.tasks.all())
}

#[derive(Deserialize)]
struct PlanQuery {
    source: Option<String>,
}

async fn plan(
    Shared(context): Shared<Arc<Context>>,
    Query(query): Query<PlanQuery>,
) -> Result<CleanJson<Plan>, Response> {
    let state = context.board.state();
    let sources: Vec<_> =
        state.sources.iter().filter(|source| query.source.as_ref().is_none_or(|id| source.id == *id)).collect();
    match sources.as_slice() {
        [source] => Ok(CleanJson(source.plan())),
        [] => Err((StatusCode::NOT_FOUND, "no such source\n").into_response()),
        _ => Err((StatusCode::BAD_REQUEST, "there are several sources; name one with ?source=\n").into_response()),
    }
}

/// Ready once every source was read and every environment of it was looked at.
async fn ready(Shared(context): Shared<Arc<Context>>) -> Response {
    let state = context.board.state();
    let waiting: Vec<String> = state
        .sources
        .iter()
        .filter(|source| source.commit.is_empty() || source.environments.is_empty())
        .map(|source| match &source.error {
            Some(error) => format!("{}: {error}", source.id),
            None => format!("{}: not read yet", source.id),
        })
        .collect();
    let down = context.board.troubles.all().into_iter().filter(|trouble| trouble.is_down).map(|it| it.to_string());
    // The task of an environment that the files name is there before it looks.
    let tasks = context.board.tasks.all().tasks;
    let unseen = tasks.into_iter().filter(|task| task.name.starts_with("environment ") && task.result.is_none());
    let unseen = unseen.map(|task| format!("{}: not looked at yet", task.name));
    let waiting: Vec<String> = waiting.into_iter().chain(unseen).chain(down).collect();
    if waiting.is_empty() && !state.sources.is_empty() {
        "ready\n".into_response()
    } else {
        let text = crate::output::clean(&format!("not ready\n{}\n", waiting.join("\n")));
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}
