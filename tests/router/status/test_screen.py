"""The status in a terminal: what a person reads, within its width and height, and nothing that moves the cursor."""

from typing import Any

import pytest

from router.status.screen import BAR, bar, screen, seconds, share

MEMORY = {
    "capacity_tokens": 24_000,
    "indexed_tokens": 12_000,
    "session_tokens": 6_000,
    "sessions_total": 3,
    "sessions": [
        {"state": "running", "tokens": 3_000},
        {"state": "pausing", "tokens": 2_000},
        {"state": "leaving", "tokens": 1_000},
    ],
}


def a_status(**more: Any) -> dict[str, Any]:
    worker = {
        "id": "w-1", "name": "http://a:8000", "state": "healthy", "breaker": "closed", "in_flight": 2,
        "queued_tokens": 1500, "hits": {"prompt_tokens": 100, "cached_tokens": 80, "predicted_tokens": 75},
        "memory": MEMORY,
    }  # fmt: skip
    decision = {
        "worker": "w-1", "reason": "cached", "prompt_tokens": 1000, "predicted_cached_tokens": 960,
        "cached_tokens": 976, "ttft_s": 0.25, "candidates": [{"cost": 0.5}, {"cost": 0.25}],
    }  # fmt: skip
    return {
        "at": 130.0,
        "router": {"version": "1.0", "policy": "p", "started_at": 100, "draining": False},
        "totals": {
            "requests": 7, "in_flight": 2, "prompt_tokens": 100, "predicted_tokens": 75, "cached_tokens": 80,
            "ttft_p50_s": 0.2, "ttft_p90_s": None,
        },
        "notices": [], "workers": [worker], "workers_total": 1, "waiting": [], "waiting_total": 0,
        "decisions": [decision], "sharing": {"redis": False}, "savings": [],
        **more,
    }  # fmt: skip


def test_it_says_how_the_router_and_each_worker_fare() -> None:
    text = screen(a_status(), 200, 50, color=False)
    assert "cached 80.0% (predicted 75.0%)   first token p50 200 ms, p90 -   7 requests, 2 in flight, 0 wait" in text
    assert f"a:8000                         healthy    |{bar(MEMORY)}|" in text
    assert "cached         1,000       960       976   250 ms  0.250 0.500" in text


def test_memory_is_drawn_to_scale_and_what_is_shared_counts_once() -> None:
    assert bar(MEMORY) == "███▒▒▚" + "·" * 6 + " " * 12
    assert bar({**MEMORY, "session_tokens": 3_000}).count("█") == 2
    nothing = {"capacity_tokens": 0, "indexed_tokens": 0, "session_tokens": 0, "sessions": []}
    assert bar(nothing) == " " * BAR


def test_who_waits_and_what_is_amiss_is_told() -> None:
    waiting = [{"waited_s": 12.5, "waits_for": "memory", "known_session": True, "model": "m"}]
    notices = [{"level": "bad", "what": "It burns.", "do": "Put it out."}]
    text = screen(a_status(waiting=waiting, waiting_total=1, notices=notices), 200, 50, color=False)
    assert "waits 12.5 s for memory: known session of m" in text
    assert "✕ It burns. -> Put it out." in text


def test_what_was_saved_is_told_by_policy() -> None:
    policies = [
        {"policy": "served", "cached_tokens": 90, "prefill_s": 10.0},
        {"policy": "round_robin", "cached_tokens": 40, "prefill_s": 70.0},
    ]
    savings = [{"model": "m", "prompt_tokens": 100, "policies": policies}]
    text = screen(a_status(savings=savings), 200, 50, color=False)
    assert "m: round_robin would have cached 40.0%; saved 60.0 s of prefill" in text


@pytest.mark.parametrize(("width", "height"), [(20, 5), (80, 8), (1, 1)])
def test_it_stays_within_the_terminal(width: int, height: int) -> None:
    lines = screen(a_status(), width, height, color=False).split("\n")
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


def test_nothing_that_a_worker_said_reaches_the_terminal_as_a_command() -> None:
    notices = [{"level": "warning", "what": "\x1b[2J\r\nboo", "do": "\x07"}]
    status = a_status(notices=notices)
    status["workers"][0]["url"] = "http://\x1b]0;x\x07"
    text = screen(status, 200, 50, color=False)
    assert not {"\x1b", "\x07", "\r"} & set(text)


def test_times_and_shares_as_a_person_says_them() -> None:
    assert [seconds(each) for each in (None, 0.25, 12.0, 600.0, 9000.0)] == ["-", "250 ms", "12.0 s", "10 min", "2 h"]
    assert (share(0, 0), share(1, 3)) == ("-", "33.3%")
