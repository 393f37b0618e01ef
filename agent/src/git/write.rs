//! Making a commit: files are replaced in the trees of the commit that it is built on. Everything stays in memory until
//! it is known to be wanted.

use super::{GitError, SigningKey, Tip, chain};
use gix::{
    ObjectId,
    objs::{Kind, WriteTo, tree::EntryKind},
};

/// A file with its new content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEdit {
    /// Path from the root.
    pub path: String,
    /// The whole content.
    pub content: Vec<u8>,
}

/// Whose name a commit carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: String,
    /// E-mail address.
    pub email: String,
}

impl Person {
    /// Reads `Name <address>`.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a person like `Deploy Bot <deploy@example.com>`");
        let (name, rest) = text.split_once('<').ok_or_else(bad)?;
        let email = rest.trim_end().strip_suffix('>').ok_or_else(bad)?.trim();
        let name = name.trim();
        let is_plain = |part: &str| !part.is_empty() && !part.contains(['<', '>', '\n', '\r', '\0']);
        if is_plain(name) && is_plain(email) && !email.contains(' ') {
            Ok(Self { name: name.to_owned(), email: email.to_owned() })
        } else {
            Err(bad())
        }
    }
}

/// A commit to be made.
#[derive(Debug)]
pub struct NewCommit<'a> {
    /// What changes. A commit without a change is made all the same: its message may be what it is for.
    pub edits: &'a [FileEdit],
    /// The message.
    pub message: &'a str,
    /// Who wrote it.
    pub author: &'a Person,
    /// Who made it.
    pub committer: &'a Person,
    /// When, epoch seconds.
    pub at: i64,
    /// The key that signs it.
    pub key: Option<&'a SigningKey>,
}

/// A commit with the objects that it brings.
pub(super) struct Built {
    pub(super) tip: Tip,
    pub(super) objects: Vec<(ObjectId, Kind, Vec<u8>)>,
}

/// Builds a commit on another one. Nothing is written.
pub(super) fn build(
    repository: &gix::Repository,
    name: &str,
    base: &Tip,
    new: &NewCommit<'_>,
) -> Result<Built, GitError> {
    let fail = |reason: String| GitError::Unreadable { repository: name.to_owned(), reason };
    let mut repository = repository.clone().with_object_memory();
    let parent = ObjectId::from_hex(base.commit.as_bytes()).map_err(|error| fail(error.to_string()))?;
    let tree = ObjectId::from_hex(base.tree.as_bytes()).map_err(|error| fail(error.to_string()))?;
    let mut editor = repository.edit_tree(tree).map_err(|error| fail(chain(&error)))?;
    for edit in new.edits {
        let existing = repository
            .find_tree(tree)
            .and_then(|tree| tree.lookup_entry_by_path(&edit.path))
            .map_err(|error| fail(chain(&error)))?;
        let kind = match existing.map(|entry| entry.mode().kind()) {
            None => EntryKind::Blob,
            Some(kind @ (EntryKind::Blob | EntryKind::BlobExecutable)) => kind,
            Some(_) => return Err(fail(format!("`{}` is not a regular file", edit.path))),
        };
        let blob = repository.write_blob(&edit.content).map_err(|error| fail(chain(&error)))?.detach();
        editor.upsert(edit.path.as_str(), kind, blob).map_err(|error| fail(chain(&error)))?;
    }
    let tree = editor.write().map_err(|error| fail(chain(&error)))?.detach();
    drop(editor);
    let time = gix::date::Time::new(new.at, 0);
    let signature = |person: &Person| gix::actor::Signature {
        name: person.name.as_str().into(),
        email: person.email.as_str().into(),
        time,
    };
    let mut commit = gix::objs::Commit {
        tree,
        parents: [parent].into_iter().collect(),
        author: signature(new.author),
        committer: signature(new.committer),
        encoding: None,
        message: new.message.into(),
        extra_headers: Vec::new(),
    };
    if let Some(key) = new.key {
        let mut payload = Vec::new();
        commit.write_to(&mut payload).map_err(|error| fail(error.to_string()))?;
        let pem = key.sign(&payload).map_err(|reason| fail(format!("failed to sign the commit: {reason}")))?;
        commit.extra_headers.push(("gpgsig".into(), pem.into()));
    }
    let id = repository.write_object(&commit).map_err(|error| fail(chain(&error)))?.detach();
    let memory = repository.objects.take_object_memory().unwrap_or_default();
    let mut objects: Vec<(ObjectId, Kind, Vec<u8>)> =
        memory.iter().map(|(id, (kind, data))| (*id, *kind, data.clone())).collect();
    objects.sort_by_key(|(id, ..)| *id);
    let tip = Tip {
        commit: id.to_string(),
        tree: tree.to_string(),
        summary: super::objects::line(new.message.lines().next().unwrap_or_default().as_bytes()),
        committed_at: new.at,
    };
    Ok(Built { tip, objects })
}

impl Built {
    /// Writes the objects into the object database.
    pub(super) fn keep(&self, repository: &gix::Repository, name: &str) -> Result<(), GitError> {
        use gix::objs::Write;
        for (_, kind, data) in &self.objects {
            repository
                .objects
                .write_buf(*kind, data)
                .map_err(|error| GitError::Unreadable { repository: name.to_owned(), reason: chain(&error) })?;
        }
        Ok(())
    }
}
