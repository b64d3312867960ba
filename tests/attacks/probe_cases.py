"""What a worker may answer to whoever asks what it is and how it is."""

from tests.attacks.hostile_worker import STREAM, Script, chunk, json_head
from tests.attacks.worker_cases import HEAD

_NAN = b'vllm:num_requests_running{engine="0"} 1\nvllm:num_requests_waiting %b\nvllm:kv_cache_usage_perc %b\n'
_MODEL = b'{"data":[{"id":"%b","root":"%b","max_model_len":%b}]}'


def said(body: bytes) -> Script:
    """All that a probe may ask is answered with this."""
    return Script((json_head(len(body)) + body,), "close")


PROBED = {
    "garbage": Script((b"garbage\r\n\r\n",), "close"),
    "nothing": Script((), "close"),
    "silence": Script((), "hang"),
    "a reset": Script((), "reset"),
    "a redirect": Script(
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",), "close"
    ),
    "a body without end": Script((HEAD + b"\r\n",), "close", b" " * 65536),
    "a head without end": Script((HEAD,), "close", b"x: y\r\n" * 10_000),
    "announcements without end": Script((), "close", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "single bytes": Script((STREAM,), "close", b"1\r\n \r\n" * 10_000),
    "trailers without end": Script((STREAM + chunk(b"{") + b"0\r\n",), "close", b"x: y\r\n" * 10_000),
    "a drip": Script(tuple(json_head(1000)[at : at + 1] for at in range(60)), "hang"),
    "half a body": Script((json_head(1000) + b"{",), "hang"),
    "gzip": Script((HEAD + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x8b\x08",), "close"),
    "deep JSON": said(b"[" * 200_000),
    "deep JSON, closed": said(b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "not UTF-8": said(b"\xff" * 1000),
    "a model name of a megabyte": said(_MODEL % (b"m" * 1_000_000, b"r", b"1")),
    "a model name that moves the cursor": said(_MODEL % (b"\\u001b[2J", b"r", b"1")),
    "a huge length of prompts": said(_MODEL % (b"evil", b"r", b"9" * 300)),
    "100,000 models": said(b'{"data":[' + b",".join(b'{"id":"m%d"}' % number for number in range(100_000)) + b"]}"),
    "NaN": said(_NAN % (b"NaN", b"NaN")),
    "infinity": said(_NAN % (b"+Inf", b"-Inf")),
    "huge": said(_NAN % (b"1e308", b"1e308") * 3),
    "a million samples": said(b'vllm:num_requests_running{engine="0"} 1\n' * 200_000),
    "a million lines": said(b"\n" * 4_000_000),
}
"""What probes are answered, whatever they ask. None of it costs anybody else anything."""
