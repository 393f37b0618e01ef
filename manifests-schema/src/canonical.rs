//! One document in canonical form: every list that has a map form becomes a map from its key, scalars that stand for
//! a member are spelled out, and keys that the model does not have are errors. Values are not looked at: substitution
//! comes later.

use crate::{
    codes,
    diagnostic::{Diagnostic, nearest, suggest},
    ecs::{Kind, Structure, shapes},
    lists::{Key, KeyForm, ListKind, list_kind, port_key},
    node::{Entry, Map, Node, Value},
    source::Span,
    substitute::has_substitution,
};
use std::collections::HashMap;

/// Where a document comes from: decides what `null` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file in AWS's own shape: `null` is as absent, members of answers are dropped with a note.
    Aws,
    /// A layer of ours: `null` removes what an earlier layer declared.
    Layer,
    /// What AWS answered, for comparing with: all of it is taken as it is.
    Live,
}

/// Which of the two roots a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// RegisterTaskDefinition's input.
    TaskDefinition,
    /// CreateService's input.
    Service,
}

impl Root {
    /// The name in paths and files.
    pub fn name(self) -> &'static str {
        match self {
            Root::TaskDefinition => "taskDefinition",
            Root::Service => "service",
        }
    }

    /// The shape of the model.
    pub fn shape(self) -> &'static Structure {
        match self {
            Root::TaskDefinition => &shapes::REGISTER_TASK_DEFINITION,
            Root::Service => &shapes::CREATE_SERVICE,
        }
    }

    fn read_only(self) -> &'static [&'static str] {
        match self {
            Root::TaskDefinition => shapes::TASK_DEFINITION_READ_ONLY,
            Root::Service => shapes::SERVICE_READ_ONLY,
        }
    }
}

/// The canonical form of a document, with what is wrong with it in `problems`.
pub fn canonical(node: Node, root: Root, origin: Origin, problems: &mut Vec<Diagnostic>) -> Node {
    let is_answer = origin == Origin::Live || (origin == Origin::Aws && is_answer(&node, root));
    let mut reader = Reader { origin, root, is_answer, problems };
    let node = if origin == Origin::Layer { node } else { reader.unwrap_answer(node) };
    reader.structure(node, root.shape(), true)
}

/// Whether a document is what AWS answered: in its wrapper, or with members that only answers have.
fn is_answer(node: &Node, root: Root) -> bool {
    let is_wrapped =
        wrapped_services(node, root).is_some() || node.get(root.name()).is_some_and(|inner| inner.as_map().is_some());
    let map = node.as_map();
    is_wrapped || map.is_some_and(|map| map.keys().any(|name| root.read_only().contains(&name.as_str())))
}

/// The services of an answer of DescribeServices.
fn wrapped_services(node: &Node, root: Root) -> Option<&[Node]> {
    match node.get("services").map(|list| &list.value) {
        Some(Value::List(services)) if root == Root::Service => Some(services),
        _ => None,
    }
}

/// The definition itself, out of what `describe-*`, `create-service` and `register-task-definition` print.
pub(crate) fn unwrapped(node: Node, root: Root) -> Node {
    if let Some([only]) = wrapped_services(&node, root) {
        return only.clone();
    }
    let Some(inner) = node.get(root.name()).filter(|inner| inner.as_map().is_some()) else {
        return node;
    };
    let mut inner = inner.clone();
    // Tags of a task definition stand beside it.
    if let (Some(tags), Some(map)) = (node.get("tags"), inner.as_map_mut()) {
        map.entry("tags".to_owned()).or_insert(Entry { key: tags.span.clone(), node: tags.clone() });
    }
    inner
}

/// Some members of a service stand in the PRIMARY deployment alone. Leaving them out would declare that they go.
fn take_from_primary(node: &mut Node) {
    const IN_DEPLOYMENT: &[&str] = &["serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"];
    let Some(Value::List(deployments)) = node.get("deployments").map(|list| &list.value) else { return };
    let Some(primary) = deployments.iter().find(|one| one.get("status").and_then(Node::as_str) == Some("PRIMARY"))
    else {
        return;
    };
    let found: Vec<(String, Entry)> = IN_DEPLOYMENT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), primary.as_map()?.get(*name)?.clone())))
        .collect();
    if let Some(map) = node.as_map_mut() {
        for (name, entry) in found {
            map.entry(name).or_insert(entry);
        }
    }
}

struct Reader<'a> {
    origin: Origin,
    root: Root,
    /// Whether the document is what AWS answered.
    is_answer: bool,
    problems: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Takes the definition out of what `describe-*` prints.
    fn unwrap_answer(&mut self, node: Node) -> Node {
        if let Some(services) = wrapped_services(&node, self.root)
            && services.len() != 1
        {
            let message = format!("the file holds {} services; a file declares one", services.len());
            self.problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message));
            return Node::empty_map(&node.span);
        }
        let mut inner = unwrapped(node, self.root);
        if self.root == Root::Service {
            take_from_primary(&mut inner);
            self.drop_count_of_daemon(&mut inner);
        }
        inner
    }

    /// ECS returns how many tasks a DAEMON service has as its `desiredCount`, and refuses one that is declared.
    fn drop_count_of_daemon(&mut self, node: &mut Node) {
        let is_daemon = node.get("schedulingStrategy").and_then(Node::as_str) == Some("DAEMON");
        if let (true, true, Some(map)) = (self.is_answer, is_daemon, node.as_map_mut())
            && let Some(entry) = map.shift_remove("desiredCount")
        {
            let message = "`desiredCount` of a DAEMON service is part of what AWS answers, not of what is declared; it was dropped";
            self.problems.push(Diagnostic::error(codes::READ_ONLY, &entry.key, message).as_note());
        }
    }

    fn structure(&mut self, node: Node, shape: &'static Structure, top: bool) -> Node {
        let span = node.span.clone();
        let map = match node.value {
            Value::Map(map) => map,
            Value::String(text) if has_substitution(&text) => {
                return Node { value: Value::String(text), span };
            }
            Value::Null => {
                return Node { value: Value::Null, span };
            }
            _ => {
                let message = format!("{} must be a map, not {}", shape_name(shape, self.root), node.kind());
                self.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, message));
                return Node::empty_map(&span);
            }
        };
        let mut result = Map::with_capacity(map.len());
        let mut read_only: Vec<(String, Span)> = Vec::new();
        for (name, entry) in map {
            let Some(member) = shape.member(&name) else {
                if top && self.root.read_only().contains(&name.as_str()) {
                    read_only.push((name, entry.key));
                } else if top && self.is_update_input(&name, &entry) {
                    result.entry("serviceName".to_owned()).or_insert(entry);
                } else {
                    self.unknown(&name, &entry, shape, top);
                }
                continue;
            };
            if !member.in_sdk {
                let message = format!("this build's AWS SDK has no member `{name}`, so it could not be sent");
                self.problems.push(
                    Diagnostic::error(codes::NOT_IN_SDK, &entry.key, message)
                        .hint("update Lockstep to a newer version"),
                );
                continue;
            }
            if top && self.root == Root::Service && matches!(name.as_str(), "taskDefinition" | "clientToken") {
                let message = format!("`{name}` is set by Lockstep at each write and was dropped");
                self.problems.push(Diagnostic::error(codes::OURS, &entry.key, message).as_note());
                continue;
            }
            if entry.node.is_null() {
                if self.origin == Origin::Layer {
                    result.insert(name, entry);
                }
                continue;
            }
            let node = self.value(entry.node, &member.kind, shape, member.name);
            result.insert(name, Entry { key: entry.key, node });
        }
        if let Some(tags) = result.get_mut("tags") {
            self.reserved_tags(&mut tags.node, !read_only.is_empty());
        }
        if let Some((_, first)) = read_only.first() {
            let names: Vec<String> = read_only.iter().map(|(name, _)| format!("`{name}`")).collect();
            let (verb, was) = if names.len() == 1 { ("is", "it was") } else { ("are", "they were") };
            let message =
                format!("{} {verb} part of what AWS answers, not of what is declared; {was} dropped", names.join(", "));
            self.problems.push(Diagnostic::error(codes::READ_ONLY, first, message).as_note());
        }
        Node { value: Value::Map(result), span }
    }

    /// Tags that only AWS sets. In an answer of AWS they are as the other members that cannot be declared.
    fn reserved_tags(&mut self, tags: &mut Node, is_answer: bool) {
        let is_reserved = |key: &str| key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
        let mut found: Vec<(String, Span)> = Vec::new();
        match &mut tags.value {
            Value::Map(map) => {
                let names = map.keys().filter(|name| is_reserved(name)).cloned().collect::<Vec<_>>();
                for name in names {
                    if let Some(entry) = map.shift_remove(&name) {
                        found.push((name, entry.key));
                    }
                }
            }
            Value::List(items) => items.retain(|item| {
                let key = item.get("key").and_then(Node::as_str).filter(|key| is_reserved(key));
                found.extend(key.map(|key| (key.to_owned(), item.span.clone())));
                key.is_none()
            }),
            _ => {}
        }
        for (name, span) in found {
            if is_answer {
                let message = format!("the tag `{name}` is AWS's own, not part of what is declared; it was dropped");
                self.problems.push(Diagnostic::error(codes::READ_ONLY, &span, message).as_note());
            } else {
                let message = format!("the tag `{name}` cannot be set: names that begin with `aws:` are AWS's own");
                self.problems.push(Diagnostic::error(codes::NOT_ALLOWED, &span, message).hint("remove it"));
            }
        }
    }

    /// UpdateService calls the service's name `service`; people have files of that shape too.
    fn is_update_input(&mut self, name: &str, entry: &Entry) -> bool {
        let is_name = self.root == Root::Service
            && self.origin == Origin::Aws
            && name == "service"
            && entry.node.as_str().is_some_and(|text| !text.is_empty());
        if is_name {
            let message = "`service` is UpdateService's name for `serviceName`, and is read as that".to_owned();
            self.problems.push(Diagnostic::error(codes::OURS, &entry.key, message).as_note());
        }
        is_name
    }

    fn unknown(&mut self, name: &str, entry: &Entry, shape: &'static Structure, top: bool) {
        if top && name == "forceNewDeployment" {
            let message = "`forceNewDeployment` is an order to ECS, not a state".to_owned();
            self.problems.push(Diagnostic::error(codes::NOT_STATE, &entry.key, message));
            return;
        }
        let members = shape.members.iter().map(|member| member.name);
        // A name that is nearly one of ours was mistyped after it was pasted.
        let is_mistyped = self.origin != Origin::Live && nearest(name, members.clone()).is_some();
        if self.is_answer && !is_mistyped {
            let message = format!(
                "AWS answers `{name}` of {}, which this build does not know; it was dropped",
                shape_name(shape, self.root)
            );
            self.problems.push(Diagnostic::error(codes::READ_ONLY, &entry.key, message).as_note());
            return;
        }
        let message = format!("{} has no member `{name}`", shape_name(shape, self.root));
        suggest(self.problems, Diagnostic::error(codes::UNKNOWN_KEY, &entry.key, message), name, members);
    }

    fn value(&mut self, node: Node, kind: &'static Kind, owner: &'static Structure, name: &'static str) -> Node {
        match kind {
            Kind::Structure(inner) => self.structure(node, inner, false),
            Kind::List(element) => self.list(node, element, owner, name),
            Kind::Document => {
                self.refuse_keys(&node);
                node
            }
            Kind::Map(_) => match &node.value {
                Value::Map(_) => {
                    self.refuse_keys(&node);
                    node
                }
                Value::String(text) if has_substitution(text) => node,
                _ => self.wrong(&node, name, "a map"),
            },
            _ => node,
        }
    }

    /// Keys decide what merges with what, before anything is substituted.
    fn refuse_keys(&mut self, node: &Node) {
        match &node.value {
            Value::Map(map) => {
                for (name, entry) in map {
                    if has_substitution(name) {
                        let message = "a key cannot be substituted; substitutions stand in values only".to_owned();
                        self.problems.push(Diagnostic::error(codes::SUBSTITUTION, &entry.key, message));
                    }
                    self.refuse_keys(&entry.node);
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.refuse_keys(item)),
            _ => {}
        }
    }

    fn wrong(&mut self, node: &Node, name: &str, expected: &str) -> Node {
        let message = format!("`{name}` must be {expected}, not {}", node.kind());
        self.problems.push(Diagnostic::error(codes::WRONG_TYPE, &node.span, message));
        Node::new(Value::Null, &node.span)
    }

    fn list(&mut self, node: Node, element: &'static Kind, owner: &'static Structure, name: &'static str) -> Node {
        let kind = list_kind(owner.name, name);
        if let (ListKind::Keyed(key), Kind::Structure(shape)) = (kind, element) {
            if key.has_map_form() {
                return self.keyed(node, key, shape, name);
            }
            if matches!(node.value, Value::Map(_)) {
                return self.wrong(&node, name, "a list (its elements have no single key)");
            }
        }
        let span = node.span.clone();
        match node.value {
            Value::List(items) => {
                let items = items
                    .into_iter()
                    .map(|item| match element {
                        Kind::Structure(shape) => self.structure(item, shape, false),
                        _ => item,
                    })
                    .collect();
                Node { value: Value::List(items), span }
            }
            Value::String(ref text) if has_substitution(text) => node,
            _ => self.wrong(&node, name, "a list"),
        }
    }

    fn keyed(&mut self, node: Node, key: Key, shape: &'static Structure, name: &'static str) -> Node {
        let span = node.span.clone();
        let mut result = Map::new();
        let mut counts: HashMap<String, usize> = HashMap::new();
        if let Value::Map(map) = &node.value
            && is_one_element(map, shape)
        {
            let members: Vec<&str> = map.keys().map(String::as_str).collect();
            let message = format!("`{name}` is a list of maps with {}; this is one of them", members.join(", "));
            let hint = format!("write a list: `{name}: [{{ {}: … }}]`", members.join(": …, "));
            self.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, message).hint(hint));
            return Node::empty_map(&span);
        }
        match node.value {
            Value::Map(map) => {
                for (text, entry) in map {
                    let Some(text) = self.written_key(&text, &entry.key, key) else {
                        continue;
                    };
                    let node = self.element(entry.node, &text, &entry.key, key, shape);
                    self.insert(&mut result, text, Entry { key: entry.key, node }, name);
                }
            }
            Value::List(items) => {
                for item in items {
                    let place = item.span.clone();
                    let Value::Map(_) = item.value else {
                        self.wrong(&item, name, "a list of maps, or a map");
                        continue;
                    };
                    let Some((text, place)) = self.element_key(&item, &place, key, name) else {
                        continue;
                    };
                    let mut node = self.element(item, &text, &place, key, shape);
                    if (key.repeats || self.origin == Origin::Live) && result.contains_key(&text) {
                        // One of several with this key keeps it, so that its number is no part of it.
                        let own = key_members(&text, key).swap_remove(0);
                        let written = Entry { key: place.clone(), node: Node::string(own.1, &place) };
                        node.as_map_mut().map(|map| map.insert(own.0.to_owned(), written));
                        let number = counts.entry(text.clone()).or_insert(1);
                        let text = numbered(&result, &text, number);
                        self.insert(&mut result, text, Entry { key: place, node }, name);
                        continue;
                    }
                    self.insert(&mut result, text, Entry { key: place, node }, name);
                }
            }
            Value::String(ref text) if has_substitution(text) => return node,
            _ => return self.wrong(&node, name, "a list, or a map by key"),
        }
        Node { value: Value::Map(result), span }
    }

    fn insert(&mut self, map: &mut Map, text: String, entry: Entry, name: &str) {
        if let Some(first) = map.get(&text) {
            let message = format!("`{name}` has two elements `{text}`");
            self.problems.push(
                Diagnostic::error(codes::DUPLICATE_KEY, &entry.key, message).related("first defined here", &first.key),
            );
        } else {
            map.insert(text, entry);
        }
    }

    /// The canonical key of a key as written in the map form.
    fn written_key(&mut self, text: &str, place: &Span, key: Key) -> Option<String> {
        if has_substitution(text) {
            let message = "a key cannot be substituted; substitutions stand in values only".to_owned();
            self.problems.push(Diagnostic::error(codes::SUBSTITUTION, place, message));
            return None;
        }
        if key.form != KeyForm::Port {
            return Some(text.to_owned());
        }
        let (port, protocol) = text.split_once('/').map_or((text, None), |(port, protocol)| (port, Some(protocol)));
        let is_port = |part: &str| part.parse::<u16>().is_ok();
        if let Some(other) = protocol.filter(|protocol| !matches!(*protocol, "tcp" | "udp")) {
            let message = format!("`{other}` is not a protocol: tcp or udp");
            self.problems.push(Diagnostic::error(codes::NOT_ALLOWED, place, message));
            return None;
        }
        if !(is_port(port) || port.split_once('-').is_some_and(|(low, high)| is_port(low) && is_port(high))) {
            let message = format!("`{text}` is not a port: write 8080, 8080/udp or 8000-8010/tcp");
            self.problems.push(Diagnostic::error(codes::WRONG_TYPE, place, message));
            return None;
        }
        Some(port_key(port, protocol))
    }

    /// The key of an element in the list form, and where it stands.
    fn element_key(&mut self, item: &Node, place: &Span, key: Key, name: &str) -> Option<(String, Span)> {
        let part = |member: &str| {
            item.as_map().and_then(|map| map.get(member)).and_then(|entry| {
                entry.node.scalar_text().filter(|text| !text.is_empty()).map(|text| (text, entry.node.span.clone()))
            })
        };
        let found = match key.form {
            KeyForm::Port => part("containerPort").or_else(|| part("containerPortRange")).map(|(port, place)| {
                (port_key(&port, part("protocol").map(|(protocol, _)| protocol).as_deref()), place)
            }),
            _ => part(key.members[0]),
        };
        match found {
            Some((text, place)) if has_substitution(&text) => {
                let message = format!("`{}` is the key of the element and cannot be substituted", key.members[0]);
                self.problems.push(Diagnostic::error(codes::SUBSTITUTION, &place, message));
                None
            }
            Some(found) => Some(found),
            None => {
                let message = format!("an element of `{name}` needs `{}`", key.members[0]);
                self.problems.push(Diagnostic::error(codes::MISSING, place, message));
                None
            }
        }
    }

    /// An element in canonical form: a map without its key members.
    fn element(&mut self, node: Node, text: &str, place: &Span, key: Key, shape: &'static Structure) -> Node {
        if node.is_null() {
            return node;
        }
        let span = node.span.clone();
        if node.as_map().is_none() {
            let Some(member) = key.scalar.filter(|_| node.scalar_text().is_some()) else {
                let expected = if key.scalar.is_some() { "a scalar or a map" } else { "a map" };
                let message = format!("`{text}` must be {expected}, not {}", node.kind());
                self.problems.push(Diagnostic::error(codes::WRONG_TYPE, &span, message));
                return Node::empty_map(&span);
            };
            let mut map = Map::new();
            map.insert(member.to_owned(), Entry { key: place.clone(), node });
            return Node { value: Value::Map(map), span };
        }
        let mut node = self.structure(node, shape, false);
        if let Some(map) = node.as_map_mut() {
            for (member, expected) in key_members(text, key) {
                let Some(entry) = map.shift_remove(member) else {
                    continue;
                };
                let written = entry.node.scalar_text().unwrap_or_default();
                if written != expected && !written.is_empty() {
                    let message = format!("`{member}` is `{written}`, but the element's key says `{expected}`");
                    self.problems.push(Diagnostic::error(codes::KEY_CONFLICT, &entry.node.span, message));
                }
            }
        }
        node
    }
}

/// Whether a map that stands for a list is no map by key, but one of the list's elements: its keys are the element's
/// members, and their values are what these hold. (A container may be called `user`: its value is a map then.)
fn is_one_element(map: &Map, shape: &'static Structure) -> bool {
    fn holds(node: &Node, kind: &Kind) -> bool {
        match (kind, &node.value) {
            (_, Value::Null) => false,
            (Kind::Document, _) | (Kind::List(_), Value::List(_)) | (Kind::Map(_), Value::Map(_)) => true,
            (Kind::Structure(shape) | Kind::List(Kind::Structure(shape)), Value::Map(map)) => {
                !map.is_empty() && map.keys().all(|name| shape.member(name).is_some())
            }
            (Kind::Structure(_) | Kind::List(_) | Kind::Map(_), _) => false,
            _ => node.scalar_text().is_some(),
        }
    }
    let fits =
        |(name, entry): (&String, &Entry)| shape.member(name).is_some_and(|member| holds(&entry.node, &member.kind));
    !map.is_empty() && map.iter().all(fits)
}

/// The key of one more element with the same key: `volume`, `volume#2`, as the normaliser has them.
fn numbered(map: &Map, text: &str, last: &mut usize) -> String {
    loop {
        *last += 1;
        let key = format!("{text}#{last}");
        if !map.contains_key(&key) {
            return key;
        }
    }
}

/// The key of an element without the number that it has as one of several with this key: such an element holds its key
/// itself.
pub(crate) fn without_number<'a>(text: &'a str, element: &Node, key: Key) -> &'a str {
    let own = [key.members[0], "containerPortRange"];
    let holds_key = own.into_iter().any(|member| element.get(member).is_some());
    match text.rsplit_once('#') {
        Some((plain, number)) if number.parse::<usize>().is_ok() && holds_key => plain,
        _ => text,
    }
}

/// The members that a canonical key stands for, with their texts.
pub fn key_members(text: &str, key: Key) -> Vec<(&'static str, String)> {
    if key.form == KeyForm::Port {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let member = if port.contains('-') { "containerPortRange" } else { "containerPort" };
        return vec![(member, port.to_owned()), ("protocol", protocol.to_owned())];
    }
    vec![(key.members[0], text.to_owned())]
}

fn shape_name(shape: &Structure, root: Root) -> String {
    if std::ptr::eq(shape, root.shape()) { root.name().to_owned() } else { format!("`{}`", shape.name) }
}
