"""What becomes the head of a request to a worker, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.errors import ApiError
from router.wire.request_head import UPGRADE, USUAL_NAMES, Headers, body_length, request_head
from router.wire.routes import NAMED_TARGETS
from tests.attacks.readings import read_alike

pairs = st.tuples(st.binary(max_size=12) | st.from_regex(rb"[a-z-]{1,9}", fullmatch=True), st.binary(max_size=12))


def head(headers: Headers, target: bytes = b"/v1/x?y", ending: bytes = b"") -> bytes:
    return request_head((b"POST", b"/prefix", target), b"worker:1", headers, ending)


def test_it_is_written_as_it_came() -> None:
    written = head([(b"a", b"1"), (b"a", b" \xe9\t"), (b"b", b"")], ending=body_length(b"xyz"))
    assert written == (
        b"POST /prefix/v1/x?y HTTP/1.1\r\nhost: worker:1\r\na: 1\r\na:  \xe9\t\r\nb: \r\ncontent-length: 3\r\n\r\n"
    )
    assert head([], ending=UPGRADE).endswith(b"\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n")
    assert body_length(None) == b""


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"a\n", b"\xe9", b"A", b"a\0", b" a", b"a\t", b"(a)"])
def test_a_name_is_a_token_in_lower_case(name: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        head([(b"ok", b""), (name, b"x")])
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "name", [b"host", b"content-length", b"transfer-encoding", b"connection", b"te", b"upgrade", b"trailer"]
)
def test_where_a_body_ends_and_what_is_this_hops_is_said_here_alone(name: bytes) -> None:
    with pytest.raises(ApiError):
        head([(name, b"chunked")])


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\n", b"\r", b"\0", b"a\x0bb", b"a\r\n b", b"\x7f", b"\x1b[0m"])
def test_a_value_holds_no_control_characters(value: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        head([(b"a", value)])
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "target", [b"", b"*", b"x@host/", b"http://x/", b"/a b", b"/a\r\nb", b"/\xe9", b"/\0", b"/a\x7f", b"/ HTTP/1.1\r\n"]
)
def test_a_target_is_a_path_of_visible_characters(target: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        head([], target)
    assert refused.value.status == 400


@given(st.lists(pairs, max_size=4), st.binary(max_size=8), st.none() | st.binary(max_size=30))
def test_whatever_is_written_is_one_request_to_every_parser(headers: Headers, more: bytes, body: bytes | None) -> None:
    try:
        written = head(headers, b"/" + more, body_length(body))
    except ApiError:
        return
    seen = read_alike(written + (body or b""))
    assert (seen.method, seen.target, seen.body) == (b"POST", b"/prefix/" + more, body or b"")
    assert [(name, value) for name, value in seen.headers if name not in (b"host", b"content-length")] == [
        (name, value.strip(b" \t")) for name, value in headers
    ]


def test_names_and_targets_known_to_be_safe_pass_beside_those_that_are_checked() -> None:
    for name in USUAL_NAMES:
        assert head([(name, b"1"), (b"unusual", b"2")])
    for target in NAMED_TARGETS:
        assert head([], target + b"?")
