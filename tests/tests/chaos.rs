//! Everything at once: calls that are throttled, fail, come late, are lost or show what was before, random commits,
//! edits by hand, and agents that are killed. Whatever happens, no write is made that Git does not justify, and when it
//! is over, everything is as declared or rejected for a reason.
//!
//! `LOCKSTEP_SEED` repeats a run. `LOCKSTEP_CHAOS_SECONDS` and `LOCKSTEP_CHAOS_SERVICES` make it longer and larger,
//! `LOCKSTEP_SOAK_DAYS` the soak; see `agent/docs/testing.md`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lockstep_core::report::{Reason, SyncStatus, Verdict};
use lockstep_sandbox::{Behaviour, Effect, Fault, JournalEntry, Options, Timing, When};
use lockstep_tests::world::{ACCOUNT, ONE_ENVIRONMENT, REGION, Setup, World, service};
use serde_json::json;
use std::{
    collections::BTreeMap,
    env,
    time::{Duration, Instant},
};

const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";
const GOOD: [&str; 4] = ["1", "2", "3", "4"];

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }
}

/// What Git states of a service.
#[derive(Clone, Debug, PartialEq)]
struct Stated {
    tag: String,
    count: u64,
}

fn manifest(stated: &Stated) -> String {
    service(&format!("{IMAGE}:{}", stated.tag)).replace("desiredCount: 1", &format!("desiredCount: {}", stated.count))
}

fn name(at: u64) -> String {
    format!("s{at:03}")
}

fn path(name: &str) -> String {
    format!("services/{name}/service.yaml")
}

/// The world, what Git states now, and what is known of the writes that were made.
struct Chaos {
    world: World,
    stated: BTreeMap<String, Stated>,
    /// The image tag of each task definition revision that was registered.
    registered: BTreeMap<String, String>,
    seen: u64,
    dice: Dice,
}

impl Chaos {
    async fn new(count: u64, seed: u64, options: Options) -> Self {
        let stated: BTreeMap<String, Stated> =
            (0..count).map(|at| (name(at), Stated { tag: "1".to_owned(), count: 1 })).collect();
        let files: Vec<(String, String)> = stated.iter().map(|(name, one)| (path(name), manifest(one))).collect();
        let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        files.push(("lockstep.yaml", ONE_ENVIRONMENT));
        let setup = Setup::default();
        let world = World::set_up(&files, Setup { options: Options { ..options }, ..setup }).await;
        for tag in GOOD {
            world.control.push_image(ACCOUNT, REGION, "app", tag, Behaviour::Ok);
        }
        world.control.push_image(ACCOUNT, REGION, "app", "bad", Behaviour::crash(1, Duration::from_secs(1)));
        Self { world, stated, registered: BTreeMap::new(), seen: 0, dice: Dice(seed) }
    }

    fn any(&mut self) -> String {
        name(self.dice.roll(self.stated.len() as u64))
    }

    /// A commit that changes one to five services.
    fn commit(&mut self) {
        let mut files: Vec<(String, String)> = Vec::new();
        for _ in 0..=self.dice.roll(5) {
            let name = self.any();
            let tag = match self.dice.roll(6) {
                0 => "bad",
                at => GOOD[at as usize % GOOD.len()],
            };
            let stated = Stated { tag: tag.to_owned(), count: 1 + self.dice.roll(3) };
            files.push((path(&name), manifest(&stated)));
            self.stated.insert(name, stated);
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        self.world.repository.commit("chaos", &files);
    }

    /// Somebody changes something by hand. The call is lost like any other.
    async fn edit(&mut self) {
        let (operation, request) = {
            let service = self.any();
            match self.dice.roll(3) {
                0 => (
                    "UpdateService",
                    json!({"cluster": "prod", "service": service, "desiredCount": 1 + self.dice.roll(4)}),
                ),
                1 => ("UpdateService", json!({"cluster": "prod", "service": service, "enableExecuteCommand": true})),
                _ => ("UpdateService", json!({"cluster": "prod", "service": service, "forceNewDeployment": true})),
            }
        };
        let _ = self.world.attempt(operation, request).await;
        self.skip();
    }

    /// What was called by others is not the agent's to justify.
    fn skip(&mut self) {
        self.seen = self.world.control.journal(self.seen).last().map_or(self.seen, |entry| entry.sequence);
    }

    async fn round(&mut self) {
        self.world.round().await;
        let entries = self.world.control.journal(self.seen);
        for entry in &entries {
            self.seen = entry.sequence;
            self.justify(entry);
        }
    }

    /// A write must be what Git states now.
    fn justify(&mut self, entry: &JournalEntry) {
        let request = &entry.request;
        let of = |member: &str| request[member].as_str().unwrap_or_default().to_owned();
        match entry.operation.as_str() {
            "RegisterTaskDefinition" => {
                let image = request["containerDefinitions"][0]["image"].as_str().unwrap();
                let tag = image.rsplit(':').next().unwrap();
                assert_eq!(tag, self.stated[&of("family")].tag, "{request}");
            }
            "CreateService" | "UpdateService" => {
                let service = if request["service"].is_null() { of("serviceName") } else { of("service") };
                let stated = &self.stated[&service];
                if let Some(count) = request.get("desiredCount") {
                    assert_eq!(*count, stated.count, "{request}");
                }
                if let Some(on) = request.get("enableExecuteCommand") {
                    assert_eq!(*on, false, "{request}");
                }
                if let Some(definition) = request["taskDefinition"].as_str() {
                    let tag = self.registered.get(definition).cloned();
                    let tag = tag.unwrap_or_else(|| self.world.control.image_of(ACCOUNT, REGION, definition).unwrap());
                    assert_eq!(tag, format!("{IMAGE}:{}", stated.tag), "{service}: {request}");
                    self.registered.insert(definition.to_owned(), tag);
                }
                let known = [
                    "cluster",
                    "service",
                    "serviceName",
                    "desiredCount",
                    "enableExecuteCommand",
                    "taskDefinition",
                    "clientToken",
                    "launchType",
                    "networkConfiguration",
                    "deploymentConfiguration",
                    "tags",
                    "platformVersion",
                ];
                let members = request.as_object().unwrap().keys();
                let others: Vec<&String> = members.filter(|member| !known.contains(&member.as_str())).collect();
                assert_eq!(others, [] as [&String; 0], "{request}");
            }
            "TagResource" => {
                let keys = request["tags"].as_array().unwrap().iter().map(|tag| tag["key"].as_str().unwrap());
                assert!(keys.into_iter().all(|key| key.starts_with("lockstep:")), "{request}");
            }
            other => assert!(
                other.starts_with("Describe") || other.starts_with("List") || other.starts_with("Get"),
                "{other}"
            ),
        }
    }

    fn spoil(&mut self) {
        let effects = [
            (Effect::Throttle, Timing::Before, 5),
            (Effect::InternalError, Timing::Before, 4),
            (Effect::InternalError, Timing::After, 2),
            (Effect::Drop, Timing::After, 3),
            (Effect::Delay(0.005), Timing::Before, 3),
            (Effect::Stale(15.0), Timing::Before, 3),
        ];
        for (effect, timing, share) in effects {
            let seed = self.dice.roll(u64::MAX);
            self.world
                .control
                .add_fault(Fault::new("ecs:*", effect).when(When::Percent { share, seed }).timing(timing));
        }
    }

    /// Calm rounds until everything is as declared or rejected; over an hour, so that nothing is contested any more.
    async fn converge(&mut self) {
        self.world.control.clear_faults();
        for _ in 0..90 {
            self.round().await;
            self.world.control.advance(Duration::from_secs(60));
        }
        self.round().await;
        let mut wrong = Vec::new();
        for (name, stated) in &self.stated {
            let state = self.world.reported(name);
            let live = self.world.described(name).await;
            let fine = match stated.tag.as_str() {
                "bad" => state.plan.verdict == Some(Verdict::Rejected) && state.plan.is_withheld_for(Reason::Rejected),
                _ => {
                    (state.plan.sync, state.plan.verdict) == (SyncStatus::Synced, Some(Verdict::Deployed))
                        && live["desiredCount"] == stated.count
                        && live["runningCount"] == stated.count
                        && live["enableExecuteCommand"] == false
                }
            };
            if !fine {
                wrong.push(format!("{name} should be {stated:?}: {:#?}\n{}", state.plan, live["deployments"]));
            }
        }
        assert_eq!(wrong, [] as [String; 0]);
    }
}

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
    let mut footprints = Vec::new();
    // The first day fills what is filled once: caches, events, the history of deployments.
    for day in 0..=days {
        for hour in 0..24 {
            if hour == 12 {
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
    assert_eq!(first.1, last.1, "open files");
    // The sandbox in this process keeps the history of what it deployed; nothing else may grow.
    let room = 4 * 1024 + 256 * days;
    assert!(last.0 < first.0 + room, "resident memory grew: {footprints:?}");
}
