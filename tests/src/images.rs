//! A world whose config repository is a bare one that the agent writes to, beside a checkout that a person pushes from.

use crate::{
    git_http::{Repository, git},
    world::{ACCOUNT, IMAGE, REGION, SOURCE, Setup, World, service},
};
use lockstep::{
    config::{CommitConfig, ImagesConfig},
    git::{Access, Location, Remote},
    images::{Shared, Updater, UpdaterConfig},
    reconcile::{Content, SourceRunner},
    writeback::WriteQueue,
};
use lockstep_core::state::ImageState;
use lockstep_sandbox::{Behaviour, NewImage};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

/// The world.
pub struct ImageWorld {
    /// Sandbox, rounds, events.
    pub world: World,
    /// The bare repository, and a person's checkout.
    pub repository: Repository,
    /// Image updates.
    pub updater: Updater,
    /// What they share with those of other sources.
    pub shared: Arc<Shared>,
    /// How they are set.
    pub config: UpdaterConfig,
    root: TempDir,
}

/// Registries are read at each look, and what is found is written at once.
pub fn at_once() -> ImagesConfig {
    ImagesConfig { interval: Duration::ZERO, quiet: Duration::ZERO, at_most: Duration::ZERO, queues: Vec::new() }
}

/// One service `web` in `prod`, with a policy and a pin.
pub fn one_service(policy: &str, pin: &str) -> Vec<(String, String)> {
    let mut files = vec![
        ("lockstep.yaml".to_owned(), crate::world::ONE_ENVIRONMENT.to_owned()),
        ("services/web/service.yaml".to_owned(), format!("{}updates:\n  app: {policy}\n", service(IMAGE))),
    ];
    if !pin.is_empty() {
        files.push(("services/web/prod.pins.yaml".to_owned(), format!("# by hand\napp: {pin} # the app\n")));
    }
    files
}

impl ImageWorld {
    /// A world with these files, reached by its path.
    pub async fn new(files: &[(String, String)]) -> Self {
        Self::with(files, Setup::default(), |repository| repository.bare().display().to_string(), Access::default())
            .await
    }

    /// The same whose answers are not judged: for many worlds in one test.
    pub async fn quick(files: &[(String, String)]) -> Self {
        let mut setup = Setup::default();
        setup.options.journal_answers = false;
        Self::with(files, setup, |repository| repository.bare().display().to_string(), Access::default()).await
    }

    /// The same reached by another address.
    pub async fn with(
        files: &[(String, String)],
        setup: Setup,
        address: impl Fn(&Repository) -> String,
        access: Access,
    ) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        let repository = Repository::new(root.path(), "deploy");
        for (path, content) in files {
            repository.write(path, content);
        }
        repository.commit("first");
        let allow = setup.allow.clone();
        let mut world = World::set_up(&[], setup).await;
        let location = Location::parse(&address(&repository)).expect("an address");
        let remote = Remote::open(&location, "main", &root.path().join("state"), access).expect("the repository");
        world.runner = SourceRunner::new(0, SOURCE, allow.clone(), None, Content::Remote(Arc::new(Mutex::new(remote))));
        let config = UpdaterConfig {
            index: 0,
            source: SOURCE.to_owned(),
            allow,
            environments: None,
            images: at_once(),
            commit: CommitConfig::default(),
        };
        let shared = Arc::<Shared>::default();
        let updater = Updater::new(config.clone(), shared.clone(), WriteQueue::default());
        Self { world, repository, updater, shared, config, root }
    }

    /// Reaches the repository by another address from now on, with its mirror below a directory.
    pub fn reach(&mut self, url: &str, state: &Path) {
        let location = Location::parse(url).expect("an address");
        let remote = Remote::open(&location, "main", state, Access::default()).expect("the repository");
        let content = Content::Remote(Arc::new(Mutex::new(remote)));
        self.world.runner = SourceRunner::new(0, SOURCE, self.config.allow.clone(), None, content);
    }

    /// Where the bare repository's directory is.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The updater is made anew: it remembers nothing.
    pub fn restart(&mut self) {
        self.updater = Updater::new(self.config.clone(), self.shared.clone(), WriteQueue::default());
    }

    /// Pushes an image to `app` of the agent's registry. Answers its digest.
    pub fn push(&self, tag: &str) -> String {
        self.push_as(tag, &NewImage::default())
    }

    /// The same with more to it.
    pub fn push_as(&self, tag: &str, image: &NewImage) -> String {
        self.world.control.push_image_with(ACCOUNT, REGION, "app", tag, image)
    }

    /// The same for one that crashes.
    pub fn push_broken(&self, tag: &str) -> String {
        self.world.control.push_image(ACCOUNT, REGION, "app", tag, Behaviour::crash(3, Duration::from_secs(2)))
    }

    /// One look at images after one at the repository. Answers whether the branch was moved.
    pub async fn look(&mut self) -> bool {
        self.world.runner.refresh(&self.world.context).await.expect("the repository can be read");
        self.updater.round(&self.world.context, self.world.runner.branch()).await.0
    }

    /// Runs `git` in the bare repository.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.repository.bare(), arguments)
    }

    /// How many commits the branch has.
    pub fn commits(&self) -> usize {
        self.git(&["rev-list", "--count", "main"]).parse().expect("a number")
    }

    /// A file at the branch's tip, to its last byte.
    pub fn file(&self, path: &str) -> String {
        let mut text = self.git(&["show", &format!("main:{path}")]);
        text.push('\n');
        text
    }

    /// The pins file of `web` in `prod`.
    pub fn pins(&self) -> String {
        self.file("services/web/prod.pins.yaml")
    }

    /// The lines that the last commit changed, `added removed path`.
    pub fn last_change(&self) -> String {
        self.git(&["diff", "--numstat", "main^", "main"])
    }

    /// A person brings the checkout up to date, changes files and pushes.
    pub fn person(&self, message: &str, files: &[(&str, &str)]) -> String {
        self.update_checkout();
        for (path, content) in files {
            self.repository.write(path, content);
        }
        self.push_checkout(message)
    }

    /// The checkout as the branch is.
    pub fn update_checkout(&self) -> &Path {
        let checkout = self.repository.checkout();
        git(checkout, &["fetch", "--quiet", "origin"]);
        git(checkout, &["reset", "--quiet", "--hard", "origin/main"]);
        checkout
    }

    /// A person reverts the branch's last commit. Answers the revert.
    pub fn revert(&self) -> String {
        let checkout = self.update_checkout();
        git(checkout, &["revert", "--no-edit", "HEAD"]);
        git(checkout, &["push", "--quiet", "origin", "HEAD:main"]);
        git(checkout, &["rev-parse", "HEAD"])
    }

    /// Commits what is in the checkout, and pushes it without force.
    pub fn push_checkout(&self, message: &str) -> String {
        let checkout = self.repository.checkout();
        git(checkout, &["add", "--all"]);
        git(checkout, &["commit", "--quiet", "-m", message]);
        git(checkout, &["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
        git(checkout, &["rev-parse", "HEAD"])
    }

    /// What is reported of the first pin.
    pub fn image(&self) -> ImageState {
        self.images().into_iter().next().expect("a pin is on the board")
    }

    /// What is reported of all pins.
    pub fn images(&self) -> Vec<ImageState> {
        self.world.context.board.state().sources[0].images.clone()
    }

    /// The bare repository is whole.
    pub fn fsck(&self) {
        self.git(&["fsck", "--strict", "--no-dangling"]);
    }
}
