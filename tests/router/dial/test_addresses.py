"""Special addresses, and what grants them."""

from ipaddress import ip_address, ip_network

import pytest

from router.dial.addresses import PRIVATE, granted, plain, read, special_range


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.8.9.10", "::1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.0.1", "fe80::1",
        "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "240.0.0.1",
        "ff02::1", "::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:7f00:1::", "fec0::1",
    ],
)  # fmt: skip
def test_special_addresses_need_a_rule_of_their_own(text: str) -> None:
    address = read(text)
    assert special_range(address) is not None
    assert not granted(address, (ip_network("0.0.0.0/0"), ip_network("::/0"), *PRIVATE))
    assert granted(address, (ip_network(text),))


@pytest.mark.parametrize("text", ["10.0.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "fd00::1", "2600::1"])
def test_ordinary_addresses_are_granted_by_any_network_that_holds_them(text: str) -> None:
    address = read(text)
    assert special_range(address) is None
    assert granted(address, (ip_network("0.0.0.0/0"), ip_network("::/0")))
    assert not granted(address, (ip_network("11.0.0.0/8"), ip_network("2601::/16")))


def test_a_mapped_address_is_the_ipv4_address_that_the_kernel_dials() -> None:
    assert plain(ip_address("::ffff:169.254.169.254")) == ip_address("169.254.169.254")
    assert read("::ffff:10.0.0.1") == ip_address("10.0.0.1")
    assert read("fe80::1%eth0") == ip_address("fe80::1")
    assert plain(ip_address("fe80::1%eth0")) == ip_address("fe80::1")


def test_a_wide_link_local_network_grants_link_local_but_not_the_metadata_service() -> None:
    link_local = (ip_network("169.254.0.0/16"),)
    assert granted(ip_address("169.254.10.10"), link_local)
    assert not granted(ip_address("169.254.169.254"), link_local)
