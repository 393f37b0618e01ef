//! One service over time: facts and the time in, steps and effects out, without a runtime.

use super::*;
use lockstep_core::{
    event::What,
    fleet::brake::Brake,
    remedy::Remedy,
    service::{
        machine::{Begun, Effect, Evaluation, Facts, Ground, Known, Now, Service, Step},
        orders::Orders,
        outcome::{Done, Looked, WriteFailure, WriteOutcome},
        pause::Pause,
    },
    state::ServiceState,
};
use lockstep_manifests::{Environment, Repository, tree::MemoryTree};
use std::time::Duration;

const START: i64 = 1_800_000_000;

pub(super) fn environment(sync: &str) -> Environment {
    let text = format!(
        "version: 1\nenvironments:\n  prod: {{ account: \"111111111111\", region: eu-central-1, cluster: prod, sync: {{ {sync} }} }}\n"
    );
    let mut problems = Vec::new();
    let tree = MemoryTree::new(vec![("lockstep.yaml".to_owned(), text)]);
    let repository = Repository::load(&tree, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    repository.environments["prod"].clone()
}

/// A service with its world: what would be read, what a write would come to, and the clock.
struct Rig {
    service: Service,
    brake: Brake,
    now: Now,
    environment: Environment,
    orders: Orders,
    wanted: Desired,
    world: Observation,
    known: Known,
    waiting: Option<Wait>,
    looked: Looked,
    wrote: WriteOutcome,
    paused: Reading<Pause>,
    unexplained: Option<usize>,
}

impl Rig {
    /// Git and ECS have `web:1`.
    fn new() -> Self {
        Self::with("mode: converge")
    }

    fn with(sync: &str) -> Self {
        let environment = environment(sync);
        Self {
            service: Service::default(),
            brake: Brake::new(environment.sync.max_concurrent, environment.sync.stop_after_failures),
            now: Now { aws: START, uptime: Duration::from_secs(1) },
            environment,
            orders: Orders::agent(),
            wanted: desired("web:1", declared()),
            world: observed(live(answer())),
            known: Known::default(),
            waiting: None,
            looked: Looked::default(),
            wrote: WriteOutcome::Done(Done {
                wrote_service: true,
                actions: vec![ActionKind::UpdateService],
                ..Done::default()
            }),
            paused: Reading::Missing,
            unexplained: None,
        }
    }

    /// As it is after a first look that found it as declared.
    fn settled() -> Self {
        let mut rig = Self::new();
        assert_eq!(rig.look(), ["keep Deployed", "tell Deployed 1, 2/2 running", "Synced Deployed"]);
        rig
    }

    fn pass(&mut self, seconds: u64) -> &mut Self {
        self.now.aws += i64::try_from(seconds).unwrap();
        self.now.uptime += Duration::from_secs(seconds);
        self
    }

    fn live(&mut self) -> &mut LiveService {
        let Reading::Found(live) = &mut self.world.service else { panic!() };
        live
    }

    fn fails(&mut self, remedy: Remedy, code: &str, text: &str) {
        let (code, text) = (code.to_owned(), text.to_owned());
        let told = format!("failed to call ecs:UpdateService: {text}");
        self.wrote = WriteOutcome::Failed(WriteFailure { action: ActionKind::UpdateService, remedy, code, text, told });
    }

    /// One evaluation: the steps and effects in their order, and last what is known then. Memory that is kept is left out.
    fn look(&mut self) -> Vec<String> {
        self.look_with(false)
    }

    fn look_with(&mut self, is_late: bool) -> Vec<String> {
        let hash = desired_hash(&self.wanted);
        let ground = Ground {
            environment: &self.environment,
            source: "acme",
            commit: "c0ffee",
            committed_at: START - 60,
            orders: &self.orders,
            may_write: self.orders.write,
            may_adopt: false,
            not_created: BTreeSet::new(),
            paused: self.paused.clone(),
            unexplained: self.unexplained,
            has_history: true,
            interval: Duration::from_secs(30),
        };
        let facts = Facts { ground: &ground, desired: &self.wanted, hash: &hash, commit: None };
        let (service, now, mut trace) = (&mut self.service, self.now, Vec::new());
        service.recall(Default::default);
        let begun = service.begin(&facts, self.world.service.clone(), self.waiting.clone(), is_late, &now);
        let mut evaluation = match begun {
            Begun::Over(state) => return vec![told(&state)],
            Begun::Evaluation(evaluation) => evaluation,
        };
        service.inform(&mut evaluation, &facts, self.known.clone(), &now);
        let drain = |evaluation: &mut Evaluation, trace: &mut Vec<String>| {
            trace.extend(evaluation.take_effects().into_iter().filter_map(effect));
        };
        loop {
            let mut step = service.step(&mut evaluation, &facts, &mut self.brake, &now);
            drain(&mut evaluation, &mut trace);
            if step == Step::LookAgain {
                trace.push("look again".to_owned());
                let Some(next) = service.looked(&mut evaluation, self.looked.clone()) else { continue };
                step = next;
            }
            match step {
                Step::Ask(needs) => {
                    for need in needs {
                        let (world, observation) = (&self.world, evaluation.observation());
                        match need {
                            Need::Revision => observation.revision = world.revision.clone(),
                            Need::Newest => observation.newest = world.newest.clone(),
                            Need::History => observation.history = world.history.clone(),
                            Need::Scalable => observation.scalable = world.scalable.clone(),
                            Need::Presence => observation.presence = world.presence,
                            Need::Cause => observation.cause = Some(world.cause.clone().unwrap_or_default()),
                        }
                    }
                }
                Step::Execute(trigger) => {
                    let kinds: Vec<String> =
                        evaluation.plan().actions.iter().map(|action| format!("{:?}", action.kind)).collect();
                    trace.push(format!("{} {}", trigger.word(), kinds.join("+")));
                    service.executed(&mut evaluation, &facts, &self.wrote, &|pause| pause, &now);
                }
                Step::LookAgain | Step::Over => break,
            }
        }
        let state = service.finish(&mut evaluation, &facts, Vec::new(), &now);
        drain(&mut evaluation, &mut trace);
        trace.push(told(&state));
        trace
    }
}

fn told(state: &ServiceState) -> String {
    let verdict = state.plan.verdict.map_or("-", Verdict::word);
    let reasons: Vec<String> = reasons(&state.plan).iter().map(|reason| format!(" {reason:?}")).collect();
    format!("{} {verdict}{}", state.plan.sync.word(), reasons.concat())
}

fn effect(effect: Effect) -> Option<String> {
    Some(match effect {
        Effect::Tell(_, What::Verdict { verdict, text }) => format!("tell {} {text}", verdict.word()),
        Effect::Tell(_, What::Wrote { trigger, .. }) => format!("tell wrote for {}", trigger.word()),
        Effect::Tell(_, What::Failed { reason }) => format!("tell failed: {reason}"),
        Effect::Tell(_, What::Failing { text, .. }) => format!("tell failing: {text}"),
        Effect::Tell(_, What::Said { text }) => format!("tell ECS: {text}"),
        Effect::Tell(_, other) => format!("tell {other:?}"),
        Effect::KeepVerdict(verdict, _) => format!("keep {}", verdict.word()),
        Effect::KeepParameters => "keep parameters".to_owned(),
        Effect::KeepMemory(_) => return None,
        Effect::Forget(revisions) => format!("forget {}", revisions.join(",")),
        Effect::Breach(breach) => format!("breach {}", breach.number),
    })
}

#[test]
fn at_rest_nothing_is_asked_and_nothing_told() {
    let mut rig = Rig::settled();
    for _ in 0..3 {
        assert_eq!(rig.pass(30).look(), ["Synced Deployed"]);
    }
    // Tasks that come and go are another observation, and no difference.
    rig.live().running = 1;
    assert_eq!(rig.pass(30).look(), ["Synced Deployed"]);
}

/// After a look at a change of the image: `web:2` is written.
fn changed() -> Rig {
    let mut rig = Rig::settled();
    rig.wanted = desired("web:2", declared());
    assert_eq!(
        rig.pass(30).look(),
        [
            "look again",
            "change RegisterTaskDefinition+UpdateService",
            "tell wrote for change",
            "tell Progressing 2, 2/2 running",
            "OutOfSync Progressing",
        ]
    );
    rig
}

const NEW: &str = "arn:aws:ecs:eu-central-1:111111111111:task-definition/web:2";

/// ECS shows the deployment of `web:2`, with this status of its rollout.
fn shows_new(rig: &mut Rig, rollout: &str) {
    let status = rollout;
    rig.world.revision = Reading::Found(revision(NEW, "web:2"));
    rig.world.newest = rig.world.revision.clone();
    let live = rig.live();
    NEW.clone_into(&mut live.task_definition);
    live.current_deployment = Some("arn:deployment/2".to_owned());
    live.deployments[0].rollout = if status == "SUCCESSFUL" { "COMPLETED" } else { "IN_PROGRESS" }.into();
    live.rollout = Some(Rollout { arn: "arn:deployment/2".into(), status: status.into(), ..Rollout::default() });
}

#[test]
fn a_change_is_written_once_and_followed_to_its_verdict() {
    let mut rig = changed();
    // AWS's answers may be older than the write: for a minute they are not believed.
    assert_eq!(rig.pass(5).look(), ["OutOfSync Progressing Waiting"]);
    shows_new(&mut rig, "IN_PROGRESS");
    assert_eq!(rig.pass(5).look(), ["Synced Progressing"]);
    // Counts are equal, and success is what ECS says of the deployment.
    rig.live().deployments[0].rollout = "COMPLETED".into();
    assert_eq!(rig.pass(5).look(), ["Synced Progressing"]);
    shows_new(&mut rig, "SUCCESSFUL");
    let over = ["keep Deployed", "tell Deployed 2, 2/2 running", "Synced Deployed"];
    assert_eq!(rig.pass(5).look(), over);
    assert_eq!(rig.pass(30).look(), ["Synced Deployed"]);
}

#[test]
fn what_did_not_come_of_a_write_is_no_success() {
    for status in ["ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED", "STOPPED"] {
        let mut rig = changed();
        shows_new(&mut rig, status);
        rig.live().deployments[0].rollout = "COMPLETED".into();
        let trace = rig.pass(5).look();
        assert_eq!(trace[..2], ["keep Rejected", "tell Rejected rejected: "], "{status}: {trace:?}");
        assert_eq!(trace[2..], ["Synced Rejected Rejected"], "{status}");
    }
}

#[test]
fn a_rollout_without_progress_is_stalled_after_its_deadline_and_waits_by_design_do_not_count() {
    let mut rig = changed();
    shows_new(&mut rig, "IN_PROGRESS");
    assert_eq!(rig.pass(5).look(), ["Synced Progressing"]);
    let deadline = rig.environment.sync.deadline.as_secs();
    assert_eq!(rig.pass(deadline).look(), ["Synced Progressing"], "at the deadline it is not over");
    let trace = rig.pass(1).look();
    let minutes = deadline / 60;
    let text = format!("tell Stalled no progress for more than {minutes} minutes, 2/2 running");
    assert_eq!(trace, [text.as_str(), "Synced Stalled Stalled"]);
    // A new stage is progress.
    rig.live().rollout.as_mut().unwrap().stage = "SCALE_UP".into();
    assert_eq!(rig.pass(1).look(), ["tell Progressing 2, 2/2 running", "Synced Progressing"]);
    // A bake time is meant.
    rig.live().rollout.as_mut().unwrap().stage = "BAKE_TIME".into();
    rig.pass(1).look();
    assert_eq!(rig.pass(deadline * 2).look(), ["Synced Progressing"]);
}

/// Each row: how the write fails, then what is told, what is known, and after how many seconds it is tried again.
#[test]
fn a_failed_write_means_what_its_remedy_says() {
    let rows: &[(Remedy, &str, &str, &str, u64)] = &[
        (Remedy::Throttled, "ThrottlingException", "slow down", "Pending WaitingForAws", 2),
        (Remedy::Unreachable, "", "timed out", "Pending WaitingForAws", 2),
        (
            Remedy::Refused,
            "ClientException",
            "Unable to Start a service that is still Draining.",
            "Pending WaitingForAws",
            2,
        ),
        (Remedy::Refused, "InvalidParameterException", "no such member", "Rejected Rejected", 600),
        (Remedy::Denied, "AccessDeniedException", "not allowed", "Pending Failed", 60),
        (Remedy::Credentials, "", "expired", "Pending Failed", 60),
    ];
    for (remedy, code, words, known, seconds) in rows {
        let mut rig = Rig::settled();
        rig.wanted = desired("web:2", declared());
        rig.fails(*remedy, code, words);
        let trace = rig.pass(30).look();
        let tried = |trace: &[String]| trace.iter().any(|it| it == "change RegisterTaskDefinition+UpdateService");
        assert!(tried(&trace), "{words}: {trace:?}");
        assert_eq!(trace.last().unwrap(), &format!("OutOfSync {known}"), "{words}");
        let told = |trace: &[String]| trace.iter().filter(|it| it.starts_with("tell failed")).count();
        assert_eq!(told(&trace), 1, "{words}: {trace:?}");
        // It is neither tried nor told of again before its time, and tried then.
        let trace = rig.pass(seconds - 1).look();
        assert!(!tried(&trace) && told(&trace) == 0, "{words}: {trace:?}");
        let trace = rig.pass(1).look();
        assert!(tried(&trace) && told(&trace) == 0, "the same words are told once; {words}: {trace:?}");
    }
}

#[test]
fn a_commit_ends_a_setback_and_so_does_a_persons_order() {
    let mut rig = Rig::settled();
    rig.wanted = desired("web:2", declared());
    rig.fails(Remedy::Refused, "InvalidParameterException", "no");
    rig.pass(30).look();
    rig.orders.begins = true;
    assert!(rig.pass(1).look().contains(&"change RegisterTaskDefinition+UpdateService".to_owned()));
    rig.orders.begins = false;
    assert!(!rig.pass(1).look().contains(&"look again".to_owned()));
    rig.wanted = desired("web:3", declared());
    assert!(rig.pass(1).look().contains(&"look again".to_owned()));
}

#[test]
fn drift_is_healed_and_told_as_drift_and_a_revert_is_a_change() {
    let mut rig = Rig::settled();
    rig.live().definition["enableExecuteCommand"] = json!(true);
    let trace = rig.pass(30).look();
    assert_eq!(trace[..2], ["drift UpdateService".to_owned(), "tell wrote for drift".to_owned()], "{trace:?}");
    let mut rig = changed();
    shows_new(&mut rig, "SUCCESSFUL");
    rig.pass(5).look();
    rig.wanted = desired("web:1", declared());
    assert_eq!(rig.pass(30).look()[1], "change RegisterTaskDefinition+UpdateService");
}

#[test]
fn nothing_is_written_twice_because_aws_shows_what_was_before() {
    let mut rig = Rig::settled();
    rig.live().definition["enableExecuteCommand"] = json!(true);
    assert_eq!(rig.pass(30).look()[0], "drift UpdateService");
    // Each row: seconds later, and whether it is written again.
    for (seconds, again) in [(5, false), (9, false), (1, true)] {
        let trace = rig.pass(seconds).look();
        assert_eq!(trace[0] == "drift UpdateService", again, "{seconds}: {trace:?}");
        let last = if again { "OutOfSync Progressing" } else { "OutOfSync Progressing WaitingForAws" };
        assert_eq!(trace.last().unwrap(), last);
    }
}

/// What holds, how it is brought about, and what is known then.
type Row = (&'static str, fn(&mut Rig), &'static str);

/// What withholds a write, in its order: each row sets one thing more, and the first that holds is what is said.
#[test]
fn what_withholds_is_asked_in_one_order() {
    let rows: &[Row] = &[
        (
            "the fleet brake: others are under way",
            |rig| {
                rig.brake = Brake::new(1, 0);
                rig.brake.note_in_flight("other");
            },
            "OutOfSync Pending Queued",
        ),
        (
            "the fleet brake: others failed",
            |rig| {
                rig.brake = Brake::new(0, 1);
                rig.brake.note_rejected("other", START + 1_000);
            },
            "OutOfSync Pending Stopped",
        ),
        (
            "too many differences that nothing explains",
            |rig| {
                rig.unexplained = Some(12);
                rig.wanted = desired("web:1", declared());
                rig.live().definition["enableExecuteCommand"] = json!(true);
            },
            "OutOfSync Deployed Unexplained",
        ),
        ("nobody ordered to write it", |rig| rig.orders.write = false, "OutOfSync Deployed"),
        ("the service is observed", |rig| rig.wanted.sync.observe = true, "OutOfSync Deployed Observe"),
        (
            "the environment is paused",
            |rig| {
                rig.paused = Reading::Found(Pause::parse("by=ada"));
            },
            "OutOfSync Deployed Paused Observe",
        ),
        (
            "the checks refuse it",
            |rig| {
                rig.wanted.task_definition["containerDefinitions"][0]["image"] = json!("<IMAGE>");
            },
            "OutOfSync - Verify Paused Observe",
        ),
    ];
    for (at, (what, ..)) in rows.iter().enumerate() {
        let mut rig = Rig::settled();
        rig.wanted = desired("web:2", declared());
        rig.pass(30);
        rows[at].1(&mut rig);
        let alone = rig.look();
        assert!(!alone.iter().any(|step| step == "look again" || step.contains("Update")), "{what}: {alone:?}");
        let mut rig = Rig::settled();
        rig.wanted = desired("web:2", declared());
        rig.pass(30);
        for (_, set, _) in &rows[..=at] {
            set(&mut rig);
        }
        assert_eq!(rig.look().last().unwrap(), rows[at].2, "{what}");
    }
}

#[test]
fn what_a_person_did_a_moment_ago_is_seen_before_a_deployment() {
    let wanted = desired("web:2", declared());
    let held = |looked: Looked| {
        let mut rig = Rig::settled();
        rig.wanted = wanted.clone();
        rig.looked = looked;
        let trace = rig.pass(30).look();
        assert_eq!(trace[0], "look again");
        trace[1..].join("; ")
    };
    let as_it_was = live(answer());
    let wrote = "change RegisterTaskDefinition+UpdateService; tell wrote for change; tell Progressing 2, 2/2 running; OutOfSync Progressing";
    assert_eq!(held(Looked { live: Some(Reading::Found(as_it_was.clone())), pause: Some(Reading::Missing) }), wrote);
    assert_eq!(held(Looked { live: None, pause: Some(Reading::Unread) }), wrote);
    let mut paused = as_it_was.clone();
    paused.tags.insert("lockstep:pause".into(), "by=ada".into());
    let other = Looked { live: Some(Reading::Found(paused)), pause: None };
    assert_eq!(held(other), "OutOfSync Pending Queued");
    let mut scaled = as_it_was;
    scaled.desired = 7;
    assert_eq!(held(Looked { live: Some(Reading::Found(scaled)), pause: None }), "OutOfSync Pending Queued");
    let failed = Looked { live: Some(Reading::Failed("denied".into())), pause: None };
    assert_eq!(held(failed), "OutOfSync Pending Unread");
    assert_eq!(held(Looked { live: Some(Reading::Missing), pause: None }), "OutOfSync Pending Queued");
    let pause = Looked { live: None, pause: Some(Reading::Found(Pause::parse("by=ada"))) };
    assert_eq!(held(pause), "OutOfSync Pending Paused");
}

#[test]
fn an_evaluation_that_is_given_up_leaves_what_was_known() {
    let mut rig = Rig::settled();
    rig.wanted = desired("web:2", declared());
    assert_eq!(rig.pass(30).look_with(true), ["Unknown Pending Queued"], "the round took its time");
    assert_eq!(rig.service.state().map(told), Some("Synced Deployed".to_owned()));
    assert!(rig.service.is_due(&desired_hash(&rig.wanted), Duration::from_secs(30), &rig.now));
    // What would be written next time is written, and as a change.
    assert_eq!(rig.pass(1).look()[1], "change RegisterTaskDefinition+UpdateService");
}

#[test]
fn what_cannot_be_read_keeps_the_last_verdict_and_writes_nothing() {
    let mut rig = Rig::settled();
    let known = std::mem::replace(&mut rig.world.service, Reading::Failed("denied".into()));
    assert_eq!(rig.pass(30).look(), ["Unknown Deployed Unread"]);
    rig.wanted = desired("web:2", declared());
    assert_eq!(rig.pass(30).look(), ["Unknown - Unread"]);
    rig.world.service = known;
    assert_eq!(rig.pass(30).look()[1], "change RegisterTaskDefinition+UpdateService");
}

/// Verdicts are told once, over a restart too: what was kept is no news.
#[test]
fn a_verdict_that_was_kept_is_not_told_again() {
    let mut rig = Rig::new();
    rig.known.verdict = Some((Verdict::Deployed, START - 100));
    assert_eq!(rig.look(), ["keep Deployed", "Synced Deployed"]);
    let mut rig = Rig::new();
    rig.known.verdict = Some((Verdict::Rejected, START - 100));
    let trace = rig.look();
    assert!(trace.iter().any(|it| it.starts_with("tell Deployed")), "another verdict is news: {trace:?}");
}

/// Thousands of looks take no time: nothing in a machine waits or reads.
#[test]
fn every_order_of_looks_ends() {
    let mut rig = changed();
    for at in 0..500_u32 {
        let status = ["PENDING", "IN_PROGRESS", "SUCCESSFUL", "ROLLBACK_IN_PROGRESS"][(at % 4) as usize];
        shows_new(&mut rig, status);
        rig.wanted = desired(if at % 7 < 3 { "web:2" } else { "web:3" }, declared());
        let trace = rig.pass(u64::from(at % 90)).look_with(at % 11 == 0);
        assert!(trace.iter().filter(|it| it.contains("UpdateService")).count() <= 1, "{trace:?}");
    }
}
