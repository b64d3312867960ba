"""Tracing, where the settings ask for it: imported here alone, since it needs an extra, and a fifth of a second."""

import random
from typing import TYPE_CHECKING

from router.settings import Settings

if TYPE_CHECKING:
    from router.observe.tracing import Tracing


def make_tracing(settings: Settings, rng: random.Random) -> "Tracing | None":
    """None where it is off. Raises ImportError without the extra `otel`."""
    if not settings.otlp_endpoint:
        return None
    from router.observe.tracing import Tracing  # noqa: PLC0415

    return Tracing(settings.otlp_endpoint, settings.trace_sample, rng)
