//! Connections to the API. Whoever connects and says nothing, or half of something, must not cost the agent the file
//! descriptors that its own work needs.

use axum::{Router, body::Body, http::Request};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// Most connections where the system allows as many.
const MOST: usize = 64;
/// How long a request may take to arrive, and how long a connection may wait for the next one.
const HEADER: Duration = Duration::from_secs(10);
/// Pause after the system had no connection to give.
const PAUSE: Duration = Duration::from_millis(200);
/// How long requests may go on after the order to stop.
const GRACE: Duration = Duration::from_secs(1);

/// What connections may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Connections at the same time.
    pub(super) connections: usize,
    /// How long a request's header may take.
    pub(super) header: Duration,
}

impl Limits {
    /// At most a quarter of the file descriptors: the rest is for Git, AWS and files.
    pub(super) fn of_this_process() -> Self {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self { connections: descriptors(&limits).map_or(MOST, |most| (most / 4).clamp(1, MOST)), header: HEADER }
    }
}

/// The soft limit of file descriptors, as the system writes it.
fn descriptors(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A connection, and how many of its requests are being answered.
struct Connection {
    task: AbortHandle,
    busy: Arc<AtomicUsize>,
}

/// Serves until it is told to stop, and tells of each request that panicked.
pub(super) async fn serve(
    listener: &TcpListener,
    app: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
    panicked: impl Fn(),
) {
    let mut tasks = JoinSet::new();
    let mut connections: VecDeque<Connection> = VecDeque::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection to the API was not accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            Some(ended) = tasks.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    panicked();
                }
                continue;
            }
            () = told(&mut stopped) => break,
        };
        connections.retain(|connection| !connection.task.is_finished());
        if connections.len() >= limits.connections {
            // The oldest that asks for nothing gives way; where all are being answered, the new one does.
            let idle = connections.iter().position(|connection| connection.busy.load(Ordering::Relaxed) == 0);
            let Some(idle) = idle.and_then(|at| connections.remove(at)) else { continue };
            idle.task.abort();
        }
        let busy = Arc::new(AtomicUsize::new(0));
        let task = tasks.spawn(answer(stream, app.clone(), limits, busy.clone(), stopped.clone()));
        connections.push_back(Connection { task, busy });
    }
    let _ = tokio::time::timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
}

/// Resolves with the order to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// One connection to its end. What goes wrong on it is the other side's to know.
async fn answer(
    stream: TcpStream,
    app: Router,
    limits: Limits,
    busy: Arc<AtomicUsize>,
    mut stopped: watch::Receiver<bool>,
) {
    let app = app.layer(axum::middleware::from_fn(move |request: Request<Body>, next: axum::middleware::Next| {
        let busy = Busy::new(&busy);
        async move {
            let answer = next.run(request).await;
            drop(busy);
            answer
        }
    }));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    tokio::pin!(connection);
    let is_stopping = tokio::select! {
        _ = connection.as_mut() => false,
        () = told(&mut stopped) => true,
    };
    if is_stopping {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Counts a request while it is being answered.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    /// A server with these limits. It stops when the sender is dropped or told.
    async fn server(limits: Limits) -> (std::net::SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let app = Router::new().route("/", get(|| async { "ok" })).route(
            "/panic",
            get(|| async {
                if true {
                    panic!("on purpose")
                }
            }),
        );
        let panics = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(async move {
            serve(&listener, app, limits, stopped, || _ = panics.fetch_add(1, Ordering::Relaxed)).await;
            panics.load(Ordering::Relaxed)
        });
        (address, stop, task)
    }

    async fn get_whole(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    // H14
    #[tokio::test]
    async fn half_sent_requests_are_closed_and_others_answered() {
        let (address, _stop, _task) = server(Limits { connections: 4, header: Duration::from_millis(200) }).await;
        let mut half = Vec::new();
        for text in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "].iter().cycle().take(12) {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            half.push(stream);
        }
        // Beyond the cap the oldest gives way, so that this one is answered.
        assert!(get_whole(address, "/").await.ends_with("\r\n\r\nok"));
        for mut stream in half {
            let mut rest = Vec::new();
            let ended = timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "a half-sent request was not closed");
        }
    }

    // H10
    #[tokio::test]
    async fn a_request_that_panics_is_counted_and_the_next_is_answered() {
        let (address, stop, task) = server(Limits { connections: 4, header: HEADER }).await;
        assert_eq!(get_whole(address, "/panic").await, "");
        assert!(get_whole(address, "/").await.ends_with("\r\n\r\nok"));
        stop.send(true).unwrap();
        assert_eq!(task.await.unwrap(), 1);
    }

    #[test]
    fn most_descriptors_are_left_for_our_own_work() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax processes  127  128  processes\nMax open files            1024                 4096                 files\n";
        assert_eq!(descriptors(text), Some(1024));
        assert_eq!(descriptors("Max open files unlimited unlimited files"), None);
        assert!((1..=MOST).contains(&Limits::of_this_process().connections));
    }
}
