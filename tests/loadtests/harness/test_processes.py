"""Reading a metrics page, and a process that is asked, killed and gone."""

import socket

import pytest

from loadtests.harness.client import ask, chat
from loadtests.harness.processes import Engine, NotReady, samples, total
from loadtests.harness.results import End
from loadtests.ports import ports

PAGE = """\
# TYPE warmroute_worker_in_flight gauge
warmroute_worker_in_flight{worker="a"} 2
warmroute_worker_in_flight{worker="b"} 1
# TYPE warmroute_retries counter
warmroute_retries_total{cause="reset"} 3
"""


def test_samples_are_summed_by_their_first_label() -> None:
    found = samples(PAGE)
    assert found["warmroute_worker_in_flight"] == {"a": 2, "b": 1}
    assert total(found, "warmroute_worker_in_flight") == 3
    assert total(found, "warmroute_retries_total") == 3
    assert total(found, "absent") == 0


async def test_one_that_cannot_start_is_told_at_once() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(NotReady, match="has ended with exit code 1"):
            await Engine(other.getsockname()[1]).__aenter__()


async def test_streams_end_as_the_engine_ends_them() -> None:
    body = chat("endurance", "hello", 5)
    async with Engine(ports(1)[0], "--speed", "10") as engine:
        whole = await ask(engine.port, body)
        await engine.fault("close_mid_stream", after_chunks=2, count=1)
        silent = await ask(engine.port, body)
        await engine.fault("status_503", count=1)
        refused = await ask(engine.port, body)
        await engine.fault("hang_after", count=1)
        hung = await ask(engine.port, body, patience_s=0.2)
        engine.kill()
        gone = await ask(engine.port, body)
    assert [one.end for one in (whole, silent, refused, hung, gone)] == [
        *(End.COMPLETE, End.SILENT, End.FAILED, End.HUNG, End.FAILED)
    ]
    assert 0 < whole.ttft_s < whole.ended_at - whole.started_at
