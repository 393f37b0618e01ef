//! `lockstep scale`: another count for a while. The agent leaves the count alone until then, and puts it back.

use super::{
    Selection,
    selected::{NO_SERVICE, Selected, Write, each, permit, print, remove_tag, set_tags},
    sync::{confirm, require_source},
    target::{Opened, Target},
};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format},
};
use clap::Args;
use lockstep_core::{
    observed::{Reading, ScalableTarget},
    service::scale::{SCALE, Scale},
    tags::{Tags, tag_text},
};
use lockstep_manifests::{Mode, sync::parse_span};
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Args)]
pub(super) struct ScaleArgs {
    #[command(flatten)]
    target: Target,
    /// The environment.
    #[arg(long = "environment", short = 'e', value_name = "NAME")]
    environment: String,
    /// Services with their counts, as in `checkout=10`.
    #[arg(value_name = "SERVICE=COUNT", required = true)]
    counts: Vec<String>,
    /// How long, as `30m`, `2h` or `1d`.
    #[arg(long = "for", value_name = "DURATION")]
    length: String,
    /// Why, for whoever wonders.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(args: ScaleArgs, format: Format) -> Result<Exit, Failure> {
    let length = parse_span(&args.length).filter(|length| !length.is_zero());
    let seconds = length.and_then(|length| i64::try_from(length.as_secs()).ok());
    let Some(seconds) = seconds.filter(|seconds| *seconds < 1 << 32) else {
        return Err(Failure::new(Exit::Usage, format!("`{}` is not a duration like 30m, 2h or 1d", args.length)));
    };
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for written in &args.counts {
        let parsed = written.split_once('=').and_then(|(name, count)| Some((name, count.parse::<u16>().ok()?)));
        let Some((name, count)) = parsed.filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::new(Exit::Usage, format!("`{written}` is not SERVICE=COUNT, as in `checkout=10`")));
        };
        counts.insert(name.to_owned(), count.into());
    }
    let selection =
        Selection { environments: vec![args.environment.clone()], services: counts.keys().cloned().collect() };
    let opened = args.target.open().await?;
    opened.check_names(&selection)?;
    require_source(&opened, "scale")?;
    let environment = &opened.snapshot.repository.environments[&args.environment];
    if environment.sync.mode == Mode::Observe {
        let message = format!("{} is only observed, so that nobody would put the count back", environment.name);
        return Err(
            Failure::new(Exit::Usage, message).hint("`aws ecs update-service --desired-count` changes it for good")
        );
    }
    if let Some(name) = counts.keys().find(|name| opened.snapshot.is_definition(&environment.name, name)) {
        let message = format!("{}/{name} has no count to scale: {NO_SERVICE}", environment.name);
        return Err(Failure::new(Exit::Failed, message));
    }
    for (name, count) in &counts {
        output::say(&format!("{}/{name}: {count} for {}, then as before", args.environment, args.length));
    }
    if !args.yes && !confirm()? {
        return Err(Failure::new(Exit::Failed, "not confirmed; nothing was written"));
    }
    let lines = each(&opened, &selection, async |service| {
        let by = service.clients.caller_name().await.map_err(|error| error.to_string())?;
        let count = counts[service.name];
        scale(&opened, &service, count, seconds, &by, &args.reason).await
    });
    Ok(print(&lines.await?, format))
}

/// Writes the tag first: from then on the agent leaves the count alone, and knows how it ends.
async fn scale(
    opened: &Opened,
    service: &Selected<'_>,
    count: i64,
    seconds: i64,
    by: &str,
    reason: &str,
) -> Result<String, String> {
    let (clients, cluster) = (service.clients, &service.environment.cluster);
    let target = match clients.scalable(cluster, service.ecs_name).await {
        Reading::Found(target) => Some(target),
        Reading::Missing => None,
        Reading::Failed(text) => return Err(text),
        Reading::Unread => return Err("whether a scalable target owns the count is not known".to_owned()),
    };
    if let Some(ScalableTarget { maximum, .. }) = target.filter(|target| count > target.maximum) {
        return Err(format!("its scalable target has a maximum of {maximum}; raise that first"));
    }
    let before = target.map_or(service.live.desired, |target| target.minimum);
    // A scale that is scaled again ends where the first one began.
    let was = Scale::of(&service.live.tags).filter(|known| known.count == before).map_or(before, |known| known.was);
    let until = Some(clients.now().saturating_add(seconds));
    let scale = Scale { count, was, until, by: tag_text(by), reason: tag_text(reason) };
    let tags = Tags::from([(SCALE.to_owned(), scale.value())]);
    let of = (service.environment, service.name);
    set_tags(opened, clients, of, "scale", &service.live.arn, &tags).await?;
    let (call, path) = match target {
        Some(_) => ("application-autoscaling:RegisterScalableTarget", "minCapacity"),
        None => ("ecs:UpdateService", "service.desiredCount"),
    };
    let write = Write { verb: "scale", call, service: service.name, path: path.to_owned() };
    let permit = permit(opened, clients, service.environment, write)?;
    let written = match target {
        Some(_) => clients.set_minimum(&permit, cluster, service.ecs_name, count).await,
        None => {
            let members = json!({ "desiredCount": count });
            clients.update_service(&permit, cluster, service.ecs_name, &members, None, false).await.map(drop)
        }
    };
    permit.tell(&written, |()| None);
    if let Err(error) = written {
        // Nothing was scaled: the tag must not say so.
        let left = remove_tag(opened, clients, of, "scale", &service.live.arn, SCALE).await.err();
        let left = left.map_or_else(String::new, |left| format!("; its tag {SCALE} could not be removed: {left}"));
        return Err(format!("{error}{left}"));
    }
    let what = if target.is_some() { " (the minimum of its scalable target)" } else { "" };
    Ok(format!("{}{what}", scale.text()))
}
