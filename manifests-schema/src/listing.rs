//! Which entries of a repository are listed: one rule and one function, for the files of a checkout and for those of a
//! commit. Where the entries come from is behind [`Storage`].
//!
//! The rule: below `services/` and `components/` every entry is listed, less hidden files and `.git`. A hidden
//! directory there is looked into for services only, so that one that is hidden is told of. Everywhere else YAML and
//! JSON files are listed, for services to name; hidden entries and the root's `target` and `node_modules` are left out.

use crate::{
    parse,
    tree::{EntryKind, FileEntry},
};
use std::sync::Arc;

/// Most entries that are listed.
pub const MAX_FILES: usize = 200_000;
/// Most entries that are looked at. A tree may hold the same directory many times, so files alone say nothing.
pub const MAX_ENTRIES: usize = 1_000_000;
/// Most directories that are looked into.
pub const MAX_DIRECTORIES: usize = 100_000;
/// Deepest directory.
pub const MAX_DEPTH: usize = 64;

/// What a directory holds under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// Something else.
    Other(EntryKind),
}

/// An entry of a directory.
#[derive(Clone, Debug)]
pub struct Found<P> {
    /// Its name, as [`name_of`] reads it.
    pub name: Result<String, String>,
    /// What it is.
    pub what: What,
    /// How the storage finds it.
    pub place: P,
}

/// Where directories are kept.
pub trait Storage {
    /// How a directory or a file is found.
    type Place: Clone;

    /// The entries of a directory, in any order.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read.
    fn entries(&mut self, directory: &Self::Place) -> Result<Arc<Vec<Found<Self::Place>>>, String>;

    /// An id that changes when the file's content does.
    fn id(&mut self, file: &Self::Place) -> String;
}

/// The name of an entry, or how to show one that cannot be part of a path.
///
/// # Errors
/// The name with everything escaped that is no letter.
pub fn name_of(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).ok();
    let is_name = |text: &&str| !matches!(*text, "" | "." | "..") && !text.contains(['/', '\0']);
    text.filter(is_name).map(str::to_owned).ok_or_else(|| bytes.escape_ascii().to_string())
}

/// Whether a file of this name makes its directory a service.
pub fn makes_a_service(name: &str) -> bool {
    matches!(name, "service.yaml" | "service.yml" | "taskdef.json" | "taskdef.yaml" | "taskdef.yml")
}

/// Whether a name is hidden.
pub fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Why the rule leaves out a path; none where it does not.
pub fn left_out(path: &str) -> Option<&'static str> {
    if path.split('/').any(is_hidden) {
        return Some("hidden files and directories are not read");
    }
    match path.split('/').next() {
        Some("target" | "node_modules") => Some("the root's target and node_modules are not read"),
        _ => None,
    }
}

/// Lists a repository, in the order of the paths.
///
/// # Errors
/// When a directory cannot be read, or one of the bounds is reached.
pub fn list<S: Storage>(storage: &mut S, root: &S::Place) -> Result<Vec<FileEntry>, String> {
    let mut walk = Walk { storage, files: Vec::new(), entries: 0, directories: 0 };
    walk.directory(root, "", Region::Root, 0)?;
    let mut files = walk.files;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    for at in 1..files.len() {
        if files[at - 1].path == files[at].path {
            files[at - 1].kind = EntryKind::Twice;
            files[at].kind = EntryKind::Twice;
        }
    }
    Ok(files)
}

/// Which part of the rule holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Region {
    Root,
    /// Below `services` or `components`, in any case of the letters.
    Inside,
    /// Below a hidden directory in there.
    Hidden,
    Outside,
}

impl Region {
    /// Where the entries of a directory are; none where it is left out.
    fn enter(self, name: &str) -> Option<Self> {
        match self {
            _ if name == ".git" => None,
            Self::Root if is_ours(name) => Some(Self::Inside),
            Self::Root if matches!(name, "target" | "node_modules") => None,
            Self::Root | Self::Outside if is_hidden(name) => None,
            Self::Root | Self::Outside => Some(Self::Outside),
            Self::Inside if is_hidden(name) => Some(Self::Hidden),
            Self::Inside => Some(Self::Inside),
            Self::Hidden => Some(Self::Hidden),
        }
    }

    fn lists(self, name: &str) -> bool {
        match self {
            Self::Root if is_ours(name) => true,
            Self::Root | Self::Outside => !is_hidden(name) && parse::is_manifest(name),
            Self::Inside => !is_hidden(name),
            Self::Hidden => makes_a_service(name),
        }
    }
}

fn is_ours(name: &str) -> bool {
    ["services", "components"].iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

struct Walk<'a, S: Storage> {
    storage: &'a mut S,
    files: Vec<FileEntry>,
    entries: usize,
    directories: usize,
}

impl<S: Storage> Walk<'_, S> {
    fn directory(&mut self, place: &S::Place, prefix: &str, region: Region, depth: usize) -> Result<(), String> {
        self.directories += 1;
        if self.directories > MAX_DIRECTORIES {
            return Err(format!("it has more than {MAX_DIRECTORIES} directories"));
        }
        let entries = self.storage.entries(place)?;
        self.entries += entries.len();
        if self.entries > MAX_ENTRIES {
            return Err(format!("it has more than {MAX_ENTRIES} files and directories"));
        }
        for entry in entries.iter() {
            let name = match &entry.name {
                Ok(name) => name,
                Err(shown) => {
                    if region == Region::Inside {
                        self.add(format!("{prefix}{shown}"), String::new(), EntryKind::BadName)?;
                    }
                    continue;
                }
            };
            match entry.what {
                What::Directory => {
                    let Some(inner) = region.enter(name) else { continue };
                    if depth < MAX_DEPTH {
                        self.directory(&entry.place, &format!("{prefix}{name}/"), inner, depth + 1)?;
                    } else if region == Region::Inside {
                        self.add(format!("{prefix}{name}"), String::new(), EntryKind::TooDeep)?;
                    }
                }
                What::Other(kind) if region.lists(name) => {
                    let id = if kind == EntryKind::File { self.storage.id(&entry.place) } else { String::new() };
                    self.add(format!("{prefix}{name}"), id, kind)?;
                }
                What::Other(_) => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, path: String, id: String, kind: EntryKind) -> Result<(), String> {
        if self.files.len() >= MAX_FILES {
            return Err(format!("it has more than {MAX_FILES} files that may be manifests"));
        }
        self.files.push(FileEntry { path, id, kind });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Directories by their number, each with its entries.
    #[derive(Default)]
    struct Numbered {
        directories: BTreeMap<usize, Arc<Vec<Found<usize>>>>,
        read: usize,
    }

    impl Storage for Numbered {
        type Place = usize;
        fn entries(&mut self, directory: &usize) -> Result<Arc<Vec<Found<usize>>>, String> {
            self.read += 1;
            Ok(self.directories.get(directory).cloned().unwrap_or_default())
        }
        fn id(&mut self, file: &usize) -> String {
            file.to_string()
        }
    }

    /// A tree of these paths; one that ends with `/` is an empty directory, `->` marks a link.
    fn tree(paths: &[&[u8]]) -> Numbered {
        let mut by_path: BTreeMap<Vec<u8>, usize> = BTreeMap::from([(Vec::new(), 0)]);
        let mut children: BTreeMap<usize, Vec<Found<usize>>> = BTreeMap::new();
        for path in paths {
            let (path, kind) = match path.strip_suffix(b"->") {
                Some(path) => (path, EntryKind::Link),
                None => (*path, EntryKind::File),
            };
            let mut at = Vec::new();
            let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
            for (depth, part) in parts.iter().enumerate() {
                let parent = by_path[&at];
                at.extend_from_slice(part);
                at.push(b'/');
                if by_path.contains_key(&at) {
                    continue;
                }
                let number = by_path.len();
                by_path.insert(at.clone(), number);
                let what = if depth + 1 == parts.len() { What::Other(kind) } else { What::Directory };
                children.entry(parent).or_default().push(Found { name: name_of(part), what, place: number });
            }
        }
        Numbered { directories: children.into_iter().map(|(at, found)| (at, Arc::new(found))).collect(), read: 0 }
    }

    fn listed(paths: &[&[u8]]) -> Vec<(String, EntryKind)> {
        let files = list(&mut tree(paths), &0).unwrap();
        files.into_iter().map(|file| (file.path, file.kind)).collect()
    }

    // A3: what is listed does not depend on whether it is a checkout or a commit, because this alone decides.
    #[test]
    fn the_rule() {
        use EntryKind::{BadName, File, Link};
        let found = listed(&[
            b"lockstep.yaml",
            b"README.md",
            b".github/workflow.yaml",
            b"target/a.yaml",
            b"node_modules/a.yaml",
            b"app/target/a.yaml",
            b"app/main.rs",
            b"app/taskdef.json->",
            b"services/web/service.yaml",
            b"services/web/notes.txt",
            b"services/web/.swp",
            b"services/.off/web/service.yaml",
            b"services/.off/web/prod.yaml",
            b"services/\xe9quipe/echo/service.yaml",
            b"services/target/service.yaml",
            b"services/web/.git/config",
            b"components/log.yaml->",
            b"Services/old/service.yaml",
        ]);
        let expected = [
            ("Services/old/service.yaml", File),
            ("app/target/a.yaml", File),
            ("app/taskdef.json", Link),
            ("components/log.yaml", Link),
            ("lockstep.yaml", File),
            ("services/.off/web/service.yaml", File),
            ("services/\\xe9quipe", BadName),
            ("services/target/service.yaml", File),
            ("services/web/notes.txt", File),
            ("services/web/service.yaml", File),
        ];
        assert_eq!(found, expected.map(|(path, kind)| (path.to_owned(), kind)));
    }

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0", b"\xff"] {
            assert!(name_of(name).is_err(), "{name:?}");
        }
        assert_eq!(name_of("é".as_bytes()), Ok("é".to_owned()));
    }

    // H5: ten times the same directory, twelve levels deep, is a small repository and 10^12 paths.
    #[test]
    fn a_tree_that_multiplies_ends() {
        let mut storage = Numbered::default();
        for level in 0..12 {
            let found = (0..10).map(|at| Found { name: Ok(format!("d{at}")), what: What::Directory, place: level + 1 });
            storage.directories.insert(level, Arc::new(found.collect()));
        }
        assert_eq!(list(&mut storage, &0).unwrap_err(), "it has more than 100000 directories");
        assert_eq!(storage.read, MAX_DIRECTORIES);
        let wide =
            (0..1000).map(|at| Found { name: Ok(format!("{at}.txt")), what: What::Other(EntryKind::File), place: 9 });
        let above = (0..1001).map(|at| Found { name: Ok(format!("d{at}")), what: What::Directory, place: 1 });
        let mut storage = Numbered::default();
        storage.directories.insert(0, Arc::new(above.collect()));
        storage.directories.insert(1, Arc::new(wide.collect()));
        assert_eq!(list(&mut storage, &0).unwrap_err(), "it has more than 1000000 files and directories");
    }

    #[test]
    fn what_is_too_deep_or_there_twice_is_listed_as_such() {
        let deep = format!("services/{}service.yaml", "d/".repeat(MAX_DEPTH));
        let found = listed(&[deep.as_bytes()]);
        assert_eq!(found, [(format!("services{}", "/d".repeat(MAX_DEPTH)), EntryKind::TooDeep)]);
        let twice = |place| Found { name: Ok("a.yaml".to_owned()), what: What::Other(EntryKind::File), place };
        let mut storage = Numbered::default();
        storage.directories.insert(0, Arc::new(vec![twice(1), twice(2)]));
        let kinds: Vec<EntryKind> = list(&mut storage, &0).unwrap().into_iter().map(|file| file.kind).collect();
        assert_eq!(kinds, [EntryKind::Twice, EntryKind::Twice]);
    }
}
