"""What encoders did, over all of them."""

import pytest

from router.prompts.metrics import EncoderCollector
from tests.router.metrics_page import page
from tests.tokenizer_cache.small import small
from tokenizer_cache.bodies.reader import Reader
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.encoder import PromptEncoder

BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
MEDIA = BODY.replace(b'"hello"', b'[{"type":"image_url","image_url":{"url":"x"}}]')


def test_sums_over_all_encoders() -> None:
    room = Room(1 << 20)
    encoders = [PromptEncoder(name, small("chatml"), 16, b"s", room=room) for name in ("a", "b")]
    reader = Reader(1 << 20, KeyedHash(b"s"))
    for encoder in encoders:
        encoder.encode(parse("chat", BODY))
    encoders[0].encode(parse("chat", MEDIA))
    reader.read["whole"] = 3
    encoders[1].counters.verified, encoders[1].counters.failed = 4, 5
    room.evictions = 6
    found = page(EncoderCollector(lambda: encoders, reader, room))
    assert found["warmroute_encodings_total{way=cold}"] == 2
    assert found["warmroute_inexact_prompts_total{reason=media}"] == 1
    assert found["warmroute_bodies_read_total{part=whole}"] == 3
    assert (found["warmroute_tails_verified_total{}"], found["warmroute_tails_failed_total{}"]) == (4, 5)
    assert found["warmroute_conversations_evicted_total{}"] == 6
    counters = [encoder.counters for encoder in encoders]
    assert found["warmroute_encoded_bytes_total{}"] == sum(each.encoded_bytes for each in counters) > 0
    assert found["warmroute_encode_cpu_seconds_total{}"] == pytest.approx(sum(each.encode_cpu_s for each in counters))
    assert found["warmroute_conversation_cache_bytes{}"] == room.size_bytes + reader.size_bytes > 0
