"""A client's limits in HTTP. What a limit is, and when it is used up: `clients/test_client`."""

from typing import Any

import pytest

from router.clients import Client, ClientSpec
from router.wire.limits import limit_error, limit_headers, model_error
from tests.router.clients.clock import Clock


def client(clock: Clock, **fields: Any) -> Client:
    return Client(ClientSpec(label="team", hash="", **fields), bytes(16), clock)


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        ({"requests_per_minute": 1}, "requests", "team may send 1 requests per minute"),
        ({"max_concurrency": 1}, "concurrency", "team may have 1 in flight"),
    ],
)
def test_a_limit_that_is_used_up_is_429_and_says_when_to_come_again(
    fields: dict[str, int], reason: str, message: str
) -> None:
    team = client(Clock(), **fields)
    assert team.enter() is None
    refusal = team.enter()
    assert refusal is not None
    error = limit_error(team, refusal)
    assert (error.status, error.code, error.reason) == (429, "rate_limit_exceeded", reason)
    assert error.retry_after_s == refusal.retry_after_s
    assert message in error.message


def test_a_model_that_is_not_the_client_s_is_403_and_names_the_field() -> None:
    error = model_error(client(Clock()), "session.model")
    assert (error.status, error.code, error.param, error.reason) == (403, "model_not_allowed", "session.model", "model")
    assert model_error(client(Clock())).param == "model"


def test_headers_say_what_is_left() -> None:
    clock = Clock()
    team = client(clock, requests_per_minute=60, uncached_tokens_per_minute=600)
    team.enter()
    assert limit_headers(team) == [
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"1s"),
        (b"x-ratelimit-limit-tokens", b"600"),
        (b"x-ratelimit-remaining-tokens", b"600"),
        (b"x-ratelimit-reset-tokens", b"0ms"),
    ]
    assert limit_headers(client(clock)) == limit_headers(client(clock, max_concurrency=3)) == []


@pytest.mark.parametrize(
    ("entered", "text"), [(1, b"500ms"), (3, b"1.5s"), (120, b"1m0s"), (119, b"59.5s"), (150, b"1m15s")]
)
def test_durations_as_openai_writes_them(entered: int, text: bytes) -> None:
    team = client(Clock(), requests_per_minute=120)
    assert team.requests is not None
    team.requests.take(entered)
    assert dict(limit_headers(team))[b"x-ratelimit-reset-requests"] == text
