//! A fleet in virtual time: `cargo bench -p lockstep-tests --bench fleet`.
//!
//! How long 1,000 services take that are deployed at once with the brake off, beside the bound of the agent's own share
//! of the API rates; and the calls per minute at rest and during a rollout of everything. The sandbox applies the rates
//! that AWS documents, on a clock that runs [`SPEED`] times as fast as ours; the agent's pace and intervals follow it.
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

async fn world(count: usize) -> World {
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
        clock: ClockMode::Speed(SPEED),
        throttling: true,
        journal_answers: false,
        journal_capacity: 1_000_000,
        ..defaults.options
    };
    let interval = Duration::from_secs_f64(INTERVAL / SPEED);
    let pace = Pace { share: 0.5, speed: SPEED, timing: Timing { interval, follow: interval / 6 } };
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

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        table().await;
        all_at_once().await;
    });
}
