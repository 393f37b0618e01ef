//! A registry: Debian's `docker-registry` on loopback, with images that `skopeo` pushes. What the distribution API says is
//! decided by these two; here is only how they are started, and what is in the images.

mod image;
mod tokens;

pub use image::ImageSpec;
pub use tokens::TokenService;

use crate::certificates::Certificates;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};
use tempfile::TempDir;

/// The user of registries that want one.
pub const USER: &str = "robot";
/// The user's password.
pub const PASSWORD: &str = "not-a-secret";
/// The same, hashed by bcrypt.
const HASHED: &str = "$2b$04$5H1FdZYTMiqxdlJIdcojwusCxpUOwjZaifMGH9OdGrWvFqqogYcsa";
/// Longest that a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who may read.
#[derive(Clone, Copy, Default)]
pub enum Doors<'a> {
    /// Anybody.
    #[default]
    Open,
    /// [`USER`] with [`PASSWORD`], which the registry itself asks for.
    Login,
    /// Who has a token of this service.
    Tokens(&'a TokenService),
}

/// How to serve.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Who may read.
    pub doors: Doors<'a>,
    /// Whether to speak TLS, with these certificates.
    pub tls: Option<&'a Certificates>,
}

/// A running registry on a free port, with its storage in a temporary directory; it ends when it is dropped.
pub struct Registry {
    child: Child,
    address: String,
    has_login: bool,
    directory: TempDir,
}

impl Registry {
    /// A registry that anybody may read, over plain HTTP.
    pub fn start() -> Self {
        Self::with(&Options::default())
    }

    /// A registry.
    pub fn with(options: &Options<'_>) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let file = directory.path().join("registry.json");
        // JSON is YAML.
        std::fs::write(&file, settings(options, directory.path()).to_string()).expect("a file can be written");
        let mut child = program("docker-registry", "docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry: {error}; install the Debian package docker-registry"));
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        // Reads to the end: a registry whose log is full would hang.
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut said = String::new();
        let address = loop {
            let Ok(line) = lines.recv_timeout(PATIENCE) else {
                let _ = child.kill();
                panic!("docker-registry does not listen:\n{said}");
            };
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split(['"', ',', ' ']).next().unwrap_or_default().to_owned();
            }
            said.push_str(&line);
            said.push('\n');
        };
        Self { child, address, has_login: !matches!(options.doors, Doors::Open), directory }
    }

    /// The address with the port: `127.0.0.1:40123`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Pushes an image, and answers the digest of what the tag then names.
    pub fn push(&self, repository: &str, tag: &str, image: &ImageSpec) -> String {
        let layout = TempDir::new_in(self.directory.path()).expect("a temporary directory can be made");
        let digest = image.write(layout.path(), tag);
        let mut command = program("skopeo", "skopeo");
        command
            .args(["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"])
            .env("HOME", layout.path());
        if self.has_login {
            command.arg(format!("--dest-creds={USER}:{PASSWORD}"));
        }
        let pushed = command
            .arg(format!("oci:{}:{tag}", layout.path().display()))
            .arg(format!("docker://{}/{repository}:{tag}", self.address))
            .output()
            .unwrap_or_else(|error| panic!("skopeo: {error}; install the Debian package skopeo"));
        assert!(pushed.status.success(), "skopeo: {}", String::from_utf8_lossy(&pushed.stderr));
        digest
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(options: &Options<'_>, directory: &Path) -> Value {
    let mut settings = json!({
        "version": "0.1",
        "log": { "level": "info" },
        "storage": { "filesystem": { "rootdirectory": directory.join("storage") }, "delete": { "enabled": true } },
        "http": { "addr": "127.0.0.1:0", "secret": "tests" },
    });
    if let Some(certificates) = options.tls {
        settings["http"]["tls"] = json!({ "certificate": certificates.certificate(), "key": certificates.key() });
    }
    match options.doors {
        Doors::Open => {}
        Doors::Login => {
            let users = directory.join("users");
            std::fs::write(&users, format!("{USER}:{HASHED}\n")).expect("a file can be written");
            settings["auth"] = json!({ "htpasswd": { "realm": "tests", "path": users } });
        }
        Doors::Tokens(service) => settings["auth"] = json!({ "token": service.settings() }),
    }
    settings
}

/// A program of a Debian package, in an environment that holds nothing of the machine's.
fn program(name: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    assert!(is_there, "there is no {name}; install the Debian package {package}");
    let mut command = Command::new(name);
    command.env_clear().env("PATH", path).stdin(Stdio::null());
    command
}
