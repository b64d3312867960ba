"""The examples: those whose SDK the tests have are run, through a router to an emulated worker. The others are read."""

import asyncio
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.engines import EngineThread
from tests.routers import MODEL, running_router

EXAMPLES: Final = Path(__file__).parent.parent / "docs/examples"
RUN: Final = ("openai_sdk.py", "anthropic_sdk.py")
PATIENCE_S: Final = 50


@pytest.mark.parametrize("name", RUN)
async def test_its_second_turn_finds_the_first_one_cached(name: str) -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            own = {
                "OPENAI_BASE_URL": f"{router.url}/v1",
                "OPENAI_API_KEY": "none",
                "ANTHROPIC_BASE_URL": router.url,
                "ANTHROPIC_API_KEY": "none",
                "MODEL": MODEL,
                "NO_PROXY": "*",
            }
            child = await asyncio.create_subprocess_exec(
                sys.executable, EXAMPLES / name, env=os.environ | own, stdout=asyncio.subprocess.PIPE
            )
            async with asyncio.timeout(PATIENCE_S):
                out, _ = await child.communicate()
    assert child.returncode == 0
    cached = [int(count) for count in re.findall(r"(\d+) of them cached", out.decode())]
    assert len(cached) == 2
    assert cached[0] == 0 < cached[1]


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_its_syntax_is_right_and_the_table_has_it(path: Path) -> None:
    text = path.read_text()
    readers: dict[str, Callable[[], object]] = {
        ".py": lambda: compile(text, path.name, "exec"),
        ".json": lambda: json.loads(text),
        ".toml": lambda: tomllib.loads(text),
        ".yaml": lambda: yaml.safe_load(text),
        ".md": lambda: True,
    }
    assert readers[path.suffix]()
    row = re.search(rf"(?m)^\| \[{re.escape(path.name)}\].*\| (.*) \|$", (EXAMPLES / "README.md").read_text())
    assert path.suffix == ".md" or row is not None
    assert row is None or row[1].startswith("in CI") is (path.name in RUN)
