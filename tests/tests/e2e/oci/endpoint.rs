//! AWS endpoints that lead elsewhere, do not end, or send something else than they say. What is signed for one host is
//! shown to no other.

use super::digest;
use lockstep::aws::{Accounts, Clients, ImageId};
use lockstep_tests::{
    files::directory,
    listener::{Asked, Listener, Reply},
    lockstep, outcome,
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";

async fn clients(endpoint: &Listener) -> Arc<Clients> {
    let url = format!("http://{}", endpoint.address());
    Accounts::at_endpoint(&url, ACCOUNT, REGION, BTreeMap::new(), 1.0).await.clients(ACCOUNT, REGION).await
}

fn answers(text: &str) -> Listener {
    let text = text.to_owned();
    Listener::start(move |_| Reply::new(200, text.clone()).with("Content-Type", "application/x-amz-json-1.1"))
}

// H15
#[tokio::test]
async fn a_list_that_leads_back_to_itself_is_an_error() {
    let endless = "the list does not end: the next page is one that was read";
    let endpoint =
        answers(r#"{"serviceArns":["arn:aws:ecs:eu-central-1:111111111111:service/prod/web"],"nextToken":"again"}"#);
    let error = clients(&endpoint).await.service_names("prod").await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to call ecs:ListServices: {endless}"));
    assert_eq!(endpoint.asked().len(), 2);

    let endpoint = answers(r#"{"imageDetails":[],"nextToken":"again"}"#);
    let error = clients(&endpoint).await.image_tags(ACCOUNT, "web").await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to call ecr:DescribeImages: {endless}"));
    assert_eq!(endpoint.asked().len(), 2);

    let endpoint = answers(r#"{"serviceDeployments":[],"nextToken":"again"}"#);
    let error = clients(&endpoint).await.past_deployments("prod", "web").await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to call ecs:ListServiceDeployments: {endless}"));
}

// H15
#[tokio::test]
async fn an_answer_without_end_is_an_error() {
    let endpoint = Listener::start(|_| Reply::endless(200, &" ".repeat(64 * 1024)));
    let error = clients(&endpoint).await.service_names("prod").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to call ecs:ListServices: the answer is longer than 32 MiB, as none of AWS is"
    );
    assert_eq!(endpoint.asked().len(), 1, "what has no end is not asked for again");
}

// H15
#[tokio::test]
async fn a_long_text_is_cut() {
    let message = "x".repeat(1 << 20);
    let body = json!({"__type": "InvalidParameterException", "message": message}).to_string();
    let endpoint = Listener::start(move |_| Reply::new(400, body.clone()));
    let error = clients(&endpoint).await.service_names("prod").await.unwrap_err();
    assert!(error.to_string().len() < 1200, "{}", error.to_string().len());
}

#[tokio::test]
async fn a_page_or_half_an_answer_is_no_answer() {
    for reply in [
        Reply::new(200, "<html>Sign in</html>").with("Content-Type", "text/html"),
        Reply::short(200, r#"{"serviceArns":[]"#),
    ] {
        let endpoint = Listener::start(move |_| reply.clone());
        assert!(clients(&endpoint).await.service_names("prod").await.is_err());
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let foreign = Listener::foreign();
    for status in [301, 302, 303, 307, 308] {
        let to = format!("http://{}/", foreign.address());
        let endpoint = Listener::start(move |_| Reply::new(status, "").with("Location", &to));
        let clients = clients(&endpoint).await;
        assert!(clients.service_names("prod").await.is_err(), "{status}");
        assert!(clients.image_tags(ACCOUNT, "web").await.is_err(), "{status}");
    }
    assert!(!foreign.was_connected());
}

/// An ECR that names this address for the configuration of its one image, and serves this at `/layer`.
fn registry(configuration: &str, url: &str, layer: Reply) -> Listener {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(configuration.as_bytes())},
    });
    let image = json!({"images": [{"imageManifest": manifest.to_string()}]}).to_string();
    let url = url.to_owned();
    Listener::start(move |asked: &Asked| {
        let operation = asked.header("x-amz-target").and_then(|target| target.split('.').nth(1));
        match operation {
            Some("BatchGetImage") => Reply::new(200, image.clone()),
            Some(_) => {
                let host = asked.header("host").unwrap();
                Reply::new(200, json!({"downloadUrl": url.replace("{own}", &format!("http://{host}"))}).to_string())
            }
            None => layer.clone(),
        }
    })
}

async fn platforms(endpoint: &Listener) -> Result<usize, String> {
    let id = ImageId { account: ACCOUNT.into(), repository: "web".into(), reference: "1".into() };
    let image = clients(endpoint).await.image(&id).await.unwrap().unwrap();
    image.platforms.map(|platforms| platforms.len())
}

// H2
#[tokio::test]
async fn a_configuration_is_read_from_aws_and_from_nobody_else() {
    const CONFIGURATION: &str = r#"{"os":"linux","architecture":"amd64"}"#;
    let foreign = Listener::foreign();
    let served = Reply::new(200, CONFIGURATION);
    let endpoint = registry(CONFIGURATION, "{own}/layer", served.clone());
    assert_eq!(platforms(&endpoint).await, Ok(1));
    assert_eq!(endpoint.presented().last(), Some(&None), "the address itself is the permission");

    let refused = "ECR names an address for its configuration that is not one of AWS's";
    for url in [
        format!("http://{}/layer", foreign.address()),
        format!("{{own}}@{}/layer", foreign.address()),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "{own}0/layer".to_owned(),
    ] {
        let endpoint = registry(CONFIGURATION, &url, served.clone());
        assert_eq!(platforms(&endpoint).await, Err(refused.to_owned()), "{url}");
    }
    let redirect = Reply::new(302, "").with("Location", &format!("http://{}/layer", foreign.address()));
    let endpoint = registry(CONFIGURATION, "{own}/layer", redirect);
    assert!(platforms(&endpoint).await.is_err());
    assert!(!foreign.was_connected());

    let endpoint = registry(CONFIGURATION, "{own}/layer", Reply::new(200, r#"{"os":"linux","architecture":"arm64"}"#));
    assert_eq!(platforms(&endpoint).await, Err("its configuration is not the one that its digest says".to_owned()));
    let endpoint = registry(CONFIGURATION, "{own}/layer", Reply::endless(200, CONFIGURATION));
    assert_eq!(platforms(&endpoint).await, Err("its configuration is too long".to_owned()));
}

const CALLER: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:iam::111111111111:user/a</Arn><UserId>a</UserId><Account>111111111111</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

const FILES: &str = "taskDefinition:\n  containerDefinitions:\n    web: { image: nginx, memory: 64, environmentFiles: [{ type: s3, value: \"arn:aws:s3:::127.0.0.1:9443#/x.env\" }, { type: s3, value: \"arn:aws:s3:::a@evil.example/x.env\" }, { type: s3, value: \"arn:aws:s3:::shop/../x.env\" }, { type: s3, value: \"arn:aws:s3:::shop/x.env\" }], secrets: { KEY: \"arn:aws:secretsmanager:127.0.0.1:111111111111:secret:x\" } }\n  executionRoleArn: arn:aws:iam::111111111111:role/exec\nservice: { desiredCount: 1 }\n";

/// What `verify` says of these files, and whom it wanted to reach by TLS.
fn verify(region: &str) -> (i32, String, Vec<String>) {
    let sts = Listener::start(|_| Reply::new(200, CALLER).with("Content-Type", "text/xml"));
    // A proxy hears every host that is to be reached, and reaches none.
    let proxy = Listener::start(|_| Reply::new(502, ""));
    let config = format!(
        "version: 1\nenvironments:\n  prod: {{ account: \"{ACCOUNT}\", region: \"{region}\", cluster: prod }}\n"
    );
    let files = directory(&[("lockstep.yaml", &config), ("services/web/service.yaml", FILES)]);
    let mut command = lockstep(["verify", "-v"]);
    command
        .current_dir(files.path())
        .env("AWS_ENDPOINT_URL_STS", format!("http://{}", sts.address()))
        .env("AWS_ACCESS_KEY_ID", ACCOUNT)
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_SESSION_TOKEN", "hidden")
        .env("AWS_REGION", REGION)
        .env("HTTPS_PROXY", format!("http://{}", proxy.address()));
    let (exit, stdout, stderr) = outcome(&mut command);
    let mut hosts = proxy.targets();
    hosts.sort();
    hosts.dedup();
    (exit, format!("{stdout}{stderr}"), hosts)
}

// H2
#[test]
fn nothing_is_signed_for_a_host_that_a_manifest_names() {
    let (exit, said, hosts) = verify(REGION);
    assert_ne!(exit, 0);
    let path = "taskDefinition.containerDefinitions[web]";
    for line in [
        format!("FAIL  {path}.environmentFiles[0].value: `127.0.0.1:9443#` is not the name of a bucket"),
        format!("FAIL  {path}.environmentFiles[1].value: `a@evil.example` is not the name of a bucket"),
        format!("SKIP  {path}.environmentFiles[2].value: not checked: its key has `.` or `..` for a part"),
        format!("FAIL  {path}.secrets[KEY]: `127.0.0.1` is not a region"),
    ] {
        assert!(said.contains(&line), "{line}: {said}");
    }
    assert_eq!(
        hosts,
        ["ecs.eu-central-1.amazonaws.com:443", "iam.amazonaws.com:443", "shop.s3.eu-central-1.amazonaws.com:443"],
        "{said}"
    );
    let (exit, said, hosts) = verify("127.0.0.1:9443#");
    assert_eq!((exit, hosts), (3, Vec::<String>::new()), "{said}");
    assert!(said.contains("`127.0.0.1:9443#` is not a region like eu-central-1"), "{said}");
}
