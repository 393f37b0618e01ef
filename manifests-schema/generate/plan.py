"""What is generated: the model's structures in their groups, beside what the SDK has of them."""

from typing import Dict, List, Optional

import sdk as sdk_sources
from model import Kind, Member, Model, Structure, pascal

# A group is a file. A structure that both inputs reach belongs to the first.
GROUPS = ("task_definition", "service")
OPERATIONS = {"task_definition": "RegisterTaskDefinition", "service": "CreateService"}
TOP_LEVEL = {"task_definition": "TaskDefinition", "service": "Service"}


class Plan:
    def __init__(self, model: Model, sdk: sdk_sources.Sdk):
        self.model = model
        self.sdk = sdk
        self.update = model.input("UpdateService")
        self.roots: Dict[str, Structure] = {}
        self.nested: Dict[str, List[Structure]] = {}
        known: Dict[str, Structure] = {}
        for group in GROUPS:
            self.roots[group] = model.input(OPERATIONS[group])
            found = model.nested(self.roots[group], known)
            self.nested[group] = list(found.values())
            known.update(found)
        if model.nested(self.update, known):
            raise SystemExit("UpdateService takes structures that CreateService does not: they need a place")
        self.group_of = {structure.wire: group for group in GROUPS for structure in self.nested[group]}
        self.operations = {root.wire: OPERATIONS[group] for group, root in self.roots.items()}
        self.top_level = {root.wire: TOP_LEVEL[group] for group, root in self.roots.items()}
        rust = [self.rust(structure.wire) for group in GROUPS for structure in self.structures(group)]
        if len(rust) != len(set(rust)):
            raise SystemExit("two shapes have the same name in Rust")

    def structures(self, group: str) -> List[Structure]:
        return [self.roots[group]] + self.nested[group]

    def rust(self, wire: str) -> str:
        return self.top_level.get(wire) or pascal(wire)

    def operation_of(self, structure: Structure) -> Optional[str]:
        return self.operations.get(structure.wire)

    def used_from_other_groups(self, group: str) -> List[str]:
        used = set()
        for structure in self.structures(group):
            for member in structure.members:
                name = held(member.kind)
                if name and self.group_of[name] != group:
                    used.add(name)
        return sorted(used)

    def read_only(self, output: str, root: Structure) -> List[str]:
        taken = {member.wire for member in root.members}
        return [wire for wire in self.model.shapes[output]["members"] if wire not in taken]

    def sdk_structure(self, structure: Structure) -> Optional[sdk_sources.Structure]:
        operation = self.operation_of(structure)
        return self.sdk.input(operation) if operation else self.sdk.structure(structure.wire)

    def in_sdk(self, structure: Structure, member: Member) -> bool:
        """Whether the SDK has the member, and the structure that it holds."""
        counterpart = self.sdk_structure(structure)
        if counterpart is None or member.wire not in counterpart.fields:
            return False
        name = held(member.kind)
        return name is None or self.sdk.structure(name) is not None

    def updatable(self) -> List[Member]:
        """The members that UpdateService takes of what CreateService takes."""
        taken = {member.wire: member for member in self.roots["service"].members}
        shared = [member for member in self.update.members if member.wire in taken]
        for member in shared:
            if member.kind != taken[member.wire].kind:
                raise SystemExit(f"UpdateService.{member.wire} is of another kind than in CreateService")
        return shared

    def not_in_sdk(self) -> List[str]:
        update = self.sdk.input("UpdateService").fields
        missing = [f"UpdateService.{member.wire}" for member in self.update.members if member.wire not in update]
        return missing + [
            f"{self.rust(structure.wire)}.{member.wire}"
            for group in GROUPS
            for structure in self.structures(group)
            for member in structure.members
            if not self.in_sdk(structure, member)
        ]


def held(kind: Kind) -> Optional[str]:
    """The structure that a kind holds, itself or as an element."""
    while kind.element is not None:
        kind = kind.element
    return kind.name if kind.variant == "Structure" else None
