"""How Services are named."""

import pytest

from router.dial.service_name import ServiceName, read_service


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vllm", ServiceName("http", "", "vllm", "", 0)),
        ("https://llm/vllm:8000", ServiceName("https", "llm", "vllm", "", 8000)),
        ("llm/vllm:http", ServiceName("http", "llm", "vllm", "http", 0)),
        ("vllm:65535", ServiceName("http", "", "vllm", "", 65535)),
        ("a" * 63, ServiceName("http", "", "a" * 63, "", 0)),
    ],
)
def test_a_service_name_is_read(text: str, expected: ServiceName) -> None:
    assert read_service(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a/b/c", "../x", "Vllm", "vllm:65536", "vllm?x=1", "ftp://vllm", "a b", "-a", "a-", "a" * 64, "vllm:http:1"],
)
def test_text_that_is_no_service_name_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        read_service(text)
    assert repr(text) in str(refused.value)


def test_a_password_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        read_service("http://user:secret@vllm")
    assert "secret" not in str(refused.value)
