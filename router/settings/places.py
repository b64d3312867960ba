"""Kinds of values that say where something is: URLs, DNS names, addresses, paths.

What a reader does and what it raises: `kinds.py`. A URL may hold a password, so what has an `@` is never quoted.
"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from router.dial.allow import Rule, read_rule
from router.dial.hosts import is_host
from router.dial.quoting import quoted
from router.dial.service_name import ServiceName, read_service
from router.kv_events.rules import EventRule, parse_rule
from router.settings.kinds import UNPRINTABLE, word
from router.settings.setting import Kind
from router.shared.address import parse_address
from router.wire.routes import PROMPT_ROUTES, REALTIME, RESPONSE_ID, is_canonical, is_own


def _url(given: object, schemes: tuple[str, ...]) -> str:
    example = f"{schemes[0]}://host:port"
    try:
        parts = urlsplit(word(given))
        sound = parts.scheme in schemes and is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        seen = "" if "@" in str(given) else f", not {quoted(given)}"  # before an @ stands a password
        raise ValueError(f"must be a URL such as {example}{seen}")
    return str(given)


def redis_url() -> Kind:
    """Where Redis is. A URL may hold a password, so it is never quoted."""

    def read(given: object) -> str:
        if not isinstance(given, str) or UNPRINTABLE.search(given):
            raise ValueError("must be a URL such as redis://host:port")
        if given:
            parse_address(given)
        return given

    return Kind(read, "a URL (redis, rediss, unix, redis+sentinel, redis+cluster)", "URL")


def url(*schemes: str) -> Kind:
    """An absolute URL of one of `schemes`."""
    return Kind(lambda given: _url(given, schemes), f"a URL ({', '.join(schemes)})", "URL")


def worker_url() -> Kind:
    """A worker's root: what `/v1/...` and `/metrics` are appended to. Read without its trailing slash."""

    def read(given: object) -> str:
        parts = urlsplit(_url(given, ("http", "https")))
        if parts.username is not None:
            raise ValueError("must not hold a user name or password: give the key as worker_api_key")
        if parts.query or parts.fragment:
            raise ValueError(f"must have neither query nor fragment, not {quoted(given)}")
        if re.search(r"/v1/*$", parts.path):
            raise ValueError(f"must be the worker's root, without /v1, not {quoted(given)}")
        return str(given).rstrip("/")

    return Kind(read, "a URL (http, https)", "URL")


def allow_rule() -> Kind:
    """One entry of the list of what workers may be."""

    def read(given: object) -> Rule:
        return read_rule(word(given))

    return Kind(read, "[scheme://]host[:port[-port]]", "RULE")


def dns_name() -> Kind:
    """A DNS name that stands for workers, as a URL: of its addresses, or (`+srv`) of its SRV records."""

    def read(given: object) -> str:
        parts = urlsplit(_url(given, ("http", "https", "http+srv", "https+srv")))
        host = (parts.hostname or "").rstrip(".")
        if parts.username is not None or parts.query or parts.fragment or re.fullmatch(r"[0-9.]*|.*:.*", host):
            raise ValueError(f"must be a name, such as http://workers.example.com:8000, not {quoted(given)}")
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"

    return Kind(read, "a URL (http, https, http+srv, https+srv)", "URL")


def name_server() -> Kind:
    """A DNS server's address, and its port where that is not 53. It cannot be a name: there is no server yet to resolve
    it."""

    def read(given: object) -> str:
        try:
            parts = urlsplit(f"//{word(given)}")
            ip_address(parts.hostname or "")
            sound = parts.netloc == given and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise ValueError(
                f"must be an IP address, such as 10.0.0.10, 10.0.0.10:53 or [fd00::1]:53; not {quoted(given)}"
            )
        return str(given)

    return Kind(read, "address[:port]", "ADDRESS")


def service() -> Kind:
    """A Kubernetes Service whose endpoints are workers."""

    def read(given: object) -> ServiceName:
        return read_service(word(given))

    return Kind(read, "[scheme://][namespace/]service[:port]", "SERVICE")


def event_rule() -> Kind:
    """Where a worker's KV events come from."""

    def read(given: object) -> EventRule:
        return parse_rule(word(given))

    return Kind(read, "[WORKER_URL=]auto, on, off or PORT[/REPLAY_PORT]", "RULE")


def extra_path() -> Kind:
    """A worker's path, spelt as the router compares it, and none that the router serves in another way."""

    def read(given: object) -> str:
        path = word(given)
        if not is_canonical(path):
            raise ValueError(f"must be a plain path such as /v1/other, without a slash at its end, not {quoted(given)}")
        if is_own(path.encode()) or path in PROMPT_ROUTES or path == REALTIME.decode() or RESPONSE_ID.fullmatch(path):
            raise ValueError(f"must be a path that the router neither answers nor routes already, not {quoted(given)}")
        return path

    return Kind(read, "a path", "PATH")
