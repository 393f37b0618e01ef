//! Images that the sandbox makes up: their documents, their blobs, and the events of their pushes.

use std::collections::BTreeMap;

use lockstep_sandbox::{Behaviour, NewImage};
use serde_json::{Value, json};

use crate::rig::{ACCOUNT, REGION, Rig};

async fn ecr(rig: &Rig, operation: &str, body: Value) -> Value {
    rig.call(&format!("AmazonEC2ContainerRegistry_V20150921.{operation}"), body).await.unwrap()
}

async fn manifest(rig: &Rig, id: Value) -> Value {
    let answer = ecr(rig, "BatchGetImage", json!({ "repositoryName": "shop/web", "imageIds": [id] })).await;
    let image = &answer["images"][0];
    let manifest: Value = serde_json::from_str(image["imageManifest"].as_str().unwrap()).unwrap();
    assert_eq!(manifest["mediaType"], image["imageManifestMediaType"]);
    manifest
}

/// A blob of a manifest, fetched from where the registry says.
async fn blob(rig: &Rig, descriptor: &Value) -> Value {
    let digest = &descriptor["digest"];
    let layer = json!({ "repositoryName": "shop/web", "layerDigest": digest });
    let answer = ecr(rig, "GetDownloadUrlForLayer", layer).await;
    assert_eq!(answer["layerDigest"], *digest);
    let text = rig.http().get(answer["downloadUrl"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
    assert_eq!(text.len() as u64, descriptor["size"].as_u64().unwrap());
    // The registry recomputes the digest of what is put, so that a wrong one would be refused.
    let put = json!({ "repositoryName": "shop/web", "imageManifest": text, "imageDigest": digest });
    ecr(rig, "PutImage", put).await;
    serde_json::from_str(&text).unwrap()
}

/// The details of the events in a queue.
async fn events(rig: &Rig, queue: &str) -> Vec<Value> {
    let url = format!("{}/{ACCOUNT}/{queue}", rig.url());
    let answer =
        rig.call("AmazonSQS.ReceiveMessage", json!({ "QueueUrl": url, "MaxNumberOfMessages": 10 })).await.unwrap();
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn an_image_has_a_configuration() {
    let rig = Rig::start().await;
    let digest = rig.control.push_image(ACCOUNT, REGION, "shop/web", "v1", Behaviour::Ok);
    let whole = manifest(&rig, json!({ "imageDigest": digest })).await;
    assert_eq!(whole["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    let config = blob(&rig, &whole["config"]).await;
    let layers = json!({ "type": "layers", "diff_ids": [whole["layers"][0]["digest"]] });
    assert_eq!(config, json!({ "architecture": "amd64", "os": "linux", "rootfs": layers }));
    assert_ne!(rig.control.push_image(ACCOUNT, REGION, "shop/web", "v1", Behaviour::Ok), digest);
    let ask = |name: &str| json!({ "repositoryName": name, "layerDigest": format!("sha256:{}", "0".repeat(64)) });
    let target = "AmazonEC2ContainerRegistry_V20150921.GetDownloadUrlForLayer";
    assert_eq!(rig.call(target, ask("shop/web")).await.unwrap_err().code, "LayersNotFoundException");
    assert_eq!(rig.call(target, ask("none")).await.unwrap_err().code, "RepositoryNotFoundException");
    let lost =
        rig.http().get(format!("{}/blobs/{ACCOUNT}/{REGION}/sha256:0/shop/web", rig.url())).send().await.unwrap();
    assert_eq!(lost.status().as_u16(), 404);
}

#[tokio::test]
async fn an_image_may_have_labels_and_architectures() {
    let rig = Rig::start().await;
    let label = ("org.opencontainers.image.revision".to_owned(), "abc".to_owned());
    let image = NewImage {
        labels: BTreeMap::from([label]),
        architectures: vec!["amd64".to_owned(), "arm64".to_owned()],
        behaviour: Behaviour::Unhealthy,
    };
    let digest = rig.control.push_image_with(ACCOUNT, REGION, "shop/web", "v1", &image);
    let index = manifest(&rig, json!({ "imageTag": "v1" })).await;
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let entries = index["manifests"].as_array().unwrap();
    for (entry, architecture) in entries.iter().zip(["amd64", "arm64"]) {
        assert_eq!(entry["platform"], json!({ "architecture": architecture, "os": "linux" }));
        let child = manifest(&rig, json!({ "imageDigest": entry["digest"] })).await;
        let config = blob(&rig, &child["config"]).await;
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["config"]["Labels"], json!({ "org.opencontainers.image.revision": "abc" }));
    }
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[2]["platform"], json!({ "architecture": "unknown", "os": "unknown" }));
    let about = json!({
        "vnd.docker.reference.digest": entries[0]["digest"], "vnd.docker.reference.type": "attestation-manifest",
    });
    assert_eq!(entries[2]["annotations"], about);
    let attestation = manifest(&rig, json!({ "imageDigest": entries[2]["digest"] })).await;
    let statement = blob(&rig, &attestation["layers"][0]).await;
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v0.2");
    let described = json!({ "repositoryName": "shop/web", "imageIds": [{ "imageTag": "v1" }] });
    assert_eq!(ecr(&rig, "DescribeImages", described).await["imageDetails"][0]["imageDigest"], digest);
    let image = json!({ "repository": "shop/web", "tag": "v2", "architectures": ["arm64"], "labels": { "a": "b" } });
    assert_eq!(rig.by_hand("POST", "/images", image).await.0, 200);
    let single = manifest(&rig, json!({ "imageTag": "v2" })).await;
    let config = blob(&rig, &single["config"]).await;
    assert_eq!((&config["architecture"], &config["config"]["Labels"]), (&json!("arm64"), &json!({ "a": "b" })));
}

#[tokio::test]
async fn pushes_are_announced_once_that_is_asked_for() {
    let rig = Rig::start().await;
    rig.control.push_image(ACCOUNT, REGION, "shop/web", "v0", Behaviour::Ok);
    assert_eq!(rig.by_hand("POST", "/ecr-events", json!({ "queue": "pushes" })).await.0, 200);
    let digest = rig.control.push_image(ACCOUNT, REGION, "shop/web", "v1", Behaviour::Ok);
    rig.control.push_image("222222222222", REGION, "shop/web", "v1", Behaviour::Ok);
    let put = json!({ "repositoryName": "shop/web", "imageManifest": "{}", "imageTag": "v2" });
    ecr(&rig, "PutImage", put).await;
    let mut seen = events(&rig, "pushes").await;
    assert_eq!(seen.len(), 2);
    let detail = json!({
        "result": "SUCCESS", "repository-name": "shop/web", "image-digest": digest, "action-type": "PUSH",
        "image-tag": "v1",
    });
    let (id, time) = (seen[0]["id"].take(), seen[0]["time"].take());
    assert_eq!((id.as_str().unwrap().len(), time.as_str().unwrap().len()), (36, 20));
    let expected = json!({
        "version": "0", "id": null, "detail-type": "ECR Image Action", "source": "aws.ecr", "account": ACCOUNT,
        "time": null, "region": REGION, "resources": [], "detail": detail,
    });
    assert_eq!(seen[0], expected);
    assert_eq!(seen[1]["detail"]["image-tag"], "v2");
    // Every manifest of an index is pushed; only the index has the tag.
    rig.control.deliver_ecr_events(ACCOUNT, REGION, "later");
    let image = NewImage { architectures: vec!["amd64".to_owned(), "arm64".to_owned()], ..NewImage::default() };
    rig.control.push_image_with(ACCOUNT, REGION, "shop/web", "v3", &image);
    let seen = events(&rig, "later").await;
    let tags: Vec<Option<&str>> = seen.iter().map(|event| event["detail"]["image-tag"].as_str()).collect();
    assert_eq!(tags, [None, None, None, Some("v3")]);
}
