"""W3C trace context: the `traceparent` that a client sends, and the one that the worker gets in its place.

What cannot be read is as good as none, as the standard demands: a new trace begins.
"""

import random
import re
from typing import NamedTuple

_TRACEPARENT = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
SAMPLED = 1
TRACEPARENT = b"traceparent"


class TraceContext(NamedTuple):
    """One request's place in its trace."""

    trace: int
    parent: int
    """The client's span; 0 when the trace begins here."""
    span: int
    """The span of the router's request to the worker: the parent of what the worker does."""
    sampled: bool

    @property
    def header(self) -> bytes:
        """The worker's `traceparent`."""
        return b"00-%032x-%016x-%02x" % (self.trace, self.span, self.sampled)


def trace_context(traceparent: bytes, sample: float, rng: random.Random) -> TraceContext:
    """Go on with the client's trace, sampled if it is; or begin one, of which this share is sampled."""
    span = rng.getrandbits(64) or 1
    found = _TRACEPARENT.fullmatch(traceparent)
    if found and found["version"] != b"ff" and (found["version"] != b"00" or not found["more"]):
        trace, parent = int(found["trace"], 16), int(found["span"], 16)
        if trace and parent:
            return TraceContext(trace, parent, span, bool(int(found["flags"], 16) & SAMPLED))
    return TraceContext(rng.getrandbits(128) or 1, 0, span, rng.random() < sample)
