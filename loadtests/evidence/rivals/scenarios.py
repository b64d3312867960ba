"""The scenarios: how many sessions, how much KV memory, and what happens to engines and routers meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from loadtests.evidence.rivals.sessions import with_system
from loadtests.laboratory.replay.conversations import Conversation

ROOMY = 524_288
"""KV tokens of a worker: twice the profile's, as with an FP8 cache; all live sessions fit."""
SICK = 0
"""The worker that things happen to."""
What = Literal["lose", "regain", "fail", "heal", "restart", "burst"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens `at_s` seconds after the warm-up."""

    at_s: float
    what: What


@dataclass(frozen=True, slots=True)
class Scenario:
    """One table."""

    name: str
    title: str
    sessions: int = 48
    kv_tokens: int = ROOMY
    slow: float = 1.0
    """Speed of the worker `SICK`."""
    events: Sequence[Event] = ()
    longer: float = 1.0
    """Times as long as others: where each request takes seconds, few come in half a minute."""
    arms: Sequence[str] = ("oracle", "warmroute", "smg", "sglang", "vllm")
    tools: bool = False
    """Pauses are of tools. Turns that wait at the end are cut off, and the figures of the loop are told."""
    change: Callable[[int, Conversation], Conversation] = field(default=lambda number, conversation: conversation)
    """What is done to each session; they are numbered."""

    def changed(self, conversations: Iterator[Conversation]) -> Iterator[Conversation]:
        return (self.change(number, conversation) for number, conversation in enumerate(conversations))

    def speed_of(self, worker: int) -> float:
        """Engine seconds per second."""
        return self.slow if worker == SICK else 1.0


_ALL = ("oracle", "warmroute", "smg", "sglang", "vllm", "smg round robin")
_PRESSED = (
    *("oracle", "warmroute", "warmroute, no waiting", "smg", "sglang", "vllm"),
    *("thunderagent", "thunderagent, no release"),
)
_MANY = ("oracle", "warmroute", "warmroute x3", "warmroute x5", "smg x3 mesh", "smg x3", "sglang x3")


def _tenants(number: int, conversation: Conversation) -> Conversation:
    """Every second session is one tenant's, behind its own long system prompt."""
    return with_system(conversation, 1) if number % 2 else conversation


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("steady", "Steady sessions, middle load", arms=(*_ALL, "sglang round robin", "vllm round robin")),
        Scenario("pressure-2", "Working set twice the KV memory", kv_tokens=81_920, longer=2.5),
        Scenario("replicas", "Several replicas, each request to one at random", arms=_MANY),
        Scenario(
            "restart",
            "Every router restarted, one after the other, in mid-run",
            events=(Event(8.0, "restart"),),
            arms=("oracle", "warmroute", "warmroute x3", "smg", "smg x3 mesh", "sglang"),
        ),
        Scenario("slow", "One worker at a third of the speed", slow=1 / 3),
        Scenario("lost", "One worker killed, and back, empty", events=(Event(5.0, "lose"), Event(12.0, "regain"))),
        Scenario("errors", "One worker answers 500 at once", events=(Event(5.0, "fail"), Event(15.0, "heal"))),
        Scenario("burst", "Forty requests of one new prefix at once", events=(Event(8.0, "burst"),)),
        Scenario("system", "One long system prompt for all sessions", change=lambda _, c: with_system(c, 1)),
        Scenario("tenant", "Half of all sessions of one tenant, with a system prompt of its own", change=_tenants),
        Scenario("low", "Steady sessions, low load", sessions=24),
        Scenario("high", "Steady sessions, high load", sessions=80),
        Scenario("pressure-1", "Working set as large as the KV memory", kv_tokens=163_840, longer=2.5),
        Scenario(
            "tools-1",
            "Tool pauses, working set as large as the KV memory",
            sessions=64,
            kv_tokens=249_856,
            longer=8,
            tools=True,
            arms=_PRESSED,
        ),
        Scenario(
            "tools-2",
            "Tool pauses, working set twice the KV memory",
            sessions=64,
            kv_tokens=124_928,
            longer=8,
            tools=True,
            arms=_PRESSED,
        ),
        Scenario("pressure-4", "Working set four times the KV memory", sessions=96, kv_tokens=81_920, longer=2.5),
    )
}
"""All scenarios; those that say most come first."""
