"""A client's limits in HTTP: OpenAI's x-ratelimit headers, 429 with Retry-After, 403 for models."""

from router.clients import Client, Refusal
from router.wire.errors import ApiError

REASONS = {
    "requests": "Rate limit reached: {client} may send {limit} requests per minute.",
    "tokens": "Rate limit reached: {client} may use {limit} uncached prompt tokens per minute.",
    "concurrency": "Too many requests at once: {client} may have {limit} in flight.",
}


class ClientError(ApiError):
    """A request that is refused because of its client's limits or rights. `reason` is a metric label."""

    def __init__(self, status: int, message: str, code: str, reason: str, retry_after_s: int | None = None) -> None:
        super().__init__(status, message, code, retry_after_s=retry_after_s)
        self.reason = reason


def limit_error(client: Client, refusal: Refusal) -> ClientError:
    """429 for a limit that is used up."""
    spec = client.spec
    limit = {
        "requests": spec.requests_per_minute,
        "tokens": spec.uncached_tokens_per_minute,
        "concurrency": spec.max_concurrency,
    }[refusal.reason]
    message = REASONS[refusal.reason].format(client=client.label, limit=limit)
    return ClientError(429, message, "rate_limit_exceeded", refusal.reason, refusal.retry_after_s)


def model_error(client: Client, param: str = "model") -> ClientError:
    """403 for a model that the client may not use, whether it exists or not. `param` is the field that names it."""
    error = ClientError(403, f"{client.label} may not use this model.", "model_not_allowed", "model")
    error.param = param
    return error


def limit_headers(client: Client) -> list[tuple[bytes, bytes]]:
    """Headers with the rest of the limits per minute; none for a client without such limits."""
    headers: list[tuple[bytes, bytes]] = []
    for name, bucket in ((b"requests", client.requests), (b"tokens", client.tokens)):
        if bucket is not None:
            headers.append((b"x-ratelimit-limit-" + name, b"%d" % bucket.per_minute))
            headers.append((b"x-ratelimit-remaining-" + name, b"%d" % max(0, int(bucket.level))))
            headers.append((b"x-ratelimit-reset-" + name, _duration(bucket.reset_s())))
    return headers


def _duration(seconds: float) -> bytes:
    """A duration as OpenAI writes it: 120ms, 7.66s, 6m0s."""
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    minutes, rest = divmod(round(seconds, 2), 60)
    return (f"{minutes:.0f}m{rest:.0f}s" if minutes else f"{rest:g}s").encode()
