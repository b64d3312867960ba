"""The metrics of prompts: how bodies were read, and what encoding them cost."""

from collections import Counter as TallyCounter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tokenizer_cache.bodies.reader import Reader
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.encoder import PromptEncoder


class EncoderCollector(Collector):
    """How bodies were read, and what the encoders did and cost, over all models and formats."""

    def __init__(self, encoders: Callable[[], Iterable[PromptEncoder]], reader: Reader, room: Room) -> None:
        self._encoders = encoders
        self._reader = reader
        self._room = room

    def collect(self) -> Iterator[Metric]:
        """Sums over all encoders."""
        encoders = list(self._encoders())
        counters = [encoder.counters for encoder in encoders]
        sums: tuple[tuple[str, str, float], ...] = (
            (
                "warmroute_encode_cpu_seconds",
                "CPU time inside the tokenizer's own encode call; of short texts one in 16 is timed.",
                sum(c.encode_cpu_s for c in counters),
            ),
            ("warmroute_encoded_bytes", "Text given to the tokenizer.", sum(c.encoded_bytes for c in counters)),
            (
                "warmroute_tails_verified",
                "Rendered tails that agreed with the full rendering.",
                sum(c.verified for c in counters),
            ),
            (
                "warmroute_tails_failed",
                "Kinds of tails given up after a disagreement.",
                sum(c.failed for c in counters),
            ),
            (
                "warmroute_conversations_evicted",
                "Conversation boundaries forgotten for room.",
                self._room.evictions,
            ),
        )
        for name, help_text, value in sums:
            yield CounterMetricFamily(name, help_text, value=value)
        size = self._room.size_bytes + self._reader.size_bytes
        yield GaugeMetricFamily("warmroute_conversation_cache_bytes", "Memory for known conversations.", value=size)
        yield _by_label("warmroute_bodies_read", "Bodies by how much was parsed.", "part", [self._reader.read])
        yield _by_label(
            "warmroute_encodings", "Prompts by the way they were encoded.", "way", (c.hits for c in counters)
        )
        help_text = "Prompts that could not be exact and became text chunks, by reason."
        yield _by_label("warmroute_inexact_prompts", help_text, "reason", (c.inexact for c in counters))


def _by_label(name: str, help_text: str, label: str, counts: Iterable[Mapping[str, int]]) -> Metric:
    totals: TallyCounter[str] = TallyCounter()
    for one in counts:
        totals.update(dict(one))
    family = CounterMetricFamily(name, help_text, labels=(label,))
    for value, count in totals.items():
        family.add_metric((value,), count)
    return family
