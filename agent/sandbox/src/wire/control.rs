//! The control interface over HTTP: JSON below `/sandbox`.
//!
//! It listens on loopback, where any web page that the user visits could reach it; so a request
//! that a browser sends for a page is refused.

use std::collections::BTreeMap;

use axum::extract::{Query, Request as HttpRequest, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::behaviour::{Behaviour, span};
use crate::catalogue::Failure;
use crate::control::Control;
use crate::fault::Fault;
use crate::model::Trouble;
use crate::outside::ecr::NewImage;
use crate::outside::functions::HookAnswer;
use crate::wire::Handle;

mod neighbours;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/calls", get(calls))
        .route("/calls/reset", post(reset_calls))
        .route("/journal", get(journal))
        .route("/clock", get(clock).post(set_clock))
        .route("/images", post(image))
        .route("/behaviours", post(behaviour))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/clusters", post(cluster))
        .route("/instances", post(instances))
        .route("/parameters", post(parameter))
        .route("/secrets", post(secret))
        .route("/scalable-targets", post(scalable_target))
        .route("/access", post(access).delete(restore_access))
        .route("/failures", post(failure))
        .route("/troubles", post(trouble).delete(heal))
        .route("/hooks", post(hook).get(hook_calls))
        .route("/reset", post(reset))
        .merge(neighbours::routes())
        .layer(middleware::from_fn(refuse_browsers))
}

async fn refuse_browsers(request: HttpRequest, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        let body = json!({ "message": "The control interface does not serve web pages." });
        return (StatusCode::FORBIDDEN, Json(body)).into_response();
    }
    next.run(request).await
}

fn done() -> Json<Value> {
    Json(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    account: Option<String>,
    region: Option<String>,
}

async fn calls(Shared(handle): Shared<Handle>, Query(place): Query<Where>) -> Json<Value> {
    let control = Control::new(handle);
    Json(match (place.account, place.region) {
        (Some(account), Some(region)) => json!(control.calls_in(&account, &region)),
        _ => json!(control.calls()),
    })
}

async fn reset_calls(Shared(handle): Shared<Handle>) -> Json<Value> {
    Control::new(handle).reset_calls();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn journal(Shared(handle): Shared<Handle>, Query(query): Query<Since>) -> Json<Value> {
    Json(json!({ "calls": Control::new(handle).journal(query.since) }))
}

async fn clock(Shared(handle): Shared<Handle>) -> Json<Value> {
    Json(Control::new(handle).clock())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClockChange {
    advance_seconds: Option<f64>,
    speed: Option<f64>,
    #[serde(default)]
    manual: bool,
}

async fn set_clock(Shared(handle): Shared<Handle>, Json(change): Json<ClockChange>) -> Json<Value> {
    let control = Control::new(handle);
    if change.manual {
        control.set_manual();
    }
    if let Some(speed) = change.speed {
        control.set_speed(speed);
    }
    if let Some(seconds) = change.advance_seconds {
        control.advance(span(seconds));
    }
    Json(control.clock())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    repository: String,
    tag: String,
    account: Option<String>,
    region: Option<String>,
    #[serde(default)]
    behaviour: Behaviour,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    architectures: Vec<String>,
}

/// The region of a control request that names none.
const REGION: &str = "us-east-1";

fn place(control: &Control, account: Option<String>, region: Option<String>) -> (String, String) {
    (account.unwrap_or_else(|| control.default_account()), region.unwrap_or_else(|| REGION.to_owned()))
}

async fn image(Shared(handle): Shared<Handle>, Json(new): Json<Image>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    let image = NewImage { behaviour: new.behaviour, labels: new.labels, architectures: new.architectures };
    let digest = control.push_image_with(&account, &region, &new.repository, &new.tag, &image);
    let image = format!("{account}.dkr.ecr.{region}.amazonaws.com/{}:{}", new.repository, new.tag);
    Json(json!({ "image": image, "imageDigest": digest }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBehaviour {
    image: String,
    behaviour: Behaviour,
}

async fn behaviour(Shared(handle): Shared<Handle>, Json(new): Json<NewBehaviour>) -> Json<Value> {
    Control::new(handle).set_behaviour(&new.image, new.behaviour);
    done()
}

async fn add_fault(Shared(handle): Shared<Handle>, Json(fault): Json<Fault>) -> Json<Value> {
    Control::new(handle).add_fault(fault);
    done()
}

async fn clear_faults(Shared(handle): Shared<Handle>) -> Json<Value> {
    Control::new(handle).clear_faults();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCluster {
    name: String,
    account: Option<String>,
    region: Option<String>,
    instances: Option<u32>,
}

async fn cluster(Shared(handle): Shared<Handle>, Json(new): Json<NewCluster>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    control.create_cluster(&account, &region, &new.name);
    if let Some(instances) = new.instances {
        control.set_container_instances(&account, &region, &new.name, instances);
    }
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instances {
    cluster: String,
    account: Option<String>,
    region: Option<String>,
    instances: u32,
}

async fn instances(Shared(handle): Shared<Handle>, Json(new): Json<Instances>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    control.set_container_instances(&account, &region, &new.cluster, new.instances);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewParameter {
    name: String,
    value: String,
    kind: Option<String>,
    account: Option<String>,
    region: Option<String>,
}

async fn parameter(Shared(handle): Shared<Handle>, Json(new): Json<NewParameter>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    control.put_parameter(&account, &region, &new.name, new.kind.as_deref().unwrap_or("String"), &new.value);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSecret {
    name: String,
    value: String,
    account: Option<String>,
    region: Option<String>,
}

async fn secret(Shared(handle): Shared<Handle>, Json(new): Json<NewSecret>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    Json(json!({ "arn": control.put_secret(&account, &region, &new.name, &new.value) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTarget {
    resource: String,
    minimum: u32,
    maximum: u32,
    account: Option<String>,
    region: Option<String>,
}

async fn scalable_target(Shared(handle): Shared<Handle>, Json(new): Json<NewTarget>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    control.register_scalable_target(&account, &region, &new.resource, new.minimum, new.maximum);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Refusals {
    #[serde(default)]
    invalid_keys: Vec<String>,
    #[serde(default)]
    denied_roles: Vec<String>,
}

async fn access(Shared(handle): Shared<Handle>, Json(refusals): Json<Refusals>) -> Json<Value> {
    let control = Control::new(handle);
    refusals.invalid_keys.iter().for_each(|key| control.invalidate_key(key));
    refusals.denied_roles.iter().for_each(|role| control.deny_role(role));
    done()
}

async fn restore_access(Shared(handle): Shared<Handle>) -> Json<Value> {
    Control::new(handle).restore_access();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFailure {
    cluster: String,
    service: String,
    failure: Failure,
    account: Option<String>,
    region: Option<String>,
}

async fn failure(Shared(handle): Shared<Handle>, Json(new): Json<NewFailure>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    control.inject(&account, &region, &new.cluster, &new.service, new.failure);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTrouble {
    cluster: String,
    service: String,
    trouble: Trouble,
    account: Option<String>,
    region: Option<String>,
}

async fn trouble(Shared(handle): Shared<Handle>, Json(new): Json<NewTrouble>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    control.trouble(&account, &region, &new.cluster, &new.service, new.trouble);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patient {
    cluster: String,
    service: String,
    account: Option<String>,
    region: Option<String>,
}

async fn heal(Shared(handle): Shared<Handle>, Json(who): Json<Patient>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, who.account, who.region);
    control.heal(&account, &region, &who.cluster, &who.service);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHook {
    function: String,
    answer: HookAnswer,
}

async fn hook(Shared(handle): Shared<Handle>, Json(new): Json<NewHook>) -> Json<Value> {
    Control::new(handle).set_hook(&new.function, new.answer);
    done()
}

async fn hook_calls(Shared(handle): Shared<Handle>, Query(from): Query<Where>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, from.account, from.region);
    Json(json!({ "calls": control.hook_calls(&account, &region) }))
}

async fn reset(Shared(handle): Shared<Handle>) -> Json<Value> {
    Control::new(handle).reset();
    done()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn control_bodies() {
        let fault: Fault =
            serde_json::from_value(json!({ "operation": "ecs:*", "effect": "throttle", "when": { "nth": 2 } }))
                .unwrap();
        assert_eq!(fault.operation, "ecs:*");
        let crash: Behaviour =
            serde_json::from_value(json!({ "crash": { "exitCode": 1, "afterRunningSeconds": 2 } })).unwrap();
        assert_eq!(crash, Behaviour::crash(1, Duration::from_secs(2)));
    }
}
