"""Reads the sources of the `aws-sdk-ecs` that the workspace locks.

The SDK may be older than the model. What it lacks cannot be sent, so it is marked; how it spells
what it has decides how a conversion is written.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional

from model import pascal, snake

STRING = "String"
DOCUMENT = "Document"
MAP = "Map"


@dataclass(frozen=True)
class Type:
    """The type of a field: `name` is a scalar, STRING, DOCUMENT, MAP or one of the SDK's own types."""

    name: str
    optional: bool
    is_list: bool


@dataclass(frozen=True)
class Field:
    name: str
    type: Type


@dataclass(frozen=True)
class Structure:
    name: str
    fields: Dict[str, Field]  # by wire name; of a union, `name` is the variant's
    union: bool
    fallible: bool  # whether its builder's `build` returns a Result


class Sdk:
    def __init__(self, sources: Path):
        self.sources = sources
        self.files: Dict[str, str] = {}  # by lower-cased name of the type
        self.names: Dict[str, str] = {}
        for path in sorted((sources / "types").glob("_*.rs")):
            text = path.read_text(encoding="utf-8")
            declared = re.search(r"^pub (?:struct|enum) (\w+) \{", text, re.M)
            if declared:
                self.files[declared.group(1).lower()] = text
                self.names[declared.group(1).lower()] = declared.group(1)

    def structure(self, wire: str) -> Optional[Structure]:
        """A type of the SDK, or nothing where the SDK lacks it."""
        text = self.files.get(wire.lower())
        if text is None:
            return None
        name = self.names[wire.lower()]
        if name != pascal(wire):
            raise SystemExit(f"the SDK names {wire} {name}, and this generator {pascal(wire)}")
        return parse(name, text)

    def input(self, operation: str) -> Structure:
        name = snake(operation)
        path = self.sources / "operation" / name / f"_{name}_input.rs"
        return parse(f"{operation}Input", path.read_text(encoding="utf-8"))

    def is_structure(self, name: str) -> bool:
        """Whether one of the SDK's types is a structure or a union: an enumeration of strings is neither."""
        return re.search(rf"^impl ::std::convert::From<&str> for {name} \{{", self.files[name.lower()], re.M) is None


def load(workspace: Path) -> Sdk:
    host = re.search(r"^host: (\S+)$", output(workspace, ["rustc", "-vV"]), re.M).group(1)
    metadata = json.loads(
        output(workspace, ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host])
    )
    package = next(package for package in metadata["packages"] if package["name"] == "aws-sdk-ecs")
    return Sdk(Path(package["manifest_path"]).parent / "src")


def output(workspace: Path, command: list) -> str:
    return subprocess.run(command, cwd=workspace, check=True, stdout=subprocess.PIPE).stdout.decode()


def parse(name: str, text: str) -> Structure:
    declared = re.search(rf"^pub (struct|enum) {name} \{{\n(.*?)^\}}", text, re.M | re.S)
    keyword, body = declared.groups()
    # "com.amazonaws.ecs#Service$loadBalancers", or without a namespace's colon for an operation's synthetic input.
    wires = set(re.findall(rf'from_parts\(\s*"[^"]*#{name}\$(\w+)"', text, re.I))
    if keyword == "enum":
        declarations = re.findall(r"^    (\w+)\((\S+)\),$", body, re.M)
        by_name = {wire.lower(): wire for wire in wires}
    else:
        declarations = re.findall(r"^    pub (?:r#)?(\w+): (.+),$", body, re.M)
        by_name = {snake(wire): wire for wire in wires}
    fields = {}
    for field, type_text in declarations:
        wire = by_name.get(field.lower())
        if wire is None:
            raise SystemExit(f"the SDK's {name}.{field} has no wire name that this generator understands")
        fields[wire] = Field(field, parse_type(type_text))
    if len(fields) != len(wires):
        raise SystemExit(f"the SDK's {name} has members {sorted(wires)}, read were {sorted(fields)}")
    fallible = re.search(r"pub fn build\(\s*self,?\s*\)\s*->\s*::std::result::Result<", text) is not None
    return Structure(name, fields, keyword == "enum", fallible)


def parse_type(text: str) -> Type:
    optional = unwrap(text, "::std::option::Option")
    text = optional or text
    element = unwrap(text, "::std::vec::Vec")
    text = element or text
    if text == "::std::string::String":
        name = STRING
    elif text == "::aws_smithy_types::Document":
        name = DOCUMENT
    elif text == "::std::collections::HashMap<::std::string::String, ::std::string::String>":
        name = MAP
    else:
        name = text.split("::")[-1]
    return Type(name, optional is not None, element is not None)


def unwrap(text: str, outer: str) -> Optional[str]:
    return text[len(outer) + 1 : -1] if text.startswith(outer + "<") else None
