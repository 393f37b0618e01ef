//! Tasks that somebody owns: one that panics is told of and started again, until the agent stops.

use crate::board::Troubles;
use futures_util::FutureExt;
use std::{any::Any, panic::AssertUnwindSafe, time::Duration};
use tokio::{sync::watch, time::Instant};

/// How long a task waits before it is started again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    first: Duration,
}

impl Backoff {
    /// The longest pause.
    const LONGEST: Duration = Duration::from_secs(300);
    /// A task that ran so long is not in a circle.
    const STEADY: Duration = Duration::from_secs(600);

    /// With this first pause.
    const fn from(first: Duration) -> Self {
        Self { next: first, first }
    }

    /// The pause after a task panicked that had run so long.
    fn after(&mut self, ran: Duration) -> Duration {
        if ran >= Self::STEADY {
            self.next = self.first;
        }
        let pause = self.next;
        self.next = (pause * 2).min(Self::LONGEST);
        pause
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::from(Duration::from_secs(1))
    }
}

/// Runs a task to its own end, and starts it again whenever it panics.
pub(crate) async fn supervise<F: Future<Output = ()>>(
    name: &str,
    troubles: &Troubles,
    mut stopped: watch::Receiver<bool>,
    mut backoff: Backoff,
    mut start: impl FnMut() -> F,
    mut panicked: impl FnMut(&str),
) {
    loop {
        let started = Instant::now();
        // Nothing is shared with it but what locks and channels keep whole.
        let Err(payload) = AssertUnwindSafe(async { start().await }).catch_unwind().await else { return };
        let text = text_of(payload.as_ref());
        troubles.panicked(name, text, true);
        panicked(text);
        let pause = backoff.after(started.elapsed());
        tracing::error!(task = name, again = ?pause, "a task panicked and will be started again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        troubles.is_up(name);
    }
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    #[test]
    fn pauses_grow_to_a_bound_and_start_anew_after_a_steady_run() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..11).map(|_| backoff.after(Duration::ZERO).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff.after(Backoff::STEADY), Duration::from_secs(1));
    }

    // H10
    #[tokio::test]
    async fn a_task_that_panics_is_told_of_and_started_again() {
        let troubles = Troubles::default();
        let (_stop, stopped) = watch::channel(false);
        let (runs, said) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let start = || async {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            assert!(run == 4, "run {run} fails");
        };
        let backoff = Backoff::from(Duration::from_millis(1));
        let panicked = |_: &str| _ = said.fetch_add(1, Ordering::SeqCst);
        supervise("the source acme", &troubles, stopped, backoff, start, panicked).await;
        assert_eq!((runs.load(Ordering::SeqCst), said.load(Ordering::SeqCst)), (5, 4));
        let all = troubles.all();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].panics, all[0].is_down, all[0].text.as_str()), (4, false, "run 3 fails"));
        assert!(all[0].to_string().starts_with("the source acme panicked 4 times, last at "), "{}", all[0]);
    }

    #[tokio::test]
    async fn a_task_that_waits_to_be_started_again_hears_the_order_to_stop() {
        let troubles = Arc::new(Troubles::default());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn({
            let troubles = troubles.clone();
            async move {
                let backoff = Backoff::from(Duration::from_secs(3600));
                supervise("x", &troubles, stopped, backoff, || async { panic!("{}", "always") }, |_| ()).await;
            }
        });
        while troubles.all().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(troubles.all()[0].is_down);
        stop.send(true).unwrap();
        task.await.unwrap();
        assert_eq!(troubles.all()[0].panics, 1);
    }
}
