"""Where an engine says that it publishes KV events: ports and a topic, within bounds."""

import re

import httpx
import msgspec

from router.dial.allow import MAX_PORT
from router.engines.answers import WorkerAnswerError, fetch_json, within
from router.engines.engine import EventPorts
from router.engines.metrics import MAX_RANKS

MAX_TOPIC_CHARS = 256
VLLM_PATH = "/kv_event_sources"
RANK = re.compile("[0-9]{1,6}")
PORT = re.compile(r"tcp://[^\s/]{1,256}:([0-9]{1,5})")


class _VllmSource(msgspec.Struct):
    endpoint: str = ""
    replay_endpoint: str | None = None
    topic: str | None = None


class _SglangSource(msgspec.Struct):
    publisher: str = ""
    endpoint_port_base: int = 0
    replay_endpoint_port_base: int | None = None
    topic: str | None = None


async def vllm_events(client: httpx.AsyncClient, url: str) -> dict[int, EventPorts]:
    """Of each rank that publishes, by its number; empty where it does not say, as before 0.32."""
    try:
        ranks = await fetch_json(client, url, VLLM_PATH, dict[str, _VllmSource])
    except WorkerAnswerError:
        return {}
    found: dict[int, EventPorts] = {}
    for number, source in list(ranks.items())[:MAX_RANKS]:
        ports = _ports(_port(source.endpoint), _port(source.replay_endpoint or ""), source.topic)
        if ports is not None and RANK.fullmatch(number):
            found[int(number)] = ports
    return found


def sglang_events(raw: msgspec.Raw) -> EventPorts | None:
    """Of its first rank, from `kv_events` in /server_info; None where it does not publish. The others' ports follow."""
    try:
        source = msgspec.json.decode(raw, type=_SglangSource | None)
    except (msgspec.DecodeError, RecursionError):
        return None
    if source is None or source.publisher != "zmq":
        return None
    return _ports(source.endpoint_port_base, source.replay_endpoint_port_base or 0, source.topic)


def _ports(events: int, repeats: int, topic: str | None) -> EventPorts | None:
    events, repeats = within(events, MAX_PORT), within(repeats, MAX_PORT)
    if not events or len(topic or "") > MAX_TOPIC_CHARS:
        return None
    return EventPorts(events, repeats, topic or "")


def _port(endpoint: str) -> int:
    found = PORT.fullmatch(endpoint)
    return int(found[1]) if found is not None else 0
