"""The images that are named in docker/ and docs/: exact versions, one for each, and none with known flaws."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN = ("warmroute", "warmroute-demo")
NAMED = re.compile(
    r"(?:\bimage: |\bPYTHON_IMAGE=|\binspect |\bdocker (?:run|pull) (?:-\S+ )*)([a-z][\w./-]*)(?::([\w.-]+))?"
)
LEAST = {
    "valkey/valkey": (
        9,
        1,
        3,
    ),  # before: CVE-2026-56684, CVE-2025-67733, CVE-2025-49844: what may run scripts runs code
    "haproxy": (3, 4, 6),
    "prom/prometheus": (3, 14, 0),
    "grafana/grafana": (13, 2, 2),
    "python": (3, 11, 16),
}
"""Raise it when an advisory asks for a newer one."""


def references() -> Iterator[tuple[str, str, str]]:
    """File, repository and tag of every image that is not our own."""
    files = [path for path in (ROOT / "docker").rglob("*") if path.suffix in {".yaml", ""} and path.is_file()]
    for path in [*files, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        for repository, tag in NAMED.findall(path.read_text(encoding="utf-8")):
            if repository not in OWN and not repository.endswith("/warmroute"):
                yield str(path.relative_to(ROOT)), repository, tag


FOUND = list(references())


def test_all_files_name_the_same_version() -> None:
    tags = defaultdict[str, set[str]](set)
    for _, repository, tag in FOUND:
        tags[repository].add(tag)
    assert {name: found for name, found in tags.items() if len(found) > 1} == {}
    assert tags.keys() >= LEAST.keys(), "the pattern finds what is there"


@pytest.mark.parametrize(("file", "repository", "tag"), FOUND, ids=str)
def test_versions_are_exact_and_without_known_flaws(file: str, repository: str, tag: str) -> None:
    version = re.match(r"v?(\d+)\.(\d+)\.(\d+)(?!\d|\.)", tag)
    assert version, f"{file}: {repository}:{tag}"
    assert tuple(map(int, version.groups())) >= LEAST.get(repository, (0,)), f"{file}: {repository}:{tag}"


def test_the_recipe_names_its_base_image_once() -> None:
    recipe = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
    sources = re.findall(r"^FROM (\S+)", recipe, re.MULTILINE)
    stages = re.findall(r"^FROM \S+ AS (\S+)", recipe, re.MULTILINE)
    assert {source for source in sources if source not in stages} == {"${PYTHON_IMAGE}"}
