"""What a request may say of its urgency."""

import pytest
from msgspec import Raw

from router.routing.priority import MOST, USUAL, level_of, share_of
from tokenizer_cache.bodies.fields import ABSENT


@pytest.mark.parametrize(
    ("header", "field", "level"),
    [
        (b"", ABSENT, USUAL),
        (b"interactive", ABSENT, 0),
        (b" Batch ", ABSENT, 3),
        (b"-2", ABSENT, -2),
        (b"99", ABSENT, MOST),
        (b"-99999", ABSENT, -MOST),
        (b"", Raw(b"2"), 2),
        (b"", Raw(b"-1"), -1),
        (b"batch", Raw(b"-1"), 3),
        (b"interactive", Raw(b"2"), 0),
        (b"urgent", Raw(b"2"), 2),
        (b"1e3", Raw(b"1.5"), USUAL),
        (b"9" * 100, Raw(b"9" * 100), USUAL),
        (b"\xff", Raw(b'"batch"'), USUAL),
        (b"", Raw(b"null"), USUAL),
        (b"", Raw(b"true"), USUAL),
        (b"", Raw(b"[1]"), USUAL),
    ],
)
def test_a_level_or_the_usual_one(header: bytes, field: Raw, level: int) -> None:
    assert level_of(header, field) == level


def test_each_level_has_half_the_share_of_the_one_before() -> None:
    assert [share_of(level) for level in (-3, 0, 1, 3)] == [8.0, 1.0, 0.5, 0.125]
