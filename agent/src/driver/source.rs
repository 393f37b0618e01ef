//! The task of one source: fetches its branch, and has a task for each of its environments and one for its images.

use super::{
    Parts, access,
    environment::{self, name_of},
    images,
    supervise::{Backoff, supervise},
};
use crate::{
    config::{ImagesConfig, SourceConfig},
    git::Access,
    images::{Shared, Updater, UpdaterConfig},
    reconcile::{Branch, Content, Context, SourceParts},
};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

/// A source that was opened.
pub(super) struct Opened {
    pub(super) branch: Arc<Branch>,
    config: SourceConfig,
    /// What is presented to its server.
    presented: tokio::sync::Mutex<Access>,
    /// Wakes the task that fetches.
    wake: Notify,
}

impl Opened {
    /// Reads the credentials again after something failed; where they are new, the branch is asked again at once.
    /// Answers whether they are.
    pub(super) async fn renew(&self, context: &Context) -> bool {
        let Some(remote) = self.branch.remote() else { return false };
        let mut presented = self.presented.lock().await;
        let is_new = access::renew(&self.config, context, remote, &mut presented).await;
        if is_new {
            self.wake.notify_one();
        }
        is_new
    }
}

/// What a source is made from.
pub(super) struct Source {
    pub(super) index: usize,
    pub(super) config: SourceConfig,
    /// Where its mirror is: each has one of its own, because two that fetch into one are in each other's way.
    pub(super) state: PathBuf,
    pub(super) images: ImagesConfig,
    pub(super) shared: Arc<Shared>,
}

/// Runs all that belongs to a source, until the order to stop.
pub(super) async fn run(source: Source, parts: Parts) {
    let (opened, on_open) = watch::channel(None);
    let id = &source.config.id;
    let fetching = async {
        let panicked = |text: &str| parts.failed(source.index, &format!("the source's task panicked: {text}"));
        let run = || fetch(&source, &opened, parts.clone());
        parts.supervised(&format!("git {id}"), run, panicked).await;
    };
    let writing = async {
        let Some(opened) = when_open(on_open.clone(), parts.clone()).await else { return };
        let write_queue = source.shared.write_queues.of(&source.config.location, &source.config.branch.value);
        let run = || {
            let updater = Updater::new(source.updater(), source.shared.clone(), write_queue.clone());
            images::run(id, updater, &opened, parts.clone())
        };
        parts.supervised(&format!("images {id}"), run, |_: &str| ()).await;
    };
    let converging = async {
        let Some(opened) = when_open(on_open.clone(), parts.clone()).await else { return };
        converge(&source.parts(&opened), parts.clone()).await;
    };
    tokio::join!(fetching, writing, converging);
}

impl Source {
    fn updater(&self) -> UpdaterConfig {
        UpdaterConfig {
            index: self.index,
            source: self.config.id.clone(),
            allow: self.config.allow.clone(),
            environments: self.config.environments.clone(),
            images: self.images.clone(),
            commit: self.config.commit.clone(),
        }
    }

    fn parts(&self, opened: &Opened) -> SourceParts {
        SourceParts {
            index: self.index,
            id: self.config.id.clone(),
            allow: self.config.allow.clone(),
            environments: self.config.environments.clone(),
            branch: opened.branch.clone(),
        }
    }
}

/// The source, as soon as it is opened; none where the order to stop comes first.
async fn when_open(mut opened: watch::Receiver<Option<Arc<Opened>>>, mut parts: Parts) -> Option<Arc<Opened>> {
    tokio::select! {
        opened = opened.wait_for(Option::is_some) => opened.ok()?.clone(),
        () = parts.stopped() => None,
    }
}

/// Opens the repository, and looks at its branch.
async fn fetch(source: &Source, opened: &watch::Sender<Option<Arc<Opened>>>, mut parts: Parts) {
    let (context, task) = (parts.context.clone(), format!("git {}", source.config.id));
    context.board.tasks.add(&task);
    while !parts.is_stopping() {
        context.board.tasks.begin(&task);
        let known = opened.borrow().clone();
        let known = match known {
            Some(known) => Ok(known),
            None => open(source, &context).await.inspect(|new| _ = opened.send_replace(Some(new.clone()))),
        };
        let mut pause = context.timing.interval;
        let result = match &known {
            Err(reason) => {
                parts.failed(source.index, reason);
                Err(reason.clone())
            }
            Ok(known) => match known.branch.refresh(&context).await {
                Ok(()) => Ok(()),
                Err(error) => {
                    // What was presented may have been replaced, and servers say so in many ways: with a 404, a web
                    // page, a project that cannot be found. It is read again, and where it is new the next look comes
                    // soon.
                    if known.renew(&context).await {
                        pause = pause.min(context.timing.follow);
                    }
                    Err(error.to_string())
                }
            },
        };
        context.board.tasks.end(
            &task,
            result.as_ref().map_or_else(|reason| Err(reason.as_str()), |()| Ok(())),
            Some(pause),
        );
        let woken = async {
            match &known {
                Ok(known) => known.wake.notified().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = woken => {}
            () = parts.stopped() => break,
        }
    }
}

async fn open(source: &Source, context: &Context) -> Result<Arc<Opened>, String> {
    let config = &source.config;
    let (remote, presented) = access::open_with(config, &source.state, context).await?;
    let content = Content::Remote(Arc::new(Mutex::new(remote)));
    let branch = Arc::new(Branch::new(source.index, &config.id, content));
    let presented = tokio::sync::Mutex::new(presented);
    Ok(Arc::new(Opened { branch, config: config.clone(), presented, wake: Notify::new() }))
}

/// Has a task for each environment that the files name.
async fn converge(source: &SourceParts, mut parts: Parts) {
    let mut files = source.branch.listener();
    // Where this is cut off, they are too.
    let mut tasks: JoinSet<String> = JoinSet::new();
    let mut running: BTreeSet<String> = BTreeSet::new();
    let progress = environment::progress();
    while !parts.is_stopping() {
        let snapshot = files.borrow_and_update().as_ref().map(|files| files.looked_at.clone());
        let names = snapshot.map(|snapshot| source.environments_of(&snapshot)).unwrap_or_default();
        for name in names {
            if running.insert(name.clone()) {
                tasks.spawn(one(source.clone(), name, progress.clone(), parts.clone()));
            }
        }
        tokio::select! {
            _ = files.changed() => {}
            // One that the files do not name any more ends by itself, after what it is doing.
            Some(ended) = tasks.join_next() => {
                if let Ok(name) = ended {
                    running.remove(&name);
                }
            }
            () = parts.stopped() => break,
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn one(source: SourceParts, name: String, progress: Arc<environment::Progress>, parts: Parts) -> String {
    let run = || environment::run(&source, &name, &progress, parts.clone());
    parts.supervised(&name_of(&source.id, &name), run, |_: &str| ()).await;
    name
}

impl Parts {
    /// A source cannot be followed now, for this reason: on the board, and in the log where it is news.
    fn failed(&self, index: usize, reason: &str) {
        let (is_news, source) = self.context.board.update(index, |state| {
            let is_news = state.error.as_deref() != Some(reason);
            state.error = Some(reason.to_owned());
            (is_news, state.id.clone())
        });
        if is_news {
            tracing::warn!(source, reason, "the repository cannot be opened");
        }
    }

    async fn supervised<F: Future<Output = ()>>(&self, name: &str, run: impl FnMut() -> F, panicked: impl FnMut(&str)) {
        supervise(name, &self.context.board.troubles, self.stop.clone(), Backoff::default(), run, panicked).await;
    }
}
