"""What the linters cannot be told: sizes, and that what is imported is declared."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ("router", "tokenizer_cache", "policies")
OURS = {*PRODUCT, "loadtests", "docker", "tests"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OF_LOCUST = {"flask", "gevent", "geventhttpclient"}
"""What it is made of and hands out: the versions are its own."""
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Top-level names of all that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def names(requirements: list[str]) -> set[str]:
    """Normalised distribution names of requirement strings."""
    return {re.split(r"[\[<>=!~ ]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def needed(*packages: str) -> set[str]:
    """Distributions whose modules are imported there."""
    found = {name for path in modules(*packages) for name in imported(path)} - OURS - sys.stdlib_module_names
    distributions = packages_distributions()
    return {distributions[name][0].lower().replace("_", "-") for name in found}


def test_every_import_is_declared_and_nothing_else() -> None:
    assert needed(*PRODUCT) - names(EXTRAS["otel"]) - {"opentelemetry-api"} == names(PROJECT["dependencies"])


@pytest.mark.parametrize(("package", "extra"), [("loadtests", "loadtest"), ("tests", "test")])
def test_what_an_extra_is_for_finds_its_imports(package: str, extra: str) -> None:
    with_extra = names(PROJECT["dependencies"] + EXTRAS[extra] + EXTRAS["demo"] + EXTRAS["otel"] + EXTRAS["embedded"])
    assert needed(package) - with_extra - OF_LOCUST == set()


def test_what_the_load_tests_need_is_there_for_their_own_tests() -> None:
    assert names(EXTRAS["loadtest"]) <= names(EXTRAS["test"])


def test_policies_import_the_standard_library_only() -> None:
    allowed = sys.stdlib_module_names | {"policies"}
    assert {name for path in modules("policies") for name in imported(path)} <= allowed


def too_long(path: Path) -> Iterator[str]:
    """The file itself, and functions in it."""
    text = path.read_text()
    if text.count("\n") > MAX_FILE_LINES:
        yield str(path)
    nodes = ast.walk(ast.parse(text)) if text.count("\n") >= MAX_FUNCTION_LINES else ()
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        if (function.end_lineno or 0) - function.lineno >= MAX_FUNCTION_LINES:
            yield f"{path}:{function.lineno} {function.name}"


@pytest.mark.parametrize("package", sorted(OURS))
def test_files_and_functions_stay_small(package: str) -> None:
    paths = modules(package)
    assert len(paths) > 5
    assert [found for path in paths for found in too_long(path)] == []
