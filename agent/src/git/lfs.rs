//! Files that are kept with Git LFS: in a commit there is only a pointer to them.

/// How a pointer begins, by its specification.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";

/// Refuses a pointer, which is not the file that people see.
///
/// # Errors
/// A sentence.
pub(super) fn refuse(content: &[u8]) -> Result<(), String> {
    let is_pointer =
        content.starts_with(POINTER) || content.starts_with(b"version https://git-lfs.github.com/spec/v1\r\n");
    match is_pointer {
        true => Err("it is a pointer of Git LFS, not the file itself. Keep manifests in Git: \
                     `git lfs untrack` its pattern, then `git add --renormalize` and commit it"
            .to_owned()),
        false => Ok(()),
    }
}
