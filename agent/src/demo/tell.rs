//! The story's voice: a few lines for people, or the whole as data.

use super::{
    repository::DemoRepository,
    world::{PROD_ACCOUNT, REGION, STAGING_ACCOUNT, World},
};
use crate::{
    agent::Agent,
    output::{self, Format, paint, plan::render_change},
};
use lockstep_core::event::{Event, Trigger, What};
use lockstep_core::report::Verdict;
use serde::Serialize;
use std::{path::Path, time::Instant};

/// The name of the story's format.
const FORMAT: &str = "lockstep.demo/1";

/// What became of one step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether ECS's own answers say that it happened.
    pub(super) verified: bool,
    /// What ECS answered, in words.
    pub(super) evidence: String,
    /// How long it took, in seconds.
    pub(super) seconds: f64,
    /// What happened in it.
    pub(super) events: Vec<Event>,
}

/// Tells the story.
pub(super) struct Teller {
    format: Format,
    started: Instant,
    steps: Vec<Step>,
    step: Option<(&'static str, Instant, Vec<Event>)>,
    agent: String,
    repository: String,
    endpoint: String,
}

impl Teller {
    pub(super) fn new(format: Format, agent: &Agent, repository: &DemoRepository, world: &World) -> Self {
        Self {
            format,
            started: Instant::now(),
            steps: Vec::new(),
            step: None,
            agent: format!("http://{}", agent.address),
            repository: repository.path().display().to_string(),
            endpoint: world.endpoint(),
        }
    }

    fn say(&self, text: &str) {
        if self.format == Format::Text {
            output::data(text);
        }
    }

    pub(super) fn opening(&self) {
        self.say(&format!(
            "{}\nAn ECS sandbox answers on {}, a Git repository with five services is in\n{}, and the agent follows its branch main.",
            paint::strong("Lockstep demo"),
            self.endpoint,
            self.repository
        ));
    }

    /// Begins a step.
    pub(super) fn begin(&mut self, name: &'static str, text: &str) {
        self.step = Some((name, Instant::now(), Vec::new()));
        self.say(&format!("\n{}", paint::strong(text)));
    }

    /// Something to look at.
    pub(super) fn note(&self, text: &str) {
        self.say(&format!("      {text}"));
    }

    /// Something happened.
    pub(super) fn happened(&mut self, event: Event, remaining: Option<usize>) {
        let (name, commit) = (event.of.name(), &event.of.commit);
        let line = match &event.what {
            What::Wrote { trigger, changes, .. } => {
                let what = match trigger {
                    Trigger::Create => "created, rolling out".to_owned(),
                    Trigger::Change => "updated, rolling out".to_owned(),
                    Trigger::Drift => "drift healed".to_owned(),
                    Trigger::Removed => "removed".to_owned(),
                    Trigger::Restart => "restarted".to_owned(),
                };
                let mut line = format!("  {name}  {}", paint::notable(&what));
                if *trigger != Trigger::Create {
                    for change in changes.iter().filter(|change| change.path != "service.taskDefinition") {
                        line.push_str(&format!("\n      {}", render_change(change)));
                    }
                }
                Some(line)
            }
            What::Verdict { verdict, text } => match verdict {
                Verdict::Deployed => {
                    let left = remaining
                        .filter(|left| *left > 0)
                        .map_or(String::new(), |left| paint::faint(&format!("  ({left} to go)")));
                    Some(format!("  {name}  {}, {text}{left}", paint::good("deployed")))
                }
                Verdict::Rejected => Some(format!("  {name}  {}", paint::bad(text))),
                _ => None,
            },
            What::Failed { reason } => Some(format!("  {name}  {}", paint::bad(reason))),
            What::Said { .. } => None,
            What::Commit { summary } => {
                Some(format!("  {}", paint::faint(&format!("commit {} {summary}", output::plan::short(commit)))))
            }
            What::Rewritten { from } => {
                let text =
                    format!("the branch was rewritten; {} is not in its history any more", output::plan::short(from));
                Some(format!("  {}", paint::notable(&text)))
            }
            What::Bumped { summary, bumps } => {
                let mut line = format!(
                    "  {}",
                    paint::notable(&format!("Lockstep committed {} {summary}", output::plan::short(commit)))
                );
                for bump in bumps {
                    line.push_str(&format!("\n      {bump}"));
                }
                Some(line)
            }
            What::Held { pin, text } => Some(format!("  {pin}  {}", paint::notable(text))),
            What::NotWritten { reason } => Some(format!("  {}", paint::bad(reason))),
            What::Unreadable { reason } => Some(format!("  {}", paint::bad(reason))),
            What::Readable => Some(format!("  {}", paint::faint("the repository can be read again"))),
            What::Failing { text, .. } => {
                Some(format!("  {name}  {}", paint::notable(&format!("first failure: {text}"))))
            }
            What::Turned { services, begins: true, text, .. } => {
                let environment = &event.of.environment;
                Some(format!("  {environment}/{}  {}", services.join(", "), paint::notable(text)))
            }
            What::Turned { begins: false, .. } => None,
        };
        if let Some(line) = line {
            self.say(&line);
        }
        if let Some((_, _, events)) = &mut self.step {
            events.push(event);
        }
    }

    /// Ends a step with what ECS answered.
    pub(super) fn end(&mut self, result: Result<String, String>) -> bool {
        let Some((name, started, events)) = self.step.take() else {
            return false;
        };
        let (verified, evidence) = match result {
            Ok(evidence) => (true, evidence),
            Err(evidence) => (false, evidence),
        };
        let seconds = (started.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        let line =
            if verified { paint::good(&format!("✓ {evidence}")) } else { paint::bad(&format!("✗ {evidence}")) };
        self.say(&format!("  {line} {}", paint::faint(&format!("({seconds} s)"))));
        self.steps.push(Step { name, verified, evidence, seconds, events });
        verified
    }

    /// The end of the story, and how to look around.
    pub(super) fn ending(&self, all_verified: bool, file: &Path, once: bool) {
        let seconds = (self.started.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        if self.format == Format::Json {
            output::data(&output::json(&serde_json::json!({
                "format": FORMAT,
                "verified": all_verified,
                "seconds": seconds,
                "steps": self.steps,
                "agent": self.agent,
                "repository": self.repository,
                "endpoint": self.endpoint,
            })));
            return;
        }
        if all_verified {
            self.say(&format!(
                "\n{} {}",
                paint::strong("All steps verified from ECS's own answers."),
                paint::faint(&format!("({seconds} s)"))
            ));
        } else {
            self.say(&format!("\n{}", paint::bad("Not every step could be verified.")));
        }
        if once {
            return;
        }
        let program = std::env::current_exe().map_or_else(|_| "lockstep".to_owned(), |path| path.display().to_string());
        let json = "-H 'Content-Type: application/json'";
        let (account, region) = (STAGING_ACCOUNT, REGION);
        self.say(&format!(
            "\nIt stays up until Ctrl-C, and tells here what happens. In another terminal:\n\
             \n\
             Look around:\n\
             \x20 {program} status --agent {agent}\n\
             \x20 {program} plan --agent {agent}\n\
             \x20 export AWS_ENDPOINT_URL={endpoint} AWS_ACCESS_KEY_ID={PROD_ACCOUNT} AWS_SECRET_ACCESS_KEY=sandbox AWS_REGION={REGION} AWS_DEFAULT_REGION={REGION}\n\
             \x20 aws ecs list-services --cluster prod\n\
             \n\
             Push a commit, which goes back to storefront 1.8.2 in prod:\n\
             \x20 git clone -q {repository} shop && cd shop\n\
             \x20 sed -i 's/^web: .*/web: 1.8.2/' services/storefront/prod.pins.yaml && git commit -qam 'storefront: 1.8.2 to prod' && git push -q\n\
             \n\
             Push an image, which the policy of staging takes (account {account}, region {region}):\n\
             \x20 curl -s {json} {endpoint}/sandbox/images -d '{{\"account\":\"{account}\",\"region\":\"{region}\",\"repository\":\"storefront\",\"tag\":\"1.11.0\",\"architectures\":[\"arm64\"]}}'\n\
             \n\
             Push one that crashes, which ECS rolls back:\n\
             \x20 curl -s {json} {endpoint}/sandbox/images -d '{{\"account\":\"{account}\",\"region\":\"{region}\",\"repository\":\"storefront\",\"tag\":\"1.12.0\",\"architectures\":[\"arm64\"],\"behaviour\":{{\"crash\":{{\"exitCode\":1,\"afterRunningSeconds\":2}}}}}}'\n\
             \n\
             The agent's own file is {file}.",
            program = program,
            agent = self.agent,
            repository = self.repository,
            endpoint = self.endpoint,
            file = file.display(),
        ));
    }
}
