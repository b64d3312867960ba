"""What is sealed is read where it was written for, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.shared.seal import MAC_BYTES, Seal

SEAL = Seal(b"secret", "warmroute", "load")
LIMIT = 1000


@given(st.binary(max_size=30), st.binary(max_size=100))
def test_what_is_written_is_read(place: bytes, body: bytes) -> None:
    assert SEAL.read(place, SEAL.write(place, body), LIMIT) == body


@given(st.binary(max_size=30), st.binary(max_size=30), st.binary(max_size=60))
def test_a_place_and_a_body_are_not_taken_for_each_other(one: bytes, two: bytes, body: bytes) -> None:
    sealed = SEAL.write(one, two + body)
    if one + two != one:
        assert SEAL.read(one + two, sealed[:MAC_BYTES] + body, LIMIT) is None
    assert one == two or SEAL.read(two, sealed, LIMIT) is None


@given(st.binary(max_size=100) | st.integers() | st.none() | st.lists(st.binary()))
def test_anything_else_is_none(raw: object) -> None:
    assert SEAL.read(b"place", raw, LIMIT) is None


@pytest.mark.parametrize(
    "other", [Seal(b"another", "warmroute", "load"), Seal(b"secret", "a", "load"), Seal(b"secret", "warmroute", "use")]
)
def test_another_secret_deployment_or_purpose_is_none(other: Seal) -> None:
    assert SEAL.read(b"place", other.write(b"place", b"body"), LIMIT) is None
    assert SEAL.name(b"text", 16) != other.name(b"text", 16)


def test_what_is_too_long_is_not_looked_at() -> None:
    assert SEAL.read(b"place", SEAL.write(b"place", bytes(LIMIT)), LIMIT) is None
