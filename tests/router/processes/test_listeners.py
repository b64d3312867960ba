"""One port for several sockets, and for nobody else."""

import socket

import pytest

from router.processes.listeners import SPREADS, listeners, reserve


def test_a_reserved_port_is_shared_by_its_own_listeners() -> None:
    reserved, addresses = reserve("127.0.0.1", 0)
    mine = listeners(addresses) + (listeners(addresses) if SPREADS else [])
    try:
        assert {sock.getsockname() for sock in mine} == {addresses[0][1]}
        mine[0].listen()
        with socket.create_connection(addresses[0][1][:2]):
            mine[0].accept()[0].close()
    finally:
        for sock in (*reserved, *mine):
            sock.close()


def test_a_port_in_use_is_refused_even_when_its_owner_would_share() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            reserve("127.0.0.1", other.getsockname()[1])


def test_a_port_that_is_served_is_refused_to_another_supervisor() -> None:
    reserved, addresses = reserve("127.0.0.1", 0)
    mine = listeners(addresses)
    mine[0].listen()
    try:
        with pytest.raises(OSError, match="in use"):
            reserve("127.0.0.1", addresses[0][1][1])
    finally:
        for sock in (*reserved, *mine):
            sock.close()


def test_a_name_with_several_addresses_gets_one_port() -> None:
    reserved, addresses = reserve("localhost", 0)
    for sock in reserved:
        sock.close()
    assert len({address[1] for _, address in addresses}) == 1
