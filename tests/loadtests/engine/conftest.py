"""Engines and clients for the tests of the HTTP surface."""

from collections.abc import Iterator

import httpx
import pytest

from tests.engines import EngineThread


@pytest.fixture
def engine() -> Iterator[EngineThread]:
    """A vLLM-like engine that serves `m` and the adapter `adapter`."""
    with EngineThread(model="m", loras=("adapter",), speed=10.0) as running:
        yield running


@pytest.fixture
def client(engine: EngineThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=engine.url, timeout=5.0) as opened:
        yield opened
