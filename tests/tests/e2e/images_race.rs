//! Two agents and a person race on one branch, over Git's own servers, with pushes that fail in their middle. At the end
//! nothing is lost, nothing overwritten, nothing doubled.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seed and what was done with it")]

use lockstep::{
    git::{Access, Location, Remote, SshAccess, SshKey},
    images::{Updater, UpdaterConfig},
    reconcile::{Content, Context, SourceRunner},
    writeback::WriteQueue,
};
use lockstep_sandbox::Behaviour;
use lockstep_tests::{
    git_http::{GitServer, Hold, git},
    git_ssh::SshServer,
    images::ImageWorld,
    world::{ACCOUNT, IMAGE, ONE_ENVIRONMENT, REGION, service},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

const SERVICES: usize = 10;
const TURNS: usize = 20;

/// A small generator: the same seed gives the same race, as far as threads do.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // The constants of Knuth's MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn seed() -> u64 {
    let seed = std::env::var("LOCKSTEP_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(4711);
    println!("LOCKSTEP_SEED={seed}");
    seed
}

fn pins(environment: &str, number: usize) -> String {
    format!("services/s{number}/{environment}.pins.yaml")
}

fn files() -> Vec<(String, String)> {
    let staging = "  staging: { account: \"111111111111\", region: eu-central-1, cluster: staging }\n";
    let mut files = vec![("lockstep.yaml".to_owned(), format!("{ONE_ENVIRONMENT}{staging}"))];
    for number in 0..SERVICES {
        let web = service(&format!("{IMAGE}{number}"));
        files.push((
            format!("services/s{number}/service.yaml"),
            format!("{web}updates: {{ app: {{ semver: \"*\" }} }}\n"),
        ));
        for environment in ["prod", "staging"] {
            files.push((pins(environment, number), "# pins\napp: 1.0.0 # the app\n".to_owned()));
        }
    }
    files
}

/// An agent's image updates.
struct Racer {
    runner: SourceRunner,
    updater: Updater,
    context: Arc<Context>,
    index: usize,
    environments: Option<Vec<String>>,
}

impl Racer {
    fn new(it: &ImageWorld, index: usize, url: &str, access: Access, environments: Option<Vec<String>>) -> Self {
        let state = it.root().join(format!("agent{index}"));
        let remote = Remote::open(&Location::parse(url).unwrap(), "main", &state, access).unwrap();
        let content = Content::Remote(Arc::new(Mutex::new(remote)));
        let config = UpdaterConfig { index, environments: environments.clone(), ..it.config.clone() };
        let runner = SourceRunner::new(index, "acme", config.allow.clone(), environments.clone(), content);
        Self {
            runner,
            updater: Updater::new(config, it.shared.clone(), WriteQueue::default()),
            context: it.world.context.clone(),
            index,
            environments,
        }
    }

    /// What it remembers of failures would only make it wait.
    fn forget(&mut self, it: &ImageWorld) {
        let config = UpdaterConfig { index: self.index, environments: self.environments.clone(), ..it.config.clone() };
        self.updater = Updater::new(config, it.shared.clone(), WriteQueue::default());
    }

    async fn turn(&mut self) -> bool {
        // A repository that cannot be reached now is the next turn's.
        if self.runner.refresh(&self.context).await.is_err() {
            return false;
        }
        self.updater.round(&self.context, self.runner.branch()).await.0
    }
}

async fn race(environments: [Option<Vec<String>>; 2], by_ssh: bool, turns: usize) {
    let mut dice = Dice(seed());
    let it = ImageWorld::quick(&files()).await;
    let http = GitServer::start(it.root());
    it.git(&["config", "core.logAllRefUpdates", "always"]);
    let ssh = SshServer::start(it.root());
    let key = SshKey::parse(&std::fs::read_to_string(ssh.key()).unwrap()).unwrap();
    let access = SshAccess { key: Some(key), known_hosts: Some(ssh.known_hosts().into()) };
    let [first, second] = environments;
    let mut one = Racer::new(&it, 0, &http.url("deploy"), Access::default(), first);
    let url = if by_ssh { ssh.url(it.repository.bare()) } else { it.repository.bare().display().to_string() };
    let mut two = Racer::new(&it, 1, &url, Access { ssh: Some(access), ..Access::default() }, second);
    let mut newest: BTreeMap<usize, String> = BTreeMap::new();
    let mut people: Vec<String> = Vec::new();
    let mut version = 0;
    for turn in 0..turns {
        for _ in 0..SERVICES {
            version += 1;
            let number = usize::try_from(dice.below(SERVICES as u64)).unwrap();
            let tag = format!("1.0.{version}");
            it.world.control.push_image(ACCOUNT, REGION, &format!("app{number}"), &tag, Behaviour::Ok);
            newest.insert(number, tag);
        }
        // A push of the first agent hangs: the server has done it, or not, and the answer is lost.
        let faulty = turn % 3 == 1;
        let pushing = Arc::new(AtomicBool::new(true));
        if faulty {
            http.hold(if dice.below(2) == 0 { Hold::Nothing(2) } else { Hold::Half(2) });
        }
        let breaker = async {
            while pushing.load(Ordering::SeqCst) {
                if http.is_holding() {
                    http.release();
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let agents = async {
            tokio::join!(one.turn(), two.turn());
            pushing.store(false, Ordering::SeqCst);
        };
        // The person reads before the agents write, and pushes meanwhile: it may be the one who is late.
        let checkout = it.repository.checkout().to_owned();
        let kind = dice.below(3);
        let target = usize::try_from(dice.below(SERVICES as u64)).unwrap();
        let person = tokio::task::spawn_blocking(move || person(&checkout, turn, kind, target));
        tokio::join!(agents, breaker);
        people.extend(person.await.unwrap());
        http.release();
        if faulty {
            one.forget(&it);
        }
    }
    for _ in 0..4 {
        one.forget(&it);
        two.forget(&it);
        one.turn().await;
        two.turn().await;
    }
    assert!(!one.turn().await && !two.turn().await, "all has come to rest");
    judge(&it, &newest, &people, version, turns);
    http.release();
}

/// A person's commit, pushed without force; tried again on the new tip when somebody was faster.
fn person(checkout: &std::path::Path, turn: usize, kind: u64, target: usize) -> Option<String> {
    for _ in 0..20 {
        git(checkout, &["fetch", "--quiet", "origin"]);
        git(checkout, &["reset", "--quiet", "--hard", "origin/main"]);
        match kind {
            0 => std::fs::write(checkout.join("NOTES.md"), format!("turn {turn}\n")).unwrap(),
            _ => {
                // A comment beside the pins.
                let file = checkout.join(pins("prod", target));
                let text = std::fs::read_to_string(&file).unwrap();
                std::fs::write(&file, format!("# turn {turn}\n{text}")).unwrap();
            }
        }
        git(checkout, &["add", "--all"]);
        git(checkout, &["commit", "--quiet", "-m", &format!("person {turn}")]);
        let pushed = std::process::Command::new("git")
            .args(["push", "--quiet", "origin", "HEAD:refs/heads/main"])
            .current_dir(checkout)
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        if pushed.success() {
            return Some(git(checkout, &["rev-parse", "HEAD"]));
        }
    }
    None
}

fn judge(it: &ImageWorld, newest: &BTreeMap<usize, String>, people: &[String], version: usize, turns: usize) {
    for (number, tag) in newest {
        for environment in ["prod", "staging"] {
            let text = it.file(&pins(environment, *number));
            assert!(
                text.contains(&format!("app: {tag}@sha256:")),
                "{environment} s{number}: {text}, not {tag}\n{:#?}",
                it.world
                    .context
                    .board
                    .state()
                    .sources
                    .iter()
                    .flat_map(|source| source
                        .images
                        .clone()
                        .into_iter()
                        .map(|image| image.text)
                        .chain(source.write_back.clone()))
                    .collect::<Vec<_>>()
            );
            assert_eq!(text.matches("app:").count(), 1, "{text}");
            assert!(text.ends_with(" # the app\n") && text.contains("# pins\n"), "{text}");
        }
    }
    let history: BTreeSet<String> =
        it.git(&["rev-list", "--first-parent", "main"]).lines().map(str::to_owned).collect();
    assert!(
        people.len() > turns / 2 && people.iter().all(|commit| history.contains(commit)),
        "a person's commit is lost"
    );
    assert_eq!(it.git(&["rev-list", "--count", "main"]), it.git(&["rev-list", "--count", "--first-parent", "main"]));
    // What the server ever had at the branch is in its history: nothing was overwritten.
    let ever = it.git(&["log", "-g", "--format=%H", "main"]);
    assert!(ever.lines().count() > turns && ever.lines().all(|commit| history.contains(commit)), "{ever}");
    it.fsck();
    let mut moved: BTreeSet<String> = BTreeSet::new();
    let mut bumps = 0;
    for commit in &history {
        let trailers = it.git(&["log", "-1", "--format=%(trailers:key=Lockstep-Image,valueonly)", commit]);
        let lines: Vec<&str> = trailers.lines().filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            continue;
        }
        bumps += lines.len();
        for line in &lines {
            assert!(moved.insert((*line).to_owned()), "written twice: {line}");
        }
        let changed = it.git(&["diff", "--numstat", &format!("{commit}^"), commit]);
        let only_pins =
            changed.lines().all(|line| line.starts_with("1\t1\tservices/s") && line.ends_with(".pins.yaml"));
        assert!(only_pins && changed.lines().count() == lines.len(), "{commit}: {changed}\n{trailers}");
    }
    println!("{version} images, {bumps} bumps in {} commits of which {} are a person's", history.len(), people.len());
    assert!(bumps > turns * 5, "{bumps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_different_environments_share_a_branch() {
    race([Some(vec!["prod".to_owned()]), Some(vec!["staging".to_owned()])], true, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_do_the_same_do_it_once() {
    race([None, None], false, TURNS).await;
}
