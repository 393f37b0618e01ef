//! Laying one layer over another, both in canonical form.

use crate::{
    codes,
    diagnostic::{Diagnostic, suggest},
    node::{Node, Value},
};

/// Lays `over` on `base`: maps (and with them keyed lists) merge by key, everything else is replaced, null removes.
/// A null that removes nothing is an error.
pub fn merge(base: &mut Node, over: Node, problems: &mut Vec<Diagnostic>) {
    match (&mut base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => {
            // What is removed is taken out at the end, all at once: one by one, each would move all that follow it.
            let mut removed = false;
            for (name, entry) in over {
                if entry.node.is_null() {
                    if let Some(existing) = base.get_mut(&name).filter(|existing| !existing.node.is_null()) {
                        existing.node.value = Value::Null;
                        removed = true;
                    } else {
                        let message = format!("null removes `{name}`, but no earlier layer declares it");
                        let problem = Diagnostic::error(codes::NOTHING_MATCHED, &entry.key, message);
                        suggest(problems, problem, &name, base.keys().map(String::as_str));
                    }
                } else if let Some(existing) = base.get_mut(&name) {
                    merge(&mut existing.node, entry.node, problems);
                } else {
                    let mut entry = entry;
                    refuse_nulls(&mut entry.node, problems);
                    base.insert(name, entry);
                }
            }
            if removed {
                base.retain(|_, entry| !entry.node.is_null());
            }
        }
        (_, value) => {
            let mut node = Node { value, span: over.span };
            refuse_nulls(&mut node, problems);
            *base = node;
        }
    }
}

/// In a subtree that is new, a null has nothing to remove.
fn refuse_nulls(node: &mut Node, problems: &mut Vec<Diagnostic>) {
    let Value::Map(map) = &mut node.value else {
        return;
    };
    map.retain(|name, entry| {
        if entry.node.is_null() {
            let message = format!("null removes `{name}`, but no earlier layer declares it");
            problems.push(Diagnostic::error(codes::NOTHING_MATCHED, &entry.key, message));
            return false;
        }
        refuse_nulls(&mut entry.node, problems);
        true
    });
}
