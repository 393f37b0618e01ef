"""Writes `manifests-schema/src/ecs/`: the Rust structs, and the tables that describe them."""

from typing import Dict, Iterable, List

from model import Kind, Member, Structure, camel, identifier, snake
from plan import GROUPS, Plan

RUST_SCALARS = {"String": "String", "Enum": "String", "Integer": "i32", "Long": "i64", "Double": "f64"}
RUST_SCALARS.update({"Boolean": "bool", "Document": "serde_json::Value"})
DERIVES = "#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]"


def files(plan: Plan) -> Dict[str, str]:
    written = {"types.rs": types_root(), "shapes.rs": shapes_root(plan), "shapes/enums.rs": enums(plan)}
    for group in GROUPS:
        written[f"types/{group}.rs"] = types(plan, group)
        written[f"shapes/{group}.rs"] = shapes(plan, group)
    return {f"manifests-schema/src/ecs/{name}": text for name, text in written.items()}


def types_root() -> str:
    modules = "\n".join(f"mod {group};" for group in GROUPS)
    uses = "\n".join(f"pub use {group}::*;" for group in GROUPS)
    return f"""//! The shapes of the ECS API as Rust structs: what may be written in a manifest.
//!
//! Every member is optional, so that a layer states only what it changes. An enumeration is a
//! `String`, so that a value newer than the model passes through.

{modules}

{uses}
"""


def types(plan: Plan, group: str) -> str:
    structures = plan.structures(group)
    body = "\n".join(rust_struct(structure, plan) for structure in structures)
    imports = ["use serde::{Deserialize, Serialize};"]
    if "IndexMap<" in body:
        imports.insert(0, "use indexmap::IndexMap;")
    foreign = sorted(plan.rust(other) for other in plan.used_from_other_groups(group))
    if foreign:
        imports.append(f"\nuse super::{{{', '.join(foreign)}}};")
    return "\n".join(imports) + "\n\n" + body


def rust_struct(structure: Structure, plan: Plan) -> str:
    fields = "".join(rust_field(member, plan) for member in structure.members)
    return f"""/// {document(structure, plan)}
{DERIVES}
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct {plan.rust(structure.wire)} {{
{fields}}}
"""


def document(structure: Structure, plan: Plan) -> str:
    operation = plan.operation_of(structure)
    return f"The input of {operation}." if operation else f"`{structure.wire}` of the ECS API."


def rust_field(member: Member, plan: Plan) -> str:
    # serde drops the `r#` of a keyword by itself; saying the name keeps the wire visible.
    rename = camel(member.field) != member.wire or identifier(member.field) != member.field
    attributes = [f'rename = "{member.wire}"'] if rename else []
    attributes.append('skip_serializing_if = "Option::is_none"')
    return f"""    /// Wire member `{member.wire}`.
    #[serde({', '.join(attributes)})]
    pub {identifier(member.field)}: Option<{rust_type(member.kind, plan)}>,
"""


def rust_type(kind: Kind, plan: Plan) -> str:
    if kind.variant == "Structure":
        return plan.rust(kind.name)
    if kind.variant == "List":
        return f"Vec<{rust_type(kind.element, plan)}>"
    if kind.variant == "Map":
        return f"IndexMap<String, {rust_type(kind.element, plan)}>"
    return RUST_SCALARS[kind.variant]


def shapes_root(plan: Plan) -> str:
    modules = "\n".join(f"mod {group};" for group in sorted(("enums",) + GROUPS))
    uses = "\n".join(f"pub use {group}::*;" for group in GROUPS)
    update = [member.wire for member in plan.update.members]
    lists = [
        names("UPDATE_SERVICE_MEMBERS", "The members of UpdateService's input.", update),
        names(
            "TASK_DEFINITION_READ_ONLY",
            "What ECS answers of a task definition and RegisterTaskDefinition does not take.",
            plan.read_only("TaskDefinition", plan.roots["task_definition"]),
        ),
        names(
            "SERVICE_READ_ONLY",
            "What ECS answers of a service and CreateService does not take.",
            plan.read_only("Service", plan.roots["service"]),
        ),
    ]
    return f"""//! The shapes of the ECS API as tables, for validation by path.

{modules}

{uses}

""" + "\n".join(lists)


def names(constant: str, doc: str, values: Iterable[str]) -> str:
    return f"/// {doc}\npub static {constant}: &[&str] = &[{quoted(values)}];\n"


def quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def constant(wire: str) -> str:
    return snake(wire).upper()


def enums(plan: Plan) -> str:
    found = []
    for group in GROUPS:
        for structure in plan.structures(group):
            for member in structure.members:
                kind = member.kind.element or member.kind
                if kind.variant == "Enum" and kind.name not in found:
                    found.append(kind.name)
    return "\n".join(
        f"pub(super) const {constant(name)}: &[&str] = &[{quoted(plan.model.enum(name))}];\n" for name in sorted(found)
    )


def shapes(plan: Plan, group: str) -> str:
    structures = plan.structures(group)
    body = "\n".join(table(structure, plan) for structure in structures)
    foreign = sorted(constant(other) for other in plan.used_from_other_groups(group))
    siblings = "enums" if not foreign else f"{{{', '.join(foreign + ['enums'])}}}"
    return f"use super::{siblings};\nuse crate::ecs::{{Kind, Member, Structure}};\n\n{body}"


def table(structure: Structure, plan: Plan) -> str:
    operation = plan.operation_of(structure)
    name = constant(operation or structure.wire)
    title = plan.rust(structure.wire) if operation else structure.wire
    members: List[str] = []
    for member in structure.members:
        row = f'Member::new("{member.wire}", {table_kind(member.kind)})'
        if member.required:
            row += ".required()"
        if not plan.in_sdk(structure, member):
            row += ".not_in_sdk()"
        members.append(f"        {row},\n")
    return f"""/// {document(structure, plan)}
pub static {name}: Structure = Structure {{
    name: "{title}",
    members: &[
{''.join(members)}    ],
}};
"""


def table_kind(kind: Kind) -> str:
    if kind.variant == "Enum":
        return f"Kind::Enum(enums::{constant(kind.name)})"
    if kind.variant == "Structure":
        return f"Kind::Structure(&{constant(kind.name)})"
    if kind.variant in ("List", "Map"):
        return f"Kind::{kind.variant}(&{table_kind(kind.element)})"
    return f"Kind::{kind.variant}"
