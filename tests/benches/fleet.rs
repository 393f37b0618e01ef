//! A fleet in virtual time: `cargo bench -p lockstep-tests --bench fleet`.
//!
//! How long 1,000 services take that are deployed at once with the brake off, beside the bound of the agent's own share
//! of the API rates; and the calls per minute at rest and during a rollout of everything. The sandbox applies the rates
//! that AWS documents, on a clock that runs [`SPEED`] times as fast as ours; the agent's pace and intervals follow it.
//! And how long one commit among many services waits. An argument (`table`, `all`, `commit`) runs one of the three.
#![allow(clippy::print_stdout, reason = "the figures are its result")]

use lockstep::reconcile::{Orders, Timing};
use lockstep_core::report::Verdict;
use lockstep_sandbox::{Behaviour, ClockMode, JournalEntry, Options};
use lockstep_tests::world::{ACCOUNT, ONE_ENVIRONMENT, Pace, REGION, Setup, World, service};
use std::{collections::BTreeMap, time::Duration};

/// Seconds of the sandbox's clock in one of ours.
const SPEED: f64 = 30.0;
const INTERVAL: f64 = 30.0;
const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";

/// A world at the pace of the fleet's table.
async fn world(count: usize) -> World {
    let interval = Duration::from_secs_f64(INTERVAL / SPEED);
    let pace = Pace { share: 0.5, speed: SPEED, timing: Timing { interval, follow: interval / 6 } };
    world_at(count, pace, SPEED, true).await
}

async fn world_at(count: usize, pace: Pace, speed: f64, throttling: bool) -> World {
    let mut files = vec![
        ("lockstep.yaml".to_owned(), ONE_ENVIRONMENT.to_owned()),
        ("components/app.yaml".to_owned(), component("1")),
    ];
    let own = service("x").replace("image: \"x\", ", "");
    for number in 0..count {
        files.push((format!("services/s{number:04}/service.yaml"), format!("components: [app]\n{own}")));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    let defaults = Setup::default();
    let options = Options {
        clock: ClockMode::Speed(speed),
        throttling,
        journal_answers: false,
        journal_capacity: 1_000_000,
        ..defaults.options
    };
    let world = World::set_up(&files, Setup { options, allow: defaults.allow, pace }).await;
    for tag in ["1", "2"] {
        world.control.push_image(ACCOUNT, REGION, "app", tag, Behaviour::Ok);
    }
    world
}

fn component(tag: &str) -> String {
    format!("taskDefinition:\n  containerDefinitions:\n    app: {{ image: \"{IMAGE}:{tag}\" }}\n")
}

/// Rounds as the agent makes them, until nothing is under way.
async fn run(world: &mut World, count: usize) {
    loop {
        let open = world.round_with(&Orders::agent()).await;
        let done = (0..count).filter(|number| {
            let state = world.context.board.service(0, "prod", &format!("s{number:04}"));
            state.is_some_and(|state| state.plan.verdict == Some(Verdict::Deployed))
        });
        if !open && done.count() == count {
            return;
        }
        let timing = world.context.timing;
        tokio::time::sleep(if open { timing.follow } else { timing.interval }).await;
    }
}

fn throttled(journal: &[JournalEntry]) -> usize {
    journal.iter().filter(|entry| entry.error.as_deref() == Some("ThrottlingException")).count()
}

/// The virtual time from the first to the last call of an operation.
fn span(journal: &[JournalEntry], operation: &str) -> f64 {
    let times = || journal.iter().filter(|entry| entry.operation == operation).map(|entry| entry.time);
    times().fold(f64::MIN, f64::max) - times().fold(f64::MAX, f64::min)
}

async fn all_at_once() {
    const COUNT: usize = 1000;
    let mut world = world(COUNT).await;
    run(&mut world, COUNT).await;
    let journal = world.control.journal(0);
    // Registrations are the scarcest: 20 at once, then one a second; half of that is ours.
    let bound = (COUNT as f64 - 10.0) / 0.5;
    let took = span(&journal, "RegisterTaskDefinition");
    println!(
        "{COUNT} services at once: registrations took {took:.0} s of the bound's {bound:.0} s ({:+.1} %), until the last creation {:.0} s; {} throttled of {} calls",
        (took / bound - 1.0) * 100.0,
        span(&journal, "CreateService"),
        throttled(&journal),
        journal.len()
    );
    assert!(took <= bound * 1.05, "more than 5 % over the bound");
    assert_eq!(throttled(&journal), 0, "our own budget was exceeded");
}

/// Calls by operation over a time, per minute of the sandbox's clock.
fn per_minute(calls: &BTreeMap<String, u64>, seconds: f64) -> f64 {
    calls.values().sum::<u64>() as f64 * 60.0 / seconds
}

async fn table() {
    println!(
        "services | at rest, calls per minute | a rollout of everything: calls, minutes, calls per minute, of which writes"
    );
    for count in [10, 100, 500] {
        let mut world = world(count).await;
        run(&mut world, count).await;
        world.control.reset_calls();
        let start = world.control.now();
        while world.control.now() - start < 600.0 {
            world.round_with(&Orders::agent()).await;
            tokio::time::sleep(world.context.timing.interval).await;
        }
        let rest = per_minute(&world.calls(), world.control.now() - start);
        world.control.reset_calls();
        let start = world.control.now();
        world.repository.commit("2", &[("components/app.yaml", &component("2"))]);
        world.round_with(&Orders::agent()).await;
        run(&mut world, count).await;
        let seconds = world.control.now() - start;
        let calls = world.calls();
        let writes: u64 = world.writes().values().sum();
        println!(
            "{count} | {rest:.1} | {} calls in {:.1} minutes, {:.0} per minute, {writes} writes: {calls:?}",
            calls.values().sum::<u64>(),
            seconds / 60.0,
            per_minute(&calls, seconds)
        );
    }
}

/// One commit among many services at rest, when all of them are due: from "seen" to the first write, at AWS's own rates.
async fn one_commit_among_many() {
    const COUNT: usize = 2000;
    const COMMITS: usize = 9;
    let quick = Timing { interval: Duration::from_millis(20), follow: Duration::from_millis(20) };
    let mut world = world_at(COUNT, Pace { share: 1.0, speed: 100_000.0, timing: quick }, 300.0, false).await;
    run(&mut world, COUNT).await;
    world.control.set_speed(1.0);
    let timing = Timing { interval: Duration::from_secs(30), follow: Duration::from_secs(5) };
    world.pace = Pace { share: 0.5, speed: 1.0, timing };
    world.restart(true).await;
    let orders = Orders { everything: true, ..Orders::agent() };
    run(&mut world, COUNT).await;
    let mut times = Vec::new();
    for number in 0..COMMITS {
        let own = service(&format!("{IMAGE}:2"));
        let path = format!("services/s{:04}/service.yaml", number * 200);
        world.repository.commit("one", &[(&path, &own)]);
        let before = world.control.journal(0).len();
        world.runner.refresh(&world.context).await.expect("the repository can be read");
        let seen = world.control.now();
        world.runner.round(&world.context, &orders).await;
        let journal = world.control.journal(0);
        let write = |entry: &&JournalEntry| matches!(&*entry.operation, "RegisterTaskDefinition" | "UpdateService");
        let Some(first) = journal[before..].iter().find(write) else {
            panic!("not written: {:#?}", world.context.board.service(0, "prod", &format!("s{:04}", number * 200)));
        };
        times.push(((first.time - seen) * 1000.0).max(0.0));
    }
    times.sort_by(f64::total_cmp);
    println!(
        "one commit among {COUNT} services that are all due, seen → first write: median {:.0} ms, longest {:.0} ms of {COMMITS}",
        times[COMMITS / 2],
        times[COMMITS - 1]
    );
    assert!(times[COMMITS / 2] < 250.0, "more than its budget");
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let only = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
        let is_meant = |name: &str| only.as_deref().is_none_or(|only| only == name);
        if is_meant("table") {
            table().await;
        }
        if is_meant("all") {
            all_at_once().await;
        }
        if is_meant("commit") {
            one_commit_among_many().await;
        }
    });
}
