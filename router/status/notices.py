"""What is amiss, each with what to do: the states in which a router serves, but less well than it could."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from router.dial.quoting import one_line
from router.fleet.breaker import BreakerState
from router.fleet.worker import Worker, WorkerState
from router.observe.metrics import Instruments
from router.sessions.admission.admission import SessionAdmission

BAD, WARNING = "bad", "warning"
MOST_NOTICES = 40
ENOUGH_REQUESTS = 20
"""Before this many answers nothing is said of how they were."""
FEW_HITS = 0.9
"""Less than this share of the predicted hits came: workers forget sooner than is believed."""
MUCH_TEXT = 0.05
"""More than this share of the prompts was compared as text."""


class Notice(NamedTuple):
    """One thing that is amiss."""

    level: str
    what: str
    do: str


class Shared(NamedTuple):
    """What routers share, as this one sees it."""

    up: bool
    secret_differs: bool


def notices(
    workers: Iterable[Worker], instruments: Instruments, admission: SessionAdmission, shared: Shared | None
) -> list[Notice]:
    """The worst first; at most 40."""
    every = list(workers)
    found = [
        *_of_fleet(every),
        *(notice for worker in every for notice in _of_worker(worker)),
        *_of_sharing(shared),
        *_of_answers(every, instruments),
        *_of_prompts(instruments),
        *_of_sessions(admission),
    ]
    found.sort(key=lambda notice: notice.level != BAD)
    return list(islice(found, MOST_NOTICES))


def _of_fleet(workers: list[Worker]) -> Iterator[Notice]:
    if not workers:
        yield Notice(BAD, "There is no worker.", "Name one with --worker, or look at the source of discovery.")
    elif not any(worker.available() for worker in workers):
        yield Notice(BAD, "No worker takes requests.", "Look at the reasons below; warmroute check says more.")


def _of_worker(worker: Worker) -> Iterator[Notice]:
    if worker is not worker.server:
        return  # all of this is its server's, and said of the first
    name = one_line(worker.url)
    if worker.state is WorkerState.UNHEALTHY:
        do = "Mend it, or remove it with DELETE /admin/workers/ID. warmroute check says more."
        yield Notice(BAD, f"{name} gets no requests: {one_line(worker.reason)}.", do)
        return
    if worker.state is WorkerState.DRAINING:
        yield Notice(WARNING, f"{name} is draining.", "POST /admin/workers/ID/undrain takes it back.")
    if worker.breaker.state is not BreakerState.CLOSED:
        yield Notice(BAD, f"{name} failed several requests in a row.", "Look at its log. It is tried again by itself.")
    if worker.facts is None:
        return
    if not worker.pool.caches:
        yield Notice(WARNING, f"{name} keeps no prefixes.", "Start the engine with prefix caching.")
    elif not worker.pool.capacity_tokens:
        do = "Set default_kv_tokens to what the engine logs at its start."
        yield Notice(WARNING, f"{name} does not say how large its KV memory is.", do)


def _of_sharing(shared: Shared | None) -> Iterator[Notice]:
    if shared is None:
        return
    if not shared.up:
        do = "Each router decides by what it knows itself. Look at Redis, and at redis_timeout_ms."
        yield Notice(WARNING, "Redis does not answer, or not in time.", do)
    if shared.secret_differs:
        yield Notice(BAD, "Another router uses another index_secret.", "Give all routers the same one.")


def _of_answers(workers: list[Worker], instruments: Instruments) -> Iterator[Notice]:
    for worker in workers:
        label = (worker.id,)
        missing = instruments.learn_skipped.values.get(label, 0.0)
        predicted = instruments.predicted_cached_tokens.values.get(label, 0.0)
        over = instruments.overpredicted_tokens.values.get(label, 0.0)
        if missing > ENOUGH_REQUESTS and not instruments.reported_prompt_tokens.values.get(label):
            do = "vLLM: --enable-prompt-tokens-details; SGLang: --enable-cache-report."
            yield Notice(WARNING, f"Answers of {one_line(worker.name)} do not say what was cached.", do)
        elif predicted and over > (1 - FEW_HITS) * predicted:
            do = "Other clients use it, or its KV memory is smaller than believed: see docs/metrics.md."
            share = f"{over / predicted:.0%}"
            yield Notice(WARNING, f"{share} of the hits predicted at {one_line(worker.name)} did not come.", do)


def _of_prompts(instruments: Instruments) -> Iterator[Notice]:
    prompts = instruments.prompts.values
    every, text = sum(list(prompts.values())), prompts.get(("text",), 0.0)
    if every > ENOUGH_REQUESTS and text > MUCH_TEXT * every:
        do = "Set tokenizer, or see warmroute_inexact_prompts_total in docs/metrics.md."
        yield Notice(WARNING, f"{text / every:.0%} of the prompts are compared as text.", do)
    mismatches = sum(list(instruments.token_mismatches.values.values()))
    if mismatches:
        do = "Give the router the model's own tokenizer and chat template: see docs/metrics.md."
        yield Notice(WARNING, f"{mismatches:.0f} prompts had another length in the engine than here.", do)


def _of_sessions(admission: SessionAdmission) -> Iterator[Notice]:
    for model, demand in admission.demands():
        if demand.waiting:
            do = "More workers or KV memory; docs/sessions.md says what admission does meanwhile."
            what = f"Sessions of {one_line(model)} wait for room in the workers' KV memory: {len(demand.waiting)}."
            yield Notice(WARNING, what, do)
