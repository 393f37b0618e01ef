//! Everything at once: calls that are throttled, fail, come late, are lost or show what was before, random commits,
//! edits by hand, and agents that are killed. Whatever happens, no write is made that Git does not justify, and when it
//! is over, everything is as declared or rejected for a reason.
//!
//! `LOCKSTEP_SEED` repeats a run. `LOCKSTEP_CHAOS_SECONDS` and `LOCKSTEP_CHAOS_SERVICES` make it longer and larger;
//! see `agent/docs/testing.md`.
#![allow(clippy::print_stdout, reason = "the figures are its result")]

use lockstep_sandbox::Options;
use lockstep_tests::{
    chaos::{Chaos, setting},
    world::Setup,
};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn everything_converges_and_nothing_is_written_that_git_does_not_state() {
    let seed = setting("LOCKSTEP_SEED", u64::from(std::process::id()));
    let (seconds, count) = (setting("LOCKSTEP_CHAOS_SECONDS", 20), setting("LOCKSTEP_CHAOS_SERVICES", 40));
    println!("LOCKSTEP_SEED={seed} LOCKSTEP_CHAOS_SECONDS={seconds} LOCKSTEP_CHAOS_SERVICES={count}");
    let options = Options { journal_answers: false, ..Setup::default().options };
    let mut chaos = Chaos::new(count, seed, options).await;
    let started = Instant::now();
    let (mut rounds, mut acts) = (0, 0);
    while started.elapsed() < Duration::from_secs(seconds) {
        chaos.spoil();
        for _ in 0..100 {
            match chaos.dice.roll(10) {
                0 | 1 => chaos.commit(),
                2 => chaos.edit().await,
                3 if chaos.dice.roll(4) == 0 => {
                    let keep_cache = chaos.dice.roll(2) == 0;
                    chaos.world.restart(keep_cache).await;
                }
                _ => acts -= 1,
            }
            acts += 1;
            chaos.round().await;
            let pause = 5 + chaos.dice.roll(40);
            chaos.world.control.advance(Duration::from_secs(pause));
            rounds += 1;
        }
        chaos.converge().await;
    }
    println!(
        "{rounds} rounds, {acts} commits, edits and restarts, {} calls",
        chaos.world.calls().values().sum::<u64>()
    );
}
