//! Alarms of CloudWatch, which are in the state that the test puts them in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::error::{Answer, ApiError};
use crate::outside::Call;
use crate::place::Place;

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// The metric is within the threshold.
    Ok,
    /// The metric is beyond the threshold.
    Alarm,
    /// There is not enough data to say.
    InsufficientData,
}

impl AlarmState {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Ok => "Threshold Crossed: 1 datapoint [0.0] was not greater than the threshold (5.0).",
            Self::Alarm => "Threshold Crossed: 1 datapoint [10.0] was greater than the threshold (5.0).",
            Self::InsufficientData => "Insufficient Data: 1 datapoint was unknown.",
        }
    }
}

/// The alarms of a place, by name.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    by_name: BTreeMap<String, Alarm>,
}

#[derive(Debug)]
struct Alarm {
    state: AlarmState,
    reason: String,
    /// When it came into its state.
    since: Moment,
    created_at: Moment,
}

impl Alarms {
    /// Puts an alarm into a state, and makes it if need be.
    pub(crate) fn set(&mut self, name: &str, state: AlarmState, now: Moment) {
        let new = || Alarm { state, reason: state.reason().to_owned(), since: now, created_at: now };
        let alarm = self.by_name.entry(name.to_owned()).or_insert_with(new);
        if alarm.state != state {
            *alarm = Alarm { created_at: alarm.created_at, ..new() };
        }
    }

    /// Whether an alarm is in the state ALARM. One that does not exist is not.
    pub(crate) fn firing(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|alarm| alarm.state == AlarmState::Alarm)
    }

    /// Since when an alarm has been in its state.
    #[cfg_attr(not(test), expect(dead_code, reason = "the simulation asks only whether an alarm fires"))]
    pub(crate) fn since(&self, name: &str) -> Option<Moment> {
        self.by_name.get(name).map(|alarm| alarm.since)
    }
}

impl Alarm {
    fn wire(&self, place: &Place, name: &str) -> Value {
        json!({
            "AlarmName": name,
            "AlarmArn": place.arn("cloudwatch", format_args!("alarm:{name}")),
            "AlarmConfigurationUpdatedTimestamp": self.created_at.wire(),
            "ActionsEnabled": true,
            "OKActions": [],
            "AlarmActions": [],
            "InsufficientDataActions": [],
            "StateValue": self.state.name(),
            "StateReason": self.reason,
            "StateUpdatedTimestamp": self.since.wire(),
            "MetricName": "Errors",
            "Namespace": "Sandbox",
            "Statistic": "Sum",
            "Dimensions": [],
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 5.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "StateTransitionedTimestamp": self.since.wire(),
        })
    }
}

/// Runs one operation.
pub(crate) fn run(operation: &str, call: &Call<'_>) -> Answer {
    match operation {
        "DescribeAlarms" => describe(call),
        other => Err(ApiError::new("InvalidAction", format!("The sandbox does not know cloudwatch:{other}."))),
    }
}

fn describe(call: &Call<'_>) -> Answer {
    let request = call.request;
    let (names, prefix) = (request.texts("AlarmNames"), request.text("AlarmNamePrefix"));
    if !names.is_empty() && prefix.is_some() {
        return Err(ApiError::new(
            "InvalidParameterCombination",
            "AlarmNames and AlarmNamePrefix cannot be specified together.",
        ));
    }
    for relation in ["ChildrenOfAlarmName", "ParentsOfAlarmName"] {
        if request.has(relation) {
            let message = format!("The sandbox has no composite alarms, so that {relation} finds nothing.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
    }
    let (types, state) = (request.texts("AlarmTypes"), request.text("StateValue"));
    // All alarms of the sandbox are metric alarms without actions.
    let wanted = (types.is_empty() || types.contains(&"MetricAlarm")) && !request.has("ActionPrefix");
    let all = call.outside.alarms.get(call.place).into_iter().flat_map(|alarms| &alarms.by_name);
    let all = all
        .filter(|(name, alarm)| {
            wanted
                && (names.is_empty() || names.contains(&name.as_str()))
                && prefix.is_none_or(|prefix| name.starts_with(prefix))
                && state.is_none_or(|state| alarm.state.name() == state)
        })
        .map(|(name, alarm)| (name.clone(), alarm.wire(call.place, name)))
        .collect();
    // With names, all of them come at once; there cannot be more than fit.
    let default = if names.is_empty() { 50 } else { 100 };
    let (items, next) = call.page(all, ("NextToken", "MaxRecords"), default, "InvalidNextToken")?;
    let mut answer = json!({ "CompositeAlarms": [], "MetricAlarms": items });
    if let Some(token) = next {
        answer["NextToken"] = json!(token);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_alarm_keeps_the_moment_of_its_change() {
        let (mut alarms, start) = (Alarms::default(), Moment::from_millis(0));
        alarms.set("errors", AlarmState::Ok, start);
        assert!(!alarms.firing("errors") && !alarms.firing("none"));
        let later = start.plus(Duration::from_secs(5));
        alarms.set("errors", AlarmState::Alarm, later);
        alarms.set("errors", AlarmState::Alarm, later.plus(Duration::from_secs(5)));
        assert!(alarms.firing("errors"));
        assert_eq!((alarms.since("errors"), alarms.since("none")), (Some(later), None));
    }
}
