"""Messages arrive as they were sent, and what is none is refused."""

import msgspec
import pytest

from router.kv_events.wire import LENGTH, EventSource, News, Orders, packed, read_news, read_orders

SOURCE = EventSource(key="w.1", events="tcp://h:1", roots=(b"12345678",), cell_bytes=256)
NEWS = News(key="w.1", complete=True, lost=[b"12345678"], held=[b"12345678" * 2], counts={"stored": 3}, blocks=2)


def test_orders_and_news_are_read_as_they_were_written() -> None:
    orders = Orders(secret=b"s", sources=[SOURCE])
    assert read_orders(packed(orders)[LENGTH.size :]) == orders
    assert read_news(packed(NEWS)[LENGTH.size :]) == NEWS


@pytest.mark.parametrize(
    "change",
    [
        {"lost": [b"1234567"]},
        {"held": [b"12345678"] * 257},
        {"held": [b""]},
        {"counts": {"stored": -1}},
        {"key": "x" * 200},
        {"complete": 1},
    ],
)
def test_malformed_news_are_refused(change: dict[str, object]) -> None:
    body = msgspec.msgpack.encode({**msgspec.to_builtins(NEWS, builtin_types=(bytes,)), **change})
    with pytest.raises(msgspec.DecodeError):
        read_news(body)
