//! A source's branch: read by one at a time, looked at by many.

use super::{
    Context, at,
    commits::Commits,
    load::{Loader, Snapshot},
};
use crate::git::{Checkout, GitError, Remote};
use lockstep_core::event::{Subject, What};
use lockstep_core::state::problem;
use lockstep_manifests::{Severity, tree::Tree};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// Where a source's files come from.
#[derive(Clone)]
pub enum Content {
    /// A branch of a repository.
    Remote(Arc<Mutex<Remote>>),
    /// A checkout, with whatever is in it now.
    Checkout(PathBuf),
}

/// What a broken `lockstep.yaml` means.
const STOPPED: &str =
    "writes are stopped: lockstep.yaml or a component has errors; what runs is still checked, by the last usable files";

/// What was read of a branch.
#[derive(Clone)]
pub struct Files {
    /// The files of the commit.
    pub read: Arc<Snapshot>,
    /// What rounds look at: the same; where its `lockstep.yaml` is broken, the last files whose `lockstep.yaml` was
    /// usable, marked so that nothing is written.
    pub looked_at: Arc<Snapshot>,
}

/// What reading the branch again needs.
#[derive(Default)]
struct Reader {
    loader: Loader,
    /// The last files whose `lockstep.yaml` was usable.
    usable: Option<Arc<Snapshot>>,
    /// The commit that was followed before, where the branch was rewritten since.
    rewritten: Option<String>,
}

/// A branch, or a checkout.
pub struct Branch {
    index: usize,
    id: String,
    content: Content,
    /// The directory with the history.
    history: PathBuf,
    reader: tokio::sync::Mutex<Reader>,
    files: watch::Sender<Option<Files>>,
}

impl Branch {
    /// A branch of which nothing was read yet. `index` is the source's place on the board.
    pub fn new(index: usize, id: &str, content: Content) -> Self {
        let (files, _) = watch::channel(None);
        let history = match &content {
            Content::Remote(remote) => remote.lock().unwrap_or_else(PoisonError::into_inner).directory().to_owned(),
            Content::Checkout(path) => path.clone(),
        };
        Self { index, id: id.to_owned(), content, history, reader: tokio::sync::Mutex::default(), files }
    }

    /// What was read last.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.files.borrow().as_ref().map(|files| files.read.clone())
    }

    /// What rounds look at.
    pub fn looked_at(&self) -> Option<Arc<Snapshot>> {
        self.files.borrow().as_ref().map(|files| files.looked_at.clone())
    }

    /// Hears when other files are read.
    pub fn listener(&self) -> watch::Receiver<Option<Files>> {
        self.files.subscribe()
    }

    /// The branch that is followed; none for a checkout.
    pub fn remote(&self) -> Option<Arc<Mutex<Remote>>> {
        match &self.content {
            Content::Remote(remote) => Some(remote.clone()),
            Content::Checkout(_) => None,
        }
    }

    /// The directory with the history of what is followed.
    pub(super) fn history(&self) -> PathBuf {
        self.history.clone()
    }

    /// Looks at the repository, and reads it when it moved. On an error the last good state stays. Who comes meanwhile
    /// waits, and then looks for itself.
    ///
    /// # Errors
    /// When the repository cannot be read now.
    pub async fn refresh(&self, context: &Context) -> Result<(), GitError> {
        let mut reader = self.reader.lock().await;
        let result = self.read(context, &mut reader).await;
        let error = result.as_ref().err().map(ToString::to_string);
        let news = context.board.update(self.index, |source| {
            source.id.clone_from(&self.id);
            let news = source.error != error;
            source.error.clone_from(&error);
            news
        });
        let what = match error {
            Some(reason) => What::Unreadable { reason },
            None => What::Readable,
        };
        if news {
            context.tell_now(Subject::source(&self.id), what);
        }
        result
    }

    async fn read(&self, context: &Context, reader: &mut Reader) -> Result<(), GitError> {
        // Reading the files takes as long as a commit makes it: never on a thread that something else waits for.
        let before = self.snapshot();
        let known = before.as_ref().map(|snapshot| snapshot.commit.clone());
        let history = before.as_ref().map(|before| before.history.clone()).unwrap_or_default();
        let content = self.content.clone();
        let mut loader = std::mem::take(&mut reader.loader);
        let read = tokio::task::spawn_blocking(move || {
            let read = load(&content, known, &history, &mut loader);
            (read, loader)
        });
        // Where it did not end, the next look begins anew.
        let (read, loader) = read.await.map_err(|error| self.unreadable(&error))?;
        reader.loader = loader;
        let Some((snapshot, rewritten)) = read? else {
            return Ok(());
        };
        if matches!(self.content, Content::Remote(_)) {
            let of = Subject { commit: snapshot.commit.clone(), ..Subject::source(&self.id) };
            if let Some(from) = &rewritten {
                context.tell_now(of.clone(), What::Rewritten { from: from.clone() });
            }
            reader.rewritten = rewritten;
            context.tell_now(of, What::Commit { summary: snapshot.summary.clone() });
        }
        for problem in snapshot.problems.iter().filter(|problem| problem.severity == Severity::Error).take(20) {
            let place = problem.place().map_or(String::new(), |(file, line, column)| format!("{file}:{line}:{column}"));
            tracing::warn!(
                source = self.id,
                place,
                code = problem.code.id,
                problem = problem.message,
                "the files have an error"
            );
        }
        if !snapshot.valid && before.is_none_or(|before| before.valid) {
            tracing::warn!(source = self.id, commit = snapshot.commit, "{STOPPED}");
        }
        context.board.update(self.index, |source| {
            source.commit.clone_from(&snapshot.commit);
            source.summary.clone_from(&snapshot.summary);
            source.rewritten.clone_from(&reader.rewritten);
            source.problems = snapshot.problems.iter().map(problem).collect();
            source.writes_stopped = (!snapshot.valid).then(|| STOPPED.to_owned());
            if snapshot.valid {
                source
                    .environments
                    .retain(|environment| snapshot.repository.environments.contains_key(&environment.name));
            }
        });
        let read = Arc::new(snapshot);
        if read.valid {
            reader.usable = Some(read.clone());
        }
        let looked_at = match &reader.usable {
            Some(usable) if !read.valid => {
                Arc::new(Snapshot { valid: false, problems: Vec::new(), ..Snapshot::clone(usable) })
            }
            _ => read.clone(),
        };
        self.files.send_replace(Some(Files { read, looked_at }));
        Ok(())
    }

    fn unreadable(&self, error: &tokio::task::JoinError) -> GitError {
        GitError::Unreadable { repository: self.id.clone(), reason: error.to_string() }
    }

    /// The files of the branch as it is now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn tree(&self) -> Result<Box<dyn Tree + Send>, GitError> {
        let content = self.content.clone();
        let read = tokio::task::spawn_blocking(move || -> Result<Box<dyn Tree + Send>, GitError> {
            match content {
                Content::Checkout(path) => Ok(Box::new(Checkout::read(&path)?)),
                Content::Remote(remote) => {
                    let mut remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
                    let tip = remote.tip()?;
                    Ok(Box::new(remote.tree(&tip)?))
                }
            }
        });
        read.await.map_err(|error| self.unreadable(&error))?
    }
}

/// Reads what moved since a commit: its files, and the commit that was followed before where the branch was rewritten.
/// None where nothing moved.
fn load(
    content: &Content,
    known: Option<String>,
    history: &Commits,
    loader: &mut Loader,
) -> Result<Option<(Snapshot, Option<String>)>, GitError> {
    match content {
        Content::Checkout(path) => {
            let checkout = Checkout::read(path)?;
            let head = checkout.compare_to_head()?;
            let commit = match &head {
                Some((commit, changed)) if changed.is_empty() => commit.clone(),
                _ => String::new(),
            };
            let mut snapshot = loader.load(&checkout, &commit, "");
            snapshot.base = head.as_ref().map(|(head, _)| head.clone()).unwrap_or_default();
            if let Some((head, edited)) = head.filter(|(head, _)| !head.is_empty()) {
                snapshot.history = Arc::new(Commits::of_checkout(path, &snapshot, &head, &edited));
            }
            at::apply(&mut snapshot, path);
            Ok(Some((snapshot, None)))
        }
        Content::Remote(opened) => {
            let mut remote = opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let tip = remote.tip()?;
            if known.as_deref() == Some(tip.commit.as_str()) {
                return Ok(None);
            }
            let tree = remote.tree(&tip)?;
            // What cannot be found out is not called rewritten.
            let rewritten = known.filter(|known| !remote.is_behind(known, &tip.commit).unwrap_or(true));
            drop(remote);
            let mut snapshot = loader.load(&tree, &tip.commit, &tip.summary);
            snapshot.committed_at = tip.committed_at;
            let opened = opened.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            snapshot.history = Arc::new(history.follow(&opened, &snapshot, &tip.commit));
            let directory = opened.directory().to_owned();
            drop(opened);
            at::apply(&mut snapshot, &directory);
            Ok(Some((snapshot, rewritten)))
        }
    }
}
