//! Writing back when something is in the way: races, refusals, lost answers, queues.

use lockstep::git::{Access, Person};
use lockstep_core::event::{Event, What};
use lockstep_core::state::Standing;
use lockstep_tests::{
    eventually,
    git_http::{GitServer, Hold},
    images::{ImageWorld, one_service},
    world::{ACCOUNT, IMAGE, REGION, calls},
};
use std::{path::Path, process::Command, time::Duration};

const PINS: &str = "services/web/prod.pins.yaml";

fn not_written(it: &mut ImageWorld) -> Vec<String> {
    let events = it.world.happened();
    let reason = |event: Event| match event.what {
        What::NotWritten { reason, .. } => Some(reason),
        _ => None,
    };
    events.into_iter().filter_map(reason).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_moved_is_read_and_decided_anew() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    it.push("1.1.0");
    it.world.runner.refresh(&it.world.context).await.unwrap();
    // After the agent has read the branch, a person writes the same line, and something else.
    it.person("by hand", &[(PINS, "app: 1.0.5 # mine\n"), ("README.md", "hello\n")]);
    let digest = it.push("1.2.0");
    assert!(it.updater.round(&it.world.context, it.world.runner.branch()).await.0);
    assert_eq!(it.pins(), format!("app: 1.2.0@{digest} # mine\n"));
    assert_eq!((it.commits(), it.last_change()), (3, "1\t1\tservices/web/prod.pins.yaml".into()));
    assert_eq!(it.file("README.md"), "hello\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_pins_lower_meanwhile_wins() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    it.push("1.1.0");
    it.world.runner.refresh(&it.world.context).await.unwrap();
    it.person("by hand", &[(PINS, "app: 0.9.0\n")]);
    assert!(!it.updater.round(&it.world.context, it.world.runner.branch()).await.0);
    assert_eq!((it.pins().as_str(), it.commits()), ("app: 0.9.0\n", 2));
    assert_eq!(it.image().standing, Standing::Held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_refuses_is_said_and_tried_again_later() {
    let mut it = ImageWorld::with(
        &one_service("{ semver: \"*\" }", "1.0.0"),
        Default::default(),
        |repository| repository.bare().display().to_string(),
        Access::default(),
    )
    .await;
    let server = GitServer::start(it.root());
    let mirror = it.root().join("mirror");
    it.reach(&server.url("deploy"), &mirror);
    let hook = it.repository.bare().join("hooks/pre-receive");
    std::fs::write(&hook, "#!/bin/sh\necho 'protected' >&2\nexit 1\n").unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&hook).status().unwrap().success());
    it.push("1.1.0");
    assert!(!it.look().await);
    let told = "the server refuses the push to main: pre-receive hook declined (protected)";
    assert_eq!(not_written(&mut it), [told]);
    let state = it.world.context.board.state();
    assert_eq!(state.sources[0].write_back.as_deref(), Some(told));
    assert_eq!((it.commits(), it.image().standing), (1, Standing::Pending));
    // It is not tried again at once, and not told again.
    server.forget();
    assert!(!it.look().await);
    assert!(not_written(&mut it).is_empty());
    assert!(server.requests().iter().all(|request| !request.path.contains("receive-pack")));
    std::fs::remove_file(&hook).unwrap();
    it.restart();
    assert!(it.look().await);
    assert_eq!((it.commits(), it.world.context.board.state().sources[0].write_back.clone()), (2, None));
    it.fsck();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_not_written_twice() {
    for half in [false, true] {
        let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
        let digest = it.push("1.1.0");
        let server = GitServer::start(it.root());
        let mirror = it.root().join("mirror");
        it.reach(&server.url("deploy"), &mirror);
        it.world.runner.refresh(&it.world.context).await.unwrap();
        // The second request is the push itself: the server does it, and its answer never arrives.
        server.hold(if half { Hold::Half(1) } else { Hold::Nothing(1) });
        let port = server.port();
        let (root, context) = (it.root().to_owned(), it.world.context.clone());
        let ending = std::thread::spawn(move || {
            eventually("the push hangs", Duration::from_secs(30), || server.is_holding().then_some(()));
            if !half {
                // One that takes its time is said to.
                let waits = || context.board.state().sources[0].write_back.clone();
                let said = eventually("it is said", Duration::from_secs(30), waits);
                assert_eq!(said, "the push has not been answered for 5 s; waiting for it");
            }
            drop(server);
            GitServer::with(&root, &lockstep_tests::git_http::Options { port, ..Default::default() })
        });
        let (moved, _) = it.updater.round(&it.world.context, it.world.runner.branch()).await;
        let server = ending.join().unwrap();
        assert!(!moved, "nobody knows yet");
        let told = not_written(&mut it);
        assert_eq!(told.len(), if half { 1 } else { 2 }, "{told:?}");
        assert!(told.last().unwrap().starts_with("the answer to the push was lost: "), "{told:?}");
        it.restart();
        assert!(!it.look().await);
        assert_eq!((it.commits(), it.pins()), (2, format!("# by hand\napp: 1.1.0@{digest} # the app\n")));
        assert_eq!(it.image().standing, Standing::UpToDate);
        drop(server);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_costs_a_call_for_each_thousand() {
    let mut it = ImageWorld::quick(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    for number in 0..1001 {
        it.push(&format!("1.0.{number}"));
    }
    assert!(it.look().await);
    assert!(it.pins().contains("1.0.1000@"));
    it.world.control.reset_calls();
    assert!(!it.look().await);
    assert_eq!(it.world.calls(), calls(&[("ecr:DescribeImages", 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_where_that_is_not_wanted_or_not_possible() {
    let mut files = one_service("{ semver: \"*\" }", "1.0.0");
    files[0].1.push_str("    updates: { write: none }\n");
    let mut it = ImageWorld::new(&files).await;
    it.push("1.1.0");
    assert!(!it.look().await);
    assert_eq!(
        (it.image().standing, it.image().text.as_str()),
        (Standing::Available, "1.0.0 → 1.1.0, not written (updates.write: none)")
    );
    // A pin that cannot be edited exactly.
    let mut files = one_service("{ semver: \"*\" }", "1.0.0");
    files[2].1 = "app: >-\n  1.0.0\n".into();
    let mut it = ImageWorld::new(&files).await;
    it.push("1.1.0");
    assert!(!it.look().await);
    assert_eq!(it.commits(), 1);
    let told = not_written(&mut it);
    assert_eq!(told, ["prod/web/app: the pin of `app` is a block of text; write it as a plain text on its line"]);
    assert!(!it.look().await);
    assert!(not_written(&mut it).is_empty(), "told once");
    // A registry that answers nothing, or is not there, is no reason to touch a pin.
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    assert!(!it.look().await);
    assert_eq!(it.image().standing, Standing::Unknown);
    it.world.control.create_repository(ACCOUNT, REGION, "app");
    assert!(!it.look().await);
    assert_eq!((it.image().standing, it.image().text.as_str()), (Standing::Nothing, "the registry has no tags"));
    assert_eq!(it.commits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_signed_or_not_made() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    let key = it.root().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.expect("ssh-keygen of Debian's openssh-client is there").success());
    it.config.commit.author = Person::parse("Deploy Bot <deploy@example.com>").unwrap();
    it.config.commit.signing_key = Some(lockstep::config::SecretRef::File(Path::new("/nowhere/key").to_owned()));
    it.restart();
    it.push("1.1.0");
    assert!(!it.look().await);
    assert_eq!(it.commits(), 1);
    let told = not_written(&mut it);
    assert!(told[0].starts_with("nothing is written unsigned: failed to read /nowhere/key"), "{told:?}");
    it.config.commit.signing_key = Some(lockstep::config::SecretRef::File(key.clone()));
    it.restart();
    assert!(it.look().await);
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let signers = it.root().join("signers");
    std::fs::write(&signers, format!("lockstep@localhost {public}")).unwrap();
    let allowed = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    it.git(&["-c", &allowed, "verify-commit", "main"]);
    assert_eq!(it.git(&["log", "-1", "--format=%an <%ae>", "main"]), "Deploy Bot <deploy@example.com>");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_a_patch_decides_is_said_once_and_not_committed_for_ever() {
    let mut files = one_service("{ semver: \"*\" }", "1.0.0");
    let patch = format!(
        "patches: [{{ op: replace, path: /taskDefinition/containerDefinitions/app/image, value: \"{IMAGE}:1.0.0\" }}]\n"
    );
    files[1].1.push_str(&patch);
    let mut it = ImageWorld::new(&files).await;
    it.push("1.0.0");
    it.push("1.1.0");
    assert!(it.look().await);
    for _ in 0..3 {
        assert!(!it.look().await);
    }
    assert_eq!(it.commits(), 2);
    let told = not_written(&mut it);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("something after the pins decides the image"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_stays_on_the_board_while_others_push() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    let server = GitServer::start(it.root());
    let mirror = it.root().join("mirror");
    it.reach(&server.url("deploy"), &mirror);
    let hook = it.repository.bare().join("hooks/pre-receive");
    // Only the agent is refused.
    let script = "#!/bin/sh\nread old new ref\n[ \"$(git log -1 --format=%an $new)\" = Lockstep ] || exit 0\necho protected >&2\nexit 1\n";
    std::fs::write(&hook, script).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&hook).status().unwrap().success());
    it.push("1.1.0");
    assert!(!it.look().await);
    let told = "the server refuses the push to main: pre-receive hook declined (protected)";
    assert_eq!(not_written(&mut it), [told]);
    it.person("meanwhile", &[("README.md", "hello\n")]);
    assert!(!it.look().await);
    assert_eq!(it.world.context.board.state().sources[0].write_back.as_deref(), Some(told));
    assert!(not_written(&mut it).is_empty(), "told once");
}
