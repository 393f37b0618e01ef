//! Who registers task definitions of a family: before a service is adopted, whoever deploys it today should stop.

use crate::{observed::Revision, stated::identity};
use std::collections::BTreeMap;

/// What is looked back on, in seconds.
const WEEK: i64 = 7 * 24 * 3600;

/// In words, who registered a family's newest revisions beside Lockstep: `role/github-deploy, 6 times in 7 days, last 2 h
/// ago`. None where nobody did lately.
pub fn deploys_today(revisions: &[Revision], now: i64) -> Option<String> {
    let mut by: BTreeMap<String, (usize, i64)> = BTreeMap::new();
    for revision in revisions.iter().filter(|revision| !revision.tags.contains_key(identity::SOURCE)) {
        let (Some(arn), Some(at)) = (&revision.registered_by, revision.registered_at) else { continue };
        if now - at >= WEEK {
            continue;
        }
        let entry = by.entry(principal(arn)).or_insert((0, at));
        *entry = (entry.0 + 1, entry.1.max(at));
    }
    let (name, (times, last)) = by.into_iter().max_by_key(|(_, (times, last))| (*times, *last))?;
    let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
    Some(format!("{name}, {times} in 7 days, last {} ago", age(now - last)))
}

/// The role or user of a principal's ARN: a session's name says which run it was, not which job.
fn principal(arn: &str) -> String {
    let rest = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    match rest.split_once('/') {
        Some(("assumed-role", rest)) => format!("role/{}", rest.split('/').next().unwrap_or(rest)),
        _ => rest.to_owned(),
    }
}

fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds if seconds < 3600 => format!("{} min", seconds / 60),
        seconds if seconds < 2 * 24 * 3600 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / (24 * 3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::Tags;

    /// K7
    #[test]
    fn whoever_registered_most_of_the_newest_revisions_is_named() {
        let now = 1_000_000_000;
        let of = |by: &str, at: i64| Revision {
            registered_by: Some(by.to_owned()),
            registered_at: Some(at),
            ..Revision::default()
        };
        let github = "arn:aws:sts::111111111111:assumed-role/github-deploy/run-4711";
        let other = "arn:aws:sts::111111111111:assumed-role/github-deploy/run-4712";
        let ada = "arn:aws:iam::111111111111:user/ada";
        let ours = Revision { tags: Tags::from([(identity::SOURCE.into(), "acme".into())]), ..of("arn:x", now) };
        let revisions = [of(github, now - 7200), of(other, now - 90_000), of(ada, now - 60), ours.clone()];
        assert_eq!(
            deploys_today(&revisions, now).as_deref(),
            Some("role/github-deploy, 2 times in 7 days, last 2 h ago")
        );
        assert_eq!(deploys_today(&revisions[2..], now).as_deref(), Some("user/ada, once in 7 days, last 1 min ago"));
        assert_eq!(deploys_today(&[of(github, now - WEEK), ours, Revision::default()], now), None);
    }
}
