//! A service's own files: `service.yaml`, `taskdef.*`, `servicedef.*`, overlays and pins, read once for all
//! environments.

use crate::{
    at::{self, At},
    budget::{SERVICE_FILES, Weight},
    canonical::{Origin, Root, canonical},
    codes,
    diagnostic::{Diagnostic, has_errors, suggest},
    fields::Fields,
    kind::LayerKind,
    layer::{Files, Layer},
    membership::{Dispute, Form, Membership},
    node::{Node, Value},
    parse,
    pins::{self, Pin},
    repository::{Environment, Repository, ServiceDirectory},
    source::{SourceFile, Span},
    strays,
    tree::Tree,
};
use indexmap::IndexMap;

/// A service as its files state it, before any environment is chosen.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name and directory.
    pub directory: ServiceDirectory,
    /// Its own layer, with `taskdef.*` and `servicedef.*` in it.
    pub layer: Layer,
    /// Which environments it is in.
    pub membership: Membership,
    /// Set where the rules of version 1 and 2 differ for it. Where the files have errors, nobody knows.
    pub dispute: Option<Dispute>,
    /// Files of its directory that look like manifests and are none. The service itself is usable.
    pub strays: Vec<Diagnostic>,
    /// Overlays by environment.
    pub overlays: IndexMap<String, Layer>,
    /// Pins by environment.
    pub pins: IndexMap<String, Vec<Pin>>,
    /// Pins files by environment.
    pub pin_files: IndexMap<String, String>,
    /// At which commit it is, by environment, where that is not the branch's tip.
    pub at: IndexMap<String, At>,
    /// Paths and ids of the files that this was read from, for caches.
    pub read: Vec<(String, String)>,
    /// What these files became.
    pub weight: Weight,
    /// A place that stands for the service as a whole.
    pub span: Span,
}

const EXTENSIONS: &[&str] = &["yaml", "yml", "json"];

impl Service {
    /// Reads a service's files.
    pub fn load(
        repository: &Repository,
        directory: &ServiceDirectory,
        tree: &dyn Tree,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let before = problems.len();
        let mut files = Files::new(tree, SERVICE_FILES);
        let names: Vec<String> = tree
            .below(&directory.path)
            .iter()
            .map(|file| file.path[directory.path.len() + 1..].to_owned())
            .filter(|name| !name.contains('/'))
            .collect();
        let of_directory = SourceFile::new(format!("{}/", directory.path), "");
        let mut service = Self {
            directory: directory.clone(),
            layer: Layer::default(),
            membership: Membership { version: repository.version, ..Membership::default() },
            dispute: None,
            strays: Vec::new(),
            overlays: IndexMap::new(),
            pins: IndexMap::new(),
            pin_files: IndexMap::new(),
            at: IndexMap::new(),
            read: Vec::new(),
            weight: Weight::default(),
            span: Span::of_file(&of_directory),
        };
        let mut own = names.iter().filter(|name| matches!(name.as_str(), "service.yaml" | "service.yml"));
        let (own, second) = (own.next(), own.next());
        if let (Some(name), Some(second)) = (own, second) {
            let span = Span::of_file(&SourceFile::new(format!("{}/{second}", directory.path), ""));
            let message = format!("`{name}` and `{second}` are both here");
            problems.push(Diagnostic::error(codes::TWO_PLACES, &span, message).hint("keep one of them"));
        }
        if let Some(name) = own
            && let Some(node) = files.parse(&format!("{}/{name}", directory.path), problems)
        {
            service.span = Span::of_file(&node.span.file);
            let mut fields = Fields::new(node, "service.yaml", problems);
            service.layer = Layer::read(&mut fields, LayerKind::Service, &mut files);
            if let Some(entry) = fields.take_written("environments") {
                service.membership.read(&entry.key, &entry.node, repository, fields.problems);
                service.read_inline_overlays(entry.node, &mut files, fields.problems);
            }
            fields.finish();
        }
        service.found_definition(Root::TaskDefinition, "taskdef", &names, &mut files, problems);
        service.found_definition(Root::Service, "servicedef", &names, &mut files, problems);
        for name in &names {
            service.read_other(name, repository, &mut files, problems);
        }
        let file = format!("{}/{}", directory.path, own.map_or("service.yaml", String::as_str));
        if !has_errors(&problems[before..]) {
            service.dispute = service.membership.dispute(&file, repository, &service.span);
        }
        if service.dispute.is_none() {
            service.membership.check(&directory.name, repository, problems);
        }
        service.strays = strays::in_service(directory, &names, repository, &files.read);
        service.weight = files.weight();
        service.read = files.read;
        service
    }

    /// The overlays that a map of environments holds.
    fn read_inline_overlays(&mut self, node: Node, files: &mut Files<'_>, problems: &mut Vec<Diagnostic>) {
        let Value::Map(map) = node.value else { return };
        let named = self.membership.named.as_ref().filter(|named| named.form == Form::Map);
        let is_in = |name: &String| named.and_then(|named| named.entries.get(name)).is_some_and(|(_, is_in)| *is_in);
        for (name, entry) in map.into_iter().filter(|(name, _)| is_in(name)) {
            let mut fields = Fields::new(entry.node, "an overlay", problems);
            let layer = Layer::read(&mut fields, LayerKind::Overlay, files);
            fields.finish();
            self.overlays.insert(name, layer);
        }
    }

    /// `taskdef.*` or `servicedef.*` beside `service.yaml`.
    fn found_definition(
        &mut self,
        root: Root,
        stem: &str,
        names: &[String],
        files: &mut Files<'_>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let mut found = names.iter().filter(|name| {
            name.strip_prefix(stem)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|rest| EXTENSIONS.contains(&rest))
        });
        let Some(name) = found.next() else { return };
        let path = format!("{}/{name}", self.directory.path);
        if let Some(second) = found.next() {
            let span = Span::of_file(&SourceFile::new(format!("{}/{second}", self.directory.path), ""));
            let message = format!("`{name}` and `{second}` both declare the {}", root.name());
            problems.push(Diagnostic::error(codes::TWO_PLACES, &span, message));
        }
        if let (Root::Service, Some(none)) = (root, &self.layer.no_service) {
            let message = format!("`service: none` is here, and a service in `{path}`");
            let hint = "keep one of them; a file that is called none is written `./none`";
            problems.push(Diagnostic::error(codes::TWO_PLACES, none, message).hint(hint));
            return;
        }
        let slot = match root {
            Root::TaskDefinition => &mut self.layer.task_definition,
            Root::Service => &mut self.layer.service,
        };
        if let Some(inline) = slot {
            if inline.span.file.path == path {
                return;
            }
            let message = format!("`{}` is set here and in `{path}`", root.name());
            problems.push(Diagnostic::error(codes::TWO_PLACES, &inline.span, message).hint("keep one of them"));
            return;
        }
        if let Some(node) = files.parse(&path, problems) {
            *slot = Some(canonical(node, root, Origin::Aws, problems));
        }
        if self.span.file.text.is_empty()
            && let Some(node) = slot
        {
            self.span = Span::of_file(&node.span.file);
        }
    }

    /// Overlays, pins, and YAML files that mean nothing.
    fn read_other(
        &mut self,
        name: &str,
        repository: &Repository,
        files: &mut Files<'_>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let Some((stem, "yaml" | "yml")) = name.rsplit_once('.') else {
            return;
        };
        if matches!(stem, "service" | "taskdef" | "servicedef") {
            return;
        }
        let path = format!("{}/{name}", self.directory.path);
        if files.read.iter().any(|(read, _)| *read == path) {
            return;
        }
        let (environment, is_pins) = stem.strip_suffix(".pins").map_or((stem, false), |stem| (stem, true));
        let (environment, is_at) = environment.strip_suffix(".at").map_or((environment, false), |stem| (stem, true));
        if !repository.environments.contains_key(environment) {
            if repository.environments.is_empty() {
                return;
            }
            let span = Span::of_file(&SourceFile::new(path.clone(), ""));
            let message = format!("`{name}` belongs to no environment of lockstep.yaml, and nothing names it");
            let names = repository.environments.keys().map(String::as_str);
            suggest(problems, Diagnostic::error(codes::NOTHING_MATCHED, &span, message), environment, names);
            return;
        }
        let Some(node) = files.parse(&path, problems) else {
            return;
        };
        if is_at {
            let span = Span::of_file(&node.span.file);
            let at = at::read(node, problems);
            if at.is_some_and(|at| self.at.insert(environment.to_owned(), at).is_some()) {
                let message = format!("`{environment}` has a second file that says at which commit the service is");
                problems.push(Diagnostic::error(codes::TWO_PLACES, &span, message).hint("keep one of them"));
            }
            return;
        }
        if is_pins {
            let span = Span::of_file(&node.span.file);
            let pins = pins::read(&node, problems);
            self.pin_files.insert(environment.to_owned(), path);
            self.membership.pins.push((environment.to_owned(), span.clone()));
            if self.pins.insert(environment.to_owned(), pins).is_some() {
                let message = format!("`{environment}` has a second pins file");
                problems.push(Diagnostic::error(codes::TWO_PLACES, &span, message).hint("keep one of them"));
            }
            return;
        }
        let span = Span::of_file(&node.span.file);
        let is_empty = node.as_map().is_some_and(indexmap::IndexMap::is_empty);
        let mut fields = Fields::new(node, "an overlay", problems);
        let layer = Layer::read(&mut fields, LayerKind::Overlay, files);
        fields.finish();
        if self.membership.overlays.iter().any(|(name, _)| name == environment) {
            let message = format!("`{environment}` has a second overlay file");
            problems.push(Diagnostic::error(codes::TWO_PLACES, &span, message).hint("keep one of them"));
            return;
        }
        self.membership.overlays.push((environment.to_owned(), span.clone()));
        match self.overlays.get(environment) {
            Some(inline) if !is_empty && !inline.is_empty() => {
                let message = format!("the overlay of `{environment}` is set here and in service.yaml");
                let named = self.membership.named.as_ref().and_then(|named| named.entries.get(environment));
                let mut problem = Diagnostic::error(codes::TWO_PLACES, &span, message).hint("keep one of them");
                if let Some((place, _)) = named {
                    problem = problem.related("and here", place);
                }
                problems.push(problem);
            }
            Some(inline) if !inline.is_empty() => {}
            _ => {
                self.overlays.insert(environment.to_owned(), layer);
            }
        }
    }

    /// Whether the service is in an environment, by the rule of the repository's version.
    pub fn is_in(&self, environment: &Environment) -> bool {
        self.membership.is_in(environment)
    }
}

impl Layer {
    /// Whether the layer says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
            && self.after.is_none()
            && self.vars.is_empty()
            && self.task_definition.is_none()
            && self.service.is_none()
            && self.no_service.is_none()
            && self.patches.is_none()
            && self.ignore.is_empty()
            && self.updates.is_empty()
            && self.scope.is_none()
            && self.adopt.is_none()
            && self.replace.is_none()
            && self.sync.is_none()
    }
}

/// Whether a path is one that [`Service::load`] may read.
pub fn is_service_file(path: &str) -> bool {
    path.starts_with("services/") && parse::is_manifest(path)
}
