"""What an operator writes, and which address comes of it."""

import pytest

from router.engines import EventPorts
from router.kv_events.rules import EventRule, addresses, parse_rule, rule_of

WORKER = "http://10.0.0.1:8000"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("auto", EventRule()),
        ("off", EventRule("off")),
        ("on", EventRule("on")),
        ("5557", EventRule("on", "", EventPorts(5557))),
        ("5557/5558", EventRule("on", "", EventPorts(5557, 5558))),
        (f"{WORKER}/=off", EventRule("off", WORKER)),
        (f"{WORKER}=5557/5558", EventRule("on", WORKER, EventPorts(5557, 5558))),
    ],
)
def test_rules(text: str, rule: EventRule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize("text", ["", "yes", "0", "65536", "5557/0", "5557/", "10.0.0.1=off", f"{WORKER}=", 5, None])
def test_text_that_is_no_rule_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be auto, on, off"):
        parse_rule(text)


def test_a_workers_own_rule_comes_first() -> None:
    rules = [parse_rule(text) for text in ("off", f"{WORKER}=5557", "on")]
    assert rule_of(WORKER, rules).ports == EventPorts(5557)
    assert rule_of("http://10.0.0.2:8000", rules).mode == "on"
    assert rule_of(WORKER, []) == EventRule()


def test_addresses_are_at_the_workers_own_host() -> None:
    assert addresses("10.0.0.1", EventPorts(1, 2)) == ("tcp://10.0.0.1:1", "tcp://10.0.0.1:2")
    assert addresses("fd00::1", EventPorts(1)) == ("tcp://[fd00::1]:1", "")
