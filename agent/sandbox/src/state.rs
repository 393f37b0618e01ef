//! Everything that a sandbox knows, and the way of a call through it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::{Clock, Moment};
use crate::ecs::{self, Ctx};
use crate::error::{Answer, ApiError};
use crate::fault::{Armed, Effect, Timing};
use crate::identity::Identity;
use crate::ids::Ids;
use crate::journal::{Journal, JournalEntry};
use crate::model::World;
use crate::options::Options;
use crate::outside::{self, Outside};
use crate::place::{Caller, Place};
use crate::request::Request;
use crate::sim::{Around, Sim};
use crate::throttle::Buckets;
use crate::wire::shapes;

/// How long a connection is held that gets no answer: longer than any client waits.
const HANG: Duration = Duration::from_secs(3600);

/// The state of a sandbox.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) worlds: BTreeMap<Place, World>,
    pub(crate) outside: Outside,
    pub(crate) identity: Identity,
    pub(crate) faults: Vec<Armed>,
    pub(crate) journal: Journal,
    pub(crate) request_ids: Ids,
    buckets: Buckets,
}

/// A request, off the wire.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) access_key: Option<String>,
    pub(crate) region: String,
    pub(crate) service: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) operation: String,
    pub(crate) body: Map<String, Value>,
}

/// How a request came, which errors depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Json,
    Query,
}

/// What goes back.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) answer: Answer,
    pub(crate) drop: bool,
    pub(crate) delay: Duration,
    pub(crate) now: Moment,
    pub(crate) request_id: String,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            clock: Clock::start(options.clock),
            worlds: BTreeMap::new(),
            outside: Outside::new(&options),
            identity: Identity::new(&options.default_account, options.seed, options.expire_sessions),
            faults: Vec::new(),
            journal: Journal::new(options.journal_capacity),
            request_ids: Ids::new(options.seed, "requests"),
            buckets: Buckets::default(),
            options,
        }
    }

    /// Runs the simulation up to the present and returns it.
    pub(crate) fn catch_up(&mut self) -> Moment {
        let now = self.clock.now();
        loop {
            let around = Around { durations: &self.options.durations, outside: &self.outside };
            let due = self
                .worlds
                .values_mut()
                .filter_map(|world| Some((world.queue.next_at().filter(|at| *at <= now)?, world)))
                .min_by_key(|(at, _)| *at);
            let Some((at, world)) = due else { return now };
            Sim::new(world, around, at).step(now);
            let effects = std::mem::take(&mut world.effects);
            if !effects.is_empty() {
                let place = world.place.clone();
                self.outside.take_effects(&place, effects, at);
            }
        }
    }

    pub(crate) fn world(&mut self, place: &Place) -> &mut World {
        let seed = self.options.seed;
        self.worlds.entry(place.clone()).or_insert_with(|| World::new(place.clone(), seed))
    }

    /// Forgets everything but the options and the clock.
    pub(crate) fn reset(&mut self) {
        let clock = std::mem::replace(&mut self.clock, Clock::start(self.options.clock));
        *self = Self::new(self.options.clone());
        self.clock = clock;
    }

    fn caller(&self, incoming: &Incoming, now: Moment) -> Result<Caller, ApiError> {
        self.identity.caller(incoming.access_key.as_deref(), incoming.protocol == Protocol::Query, now)
    }

    /// How long a call wants to be held back as things are now: a receiver waits at an empty queue.
    pub(crate) fn wait(&mut self, incoming: &Incoming) -> Duration {
        if incoming.service != "sqs" || incoming.operation != "ReceiveMessage" {
            return Duration::ZERO;
        }
        let now = self.catch_up();
        let Ok(caller) = self.caller(incoming, now) else {
            return Duration::ZERO;
        };
        let place = Place::new(&caller.account, &incoming.region);
        let request = Request(&incoming.body);
        outside::sqs::wait(outside::Call { outside: &mut self.outside, place: &place, caller: &caller, now, request })
    }

    /// Answers one call.
    pub(crate) fn call(&mut self, incoming: Incoming) -> Outgoing {
        let now = self.catch_up();
        let caller = self.caller(&incoming, now);
        let mut outgoing = Outgoing {
            answer: Ok(Value::Null),
            drop: false,
            delay: Duration::ZERO,
            now,
            request_id: self.request_ids.uuid(),
        };
        let account = caller.as_ref().map_or(self.options.default_account.as_str(), |caller| &caller.account);
        let place = Place::new(account, &incoming.region);
        let arn = caller.as_ref().map(|caller| caller.arn.clone()).unwrap_or_default();
        outgoing.answer = match caller {
            Err(error) => Err(error),
            Ok(caller) => self.admitted(&incoming, &caller, &place, &mut outgoing),
        };
        let error = outgoing.answer.as_ref().err();
        let body = || match &outgoing.answer {
            Ok(answer) => answer.clone(),
            Err(error) => error.body(incoming.service),
        };
        self.journal.record(JournalEntry {
            sequence: 0,
            time: now.seconds(),
            account: place.account,
            region: place.region,
            caller: arn,
            service: incoming.service.to_owned(),
            operation: incoming.operation,
            status: error.map_or(200, |error| error.status),
            error: error.map(|error| error.code.clone()),
            request: Value::Object(incoming.body),
            answer: (self.options.journal_answers && !outgoing.drop).then(body),
        });
        outgoing
    }

    /// A call by a known caller: faults and rates first, then the operation.
    fn admitted(&mut self, incoming: &Incoming, caller: &Caller, place: &Place, outgoing: &mut Outgoing) -> Answer {
        let name = format!("{}:{}", incoming.service, incoming.operation);
        let struck: Vec<(Timing, Effect)> = self
            .faults
            .iter_mut()
            .filter_map(|armed| {
                let strikes = armed.strikes(&name, &place.account, &place.region);
                strikes.then(|| (armed.fault.timing, armed.fault.effect.clone()))
            })
            .collect();
        let apply = |timing: Timing, outgoing: &mut Outgoing| -> Result<(), ApiError> {
            for (_, effect) in struck.iter().filter(|(when, _)| *when == timing) {
                match effect {
                    Effect::Stale(_) | Effect::Replace { .. } => {}
                    Effect::Hang => {
                        outgoing.delay = HANG;
                        outgoing.drop = true;
                        return Err(ApiError::new("ConnectionDropped", "No answer comes.").with_status(500));
                    }
                    Effect::Delay(seconds) => outgoing.delay += crate::behaviour::span(*seconds),
                    Effect::Drop => {
                        outgoing.drop = true;
                        return Err(ApiError::new("ConnectionDropped", "The connection was dropped.").with_status(500));
                    }
                    Effect::Deny => return Err(denied(incoming, caller, place)),
                    Effect::Throttle => return Err(ApiError::throttled(incoming.service)),
                    Effect::InternalError => return Err(internal(incoming.service)),
                    Effect::Error { code, message, status } => {
                        return Err(ApiError::new(code, message).with_status(*status));
                    }
                }
            }
            Ok(())
        };
        apply(Timing::Before, outgoing)?;
        if self.options.throttling
            && incoming.service == "ecs"
            && !self.buckets.admit(place, &incoming.operation, outgoing.now)
        {
            return Err(ApiError::throttled(incoming.service));
        }
        shapes::check(incoming.service, &incoming.operation, &incoming.body)?;
        let lag = struck.iter().filter_map(|(_, effect)| match effect {
            Effect::Stale(seconds) => Some(crate::behaviour::span(*seconds)),
            _ => None,
        });
        let lag = lag.max().unwrap_or_default().max(self.options.stale_reads);
        let mut answer = self.run(incoming, caller, place, outgoing.now, lag)?;
        for (_, effect) in &struck {
            if let Effect::Replace { member, value } = effect {
                replace(&mut answer, member, value);
            }
        }
        apply(Timing::After, outgoing)?;
        Ok(answer)
    }

    fn run(&mut self, incoming: &Incoming, caller: &Caller, place: &Place, now: Moment, lag: Duration) -> Answer {
        let request = Request(&incoming.body);
        let operation = incoming.operation.as_str();
        if incoming.service == "sts" {
            return self.identity.run(operation, caller, request, now);
        }
        if incoming.service == "ecs" {
            let seed = self.options.seed;
            let world = self.worlds.entry(place.clone()).or_insert_with(|| World::new(place.clone(), seed));
            let around = Around { durations: &self.options.durations, outside: &self.outside };
            let keep = !self.options.stale_reads.is_zero()
                || self.faults.iter().any(|armed| matches!(armed.fault.effect, Effect::Stale(_)));
            let ctx = Ctx { sim: Sim::new(world, around, now), request, caller, options: &self.options, lag };
            let answer = ecs::run(operation, ctx, keep);
            let effects = std::mem::take(&mut world.effects);
            self.outside.take_effects(place, effects, now);
            return answer;
        }
        let call = outside::Call { outside: &mut self.outside, place, caller, now, request };
        match incoming.service {
            "ecr" => outside::ecr::run(operation, call),
            "ssm" => outside::ssm::run(operation, call),
            "secretsmanager" => outside::secrets::run(operation, call),
            "cloudwatch" => outside::alarms::run(operation, &call),
            "logs" => outside::logs::run(operation, call),
            "elasticloadbalancing" => outside::balancing::run(operation, &call),
            "sqs" => outside::sqs::run(operation, call),
            _ => outside::scaling::run(operation, call),
        }
    }
}

/// Gives every member of a name a value.
fn replace(answer: &mut Value, member: &str, value: &Value) {
    match answer {
        Value::Object(members) => {
            for (name, old) in members.iter_mut() {
                if name == member { old.clone_from(value) } else { replace(old, member, value) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, member, value)),
        _ => {}
    }
}

fn internal(service: &str) -> ApiError {
    let code = match service {
        "ssm" => "InternalServerError",
        "secretsmanager" => "InternalServiceError",
        "application-autoscaling" => "InternalServiceException",
        "sts" | "elasticloadbalancing" | "cloudwatch" | "sqs" => "InternalFailure",
        "logs" => "ServiceUnavailableException",
        _ => "ServerException",
    };
    ApiError::new(code, "Service Unavailable. Please try again later.").with_status(500)
}
/// The words of IAM for a call without permission.
fn denied(incoming: &Incoming, caller: &Caller, place: &Place) -> ApiError {
    let action = format!("{}:{}", incoming.service, incoming.operation);
    let message = format!(
        "User: {} is not authorized to perform: {action} on resource: {} because no identity-based policy allows the {action} action",
        caller.arn,
        resource(incoming, place)
    );
    match incoming.protocol {
        Protocol::Query => ApiError::new("AccessDenied", message).with_status(403),
        Protocol::Json => ApiError::new("AccessDeniedException", message),
    }
}

/// The ARN that IAM would name.
fn resource(incoming: &Incoming, place: &Place) -> String {
    let request = Request(&incoming.body);
    let cluster = ecs::last_segment(request.text("cluster").unwrap_or("default"));
    let first = |list: &str| request.texts(list).first().copied();
    if incoming.service == "ecs" {
        let service = request.text("service").or_else(|| request.text("serviceName")).or_else(|| first("services"));
        if let Some(service) = service {
            return place.arn("ecs", format_args!("service/{cluster}/{}", ecs::last_segment(service)));
        }
        if let Some(arn) = request.text("resourceArn").or_else(|| request.text("serviceDeploymentArn")) {
            return arn.to_owned();
        }
        return match incoming.operation.as_str() {
            "RegisterTaskDefinition" => {
                place.arn("ecs", format_args!("task-definition/{}:*", request.text("family").unwrap_or("*")))
            }
            "DescribeClusters" => {
                place.arn("ecs", format_args!("cluster/{}", ecs::last_segment(first("clusters").unwrap_or("default"))))
            }
            "DescribeTasks" | "ListTasks" => place.arn("ecs", format_args!("task/{cluster}/*")),
            _ => "*".to_owned(),
        };
    }
    match incoming.service {
        "ssm" => {
            let name = request.text("Name").or_else(|| first("Names")).unwrap_or("*");
            place.arn("ssm", format_args!("parameter/{}", name.trim_start_matches('/')))
        }
        "ecr" => place.arn("ecr", format_args!("repository/{}", request.text("repositoryName").unwrap_or("*"))),
        "secretsmanager" => request.text("SecretId").unwrap_or("*").to_owned(),
        "sts" => request.text("RoleArn").unwrap_or("*").to_owned(),
        "cloudwatch" => place.arn("cloudwatch", "alarm:*"),
        "logs" => {
            let group = request.text("logGroupName").unwrap_or("*");
            let stream = request.text("logStreamName").unwrap_or_default();
            place.arn("logs", format_args!("log-group:{group}:log-stream:{stream}"))
        }
        "sqs" => {
            let queue = request.text("QueueUrl").map(ecs::last_segment).or_else(|| request.text("QueueName"));
            place.arn("sqs", queue.unwrap_or("*"))
        }
        _ => "*".to_owned(),
    }
}
