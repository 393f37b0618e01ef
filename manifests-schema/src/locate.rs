//! From a path to the place in the files: once, late.

use crate::{
    canonical::Root,
    ecs::Kind,
    lists::{ListKind, list_kind},
    node::{Node, Value},
    path::Step,
    source::Span,
};

/// The place of what these steps lead to in a canonical definition, or of the nearest thing above it that is written.
pub fn locate(definition: &Node, root: Root, steps: &[Step]) -> Span {
    let mut node = definition;
    let mut kind = &Kind::Structure(root.shape());
    let mut list = ListKind::Ordered;
    for step in steps {
        node = match (step, kind, &node.value) {
            (Step::Member(name), Kind::Structure(shape), Value::Map(map)) => {
                let (Some(member), Some(entry)) = (shape.member(name), map.get(name)) else { break };
                kind = &member.kind;
                list = list_kind(shape.name, member.name);
                &entry.node
            }
            (Step::Element(key), Kind::List(element) | Kind::Map(element), Value::Map(map)) => {
                let Some(entry) = map.get(key) else { break };
                kind = element;
                &entry.node
            }
            (Step::Element(key), Kind::List(element), Value::List(items)) => {
                let by_key = |item: &&Node| match list {
                    ListKind::Keyed(form) => form.text_of(&item.to_json()) == *key,
                    _ => false,
                };
                let by_position = || key.parse::<usize>().ok().and_then(|at| items.get(at));
                let Some(item) = items.iter().find(by_key).or_else(by_position) else { break };
                kind = element;
                item
            }
            _ => break,
        };
    }
    node.span.clone()
}
