//! What lives beside ECS, and what all services fail with.

use super::story::{Story, over};
use lockstep_sandbox::{Behaviour, Effect, Timing};
use lockstep_tests::{
    aws::Aws,
    moto::{ACCOUNT, REGION},
};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) fn registries(story: &Story) {
    story.ok("ecr:CreateRepository", json!({"repositoryName": "one", "imageTagMutability": "IMMUTABLE"}));
    story.no("ecr:CreateRepository", json!({"repositoryName": "one"}), "RepositoryAlreadyExistsException");
    story.pages("ecr:DescribeRepositories", json!({}), "nextToken", "maxResults", "repositories");
    story.no("ecr:DescribeRepositories", json!({"repositoryNames": ["ghost"]}), "RepositoryNotFoundException");
    let put = |tag: &str, body: &str| json!({"repositoryName": "one", "imageTag": tag, "imageManifest": body});
    let first = story.ok("ecr:PutImage", put("a", "{\"schemaVersion\":2}"));
    story.ok("ecr:PutImage", json!({"repositoryName": "one", "imageManifest": "{}"}));
    story.no("ecr:PutImage", put("a", "{\"schemaVersion\":2}"), "ImageAlreadyExistsException");
    story.no("ecr:PutImage", put("a", "{\"schemaVersion\":1}"), "ImageTagAlreadyExistsException");
    let false_digest = over(put("b", "{}"), json!({"imageDigest": format!("sha256:{}", "0".repeat(64))}));
    story.no("ecr:PutImage", false_digest, "ImageDigestDoesNotMatchException");
    let ids = json!([{"imageTag": "a"}, {"imageTag": "ghost"}]);
    let of = |more: Value| over(json!({"repositoryName": "one"}), more);
    story.ok("ecr:BatchGetImage", of(json!({"imageIds": ids})));
    story.ok("ecr:BatchGetImage", of(json!({"imageIds": [first["image"]["imageId"]]})));
    story.no("ecr:BatchGetImage", json!({"repositoryName": "ghost", "imageIds": ids}), "RepositoryNotFoundException");
    assert_eq!(story.pages("ecr:DescribeImages", of(json!({})), "nextToken", "maxResults", "imageDetails").len(), 2);
    story.ok("ecr:DescribeImages", of(json!({"filter": {"tagStatus": "UNTAGGED"}})));
    story.no("ecr:DescribeImages", of(json!({"imageIds": ids})), "ImageNotFoundException");
    assert_eq!(story.pages("ecr:ListImages", of(json!({})), "nextToken", "maxResults", "imageIds").len(), 2);
    story.no("ecr:ListImages", json!({"repositoryName": "ghost"}), "RepositoryNotFoundException");
    story.ok("ecr:BatchDeleteImage", of(json!({"imageIds": ids})));
    story.no(
        "ecr:BatchDeleteImage",
        json!({"repositoryName": "ghost", "imageIds": ids}),
        "RepositoryNotFoundException",
    );
    story.emulator.control.push_image(ACCOUNT, REGION, "two", "a", Behaviour::Ok);
    let pushed = story.ok("ecr:BatchGetImage", json!({"repositoryName": "two", "imageIds": [{"imageTag": "a"}]}));
    let manifest: Value = serde_json::from_str(pushed["images"][0]["imageManifest"].as_str().unwrap()).unwrap();
    let layer = json!({"repositoryName": "two", "layerDigest": manifest["config"]["digest"]});
    story.ok("ecr:GetDownloadUrlForLayer", layer.clone());
    story.no("ecr:GetDownloadUrlForLayer", over(layer, json!({"repositoryName": "one"})), "LayersNotFoundException");
    story.ok("ecr:GetAuthorizationToken", json!({}));
    story.no("ecr:GetAuthorizationToken", json!({"registryIds": "x"}), "InvalidParameterException");
}

pub(crate) fn parameters(story: &Story) {
    for kind in ["String", "StringList", "SecureString"] {
        let input =
            json!({"Name": format!("/shop/{kind}"), "Value": "a,b", "Type": kind, "Description": "for the judge"});
        story.ok("ssm:PutParameter", input.clone());
        story.no("ssm:PutParameter", input, "ParameterAlreadyExists");
    }
    story.ok("ssm:PutParameter", json!({"Name": "/shop/String", "Value": "c", "Overwrite": true}));
    story.ok("ssm:GetParameter", json!({"Name": "/shop/String:1"}));
    story.no("ssm:GetParameter", json!({"Name": "/shop/String:9"}), "ParameterVersionNotFound");
    story.no("ssm:GetParameter", json!({"Name": "/ghost"}), "ParameterNotFound");
    for decrypt in [false, true] {
        let names = json!(["/shop/SecureString", "/shop/StringList", "/ghost"]);
        story.ok("ssm:GetParameters", json!({"Names": names, "WithDecryption": decrypt}));
    }
    story.ok("ssm:GetParameters", json!({"Names": ["/shop/StringList"]}));
    story.no("ssm:GetParameters", json!({"Names": []}), "ValidationException");
    assert_eq!(story.pages("ssm:DescribeParameters", json!({}), "NextToken", "MaxResults", "Parameters").len(), 4);
    story.no("ssm:DescribeParameters", json!({"NextToken": "zz"}), "InvalidNextToken");
    story.ok("ssm:DeleteParameter", json!({"Name": "/shop/String"}));
    story.no("ssm:DeleteParameter", json!({"Name": "/shop/String"}), "ParameterNotFound");
}

pub(crate) fn secrets(story: &Story) {
    story.ok(
        "secretsmanager:CreateSecret",
        json!({"Name": "db", "SecretString": "one", "Description": "for the judge"}),
    );
    story.ok("secretsmanager:CreateSecret", json!({"Name": "key", "SecretBinary": "AAEC"}));
    story.no("secretsmanager:CreateSecret", json!({"Name": "db", "SecretString": "one"}), "ResourceExistsException");
    for value in ["two", "three"] {
        story.ok("secretsmanager:PutSecretValue", json!({"SecretId": "db", "SecretString": value}));
    }
    story.no(
        "secretsmanager:PutSecretValue",
        json!({"SecretId": "ghost", "SecretString": "x"}),
        "ResourceNotFoundException",
    );
    for input in [json!({"SecretId": "key"}), json!({"SecretId": "db", "VersionStage": "AWSPREVIOUS"})] {
        story.ok("secretsmanager:GetSecretValue", input);
    }
    story.no("secretsmanager:GetSecretValue", json!({"SecretId": "ghost"}), "ResourceNotFoundException");
    story.ok("secretsmanager:DescribeSecret", json!({"SecretId": "db"}));
    story.no("secretsmanager:DescribeSecret", json!({"SecretId": "ghost"}), "ResourceNotFoundException");
    assert_eq!(story.pages("secretsmanager:ListSecrets", json!({}), "NextToken", "MaxResults", "SecretList").len(), 2);
    story.no("secretsmanager:ListSecrets", json!({"NextToken": "zz"}), "InvalidNextTokenException");
}

pub(crate) fn scaling(story: &Story) {
    let target = json!({"ServiceNamespace": "ecs", "ResourceId": "service/prod/plain", "ScalableDimension": "ecs:service:DesiredCount"});
    let call = |operation: &str| format!("application-autoscaling:{operation}");
    story.ok(&call("RegisterScalableTarget"), over(target.clone(), json!({"MinCapacity": 1, "MaxCapacity": 4})));
    story.ok(&call("RegisterScalableTarget"), over(target.clone(), json!({"MaxCapacity": 5})));
    let reversed = over(target.clone(), json!({"MinCapacity": 9}));
    story.no(&call("RegisterScalableTarget"), reversed, "ValidationException");
    let other = over(target.clone(), json!({"ResourceId": "service/prod/lb", "MinCapacity": 1, "MaxCapacity": 2}));
    story.ok(&call("RegisterScalableTarget"), other);
    let all = json!({"ServiceNamespace": "ecs"});
    story.pages(&call("DescribeScalableTargets"), all, "NextToken", "MaxResults", "ScalableTargets");
    let many = json!({"ServiceNamespace": "ecs", "ResourceIds": vec!["service/a/b"; 51]});
    story.no(&call("DescribeScalableTargets"), many, "ValidationException");
    let bad_token = json!({"ServiceNamespace": "ecs", "NextToken": "zz"});
    story.no(&call("DescribeScalableTargets"), bad_token, "InvalidNextTokenException");
    story.ok(&call("DeregisterScalableTarget"), target.clone());
    story.no(&call("DeregisterScalableTarget"), target, "ObjectNotFoundException");
}

pub(crate) fn identities(story: &Story) {
    let role =
        |name: &str| json!({"RoleArn": format!("arn:aws:iam::222222222222:role/{name}"), "RoleSessionName": "judge"});
    story.ok("sts:GetCallerIdentity", json!({}));
    let session = story.ok("sts:AssumeRole", over(role("deploy"), json!({"DurationSeconds": 900})));
    let assumed = story.emulator.client(session["Credentials"]["AccessKeyId"].as_str().unwrap());
    assert_eq!(assumed.send("sts:GetCallerIdentity", &json!({})).body["Account"], "222222222222");
    story.no("sts:AssumeRole", json!({"RoleArn": "deploy"}), "ValidationError");
    story.emulator.control.deny_role("arn:aws:iam::222222222222:role/other");
    story.no("sts:AssumeRole", role("other"), "AccessDenied");
    story.no("sts:GetSessionToken", json!({}), "InvalidAction");
    story.emulator.control.advance(Duration::from_secs(901));
    let listing = |client: &Aws| client.send("ecs:ListClusters", &json!({})).code().map(str::to_owned);
    assert_eq!(assumed.send("sts:GetCallerIdentity", &json!({})).code(), Some("ExpiredToken"));
    assert_eq!(listing(&assumed).as_deref(), Some("ExpiredTokenException"));
    story.emulator.control.invalidate_key("AKIAGHOST");
    let ghost = story.emulator.client("AKIAGHOST");
    assert_eq!(ghost.send("sts:GetCallerIdentity", &json!({})).code(), Some("InvalidClientTokenId"));
    assert_eq!(listing(&ghost).as_deref(), Some("UnrecognizedClientException"));
}

/// What the services themselves fail with.
pub(crate) fn faults(story: &Story) {
    let reads = [
        ("ecs:ListClusters", "ServerException"),
        ("ecr:GetAuthorizationToken", "ServerException"),
        ("ssm:DescribeParameters", "InternalServerError"),
        ("secretsmanager:ListSecrets", "InternalServiceError"),
        ("application-autoscaling:DescribeScalableTargets", "InternalServiceException"),
        ("sts:GetCallerIdentity", "InternalFailure"),
        ("cloudwatch:DescribeAlarms", "InternalFailure"),
        ("elasticloadbalancing:DescribeTargetGroups", "InternalFailure"),
        ("logs:DescribeLogGroups", "ServiceUnavailableException"),
        ("sqs:GetQueueUrl", "InternalFailure"),
    ];
    for (operation, broken) in reads {
        let input = json!({"ServiceNamespace": "ecs", "QueueName": "jobs"});
        story.fault(operation, Effect::InternalError, Timing::After);
        story.no(operation, input.clone(), broken);
        story.fault(operation, Effect::Throttle, Timing::Before);
        let (throttled, denied) = match operation.split_once(':').unwrap().0 {
            "sts" | "elasticloadbalancing" => ("Throttling", "AccessDenied"),
            "cloudwatch" => ("Throttling", "AccessDeniedException"),
            "sqs" => ("RequestThrottled", "AccessDeniedException"),
            _ => ("ThrottlingException", "AccessDeniedException"),
        };
        story.no(operation, input.clone(), throttled);
        story.fault(operation, Effect::Deny, Timing::Before);
        story.no(operation, input, denied);
        story.emulator.control.clear_faults();
    }
}
