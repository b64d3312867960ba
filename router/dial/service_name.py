"""How an operator names a Kubernetes Service: `[http[s]://][namespace/]service[:port]`."""

import re
from typing import NamedTuple

from router.dial.allow import MAX_PORT

_DNS_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SERVICE = re.compile(
    rf"(?:(?P<scheme>https?)://)?(?:(?P<namespace>{_DNS_LABEL})/)?(?P<name>{_DNS_LABEL})"
    rf"(?::(?:(?P<number>[0-9]{{1,5}})|(?P<port>{_DNS_LABEL})))?"
)


class ServiceName(NamedTuple):
    """The Service whose endpoints are the workers."""

    scheme: str
    namespace: str
    """Empty means the router's own namespace."""
    name: str
    port_name: str
    port_number: int
    """0 where the port is named, or there is only one."""


def read_service(text: str) -> ServiceName:
    """ValueError says what it must be."""
    found = _SERVICE.fullmatch(text)
    number = int(found["number"] or 0) if found else 0
    if found is None or number > MAX_PORT:
        seen = "" if "@" in text else f", not {text!r}"  # a password may stand before an @
        raise ValueError(f"must be [namespace/]service[:port], such as llm/vllm:8000{seen}")
    return ServiceName(found["scheme"] or "http", found["namespace"] or "", found["name"], found["port"] or "", number)
