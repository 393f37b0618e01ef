//! A sandbox on a manual clock and a small client.

use std::time::Duration;

use lockstep_sandbox::{ClockMode, Control, Options, Sandbox};
use serde_json::{Value, json};

/// Requests are signed for this place unless they say otherwise.
pub(crate) const ACCOUNT: &str = "111111111111";
pub(crate) const REGION: &str = "eu-central-1";

/// A target group.
pub(crate) const GROUP: &str =
    "arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/web/0123456789abcdef";

pub(crate) struct Rig {
    pub(crate) sandbox: Sandbox,
    pub(crate) control: Control,
    client: reqwest::Client,
    epoch: f64,
}

/// An error off the wire.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let sandbox = Sandbox::start(Options { clock: ClockMode::Manual, ..options }).await.unwrap();
        let control = sandbox.control();
        control.create_cluster(ACCOUNT, REGION, "demo");
        let epoch = control.now();
        Self { sandbox, control, client: reqwest::Client::new(), epoch }
    }

    pub(crate) fn url(&self) -> String {
        self.sandbox.endpoint_url()
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.client
    }

    pub(crate) async fn send(&self, key: &str, target: &str, body: Value) -> Result<Value, Fault> {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20261121/{REGION}/x/aws4_request, SignedHeaders=host, Signature=0"
        );
        let answer = self
            .client
            .post(self.url())
            .header("authorization", scope)
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        if status == 200 {
            return Ok(body);
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Err(Fault { status, code: text("__type"), message: text("message") })
    }

    /// A call of a service by its target. An error of a service that once spoke the query protocol has its short name.
    pub(crate) async fn call(&self, target: &str, body: Value) -> Result<Value, Fault> {
        self.send(ACCOUNT, target, body).await.map_err(|fault| {
            let code = fault.code.rsplit('#').next().unwrap_or_default().to_owned();
            Fault { code, ..fault }
        })
    }

    /// A form, signed for a service. Returns status and XML.
    pub(crate) async fn form(&self, service: &str, form: &[(&str, &str)]) -> (u16, String) {
        let scope = format!("AWS4-HMAC-SHA256 Credential={ACCOUNT}/20261121/{REGION}/{service}/aws4_request");
        let body: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace('&', "%26").replace('+', "%2B")))
            .collect();
        let answer = self
            .client
            .post(self.url())
            .header("authorization", scope)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"))
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Something below `/sandbox`. Returns status and answer.
    pub(crate) async fn by_hand(&self, method: &str, path: &str, mut body: Value) -> (u16, Value) {
        body["region"] = json!(REGION);
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/sandbox{path}", self.url());
        let answer = self.client.request(method, url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn try_ecs(&self, operation: &str, body: Value) -> Result<Value, Fault> {
        self.send(ACCOUNT, &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body).await
    }

    pub(crate) async fn ecs(&self, operation: &str, body: Value) -> Value {
        self.try_ecs(operation, body).await.unwrap()
    }

    pub(crate) async fn refused(&self, operation: &str, body: Value) -> Fault {
        self.try_ecs(operation, body).await.unwrap_err()
    }

    pub(crate) fn advance(&self, seconds: f64) {
        self.control.advance(Duration::from_secs_f64(seconds));
    }

    /// Seconds since the start of the rig.
    pub(crate) fn offset(&self, moment: &Value) -> f64 {
        ((moment.as_f64().unwrap() - self.epoch) * 1000.0).round() / 1000.0
    }

    /// Registers a definition of one container. Returns its ARN.
    pub(crate) async fn register(&self, family: &str, image: &str) -> String {
        let body = json!({
            "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "256", "memory": "512",
            "containerDefinitions": [{ "name": "web", "image": image, "portMappings": [{ "containerPort": 80 }] }],
        });
        let answer = self.ecs("RegisterTaskDefinition", body).await;
        answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap().to_owned()
    }

    /// Creates the service `web` with members of choice.
    pub(crate) async fn create(&self, definition: &str, more: Value) -> Value {
        let mut body = json!({
            "cluster": "demo", "serviceName": "web", "taskDefinition": definition, "desiredCount": 1,
            "launchType": "FARGATE",
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-b", "subnet-a"] } },
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.ecs("CreateService", body).await["service"].take()
    }

    pub(crate) async fn update(&self, more: Value) -> Value {
        let mut body = json!({ "cluster": "demo", "service": "web" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.ecs("UpdateService", body).await["service"].take()
    }

    pub(crate) async fn service(&self) -> Value {
        let mut answer = self.ecs("DescribeServices", json!({ "cluster": "demo", "services": ["web"] })).await;
        answer["services"][0].take()
    }

    /// The latest service deployment.
    pub(crate) async fn rollout(&self) -> Value {
        let arn = self.service().await["currentServiceDeployment"].clone();
        let mut answer = self.ecs("DescribeServiceDeployments", json!({ "serviceDeploymentArns": [arn] })).await;
        answer["serviceDeployments"][0].take()
    }

    pub(crate) async fn revision(&self, arn: &Value) -> Value {
        let mut answer = self.ecs("DescribeServiceRevisions", json!({ "serviceRevisionArns": [arn] })).await;
        answer["serviceRevisions"][0].take()
    }

    /// Events after a moment, oldest first: seconds since then, and what happened, without the ids.
    pub(crate) async fn events_since(&self, zero: f64) -> Vec<(f64, String)> {
        let service = self.service().await;
        let mut events: Vec<(f64, String)> = service["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| (self.offset(&event["createdAt"]) - zero, plain(event["message"].as_str().unwrap())))
            .filter(|(at, _)| *at >= 0.0)
            .map(|(at, text)| ((at * 1000.0).round() / 1000.0, text))
            .collect();
        events.reverse();
        events
    }

    /// Runs a service to its steady state and returns the moment.
    pub(crate) async fn settle(&self) -> f64 {
        self.advance(600.0);
        assert_eq!(self.service().await["deployments"][0]["rolloutState"], "COMPLETED");
        self.now()
    }

    pub(crate) fn now(&self) -> f64 {
        self.offset(&json!(self.control.now()))
    }

    pub(crate) async fn stopped_tasks(&self) -> Vec<Value> {
        let listed =
            self.ecs("ListTasks", json!({ "cluster": "demo", "serviceName": "web", "desiredStatus": "STOPPED" })).await;
        if listed["taskArns"].as_array().unwrap().is_empty() {
            return Vec::new();
        }
        let described = self.ecs("DescribeTasks", json!({ "cluster": "demo", "tasks": listed["taskArns"] })).await;
        described["tasks"].as_array().unwrap().clone()
    }
}

/// The names or other members of the items of a list.
pub(crate) fn pluck<'a>(answer: &'a Value, list: &str, member: &str) -> Vec<&'a str> {
    answer[list].as_array().unwrap().iter().map(|item| item[member].as_str().unwrap()).collect()
}

/// The contents of all elements of a name.
pub(crate) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(open.as_str()).skip(1).map(|rest| rest.split_once(close.as_str()).unwrap().0).collect()
}

/// An event text without what differs from run to run.
fn plain(message: &str) -> String {
    message
        .split(' ')
        .map(|word| {
            let bare: String = word.chars().filter(char::is_ascii_hexdigit).collect();
            match word {
                _ if word.contains("ecs-svc/") => "ID".to_owned() + word.trim_start_matches(|c: char| c != ')'),
                _ if bare.len() == 32 => {
                    "TASK)".to_owned() + word.trim_start_matches(|c: char| c != ')').trim_start_matches(')')
                }
                _ if word.starts_with("arn:") => "GROUP)".to_owned(),
                _ => word.to_owned(),
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
        .replace("(service web) ", "")
}
