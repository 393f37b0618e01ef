//! Whether the agent's file says something else than before. It may be replaced rather than written, and it may be
//! behind links that are replaced in its place (`agent.yaml → ..data/agent.yaml`, `..data → ..1`): every directory with
//! a link on the way is watched, anew after each change. Watching only makes it sooner; what counts is the content,
//! which is compared once in each interval as well.

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Editors write in several steps.
const SETTLE: Duration = Duration::from_millis(200);
/// Most links on the way to a file: the system follows no more.
const MOST_LINKS: usize = 40;

/// What a file says; none where it cannot be read.
type Content = Option<[u8; 32]>;

/// The file, as it was when it was looked at last.
pub(super) struct FileWatch {
    file: PathBuf,
    interval: Duration,
    seen: Content,
    /// The names that matter in the directories that are watched.
    names: Arc<Mutex<BTreeSet<OsString>>>,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    events: Receiver<()>,
    _sender: Sender<()>,
}

impl FileWatch {
    /// Watches from now on.
    pub(super) fn new(file: &Path, interval: Duration) -> Self {
        let (sender, events) = channel(1);
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let watcher = notify::recommended_watcher({
            let (names, sender) = (names.clone(), sender.clone());
            move |event: notify::Result<notify::Event>| {
                let names = names.lock().unwrap_or_else(PoisonError::into_inner);
                let matters = |path: &PathBuf| path.file_name().is_some_and(|name| names.contains(name));
                if let Ok(event) = event
                    // Our own look at the file is an access.
                    && !matches!(event.kind, notify::EventKind::Access(_))
                    && event.paths.iter().any(matters)
                {
                    // One waiting event is as good as many.
                    let _ = sender.try_send(());
                }
            }
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(%error, "changes of the agent's file are seen once in each interval only");
        });
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let watched = BTreeSet::new();
        let mut watch =
            Self { seen: None, file, interval, names, watcher: watcher.ok(), watched, events, _sender: sender };
        watch.arm();
        watch.seen = read(&watch.file);
        watch
    }

    /// Resolves when the file says something else. What is there then counts as seen.
    pub(super) async fn changed(&mut self) {
        loop {
            tokio::select! {
                _ = self.events.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while self.events.try_recv().is_ok() {}
                }
                () = tokio::time::sleep(self.interval) => {}
            }
            if self.look() {
                return;
            }
        }
    }

    /// Takes what is there now as seen. Answers whether it is something else than before.
    pub(super) fn look(&mut self) -> bool {
        // First watched, then read: what is written in between is heard of.
        self.arm();
        let now = read(&self.file);
        let is_new = now != self.seen;
        self.seen = now;
        is_new
    }

    /// Watches every directory on the way, as the way is now. One that was removed and made again is another one.
    fn arm(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let way = way_to(&self.file);
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = way.iter().map(|(_, name)| name.clone()).collect();
        for directory in std::mem::take(&mut self.watched) {
            let _ = watcher.unwatch(&directory);
        }
        for (directory, _) in way {
            if !self.watched.contains(&directory) && watcher.watch(&directory, RecursiveMode::NonRecursive).is_ok() {
                self.watched.insert(directory);
            }
        }
    }
}

fn read(file: &Path) -> Content {
    std::fs::read(file).ok().map(|bytes| Sha256::digest(bytes).into())
}

/// Each link on the way to a file, and the file itself: the directory that it is in, and its name there.
fn way_to(file: &Path) -> Vec<(PathBuf, OsString)> {
    let (mut way, mut at) = (Vec::new(), file.to_owned());
    for _ in 0..MOST_LINKS {
        let mut walked = PathBuf::new();
        let mut parts = at.components();
        let link = loop {
            let Some(part) = parts.next() else { break None };
            walked.push(part);
            if matches!(part, Component::Normal(_))
                && let Ok(target) = std::fs::read_link(&walked)
            {
                break Some(target);
            }
        };
        let (Some(directory), Some(name)) = (walked.parent(), walked.file_name()) else { return way };
        way.push((directory.to_owned(), name.to_owned()));
        let Some(target) = link else { return way };
        at = directory.join(target).join(parts.as_path());
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};
    use tokio::time::timeout;

    const NEVER: Duration = Duration::from_secs(3600);
    const PATIENCE: Duration = Duration::from_secs(30);

    /// As Kubernetes mounts files: `agent.yaml → ..data/agent.yaml`, `..data → ..1`.
    fn mounted(directory: &Path, text: &str) -> PathBuf {
        swap(directory, "..1", text);
        let file = directory.join("agent.yaml");
        symlink("..data/agent.yaml", &file).unwrap();
        file
    }

    /// A new directory, and `..data` turned to it in one step; the old one is removed.
    fn swap(directory: &Path, name: &str, text: &str) {
        let old = fs::read_link(directory.join("..data")).ok();
        fs::create_dir(directory.join(name)).unwrap();
        fs::write(directory.join(name).join("agent.yaml"), text).unwrap();
        symlink(name, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
        if let Some(old) = old {
            fs::remove_dir_all(directory.join(old)).unwrap();
        }
    }

    async fn is_seen(watch: &mut FileWatch) -> bool {
        timeout(PATIENCE, watch.changed()).await.is_ok()
    }

    #[test]
    fn the_way_to_a_file_names_every_link() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let file = mounted(&root, "a");
        let name = |text: &str| OsString::from(text);
        assert_eq!(
            way_to(&file),
            [
                (root.clone(), name("agent.yaml")),
                (root.clone(), name("..data")),
                (root.join("..1"), name("agent.yaml"))
            ]
        );
        symlink(&root, root.join("itself")).unwrap();
        assert_eq!(way_to(&root.join("itself/..1/agent.yaml"))[0], (root.clone(), name("itself")));
        symlink("circle", root.join("circle")).unwrap();
        assert_eq!(way_to(&root.join("circle")).len(), MOST_LINKS);
    }

    // D3: with an interval that never comes, so that only the events tell.
    #[tokio::test]
    async fn every_swap_of_a_link_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let file = mounted(directory.path(), "a");
        let mut watch = FileWatch::new(&file, NEVER);
        for (name, text) in [("..2", "b"), ("..3", "c"), ("..1", "d"), ("..2", "e")] {
            swap(directory.path(), name, text);
            assert!(is_seen(&mut watch).await, "{name}");
        }
        // And the file behind the links, written in its place.
        fs::write(directory.path().join("..2/agent.yaml"), "f").unwrap();
        assert!(is_seen(&mut watch).await);
        // An editor that writes beside it and renames.
        fs::write(directory.path().join("new"), "g").unwrap();
        fs::rename(directory.path().join("new"), &file).unwrap();
        assert!(is_seen(&mut watch).await);
    }

    // D3: without events, the interval tells.
    #[tokio::test]
    async fn what_no_event_tells_the_interval_does() {
        let directory = tempfile::tempdir().unwrap();
        let file = mounted(directory.path(), "a");
        let mut watch = FileWatch::new(&file, Duration::from_millis(20));
        watch.watcher = None;
        swap(directory.path(), "..2", "b");
        assert!(is_seen(&mut watch).await);
        assert!(!watch.look(), "what was seen is not new");
    }

    // H16: a log beside the file is nobody's business.
    #[tokio::test]
    async fn what_is_written_beside_it_does_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agent.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = FileWatch::new(&file, NEVER);
        fs::write(directory.path().join("agent.log"), "line").unwrap();
        fs::write(directory.path().join("agent.log"), "line and line").unwrap();
        fs::write(&file, "b").unwrap();
        // The events come in their order: when the file's is there, the log's would be.
        watch.events.recv().await.unwrap();
        assert!(watch.look());
        assert!(!watch.look());
    }
}
