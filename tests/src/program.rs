//! The built program as a process, in a clean environment.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Longest that a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program in a clean environment, with AWS at an endpoint.
pub fn lockstep(endpoint: Option<&str>) -> Command {
    let mut command = crate::lockstep::<&str>([]);
    at(&mut command, endpoint);
    command
}

fn at(command: &mut Command, endpoint: Option<&str>) {
    command.stdin(Stdio::null());
    if let Some(endpoint) = endpoint {
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", crate::world::ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", "sandbox")
            .env("AWS_REGION", crate::world::REGION);
    }
}

/// stdout and stderr as text.
pub fn text(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// An HTTP GET; the status and the body, or none when nobody answers.
pub fn get(url: &str) -> Option<(u16, String)> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(10)).build().ok()?;
                let answer = client.get(url).send().ok()?;
                Some((answer.status().as_u16(), answer.text().ok()?))
            })
            .join()
            .expect("the request ends")
    })
}

/// A program that runs until it is told to end.
pub struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Running {
    /// An agent with its file.
    pub fn agent(endpoint: &str, file: &str, arguments: &[&str]) -> Self {
        let mut command = lockstep(Some(endpoint));
        command.args(["agent", "--config", file]).args(arguments);
        Self::spawn(command)
    }

    /// A shell script.
    pub fn shell(endpoint: &str, script: &str) -> Self {
        let mut command = Command::new("bash");
        at(&mut command, Some(endpoint));
        command.args(["-c", script]);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().expect("it is piped");
        let written = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = written.lock().expect("the log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Waits for a condition. Panics with the log when it does not come true, or when the program ends before.
    pub fn wait_until(&mut self, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            let ended = self.child.try_wait().expect("the program can be asked");
            assert!(ended.is_none(), "the program ended ({ended:?}):\n{}", self.log());
            assert!(start.elapsed() < PATIENCE, "it did not happen:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a text in the log.
    pub fn wait_until_logged(&mut self, text: &str) {
        let log = self.log.clone();
        self.wait_until(|| log.lock().expect("the log").contains(text));
    }

    /// Where an agent's API answers.
    pub fn address(&mut self) -> String {
        self.wait_until_logged("started address=");
        let log = self.log();
        let rest = log.split("started address=").nth(1).expect("it is there");
        format!("http://{}", rest.split_whitespace().next().expect("an address"))
    }

    /// Kills it at once, as a machine that fails does.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM, and waits for the end at most this long.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        let id = self.child.id().to_string();
        let sent = Command::new("bash").args(["-c", &format!("kill -TERM {id}")]).status().expect("a shell");
        assert!(sent.success());
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the program can be asked") {
                return status;
            }
            assert!(start.elapsed() < limit, "it did not end within {limit:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
