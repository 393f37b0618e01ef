"""Compares the sentences that certain checks rest on with the documentation of the pinned service model.

A check of the definition that withholds writes must be certain. Where AWS's words are what makes it so, they are in
`agent/core/src/verify/model-sentences.txt`, one `Shape.member: words` a line. When the model is raised and its
documentation does not have them any more, AWS may have lifted a limit: look at the check, then at the line.
"""

import html
import re
from pathlib import Path
from typing import List

FILE = "agent/core/src/verify/model-sentences.txt"


def missing(shapes: dict, workspace: Path) -> List[str]:
    """The lines whose words the documentation does not have."""
    lines = (workspace / FILE).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not is_there(shapes, line)]


def is_there(shapes: dict, line: str) -> bool:
    place, words = line.split(": ", 1)
    shape, member = place.split(".")
    found = shapes.get(shape, {}).get("members", {}).get(member, {}).get("documentation", "")
    plain = html.unescape(re.sub("<[^>]+>", "", found))
    return words in " ".join(plain.split())
