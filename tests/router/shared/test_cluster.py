"""The link to a Cluster of three shards: it finds the one that has its keys, follows a failover and a move of slots,
and needs no more rights than are documented."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from loadtests.ports import ports
from router.shared.address import Endpoint, parse_address
from router.shared.failure import Failure, FailureKind
from router.shared.script import command
from tests.router.shared.conftest import running_link, until
from tests.router.shared.test_rights import rules
from tests.servers import RedisServer

SHARDS = 3
BOUNDS = (0, 5461, 10922, 16384)
KEY = "{warmroute}:x"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Primaries in the order of their slots; the replica is of the one that has KEY."""

    primaries: list[RedisServer]
    replica: RedisServer
    owner: int

    @property
    def url(self) -> str:
        """Any node's address will do to find the others."""
        return f"redis+cluster://127.0.0.1:{self.primaries[self.owner - 1].port}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """For all tests, as it takes seconds to form; the last one breaks it."""
    settings = {"cluster_enabled": "yes", "cluster_node_timeout": "500"}
    with ExitStack() as stack:
        buses = ports(SHARDS + 1)
        nodes = [stack.enter_context(RedisServer(**settings, cluster_port=str(bus))) for bus in buses]
        *primaries, replica = nodes
        clients = [stack.enter_context(node.client()) for node in nodes]
        for client, first, end in zip(clients, BOUNDS, BOUNDS[1:], strict=False):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        slot = int(clients[0].execute_command("CLUSTER", "KEYSLOT", KEY))
        owner = next(number for number in range(SHARDS) if slot < BOUNDS[number + 1])
        name = clients[owner].execute_command("CLUSTER", "MYID").decode()
        wait(lambda: name in str(clients[-1].execute_command("CLUSTER", "NODES")))
        clients[-1].execute_command("CLUSTER", "REPLICATE", name)
        for client in clients:
            wait(lambda client=client: "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")))  # type: ignore[misc]
        wait(lambda: clients[-1].info("replication")["master_link_status"] == "up")
        yield Cluster(primaries, replica, owner)


def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Until the nodes have told each other."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_the_documented_user_suffices(cluster: Cluster) -> None:
    for node in (*cluster.primaries, cluster.replica):
        with node.client() as client:
            client.execute_command("ACL", "SETUSER", "warmroute", "reset", *rules())
    async with running_link(cluster.url.replace("//", "//warmroute:password@"), route_key=KEY) as link:
        assert await link.tell(command("SET", KEY, "1")) == b"OK"


async def test_moved_slots_are_followed(cluster: Cluster) -> None:
    target = cluster.primaries[cluster.owner - 1]
    async with running_link(cluster.url, route_key=KEY) as link:
        with target.client() as there, cluster.primaries[cluster.owner].client() as here:
            here.delete(KEY)
            name = there.execute_command("CLUSTER", "MYID")
            slot = here.execute_command("CLUSTER", "KEYSLOT", KEY)
            for client in (there, here):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)
        answer = await link.tell(command("SET", KEY, "1"))
        assert isinstance(answer, Failure) and answer.kind is FailureKind.MOVED
        await until(lambda: link.connected and link.counters.connections.values[()] >= 2)
        assert await link.tell(command("SET", KEY, "1")) == b"OK"
        with target.client() as there:
            assert there.get(KEY) == b"1"
            there.delete(KEY)
        with target.client() as there, cluster.primaries[cluster.owner].client() as here:
            name = here.execute_command("CLUSTER", "MYID")
            for client in (here, there):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)


async def test_a_killed_primary_is_followed_by_its_replica(cluster: Cluster) -> None:
    owner = cluster.primaries[cluster.owner]
    assert await parse_address(cluster.url).find(KEY) == Endpoint("127.0.0.1", owner.port)
    async with running_link(cluster.url, route_key=KEY) as link:
        assert await link.tell(command("SET", KEY, "1")) == b"OK"
        owner.kill()
        await until(lambda: link.connected and link.counters.connections.values[()] >= 2, 30)
        assert await parse_address(cluster.url).find(KEY) == Endpoint("127.0.0.1", cluster.replica.port)
        assert await link.tell(command("SET", KEY, "2")) == b"OK"
