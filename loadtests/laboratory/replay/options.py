"""What `warmroute-lab replay` is asked for."""

import argparse
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from loadtests.laboratory.replay.conversations import Conversation, load
from loadtests.laboratory.replay.pace import Loop, Pace
from loadtests.laboratory.replay.summary import Slo


@dataclass(frozen=True, slots=True)
class Options:
    """One command's."""

    base_url: str
    """Without a slash at its end."""
    traces: Sequence[Path]
    sample: int
    pace: Pace
    duration_s: float | None
    warmup_s: float
    skip_turns: int
    model: str | None
    api_key: str | None
    session_header: str | None
    max_answer_tokens: int
    more: Mapping[str, Any]
    timeout_s: float
    slo: Slo
    engines: Sequence[str]
    json: Path | None
    records: Path | None
    quiet: bool

    @classmethod
    def of(cls, args: argparse.Namespace) -> "Options":
        """Raises ValueError for what makes no sense."""
        _check(args)
        pace = Pace(
            loop=args.loop,
            sessions=args.sessions,
            rate=args.rate,
            think_scale=args.think_scale,
            max_think_s=args.max_think_s,
            ramp_s=args.ramp_s,
            max_turns=args.max_turns,
            seed=args.seed,
        )
        taken = "base_url traces sample duration_s warmup_s skip_turns model session_header max_answer_tokens"
        values = {name: getattr(args, name) for name in f"{taken} timeout_s engines json records quiet".split()}
        values["base_url"] = base_of(args.base_url)
        key = os.environ.get(args.api_key_env) or None
        return cls(**values, pace=pace, api_key=key, more=_object(args.more), slo=Slo(args.slo_ttft_s, args.slo_s))

    def conversations(self) -> list[Conversation]:
        """Raises what `conversations.load` raises, and ValueError where arrivals are wanted that the trace lacks."""
        found = load(self.traces, self.sample)
        if self.pace.loop == "recorded":
            if any(conversation.starts_s is None for conversation in found):
                raise ValueError("the trace does not say when its sessions began: --loop closed or poisson")
            found.sort(key=lambda conversation: conversation.starts_s or 0.0)
        return found

    def headers(self, conversation: Conversation) -> dict[str, str]:
        """Of its requests."""
        headers = {"content-type": "application/json"}
        if self.api_key:
            headers["authorization"] = f"Bearer {self.api_key}"
        if self.session_header:
            headers[self.session_header] = conversation.name
        return headers

    def title(self, left_out: int) -> str:
        """The replay in a sentence."""
        pace = self.pace
        loops = {
            "closed": f"closed loop, {pace.sessions} sessions at a time",
            "poisson": f"Poisson arrivals, {pace.rate:g} sessions a second",
            "recorded": f"recorded arrivals x {pace.think_scale:g}",
        }
        pauses = f"pauses x {pace.think_scale:g}, at most {pace.max_think_s:g} s"
        counted = f"{left_out} requests not counted: first {self.skip_turns} turns of each session"
        counted += f", and the first {self.warmup_s:g} s" if self.warmup_s else ""
        names = " + ".join(path.name for path in self.traces)
        return f"{names} to {self.base_url}: {loops[pace.loop]}; {pauses}; {counted if left_out else 'all counted'}"


def add_to(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("base_url", metavar="BASE_URL", help="as an OpenAI client is given it: http://router:8080/v1")
    add("traces", nargs="+", type=Path, metavar="TRACE", help="recorded traffic (.jsonl, .csv, also .zst); several mix")
    add("--model", help="default: the first one of BASE_URL/models")
    add("--api-key-env", default="OPENAI_API_KEY", metavar="NAME", help="environment variable that holds the key")
    add("--session-header", metavar="NAME", help="send each session's name in this header")
    add("--loop", choices=get_args(Loop), default="closed", help="when sessions begin")
    add("--sessions", type=int, default=16, metavar="N", help="closed loop: sessions at the same time")
    add("--rate", type=float, default=1.0, metavar="SESSIONS/S", help="Poisson: sessions that begin")
    add("--think-scale", type=float, default=1.0, metavar="F", help="factor to recorded pauses and arrivals")
    add("--max-think-s", type=float, default=60.0, help="longer pauses are cut to this, after scaling")
    add("--ramp-s", type=float, default=0.0, help="closed loop: the first sessions begin spread over this time")
    add("--sample", type=int, default=0, metavar="N", help="only the first N sessions of each trace")
    add("--max-turns", type=int, default=0, metavar="N", help="only the first N requests of each session")
    add("--duration-s", type=float, help="replay copies until then; without, each session once")
    add("--max-answer-tokens", type=int, default=0, metavar="N", help="longer answers are cut to this")
    add("--body", dest="more", default="{}", metavar="JSON", help="more of each body: '{\"ignore_eos\": true}'")
    add("--timeout-s", type=float, default=600.0, help="of one request")
    add("--seed", type=int, default=1, help="order of the sessions, and Poisson's draws")
    add("--warmup-s", type=float, default=0.0, help="do not count what was asked before")
    add("--skip-turns", type=int, default=0, metavar="N", help="do not count the first N requests of each session")
    add("--slo-ttft-s", type=float, default=1.0, help="a good answer begins within this")
    add("--slo-s", type=float, default=math.nan, help="and ends within this")
    add("--engine", action="append", default=[], dest="engines", metavar="URL", help="read its /metrics (repeatable)")
    add("--json", type=Path, metavar="FILE", help="write the figures to this file")
    add("--records", type=Path, metavar="FILE", help="write one line of JSON per request to this file")
    add("--quiet", action="store_true", help="no progress")


def _check(args: argparse.Namespace) -> None:
    for name in ("sessions", "rate", "timeout_s", "slo_ttft_s"):
        if getattr(args, name) <= 0:
            raise ValueError(f"--{name.replace('_', '-')} must be more than 0")
    for name in ("think_scale", "max_think_s", "ramp_s", "sample", "max_turns", "warmup_s", "skip_turns"):
        if getattr(args, name) < 0:
            raise ValueError(f"--{name.replace('_', '-')} must not be negative")
    if args.duration_s is not None and args.duration_s <= args.warmup_s:
        raise ValueError("--duration-s must be longer than --warmup-s")


def base_of(url: str) -> str:
    """A base_url without a slash at its end; `/v1` where there is no path. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no base_url; one looks like http://router:8080/v1")
    return url.rstrip("/") if parts.path.strip("/") else url.rstrip("/") + "/v1"


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"--body must be a JSON object, not {text!r}")
    return found
