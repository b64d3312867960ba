"""Another hand in Redis: whatever lies under the routers' keys, no request fails, the loop does not stand still, memory
stays bounded, and the routers share again.
"""

import random
import re
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from router.fleet.load_part import OwnPart
from router.shared import keys as page
from router.shared.publishing import HEAD
from router.shared.seal import Seal
from tests.attacks.redis_site import ADMIN, TAG, WORDS, Site, keys_of
from tests.servers import RedisServer

pytestmark = pytest.mark.alone

KINDS = {
    "check": "check",
    "workers": "workers",
    "routers": "routers",
    "response:HASH": f"response:{'0' * 32}",
    "load:ROUTER": f"load:{'f' * 16}",
    "events:WORKER": "events:w-0123456789",
    "sessions": "sessions",
    "use:ROUTER": f"use:{'f' * 16}",
    "c:DIGEST": "c:0123456789abcdef",
    "names": "names",
    "live": "live",
    "h:NUMBER": "h:17640000000000",
    "s:HASH": "s:12345678",
}
"""Every kind of key, as `router/shared/keys.py` lists them, and one of each that no router has."""
TYPES = ("string", "list", "set", "zset", "hash", "stream")
STALL_S = 0.05
GROWTH_BYTES = 300 << 20
"""Of this process, in which two routers, their engine and the tests are."""
NUMBERS = [b"-1", b"0", b"1", b"9007199254740993", b"9223372036854775807", b"1e308", b"-1e308", b"nan", b"inf", b"0x10"]
NUMBERS += [b"0.5", b"99999999999999999999999", b"", b" 7"]
PACKED = [bytes(12), b"\xff" * 12 + b"w-0123456789", b"\x01\x80" + b"\xff" * 8, b"\x80" * 4, b"v" * 10]
WORD = st.binary(max_size=40) | st.sampled_from(NUMBERS) | st.sampled_from(PACKED)
ATTACK = st.tuples(
    st.sampled_from(TYPES), st.booleans(), st.lists(WORD, min_size=1, max_size=6), st.integers(0, 1 << 30)
)


@pytest.fixture(autouse=True)
def nothing_went_wrong_inside() -> None:
    """Instead of the other suites': here a router has to say that another index secret is in use."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def site(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), server.url) as site:
        site.until(lambda: all(router.sharing.load.routers == 2 for router in site.routers))
        site.until(lambda: all(any(_is(kind, key) for key in keys_of(server)) for kind in WRITTEN))
        yield site


WRITTEN = ("check", "routers", "load:ROUTER", "sessions", "use:ROUTER", "names", "live", "h:NUMBER", "s:HASH")
"""Kinds that the requests of the site make."""


def _is(kind: str, key: bytes) -> bool:
    stem, separator, _ = kind.partition(":")
    name = key.removeprefix(TAG.encode())
    return name.startswith((stem + separator).encode()) if separator else name == kind.encode()


def example(kind: str) -> bytes:
    """A key of this kind, which no router has where there are many."""
    return f"{TAG}{KINDS[kind]}".encode()


def plant(client: Any, key: bytes, kind: str, words: list[bytes]) -> None:
    """Have a value of this type there, in one step."""
    pipe = client.pipeline()
    pipe.delete(key)
    if kind == "string":
        pipe.set(key, words[0])
    elif kind == "list":
        pipe.rpush(key, *words)
    elif kind == "set":
        pipe.sadd(key, *words)
    elif kind == "zset":
        pipe.zadd(key, {word: 10.0 ** (number * 60) for number, word in enumerate(words)})
    elif kind == "hash":
        pipe.hset(key, mapping={word: words[-1 - number] for number, word in enumerate(words)})
    else:
        pipe.xadd(key, {word or b"-": word for word in words})
    pipe.execute()


def spoil(client: Any, key: bytes, words: list[bytes], rng: random.Random) -> None:
    """Change what is there, in its own type, so that it looks well formed."""
    kind = client.type(key)
    if kind == b"hash":
        fields = [*client.hkeys(key)[:50], b"v", b"#last", b"#epoch", b"width", b"w-0123456789"]
        client.hset(key, mapping={rng.choice(fields): rng.choice(words) for _ in range(3)})
    elif kind == b"zset":
        client.zadd(key, {word: rng.choice([0.0, 1e18, float("inf"), time.time() * 1000]) for word in words})
    elif kind == b"string":
        value = client.get(key) or b""
        at = rng.randrange(len(value) + 1)
        client.set(key, rng.choice([value[:at], value + words[0], value[:at] + words[0] + value[at + 1 :]]))


def shares_again(site: Site, mark: str) -> None:
    """What one router learns the other uses; each sees the other's load, and what operators decide."""
    one, two = site.routers
    content = f"{mark} {WORDS * 150}"  # which only one of them has seen
    site.until(lambda: all(router.sharing.link.responsive for router in site.routers))
    site.until(lambda: all(router.sharing.load.routers == 2 for router in site.routers))
    site.call(site.ask(one, content))
    assert not site.failures
    site.until(lambda: site.call(site.cached(two, content)) > 100)
    assert not any(router.parts.basics.instruments.restarts.values for router in site.routers)


def test_the_page_of_keys_is_attacked_whole() -> None:
    assert page.__doc__ is not None
    listed = re.findall(r"^\| `\{prefix\}:2:([^`]+)` \|", page.__doc__, re.MULTILINE)
    assert sorted(listed) == sorted(KINDS)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # the routers' thread draws at random
def test_any_value_of_any_type_under_every_key(site: Site, server: RedisServer) -> None:
    with server.client() as client:

        @settings(
            max_examples=25,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(ATTACK, min_size=len(KINDS), max_size=len(KINDS)))
        def attack(attacks: list[tuple[str, bool, list[bytes], int]]) -> None:
            there = keys_of(server)
            for kind, (kind_of_value, well_formed, words, seed) in zip(KINDS, attacks, strict=True):
                rng = random.Random(seed)
                own = [key for key in there if _is(kind, key)] or [example(kind)]
                for key in (*rng.sample(own, min(3, len(own))), example(kind)):
                    if well_formed:
                        spoil(client, key, words, rng)
                    else:
                        plant(client, key, kind_of_value, words)
            site.served(4)

        attack()
    shares_again(site, "after the attacks")


@pytest.mark.parametrize("kind", TYPES)
def test_a_type_under_all_keys_is_got_over_without_a_flush(site: Site, server: RedisServer, kind: str) -> None:
    with server.client() as client:
        for key in keys_of(server):
            plant(client, key, kind, [b"\xff\xfe", b"1"])
        for each in KINDS:
            plant(client, example(each), kind, [b"\xff\xfe", b"1"])
        site.served(8)
    shares_again(site, f"after {kind}")


def test_a_decision_of_an_operator_spreads_all_the_same(site: Site, server: RedisServer) -> None:
    one, two = site.routers
    worker = next(iter(two.parts.fleet.workers.values()))
    with server.client() as client:
        plant(client, example("workers"), "hash", [b"\xff\xfe", b"w-0123456789", b"w-\xff"])
        site.call(one.client.post(f"/admin/workers/{worker.id}/drain", headers=ADMIN))
        site.until(lambda: worker.draining, 5)
        plant(client, example("workers"), "list", [b"x"])
        site.call(one.client.post(f"/admin/workers/{worker.id}/undrain", headers=ADMIN))
        site.until(lambda: not worker.draining, 5)
        site.until(lambda: client.type(f"{TAG}workers") == b"hash", 5)
    site.failures.clear()  # of the time without a worker


LARGE = {
    "fields": "for n = 1, 100000 do redis.call('HSET', KEYS[1], 'w-' .. n, 'x') end",
    "names": "for n = 1, 100000 do redis.call('ZADD', KEYS[1], 9e15 + n, 'fake' .. n) end",
    "string": "redis.call('SET', KEYS[1], string.rep('x', 30000000))",
}


def storm(server: RedisServer) -> None:
    """300 routers that are none with parts that say that all is full, and what is too large everywhere."""
    part = OwnPart()
    part.list_workers(range(1000))
    for number in range(1000):
        part.put(number, 60_000, 1 << 31, 1 << 31)
    forged = Seal(b"another secret", "warmroute", "load").write(
        b"x", HEAD.pack(int(time.time() * 1000), 9) + part.pack()
    )
    with server.client() as client:
        script = "for n = 1, 300 do redis.call('SET', KEYS[1] .. 'load:fake' .. n, ARGV[1]) "
        script += "redis.call('ZADD', KEYS[1] .. 'routers', ARGV[2], 'fake' .. n) end"
        now = client.time()
        client.eval(script, 1, TAG, forged, now[0] * 1000 + now[1] // 1000)
        for kind in WRITTEN:
            key = next((key for key in keys_of(server) if _is(kind, key)), example(kind))
            own = client.type(key)
            large = {b"hash": "fields", b"zset": "names"}.get(own, "string")
            client.eval(LARGE[large], 1, key)
        client.delete(f"{TAG}workers")
        client.eval(LARGE["fields"], 1, f"{TAG}workers")


def test_what_is_huge_stalls_nothing_and_is_not_kept(site: Site, server: RedisServer) -> None:
    before = site.memory_bytes()
    calm, stormy = [], []
    for _ in range(4):
        site.served(4)
        calm.append(site.stall_s(0.7))
        site.worst_s = 0.0
        storm(server)
        time.sleep(0.7)
        stormy.append(site.worst_s)
        site.served(4)
        site.until(lambda: all(router.sharing.load.routers == 2 for router in site.routers))
    assert statistics.median(stormy) - statistics.median(calm) < STALL_S, (calm, stormy)
    assert site.memory_bytes() - before < GROWTH_BYTES
    shares_again(site, "after the storm")
    assert site.refused()["load"] > 0


def test_a_flush_ends_it_too(site: Site, server: RedisServer) -> None:
    with server.client() as client:
        for key in keys_of(server):
            plant(client, key, "set", [b"\xff"])
        client.flushall()
    site.served(4)
    shares_again(site, "after the flush")
