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

    /// An agent whose renames of files are written down, or which is killed before the first one of these paths. `strace` does
    /// both; the whole group ends with it.
    pub fn traced(endpoint: &str, file: &str, trace: &std::path::Path, kill_at: &[String]) -> Self {
        use std::os::unix::process::CommandExt;
        const CALLS: &str = "rename,renameat,renameat2";
        let agent = lockstep(Some(endpoint));
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-e"]).arg(format!("trace={CALLS}")).arg("-o").arg(trace);
        if !kill_at.is_empty() {
            // Calls are counted by thread, so that paths tell which one. Of `rename` only the first path is looked at.
            command.args(kill_at.iter().flat_map(|path| ["-P", path.as_str()]));
            command.arg("-e").arg(format!("inject={CALLS}:signal=SIGKILL:when=1"));
        }
        command.arg(agent.get_program()).args(["agent", "--config", file]).env_clear();
        command.envs(agent.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.stdin(Stdio::null()).process_group(0);
        Self::spawn(command)
    }

    /// Waits until it ended by itself.
    pub fn wait_until_ended(&mut self) {
        let start = Instant::now();
        while self.child.try_wait().expect("the program can be asked").is_none() {
            assert!(start.elapsed() < PATIENCE, "it did not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it with all that it started.
    pub fn kill_group(mut self) {
        let group = format!("kill -KILL -- -{}", self.child.id());
        let _ = Command::new("bash").args(["-c", &group]).status();
        let _ = self.child.wait();
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
