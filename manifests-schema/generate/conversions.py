"""Writes `agent/src/aws/generated`: conversions between the manifests' structs and the SDK's."""

import re
from typing import Dict, List, Optional

import sdk as sdk_sources
from model import Member, Structure, identifier, snake
from plan import GROUPS, OPERATIONS, TOP_LEVEL, Plan

ROOT = "agent/src/aws/generated"
SCALARS = ("i32", "i64", "f64", "bool")

# Of an answer, under another name or with another meaning than in CreateService's input.
RENAMED = {"Service": {"cluster": "clusterArn", "role": "roleArn"}}

DOCUMENT_AND_HELPERS = '''
fn list_to_sdk<A, B>(
    items: Option<&[A]>,
    convert: impl Fn(&A) -> Result<B, BuildError>,
) -> Result<Option<Vec<B>>, BuildError> {
    items.map(|items| items.iter().map(convert).collect()).transpose()
}

/// Of a list that the SDK holds without an `Option`, where empty and absent are the same.
fn required_list_from_sdk<A, B>(items: &[A], convert: impl Fn(&A) -> B) -> Option<Vec<B>> {
    (!items.is_empty()).then(|| items.iter().map(convert).collect())
}

fn map_to_sdk(map: &IndexMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Sorted by key, because the SDK's map has no order and an answer must read the same every time.
fn map_from_sdk(map: &HashMap<String, String>) -> IndexMap<String, String> {
    let mut sorted: IndexMap<_, _> = map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    sorted.sort_unstable_keys();
    sorted
}

fn document_to_sdk(value: &serde_json::Value) -> Document {
    match value {
        serde_json::Value::Null => Document::Null,
        serde_json::Value::Bool(value) => Document::Bool(*value),
        serde_json::Value::Number(number) => Document::Number(number_to_sdk(number)),
        serde_json::Value::String(text) => Document::String(text.clone()),
        serde_json::Value::Array(items) => Document::Array(items.iter().map(document_to_sdk).collect()),
        serde_json::Value::Object(members) => {
            Document::Object(members.iter().map(|(key, value)| (key.clone(), document_to_sdk(value))).collect())
        }
    }
}

fn number_to_sdk(number: &serde_json::Number) -> Number {
    if let Some(value) = number.as_u64() {
        Number::PosInt(value)
    } else if let Some(value) = number.as_i64() {
        Number::NegInt(value)
    } else {
        Number::Float(number.as_f64().expect("because a JSON number is one of the three"))
    }
}

fn document_from_sdk(document: &Document) -> serde_json::Value {
    match document {
        Document::Null => serde_json::Value::Null,
        Document::Bool(value) => (*value).into(),
        Document::Number(Number::PosInt(value)) => (*value).into(),
        Document::Number(Number::NegInt(value)) => (*value).into(),
        Document::Number(Number::Float(value)) => (*value).into(),
        Document::String(text) => text.as_str().into(),
        Document::Array(items) => items.iter().map(document_from_sdk).collect(),
        Document::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            sorted.into_iter().map(|(key, value)| (key.clone(), document_from_sdk(value))).collect()
        }
    }
}
'''


def files(plan: Plan) -> Dict[str, str]:
    written = {f"{ROOT}.rs": root()}
    for group in GROUPS:
        written[f"{ROOT}/{group}.rs"] = group_file(plan, group)
    return written


def root() -> str:
    modules = "\n".join(f"mod {group};" for group in GROUPS)
    uses = "\n".join(f"pub(crate) use {group}::*;" for group in GROUPS)
    return f"""//! Conversions between the manifests' structs of the ECS API and the SDK's.
//!
//! They translate and do not judge: an absent member stays absent, an empty list empty, and a value
//! of an enumeration that nobody here knows passes through. A member that the SDK lacks is left
//! out; `in_sdk` in the tables of the shapes says which.

#![allow(
    dead_code,
    unused_imports,
    reason = "one conversion in each direction for every shape, needed today or not"
)]
#![allow(deprecated, reason = "a member that ECS retired may still stand in a manifest or in an answer")]

{modules}

{uses}

use std::collections::HashMap;

use aws_smithy_types::error::operation::BuildError;
use aws_smithy_types::{{Document, Number}};
use indexmap::IndexMap;
{DOCUMENT_AND_HELPERS}"""


def group_file(plan: Plan, group: str) -> str:
    functions = request_functions(plan, group) + answer_functions(plan, group)
    for structure in plan.nested[group]:
        counterpart = plan.sdk_structure(structure)
        if counterpart is not None:
            functions += [to_sdk(plan, structure, counterpart), from_sdk(plan, structure, counterpart)]
    body = "\n".join(functions)
    helpers = re.findall(r"^fn (\w+)", DOCUMENT_AND_HELPERS, re.M)
    used = [helper for helper in helpers if re.search(rf"\b{helper}\b", body)]
    for other in plan.used_from_other_groups(group):
        used += [name for name in (f"{snake(other)}_to_sdk", f"{snake(other)}_from_sdk") if name in body]
    builders = sorted(set(re.findall(r"\b(\w+)FluentBuilder\b", body)))
    imports = [f"use aws_sdk_ecs::operation::{snake(name)}::builders::{name}FluentBuilder;" for name in builders]
    imports += ["use aws_sdk_ecs::types as sdk;", "use aws_smithy_types::error::operation::BuildError;"]
    imports += ["use lockstep_manifests::ecs::types as ecs;", "", f"use super::{{{', '.join(sorted(used))}}};"]
    return "\n".join(imports) + "\n\n" + body


# From a manifest to a request.


def request_functions(plan: Plan, group: str) -> List[str]:
    functions = [request(plan, OPERATIONS[group], TOP_LEVEL[group], plan.roots[group])]
    if group == "service":
        update = Structure(plan.update.wire, tuple(plan.updatable()), False)
        functions.append(request(plan, "UpdateService", TOP_LEVEL[group], update))
    return functions


def request(plan: Plan, operation: str, top_level: str, structure: Structure) -> str:
    builder = f"{operation}FluentBuilder"
    fields = plan.sdk.input(operation).fields
    statements = []
    for member in structure.members:
        if has(plan, fields, member):
            statements.append(
                f"""    if value.{identifier(member.field)}.is_some() {{
        builder = builder.set_{member.field}({to_option(plan, member, fields[member.wire])});
    }}
"""
            )
    doc = f"Sets what `value` states and {operation} takes. What `value` leaves out stays as the builder has it."
    return f"""/// {doc}
pub(crate) fn {snake(operation)}(
    mut builder: {builder},
    value: &ecs::{top_level},
) -> Result<{builder}, BuildError> {{
{''.join(statements)}    Ok(builder)
}}
"""


def to_sdk(plan: Plan, structure: Structure, counterpart: sdk_sources.Structure) -> str:
    build = union_to_sdk if counterpart.union else builder_to_sdk
    return f"""pub(crate) fn {snake(structure.wire)}_to_sdk(value: &ecs::{structure.rust}) -> Result<sdk::{counterpart.name}, BuildError> {{
{build(plan, structure, counterpart)}
}}
"""


def builder_to_sdk(plan: Plan, structure: Structure, counterpart: sdk_sources.Structure) -> str:
    calls = "".join(
        f".set_{member.field}({to_option(plan, member, counterpart.fields[member.wire])})"
        for member in structure.members
        if has(plan, counterpart.fields, member)
    )
    built = f"sdk::{counterpart.name}::builder(){calls}.build()"
    return built if counterpart.fallible else f"Ok({built})"


def union_to_sdk(plan: Plan, structure: Structure, counterpart: sdk_sources.Structure) -> str:
    """A union holds exactly one of its members."""
    body = ""
    for member in structure.members:
        if not has(plan, counterpart.fields, member):
            continue
        field = counterpart.fields[member.wire]
        body += f"""    if let Some(member) = {to_option(plan, member, field)} {{
        return Ok(sdk::{counterpart.name}::{field.name}(member));
    }}
"""
    names = " or ".join(f"`{member.wire}`" for member in structure.members)
    return body + f'    Err(BuildError::missing_field("{structure.wire}", "a union needs a member: {names}"))'


def to_option(plan: Plan, member: Member, field: sdk_sources.Field) -> str:
    """An expression for the SDK's `Option` of what `value` has."""
    name, kind = f"value.{identifier(member.field)}", field.type
    if kind.name in SCALARS + (sdk_sources.STRING,):
        return copy(name, kind)
    if kind.name == sdk_sources.MAP:
        return f"{name}.as_ref().map(map_to_sdk)"
    if kind.name == sdk_sources.DOCUMENT:
        return f"{name}.as_ref().map(document_to_sdk)"
    if plan.sdk.is_structure(kind.name):
        convert = f"{function(member)}_to_sdk"
        if kind.is_list:
            return f"list_to_sdk({name}.as_deref(), {convert})?"
        return f"{name}.as_ref().map({convert}).transpose()?"
    if kind.is_list:
        return f"{name}.as_ref().map(|items| items.iter().map(|item| sdk::{kind.name}::from(item.as_str())).collect())"
    return f"{name}.as_deref().map(sdk::{kind.name}::from)"


# From an answer to a manifest.


def answer_functions(plan: Plan, group: str) -> List[str]:
    root = plan.roots[group]
    if group == "task_definition":
        return [answer(plan, "TaskDefinition", "task_definition_from_sdk", root, "The tags of a task definition come beside it.")]
    hint = "What a service leaves out, its deployment and its service revision have."
    return [
        answer(plan, "Service", "service_from_sdk", root, hint),
        answer(plan, "Deployment", "service_members_of_deployment", root, ""),
        answer(plan, "ServiceRevision", "service_members_of_revision", root, ""),
    ]


def answer(plan: Plan, output: str, name: str, root: Structure, hint: str) -> str:
    """The members that an answer shares with an input, by name."""
    counterpart = plan.sdk.structure(output)
    answered = plan.model.shapes[output]["members"]
    assignments = []
    for member in root.members:
        wire = RENAMED.get(output, {}).get(member.wire, member.wire)
        if wire in answered and wire in counterpart.fields:
            if plan.model.kind(answered[wire]["shape"]) != member.kind:
                raise SystemExit(f"{output}.{wire} is of another kind than in the input: it needs a conversion of its own")
            assignments.append(assignment(plan, member, counterpart.fields[wire]))
    docs = f"/// What `{output}` of the ECS API shares with the input of {plan.operation_of(root)}.\n"
    docs += f"/// {hint}\n" if hint else ""
    top_level = plan.rust(root.wire)
    return f"""{docs}pub(crate) fn {name}(value: &sdk::{counterpart.name}) -> ecs::{top_level} {{
    ecs::{top_level} {{
        {' '.join(assignments)}
        ..ecs::{top_level}::default()
    }}
}}
"""


def from_sdk(plan: Plan, structure: Structure, counterpart: sdk_sources.Structure) -> str:
    if counterpart.union:
        body = union_from_sdk(plan, structure, counterpart)
    else:
        body = " ".join(
            assignment(plan, member, counterpart.fields.get(member.wire) if has(plan, counterpart.fields, member) else None)
            for member in structure.members
        )
        body = f"    ecs::{structure.rust} {{ {body} }}"
    return f"""pub(crate) fn {snake(structure.wire)}_from_sdk(value: &sdk::{counterpart.name}) -> ecs::{structure.rust} {{
{body}
}}
"""


def union_from_sdk(plan: Plan, structure: Structure, counterpart: sdk_sources.Structure) -> str:
    arms = ""
    rest = "" if len(structure.members) == 1 else f", ..ecs::{structure.rust}::default()"
    for member in structure.members:
        if has(plan, counterpart.fields, member):
            field = counterpart.fields[member.wire]
            held = from_plain(plan, member, field.type, "member")
            arms += f"sdk::{counterpart.name}::{field.name}(member) => ecs::{structure.rust} {{ {identifier(member.field)}: {held}{rest} }},"
    return f"match value {{ {arms} _ => ecs::{structure.rust}::default(), }}"


def assignment(plan: Plan, member: Member, field: Optional[sdk_sources.Field]) -> str:
    if field is None:
        return f"{identifier(member.field)}: None,"
    name = f"value.{identifier(field.name)}"
    convert = from_option if field.type.optional else from_plain
    place = name if field.type.optional or field.type.name in SCALARS else f"&{name}"
    return f"{identifier(member.field)}: {convert(plan, member, field.type, place)},"


def from_option(plan: Plan, member: Member, kind: sdk_sources.Type, name: str) -> str:
    if kind.name in SCALARS + (sdk_sources.STRING,):
        return copy(name, kind)
    convert = converter(plan, member, kind)
    if kind.is_list:
        return f"{name}.as_ref().map(|items| items.iter().map({convert}).collect())"
    return f"{name}.as_ref().map({convert})"


def from_plain(plan: Plan, member: Member, kind: sdk_sources.Type, place: str) -> str:
    """`place` is a reference, except to a scalar."""
    if kind.is_list:
        primitive = kind.name in SCALARS + (sdk_sources.STRING,)
        convert = f"{kind.name}::clone" if primitive else converter(plan, member, kind)
        return f"required_list_from_sdk({place}, {convert})"
    if kind.name in SCALARS:
        return f"Some({place})"
    value = place.lstrip("&")
    if kind.name == sdk_sources.STRING:
        # Where the SDK insists on a text that the model does not, it fills in an empty one for an absent one.
        return f"Some({value}.clone())" + ("" if member.required else ".filter(|text| !text.is_empty())")
    if kind.name not in (sdk_sources.MAP, sdk_sources.DOCUMENT) and not plan.sdk.is_structure(kind.name):
        return f"Some({value}.as_str().to_string())"
    return f"Some({converter(plan, member, kind)}({place}))"


def copy(name: str, kind: sdk_sources.Type) -> str:
    return name if kind.name in SCALARS and not kind.is_list else f"{name}.clone()"


def converter(plan: Plan, member: Member, kind: sdk_sources.Type) -> str:
    if kind.name == sdk_sources.MAP:
        return "map_from_sdk"
    if kind.name == sdk_sources.DOCUMENT:
        return "document_from_sdk"
    if plan.sdk.is_structure(kind.name):
        return f"{function(member)}_from_sdk"
    return "|item| item.as_str().to_string()"


def function(member: Member) -> str:
    kind = member.kind.element or member.kind
    return snake(kind.name)


def has(plan: Plan, fields: Dict[str, sdk_sources.Field], member: Member) -> bool:
    if member.wire not in fields:
        return False
    kind = member.kind.element or member.kind
    return kind.variant != "Structure" or plan.sdk.structure(kind.name) is not None
