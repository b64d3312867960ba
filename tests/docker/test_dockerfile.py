"""The recipe of the image: not root, exec forms, drains on SIGTERM, installs what is locked and nothing else."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from router.settings.setting import variable_of
from router.settings.sources import names
from tests.docker.dockerfile import FILE, instructions, left_out

ROOT = Path(__file__).parents[2]
STEPS = list(instructions(FILE.read_text()))
STAGES = ("build", "build-demo")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WANTED = {
    "requirements.lock": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["embedded"],
        *PROJECT["project"]["optional-dependencies"]["otel"],
    ],
    "build.lock": PROJECT["build-system"]["requires"],
    "demo.lock": PROJECT["project"]["optional-dependencies"]["demo"],
}


def last(word: str) -> str:
    return [rest for name, rest in STEPS if name == word][-1]


def test_it_does_not_run_as_root() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last("USER"))
    after = STEPS[[word for word, _ in STEPS].index("USER") :]
    assert not [word for word, _ in after if word in {"RUN", "ADD"}]


def test_the_routers_image_has_no_laboratory() -> None:
    """Its command would be there all the same, as the project's metadata has it; so it is taken out."""
    router, demo = ("\n".join(rest for word, rest in stage(name) if word in {"RUN", "COPY"}) for name in STAGES)
    assert "loadtests" not in router
    assert "rm /opt/warmroute/bin/warmroute-lab" in router
    assert "loadtests loadtests" in demo
    assert "--force-reinstall dist/*.whl" in demo, "the demo's wheel is built anew, with the emulated engine"


def stage(name: str) -> list[tuple[str, str]]:
    """The instructions after `FROM ... AS name`."""
    starts = [number for number, (word, _) in enumerate(STEPS) if word == "FROM"]
    first = next(number for number in starts if STEPS[number][1].endswith(f" AS {name}"))
    return STEPS[first : next((number for number in starts if number > first), len(STEPS))]


def test_commands_are_in_exec_form() -> None:
    """A shell in between would swallow SIGTERM."""
    assert json.loads(last("ENTRYPOINT")) == ["warmroute"]
    assert json.loads(last("CMD")) == ["serve"]
    assert json.loads(last("HEALTHCHECK").partition("CMD ")[2])[:2] == ["python", "-c"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_default_target_is_the_router() -> None:
    assert last("FROM") == "base AS router"
    assert last("COPY") == "--from=build /opt/warmroute /opt/warmroute"


def test_everything_installed_is_locked() -> None:
    for word, rest in STEPS:
        for install in re.findall(r" install .*?(?=&&|$)", rest) if word == "RUN" and "pip" in rest else ():
            assert "--require-hashes" in install or "--no-index" in install, install


@pytest.mark.parametrize("name", WANTED)
def test_locks_satisfy_the_project(name: str) -> None:
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "docker" / name).read_text(), re.MULTILINE)
    assert (ROOT / "docker" / name).read_text().count("--hash=sha256:") >= len(pins)
    for requirement in map(Requirement, WANTED[name]):
        versions = [version for package, version in pins if package == canonicalize_name(requirement.name)]
        assert versions, f"{requirement.name} is not locked: run make lock"
        assert all(version in requirement.specifier for version in versions), f"{requirement}: run make lock"


def test_what_is_copied_is_there_and_not_ignored() -> None:
    for word, rest in STEPS:
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert not left_out(Path(source)), source


@pytest.mark.parametrize(
    "path",
    [".git/config", ".env", "docker/.env", "docker/compose.yaml", "tests/routers.py", "router/__pycache__/a.pyc", "x"],
)
def test_nothing_else_gets_into_a_layer(path: str) -> None:
    assert left_out(Path(path))


def test_variables_exist() -> None:
    known = {variable_of(name) for name in names()}
    assert set(re.findall(r"\bWARMROUTE_[A-Z_]+", FILE.read_text())) <= known
