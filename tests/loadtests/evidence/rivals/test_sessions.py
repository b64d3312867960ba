"""What the arms are asked."""

import random
from collections.abc import Iterator
from itertools import chain, islice

import pytest

from loadtests.evidence.rivals.arms import ARMS
from loadtests.evidence.rivals.pins import Pins
from loadtests.evidence.rivals.scenarios import SCENARIOS, Scenario
from loadtests.evidence.rivals.sessions import (
    MAX_TURNS,
    MIN_BYTES,
    MIN_TURNS,
    SYSTEM_BYTES,
    lively,
    stretches,
    text,
    with_system,
    with_tools,
)
from loadtests.laboratory.replay.conversations import Ask, Conversation

LONG = {"role": "user", "content": "x" * MIN_BYTES}


def growing(turns: int, first: int = 0, name: str = "s") -> Conversation:
    """Every ask has one message more; those before `first` are too short."""

    def make() -> Iterator[Ask]:
        messages = [{"role": "user", "content": f"{name} {n}"} for n in range(first)]
        for turn in range(turns):
            if turn == first:
                messages = [*messages, LONG]
            messages = [*messages, {"role": "user", "content": str(turn)}]
            yield Ask(1.0, 5, {"messages": messages})

    return Conversation(name, turns, None, make)


def test_a_stretch_is_the_first_long_enough_run_of_growing_prompts() -> None:
    (found,) = stretches([growing(MIN_TURNS + 6, first=3), growing(MIN_TURNS - 1)])
    asks = list(found.make())
    assert found.turns == len(asks) == MIN_TURNS + 3
    assert asks[0].body["messages"][-1]["content"] == "3"


def test_a_stretch_ends_where_the_prompt_shrinks_or_is_long_enough() -> None:
    long, other = growing(MAX_TURNS + 5), growing(20, name="b")
    both = Conversation("c", 40, None, lambda: chain(growing(20, name="a").make(), other.make()))
    assert [found.turns for found in stretches([long, both])] == [MAX_TURNS, 20]


def test_sessions_without_a_stretch_are_said() -> None:
    with pytest.raises(ValueError, match="no session has"):
        stretches([growing(3)])


def test_the_first_sessions_are_under_way_and_all_go_on_for_ever() -> None:
    found = list(islice(lively([growing(MIN_TURNS, name="a"), growing(MIN_TURNS, name="b")], live=20, seed=1), 30))
    turns = [conversation.turns for conversation in found]
    assert len(set(turns[:20])) > 5 and set(turns[20:]) == {MIN_TURNS}
    assert [len(list(conversation.make())) for conversation in found] == turns
    assert len({conversation.name for conversation in found}) == 30


def test_a_tenant_shares_its_system_prompt() -> None:
    a, b, c = (next(with_system(growing(1), tenant).make()).body["messages"][0] for tenant in (1, 1, 2))
    assert a == b != c
    assert SYSTEM_BYTES * 0.8 < len(a["content"]) < SYSTEM_BYTES * 1.2


def test_pauses_of_tools_are_a_second_and_none_is_long() -> None:
    def paced(*thinks_s: float) -> Conversation:
        return Conversation("s", 4, None, lambda: (Ask(think_s, 5, {"messages": []}) for think_s in thinks_s))

    (found,) = with_tools([paced(7.0, 2.0, 4.0, 0.01, 99.0, 6.0)])
    assert [ask.think_s for ask in found.make()][1:] == [0.5, 1.0, 0.1, 3.0, 1.5]


def test_answers_call_a_tool_where_the_recorded_ones_did() -> None:
    def recorded() -> Iterator[Ask]:
        messages: list[dict[str, object]] = [{"role": "user", "content": "a"}]
        yield Ask(0.0, 5, {"messages": messages})
        messages = [*messages, {"role": "assistant", "tool_calls": [{}]}, {"role": "tool", "content": "b"}]
        yield Ask(1.0, 5, {"messages": messages})
        yield Ask(1.0, 5, {"messages": [*messages, {"role": "assistant", "content": "c"}]})

    (found,) = with_tools([Conversation("s", 3, None, recorded)])
    assert [ask.body.get("tool_choice") for ask in found.make()] == ["required", None, None]
    assert all(ask.body["tools"] for ask in found.make())


def test_made_up_text_is_the_seeds() -> None:
    assert text(1, 1000) == text(1, 1000) != text(2, 1000)


def test_every_second_session_is_the_tenants() -> None:
    first, second = SCENARIOS["tenant"].changed(iter([growing(1), growing(1)]))
    roles = [next(conversation.make()).body["messages"][0]["role"] for conversation in (first, second)]
    assert roles == ["user", "system"]


def test_the_oracle_pins_by_speed_and_leaves_the_sick() -> None:
    pins = Pins({0: 1 / 3, 1: 1.0, 2: 1.0})
    homes = [pins.home(str(n)) for n in range(14)]
    assert [homes.count(worker) for worker in range(3)] == [2, 6, 6]
    assert [pins.home(str(n)) for n in range(14)] == homes
    pins.down.add(1)
    assert 1 not in {pins.home(str(n)) for n in range(14)}
    pins.down.clear()
    for n in range(14):
        pins.ended(str(n))
    assert {pins.home(f"new {random.random()}") for _ in range(2)} == {1, 2}


def test_scenarios_that_have_a_slow_worker_have_one() -> None:
    assert [Scenario("s", "t", slow=0.5).speed_of(worker) for worker in range(3)] == [0.5, 1.0, 1.0]


def test_every_scenario_names_arms_that_exist() -> None:
    assert {arm for scenario in SCENARIOS.values() for arm in scenario.arms} <= ARMS.keys()


def test_an_arm_without_its_interpreter_is_left_out() -> None:
    given = {name for name, arm in ARMS.items() if arm.runs_with({"smg": "python"})}
    assert {"oracle", "warmroute, no waiting", "smg x3"} <= given
    assert not {"sglang", "vllm", "thunderagent"} & given
