"""The command: runs every arm in every case, alternating, and prints the table.

The router has one core, the client and the stub workers share the other. What a run counts: CPU of the router between
two readings around a closed loop of requests, the work it leaves for later included; then latency at a paced rate.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.evidence.cost import bodies, report, routers

NAN = float("nan")
WORKERS_OFFSET = 10
"""Ports: the router's, its metrics', and from here on the workers'."""
STREAM_SIZE_KB = 16
MANY_SIZES_KB = (1, 150)
PACED_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole benchmark, as asked for."""

    arms: Sequence[str]
    cases: Sequence[report.Case]
    pythons: dict[str, str]
    seconds: float
    repeats: int
    rate: float
    """Requests per second of the paced phase."""
    tokenizer: str
    warmroute_args: Sequence[str]
    recorded: bool
    cpus: tuple[int, int]
    """Core of the client and the stub; core of the router."""
    logs: Path
    first_port: int

    @property
    def worker_port(self) -> int:
        """Port of the first worker."""
        return self.first_port + WORKERS_OFFSET


class Client:
    """The client process, as something to ask for phases."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._stdin, self._stdout = routers.pipes_of(child)

    def run(self, **command: Any) -> dict[str, Any]:
        """Run one phase, return its summary (see loadtests.evidence.cost.client)."""
        self._stdin.write(json.dumps(command) + "\n")
        self._stdin.flush()
        answer = self._stdout.readline()
        if not answer:
            raise routers.NotStarted("the client died")
        return dict(json.loads(answer))


def sessions_for(case: report.Case, seconds: float, rate: float) -> int:
    """Enough sessions that the fastest arm does not run out of turns."""
    if case.chunks and case.interval_ms:
        per_second = 8000 / (case.chunks * case.interval_ms)
    else:
        per_second = 1e6 / (100 + 8 * case.chunks + 1.4 * case.size_kb)
    needed = per_second * (seconds + 1.5) + 2 * rate * PACED_SECONDS
    return max(64, int(needed) // bodies.turns(case.size_kb))


@contextmanager
def surroundings(plan: Plan, case: report.Case) -> Iterator[Client]:
    """The stub workers and the client of one case."""
    module = [sys.executable, "-m"]
    stub = [*module, "loadtests.evidence.cost.stub_worker", "--first-port", str(plan.worker_port)]
    stub += ["--workers", str(case.workers), "--chunks", str(case.chunks or 1), "--interval-ms", str(case.interval_ms)]
    client = [*module, "loadtests.evidence.cost.client", "--size-kb", str(case.size_kb)]
    client += ["--sessions", str(sessions_for(case, plan.seconds, plan.rate))]
    client += ["--stream"] * bool(case.chunks) + ["--recorded"] * plan.recorded
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        started = [
            stack.enter_context(routers.process(routers.pinned(command, plan.cpus[0]), plan.logs / log, **pipes))
            for command, log in ((stub, "stub.log"), (client, "client.log"))
        ]
        for child in started:
            if routers.pipes_of(child)[1].readline().strip() != "ready":
                raise routers.NotStarted(f"the workers or the client did not start, see {plan.logs}")
        yield Client(started[1])


def run_direct(plan: Plan, case: report.Case, client: Client) -> report.Measurement:
    """The client against one worker."""
    client.run(kind="first", port=plan.worker_port)
    loop = client.run(kind="later", port=plan.worker_port, seconds=min(0.5, plan.seconds))
    paced = client.run(kind="later", port=plan.worker_port, seconds=PACED_SECONDS, rate=plan.rate)
    return _measurement(case, routers.DIRECT, loop, paced, {})


def run_router(plan: Plan, case: report.Case, arm: str, client: Client) -> report.Measurement:
    """One arm, in a process of its own."""
    workers = [f"http://127.0.0.1:{plan.worker_port + index}" for index in range(case.workers)]
    extra = plan.warmroute_args if arm == "warmroute" else ()
    setup = routers.Setup(plan.pythons[arm], workers, plan.first_port, plan.first_port + 1, plan.tokenizer, extra)
    with routers.Router(arm, setup, plan.cpus[1], plan.logs / f"{arm}.log") as router:
        return _measure(plan, case, arm, client, router)


def _measure(plan: Plan, case: report.Case, arm: str, client: Client, router: routers.Router) -> report.Measurement:
    port, usage = router.port, router.usage
    warm_up = client.run(kind="first", port=port)
    if warm_up["errors"]:
        raise RuntimeError(f"{arm} is not warm: {warm_up['error']}")
    usage.settle(0.0, timeout_s=20.0)
    idle = usage.idle_ms_per_s(2.0)
    client.run(kind="later", port=port, seconds=0.5)
    usage.settle(idle)
    before, cpu = router.said(), usage.cpu_ms()
    loop = client.run(kind="later", port=port, seconds=plan.seconds)
    spare = idle * usage.settle(idle)
    used, rss = usage.read()
    after = router.said()
    paced = client.run(kind="later", port=port, seconds=PACED_SECONDS, rate=plan.rate)
    end = router.said()
    facts = {"cpu_ms": (used - cpu - spare) / max(1, loop["requests"]), "rss_mb": rss, "idle_ms_per_s": idle}
    if before and after and end:
        facts["encode_ms"] = (after.encode_ms - before.encode_ms) / max(1, loop["requests"])
        facts |= {
            "p50": end.overhead_ms(after, 0.5),
            "p99": end.overhead_ms(after, 0.99),
            "stall_ms": end.stall_ms(after),
        }
    return _measurement(case, arm, loop, paced, facts)


def _measurement(
    case: report.Case, arm: str, loop: dict[str, Any], paced: dict[str, Any], facts: dict[str, float]
) -> report.Measurement:
    return report.Measurement(
        case=case,
        arm=arm,
        requests=loop["requests"],
        errors=loop["errors"] + paced["errors"],
        error=loop["error"] or paced["error"],
        per_second=loop["requests"] / loop["seconds"],
        cpu_ms=facts.get("cpu_ms", NAN),
        encode_ms=facts.get("encode_ms", 0.0),
        idle_ms_per_s=facts.get("idle_ms_per_s", NAN),
        rss_mb=facts.get("rss_mb", NAN),
        ttft_ms=(paced["ttft_p50_ms"], paced["ttft_p99_ms"]),
        overhead_ms=(facts.get("p50", NAN), facts.get("p99", NAN)),
        stall_ms=facts.get("stall_ms", NAN),
    )


def run(plan: Plan) -> Iterator[report.Measurement]:
    """Every case; in each, all arms, in an order that turns by one with every repeat."""
    for case in plan.cases:
        with surroundings(plan, case) as client:
            for repeat in range(plan.repeats):
                turn = repeat % len(plan.arms)
                for arm in [*plan.arms[turn:], *plan.arms[:turn]]:
                    if arm == routers.DIRECT:
                        yield run_direct(plan, case, client)
                    else:
                        yield run_router(plan, case, arm, client)


def cases(sizes_kb: Sequence[int], chunks: int, workers: int, many: int) -> list[report.Case]:
    """What the options ask for."""
    found = [report.Case(workers, 0, 0.0, size) for size in sizes_kb]
    if chunks:
        found += [report.Case(workers, chunks, interval_ms, STREAM_SIZE_KB) for interval_ms in (0.0, 1.0)]
    if many:
        found += [report.Case(many, 0, 0.0, size) for size in MANY_SIZES_KB if size in sizes_kb]
    return found


def interpreters(given: Sequence[str], arms: Sequence[str]) -> dict[str, str]:
    """`[ROUTER=]PATH` options to one interpreter per arm; Warmroute runs on ours."""
    named = dict(text.split("=", 1) for text in given if "=" in text)
    default = next((text for text in given if "=" not in text), sys.executable)
    return {arm: sys.executable if arm == "warmroute" else named.get(arm, default) for arm in arms}


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.evidence.cost", description=__doc__)
    parser.add_argument("--router", action="append", dest="arms", choices=[*routers.ARMS, routers.DIRECT])
    parser.add_argument("--rivals-python", action="append", default=[], metavar="[ROUTER=]PATH")
    parser.add_argument("--sizes", default="1,16,150,500", help="body sizes in KB")
    parser.add_argument("--chunks", type=int, default=32, help="SSE chunks of the 16 KB stream; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--workers-many", type=int, default=0, help="a second fleet, for 1 and 150 KB")
    parser.add_argument("--first-port", type=int, default=22_000, help="a free range of ports begins here")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second of the latency phase")
    parser.add_argument("--tokenizer", default="", help="Warmroute's --tokenizer")
    parser.add_argument("--warmroute-args", default="", help="more options for `warmroute serve`, separated by spaces")
    parser.add_argument("--recorded", action="store_true", help="recorded sessions from WARMROUTE_TEST_DATA")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark, print one JSON line per run and then the table."""
    args = options().parse_args(argv)
    arms = args.arms or ["warmroute", report.REFERENCE, routers.DIRECT]
    sizes = [int(size) for size in args.sizes.split(",") if size]
    plan = Plan(
        arms=arms,
        cases=cases(sizes, args.chunks, args.workers, args.workers_many),
        pythons=interpreters(args.rivals_python, arms),
        seconds=args.seconds,
        repeats=args.repeats,
        rate=args.rate,
        tokenizer=args.tokenizer,
        warmroute_args=args.warmroute_args.split(),
        recorded=args.recorded,
        cpus=(0, 1) if len(os.sched_getaffinity(0)) > 1 else (0, 0),
        first_port=args.first_port,
        logs=Path(tempfile.mkdtemp(prefix="warmroute-cost-")),
    )
    measurements = []
    for measurement in run(plan):
        measurements.append(measurement)
        print(json.dumps(asdict(measurement)), file=sys.stderr, flush=True)
    versions = {arm: routers.version(plan.pythons[arm], arm) for arm in arms if arm != routers.DIRECT}
    command = "python -m loadtests.evidence.cost " + " ".join(argv if argv is not None else sys.argv[1:])
    text = report.document(measurements, versions, command, args.repeats)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
