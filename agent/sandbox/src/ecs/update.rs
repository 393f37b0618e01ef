//! Updating a service: what changes in place and what starts a deployment.

use serde_json::{Value, json};

use crate::ecs::check::{check_load_balancers, check_network};
use crate::ecs::members::{IN_PLACE, REVISED, deployment_configuration, fill, platform, same, service_role, strategy};
use crate::ecs::{Ctx, put};
use crate::error::{Answer, ApiError};
use crate::model::{Controller, Object, ServiceKey, ServiceStatus};
use crate::sim::rollout::Proposal;

impl Ctx<'_> {
    pub(crate) fn update_service(&mut self) -> Answer {
        let key = self.service_named("service")?;
        let request = self.request;
        let service = &self.sim.world.services[&key];
        if service.status != ServiceStatus::Active {
            return Err(ApiError::new("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        let daemon = service.daemon;
        self.check_controller(key)?;
        let desired = self.desired_count()?;
        if daemon && desired.is_some() {
            return Err(ApiError::invalid(
                "The daemon scheduling strategy does not support a desired count for services.",
            ));
        }
        let configuration = match request.get("deploymentConfiguration") {
            Some(given) => Some(deployment_configuration(Some(service.configuration()), Some(given), daemon)?),
            None => None,
        };
        // Everything is checked before anything changes.
        let proposal = self.proposal(key, configuration.as_ref())?;
        let Some(service) = self.sim.service_mut(key) else {
            return Err(ApiError::service_not_found());
        };
        if let Some(configuration) = configuration {
            put(&mut service.settings, "deploymentConfiguration", configuration);
        }
        for member in IN_PLACE {
            if let Some(value) = request.get(member) {
                put(&mut service.settings, member, value.clone());
            }
        }
        let scaled = desired.is_some_and(|desired| desired != service.desired);
        if let Some(desired) = desired {
            service.desired = desired;
        }
        match proposal {
            Some(proposal) => self.sim.open(key, proposal),
            None => {
                if scaled {
                    self.sim.unsettle(key);
                }
                let after = self.sim.durations().scheduler_pass;
                self.sim.pass_in(key, after);
            }
        }
        Ok(json!({ "service": self.show_service(key, true) }))
    }

    /// Refuses what the service's controller does not let UpdateService do.
    fn check_controller(&self, key: ServiceKey) -> Result<(), ApiError> {
        let service = &self.sim.world.services[&key];
        if service.express {
            return Err(ApiError::invalid(
                "The service is managed by Amazon ECS and cannot be updated with UpdateService.",
            ));
        }
        let request = self.request;
        let wanted = request.get("deploymentController").and_then(|controller| controller["type"].as_str());
        if wanted.is_some_and(|wanted| wanted != service.controller.wire()) {
            return Err(ApiError::unsupported("The sandbox does not change the deployment controller of a service."));
        }
        match service.controller {
            Controller::Ecs => Ok(()),
            Controller::CodeDeploy if request.has("taskDefinition") => Err(ApiError::invalid(
                "Unable to update task definition on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.",
            )),
            Controller::External if request.has("taskDefinition") => Err(ApiError::invalid(
                "Unable to update task definition on services with an EXTERNAL deployment controller.",
            )),
            _ => Ok(()),
        }
    }

    /// What the request rolls out, if anything.
    fn proposal(&mut self, key: ServiceKey, configuration: Option<&Value>) -> Result<Option<Proposal>, ApiError> {
        let request = self.request;
        let force = request.flag("forceNewDeployment").unwrap_or(false);
        let service = &self.sim.world.services[&key];
        let cluster = service.cluster.clone();
        let old = service.template().clone();
        let mut definition = service.revisions[service.primary().revision].definition.clone();
        let mut template = old.clone();
        let mut triggered = force;
        if let Some(reference) = request.text("taskDefinition") {
            definition = self.usable_definition(reference)?.definition;
            triggered |= self.options.same_value_triggers || old["taskDefinition"] != json!(definition.arn);
            put(&mut template, "taskDefinition", definition.arn.as_str());
        } else if force {
            self.check_still_usable(&definition.arn)?;
        }
        if let Some(given) = request.get("capacityProviderStrategy") {
            self.check_strategy(&cluster, given)?;
            self.change_strategy(&mut template, given, force)?;
        }
        let namespace = self.default_namespace(&cluster);
        for member in REVISED {
            let Some(given) = request.get(member) else {
                continue;
            };
            let mut value = fill(member, given.clone(), namespace.as_ref());
            let unchanged = match old.get(member) {
                Some(old) => same(old, &value),
                None => value.as_array().is_some_and(Vec::is_empty) || value == json!({ "enabled": false }),
            };
            triggered |= self.options.same_value_triggers || !unchanged;
            if !unchanged {
                self.shuffle_network(member, &mut value);
                put(&mut template, member, value);
            }
        }
        if !triggered {
            return Ok(None);
        }
        check_network(template.get("networkConfiguration"), &definition)?;
        let configuration = configuration.unwrap_or_else(|| self.sim.world.services[&key].configuration());
        let balancers = template.get("loadBalancers").unwrap_or(&Value::Null);
        check_load_balancers(balancers, &definition, configuration)?;
        let balanced = template.get("loadBalancers").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        if (definition.awsvpc || balanced) && !template.contains_key("roleArn") {
            put(&mut template, "roleArn", service_role(&self.sim.world.place.account));
        }
        let platform = platform(&template);
        if platform.fargate {
            template.entry("platformVersion").or_insert(json!("LATEST"));
        } else {
            template.remove("platformVersion");
        }
        Ok(Some(Proposal { template, definition, platform }))
    }

    fn check_still_usable(&self, arn: &str) -> Result<(), ApiError> {
        self.usable_definition(arn).map(|_| ())
    }

    /// A change of the strategy needs a forced deployment in the same call.
    fn change_strategy(&self, template: &mut Object, given: &Value, force: bool) -> Result<(), ApiError> {
        let new = strategy(given);
        let old = template.get("capacityProviderStrategy").cloned().unwrap_or_else(|| json!([]));
        if same(&old, &new) {
            return Ok(());
        }
        if !force {
            return Err(ApiError::invalid(
                "When switching from launch type to capacity provider strategy on an existing service, or making a change to a capacity provider strategy on a service that is already using one, you must force a new deployment.",
            ));
        }
        let was_fargate = platform(template).fargate;
        if new.as_array().is_none_or(Vec::is_empty) {
            template.remove("capacityProviderStrategy");
            put(template, "launchType", if was_fargate { "FARGATE" } else { "EC2" });
        } else {
            template.remove("launchType");
            put(template, "capacityProviderStrategy", new);
        }
        Ok(())
    }
}
