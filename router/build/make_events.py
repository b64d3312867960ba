"""Who listens to workers' KV events: this router, or where several share a Redis, one of them for each worker."""

from router.build.basics import Basics
from router.build.make_dial import Dial
from router.build.make_sharing import Sharing
from router.fleet.workers import Fleet
from router.kv_events.follower import Follower, Following
from router.kv_events.host_address import HostAddresses
from router.kv_events.leases import Alone, SharedLeases
from router.prefix.tree import TreeIndex


def make_follower(basics: Basics, fleet: Fleet, tree: TreeIndex, sharing: Sharing | None, dial: Dial) -> Follower:
    """It follows nobody yet."""
    leases = Alone() if sharing is None else SharedLeases(sharing.link, basics.keys, sharing.load.name)
    index = tree if sharing is None else sharing.index
    hosts = HostAddresses(dial.resolver.addresses)
    return Follower(fleet, index, tree.find, Following(leases, hosts, basics.settings.kv_events, basics.secret))
