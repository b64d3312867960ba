"""Limits of one client, and what a request is charged."""

from datetime import date

import pytest

from router.clients import Charge, Client, ClientSpec
from tests.router.clients.clock import Clock

SALT = bytes(16)


def client(clock: Clock, **fields: object) -> Client:
    return Client(ClientSpec(label="team", hash="", **fields), SALT, clock)  # type: ignore[arg-type]


def test_without_limits_everything_goes() -> None:
    team = client(Clock())
    assert [team.enter() for _ in range(1000)] == [None] * 1000
    assert team.check_tokens() is None
    assert team.may_use("anything")


def test_requests_per_minute() -> None:
    clock = Clock()
    team = client(clock, requests_per_minute=2)
    assert (team.enter(), team.enter()) == (None, None)
    refusal = team.enter()
    assert refusal is not None
    assert (refusal.reason, refusal.retry_after_s, team.in_flight) == ("requests", 30, 2)
    clock.now += refusal.retry_after_s
    assert team.enter() is None


def test_concurrency_counts_no_request_that_was_refused() -> None:
    team = client(Clock(), max_concurrency=1, requests_per_minute=10)
    assert team.enter() is None
    refusal = team.enter()
    assert refusal is not None
    assert refusal.reason == "concurrency"
    team.leave()
    assert team.requests is not None
    assert team.requests.level == 9
    assert team.enter() is None


def test_a_prompt_longer_than_the_limit_is_let_in_and_owed() -> None:
    clock = Clock()
    team = client(clock, uncached_tokens_per_minute=1000)
    charge = Charge(team)
    assert team.check_tokens() is None
    charge.set(3000)
    refusal = team.check_tokens()
    assert refusal is not None
    assert (refusal.reason, refusal.retry_after_s) == ("tokens", 121)
    clock.now += refusal.retry_after_s
    assert team.check_tokens() is None


def test_a_charge_is_corrected_and_given_back() -> None:
    team = client(Clock(), uncached_tokens_per_minute=1000)
    assert team.tokens is not None
    charge = Charge(team)
    for tokens, left in ((800, 200), (300, 700), (900, 100), (0, 1000)):
        charge.set(tokens)
        assert team.tokens.level == left


def test_another_file_keeps_what_was_used() -> None:
    team = client(Clock(), requests_per_minute=10, uncached_tokens_per_minute=10)
    for _ in range(10):
        team.enter()
    team.update(ClientSpec(label="team", hash="", requests_per_minute=11), SALT)
    assert (team.enter(), team.tokens, team.in_flight) == (None, None, 11)
    assert team.enter() is not None


@pytest.mark.parametrize("expires", [None, date(2027, 1, 1)])
def test_expiry(expires: date | None) -> None:
    team = client(Clock(), expires=expires)
    assert not team.expired(1798761599.0)
    assert team.expired(1798761600.0) is (expires is not None)


def test_models_and_salt() -> None:
    team = client(Clock(), models=["a", "b"], cache_salt="own")
    assert [team.may_use(name) for name in ("a", "b", "c", "")] == [True, True, False, False]
    assert len({team.cache_salt(asked) for asked in (b"", b"null", b'"x"', b'"y"')}) == 3
