//! Amazon ECS and its neighbours on loopback, over the AWS wire protocol, on a virtual clock.
//!
//! A [`Sandbox`] answers the operations that a deployment tool needs of ECS, ECR, SSM Parameter
//! Store, Secrets Manager, Application Auto Scaling, CloudWatch and its Logs, Elastic Load Balancing,
//! SQS and STS. Any AWS client can talk to it when its
//! endpoint URL is set. A rollout goes the way that it goes on the real service, but on a clock
//! that runs at any speed or only when told to; images crash, stay unhealthy or are missing on demand.
//!
//! [`Control`] is the hand of the test; the same is there over HTTP below `/sandbox`.
//!
//! Inside, a state machine without IO (`sim` over `model`) is run up to the present whenever a
//! request comes in; `ecs` and `outside` hold the operations, `wire` the HTTP around it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

mod behaviour;
mod catalogue;
mod clock;
mod control;
mod durations;
mod ecs;
mod error;
mod fault;
mod identity;
mod ids;
mod journal;
mod model;
mod options;
mod outside;
mod place;
mod request;
mod sim;
mod state;
mod throttle;
mod wire;

pub use behaviour::Behaviour;
pub use catalogue::Failure;
pub use clock::ClockMode;
pub use control::Control;
pub use durations::Durations;
pub use fault::{Effect, Fault, Timing, When};
pub use journal::JournalEntry;
pub use model::Trouble;
pub use options::Options;
pub use outside::alarms::AlarmState;
pub use outside::balancing::TargetState;
pub use outside::ecr::NewImage;
pub use outside::functions::HookAnswer;

/// A running sandbox. It ends when it is shut down or dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    control: Control,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Starts to listen.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        // Answers name addresses of the sandbox itself: of queues, of blobs.
        let options = Options { address, ..options };
        let handle = Arc::new(Mutex::new(state::State::new(options)));
        let control = Control::new(handle.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let service = wire::router(handle).into_make_service_with_connect_info::<wire::Connection>();
        let server = tokio::spawn(async move {
            let serve = axum::serve(wire::Listener(listener), service);
            tokio::select! {
                ended = serve.into_future() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the sandbox stopped serving");
                    }
                }
                _ = stopped => {}
            }
        });
        Ok(Self { address, control, stop: Some(stop), server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value for `AWS_ENDPOINT_URL`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its control.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Stops listening.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.server).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}
