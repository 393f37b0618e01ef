//! `lockstep render`: exactly what would be sent.

use super::{Failure, Selection, target::Target};
use crate::{
    exit::Exit,
    output::{self, Format, diagnostics},
};
use clap::Args;
use lockstep_manifests::{
    Desired, Environment, Rendered,
    render::{bind, bind_offline},
    substitute::{Parameters, Reference, Resolved},
};
use serde_json::{Map, Value, json};

#[derive(Args)]
pub(super) struct RenderArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    selection: Selection,
    /// Leave parameters and secrets as they are written, and ask AWS nothing.
    #[arg(long)]
    offline: bool,
}

pub(super) async fn run(args: RenderArgs, _format: Format) -> Result<Exit, Failure> {
    let opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    let mut exit = opened.show_problems();
    let (environments, services) = (args.selection.environments(), args.selection.services());
    let mut rendered: Vec<(String, Value)> = Vec::new();
    for environment in opened.snapshot.repository.environments.values() {
        if !environments.is_empty() && !environments.contains(&environment.name) {
            continue;
        }
        for service in &opened.snapshot.services {
            if !services.is_empty() && !services.contains(&service.directory.name) {
                continue;
            }
            let Some(Ok(definition)) = service.environments.get(&environment.name) else {
                continue;
            };
            let desired = if args.offline {
                bind_offline(definition, environment)
            } else {
                match bind(definition, environment, &parameters(&opened, definition, environment).await?) {
                    Ok(desired) => desired,
                    Err(problems) => {
                        for problem in &problems {
                            output::say(&format!("{}\n", diagnostics::render(problem)));
                        }
                        exit = exit.or(Exit::Invalid);
                        continue;
                    }
                }
            };
            rendered.push((format!("{}/{}", environment.name, service.directory.name), show(&desired)));
        }
    }
    match rendered.as_slice() {
        [] => {
            if exit == Exit::Done {
                output::say("nothing to render: no such service is in such an environment");
            }
        }
        [(_, value)] => output::data(&output::json(value)),
        _ => output::data(&output::json(&rendered.into_iter().collect::<Map<String, Value>>())),
    }
    Ok(exit)
}

/// The definitions with their declared tags, as the API takes them.
fn show(desired: &Desired) -> Value {
    let with_tags = |definition: &Value, tags: &Map<String, Value>| {
        let mut definition = definition.clone();
        if let (Some(map), false) = (definition.as_object_mut(), tags.is_empty()) {
            let tags = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
            map.insert("tags".to_owned(), Value::Array(tags));
        }
        definition
    };
    let mut result = Map::new();
    result.insert("taskDefinition".into(), with_tags(&desired.task_definition, &desired.task_definition_tags));
    if !desired.service.is_null() {
        result.insert("service".into(), with_tags(&desired.service, &desired.service_tags));
    }
    Value::Object(result)
}

async fn parameters(
    opened: &super::target::Opened,
    rendered: &Rendered,
    environment: &Environment,
) -> Result<Parameters, Failure> {
    if rendered.references.is_empty() {
        return Ok(Parameters::new());
    }
    let fail = |error: crate::aws::AwsError| {
        Failure::new(Exit::Failed, error.to_string())
            .hint("--offline leaves parameters and secrets as they are written")
    };
    let clients = opened.context.accounts.clients(&environment.account, &environment.region).await;
    clients.check_account().await.map_err(fail)?;
    let (allowed, refused): (Vec<Reference>, Vec<Reference>) = rendered
        .references
        .iter()
        .map(|(reference, _)| reference.clone())
        .partition(|reference| opened.allow.reference(reference));
    let mut parameters = clients.parameters(&allowed).await.map_err(fail)?;
    for reference in refused {
        parameters.insert(reference, Resolved::Refused("the agent's file does not allow to read it".to_owned()));
    }
    Ok(parameters)
}
