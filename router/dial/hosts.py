"""Which host names can be looked up at all. For others the system's resolver raises, because it cannot encode them."""

from ipaddress import IPv6Address

MAX_NAME = 253


def is_host(text: str) -> bool:
    """Is it an address (IPv6 without brackets), or a name whose labels are 1 to 63 bytes long in a query? One dot at
    the end of a name is allowed."""
    if ":" in text:
        return _is_ipv6(text)
    try:
        asked = text.encode("idna")
    except UnicodeError:
        return False
    return 0 < len(asked) <= MAX_NAME and asked.isascii() and not any(byte <= 0x20 or byte == 0x7F for byte in asked)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
