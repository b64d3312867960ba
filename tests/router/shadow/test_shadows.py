"""What is counted of shadows, beside a router that serves, and that none of them costs a request."""

import csv
import io
import logging
import random
from pathlib import Path

import pytest

import policies
from router.clients.key_hash import key_digest, new_key, new_salt
from router.prefix.residency import Limits
from router.shadow.shadows import SERVED, Shadows
from router.shadow.world import World
from tests.engines import EngineThread
from tests.routers import MODEL, RunningRouter, chat, running_router

LONG = "What would another policy have found? " * 300
FAILS = """
class Fails:
    scope = "few"
    reasons = ("never",)

    def __init__(self, rng): pass

    def costs(self, request, candidates): return [0.0 for _ in candidates]

    def select(self, request, candidates): raise RuntimeError("no")
"""


async def two_turns(router: RunningRouter) -> dict[str, float]:
    for _ in range(2):
        answer = await router.client.post("/v1/chat/completions", json=chat(LONG))
        assert answer.status_code == 200
    await router.settles()
    metrics = await router.metrics()
    return {name: value for name, value in metrics.items() if name.startswith("warmroute_shadow_")}


async def test_a_repeated_prompt_is_a_hit_as_served_and_none_under_round_robin() -> None:
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url, two.url, shadows=("round_robin",)) as router:
            found = await two_turns(router)
            (told,) = (await router.client.get("/admin/status", headers={"x-warmroute-admin-key": "admin"})).json()[
                "savings"
            ]
    label = f'client="anonymous",model="{MODEL}",policy='
    served = found[f'warmroute_shadow_cached_tokens_total{{{label}"{SERVED}"}}']
    prompts = found[f'warmroute_shadow_prompt_tokens_total{{client="anonymous",model="{MODEL}"}}']
    assert served > 0.4 * prompts > 1000
    assert found[f'warmroute_shadow_cached_tokens_total{{{label}"round_robin"}}'] == 0
    seconds = [found[f'warmroute_shadow_prefill_seconds_total{{{label}"{name}"}}'] for name in (SERVED, "round_robin")]
    assert seconds[1] > 1.7 * seconds[0] > 0
    assert told["prompt_tokens"] == prompts
    assert [(each["policy"], each["cached_tokens"]) for each in told["policies"]] == [
        (SERVED, served),
        ("round_robin", 0),
    ]


async def test_without_shadows_nothing_is_counted() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            assert await two_turns(router) == {}


async def test_a_policy_that_fails_costs_no_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "fails.py"
    file.write_text(FAILS)
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, shadows=(f"{file}:Fails", "least_loaded")) as router:
            found = await two_turns(router)
            assert list(router.parts.shadows.worlds) == ["least_loaded"]
    assert not [name for name in found if "Fails" in name]
    assert any("least_loaded" in name for name in found)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert ["is given up" in record.getMessage() for record in errors] == [True]


async def test_a_world_that_fails_at_the_end_costs_no_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, shadows=("round_robin",)) as router:
            (world,) = router.parts.shadows.worlds.values()
            monkeypatch.setattr(world.residency, "apply", None)
            await two_turns(router)
            assert not router.parts.shadows.worlds
    assert "is given up" in caplog.text


def failing(*_: object) -> int:
    raise RuntimeError("no")


@pytest.mark.parametrize("part", ["count", "routers", "capacity"])
async def test_what_fails_beside_the_policies_costs_no_request(
    part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, shadows=("round_robin", "least_loaded")) as router:
            shadows = router.parts.shadows
            if part == "count":
                monkeypatch.setattr(shadows.counted, "add", failing)
            elif part == "routers":
                shadows._routers = failing
            else:
                shadows._routers = lambda: 2
                for world in shadows.worlds.values():
                    monkeypatch.setattr(world.residency, "set_capacity", failing)
            await two_turns(router)
            assert not shadows.worlds
    assert "is given up" in caplog.text


async def test_a_worker_leaves_though_a_world_fails() -> None:
    world = World(policies.build("round_robin", random.Random(1)), Limits(), random.Random(1))
    shadows = Shadows({"round_robin": world})
    world.residency.remove_worker = failing  # type: ignore[method-assign,assignment]
    shadows.remove_worker("gone")
    assert not shadows.worlds


async def test_memories_of_worlds_are_parts_where_several_routers_share_the_workers() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, shadows=("round_robin",)) as router:
            shadows, (worker,) = router.parts.shadows, router.parts.fleet.workers.values()
            (world,) = shadows.worlds.values()
            await two_turns(router)
            holder = world.residency.holder(worker.holder)
            assert holder is not None
            alone = holder.capacity_blocks
            shadows._routers = lambda: 4
            await two_turns(router)
            assert holder.capacity_blocks == alone // 4


async def test_what_was_saved_is_told_by_client_as_a_table(tmp_path: Path) -> None:
    key, salt = new_key(), new_salt()
    digest = key_digest(bytes.fromhex(salt), key.encode()).hex()
    keys = tmp_path / "clients.toml"
    keys.write_text(f'salt = "{salt}"\n[[key]]\nlabel = "team"\nhash = "{digest}"\n')
    admin = {"x-warmroute-admin-key": "admin"}
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url, two.url, shadows=("round_robin",), keys_file=str(keys)) as router:
            router.client.headers["authorization"] = f"Bearer {key}"
            found = await two_turns(router)
            table = await router.client.get("/admin/savings.csv?price=7200", headers=admin)
            refused = await router.client.get("/admin/savings.csv")
            wrong = await router.client.get("/admin/savings.csv?price=much", headers=admin)
    assert (refused.status_code, wrong.status_code) == (401, 400)
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    shadow, served = csv.DictReader(io.StringIO(table.text))
    assert [(row["model"], row["client"], row["requests"]) for row in (shadow, served)] == [(MODEL, "team", "2")] * 2
    seconds = {
        policy: found[f'warmroute_shadow_prefill_seconds_total{{client="team",model="{MODEL}",policy="{policy}"}}']
        for policy in (SERVED, "round_robin")
    }
    assert float(shadow["saved_money"]) == pytest.approx(2 * (seconds["round_robin"] - seconds[SERVED]), abs=0.01)
    assert float(shadow["saved_money"]) > 0 == float(served["saved_money"])
