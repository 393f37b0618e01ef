//! Entries of `ignore` that match nothing.

use crate::{
    canonical::Root,
    codes,
    diagnostic::{Diagnostic, suggest},
    ecs::{Kind, Structure},
    kind::MustMatch,
    layer::Ignored,
    lists::{ListKind, list_kind},
    path::Step,
    substitute::has_substitution,
};
use serde_json::{Map as JsonMap, Value as Json};

/// What an entry of a service's own `ignore` that names an element which is not declared is told. (Members need not be
/// declared: what is ignored of them is what somebody else sets.) Entries of overlays are errors at once; those of
/// service.yaml go to `unmatched`, since they may match in another environment.
pub(crate) fn check_ignored(
    root: Root,
    result: &JsonMap<String, Json>,
    ignore: &[Ignored],
    problems: &mut Vec<Diagnostic>,
    unmatched: &mut Vec<Diagnostic>,
) {
    for ignored in ignore {
        let Some((Step::Member(first), steps)) = ignored.path.0.split_first() else { continue };
        let found = match ignored.must_match {
            MustMatch::Nowhere => continue,
            MustMatch::Somewhere => &mut *unmatched,
            MustMatch::Here => &mut *problems,
        };
        if first != root.name() {
            continue;
        }
        if let Err((key, near)) = find_elements(result, root.shape(), steps) {
            let message = format!("`{}` matches nothing: no `{key}` is declared", ignored.path);
            let problem = Diagnostic::error(codes::NOTHING_MATCHED, &ignored.span, message);
            suggest(found, problem, &key, near.iter().map(String::as_str));
        }
    }
}

/// Follows a path in the API's shape. An element that is not there is answered with the keys that are.
fn find_elements(
    result: &JsonMap<String, Json>,
    shape: &'static Structure,
    steps: &[Step],
) -> Result<(), (String, Vec<String>)> {
    let mut value: Option<&Json> = None;
    let mut kind = &Kind::Structure(shape);
    let mut list = ListKind::Ordered;
    for (at, step) in steps.iter().enumerate() {
        if value.and_then(Json::as_str).is_some_and(has_substitution) {
            return Ok(());
        }
        match (step, kind) {
            (Step::Member(name), Kind::Structure(shape)) => {
                let Some(member) = shape.member(name) else { return Ok(()) };
                value = if at == 0 { result.get(name) } else { value.and_then(|value| value.get(name)) };
                kind = &member.kind;
                list = list_kind(shape.name, member.name);
            }
            (Step::Element(key), Kind::Map(element)) => {
                let map = value.and_then(Json::as_object);
                let names = || map.into_iter().flat_map(JsonMap::keys).cloned().collect();
                value = Some(map.and_then(|map| map.get(key)).ok_or_else(|| (key.clone(), names()))?);
                kind = element;
            }
            (Step::Element(key), Kind::List(element)) => {
                let ListKind::Keyed(form) = list else { return Ok(()) };
                let items = value.and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
                let mut names = Vec::new();
                let mut found = None;
                for item in items {
                    let name = form.text_of(item);
                    if has_substitution(&name) {
                        return Ok(());
                    }
                    if name == *key {
                        found = Some(item);
                        break;
                    }
                    names.push(name);
                }
                value = Some(found.ok_or_else(|| (key.clone(), names))?);
                kind = element;
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}
