//! A bare repository for a server, and the checkout from which it is pushed to, by the `git` program.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A bare repository `NAME.git` with a checkout `NAME` beside it, both on `main`.
pub struct Repository {
    bare: PathBuf,
    checkout: PathBuf,
}

impl Repository {
    /// Makes both below a directory.
    pub fn new(root: &Path, name: &str) -> Self {
        let (bare, checkout) = (root.join(format!("{name}.git")), root.join(name));
        git(root, &["init", "--quiet", "--bare", "--initial-branch=main", &format!("{name}.git")]);
        git(root, &["init", "--quiet", "--initial-branch=main", name]);
        git(&checkout, &["remote", "add", "origin", &bare.display().to_string()]);
        Self { bare, checkout }
    }

    /// The bare repository.
    pub fn bare(&self) -> &Path {
        &self.bare
    }

    /// The checkout.
    pub fn checkout(&self) -> &Path {
        &self.checkout
    }

    /// Writes a file of the checkout.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.checkout.join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("directories can be made");
        std::fs::write(path, content).expect("the file can be written");
    }

    /// Commits everything, pushes (with force, where that is needed), and answers the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.commit_with(message, &[])
    }

    /// The same at a time of one's own, so that what is committed again has the same id.
    pub fn commit_at(&self, message: &str, at: i64) -> String {
        let at = format!("{at} +0000");
        self.commit_with(message, &[("GIT_AUTHOR_DATE", &at), ("GIT_COMMITTER_DATE", &at)])
    }

    fn commit_with(&self, message: &str, environment: &[(&str, &str)]) -> String {
        git(&self.checkout, &["add", "--all"]);
        git_with(&self.checkout, &["commit", "--quiet", "--allow-empty", "-m", message], environment);
        git(&self.checkout, &["push", "--quiet", "--force", "origin", "HEAD:refs/heads/main"]);
        git(&self.checkout, &["rev-parse", "HEAD"])
    }
}

/// Runs the `git` program without anybody's settings, and answers its stdout without the last line's end.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    git_with(directory, arguments, &[])
}

fn git_with(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["AUTHOR", "COMMITTER"].map(|role| (format!("GIT_{role}_NAME"), "Ada")))
        .envs(["AUTHOR", "COMMITTER"].map(|role| (format!("GIT_{role}_EMAIL"), "ada@example.com")))
        .envs(environment.iter().copied())
        .output()
        .expect("the git program is there");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("git answers UTF-8");
    text.trim_end_matches('\n').to_owned()
}
