//! `lockstep render`: exactly what would be sent.

use super::{
    Selection,
    target::{Opened, Target},
};
use crate::{
    exit::{Exit, Failure},
    output::{self, Format, diagnostics, trace::Traces},
};
use clap::Args;
use lockstep_core::{
    compare::{normalise::Context, send::sendable},
    stated::identity,
    tags::Tags,
};
use lockstep_manifests::{
    Desired, Environment, Rendered, Service,
    canonical::Root,
    render::{bind, bind_offline},
    substitute::{Parameters, Reference, Resolved},
    trace,
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
    /// Tell of each value which layer, file and line it came from, and what it overrode.
    #[arg(long)]
    trace: bool,
}

pub(super) async fn run(args: RenderArgs, format: Format) -> Result<Exit, Failure> {
    let opened = args.target.open().await?;
    opened.check_names(&args.selection)?;
    let mut exit = opened.show_problems();
    let (environments, services) = (args.selection.environments(), args.selection.services());
    let mut rendered: Vec<(String, Value)> = Vec::new();
    let mut traces: Vec<Traces> = Vec::new();
    let tree = if args.trace {
        let read = opened.runner.tree().await;
        Some(read.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?)
    } else {
        None
    };
    let repository = &opened.snapshot.repository;
    for environment in repository.environments.values() {
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
            let (desired, parameters) = if args.offline {
                (bind_offline(definition, environment), None)
            } else {
                let parameters = parameters(&opened, definition, environment).await?;
                match bind(definition, environment, &parameters) {
                    Ok(desired) => (desired, Some(parameters)),
                    Err(problems) => {
                        for problem in &problems {
                            output::say(&format!("{}\n", diagnostics::render(problem)));
                        }
                        exit = exit.or(Exit::Invalid);
                        continue;
                    }
                }
            };
            if let Some(tree) = &tree {
                let files = Service::load(repository, &service.directory, tree.as_ref(), &mut Vec::new());
                let values = trace::trace(repository, environment, &files, definition, parameters.as_ref());
                traces.push(Traces {
                    environment: environment.name.clone(),
                    service: service.directory.name.clone(),
                    values,
                });
            }
            rendered.push((
                format!("{}/{}", environment.name, service.directory.name),
                show(&desired, &opened, environment),
            ));
        }
    }
    if rendered.is_empty() {
        if exit == Exit::Done {
            output::say("nothing to render: no such service is in such an environment");
        }
    } else if args.trace {
        match format {
            Format::Json => output::data(&output::json(&output::trace::data(&traces))),
            Format::Text => output::data(&output::trace::render(&traces)),
        }
    } else if let [(_, value)] = rendered.as_slice() {
        output::data(&output::json(value));
    } else {
        output::data(&output::json(&rendered.into_iter().collect::<Map<String, Value>>()));
    }
    Ok(exit)
}

/// The definitions as they are sent: with the tags that are declared, and where a source is named with its own tags,
/// in the model's order. The revision and the client token are chosen at each write.
fn show(desired: &Desired, opened: &Opened, environment: &Environment) -> Value {
    let own = |more: &[(&str, String)]| -> Tags {
        let Some(source) = &opened.source else { return Tags::new() };
        let mut tags = identity::ownership_tags(source, &environment.name, &desired.service_name);
        tags.extend(
            more.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| ((*name).to_owned(), text.clone())),
        );
        tags
    };
    let context = Context::of([&desired.task_definition, &desired.service]);
    let (task_definition, service) = (
        sendable(Root::TaskDefinition, &desired.task_definition, &context),
        sendable(Root::Service, &desired.service, &context),
    );
    let commit = opened.snapshot.commit.clone();
    let of_revision =
        own(&[(identity::HASH, identity::content_hash(&desired.task_definition)), (identity::COMMIT, commit)]);
    let mut result = Map::new();
    let definition = in_order(Root::TaskDefinition, &task_definition, &desired.task_definition_tags, of_revision, None);
    result.insert("taskDefinition".into(), definition);
    if !desired.service.is_null() {
        let cluster = Some(environment.cluster.clone());
        let service = in_order(Root::Service, &service, &desired.service_tags, own(&[]), cluster);
        result.insert("service".into(), service);
    }
    Value::Object(result)
}

fn in_order(
    root: Root,
    definition: &Value,
    declared: &Map<String, Value>,
    own: Tags,
    cluster: Option<String>,
) -> Value {
    let mut tags = declared.clone();
    tags.extend(own.into_iter().map(|(name, text)| (name, Value::String(text))));
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let value_of = |name: &str| match name {
        "tags" => (!tags.is_empty()).then(|| Value::Array(tags.clone())),
        "cluster" => cluster.clone().map(Value::String),
        _ => definition.get(name).cloned(),
    };
    let members = root.shape().members.iter();
    Value::Object(members.filter_map(|member| Some((member.name.to_owned(), value_of(member.name)?))).collect())
}

pub(super) async fn parameters(
    opened: &Opened,
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
