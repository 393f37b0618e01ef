//! moto, an emulator of AWS by somebody else: installed once below `target/`, started on loopback, stopped with the
//! test. Its recorder tells which calls were made.

use serde_json::Value;
use std::{
    fs::File,
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};
use tempfile::TempDir;

/// The version; another one drops other members.
pub const VERSION: &str = "5.2.5";
/// The version of botocore beside it, whose service models are the newest.
pub const BOTOCORE: &str = "1.44.8";
/// The account that any credentials are for.
pub const ACCOUNT: &str = "123456789012";
/// The region that the tests use.
pub const REGION: &str = "eu-central-1";

/// Runs the server, and ends with whoever holds the other end of its stdin, however that ends.
const SERVE: &str = "
import os, sys, threading
def follow():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=follow, daemon=True).start()
from moto.server import main
main(['-H', '127.0.0.1', '-p', sys.argv[1]])
";

/// A running server with nothing in it but what moto starts with; it ends when it is dropped.
pub struct Moto {
    child: Child,
    endpoint: String,
    client: reqwest::blocking::Client,
    directory: TempDir,
}

impl Moto {
    /// Installs moto where that was not done yet, and starts a server.
    ///
    /// # Panics
    /// With a sentence when moto cannot be had: a test that needs it fails without it.
    pub fn start() -> Self {
        let python = installed().join("bin/python");
        let directory = TempDir::new().expect("a temporary directory can be made");
        let client = reqwest::blocking::Client::builder().no_proxy().build().expect("a client can be made");
        // Another process may take the port between our look and the server's start.
        for _ in 0..5 {
            let port = free_port();
            let mut child = Command::new(&python)
                .args(["-c", SERVE, &port.to_string()])
                .env("MOTO_ENABLE_RECORDING", "1")
                .env("MOTO_RECORDER_FILEPATH", directory.path().join("calls"))
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(File::create(directory.path().join("log")).expect("the log can be made"))
                .spawn()
                .expect("moto's python starts");
            let endpoint = format!("http://127.0.0.1:{port}");
            let answers = crate::eventually("moto answers", Duration::from_secs(60), || {
                let ended = child.try_wait().expect("a child can be asked").is_some();
                let probe = client.get(format!("{endpoint}/moto-api/data.json")).send();
                if ended { Some(false) } else { probe.is_ok_and(|answer| answer.status().is_success()).then_some(true) }
            });
            if answers {
                return Self { child, endpoint, client, directory };
            }
        }
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        panic!("moto {VERSION} does not start: {}", last_line(log.as_bytes()));
    }

    /// What to set as `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The program's environment, for this server.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
        ]
    }

    /// A call of one of the JSON protocols, as somebody else would make it: `ecs:CreateCluster` and its input.
    pub fn call(&self, operation: &str, input: &Value) -> Value {
        let (service, operation) = operation.split_once(':').expect("an operation is SERVICE:OPERATION");
        let prefix = match service {
            "ecs" => "AmazonEC2ContainerServiceV20141113",
            "ssm" => "AmazonSSM",
            "secretsmanager" => "secretsmanager",
            "ecr" => "AmazonEC2ContainerRegistry_V20150921",
            "logs" => "Logs_20140328",
            "sqs" => "AmazonSQS",
            _ => panic!("no target is known for {service}"),
        };
        let request = self
            .client
            .post(&self.endpoint)
            .header("X-Amz-Target", format!("{prefix}.{operation}"))
            .header("Content-Type", "application/x-amz-json-1.1")
            .body(input.to_string());
        let answer = self.send(service, operation, request);
        if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer).expect("moto answers JSON") }
    }

    /// A call to EC2, and the texts of this element in its answer.
    pub fn ec2(&self, action: &str, element: &str) -> Vec<String> {
        self.query("ec2", &format!("Action={action}&Version=2016-11-15"), element)
    }

    /// A call of one of the REST protocols.
    pub fn rest(&self, method: reqwest::Method, service: &str, path: &str, body: &str) -> String {
        let request = self.client.request(method, format!("{}/{path}", self.endpoint)).body(body.to_owned());
        self.send(service, path, request)
    }

    /// A call of the Query protocol, with this form, and the texts of this element in its answer.
    pub fn query(&self, service: &str, form: &str, element: &str) -> Vec<String> {
        let request = self
            .client
            .post(&self.endpoint)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        let answer = self.send(service, form, request);
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        answer.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap_or_default().to_owned()).collect()
    }

    fn send(&self, service: &str, operation: &str, request: reqwest::blocking::RequestBuilder) -> String {
        let credential = format!("AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request");
        let answer = request
            .header("Authorization", format!("{credential}, SignedHeaders=host, Signature=0"))
            .send()
            .expect("moto answers");
        let status = answer.status();
        let text = answer.text().expect("moto answers with text");
        assert!(status.is_success(), "{service}:{operation}: {status} {text}");
        text
    }

    /// From now on signatures are verified and permissions are needed, as IAM's policies say.
    pub fn require_permissions(&self) {
        let answer = self.client.post(format!("{}/moto-api/reset-auth", self.endpoint)).body("0").send();
        assert!(answer.expect("moto answers").status().is_success());
    }

    /// The operations that were called since the start or since [`Moto::forget`], in order: `ecs:CreateService`.
    pub fn calls(&self) -> Vec<String> {
        let recording = std::fs::read_to_string(self.recording()).unwrap_or_default();
        let target = |line: &str| -> Option<String> {
            let entry: Value = serde_json::from_str(line).expect("the recording is JSON lines");
            let (service, operation) = entry["headers"]["X-Amz-Target"].as_str()?.split_once('.')?;
            let service = if service.starts_with("AmazonEC2ContainerService") { "ecs" } else { service };
            Some(format!("{service}:{operation}"))
        };
        recording.lines().filter_map(target).collect()
    }

    /// Starts the list of calls anew.
    pub fn forget(&self) {
        std::fs::write(self.recording(), "").expect("the recording can be emptied");
    }

    fn recording(&self) -> PathBuf {
        self.directory.path().join("calls")
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The virtual environment with moto in it.
pub(crate) fn installed() -> &'static Path {
    static ENVIRONMENT: OnceLock<PathBuf> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| match install() {
        Ok(directory) => directory,
        Err(reason) => panic!("moto {VERSION} could not be installed, and this test needs it: {reason}"),
    })
}

fn install() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target");
    let directory = target.join(format!("moto-venv-{VERSION}"));
    let marker = directory.join("complete");
    let failed = |what: &Path, error: std::io::Error| format!("{}: {error}", what.display());
    std::fs::create_dir_all(&target).map_err(|error| failed(&target, error))?;
    // One process installs; the others wait here.
    let path = target.join(format!("moto-venv-{VERSION}.lock"));
    let lock = File::create(&path).map_err(|error| failed(&path, error))?;
    lock.lock().map_err(|error| failed(&path, error))?;
    if marker.exists() {
        return Ok(directory);
    }
    if directory.exists() {
        std::fs::remove_dir_all(&directory).map_err(|error| failed(&directory, error))?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
    let packages = [format!("moto[server]=={VERSION}"), format!("boto3=={BOTOCORE}"), format!("botocore=={BOTOCORE}")];
    let python = directory.join("bin/python");
    run(Command::new(python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
    std::fs::write(&marker, "").map_err(|error| failed(&marker, error))?;
    Ok(directory)
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program} does not start ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    Err(format!("{program} failed ({})", last_line(said)))
}

/// What a program said last, which is mostly why it failed.
fn last_line(mut output: &[u8]) -> String {
    let mut text = String::new();
    if output.read_to_string(&mut text).is_err() {
        return "it says nothing that can be read".to_owned();
    }
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing").trim().to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}
