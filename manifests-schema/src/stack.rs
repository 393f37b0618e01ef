//! The layers of a service in an environment, in the order in which they merge.

use crate::{
    codes,
    diagnostic::{Diagnostic, suggest},
    layer::Layer,
    node::Map,
    pins,
    repository::{Environment, Repository},
    service::Service,
};
use std::collections::HashSet;

/// What a layer is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerName {
    /// `defaults` of lockstep.yaml.
    Defaults,
    /// `defaults` of an environment.
    EnvironmentDefaults(String),
    /// A component.
    Component(String),
    /// The service's own files.
    Service,
    /// The overlay of an environment.
    Overlay(String),
    /// The pins of an environment.
    Pins(String),
    /// A patch.
    Patch,
    /// Neither is written: the directory's name stands for it.
    Directory,
}

impl std::fmt::Display for LayerName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LayerName::Defaults => formatter.write_str("defaults"),
            LayerName::EnvironmentDefaults(name) => write!(formatter, "defaults of {name}"),
            LayerName::Component(name) => write!(formatter, "component {name}"),
            LayerName::Service => formatter.write_str("service"),
            LayerName::Overlay(name) => write!(formatter, "overlay of {name}"),
            LayerName::Pins(name) => write!(formatter, "pins of {name}"),
            LayerName::Patch => formatter.write_str("patch"),
            LayerName::Directory => formatter.write_str("the directory's name"),
        }
    }
}

/// One thing in the order in which layers merge.
pub(crate) enum Stacked<'a> {
    /// Variables of the environment.
    Variables(&'a Map),
    /// A layer.
    Layer(LayerName, &'a Layer),
}

/// The layers in the order in which they merge.
pub(crate) fn layers_of<'a>(
    repository: &'a Repository,
    environment: &'a Environment,
    service: &'a Service,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Stacked<'a>> {
    let mut defaults = vec![(LayerName::Defaults, &repository.defaults)];
    defaults
        .extend(environment.defaults.iter().map(|(name, layer)| (LayerName::EnvironmentDefaults(name.clone()), layer)));
    let overlays: Vec<(LayerName, &Layer)> = environment
        .chain
        .iter()
        .filter_map(|link| Some((LayerName::Overlay(link.clone()), service.overlays.get(link)?)))
        .collect();
    let mut components: Vec<(LayerName, &Layer)> = Vec::new();
    let mut named: HashSet<&str> = HashSet::new();
    let naming = defaults
        .iter()
        .map(|(_, layer)| *layer)
        .chain([&service.layer])
        .chain(overlays.iter().map(|(_, layer)| *layer));
    for layer in naming {
        for (name, span) in &layer.components {
            if named.contains(name.as_str()) {
                continue;
            }
            match repository.components.get(name) {
                Some(component) => {
                    named.insert(name);
                    components.push((LayerName::Component(name.clone()), component));
                }
                None => {
                    let message = format!("there is no component `{name}` (components/{name}.yaml)");
                    let problem = Diagnostic::error(codes::UNKNOWN_NAME, span, message);
                    suggest(problems, problem, name, repository.components.keys().map(String::as_str));
                }
            }
        }
    }
    let stacked = |(name, layer)| Stacked::Layer(name, layer);
    let mut stack: Vec<Stacked<'a>> = defaults.into_iter().map(stacked).collect();
    stack.push(Stacked::Variables(&environment.vars));
    stack.extend(components.into_iter().map(stacked));
    stack.push(Stacked::Layer(LayerName::Service, &service.layer));
    stack.extend(overlays.into_iter().map(stacked));
    stack
}

/// The pins that an environment reads with the environment that each stands in, outermost first: later ones win.
pub(crate) fn pins_of<'a>(
    environment: &'a Environment,
    service: &'a Service,
) -> impl Iterator<Item = (&'a str, &'a pins::Pin)> {
    environment
        .chain
        .iter()
        .flat_map(|link| service.pins.get(link).into_iter().flatten().map(|pin| (link.as_str(), pin)))
}
