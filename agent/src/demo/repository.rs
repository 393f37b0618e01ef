//! The demo's config repository: a bare Git repository made from the sample, with real commits.

use crate::git::{Access, GitError, Location, Remote};
use gix::{bstr::BString, objs::tree::EntryKind};
use lockstep_manifests::tree::{FileEntry, Tree};
use std::path::{Path, PathBuf};

/// The sample repository, as it stands in the source tree.
pub(crate) const SAMPLE: &[(&str, &str)] = &[
    ("README.md", include_str!("../../../sample-repo/README.md")),
    ("components/firelens.yaml", include_str!("../../../sample-repo/components/firelens.yaml")),
    ("lockstep.yaml", include_str!("../../../sample-repo/lockstep.yaml")),
    ("services/checkout/prod.pins.yaml", include_str!("../../../sample-repo/services/checkout/prod.pins.yaml")),
    ("services/checkout/prod.yaml", include_str!("../../../sample-repo/services/checkout/prod.yaml")),
    ("services/checkout/service.yaml", include_str!("../../../sample-repo/services/checkout/service.yaml")),
    ("services/checkout/staging.pins.yaml", include_str!("../../../sample-repo/services/checkout/staging.pins.yaml")),
    ("services/checkout/staging.yaml", include_str!("../../../sample-repo/services/checkout/staging.yaml")),
    ("services/checkout/taskdef.json", include_str!("../../../sample-repo/services/checkout/taskdef.json")),
    ("services/notifications/service.yaml", include_str!("../../../sample-repo/services/notifications/service.yaml")),
    (
        "services/notifications/servicedef.json",
        include_str!("../../../sample-repo/services/notifications/servicedef.json"),
    ),
    ("services/notifications/taskdef.json", include_str!("../../../sample-repo/services/notifications/taskdef.json")),
    ("services/orders-worker/service.yaml", include_str!("../../../sample-repo/services/orders-worker/service.yaml")),
    ("services/search/service.yaml", include_str!("../../../sample-repo/services/search/service.yaml")),
    ("services/search/taskdef.yaml", include_str!("../../../sample-repo/services/search/taskdef.yaml")),
    ("services/storefront/prod.pins.yaml", include_str!("../../../sample-repo/services/storefront/prod.pins.yaml")),
    ("services/storefront/service.yaml", include_str!("../../../sample-repo/services/storefront/service.yaml")),
    (
        "services/storefront/staging.pins.yaml",
        include_str!("../../../sample-repo/services/storefront/staging.pins.yaml"),
    ),
];

const BRANCH: &str = "refs/heads/main";

/// A bare repository on disk.
pub(crate) struct DemoRepository {
    path: PathBuf,
}

impl DemoRepository {
    /// Makes the repository with the sample as its first commit.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        if path.exists() {
            return Err(format!("{} exists already", path.display()));
        }
        let options = gix::open::Options::isolated();
        gix::ThreadSafeRepository::init_opts(path, gix::create::Kind::Bare, gix::create::Options::default(), options)
            .map_err(|error| error.to_string())?;
        let repository = Self { path: path.to_owned() };
        repository.commit("shop: five services in three environments", SAMPLE)?;
        // A new bare repository may name another branch, by its user's configuration.
        std::fs::write(path.join("HEAD"), format!("ref: {BRANCH}\n")).map_err(|error| error.to_string())?;
        Ok(repository)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the newest commit changed in a file, as a diff's lines; an error where it changed anything else.
    pub(crate) fn last_change(&self, path: &str) -> Result<Vec<String>, String> {
        let location = Location::Path(self.path.clone());
        let fail = |error: GitError| error.to_string();
        let mut remote = Remote::open(&location, "main", Path::new(""), Access::default()).map_err(fail)?;
        let tip = remote.tip().map_err(fail)?;
        let mut parent = None;
        remote
            .first_parents(&tip.commit, &[], |step| {
                parent.clone_from(&step.parent);
                true
            })
            .map_err(fail)?;
        let parent = parent.ok_or("the newest commit has no parent")?;
        let (now, before) = (remote.tree(&tip).map_err(fail)?, remote.tree_of(&parent).map_err(fail)?);
        let is_new = |file: &&FileEntry| before.find(&file.path) != Some(file);
        let changed: Vec<&str> = now.files().iter().filter(is_new).map(|file| file.path.as_str()).collect();
        if changed != [path] || now.files().len() != before.files().len() {
            return Err(format!("it changed {changed:?}"));
        }
        let read = |commit: &str| {
            let bytes = remote.file_of(commit, path).map_err(fail)?.unwrap_or_default();
            String::from_utf8(bytes).map_err(|error| error.to_string())
        };
        let (old, new) = (read(&parent)?, read(&tip.commit)?);
        if old.lines().count() != new.lines().count() {
            return Err(format!("it has {} lines, and had {}", new.lines().count(), old.lines().count()));
        }
        let pairs = old.lines().zip(new.lines()).filter(|(old, new)| old != new);
        Ok(pairs.flat_map(|(old, new)| [format!("- {old}"), format!("+ {new}")]).collect())
    }

    /// Commits another tag of one container, and nothing else of the file. Answers what changed, as a diff's lines.
    pub(crate) fn pin(&self, message: &str, path: &str, container: &str, tag: &str) -> Result<Vec<String>, String> {
        let fail = |error: GitError| error.to_string();
        let location = Location::Path(self.path.clone());
        let mut remote = Remote::open(&location, "main", Path::new(""), Access::default()).map_err(fail)?;
        let tip = remote.tip().map_err(fail)?;
        let before = remote.file_of(&tip.commit, path).map_err(fail)?.unwrap_or_default();
        let before = String::from_utf8(before).map_err(|error| error.to_string())?;
        let after = lockstep_manifests::edit::set_pin(&before, container, tag).map_err(|error| error.to_string())?;
        self.commit(message, &[(path, &after)])?;
        self.last_change(path)
    }

    /// Commits these files on top of the branch. Answers the commit's id.
    pub(crate) fn commit(&self, message: &str, files: &[(&str, &str)]) -> Result<String, String> {
        let open = gix::open_opts(self.path.clone(), gix::open::Options::isolated());
        let repository = open.map_err(|error| error.to_string())?;
        let parent = repository
            .try_find_reference(BRANCH)
            .map_err(|error| error.to_string())?
            .and_then(|mut reference| reference.peel_to_id().ok().map(gix::Id::detach));
        let base = match parent {
            Some(id) => repository
                .find_commit(id)
                .map_err(|error| error.to_string())?
                .tree_id()
                .map_err(|error| error.to_string())?
                .detach(),
            None => repository.empty_tree().id().detach(),
        };
        let mut editor = repository.edit_tree(base).map_err(|error| error.to_string())?;
        for (path, content) in files {
            let blob = repository.write_blob(content).map_err(|error| error.to_string())?;
            editor.upsert(*path, EntryKind::Blob, blob).map_err(|error| error.to_string())?;
        }
        let tree = editor.write().map_err(|error| error.to_string())?;
        let time =
            gix::date::Time::now_utc().format(gix::date::time::Format::Raw).map_err(|error| error.to_string())?;
        let author =
            gix::actor::SignatureRef { name: "Dana Example".into(), email: "dana@shop.example".into(), time: &time };
        let id = repository
            .commit_as(author, author, BRANCH, BString::from(message).to_string(), tree, parent)
            .map_err(|error| error.to_string())?;
        Ok(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path(), &format!("{name}/"), found);
            } else {
                found.push(name);
            }
        }
    }

    #[test]
    fn the_demo_has_every_file_of_the_sample() {
        let mut found = Vec::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-repo"), "", &mut found);
        found.sort();
        assert_eq!(found, SAMPLE.iter().map(|(path, _)| (*path).to_owned()).collect::<Vec<_>>());
    }
}
