//! A client of the AWS wire protocols as somebody else would write it, for the sandbox and for moto alike; and a sandbox
//! to call with it.

use crate::moto::{ACCOUNT, REGION};
use lockstep_sandbox::{ClockMode, Control, Options, Sandbox};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

/// Calls one endpoint with one access key.
pub struct Aws {
    endpoint: String,
    key: String,
    client: reqwest::blocking::Client,
}

/// What came back: of an error, `__type` and `message`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, as JSON whatever the protocol.
    pub body: Value,
}

impl Reply {
    /// The error's code.
    pub fn code(&self) -> Option<&str> {
        self.body["__type"].as_str().filter(|_| self.status != 200)
    }
}

impl Aws {
    /// A client of an endpoint. An access key of the sandbox that is an account's id is for that account.
    pub fn new(endpoint: &str, key: &str) -> Self {
        let client = reqwest::blocking::Client::builder().no_proxy().build().expect("a client can be made");
        Self { endpoint: endpoint.to_owned(), key: key.to_owned(), client }
    }

    /// A call: `ecs:CreateCluster` and its input.
    ///
    /// # Panics
    /// When there is no answer, or a good one that is not of the protocol.
    pub fn send(&self, operation: &str, input: &Value) -> Reply {
        let (service, operation) = operation.split_once(':').expect("an operation is SERVICE:OPERATION");
        let prefix = match service {
            "ecs" => "AmazonEC2ContainerServiceV20141113",
            "ecr" => "AmazonEC2ContainerRegistry_V20150921",
            "ssm" => "AmazonSSM",
            "secretsmanager" => "secretsmanager",
            "application-autoscaling" => "AnyScaleFrontendService",
            "cloudwatch" => "GraniteServiceVersion20100801",
            "logs" => "Logs_20140328",
            "sqs" => "AmazonSQS",
            "sts" | "elasticloadbalancing" => return self.query(&format!("{service}:{operation}"), input).0,
            _ => panic!("no target is known for {service}"),
        };
        let request = self
            .client
            .post(&self.endpoint)
            .header("X-Amz-Target", format!("{prefix}.{operation}"))
            .header("Content-Type", "application/x-amz-json-1.1")
            .body(input.to_string());
        let (status, text) = self.signed(service, request);
        let mut body: Value = match text.as_str() {
            "" => json!({}),
            // moto fails with a page.
            text => serde_json::from_str(text).unwrap_or_else(|_| json!({ "__type": "NotJson", "message": text })),
        };
        assert!(status != 200 || body.get("__type").is_none(), "{service}:{operation} answers {text}");
        // Clients take the message under either name, and the code with or without its namespace.
        if let Some(message) = body.as_object_mut().filter(|_| status != 200).and_then(|body| body.remove("Message")) {
            body["message"] = message;
        }
        if let Some((_, code)) = body["__type"].as_str().and_then(|code| code.split_once('#')) {
            body["__type"] = json!(code);
        }
        Reply { status, body }
    }

    /// A call in the query protocol: a form. Answers its XML too.
    ///
    /// # Panics
    /// When there is no answer, or one that is not of the protocol.
    pub fn query(&self, operation: &str, input: &Value) -> (Reply, String) {
        let (service, operation) = operation.split_once(':').expect("an operation is SERVICE:OPERATION");
        let (signed, version) = match service {
            "sts" => ("sts", "2011-06-15"),
            "elasticloadbalancing" => ("elasticloadbalancing", "2015-12-01"),
            "cloudwatch" => ("monitoring", "2010-08-01"),
            _ => panic!("no query protocol is known for {service}"),
        };
        let mut form = format!("Action={operation}&Version={version}");
        fields("", input, &mut form);
        let request =
            self.client.post(&self.endpoint).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        let (status, text) = self.signed(signed, request);
        let mut document = elements(&text);
        let body = match status {
            200 => document[format!("{operation}Response")][format!("{operation}Result")].take(),
            _ => {
                let error = &document["ErrorResponse"]["Error"];
                json!({ "__type": error["Code"], "message": error["Message"] })
            }
        };
        assert!(body.is_object(), "{service}:{operation} answers {text}");
        (Reply { status, body }, text)
    }

    fn signed(&self, service: &str, request: reqwest::blocking::RequestBuilder) -> (u16, String) {
        let scope = format!("{}/20260101/{REGION}/{service}/aws4_request", self.key);
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let answer = request.header("Authorization", authorization).send().expect("an answer");
        (answer.status().as_u16(), answer.text().expect("an answer of text"))
    }
}

/// Adds a value's fields to a form: `&Targets.member.1.Id=10.0.0.1`.
fn fields(name: &str, value: &Value, form: &mut String) {
    let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(member, value)| fields(&below(member), value, form)),
        Value::Array(items) => {
            (1..).zip(items).for_each(|(at, item)| fields(&below(&format!("member.{at}")), item, form));
        }
        Value::String(text) => form.push_str(&format!("&{name}={}", escaped(text))),
        other => form.push_str(&format!("&{name}={other}")),
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What is inside an element of XML: texts, elements by name, or the items of a list.
#[derive(Default)]
struct Inside {
    members: Map<String, Value>,
    items: Vec<Value>,
}

/// The elements of an XML text without attributes that matter: objects, lists of `member`, and texts.
fn elements(xml: &str) -> Value {
    let mut open = vec![(String::new(), Inside::default())];
    let mut text = String::new();
    for piece in xml.split('<').skip(1) {
        let (tag, after) = piece.split_once('>').expect("XML");
        if let Some(name) = tag.strip_prefix('/') {
            let (opened, inside) = open.pop().expect("XML");
            assert_eq!(opened, name);
            let value = match inside {
                Inside { items, .. } if !items.is_empty() => Value::Array(items),
                Inside { members, .. } if !members.is_empty() => Value::Object(members),
                _ if name.ends_with("Result") => json!({}),
                _ => Value::from(text.trim().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")),
            };
            let (_, outside) = open.last_mut().expect("XML");
            match opened.as_str() {
                "member" => outside.items.push(value),
                _ => drop(outside.members.insert(opened, value)),
            }
        } else if !tag.starts_with('?') {
            let name = tag.split_whitespace().next().unwrap_or_default();
            open.push((name.to_owned(), Inside::default()));
        }
        after.clone_into(&mut text);
    }
    Value::Object(open.swap_remove(0).1.members)
}

/// A sandbox on a clock that the test moves, with a runtime of its own. Its journal keeps answers.
pub struct Emulator {
    /// The hand of the test.
    pub control: Control,
    sandbox: Sandbox,
    _runtime: Runtime,
}

impl Emulator {
    /// Starts one whose default account is moto's.
    pub fn start(options: Options) -> Self {
        let runtime = Runtime::new().expect("a runtime can be made");
        let options =
            Options { clock: ClockMode::Manual, default_account: ACCOUNT.to_owned(), journal_answers: true, ..options };
        let sandbox = runtime.block_on(Sandbox::start(options)).expect("a free port");
        Self { control: sandbox.control(), sandbox, _runtime: runtime }
    }

    /// A client for it.
    pub fn client(&self, key: &str) -> Aws {
        Aws::new(&self.sandbox.endpoint_url(), key)
    }
}
