"""What surrounds the code: workflows, templates and the Makefile say the same as pyproject.toml and the README."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()


def workflow(name: str) -> dict[str, Any]:
    """A workflow's content."""
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    return found


def commands(name: str) -> str:
    """All that a workflow runs."""
    jobs = workflow(name)["jobs"].values()
    return "\n".join(step["run"] for job in jobs for step in job["steps"] if "run" in step)


def test_workflows_try_every_python_that_is_promised() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = [text.rpartition(" ")[2] for text in project["classifiers"] if re.search(r":: 3\.\d+$", text)]
    assert workflow("test.yaml")["jobs"]["test"]["strategy"]["matrix"]["python"] == promised
    assert project["requires-python"] == f">={promised[0]}"


def test_workflows_run_the_two_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in ("make test", "make run"):
        assert command in commands("test.yaml")
        assert command in readme


def test_the_canary_tries_the_packages_that_are_bounded_for_their_internals() -> None:
    upgraded = re.search(r"pip install --upgrade (.*)", commands("canary.yaml"))
    assert upgraded is not None
    assert set(upgraded[1].split()) == {"aiohttp", "uvicorn"}


def test_every_target_is_in_make_help() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    explained = re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.MULTILINE)
    assert sorted(explained) == sorted(phony[1].split())


def test_packages_say_that_they_are_typed() -> None:
    assert all((ROOT / package / "py.typed").exists() for package in ("router", "tokenizer_cache", "policies"))
