//! A whole world in one process: the sandbox on a clock that the test moves, a Git repository on disk, and the rounds
//! of one source, run one by one.

use crate::judge::judge;
use lockstep::{
    aws::{AccountRole, Accounts},
    cache::Cache,
    git::{Access, Location, Remote},
    reconcile::{Content, Context, Orders, SourceRunner, Timing},
};
use lockstep_core::allow::Allow;
use lockstep_core::event::Event;
use lockstep_core::state::ServiceState;
use lockstep_core::{report::Reason, tags::Tags};
use lockstep_sandbox::{Behaviour, ClockMode, Control, Options, Sandbox};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;

/// The agent's own account.
pub const ACCOUNT: &str = "111111111111";
/// Another account, reached by a role.
pub const OTHER_ACCOUNT: &str = "222222222222";
/// The region.
pub const REGION: &str = "eu-central-1";
/// The id of the source.
pub const SOURCE: &str = "acme";

/// A Git repository with a work tree, written by the `git` program.
pub struct Repository {
    directory: TempDir,
}

impl Repository {
    /// An empty repository on branch main.
    pub fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let repository = Self { directory };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs `git` in it.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("the git program");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Writes files and commits them. Answers the commit.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            let path = self.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, content).expect("a file");
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

/// The world.
pub struct World {
    /// The sandbox's controls.
    pub control: Control,
    /// The repository.
    pub repository: Repository,
    /// What rounds share.
    pub context: Arc<Context>,
    /// The source.
    pub runner: SourceRunner,
    /// What happened.
    pub events: Receiver<Event>,
    /// Where the cache is.
    pub state: PathBuf,
    sandbox: Sandbox,
    allow: Allow,
    /// How fast it asks and how often it looks; for what is started anew.
    pub pace: Pace,
    _state: TempDir,
}

/// How a world is set up.
pub struct Setup {
    /// The sandbox.
    pub options: Options,
    /// What the source may reach.
    pub allow: Allow,
    /// How fast the agent is.
    pub pace: Pace,
}

/// How fast an agent is.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Its share of the documented rates.
    pub share: f64,
    /// Seconds of the sandbox's clock in one of ours.
    pub speed: f64,
    /// How often it looks.
    pub timing: Timing,
}

impl Default for Setup {
    /// A clock that the test moves, answers for the judge, and an agent that nothing slows: its budget is the subject
    /// of other tests.
    fn default() -> Self {
        Self {
            options: Options {
                clock: ClockMode::Manual,
                default_account: ACCOUNT.to_owned(),
                journal_answers: true,
                ..Options::default()
            },
            allow: Allow { adopt: true, ..Allow::everything() },
            pace: Pace {
                share: 10_000.0,
                speed: 1.0,
                timing: Timing { interval: Duration::ZERO, follow: Duration::ZERO },
            },
        }
    }
}

/// An environment `prod` in the agent's own account, without a brake: that is the subject of tests of its own.
pub const ONE_ENVIRONMENT: &str = "version: 1\nenvironments:\n  prod:\n    account: \"111111111111\"\n    region: eu-central-1\n    cluster: prod\n    sync: { mode: converge, maxConcurrent: 0, stopAfterFailures: 0, maxUnexplained: 0 }\n";

/// A small Fargate service with this image.
pub fn service(image: &str) -> String {
    format!(
        "taskDefinition:\n  networkMode: awsvpc\n  requiresCompatibilities: [FARGATE]\n  cpu: \"256\"\n  memory: \"512\"\n  executionRoleArn: execution\n  \
         containerDefinitions:\n    app: {{ image: \"{image}\", environment: {{ LEVEL: info }} }}\nservice:\n  desiredCount: 1\n  launchType: FARGATE\n  \
         networkConfiguration: {{ awsvpcConfiguration: {{ subnets: [subnet-1] }} }}\n  \
         deploymentConfiguration: {{ deploymentCircuitBreaker: {{ enable: true, rollback: true }} }}\n"
    )
}

/// The image of the services that [`World::of_services`] makes, without its tag.
pub const IMAGE: &str = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app";

/// Pushes the tags that tests use: 1 and 2, and one that crashes.
pub fn push_images(control: &Control) {
    for account in [ACCOUNT, OTHER_ACCOUNT] {
        control.push_image(account, REGION, "app", "1", Behaviour::Ok);
        control.push_image(account, REGION, "app", "2", Behaviour::Ok);
        control.push_image(account, REGION, "app", "bad", Behaviour::crash(3, Duration::from_secs(2)));
    }
}

/// The tags of a service or a revision, as an answer has them.
///
/// # Panics
/// When they are no tags.
pub fn tags(service: &Value) -> Tags {
    service["tags"]
        .as_array()
        .expect("tags")
        .iter()
        .map(|tag| {
            (tag["key"].as_str().expect("tags").to_owned(), tag["value"].as_str().unwrap_or_default().to_owned())
        })
        .collect()
}

/// Why things are not done, in order.
pub fn reasons(state: &ServiceState) -> Vec<Reason> {
    state.plan.withheld.iter().map(|withheld| withheld.reason).collect()
}

impl World {
    /// A world with services of these names on image tag 1, not yet settled.
    pub async fn of_services(names: &[&str]) -> Self {
        let app = service(&format!("{IMAGE}:1"));
        let paths: Vec<String> = names.iter().map(|name| format!("services/{name}/service.yaml")).collect();
        let mut files = vec![("lockstep.yaml", ONE_ENVIRONMENT)];
        files.extend(paths.iter().map(|path| (path.as_str(), app.as_str())));
        let world = Self::new(&files).await;
        push_images(&world.control);
        world
    }

    /// A world with a cluster `prod`, and a repository with these files.
    pub async fn new(files: &[(&str, &str)]) -> Self {
        Self::with(files, Allow { adopt: true, ..Allow::everything() }).await
    }

    /// The same with an allow-list.
    pub async fn with(files: &[(&str, &str)], allow: Allow) -> Self {
        Self::set_up(files, Setup { allow, ..Setup::default() }).await
    }

    /// A world of one's own.
    pub async fn set_up(files: &[(&str, &str)], setup: Setup) -> Self {
        let Setup { options, allow, pace } = setup;
        let sandbox = Sandbox::start(options).await.expect("a free port");
        let control = sandbox.control();
        control.create_cluster(ACCOUNT, REGION, "prod");
        let repository = Repository::new();
        repository.commit("first", files);
        let state = TempDir::new().expect("a temporary directory");
        let path = state.path().to_owned();
        let context = Self::context(&sandbox, &path, pace).await;
        let runner = Self::runner(&repository, &allow);
        let events = context.events.subscribe();
        Self { control, repository, context, runner, events, state: path, sandbox, allow, pace, _state: state }
    }

    async fn context(sandbox: &Sandbox, state: &Path, pace: Pace) -> Arc<Context> {
        let role = format!("arn:aws:iam::{OTHER_ACCOUNT}:role/lockstep");
        let roles = BTreeMap::from([(OTHER_ACCOUNT.to_owned(), AccountRole { role, external_id: None })]);
        let accounts = Accounts::at_endpoint(&sandbox.endpoint_url(), ACCOUNT, REGION, roles, pace.share).await;
        Arc::new(Context::new(accounts.with_speed(pace.speed), Cache::open(state), pace.timing))
    }

    fn runner(repository: &Repository, allow: &Allow) -> SourceRunner {
        SourceRunner::new(0, SOURCE, allow.clone(), None, Self::content(repository))
    }

    fn content(repository: &Repository) -> Content {
        let location = Location::Path(repository.path().to_owned());
        let remote = Remote::open(&location, "main", Path::new("/nowhere"), Access::default()).expect("the repository");
        Content::Remote(Arc::new(Mutex::new(remote)))
    }

    /// What to set as `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        self.sandbox.endpoint_url()
    }

    /// The agent is started anew: nothing is left but the cache's directory, and that only when it is kept.
    pub async fn restart(&mut self, keep_cache: bool) {
        let path = self.state.clone();
        // The old cache must let go of its directory first.
        self.context = Self::context(&self.sandbox, &path.join("elsewhere"), self.pace).await;
        self.runner = Self::runner(&self.repository, &self.allow);
        if !keep_cache {
            let _ = std::fs::remove_dir_all(path.join("cache"));
        }
        self.context = Self::context(&self.sandbox, &path, self.pace).await;
        self.events = self.context.events.subscribe();
    }

    /// From now on the source is only for these environments.
    pub fn follow_only(&mut self, environments: &[&str]) {
        self.follow_as(SOURCE, environments);
    }

    /// The same as another source.
    pub fn follow_as(&mut self, source: &str, environments: &[&str]) {
        let environments = environments.iter().map(|name| (*name).to_owned()).collect();
        let content = Self::content(&self.repository);
        self.runner = SourceRunner::new(0, source, self.allow.clone(), Some(environments), content);
        self.context.board.update(0, |source| source.environments.clear());
    }

    /// One round of the agent. Answers whether something is under way.
    pub async fn round(&mut self) -> bool {
        self.round_with(&Orders::agent()).await
    }

    /// One round with other orders.
    pub async fn round_with(&mut self, orders: &Orders) -> bool {
        self.runner.refresh(&self.context).await.expect("the repository can be read");
        self.runner.round(&self.context, orders).await
    }

    /// Rounds, and ten virtual seconds between them, until nothing is under way. Panics after a virtual hour.
    pub async fn settle(&mut self) {
        for _ in 0..360 {
            if !self.round().await {
                return;
            }
            self.control.advance(Duration::from_secs(10));
        }
        panic!("something is still under way after an hour:\n{:#?}", self.context.board.state());
    }

    /// Calls since they were reset, by `service:Operation`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.control.calls()
    }

    /// Calls that write.
    pub fn writes(&self) -> BTreeMap<String, u64> {
        let reads = ["Describe", "List", "Get", "BatchGet", "AssumeRole"];
        let is_read = |name: &str| {
            let operation = name.split(':').nth(1).unwrap_or(name);
            reads.iter().any(|read| operation.starts_with(read))
        };
        self.calls().into_iter().filter(|(name, _)| !is_read(name)).collect()
    }

    /// What is reported of a service in `prod`.
    pub fn reported(&self, service: &str) -> ServiceState {
        self.reported_in("prod", service)
    }

    /// What is reported of a service.
    pub fn reported_in(&self, environment: &str, service: &str) -> ServiceState {
        self.context.board.service(0, environment, service).expect("the service is on the board")
    }

    /// A call to ECS as somebody else would make it, in an account and region. Panics when it is refused.
    pub async fn ecs_in(&self, account: &str, region: &str, operation: &str, request: Value) -> Value {
        let (status, body) = self.send(account, region, operation, request).await.expect("the sandbox answers");
        assert!(status == 200, "{operation}: {status} {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// The same, where it may be refused or lost.
    pub async fn attempt(&self, operation: &str, request: Value) -> Option<Value> {
        let (status, body) = self.send(ACCOUNT, REGION, operation, request).await?;
        (status == 200).then(|| serde_json::from_str(&body).expect("JSON"))
    }

    async fn send(&self, account: &str, region: &str, operation: &str, request: Value) -> Option<(u16, String)> {
        call_ecs(&self.endpoint(), account, region, operation, &request).await
    }

    /// The same in the agent's own account.
    pub async fn ecs(&self, operation: &str, request: Value) -> Value {
        self.ecs_in(ACCOUNT, REGION, operation, request).await
    }

    /// A service of the cluster `prod`, as ECS describes it with its tags.
    pub async fn described(&self, service: &str) -> Value {
        let request = json!({"cluster": "prod", "services": [service], "include": ["TAGS"]});
        self.ecs("DescribeServices", request).await["services"][0].clone()
    }

    /// What happened since this was asked last.
    pub fn happened(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        events
    }
}

/// A call of ECS, and the status and body of its answer; none where there is none.
pub async fn call_ecs(
    endpoint: &str,
    account: &str,
    region: &str,
    operation: &str,
    request: &Value,
) -> Option<(u16, String)> {
    let key = format!("Credential={account}/20260101/{region}/ecs/aws4_request");
    let answer = reqwest::Client::new()
        .post(endpoint)
        .header("X-Amz-Target", format!("AmazonEC2ContainerServiceV20141113.{operation}"))
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("Authorization", format!("AWS4-HMAC-SHA256 {key}, SignedHeaders=host, Signature=0"))
        .header("X-Amz-Date", "20260101T000000Z")
        .body(request.to_string())
        .send()
        .await
        .ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

/// What the sandbox has answered is judged when the test is over, unless it failed already.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            judge(&self.control.journal(0));
        }
    }
}

/// Calls as a map, for comparing.
pub fn calls(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}
