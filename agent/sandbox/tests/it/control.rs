//! Counters, journal, faults, throttling, and the control interface over HTTP.

use lockstep_sandbox::{Effect, Fault, Options, Timing, When};
use serde_json::{Value, json};

use crate::rig::{ACCOUNT, REGION, Rig};

#[tokio::test]
async fn every_call_is_counted_and_noted() {
    let rig = Rig::start().await;
    rig.ecs("ListClusters", json!({})).await;
    rig.refused("ListServices", json!({ "cluster": "none" })).await;
    rig.send("222222222222", "AmazonEC2ContainerServiceV20141113.ListClusters", json!({})).await.unwrap();
    let calls = rig.control.calls();
    assert_eq!((calls["ecs:ListClusters"], calls["ecs:ListServices"]), (2, 1));
    assert_eq!(rig.control.calls_in(ACCOUNT, REGION)["ecs:ListClusters"], 1);
    let journal = rig.control.journal(1);
    assert_eq!(journal.len(), 2);
    assert_eq!(
        (journal[0].operation.as_str(), journal[0].error.as_deref()),
        ("ListServices", Some("ClusterNotFoundException"))
    );
    assert_eq!(journal[0].request, json!({ "cluster": "none" }));
    assert_eq!(journal[1].account, "222222222222");
    rig.control.reset_calls();
    assert!(rig.control.calls().is_empty());
}

#[tokio::test]
async fn answers_are_noted_on_request() {
    let quiet = Rig::start().await;
    quiet.ecs("ListClusters", json!({})).await;
    assert_eq!(quiet.control.journal(0)[0].answer, None);
    let rig = Rig::with(Options { journal_answers: true, ..Options::default() }).await;
    let listed = rig.ecs("ListClusters", json!({})).await;
    rig.refused("ListServices", json!({ "cluster": "none" })).await;
    rig.send(ACCOUNT, "secretsmanager.DescribeSecret", json!({ "SecretId": "none" })).await.unwrap_err();
    let journal: Value =
        rig.http().get(format!("{}/sandbox/journal", rig.url())).send().await.unwrap().json().await.unwrap();
    let refused = json!({ "__type": "ClusterNotFoundException", "message": "Cluster not found." });
    let unknown = json!({
        "__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret.",
    });
    for (call, answer) in journal["calls"].as_array().unwrap().iter().zip([&listed, &refused, &unknown]) {
        assert_eq!(call["answer"], *answer);
    }
    rig.control.add_fault(Fault::new("ecs:ListClusters", Effect::Drop));
    let scope = format!("AWS4-HMAC-SHA256 Credential={ACCOUNT}/20261121/{REGION}/ecs/aws4_request");
    let target = "AmazonEC2ContainerServiceV20141113.ListClusters";
    let cut = rig.http().post(rig.url()).header("authorization", scope).header("x-amz-target", target).body("{}");
    assert!(cut.send().await.is_err());
    let journal = rig.control.journal(3);
    assert_eq!((journal[0].error.as_deref(), &journal[0].answer), (Some("ConnectionDropped"), &None));
}

#[tokio::test]
async fn faults_strike_as_told() {
    let rig = Rig::start().await;
    let definition = rig.register("web", "nginx:1").await;
    rig.create(&definition, json!({})).await;
    let update = json!({ "cluster": "demo", "service": "web", "desiredCount": 2 });
    rig.control.add_fault(Fault::new("ecs:UpdateService", Effect::Deny));
    let refused = rig.refused("UpdateService", update.clone()).await;
    assert_eq!(refused.code, "AccessDeniedException");
    assert_eq!(
        refused.message,
        format!(
            "User: arn:aws:iam::{ACCOUNT}:user/sandbox is not authorized to perform: ecs:UpdateService on resource: arn:aws:ecs:{REGION}:{ACCOUNT}:service/demo/web because no identity-based policy allows the ecs:UpdateService action"
        )
    );
    rig.control.clear_faults();
    rig.control.add_fault(Fault::new("ecs:*", Effect::Throttle).when(When::First(1)));
    assert_eq!(rig.refused("UpdateService", update.clone()).await.message, "Rate exceeded");
    assert_eq!(rig.service().await["desiredCount"], 1);
    rig.control.clear_faults();
    rig.control.add_fault(Fault::new("ecs:UpdateService", Effect::InternalError).timing(Timing::After));
    assert_eq!(rig.refused("UpdateService", update.clone()).await.status, 500);
    assert_eq!(rig.service().await["desiredCount"], 2);
    rig.control.clear_faults();
    rig.control.add_fault(Fault::new("ecs:ListClusters", Effect::Drop));
    let lost = rig
        .http()
        .post(rig.url())
        .header("authorization", format!("AWS4-HMAC-SHA256 Credential={ACCOUNT}/20261121/{REGION}/ecs/aws4_request"))
        .header("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListClusters")
        .body("{}")
        .send()
        .await;
    assert!(lost.is_err());
    rig.ecs("DescribeClusters", json!({ "clusters": ["demo"] })).await;
}

#[tokio::test]
async fn rates_are_limited_on_request() {
    let rig = Rig::with(Options { throttling: true, ..Options::default() }).await;
    let mut codes = Vec::new();
    for at in 0..21 {
        let body = json!({ "family": format!("f{at}"), "containerDefinitions": [{ "name": "a", "image": "b", "memory": 64 }] });
        codes.push(rig.try_ecs("RegisterTaskDefinition", body).await.err().map(|fault| fault.code));
    }
    assert!(codes[..20].iter().all(Option::is_none));
    assert_eq!(codes[20].as_deref(), Some("ThrottlingException"));
}

#[tokio::test]
async fn the_http_control_does_the_same() {
    let rig = Rig::start().await;
    let post = |path: &'static str, body: Value| {
        let request = rig.http().post(format!("{}/sandbox{path}", rig.url())).json(&body);
        async move { request.send().await.unwrap() }
    };
    let before = rig.control.now();
    let clock: Value = post("/clock", json!({ "advanceSeconds": 90 })).await.json().await.unwrap();
    assert_eq!(clock["mode"], "manual");
    assert!((clock["now"].as_f64().unwrap() - before - 90.0).abs() < 0.01);
    let image =
        json!({ "repository": "web", "tag": "v1", "region": REGION, "behaviour": { "crash": { "exitCode": 1 } } });
    let pushed: Value = post("/images", image).await.json().await.unwrap();
    assert_eq!(pushed["image"], format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/web:v1"));
    assert!(post("/behaviours", json!({ "image": "a:1", "behaviour": "missing" })).await.status().is_success());
    assert!(post("/faults", json!({ "operation": "ecs:*", "effect": "throttle" })).await.status().is_success());
    assert_eq!(rig.refused("ListClusters", json!({})).await.code, "ThrottlingException");
    rig.http().delete(format!("{}/sandbox/faults", rig.url())).send().await.unwrap();
    assert!(post("/clusters", json!({ "name": "other", "region": REGION })).await.status().is_success());
    assert_eq!(rig.ecs("ListClusters", json!({})).await["clusterArns"].as_array().unwrap().len(), 2);
    let calls: Value =
        rig.http().get(format!("{}/sandbox/calls", rig.url())).send().await.unwrap().json().await.unwrap();
    assert_eq!(calls["ecs:ListClusters"], 2);
    let journal: Value =
        rig.http().get(format!("{}/sandbox/journal?since=1", rig.url())).send().await.unwrap().json().await.unwrap();
    assert_eq!(journal["calls"].as_array().unwrap().len(), 1);
    let page = rig
        .http()
        .get(format!("{}/sandbox/calls", rig.url()))
        .header("origin", "http://example.org")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status().as_u16(), 403);
    assert!(post("/reset", json!({})).await.status().is_success());
    assert_eq!(rig.ecs("ListClusters", json!({})).await["clusterArns"], json!([]));
}

#[tokio::test]
async fn answers_carry_the_virtual_date() {
    let rig = Rig::start().await;
    rig.advance(86_400.0 * 400.0);
    let answer = rig
        .http()
        .post(rig.url())
        .header("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListClusters")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 403);
    let year = answer.headers()["date"].to_str().unwrap().split(' ').nth(3).unwrap().parse::<i64>().unwrap();
    let real =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 31_556_952 + 1970;
    assert!(year > real as i64);
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["__type"], "MissingAuthenticationTokenException");
}

#[tokio::test]
async fn a_thousand_services_at_rest_answer_quickly() {
    let rig = Rig::start().await;
    let definition = rig.register("web", "nginx:1").await;
    for at in 0..1000 {
        rig.create(&definition, json!({ "serviceName": format!("s{at}") })).await;
    }
    rig.advance(3600.0);
    let names: Vec<String> = (0..10).map(|at| format!("s{}", at * 97)).collect();
    let started = std::time::Instant::now();
    for _ in 0..100 {
        let answer = rig.ecs("DescribeServices", json!({ "cluster": "demo", "services": names })).await;
        assert_eq!(answer["services"][9]["runningCount"], 1);
    }
    // Generous: an unoptimised build on a busy machine. An optimised one takes a tenth of a millisecond.
    assert!(started.elapsed().as_millis() / 100 < 30, "{:?}", started.elapsed() / 100);
}
