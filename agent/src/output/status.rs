//! The state of an agent for people: one line a service.

use super::{paint, plan::short};
use crate::board::{EnvironmentState, ImageState, ServiceState, Standing, State};
use lockstep_core::report::{Health, SyncStatus, Verdict};

/// The whole state.
pub fn render(state: &State) -> String {
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
        let errors = source.problems.iter().filter(|problem| problem.severity == "error").count();
        if errors > 0 {
            text.push_str(&format!(
                "  {}\n",
                paint::bad(&format!("{} in its files; see `lockstep validate`", super::count(errors, "error")))
            ));
        }
        if let Some(reason) = &source.write_back {
            text.push_str(&format!(
                "  {}\n",
                paint::bad(&format!("new images are not written back: {}", super::clean(reason)))
            ));
        }
        for environment in &source.environments {
            text.push_str(&render_environment(environment, &source.images));
        }
    }
    text
}

fn render_environment(environment: &EnvironmentState, images: &[ImageState]) -> String {
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
    let width = environment.services.iter().map(|service| service.plan.name.len()).max().unwrap_or_default();
    for service in &environment.services {
        text.push_str(&render_service(service, width));
        let mine = images
            .iter()
            .filter(|image| image.service == service.plan.name && image.readers.contains(&environment.name));
        for image in mine {
            let told = match image.standing {
                // What a person would have to do something about, or will see happen.
                Standing::Held | Standing::Unknown | Standing::Pending | Standing::Available => &image.text,
                Standing::UpToDate | Standing::Nothing | Standing::NotAsked => continue,
            };
            let line = format!("image {}: {}", image.container, super::clean(told));
            text.push_str(&format!("  {:width$}  {}\n", "", paint::faint(&line)));
        }
    }
    text
}

fn render_service(service: &ServiceState, width: usize) -> String {
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
    let mut text = format!(
        "  {:width$}  {sync}  {health}  {}/{}  {}{verdict}\n",
        service.plan.name, service.running, service.desired_count, service.revision
    );
    let mut line = |line: &str| text.push_str(&format!("  {:width$}  {}\n", "", paint::faint(line)));
    let sync = &service.axes.sync;
    match (service.plan.sync, sync.last_known.as_str()) {
        (SyncStatus::Synced, _) | (_, "") if service.plan.sync != SyncStatus::OutOfSync => {}
        (SyncStatus::Unknown, known) => line(&format!("unknown since {}, {known} before", sync.since)),
        _ => line(&format!("out of sync since {}", sync.since)),
    }
    if let Some(rollout) = &service.plan.rollout {
        line(&super::clean(&rollout.text()));
    }
    for withheld in &service.plan.withheld {
        line(&super::clean(&withheld.text));
    }
    for log in service.plan.cause.iter().flat_map(|cause| &cause.log) {
        line(&format!("log: {}", super::clean(log)));
    }
    text
}
