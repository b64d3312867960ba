"""The status as lines of a terminal. Pure: a status, a width and a height in; text out.

Lines are cut short, and what could move the cursor is shown as Python writes it, whoever wrote it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from router.dial.quoting import printable

BOLD, DIM, RED, YELLOW, GREEN, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"
BAR = 24
"""Characters of a worker's KV memory."""
MARKS = {"running": "█", "pausing": "▒", "leaving": "▚"}
MOST_WAITING = 5
OTHER, FREE = "·", " "
LEGEND = "█ turn running  ▒ pausing  ▚ leaving  · other prefixes"


def screen(status: Mapping[str, Any], width: int, height: int, color: bool = True) -> str:
    """At most `height` lines of at most `width` characters each."""
    lines = [*_head(status), *_notices(status), *_workers(status), *_waiting(status), *_decisions(status)]
    shown = [_styled(printable(text)[: max(1, width)], style, color) for style, text in lines[: max(1, height)]]
    return "\n".join(shown)


Line = tuple[str, str]
"""A line's style, and its text."""


def _head(status: Mapping[str, Any]) -> Iterator[Line]:
    router, totals = status["router"], status["totals"]
    up = seconds(status["at"] - router["started_at"])
    draining = "  DRAINING" if router["draining"] else ""
    yield BOLD, f"Warmroute {router['version']}  {router['policy']}  up {up}{draining}"
    prompts = totals["prompt_tokens"]
    hits = f"cached {share(totals['cached_tokens'], prompts)} (predicted {share(totals['predicted_tokens'], prompts)})"
    ttft = f"first token p50 {seconds(totals['ttft_p50_s'])}, p90 {seconds(totals['ttft_p90_s'])}"
    load = f"{totals['requests']:,} requests, {totals['in_flight']} in flight, {status['waiting_total']} wait"
    yield "", f"{hits}   {ttft}   {load}"
    yield from _saved(status)
    sharing = status["sharing"]
    if sharing["redis"]:
        yield "", f"{sharing['routers']} routers   Redis {'answers' if sharing['redis_up'] else 'DOES NOT ANSWER'}"


def _saved(status: Mapping[str, Any]) -> Iterator[Line]:
    for model in status["savings"]:
        served, *others = model["policies"]
        for other in others:
            hit = share(other["cached_tokens"], model["prompt_tokens"])
            saved = seconds(other["prefill_s"] - served["prefill_s"])
            name = f"{model['model']}: {other['policy']}"
            yield GREEN, f"{name} would have cached {hit}; saved {saved} of prefill"


def _notices(status: Mapping[str, Any]) -> Iterator[Line]:
    for notice in status["notices"]:
        bad = notice["level"] == "bad"
        yield RED if bad else YELLOW, f"{'✕' if bad else '!'} {notice['what']} -> {notice['do']}"


def _workers(status: Mapping[str, Any]) -> Iterator[Line]:
    yield "", ""
    columns = (
        f"{'WORKER':<30} {'STATE':<10} {'KV MEMORY':<{BAR + 2}} {'SESSIONS':>8} {'RUN':>4} {'QUEUED':>8} {'CACHED':>7}"
    )
    yield DIM, columns
    for worker in status["workers"]:
        hits, memory = worker["hits"], worker["memory"]
        state = "set aside" if worker["breaker"] != "closed" else worker["state"]
        style = "" if state == "healthy" else YELLOW if state == "draining" else RED
        yield (
            style,
            f"{worker['name'].removeprefix('http://'):<30.30} {state:<10} |{bar(memory)}| "
            f"{memory['sessions_total']:>8} {worker['in_flight']:>4} {worker['queued_tokens']:>8,} "
            f"{share(hits['cached_tokens'], hits['prompt_tokens']):>7}",
        )
    more = status["workers_total"] - len(status["workers"])
    yield DIM, f"{LEGEND}{f'   and {more} more healthy workers' if more else ''}"


def _waiting(status: Mapping[str, Any]) -> Iterator[Line]:
    if status["waiting"]:
        yield "", ""
    for waits in status["waiting"][:MOST_WAITING]:
        yield YELLOW, _waits(waits)


def _waits(waits: Mapping[str, Any]) -> str:
    who = "known session" if waits["known_session"] else "new session"
    return f"waits {seconds(waits['waited_s'])} for {waits['waits_for']}: {who} of {waits['model']}"


def _decisions(status: Mapping[str, Any]) -> Iterator[Line]:
    names = {worker["id"]: worker["name"].removeprefix("http://") for worker in status["workers"]}
    yield "", ""
    yield DIM, f"{'DECIDED FOR':<30} {'WHY':<10} {'PROMPT':>9} {'PREDICTED':>9} {'CACHED':>9} {'FIRST':>8}  PRICES"
    for seen in status["decisions"]:
        really = "" if seen["cached_tokens"] is None else f"{seen['cached_tokens']:,}"
        prices = " ".join(f"{each['cost']:.3f}" for each in sorted(seen["candidates"], key=lambda each: each["cost"]))
        yield (
            "",
            f"{names.get(seen['worker'], seen['worker']):<30.30} {seen['reason']:<10.10} {seen['prompt_tokens']:>9,} "
            f"{seen['predicted_cached_tokens']:>9,} {really:>9} {seconds(seen['ttft_s']):>8}  {prices}",
        )


def bar(memory: Mapping[str, Any]) -> str:
    """The KV memory as characters: its sessions, other prefixes, free."""
    every = max(memory["capacity_tokens"], memory["indexed_tokens"], memory["session_tokens"], 1)
    sessions: Sequence[Mapping[str, Any]] = memory["sessions"]
    held = sum(session["tokens"] for session in sessions)
    scale = BAR / every * (min(1.0, memory["session_tokens"] / held) if held else 1.0)
    drawn: str = ""
    at = 0.0
    for session in sessions:  # what sessions share counts once
        at += session["tokens"] * scale
        drawn += MARKS.get(session["state"], OTHER) * (round(at) - len(drawn))
    used = min(BAR, round(max(memory["session_tokens"], memory["indexed_tokens"]) / every * BAR))
    drawn += OTHER * (used - len(drawn))
    return drawn.ljust(BAR, FREE)[:BAR]


def share(part: float, every: float) -> str:
    """A part as a percentage; a dash for a part of nothing."""
    return f"{part / every:.1%}" if every else "-"


def seconds(value: float | None) -> str:
    """Seconds as people read them: milliseconds, seconds, minutes or hours; a dash for None."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 100:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.0f} h"


def _styled(text: str, style: str, color: bool) -> str:
    return f"{style}{text}{PLAIN}" if style and color else text
