"""The documentation says what the code does: settings, commands, links, words."""

import re
import shlex
from itertools import dropwhile
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtests.lab import parser_of as lab_parser
from router.observe.access_log import AccessLine
from router.observe.metrics import Instruments
from router.settings.fields import declared
from router.settings.page import page
from router.settings.sources import names
from tests.routers import running_router

ROOT = Path(__file__).parent.parent
METRICS_PAGE = ROOT / "docs/metrics.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
COMMANDS = {
    "make",
    "warmroute",
    "python",
    "python3",
    ".",
    "curl",
    "pip",
    "locust",
    "export",
    "shtab",
    "git",
    "cd",
    "vllm",
    "warmroute-lab",
    "docker",
    "docker/secrets.sh",
    "kubectl",
}
PACKAGES = ("router", "policies", "tokenizer_cache", "loadtests", "docker", "tests")
FOLDERS = {*PACKAGES, "docs"}
EXAMPLES = {"stay.py", "FILE.py"}
"""Files that a page tells its reader to write."""
SUFFIXES = {"jsonl", "key", "md", "pem", "toml"}
"""Of files that are not ours but are named like one of our packages: `router.pem`."""


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("path", PAGES, ids=page_name)


def commands(path: Path) -> list[list[str]]:
    """The commands in a page's shell examples, split into words, comments and continuations resolved."""
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := without_variables(shlex.split(line, comments=True)))]


def without_variables(words: list[str]) -> list[str]:
    """The command itself: WARMROUTE_PORT=80 warmroute serve -> warmroute serve."""
    return list(dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words))


def test_configuration_page_is_what_the_code_generates() -> None:
    assert (ROOT / "docs/configuration.md").read_text() == page(), "run: make docs"


def test_no_sentence_of_the_readme_is_longer_than_30_words() -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", (ROOT / "README.md").read_text())
    text = re.sub(r"\]\([^)]*\)", "]", text)
    for part in re.split(r"\n\s*\n|\n(?=- )|\n(?=\|)|\n(?=#)| \| ", text):
        for sentence in re.split(r"(?<=[.!?])\s", part):
            assert len(sentence.split()) <= 30, sentence


def test_the_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    """Each row of the first table has a commit, and the page of benchmarks has a figure of that commit."""
    first = tables((ROOT / "README.md").read_text())[0]
    commits = re.findall(r"(?m)\| `([0-9a-f]{7})` \|$", first)
    assert len(commits) == len(first.splitlines()) - 2
    assert all(commit in (ROOT / "docs/benchmarks.md").read_text() for commit in commits)


def test_readme_has_the_two_commands() -> None:
    assert {("make", "run"), ("make", "test")} <= {tuple(words) for words in commands(ROOT / "README.md")}


@every_page
def test_commands_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(path):
        assert words[0] in COMMANDS, words
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, words
        if words[0] == "warmroute":
            assert words[1] in ("serve", "hash-key", "top") or words[1:] == ["--version"], words
        if words[0] == "warmroute-lab":
            assert not unknown_flags(words[1:]), words
        if words[:2] == ["python", "-m"] and words[2] not in ("pip", "pytest", "venv"):
            module = ROOT / words[2].replace(".", "/")
            assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), words


def unknown_flags(words: list[str]) -> set[str]:
    """Flags that `warmroute-lab` does not know, for its command in `words`."""
    known = {flag for action in lab_parser(words[0])._actions for flag in action.option_strings}
    return {word.partition("=")[0] for word in words if word.startswith("--")} - known


@every_page
def test_flags_of_serve_exist(path: Path) -> None:
    known = {"--" + name.replace("_", "-") for name in names()} | {"--help"}
    known |= {f"--no-{s.name.replace('_', '-')}" for s in declared() if not s.kind.metavar}
    for words in commands(path):
        if "warmroute" in words[:3] and "serve" in words:
            flags = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert flags <= known, words


@every_page
def test_metrics_exist(path: Path) -> None:
    code = "\n".join(source.read_text() for source in (ROOT / "router").rglob("*.py"))
    exported = {name.removesuffix("_total") for name in re.findall(r"\"(warmroute_\w+)\"", code)}
    named = re.findall(r"\bwarmroute_\w+", path.read_text())
    assert {re.sub("_(total|bucket|sum|count)$", "", name) for name in named} <= exported


def documented_metrics() -> dict[str, tuple[str, str]]:
    """Of each metric that has a row of its own on the metrics page, its type and labels."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| ", METRICS_PAGE.read_text(), re.MULTILINE)
    return {name: (kind, labels) for name, kind, labels in rows}


async def test_metrics_page_has_what_a_router_exports() -> None:
    async with running_router("http://127.0.0.1:1", ready=False) as router:
        exported = (await router.client.get("/metrics")).text
    families = list(text_string_to_metric_families(exported))
    ours = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in families
        if family.name.startswith("warmroute_")
    }
    assert {name: kind for name, (kind, _) in documented_metrics().items()} == ours
    others = {family.name.partition("_")[0] for family in families} - {"warmroute"}
    assert all(f"`{prefix}_*`" in METRICS_PAGE.read_text() for prefix in others)


def test_metrics_page_has_the_labels() -> None:
    documented = documented_metrics()
    for metric in vars(Instruments()).values():
        (family,) = metric.collect()
        name = family.name + ("_total" if family.type == "counter" else "")
        assert documented[name] == (family.type, ", ".join(metric.labels))


def test_metrics_page_has_the_access_log() -> None:
    section = METRICS_PAGE.read_text().partition("## The access log")[2]
    fields = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)]
    assert sorted(field for row in fields for field in row) == sorted(AccessLine.__struct_fields__)


@every_page
def test_links_inside_the_repository_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@every_page
def test_anchors_exist(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text()):
        page = path.parent / target if target else path
        assert anchor in {anchor_of(title) for title in re.findall(r"(?m)^#+ (.*)$", page.read_text())}, (
            target,
            anchor,
        )


def anchor_of(title: str) -> str:
    """What GitHub makes of a headline."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@every_page
def test_tables_are_whole(path: Path) -> None:
    """A blank line in a table makes text of all that follows."""
    for table in tables(path.read_text()):
        assert re.fullmatch(r"\|(?: *:?-+:? *\|)+", table.splitlines()[1]), table.splitlines()[0]


def tables(text: str) -> list[str]:
    """Runs of lines that begin with a bar."""
    return re.findall(r"(?m)^\|.*(?:\n\|.*)*", re.sub(r"(?ms)^```.*?^```", "", text))


@pytest.mark.parametrize("path", sorted((ROOT / "docs/evidence").glob("*.md")), ids=page_name)
def test_every_measured_table_names_its_commit(path: Path) -> None:
    text = path.read_text()
    for table in tables(text):
        after = text.partition(table)[2].strip().splitlines()[0]
        assert re.match(r"\*Commit (`[0-9a-f]{7}`(, )?)+|\*20\d\d-.*\([0-9a-f]{7}\)", after), table.splitlines()[0]


def test_the_page_of_benchmarks_is_one_page() -> None:
    text = (ROOT / "docs/benchmarks.md").read_text()
    assert len(text.splitlines()) <= 250
    assert all(f"evidence/{page.name}" in text for page in (ROOT / "docs/evidence").glob("*.md"))


@every_page
def test_one_word_for_a_worker(path: Path) -> None:
    """Other words are for other things: a page that mixes them makes its reader guess. Names of others' flags stay."""
    words = re.sub(r"`--[^`]*`", "", path.read_text())
    assert not re.findall(r"\b(?:backend|upstream|pod)s?\b", words, re.IGNORECASE)


def test_every_promise_of_security_names_tests_that_exist() -> None:
    text = (ROOT / "docs/security.md").read_text()
    promised = text.partition("## What is promised")[2].partition("## What is not promised")[0]
    promises = re.split(r"\n- ", promised.replace("\n\n", "\n"))[1:]
    assert len(promises) >= 30
    for promise in promises:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", promise)
        assert named, f"no test: {promise}"
        for file, name in named:
            found = [path for path in (ROOT / "tests").rglob(file) if f"def {name}(" in path.read_text()]
            assert len(found) == 1, (file, name)


@every_page
def test_paths_exist(path: Path) -> None:
    """Paths are written in full, from the top of the repository, so that they can be found and checked."""
    for name in re.findall(r"`([\w.*-]*(?:/[\w.*-]+)*(?:\.(?:py|lua|toml|ya?ml|json|cfg)|/))`", path.read_text()):
        if name.partition("/")[0] in FOLDERS or (name.endswith((".py", ".lua")) and name not in EXAMPLES):
            assert list(ROOT.glob(name.rstrip("/"))), name


@every_page
def test_modules_exist(path: Path) -> None:
    """Dotted names of our own packages lead to a module, or to something in one."""
    for name in re.findall(rf"\b(?:{'|'.join(PACKAGES)})(?:\.[a-zA-Z_]\w*)+", path.read_text()):
        parts = name.split(".")
        if parts[-1] not in SUFFIXES:
            assert any(is_module(parts[:count]) for count in {len(parts), len(parts) - 1} - {1}), name


def is_module(parts: list[str]) -> bool:
    place = ROOT.joinpath(*parts)
    return place.is_dir() or place.with_suffix(".py").is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "docs/decisions").glob("0*.md")), ids=page_name)
def test_a_decision_has_its_three_parts_and_is_listed(path: Path) -> None:
    text = path.read_text()
    places = [text.find(f"**{part}.**") for part in ("Context", "Decision", "Consequences")]
    assert -1 not in places
    assert places == sorted(places)
    title = re.match(r"# (\d+)\. (.*)", text)
    assert title is not None
    assert f"{title[1]}. [{title[2]}]({path.name})" in (path.parent / "README.md").read_text()


@pytest.mark.parametrize(
    "path", [*PAGES, *(ROOT / "docker").rglob("*.py"), *(ROOT / "docker").rglob("*.yaml")], ids=page_name
)
def test_quantities_are_named(path: Path) -> None:
    """For how long, and how many, is said by a number or a setting's name; a machine is no person."""
    unnamed = r"\b(?:(?:for|up to|at most|after) so (?:long|many|much)|so long after|whoever)\b"
    assert not re.findall(unnamed, path.read_text(), re.IGNORECASE)
