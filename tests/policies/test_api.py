"""Every figure is where its name says."""

import ast
import re
from pathlib import Path
from typing import Any

import policies.api
from policies.api import Candidate, candidate

ROOT = Path(policies.api.__file__).parent.parent
PACKAGES = ("policies", "router", "loadtests", "tests")
API = ROOT / "policies" / "api.py"


def test_each_argument_of_a_candidate_becomes_the_field_of_its_name() -> None:
    values: dict[str, Any] = {name: object() for name in Candidate._fields}
    assert candidate(**values)._asdict() == values


def called_without_names(path: Path) -> list[str]:
    """`Candidate` built from a tuple or called at all, and `RequestFacts` with arguments that have no name."""
    text = path.read_text()
    if re.search(r"\b__new__\(Candidate\b|\bCandidate\._make\(", text):
        return ["Candidate"]
    if "Candidate(" not in text and "RequestFacts(" not in text:
        return []
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    names = [(call.func.id, bool(call.args)) for call in calls if isinstance(call.func, ast.Name)]
    return [name for name, unnamed in names if name == "Candidate" or (name == "RequestFacts" and unnamed)]


def test_nobody_builds_candidates_or_requests_by_order() -> None:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path != API]
    assert len(paths) > 100
    assert {str(path): called for path in paths if (called := called_without_names(path))} == {}
