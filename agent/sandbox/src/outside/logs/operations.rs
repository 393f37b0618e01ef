//! The operations of CloudWatch Logs.

use serde_json::{Value, json};

use crate::error::{Answer, ApiError};
use crate::outside::Call;
use crate::outside::logs::{Event, Group, Position, Stream};
use crate::request::Request;

const PAGES: (&str, &str) = ("nextToken", "limit");

/// Runs one operation.
pub(crate) fn run(operation: &str, mut call: Call<'_>) -> Answer {
    match operation {
        "CreateLogGroup" => create_group(&mut call),
        "DescribeLogGroups" => describe_groups(&call),
        "CreateLogStream" => create_stream(&mut call),
        "DescribeLogStreams" => describe_streams(&call),
        "PutLogEvents" => put_events(&mut call),
        "GetLogEvents" => get_events(&call),
        "FilterLogEvents" => filter_events(&call),
        other => Err(ApiError::new("UnknownOperationException", format!("The sandbox does not know logs:{other}."))),
    }
}

fn no_group() -> ApiError {
    ApiError::new("ResourceNotFoundException", "The specified log group does not exist.")
}

fn no_stream() -> ApiError {
    ApiError::new("ResourceNotFoundException", "The specified log stream does not exist.")
}

/// The name of the group that a request means, by name or ARN.
fn group_name(request: Request<'_>) -> Result<&str, ApiError> {
    let (name, identifier) = (request.text("logGroupName"), request.text("logGroupIdentifier"));
    if name.is_some() && identifier.is_some() {
        return Err(ApiError::invalid("Only one of logGroupName and logGroupIdentifier may be given."));
    }
    name.or_else(|| {
        let identifier = identifier?;
        Some(identifier.split_once(":log-group:").map_or(identifier, |(_, name)| name.trim_end_matches(":*")))
    })
    .ok_or_else(|| ApiError::invalid("One of logGroupName and logGroupIdentifier must be given."))
}

fn group<'a>(call: &'a Call<'_>) -> Result<(&'a str, &'a Group), ApiError> {
    let name = group_name(call.request)?;
    let group = call.outside.logs.get(call.place).and_then(|logs| logs.groups.get(name)).ok_or_else(no_group)?;
    Ok((name, group))
}

fn group_mut<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Group, ApiError> {
    let name = group_name(call.request)?;
    call.outside.logs.get_mut(call.place).and_then(|logs| logs.groups.get_mut(name)).ok_or_else(no_group)
}

fn create_group(call: &mut Call<'_>) -> Answer {
    let name = group_name(call.request)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.#".contains(c);
    if !name.chars().all(allowed) {
        return Err(ApiError::invalid(format!("{name} is not a name of a log group.")));
    }
    let class = call.request.text("logGroupClass").unwrap_or("STANDARD");
    if call.outside.logs.entry(call.place.clone()).or_default().create(name, class, call.now) {
        return Ok(Value::Null);
    }
    Err(ApiError::new("ResourceAlreadyExistsException", "The specified log group already exists"))
}

fn describe_groups(call: &Call<'_>) -> Answer {
    let request = call.request;
    let (prefix, pattern) = (request.text("logGroupNamePrefix"), request.text("logGroupNamePattern"));
    if prefix.is_some() && pattern.is_some() {
        return Err(ApiError::invalid("Only one of logGroupNamePrefix and logGroupNamePattern may be given."));
    }
    let class = request.text("logGroupClass");
    let all = call.outside.logs.get(call.place).into_iter().flat_map(|logs| &logs.groups);
    let all = all
        .filter(|(name, group)| {
            prefix.is_none_or(|prefix| name.starts_with(prefix))
                && pattern.is_none_or(|pattern| name.contains(pattern))
                && class.is_none_or(|class| group.class == class)
        })
        .map(|(name, group)| (name.clone(), group.wire(call.place, name)))
        .collect();
    let (items, next) = call.page(all, PAGES, 50, "InvalidParameterException")?;
    Ok(with_token(json!({ "logGroups": items }), next))
}

fn create_stream(call: &mut Call<'_>) -> Answer {
    let (request, now) = (call.request, call.now);
    let name = request.text("logStreamName").unwrap_or_default();
    if name.contains([':', '*']) {
        return Err(ApiError::invalid(format!("{name} is not a name of a log stream.")));
    }
    let group = group_mut(call)?;
    if group.streams.contains_key(name) {
        return Err(ApiError::new("ResourceAlreadyExistsException", "The specified log stream already exists"));
    }
    group.streams.insert(name.to_owned(), Stream::new(now));
    Ok(Value::Null)
}

fn describe_streams(call: &Call<'_>) -> Answer {
    let request = call.request;
    let prefix = request.text("logStreamNamePrefix");
    let (by_time, descending) =
        (request.text("orderBy") == Some("LastEventTime"), request.flag("descending").unwrap_or_default());
    if by_time && prefix.is_some() {
        return Err(ApiError::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let (group_name, group) = group(call)?;
    let streams = group.streams.iter().filter(|(name, _)| prefix.is_none_or(|prefix| name.starts_with(prefix)));
    let mut all: Vec<(String, Value)> = streams
        .map(|(name, stream)| {
            let key = match (by_time, descending) {
                (false, _) => name.clone(),
                (true, false) => format!("{:020} {name}", stream.last()),
                // Upside down, so that the keys rise from page to page although the times fall.
                (true, true) => format!("{:020} {name}", u64::MAX - stream.last()),
            };
            (key, stream.wire(call.place, group_name, name))
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    if descending && !by_time {
        all.reverse();
    }
    let (items, next) = call.page(all, PAGES, 50, "InvalidParameterException")?;
    Ok(with_token(json!({ "logStreams": items }), next))
}

fn put_events(call: &mut Call<'_>) -> Answer {
    let (request, now) = (call.request, call.now);
    let name = request.text("logStreamName").unwrap_or_default();
    let events = request.list("logEvents").into_iter().flatten();
    let events: Vec<(u64, &str)> = events
        .map(|event| (event["timestamp"].as_u64().unwrap_or_default(), event["message"].as_str().unwrap_or_default()))
        .collect();
    let group = group_mut(call)?;
    if !group.streams.contains_key(name) {
        return Err(no_stream());
    }
    if !events.is_sorted_by_key(|(millis, _)| *millis) {
        return Err(ApiError::invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    for (millis, message) in events {
        group.append(name, millis, message, now);
    }
    Ok(json!({ "nextSequenceToken": Position { millis: now.millis(), number: group.count }.text() }))
}

/// From which millisecond to before which one.
fn span(request: Request<'_>) -> impl Fn(&Event) -> bool {
    let bound = |name: &str| request.get(name).and_then(Value::as_u64);
    let (start, end) = (bound("startTime").unwrap_or_default(), bound("endTime"));
    move |event| event.position.millis >= start && end.is_none_or(|end| event.position.millis < end)
}

/// One page of a stream. Its two tokens are those of the events around it: a page before the first one and after the
/// last one is empty, and gives back the token that it was asked for with.
fn get_events(call: &Call<'_>) -> Answer {
    let request = call.request;
    let (_, group) = group(call)?;
    let stream = group.streams.get(request.text("logStreamName").unwrap_or_default()).ok_or_else(no_stream)?;
    let token = request.text("nextToken").map(Token::parse).transpose()?;
    let within = span(request);
    let events: Vec<&Event> = stream
        .events
        .iter()
        .filter(|event| within(event))
        .filter(|event| match token {
            Some(Token::Forward(position)) => event.position > position,
            Some(Token::Backward(position)) => event.position < position,
            None => true,
        })
        .collect();
    let limit = request.count("limit").map_or(10_000, |limit| limit as usize);
    let limit = if call.outside.short_pages && limit > 1 { limit - 1 } else { limit };
    let from_head = match token {
        Some(Token::Forward(_)) => true,
        Some(Token::Backward(_)) => false,
        None => request.flag("startFromHead").unwrap_or_default(),
    };
    let page =
        if from_head { &events[..events.len().min(limit)] } else { &events[events.len().saturating_sub(limit)..] };
    let asked = match token {
        Some(Token::Forward(position) | Token::Backward(position)) => position,
        None => Position::default(),
    };
    let first = page.first().map_or(asked, |event| event.position);
    let last = page.last().map_or(asked, |event| event.position);
    Ok(json!({
        "events": page.iter().map(|event| event.wire()).collect::<Vec<_>>(),
        "nextForwardToken": format!("f/{}/s", last.text()),
        "nextBackwardToken": format!("b/{}/s", first.text()),
    }))
}

/// Where a page of a stream begins: after an event, or before one.
#[derive(Clone, Copy)]
enum Token {
    Forward(Position),
    Backward(Position),
}

impl Token {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let inner = text.strip_suffix("/s").unwrap_or(text);
        let found = match inner.split_at_checked(2) {
            Some(("f/", position)) => Position::parse(position).map(Self::Forward),
            Some(("b/", position)) => Position::parse(position).map(Self::Backward),
            _ => None,
        };
        found.ok_or_else(|| ApiError::invalid("The specified nextToken is invalid."))
    }
}

fn filter_events(call: &Call<'_>) -> Answer {
    let request = call.request;
    let (names, prefix) = (request.texts("logStreamNames"), request.text("logStreamNamePrefix"));
    if !names.is_empty() && prefix.is_some() {
        return Err(ApiError::invalid("Only one of logStreamNames and logStreamNamePrefix may be given."));
    }
    if request.text("filterPattern").is_some_and(|pattern| !pattern.is_empty()) {
        return Err(ApiError::invalid("The sandbox does not know patterns of events."));
    }
    let (_, group) = group(call)?;
    if names.iter().any(|name| !group.streams.contains_key(*name)) {
        return Err(no_stream());
    }
    let within = span(request);
    let streams = group.streams.iter().filter(|(name, _)| {
        (names.is_empty() || names.contains(&name.as_str())) && prefix.is_none_or(|prefix| name.starts_with(prefix))
    });
    let mut all: Vec<(String, Value)> = streams
        .flat_map(|(name, stream)| stream.events.iter().map(move |event| (name, event)))
        .filter(|(_, event)| within(event))
        .map(|(name, event)| {
            let id = event.position.text();
            let mut wire = event.wire();
            wire["logStreamName"] = json!(name);
            wire["eventId"] = json!(id);
            (id, wire)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    if request.flag("startFromHead") == Some(false) {
        all.reverse();
    }
    let (items, next) = call.page(all, PAGES, 10_000, "InvalidParameterException")?;
    Ok(with_token(json!({ "events": items, "searchedLogStreams": [] }), next))
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(token) = next {
        answer["nextToken"] = json!(token);
    }
    answer
}
