//! Where values came from, for people and as data.

use super::paint;
use lockstep_manifests::trace::{Origin, Traced};
use serde_json::{Value, json};

/// The traced values of one service in one environment.
pub struct Traces {
    /// The environment.
    pub environment: String,
    /// The service.
    pub service: String,
    /// Its values, in the order of what is sent.
    pub values: Vec<Traced>,
}

/// For people: a value, where it came from, what it overrode.
pub fn render(traces: &[Traces]) -> String {
    let mut text = String::new();
    for trace in traces {
        text.push_str(&format!("{}\n", paint::strong(&format!("{}/{}", trace.environment, trace.service))));
        for traced in &trace.values {
            text.push_str(&format!("  {}: {}\n", traced.path, traced.value));
            text.push_str(&format!("      {}\n", paint::faint(&origin(&traced.from))));
            for (name, span) in &traced.variables {
                let (line, _) = span.line_column();
                text.push_str(&format!("      {}\n", paint::faint(&format!("vars.{name}  {}:{line}", span.file.path))));
            }
            for over in &traced.overrode {
                let what = if over.written.is_null() { "null".to_owned() } else { over.written.to_string() };
                text.push_str(&format!("      {}\n", paint::faint(&format!("over {what} of {}", origin(over)))));
            }
        }
    }
    text
}

fn origin(origin: &Origin) -> String {
    let (line, _) = origin.span.line_column();
    format!("{}  {}:{line}", origin.layer, origin.span.file.path)
}

/// For machines.
pub fn data(traces: &[Traces]) -> Value {
    let place = |origin: &Origin| {
        let (line, column) = origin.span.line_column();
        json!({"layer": origin.layer.to_string(), "file": origin.span.file.path, "line": line, "column": column, "written": origin.written})
    };
    let value = |traced: &Traced| {
        let variables: Vec<Value> = traced
            .variables
            .iter()
            .map(|(name, span)| json!({"name": name, "file": span.file.path, "line": span.line_column().0}))
            .collect();
        json!({
            "path": traced.path.to_string(), "value": traced.value, "from": place(&traced.from),
            "variables": variables, "overrode": traced.overrode.iter().map(place).collect::<Vec<_>>(),
        })
    };
    let services: Vec<Value> = traces
        .iter()
        .map(|trace| {
            json!({"environment": trace.environment, "service": trace.service, "values": trace.values.iter().map(value).collect::<Vec<_>>()})
        })
        .collect();
    json!({"format": "lockstep.trace/1", "services": services})
}
