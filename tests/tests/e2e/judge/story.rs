//! Who calls the sandbox, and how.

use lockstep_sandbox::{Behaviour, Effect, Fault, Options, Timing, When};
use lockstep_tests::{
    aws::{Aws, Emulator, Reply},
    moto::{ACCOUNT, REGION},
};
use serde_json::{Value, json};
use std::{cell::RefCell, time::Duration};

pub(crate) const CLUSTER: &str = "prod";
pub(crate) const REPOSITORY: &str = "shop/web";

/// A sandbox and who calls it.
pub(crate) struct Story {
    pub(crate) emulator: Emulator,
    pub(crate) aws: Aws,
    /// Entries of the journal with their answers as XML.
    rendered: RefCell<Vec<Value>>,
}

impl Story {
    pub(crate) fn new(options: Options) -> Self {
        let emulator = Emulator::start(options);
        let aws = emulator.client(ACCOUNT);
        Self { emulator, aws, rendered: RefCell::default() }
    }

    fn call(&self, operation: &str, input: &Value) -> Reply {
        match operation.split_once(':') {
            Some(("sts" | "elasticloadbalancing", _)) => self.form(operation, input),
            _ => self.aws.send(operation, input),
        }
    }

    /// A call in the query protocol, whose XML the judge reads too.
    pub(crate) fn form(&self, operation: &str, input: &Value) -> Reply {
        let (reply, xml) = self.aws.query(operation, input);
        let journal = self.emulator.control.journal(0);
        let mut entry = serde_json::to_value(journal.last().unwrap()).unwrap();
        entry["xml"] = json!(xml);
        self.rendered.borrow_mut().push(entry);
        reply
    }

    /// The entries of the calls in the query protocol, with `xml`.
    pub(crate) fn rendered(&self) -> Vec<Value> {
        self.rendered.borrow().clone()
    }

    /// A call that is answered.
    pub(crate) fn ok(&self, operation: &str, input: Value) -> Value {
        let reply = self.call(operation, &input);
        assert_eq!(reply.status, 200, "{operation} {input}: {}", reply.body);
        reply.body
    }

    /// A call that is refused with this code.
    pub(crate) fn no(&self, operation: &str, input: Value, code: &str) {
        let reply = self.call(operation, &input);
        assert_eq!(reply.code(), Some(code), "{operation} {input}: {}", reply.body);
    }

    /// All pages of a list, each by itself small.
    pub(crate) fn pages(&self, operation: &str, input: Value, token: &str, size: &str, items: &str) -> Vec<Value> {
        let (mut all, mut input) = (Vec::new(), input);
        input[size] = json!(1);
        loop {
            let page = self.ok(operation, input.clone());
            all.extend(page[items].as_array().unwrap().clone());
            match page.get(token) {
                Some(next) => input[token] = next.clone(),
                None => return all,
            }
        }
    }

    pub(crate) fn register(&self, family: &str, more: Value) -> Value {
        let container = json!({"name": "web", "image": image("1"), "portMappings": [{"containerPort": 80}]});
        let base = json!({
            "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
            "memory": "512", "containerDefinitions": [container],
        });
        self.ok("ecs:RegisterTaskDefinition", over(base, more))["taskDefinition"]["taskDefinitionArn"].clone()
    }

    pub(crate) fn create(&self, name: &str, definition: &str, more: Value) {
        let base = json!({"cluster": CLUSTER, "serviceName": name, "taskDefinition": definition, "desiredCount": 2});
        self.ok("ecs:CreateService", over(base, more));
    }

    pub(crate) fn update(&self, name: &str, more: Value) {
        self.ok("ecs:UpdateService", over(json!({"cluster": CLUSTER, "service": name}), more));
    }

    /// All that can be seen of these services, and of all tasks.
    pub(crate) fn look(&self, services: &[&str]) {
        self.look_at(services);
        self.tasks();
    }

    /// All that can be seen of these services themselves.
    pub(crate) fn look_at(&self, services: &[&str]) {
        let described =
            self.ok("ecs:DescribeServices", json!({"cluster": CLUSTER, "services": services, "include": ["TAGS"]}));
        for service in described["services"].as_array().unwrap() {
            let one = json!({"cluster": CLUSTER, "service": service["serviceName"]});
            let listed = self.ok("ecs:ListServiceDeployments", one);
            let arns: Vec<&Value> = items(&listed["serviceDeployments"], "serviceDeploymentArn");
            let deployments = self.ok("ecs:DescribeServiceDeployments", json!({"serviceDeploymentArns": arns}));
            let targets = deployments["serviceDeployments"].as_array().unwrap().iter();
            let revisions: Vec<&Value> = targets.map(|one| &one["targetServiceRevision"]["arn"]).collect();
            self.ok("ecs:DescribeServiceRevisions", json!({"serviceRevisionArns": revisions}));
        }
    }

    /// The tasks of the cluster, running and stopped.
    pub(crate) fn tasks(&self) {
        for status in ["RUNNING", "STOPPED"] {
            let tasks =
                self.ok("ecs:ListTasks", json!({"cluster": CLUSTER, "desiredStatus": status}))["taskArns"].take();
            if tasks != json!([]) {
                self.ok("ecs:DescribeTasks", json!({"cluster": CLUSTER, "tasks": tasks, "include": ["TAGS"]}));
            }
        }
    }

    /// Looks at services through a time, every so many seconds.
    pub(crate) fn watch(&self, services: &[&str], seconds: u64, step: u64) {
        for _ in 0..seconds / step {
            self.look(services);
            self.emulator.control.advance(Duration::from_secs(step));
        }
        self.look(services);
    }

    pub(crate) fn push(&self, tag: &str, behaviour: Behaviour) {
        self.emulator.control.push_image(ACCOUNT, REGION, REPOSITORY, tag, behaviour);
    }

    /// A fault on one call.
    pub(crate) fn fault(&self, operation: &str, effect: Effect, timing: Timing) {
        self.emulator.control.add_fault(Fault::new(operation, effect).when(When::First(1)).timing(timing));
    }
}

pub(crate) fn image(tag: &str) -> String {
    format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:{tag}")
}

pub(crate) fn over(mut base: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

pub(crate) fn items<'a>(list: &'a Value, member: &str) -> Vec<&'a Value> {
    list.as_array().unwrap().iter().map(|item| &item[member]).collect()
}

pub(crate) fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-b", "subnet-a"], "securityGroups": ["sg-1"]}})
}

pub(crate) fn fargate(more: Value) -> Value {
    over(json!({"launchType": "FARGATE", "networkConfiguration": network()}), more)
}

pub(crate) fn balanced() -> Value {
    let group = format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/0123456789abcdef");
    json!([{"targetGroupArn": group, "containerName": "web", "containerPort": 80}])
}
