"""The cells with which a rule is tuned, and those held out: named before anything was run on the latter.

Rules for who compares rules: tune with `TUNING` under `TUNING_SEEDS` alone. Run `HELD_OUT` under `HELD_OUT_SEEDS` once,
when the rule is chosen, and publish what comes out. Whoever changes a rule after that names new cells.
"""

from typing import NamedTuple


class Cell(NamedTuple):
    """One small fleet under one kind of traffic."""

    trace: str
    """A recorded trace, by its file's name."""
    profile: str
    workers: int
    ratio: float
    """Working set over KV memory."""
    load: float
    """Share of the rate at which engines with an infinite cache would prefill and read KV memory all the time. The
    knee is at 0.5 to 0.9 where memory suffices; it is far lower where it does not."""
    trap: str = ""
    """A trap of the laboratory, on this trace's sessions; it sets its own ratio and load."""

    def __str__(self) -> str:
        where = f"{self.trace}, {self.workers} x {self.profile}"
        return f"{where}, {self.trap}" if self.trap else f"{where}, ratio {self.ratio:g}, load {self.load:g}"


TUNING_SEEDS = (1, 2, 3)
HELD_OUT_SEEDS = (101, 102, 103)
REQUESTS = 300
"""Measured in each run."""
MAX_TOKENS, MAX_THINK_S = 150_000, 60.0
"""Longer sessions are left out, longer pauses cut."""

QWEN, LLAMA, MINIMAX, KIMI = "qwen3-32b-2xh100", "llama-3.1-8b-a100", "minimax-m2.5-8xh20", "kimi-k2.5-gb200"
CLAUDE, CODEX, ENTIRE = "claude_code_kvtraces", "codex_agentv", "claude_code_entirecli"
CHAT, TOOLS = "mooncake_conversation_trace", "mooncake_synthetic_trace"
SUPPORT, SWE = "tau_airline", "swe_agent"

TUNING = (
    *(Cell(CLAUDE, QWEN, 8, 0.5, load) for load in (0.3, 0.5, 0.7, 0.85)),
    *(Cell(CLAUDE, QWEN, 8, 1.0, load) for load in (0.4, 0.7)),
    *(Cell(CLAUDE, QWEN, 8, 2.0, load) for load in (0.3, 0.5)),
    *(Cell(CODEX, QWEN, 8, 0.5, load) for load in (0.4, 0.8)),
    Cell(CODEX, QWEN, 8, 2.0, 0.5),
    *(Cell(CHAT, QWEN, 8, 1.0, load) for load in (0.5, 0.9)),
    Cell(SUPPORT, QWEN, 4, 1.0, 0.5),
    Cell(CLAUDE, MINIMAX, 4, 0.7, 0.6),
    *(
        Cell(CLAUDE, QWEN, 8, 0.5, 0.6, trap)
        for trap in ("one system prompt", "burst of one new prefix", "hot tenant", "one slow worker", "fleet grows")
    ),
)

SEEN = (
    *(Cell(ENTIRE, QWEN, 6, 0.5, load) for load in (0.4, 0.7, 0.85)),
    Cell(ENTIRE, QWEN, 6, 1.5, 0.5),
    *(Cell(ENTIRE, LLAMA, 12, 0.5, load) for load in (0.5, 0.8)),
    Cell(CODEX, MINIMAX, 3, 0.5, 0.4),
)
"""Held out until a rule failed there and was given up: since then for tuning, under the seeds for tuning."""

HELD_OUT = (
    *(Cell(CODEX, MINIMAX, 3, 0.5, load) for load in (0.7, 0.9)),
    *(Cell(CODEX, MINIMAX, 3, 1.5, load) for load in (0.4, 0.7)),
    *(Cell(CODEX, KIMI, 16, 0.5, load) for load in (0.5, 0.8)),
    *(Cell(CODEX, LLAMA, 8, 1.0, load) for load in (0.4, 0.7)),
    *(Cell(CLAUDE, KIMI, 5, 0.5, load) for load in (0.4, 0.6, 0.8)),
    Cell(CLAUDE, KIMI, 5, 1.5, 0.5),
    *(Cell(CLAUDE, LLAMA, 16, 0.5, load) for load in (0.4, 0.7)),
    *(Cell(TOOLS, QWEN, 2, 0.5, load) for load in (0.4, 0.8)),
    *(Cell(TOOLS, QWEN, 8, 2.0, load) for load in (0.4, 0.7, 1.0)),
    *(Cell(CHAT, MINIMAX, 12, 0.5, load) for load in (0.6, 1.0)),
    *(Cell(SWE, LLAMA, 4, 0.5, load) for load in (0.4, 0.7)),
    Cell(SWE, LLAMA, 4, 1.5, 0.5),
    *(Cell(SUPPORT, KIMI, 10, 1.0, load) for load in (0.3, 0.6)),
    *(Cell(CODEX, MINIMAX, 6, 0.5, 0.6, trap) for trap in ("one system prompt", "burst of one new prefix")),
    *(Cell(ENTIRE, LLAMA, 6, 0.5, 0.6, trap) for trap in ("hot tenant", "one slow worker", "worker lost and back")),
    *(Cell(CODEX, QWEN, 12, 0.5, 0.6, trap) for trap in ("fleet grows", "fast 500s")),
)
