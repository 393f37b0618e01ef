//! Reads that ask whether something is there: for `verify`. Values of secrets and parameters are never looked at.

use super::{AwsError, Clients, error::Remedy, json, pace::Group, signed};
use serde_json::Value;
use std::collections::BTreeMap;

/// Names that GetParameters takes in one call.
const BATCH: usize = 10;
impl Clients {
    /// Which of these parameters are there. Their values are not decrypted and not kept.
    ///
    /// # Errors
    /// As a call fails.
    pub async fn parameters_there(&self, names: &[String]) -> Result<BTreeMap<String, bool>, AwsError> {
        let mut found = BTreeMap::new();
        for batch in names.chunks(BATCH) {
            self.pace.acquire(Group::Parameters).await;
            let answer = self.ssm.get_parameters().set_names(Some(batch.to_vec())).with_decryption(false).send().await;
            let answer = answer.map_err(|error| AwsError::from_sdk("ssm:GetParameters", &error))?;
            for name in batch {
                found.insert(name.clone(), !answer.invalid_parameters().contains(name));
            }
        }
        Ok(found)
    }

    /// Whether a secret is there and not about to be deleted.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn secret_there(&self, id: &str) -> Result<bool, AwsError> {
        self.pace.acquire(Group::Parameters).await;
        const OPERATION: &str = "secretsmanager:DescribeSecret";
        match self.json(json::SECRETS, OPERATION, &serde_json::json!({ "SecretId": id })).await {
            Ok(answer) => json::text(OPERATION, &answer, "ARN").map(|_| answer["DeletedDate"].is_null()),
            Err(error) if error.remedy == Remedy::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A role's trust policy. None where there is no such role.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn trust_policy(&self, role: &str) -> Result<Option<Value>, AwsError> {
        const OPERATION: &str = "iam:GetRole";
        let parameters = [("RoleName".to_owned(), role.to_owned())];
        match self.query(signed::IAM, OPERATION, &parameters).await {
            Ok(answer) => {
                let text = signed::texts(&answer, "AssumeRolePolicyDocument").pop().unwrap_or_default();
                // The document is JSON, percent-encoded.
                let encoded = format!("d={}", text.replace('+', "%2B"));
                let decoded = form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, text)| text.into_owned());
                let policy = decoded.and_then(|text| serde_json::from_str(&text).ok());
                policy.map(Some).ok_or_else(|| AwsError::build(OPERATION, &"the trust policy is not JSON"))
            }
            Err(error) if error.remedy == Remedy::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A target group's type. None where there is no such target group.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn target_type(&self, arn: &str) -> Result<Option<String>, AwsError> {
        let parameters = [("TargetGroupArns.member.1".to_owned(), arn.to_owned())];
        match self.query(signed::BALANCING, "elasticloadbalancing:DescribeTargetGroups", &parameters).await {
            Ok(answer) if signed::texts(&answer, "TargetGroupArn").is_empty() => Ok(None),
            Ok(answer) => Ok(Some(signed::texts(&answer, "TargetType").pop().unwrap_or_default())),
            Err(error) if error.remedy == Remedy::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The VPCs of subnets, or of security groups. None where one of them is not there; the text says which.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn vpcs(&self, what: Network, ids: &[String]) -> Result<Result<Vec<String>, String>, AwsError> {
        let (operation, parameter) = match what {
            Network::Subnets => ("ec2:DescribeSubnets", "SubnetId"),
            Network::SecurityGroups => ("ec2:DescribeSecurityGroups", "GroupId"),
        };
        let parameters: Vec<(String, String)> =
            ids.iter().enumerate().map(|(at, id)| (format!("{parameter}.{}", at + 1), id.clone())).collect();
        match self.query(signed::EC2, operation, &parameters).await {
            Ok(answer) => Ok(Ok(signed::texts(&answer, "vpcId"))),
            Err(error) if error.remedy == Remedy::NotFound => Ok(Err(error.text)),
            Err(error) => Err(error),
        }
    }

    /// Which of these alarms are not there.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn alarms_missing(&self, names: &[String]) -> Result<Vec<String>, AwsError> {
        let parameters: Vec<(String, String)> = names
            .iter()
            .enumerate()
            .map(|(at, name)| (format!("AlarmNames.member.{}", at + 1), name.clone()))
            .collect();
        let answer = self.query(signed::MONITORING, "cloudwatch:DescribeAlarms", &parameters).await?;
        let there = signed::texts(&answer, "AlarmName");
        Ok(names.iter().filter(|name| !there.contains(name)).cloned().collect())
    }

    /// Whether a log group is there.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn log_group_there(&self, name: &str) -> Result<bool, AwsError> {
        let input = serde_json::json!({ "logGroupNamePrefix": name });
        const OPERATION: &str = "logs:DescribeLogGroups";
        let answer = self.json(json::LOGS, OPERATION, &input).await?;
        Ok(json::list(OPERATION, &answer, "logGroups")?.iter().any(|group| group["logGroupName"] == name))
    }

    /// The capacity providers of a cluster. None where there is no such active cluster.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn capacity_providers(&self, cluster: &str) -> Result<Option<Vec<String>>, AwsError> {
        self.pace.acquire(Group::ClusterResourceRead).await;
        let answer = self.ecs.describe_clusters().clusters(cluster).send().await;
        let answer = answer.map_err(|error| AwsError::from_sdk("ecs:DescribeClusters", &error))?;
        let active = answer.clusters().iter().find(|cluster| cluster.status() == Some("ACTIVE"));
        Ok(active.map(|cluster| cluster.capacity_providers().to_vec()))
    }
}

/// What a VPC is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Subnets.
    Subnets,
    /// Security groups.
    SecurityGroups,
}
