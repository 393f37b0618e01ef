//! What happens while a command works, for whoever waits: what is written, what ECS says, and how far it is. On a
//! terminal one line is kept up to date; elsewhere each event is a line.

use super::target::Opened;
use crate::{
    output::{self, paint},
    reconcile::Orders,
};
use lockstep_core::event::{Event, What};
use lockstep_core::report::Verdict;
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How often the line on a terminal is drawn again.
const REDRAW: Duration = Duration::from_millis(250);
/// A look that is shorter says nothing of how far it is.
const SHORT: Duration = Duration::from_secs(1);
/// How often it is said elsewhere how far a long look is.
const SAY: Duration = Duration::from_secs(5);
/// The line's width: a longer one would wrap, and could not be taken back.
const WIDTH: usize = 79;

/// Who waits, and where.
pub(super) struct Progress {
    quiet: bool,
    in_place: bool,
    is_drawn: bool,
    said_at: Instant,
    began_at: Instant,
    /// What the line says beside how far a look is.
    state: String,
}

impl Progress {
    /// For stderr. A quiet one says nothing.
    pub(super) fn new(quiet: bool) -> Self {
        let in_place = std::io::stderr().is_terminal();
        Self {
            quiet,
            in_place,
            is_drawn: false,
            said_at: Instant::now(),
            began_at: Instant::now(),
            state: String::new(),
        }
    }

    /// Runs a round, and tells meanwhile what happens.
    pub(super) async fn round(&mut self, opened: &mut Opened, events: &mut Receiver<Event>, orders: &Orders) {
        self.said_at = Instant::now();
        self.began_at = self.said_at;
        let context = opened.context.clone();
        {
            let round = opened.runner.round(&context, orders);
            tokio::pin!(round);
            let mut tick = tokio::time::interval(REDRAW);
            loop {
                tokio::select! {
                    _ = &mut round => break,
                    event = events.recv() => match event {
                        Ok(event) => self.tell(&event),
                        // So much happened that some of it is lost; the plan at the end has all of it.
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => {
                            round.await;
                            break;
                        }
                    },
                    _ = tick.tick() => self.far(context.looked.far()),
                }
            }
        }
        while let Ok(event) = events.try_recv() {
            self.tell(&event);
        }
    }

    /// What stays on the line until something else happens.
    pub(super) fn state(&mut self, text: String) {
        self.state = text;
        self.draw(&self.state.clone());
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            output::in_place(&" ".repeat(WIDTH));
            output::in_place("");
        }
    }

    fn far(&mut self, (done, all): (usize, usize)) {
        // What was said last stays, unless the look takes its time.
        if all == 0 || done >= all || self.began_at.elapsed() < SHORT {
            return;
        }
        let text = format!("{done} of {} looked at", output::count(all, "service"));
        if self.in_place {
            self.draw(&text);
        } else if !self.quiet && self.said_at.elapsed() >= SAY {
            self.said_at = Instant::now();
            output::say(&text);
        }
    }

    fn draw(&mut self, text: &str) {
        if self.quiet || !self.in_place {
            return;
        }
        let text: String = output::clean(text).chars().filter(|letter| *letter != '\n').take(WIDTH).collect();
        output::in_place(&format!("{text:WIDTH$}"));
        self.is_drawn = true;
    }

    fn say(&mut self, text: &str) {
        self.clear();
        output::say(text);
    }

    fn tell(&mut self, event: &Event) {
        if self.quiet {
            return;
        }
        let name = event.of.name();
        match &event.what {
            What::Wrote { actions, .. } => {
                self.say(&format!("{name}: {} written", actions.len()));
            }
            What::Failed { reason } => {
                self.say(&format!("{name}: {}", paint::bad(reason)));
            }
            What::Verdict { verdict, text } => {
                let word = verdict.word().to_owned();
                let word = match verdict {
                    Verdict::Deployed => paint::good(&word),
                    Verdict::Rejected | Verdict::Stalled => paint::bad(&word),
                    _ => word,
                };
                // The reason repeats the word, for where it stands alone.
                let text = text.strip_prefix("rejected: ").unwrap_or(text);
                self.say(format!("{name}: {word} {}", output::clean(text)).trim_end());
            }
            What::Said { text } => {
                let at = jiff::Timestamp::from_second(event.at).map(|at| at.strftime("%H:%M:%SZ").to_string());
                let line = format!("{}  {name}  {}", at.unwrap_or_default(), output::clean(text));
                if self.in_place { self.draw(&line) } else { output::say(&line) }
            }
            // A sync by hand does not look at registries.
            What::Bumped { .. } | What::Held { .. } | What::NotWritten { .. } => {}
            What::Commit { .. } | What::Unreadable { .. } | What::Readable | What::Rewritten { .. } => {}
            What::Failing { text, log } => {
                let text = format!("first failure: {}", output::clean(text));
                self.say(&format!("{name}: {}", paint::bad(&text)));
                for line in log {
                    self.say(&format!("{name}: log: {}", output::clean(line)));
                }
            }
            // What is unknown, paused or contested is in the plan that was shown, and in how it ends.
            What::Turned { .. } => {}
        }
    }
}
