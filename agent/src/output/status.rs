//! The agent's state for people.

use super::{paint, plan::short};
use jiff::Timestamp;
use lockstep_core::state::{EnvironmentState, ImageState, ServiceState, Standing, State, UP_TO_DATE};
use lockstep_core::{
    observed::runs,
    report::{Health, Problem, SyncStatus, Verdict},
    stated::commit::Commit,
};

/// Problems of a source that are shown; the others are counted.
const PROBLEMS: usize = 5;

/// The whole state, at a time by which ages are told.
pub fn render(state: &State, now: Timestamp) -> String {
    let mut text = String::new();
    for (queue, reason) in &state.queues {
        let note = format!("the queue {queue} cannot be read; registries are polled all the same: {reason}");
        text.push_str(&format!("{}\n", paint::notable(&super::clean(&note))));
    }
    for trouble in &state.troubles {
        text.push_str(&format!("{}\n", paint::bad(&trouble.to_string())));
    }
    if state.lost_log_lines > 0 {
        let lines = super::count(state.lost_log_lines, "line");
        text.push_str(&format!("{}\n", paint::notable(&format!("{lines} of the agent's log could not be written"))));
    }
    for source in &state.sources {
        let commit = if source.commit.is_empty() && !source.environments.is_empty() {
            "uncommitted files".to_owned()
        } else if source.commit.is_empty() {
            "no commit read yet".to_owned()
        } else {
            format!("{} {}", short(&source.commit), source.summary)
        };
        text.push_str(&format!("{}  {}\n", paint::strong(&source.id), commit.trim()));
        if let Some(from) = &source.rewritten {
            let note = format!("the branch was rewritten: {} is not in its history any more", short(from));
            text.push_str(&format!("  {}\n", paint::notable(&note)));
        }
        if let Some(error) = &source.error {
            text.push_str(&format!("  {}\n", paint::bad(error)));
        }
        if let Some(stopped) = &source.writes_stopped {
            text.push_str(&format!("  {}\n", paint::bad(stopped)));
        }
        text.push_str(&render_problems(&source.problems));
        if let Some(reason) = &source.write_back {
            text.push_str(&format!(
                "  {}\n",
                paint::bad(&format!("new images are not written back: {}", super::clean(reason)))
            ));
        }
        for environment in &source.environments {
            text.push_str(&render_environment(environment, &source.images, now));
        }
    }
    text
}

/// The errors of the files, each with its place.
fn render_problems(problems: &[Problem]) -> String {
    let errors: Vec<&Problem> = problems.iter().filter(|problem| problem.severity == "error").collect();
    let mut text = String::new();
    for problem in errors.iter().take(PROBLEMS) {
        let place = match (&problem.file, problem.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            (None, _) => String::new(),
        };
        let line = format!("{place}{} ({})", problem.message, problem.code);
        text.push_str(&format!("  {}\n", paint::bad(&super::clean(&line))));
    }
    if errors.len() > PROBLEMS {
        let more = super::count(errors.len() - PROBLEMS, "more error");
        text.push_str(&format!("  {}\n", paint::bad(&format!("{more}; see `lockstep validate`"))));
    }
    text
}

fn render_environment(environment: &EnvironmentState, images: &[ImageState], now: Timestamp) -> String {
    let mut text = format!(
        "\n{}  {} {} cluster {}\n",
        paint::strong(&environment.name),
        environment.account,
        environment.region,
        environment.cluster
    );
    for withheld in &environment.withheld {
        text.push_str(&format!("  {}\n", paint::notable(&withheld.text)));
    }
    let widest = |column: &dyn Fn(&ServiceState) -> usize| environment.services.iter().map(column).max().unwrap_or(0);
    let widths = Widths {
        name: widest(&|service| service.plan.name.chars().count()),
        count: widest(&|service| count(service, now).chars().count()),
        tags: widest(&|service| runs::tags_text(&service.images).chars().count()),
        revision: widest(&|service| service.revision.chars().count()),
    };
    for service in &environment.services {
        text.push_str(&render_service(service, &environment.name, &widths, now));
        let mine = images
            .iter()
            .filter(|image| image.service == service.plan.name && image.readers.contains(&environment.name));
        for image in mine {
            let told = match image.standing {
                // What a person would have to do something about, or will see happen.
                Standing::Held | Standing::Unknown | Standing::Pending | Standing::Available => &image.text,
                // A policy that picks nothing, and what lags behind.
                Standing::Nothing => &image.text,
                Standing::UpToDate if image.text != UP_TO_DATE => &image.text,
                Standing::UpToDate | Standing::NotAsked => continue,
            };
            let line = format!("image {}: {}", image.container, super::clean(told));
            text.push_str(&format!("  {:width$}  {}\n", "", paint::faint(&line), width = widths.name));
        }
    }
    text
}

struct Widths {
    name: usize,
    count: usize,
    tags: usize,
    revision: usize,
}

/// Tasks that run of those that should; with the time of the last look, where the latest did not see them.
fn count(service: &ServiceState, now: Timestamp) -> String {
    let count = service.count();
    if service.is_stale() { format!("{count}, {}", clock(&service.observed_at, now)) } else { count }
}

/// A time as people read it: the hour today, the day too where it was another one.
fn clock(time: &str, now: Timestamp) -> String {
    let day = now.to_string();
    match time.split_once('T') {
        Some((date, clock)) if day.starts_with(date) => clock.get(..5).unwrap_or(clock).to_owned(),
        Some((date, clock)) => format!("{date} {}", clock.get(..5).unwrap_or(clock)),
        None => time.to_owned(),
    }
}

fn render_service(service: &ServiceState, environment: &str, widths: &Widths, now: Timestamp) -> String {
    let sync = match service.plan.sync {
        SyncStatus::Synced => paint::good("Synced   "),
        SyncStatus::OutOfSync => paint::notable("OutOfSync"),
        SyncStatus::Unknown => paint::bad("Unknown  "),
    };
    let health = match service.plan.health {
        Health::Healthy => paint::good("Healthy    "),
        Health::Progressing => paint::notable("Progressing"),
        Health::Degraded => paint::bad("Degraded   "),
        Health::Suspended => "Suspended  ".to_owned(),
        Health::Missing => paint::notable("Missing    "),
        Health::Unknown => paint::bad("Unknown    "),
    };
    let verdict = match service.plan.verdict {
        Some(Verdict::Rejected) => paint::bad("  Rejected"),
        Some(Verdict::Stalled) => paint::bad("  Stalled"),
        Some(Verdict::Pending) => "  Pending".to_owned(),
        _ => String::new(),
    };
    let width = widths.name;
    let row = format!(
        "  {:width$}  {sync}  {health}  {:counts$}  {:tags$}  {:revisions$}  {}{verdict}",
        service.plan.name,
        count(service, now),
        super::clean(&runs::tags_text(&service.images)),
        service.revision,
        service.commit.as_ref().map(Commit::short).unwrap_or_default(),
        counts = widths.count,
        tags = widths.tags,
        revisions = widths.revision,
    );
    let mut text = format!("{}\n", row.trim_end());
    let mut line = |line: &str| text.push_str(&format!("  {:width$}  {}\n", "", paint::faint(&super::clean(line))));
    if let Some(at) = &service.plan.at {
        line(&at.text());
    }
    let (axis, health) = (&service.axes.sync, &service.axes.health);
    match (service.plan.sync, axis.last_known) {
        (SyncStatus::Synced, _) => {}
        (SyncStatus::OutOfSync, _) => line(&format!("out of sync since {}", axis.since)),
        (SyncStatus::Unknown, None) => {}
        (SyncStatus::Unknown, Some(known)) => line(&format!("unknown since {}, {} before", axis.since, known.word())),
    }
    if let (Health::Unknown, Some(known)) = (service.plan.health, health.last_known) {
        line(&format!("health unknown since {}, {} before", health.since, known.word()));
    }
    // Who is looking into something wants to know whose change it is.
    let is_at_rest = service.plan.sync == SyncStatus::Synced
        && matches!(service.plan.health, Health::Healthy | Health::Suspended)
        && matches!(service.plan.verdict, None | Some(Verdict::Deployed));
    if let Some(commit) = service.commit.as_ref().filter(|_| !is_at_rest) {
        line(&commit.text());
    }
    if !service.declared_images.is_empty() && service.plan.sync != SyncStatus::Unknown {
        let declared = runs::tags_text(&service.declared_images);
        line(&format!("Git declares {declared}"));
    }
    for told in service.plan.rollout_lines(environment) {
        line(&told);
    }
    for withheld in &service.plan.withheld {
        line(&withheld.text);
    }
    for log in service.plan.cause.iter().flat_map(|cause| &cause.log) {
        line(&format!("log: {log}"));
    }
    text
}
