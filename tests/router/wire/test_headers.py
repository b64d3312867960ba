"""Which headers of a client a worker gets, and that the router reads no other value than the worker will."""

import pytest

from router.wire.errors import ApiError
from router.wire.headers import RequestHeaders

Pairs = list[tuple[bytes, bytes]]


def forwarded(*pairs: tuple[bytes, bytes], keep: bool = True) -> Pairs:
    return list(RequestHeaders(pairs, keep).forward)


def test_end_to_end_headers_go_through_in_their_order() -> None:
    pairs = [(b"b", b"1"), (b"a", b""), (b"b", b"2"), (b"content-type", b"x"), (b"authorization", b"Bearer k")]
    assert forwarded(*pairs) == pairs
    assert forwarded(*pairs, keep=False) == pairs[:-1]


@pytest.mark.parametrize(
    "name",
    [
        b"content_length",
        b"transfer_encoding",
        b"x_api_key",
        b"x_request_id",
        b"x-request_id",
        b"x_warmroute_admin_key",
        b"content_type",
        b"proxy_authorization",
    ],
)
def test_a_header_that_counts_is_not_passed_under_another_spelling(name: bytes) -> None:
    assert forwarded((name, b"1"), (b"x_own", b"2")) == [(b"x_own", b"2")]


@pytest.mark.parametrize("name", [b"content-type", b"authorization", b"x-api-key"])
def test_what_may_be_there_once_is_not_taken_twice(name: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        RequestHeaders([(name, b"a"), (name, b"b")], False)
    assert refused.value.status == 400


def test_what_connection_names_is_dropped_and_counts_for_nothing() -> None:
    named = (b"connection", b"close, X-Own ,content-type,content-length")
    headers = RequestHeaders([(b"x-own", b"1"), (b"content-type", b"multipart/form-data"), named], True)
    assert (headers.forward, headers.content_type) == ([], b"")


@pytest.mark.parametrize("value", [b"a b", b"\xe9", b"a\x01", b"a\tb", b""])
def test_an_odd_request_id_is_as_good_as_none(value: bytes) -> None:
    assert RequestHeaders([(b"x-request-id", value)], True).request_id == b""
    assert RequestHeaders([(b"x-request-id", b"y" * 200)], True).request_id == b"y" * 128
