"""What is written is read, and nothing else is."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.registry.entry import HEAD_BYTES, MAC_BYTES, BadEntryError, Entry, Seal, Standing

SECRET = b"index secret"
SEAL = Seal(SECRET, "warmroute")
ENTRY = Entry("w-0000000001", "http://10.0.0.1:8000", Standing.DRAINING, True, 1_700_000_000_000_000, 1_700_000_000)


@given(st.sampled_from(Standing), st.booleans(), st.integers(0, 10**18), st.integers(0, 10**11), st.text(max_size=50))
def test_round_trip(standing: Standing, added: bool, version: int, stamp: int, url: str) -> None:
    entry = Entry("w-1", url, standing, added, version, stamp)
    assert SEAL.read(SEAL.write(entry)) == entry


def test_the_head_sorts_as_entries_do() -> None:
    later = msgspec.structs.replace(ENTRY, version=ENTRY.version + 1, stamp=0)
    resigned = msgspec.structs.replace(ENTRY, stamp=ENTRY.stamp + 1)
    ordered = [SEAL.write(entry)[:HEAD_BYTES] for entry in (ENTRY, resigned, later)]
    assert ordered == sorted(ordered)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    raw = bytearray(SEAL.write(ENTRY))
    raw[place % len(raw)] ^= change
    with pytest.raises(BadEntryError):
        SEAL.read(bytes(raw))


@pytest.mark.parametrize("seal", [Seal(b"another", "warmroute"), Seal(SECRET, "another"), Seal(b"", "warmroute")])
def test_another_secret_or_deployment_is_forged(seal: Seal) -> None:
    with pytest.raises(BadEntryError, match="forged"):
        SEAL.read(seal.write(ENTRY))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(BadEntryError):
        SEAL.read(raw)


def test_what_is_signed_but_says_nothing_is_malformed() -> None:
    raw = SEAL.write(ENTRY)
    head = raw[:HEAD_BYTES]
    for body in (b"\x90", msgspec.msgpack.encode(["w", "u", "gone", True]), b"\xc1"):
        signed = head + SEAL._mac(head, body) + body
        assert len(signed) > HEAD_BYTES + MAC_BYTES
        with pytest.raises(BadEntryError, match="malformed"):
            SEAL.read(signed)


def test_a_huge_entry_is_not_looked_at() -> None:
    with pytest.raises(BadEntryError, match="malformed"):
        SEAL.read(SEAL.write(msgspec.structs.replace(ENTRY, url="u" * 5000)))
