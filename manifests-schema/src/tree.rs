//! What manifests are read from: the files of one commit (or of a directory), by path. The program implements it over
//! Git objects and over a checkout.

/// What an entry of the repository is. Only regular files are ever read; everything else is listed so that it can be
/// explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A submodule, or another repository inside of this one.
    Submodule,
    /// A socket, a pipe or a device.
    Special,
    /// Something whose name is not UTF-8 text, or no name at all.
    BadName,
    /// A directory that is nested too deeply.
    TooDeep,
    /// One of two entries of the same name.
    Twice,
}

impl EntryKind {
    /// Why it is not read, after the entry's name; none for a regular file.
    pub fn refusal(self) -> Option<&'static str> {
        Some(match self {
            Self::File => return None,
            Self::Link => "is a symbolic link; it is not followed",
            Self::Submodule => "is a submodule or a repository of its own; it is not followed",
            Self::Special => "is not a regular file",
            Self::BadName => "has a name that is not UTF-8 text",
            Self::TooDeep => "is nested too deeply",
            Self::Twice => "is in its directory twice",
        })
    }
}

/// An entry of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Path from the root, `/` between the parts.
    pub path: String,
    /// An id that changes when the content does: the Git object id, or a hash.
    pub id: String,
    /// What it is.
    pub kind: EntryKind,
}

impl FileEntry {
    /// A regular file.
    pub fn file(path: impl Into<String>, id: impl Into<String>) -> Self {
        Self { path: path.into(), id: id.into(), kind: EntryKind::File }
    }

    /// Whether it may be read.
    pub fn is_regular(&self) -> bool {
        self.kind == EntryKind::File
    }
}

/// The files of one state of the repository.
pub trait Tree {
    /// All files, sorted by path.
    fn files(&self) -> &[FileEntry];

    /// The content of a regular file.
    ///
    /// # Errors
    /// A sentence that says why the object cannot be read.
    fn read(&self, file: &FileEntry) -> Result<Vec<u8>, String>;

    /// The file of this path.
    fn find(&self, path: &str) -> Option<&FileEntry> {
        let files = self.files();
        files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|at| &files[at])
    }

    /// The files below a directory (`a/b`, without the last slash), in path order.
    fn below<'a>(&'a self, directory: &str) -> &'a [FileEntry] {
        let files = self.files();
        let prefix = format!("{directory}/");
        let start = files.partition_point(|file| file.path.as_str() < prefix.as_str());
        let length = files[start..].partition_point(|file| file.path.starts_with(&prefix));
        &files[start..start + length]
    }
}

/// Files in memory, for tests and for single files given on the command line.
#[derive(Clone, Debug, Default)]
pub struct MemoryTree {
    files: Vec<FileEntry>,
    contents: Vec<Vec<u8>>,
}

impl MemoryTree {
    /// A tree of these (path, content) pairs.
    pub fn new<P: Into<String>, C: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, C)>) -> Self {
        let mut pairs: Vec<(String, Vec<u8>)> =
            files.into_iter().map(|(path, content)| (path.into(), content.into())).collect();
        pairs.sort();
        let mut tree = Self::default();
        for (path, content) in pairs {
            let id = format!("{}-{}", tree.files.len(), content.len());
            tree.files.push(FileEntry::file(path, id));
            tree.contents.push(content);
        }
        tree
    }
}

impl Tree for MemoryTree {
    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn read(&self, file: &FileEntry) -> Result<Vec<u8>, String> {
        let at =
            self.files.binary_search_by(|other| other.path.cmp(&file.path)).map_err(|_| "no such file".to_owned())?;
        Ok(self.contents[at].clone())
    }
}
