//! What differs between the files of two commits, and so what must be read again.

use super::load::{LoadedService, may_pass};
use lockstep_manifests::{Diagnostic, Repository, tree::FileEntry};
use std::{cmp::Ordering, collections::HashSet};

/// What differs between two lists of files.
pub(super) struct Changes {
    /// Paths of files that came, went, or have other content.
    paths: HashSet<String>,
    /// The directories above them.
    directories: HashSet<String>,
    /// Whether a file below `services/` came or went: then there may be other services.
    pub(super) moved: bool,
}

impl Changes {
    /// Both lists are in the order of their paths.
    pub(super) fn between(before: &[FileEntry], now: &[FileEntry]) -> Self {
        let mut changes = Self { paths: HashSet::new(), directories: HashSet::new(), moved: false };
        let (mut before, mut now) = (before.iter().peekable(), now.iter().peekable());
        loop {
            let order = match (before.peek(), now.peek()) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.path.cmp(&new.path),
            };
            let old = if order.is_le() { before.next() } else { None };
            let new = if order.is_ge() { now.next() } else { None };
            if old == new {
                continue;
            }
            let Some(file) = new.or(old) else { continue };
            let is_same_kind = old.zip(new).is_some_and(|(old, new)| old.kind == new.kind);
            changes.moved |= !is_same_kind;
            changes.paths.insert(file.path.clone());
            let mut path = file.path.as_str();
            while let Some((directory, _)) = path.rsplit_once('/') {
                if !changes.directories.insert(directory.to_owned()) {
                    break;
                }
                path = directory;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether the repository's own settings, or which services there are, may have changed.
    pub(super) fn touch(&self, repository: &Repository, problems: &[Diagnostic]) -> bool {
        self.moved
            || self.directories.contains("components")
            || self.paths.contains(lockstep_manifests::repository::CONFIG)
            || repository.read.iter().any(|(path, _)| self.paths.contains(path))
            || may_pass(problems)
    }

    /// Whether a service must be read again.
    pub(super) fn touch_service(&self, service: &LoadedService) -> bool {
        self.directories.contains(&service.directory.path)
            || service.outside.iter().any(|path| self.paths.contains(path))
            || may_pass(&service.problems)
    }
}
