"""One model under two clocks: the virtual side, and one quick run over HTTP."""

import random

import pytest

from loadtests import bench_clocks
from loadtests.bench_clocks import PROFILE, Seen, made_up, table, virtual


def test_virtual_sessions_find_their_own_prefix() -> None:
    sessions = made_up(4, 2, 3, random.Random(1))
    seen = virtual(sessions, 2, PROFILE)
    assert [one.key for one in seen] == sorted((f"s{n}", turn) for n in range(4) for turn in range(3))
    before: dict[str, int] = {}
    for one in seen:
        name, _ = one.key
        if name in before:
            assert one.cached == before[name] // 64 * 64
        before[name] = one.prompt
        assert 0 < one.ttft_s < one.whole_s
    assert seen == virtual(sessions, 2, PROFILE)


def test_the_table_counts_requests_that_are_like_the_first_runs() -> None:
    one = [Seen(("a", n), 100, 64, 0.1 * n, 1.0) for n in range(4)]
    other = [one[0]._replace(cached=0), *one[1:]]
    rows = {row[0]: row[1:] for row in table([one, other]).rows}
    assert rows["requests with the first run's cached tokens"] == ("4", "3")
    assert rows["hit rate"] == ("64.00 %", "48.00 %")
    assert rows["TTFT p50"] == ("150 ms", "150 ms")


@pytest.mark.integration
def test_over_http_it_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    bench_clocks.main(["--sessions", "2", "--turns", "1"])
    rows = {line.split(" | ")[0]: line.split(" | ")[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["| requests with the first run's cached tokens"] == ["2", "2", "2 |"]
