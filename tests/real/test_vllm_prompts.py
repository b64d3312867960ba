"""The ids that we count are the ids that a real vLLM sees. Skipped unless WARMROUTE_REAL_VLLM is set (see conftest)."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.real.bodies import ALL
from tests.real.server import RealServer
from tests.real.sessions import as_messages, as_responses, requests

MAX_BYTES = 60_000
SESSIONS = ["claude_code_entirecli", "tau_airline", "swe_agent"]


def differing(server: RealServer, api: str, bodies: list[dict[str, Any]]) -> list[str]:
    """What kind of difference each body shows, if any."""
    found = []
    for place, body in enumerate(bodies):
        theirs, ours = server.theirs(api, body), server.ours(api, body)
        if theirs is None and ours is None and os.environ.get("WARMROUTE_REAL_CHAT_TEMPLATE"):
            continue  # a template may refuse some of them
        if theirs is None or ours is None:
            found.append(f"{place}: refused by {'the server' if theirs is None else 'us'}")
        elif theirs != ours:
            at = next((i for i, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b), -1)
            found.append(f"{place}: {len(theirs)} ids there, {len(ours)} here, first difference at {at}")
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("api", ALL)
def test_every_rule(server: RealServer, api: str) -> None:
    assert differing(server, api, ALL[api]) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SESSIONS)
def test_recorded_sessions(server: RealServer, name: str) -> None:
    folder = os.environ.get("WARMROUTE_TEST_DATA")
    if not folder:
        pytest.skip("WARMROUTE_TEST_DATA is not set")
    chats = list(requests(Path(folder) / f"{name}.jsonl.zst", MAX_BYTES, 12))
    assert len(chats) > 5
    assert differing(server, "chat", chats) == []
    assert differing(server, "messages", [as_messages(chat) for chat in chats]) == []
    assert differing(server, "responses", [as_responses(chat) for chat in chats]) == []
