//! moto, and a checkout that the program plans and syncs.

use super::services::config;
use lockstep_tests::{
    git_http::git,
    lockstep,
    moto::{ACCOUNT, Moto},
    outcome,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path, process::Command};
use tempfile::TempDir;

/// moto with a cluster, and a checkout of a config repository for it.
pub(crate) struct Rig {
    pub(crate) moto: Moto,
    pub(crate) checkout: TempDir,
}

impl Rig {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let moto = Moto::start();
        moto.call("ecs:CreateCluster", &json!({"clusterName": "prod"}));
        moto.call("ssm:PutParameter", &json!({"Name": "/network/subnets", "Type": "StringList", "Value": moto.ec2("DescribeSubnets", "subnetId").join(",")}));
        moto.call("ssm:PutParameter", &json!({"Name": "/network/group", "Type": "String", "Value": moto.ec2("DescribeSecurityGroups", "groupId")[0]}));
        moto.call("ssm:PutParameter", &json!({"Name": "/shop/url", "Type": "SecureString", "Value": "postgres://"}));
        moto.call("secretsmanager:CreateSecret", &json!({"Name": "shop/stripe", "SecretString": "sk"}));
        let rig = Self { moto, checkout: TempDir::new().unwrap() };
        rig.write("lockstep.yaml", &config(ACCOUNT, "prod"));
        for (path, content) in files {
            rig.write(path, content);
        }
        rig
    }

    pub(crate) fn path(&self) -> &Path {
        self.checkout.path()
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn commit(&self) {
        if !self.path().join(".git").exists() {
            git(self.path(), &["init", "--quiet", "--initial-branch=main"]);
        }
        git(self.path(), &["add", "--all"]);
        git(self.path(), &["commit", "--quiet", "-m", "a change"]);
    }

    /// The program on the checkout.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = lockstep(arguments);
        command.envs(self.moto.environment()).current_dir(self.path());
        command
    }

    pub(crate) fn sync(&self, more: &[&str]) {
        let mut arguments = vec!["sync", "--source", "demo", "--yes", "--no-wait"];
        arguments.extend(more);
        let (exit, stdout, stderr) = outcome(&mut self.command(&arguments));
        assert_eq!(exit, 0, "{stdout}{stderr}");
    }

    /// The plan as data, with the exit code.
    pub(crate) fn plan(&self) -> (i32, Value) {
        let (exit, stdout, stderr) =
            outcome(&mut self.command(&["plan", "--source", "demo", "--exit-code", "--output", "json"]));
        (exit, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}")))
    }

    pub(crate) fn assert_nothing_to_do(&self) {
        let (exit, plan) = self.plan();
        assert_eq!(differences(&plan), BTreeSet::new(), "{plan:#}");
        assert_eq!(exit, 0, "{plan:#}");
        assert!(services(&plan).all(|service| service["actions"] == json!([])), "{plan:#}");
        assert!(services(&plan).all(|service| service["sync"] == "Synced"), "{plan:#}");
    }

    /// Calls that write, since they were forgotten.
    pub(crate) fn writes(&self) -> Vec<String> {
        let is_read = |call: &String| {
            let operation = call.split(':').nth(1).unwrap();
            ["Describe", "List", "Get"].iter().any(|read| operation.starts_with(read))
        };
        self.moto.calls().into_iter().filter(|call| !is_read(call)).collect()
    }

    pub(crate) fn revisions(&self, family: &str) -> Vec<String> {
        let answer = self.moto.call("ecs:ListTaskDefinitions", &json!({"familyPrefix": family}));
        let arns = answer["taskDefinitionArns"].as_array().unwrap();
        arns.iter().map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    }

    pub(crate) fn live(&self, service: &str) -> Value {
        let input = json!({"cluster": "prod", "services": [service], "include": ["TAGS"]});
        self.moto.call("ecs:DescribeServices", &input)["services"][0].clone()
    }
}

pub(crate) fn services(plan: &Value) -> impl Iterator<Item = &Value> {
    plan["environments"].as_array().unwrap().iter().flat_map(|environment| environment["services"].as_array().unwrap())
}

/// (service, path) of everything that would change or is withheld.
pub(crate) fn differences(plan: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for service in services(plan) {
        let steps = ["actions", "withheld"].into_iter().flat_map(|list| service[list].as_array().unwrap());
        for change in steps.flat_map(|step| step["changes"].as_array().into_iter().flatten()) {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            // Of a revision that is registered anew, only what makes it necessary counts, not that the service takes it.
            if text(&change["path"]) != "service.taskDefinition" {
                found.insert((text(&service["name"]), text(&change["path"])));
            }
        }
    }
    found
}
