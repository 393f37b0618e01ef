//! A world in which everything goes wrong at once, and what must hold all the same.

use crate::world::{ACCOUNT, ONE_ENVIRONMENT, REGION, Setup, World, service};
use lockstep_core::report::{Reason, SyncStatus, Verdict};
use lockstep_sandbox::{Behaviour, Effect, Fault, JournalEntry, Options, Timing, When};
use serde_json::json;
use std::{collections::BTreeMap, env, time::Duration};

const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";
const GOOD: [&str; 4] = ["1", "2", "3", "4"];

/// A number of the environment.
///
/// # Panics
/// When it is none.
pub fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// SplitMix64: small, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }
}

/// What Git states of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    /// The image's tag.
    pub tag: String,
    /// The desired count.
    pub count: u64,
}

/// The file that states it.
pub fn manifest(stated: &Stated) -> String {
    service(&format!("{IMAGE}:{}", stated.tag)).replace("desiredCount: 1", &format!("desiredCount: {}", stated.count))
}

/// The name of a service by its number.
pub fn name(at: u64) -> String {
    format!("s{at:03}")
}

/// The path of a service's file.
pub fn path(name: &str) -> String {
    format!("services/{name}/service.yaml")
}

/// The world, what Git states now, and what is known of the writes that were made.
pub struct Chaos {
    /// The world.
    pub world: World,
    /// What Git states now, by service.
    pub stated: BTreeMap<String, Stated>,
    /// The image tag of each task definition revision that was registered.
    registered: BTreeMap<String, String>,
    seen: u64,
    /// Decides what happens.
    pub dice: Dice,
}

impl Chaos {
    /// So many services on their first image.
    ///
    /// # Panics
    /// When the world cannot be made.
    pub async fn new(count: u64, seed: u64, options: Options) -> Self {
        let stated: BTreeMap<String, Stated> =
            (0..count).map(|at| (name(at), Stated { tag: "1".to_owned(), count: 1 })).collect();
        let files: Vec<(String, String)> = stated.iter().map(|(name, one)| (path(name), manifest(one))).collect();
        let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        // Counts are drift in both directions, so that all of it ends as declared.
        let config = ONE_ENVIRONMENT.replace("mode: converge", "mode: converge, heal: { count: both }");
        files.push(("lockstep.yaml", config.as_str()));
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
    pub fn commit(&mut self) {
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
    pub async fn edit(&mut self) {
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

    /// One round; each write that it made must be justified.
    pub async fn round(&mut self) {
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
                let image = request["containerDefinitions"][0]["image"].as_str().expect("it is there");
                let tag = image.rsplit(':').next().expect("it is there");
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
                    let tag = tag.unwrap_or_else(|| {
                        self.world.control.image_of(ACCOUNT, REGION, definition).expect("it is there")
                    });
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
                let members = request.as_object().expect("it is there").keys();
                let others: Vec<&String> = members.filter(|member| !known.contains(&member.as_str())).collect();
                assert_eq!(others, [] as [&String; 0], "{request}");
            }
            "TagResource" => {
                let keys = request["tags"]
                    .as_array()
                    .expect("it is there")
                    .iter()
                    .map(|tag| tag["key"].as_str().expect("it is there"));
                assert!(keys.into_iter().all(|key| key.starts_with("lockstep:")), "{request}");
            }
            other => assert!(
                other.starts_with("Describe") || other.starts_with("List") || other.starts_with("Get"),
                "{other}"
            ),
        }
    }

    /// One call in five is throttled, fails, is late, lost or stale.
    pub fn spoil(&mut self) {
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
    ///
    /// # Panics
    /// With what is not.
    pub async fn converge(&mut self) {
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
