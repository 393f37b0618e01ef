//! Directories of files for the program to look at.

use std::path::Path;
use tempfile::TempDir;

/// A temporary directory with these files.
pub fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (path, text) in files {
        write(directory.path(), path, text);
    }
    directory
}

/// Writes a file below a directory.
pub fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
