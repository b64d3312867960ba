"""Special IP addresses: a worker never has one, unless a rule lies inside the address's special range.

Loopback, link-local with the clouds' metadata services, multicast, the unspecified address, and addresses that embed
another one. A wide network (0.0.0.0/0) does not grant them; only a rule that lies inside the special range does.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

SPECIAL: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "169.254.169.254/32",  # metadata: AWS, Google, Azure, ...
        "169.254.170.2/32",  # AWS task credentials
        "fd00:ec2::254/128",  # AWS, IPv6
        "fd20:ce::254/128",  # Google, IPv6
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's host
        "0.0.0.0/8",  # this host
        "169.254.0.0/16",  # link-local
        "192.0.0.0/24",  # protocol assignments, Oracle's metadata among them
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/96",  # unspecified, and the oldest embedding of IPv4
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)
"""The most specific range first: an address belongs to the first range that holds it, so `::1` is loopback, not
`::/96`."""

PRIVATE: tuple[Network, ...] = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""The address ranges of a cluster's own network."""


def plain(address: Address) -> Address:
    """An IPv4 address for one that is mapped into IPv6 (`::ffff:10.0.0.1`), which the kernel dials as IPv4."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            address = IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address


def read(text: str) -> Address:
    """The address that a resolver answered, a zone (`%eth0`) cut off. ValueError for anything else."""
    return plain(ip_address(text.partition("%")[0]))


def special_range(address: Address) -> Network | None:
    """The special range that `address` lies in; None for an ordinary one."""
    for network in (*LOOPBACK, *SPECIAL):
        if inside(address, network):
            return network
    return None


def inside(address: Address, network: Network) -> bool:
    """Is the address in this network? Always False across IP versions."""
    return address.version == network.version and address in network


def granted(address: Address, networks: tuple[Network, ...]) -> bool:
    """Does one of `networks` allow this address? A special address needs a network inside its special range."""
    special = special_range(address)
    return any(inside(address, network) and (special is None or _within(network, special)) for network in networks)


def _within(network: Network, outer: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(outer, IPv4Network) and network.subnet_of(outer)
    return isinstance(outer, IPv6Network) and network.subnet_of(outer)
