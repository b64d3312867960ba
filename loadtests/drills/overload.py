"""Drill `overload`: finds the knee, offers 2 and 4 times as much, with the router's queue and without.

*Offered load* is requests sent per second, whatever becomes of them (open loop). *Goodput* is answers per second whose
time to first token met the objective. The *knee* is the offered load with the highest goodput.
"""

import asyncio
import dataclasses
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from loadtests.drills.goodput import Outcome
from loadtests.drills.offered_load import Work, key_of, offer
from loadtests.harness.processes import Engine, Router
from loadtests.laboratory.markdown import Table, number
from loadtests.ports import ports
from router.clients.key_hash import key_digest, new_salt

PROFILE = "llama-3.1-8b-a100"
ENGINES = 2
PREFILL_RATE = 11_500
LIGHT = 4
SHARES = {"heavy": 0.88} | {f"light-{number}": 0.12 / LIGHT for number in range(LIGHT)}
GREEDY = {"heavy": 0.52} | {f"light-{number}": 0.48 / LIGHT for number in range(LIGHT)}
"""At four times the knee each of the light ones, too, asks for more than twice its fair share."""
STEPS = (0.7, 0.8, 0.9, 1.0)
"""Offered loads to find the knee among, as parts of what prefill alone would allow."""
BEYOND = (2.0, 4.0)
QUEUE = ("--saturation-wait-s", "0.4", "--queue-timeout-s", "1.0", "--max-requests-in-flight", "800")
"""A quarter of the requests in flight may wait: 200."""
OFF = ("--saturation-wait-s", "0")


async def run(seed: int = 1) -> list[Table]:
    """All loads, one after the other, each on empty engines: about four minutes."""
    work = Work(shares=SHARES)
    queue_port, off_port, *engine_ports = ports(2 + ENGINES)
    engines = [Engine(port, "--profile", PROFILE, "--block-tokens", "64") for port in engine_ports]
    with tempfile.TemporaryDirectory() as folder:
        common = ("--tokenizer", "off", "--prefill-rate", str(PREFILL_RATE), "--keys-file", keys_file(Path(folder)))
        queued, plain = Router(queue_port, engines, *common, *QUEUE), Router(off_port, engines, *common, *OFF)
        async with AsyncExitStack() as stack:
            for process in (*engines, queued, plain):
                await stack.enter_async_context(process)

            async def load(router: Router, rate: float, work: Work) -> Outcome:
                for engine in engines:
                    await engine.call("POST", "/emulator/restart", {})
                await asyncio.sleep(1.5)  # until the routers have seen it
                return await offer(router, work, rate, seed)

            top = ENGINES * PREFILL_RATE / work.new_tokens
            short = dataclasses.replace(work, warm_s=4.0, window_s=9.0)
            steps = [await load(plain, step * top, short) for step in STEPS]
            knee = max(steps, key=lambda step: step.goodput)
            on = [await load(queued, factor * knee.offered, work) for factor in (1.0, *BEYOND)]
            off = [await load(plain, factor * knee.offered, work) for factor in BEYOND]
            greedy = await load(
                queued, BEYOND[-1] * knee.offered, dataclasses.replace(work, shares=GREEDY, window_s=24.0)
            )
    return [sweep(steps, knee), beyond(knee, on, off), shares(on[1:], greedy)]


def keys_file(folder: Path) -> str:
    """A keys file with one key per client; its path."""
    salt = new_salt()
    tables = (
        f'[[key]]\nlabel = "{client}"\nhash = "{key_digest(bytes.fromhex(salt), key_of(client).encode()).hex()}"\n'
        for client in SHARES
    )
    path = folder / "clients.toml"
    path.write_text(f'salt = "{salt}"\n' + "".join(tables))
    return str(path)


def sweep(steps: Sequence[Outcome], knee: Outcome) -> Table:
    """How the knee was found."""
    header = ("queue off", *(f"{step.offered:.1f}/s{' (knee)' if step is knee else ''}" for step in steps))
    rows = [
        ("goodput", *(number(step.goodput, "/s", 2) for step in steps)),
        ("TTFT p50", *(number(step.ttft_ms(0.5), "ms") for step in steps)),
        ("TTFT p99", *(number(step.ttft_ms(0.99), "ms") for step in steps)),
    ]
    return Table("The knee", header, rows)


def beyond(knee: Outcome, on: Sequence[Outcome], off: Sequence[Outcome]) -> Table:
    """Goodput past the knee."""
    loads = [*on, *off]
    names = ["queue on, 1x", *(f"queue on, {f:g}x" for f in BEYOND), *(f"queue off, {f:g}x" for f in BEYOND)]
    rows = [
        ("offered", *(number(load.offered, "/s", 1) for load in loads)),
        ("goodput", *(number(load.goodput, "/s", 2) for load in loads)),
        ("of the knee's", *(number(load.goodput / knee.goodput, "", 3) for load in loads)),
        ("TTFT p50 of the answered", *(number(load.ttft_ms(0.5), "ms") for load in loads)),
        ("TTFT p99 of the answered", *(number(load.ttft_ms(0.99), "ms") for load in loads)),
        ("answered 503", *(number(load.refused) for load in loads)),
        ("lost or left", *(number(load.lost) for load in loads)),
        ("most in the router's queue", *(number(load.depth) for load in loads)),
    ]
    return Table("Past the knee", ("", *names), rows)


def shares(loads: Sequence[Outcome], greedy: Outcome) -> Table:
    """What each client got against its fair share."""
    names = [f"{factor:g}x" for factor in BEYOND]
    got = [load.shares() for load in (*loads, greedy)]
    rows = [
        (
            client,
            f"{share:.0%}",
            *(f"{one[client]:.2f}" for one in got[:-1]),
            f"{GREEDY[client]:.0%}",
            f"{got[-1][client]:.2f}",
        )
        for client, share in SHARES.items()
    ]
    header = ("client", "asks for", *names, "asks for", f"{names[-1]}, all greedy")
    return Table("Tokens of good answers against the fair share of them (1 is fair)", header, rows)
