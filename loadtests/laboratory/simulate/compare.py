"""Arms in turn under the same seeds, on as many cores as are given, with a bar that shows how far it is."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

from tqdm import tqdm  # type: ignore[import-untyped]

from loadtests.laboratory.simulate.outcomes import Summary
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Scenario

Result = TypeVar("Result")
Play = Callable[[Scenario, str, int, Callable[[], None]], Result]
"""One arm in a scenario under a seed; the last one is called at every arrival."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scenario's results: a summary per arm and seed."""

    scenario: Scenario
    results: Mapping[str, Sequence[Summary]]
    knee: float = 0.0
    """Requests per second at which the best arm is at its limit; 0 if it was not looked for."""


class Player:
    """Plays runs. Use as `with`."""

    def __init__(self, jobs: int = 1, quiet: bool = False) -> None:
        self.requests = 0
        """Played in this process so far."""
        self._quiet = quiet
        self._pool = ProcessPoolExecutor(jobs, get_context("spawn")) if jobs > 1 else None

    def __enter__(self) -> "Player":
        return self

    def __exit__(self, *exc: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def one(self, scenario: Scenario, arm: str, seed: int) -> Summary:
        """A single run, here and now."""
        return _play(scenario, arm, seed, self._request)

    def compare(self, scenario: Scenario, arms: Sequence[str], seeds: int) -> Comparison:
        """All arms under seeds 1, 2, ..."""
        runs = [(arm, seed) for seed in range(1, seeds + 1) for arm in arms]
        done = {(arm, seed): summary for arm, seed, summary in self.each(scenario, runs)}
        return Comparison(scenario, {arm: [done[arm, seed] for seed in range(1, seeds + 1)] for arm in arms})

    def each(self, scenario: Scenario, runs: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int, Summary]]:
        """These arms under these seeds, each as soon as it has ended, in any order."""
        return self.every(_play, scenario, runs)

    def every(
        self, play: Play[Result], scenario: Scenario, runs: Sequence[tuple[str, int]]
    ) -> Iterator[tuple[str, int, Result]]:
        """The same, with what `play`, a function of a module, says of each run."""
        with self._bar(scenario, len(runs)) as (run_ended, request):
            if self._pool is None:
                for arm, seed in runs:
                    yield arm, seed, play(scenario, arm, seed, request)
                    run_ended()
            else:
                waiting = {self._pool.submit(play, scenario, *run, _unheard): run for run in runs}
                for future in as_completed(waiting):
                    yield *waiting[future], future.result()
                    run_ended()

    @contextmanager
    def _bar(self, scenario: Scenario, runs: int) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
        """Counts runs, and beside them the requests of the runs in this process."""
        with tqdm(total=runs, unit="run", desc=scenario.name, disable=self._quiet, file=sys.stderr) as bar:

            def request() -> None:
                self._request()
                if self.requests % 100 == 0:
                    bar.set_postfix_str(f"{self.requests:,} requests")

            yield bar.update, request

    def _request(self) -> None:
        self.requests += 1


def _unheard() -> None:
    """Arrivals in another process are not counted."""


def _play(scenario: Scenario, arm: str, seed: int, on_request: Callable[[], None]) -> Summary:
    return Run(scenario, arm, seed).play(on_request)
