"""What a router told is good for a while, and once."""

from router.observe.instruments import Counter
from router.shared.publishing import NEAR_MS, Publisher, Receiver
from router.shared.seal import Seal

SEAL = Seal(b"secret", "warmroute", "load")
NOW = 1_700_000_000_000


def receiver() -> tuple[Receiver, Counter]:
    refused = Counter("refused", "", ("kind",))
    return Receiver(SEAL, refused, "load", 100), refused


def heard(receiver: Receiver, raw: object, now_ms: int = NOW, router: str = "a") -> bytes | None:
    found = [told.body for told in receiver.news([router], [raw], now_ms)]
    return found[0] if found else None


def test_what_is_told_is_heard_once() -> None:
    one, refused = receiver()
    publisher = Publisher(SEAL, "a")
    first, second = publisher.write(b"1", NOW), publisher.write(b"2", NOW)
    assert heard(one, first) == b"1"
    assert heard(one, first) is None, "nothing new, and nothing wrong"
    assert not refused.values
    assert heard(one, second) == b"2"
    assert heard(one, first) is None, "put back"
    assert heard(one, None) is None
    assert heard(one, second) is None, "put back after it was gone"
    assert refused.values == {("load_old",): 2}


def test_an_old_one_is_refused_by_who_has_never_heard_of_it() -> None:
    one, refused = receiver()
    raw = Publisher(SEAL, "a").write(b"1", NOW - NEAR_MS - 1)
    ahead = Publisher(SEAL, "b").write(b"1", NOW + NEAR_MS + 1)
    assert heard(one, raw) is None and heard(one, ahead, router="b") is None
    assert refused.values == {("load_old",): 2}
    assert heard(one, Publisher(SEAL, "a").write(b"2", NOW - NEAR_MS)) == b"2"


def test_two_of_one_name_take_turns_by_their_numbers_and_never_go_back() -> None:
    one, _ = receiver()
    first, second = Publisher(SEAL, "a"), Publisher(SEAL, "a")
    assert heard(one, first.write(b"first", NOW)) == b"first"
    assert heard(one, second.write(b"second", NOW)) is None
    assert heard(one, second.write(b"second", NOW)) == b"second"


def test_another_routers_and_a_forged_one_are_refused() -> None:
    one, refused = receiver()
    raw = Publisher(SEAL, "b").write(b"1", NOW)
    long = Publisher(SEAL, "a").write(b"x" * 101, NOW)
    for wrong in (
        raw,
        b"",
        b"x" * 40,
        b"x" * 500,
        SEAL.write(b"a", b"short"),
        long,
    ):
        assert heard(one, wrong) is None
    assert refused.values == {("load",): 6}


def test_names_that_come_and_go_are_not_kept() -> None:
    one, _ = receiver()
    for number in range(1000):
        name = f"r{number}"
        assert heard(one, Publisher(SEAL, name).write(b"1", NOW + 1000 * number), NOW + 1000 * number, name) == b"1"
    assert len(one._heads) < 200 and len(one._seen) == 1
