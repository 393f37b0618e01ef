//! Image updates against moto's ECR and SQS: what an AWS that nobody here wrote answers is read, and what it announces
//! is committed. Its digests are given: those that it makes itself are wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use lockstep_tests::{
    git_http::{Repository, git},
    moto::{ACCOUNT, Moto, REGION},
    program::Running,
    world::service,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An index of two platforms with an attestation, as builders push it.
fn index(seed: &str) -> (String, String) {
    let hex = |text: &str| Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let part = |os: &str, architecture: &str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 400,
            "digest": format!("sha256:{}", hex(&format!("{seed}{os}{architecture}"))),
            "platform": {"os": os, "architecture": architecture},
        })
    };
    let manifests = [part("linux", "amd64"), part("linux", "arm64"), part("unknown", "unknown")];
    let index =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests});
    let text = index.to_string();
    let digest = format!("sha256:{}", hex(&text));
    (text, digest)
}

fn push(moto: &Moto, tag: &str) -> String {
    let (manifest, digest) = index(tag);
    let image = json!({
        "repositoryName": "app", "imageManifest": manifest, "imageTag": tag, "imageDigest": digest,
        "imageManifestMediaType": "application/vnd.oci.image.index.v1+json",
    });
    moto.call("ecr:PutImage", &image);
    digest
}

#[test]
fn an_announced_push_is_read_and_committed() {
    let moto = Moto::start();
    moto.call("ecs:CreateCluster", &json!({"clusterName": "prod"}));
    moto.call("ecr:CreateRepository", &json!({"repositoryName": "app"}));
    let queue = moto.call("sqs:CreateQueue", &json!({"QueueName": "images"}));
    let queue = queue["QueueUrl"].as_str().unwrap().to_owned();
    for tag in ["1.0.0", "2.0.0"] {
        push(&moto, tag);
    }
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::new(directory.path(), "deploy");
    // Observed only: what is written is Git.
    repository.write(
        "lockstep.yaml",
        format!("version: 1\nenvironments:\n  prod: {{ account: \"{ACCOUNT}\", region: {REGION}, cluster: prod }}\n"),
    );
    let web = service(&format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/app"));
    repository.write("services/web/service.yaml", format!("{web}updates: {{ app: {{ semver: ^1 }} }}\n"));
    repository.write("services/web/prod.pins.yaml", "app: 0.9.0 # moved by the agent\n");
    repository.commit("first");
    let file = directory.path().join("agent.yaml");
    let content = format!(
        "stateDirectory: {}\nlisten: 127.0.0.1:0\ninterval: 500ms\nimages: {{ interval: 1h, quiet: 50ms, queues: [\"{queue}\"] }}\nsources:\n  - {{ id: acme, repository: {} }}\n",
        directory.path().join("state").display(),
        repository.bare().display()
    );
    std::fs::write(&file, content).unwrap();
    let pins = || git(repository.bare(), &["show", "main:services/web/prod.pins.yaml"]);
    let mut agent = Running::agent(moto.endpoint(), &file.display().to_string(), &[]);
    let (_, first) = index("1.0.0");
    agent.wait_until(|| pins() == format!("app: 1.0.0@{first} # moved by the agent"));
    let second = push(&moto, "1.1.0");
    let event = json!({
        "source": "aws.ecr", "detail-type": "ECR Image Action", "account": ACCOUNT, "region": REGION,
        "detail": {"action-type": "PUSH", "result": "SUCCESS", "repository-name": "app", "image-tag": "1.1.0", "image-digest": second},
    });
    moto.call("sqs:SendMessage", &json!({"QueueUrl": queue, "MessageBody": event.to_string()}));
    agent.wait_until(|| pins() == format!("app: 1.1.0@{second} # moved by the agent"));
    let names = json!({"QueueUrl": queue, "AttributeNames": ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]});
    agent.wait_until(|| {
        let attributes: Value = moto.call("sqs:GetQueueAttributes", &names);
        let of = |name: &str| attributes["Attributes"][name].to_string();
        of("ApproximateNumberOfMessages").contains('0') && of("ApproximateNumberOfMessagesNotVisible").contains('0')
    });
    assert_eq!(git(repository.bare(), &["rev-list", "--count", "main"]), "3");
    git(repository.bare(), &["fsck", "--strict"]);
}
