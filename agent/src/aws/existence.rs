//! Reads that ask whether something is there: for `verify`. Values of secrets and parameters are never looked at.

use super::{AwsError, Clients, error::Remedy, pace::Group, signed};
use serde_json::Value;
use std::collections::BTreeMap;

/// Names that GetParameters takes in one call.
const BATCH: usize = 10;
/// Longest image configuration that is read, in bytes.
const LONGEST_CONFIGURATION: usize = 1024 * 1024;
/// Manifests that are understood: indexes before single ones.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// An image in a repository of ECR.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId {
    /// The registry: an account.
    pub account: String,
    /// The repository.
    pub repository: String,
    /// The tag, or the digest with its `sha256:`.
    pub reference: String,
}

/// Operating system and architecture, as image configurations name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux`, `windows`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The platforms that it has; none where that could not be read, for this reason.
    pub platforms: Result<Vec<Platform>, String>,
}

impl Clients {
    /// Looks an image up with its platforms. None where there is no such image, or no such repository.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn image(&self, id: &ImageId) -> Result<Option<Image>, AwsError> {
        const OPERATION: &str = "ecr:BatchGetImage";
        let by = aws_sdk_ecr::types::ImageIdentifier::builder();
        let by = if id.reference.starts_with("sha256:") {
            by.image_digest(&id.reference)
        } else {
            by.image_tag(&id.reference)
        };
        let answer = self
            .ecr
            .batch_get_image()
            .registry_id(&id.account)
            .repository_name(&id.repository)
            .image_ids(by.build())
            .set_accepted_media_types(Some(MANIFESTS.map(str::to_owned).to_vec()))
            .send()
            .await;
        let answer = match answer.map_err(|error| AwsError::from_sdk(OPERATION, &error)) {
            Ok(answer) => answer,
            Err(error) if error.remedy == Remedy::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(image) = answer.images().first() else { return Ok(None) };
        let manifest: Value = serde_json::from_str(image.image_manifest().unwrap_or_default()).unwrap_or_default();
        let platforms = match manifest.get("manifests").and_then(Value::as_array) {
            Some(entries) => Ok(entries.iter().filter_map(|entry| platform(entry.get("platform")?)).collect()),
            None => match manifest.pointer("/config/digest").and_then(Value::as_str) {
                Some(digest) => self.configured_platform(id, digest).await.map(|platform| vec![platform]),
                None => Err("its manifest is of an old form".to_owned()),
            },
        };
        Ok(Some(Image { platforms }))
    }

    /// The platform of an image without an index: it stands in its configuration.
    async fn configured_platform(&self, id: &ImageId, digest: &str) -> Result<Platform, String> {
        const OPERATION: &str = "ecr:GetDownloadUrlForLayer";
        let answer = self
            .ecr
            .get_download_url_for_layer()
            .registry_id(&id.account)
            .repository_name(&id.repository)
            .layer_digest(digest)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk(OPERATION, &error).to_string())?;
        let url = answer.download_url().ok_or("ECR names no address for its configuration")?;
        // Addresses of ECR's own are encrypted; another one is only followed to an endpoint that was configured so.
        let is_own = self.config.endpoint_url().is_some_and(|endpoint| url.starts_with(endpoint));
        if !url.starts_with("https://") && !is_own {
            return Err("ECR names an address that is not encrypted".to_owned());
        }
        let fail = |error: reqwest::Error| format!("its configuration could not be read: {}", error.without_url());
        let mut answer = self.http.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(fail)?;
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(fail)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LONGEST_CONFIGURATION {
                return Err("its configuration is too long".to_owned());
            }
        }
        let configuration: Value = serde_json::from_slice(&bytes).map_err(|_| "its configuration is not JSON")?;
        platform(&configuration).ok_or_else(|| "its configuration names no platform".to_owned())
    }

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
        let answer = self.secrets.describe_secret().secret_id(id).send().await;
        match answer.map_err(|error| AwsError::from_sdk("secretsmanager:DescribeSecret", &error)) {
            Ok(answer) => Ok(answer.deleted_date().is_none()),
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
        let answer = self.logs.describe_log_groups().log_group_name_prefix(name).send().await;
        let answer = answer.map_err(|error| AwsError::from_sdk("logs:DescribeLogGroups", &error))?;
        Ok(answer.log_groups().iter().any(|group| group.log_group_name() == Some(name)))
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

/// A platform as index entries and configurations write it. Attestations have `unknown` for one.
fn platform(value: &Value) -> Option<Platform> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let platform = Platform { os: text("os")?, architecture: text("architecture")? };
    (platform.os != "unknown").then_some(platform)
}
