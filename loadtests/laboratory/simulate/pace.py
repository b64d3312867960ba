"""How fast an engine is, without running it: for the warm-up, the working set, the first guess at a knee, and what a
good time to first token is.
"""

from loadtests.engine.profiles import Profile
from loadtests.laboratory.simulate.traffic import Mix, new_tokens
from loadtests.laboratory.traces.script import Script

MOST_BUSY = 0.95
"""Above this the estimate of a busy engine's pace would run away, as its queues do."""


def cold_s(profile: Profile, tokens: int, computed: int = 0) -> float:
    """Seconds of prefill for the tokens behind `computed` ones, on an idle engine."""
    new = max(1, tokens - computed)
    steps = -(-new // profile.step_tokens)
    pairs = new * computed + new * new / 2
    return steps * profile.step_s + new / profile.prefill_rate + pairs * profile.pair_s


class Pace:
    """What a mix asks of engines of one profile, per request, where everything is cached that can be."""

    def __init__(self, mix: Mix, profile: Profile) -> None:
        turns = [turn for script in mix.scripts for turn in script.turns]
        prefills = [cold_s(profile, turn.prompt_tokens, turn.prompt_tokens - new_tokens(turn)) for turn in turns]
        self._mix = mix
        self._profile = profile
        self._prefills = prefills
        reading = sum(turn.answer_tokens * turn.prompt_tokens for turn in turns) * profile.kv_token_s
        self.busy_s = (sum(prefills) + reading) / len(turns)
        """Seconds that a request keeps one engine busy and that no other request shares: its prefill, and reading its
        KV for each token of the answer."""

    def first_guess(self, workers: int) -> float:
        """Requests per second that would keep the workers half busy."""
        return 0.5 * workers / self.busy_s

    def paced(self, workers: int, requests_per_s: float) -> Mix:
        """The mix with answers that take as long as on these engines under this load, in place of as long as they
        took when they were recorded."""
        busy = min(MOST_BUSY, requests_per_s / workers * self.busy_s)
        step_s = (self._profile.decode_s + self._profile.step_s) / (1 - busy)
        prefills = iter(self._prefills)
        return Mix(
            [
                Script(
                    script.name,
                    [
                        turn._replace(service_s=next(prefills) / (1 - busy) + turn.answer_tokens * step_s)
                        for turn in script.turns
                    ],
                    script.shared_blocks,
                    script.starts_s,
                )
                for script in self._mix.scripts
            ],
            self._mix.window,
        )
