//! One way to call ECS: at our share of its rates, again where that helps, and with its time noted.
//!
//! The SDK's own retries are off for ECS: they would pass the pace by, and they would send a write again of which nobody
//! knows whether it took effect. A write is sent again only where ECS says that it did nothing; everything else is for
//! the next round, which looks first.

use super::{AwsError, Clients, Remedy, pace::Group};
use aws_sdk_ecs::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, http::HttpResponse,
        interceptors::BeforeDeserializationInterceptorContextRef,
    },
    error::{BoxError, ProvideErrorMetadata, SdkError},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Attempts of one call.
const ATTEMPTS: u32 = 4;
/// The first pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// What a call does, which decides when it may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It changes nothing.
    Read,
    /// It changes something.
    Write,
}

/// AWS's clock, as the latest answer showed it: epoch seconds, 0 before the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerClock(Arc<AtomicI64>);

impl ServerClock {
    pub(crate) fn now(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|now| *now > 0)
    }
}

impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "ServerClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(moment) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            self.0.store(moment.timestamp().as_second(), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Clients {
    /// AWS's time, epoch seconds; ours before the first answer.
    pub fn now(&self) -> i64 {
        self.clock.now().unwrap_or_else(|| jiff::Timestamp::now().as_second())
    }

    /// Sends a request at our pace.
    pub(super) async fn call<T, E, F>(
        &self,
        operation: &'static str,
        group: Group,
        kind: Kind,
        send: impl Fn() -> F,
    ) -> Result<T, AwsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let mut attempt = 1;
        loop {
            self.pace.acquire(group).await;
            let error = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.with_role(AwsError::from_sdk(operation, &error)),
            };
            let again = match (&error.remedy, kind) {
                (Remedy::Throttled, _) => {
                    self.pace.slow_down(group);
                    true
                }
                (Remedy::Unreachable, Kind::Read) => true,
                _ => false,
            };
            if !again || attempt == ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(self.pace.jittered(PAUSE * 2u32.pow(attempt - 1))).await;
            attempt += 1;
        }
    }
}
