"""What slices mean: Pods, ports, conditions, labels."""

from typing import Any

import msgspec
import pytest

from router.dial.service_name import read_service
from router.fleet.labels import Labels
from router.members.endpoint_slices import EndpointSlice, labels_of, specs_of
from router.members.source import WorkerSpec
from tests.router.members.api_server import endpoint, slice_of


def specs(service: str, *slices: dict[str, Any]) -> dict[str, WorkerSpec]:
    read = [msgspec.convert(one, EndpointSlice) for one in slices]
    return {spec.url: spec for spec in specs_of(read, read_service(service))}


def test_a_port_by_name_by_number_or_the_only_one() -> None:
    both = slice_of("s", endpoint("10.0.0.1"))
    assert list(specs("vllm:metrics", both)) == ["http://10.0.0.1:9090"]
    assert list(specs("https://vllm:8443", both)) == ["https://10.0.0.1:8443"]
    assert specs("vllm", both) == specs("vllm:other", both) == {}
    assert list(specs("vllm", {**both, "ports": [{"port": 7}]})) == ["http://10.0.0.1:7"]
    assert specs("vllm", {**both, "ports": None}) == {}


@pytest.mark.parametrize(
    ("conditions", "draining"),
    [
        ({"ready": None, "serving": None, "terminating": None}, False),
        ({"ready": False}, True),
        ({"ready": True, "terminating": True}, True),
        ({"ready": False, "serving": True, "terminating": True}, True),
    ],
)
def test_conditions(conditions: dict[str, bool | None], draining: bool) -> None:
    (spec,) = specs("vllm:http", slice_of("s", endpoint("10.0.0.1", "", **conditions))).values()
    assert spec.draining is draining


def test_a_pod_with_two_addresses_or_in_two_slices_is_one_worker() -> None:
    six = slice_of("a6", endpoint("fd00::1", "u1"), endpoint("fd00::2"), kind="IPv6")
    old = slice_of("b4", endpoint("10.0.0.1", "u1", ready=False))
    new = slice_of("c4", endpoint("10.0.0.1", "u1"))
    found = specs("vllm:http", six, old, new)
    assert {url: spec.draining for url, spec in found.items()} == {
        "http://10.0.0.1:8000": False,
        "http://[fd00::2]:8000": False,
    }
    assert found["http://10.0.0.1:8000"].generation == "u1"


def test_what_is_no_address_is_left_out() -> None:
    names = slice_of("s", endpoint("gpu.example.com"), kind="FQDN")
    odd = slice_of("t", endpoint("not an address"), {"addresses": []}, {"addresses": ["10.0.0.9"], "conditions": {}})
    assert list(specs("vllm:http", names, odd)) == ["http://10.0.0.9:8000"]


def test_labels_of_the_service_name_models_and_role() -> None:
    labels = {
        "warmroute.io/role": "chat",
        "model.warmroute.io/qwen3-32b": "",
        "model.warmroute.io/m": "true",
        "app": "x",
    }
    assert labels_of(labels) == Labels(frozenset({"qwen3-32b", "m"}), "chat")
    assert labels_of({}) == Labels()
