"""What every part is made from: secrets that are shared or random, numbers that can be drawn again."""

from router.build.basics import basics_of
from router.build.tuning import Tuning
from router.settings import Secret, Settings

SHARED = Settings(index_secret=Secret("secret"), redis_prefix="p", worker_api_key=Secret("key"))


def test_routers_with_one_secret_sign_alike_and_others_do_not() -> None:
    one, other, alone = basics_of(SHARED, Tuning()), basics_of(SHARED, Tuning()), basics_of(Settings(), Tuning())
    assert one.secret == other.secret == b"secret"
    assert one.keys == other.keys
    sealed = one.seal("load").write(b"place", b"value")
    assert other.seal("load").read(b"place", sealed, 99) == b"value"
    assert other.seal("use").read(b"place", sealed, 99) is None
    assert alone.seal("load").read(b"place", sealed, 99) is None


def test_without_a_secret_each_process_has_its_own() -> None:
    first, second = (basics_of(Settings(), Tuning()).secret for _ in range(2))
    assert first != second
    assert len(first) == 32


def test_equal_seeds_draw_equal_numbers() -> None:
    draws = [basics_of(SHARED, Tuning(seed=seed)).rng.random() for seed in (0, 0, 1, None, None)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 4


def test_the_key_for_workers_is_shown_or_there_is_none() -> None:
    assert basics_of(SHARED, Tuning()).worker_key == "key"
    assert basics_of(Settings(), Tuning()).worker_key == ""
