"""`traceparent`, as the standard has it."""

import random

import pytest

from router.observe.trace_context import trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True)])
def test_a_clients_trace_goes_on_sampled_as_it_is(flags: str, sampled: bool) -> None:
    context = trace_context(f"00-{TRACE}-{SPAN}-{flags}".encode(), 0.5, random.Random(1))
    assert (f"{context.trace:032x}", f"{context.parent:016x}", context.sampled) == (TRACE, SPAN, sampled)
    assert context.header == f"00-{TRACE}-{context.span:016x}-0{int(sampled)}".encode()
    assert context.span not in (0, context.parent)


@pytest.mark.parametrize(
    "given",
    ["", "x", f"00-{TRACE}-{SPAN}", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
     f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more", f" 00-{TRACE}-{SPAN}-01"],
)  # fmt: skip
def test_what_cannot_be_read_begins_a_new_trace(given: str) -> None:
    context = trace_context(given.encode(), 1.0, random.Random(1))
    assert (context.parent, context.sampled) == (0, True)
    assert f"{context.trace:032x}" != TRACE


def test_a_later_version_is_read_as_this_one() -> None:
    assert trace_context(f"01-{TRACE}-{SPAN}-01-more".encode(), 0.0, random.Random(1)).parent == int(SPAN, 16)


def test_the_share_of_new_traces_is_kept() -> None:
    rng = random.Random(1)
    assert 150 < sum(trace_context(b"", 0.2, rng).sampled for _ in range(1000)) < 250
