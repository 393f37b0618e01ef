//! What the agent's tasks are doing, for people.

use super::paint;
use jiff::Timestamp;
use lockstep_core::state::{TaskList, TaskState};

/// A line for each task, at a time by which ages are told.
pub fn render(list: &TaskList, now: Timestamp) -> String {
    if list.tasks.is_empty() {
        return "the agent has no tasks yet".to_owned();
    }
    let rows: Vec<[String; 5]> = list.tasks.iter().map(|task| row(task, now)).collect();
    let head = ["TASK", "LAST RUN", "TOOK", "NEXT", "RESULT"].map(str::to_owned);
    let width =
        |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..4).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    let mut text = paint::faint(&format!("{}  {}", line(&head), head[4]));
    for row in &rows {
        let result = if matches!(row[4].as_str(), "ok" | "") { row[4].clone() } else { paint::bad(&row[4]) };
        text.push_str(&format!("\n{}  {result}", line(row)));
    }
    text
}

fn row(task: &TaskState, now: Timestamp) -> [String; 5] {
    let distance = |text: &Option<String>| {
        let at = text.as_deref().and_then(|text| text.parse::<Timestamp>().ok())?;
        Some(now.as_second() - at.as_second())
    };
    let started = match (distance(&task.started), task.running) {
        (Some(seconds), true) => format!("running for {}", span(seconds)),
        (Some(seconds), false) => format!("{} ago", span(seconds)),
        (None, _) => "not yet".to_owned(),
    };
    let took = match task.took_ms {
        Some(ms) if ms < 1000 => format!("{ms} ms"),
        Some(ms) => span(i64::try_from(ms / 1000).unwrap_or(i64::MAX)),
        None => String::new(),
    };
    let next = match (distance(&task.next), task.running) {
        (_, true) => String::new(),
        (Some(seconds), _) if seconds >= 0 => "now".to_owned(),
        (Some(seconds), _) => format!("in {}", span(-seconds)),
        (None, _) if task.result.is_some() => "when woken".to_owned(),
        (None, _) => String::new(),
    };
    let result = task.result.as_deref().map(super::clean).unwrap_or_default();
    [super::clean(&task.name), started, took, next, result]
}

/// `42s`, `5m`, `2h`.
fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_a_table() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().expect("a time");
        let task = |name: &str| TaskState { name: name.to_owned(), ..TaskState::default() };
        let list = TaskList {
            format: String::new(),
            tasks: vec![
                TaskState {
                    started: Some("2026-11-30T11:59:30Z".into()),
                    took_ms: Some(41),
                    result: Some("ok".into()),
                    next: Some("2026-11-30T12:00:05Z".into()),
                    ..task("environment shop/prod")
                },
                TaskState {
                    started: Some("2026-11-30T11:55:00Z".into()),
                    took_ms: Some(60_000),
                    result: Some("no answer \u{1b}[31m".into()),
                    running: true,
                    ..task("git shop")
                },
                task("images shop"),
            ],
        };
        let plain = anstream::adapter::strip_str(&super::super::terminal::shown(&render(&list, now))).to_string();
        assert_eq!(
            plain,
            "TASK                   LAST RUN        TOOK   NEXT   RESULT\n\
             environment shop/prod  30s ago         41 ms  in 5s  ok\n\
             git shop               running for 5m  60s           no answer \u{fffd}[31m\n\
             images shop            not yet                       "
        );
    }
}
