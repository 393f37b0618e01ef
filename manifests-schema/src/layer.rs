//! A layer: defaults, a component, a service's own settings, or an overlay. All have the same shape, less what the
//! format keeps to one of them.

use crate::{
    budget::{Meter, Weight},
    canonical::{Origin, Root, canonical},
    codes,
    diagnostic::{Diagnostic, suggest},
    fields::Fields,
    kind::{LayerKind, MustMatch},
    listing,
    node::{Map, Node, Value},
    parse,
    path::{Path, Step},
    source::Span,
    substitute::has_substitution,
    sync::WrittenNarrowing,
    tree::Tree,
    updates,
};

/// What a service's ECS objects we own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Ownership {
    /// The ECS service and its task definition.
    #[default]
    Service,
    /// The task definition and the image only; the ECS service belongs to somebody else.
    TaskDefinition,
    /// The task definition alone: no ECS service uses it (`service: none`), but schedules and RunTask do.
    Definition,
}

/// An entry of `ignore`.
#[derive(Clone, Debug)]
pub struct Ignored {
    /// The path.
    pub path: Path,
    /// Where it is written.
    pub span: Span,
    /// Where it must match something.
    pub must_match: MustMatch,
}

/// A layer that was read.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// Components to lay below this layer, by name.
    pub components: Vec<(String, Span)>,
    /// Services that must be done first.
    pub after: Option<Vec<(String, Span)>>,
    /// Variables.
    pub vars: Map,
    /// The task definition's part, in canonical form.
    pub task_definition: Option<Node>,
    /// The service's part, in canonical form.
    pub service: Option<Node>,
    /// Where it says that there is no service.
    pub no_service: Option<Span>,
    /// RFC 6902 patches, for after the merge.
    pub patches: Option<Node>,
    /// Paths that are neither compared nor sent in an update. One of the service's own files must match something; one
    /// that many services share need not match in each.
    pub ignore: Vec<Ignored>,
    /// Image policies by container.
    pub(crate) updates: updates::Parts,
    /// What we own.
    pub scope: Option<(Ownership, Span)>,
    /// Whether an existing service may be taken over by the agent.
    pub adopt: Option<bool>,
    /// Whether the service may be deleted and created again for what cannot be changed otherwise.
    pub replace: Option<bool>,
    /// What the layer adds to each service that it is laid on, variables apart: those count where they are used.
    pub(crate) weight: Weight,
    /// What the service narrows of its environment's `sync`.
    pub(crate) sync: Option<WrittenNarrowing>,
}

/// Most components that a layer names, and most paths that it ignores.
pub const MAX_NAMES: usize = 200;

/// Reads files that layers name, and remembers which.
pub struct Files<'a> {
    /// The repository.
    pub tree: &'a dyn Tree,
    /// Paths and ids of all that was read.
    pub read: Vec<(String, String)>,
    meter: Meter,
}

impl<'a> Files<'a> {
    /// Nothing read yet; together the files may become no more than `limit`.
    pub fn new(tree: &'a dyn Tree, limit: Weight) -> Self {
        Self { tree, read: Vec::new(), meter: Meter::new(limit) }
    }

    /// What all that was read became.
    pub fn weight(&self) -> Weight {
        self.meter.used()
    }

    /// Reads and parses one file of the repository.
    pub fn parse(&mut self, path: &str, problems: &mut Vec<Diagnostic>) -> Option<Node> {
        let entry = self.tree.find(path)?.clone();
        self.read.push((entry.path.clone(), entry.id.clone()));
        let unreadable = |reason: String| {
            let span = Span::of_file(&crate::source::SourceFile::new(path, ""));
            Diagnostic::error(codes::UNREADABLE, &span, reason)
        };
        if let Some(refusal) = entry.kind.refusal() {
            problems.push(unreadable(format!("`{path}` {refusal}")));
            return None;
        }
        let bytes = match self.tree.read(&entry) {
            Ok(bytes) => bytes,
            Err(reason) => {
                problems.push(unreadable(format!("`{path}` cannot be read: {reason}")));
                return None;
            }
        };
        let file = match parse::decode(path, bytes) {
            Ok(file) => file,
            Err(problem) => {
                problems.push(*problem);
                return None;
            }
        };
        let too_much = |excess: String| {
            let message = format!("with this file, what belongs together has {excess}; it is not read");
            Diagnostic::error(codes::TOO_COMPLEX, &Span::of_file(&file), message)
        };
        if self.meter.is_spent() {
            problems.push(too_much("more than it may".to_owned()));
            return None;
        }
        match parse::weighed(&file) {
            Ok((node, weight)) => match self.meter.charge(weight) {
                Ok(()) => Some(node),
                Err(excess) => {
                    problems.push(too_much(excess));
                    None
                }
            },
            Err(found) => {
                problems.extend(found);
                None
            }
        }
    }
}

impl Layer {
    /// Reads a layer. Keys that only another kind has must have been taken from `fields` before.
    pub fn read(fields: &mut Fields<'_>, kind: LayerKind, files: &mut Files<'_>) -> Self {
        let mut layer = Self::default();
        if kind != LayerKind::Component {
            layer.components = fields.texts("components");
        }
        layer.vars = variables(fields);
        if let Some(entry) = fields.take("taskDefinition") {
            layer.task_definition = Some(definition(entry.node, Root::TaskDefinition, files, fields.problems));
        }
        if let Some(entry) = fields.take("service") {
            if entry.node.as_str() == Some("none") {
                layer.no_service = Some(entry.node.span);
            } else {
                layer.service = Some(definition(entry.node, Root::Service, files, fields.problems));
            }
        }
        layer.patches = if kind == LayerKind::Defaults { None } else { fields.take("patches").map(|entry| entry.node) };
        for (text, span) in fields.texts("ignore") {
            match text.parse::<Path>() {
                Ok(path) => match check_path(&path) {
                    Ok(()) => {
                        layer.ignore.push(Ignored { path, span, must_match: kind.must_match() });
                    }
                    Err(problem) => {
                        fields.problems.push(Diagnostic { span: Some(span), ..*problem });
                    }
                },
                Err(error) => fields.problems.push(Diagnostic::error(codes::NOTHING_MATCHED, &span, error.to_string())),
            }
        }
        if let Some((text, span)) = fields.text("scope") {
            match text.as_str() {
                "service" => layer.scope = Some((Ownership::Service, span)),
                "taskDefinition" => layer.scope = Some((Ownership::TaskDefinition, span)),
                _ => fields.problems.push(
                    Diagnostic::error(codes::NOT_ALLOWED, &span, format!("`{text}` is not a scope"))
                        .hint("the scopes are service and taskDefinition"),
                ),
            }
        }
        layer.updates = updates::read(fields, kind);
        let names = fields.take("after").map(|entry| entry.node);
        layer.after = names.map(|node| after(node, fields));
        layer.adopt = fields.boolean("adopt").map(|(value, _)| value);
        layer.replace = fields.boolean("replace").map(|(value, _)| value);
        layer.sync = WrittenNarrowing::read(fields);
        fields.not_yet();
        bounded(&mut layer.components, "components", |(_, span)| span, fields.problems);
        bounded(&mut layer.ignore, "ignore", |ignored| &ignored.span, fields.problems);
        layer.weight = layer.weigh();
        layer
    }

    fn weigh(&self) -> Weight {
        let parts = [&self.task_definition, &self.service, &self.patches];
        let names = self.components.len() + self.ignore.len() + self.after.as_ref().map_or(0, Vec::len);
        let names = Weight::new((names + updates::entries(&self.updates)) as u64, 0);
        parts.into_iter().flatten().map(Weight::of).fold(names, Weight::and)
    }

    /// All of the layer, its variables too.
    pub(crate) fn whole(&self) -> Weight {
        self.weight.and(Weight::of_map(&self.vars))
    }

    /// A place in the layer.
    pub(crate) fn span(&self) -> Option<&Span> {
        let parts = [&self.task_definition, &self.service, &self.patches];
        parts.into_iter().flatten().map(|node| &node.span).next()
    }
}

/// Cuts a list of names that each service would be held against.
fn bounded<T>(names: &mut Vec<T>, what: &str, place: fn(&T) -> &Span, problems: &mut Vec<Diagnostic>) {
    if let Some(first) = names.get(MAX_NAMES) {
        let message = format!("`{what}` has {} entries, more than the limit of {MAX_NAMES}", names.len());
        problems.push(Diagnostic::error(codes::TOO_COMPLEX, place(first), message));
        names.truncate(MAX_NAMES);
    }
}

fn after(node: Node, fields: &mut Fields<'_>) -> Vec<(String, Span)> {
    let items = match node.value {
        Value::List(items) => items,
        _ => vec![node],
    };
    let mut names = Vec::new();
    for item in items {
        match item.as_str() {
            Some(name) => names.push((name.to_owned(), item.span.clone())),
            None => {
                let message = format!("`after` names services, not {}", item.kind());
                fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &item.span, message));
            }
        }
    }
    names
}

/// Reads `vars`: any values, but no substitutions in them.
pub fn variables(fields: &mut Fields<'_>) -> Map {
    let Some(entry) = fields.take("vars") else {
        return Map::new();
    };
    let span = entry.node.span.clone();
    let kind = entry.node.kind();
    let Value::Map(map) = entry.node.value else {
        let message = format!("`vars` must be a map, not {kind}");
        fields.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, message));
        return Map::new();
    };
    for entry in map.values() {
        refuse_substitution(&entry.node, fields.problems);
    }
    map
}

fn refuse_substitution(node: &Node, problems: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::String(text) if has_substitution(text) => {
            let message = "a variable cannot be substituted itself".to_owned();
            problems.push(Diagnostic::error(codes::SUBSTITUTION, &node.span, message));
        }
        Value::List(items) => items.iter().for_each(|item| refuse_substitution(item, problems)),
        Value::Map(map) => map.values().for_each(|entry| refuse_substitution(&entry.node, problems)),
        _ => {}
    }
}

/// Inline content, or the file that a text names.
fn definition(node: Node, root: Root, files: &mut Files<'_>, problems: &mut Vec<Diagnostic>) -> Node {
    let Some(written) = node.as_str() else {
        return canonical(node, root, Origin::Layer, problems);
    };
    let span = node.span.clone();
    let empty = Node::empty_map(&span);
    let Some(path) = resolve(&span.file.path, written) else {
        let message = format!("`{written}` leads out of the repository");
        problems.push(Diagnostic::error(codes::FILE_REFERENCE, &span, message));
        return empty;
    };
    match files.tree.find(&path) {
        Some(entry) => match entry.kind.refusal() {
            None => match files.parse(&path, problems) {
                Some(node) => canonical(node, root, Origin::Aws, problems),
                None => empty,
            },
            Some(refusal) => {
                problems.push(Diagnostic::error(codes::FILE_REFERENCE, &span, format!("`{path}` {refusal}")));
                empty
            }
        },
        None => {
            let message = match listing::left_out(&path) {
                Some(rule) => format!("`{path}` cannot be used: {rule}"),
                None => format!("the repository has no file `{path}`"),
            };
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            let names = files.tree.below(directory).iter().map(|file| file.path.as_str());
            suggest(problems, Diagnostic::error(codes::FILE_REFERENCE, &span, message), &path, names);
            empty
        }
    }
}

/// The path of a file named in another: relative to that file's directory, or to the root with a leading slash.
fn resolve(from: &str, written: &str) -> Option<String> {
    let mut parts: Vec<&str> = match written.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect(),
    };
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Whether the model has such a path.
fn check_path(path: &Path) -> Result<(), Box<Diagnostic>> {
    use crate::ecs::Kind;
    let none = |message: String, written: &str, names: Vec<&str>| {
        Box::new(Diagnostic::general(codes::NOTHING_MATCHED, message).suggest(written, names))
    };
    let Some(Step::Member(first)) = path.0.first() else {
        return Err(none("a path begins with taskDefinition or service".into(), "", Vec::new()));
    };
    let root = match first.as_str() {
        "taskDefinition" => Root::TaskDefinition,
        "service" => Root::Service,
        _ => {
            let message = format!("a path begins with taskDefinition or service, not `{first}`");
            return Err(none(message, first, vec!["taskDefinition", "service"]));
        }
    };
    let whole = Kind::Structure(root.shape());
    let mut kind: &Kind = &whole;
    for step in &path.0[1..] {
        kind = match (kind, step) {
            (Kind::Structure(shape), Step::Member(name)) => match shape.member(name) {
                Some(member) => &member.kind,
                None => {
                    let names = shape.members.iter().map(|member| member.name).collect();
                    return Err(none(format!("`{}` has no member `{name}`", shape.name), name, names));
                }
            },
            (Kind::List(element) | Kind::Map(element), Step::Element(_)) => element,
            (_, Step::Member(name)) => {
                return Err(none(format!("nothing can stand at `.{name}` in `{path}`"), "", vec![]));
            }
            (_, Step::Element(key)) => {
                return Err(none(format!("nothing can stand at `[{key}]` in `{path}`"), "", vec![]));
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_relative_to_the_file_that_names_them_and_never_outside() {
        assert_eq!(resolve("services/a/service.yaml", "taskdef.json").as_deref(), Some("services/a/taskdef.json"));
        assert_eq!(resolve("services/a/service.yaml", "../shared/t.json").as_deref(), Some("services/shared/t.json"));
        assert_eq!(resolve("services/a/service.yaml", "/t.json").as_deref(), Some("t.json"));
        assert_eq!(resolve("services/a/service.yaml", "../../../t.json"), None);
        assert_eq!(resolve("lockstep.yaml", ".."), None);
    }

    #[test]
    fn an_ignored_path_must_be_in_the_model() {
        assert!(check_path(&"service.desiredCount".parse().unwrap()).is_ok());
        assert!(check_path(&"taskDefinition.containerDefinitions[x].dockerLabels[y]".parse().unwrap()).is_ok());
        let problem = check_path(&"service.desiredCont".parse().unwrap()).unwrap_err();
        assert_eq!(problem.hint.as_deref(), Some("did you mean `desiredCount`?"));
        assert!(check_path(&"desiredCount".parse().unwrap()).is_err());
    }
}
