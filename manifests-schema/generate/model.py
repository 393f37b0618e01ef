"""Reads the ECS service model: the shapes that the API's inputs are made of.

The model is the one that botocore ships, pinned by version and by content. Of its documentation
only the sentences are looked up that `sentences.py` names.
"""

import gzip
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

BOTOCORE = "1.44.5"
API_VERSION = "2014-11-13"
SHA256 = "54c4423a2ebfe72f789682e6ac6a985f1115abc775c096fc1e638b0049ae5f48"
MEMBER_OF_WHEEL = f"botocore/data/ecs/{API_VERSION}/service-2.json.gz"

SCALARS = {"integer": "Integer", "long": "Long", "double": "Double", "float": "Double", "boolean": "Boolean"}
KEYWORDS = {"type", "match", "ref", "mod", "use", "enum", "struct", "move", "static", "where", "in", "for"}


@dataclass(frozen=True)
class Kind:
    """What a member holds: a variant of the Rust enum `Kind`, with what it refers to."""

    variant: str
    name: str = ""  # the shape's name of an Enum or a Structure
    element: Optional["Kind"] = None  # of a List, and the value of a Map


@dataclass(frozen=True)
class Member:
    wire: str
    kind: Kind
    required: bool

    @property
    def field(self) -> str:
        return snake(self.wire)


@dataclass(frozen=True)
class Structure:
    wire: str
    members: Tuple[Member, ...]
    union: bool

    @property
    def rust(self) -> str:
        return pascal(self.wire)


class Model:
    def __init__(self, document: dict):
        self.shapes = document["shapes"]
        self.operations = document["operations"]

    def kind(self, shape_name: str) -> Kind:
        shape = self.shapes[shape_name]
        of_shape = shape["type"]
        if of_shape == "string":
            return Kind("Enum", shape_name) if "enum" in shape else Kind("String")
        if of_shape in SCALARS:
            return Kind(SCALARS[of_shape])
        if of_shape == "structure":
            return Kind("Document") if shape.get("document") else Kind("Structure", shape_name)
        if of_shape == "list":
            return Kind("List", element=self.kind(shape["member"]["shape"]))
        if of_shape == "map":
            value = self.kind(shape["value"]["shape"])
            if value != Kind("String") or self.kind(shape["key"]["shape"]) != Kind("String"):
                raise SystemExit(f"{shape_name}: only maps of strings to strings are supported")
            return Kind("Map", element=value)
        raise SystemExit(f"{shape_name}: the type {of_shape} is not supported")

    def structure(self, shape_name: str) -> Structure:
        shape = self.shapes[shape_name]
        required = shape.get("required", [])
        members = tuple(
            Member(wire, self.kind(member["shape"]), wire in required) for wire, member in shape["members"].items()
        )
        return Structure(shape_name, members, bool(shape.get("union")))

    def input(self, operation: str) -> Structure:
        return self.structure(self.operations[operation]["input"]["shape"])

    def enum(self, shape_name: str) -> List[str]:
        return self.shapes[shape_name]["enum"]

    def nested(self, root: Structure, known: Dict[str, Structure]) -> Dict[str, Structure]:
        """The structures below `root` that `known` lacks, by name, in the order of first use."""
        found: Dict[str, Structure] = {}

        def visit(structure: Structure, above: Tuple[str, ...]) -> None:
            for member in structure.members:
                kind = member.kind
                while kind.element is not None:
                    kind = kind.element
                if kind.variant != "Structure":
                    continue
                if kind.name in above:
                    raise SystemExit(f"{kind.name} contains itself: recursive shapes need a Box, which is not supported")
                if kind.name in known or kind.name in found:
                    continue
                found[kind.name] = self.structure(kind.name)
                visit(found[kind.name], above + (kind.name,))

        visit(root, (root.wire,))
        return found


def load(cache: Path) -> Model:
    """The pinned model, from the cache or else from the wheel that pip downloads."""
    path = cache / f"botocore-{BOTOCORE}" / "service-2.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(extract(download(path.parent)))
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"{path} has sha256 {digest}, expected {SHA256}")
    return Model(json.loads(content))


def download(into: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:none:"]
    command += ["--disable-pip-version-check", f"--dest={into}", f"botocore=={BOTOCORE}"]
    # pip's standard output is conversation; ours is the difference.
    subprocess.run(command, check=True, stdout=sys.stderr)
    return next(into.glob(f"botocore-{BOTOCORE}-*.whl"))


def extract(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return gzip.decompress(archive.read(MEMBER_OF_WHEEL))


def snake(name: str) -> str:
    """`enableECSManagedTags` -> `enable_ecs_managed_tags`, as the SDK names it."""
    name = name.replace("GiB", "Gib").replace("FSx", "Fsx")
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return name.lower()


def identifier(field: str) -> str:
    return f"r#{field}" if field in KEYWORDS else field


def pascal(name: str) -> str:
    """`EFSVolumeConfiguration` -> `EfsVolumeConfiguration`, as the SDK names it."""
    name = re.sub(r"([A-Z]{2,})(?=[A-Z][a-z])", lambda run: run.group(1).capitalize(), name)
    return name[0].upper() + name[1:]


def camel(field: str) -> str:
    """What serde's `rename_all = "camelCase"` makes of a field."""
    head, *tail = field.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)
