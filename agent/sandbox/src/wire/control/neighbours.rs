//! The control of alarms, logs, load balancers and queues over HTTP.

use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::Control;
use crate::outside::alarms::AlarmState;
use crate::outside::balancing::TargetState;
use crate::wire::Handle;
use crate::wire::control::{done, place};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/alarms", post(alarm))
        .route("/logs", post(log))
        .route("/target-groups", post(group).delete(delete_group))
        .route("/listeners", post(listener))
        .route("/rules", post(rule))
        .route("/rules/weights", post(weights))
        .route("/targets", post(target).delete(remove_target))
        .route("/queues", get(depth).post(queue))
        .route("/messages", post(message))
        .route("/ecr-events", post(ecr_events))
}

fn absent(what: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "message": format!("There is no such {what}.") }))).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alarm {
    name: String,
    state: AlarmState,
    account: Option<String>,
    region: Option<String>,
}

async fn alarm(Shared(handle): Shared<Handle>, Json(new): Json<Alarm>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    control.set_alarm(&account, &region, &new.name, new.state);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lines {
    group: String,
    stream: String,
    lines: Vec<String>,
    account: Option<String>,
    region: Option<String>,
}

async fn log(Shared(handle): Shared<Handle>, Json(new): Json<Lines>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    let lines: Vec<&str> = new.lines.iter().map(String::as_str).collect();
    control.put_log_events(&account, &region, &new.group, &new.stream, &lines);
    done()
}

/// Something that has a name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    account: Option<String>,
    region: Option<String>,
}

async fn group(Shared(handle): Shared<Handle>, Json(new): Json<Named>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    Json(json!({ "arn": control.create_target_group(&account, &region, &new.name) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldGroup {
    arn: String,
    account: Option<String>,
    region: Option<String>,
}

async fn delete_group(Shared(handle): Shared<Handle>, Json(old): Json<OldGroup>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, old.account, old.region);
    control.delete_target_group(&account, &region, &old.arn);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighted {
    arn: String,
    weight: u32,
}

fn pairs(groups: &[Weighted]) -> Vec<(&str, u32)> {
    groups.iter().map(|group| (group.arn.as_str(), group.weight)).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Listener {
    load_balancer: String,
    port: u16,
    groups: Vec<Weighted>,
    account: Option<String>,
    region: Option<String>,
}

async fn listener(Shared(handle): Shared<Handle>, Json(new): Json<Listener>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    let arn = control.create_listener(&account, &region, &new.load_balancer, new.port, &pairs(&new.groups));
    Json(json!({ "arn": arn }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    listener: String,
    groups: Vec<Weighted>,
    account: Option<String>,
    region: Option<String>,
}

async fn rule(Shared(handle): Shared<Handle>, Json(new): Json<Rule>) -> Response {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    match control.create_rule(&account, &region, &new.listener, &pairs(&new.groups)) {
        Some(arn) => Json(json!({ "arn": arn })).into_response(),
        None => absent("listener"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shift {
    /// The ARN of a rule, or of a listener for its default action.
    rule: String,
    groups: Vec<Weighted>,
    account: Option<String>,
    region: Option<String>,
}

async fn weights(Shared(handle): Shared<Handle>, Json(shift): Json<Shift>) -> Response {
    let control = Control::new(handle);
    let (account, region) = place(&control, shift.account, shift.region);
    if control.set_rule_weights(&account, &region, &shift.rule, &pairs(&shift.groups)) {
        return done().into_response();
    }
    absent("rule")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    group: String,
    ip: String,
    port: u16,
    state: TargetState,
    account: Option<String>,
    region: Option<String>,
}

async fn target(Shared(handle): Shared<Handle>, Json(new): Json<Target>) -> Response {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    if control.set_target(&account, &region, &new.group, &new.ip, new.port, new.state) {
        return done().into_response();
    }
    absent("target group")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldTarget {
    group: String,
    ip: String,
    port: u16,
    account: Option<String>,
    region: Option<String>,
}

async fn remove_target(Shared(handle): Shared<Handle>, Json(old): Json<OldTarget>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, old.account, old.region);
    control.remove_target(&account, &region, &old.group, &old.ip, old.port);
    done()
}

async fn queue(Shared(handle): Shared<Handle>, Json(new): Json<Named>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    Json(json!({ "url": control.create_queue(&account, &region, &new.name) }))
}

async fn depth(Shared(handle): Shared<Handle>, Query(asked): Query<Named>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, asked.account, asked.region);
    Json(json!({ "depth": control.queue_depth(&account, &region, &asked.name) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    queue: String,
    body: String,
    account: Option<String>,
    region: Option<String>,
}

async fn message(Shared(handle): Shared<Handle>, Json(new): Json<Message>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, new.account, new.region);
    Json(json!({ "messageId": control.send_message(&account, &region, &new.queue, &new.body) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    queue: String,
    account: Option<String>,
    region: Option<String>,
}

async fn ecr_events(Shared(handle): Shared<Handle>, Json(events): Json<Events>) -> Json<Value> {
    let control = Control::new(handle);
    let (account, region) = place(&control, events.account, events.region);
    control.deliver_ecr_events(&account, &region, &events.queue);
    done()
}
