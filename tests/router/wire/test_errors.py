"""Errors as bodies and as events of each API."""

import json
from typing import Any

import pytest

from router.wire.errors import ApiError, Style, check_redirect, error_body, error_event, exhausted


def body(style: Style, status: int, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(error_body(style, status, "m", *more))
    return found


@pytest.mark.parametrize(
    ("status", "openai", "anthropic"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (403, "permission_error", "permission_error"),
        (404, "not_found_error", "not_found_error"),
        (413, "invalid_request_error", "request_too_large"),
        (418, "invalid_request_error", "invalid_request_error"),
        (429, "rate_limit_error", "rate_limit_error"),
        (502, "api_error", "api_error"),
        (503, "service_unavailable_error", "overloaded_error"),
        (504, "timeout_error", "timeout_error"),
        (529, "api_error", "overloaded_error"),
    ],
)
def test_each_status_has_its_kind_in_each_api(status: int, openai: str, anthropic: str) -> None:
    assert body("openai", status)["error"]["type"] == body("responses", status)["error"]["type"] == openai
    assert body("anthropic", status) == {"type": "error", "error": {"type": anthropic, "message": "m"}}


def test_an_openai_error_names_code_and_field() -> None:
    assert body("openai", 400, "c", "p") == {
        "error": {"message": "m", "type": "invalid_request_error", "param": "p", "code": "c"}
    }
    assert body("openai", 400)["error"]["code"] == 400


@pytest.mark.parametrize("code", ["no_room", "overloaded", "queue_full", "queue_timeout"])
def test_a_lack_of_room_has_the_status_of_each_api(code: str) -> None:
    error = ApiError(503, "m", code)
    assert (error.status_in("openai"), error.status_in("responses"), error.status_in("anthropic")) == (503, 503, 529)
    assert ApiError(503, "m", "no_worker").status_in("anthropic") == 503


@pytest.mark.parametrize("style", ["openai", "anthropic", "responses"])
def test_an_event_is_one_whole_frame_that_ends_the_stream(style: Style) -> None:
    event = error_event(style, ApiError(502, 'a "b"\nc'))
    assert event.endswith(b"\n\n")
    frame, *rest = event.removesuffix(b"\n\n").split(b"\n\n")
    assert rest == ([b"data: [DONE]"] if style == "openai" else [])
    lines = frame.split(b"\n")
    assert lines[:-1] == ([] if style == "openai" else [b"event: error"])
    told = json.loads(lines[-1].removeprefix(b"data: "))
    assert (told if style == "responses" else told["error"])["message"] == 'a "b"\nc'


def test_what_the_router_lacks_is_503_and_no_refusal() -> None:
    assert (exhausted().status, exhausted().outcome, exhausted().retry_after_s) == (503, "router_error", 1)
    assert ApiError(400, "m").outcome == "refused"


@pytest.mark.parametrize("status", [300, 301, 307, 399])
def test_a_redirect_is_no_answer(status: int) -> None:
    with pytest.raises(ApiError) as refused:
        check_redirect(status)
    assert (refused.value.status, refused.value.outcome) == (502, "worker_failed")


@pytest.mark.parametrize("status", [200, 299, 304, 400])
def test_other_statuses_are_no_redirect(status: int) -> None:
    check_redirect(status)
