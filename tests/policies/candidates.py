"""Candidates and requests for the policies' tests: a readable builder, and hypothesis strategies over wide loads."""

from typing import Any

from hypothesis import strategies as st

from policies.api import Candidate, RequestFacts, candidate


def a_request(prompt_tokens: int = 10_000, session: bytes = b"", prefix: bytes = b"start") -> RequestFacts:
    """A request that is all prompt."""
    return RequestFacts(prompt_tokens=prompt_tokens, session=session, prefix=prefix)


def a_worker(worker: str, prompt_tokens: int = 10_000, cached_tokens: int = 0, **load: Any) -> Candidate:
    """An idle worker of 8,000 tokens/s and 300,000 tokens of KV, but for the `load` named."""
    idle = candidate(
        worker=worker,
        cached_tokens=cached_tokens,
        uncached_tokens=prompt_tokens - cached_tokens,
        queued_tokens=0,
        in_flight=0,
        held_tokens=0,
        waiting=0,
        kv_usage=0.0,
        kv_capacity_tokens=300_000,
        prefill_rate=8000.0,
    )
    return idle._replace(**load)


@st.composite
def situations(draw: st.DrawFn) -> tuple[RequestFacts, list[Candidate]]:
    """A request, and one to a dozen workers under any load, some of them equal but for their name."""
    prompt_tokens = draw(st.sampled_from([0, 1, 700, 20_000, 180_000]))
    request = a_request(prompt_tokens, draw(st.sampled_from([b"", b"session"])), draw(st.sampled_from([b"", b"p"])))
    loads = draw(st.lists(LOADS, min_size=1, max_size=6))
    loads += loads[: draw(st.integers(0, len(loads)))]
    return request, [
        a_worker(f"w{number}", prompt_tokens, min(cached, max(0, prompt_tokens - 1)), **load)
        for number, (cached, load) in enumerate(loads)
    ]


LOADS = st.tuples(
    st.sampled_from([0, 64, 3_008, 18_944, 200_000]),
    st.fixed_dictionaries(
        {
            "queued_tokens": st.integers(0, 1_000_000),
            "in_flight": st.integers(0, 500),
            "held_tokens": st.integers(0, 2_000_000),
            "waiting": st.integers(0, 300),
            "kv_usage": st.sampled_from([0.0, 0.03, 0.5, 0.97, 1.0]),
            "kv_capacity_tokens": st.sampled_from([0, 11_648, 300_000, 1_700_000]),
            "prefill_rate": st.sampled_from([1_700.0, 8_000.0, 45_000.0]),
        }
    ),
)
