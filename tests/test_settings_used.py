"""What is deployed, measured and written uses only settings that exist: flags, variables, keys of the file."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from router.settings.elsewhere import FLAGS
from router.settings.fields import declared
from router.settings.gone import GONE
from router.settings.setting import flag_of, variable_of
from router.settings.sources import names

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DEPLOYED = sorted(
    path
    for path in (ROOT / "docker").rglob("*")
    if path.suffix in (".yaml", ".toml", ".sh", ".cfg", ".service", "")
    and path.is_file()
    and "grafana" not in path.parts
)
MEASURED = sorted((ROOT / "loadtests").rglob("*.py"))
OTHERS = ROOT / "Makefile", *sorted((ROOT / ".github").rglob("*.yaml"))
FOREIGN = re.compile(r"WARMROUTE_(|SERVICE_HOST|TEST_.*|REAL_.*)")
"""Of Kubernetes, of the test suite, and the prefix by itself."""
MEASURING = frozenset({"--seed", "--block-tokens"})
"""Gone from the router, and flags of the emulated engine or of a measurement."""
PROGRAMS = {
    "vLLM": "chat-template default-chat-template-kwargs enable-auto-tool-choice enable-force-include-usage "
    "enable-log-outputs enable-log-requests "
    "enable-prompt-tokens-details enable-scale-out enforce-eager exclude-tools-when-tool-choice-none kv-events-config "
    "load-format max-model-len max-num-batched-tokens no-enable-prefix-caching num-gpu-blocks-override "
    "shutdown-timeout tool-call-parser trust-request-chat-template",
    "SGLang": "disable-radix-cache enable-cache-report enable-metrics reasoning-effort-map",
    "Redis": "aclfile appendonly bind dir logfile maxmemory maxmemory-policy save sentinel user",
    "other routers": "enable-mesh health-check-interval-secs mesh-host mesh-peer-urls mesh-port mesh-server-name "
    "metrics prometheus-port worker-startup-check-interval worker-urls",
    "other loads": "concurrency conversation-num conversation-turn-mean endpoint-type headless output-tokens-mean "
    "streaming synthetic-input-tokens-mean turns url",
    "tools": "always build build-arg directory dirty file force-reinstall from from-file gid group home-dir interval "
    "invalidation-mode monotonic no-compile no-create-home no-deps no-index no-log-init only-binary owner python "
    "require-hashes requirement retries shell start-period storage strict tag target time timeout uid web without-pip",
    "style sheets and drawings": "admin bytes-- ink key-- line page soft",
}
"""Flags of other programs, and what only looks like one."""


def spelt(names: set[str]) -> set[str]:
    return {flag_of(name) for name in names}


FOREIGN_FLAGS = {f"--{flag}" for flags in PROGRAMS.values() for flag in flags.split()} | spelt(set(FLAGS))
KNOWN = spelt(set(names())) | {f"--no-{s.flag[2:]}" for s in declared() if not s.kind.metavar} | {"--help", "--version"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def strings(path: Path) -> Iterator[tuple[str, bool]]:
    """Flags in a module's texts, and whether a parser declares them there."""
    declares: set[int] = set()
    text = path.read_text()
    for node in ast.walk(ast.parse(text)) if "--" in text else ():
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "add_argument",
            "add",
        ):
            declares |= {id(argument) for argument in node.args}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", node.value):
                yield flag, id(node) in declares


@cache
def measuring() -> frozenset[str]:
    """Flags that the programs of `loadtests` and of the router itself declare."""
    modules = [*MEASURED, *(ROOT / "router").rglob("*.py"), *(ROOT / "docker").rglob("*.py")]
    return frozenset(flag for path in modules for flag, declares in strings(path) if declares)


@pytest.mark.parametrize("path", [*PAGES, *DEPLOYED, *MEASURED, *OTHERS], ids=name_of)
def test_variables_exist(path: Path) -> None:
    known = {variable_of(name) for name in names()}
    named = set(re.findall(r"\bWARMROUTE_[A-Z_]*", path.read_text()))
    assert {name for name in named if not FOREIGN.fullmatch(name)} <= known


@pytest.mark.parametrize("path", [*DEPLOYED, *PAGES], ids=name_of)
def test_flags_exist(path: Path) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", path.read_text()))
    assert named - measuring() <= KNOWN | FOREIGN_FLAGS


def test_flags_of_measurements_exist() -> None:
    """A flag that `loadtests` gives to a program is the router's, one of its own programs', or a known program's."""
    own = measuring()
    given = {flag for path in MEASURED for flag, declares in strings(path) if not declares}
    assert given - own <= KNOWN | FOREIGN_FLAGS
    assert spelt(set(GONE)) & (given | own | FOREIGN_FLAGS) <= MEASURING


@pytest.mark.parametrize("path", [path for path in DEPLOYED if path.name == "router.toml"], ids=name_of)
def test_keys_of_files_exist(path: Path) -> None:
    assert set(tomllib.loads(path.read_text())) <= set(names())


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pages_name_no_setting_that_is_gone(path: Path) -> None:
    if path.name in ("configuration.md", "CHANGELOG.md"):
        return
    words = set(re.findall(r"`([a-z_]+)`", path.read_text()))
    assert not words & set(GONE)


@pytest.mark.parametrize("path", sorted((ROOT / "docker").rglob("*")), ids=name_of)
def test_nothing_deployed_names_a_setting_that_is_gone(path: Path) -> None:
    """Panels, comments and alerts too."""
    if path.is_file() and path.suffix in (".py", ".json", ".yaml", ".toml", ".cfg", ".sh"):
        gone = {name for name in GONE if "_" in name}
        assert not gone & set(re.findall(r"[a-z_]+", path.read_text()))
