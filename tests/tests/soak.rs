//! Days in which hardly anything happens: memory and open files must not grow. In a process of its own, as both are the
//! process's. `LOCKSTEP_SOAK_DAYS` makes it longer, `LOCKSTEP_SOAK_COMMITS=0`
//! leaves out the commit of each day.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures are its result")]

use lockstep_sandbox::Options;
use lockstep_tests::{
    chaos::{Chaos, Stated, manifest, name, path, setting},
    world::Setup,
};
use std::time::Duration;

/// Resident memory in KiB, and open files.
fn footprint() -> (u64, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = line.split_whitespace().next().unwrap().parse().unwrap();
    (memory, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn days_at_rest_cost_neither_memory_nor_files() {
    let days = setting("LOCKSTEP_SOAK_DAYS", 1);
    let options = Options { journal_answers: false, journal_capacity: 1_000, ..Setup::default().options };
    let mut chaos = Chaos::new(10, 7, options).await;
    chaos.converge().await;
    let commits = setting("LOCKSTEP_SOAK_COMMITS", 1) > 0;
    let mut footprints = Vec::new();
    // The first day fills what is filled once: caches, events, the history of deployments.
    for day in 0..=days {
        for hour in 0..24 {
            if hour == 12 && commits {
                let tag = if day % 2 == 0 { "2" } else { "3" };
                let stated = Stated { tag: tag.to_owned(), count: 1 };
                chaos.world.repository.commit("daily", &[(&path(&name(3)), &manifest(&stated))]);
                chaos.stated.insert(name(3), stated);
            }
            for _ in 0..120 {
                chaos.round().await;
                chaos.world.control.advance(Duration::from_secs(30));
            }
        }
        footprints.push(footprint());
    }
    let (first, last) = (footprints[0], footprints[footprints.len() - 1]);
    println!(
        "resident memory {} to {} KiB, open files {} to {}, by day: {footprints:?}",
        first.0, last.0, first.1, last.1
    );
    assert!(last.1 <= first.1, "open files: {footprints:?}");
    // The sandbox in this process keeps the history of what it deployed; nothing else may grow.
    let room = 4 * 1024 + 256 * days;
    assert!(last.0 < first.0 + room, "resident memory grew: {footprints:?}");
}
