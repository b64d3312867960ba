"""What is written is read, and nothing else is."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.members.entry import BadEntryError, Entry, Standing, read_entry, write_entry
from router.shared.seal import Seal

SECRET = b"index secret"
SEAL = Seal(SECRET, "warmroute", "registry")
ID = "w-0000000001"
ENTRY = Entry(ID, "http://10.0.0.1:8000", Standing.DRAINING, True, 1_700_000_000_000_000, 1_700_000_000)


@given(st.sampled_from(Standing), st.booleans(), st.integers(0, 10**18), st.integers(0, 10**11), st.text(max_size=50))
def test_round_trip(standing: Standing, added: bool, version: int, stamp: int, url: str) -> None:
    entry = Entry(ID, url, standing, added, version, stamp)
    assert read_entry(SEAL, ID, write_entry(SEAL, entry)) == entry


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    raw = bytearray(write_entry(SEAL, ENTRY))
    raw[place % len(raw)] ^= change
    with pytest.raises(BadEntryError, match="forged"):
        read_entry(SEAL, ID, bytes(raw))


@pytest.mark.parametrize(
    "seal",
    [
        Seal(b"another", "warmroute", "registry"),
        Seal(SECRET, "another", "registry"),
        Seal(SECRET, "warmroute", "load"),
        Seal(b"", "warmroute", "registry"),
    ],
)
def test_another_secret_deployment_or_purpose_is_forged(seal: Seal) -> None:
    with pytest.raises(BadEntryError, match="forged"):
        read_entry(SEAL, ID, write_entry(seal, ENTRY))


def test_an_entry_is_good_in_its_own_place_alone() -> None:
    with pytest.raises(BadEntryError, match="forged"):
        read_entry(SEAL, "w-0000000002", write_entry(SEAL, ENTRY))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(BadEntryError):
        read_entry(SEAL, ID, raw)


def test_what_is_signed_but_says_nothing_is_malformed() -> None:
    for body in (b"\x90", msgspec.msgpack.encode(["u", "gone", True, 1, 1]), b"\xc1"):
        with pytest.raises(BadEntryError, match="malformed"):
            read_entry(SEAL, ID, SEAL.write(ID.encode(), body))


def test_a_huge_entry_is_not_looked_at() -> None:
    with pytest.raises(BadEntryError, match="malformed"):
        read_entry(SEAL, ID, write_entry(SEAL, msgspec.structs.replace(ENTRY, url="u" * 5000)))
