//! Creating, deleting, describing and listing services.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::ecs::check::{check_load_balancers, check_network};
use crate::ecs::members::{REVISED, fill, platform, service_role, settings, strategy};
use crate::ecs::{Ctx, last_segment, missing, put, tags_of, with_token};
use crate::error::{Answer, ApiError};
use crate::model::{Controller, DeploymentKey, Injected, Object, Service, ServiceKey, ServiceStatus, Status};
use crate::sim::rollout::Proposal;

impl Ctx<'_> {
    pub(crate) fn create_service(&mut self) -> Answer {
        let cluster = self.cluster()?;
        let name = self.request.text("serviceName").unwrap_or_default().to_owned();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || name.len() > 255 || !name.bytes().all(legal) {
            return Err(ApiError::invalid("Service name contains invalid characters."));
        }
        if let Some(answer) = self.repeated_create(&cluster)? {
            return Ok(answer);
        }
        match self.find_service(&cluster, &name).map(|key| self.sim.world.services[&key].status) {
            Some(ServiceStatus::Active) => {
                return Err(ApiError::invalid("Creation of service was not idempotent."));
            }
            Some(ServiceStatus::Draining) => {
                return Err(ApiError::invalid("Unable to Start a service that is still Draining."));
            }
            Some(ServiceStatus::Inactive) | None => {}
        }
        let daemon = self.request.text("schedulingStrategy") == Some("DAEMON");
        let controller = self.request.get("deploymentController").and_then(|controller| controller["type"].as_str());
        let controller = match controller {
            Some("CODE_DEPLOY") => Controller::CodeDeploy,
            Some("EXTERNAL") => Controller::External,
            _ => Controller::Ecs,
        };
        let Some(reference) = self.request.text("taskDefinition") else {
            return Err(ApiError::client("TaskDefinition not found."));
        };
        let definition = self.usable_definition(reference)?.definition;
        let desired = match (daemon, self.request.has("desiredCount")) {
            (true, true) => {
                return Err(ApiError::invalid(
                    "The daemon scheduling strategy does not support a desired count for services.",
                ));
            }
            (true, false) => self.sim.world.clusters[&cluster].instances,
            (false, false) => return Err(ApiError::invalid("Desired Count can not be empty.")),
            (false, true) => self.desired_count()?.unwrap_or_default(),
        };
        let settings = settings(self.request, daemon)?;
        let configuration = settings.get("deploymentConfiguration").unwrap_or(&Value::Null);
        let template = self.template(&cluster, &definition, configuration)?;
        let awaiting = self.sim.world.awaiting.remove(&(cluster.clone(), name.clone())).unwrap_or_default();
        let spares = DeploymentKey(0);
        let troubles = awaiting.into_iter().map(|trouble| Injected { trouble, spares }).collect();
        let key = ServiceKey(self.sim.world.next_key());
        let service = Service {
            key,
            arn: self.sim.world.ecs_arn(format_args!("service/{cluster}/{name}")),
            cluster: cluster.clone(),
            name: name.clone(),
            status: ServiceStatus::Active,
            created_at: self.now(),
            created_by: self.caller.arn.clone(),
            daemon,
            desired,
            settings,
            tags: tags_of(self.request),
            deployments: Vec::new(),
            history: Vec::new(),
            revisions: Vec::new(),
            rollback: None,
            events: VecDeque::new(),
            tasks: Vec::new(),
            steady: false,
            steady_round: 0,
            controller,
            express: false,
            troubles,
        };
        let world = &mut *self.sim.world;
        world.services.insert(key, service);
        if let Some(old) = world.names.insert((cluster.clone(), name), key) {
            world.services.remove(&old);
        }
        if let Some(token) = self.request.text("clientToken") {
            world.tokens.insert((cluster, token.to_owned()), (self.request.0.clone(), key));
        }
        let platform = platform(&template);
        self.sim.open(key, Proposal { template, definition, platform });
        Ok(json!({ "service": self.show_service(key, true) }))
    }

    /// The answer to a create call whose client token has been seen.
    fn repeated_create(&self, cluster: &str) -> Result<Option<Value>, ApiError> {
        let Some(token) = self.request.text("clientToken") else {
            return Ok(None);
        };
        if token.len() > 36 {
            return Err(ApiError::invalid("clientToken cannot be longer than 36 characters."));
        }
        let Some((request, key)) = self.sim.world.tokens.get(&(cluster.to_owned(), token.to_owned())) else {
            return Ok(None);
        };
        if !self.sim.world.services.get(key).is_some_and(|service| service.status == ServiceStatus::Active) {
            return Ok(None);
        }
        if request != self.request.0 {
            return Err(ApiError::invalid("Creation of service was not idempotent."));
        }
        Ok(Some(json!({ "service": self.show_service(*key, true) })))
    }

    pub(crate) fn desired_count(&self) -> Result<Option<u32>, ApiError> {
        match self.request.get("desiredCount").and_then(Value::as_i64) {
            None => Ok(None),
            Some(count) => {
                u32::try_from(count).map(Some).map_err(|_| ApiError::invalid("Desired Count can not be negative."))
            }
        }
    }

    /// The first template of a service.
    fn template(
        &mut self,
        cluster: &str,
        definition: &crate::model::Definition,
        configuration: &Value,
    ) -> Result<Object, ApiError> {
        let request = self.request;
        let mut template = Object::new();
        put(&mut template, "taskDefinition", definition.arn.as_str());
        let given = request.list("capacityProviderStrategy").filter(|entries| !entries.is_empty());
        match (given, request.text("launchType")) {
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid(
                    "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
                ));
            }
            (Some(entries), None) => {
                self.check_strategy(cluster, &json!(entries))?;
                put(&mut template, "capacityProviderStrategy", strategy(&json!(entries)));
            }
            (None, Some(launch)) => put(&mut template, "launchType", launch),
            (None, None) => match self.default_strategy(cluster) {
                Some(default) => put(&mut template, "capacityProviderStrategy", strategy(&default)),
                None => put(&mut template, "launchType", "EC2"),
            },
        }
        let namespace = self.default_namespace(cluster);
        for member in REVISED {
            if let Some(value) = request.get(member) {
                let mut value = fill(member, value.clone(), namespace.as_ref());
                self.shuffle_network(member, &mut value);
                put(&mut template, member, value);
            }
        }
        if platform(&template).fargate {
            template.entry("platformVersion").or_insert(json!("LATEST"));
        }
        check_network(template.get("networkConfiguration"), definition)?;
        check_load_balancers(template.get("loadBalancers").unwrap_or(&Value::Null), definition, configuration)?;
        if definition.awsvpc
            || template.get("loadBalancers").and_then(Value::as_array).is_some_and(|all| !all.is_empty())
        {
            let role =
                request.text("role").map(str::to_owned).unwrap_or_else(|| service_role(&self.sim.world.place.account));
            put(&mut template, "roleArn", role);
        }
        Ok(template)
    }

    pub(crate) fn shuffle_network(&mut self, member: &str, value: &mut Value) {
        if self.options.shuffle_sets && member == "networkConfiguration" {
            for list in ["subnets", "securityGroups"] {
                if let Some(items) = value["awsvpcConfiguration"][list].as_array_mut() {
                    self.sim.world.ids.shuffle(items);
                }
            }
        }
    }

    pub(crate) fn delete_service(&mut self) -> Answer {
        let key = self.service_named("service")?;
        let force = self.request.flag("force").unwrap_or(false);
        let now = self.now();
        let service = &self.sim.world.services[&key];
        if service.status == ServiceStatus::Inactive {
            return Err(ApiError::service_not_found());
        }
        if service.status == ServiceStatus::Active {
            if !force && !service.daemon && service.desired > 0 {
                return Err(ApiError::invalid(
                    "The service cannot be stopped while the primary deployment is scaled above 0.",
                ));
            }
            let counts = crate::sim::rollout::counts(self.sim.world, key);
            if let Some(service) = self.sim.service_mut(key) {
                service.status = ServiceStatus::Draining;
                service.desired = 0;
                service.rollback = None;
                for deployment in &mut service.deployments {
                    deployment.desired = 0;
                }
                for record in service.history.iter_mut().filter(|record| !record.status.terminal()) {
                    record.close(Status::Stopped, now, counts.clone());
                }
            }
            let after = self.sim.durations().draining;
            self.sim.unsettle(key);
            self.sim.pass_in(key, after);
        }
        Ok(json!({ "service": self.show_service(key, true) }))
    }

    pub(crate) fn describe_services(&mut self) -> Answer {
        let cluster = self.cluster()?;
        let names = self.batch("services", 10, "Services")?;
        if names.is_empty() {
            return Err(ApiError::invalid("Services cannot be empty."));
        }
        let tags = self.request.includes("TAGS");
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            if let Some(before) = self.before(&cluster, name) {
                match before {
                    Some(service) => services.push(service),
                    None => failures.push(missing(
                        &self.sim.world.ecs_arn(format_args!("service/{cluster}/{}", last_segment(name))),
                    )),
                }
                continue;
            }
            match self.find_service(&cluster, name) {
                Some(key) => services.push(self.show_service(key, tags)),
                None => {
                    let arn = self.sim.world.ecs_arn(format_args!("service/{cluster}/{}", last_segment(name)));
                    failures.push(missing(if name.starts_with("arn:") { name } else { &arn }));
                }
            }
        }
        Ok(json!({ "services": services, "failures": failures }))
    }

    pub(crate) fn list_services(&mut self) -> Answer {
        let cluster = self.cluster()?;
        let launch = self.request.text("launchType");
        let scheduling = self.request.text("schedulingStrategy");
        let world = &self.sim.world;
        let all = world
            .names
            .range((cluster.clone(), String::new())..)
            .take_while(|((owner, _), _)| *owner == cluster)
            .map(|(_, key)| &world.services[key])
            .filter(|service| service.status == ServiceStatus::Active)
            .filter(|service| {
                launch.is_none_or(|launch| service.template().get("launchType").and_then(Value::as_str) == Some(launch))
            })
            .filter(|service| scheduling.is_none_or(|wanted| (wanted == "DAEMON") == service.daemon))
            .map(|service| (service.name.clone(), service.arn.clone()))
            .collect();
        let (arns, next) = self.page(all, 10)?;
        Ok(with_token(json!({ "serviceArns": arns }), next))
    }
}
