"""What one router knows of a conversation another one asks for: exactly that, and nothing that tells of the prompt."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from router.observe.instruments import Counter
from router.prompts.encoding import EncodePool
from router.prompts.recall import LEFT_TTL_S, Recall, RecallLimits
from router.shared.keys import Keys
from router.shared.seal import MAC_BYTES, Seal
from tests.router.shared.conftest import running_link, until
from tests.servers import RedisServer
from tests.tokenizer_cache.random_chats import body_of
from tests.tokenizer_cache.small import small
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.conversations.chain import HASH_BYTES
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.prompt import Prompt

SECRET = b"a secret of all routers"
WORDS = "read the file and write a test, and then read another file of the user "
TTL_S = 3600


class Side:
    """One router's encoder, and its part of what is told."""

    def __init__(self, recall: Recall, recalled: Counter, tag: bytes = b"tag") -> None:
        self.recall = recall
        self.results = recalled.values
        self.encoder = PromptEncoder("vllm", small("chatml"), 4, SECRET)
        recall.join(self.encoder, tag)

    def serve(self, request: Request) -> Prompt:
        """As a router that knows the conversation so far."""
        self.encoder.recognise(request)
        return self.encoder.encode(request)

    async def find(self, request: Request) -> Prompt:
        async with EncodePool(1) as pool:
            return await self.recall.find(self.encoder, request, self.encoder.recognise(request), pool)


@asynccontextmanager
async def side(server: RedisServer, room: bool = True, secret: bytes = SECRET) -> AsyncIterator[Side]:
    async with running_link(server.url) as link:
        recalled = Counter("recalled", "", ("result",))
        seal = Seal(secret, "recall", "conversation")
        yield Side(Recall(link, Keys("recall"), seal, RecallLimits(TTL_S, lambda: room), recalled), recalled)


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def turn(number: int, words: int = 12, **fields: Any) -> Request:
    """A conversation at its turn `number`."""
    messages = [{"role": "system", "content": "hello world " * 20}]
    for each in range(number):
        messages.append({"role": "user", "content": f"{each} " + WORDS * words})
        messages.append({"role": "assistant", "content": f"{each} hello world " * words})
    return parse("chat", body_of(messages[:-1], **fields), KeyedHash(SECRET))


def entries(server: RedisServer) -> dict[bytes, bytes]:
    with server.client() as client:
        return {key: client.get(key) for key in client.keys("{recall}:2:c:*")}


async def told(server: RedisServer, count: int) -> None:
    await until(lambda: len(entries(server)) >= count)


async def test_what_another_router_knows_is_known_before_it_is_encoded(own_server: RedisServer) -> None:
    async with side(own_server) as one, side(own_server) as two:
        before = one.serve(turn(3))
        await told(own_server, 2)
        request = turn(4)
        cold = two.encoder.recognise(request)
        assert cold.known_blocks == 0
        found = await two.find(request)
        exact = two.serve(turn(4))
        known = found.chain[: found.known_blocks * HASH_BYTES]
        assert found.known_blocks >= len(before.chain) // HASH_BYTES - 4
        assert exact.chain.startswith(known) and not found.exact
        assert abs(found.tokens - exact.tokens) < exact.tokens / 3
        two.recall.check(two.encoder, request, exact)
        assert two.results == {("found",): 1}


async def test_long_conversations_share_a_base(own_server: RedisServer) -> None:
    async with side(own_server) as one, side(own_server) as two:
        for number in range(1, 12):
            exact = one.serve(turn(number, 40))
            await told(own_server, number + 1)
            found = await two.find(turn(number, 40))
            assert exact.chain.startswith(found.chain[: found.known_blocks * HASH_BYTES])
            assert found.known_blocks >= len(exact.chain) // HASH_BYTES - 4
        sizes = sorted(map(len, entries(own_server).values()))
        assert len(exact.chain) + 37 + 2048 < sum(sizes) < 5 * len(exact.chain), "not every turn's whole chain"
        with own_server.client() as client:
            lives = [client.ttl(key) for key in entries(own_server)]
        assert all(0 < life <= TTL_S for life in lives)
        assert sum(life > LEFT_TTL_S for life in lives) <= 4, "what a later turn has replaced is let go"


async def test_a_lost_base_is_missed_and_written_anew(own_server: RedisServer) -> None:
    async with side(own_server) as one, side(own_server) as two:
        one.serve(turn(3, 40))
        one.serve(turn(4))
        await told(own_server, 3)
        with own_server.client() as client:
            client.flushall()
        one.serve(turn(3, 41))
        one.serve(turn(4, 41))
        assert (await two.find(turn(3, 40))).known_blocks < 60
        for number in range(5, 8):
            one.serve(turn(number, 41))
            await until(lambda: bool(entries(own_server)))
        found = await two.find(turn(8, 41))
        assert found.known_blocks > 100


async def test_without_a_match_nothing_is_changed(own_server: RedisServer) -> None:
    async with side(own_server) as one, side(own_server, secret=b"other") as stranger, side(own_server) as two:
        one.serve(turn(3))
        await told(own_server, 2)
        request = turn(3)
        assert await stranger.find(request) == stranger.encoder.recognise(request)
        salted = turn(3, cache_salt="tenant")
        assert (await two.find(salted)).known_blocks == 0
        two.encoder.tag = b"another template"
        assert (await two.find(request)).known_blocks == 0
        assert two.results == {("missing",): 2}


async def test_a_part_that_differs_ends_the_recall(own_server: RedisServer) -> None:
    """A router of this deployment that is wrong: who only writes to Redis cannot sign it."""
    seal = Seal(SECRET, "recall", "conversation")
    async with side(own_server) as one, side(own_server) as two:
        one.serve(turn(3))
        await told(own_server, 2)
        with own_server.client() as client:
            for key, value in entries(own_server).items():
                place = key.removeprefix(b"{recall}:2:c:")
                client.set(key, seal.write(place, value[MAC_BYTES:-8] + b"wrongly!"))
        request = turn(3)
        assert (await two.find(request)).known_blocks > 0
        two.recall.check(two.encoder, request, two.serve(turn(3)))
        assert two.results == {("found",): 1, ("wrong",): 1}
        fresh = turn(3, 13)
        assert await two.find(fresh) == two.encoder.recognise(fresh)


async def test_what_another_hand_changed_or_moved_is_not_used_and_ends_nothing(own_server: RedisServer) -> None:
    async with side(own_server) as one, side(own_server) as two:
        one.serve(turn(3))
        await told(own_server, 2)
        kept = entries(own_server)
        moved = dict(zip(kept, [*list(kept.values())[1:], next(iter(kept.values()))], strict=True))
        for forged in ({key: value[:-8] + b"forged!!" for key, value in kept.items()}, moved):
            with own_server.client() as client:
                client.mset(forged)
            assert (await two.find(turn(3))).known_blocks == 0
        assert two.recall._link.counters.refused.values[("conversation",)] == 2
        with own_server.client() as client:
            client.mset(kept)
        assert (await two.find(turn(3))).known_blocks > 0
        assert set(two.results) == {("missing",), ("found",)}


@pytest.mark.parametrize(
    "value", [b"", b"x", b"\x02" + bytes(20) + b"y" * 8, b"\x01" + bytes(20) + b"odd", b"x" * (2 << 20)]
)
async def test_what_no_router_wrote_is_not_used(own_server: RedisServer, value: bytes) -> None:
    async with side(own_server) as one, side(own_server) as two:
        one.serve(turn(3))
        await told(own_server, 2)
        with own_server.client() as client:
            for key in entries(own_server):
                client.set(key, value)
        assert (await two.find(turn(3))).known_blocks == 0


async def test_nothing_is_told_without_room_or_redis(own_server: RedisServer) -> None:
    async with side(own_server, room=False) as full, side(own_server) as one:
        full.serve(turn(3))
        own_server.kill()
        await until(lambda: not one.recall._link.connected)
        one.serve(turn(2))
        assert (await one.find(turn(4, 30))).known_blocks >= 0
        own_server.start()
        await until(lambda: one.recall._link.connected)
        assert not entries(own_server)


async def test_entries_tell_nothing_of_the_prompt(own_server: RedisServer) -> None:
    async with side(own_server) as one:
        exact = one.serve(turn(3))
        await told(own_server, 2)
        ids = small("chatml").encode(json.loads(turn(3).body)["messages"][1]["content"])
        whole = b"".join(key + value for key, value in entries(own_server).items())
        assert exact.chain[:HASH_BYTES] in whole, "keyed hashes of blocks"
        for secret in (b"read", b"hello", SECRET):
            assert secret not in whole
        runs = [b"".join(number.to_bytes(4, "little") for number in ids[at : at + 2]) for at in range(len(ids) - 1)]
        assert not any(run in whole for run in runs)
        items = turn(3).conversation
        assert not any(items.digest(place) in whole for place in range(1, len(items) + 1)), "the hash's key hides"
