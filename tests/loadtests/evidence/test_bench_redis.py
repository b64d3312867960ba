"""The scale benchmark on a small scene: it runs, and both layouts give the same answers."""

import random

import pytest

from loadtests.evidence.bench_redis import plain, scene
from loadtests.evidence.bench_redis.__main__ import main
from loadtests.evidence.bench_redis.router import bench_router
from loadtests.evidence.bench_redis.server import started
from router.prefix.index import HASH_BYTES
from tests.servers import binaries

SCENE = scene.Scene(scene.Case(1000, 3), workers=20, blocks=2000, seed=3)


def test_the_same_seed_gives_the_same_scene() -> None:
    assert SCENE.asked() == SCENE.asked()
    assert list(SCENE.holders()) == list(SCENE.holders())
    assert {len(chain) // HASH_BYTES for chain in SCENE.asked()} == {100}


async def test_both_layouts_find_the_same() -> None:
    with started(binaries()["valkey"]) as server, plain.PlainIndex(server.port) as beside:
        beside.fill(SCENE.background(), 10_000)
        beside.fill(SCENE.holders(), 100_000)
        async with bench_router(server.url) as router:
            await scene.fill(router.link, router.verbs, SCENE.background())
            await scene.fill(router.link, router.verbs, SCENE.holders())
            for chain in random.Random(1).sample(SCENE.asked(), 5):
                expected = {name.decode(): depth for name, depth in beside.match(chain).items()}
                found = await router.shared.match(chain, tuple(expected))
                assert {name: held.blocks for name, held in found.items()} == expected


def test_the_command_prints_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--binary", binaries()["valkey"], "--blocks", "2000", "--plain-blocks", "1000", "--workers", "200"]
    main([*words, "--block-tokens", "500", "--depths", "3", "--routers", "1", "--rounds", "40"])
    assert capsys.readouterr().out.count("| 500 | 3 |") == 2
