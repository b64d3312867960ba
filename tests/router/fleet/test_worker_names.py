"""Names are equal on every router, differ by incarnation, and tell no address."""

from router.fleet.worker_names import holder_name, worker_id

URL = "http://10.1.2.3:8000"


def test_an_id_is_of_the_url_and_tells_nothing_of_it() -> None:
    assert worker_id(URL) == worker_id(URL) != worker_id("http://10.1.2.4:8000")
    assert worker_id(URL).startswith("w-")
    assert not any(part in worker_id(URL) for part in ("10.1", "8000", "http"))


def test_ranks_of_a_server_have_ids_of_their_own_and_the_first_has_the_servers() -> None:
    assert worker_id(URL, 0) == worker_id(URL)
    assert len({worker_id(URL, rank) for rank in range(9)} | {worker_id("http://10.1.2.4:8000", 1)}) == 10


def test_each_incarnation_has_a_name_and_one_of_no_generation_outlives_a_restart() -> None:
    names = {holder_name("w-1", generation) for generation in ("", "1", "2")}
    assert len(names) == 3
    assert holder_name("w-1", "") == "w-1"
    assert all(name.partition(".")[0] == "w-1" for name in names)
