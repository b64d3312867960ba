"""Turns EndpointSlices into workers. Pure. It declares the fields of the Kubernetes API that matter here.

A Pod is one worker, even if it has an address of each family. A Pod that is not ready or is terminating gets no new
requests and keeps its running ones.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Literal

import msgspec

from router.dial.allow import WorkerUrl
from router.dial.service_name import ServiceName
from router.fleet.labels import Labels
from router.members.source import WorkerSpec

ROLE_LABEL = "warmroute.io/role"
MODEL_LABEL = "model.warmroute.io/"
"""Prefix of a label whose name is a model: values of labels cannot hold several."""


class Meta(msgspec.Struct):
    """Metadata of an object or of a list."""

    name: str = ""
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    more: str | None = msgspec.field(default=None, name="continue")
    labels: dict[str, str] | None = None


class _Conditions(msgspec.Struct):
    ready: bool | None = None
    terminating: bool | None = None


class _Target(msgspec.Struct):
    uid: str = ""


class _Endpoint(msgspec.Struct):
    addresses: list[str] = []
    conditions: _Conditions = msgspec.field(default_factory=_Conditions)
    target: _Target | None = msgspec.field(default=None, name="targetRef")


class _Port(msgspec.Struct):
    name: str | None = None
    port: int | None = None


class EndpointSlice(msgspec.Struct):
    """One EndpointSlice."""

    metadata: Meta
    address_type: str = msgspec.field(default="", name="addressType")
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


class SliceList(msgspec.Struct):
    """One page of a list."""

    metadata: Meta
    items: list[EndpointSlice]


class Status(msgspec.Struct):
    """The object that the API sends for an error."""

    code: int = 0


class Event(msgspec.Struct):
    """One line of a watch."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


def specs_of(slices: Iterable[EndpointSlice], service: ServiceName) -> list[WorkerSpec]:
    """One spec for each Pod, or for each address where no Pod is named."""
    found: dict[str, WorkerSpec] = {}
    for one in sorted(slices, key=lambda slice_: slice_.address_type):  # IPv4 first
        port = _port(one, service)
        if not port or one.address_type not in ("IPv4", "IPv6"):
            continue
        labels = labels_of(one.metadata.labels or {})
        for endpoint in one.endpoints or ():
            spec = _spec(endpoint, service.scheme, port, labels)
            if spec is not None:
                key = spec.generation or spec.url
                before = found.get(key)
                if before is None or (before.draining and not spec.draining):
                    found[key] = spec
    return list(found.values())


def labels_of(labels: dict[str, str]) -> Labels:
    """The labels of a slice, which Kubernetes copies from its Service."""
    models = frozenset(name.removeprefix(MODEL_LABEL) for name in labels if name.startswith(MODEL_LABEL))
    return Labels(models, labels.get(ROLE_LABEL, ""))


def _spec(endpoint: _Endpoint, scheme: str, port: int, labels: Labels) -> WorkerSpec | None:
    try:
        address = ip_address(endpoint.addresses[0])
    except (ValueError, IndexError):
        return None
    away = endpoint.conditions.ready is False or bool(endpoint.conditions.terminating)
    generation = endpoint.target.uid if endpoint.target else ""
    return WorkerSpec(WorkerUrl(scheme, str(address), port, address, "").url, labels, away, generation)


def _port(one: EndpointSlice, service: ServiceName) -> int:
    """The port's number; 0 when the slice does not have the port."""
    if service.port_number:
        return service.port_number
    ports = [port for port in one.ports or () if port.port]
    if service.port_name:
        ports = [port for port in ports if port.name == service.port_name]
    return (ports[0].port or 0) if len(ports) == 1 else 0
