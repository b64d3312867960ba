"""Redis loses some of its keys, in any order: what remains is never believed beyond what was written, and nothing
breaks."""

import asyncio
from typing import NamedTuple

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from router.prefix.index import HASH_BYTES, Record, State
from router.prefix.residency import Limits
from tests.router.prefix.conftest import PREFIXES, Clock, chain_of, make_shared, shared_server
from tests.router.shared.conftest import until

HOLDERS = ("a", "b", "c")
RUN = 43


class Step(NamedTuple):
    """One thing that happens."""

    kind: str
    holder: str
    word: str
    number: int


KINDS = [
    "write",
    "write",
    "write",
    "pend",
    "correct",
    "capacity",
    "lose node",
    "lose holder",
    "lose number",
    "lose all",
]
STEPS = st.lists(
    st.builds(Step, st.sampled_from(KINDS), st.sampled_from(HOLDERS), st.text("ab", min_size=1, max_size=9),
              st.integers(1, 380)),
    max_size=20,
)  # fmt: skip


def chain(word: str, blocks: int) -> bytes:
    return chain_of((letter, number) for letter in word for number in range(RUN))[: blocks * HASH_BYTES]


async def run(history: list[Step], flavour: str) -> None:
    server = shared_server(flavour)
    prefix = f"holes-{next(PREFIXES)}"
    link, index = make_shared(server.url, prefix, Limits(default_capacity_blocks=800), Clock())
    written: set[tuple[str, bytes]] = set()
    asked: set[bytes] = set()
    with server.client() as client:
        async with link, index:
            await until(lambda: link.connected)
            for step in history:
                part = chain(step.word, step.number)
                lost = sorted(client.keys(f"{{{prefix}}}:*"))
                if step.kind in ("write", "pend"):
                    state = State.CONFIRMED if step.kind == "write" else State.PENDING
                    index.record(Record(step.holder, part, state, step.number % 3 if step.kind == "write" else 0))
                    written.update((step.holder, part[:end]) for end in range(HASH_BYTES, len(part) + 1, HASH_BYTES))
                    asked.add(part)
                elif step.kind == "correct":
                    index.record(Record(step.holder, part, State.CORRECTED, tail=chain(step.word, 400)))
                elif step.kind == "capacity":
                    index.set_capacity(step.holder, step.number)
                elif step.kind == "lose all":
                    client.delete(f"{{{prefix}}}:2:names")
                elif step.kind == "lose number":
                    client.hdel(
                        f"{{{prefix}}}:2:live", *(client.hkeys(f"{{{prefix}}}:1:live")[: step.number % 2] or ["x"])
                    )
                else:
                    kind = b":s:" if step.kind == "lose node" else b":h:"
                    keys = [key for key in lost if kind in key]
                    if keys:
                        client.delete(keys[step.number % len(keys)])
                await index.flush()
                for question in asked:
                    for holder, held in (await index.match(question, HOLDERS)).items():
                        assert held.blocks <= held.pending_blocks <= len(question) // HASH_BYTES
                        assert held.blocks == 0 or (holder, question[: held.blocks * HASH_BYTES]) in written
            assert not index.fallbacks.values
            assert not index.writer.failed


@given(history=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_losses(history: list[Step]) -> None:
    asyncio.run(run(history, "valkey"))
