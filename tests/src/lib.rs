//! What the end-to-end tests stand on: the program itself, and the counterparts that it talks to. The tests are in
//! `tests/`; nothing here knows what they expect.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod aws;
pub mod certificates;
pub mod chaos;
pub mod files;
pub mod git_http;
pub mod git_ssh;
pub mod images;
pub mod judge;
pub mod listener;
pub mod moto;
pub mod program;
pub mod registry;
pub mod world;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// The program, built once per process with the profile and in the target directory of the running test.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows where it is");
        let profile = test.ancestors().nth(2).expect("a test is at TARGET/PROFILE/deps/NAME");
        let target = profile.parent().expect("a profile is below the target directory");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "-p", "lockstep", "--bin", "lockstep", "--target-dir"]).arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo starts");
        assert!(built.status.success(), "the program does not build:\n{}", String::from_utf8_lossy(&built.stderr));
        profile.join(format!("lockstep{}", std::env::consts::EXE_SUFFIX))
    })
}

/// The program in an environment that holds nothing of the machine's: no AWS settings, no Git settings, no colour.
pub fn lockstep<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_COLOR", "1");
    command
}

/// What a command left: its exit code, stdout and stderr.
pub fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
    (status.code().expect("the program is not killed"), text(stdout), text(stderr))
}

/// Waits for a condition beside other futures of the same task; fails after a minute.
pub async fn eventually_async(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "not within a minute");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Waits for a condition, and fails with `what` when it does not hold in time.
pub fn eventually<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(25));
    }
}
