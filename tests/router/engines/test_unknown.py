"""A server that only lists its models."""

import pytest

from router.engines import control_client
from router.engines.answers import WorkerAnswerError
from router.engines.unknown import Unknown
from tests.router.fake_worker import FakeWorker, models


async def test_its_models_are_known_and_nothing_else() -> None:
    async with FakeWorker({"/v1/models": models("m", "n")}) as worker, control_client(5.0) as client:
        facts = await Unknown().facts(client, worker.url)
        assert (facts.engine, [card.id for card in facts.models]) == ("unknown", ["m", "n"])
        assert (facts.version, facts.block_tokens, facts.kv_capacity_tokens, facts.generation) == ("", 0, 0, "")
        assert await Unknown().load(client, worker.url) is None
        assert worker.asked == ["/v1/models"], "its load is not asked for"


async def test_a_server_without_models_is_none() -> None:
    async with FakeWorker({}) as worker, control_client(5.0) as client:
        with pytest.raises(WorkerAnswerError):
            await Unknown().facts(client, worker.url)
