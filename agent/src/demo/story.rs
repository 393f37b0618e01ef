//! The story, step by step. What the agent says is shown; what ECS returns decides.

use super::{
    repository::DemoRepository,
    tell::Teller,
    world::{BROKEN, PROD_ACCOUNT, PUSHED, PUSHED_PINS, REGION, STAGING_ACCOUNT, US_REGION, World},
};
use crate::{agent::Agent, aws::Clients};
use lockstep_core::event::{Event, Trigger, What};
use lockstep_core::{
    observed::{LiveService, Reading},
    report::Verdict,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout,
};

/// Longest that one step may take.
const PATIENCE: Duration = Duration::from_secs(60);

const NEW_VERSION: &str = "1.9.0";

/// (environment, account, region, cluster, services).
const ENVIRONMENTS: [(&str, &str, &str, &str, &[&str]); 3] = [
    (
        "staging",
        STAGING_ACCOUNT,
        REGION,
        "staging",
        &["checkout", "notifications", "orders-worker", "search", "storefront"],
    ),
    ("prod", PROD_ACCOUNT, REGION, "prod", &["checkout", "notifications", "orders-worker", "search", "storefront"]),
    ("prod-us", PROD_ACCOUNT, US_REGION, "prod", &["checkout", "notifications", "orders-worker", "storefront"]),
];

/// Plays the story. Answers whether every step was verified.
pub(super) async fn play(agent: &Agent, world: &World, repository: &DemoRepository, teller: &mut Teller) -> bool {
    let mut scene = Scene { agent, world, events: agent.context.events.subscribe() };
    let mut verified = scene.creation(teller).await;
    verified &= scene.change(repository, teller).await;
    verified &= scene.drift(teller).await;
    verified &= scene.rejection(repository, teller).await;
    verified &= scene.image(repository, teller).await;
    verified
}

struct Scene<'a> {
    agent: &'a Agent,
    world: &'a World,
    events: Receiver<Event>,
}

impl Scene<'_> {
    async fn creation(&mut self, teller: &mut Teller) -> bool {
        teller.begin("create", "1. The first commit: the agent creates 14 services in 3 environments and 2 accounts");
        let mut waiting: BTreeSet<(String, String)> = ENVIRONMENTS
            .iter()
            .flat_map(|(environment, .., services)| {
                services.iter().map(|service| ((*environment).to_owned(), (*service).to_owned()))
            })
            .collect();
        let done = self
            .watch(teller, |event| {
                if let What::Verdict { verdict: Verdict::Deployed, .. } = &event.what {
                    waiting.remove(&(event.of.environment.clone(), event.of.service.clone()));
                }
                Some(waiting.len())
            })
            .await;
        let result = match done {
            Ok(()) => self.all_healthy().await,
            Err(text) => Err(text),
        };
        teller.end(result)
    }

    async fn change(&mut self, repository: &DemoRepository, teller: &mut Teller) -> bool {
        teller.begin("change", &format!("2. A commit: storefront {NEW_VERSION} for prod (one line in its pins)"));
        let message = format!("storefront: {NEW_VERSION} to prod");
        match repository.pin(&message, "services/storefront/prod.pins.yaml", "web", NEW_VERSION) {
            Ok(lines) if lines.len() == 2 => lines.iter().for_each(|line| teller.note(line)),
            Ok(lines) => return teller.end(Err(format!("the commit changed {lines:?}"))),
            Err(reason) => return teller.end(Err(reason)),
        }
        let mut waiting: BTreeSet<&str> = BTreeSet::from(["prod", "prod-us"]);
        let done = self
            .watch(teller, |event| {
                if let What::Verdict { verdict: Verdict::Deployed, .. } = &event.what
                    && event.of.service == "storefront"
                {
                    waiting.remove(event.of.environment.as_str());
                }
                Some(waiting.len())
            })
            .await;
        let result = match done {
            Ok(()) => self.new_version_runs().await,
            Err(text) => Err(text),
        };
        teller.end(result)
    }

    async fn drift(&mut self, teller: &mut Teller) -> bool {
        teller.begin("drift", "3. Somebody edits the console: checkout in prod is scaled from 3 tasks to 1");
        let clients = self.clients(PROD_ACCOUNT, REGION).await;
        let edit = clients.ecs.update_service().cluster("prod").service("checkout").desired_count(1).send().await;
        if let Err(error) = edit {
            let error = crate::aws::AwsError::from_sdk("ecs:UpdateService", &error);
            return teller.end(Err(error.to_string()));
        }
        let mut healed = None;
        let mut settled = false;
        let done = self
            .watch(teller, |event| {
                let is_it = event.of.name() == "prod/checkout";
                if let What::Wrote { trigger: Trigger::Drift, changes, .. } = &event.what
                    && is_it
                {
                    healed = Some(changes.iter().map(|change| change.path.clone()).collect::<Vec<_>>());
                }
                if let What::Verdict { verdict: Verdict::Deployed, .. } = &event.what {
                    settled |= healed.is_some() && is_it;
                }
                Some(usize::from(healed.is_none()) + usize::from(!settled))
            })
            .await;
        let result = match done {
            Err(text) => Err(text),
            Ok(()) => match self.live(PROD_ACCOUNT, REGION, "prod", "checkout").await {
                Ok(live) if live.desired == 3 && healed.as_deref() == Some(&["service.desiredCount".to_owned()]) => {
                    Ok("ECS returns a desired count of 3 again; the agent named service.desiredCount and wrote nothing else".to_owned())
                }
                Ok(live) => Err(format!("ECS returns a desired count of {}; the agent named {healed:?}", live.desired)),
                Err(text) => Err(text),
            },
        };
        teller.end(result)
    }

    async fn rejection(&mut self, repository: &DemoRepository, teller: &mut Teller) -> bool {
        let (image, tag) = BROKEN;
        teller.begin("rejection", &format!("4. A commit brings an image that crashes: {image} {tag} for prod"));
        let before = match self.live(PROD_ACCOUNT, REGION, "prod", "checkout").await {
            Ok(live) => live,
            Err(text) => return teller.end(Err(text)),
        };
        let message = format!("checkout: {tag} to prod");
        match repository.pin(&message, "services/checkout/prod.pins.yaml", "api", tag) {
            Ok(lines) if lines.len() == 2 => lines.iter().for_each(|line| teller.note(line)),
            Ok(lines) => return teller.end(Err(format!("the commit changed {lines:?}"))),
            Err(reason) => return teller.end(Err(reason)),
        }
        let mut rejected = None;
        let done = self
            .watch(teller, |event| {
                if let What::Verdict { verdict: Verdict::Rejected, text } = &event.what
                    && event.of.name() == "prod/checkout"
                {
                    rejected = Some(text.clone());
                }
                Some(usize::from(rejected.is_none()))
            })
            .await;
        let result = match done {
            Err(text) => Err(text),
            Ok(()) => self.rolled_back_and_left_alone(&before, rejected.as_deref().unwrap_or_default()).await,
        };
        teller.end(result)
    }

    async fn image(&mut self, repository: &DemoRepository, teller: &mut Teller) -> bool {
        let (image, tag) = PUSHED;
        teller.begin("image", &format!("5. A push to ECR: {image} {tag}, which the policy of staging takes"));
        let digest = self.world.push();
        let (mut bumped, mut deployed) = (false, false);
        let done = self
            .watch(teller, |event| {
                bumped |= matches!(event.what, What::Bumped { .. });
                if let What::Verdict { verdict: Verdict::Deployed, .. } = &event.what {
                    deployed |= bumped && event.of.name() == format!("staging/{image}");
                }
                Some(usize::from(!bumped) + usize::from(!deployed))
            })
            .await;
        let result = match done {
            Err(text) => Err(text),
            Ok(()) => match repository.last_change(PUSHED_PINS) {
                Ok(lines) => {
                    teller.note(PUSHED_PINS);
                    lines.iter().for_each(|line| teller.note(&format!("  {line}")));
                    self.digest_runs(&digest, lines.len()).await
                }
                Err(reason) => Err(format!("the commit is not what it should be: {reason}")),
            },
        };
        teller.end(result)
    }

    async fn digest_runs(&self, digest: &str, lines: usize) -> Result<String, String> {
        let live = self.live(STAGING_ACCOUNT, REGION, "staging", PUSHED.0).await?;
        let (status, _) = self.deployment_status(STAGING_ACCOUNT, REGION, &live).await?;
        let clients = self.clients(STAGING_ACCOUNT, REGION).await;
        let Reading::Found(revision) = clients.revision(&live.task_definition).await else {
            return Err("ECS does not answer the task definition".to_owned());
        };
        let runs = revision.definition.to_string().contains(&format!("/{}:{}@{digest}", PUSHED.0, PUSHED.1));
        if lines != 2 || !runs || status != "SUCCESSFUL" {
            return Err(format!("the deployment is {status}, the digest in use: {runs}, lines of the diff: {lines}"));
        }
        Ok(format!("one line of one file was committed, and ECS returns deployment SUCCESSFUL with {}", &digest[..19]))
    }

    /// Shows events until `remaining` says 0.
    async fn watch(
        &mut self,
        teller: &mut Teller,
        mut remaining: impl FnMut(&Event) -> Option<usize>,
    ) -> Result<(), String> {
        let mut last = None;
        let watching = async {
            loop {
                match self.events.recv().await {
                    Ok(event) => {
                        last = remaining(&event);
                        teller.happened(event, last);
                        if last == Some(0) {
                            return;
                        }
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        };
        if timeout(PATIENCE, watching).await.is_err() {
            return Err(format!("it did not happen within {} s", PATIENCE.as_secs()));
        }
        if last == Some(0) { Ok(()) } else { Err("the agent ended".to_owned()) }
    }

    async fn clients(&self, account: &str, region: &str) -> Arc<Clients> {
        self.agent.context.accounts.clients(account, region).await
    }

    async fn live(&self, account: &str, region: &str, cluster: &str, service: &str) -> Result<LiveService, String> {
        let clients = self.clients(account, region).await;
        let mut found = clients.services(cluster, &[service.to_owned()]).await;
        match found.remove(service) {
            Some(Reading::Found(live)) => Ok(live),
            other => Err(format!("ECS returns {other:?} for {service}")),
        }
    }

    /// The status of the service's current deployment.
    async fn deployment_status(
        &self,
        account: &str,
        region: &str,
        live: &LiveService,
    ) -> Result<(String, String), String> {
        let arn = live.current_deployment.clone().ok_or("ECS names no service deployment")?;
        let clients = self.clients(account, region).await;
        let found = clients.rollouts(std::slice::from_ref(&arn)).await.map_err(|error| error.to_string())?;
        found
            .get(&arn)
            .map(|rollout| (rollout.status.to_string(), rollout.reason.clone()))
            .ok_or_else(|| "ECS does not know the service deployment that it names".to_owned())
    }

    async fn all_healthy(&self) -> Result<String, String> {
        let (mut services, mut tasks) = (0, 0);
        for (environment, account, region, cluster, names) in ENVIRONMENTS {
            for name in names {
                let live = self.live(account, region, cluster, name).await?;
                let (status, _) = self.deployment_status(account, region, &live).await?;
                if status != "SUCCESSFUL" || live.running != live.desired {
                    return Err(format!(
                        "{environment}/{name} is {status} with {} of {} tasks",
                        live.running, live.desired
                    ));
                }
                services += 1;
                tasks += live.running;
            }
        }
        Ok(format!("ECS returns {services} services with deployment SUCCESSFUL, {tasks} of {tasks} tasks running"))
    }

    async fn new_version_runs(&self) -> Result<String, String> {
        for region in [REGION, US_REGION] {
            let live = self.live(PROD_ACCOUNT, region, "prod", "storefront").await?;
            let (status, _) = self.deployment_status(PROD_ACCOUNT, region, &live).await?;
            let clients = self.clients(PROD_ACCOUNT, region).await;
            let Reading::Found(revision) = clients.revision(&live.task_definition).await else {
                return Err("ECS does not answer the task definition".to_owned());
            };
            let runs = revision.definition.to_string().contains(&format!("/storefront:{NEW_VERSION}"));
            if !runs || status != "SUCCESSFUL" {
                return Err(format!("in {region} the deployment is {status}, new version in use: {runs}"));
            }
        }
        Ok(format!("ECS returns deployment SUCCESSFUL with storefront:{NEW_VERSION}, first in prod, then in prod-us"))
    }

    async fn rolled_back_and_left_alone(&self, before: &LiveService, text: &str) -> Result<String, String> {
        let live = self.live(PROD_ACCOUNT, REGION, "prod", "checkout").await?;
        let (status, _) = self.deployment_status(PROD_ACCOUNT, REGION, &live).await?;
        if status != "ROLLBACK_SUCCESSFUL" || live.task_definition != before.task_definition {
            return Err(format!("the deployment is {status}, the task definition in use is {}", live.task_definition));
        }
        if !text.contains("exited with code 1") {
            return Err(format!("the agent does not name the cause: {text}"));
        }
        // Several more rounds, counted by what the agent reads: it must not write again.
        let control = self.world.control();
        let count = |name: &str| control.calls().get(name).copied().unwrap_or_default();
        let writes = || count("ecs:UpdateService") + count("ecs:RegisterTaskDefinition") + count("ecs:CreateService");
        let (writes_before, reads_before) = (writes(), count("ecs:DescribeServices"));
        let rounds = async {
            while count("ecs:DescribeServices") < reads_before + 15 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, rounds).await.map_err(|_| "the agent stopped looking".to_owned())?;
        let again = writes() - writes_before;
        if again > 0 {
            return Err(format!("the agent wrote {again} times more"));
        }
        Ok("ECS returns ROLLBACK_SUCCESSFUL, the revision before is in use, and five rounds later nothing was written"
            .to_owned())
    }
}
