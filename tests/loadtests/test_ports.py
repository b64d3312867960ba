"""Ports that are free, from a wanted one on."""

import socket

import pytest

from loadtests.ports import NoFreePortError, free_ports, is_free


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
