//! The agent's API: state and plan as JSON, and the two questions of an orchestrator. On loopback only.

use crate::{board::State, reconcile::Context};
use axum::{
    Json, Router,
    extract::{Query, Request, State as Shared},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use lockstep_core::report::Plan;
use serde::Deserialize;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// A server that is bound, not yet serving.
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// When it is taken or not allowed.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` resolves.
    pub async fn serve(self, context: Arc<Context>, stop: impl Future<Output = ()> + Send + 'static) {
        let app = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/api/v1/state", get(state))
            .route("/api/v1/plan", get(plan))
            .layer(middleware::from_fn(only_loopback_names))
            .with_state(context);
        if let Err(error) = axum::serve(self.listener, app).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "the API stopped");
        }
    }
}

/// A page in a browser can reach loopback under a name of its own; such a request names another host.
async fn only_loopback_names(headers: HeaderMap, request: Request, next: Next) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    if matches!(name, "localhost" | "127.0.0.1" | "[::1]") || name.starts_with("127.") {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this API answers to loopback names only\n").into_response()
    }
}

async fn state(Shared(context): Shared<Arc<Context>>) -> Json<State> {
    Json(context.board.state())
}

#[derive(Deserialize)]
struct PlanQuery {
    source: Option<String>,
}

async fn plan(Shared(context): Shared<Arc<Context>>, Query(query): Query<PlanQuery>) -> Result<Json<Plan>, Response> {
    let state = context.board.state();
    let sources: Vec<_> =
        state.sources.iter().filter(|source| query.source.as_ref().is_none_or(|id| source.id == *id)).collect();
    match sources.as_slice() {
        [source] => Ok(Json(source.plan())),
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
    if waiting.is_empty() && !state.sources.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", waiting.join("\n"))).into_response()
    }
}
