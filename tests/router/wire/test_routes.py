"""Which paths there are, in which spelling. Every spelling at a whole router: `http/test_paths`."""

import pytest

from router.wire.errors import ApiError
from router.wire.routes import Paths, canonical, endpoint_label, is_canonical, is_own, style_of


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/v1/chat/completions", "/v1/chat/completions"),
        (b"//v1///score//", "/v1/score"),
        (b"/v1/%73core", "/v1/score"),
        (b"/v1/responses/resp_a%3Ab", "/v1/responses/resp_a:b"),
        (b"/v1/.a", "/v1/.a"),
        (b"/v1/...", "/v1/..."),
    ],
)
def test_a_path_has_one_spelling(raw: bytes, path: str) -> None:
    assert canonical(raw) == path
    assert is_canonical(path)


@pytest.mark.parametrize(
    "raw",
    [b"/", b"", b"v1", b"/v1/../x", b"/v1/.", b"/%2e%2e/x", b"/v1/%2573", b"/a;b", b"/a\\b", b"/a%00", b"/\xc3\xa9"],
)
def test_what_is_no_plain_path_has_none(raw: bytes) -> None:
    assert canonical(raw) == ""


def test_a_spelling_that_is_not_the_one() -> None:
    assert not is_canonical("/v1//score")
    assert not is_canonical("/v1/é")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/chat/completions", "POST"),
        ("/v1/embeddings", "POST"),
        ("/tokenize", "OPTIONS"),
        ("/added", "GET"),
        ("/added", "POST"),
        ("/v1/responses/resp_1", "DELETE"),
        ("/v1/responses/resp_1/input_items", "GET"),
        ("/v1/responses/resp_1/cancel", "POST"),
    ],
)
def test_a_worker_may_be_asked(path: str, method: str) -> None:
    Paths(["/added"]).check(path, method)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v1/chat/completions", "GET", 405),
        ("/v1/responses/resp_1/cancel", "GET", 405),
        ("/v1/responses/resp_1", "POST", 405),
        ("/added", "DELETE", 405),
        ("/v1/responses/other", "GET", 404),
        ("/v1/responses/resp_1/more", "GET", 404),
        ("/reset_prefix_cache", "POST", 404),
        ("", "POST", 404),
    ],
)
def test_a_worker_may_not(path: str, method: str, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        Paths(["/added"]).check(path, method)
    assert refused.value.status == status


def test_own_pages_are_known_in_one_spelling() -> None:
    assert all(map(is_own, (b"/health", b"/metrics", b"/v1/models", b"/v1/models/m", b"/admin", b"/admin/workers")))
    assert not any(map(is_own, (b"//metrics", b"/metrics/", b"/administrator", b"/v1/chat/completions")))


def test_style_and_label_follow_from_the_path() -> None:
    paths = ("/v1/messages", "/v1/messages/count_tokens", "/v1/responses/resp_1", "/v1/completions")
    assert [style_of(path) for path in paths] == ["anthropic", "anthropic", "responses", "openai"]
    labels = [endpoint_label(path) for path in (*paths[:3], "/v1/realtime", "/made/up")]
    assert labels == [*paths[:2], "/v1/responses/{id}", "/v1/realtime", "other"]
