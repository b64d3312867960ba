"""Policies of one's own: the documented example, and what is refused."""

import json
import random
import re
from pathlib import Path

import pytest

from loadtests.lab import main as lab
from policies import build
from policies.own import is_own, load
from tests.engines import EngineThread
from tests.policies.candidates import a_request, a_worker
from tests.routers import MODEL, chat, running_router

PAGE = Path(__file__).parent.parent.parent / "docs/policies.md"


@pytest.fixture
def example(tmp_path: Path) -> str:
    """The page's example, in a file."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "stay.py"
    path.write_text(code)
    return f"{path}:StayUntilBusy"


def test_the_documented_example_is_a_policy(example: str) -> None:
    holder = a_worker("holder", 10_000, 9_984, in_flight=6)
    idle = a_worker("idle", 10_000)
    policy = build(example, random.Random(0))
    stayed = policy.select(a_request(), [idle, holder])
    assert (stayed.candidate, stayed.reason) == (holder, "stayed")
    moved = policy.select(a_request(), [idle, holder._replace(in_flight=9)])
    assert (moved.candidate, moved.reason) == (idle, "moved")


def test_the_documented_example_has_about_thirty_lines(example: str) -> None:
    lines = Path(example.rpartition(":")[0]).read_text().splitlines()
    assert sum(1 for line in lines if line.strip()) <= 30


def test_the_documented_example_replays_a_trace(
    example: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"timestamp": 100 * n, "input_length": 2048, "output_length": 5, "hash_ids": [n % 5, 10 + n, 70 + n, 200 + n]}
        for n in range(60)
    ]
    trace = tmp_path / "trace.jsonl"
    trace.write_text("\n".join(map(json.dumps, rows)))
    few = ["--profile", "demo", "--workers", "2", "--requests", "30", "--seeds", "1", "--rate", "5", "--quiet"]
    assert lab(["simulate", str(trace), *few, "--policy", example, "--policy", "random"]) == 0
    assert f"| {example} | " in capsys.readouterr().out


async def test_the_documented_example_serves(example: str) -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, policy=example, decision_headers=True) as router:
            answer = await router.client.post("/v1/chat/completions", json=chat())
    assert answer.status_code == 200
    assert answer.headers["x-warmroute-reason"] == "moved"


USABLE = """
class Fine:
    scope, reasons = "all", ("it",)
    def __init__(self, rng): pass
    def costs(self, request, candidates): return []
    def select(self, request, candidates): ...
class Greedy(Fine):
    def __init__(self): pass
class Odd(Fine):
    scope = "some"
class Bare: pass
"""


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (USABLE, "Missing", "has no class Missing"),
        (USABLE, "Bare", "lacks costs, select, reasons, scope"),
        (USABLE, "Odd", "scope must be"),
        (USABLE, "Greedy", "from a random.Random alone"),
        (USABLE, "not a name", "names no class"),
        ("import nothing_like_this", "Fine", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "Fine", "SystemExit"),
        ("def (", "Fine", "SyntaxError"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(tmp_path: Path, text: str, name: str, said: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(said)):
        build(f"{path}:{name}", random.Random(0))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        load(f"{tmp_path}/none.py:Fine")


@pytest.mark.parametrize(("name", "own"), [("expected_ttft", False), ("a/b.py:C", True), ("b.py", False)])
def test_a_file_is_told_from_a_name(name: str, own: bool) -> None:
    assert is_own(name) is own
