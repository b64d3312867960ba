"""Kinds of places: what is read as what. What is refused is tested with the sources, which name the setting."""

import pytest

from router.settings import places
from router.settings.setting import Kind


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (places.worker_url(), "http://10.0.0.1:8000/", "http://10.0.0.1:8000"),
        (places.worker_url(), "https://gateway/worker-1", "https://gateway/worker-1"),
        (places.worker_url(), "http://[::1]:8000", "http://[::1]:8000"),
        (places.redis_url(), "redis://:secret@cache:6379/0", "redis://:secret@cache:6379/0"),
        (places.redis_url(), "redis+sentinel://a:1,b:2/main", "redis+sentinel://a:1,b:2/main"),
    ],
)
def test_value_is_read(kind: Kind, given: object, value: object) -> None:
    read = kind.read(given)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    "path",
    [
        *("v1/x", "/v1/x/", "//x", "/", "", "/v1/../x", "/a b", "/a%20b", "/a;b", "/\u00e9", "/v1/x?y"),
        *("/metrics", "/health", "/admin/x", "/v1/models", "/v1/models/m"),
        *("/v1/chat/completions", "/v1/realtime", "/v1/responses/resp_1"),
    ],
)
def test_an_extra_path_is_plain_and_not_the_routers(path: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        places.extra_path().read(path)
    assert places.extra_path().read("/v1/other") == "/v1/other"
