"""Keys stay where they are: over removals, processes, loads and releases."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from policies.consistent_hash import REMEMBERED_WORKERS, ConsistentHash
from tests.policies.candidates import a_request, a_worker

WORKERS = [a_worker(f"http://10.0.0.{number}:8000", in_flight=number) for number in range(8)]
KEYS = [f"session-{number}".encode() for number in range(4000)]

ROOT = Path(__file__).parents[2]

PLACE_FROM_ANOTHER_PROCESS = """
import random
from policies.consistent_hash import ConsistentHash
from tests.policies.test_consistent_hash import KEYS, placed
print(*placed(ConsistentHash(random.Random(77)), keys=KEYS[:200]).values())
"""


def placed(policy: ConsistentHash, without: str = "", keys: list[bytes] = KEYS) -> dict[bytes, str]:
    candidates = [worker for worker in WORKERS if worker.worker != without]
    return {key: policy.select(a_request(session=key), candidates).candidate.worker for key in keys}


def test_removing_a_worker_moves_only_its_keys_and_spreads_them() -> None:
    policy = ConsistentHash(random.Random(0))
    before = placed(policy)
    for gone in (WORKERS[0].worker, WORKERS[5].worker):
        after = placed(policy, without=gone)
        assert all(after[key] == worker for key, worker in before.items() if worker != gone)
        heirs = Counter(after[key] for key, worker in before.items() if worker == gone)
        assert len(heirs) == 7
        assert max(heirs.values()) < 2 * min(heirs.values())
    assert placed(policy) == before


def test_keys_are_spread_evenly() -> None:
    shares = Counter(placed(ConsistentHash(random.Random(0))).values())
    assert len(shares) == 8
    assert all(420 < share < 580 for share in shares.values())


def test_neither_load_nor_order_nor_seed_matters() -> None:
    there, back = ConsistentHash(random.Random(1)), ConsistentHash(random.Random(2))
    loaded = [worker._replace(in_flight=90 - worker.in_flight, queued_tokens=70_000) for worker in WORKERS]
    for key in KEYS[:300]:
        chosen = there.select(a_request(session=key), WORKERS).candidate.worker
        assert back.select(a_request(session=key), loaded[::-1]).candidate.worker == chosen


def test_other_processes_place_keys_alike() -> None:
    command = [sys.executable, "-c", PLACE_FROM_ANOTHER_PROCESS]
    outputs = {
        subprocess.run(
            command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    here = placed(ConsistentHash(random.Random(0)), keys=KEYS[:200])
    assert outputs == {" ".join(here.values()) + "\n"}


def test_placement_is_the_same_in_every_release() -> None:
    policy = ConsistentHash(random.Random(0))
    last_digits = [worker[len("http://10.0.0.")] for worker in placed(policy, keys=KEYS[:6]).values()]
    assert last_digits == ["7", "3", "6", "1", "5", "0"]


def test_the_session_is_preferred_to_the_prefix() -> None:
    policy = ConsistentHash(random.Random(0))
    by_session = policy.select(a_request(500, b"alice", b"hello"), WORKERS)
    by_prefix = policy.select(a_request(500, b"", b"hello"), WORKERS)
    assert (by_session.reason, by_prefix.reason) == ("session", "prefix")
    assert by_session.candidate == policy.select(a_request(9, b"alice", b"bye"), WORKERS).candidate
    assert by_prefix.candidate == policy.select(a_request(9, b"hello", b""), WORKERS).candidate


def test_without_a_key_the_least_busy_worker_is_chosen() -> None:
    selection = ConsistentHash(random.Random(0)).select(a_request(500, b"", b""), WORKERS[3:])
    assert (selection.candidate.in_flight, selection.reason) == (3, "no_key")


def test_the_memo_of_workers_is_bounded() -> None:
    policy = ConsistentHash(random.Random(0))
    before = placed(policy, keys=KEYS[:50])
    for start in range(0, 3 * REMEMBERED_WORKERS, 100):
        policy.select(a_request(session=b"x"), [a_worker(f"gone{start + number}") for number in range(100)])
    assert len(policy._worker_hashes) <= REMEMBERED_WORKERS
    assert placed(policy, keys=KEYS[:50]) == before
