"""Which workers' events are listened to, and where: the setting `kv_events`, over what engines say of themselves.

An engine names its ports, never its host: the router listens at the worker's own host alone, whatever an engine says.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from router.dial.allow import MAX_PORT
from router.engines import EventPorts

RULE = re.compile(
    r"(?:(?P<worker>https?://[^\s=]+)=)?(?:(?P<mode>auto|on|off)|(?P<port>\d{1,5})(?:/(?P<repeats>\d{1,5}))?)"
)

Mode = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class EventRule:
    """What an operator says of one worker, or of all."""

    mode: Mode = "auto"
    """`auto`: where the engine says that it publishes. `on`: the same, and it is a fault if it does not say so."""
    worker: str = ""
    """Its URL; empty for all workers without a rule of their own."""
    ports: EventPorts | None = None
    """In place of what the engine says."""


def parse_rule(given: object) -> EventRule:
    """Raises ValueError with the end of a sentence that begins with the setting's name."""
    found = RULE.fullmatch(given) if isinstance(given, str) else None
    if found is None or not all(int(found[name] or 1) in range(1, MAX_PORT + 1) for name in ("port", "repeats")):
        raise ValueError("must be auto, on, off or PORT/REPLAY_PORT, for one worker behind its URL and =")
    worker = (found["worker"] or "").rstrip("/")
    if found["port"] is None:
        mode: Mode = "on" if found["mode"] == "on" else "off" if found["mode"] == "off" else "auto"
        return EventRule(mode, worker)
    return EventRule("on", worker, EventPorts(int(found["port"]), int(found["repeats"] or 0)))


def rule_of(url: str, rules: Sequence[EventRule]) -> EventRule:
    """The rule for this worker: its own, else the last one for all."""
    general = EventRule()
    for rule in rules:
        if rule.worker == url:
            return rule
        if not rule.worker:
            general = rule
    return general


def addresses(host: str, ports: EventPorts) -> tuple[str, str]:
    """Where a worker's batches come from, and where missing ones are asked for; "" for nowhere. `host` is an IP
    address: a name would be looked up once more, by ZMQ, which knows no allow-list."""
    place = f"tcp://[{host}]" if ":" in host else f"tcp://{host}"
    return f"{place}:{ports.events}", f"{place}:{ports.repeats}" if ports.repeats else ""
