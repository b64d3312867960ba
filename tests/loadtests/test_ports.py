"""Ports that are free, from a wanted one on."""

import json
import socket
import subprocess
import sys

import pytest

from loadtests.ports import BLOCK, GIVEN, NoFreePortError, free_ports, is_free, ports

ASK = [sys.executable, "-c", f"import json, loadtests.ports as p; print(json.dumps(p.ports({BLOCK})))"]


def test_no_two_processes_are_given_the_same() -> None:
    own = {*ports(BLOCK)}
    others = {*json.loads(subprocess.run(ASK, capture_output=True, check=True).stdout)}
    assert own.isdisjoint(others)
    assert {*GIVEN} >= own | others, "nor does the kernel give these to anything"


def test_one_that_was_given_is_not_given_again_soon() -> None:
    assert len({*ports(BLOCK // 2)}) == BLOCK // 2


def test_taken_ports_are_passed_over() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]
        assert not is_free(taken)
        first, second = free_ports([taken, taken])
    assert taken < first < second


def test_no_port_left() -> None:
    with pytest.raises(NoFreePortError, match="no port from 65536 on is free"):
        free_ports([65536])
