//! STS, ECR, Parameter Store, Secrets Manager, Application Auto Scaling.

use std::time::Duration;

use lockstep_sandbox::{Behaviour, ClockMode, Control, Options, Sandbox};
use serde_json::{Value, json};

use crate::rig::{ACCOUNT, REGION, Rig};

/// Sends a form to STS. Returns status and text.
async fn sts(rig: &Rig, key: Option<&str>, form: &str) -> (u16, String) {
    let mut request =
        rig.http().post(rig.url()).header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
    if let Some(key) = key {
        request = request.header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential={key}/20261121/{REGION}/sts/aws4_request, Signature=0"),
        );
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn inside<'a>(text: &'a str, element: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("<{element}>")).unwrap();
    rest.split_once(&format!("</{element}>")).unwrap().0
}

const IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

#[tokio::test]
async fn keys_name_accounts() {
    let rig = Rig::start().await;
    for (key, account) in [("222222222222", "222222222222"), ("AKIAEXAMPLE", ACCOUNT)] {
        let (status, text) = sts(&rig, Some(key), IDENTITY).await;
        assert_eq!((status, inside(&text, "Account")), (200, account));
    }
    let (status, text) = sts(&rig, None, IDENTITY).await;
    assert_eq!((status, inside(&text, "Code")), (403, "MissingAuthenticationToken"));
    rig.control.invalidate_key("AKIAEXAMPLE");
    let (status, text) = sts(&rig, Some("AKIAEXAMPLE"), IDENTITY).await;
    assert_eq!((status, inside(&text, "Code")), (403, "InvalidClientTokenId"));
    let refused =
        rig.send("AKIAEXAMPLE", "AmazonEC2ContainerServiceV20141113.ListClusters", json!({})).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (400, "UnrecognizedClientException"));
}

#[tokio::test]
async fn an_assumed_role_works_in_its_account() {
    let rig = Rig::with(Options { expire_sessions: true, ..Options::default() }).await;
    rig.control.create_cluster("333333333333", REGION, "prod");
    let role = "arn:aws:iam::333333333333:role/deploy";
    let form = format!(
        "Action=AssumeRole&Version=2011-06-15&RoleArn={}&RoleSessionName=ci&DurationSeconds=900",
        role.replace(':', "%3A")
    );
    let (status, text) = sts(&rig, Some(ACCOUNT), &form).await;
    assert_eq!(status, 200, "{text}");
    let key = inside(&text, "AccessKeyId").to_owned();
    assert_eq!(inside(&text, "Arn"), "arn:aws:sts::333333333333:assumed-role/deploy/ci");
    let clusters = rig.send(&key, "AmazonEC2ContainerServiceV20141113.ListClusters", json!({})).await.unwrap();
    assert_eq!(clusters["clusterArns"], json!([format!("arn:aws:ecs:{REGION}:333333333333:cluster/prod")]));
    rig.advance(901.0);
    let refused = rig.send(&key, "AmazonEC2ContainerServiceV20141113.ListClusters", json!({})).await.unwrap_err();
    assert_eq!(refused.code, "ExpiredTokenException");
    rig.control.deny_role(role);
    let (status, text) = sts(&rig, Some(ACCOUNT), &form).await;
    assert_eq!((status, inside(&text, "Code")), (403, "AccessDenied"));
}

#[tokio::test]
async fn parameters_have_versions_and_ciphertexts() {
    let rig = Rig::start().await;
    let call = |operation: &'static str, body: Value| {
        let rig = &rig;
        async move { rig.send(ACCOUNT, &format!("AmazonSSM.{operation}"), body).await }
    };
    call("PutParameter", json!({ "Name": "/a/b", "Value": "one", "Type": "SecureString" })).await.unwrap();
    let again =
        call("PutParameter", json!({ "Name": "/a/b", "Value": "two", "Type": "SecureString" })).await.unwrap_err();
    assert_eq!(again.code, "ParameterAlreadyExists");
    let second = call("PutParameter", json!({ "Name": "/a/b", "Value": "two", "Overwrite": true })).await.unwrap();
    assert_eq!(second["Version"], 2);
    let arn = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/a/b");
    let read = call("GetParameters", json!({ "Names": ["/a/b", "/a/b:1", arn, "/none"], "WithDecryption": true }))
        .await
        .unwrap();
    let values: Vec<&Value> =
        read["Parameters"].as_array().unwrap().iter().map(|parameter| &parameter["Value"]).collect();
    assert_eq!(values, ["two", "one", "two"]);
    assert_eq!(read["InvalidParameters"], json!(["/none"]));
    let hidden = call("GetParameter", json!({ "Name": "/a/b" })).await.unwrap();
    assert!(!hidden["Parameter"]["Value"].as_str().unwrap().contains("two"));
    assert_eq!(call("GetParameter", json!({ "Name": "/a/b:9" })).await.unwrap_err().code, "ParameterVersionNotFound");
    assert_eq!(call("DescribeParameters", json!({})).await.unwrap()["Parameters"][0]["Name"], "/a/b");
    call("DeleteParameter", json!({ "Name": "/a/b" })).await.unwrap();
    assert_eq!(call("GetParameter", json!({ "Name": "/a/b" })).await.unwrap_err().code, "ParameterNotFound");
}

#[tokio::test]
async fn secrets_have_suffixes_and_stages() {
    let rig = Rig::start().await;
    let call = |operation: &'static str, body: Value| {
        let rig = &rig;
        async move { rig.send(ACCOUNT, &format!("secretsmanager.{operation}"), body).await }
    };
    let created = call("CreateSecret", json!({ "Name": "db", "SecretString": "one" })).await.unwrap();
    let arn = created["ARN"].as_str().unwrap();
    assert_eq!(arn.len(), format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:db-").len() + 6);
    call("PutSecretValue", json!({ "SecretId": "db", "SecretString": "two" })).await.unwrap();
    for id in [arn, "db", arn.split_at(arn.len() - 7).0] {
        assert_eq!(call("GetSecretValue", json!({ "SecretId": id })).await.unwrap()["SecretString"], "two", "{id}");
    }
    let previous = call("GetSecretValue", json!({ "SecretId": "db", "VersionStage": "AWSPREVIOUS" })).await.unwrap();
    assert_eq!(previous["SecretString"], "one");
    assert_eq!(
        call("DescribeSecret", json!({ "SecretId": "db" })).await.unwrap()["VersionIdsToStages"]
            .as_object()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        call("DescribeSecret", json!({ "SecretId": "none" })).await.unwrap_err().code,
        "ResourceNotFoundException"
    );
    assert_eq!(call("ListSecrets", json!({})).await.unwrap()["SecretList"][0]["Name"], "db");
}

#[tokio::test]
async fn images_have_true_digests_and_moving_tags() {
    let rig = Rig::start().await;
    let call = |operation: &'static str, body: Value| {
        let rig = &rig;
        async move { rig.send(ACCOUNT, &format!("AmazonEC2ContainerRegistry_V20150921.{operation}"), body).await }
    };
    assert_eq!(
        call("DescribeImages", json!({ "repositoryName": "web" })).await.unwrap_err().code,
        "RepositoryNotFoundException"
    );
    call("CreateRepository", json!({ "repositoryName": "web" })).await.unwrap();
    let put = |manifest: &str| json!({ "repositoryName": "web", "imageManifest": manifest, "imageTag": "v1" });
    let first = call("PutImage", put("{}")).await.unwrap();
    // The hash of two braces.
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(first["image"]["imageId"]["imageDigest"], digest);
    assert_eq!(call("PutImage", put("{}")).await.unwrap_err().code, "ImageAlreadyExistsException");
    call("PutImage", put("{\"schemaVersion\":2}")).await.unwrap();
    let old = call("DescribeImages", json!({ "repositoryName": "web", "imageIds": [{ "imageDigest": digest }] }))
        .await
        .unwrap();
    assert!(old["imageDetails"][0].get("imageTags").is_none());
    let by_tag =
        call("DescribeImages", json!({ "repositoryName": "web", "imageIds": [{ "imageTag": "v1" }] })).await.unwrap();
    assert_ne!(by_tag["imageDetails"][0]["imageDigest"], digest);
    let missing = json!({ "repositoryName": "web", "imageIds": [{ "imageTag": "v9" }] });
    assert_eq!(call("DescribeImages", missing.clone()).await.unwrap_err().code, "ImageNotFoundException");
    let batch = call("BatchGetImage", missing).await.unwrap();
    assert_eq!(batch["failures"][0]["failureCode"], "ImageNotFound");
    let page = call("DescribeImages", json!({ "repositoryName": "web", "maxResults": 1 })).await.unwrap();
    let rest =
        call("DescribeImages", json!({ "repositoryName": "web", "maxResults": 1, "nextToken": page["nextToken"] }))
            .await
            .unwrap();
    assert_ne!(page["imageDetails"][0]["imageDigest"], rest["imageDetails"][0]["imageDigest"]);
    assert!(rest.get("nextToken").is_none());
    let listed =
        call("ListImages", json!({ "repositoryName": "web", "filter": { "tagStatus": "TAGGED" } })).await.unwrap();
    assert_eq!(listed["imageIds"].as_array().unwrap().len(), 1);
    assert!(
        call("GetAuthorizationToken", json!({})).await.unwrap()["authorizationData"][0]["authorizationToken"]
            .is_string()
    );
}

#[tokio::test]
async fn scalable_targets_are_found_by_resource() {
    let rig = Rig::start().await;
    rig.control.register_scalable_target(ACCOUNT, REGION, "service/demo/web", 1, 5);
    let body = json!({ "ServiceNamespace": "ecs", "ResourceIds": ["service/demo/web", "service/demo/none"] });
    let found = rig.send(ACCOUNT, "AnyScaleFrontendService.DescribeScalableTargets", body).await.unwrap();
    assert_eq!(found["ScalableTargets"].as_array().unwrap().len(), 1);
    assert_eq!(found["ScalableTargets"][0]["MaxCapacity"], 5);
    let gone = json!({ "ServiceNamespace": "ecs", "ResourceId": "service/demo/none", "ScalableDimension": "ecs:service:DesiredCount" });
    let refused = rig.send(ACCOUNT, "AnyScaleFrontendService.DeregisterScalableTarget", gone).await.unwrap_err();
    assert_eq!(refused.code, "ObjectNotFoundException");
}

#[tokio::test]
async fn one_sandbox_per_test_needs_no_setup() {
    let options = Options { clock: ClockMode::Speed(1000.0), auto_create_clusters: true, ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let control: Control = sandbox.control();
    let before = control.now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(control.now() - before > 10.0);
    control.set_behaviour("a:b", Behaviour::Missing);
    sandbox.shutdown().await;
}
